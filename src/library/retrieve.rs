//! From a question to passages: where to look, which documents it names, two searches, one ranking, whole passages.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use uuid::Uuid;

use super::{
    Library, Passage, SearchRequest,
    followup::{self, Understood},
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
    /// Search for what the question's terms mean, too.
    pub glossary: bool,
    /// Search by meaning.
    pub meaning: bool,
    /// Search by words.
    pub words: bool,
    /// Lift passages that hold an identifier, a date or a quoted phrase of the question.
    pub exact: bool,
    /// Rank the best passages anew with the reranker of the settings.
    pub rerank: bool,
    /// Leave off pages of a chunk that hold nothing of what is asked.
    pub overleaf: bool,
    /// Show the same words in several files once.
    pub collapse: bool,
    /// Put neighbouring chunks together.
    pub merge: bool,
}

impl Steps {
    /// The names of the steps, as `--without` takes them.
    pub const NAMES: [&'static str; 9] =
        ["naming", "glossary", "meaning", "words", "exact", "rerank", "overleaf", "collapse", "merge"];

    /// Every step.
    pub const fn all() -> Self {
        Self {
            naming: true,
            glossary: true,
            meaning: true,
            words: true,
            exact: true,
            rerank: true,
            overleaf: true,
            collapse: true,
            merge: true,
        }
    }

    /// One search over everything and nothing else: the plain baseline.
    pub const fn plain(meaning: bool, words: bool) -> Self {
        Self {
            naming: false,
            glossary: false,
            meaning,
            words,
            exact: false,
            rerank: false,
            overleaf: false,
            collapse: false,
            merge: false,
        }
    }

    /// The same without the step of that name.
    pub fn without(mut self, name: &str) -> Result<Self> {
        let step = match name {
            "naming" => &mut self.naming,
            "glossary" => &mut self.glossary,
            "meaning" => &mut self.meaning,
            "words" => &mut self.words,
            "exact" => &mut self.exact,
            "rerank" => &mut self.rerank,
            "overleaf" => &mut self.overleaf,
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
    /// How long it took to see what the question names, in milliseconds.
    pub name_ms: f64,
    /// How long the question's way to vectors took.
    pub embed_ms: f64,
    /// How long the searches of the index took beyond that.
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
    /// That, and what its terms mean.
    pub explained: String,
    /// How a follow-up was understood, for people.
    pub understood: Option<String>,
    /// Whether the question names documents that are there.
    pub named: bool,
    /// Whether no others can be meant.
    pub is_sure: bool,
    /// Where it was searched for; nothing where there is nothing to search.
    pub searched: Option<(Scope, Filter)>,
    pub trace: Trace,
}

impl Retrieved {
    /// The question as it is put to the model, which sees no conversation: a follow-up as it was understood.
    pub(super) fn to_answer(&self, question: &str) -> String {
        if self.understood.is_some() { self.asked.clone() } else { question.trim().to_owned() }
    }

    fn nothing(question: &str) -> Self {
        Self {
            passages: Vec::new(),
            next_offset: None,
            asked: question.to_owned(),
            explained: question.to_owned(),
            understood: None,
            named: false,
            is_sure: false,
            searched: None,
            trace: Trace::default(),
        }
    }

    /// The passages that are read for an answer: those of the documents that the question names, when no others can be
    /// meant. Others are found as well where these have few.
    pub(super) fn to_read(&self) -> Vec<Passage> {
        let named = |passage: &&Passage| self.trace.named.contains(&passage.document);
        let all = !self.is_sure || !self.passages.iter().any(|passage| named(&passage));
        self.passages.iter().filter(|passage| all || named(passage)).cloned().collect()
    }
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
    /// That, and what its terms mean.
    explained: String,
    filter: Filter,
    named: bool,
    explain: bool,
}

impl Library {
    pub(super) async fn retrieve(self: &Arc<Self>, request: &SearchRequest, steps: Steps) -> Result<Retrieved> {
        let question = checked_question(&request.question)?;
        let k = request.k.unwrap_or(self.answer.passages).clamp(1, MOST_PASSAGES);
        let offset = request.offset.unwrap_or(0).min(MOST_OFFSET);
        let started = Instant::now();
        let (narrowed, to_name) = (request.clone(), question.to_owned());
        let looked_up = self.blocking(move |library| {
            let Some((scope, filter)) = library.scope(&narrowed)? else { return Ok(None) };
            let name = |text: &str| {
                if steps.naming { library.named(text, &scope, filter.documents.as_deref()) } else { Ok(None) }
            };
            let understood = followup::understand(&to_name, &narrowed.conversation, name, |documents, words| {
                library.hold(documents, words)
            })?;
            let about = library.files_of(&understood)?;
            Ok(Some((scope, filter, understood, about)))
        });
        let Some((scope, filter, understood, about)) = looked_up.await? else {
            return Ok(Retrieved::nothing(question));
        };
        let Understood { question: asked, named, carried } = understood;
        // What is searched for over everything: the question as it stands, or with what it leaves out.
        let whole = if carried { &asked } else { question };
        let mut trace = Trace { name_ms: millis(started), ..Trace::default() };
        let wanted = offset + k;
        // Not of words that only name a document.
        let meaning = if steps.glossary { self.glossary.meaning(&asked) } else { None };
        let with_meaning = |question: &str| match &meaning {
            Some(meaning) => format!("{question} {meaning}"),
            None => question.to_owned(),
        };
        let search = |question: &str, filter: Filter, named: bool| Search {
            question: question.to_owned(),
            explained: with_meaning(question),
            filter,
            named,
            explain: request.explain,
        };
        let over_all = || search(whole, filter.clone(), false);
        let is_sure = named.as_ref().is_some_and(|named| named.is_sure);
        let mut leading = Vec::new();
        let mut others = Vec::new();
        if let Some(Named { documents, .. }) = &named {
            trace.named.clone_from(documents);
            let within = Filter::documents(documents.iter().copied());
            let search = search(&asked, within, true);
            if is_sure {
                leading = self.candidates(&scope, search, steps, wanted, &mut trace).await?;
            } else {
                // Both are needed: one is embedded while the other searches.
                let mut second = Trace::default();
                let both = tokio::join!(
                    self.candidates(&scope, search, steps, wanted, &mut trace),
                    self.candidates(&scope, over_all(), steps, wanted, &mut second)
                );
                (leading, others) = (both.0?, both.1?);
                trace.append(second);
            }
        }
        if named.is_none() || (is_sure && leading.len() < wanted) {
            others = self.candidates(&scope, over_all(), steps, wanted, &mut trace).await?;
        }
        others.retain(|candidate| !trace.named.contains(&candidate.hit.document));
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
        let searched = Some((scope, filter));
        let understood = carried.then(|| about.map_or_else(|| asked.clone(), |files| format!("{asked} ({files})")));
        let next_offset = (more && wanted <= MOST_OFFSET).then_some(wanted);
        let explained = with_meaning(&asked);
        let named = named.is_some();
        Ok(Retrieved { passages, next_offset, asked, explained, understood, named, is_sure, searched, trace })
    }
}

impl Library {
    /// Whether all of some terms stand in some documents.
    fn hold(&self, documents: &[DocumentId], terms: &[String]) -> Result<bool> {
        let mut missing: HashSet<&String> = terms.iter().collect();
        for document in documents {
            for chunk in self.db.chunks_of(*document)? {
                for term in sparse::terms(&chunk.text) {
                    missing.remove(&term);
                }
                if missing.is_empty() {
                    return Ok(true);
                }
            }
        }
        Ok(missing.is_empty())
    }

    /// The files of the documents that a follow-up carries on with, for people; nothing when there are many.
    fn files_of(&self, understood: &Understood) -> Result<Option<String>> {
        const MOST_FILES: usize = 3;
        let documents = match &understood.named {
            Some(named) if understood.carried && named.documents.len() <= MOST_FILES => &named.documents,
            _ => return Ok(None),
        };
        let rows = documents.iter().map(|id| self.db.document(*id)).collect::<std::result::Result<Vec<_>, _>>()?;
        let files: Vec<_> = rows.into_iter().flatten().map(|row| row.file).collect();
        Ok(Some(format!("in {}", files.join(", "))))
    }

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
        let asked = Arc::new(Asked::of(&search.question).explained(&search.explained));
        let wants_matches = search.explain || (steps.exact && asked.wants_exact());
        let mut candidates = self
            .blocking(move |library| {
                let ids: Vec<_> = hits[..read].iter().map(|hit| hit.id).collect();
                let mut rows = library.db.chunks(&ids)?;
                // A point that the ledger does not know is being written or removed.
                let known = hits.into_iter().filter_map(|hit| rows.remove(&hit.id).map(|row| (hit, row)));
                Ok(known
                    .map(|(hit, row)| Candidate {
                        // Forty texts cut to stems take some 4 ms, so only where they are looked at.
                        matches: if wants_matches { asked.matches(&row.text) } else { Matches::default() },
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
        let candidates = CANDIDATES.max(wanted);
        let query =
            |dense, sparse| HybridQuery { dense, sparse, filter: search.filter.clone(), candidates, limit: candidates };
        let started = Instant::now();
        // Words are searched for while the question is embedded.
        let by_words = async {
            if !steps.words {
                return Ok(Vec::new());
            }
            Ok::<_, Error>(
                self.store().hybrid(scope, query(None, Some(sparse::embed_question(&search.explained)))).await?,
            )
        };
        let by_meaning = async {
            if !steps.meaning {
                return Ok((Vec::new(), 0.0));
            }
            let question = search.explained.clone();
            let dense = self.questions.run(move |embedder| embedder.embed_question(&question)).await??;
            let embed_ms = millis(started);
            Ok((self.store().hybrid(scope, query(Some(dense), None)).await?, embed_ms))
        };
        let ((by_meaning, embed_ms), by_words) = tokio::try_join!(by_meaning, by_words)?;
        trace.embed_ms += embed_ms;
        trace.search_ms += millis(started) - embed_ms;
        let hits = rank::joined(by_meaning, by_words);
        trace.note(Stage::Meaning, in_order(&hits, |hit| hit.dense_rank));
        trace.note(Stage::Words, in_order(&hits, |hit| hit.sparse_rank));
        Ok(rank::blended(hits))
    }
}

impl Trace {
    /// Adds a second search of the same question, which ran beside the first.
    fn append(&mut self, other: Self) {
        for (stage, ids) in other.stages {
            self.note(stage, ids);
        }
        self.embed_ms = self.embed_ms.max(other.embed_ms);
        self.search_ms = self.search_ms.max(other.search_ms);
        self.rerank_time += other.rerank_time;
    }

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

fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}

fn in_order(hits: &[Hit], rank: impl Fn(&Hit) -> Option<u32>) -> Vec<Uuid> {
    let mut ranked: Vec<_> = hits.iter().filter_map(|hit| Some((rank(hit)?, hit.id))).collect();
    ranked.sort_unstable();
    ranked.into_iter().map(|(_, id)| id).collect()
}
