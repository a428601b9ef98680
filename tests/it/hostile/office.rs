//! Office documents: zip bombs, XML bombs, deep nesting, sheets of billions of cells, links that lead in circles.

use std::io::{Cursor, Write};

use zip::{ZipWriter, write::SimpleFileOptions};

use super::Hostile;

pub(super) fn all() -> Vec<Hostile> {
    [zips(), word(), sheets(), slides(), open_document(), containers()].concat()
}

fn packed(parts: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in parts {
        archive.start_file(*name, SimpleFileOptions::default()).expect("a part can be started");
        archive.write_all(text.as_bytes()).expect("a part can be written");
    }
    archive.finish().expect("the archive can be ended").into_inner()
}

fn docx(body: &str) -> Vec<u8> {
    packed(&[("word/document.xml", &format!("<w:document xmlns:w=\"w\"><w:body>{body}</w:body></w:document>"))])
}

fn named(name: &str, bytes: Vec<u8>) -> Hostile {
    (name.to_owned(), bytes)
}

const PARAGRAPH: &str = "<w:p><w:r><w:t>A line of text.</w:t></w:r></w:p>";

fn zips() -> Vec<Hostile> {
    let good = docx(PARAGRAPH);
    // Where the central directory says how large the first part is once unpacked.
    let directory = good.windows(4).rposition(|four| four == b"PK\x01\x02").expect("it has a directory");
    let with = |at: usize, bytes: &[u8]| {
        let mut changed = good.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        changed
    };
    let many: Vec<(String, &str)> = (0..60_000).map(|at| (format!("p{at}"), "")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, text)| (name.as_str(), *text)).collect();
    vec![
        named("unpacks-to-much.docx", docx(&" ".repeat(200 << 20))),
        named("size-lies.docx", with(directory + 24, &[0xff; 4])),
        named("starts-elsewhere.docx", with(directory + 42, &[0xf0, 0xff, 0xff, 0x7f])),
        named("packed-in-an-unknown-way.docx", with(directory + 10, &[99, 0])),
        named("part-locked.docx", with(directory + 8, &[1, 0])),
        named("sum-wrong.docx", with(directory + 16, &[1, 2, 3, 4])),
        named("half-an-archive.docx", good[..good.len() / 2].to_vec()),
        named("directory-cut-off.docx", good[..good.len() - 10].to_vec()),
        named("sixty-thousand-parts.docx", packed(&many)),
        named("parts-outside.docx", packed(&[("../../../etc/cron.d/x", "x"), ("/word/document.xml", PARAGRAPH)])),
        named("no-parts.docx", packed(&[])),
        named("another-kind.docx", packed(&[("xl/workbook.xml", "<workbook/>")])),
    ]
}

fn word() -> Vec<Hostile> {
    let laughs = (1..20).fold("<!ENTITY a0 \"ha\">".to_owned(), |all, at| {
        all + &format!("<!ENTITY a{at} \"{}\">", format!("&a{};", at - 1).repeat(10))
    });
    let bomb = format!("<?xml version=\"1.0\"?><!DOCTYPE d [{laughs}]><d><p><t>&a19;</t></p></d>");
    let outside = "<!DOCTYPE d [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><d><p><t>&x;</t></p></d>";
    let table =
        format!("{}{PARAGRAPH}{}", "<w:tbl><w:tr><w:tc>".repeat(50_000), "</w:tc></w:tr></w:tbl>".repeat(50_000));
    vec![
        named("entities-by-the-billion.docx", packed(&[("word/document.xml", &bomb)])),
        named("entity-of-another-file.docx", packed(&[("word/document.xml", outside)])),
        named("deep-elements.docx", docx(&"<w:p>".repeat(1_000_000))),
        named("deep-tables.docx", docx(&table)),
        named("ends-without-starts.docx", docx(&"</w:p></w:tbl></w:tr>".repeat(100_000))),
        named("rows-without-tables.docx", docx(&format!("{}{PARAGRAPH}", "<w:tr><w:tc>".repeat(100_000)))),
        named("attribute-of-megabytes.docx", docx(&format!("<w:p w:a=\"{}\">{PARAGRAPH}", "a".repeat(10_000_000)))),
        named("attributes-by-the-thousand.docx", docx(&format!("<w:p {}/>{PARAGRAPH}", "a=\"b\" ".repeat(200_000)))),
        named("comment-without-end.docx", docx("<!-- ")),
        named("pages-by-the-thousand.docx", docx(&format!("{PARAGRAPH}<w:br w:type=\"page\"/>").repeat(20_000))),
        named(
            "notes-call-themselves.docx",
            packed(&[
                ("word/document.xml", &format!("<d>{PARAGRAPH}<w:footnoteReference w:id=\"1\"/></d>")),
                ("word/footnotes.xml", "<f><w:footnote w:id=\"1\"><w:footnoteReference w:id=\"1\"/></w:footnote></f"),
            ]),
        ),
        named("nul-bytes.docx", packed(&[("word/document.xml", &"\0".repeat(100_000))])),
    ]
}

const ROOT: &str = "<Relationships><Relationship Id=\"rId1\" Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>";

fn workbook(sheet: &str, strings: &str) -> Vec<u8> {
    let book = "<workbook xmlns:r=\"r\"><sheets><sheet name=\"S\" sheetId=\"1\" r:id=\"rId1\"/></sheets></workbook>";
    let links = "<Relationships><Relationship Id=\"rId1\" Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet\" Target=\"worksheets/sheet1.xml\"/></Relationships>";
    packed(&[
        ("_rels/.rels", ROOT),
        ("xl/workbook.xml", book),
        ("xl/_rels/workbook.xml.rels", links),
        ("xl/sharedStrings.xml", strings),
        ("xl/worksheets/sheet1.xml", &format!("<worksheet>{sheet}</worksheet>")),
    ])
}

fn sheets() -> Vec<Hostile> {
    let cell = |place: &str, value: &str| format!("<row><c r=\"{place}\"><v>{value}</v></c></row>");
    let far = format!(
        "<dimension ref=\"A1:XFD1048576\"/><sheetData>{}{}</sheetData>",
        cell("A1", "1"),
        cell("XFD1048576", "2")
    );
    let string = format!("<sst><si><t>{}</t></si></sst>", "words ".repeat(200_000));
    let repeated: String = (1..2000).map(|row| format!("<row><c r=\"A{row}\" t=\"s\"><v>0</v></c></row>")).collect();
    vec![
        named("far-cell.xlsx", workbook(&far, "<sst/>")),
        named("one-string-very-often.xlsx", workbook(&format!("<sheetData>{repeated}</sheetData>"), &string)),
        named(
            "string-that-is-not-there.xlsx",
            workbook("<sheetData><row><c r=\"A1\" t=\"s\"><v>999999999</v></c></row></sheetData>", "<sst/>"),
        ),
        named(
            "cell-of-no-place.xlsx",
            workbook(&format!("<sheetData>{}</sheetData>", cell("ZZZZZZ99999999999", "1")), "<sst/>"),
        ),
        named("strings-without-end.xlsx", workbook("<sheetData/>", &"<sst><si>".repeat(100_000))),
        named(
            "strings-unpack-to-much.xlsx",
            workbook("<sheetData/>", &format!("<sst><si><t>{}</t></si></sst>", " ".repeat(300 << 20))),
        ),
        named(
            "no-sheet.xlsx",
            packed(&[
                ("_rels/.rels", ROOT),
                ("xl/workbook.xml", "<workbook><sheets><sheet name=\"S\" sheetId=\"1\"/></sheets></workbook>"),
            ]),
        ),
        named("text.xlsx", b"Item,Price".to_vec()),
    ]
}

fn slides() -> Vec<Hostile> {
    let show = |ids: &str, links: &str, slide: &str| {
        packed(&[
            ("ppt/presentation.xml", &format!("<p xmlns:r=\"r\"><sldIdLst>{ids}</sldIdLst></p>")),
            ("ppt/_rels/presentation.xml.rels", &format!("<Relationships>{links}</Relationships>")),
            ("ppt/slides/slide1.xml", slide),
        ])
    };
    let text = "<sld><sp><p><r><t>A line of text.</t></r></p></sp></sld>";
    let one = "<Relationship Id=\"r1\" Target=\"slides/slide1.xml\"/>";
    vec![
        named("one-slide-very-often.pptx", show(&"<sldId r:id=\"r1\"/>".repeat(50_000), one, text)),
        named(
            "slides-that-are-not-there.pptx",
            show(&"<sldId r:id=\"r1\"/>".repeat(3), "<Relationship Id=\"r1\" Target=\"slides/none.xml\"/>", text),
        ),
        named(
            "slide-is-the-presentation.pptx",
            show("<sldId r:id=\"r1\"/>", "<Relationship Id=\"r1\" Target=\"../ppt/presentation.xml\"/>", text),
        ),
        named(
            "slide-far-outside.pptx",
            show("<sldId r:id=\"r1\"/>", "<Relationship Id=\"r1\" Target=\"../../../../etc/passwd\"/>", text),
        ),
        named("deep-shapes.pptx", show("<sldId r:id=\"r1\"/>", one, &"<grpSp><sp><tbl><tr><tc>".repeat(100_000))),
    ]
}

fn open_document() -> Vec<Hostile> {
    let text =
        |body: &str| packed(&[("content.xml", &format!("<office:text xmlns:office=\"o\">{body}</office:text>"))]);
    let sheet = |body: &str| {
        packed(&[
            ("mimetype", "application/vnd.oasis.opendocument.spreadsheet"),
            ("META-INF/manifest.xml", "<manifest/>"),
            (
                "content.xml",
                &format!(
                    "<office:document-content><office:body><office:spreadsheet><table:table table:name=\"S\">{body}</table:table></office:spreadsheet></office:body></office:document-content>"
                ),
            ),
        ])
    };
    let cell = "<table:table-cell office:value-type=\"string\" table:number-columns-repeated=\"2147483647\"><text:p>x</text:p></table:table-cell>";
    vec![
        named("deep-lists.odt", text(&"<list><list-item><p>a".repeat(10_000))),
        named("deep-notes.odt", text(&"<p>a<note>".repeat(10_000))),
        named("blanks-by-the-billion.odt", text("<p>a<s c=\"2147483647\"/>b</p>")),
        named(
            "locked.odt",
            packed(&[("META-INF/manifest.xml", "<m><encryption-data/></m>"), ("content.xml", "nonsense")]),
        ),
        named("columns-by-the-billion.ods", sheet(&format!("<table:table-row>{cell}</table:table-row>"))),
        named(
            "rows-by-the-billion.ods",
            sheet(
                "<table:table-row table:number-rows-repeated=\"2147483647\"><table:table-cell office:value-type=\"string\"><text:p>x</text:p></table:table-cell></table:table-row>",
            ),
        ),
    ]
}

/// OLE containers: headers that lie about what follows.
fn containers() -> Vec<Hostile> {
    let mut head = vec![0_u8; 512];
    head[..8].copy_from_slice(&[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1]);
    head[24..34].copy_from_slice(&[0x3e, 0, 3, 0, 0xfe, 0xff, 9, 0, 6, 0]);
    head[44..48].copy_from_slice(&1_u32.to_le_bytes());
    head[56..60].copy_from_slice(&4096_u32.to_le_bytes());
    head[60..72].copy_from_slice(&[0xfe, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff]);
    head[76..512].fill(0xff);
    head[76..80].copy_from_slice(&0_u32.to_le_bytes());
    // Every sector follows itself.
    let circle: Vec<u8> = (0_u32..128).flat_map(u32::to_le_bytes).collect();
    let looped = [head.clone(), circle, vec![0x41; 512 * 4]].concat();
    let mut many = head.clone();
    many[44..48].copy_from_slice(&u32::MAX.to_le_bytes());
    many[72..76].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut files = Vec::new();
    for kind in ["msg", "xls", "docx"] {
        files.push(named(&format!("container-in-a-circle.{kind}"), looped.clone()));
        files.push(named(&format!("container-of-billions.{kind}"), [many.clone(), vec![0xff; 4096]].concat()));
        files.push(named(&format!("container-cut-off.{kind}"), head[..100].to_vec()));
    }
    files
}
