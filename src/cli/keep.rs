//! What can be kept of answers: their evidence as files that can be checked elsewhere, and what people thought of them.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::AtomicBool,
};

use clap::{Args, Subcommand};
use premise_ingest::Limits;
use uuid::Uuid;

use super::{Form, desk::Desk, show};
use crate::{
    bundle,
    config::Settings,
    error::{Error, Kind, Result},
    http::file_name,
    library::Answer,
    reader::{File, Reader, Recogniser},
};

#[derive(Args)]
pub(super) struct ExportArgs {
    /// A file that `premise ask --json` wrote, or the id of a late answer of the running server
    #[arg(value_name = "ANSWER")]
    answer: String,
    /// Where to write the bundle [default: premise-answer-….zip in this folder]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    pub(super) form: Form,
}

#[derive(Args)]
pub(super) struct VerifyArgs {
    /// The bundle
    bundle: PathBuf,
    /// A folder with the original files: are they those that the bundle names, and do they hold its pages?
    #[arg(long, value_name = "DIR")]
    files: Option<PathBuf>,
    #[command(flatten)]
    pub(super) form: Form,
}

#[derive(Args)]
pub(super) struct FeedbackArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Show what people thought of answers
    List {
        #[command(flatten)]
        form: Form,
    },
    /// Write it as a set for `premise eval`, with copies of the files that are quoted
    Export {
        /// A folder that is not there yet
        folder: PathBuf,
        #[command(flatten)]
        form: Form,
    },
    /// Drop all of it
    Clear {
        #[command(flatten)]
        form: Form,
    },
}

impl FeedbackArgs {
    pub(super) fn wants_json(&self) -> bool {
        match self.what {
            What::List { form } | What::Export { form, .. } | What::Clear { form } => form.json,
        }
    }
}

/// Which answer is meant.
pub(super) enum Which {
    Late(Uuid),
    Kept(Box<Answer>),
}

pub(super) async fn export(args: &ExportArgs, desk: &Desk) -> Result<ExitCode> {
    let path = Path::new(&args.answer);
    let which = match args.answer.parse() {
        Ok(id) if !path.exists() => Which::Late(id),
        _ => Which::Kept(Box::new(kept(path)?)),
    };
    let id = match &which {
        Which::Late(id) => *id,
        Which::Kept(answer) => answer.id,
    };
    let bundle = desk.export(which).await?;
    let output = args.output.clone().unwrap_or_else(|| file_name(id).into());
    std::fs::write(&output, &bundle).map_err(|error| Error::io(format_args!("write {}", output.display()), &error))?;
    show::exported(&output, bundle.len(), args.form.json);
    Ok(ExitCode::SUCCESS)
}

fn kept(path: &Path) -> Result<Answer> {
    let text = std::fs::read(path).map_err(|error| Error::io(format_args!("read {}", path.display()), &error))?;
    serde_json::from_slice(&text).map_err(|error| {
        Error::new(
            Kind::BadInput,
            "no_answer",
            format!("{} is no answer: {error}", path.display()),
            "Write one with `premise ask --json QUESTION > FILE`, or give the id of an answer",
        )
    })
}

/// Checks a bundle; needs no data folder and no model.
pub(super) fn verify(args: &VerifyArgs, settings: &Settings) -> Result<ExitCode> {
    let bytes = std::fs::read(&args.bundle)
        .map_err(|error| Error::io(format_args!("read {}", args.bundle.display()), &error))?;
    if let Some(files) = args.files.as_deref().filter(|files| !files.is_dir()) {
        return Err(Error::new(
            Kind::NotFound,
            "not_found",
            format!("there is no folder {}", files.display()),
            "Give the folder that the original files lie in",
        ));
    }
    let recogniser = Recogniser::find(&settings.ocr, &settings.reading).ok();
    let mut reader = Reader::new(&settings.reading, &Limits::default(), recogniser.as_ref());
    let mut read = |name: &str, bytes: &[u8]| {
        let never = AtomicBool::new(false);
        let file = File { name, bytes, passwords: &[], kept: None };
        let reading = reader.read(file, &never).map_err(|error| error.message)?;
        Ok(reading.document.pages.into_iter().map(|page| page.text).collect())
    };
    let verdict = bundle::verify(&bytes, args.files.as_deref(), &mut read);
    show::verdict(&verdict, args.form.json);
    Ok(if verdict.good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(super) async fn feedback(args: FeedbackArgs, desk: &Desk) -> Result<ExitCode> {
    match args.what {
        What::List { form } => show::feedback(&desk.feedback().await?, form.json),
        What::Clear { form } => show::cleared(desk.clear_feedback().await?, form.json),
        What::Export { folder, form } => {
            let folder = super::absolute(&folder)?;
            show::feedback_exported(&desk.export_feedback(&folder).await?, &folder, form.json);
        }
    }
    Ok(ExitCode::SUCCESS)
}
