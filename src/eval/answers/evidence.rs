//! Evidence measured without answers: whether the best quotes are what the set holds for the evidence, and the signals
//! of every question in a file that tools/fit-refusal.py reads.

use std::{path::Path, sync::Arc};

use serde_json::{Value, json};

use super::{
    identity,
    kept::Kept,
    sampled,
    words::{plain, shingles},
};
use crate::{
    config::Settings,
    error::Result,
    eval::{
        EvalArgs,
        report::{Table, bar},
        retrieval::request,
        set::{EvalSet, Query},
        write_lines,
    },
    library::{Excerpt, Library, Quote, SearchRequest},
};

/// Chooses evidence for a sample of the questions and prints how often it is the right one.
pub(in crate::eval) async fn measure(
    library: &Arc<Library>,
    set: &EvalSet,
    args: &EvalArgs,
    settings: &Settings,
    runs: &Path,
) -> Result<()> {
    let asked = sampled(set, args);
    let stage = if args.without_model { "evidence" } else { "signals" };
    let mut kept = Kept::open(runs, stage, &identity(set, args, settings)?, args.fresh)?;
    let negatives = asked.iter().filter(|query| args.negatives && query.answerable && !query.evidence.is_empty());
    let all: Vec<(&Query, bool)> =
        asked.iter().map(|query| (*query, false)).chain(negatives.map(|query| (*query, true))).collect();
    let bar = bar(all.len(), args.json, "choosing evidence");
    for (query, is_negative) in &all {
        let id = line_id(query, *is_negative);
        if kept.get(&id).is_none() {
            let request = SearchRequest { k: None, explain: false, ..request(query, args) };
            let hides = |file: &str, text: &str| *is_negative && is_evidence(query, file, text);
            let judged = library.judge(&request, !args.without_model, &hides).await?;
            let mut line = json!({
                "id": id,
                "answerable": query.answerable && !is_negative,
                "kind": query.kind(),
                "quotes": judged.quotes,
                "signals": judged.signals,
                "quotes_ms": judged.quotes_ms,
            });
            if !args.without_model {
                let heard = &judged.heard;
                line["states"] = json!({ "holds": heard.holds, "yes": heard.yes });
                let excerpt = |(at, shares): &(usize, Vec<f32>)| {
                    let Excerpt { file, page, text, score, .. } = &judged.excerpts[*at];
                    let is_gold = is_evidence(query, file, text);
                    json!({ "file": file, "page": page, "score": score, "in_gold": is_gold, "shares": shares })
                };
                line["heads"] = heard.heads.iter().map(|head| json!([head.layer, head.head])).collect();
                line["excerpts"] = heard.shares.iter().map(excerpt).collect();
            }
            kept.add(&id, line)?;
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let mut table = Table::new("kind", &["in gold @1", "in gold @3", "page @1", "page @3", "ms"]);
    for query in &asked {
        let Some(line) = kept.get(&query.id) else { continue };
        let quotes: Vec<Quote> = serde_json::from_value(line["quotes"].clone()).unwrap_or_default();
        for row in ["all".to_owned(), query.kind()] {
            table.add(&row, "ms", line["quotes_ms"].as_f64().unwrap_or_default());
            for (name, value) in found(query, &quotes) {
                table.add(&row, name, value);
            }
        }
    }
    let lines: Vec<&Value> =
        all.iter().filter_map(|(query, is_negative)| kept.get(&line_id(query, *is_negative))).collect();
    if let Some(path) = &args.run {
        write_lines(path, lines.into_iter())?;
    }
    if args.json {
        println!("{}", json!({ "set": set.name, "evidence": table.rows(), "kept": kept.path() }));
    } else {
        println!("{} questions, kept as {}", asked.len(), kept.path().display());
        table.print();
    }
    Ok(())
}

/// The name of a line; that of a question without its evidence is not the question's own.
fn line_id(query: &Query, is_negative: bool) -> String {
    if is_negative { format!("{}-negative", query.id) } else { query.id.clone() }
}

/// Whether a text of a file is part of the question's evidence or holds a part of it.
fn is_evidence(query: &Query, file: &str, text: &str) -> bool {
    let (words, pieces) = (plain(text), shingles(text, 1));
    query.evidence.iter().filter(|evidence| evidence.file == base_name(file)).any(|evidence| {
        let gold = evidence.text.as_deref().unwrap_or_default();
        !shingles(gold, 10).is_disjoint(&pieces) || (words.chars().count() >= 12 && plain(gold).contains(&words))
    })
}

fn base_name(file: &str) -> &str {
    file.rsplit('/').next().unwrap_or_default()
}

/// Whether one of the first quotes is part of the evidence or holds a part of it, and whether it stands on its page.
fn found(query: &Query, quotes: &[Quote]) -> Vec<(&'static str, f64)> {
    if !query.answerable || query.evidence.is_empty() {
        return Vec::new();
    }
    let gold = query.right_pages();
    let on_page = |quote: &Quote| gold.contains(&(base_name(&quote.file), quote.page));
    let in_gold = |quote: &Quote| is_evidence(query, &quote.file, &quote.quote);
    let first = |k: usize, is: &dyn Fn(&Quote) -> bool| f64::from(u8::from(quotes.iter().take(k).any(is)));
    vec![
        ("in gold @1", first(1, &in_gold)),
        ("in gold @3", first(3, &in_gold)),
        ("page @1", first(1, &on_page)),
        ("page @3", first(3, &on_page)),
    ]
}
