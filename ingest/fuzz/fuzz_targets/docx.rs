//! The reader of Word files: whatever the bytes, it returns, with an error or with spans that lie in their pages.
//! Bytes that are no archive are taken as the text's XML: mutations would hardly ever keep an archive's sums right.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if bytes.starts_with(b"PK") {
        premise_ingest::fuzzing::read("a.docx", bytes);
    } else {
        premise_ingest::fuzzing::docx_of_xml(bytes);
    }
});
