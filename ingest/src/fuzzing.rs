//! What the fuzz targets call, with what must hold of every result; compiled for fuzzing only.

use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::{Limits, pdf, read_with_attachments};

/// Small limits: a fuzzer looks for faults, not for large files.
fn limits() -> Limits {
    Limits { max_bytes: 1 << 20, max_pages: 100, max_page_bytes: 1 << 20, max_page_operations: 20_000 }
}

/// Reads a file; every span of what is read lies in its page's text, on the borders of characters, and what it carries
/// has a plain name.
pub fn read(file_name: &str, bytes: &[u8]) {
    let Ok(reading) = read_with_attachments(file_name, bytes, &limits()) else { return };
    for (number, page) in (1..).zip(&reading.document.pages) {
        assert_eq!(page.number, number);
        let words = page.words.iter().map(|word| word.start..word.end);
        let headings = page.headings.iter().map(|heading| heading.start..heading.end);
        for span in words.chain(headings) {
            assert!(page.text.get(span.start as usize..span.end as usize).is_some_and(|text| !text.is_empty()));
        }
    }
    for attachment in &reading.attachments {
        let name = &attachment.name;
        assert!(!name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0', '\n']), "{name:?}");
    }
}

/// Reads a Word file with this text and nothing else.
pub fn docx_of_xml(xml: &[u8]) {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let written = archive.start_file("word/document.xml", stored).is_ok() && archive.write_all(xml).is_ok();
    if let (true, Ok(bytes)) = (written, archive.finish()) {
        read("a.docx", &bytes.into_inner());
    }
}

/// Reads a `ToUnicode` table.
pub fn cmap(bytes: &[u8]) {
    pdf::fuzz_cmap(bytes);
}
