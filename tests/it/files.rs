//! Files for tests, made on the fly: small PDFs and a few texts whose facts nobody mixes up.

use lopdf::{Dictionary, Document, Object, Stream, dictionary};

/// A PDF whose pages show these texts.
pub(crate) fn pdf(pages: &[&str]) -> Vec<u8> {
    save(pdf_document(pages))
}

/// A PDF that opens only with a password.
pub(crate) fn locked_pdf() -> Vec<u8> {
    let mut document = pdf_document(&["The password of the safe is never told."]);
    let id = Object::string_literal("0123456789abcdef");
    document.trailer.set("ID", vec![id.clone(), id]);
    let version = lopdf::EncryptionVersion::V2 {
        document: &document,
        owner_password: "owner",
        user_password: "secret",
        key_length: 128,
        permissions: lopdf::Permissions::all(),
    };
    let state = lopdf::EncryptionState::try_from(version).expect("the key can be made");
    document.encrypt(&state).expect("the file can be locked");
    save(document)
}

/// A PDF whose pages are drawn by these instructions, with Helvetica as `/F1`.
pub(crate) fn drawn_pdf(contents: &[String]) -> Vec<u8> {
    save(drawn_document(contents))
}

/// A page that is a picture without text.
pub(crate) const SCAN: &[u8] = include_bytes!("../../ingest/tests/files/scan.pdf");
/// A letter as a picture.
pub(crate) const LETTER: &[u8] = include_bytes!("../../ingest/tests/files/letter.png");
/// Two pages as one picture file.
pub(crate) const FAX: &[u8] = include_bytes!("../../ingest/tests/files/fax.tif");

/// A PDF with a page of text before one that is a picture.
pub(crate) fn text_then_scan(text: &str) -> Vec<u8> {
    let mut document = pdf_document(&[text]);
    let mut scan = Document::load_mem(SCAN).expect("the scan is a PDF");
    scan.renumber_objects_with(document.max_id + 1);
    let tree = document.catalog().and_then(|catalog| catalog.get(b"Pages")).and_then(Object::as_reference);
    let tree = tree.expect("the document has pages");
    let picture = *scan.get_pages().get(&1).expect("the scan has a page");
    document.objects.extend(scan.objects);
    let page = document.get_object_mut(picture).and_then(Object::as_dict_mut).expect("it is a page");
    page.set("Parent", tree);
    let pages = document.get_object_mut(tree).and_then(Object::as_dict_mut).expect("it is a tree");
    pages.set("Count", 2);
    pages.get_mut(b"Kids").and_then(Object::as_array_mut).expect("it has kids").push(picture.into());
    document.max_id = document.objects.keys().map(|(number, _)| *number).max().unwrap_or_default();
    save(document)
}

fn pdf_document(pages: &[&str]) -> Document {
    let drawn = |text: &&str| {
        let shown: Vec<_> = lines(text).iter().map(|line| format!("({line}) Tj T*")).collect();
        format!("BT /F1 11 Tf 14 TL 72 720 Td {} ET", shown.join("\n"))
    };
    drawn_document(&pages.iter().map(drawn).collect::<Vec<_>>())
}

fn drawn_document(contents: &[String]) -> Document {
    let mut document = Document::with_version("1.7");
    let tree = document.new_object_id();
    let font = document.add_object(dictionary! {
        "Type" => "Font", "Subtype" => "Type1", "BaseFont" => "Helvetica", "Encoding" => "WinAnsiEncoding",
    });
    let kids: Vec<Object> = contents
        .iter()
        .map(|content| {
            let content = document.add_object(Stream::new(Dictionary::new(), content.clone().into_bytes()));
            let page = dictionary! {
                "Type" => "Page", "Parent" => tree, "Contents" => content,
                "MediaBox" => vec![0.into(), 0.into(), 612.into(), 792.into()],
                "Resources" => dictionary! { "Font" => dictionary! { "F1" => font } },
            };
            document.add_object(page).into()
        })
        .collect();
    let pages = dictionary! { "Type" => "Pages", "Count" => kids.len() as i64, "Kids" => kids };
    document.objects.insert(tree, pages.into());
    let catalog = document.add_object(dictionary! { "Type" => "Catalog", "Pages" => tree });
    document.trailer.set("Root", catalog);
    document
}

/// Words in lines of at most 80 characters, for a PDF's string.
fn lines(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().expect("there is always one");
        if last.len() + word.len() > 80 {
            lines.push(word.to_owned());
        } else {
            if !last.is_empty() {
                last.push(' ');
            }
            last.push_str(word);
        }
    }
    lines.iter().map(|line| line.replace('\\', "\\\\").replace('(', "\\(").replace(')', "\\)")).collect()
}

fn save(mut document: Document) -> Vec<u8> {
    let mut bytes = Vec::new();
    document.save_to(&mut bytes).expect("a PDF can be written to memory");
    bytes
}

pub(crate) const LEASE: [&str; 2] = [
    "Lease between Harbour Estates and Willow Books. The lease begins on 1 July 2024 and ends on 30 June 2031. \
     The tenant may end it early with six months of notice in writing.",
    "The rent is 4,500 dollars a month, due on the first day of each month. \
     The tenant pays a deposit of 9,000 dollars, which is given back within thirty days after the lease has ended.",
];

pub(crate) const CLINIC: &str = "# Vaccination of infants\n\n\
    The first dose of the measles vaccine is given at the age of twelve months, the second at four years. \
    A fever above 38.5 degrees on the day of the vaccination is a reason to wait.\n";

pub(crate) const GARDEN: &str = "Tomatoes are watered in the early morning and never on their leaves. \
    Basil grows well beside them and keeps whiteflies away.\n";

/// A text of two chunks that no other number gives.
pub(crate) fn long_text(number: usize) -> String {
    let sentence = |sentence: usize| {
        let clause = number * 1000 + sentence;
        format!(
            "Clause {clause} of agreement {number} obliges the supplier to deliver {clause} crates of oranges to \
             warehouse {sentence} before noon. "
        )
    };
    (0..12).map(sentence).collect::<Vec<_>>().concat()
}
