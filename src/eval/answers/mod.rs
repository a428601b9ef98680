//! Answers measured: questions through the real pipeline to the end, scored as the sets' scorer does; or only as far as
//! the evidence, which shows whether the right sentence is quoted and what a refusal can be decided by.

mod evidence;
mod figures;
mod kept;
mod peer;
mod sample;
mod score;
mod words;

use std::{collections::HashMap, path::Path, sync::Arc, time::Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use self::{
    figures::{BY_KIND, by_kind, figures},
    kept::Kept,
    peer::Peer,
    score::{Given, Pages, Row, score},
};
use super::{
    EvalArgs, bad_set, metrics,
    report::bar,
    retrieval::{request, retrieved},
    set::{EvalSet, Query},
    write_lines,
};
use crate::{
    config::Settings,
    error::Result,
    library::{Answer, AskEvent, Library, SearchRequest},
};

pub(super) use self::evidence::measure as measure_evidence;

/// Answers a sample of the questions and prints what the answers are worth.
pub(super) async fn measure(
    library: &Arc<Library>,
    set: &EvalSet,
    args: &EvalArgs,
    settings: &Settings,
    runs: &Path,
) -> Result<()> {
    let asked: Vec<&Query> = sampled(set, args);
    let mut kept = Kept::open(runs, "answers", &identity(library, set, args, settings)?, args.fresh)?;
    let mut peer = args.peer.as_deref().map(|folder| Peer::start(folder, settings)).transpose()?;
    let bar = bar(asked.len(), args.json, "answering");
    for query in &asked {
        if kept.get(&query.id).is_none() {
            let mut line = ask(library, query, args).await?;
            if let Some(peer) = &mut peer {
                let request = SearchRequest { k: None, explain: false, ..request(query, args) };
                line["peer_first_token_ms"] = peer.first_token_ms(library, &request).await?.into();
            }
            kept.add(&query.id, line)?;
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let lines: Vec<Value> = asked.iter().filter_map(|query| kept.get(&query.id).cloned()).collect();
    if !args.json {
        println!("{} of {} questions, kept as {}", asked.len(), set.queries.len(), kept.path().display());
    }
    if let Some(path) = &args.run {
        write_lines(path, lines.iter())?;
    }
    print(&rows(set, &asked, &lines)?, &lines, args, set);
    Ok(())
}

/// Scores a run that was written earlier, by this program or another; a question without a line counts as failed.
pub(super) fn rescore(set: &EvalSet, args: &EvalArgs, run: &Path) -> Result<()> {
    let lines = read_lines(run)?;
    let asked: Vec<&Query> = sampled(set, args);
    print(&rows(set, &asked, &lines)?, &lines, args, set);
    Ok(())
}

/// Whether what answers are scored against can be read: told before the first question is asked, not after the last.
pub(super) fn check(set: &EvalSet) -> Result<()> {
    pages(&set.pages).map(drop)
}

fn sampled<'a>(set: &'a EvalSet, args: &EvalArgs) -> Vec<&'a Query> {
    let size = args.sample.unwrap_or(set.queries.len());
    sample::stratified(&set.queries, size, args.seed).into_iter().map(|at| &set.queries[at]).collect()
}

/// What answers depend on: those given under another identity are not taken over.
fn identity(library: &Library, set: &EvalSet, args: &EvalArgs, settings: &Settings) -> Result<Value> {
    let program = std::env::current_exe().and_then(|path| premise_ingest::hash_file(&path)).ok();
    let text = std::fs::read(set.docs.with_file_name("queries.jsonl")).map_err(|error| bad_set(&set.docs, error))?;
    Ok(json!({
        "set": set.name,
        "questions": premise_ingest::hash_bytes(&text),
        "scoped": args.scoped,
        "embedder": settings.models.embedder,
        "precision": settings.models.precision,
        "generator": settings.models.generator,
        "answer": format!("{:?}", settings.answer),
        "prompts, decisions, glossary": library.hashes(),
        "version": env!("CARGO_PKG_VERSION"),
        "program": program,
    }))
}

/// One question to its end, as a line that score.py reads.
async fn ask(library: &Arc<Library>, query: &Query, args: &EvalArgs) -> Result<Value> {
    let request = SearchRequest { k: None, explain: false, ..request(query, args) };
    let started = Instant::now();
    let mut first_quote_ms = None;
    let mut draft = String::new();
    let mut events = library.ask(request).await?;
    let mut answer: Option<Answer> = None;
    let mut error = None;
    while let Some(event) = events.recv().await {
        match event {
            AskEvent::Evidence(quotes) if !quotes.is_empty() => {
                first_quote_ms = Some(started.elapsed().as_millis() as u64);
            }
            AskEvent::Done(done) => answer = Some(*done),
            AskEvent::Failed(failed) => error = Some(failed.message),
            AskEvent::Piece(piece) => draft.push_str(&piece),
            AskEvent::Passages(..) | AskEvent::Evidence(_) | AskEvent::Queued(_) => {}
        }
    }
    let latency_ms = started.elapsed().as_millis() as u64;
    Ok(match answer {
        Some(answer) => json!({
            "id": query.id,
            "answer": answer.answer,
            "draft": draft,
            "abstained": answer.refused,
            "grade": answer.grade,
            "left_out": answer.left_out,
            "citations": answer.citations,
            "evidence": answer.evidence,
            "retrieved": retrieved(&answer.passages),
            "signals": answer.signals,
            "first_quote_ms": first_quote_ms,
            "first_token_ms": answer.timings.first_token_ms,
            "latency_ms": latency_ms,
            "tokens": answer.timings.tokens,
            "guessed_tokens": answer.timings.guessed_tokens,
        }),
        None => json!({ "id": query.id, "error": error.unwrap_or_else(|| "the answer broke off".to_owned()) }),
    })
}

fn rows(set: &EvalSet, asked: &[&Query], lines: &[Value]) -> Result<Vec<Row>> {
    let pages = pages(&set.pages)?;
    let given: HashMap<String, Given> =
        lines.iter().filter_map(|line| Given::deserialize(line).ok()).map(|given| (given.id.clone(), given)).collect();
    Ok(asked.iter().map(|query| score(query, given.get(&query.id), &pages)).collect())
}

/// The set's own text of each page.
fn pages(path: &Path) -> Result<Pages> {
    #[derive(Deserialize)]
    struct Page {
        file: String,
        #[serde(rename = "page")]
        number: u32,
        text: String,
    }
    let pages = read_lines(path)?.into_iter().filter_map(|line| Page::deserialize(line).ok());
    Ok(pages.map(|page| ((page.file, page.number), words::plain(&page.text))).collect())
}

fn read_lines(path: &Path) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(path).map_err(|error| bad_set(path, error))?;
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(at, line)| {
            serde_json::from_str(line).map_err(|error| bad_set(path, format_args!("line {}: {error}", at + 1)))
        })
        .collect()
}

fn print(rows: &[Row], lines: &[Value], args: &EvalArgs, set: &EvalSet) {
    let figures = figures(rows);
    let kinds = by_kind(rows);
    let times = ["first_quote_ms", "first_token_ms", "peer_first_token_ms", "latency_ms"].map(|name| {
        let values: Vec<f64> = lines.iter().filter_map(|line| line[name].as_f64()).collect();
        (name, values.len(), metrics::percentile(&values, 0.5), metrics::percentile(&values, 0.95))
    });
    if args.json {
        let times: Vec<Value> =
            times.iter().map(|(name, n, p50, p95)| json!({ "name": name, "n": n, "p50": p50, "p95": p95 })).collect();
        let figures: Vec<Value> =
            figures.iter().map(|(name, figure)| json!({ "name": name, "figure": figure })).collect();
        println!(
            "{}",
            json!({ "set": set.name, "scoped": args.scoped, "seed": args.seed, "questions": rows.len(),
                "figures": figures, "kinds": kinds, "times": times })
        );
        return;
    }
    for (name, figure) in &figures {
        println!("  {name:24} {:.4} [{:.4}, {:.4}]  n = {}", figure.mean, figure.low, figure.high, figure.n);
    }
    println!("  {:16} {:>5}{}", "kind", "n", BY_KIND.map(|name| format!("{name:>21}")).concat());
    for kind in &kinds {
        let cell = |name: &str| kind.figures.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        let cells =
            BY_KIND.map(|name| format!("{:>21}", cell(name).map_or("-".to_owned(), |value| format!("{value:.3}"))));
        println!("  {:16} {:>5}{}", kind.name, kind.n, cells.concat());
    }
    for (name, n, p50, p95) in times.into_iter().filter(|(_, n, ..)| *n > 0) {
        println!("  {name:20} {n:>5}  median {p50:.0}, 95th percentile {p95:.0}");
    }
}
