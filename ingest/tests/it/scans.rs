use std::path::Path;

use premise_ingest::{Ocr, OcrMissing, ReadError, ReadOptions, read_with};

const SCAN: &[u8] = include_bytes!("../files/scan.pdf");

/// What of the scan's text can be checked word by word.
const SENTENCE: &str = "The monthly fee is 1,250 euros, payable within thirty days.";

fn with_ocr(cache: Option<&Path>) -> ReadOptions {
    let ocr = Ocr::find("eng", cache).expect("these tests need the packages tesseract-ocr and tesseract-ocr-eng");
    ReadOptions { ocr: Some(ocr), ..ReadOptions::default() }
}

#[test]
fn a_scan_is_recognised_where_it_stands_and_marked_as_such() {
    let document = read_with("contract.pdf", SCAN, &with_ocr(None)).unwrap().document;
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
    assert!(matches!(error, ReadError::NoText { pages: 1 }), "{error}");
}

#[test]
fn a_page_that_was_recognised_is_not_recognised_again() {
    let folder = tempfile::tempdir().unwrap();
    let options = with_ocr(Some(folder.path()));
    let first = read_with("contract.pdf", SCAN, &options).unwrap().document;
    let kept: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(kept.len(), 1);
    let words = std::fs::read_to_string(&kept[0]).unwrap();
    std::fs::write(&kept[0], words.replace("Northfield", "Southfield")).unwrap();
    let second = read_with("contract.pdf", SCAN, &options).unwrap().document;
    assert_eq!(second.pages[0].text, first.pages[0].text.replace("Northfield", "Southfield"));
}

#[test]
fn a_language_without_data_is_named() {
    let error = Ocr::find("eng+xyz", None).unwrap_err();
    assert!(matches!(&error, OcrMissing::Language(language) if language == "xyz"), "{error}");
}
