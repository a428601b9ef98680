use std::path::Path;

use premise_ingest::{Document, ReadError, ReadOptions, Tesseract, TesseractMissing, read_with};

const SCAN: &[u8] = include_bytes!("../files/scan.pdf");

/// What of the scan's text can be checked word by word.
const SENTENCE: &str = "The monthly fee is 1,250 euros, payable within thirty days.";

fn tesseract() -> Tesseract {
    Tesseract::find("eng").expect("these tests need the packages tesseract-ocr and tesseract-ocr-eng")
}

fn recognised(name: &str, bytes: &[u8], tesseract: &Tesseract) -> Result<Document, ReadError> {
    let options = ReadOptions { recogniser: Some(tesseract), ..ReadOptions::default() };
    read_with(name, bytes, &options).map(|reading| reading.document)
}

#[test]
fn a_scan_is_recognised_where_it_stands_and_marked_as_such() {
    let document = recognised("contract.pdf", SCAN, &tesseract()).unwrap();
    let page = &document.pages[0];
    assert!(page.text.contains(SENTENCE), "{}", page.text);
    assert!(page.recognised && page.confidence > 0.8, "{}", page.confidence);
    assert_eq!(document.problems, []);
    // In the second line of the picture, which was askew: 120 to 260 pixels of 200 dpi from the top.
    let word = page.words.iter().find(|word| &page.text[word.start as usize..word.end as usize] == "Northfield");
    let [x0, y0, x1, y1] = word.unwrap().bbox;
    let from_top = page.height_pt - y1;
    assert!((70.0..140.0).contains(&from_top) && (8.0..24.0).contains(&(y1 - y0)), "{y0} {y1}");
    assert!(x0 > 200.0 && x1 < page.width_pt, "{x0} {x1}");
}

#[test]
fn a_scan_without_recognition_is_refused_with_its_reason() {
    let error = read_with("contract.pdf", SCAN, &ReadOptions::default()).unwrap_err();
    assert!(matches!(error, ReadError::NeedsRecognition { pages: 1 }), "{error}");
    assert!(error.hint().contains("tesseract-ocr"), "{}", error.hint());
}

#[test]
fn a_page_that_was_recognised_is_not_recognised_again() {
    let folder = tempfile::tempdir().unwrap();
    let tesseract = tesseract().keeping_in(folder.path());
    let first = recognised("contract.pdf", SCAN, &tesseract).unwrap();
    let kept: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(kept.len(), 1);
    let words = std::fs::read_to_string(&kept[0]).unwrap();
    std::fs::write(&kept[0], words.replace("Northfield", "Southfield")).unwrap();
    let second = recognised("contract.pdf", SCAN, &tesseract).unwrap();
    assert_eq!(second.pages[0].text, first.pages[0].text.replace("Northfield", "Southfield"));
}

#[test]
fn a_language_without_data_is_named() {
    let error = Tesseract::find("eng+xyz").unwrap_err();
    assert!(matches!(&error, TesseractMissing::Language { language, .. } if language == "xyz"), "{error}");
}

#[test]
fn a_program_that_fails_is_told_with_each_page() {
    let broken = tesseract().started_by(["/bin/false".into()]);
    let error = recognised("contract.pdf", SCAN, &broken).unwrap_err();
    assert!(error.to_string().contains("page 1 is a picture and could not be recognised: tesseract failed"), "{error}");
}

#[test]
fn pictures_are_documents_of_a_page_or_several() {
    let tesseract = tesseract();
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/files"));
    for (name, pages) in [("letter.png", 1), ("letter.jpg", 1), ("letter.tif", 1), ("fax.tif", 2)] {
        let bytes = std::fs::read(folder.join(name)).unwrap();
        let document = recognised(name, &bytes, &tesseract).unwrap();
        assert_eq!(document.pages.len(), pages, "{name}");
        assert!(document.pages.iter().all(|page| page.recognised), "{name}");
        assert!(document.pages[0].text.contains("The deposit is 900 euros"), "{name}: {}", document.pages[0].text);
        assert!(!document.pages[0].words.is_empty());
    }
}
