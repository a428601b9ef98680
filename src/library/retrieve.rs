//! From a question to passages: where to look, which documents it names, two searches, one ranking, whole passages.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use uuid::Uuid;

use super::{
    Library, Passage, SearchRequest,
    lexical::{Asked, Matches},
    naming::Named,
    passages::{Assembled, Window},
    rank,
    search::checked_question,
};
use crate::{
    db::ChunkRow,
    error::{Error, Kind, Result},
    sparse,
    store::{DocumentId, Filter, Hit, HybridQuery, Scope},
};

/// Which steps of retrieval run. All do, except when their worth is measured (`premise eval --without`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is one step that runs or does not")]
pub struct Steps {
    /// Find the documents that the question names, and search them for the rest of it.
    pub naming: bool,
    /// Search by meaning.
    pub meaning: bool,
    /// Search by words.
    pub words: bool,
    /// Lift passages that hold an identifier, a date or a quoted phrase of the question.
    pub exact: bool,
    /// Rank the best passages anew with the reranker of the settings.
    pub rerank: bool,
    /// Show the same words in several files once.
    pub collapse: bool,
    /// Put neighbouring chunks together.
    pub merge: bool,
}

impl Steps {
    /// The names of the steps, as `--without` takes them.
    pub const NAMES: [&'static str; 7] = ["naming", "meaning", "words", "exact", "rerank", "collapse", "merge"];

    /// Every step.
    pub const fn all() -> Self {
        Self { naming: true, meaning: true, words: true, exact: true, rerank: true, collapse: true, merge: true }
    }

    /// One search over everything and nothing else: the plain baseline.
    pub const fn plain(meaning: bool, words: bool) -> Self {
        Self { naming: false, meaning, words, exact: false, rerank: false, collapse: false, merge: false }
    }

    /// The same without the step of that name.
    pub fn without(mut self, name: &str) -> Result<Self> {
        let step = match name {
            "naming" => &mut self.naming,
            "meaning" => &mut self.meaning,
            "words" => &mut self.words,
            "exact" => &mut self.exact,
            "rerank" => &mut self.rerank,
            "collapse" => &mut self.collapse,
            "merge" => &mut self.merge,
            _ => {
                return Err(Error::new(
                    Kind::BadInput,
                    "unknown_step",
                    format!("retrieval has no step {name}"),
                    format!("The steps are: {}", Self::NAMES.join(", ")),
                ));
            }
        };
        *step = false;
        Ok(self)
    }
}

/// What each step gave.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    /// The documents that the question names.
    pub named: Vec<DocumentId>,
    /// Chunks in the order that each step put them in.
    pub stages: Vec<(Stage, Vec<Uuid>)>,
    /// How long the question's way to vectors took, in milliseconds.
    pub embed_ms: f64,
    /// How long the searches of the index took.
    pub search_ms: f64,
    /// How long the reranker took, waiting for it included.
    pub rerank_time: Duration,
}

/// A step whose order of chunks is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The search by meaning.
    Meaning,
    /// The search by words.
    Words,
    /// Both as one ranking.
    Fusion,
    /// After the reranker.
    Rerank,
}

/// Passages, and the question without the words that only name a document.
pub(super) struct Retrieved {
    pub passages: Vec<Passage>,
    pub next_offset: Option<usize>,
    pub asked: String,
    /// Whether the question names documents that are there.
    pub named: bool,
    pub trace: Trace,
}

/// A chunk that was found, with its text.
pub(super) struct Candidate {
    pub hit: Hit,
    pub row: ChunkRow,
    pub matches: Matches,
    /// The question as it was searched for.
    pub asked: Arc<Asked>,
    /// Whether the question names its document.
    pub named: bool,
    pub reranker_score: Option<f32>,
}

/// Most passages that one search gives.
const MOST_PASSAGES: usize = 100;
/// Nobody looks further down; a narrower question finds more.
const MOST_OFFSET: usize = 900;
/// Candidates of each kind of search before fusion.
const CANDIDATES: usize = 100;
/// Chunks whose text is read, for each passage that is wanted and at least: what exact matches, duplicates and
/// neighbours are looked for among.
const READ_PER_PASSAGE: usize = 3;
const READ_AT_LEAST: usize = 40;

/// A search within some documents.
struct Search {
    question: String,
    filter: Filter,
    named: bool,
}

impl Library {
    pub(super) async fn retrieve(self: &Arc<Self>, request: &SearchRequest, steps: Steps) -> Result<Retrieved> {
        let question = checked_question(&request.question)?;
        let k = request.k.unwrap_or(self.answer.passages).clamp(1, MOST_PASSAGES);
        let offset = request.offset.unwrap_or(0).min(MOST_OFFSET);
        let (narrowed, to_name) = (request.clone(), question.to_owned());
        let looked_up = self.blocking(move |library| {
            let Some((scope, filter)) = library.scope(&narrowed)? else { return Ok(None) };
            let named = if steps.naming { library.named(&to_name, &scope, filter.documents.as_deref())? } else { None };
            Ok(Some((scope, filter, named)))
        });
        let mut trace = Trace::default();
        let Some((scope, filter, named)) = looked_up.await? else {
            let asked = question.to_owned();
            return Ok(Retrieved { passages: Vec::new(), next_offset: None, asked, named: false, trace });
        };
        let wanted = offset + k;
        let mut leading = Vec::new();
        let mut others = Vec::new();
        if let Some(Named { documents, question: rest, .. }) = &named {
            trace.named.clone_from(documents);
            let within = Filter::documents(documents.iter().copied());
            let search = Search { question: rest.clone(), filter: within, named: true };
            leading = self.candidates(&scope, search, steps, wanted, &mut trace).await?;
        }
        let is_sure = named.as_ref().is_some_and(|named| named.is_sure);
        if !is_sure || leading.len() < wanted {
            let search = Search { question: question.to_owned(), filter, named: false };
            others = self.candidates(&scope, search, steps, wanted, &mut trace).await?;
            others.retain(|candidate| !trace.named.contains(&candidate.hit.document));
        }
        let candidates = if is_sure {
            leading.extend(others);
            leading
        } else {
            rank::interleaved(leading, others)
        };
        trace.note(Stage::Rerank, candidates.iter().map(|candidate| candidate.hit.id));
        let window = Window { offset, k, explain: request.explain };
        let Assembled { passages, more } =
            self.blocking(move |library| library.to_passages(candidates, steps, window)).await?;
        let asked = named.as_ref().map_or_else(|| question.to_owned(), |named| named.question.clone());
        let next_offset = (more && wanted <= MOST_OFFSET).then_some(wanted);
        Ok(Retrieved { passages, next_offset, asked, named: named.is_some(), trace })
    }
}

impl Library {
    /// The best chunks of one search, with their texts.
    async fn candidates(
        self: &Arc<Self>,
        scope: &Scope,
        search: Search,
        steps: Steps,
        wanted: usize,
        trace: &mut Trace,
    ) -> Result<Vec<Candidate>> {
        let hits = self.hits(scope, &search, steps, wanted, trace).await?;
        let read = hits.len().min(READ_AT_LEAST.max(wanted * READ_PER_PASSAGE));
        let asked = Arc::new(Asked::of(&search.question));
        let mut candidates = self
            .blocking(move |library| {
                let ids: Vec<_> = hits[..read].iter().map(|hit| hit.id).collect();
                let mut rows = library.db.chunks(&ids)?;
                // A point that the ledger does not know is being written or removed.
                let known = hits.into_iter().filter_map(|hit| rows.remove(&hit.id).map(|row| (hit, row)));
                Ok(known
                    .map(|(hit, row)| Candidate {
                        matches: asked.matches(&row.text),
                        hit,
                        row,
                        asked: asked.clone(),
                        named: search.named,
                        reranker_score: None,
                    })
                    .collect::<Vec<_>>())
            })
            .await?;
        if steps.exact {
            rank::lift_exact(&mut candidates);
        }
        trace.note(Stage::Fusion, candidates.iter().map(|candidate| candidate.hit.id));
        if steps.rerank {
            candidates = self.rerank(&search.question, candidates, &mut trace.rerank_time).await?;
        }
        Ok(candidates)
    }

    /// Both kinds of search for a question, as one ranking.
    async fn hits(
        &self,
        scope: &Scope,
        search: &Search,
        steps: Steps,
        wanted: usize,
        trace: &mut Trace,
    ) -> Result<Vec<Hit>> {
        let started = Instant::now();
        let dense = if steps.meaning {
            let question = search.question.clone();
            Some(self.questions.run(move |embedder| embedder.embed_question(&question)).await??)
        } else {
            None
        };
        trace.embed_ms += started.elapsed().as_secs_f64() * 1000.0;
        let started = Instant::now();
        let candidates = CANDIDATES.max(wanted);
        let query = HybridQuery {
            dense,
            sparse: steps.words.then(|| sparse::embed_question(&search.question)),
            filter: search.filter.clone(),
            candidates,
            // All that either search found: the blend ranks them anew.
            limit: 2 * candidates,
        };
        let hits = self.store().hybrid(scope, query).await?;
        trace.search_ms += started.elapsed().as_secs_f64() * 1000.0;
        trace.note(Stage::Meaning, in_order(&hits, |hit| hit.dense_rank));
        trace.note(Stage::Words, in_order(&hits, |hit| hit.sparse_rank));
        Ok(rank::blended(hits))
    }
}

impl Trace {
    /// Adds the chunks of one search to what a step gave; a second search of the same question comes after the first.
    fn note(&mut self, stage: Stage, ids: impl IntoIterator<Item = Uuid>) {
        match self.stages.iter_mut().find(|(noted, _)| *noted == stage) {
            Some((_, known)) => {
                for id in ids {
                    if !known.contains(&id) {
                        known.push(id);
                    }
                }
            }
            None => self.stages.push((stage, ids.into_iter().collect())),
        }
    }
}

fn in_order(hits: &[Hit], rank: impl Fn(&Hit) -> Option<u32>) -> Vec<Uuid> {
    let mut ranked: Vec<_> = hits.iter().filter_map(|hit| Some((rank(hit)?, hit.id))).collect();
    ranked.sort_unstable();
    ranked.into_iter().map(|(_, id)| id).collect()
}
