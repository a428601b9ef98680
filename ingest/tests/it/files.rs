use premise_ingest::{Document, Limits, MediaType, ReadError, read};

use crate::make::{docx, zip};

fn read_docx(body: &str) -> Document {
    read("Lease.DOCX", &docx(body), &Limits::default()).unwrap()
}

fn paragraph(text: &str) -> String {
    format!("<w:p><w:r><w:t>{text}</w:t></w:r></w:p>")
}

fn check(body: &str, pages: &[&str]) {
    let document = read_docx(body);
    let texts: Vec<&str> = document.pages.iter().map(|page| page.text.as_str()).collect();
    assert_eq!(texts, pages, "{body}");
}

#[test]
fn paragraphs_runs_and_entities_are_text() {
    check(
        "<w:p><w:r><w:t xml:space=\"preserve\">Rent </w:t></w:r><w:r><w:t>&amp; c&#111;sts</w:t></w:r></w:p>",
        &["Rent & costs"],
    );
    check(&(paragraph("one") + &paragraph("two")), &["one\n\ntwo"]);
    check("<w:p><w:r><w:t>a</w:t><w:br/><w:t>b</w:t><w:tab/><w:t>c</w:t></w:r></w:p>", &["a\nb  c"]);
    check("<w:p><w:r><w:delText>old</w:delText><w:instrText>PAGE</w:instrText><w:t>new</w:t></w:r></w:p>", &["new"]);
}

#[test]
fn table_rows_are_lines() {
    let cell = |text| format!("<w:tc>{}</w:tc>", paragraph(text));
    let row = |a, b| format!("<w:tr>{}{}</w:tr>", cell(a), cell(b));
    let table = format!("<w:tbl>{}{}</w:tbl>", row("Item", "Price"), row("Desk", "100"));
    check(&(paragraph("before") + &table + &paragraph("after")), &["before\n\nItem | Price\nDesk | 100\n\nafter"]);
}

#[test]
fn page_breaks_make_pages_once() {
    let page_break = "<w:p><w:r><w:br w:type=\"page\"/></w:r></w:p>";
    let rendered = "<w:p><w:r><w:lastRenderedPageBreak/><w:t>two</w:t></w:r></w:p>";
    check(&(paragraph("one") + page_break + rendered), &["one", "two"]);
    check(
        "<w:p><w:r><w:t>so it</w:t></w:r><w:r><w:lastRenderedPageBreak/><w:t>goes on</w:t></w:r></w:p>",
        &["so it", "goes on"],
    );
}

#[test]
fn alternative_content_is_read_once() {
    let both = format!(
        "<mc:AlternateContent><mc:Choice>{}</mc:Choice><mc:Fallback>{}</mc:Fallback></mc:AlternateContent>",
        paragraph("boxed"),
        paragraph("boxed"),
    );
    check(&(both + &paragraph("rest")), &["boxed\n\nrest"]);
}

#[test]
fn titles_come_from_properties_or_the_title_style() {
    let titled = "<w:p><w:pPr><w:pStyle w:val=\"Title\"/></w:pPr><w:r><w:t>Lease</w:t></w:r></w:p>";
    assert_eq!(read_docx(titled).title.as_deref(), Some("Lease"));
    let body = format!("<w:document>{titled}</w:document>");
    let core = b"<cp:coreProperties><dc:title>Lease of Rooms</dc:title></cp:coreProperties>";
    let parts: [(&str, &[u8]); 2] = [("word/document.xml", body.as_bytes()), ("docProps/core.xml", core)];
    let document = read("a.docx", &zip(&parts), &Limits::default()).unwrap();
    assert_eq!(document.title.as_deref(), Some("Lease of Rooms"));
    assert_eq!(document.media_type, MediaType::Docx);
}

#[test]
fn each_kind_of_bad_word_file_has_its_error() {
    let refused = |bytes: &[u8]| read("a.docx", bytes, &Limits::default()).unwrap_err();
    assert!(matches!(refused(b""), ReadError::Empty));
    assert!(matches!(refused(&docx("<w:p/>")), ReadError::Empty));
    assert!(matches!(refused(b"plain text"), ReadError::NotWhatItSays { .. }));
    assert!(matches!(refused(&zip(&[("xl/workbook.xml", b"<x/>")])), ReadError::NotWhatItSays { .. }));
    assert!(matches!(refused(b"\xd0\xcf\x11\xe0 OLE"), ReadError::Locked));
    let good = docx(&paragraph("text"));
    assert!(matches!(refused(&good[..good.len() / 2]), ReadError::Damaged(_)));
    assert!(matches!(refused(&docx("<w:p/><!-- no end")), ReadError::Damaged(_)));
}

#[test]
fn a_zip_bomb_is_refused() {
    let bomb = docx(&paragraph(&" ".repeat(200_000)));
    assert!(bomb.len() < 10_000);
    let limits = Limits { max_page_bytes: 100_000, ..Limits::default() };
    assert!(matches!(read("a.docx", &bomb, &limits), Err(ReadError::TooLarge { .. })));
}

#[test]
fn documents_survive_serialising() {
    let document = read_docx(&paragraph("text"));
    let json = serde_json::to_string(&document).unwrap();
    assert_eq!(serde_json::from_str::<Document>(&json).unwrap(), document);
}
