//! Pictures: their text is only to be had by text recognition, which plugs in here.

use crate::{Document, MediaType, ReadError};

/// Refuses a picture with the reason; a file that is none says so.
pub(crate) fn read(bytes: &[u8]) -> Result<Document, ReadError> {
    const BEGINNINGS: [&[u8]; 4] = [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*"];
    if BEGINNINGS.iter().any(|beginning| bytes.starts_with(beginning)) {
        return Err(ReadError::Picture);
    }
    Err(ReadError::NotWhatItSays { named: MediaType::Picture.name() })
}
