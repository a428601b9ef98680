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
    library::{Excerpt, Library, Quote, SearchRequest, Sifted},
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
    let mut kept = Kept::open(runs, stage, &identity(library, set, args, settings)?, args.fresh)?;
    let bar = bar(asked.len(), args.json, "choosing evidence");
    for query in &asked {
        if kept.get(&query.id).is_none() {
            let request = SearchRequest { k: None, explain: false, ..request(query, args) };
            let judged = library.judge(&request, !args.without_model).await?;
            let mut line = json!({
                "id": query.id,
                "answerable": query.answerable,
                "kind": query.kind(),
                "quotes": judged.quotes,
                "signals": judged.signals,
                "quotes_ms": judged.quotes_ms,
            });
            if !args.without_model {
                let sentence = |one: &Sifted| {
                    let Excerpt { file, page, text, score, .. } = &judged.excerpts[one.excerpt];
                    let is_gold = is_evidence(query, file, text);
                    json!({ "file": file, "page": page, "score": score, "in_gold": is_gold, "state": one.state })
                };
                line["sentences"] = judged.heard.sifted.iter().map(sentence).collect();
                line["states"] = json!({ "holds": judged.heard.holds, "yes": judged.heard.yes });
            }
            kept.add(&query.id, line)?;
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
    let lines: Vec<&Value> = asked.iter().filter_map(|query| kept.get(&query.id)).collect();
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
