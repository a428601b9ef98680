//! The pdf reader: whatever the bytes, it returns, with an error or with spans that lie in their pages.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| premise_ingest::fuzzing::read("a.pdf", bytes));
