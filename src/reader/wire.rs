//! What the two processes say to each other: frames of a length and that many bytes.

use std::io::{self, Read, Write};

use premise_ingest::{Limits, Picture, Reading};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::error::{Error, Kind};

/// The first frame to the child. It answers with its [`super::Confinement`].
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Setup {
    /// Most memory of the child.
    pub memory_bytes: u64,
    /// Longest reply.
    pub output_bytes: u64,
    pub limits: Limits,
}

/// A file to read; its bytes are the frame that follows.
#[derive(Serialize, Deserialize)]
pub(super) struct Request {
    pub file_name: String,
    /// Tried on a locked file.
    pub passwords: Vec<String>,
    /// Whether pictures may be sent back to be read.
    pub recognises: bool,
}

/// What the child says while it reads a file.
#[derive(Serialize, Deserialize)]
pub(super) enum Said {
    /// A picture to be read by the parent.
    Picture(Picture),
    /// There are no more. The parent answers with the words of each, a `Vec<Recognised>`.
    NoMorePictures,
    /// The file is read.
    Done(Result<Reading, Refusal>),
}

/// Why the child did not read a file.
#[derive(Serialize, Deserialize)]
pub(super) enum Refusal {
    /// The reader's own word for it.
    Error { kind: RefusedAs, code: String, message: String, hint: String },
    /// The reply would be too long.
    Output,
    /// The reader panicked.
    Panic,
}

#[derive(Serialize, Deserialize)]
pub(super) enum RefusedAs {
    Unsupported,
    TooLarge,
    Unreadable,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let kind = match error.kind {
            Kind::Unsupported => RefusedAs::Unsupported,
            Kind::TooLarge => RefusedAs::TooLarge,
            _ => RefusedAs::Unreadable,
        };
        Self::Error { kind, code: error.code.into_owned(), message: error.message, hint: error.hint }
    }
}

/// Writes one frame.
pub(super) fn send(output: &mut impl Write, payload: &[u8]) -> io::Result<()> {
    output.write_all(&(payload.len() as u64).to_le_bytes())?;
    output.write_all(payload)
}

/// Reads one frame of at most so many bytes.
pub(super) fn receive(input: &mut impl Read, max_bytes: u64) -> io::Result<Vec<u8>> {
    let mut length = [0; 8];
    input.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > max_bytes {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the frame is too long"));
    }
    // Reserved at once, or it might grow to twice of what is needed; memory that nothing comes for is never touched.
    let mut payload = Vec::new();
    payload.try_reserve_exact(length as usize).map_err(io::Error::other)?;
    input.take(length).read_to_end(&mut payload)?;
    if payload.len() as u64 == length { Ok(payload) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

pub(super) fn pack(value: &impl Serialize) -> io::Result<Vec<u8>> {
    postcard::to_stdvec(value).map_err(io::Error::other)
}

pub(super) fn unpack<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    postcard::from_bytes(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
