//! The readers of mails, as sent and as Outlook keeps them: whatever the bytes, they return, and what a mail carries
//! has a plain name.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let name = if bytes.starts_with(&[0xd0, 0xcf, 0x11, 0xe0]) { "a.msg" } else { "a.eml" };
    premise_ingest::fuzzing::read(name, bytes);
});
