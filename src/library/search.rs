//! Search: a question becomes vectors, the vectors find chunks within a scope, and the ledger gives their text.

use std::{sync::Arc, time::Instant};

use premise_ingest::PageSpan;
use serde::{Deserialize, Serialize};

use super::{Library, rank};
use crate::{
    error::{Error, Kind, Result},
    sparse,
    store::{DocumentId, Filter, Hit, HybridQuery, Scope},
    worker::WorkerError,
};

/// A question to the passages.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SearchRequest {
    /// The question.
    pub question: String,
    /// How many passages at most, 1 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub k: Option<usize>,
    /// Only these collections, by name; all when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collections: Option<Vec<String>>,
    /// Only these files, by the name that lists show or by its last part; all when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documents: Option<Vec<String>>,
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
    /// First page, from 1.
    pub page_start: u32,
    /// Last page.
    pub page_end: u32,
    /// Its text.
    pub text: String,
    /// Nearness by meaning and by words, 0 to 1: comparable within one answer only.
    pub score: f32,
    /// Cosine of question and passage, when the dense search found it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub similarity: Option<f32>,
    /// Exact spans of the stored pages.
    #[serde(skip)]
    pub spans: Vec<PageSpan>,
}

/// What a search found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Found {
    /// Passages, best first.
    pub passages: Vec<Passage>,
    /// Time that it took.
    pub took_ms: u64,
}

/// Passages, and the question without the words that only name a document.
pub(super) struct Retrieved {
    pub passages: Vec<Passage>,
    pub asked: String,
    /// Whether the question names documents that are there.
    pub named: bool,
}

impl Retrieved {
    fn nothing(question: &str) -> Self {
        Self { passages: Vec::new(), asked: question.to_owned(), named: false }
    }
}

/// Longest question in characters. Beyond a page of text it is a document and not a question.
const MOST_QUESTION_CHARS: usize = 4_000;
/// Most passages that one search gives.
const MOST_PASSAGES: usize = 100;
/// Candidates of each kind of search before fusion.
const CANDIDATES: usize = 100;

impl Library {
    /// The passages that bear most on a question.
    pub async fn search(self: &Arc<Self>, request: &SearchRequest) -> Result<Found> {
        let started = Instant::now();
        let _waiting = self.priority.person();
        let passages = self.retrieve(request).await?.passages;
        Ok(Found { passages, took_ms: started.elapsed().as_millis() as u64 })
    }

    pub(super) async fn retrieve(self: &Arc<Self>, request: &SearchRequest) -> Result<Retrieved> {
        let question = checked_question(&request.question)?;
        let k = request.k.unwrap_or(self.answer.passages).clamp(1, MOST_PASSAGES);
        let narrowed = request.clone();
        let to_name = question.to_owned();
        let looked_up = self.blocking(move |library| {
            let Some((scope, filter)) = library.scope(&narrowed)? else { return Ok(None) };
            let named = library.named(&to_name, &scope, filter.documents.as_deref())?;
            Ok(Some((scope, filter, named)))
        });
        let Some((scope, filter, named)) = looked_up.await? else { return Ok(Retrieved::nothing(question)) };
        let wanted = CANDIDATES.max(k);
        let Some(named) = named else {
            let hits = self.hits(&scope, question, filter, wanted).await?;
            let passages = self.blocking(move |library| library.passages(&hits, k)).await?;
            return Ok(Retrieved { passages, asked: question.to_owned(), named: false });
        };
        let within = Filter::documents(named.documents.iter().copied());
        let mut hits = self.hits(&scope, &named.question, within, wanted).await?;
        if !named.is_sure || hits.len() < k {
            let mut others = self.hits(&scope, question, filter, wanted).await?;
            others.retain(|hit| !named.documents.contains(&hit.document));
            hits = if named.is_sure { [hits, others].concat() } else { rank::interleaved(&hits, others) };
        }
        let passages = self.blocking(move |library| library.passages(&hits, k)).await?;
        Ok(Retrieved { passages, asked: named.question, named: true })
    }

    /// Both kinds of search for a question, as one ranking.
    async fn hits(&self, scope: &Scope, question: &str, filter: Filter, wanted: usize) -> Result<Vec<Hit>> {
        let dense = {
            let question = question.to_owned();
            self.questions.run(move |embedder| embedder.embed_question(&question)).await??
        };
        let query = HybridQuery {
            dense: Some(dense),
            sparse: Some(sparse::embed_question(question)),
            filter,
            candidates: wanted,
            // All that either search found: the blend ranks them anew.
            limit: 2 * wanted,
        };
        Ok(rank::blended(self.store().hybrid(scope, query).await?))
    }

    /// Hits become passages; a point that the ledger does not know (it is being written or removed) is passed over.
    fn passages(&self, hits: &[Hit], k: usize) -> Result<Vec<Passage>> {
        let ids: Vec<_> = hits.iter().map(|hit| hit.id).collect();
        let mut chunks = self.db.chunks(&ids)?;
        Ok(hits
            .iter()
            .filter_map(|hit| chunks.remove(&hit.id).map(|chunk| (hit, chunk)))
            .take(k)
            .enumerate()
            .map(|(at, (hit, chunk))| Passage {
                n: at + 1,
                document: chunk.document,
                file: chunk.file,
                collection: chunk.collection,
                page_start: chunk.page_start,
                page_end: chunk.page_end,
                text: chunk.text,
                score: hit.score,
                similarity: hit.dense_score,
                spans: chunk.spans,
            })
            .collect())
    }

    /// Which collections and documents are meant; nothing when there is no collection yet.
    fn scope(&self, request: &SearchRequest) -> Result<Option<(Scope, Filter)>> {
        let collections: Vec<_> = match &request.collections {
            None => self.db.collections()?.iter().map(|collection| collection.id).collect(),
            Some(names) => names.iter().map(|name| self.collection(name)).collect::<Result<_>>()?,
        };
        let documents = match &request.documents {
            None => None,
            Some(names) => {
                let mut documents = Vec::new();
                for (name, ids) in self.db.documents_named(names)? {
                    if ids.is_empty() {
                        return Err(Error::new(
                            Kind::NotFound,
                            "unknown_document",
                            format!("there is no file named {name}"),
                            "Use a name as the list of files shows it",
                        ));
                    }
                    documents.extend(ids);
                }
                Some(documents)
            }
        };
        Ok(Scope::new(collections).map(|scope| (scope, Filter { documents })))
    }
}

/// The error for a collection that is not there.
pub(super) fn unknown_collection(name: &str, known: &[&str]) -> Error {
    let hint = if known.is_empty() {
        "There is no collection yet: add files first".to_owned()
    } else {
        format!("The collections are: {}", known.join(", "))
    };
    Error::new(Kind::NotFound, "unknown_collection", format!("there is no collection named {name}"), hint)
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
