//! What a user of the crate sees, on files made in the tests themselves.

#![expect(clippy::unwrap_used, reason = "a test that fails here shows the error as it is")]

mod chunks;
mod files;
mod folders;
mod formats;
mod make;
mod pdfs;
mod scans;
