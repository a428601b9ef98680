//! A set of questions with known answers run through the real pipeline. What the system gets to see is the question
//! alone, and the files it is narrowed to in a scoped run.

mod metrics;
mod set;

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool},
    time::Instant,
};

use clap::Args;
use serde_json::json;

use self::{
    metrics::{Retrieved, Scores},
    set::{EvalSet, Query},
};
use crate::{
    app,
    config::Settings,
    datadir::{self, Owner},
    error::{Error, Kind, Result},
    library::{Answer, AskEvent, Library, Passage, SearchRequest},
};

/// Arguments of `premise eval`.
#[derive(Args)]
pub struct EvalArgs {
    /// Folder of the set: docs/, queries.jsonl, pages.jsonl
    set: PathBuf,
    /// Narrow each question to the files that a user would have chosen
    #[arg(long)]
    scoped: bool,
    /// Also answer this many questions, spread over the set, and check that every quote stands on its page
    #[arg(long, value_name = "N", default_value_t = 0)]
    ask: usize,
    /// Where the set's files are indexed; kept for the next run [default: premise-eval in the temporary folder]
    #[arg(long, value_name = "DIR")]
    work: Option<PathBuf>,
    /// Write the run, one JSON line a question, in the form that score.py reads
    #[arg(long, value_name = "FILE")]
    run: Option<PathBuf>,
    /// Print JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// Passages that are retrieved for each question.
const RETRIEVED: usize = 20;

/// Runs an evaluation and prints its figures.
pub async fn run(args: EvalArgs, settings: Settings, stop: Arc<AtomicBool>) -> Result<ExitCode> {
    let set = EvalSet::load(&args.set)?;
    let work = args.work.clone().unwrap_or_else(|| std::env::temp_dir().join("premise-eval")).join(&set.name);
    let Owner::Us(owned) = datadir::open(&work)? else { return Err(datadir::in_use(&work)) };
    let (path, docs, for_library) = (owned.path().to_owned(), set.docs.clone(), settings.clone());
    let (library, report) = tokio::task::spawn_blocking(move || {
        let library = app::open_library(&path, &for_library)?;
        library.mend(&stop, &|_| {})?;
        let report = library.sync("eval", &docs, &stop, &|_| {})?;
        Ok::<_, Error>((Arc::new(library), report))
    })
    .await
    .map_err(Error::internal)??;
    if !args.json {
        println!(
            "{}: {} files ({} failed), {} pages and {} chunks read in {:.1} s, embedder busy {:.0} %",
            set.name,
            report.added.len() + report.unchanged,
            report.failed.len(),
            report.pages,
            report.chunks,
            report.seconds,
            report.embedder_busy * 100.0
        );
    }

    let mut scores = Scores::default();
    let mut lines = Vec::new();
    for query in &set.queries {
        let started = Instant::now();
        let found = library.search(&request(query, args.scoped)).await?;
        let took_ms = started.elapsed().as_secs_f64() * 1000.0;
        let retrieved: Vec<_> = found.passages.iter().map(as_retrieved).collect();
        scores.add(query, &retrieved, took_ms);
        lines.push(json!({
            "id": query.id,
            "latency_ms": took_ms,
            "retrieved": found.passages.iter().map(|passage| json!({
                "file": passage.file,
                "page_start": passage.page_start,
                "page_end": passage.page_end,
                "score": passage.score,
                "text": passage.text,
            })).collect::<Vec<_>>(),
        }));
    }
    let figures = scores.figures();
    if args.json {
        println!("{}", json!({ "set": set.name, "scoped": args.scoped, "metrics": figures }));
    } else {
        println!("{} questions, {} of them answerable", set.queries.len(), scores.answerable());
        for (name, value) in &figures {
            println!("  {name:16} {value:.4}");
        }
    }
    if args.ask > 0 {
        answers(&library, &set, &args, &mut lines).await?;
    }
    if let Some(path) = &args.run {
        write_lines(path, &lines)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Answers questions spread evenly over the set and checks each quote against the page it cites.
async fn answers(
    library: &Arc<Library>,
    set: &EvalSet,
    args: &EvalArgs,
    lines: &mut [serde_json::Value],
) -> Result<()> {
    let step = (set.queries.len() / args.ask).max(1);
    let (mut quotes, mut verbatim, mut refused, mut first_ms) = (0, 0, 0, Vec::new());
    let asked: Vec<usize> = (0..set.queries.len()).step_by(step).take(args.ask).collect();
    for (done, &at) in asked.iter().enumerate() {
        let query = &set.queries[at];
        let mut request = request(query, args.scoped);
        request.k = None;
        let answer = answer(library, request).await?;
        for citation in &answer.citations {
            quotes += 1;
            let document = citation.document;
            let page = citation.page;
            let page = library.blocking(move |library| library.page(document, page)).await?;
            verbatim += usize::from(page.text.contains(&citation.quote));
        }
        refused += usize::from(answer.refused);
        first_ms.extend(answer.timings.first_token_ms);
        lines[at]["answer"] = answer.answer.clone().into();
        lines[at]["abstained"] = answer.refused.into();
        lines[at]["citations"] = json!(answer.citations);
        if !args.json {
            eprintln!("{}/{} {}: {}", done + 1, asked.len(), query.id, answer.answer.replace('\n', " "));
        }
    }
    first_ms.sort_unstable();
    let median = first_ms.get(first_ms.len() / 2).copied().unwrap_or_default();
    let line = json!({ "asked": asked.len(), "refused": refused, "quotes": quotes, "verbatim": verbatim, "first_token_ms_p50": median });
    if args.json {
        println!("{line}");
    } else {
        println!(
            "{} asked, {refused} refused; {verbatim} of {quotes} quotes verbatim on their page; first word after {median} ms (median)",
            asked.len()
        );
    }
    Ok(())
}

async fn answer(library: &Arc<Library>, request: SearchRequest) -> Result<Answer> {
    let mut events = library.ask(request).await?;
    while let Some(event) = events.recv().await {
        match event {
            AskEvent::Done(answer) => return Ok(*answer),
            AskEvent::Failed(error) => return Err(error),
            AskEvent::Passages(..) | AskEvent::Queued(_) | AskEvent::Piece(_) => {}
        }
    }
    Err(Error::internal("the answer broke off"))
}

fn request(query: &Query, scoped: bool) -> SearchRequest {
    SearchRequest {
        question: query.question.clone(),
        k: Some(RETRIEVED),
        collections: None,
        documents: query.scope.clone().filter(|_| scoped),
    }
}

fn as_retrieved(passage: &Passage) -> Retrieved<'_> {
    Retrieved {
        file: passage.file.rsplit('/').next().unwrap_or(&passage.file),
        pages: passage.page_start..=passage.page_end,
        text: &passage.text,
    }
}

fn write_lines(path: &Path, lines: &[serde_json::Value]) -> Result<()> {
    let write = || {
        let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
        for line in lines {
            writeln!(file, "{line}")?;
        }
        file.flush()
    };
    write().map_err(|error| Error::io(format_args!("write {}", path.display()), &error))
}

fn bad_set(path: &Path, reason: impl std::fmt::Display) -> Error {
    Error::new(
        Kind::BadInput,
        "bad_set",
        format!("cannot read the evaluation set {}: {reason}", path.display()),
        "A set is a folder with docs/ and queries.jsonl; the format is described in docs/evaluation.md",
    )
}
