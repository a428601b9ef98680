//! What the fuzz targets call, with what must hold of every result; compiled for fuzzing only.

use crate::{Limits, pdf};

/// Small limits: a fuzzer looks for faults, not for large files.
fn limits() -> Limits {
    Limits { max_bytes: 1 << 20, max_pages: 100, max_page_bytes: 1 << 20, max_page_operations: 20_000 }
}

/// Reads a file; every span of what is read lies in its page's text, on the borders of characters.
pub fn read(file_name: &str, bytes: &[u8]) {
    let Ok(document) = crate::read(file_name, bytes, &limits()) else { return };
    for (number, page) in (1..).zip(&document.pages) {
        assert_eq!(page.number, number);
        let words = page.words.iter().map(|word| word.start..word.end);
        let headings = page.headings.iter().map(|heading| heading.start..heading.end);
        for span in words.chain(headings) {
            assert!(page.text.get(span.start as usize..span.end as usize).is_some_and(|text| !text.is_empty()));
        }
    }
}

/// Reads a `ToUnicode` table.
pub fn cmap(bytes: &[u8]) {
    pdf::fuzz_cmap(bytes);
}
