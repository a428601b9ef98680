//! A file's bytes in, a document with its pages and chunks out; also what changed in a folder.
//! A leaf: it knows no network, no runtime, no model and no store, so it builds and is tested in seconds.

mod body;
mod chunk;
mod clean;
mod document;
mod docx;
mod folder;
mod ocr;
mod pdf;
mod text;
mod tokens;

pub use chunk::{Chunk, ChunkRules, PageSpan, chunk};
pub use document::{
    Document, Heading, Limits, MediaType, Page, Problem, ReadError, ReadOptions, Word, read, read_with,
};
pub use folder::{FoundFile, KnownFile, Plan, Scan, hash_bytes, hash_file, plan, scan};
pub use ocr::{Ocr, OcrMissing, Picture, SeenWord};
pub use tokens::{TokenCounter, TokenizerError};

/// The revision of this crate's reading and chunking: raised when the same bytes would give
/// other pages or chunks, so that stored documents are known to be out of date.
pub const REVISION: u32 = 2;
