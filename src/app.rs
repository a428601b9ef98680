//! The composition root: the only place that chooses which backend stands behind each seam.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use premise_ingest::TokenCounter;
use tokio::runtime::Handle;
use tracing::info;

use crate::{
    config::{self, Settings},
    db::Db,
    embed,
    error::{Error, Kind, Result},
    generate::{self, EngineSettings, Generator, Shared},
    library::{Library, Model, OpenIndex, Parts},
    models::{self, Entry, Installed, Precision},
    prompt::Prompts,
    store::{Store, edge::EdgeStore, server::ServerStore},
    worker::{SpawnError, Worker},
};

/// The model that embeds, the library that runs it and the model that answers, as the settings name them.
pub struct Wanted {
    /// The embedder.
    pub embedder: &'static Entry,
    /// The ONNX Runtime library.
    pub runtime: &'static Entry,
    /// The generator, when it is one of the catalogue and not a file of the user's own.
    pub generator: Option<&'static Entry>,
}

/// Name of the runtime in the catalogue.
const RUNTIME: &str = "onnxruntime";

/// What the settings ask for.
pub fn wanted(settings: &config::Models) -> Result<Wanted> {
    let generator = if is_path(&settings.generator) { None } else { Some(models::find(&settings.generator)?) };
    Ok(Wanted { embedder: models::find(&settings.embedder)?, runtime: models::find(RUNTIME)?, generator })
}

/// Opens the library of a data folder that this process owns. Blocks; call it on a blocking thread of a runtime.
pub fn open_library(data_dir: &Path, settings: &Settings) -> Result<Library> {
    Library::open(parts(data_dir, settings)?)
}

/// The same for a rebuild of the index, which may change the embedder.
pub fn open_library_for_reindex(data_dir: &Path, settings: &Settings) -> Result<Library> {
    Library::open_for_reindex(parts(data_dir, settings)?)
}

fn parts(data_dir: &Path, settings: &Settings) -> Result<Parts> {
    let wanted = wanted(&settings.models)?;
    let folder = &settings.models.folder;
    let runtime = models::locate(folder, wanted.runtime)?;
    embed::init_runtime(runtime.main_file())?;
    let precision = match settings.models.precision.as_str() {
        "int8" => Precision::Int8,
        _ => Precision::Fp32,
    };
    let embedder = models::locate(folder, wanted.embedder)?.embedder(precision)?;
    let tokenizer = std::fs::read(&embedder.tokenizer)
        .map_err(|error| Error::io(format_args!("read {}", embedder.tokenizer.display()), &error))?;
    let counter = TokenCounter::from_bytes(&tokenizer).map_err(Error::internal)?;

    let db = Db::open(&data_dir.join("ledger.sqlite"))?;
    let for_questions = embedder.clone();
    // A second thread saves a millisecond a question and takes more when an ingest has the other core.
    let questions = Worker::spawn("questions", 64, move || embed::open(&for_questions, 1)).map_err(made)?;
    let identity = questions.run_blocking(|embedder| embedder.identity().clone())?;
    let max_tokens = questions.run_blocking(|embedder| embedder.max_tokens())?;
    let prompts = data_dir.join("prompts");
    Ok(Parts {
        data_dir: data_dir.to_owned(),
        open_index: open_index(data_dir, &settings.store, &library_id(&db)?, identity.dimension),
        db,
        embedder: identity,
        make_embedder: Arc::new(move |threads| embed::open(&embedder, threads)),
        questions,
        counter,
        // [CLS] and [SEP] are the embedder's own.
        chunk_tokens: max_tokens.min(256) - 2,
        generator: generator(&settings.models, settings.answer.queue),
        generator_name: settings.models.generator.clone(),
        prompts: Prompts::load(&prompts)
            .map_err(|error| Error::io(format_args!("read the prompts in {}", prompts.display()), &error))?,
        answer: settings.answer.clone(),
    })
}

fn open_index(data_dir: &Path, settings: &config::Store, library: &str, dimension: usize) -> OpenIndex {
    let folder = data_dir.join("index");
    let (settings, library, runtime) = (settings.clone(), library.to_owned(), Handle::current());
    Arc::new(move |name| {
        let store: Arc<dyn Store> = if let Some(url) = &settings.url {
            // Several libraries may share a server: each has collections of its own there.
            let name = format!("premise-{library}-{name}");
            Arc::new(ServerStore::connect(url, settings.api_key.as_deref(), &name, dimension)?)
        } else {
            let folder = folder.join(name);
            std::fs::create_dir_all(folder.parent().unwrap_or(&folder))
                .map_err(|error| Error::io(format_args!("make {}", folder.display()), &error))?;
            Arc::new(EdgeStore::open(&folder, dimension)?)
        };
        runtime.block_on(store.ensure_schema())?;
        info!(store = store.describe(), "opened the index");
        Ok(store)
    })
}

/// A name for this ledger that no other has.
fn library_id(db: &Db) -> Result<String> {
    if let Some(id) = db.meta("library")? {
        return Ok(id);
    }
    let id = uuid::Uuid::new_v4().simple().to_string();
    db.set_meta("library", &id)?;
    Ok(id)
}

/// The file of the model `name`, or of the settings' own, and its SHA-256 if it was verified.
pub fn model_file(settings: &config::Models, name: Option<&str>) -> Result<(PathBuf, Option<String>)> {
    let name = name.unwrap_or(&settings.generator);
    if is_path(name) {
        return Ok((name.into(), None));
    }
    let installed: Installed = models::locate(&settings.folder, models::find(name)?)?;
    let file = installed.main_file().clone();
    Ok((file.path, Some(file.sha256)))
}

fn generator(settings: &config::Models, queue: usize) -> Result<Worker<Model>> {
    let (path, sha256) = model_file(settings, None)?;
    let engine = EngineSettings { sha256, ..EngineSettings::default() };
    // One model for all of the worker's threads, opened by the first that needs it: people are answered together.
    let shared = Arc::new(Mutex::new(None::<Shared>));
    let open = move || {
        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let model = match shared.take() {
            Some(model) => model,
            None => generate::open_shared(&path, &engine)?,
        };
        Ok(Box::new(shared.insert(model).clone()) as Box<dyn Generator>)
    };
    let threads = (0..generate::PLACES).map(|_| {
        let open = open.clone();
        move || Ok::<_, Error>(Model::new(open))
    });
    Worker::spawn_many("generator", queue, threads).map_err(made)
}

fn is_path(generator: &str) -> bool {
    generator.contains(std::path::MAIN_SEPARATOR) || Path::new(generator).extension().is_some_and(|end| end == "gguf")
}

fn made<E: std::error::Error + 'static>(error: SpawnError<E>) -> Error
where
    Error: From<E>,
{
    match error {
        SpawnError::Make(_, cause) => cause.into(),
        other => Error::new(
            Kind::Internal,
            "no_thread",
            crate::error::with_causes(&other),
            "Close other programs and try again",
        ),
    }
}
