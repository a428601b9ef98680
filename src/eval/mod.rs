//! A set of questions with known answers run through the real pipeline. What the system gets to see is the question
//! alone, and the files it is narrowed to in a scoped run.

mod answers;
mod metrics;
mod report;
mod retrieval;
mod runs;
mod set;
mod stats;

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool},
};

use clap::Args;
use serde_json::json;

pub(crate) use self::{metrics::percentile, set::EvalSet, stats::Random};
use self::{
    report::{Table, bar, print_difference},
    retrieval::Measured,
    runs::Run,
};
use crate::{
    app,
    config::Settings,
    datadir::{self, Owner},
    egress,
    error::{Error, Kind, Result},
    library::{Library, Progress, Steps},
};

/// Arguments of `premise eval`.
#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub struct EvalArgs {
    /// Folder of the set: docs/, queries.jsonl and, to score answers, pages.jsonl
    set: PathBuf,
    /// Narrow each question to the files that a user would have chosen
    #[arg(long)]
    scoped: bool,
    /// Leave steps of retrieval out: naming, glossary, meaning, words, exact, rerank, overleaf, collapse, merge
    #[arg(long, value_name = "STEP,…", value_delimiter = ',')]
    without: Vec<String>,
    /// Also search plainly by words alone and by meaning alone, and show both beside the pipeline
    #[arg(long)]
    baselines: bool,
    /// Passages that are retrieved for each question
    #[arg(long, value_name = "N", default_value_t = 20)]
    k: usize,
    /// Compare with an earlier run, by a paired test: its file, or `last`
    #[arg(long, value_name = "RUN")]
    compare: Option<PathBuf>,
    /// How far the questions go: `retrieval` to the passages, `evidence` to the quotes, `answer` to the end
    #[arg(long, value_name = "STAGE", default_value = "retrieval")]
    stage: Stage,
    /// Take so many questions, of each kind its share, in the stages `evidence` and `answer` [default: all]
    #[arg(long, value_name = "N")]
    sample: Option<usize>,
    /// Which sample: the same number takes the same questions
    #[arg(long, value_name = "S", default_value_t = 13)]
    seed: u64,
    /// Leave the language model out in the stage `evidence`
    #[arg(long)]
    without_model: bool,
    /// In the stage `answer`, also time a plain pipeline with llama.cpp: the folder in which `npm install node-llama-cpp
    /// @node-llama-cpp/linux-x64` was run
    #[arg(long, value_name = "DIR")]
    peer: Option<PathBuf>,
    /// Ask again what an earlier run with the same settings has answers to
    #[arg(long)]
    fresh: bool,
    /// Score this run in place of making one, in the stage `answer`
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
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

/// How far the questions go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Stage {
    /// To the passages.
    Retrieval,
    /// To the quotes.
    Evidence,
    /// To the end.
    Answer,
}

/// Runs an evaluation and prints its figures.
pub async fn run(args: EvalArgs, settings: Settings, stop: Arc<AtomicBool>) -> Result<ExitCode> {
    let set = EvalSet::load(&args.set)?;
    if let Some(run) = &args.from {
        answers::rescore(&set, &args, run)?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.stage == Stage::Answer {
        answers::check(&set)?;
    }
    let steps = args.without.iter().try_fold(Steps::all(), |steps, name| steps.without(name))?;
    let work = args.work.clone().unwrap_or_else(|| std::env::temp_dir().join("premise-eval")).join(&set.name);
    let Owner::Us(owned) = datadir::open(&work)? else { return Err(datadir::in_use(&work)) };
    // The peer is a program of its own, which may want sockets.
    if args.peer.is_none() {
        egress::shut(&settings.store);
    }
    let library = read(&set, &args, owned.path().to_owned(), settings.clone(), stop).await?;

    let runs = owned.path().join("runs");
    match args.stage {
        Stage::Retrieval => {}
        Stage::Evidence => {
            answers::measure_evidence(&library, &set, &args, &settings, &runs).await?;
            return Ok(ExitCode::SUCCESS);
        }
        Stage::Answer => {
            answers::measure(&library, &set, &args, &settings, &runs).await?;
            return Ok(ExitCode::SUCCESS);
        }
    }
    let earlier = args.compare.as_ref().map(|which| Run::load(which, &runs)).transpose()?;
    let (measured, breakdown) = retrieval::measure(&library, &set, &args, steps).await?;
    let mut run = Run {
        set: set.name.clone(),
        at: chrono::Local::now().format("%Y-%m-%dT%H:%M:%S").to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        embedder: format!("{} {}", library.embedder().embedder, library.embedder().precision),
        scoped: args.scoped,
        without: args.without.clone(),
        questions: std::collections::HashMap::new(),
    };
    run.add(&measured);
    let kept = run.keep(&runs)?;
    let figures = figures(&measured);
    let differences = earlier.as_ref().map(|earlier| run.against(earlier)).unwrap_or_default();
    if args.json {
        let report = json!({
            "set": set.name,
            "scoped": args.scoped,
            "without": args.without,
            "metrics": figures.rows(),
            "routing": breakdown.routing(),
            "stages": breakdown.stages().rows(),
            "kinds": breakdown.kinds().rows(),
            "differences": differences,
            "run": kept,
        });
        println!("{report}");
    } else {
        println!("{} questions, kept as {}", set.queries.len(), kept.display());
        for row in figures.rows() {
            row.print_with_intervals();
        }
        println!("Documents named: {}", breakdown.routing());
        breakdown.stages().print();
        breakdown.kinds().print();
        for (name, difference) in differences {
            print_difference(name, difference);
        }
    }
    if let Some(path) = &args.run {
        write_lines(path, measured.iter().map(|question| &question.line))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Opens the set's own library and reads what is not in it yet.
async fn read(
    set: &EvalSet,
    args: &EvalArgs,
    path: PathBuf,
    settings: Settings,
    stop: Arc<AtomicBool>,
) -> Result<Arc<Library>> {
    let docs = set.docs.clone();
    let bar = bar(0, args.json, "reading");
    let note = bar.clone();
    let (library, report) = tokio::task::spawn_blocking(move || {
        let on_progress = |progress| match progress {
            Progress::Planned { size_bytes, .. } => note.set_length(size_bytes),
            Progress::Advanced { size_bytes } => note.inc(size_bytes),
            _ => {}
        };
        let library = app::open_library(&path, &settings)?;
        library.mend(&stop, &on_progress)?;
        let report = library.sync("eval", &docs, &stop, &on_progress)?;
        Ok::<_, Error>((Arc::new(library), report))
    })
    .await
    .map_err(Error::internal)??;
    bar.finish_and_clear();
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
    Ok(library)
}

/// Means over the questions with right pages, and the times of all.
fn figures(measured: &[Measured]) -> Table {
    let mut table = Table::new("figure", &["value"]);
    for question in measured {
        for (name, value) in &question.figures {
            if name != "ms" {
                table.add(name, "value", *value);
            }
        }
    }
    let times: Vec<f64> =
        measured.iter().flat_map(|m| m.figures.iter().filter(|(name, _)| name == "ms").map(|(_, ms)| *ms)).collect();
    table.add("p50_ms", "value", metrics::percentile(&times, 0.5));
    table.add("p95_ms", "value", metrics::percentile(&times, 0.95));
    table
}

fn write_lines<'a>(path: &Path, lines: impl Iterator<Item = &'a serde_json::Value>) -> Result<()> {
    let write = move || {
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
        "A set is a folder with docs/ and queries.jsonl and, for --stage answer and --from, pages.jsonl; the format is \
         described in docs/evaluation.md",
    )
}
