//! The composition root: the only place that chooses which backend stands behind each seam.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use premise_ingest::TokenCounter;
use tokio::runtime::Handle;
use tracing::info;

use crate::{
    config::{self, Settings},
    db::Db,
    embed::{self, Embedder, EmbedderIdentity, Reranker},
    error::{Error, Kind, Result},
    generate::{self, EngineSettings, Generator, Shared},
    library::{EmbedderChoice, Glossary, Library, Model, OpenIndex, Parts, RemoveIndex, reindex},
    models::{self, EmbedderPaths, Entry, Installed, Precision, VerifiedFile, local},
    prompt::Prompts,
    store::{Store, edge::EdgeStore, server::ServerStore},
    worker::{SpawnError, Worker},
};

/// The models that the settings name, as far as they are of the catalogue and not of the user's own.
pub struct Wanted {
    /// The ONNX Runtime library.
    pub runtime: &'static Entry,
    /// The embedder.
    pub embedder: Option<&'static Entry>,
    /// The reranker.
    pub reranker: Option<&'static Entry>,
    /// The generator.
    pub generator: Option<&'static Entry>,
}

/// Name of the runtime in the catalogue.
const RUNTIME: &str = "onnxruntime";
/// The weights of all embedders for questions, where there are several.
const QUESTION_EMBEDDERS_BYTES: u64 = 256 << 20;
/// Two are 1.7 times as fast as one (docs/answers.md); more were not measured.
const MOST_QUESTION_EMBEDDERS: usize = 4;
/// More threads gain little on one passage.
const MOST_RERANKER_THREADS: usize = 4;

/// What the settings ask for.
pub fn wanted(settings: &Settings) -> Result<Wanted> {
    let models = &settings.models;
    let is_local = local::is_path(&models.embedder);
    let embedder = (!is_local).then(|| models::find_embedder(&models.embedder, models.precision)).transpose()?;
    let reranker = settings.retrieval.reranker().filter(|reranker| !local::is_path(reranker));
    let generator = if local::is_gguf(&models.generator) { None } else { Some(models::find(&models.generator)?) };
    Ok(Wanted {
        runtime: models::find(RUNTIME)?,
        embedder,
        reranker: reranker.map(models::find_reranker).transpose()?,
        generator,
    })
}

/// Opens the library of a data folder that this process owns. Blocks; call it on a blocking thread of a runtime.
pub fn open_library(data_dir: &Path, settings: &Settings) -> Result<Library> {
    // A name that nobody knows is a fault of the settings, told at once; files that are missing are told when needed.
    wanted(settings)?;
    let db = open_ledger(data_dir)?;
    let embedder = embedder_in_use(&db, settings)?;
    Library::open(parts(data_dir, settings, db, embedder)?)
}

/// Opens the library with a new index beside the one in use, for a rebuild; with another embedder or precision where
/// they are given.
pub fn open_library_for_reindex(
    data_dir: &Path,
    settings: &Settings,
    embedder: Option<&str>,
    precision: Option<Precision>,
) -> Result<Library> {
    let db = open_ledger(data_dir)?;
    let in_use = embedder_in_use(&db, settings)?;
    let chosen = in_use.changed(embedder, precision)?;
    Library::open_for_reindex(parts(data_dir, settings, db, chosen)?)
}

/// Opens the library with the index that was in use before the last rebuild.
pub fn open_library_as_before(data_dir: &Path, settings: &Settings) -> Result<Library> {
    let db = open_ledger(data_dir)?;
    let embedder = reindex::embedder_before(&db)?;
    Library::open_as_before(parts(data_dir, settings, db, embedder)?)
}

/// Removes the index that was in use before the last rebuild, and one that a rebuild has not finished. How many.
pub fn drop_old_indexes(data_dir: &Path, settings: &Settings) -> Result<usize> {
    let db = open_ledger(data_dir)?;
    let remove = remove_index(data_dir, &settings.store, &library_id(&db)?);
    reindex::drop_old(&db, &remove)
}

fn open_ledger(data_dir: &Path) -> Result<Db> {
    Ok(Db::open(&data_dir.join("ledger.sqlite"))?)
}

fn embedder_in_use(db: &Db, settings: &Settings) -> Result<EmbedderChoice> {
    reindex::embedder_in_use(db, &EmbedderChoice::of(&settings.models))
}

fn parts(data_dir: &Path, settings: &Settings, db: Db, choice: EmbedderChoice) -> Result<Parts> {
    let folder = &settings.models.folder;
    let runtime = models::locate(folder, models::find(RUNTIME)?)?;
    embed::init_runtime(runtime.main_file())?;
    let embedder = choice.locate(folder)?;
    let tokenizer = std::fs::read(embedder.tokenizer())
        .map_err(|error| Error::io(format_args!("read {}", embedder.tokenizer().display()), &error))?;
    let counter = TokenCounter::from_bytes(&tokenizer).map_err(Error::internal)?;

    let for_questions = choice.locate_for_questions(folder, &embedder)?;
    let questions = embedders_for_questions(&for_questions)?;
    let identity = EmbedderIdentity::of(&embedder);
    let max_tokens = questions.run_blocking(|embedder| embedder.max_tokens())?;
    let prompts = data_dir.join("prompts");
    let generator_file = model_file(&settings.models, None);
    let library = library_id(&db)?;
    Ok(Parts {
        data_dir: data_dir.to_owned(),
        open_index: open_index(data_dir, &settings.store, &library, identity.dimension),
        remove_index: remove_index(data_dir, &settings.store, &library),
        db,
        embedder: identity,
        choice,
        settings: EmbedderChoice::of(&settings.models),
        make_embedder: Arc::new(move |threads| embed::open(&embedder, threads)),
        questions,
        counter,
        // [CLS] and [SEP] are the embedder's own.
        chunk_tokens: max_tokens.min(256) - 2,
        reranker: reranker(settings)?,
        rerank_time: Duration::from_millis(settings.retrieval.rerank_ms),
        generator: generator_file.clone().and_then(|file| generator(file, settings.answer.queue)),
        generator_name: settings.models.generator.clone(),
        generator_sha256: generator_file.ok().and_then(|(_, sha256)| sha256),
        prompts: Prompts::load(&prompts)
            .map_err(|error| Error::io(format_args!("read the prompts in {}", prompts.display()), &error))?,
        glossary: Glossary::load(&data_dir.join("glossary.txt"))?,
        answer: settings.answer.clone(),
        reading: settings.reading.clone(),
        ocr: settings.ocr.clone(),
        password_files: settings.passwords.clone(),
    })
}

/// One of one thread for each core, as far as memory goes: more threads make a short text slower, but a question has
/// many sentences to compare it with.
fn embedders_for_questions(paths: &EmbedderPaths) -> Result<Worker<Box<dyn Embedder>>> {
    let size = |file: &VerifiedFile| std::fs::metadata(&file.path).map_or(0, |file| file.len());
    let bytes = std::iter::once(&paths.graph).chain(&paths.data).map(size).sum::<u64>().max(1);
    let fit = usize::try_from(QUESTION_EMBEDDERS_BYTES / bytes).unwrap_or(usize::MAX);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let count = fit.min(cores).clamp(1, MOST_QUESTION_EMBEDDERS);
    let makes = (0..count).map(|_| {
        let paths = paths.clone();
        move || embed::open(&paths, 1)
    });
    Worker::spawn_many("questions", 64, makes).map_err(made)
}

fn reranker(settings: &Settings) -> Result<Option<Worker<Box<dyn Reranker>>>> {
    let Some(name) = settings.retrieval.reranker() else { return Ok(None) };
    let paths = if local::is_path(name) {
        local::reranker(Path::new(name))?
    } else {
        models::locate(&settings.models.folder, models::find_reranker(name)?)?.reranker()?
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_RERANKER_THREADS);
    Ok(Some(Worker::spawn("reranker", 64, move || embed::open_reranker(&paths, threads)).map_err(made)?))
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

fn remove_index(data_dir: &Path, settings: &config::Store, library: &str) -> RemoveIndex {
    let folder = data_dir.join("index");
    let (settings, library, runtime) = (settings.clone(), library.to_owned(), Handle::current());
    Arc::new(move |name| {
        if let Some(url) = &settings.url {
            let name = format!("premise-{library}-{name}");
            // Its vectors are not looked at, so their length does not matter.
            let store = ServerStore::connect(url, settings.api_key.as_deref(), &name, 1)?;
            return Ok(runtime.block_on(store.drop_qdrant_collection())?);
        }
        let folder = folder.join(name);
        // Under another name first: half an index must not be opened as one.
        let doomed = folder.with_extension("removed");
        let removed = std::fs::remove_dir_all(&doomed)
            .or_else(there_is_none)
            .and_then(|()| std::fs::rename(&folder, &doomed))
            .and_then(|()| std::fs::remove_dir_all(&doomed))
            .or_else(there_is_none);
        removed.map_err(|error| Error::io(format_args!("remove the old index {}", folder.display()), &error))
    })
}

fn there_is_none(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
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
    if local::is_gguf(name) {
        return Ok((name.into(), None));
    }
    let installed: Installed = models::locate(&settings.folder, models::find(name)?)?;
    let file = installed.main_file().clone();
    Ok((file.path, Some(file.sha256)))
}

fn generator((path, sha256): (PathBuf, Option<String>), queue: usize) -> Result<Worker<Model>> {
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
