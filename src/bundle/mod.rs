//! Evidence bundles: an answer with its quotes, the text of their pages, and what made it, in one file that can be
//! checked on another machine without the data. Knows no ledger, and of the library the grades of answers alone.

mod archive;
mod page;
mod verify;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::{
    archive::{Unpacked, pack, unpack},
    verify::{Check, Outcome, ReadPages, Verdict, verify},
};
use crate::{embed::EmbedderIdentity, library::Grade};

/// What the first line of a record says; another number is another form.
pub const FORMAT: &str = "premise evidence 1";
/// The entry that says what the others are.
pub const MANIFEST: &str = "manifest.json";
/// The entry that programs read.
pub const RECORD: &str = "record.json";
/// The entry that people read.
pub const PAGE: &str = "answer.html";

/// An answer with all that it rests on.
#[derive(Debug, Clone, PartialEq)]
pub struct Bundle {
    /// What was asked, answered and quoted, by whom and when.
    pub record: Record,
    /// The text of each page that is quoted, by the name of its entry.
    pub pages: BTreeMap<String, String>,
}

/// What was asked, answered and quoted, by whom and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// [`FORMAT`].
    pub format: String,
    /// The answer's identity.
    pub id: Uuid,
    /// When it was asked.
    pub asked_at: DateTime<Utc>,
    /// When the bundle was made.
    pub exported_at: DateTime<Utc>,
    /// The question as it was asked.
    pub question: String,
    /// How a follow-up was understood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub understood: Option<String>,
    /// The answer with its marks.
    pub answer: String,
    /// Whether the files hold it.
    pub grade: Grade,
    /// Whether it was refused.
    pub refused: bool,
    /// Sentences of the model that nothing in the files supports: left out or marked.
    pub left_out: usize,
    /// For each mark of the answer, in order: what it stands for.
    pub citations: Vec<Quoted>,
    /// The sentences that bore most on the question.
    pub evidence: Vec<Quoted>,
    /// The files that are quoted.
    pub sources: Vec<Source>,
    /// What made the answer.
    pub made_by: MadeBy,
    /// Milliseconds from the question to the end.
    pub total_ms: u64,
}

/// A quote and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quoted {
    /// The number in its mark.
    pub n: usize,
    /// The file, one of the sources.
    pub file: String,
    /// SHA-256 of the file.
    pub sha256: String,
    /// The page, from 1.
    pub page: u32,
    /// The entry with the page's text.
    pub text: String,
    /// First byte in it.
    pub start: u32,
    /// Byte after the last.
    pub end: u32,
    /// What stands there.
    pub quote: String,
}

/// An original file, which is not in the bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Its name as lists show it.
    pub file: String,
    /// Its collection.
    pub collection: String,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// How many there are.
    pub size_bytes: u64,
    /// Its media type.
    pub media_type: String,
    /// How many pages it has.
    pub pages: u32,
    /// When it was read.
    pub read_at: DateTime<Utc>,
}

/// What made an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeBy {
    /// The program's version.
    pub premise: String,
    /// The revision of its reader: the same one reads the same text from the same file.
    pub reader: u32,
    /// The model that wrote the answer.
    pub model: String,
    /// SHA-256 of its file, where it was verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_sha256: Option<String>,
    /// The embedder that found the passages.
    pub embedder: EmbedderIdentity,
    /// The index that was searched.
    pub index: String,
}

/// The entry for a page of a file.
pub fn page_entry(sha256: &str, page: u32) -> String {
    format!("pages/{}-{page}.txt", sha256.get(..16).unwrap_or(sha256))
}
