//! The spine: each thing that people do with their files is one verb here, and reads top to bottom.
//!
//! Verbs that write block and are called on blocking threads; verbs that answer people are async.

mod ask;
mod carried;
mod cite;
mod claims;
mod differing;
mod documents;
mod each;
mod evidence;
mod excerpts;
mod export;
mod feedback;
mod followup;
mod gather;
mod glossary;
mod ingest;
mod leads;
mod lexical;
mod mend;
mod model;
mod names;
mod naming;
mod narrow;
mod overleaf;
mod passages;
pub mod passwords;
mod pipeline;
mod rank;
mod recent;
mod refusals;
mod refuse;
pub mod reindex;
mod rerank;
mod retrieve;
mod search;
mod sift;
mod status;
mod sync;
mod unknown;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError, atomic::AtomicBool},
    time::Duration,
};

use premise_ingest::{Limits, TokenCounter};
use tokio::runtime::Handle;

pub use self::{
    ask::{Answer, AskEvent, AskRequest, Judged, Timings},
    differing::Version,
    documents::{Added, PageText},
    each::{EachEvent, Row},
    evidence::{Quote, Signals},
    feedback::{Export, Judgement, Opinion},
    followup::Turn,
    glossary::Glossary,
    ingest::{Cautioned, OnProgress, Progress},
    mend::Mended,
    model::Model,
    refuse::{Grade, Heard},
    reindex::EmbedderChoice,
    retrieve::{Stage, Steps, Trace},
    search::{AlsoIn, Found, Passage, SearchRequest, Why},
    sift::Sifted,
    status::{Running, Status},
    sync::{MovedFile, SyncReport},
};
pub(crate) use self::{
    documents::stopped,
    excerpts::Excerpt,
    gather::{Gathered, NamedFile, gather_files},
};
pub use crate::db::PartlyRead;
use crate::{
    config,
    db::Db,
    embed::{EmbedError, Embedder, EmbedderIdentity, Reranker},
    error::{Error, Result},
    prompt::Prompts,
    reader::{NoRecogniser, Recogniser},
    store::{Point, Store, StoreError},
    worker::Worker,
};

/// Makes an embedder that uses that many threads.
pub type MakeEmbedder = Arc<dyn Fn(usize) -> std::result::Result<Box<dyn Embedder>, EmbedError> + Send + Sync>;
/// Opens (or makes) the index of that name.
pub type OpenIndex = Arc<dyn Fn(&str) -> Result<Arc<dyn Store>> + Send + Sync>;
/// Removes the index of that name, which is not open.
pub type RemoveIndex = Arc<dyn Fn(&str) -> Result<()> + Send + Sync>;

/// What a library is made of; [`crate::app`] chooses the parts.
pub struct Parts {
    /// The data folder.
    pub data_dir: PathBuf,
    /// The ledger.
    pub db: Db,
    /// Opens the index of a name.
    pub open_index: OpenIndex,
    /// Removes the index of a name.
    pub remove_index: RemoveIndex,
    /// The embedder's identity: an index belongs to one.
    pub embedder: EmbedderIdentity,
    /// How that embedder is named.
    pub choice: EmbedderChoice,
    /// The one that the settings name.
    pub settings: EmbedderChoice,
    /// Makes embedders for reading files.
    pub make_embedder: MakeEmbedder,
    /// The embedder for questions.
    pub questions: Worker<Box<dyn Embedder>>,
    /// Counts tokens as the embedder does.
    pub counter: TokenCounter,
    /// Most tokens of a chunk.
    pub chunk_tokens: usize,
    /// Ranks the best passages anew; without one they stay as the searches ranked them.
    pub reranker: Option<Worker<Box<dyn Reranker>>>,
    /// Most time that it may take for a question.
    pub rerank_time: Duration,
    /// The model that writes answers; without one, searching still works and asking says what is missing.
    pub generator: Result<Worker<Model>>,
    /// Name of that model.
    pub generator_name: String,
    /// SHA-256 of its file, when it was verified.
    pub generator_sha256: Option<String>,
    /// Prompt templates.
    pub prompts: Prompts,
    /// What people call things that files say in other words.
    pub glossary: Glossary,
    /// How questions are answered.
    pub answer: config::Answer,
    /// What the process that reads files may use.
    pub reading: config::Reading,
    /// How the text of pictures is recognised.
    pub ocr: config::Ocr,
    /// For each collection, the file with the passwords of its locked files.
    pub password_files: BTreeMap<String, PathBuf>,
}

/// A data folder with all that can be done with it.
pub struct Library {
    data_dir: PathBuf,
    db: Db,
    remove_index: RemoveIndex,
    index: Arc<dyn Store>,
    index_name: String,
    embedder: EmbedderIdentity,
    choice: EmbedderChoice,
    settings: EmbedderChoice,
    make_embedder: MakeEmbedder,
    idle_embedders: Mutex<Vec<Box<dyn Embedder>>>,
    questions: Worker<Box<dyn Embedder>>,
    counter: TokenCounter,
    chunk_tokens: usize,
    limits: Limits,
    reranker: Option<Worker<Box<dyn Reranker>>>,
    rerank_time: Duration,
    generator: Result<Worker<Model>>,
    generator_name: String,
    generator_sha256: Option<String>,
    recent: recent::Recent,
    prompts: Prompts,
    glossary: Glossary,
    answer: config::Answer,
    refusal: Arc<refuse::Refusal>,
    reading: config::Reading,
    ocr: config::Ocr,
    recogniser: OnceLock<std::result::Result<Recogniser, NoRecogniser>>,
    password_files: BTreeMap<String, PathBuf>,
    names: names::Names,
    priority: Arc<pipeline::Priority>,
    running: status::Activity,
    syncing: Mutex<()>,
    runtime: Handle,
}

impl Library {
    /// Opens the library within a runtime. [`Library::mend`] then puts right what a crash may have left.
    pub fn open(parts: Parts) -> Result<Self> {
        let name = reindex::index_in_use(&parts)?;
        Self::assemble(parts, name)
    }

    fn assemble(parts: Parts, index_name: String) -> Result<Self> {
        let index = (parts.open_index)(&index_name)?;
        let refusals = parts.answer.refusals.as_deref();
        let refusal = refuse::Refusal::load(refusals, &parts.embedder.name, &parts.generator_name)?;
        Ok(Self {
            data_dir: parts.data_dir,
            db: parts.db,
            remove_index: parts.remove_index,
            index,
            index_name,
            embedder: parts.embedder,
            choice: parts.choice,
            settings: parts.settings,
            make_embedder: parts.make_embedder,
            idle_embedders: Mutex::default(),
            questions: parts.questions,
            counter: parts.counter,
            chunk_tokens: parts.chunk_tokens,
            limits: Limits::default(),
            reranker: parts.reranker,
            rerank_time: parts.rerank_time,
            generator: parts.generator,
            generator_name: parts.generator_name,
            generator_sha256: parts.generator_sha256,
            recent: recent::Recent::default(),
            prompts: parts.prompts,
            glossary: parts.glossary,
            refusal: Arc::new(refusal),
            answer: parts.answer,
            reading: parts.reading,
            ocr: parts.ocr,
            recogniser: OnceLock::new(),
            password_files: parts.password_files,
            names: names::Names::default(),
            priority: Arc::default(),
            running: status::Activity::default(),
            syncing: Mutex::default(),
            runtime: Handle::current(),
        })
    }

    /// The ledger, for doors that list what is in.
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// Runs what reads the ledger on a blocking thread.
    pub async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let library = self.clone();
        tokio::task::spawn_blocking(move || work(&library)).await.map_err(Error::internal)?
    }

    /// The embedder that questions are embedded with.
    pub(crate) fn embedder_for_questions(&self) -> &Worker<Box<dyn Embedder>> {
        &self.questions
    }

    /// Makes one that passages are embedded with.
    pub(crate) fn embedder_for_passages(&self) -> Result<Box<dyn Embedder>> {
        Ok((self.make_embedder)(1)?)
    }

    /// Writes points that were not read from files: for benchmarks, which put their documents into the ledger too.
    pub(crate) fn store_for_bench(&self, points: Vec<Point>) -> Result<()> {
        let store = self.store();
        self.wait(store.upsert(points))?;
        self.wait(store.flush())
    }

    /// What an ingest ends with: the index is optimised and the names are read.
    pub(crate) fn settle(&self) -> Result<()> {
        self.wait(self.store().maintain())?;
        self.identities().map(drop)
    }

    fn store(&self) -> Arc<dyn Store> {
        self.index.clone()
    }

    /// Waits on a blocking thread for the store.
    fn wait<T>(&self, work: impl Future<Output = std::result::Result<T, StoreError>>) -> Result<T> {
        Ok(self.runtime.block_on(work)?)
    }

    /// One embedder a core, kept for the next ingest once made.
    fn take_embedders(&self) -> Result<Vec<Box<dyn Embedder>>> {
        let mut embedders = std::mem::take(&mut *self.idle_embedders.lock().unwrap_or_else(PoisonError::into_inner));
        let wanted = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_EMBEDDERS);
        while embedders.len() < wanted {
            embedders.push((self.make_embedder)(1)?);
        }
        Ok(embedders)
    }

    fn return_embedders(&self, embedders: Vec<Box<dyn Embedder>>) {
        let mut idle = self.idle_embedders.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.is_empty() {
            *idle = embedders;
        }
    }

    /// Who reads pictures, looked for once; or why nobody does. Blocks the first time.
    pub fn recogniser(&self) -> std::result::Result<&Recogniser, &NoRecogniser> {
        self.recogniser.get_or_init(|| Recogniser::find(&self.ocr, &self.reading)).as_ref()
    }

    /// The languages that pictures are read in, if anyone reads them.
    fn recognised_languages(&self) -> Option<&str> {
        self.recogniser().ok().map(Recogniser::languages)
    }

    /// What was recognised in the pictures of a file.
    fn recognised_path(&self, sha256: &str) -> PathBuf {
        self.data_dir.join("recognised").join(sha256)
    }

    /// Files that were added or uploaded are kept under their hash, so that they can be shown and read again.
    fn copy_path(&self, sha256: &str) -> PathBuf {
        self.data_dir.join("files").join(sha256.get(..2).unwrap_or("00")).join(sha256)
    }

    fn keep_copy(&self, sha256: &str, bytes: &[u8]) -> Result<()> {
        let path = self.copy_path(sha256);
        if path.exists() {
            return Ok(());
        }
        write_durably(&path, bytes).map_err(|error| Error::io("keep a copy of the file in the data folder", &error))
    }

    fn drop_copy(&self, sha256: &str) -> Result<()> {
        if !self.db.has_content(sha256)? {
            premise_ingest::drop_kept(&self.recognised_path(sha256));
        }
        if self.db.uses_copy(sha256)? {
            return Ok(());
        }
        match std::fs::remove_file(self.copy_path(sha256)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io("remove the kept copy of a file", &error))
            }
            _ => Ok(()),
        }
    }
}

/// Above this more embedders only compete for memory bandwidth.
const MOST_EMBEDDERS: usize = 16;

/// Never half a file under the final name: a temporary file beside it is flushed and renamed.
fn write_durably(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// A flag that nobody raises.
pub(crate) fn never() -> &'static AtomicBool {
    static NEVER: AtomicBool = AtomicBool::new(false);
    &NEVER
}
