//! Search: what people may ask for, and what they get. How it is found is `retrieve`'s.

use std::{sync::Arc, time::Instant};

use chrono::NaiveDate;
use premise_ingest::{Caution, PageSpan};
use serde::{Deserialize, Serialize};

use super::{
    Library, Turn,
    retrieve::{Steps, Trace},
};
use crate::{
    error::{Error, Kind, Result},
    store::DocumentId,
    worker::WorkerError,
};

/// A question to the passages.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SearchRequest {
    /// The question. Words in double quotes must stand like that in the first passages.
    pub question: String,
    /// How many passages at most, 1 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub k: Option<usize>,
    /// How many of the best passages to pass over, for the next page of results: 0 to 900.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<usize>,
    /// Only these collections, by name; all when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collections: Option<Vec<String>>,
    /// Only these files, by the name that lists show or by its last part; all when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documents: Option<Vec<String>>,
    /// Only files of these types, by extension: `pdf`, `docx`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub types: Option<Vec<String>>,
    /// Only files that have one of these labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<String>>,
    /// Only documents that bear this day or a later one, `2018-04-30`. Documents without a date are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dated_from: Option<NaiveDate>,
    /// Only documents that bear this day or an earlier one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dated_to: Option<NaiveDate>,
    /// What was asked before, the oldest first: a follow-up is understood with it. The service keeps no conversation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conversation: Vec<Turn>,
    /// Tell for each passage why it came.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub explain: bool,
    /// Only these documents, of those that the request leaves: for the program's own use.
    #[serde(skip)]
    pub within: Option<Vec<DocumentId>>,
}

/// A stretch of a document that bears on the question.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Passage {
    /// Its number, from 1, best first.
    pub n: usize,
    /// The document.
    pub document: DocumentId,
    /// Its file.
    pub file: String,
    /// Its collection.
    pub collection: String,
    /// The document's title, when it states one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The day that the document bears.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dated: Option<NaiveDate>,
    /// The headings that it stands under, the outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub section: Vec<String>,
    /// First page, from 1.
    pub page_start: u32,
    /// Last page.
    pub page_end: u32,
    /// Its text.
    pub text: String,
    /// How sure text recognition was of the words on its pages, from 0 to 1; absent when the text is the file's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recognised: Option<f32>,
    /// Nearness by meaning and by words, 0 to 1 and a little more for exact matches: comparable within one answer only.
    pub score: f32,
    /// Cosine of the question, with what its terms mean, and the passage; when the dense search found it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub similarity: Option<f32>,
    /// Other places with the same words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<AlsoIn>,
    /// Why it came; only when that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<Why>,
    /// What a person should know of its document: hidden text, orders to a language model. Those of its pages first,
    /// three at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cautions: Vec<Caution>,
    /// Exact spans of the stored pages.
    #[serde(skip)]
    pub spans: Vec<PageSpan>,
}

/// Another place with the words of a passage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlsoIn {
    /// The document.
    pub document: DocumentId,
    /// Its file.
    pub file: String,
    /// The page on which it begins.
    pub page: u32,
}

/// Why a passage came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Why {
    /// The question as it was searched for in this document, without the words that only name it.
    pub asked: String,
    /// Whether the question names the document.
    pub named: bool,
    /// Place by meaning, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meaning_rank: Option<u32>,
    /// Place by words, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words_rank: Option<u32>,
    /// BM25 score of its words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words_score: Option<f32>,
    /// Words of the question that it holds, without their endings.
    pub words: Vec<String>,
    /// Identifiers and quoted phrases of the question that it holds as they are.
    pub exact: Vec<String>,
    /// What the reranker gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reranker_score: Option<f32>,
    /// The chunks that it was put together from, by number within the document.
    pub chunks: Vec<u32>,
}

/// What a search found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Found {
    /// Passages, best first.
    pub passages: Vec<Passage>,
    /// How a follow-up was understood: what was asked of which documents; absent when the question stands alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub understood: Option<String>,
    /// The offset that gives the passages after these; absent when there are no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_offset: Option<usize>,
    /// Time that it took.
    pub took_ms: u64,
}

/// Longest question in characters. Beyond a page of text it is a document and not a question.
const MOST_QUESTION_CHARS: usize = 4_000;

impl Library {
    /// The passages that bear most on a question.
    pub async fn search(self: &Arc<Self>, request: &SearchRequest) -> Result<Found> {
        Ok(self.search_by(request, Steps::all()).await?.0)
    }

    /// The same with some of the steps left out, and with what each step gave: to measure what they are worth.
    pub async fn search_by(self: &Arc<Self>, request: &SearchRequest, steps: Steps) -> Result<(Found, Trace)> {
        let started = Instant::now();
        let _waiting = self.priority.person();
        let retrieved = self.retrieve(request, steps).await?;
        let found = Found {
            passages: retrieved.passages,
            understood: retrieved.understood,
            next_offset: retrieved.next_offset,
            took_ms: started.elapsed().as_millis() as u64,
        };
        Ok((found, retrieved.trace))
    }
}

pub(super) fn checked_question(question: &str) -> Result<&str> {
    let question = question.trim();
    if question.is_empty() {
        return Err(Error::new(Kind::BadInput, "empty_question", "the question is empty", "Type a question"));
    }
    let length = question.chars().count();
    if length > MOST_QUESTION_CHARS {
        return Err(Error::new(
            Kind::TooLarge,
            "question_too_long",
            format!("the question has {length} characters, and {MOST_QUESTION_CHARS} is the most"),
            "Ask in a few sentences; add a long text as a file and ask about it",
        ));
    }
    Ok(question)
}

/// The error for a person who comes when the queue is full.
pub(super) fn too_many() -> Error {
    Error::new(Kind::Busy, "busy", "too many questions are waiting", "Try again in a few seconds")
}

impl From<WorkerError> for Error {
    fn from(error: WorkerError) -> Self {
        match error {
            WorkerError::Full(_) => too_many(),
            other => Self::internal(&other),
        }
    }
}
