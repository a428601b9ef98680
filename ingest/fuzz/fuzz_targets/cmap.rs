//! The parser of `ToUnicode` tables: whatever the bytes, it returns, and maps no code to nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| premise_ingest::fuzzing::cmap(bytes));
