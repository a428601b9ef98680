//! Results as people read them, or as JSON.

use std::path::Path;

use serde::Serialize;

use super::desk::{AskedEach, Listed};
use crate::{
    bundle::{Outcome, Verdict},
    db::Failure,
    error::Error,
    library::{
        Added, Answer, Cautioned, EmbedderChoice, Export, Found, Grade, Judgement, PartlyRead, Passage, Quote, Status,
        SyncReport, Version, Why,
    },
};

pub(super) fn error(error: &Error, json: bool) {
    if json {
        print_json(&serde_json::json!({ "error": error }));
    } else {
        let message = error.message.trim_end();
        let stop = if message.ends_with(['.', '\n', '`']) || message.contains('\n') { "" } else { "." };
        eprintln!("premise: {message}{stop}\n  {}.", error.hint.trim_end_matches('.'));
    }
}

pub(super) fn added(added: &Added, json: bool) {
    if json {
        return print_json(added);
    }
    println!(
        "{} read: {}, {} in {}.",
        count(added.added.len(), "file"),
        count(added.pages as usize, "page"),
        count(added.chunks as usize, "chunk"),
        seconds(added.seconds)
    );
    failures(&added.failed);
    cautioned(&added.cautioned);
    read_in_part(&added.partly);
    unsupported(&added.unsupported);
    if added.interrupted {
        println!("Stopped before the end: the same command goes on where it stopped.");
    }
}

pub(super) fn sync_report(report: &SyncReport, json: bool) {
    if json {
        return print_json(report);
    }
    println!(
        "{} ({}): {} added, {} changed, {} moved, {} deleted, {} unchanged, {} failed.",
        report.folder.display(),
        report.collection,
        report.added.len(),
        report.changed.len(),
        report.moved.len(),
        report.deleted.len(),
        report.unchanged,
        report.failed.len()
    );
    if report.chunks > 0 {
        println!(
            "{}, {} in {}: {:.1} pages and {:.1} chunks a second; the embedder was busy {:.0} % of the time.",
            count(report.pages as usize, "page"),
            count(report.chunks as usize, "chunk"),
            seconds(report.seconds),
            report.pages as f64 / report.seconds,
            report.chunks as f64 / report.seconds,
            report.embedder_busy * 100.0
        );
    }
    failures(&report.failed);
    cautioned(&report.cautioned);
    read_in_part(&report.partly);
    unsupported(&report.unsupported);
    if report.interrupted {
        println!("Stopped before the end: the same command goes on where it stopped.");
    }
}

pub(super) fn found(found: &Found, json: bool) {
    if json {
        return print_json(found);
    }
    if found.passages.is_empty() {
        println!("Nothing found.");
    }
    for passage in &found.passages {
        println!("[{}] {}{}", passage.n, place(passage), recognised(passage.recognised));
        if !passage.section.is_empty() {
            println!("    {}", passage.section.join(" › "));
        }
        println!("{}", indented(&passage.text));
        for caution in &passage.cautions {
            println!("    Take care: {}.", caution.message);
        }
        for also in &passage.also {
            println!("    The same words, or nearly, in {}, page {}", also.file, also.page);
        }
        if let Some(why) = &passage.why {
            println!("    Why: {}", reasons(why));
        }
        println!();
    }
    println!("{} in {} ms.", count(found.passages.len(), "passage"), found.took_ms);
    if let Some(next) = found.next_offset {
        println!("More with --offset {next}.");
    }
}

fn reasons(why: &Why) -> String {
    let mut reasons = Vec::new();
    if why.named {
        reasons.push(format!("the question names the file; asked of it: \"{}\"", why.asked));
    }
    if !why.exact.is_empty() {
        reasons.push(format!("it holds {} as asked", why.exact.join(", ")));
    }
    if !why.words.is_empty() {
        reasons.push(format!("words: {}", why.words.join(", ")));
    }
    let place = |by: &str, rank: Option<u32>| rank.map(|rank| format!("number {rank} by {by}"));
    reasons.extend([place("meaning", why.meaning_rank), place("words", why.words_rank)].into_iter().flatten());
    if let Some(score) = why.reranker_score {
        reasons.push(format!("the reranker gave {score:.3}"));
    }
    reasons.join("; ")
}

pub(super) fn answer(answer: &Answer, json: bool) {
    if json {
        return print_json(answer);
    }
    let (text, sources) = numbered(&answer.answer, &answer.citations);
    println!("{text}\n");
    if answer.grade == Grade::Partly {
        println!("The files may not say all that was asked.\n");
    }
    if !answer.unknown.is_empty() {
        println!("No file that was searched has the name {}.\n", answer.unknown.join(" or "));
    }
    let shown = if answer.refused { (1..).zip(&answer.evidence).collect() } else { sources };
    if answer.refused && !answer.passages.is_empty() {
        println!("What comes closest:");
    }
    if answer.refused && shown.is_empty() {
        for passage in answer.passages.iter().take(3) {
            println!("[{}] {}{}", passage.n, place(passage), recognised(passage.recognised));
        }
    }
    for (number, quote) in shown {
        let passage = answer.passages.iter().find(|passage| passage.n == quote.n);
        let mark = recognised(passage.and_then(|passage| passage.recognised));
        println!("[{number}] {}, page {}{mark}", quote.file, quote.page);
        quoted(quote);
    }
    if !answer.differing.is_empty() {
        println!("\nYour files do not say the same; newest first:");
        for Version { dated, quote } in &answer.differing {
            let day = dated.map_or_else(|| "without a date".to_owned(), |day| format!("dated {day}"));
            println!("  {}, page {}, {day}", quote.file, quote.page);
            quoted(quote);
        }
    }
    println!("\n{}, {}.", seconds(answer.timings.total_ms as f64 / 1000.0), answer.model);
}

/// An answer whose marks count its sources from 1, and these: marks name passages, of which two sentences may be quoted.
fn numbered<'a>(answer: &str, citations: &'a [Quote]) -> (String, Vec<(usize, &'a Quote)>) {
    let mut sources: Vec<&Quote> = Vec::new();
    let (mut text, mut rest) = (String::new(), answer);
    for citation in citations {
        // One citation a mark, in their order.
        let Some((before, after)) = rest.split_once(&format!("[{}]", citation.n)) else { break };
        let place = |quote: &Quote| (quote.document, quote.page, quote.start, quote.end);
        let known = sources.iter().position(|source| place(source) == place(citation));
        let at = known.unwrap_or_else(|| {
            sources.push(citation);
            sources.len() - 1
        });
        text = format!("{text}{before}[{}]", at + 1);
        rest = after;
    }
    (text + rest, (1..).zip(sources).collect())
}

/// What came before an error is shown all the same: each row may have taken a minute.
pub(super) fn rows(asked: &AskedEach, json: bool) {
    let AskedEach { rows, error: broken } = asked;
    if json {
        let mut told = serde_json::json!({ "rows": rows });
        if let Some(broken) = broken {
            told["error"] = serde_json::json!(broken);
        }
        return print_json(&told);
    }
    for row in rows {
        let (text, sources) = numbered(&row.answer, &row.citations);
        println!("{}\n    {}", row.file, text.replace('\n', "\n    "));
        if row.grade != Grade::NotInFiles {
            for (number, citation) in sources {
                println!("    [{number}] page {}", citation.page);
                quoted(citation);
            }
        }
    }
    let files = count(rows.len(), "file");
    let Some(broken) = broken else {
        let say = rows.iter().filter(|row| row.grade != Grade::NotInFiles).count();
        return println!("\n{say} of {files} say something about it.");
    };
    if !rows.is_empty() {
        println!("\nIt broke off after {files}.");
    }
    error(broken, json);
}

fn quoted(quote: &Quote) {
    println!("{}", indented(&format!("\u{201c}{}\u{201d}", quote.quote)));
}

pub(super) fn list(listed: &[Listed], json: bool) {
    if json {
        return print_json(&serde_json::json!({ "documents": listed }));
    }
    for document in listed {
        let mut note = if document.problems.is_empty() { "" } else { "  (parts could not be read)" }.to_owned();
        if !document.cautions.is_empty() {
            note.push_str("  (to be taken with care: `premise status` says why)");
        }
        let labels: String = document.labels.iter().map(|label| format!("  #{label}")).collect();
        let pages = count(document.pages as usize, "page");
        println!("{}  [{}]  {pages}{labels}{note}", document.file, document.collection);
    }
    println!("{}.", count(listed.len(), "file"));
}

pub(super) fn labelled(listed: &Listed, json: bool) {
    if json {
        return print_json(&serde_json::json!({ "labelled": listed }));
    }
    if listed.labels.is_empty() {
        return println!("{} has no labels.", listed.file);
    }
    println!("{} has the labels {}.", listed.file, listed.labels.join(", "));
}

pub(super) fn removed(listed: &Listed, json: bool) {
    if json {
        return print_json(&serde_json::json!({ "removed": listed }));
    }
    println!("{} is out.", listed.file);
}

pub(super) fn reindexed(documents: usize, embedder: &EmbedderChoice, back: bool, json: bool) {
    if json {
        return print_json(&serde_json::json!({
            "documents": documents,
            "embedder": embedder.embedder,
            "precision": embedder.precision,
        }));
    }
    let what = if back { "The old index is in use again" } else { "The index is new" };
    println!("{what}: {} by {} ({}).", count(documents, "document"), embedder.embedder, embedder.precision);
    println!(
        "The one before stays: `premise reindex --back` goes back to it, `premise reindex --drop-old` removes it."
    );
}

pub(super) fn dropped_indexes(removed: usize, json: bool) {
    if json {
        return print_json(&serde_json::json!({ "removed": removed }));
    }
    match removed {
        0 => println!("There is no old index."),
        _ => println!("Removed {}.", if removed == 1 { "the old index" } else { "the old indexes" }),
    }
}

pub(super) fn status(status: &Status, json: bool) {
    if json {
        return print_json(status);
    }
    println!("Premise {}", status.version);
    println!("Files      {} documents, {} pages, {} chunks", status.documents, status.pages, status.chunks);
    println!("Model      {}", status.model);
    if let Some(problem) = &status.model_problem {
        println!("           cannot be used: {problem}");
    }
    println!("Embedder   {}", status.embedder);
    println!("Store      {}", status.store);
    println!("Pictures   {}", status.recognition);
    match &status.last_sync {
        Some(report) => println!(
            "Last sync  {} of {}: {} added, {} changed, {} deleted, {} failed",
            report.finished_at.with_timezone(&chrono::Local).format("%Y-%m-%d %H:%M"),
            report.folder.display(),
            report.added.len(),
            report.changed.len(),
            report.deleted.len(),
            report.failed.len()
        ),
        None => println!("Last sync  none yet"),
    }
    if let Some(next) = status.next_sync {
        println!("Next sync  {}", next.format("%Y-%m-%d %H:%M"));
    }
    if let Some(running) = &status.running {
        println!("Now        {}: {} of {} files", running.what, running.done, running.total);
    }
    failures(&status.failed);
    cautioned(&status.cautioned);
    read_in_part(&status.partly);
}

pub(super) fn exported(path: &Path, size_bytes: usize, json: bool) {
    if json {
        return print_json(&serde_json::json!({ "bundle": path, "size_bytes": size_bytes }));
    }
    println!("Wrote {}. `premise verify` checks it, on any machine.", path.display());
}

pub(super) fn verdict(verdict: &Verdict, json: bool) {
    if json {
        return print_json(verdict);
    }
    if let Some(question) = &verdict.question {
        println!("An answer to: {question}\n");
    }
    for check in &verdict.checks {
        let mark = match check.outcome {
            Outcome::Good => "good       ",
            Outcome::Bad => "BAD        ",
            Outcome::NotChecked => "not checked",
        };
        println!("{mark}  {}.", check.message);
    }
    if !verdict.good {
        return println!("\nThe bundle is NOT what it says it is.");
    }
    println!(
        "\nThe bundle holds together. That proves: nothing in it was changed since it was packed, and each quote stands \
         word for word on the page text that it names.\nIt does not prove: who packed it and when (it is not signed, and \
         whoever changes one can pack it anew); that the answer follows from its quotes."
    );
}

pub(super) fn feedback(feedback: &[Judgement], json: bool) {
    if json {
        return print_json(&serde_json::json!({ "feedback": feedback }));
    }
    for judgement in feedback {
        let at = judgement.at.with_timezone(&chrono::Local).format("%Y-%m-%d %H:%M");
        println!("{at}  {:14}  {}", judgement.opinion.as_str().replace('_', " "), judgement.question);
        println!("{}", indented(&judgement.answer));
    }
    println!("{}.", count(feedback.len(), "answer"));
}

pub(super) fn cleared(cleared: usize, json: bool) {
    if json {
        return print_json(&serde_json::json!({ "cleared": cleared }));
    }
    println!("Dropped what was said of {}.", count(cleared, "answer"));
}

pub(super) fn feedback_exported(export: &Export, folder: &Path, json: bool) {
    if json {
        return print_json(export);
    }
    println!(
        "{} and {} in {}: measure them with `premise eval {}`.",
        count(export.questions, "question"),
        count(export.files, "file"),
        folder.display(),
        folder.display()
    );
    if export.unsettled > 0 {
        println!(
            "{} in unsettled.jsonl: say there which pages answer them, and move them into queries.jsonl.",
            count(export.unsettled, "question")
        );
    }
    if export.left_out > 0 {
        println!("Left out, because what they quote has changed or is gone: {}.", count(export.left_out, "question"));
    }
}

fn cautioned(cautioned: &[Cautioned]) {
    if cautioned.is_empty() {
        return;
    }
    println!("To be taken with care:");
    for Cautioned { file, cautions } in cautioned {
        println!("  {file}");
        for caution in cautions {
            println!("    {}.", caution.message);
        }
    }
}

/// A folder of manuals may have hundreds; the page and `--json` have all.
const MOST_IN_PART: usize = 20;

fn read_in_part(partly: &[PartlyRead]) {
    if partly.is_empty() {
        return;
    }
    println!("Read in part:");
    for file in partly.iter().take(MOST_IN_PART) {
        println!("  {}: {}", file.file, first_of(&file.problems));
    }
    if partly.len() > MOST_IN_PART {
        println!("  and {} more; --json names all.", count(partly.len() - MOST_IN_PART, "file"));
    }
}

fn unsupported(files: &[String]) {
    if !files.is_empty() {
        println!("Not of a kind that is read: {}", files.join(", "));
    }
}

fn first_of(problems: &[String]) -> String {
    match problems {
        [] => String::new(),
        [one] => one.clone(),
        [first, rest @ ..] => format!("{first}; and {} more", rest.len()),
    }
}

fn failures(failed: &[Failure]) {
    if failed.is_empty() {
        return;
    }
    println!("Could not be read:");
    for failure in failed {
        println!("  {}: {}\n    {}.", failure.file, failure.reason, failure.hint.trim_end_matches('.'));
    }
}

fn place(passage: &Passage) -> String {
    if passage.page_start == passage.page_end {
        format!("{}, page {}", passage.file, passage.page_start)
    } else {
        format!("{}, pages {}-{}", passage.file, passage.page_start, passage.page_end)
    }
}

fn recognised(confidence: Option<f32>) -> String {
    confidence.map(|sure| format!("  (recognised in a picture, {:.0} % sure)", sure * 100.0)).unwrap_or_default()
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

fn seconds(seconds: f64) -> String {
    if seconds < 60.0 {
        format!("{seconds:.1} s")
    } else {
        format!("{:.0} min {:02.0} s", (seconds / 60.0).floor(), seconds % 60.0)
    }
}

fn print_json(value: &impl Serialize) {
    match serde_json::to_string(value) {
        Ok(text) => println!("{text}"),
        Err(error) => eprintln!("premise: cannot write JSON: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sources_of_an_answer_are_counted_from_one() {
        let quote = |n, start| Quote {
            n,
            document: crate::store::DocumentId(uuid::Uuid::nil()),
            file: "lease.pdf".to_owned(),
            page: 1,
            start,
            end: start + 9,
            quote: "The rent.".to_owned(),
            boxes: Vec::new(),
            score: 0.5,
        };
        let check = |answer: &str, citations: &[Quote], expected: &str, numbers: &[(usize, u32)]| {
            let (text, sources) = numbered(answer, citations);
            let sources: Vec<_> = sources.into_iter().map(|(number, quote)| (number, quote.start)).collect();
            assert_eq!((text.as_str(), sources.as_slice()), (expected, numbers));
        };
        let two = [quote(3, 0), quote(3, 40)];
        check("Rent and pets. [3] [3]", &two, "Rent and pets. [1] [2]", &[(1, 0), (2, 40)]);
        let again = [quote(7, 0), quote(3, 40), quote(7, 0)];
        check("Rent. [7] Pets. [3] Rent. [7]", &again, "Rent. [1] Pets. [2] Rent. [1]", &[(1, 0), (2, 40)]);
        check("Your files do not say.", &[], "Your files do not say.", &[]);
    }
}
