//! Retrieval measured: every question through the real search, each step's ranking against the right pages.

use std::{collections::HashMap, sync::Arc, time::Instant};

use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::{
    EvalArgs,
    metrics::{self, Ranked},
    report::{Table, bar},
    set::{EvalSet, Query},
};
use crate::{
    error::Result,
    library::{Library, Passage, SearchRequest, Stage, Steps, Trace},
};

/// A question with its figures.
#[derive(Serialize)]
pub(super) struct Measured {
    pub id: String,
    pub kind: String,
    /// By name, as docs/evaluation.md defines them; none for a question without right pages.
    pub figures: Vec<(String, f64)>,
    #[serde(skip)]
    pub line: serde_json::Value,
}

/// Runs every question. The second value tells what each step gave, and what plain searches would have.
pub(super) async fn measure(
    library: &Arc<Library>,
    set: &EvalSet,
    args: &EvalArgs,
    steps: Steps,
) -> Result<(Vec<Measured>, Breakdown)> {
    let mut measured = Vec::new();
    let mut breakdown = Breakdown::default();
    let mut places = Places::default();
    let bar = bar(set.queries.len(), args.json, "searching");
    for query in &set.queries {
        let request = request(query, args);
        let started = Instant::now();
        let (found, trace) = library.search_by(&request, steps).await?;
        let took_ms = started.elapsed().as_secs_f64() * 1000.0;
        let kind = query.kind();
        let mut figures = metrics::retrieval(query, &ranked(&found.passages));
        if !figures.is_empty() {
            breakdown.note(library, query, &kind, &figures, &trace, &mut places)?;
            if args.baselines {
                for (name, steps) in [("BM25", Steps::plain(false, true)), ("dense", Steps::plain(true, false))] {
                    let (plain, _) = library.search_by(&request, steps).await?;
                    breakdown.baseline(name, &kind, &metrics::retrieval(query, &ranked(&plain.passages)));
                }
            }
        }
        figures.push(("ms".to_owned(), took_ms));
        measured.push(Measured {
            id: query.id.clone(),
            kind,
            figures,
            line: json!({ "id": query.id, "latency_ms": took_ms, "retrieved": retrieved(&found.passages) }),
        });
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok((measured, breakdown))
}

/// A question as the system gets it.
pub(super) fn request(query: &Query, args: &EvalArgs) -> SearchRequest {
    SearchRequest {
        question: query.question.clone(),
        k: Some(args.k),
        documents: query.scope.clone().filter(|_| args.scoped),
        conversation: query.conversation.clone(),
        explain: true,
        ..SearchRequest::default()
    }
}

pub(super) fn retrieved(passages: &[Passage]) -> Vec<serde_json::Value> {
    let line = |passage: &Passage| {
        json!({
            "file": passage.file,
            "page_start": passage.page_start,
            "page_end": passage.page_end,
            "score": passage.score,
            "text": passage.text,
            "why": passage.why,
        })
    };
    passages.iter().map(line).collect()
}

fn ranked(passages: &[Passage]) -> Vec<Ranked<'_>> {
    let ranked = |passage: &'_ Passage| Ranked {
        file: passage.file.rsplit('/').next().unwrap_or(&passage.file).to_owned(),
        pages: passage.page_start..=passage.page_end,
        text: std::borrow::Cow::Owned(passage.text.clone()),
    };
    passages.iter().map(ranked).collect()
}

/// Where chunks stand, looked up once.
#[derive(Default)]
struct Places(HashMap<Uuid, (String, u32, u32)>);

impl Places {
    fn of(&mut self, library: &Library, ids: &[Uuid]) -> Result<Vec<Ranked<'static>>> {
        let unknown: Vec<_> = ids.iter().filter(|id| !self.0.contains_key(*id)).copied().collect();
        for (id, row) in library.db().chunks(&unknown)? {
            let file = row.file.rsplit('/').next().unwrap_or(&row.file).to_owned();
            self.0.insert(id, (file, row.page_start, row.page_end));
        }
        let place = |id: &Uuid| {
            let (file, first, last) = self.0.get(id)?;
            Some(Ranked { file: file.clone(), pages: *first..=*last, text: std::borrow::Cow::Borrowed("") })
        };
        Ok(ids.iter().filter_map(place).collect())
    }
}

/// Figures by step and by kind of question.
#[derive(Default)]
pub(super) struct Breakdown {
    /// Of questions with right pages: how many name documents, how often a right one is among them, and how many are
    /// named on average.
    named: Vec<(bool, usize)>,
    questions: usize,
    by_stage: Vec<(String, Vec<(String, f64)>)>,
    by_kind: Vec<(String, String, f64)>,
    embed_ms: Vec<f64>,
    search_ms: Vec<f64>,
}

impl Breakdown {
    fn note(
        &mut self,
        library: &Library,
        query: &Query,
        kind: &str,
        figures: &[(String, f64)],
        trace: &Trace,
        places: &mut Places,
    ) -> Result<()> {
        self.questions += 1;
        if !trace.named.is_empty() {
            let right = query.right_files();
            let mut is_right = false;
            for id in &trace.named {
                let Some(row) = library.db().document(*id)? else { continue };
                is_right |= right.contains(row.file.rsplit('/').next().unwrap_or(&row.file));
            }
            self.named.push((is_right, trace.named.len()));
        }
        self.embed_ms.push(trace.embed_ms);
        self.search_ms.push(trace.search_ms);
        for (stage, ids) in &trace.stages {
            let figures = metrics::retrieval(query, &places.of(library, ids)?);
            self.by_stage.push((name(*stage).to_owned(), figures));
        }
        self.by_stage.push(("passages".to_owned(), figures.to_vec()));
        self.kind("all steps", kind, figures);
        Ok(())
    }

    fn baseline(&mut self, name: &str, kind: &str, figures: &[(String, f64)]) {
        self.by_stage.push((format!("plain {name}"), figures.to_vec()));
        self.kind(&format!("plain {name}"), kind, figures);
    }

    fn kind(&mut self, system: &str, kind: &str, figures: &[(String, f64)]) {
        let ndcg = figures.iter().find(|(name, _)| name == "nDCG@10").map_or(0.0, |(_, value)| *value);
        self.by_kind.push((system.to_owned(), kind.to_owned(), ndcg));
    }

    /// How well documents that are named are recognised.
    pub(super) fn routing(&self) -> serde_json::Value {
        let named = self.named.len();
        let right = self.named.iter().filter(|(right, _)| *right).count();
        let share = |part: usize, all: usize| if all == 0 { 0.0 } else { part as f64 / all as f64 };
        json!({
            "questions": self.questions,
            "named": share(named, self.questions),
            "right_of_named": share(right, named),
            "documents_named_mean": share(self.named.iter().map(|(_, count)| count).sum(), named),
            "embed_ms_p50": metrics::percentile(&self.embed_ms, 0.5),
            "search_ms_p50": metrics::percentile(&self.search_ms, 0.5),
        })
    }

    /// R@10, MRR@10 and nDCG@10 after each step, and of plain searches.
    pub(super) fn stages(&self) -> Table {
        let mut table = Table::new("step", &["R@10", "R@20", "MRR@10", "nDCG@10"]);
        for (stage, figures) in &self.by_stage {
            for (name, value) in figures {
                table.add(stage, name, *value);
            }
        }
        table
    }

    /// nDCG@10 by kind of question, of the whole pipeline and of plain searches.
    pub(super) fn kinds(&self) -> Table {
        let mut table = Table::new("kind", &["all steps", "plain BM25", "plain dense"]);
        for (system, kind, value) in &self.by_kind {
            table.add(kind, system, *value);
        }
        table
    }
}

fn name(stage: Stage) -> &'static str {
    match stage {
        Stage::Meaning => "meaning",
        Stage::Words => "words",
        Stage::Fusion => "fusion",
        Stage::Rerank => "rerank",
    }
}
