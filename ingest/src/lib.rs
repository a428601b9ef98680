//! A file's bytes in, a document with its pages and chunks out; also what changed in a folder.
//! A leaf: it knows no network, no runtime, no model and no store, so it builds and is tested in seconds.

mod archive;
mod attachments;
mod body;
mod caution;
mod chunk;
mod clean;
mod dates;
mod document;
mod docx;
mod flow;
mod folder;
#[cfg(fuzzing)]
pub mod fuzzing;
mod html;
mod lzfu;
mod mail;
mod ocr;
mod odt;
mod outlook;
mod pdf;
mod picture;
mod properties;
mod rtf;
mod section;
mod sheets;
mod slides;
mod table;
mod text;
mod tokens;
mod xml;

pub use caution::{Caution, CautionKind, orders};
pub use chunk::{Chunk, ChunkRules, PageSpan, chunk};
pub use dates::{DateFound, dated, dates};
pub use document::{
    Attachment, Document, Heading, Limits, MediaType, Page, Problem, ReadError, ReadOptions, Reading, Word, read,
    read_with, read_with_attachments,
};
pub use folder::{FoundFile, KnownFile, Plan, Scan, hash_bytes, hash_file, plan, scan};
pub use ocr::{Picture, Recognise, Recognised, SeenWord, Tesseract, TesseractMissing, drop_kept, trim_kept};
pub use tokens::{TokenCounter, TokenizerError};

/// The revision of this crate's reading and chunking: raised when the same bytes would give
/// other pages or chunks, so that stored documents are known to be out of date.
pub const REVISION: u32 = 4;
