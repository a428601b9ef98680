//! The command line: one verb a task. With a server on the data folder a verb goes through it, else it works alone.

mod bench;
mod client;
mod clock;
mod demo;
mod desk;
mod doctor;
mod keep;
mod progress;
mod reindex;
mod setup;
mod show;

use std::{
    ffi::OsString,
    io::IsTerminal,
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use clap::{Args, Parser, Subcommand};
use secrecy::SecretString;
use tokio::net::TcpListener;

use crate::{
    app,
    config::{self, Settings},
    datadir::{self, Owner},
    egress,
    error::{Error, Kind, Result},
    eval, http,
    library::{Library, SearchRequest, passwords},
    reader, telemetry,
};

use self::desk::Desk;

/// Answers questions of your own files, with the page of every quote. Nothing leaves this machine.
#[derive(Parser)]
#[command(
    name = "premise",
    version,
    max_term_width = 100,
    after_help = "\
First steps:
  premise setup                          fetch the models, once
  premise sync ~/Documents/leases        read a folder; again later: only what changed
  premise ask \"When does the lease end?\"
  premise serve                          the search page, in the browser

Exit status: 0 done, 1 not done, 2 wrong usage, 3 done but some files could not be read, 130 stopped."
)]
struct Cli {
    /// Folder that holds everything about your files [default: premise in your data folder, ~/.local/share]
    #[arg(long, env = "PREMISE_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Fetch the models and check them; needed once, and again after a change of models
    Setup(setup::SetupArgs),
    /// Read files, or all files of folders, and keep a copy of each
    Add {
        /// PDF, Office, mail, web, picture or text files, or folders
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// The file with the passwords of locked PDF files, one a line; "-" asks for one, or reads standard input
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        #[command(flatten)]
        collection: IntoCollection,
        #[command(flatten)]
        form: Form,
    },
    /// Follow a folder: read what is new or changed, drop what is gone, leave the rest alone
    Sync {
        /// The folder; without it, the folders of the settings
        folder: Option<PathBuf>,
        /// Keep running and sync whenever this cron expression says so, such as "0 2 * * *" for every night at two
        #[arg(long, value_name = "EXPRESSION")]
        cron: Option<String>,
        #[command(flatten)]
        collection: IntoCollection,
        #[command(flatten)]
        form: Form,
    },
    /// Show the passages that bear on a question
    Search {
        #[command(flatten)]
        question: Question,
        #[command(flatten)]
        form: Form,
    },
    /// Answer a question, with the file and page of every quote
    Ask {
        #[command(flatten)]
        question: Question,
        /// Ask each file by itself, up to 50 of them: for questions such as "which of these leases …"
        #[arg(long)]
        each: bool,
        #[command(flatten)]
        form: Form,
    },
    /// Show which files are in
    List {
        /// Only files with this in their name
        name: Option<String>,
        /// Only this collection
        #[arg(long, value_name = "NAME")]
        collection: Option<String>,
        #[command(flatten)]
        form: Form,
    },
    /// Put labels on a file, to narrow questions by; they replace those that it has, and none takes them off
    Label {
        /// The file as `premise list` shows it
        file: String,
        /// Words such as signed or "2024 audit"
        labels: Vec<String>,
        #[command(flatten)]
        form: Form,
    },
    /// Take a file out again (a file of a synced folder comes back at the next sync)
    Remove {
        /// The file as `premise list` shows it
        file: String,
        #[command(flatten)]
        form: Form,
    },
    /// Serve the search page and the query service
    Serve {
        /// Address and port; port 0 takes any free one [default: 127.0.0.1:7878, or the settings']
        #[arg(long, value_name = "HOST:PORT")]
        addr: Option<String>,
    },
    /// Show what is in, the models, the last sync and what failed
    Status {
        #[command(flatten)]
        form: Form,
    },
    /// Write an answer with its quotes, their pages and the hashes of their files into one file that can be checked
    Export(keep::ExportArgs),
    /// Check such a file, on any machine and without the data
    Verify(keep::VerifyArgs),
    /// What people thought of answers, where they said so
    Feedback(keep::FeedbackArgs),
    /// Build the search index anew from what was read, with another embedder if you like
    Reindex(reindex::ReindexArgs),
    /// Look for what is missing on this machine or wrong in the settings, and what to do about it
    Doctor {
        #[command(flatten)]
        form: Form,
    },
    /// Measure retrieval on a set of questions with known answers
    Eval(eval::EvalArgs),
    /// Measure how fast this machine is
    Bench(bench::BenchArgs),
    /// Read sample files, answer a question about them, then serve the page
    Demo(demo::DemoArgs),
    /// Read files from standard input for another process of this program
    #[command(name = reader::VERB, hide = true)]
    ReadFiles,
    /// Become the program that reads a picture, within walls
    #[command(name = reader::PICTURE_VERB, hide = true)]
    ReadPicture {
        #[arg(long)]
        memory_mb: u64,
        #[arg(long)]
        seconds: u64,
        #[arg(long)]
        data: Vec<PathBuf>,
        #[arg(last = true)]
        program: Vec<OsString>,
    },
}

#[derive(Args)]
struct IntoCollection {
    /// The collection that the files belong to: a matter, a client, a department
    #[arg(long, value_name = "NAME", default_value_t = config::default_collection())]
    collection: String,
}

#[derive(Args)]
struct Question {
    /// The question, in your own words
    #[arg(value_name = "QUESTION")]
    text: String,
    /// How many passages
    #[arg(short, long, value_name = "N")]
    k: Option<usize>,
    /// Only this collection; may be given several times
    #[arg(long, value_name = "NAME")]
    collection: Vec<String>,
    /// Only this file; may be given several times
    #[arg(long, value_name = "FILE")]
    document: Vec<String>,
    /// Only files of this type, such as pdf; may be given several times
    #[arg(long = "type", value_name = "TYPE")]
    file_type: Vec<String>,
    /// Only files with this label; may be given several times
    #[arg(long, value_name = "LABEL")]
    label: Vec<String>,
    /// Only documents dated on this day or later, such as 2018-04-30
    #[arg(long, value_name = "DAY")]
    from: Option<chrono::NaiveDate>,
    /// Only documents dated on this day or earlier
    #[arg(long, value_name = "DAY")]
    to: Option<chrono::NaiveDate>,
    /// Pass over so many passages: the next page of results
    #[arg(long, value_name = "N")]
    offset: Option<usize>,
    /// Tell for each passage why it came
    #[arg(long)]
    explain: bool,
}

#[derive(Args, Clone, Copy)]
pub(crate) struct Form {
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

impl Question {
    fn request(self) -> SearchRequest {
        let some = |names: Vec<String>| (!names.is_empty()).then_some(names);
        SearchRequest {
            question: self.text,
            k: self.k,
            offset: self.offset,
            collections: some(self.collection),
            documents: some(self.document),
            types: some(self.file_type),
            labels: some(self.label),
            dated_from: self.from,
            dated_to: self.to,
            conversation: Vec::new(),
            explain: self.explain,
            within: None,
        }
    }
}

/// Runs the program with the arguments of the process.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    match cli.verb {
        Verb::ReadFiles => return reader::serve(),
        Verb::ReadPicture { memory_mb, seconds, data, program } => {
            return reader::become_program(&reader::Walls { memory_mb, seconds, data }, &program);
        }
        _ => {}
    }
    telemetry::start(matches!(cli.verb, Verb::Serve { .. }));
    let json = cli.verb.wants_json();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("premise: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let done = runtime.block_on(dispatch(cli));
    // A model that is still being loaded, or a read that was stopped, does not hold up the end.
    runtime.shutdown_background();
    match done {
        Ok(code) => code,
        Err(error) => {
            show::error(&error, json);
            failed(&error)
        }
    }
}

/// How a run ends that could not do, or not finish, what was asked.
fn failed(error: &Error) -> ExitCode {
    ExitCode::from(if error.kind == Kind::Stopped { 130 } else { 1 })
}

/// Some files could not be read.
const SOME_FAILED: u8 = 3;

async fn dispatch(cli: Cli) -> Result<ExitCode> {
    let data_dir = cli.data_dir.unwrap_or_else(config::user_data_folder);
    let data_dir = std::path::absolute(&data_dir)
        .map_err(|error| Error::io(format_args!("use the data folder {}", data_dir.display()), &error))?;
    // Before the settings are read: they may be what is wrong.
    if let Verb::Doctor { form } = cli.verb {
        return blocking(move || doctor::run(&data_dir, form.json)).await;
    }
    let settings = config::load(&data_dir)?;
    let stop = stop_on_ctrl_c();
    match cli.verb {
        Verb::Setup(args) => blocking(move || setup::run(&args, &settings, &stop)).await,
        Verb::Serve { addr } => serve(&data_dir, settings, addr).await,
        Verb::Demo(args) => demo::run(args, data_dir, settings, stop).await,
        Verb::Eval(args) => eval::run(args, settings, stop).await,
        Verb::Verify(args) => blocking(move || keep::verify(&args, &settings)).await,
        Verb::Bench(args) => bench::run(args, settings, stop).await,
        Verb::Reindex(args) => {
            let owned = own(&data_dir)?;
            egress::shut(&settings.store);
            blocking(move || reindex::run(&args, &owned, &settings, &stop)).await
        }
        Verb::Sync { folder, cron, collection, form } => {
            let folder = folder.map(|path| absolute(&path)).transpose()?;
            let folders = match &folder {
                Some(path) => {
                    vec![config::SyncFolder { path: path.clone(), collection: collection.collection.clone() }]
                }
                None => settings.sync.folders.clone(),
            };
            if folders.is_empty() {
                return Err(Error::new(
                    Kind::BadInput,
                    "no_folder",
                    "there is no folder to sync",
                    "Name one, or list folders under [sync] in the settings",
                ));
            }
            let Some(cron) = cron else { return sync_once(data_dir, settings, &folders, &stop, form).await };
            blocking(move || clock::sync(&data_dir, folder.as_deref(), &collection.collection, &cron, &stop, form))
                .await
        }
        verb => {
            let desk = Desk::open(data_dir, settings).await?;
            at_desk(verb, &desk, stop).await
        }
    }
}

async fn at_desk(verb: Verb, desk: &Desk, stop: Arc<AtomicBool>) -> Result<ExitCode> {
    match verb {
        Verb::Add { files, password_file, collection, form } => {
            let passwords = match password_file {
                Some(file) => blocking(move || given_passwords(&file)).await?,
                None => Vec::new(),
            };
            let added = desk.add(collection.collection, files, passwords, stop, form.json).await?;
            show::added(&added, form.json);
            if added.added.is_empty() && !added.failed.is_empty() {
                return Ok(ExitCode::FAILURE);
            }
            Ok(code(added.failed.is_empty(), added.interrupted))
        }
        Verb::Search { question, form } => {
            let found = desk.search(question.request()).await?;
            show::found(&found, form.json);
            Ok(ExitCode::SUCCESS)
        }
        Verb::Ask { question, each: true, form } => {
            let asked = desk.ask_each(question.request(), form.json).await?;
            show::rows(&asked, form.json);
            Ok(asked.error.as_ref().map_or(ExitCode::SUCCESS, failed))
        }
        Verb::Ask { question, form, .. } => {
            let answer = desk.ask(question.request(), form.json).await?;
            show::answer(&answer, form.json);
            Ok(ExitCode::SUCCESS)
        }
        Verb::List { name, collection, form } => {
            show::list(&desk.list(name, collection).await?, form.json);
            Ok(ExitCode::SUCCESS)
        }
        Verb::Remove { file, form } => {
            let removed = desk.remove(&file).await?;
            show::removed(&removed, form.json);
            Ok(ExitCode::SUCCESS)
        }
        Verb::Label { file, labels, form } => {
            show::labelled(&desk.label(&file, labels).await?, form.json);
            Ok(ExitCode::SUCCESS)
        }
        Verb::Status { form } => {
            show::status(&desk.status().await?, form.json);
            Ok(ExitCode::SUCCESS)
        }
        Verb::Export(args) => keep::export(&args, desk).await,
        Verb::Feedback(args) => keep::feedback(args, desk).await,
        Verb::Setup(_)
        | Verb::Verify(_)
        | Verb::Sync { .. }
        | Verb::Serve { .. }
        | Verb::Demo(_)
        | Verb::Eval(_)
        | Verb::Bench(_)
        | Verb::Doctor { .. }
        | Verb::ReadFiles
        | Verb::ReadPicture { .. }
        | Verb::Reindex(_) => Err(Error::internal("this verb has no desk")),
    }
}

/// Never from an argument, which other accounts of the machine can see.
fn given_passwords(file: &std::path::Path) -> Result<Vec<SecretString>> {
    if file != std::path::Path::new("-") {
        return passwords::passwords_in(file);
    }
    let failed = |error: std::io::Error| Error::io("read the password", &error);
    if std::io::stdin().is_terminal() {
        return Ok(vec![rpassword::prompt_password("Password: ").map_err(failed)?.into()]);
    }
    Ok(passwords::lines(&std::io::read_to_string(std::io::stdin()).map_err(failed)?))
}

async fn sync_once(
    data_dir: PathBuf,
    settings: Settings,
    folders: &[config::SyncFolder],
    stop: &Arc<AtomicBool>,
    form: Form,
) -> Result<ExitCode> {
    let desk = Desk::open(data_dir, settings).await?;
    let mut worst = ExitCode::SUCCESS;
    for folder in folders {
        let report = desk.sync(&folder.collection, &folder.path, stop.clone(), form.json).await?;
        show::sync_report(&report, form.json);
        if report.interrupted {
            return Ok(ExitCode::from(130));
        }
        if !report.failed.is_empty() {
            worst = ExitCode::from(SOME_FAILED);
        }
    }
    Ok(worst)
}

async fn serve(data_dir: &std::path::Path, settings: Settings, addr: Option<String>) -> Result<ExitCode> {
    let owned = own(data_dir)?;
    let listener = http::bind(addr.as_deref().unwrap_or(&settings.serve.addr)).await?;
    egress::shut(&settings.store);
    let path = owned.path().to_owned();
    let for_library = settings.clone();
    let library = blocking(move || app::open_library(&path, &for_library)).await?;
    serve_library(listener, Arc::new(library), owned, settings).await
}

/// Prints the address, puts right what a crash left, and serves until Ctrl-C.
async fn serve_library(
    listener: TcpListener,
    library: Arc<Library>,
    owned: datadir::DataDir,
    settings: Settings,
) -> Result<ExitCode> {
    let service = http::prepare(listener, library.clone(), settings, owned)?;
    println!("Premise is ready: http://{}", service.addr());
    println!("Open the address in a browser. Ctrl-C ends it.");
    library.warm_up();
    let mending = library.clone();
    tokio::task::spawn_blocking(move || {
        match mending.recogniser() {
            Ok(recogniser) => tracing::info!(recogniser = recogniser.describe(), "pictures are read"),
            Err(reader::NoRecogniser::Off) => tracing::info!("pictures are not read: the settings say so"),
            Err(missing) => tracing::warn!(%missing, hint = missing.hint(), "scans and pictures are not read"),
        }
        if let Err(error) = mending.mend(crate::library::never(), &|_| {}) {
            tracing::error!(%error, "cannot bring the index and the ledger together");
        }
    });
    service.run(ended()).await?;
    Ok(ExitCode::SUCCESS)
}

/// The data folder, for verbs that need it for themselves.
fn own(data_dir: &std::path::Path) -> Result<datadir::DataDir> {
    match datadir::open(data_dir)? {
        Owner::Us(owned) => Ok(owned),
        Owner::Server(contact) => Err(Error::new(
            Kind::Conflict,
            "data_folder_in_use",
            format!("a premise server at {} is using {}", contact.url, data_dir.display()),
            "Stop it first, or use another folder with --data-dir",
        )),
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)?
}

/// The first Ctrl-C asks for an orderly end; the second ends at once, which loses nothing that was stored.
fn stop_on_ctrl_c() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    tokio::spawn(async move {
        ended().await;
        flag.store(true, Ordering::Relaxed);
        if std::io::stderr().is_terminal() {
            eprintln!("\nStopping: what is complete is being stored. Ctrl-C again ends at once.");
        }
        ended().await;
        std::process::exit(130);
    });
    stop
}

/// Until Ctrl-C, or the signal that service managers send.
async fn ended() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

fn absolute(path: &std::path::Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|error| Error::io(format_args!("use {}", path.display()), &error))
}

fn code(all_read: bool, interrupted: bool) -> ExitCode {
    match (interrupted, all_read) {
        (true, _) => ExitCode::from(130),
        (false, true) => ExitCode::SUCCESS,
        (false, false) => ExitCode::from(SOME_FAILED),
    }
}

impl Verb {
    fn wants_json(&self) -> bool {
        match self {
            Self::Add { form, .. }
            | Self::Sync { form, .. }
            | Self::Search { form, .. }
            | Self::Ask { form, .. }
            | Self::List { form, .. }
            | Self::Label { form, .. }
            | Self::Remove { form, .. }
            | Self::Status { form }
            | Self::Doctor { form } => form.json,
            Self::Reindex(args) => args.form.json,
            Self::Export(args) => args.form.json,
            Self::Verify(args) => args.form.json,
            Self::Feedback(args) => args.wants_json(),
            Self::Eval(args) => args.json,
            Self::Bench(args) => args.wants_json(),
            Self::Setup(args) => args.json,
            Self::Serve { .. } | Self::Demo(_) | Self::ReadFiles | Self::ReadPicture { .. } => false,
        }
    }
}
