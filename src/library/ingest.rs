//! Files in, searchable documents out. The order that makes a crash harmless: the points are written to the index
//! and flushed, then the ledger turns to the document, then what it replaces goes from the index.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use premise_ingest::{Caution, Limits};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::{
    Library,
    carried::{self, Prepared, Step, Tools},
    pipeline::{self, Embedded, Inlet, Run, Throughput, Work},
};
use crate::{
    db::{Awaits, Failure, NewDocument, Origin, PartlyRead, Place},
    error::{self, Error, Kind, Result},
    reader::Reader,
    store::{CollectionId, DocumentId, Filter},
};

/// A file to be read.
pub(super) struct Source {
    pub path: PathBuf,
    /// Its place in the collection.
    pub place: Place,
}

/// What an ingest does, as it does it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Progress {
    /// How much there is to read.
    Planned {
        /// Files.
        files: usize,
        /// Their bytes: the progress bar's length.
        size_bytes: u64,
    },
    /// A chunk was embedded.
    Advanced {
        /// Its share of the bytes.
        size_bytes: u64,
    },
    /// A file is in, or was there already.
    Added {
        /// Its name.
        file: String,
    },
    /// A file could not be read.
    Failed {
        /// Its name.
        file: String,
        /// Why.
        reason: String,
    },
    /// The index is being put in order for quick search.
    Maintaining,
}

/// Takes progress; called from several threads.
pub type OnProgress<'a> = &'a (dyn Fn(Progress) + Sync);

/// What came of the files.
#[derive(Default)]
pub(super) struct Ingested {
    /// Documents that are now in, with the file each was read from.
    pub documents: Vec<(DocumentId, String)>,
    pub failed: Vec<Failure>,
    /// Those that are in now, but not all of them.
    pub partly: Vec<PartlyRead>,
    /// Files of kinds that are not read, carried by others.
    pub unsupported: Vec<String>,
    /// Files to be careful with, and why.
    pub cautioned: Vec<Cautioned>,
    /// The first of them as an error, for a caller who brought one file.
    pub first_error: Option<Error>,
    pub pages: u64,
    pub throughput: Throughput,
    pub interrupted: bool,
}

/// A file to be careful with: it hides text from its readers, or gives orders to language models.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Cautioned {
    /// Its name.
    pub file: String,
    /// Why.
    pub cautions: Vec<Caution>,
}

impl Library {
    /// Reads files into a collection. Blocks; a failing file is one entry in `failed`. An error means that nothing
    /// more could be stored at all; what was stored before stays.
    #[expect(clippy::too_many_lines, reason = "the way of a file, top to bottom")]
    pub(super) fn ingest(
        &self,
        collection: CollectionId,
        sources: &[Source],
        given: &[SecretString],
        stop: &AtomicBool,
        on_progress: OnProgress,
    ) -> Result<Ingested> {
        on_progress(Progress::Planned {
            files: sources.len(),
            size_bytes: sources.iter().map(|source| source.place.size_bytes).sum(),
        });
        if sources.is_empty() {
            return Ok(Ingested::default());
        }
        let passwords = [given, &self.passwords(collection)?].concat();
        let result = Mutex::new(Ingested::default());
        let fatal = Mutex::new(None);
        let fail = |source: &Place, error: Error| {
            // Not the file's fault, and the next one would fare no better.
            if matches!(error.kind, Kind::DiskFull | Kind::Unavailable) {
                stop.store(true, Ordering::Relaxed);
                lock(&fatal).get_or_insert(error);
                return;
            }
            on_progress(Progress::Failed { file: source.file.clone(), reason: error.message.clone() });
            let failure = Failure {
                file: source.file.clone(),
                reason: error.message.clone(),
                hint: error.hint.clone(),
                size_bytes: source.size_bytes,
                modified_ms: source.modified_ms,
                awaits: match error.code.as_ref() {
                    error::NEEDS_RECOGNITION => Some(Awaits::Recognition),
                    error::LOCKED => Some(Awaits::Password),
                    _ => None,
                },
            };
            let folder = match &source.origin {
                Origin::Folder { folder, .. } => Some(folder.as_path()),
                Origin::Added => None,
            };
            // An upload that failed is told to its sender at once; a folder's failures are kept for the reports.
            if let Some(folder) = folder
                && let Err(problem) = self.db.note_failure(collection, Some(folder), &failure)
            {
                warn!(error = %problem, "cannot note a failure");
            }
            let mut result = lock(&result);
            result.first_error.get_or_insert(error);
            result.failed.push(failure);
        };
        let added = |id: DocumentId, file: &str, pages: usize| {
            on_progress(Progress::Added { file: file.to_owned() });
            let mut result = lock(&result);
            result.documents.push((id, file.to_owned()));
            result.pages += pages as u64;
        };

        // Places of known documents that wait for what their files carry.
        let late = Mutex::new(Vec::new());
        let settled = Mutex::new(HashSet::new());
        let produce = |inlet: &Inlet| {
            let reader = Reader::new(&self.reading, &self.limits, self.recogniser().ok());
            let mut tools = Tools { collection, reader, passwords: &passwords, stop };
            for source in sources {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                for Step { place, outcome } in self.prepare(source, &mut tools) {
                    match outcome {
                        Ok(Prepared::New(work)) => {
                            if !inlet.push(*work) {
                                return;
                            }
                        }
                        Ok(Prepared::Known { id, awaits }) => {
                            on_progress(Progress::Advanced { size_bytes: place.size_bytes });
                            lock(&late).push((id, place, awaits));
                        }
                        Ok(Prepared::Unsupported) => lock(&result).unsupported.push(place.file),
                        Err(error) if error.kind == Kind::Stopped => return,
                        Err(error) => {
                            on_progress(Progress::Advanced { size_bytes: place.size_bytes });
                            fail(&place, error);
                        }
                    }
                }
            }
        };
        let waiting = Mutex::new(Vec::new());
        let write_ready = |group: Vec<Embedded>| {
            let mut waiting = lock(&waiting);
            waiting.extend(group);
            let ready = carried::take_ready(&mut waiting, &mut lock(&settled));
            let cautioned: Vec<Cautioned> = ready.iter().filter_map(|embedded| Cautioned::of(&embedded.work)).collect();
            for (id, file, pages) in self.store_group(ready)? {
                added(id, &file, pages);
            }
            lock(&result).cautioned.extend(cautioned);
            Ok(())
        };
        let failed = |work: Work, reason: String| {
            lock(&settled).insert(work.id);
            if let Some(ledger) = work.ledger {
                fail(&ledger.place, Error::internal(reason));
            }
            Ok(())
        };
        let run = Run {
            embedders: self.take_embedders()?,
            stop,
            priority: &self.priority,
            advanced: &|size_bytes| on_progress(Progress::Advanced { size_bytes }),
        };
        let (throughput, embedders) = pipeline::run(run, produce, write_ready, failed)?;
        self.return_embedders(embedders);
        if let Some(error) = lock(&fatal).take() {
            return Err(error);
        }
        // What they waited for may have failed last.
        write_ready(Vec::new())?;
        for (id, place, awaits) in std::mem::take(&mut *lock(&late)) {
            if awaits
                .iter()
                .all(|carried| lock(&settled).contains(carried) || self.db.has_document(*carried).unwrap_or(false))
            {
                self.db.add_place(collection, id, &place)?;
                added(id, &place.file, 0);
            }
        }
        let mut result = result.into_inner().unwrap_or_else(PoisonError::into_inner);
        result.interrupted = stop.load(Ordering::Relaxed);
        result.throughput = throughput;
        for (id, file) in &result.documents {
            let problems = self.db.document(*id)?.map(|document| document.problems).unwrap_or_default();
            if !problems.is_empty() {
                result.partly.push(PartlyRead { file: file.clone(), problems });
            }
        }
        self.finish_removals()?;
        premise_ingest::trim_kept(&self.data_dir.join("recognised"), self.ocr.cache_mb << 20);
        if throughput.chunks > 0 && !result.interrupted {
            on_progress(Progress::Maintaining);
            self.settle()?;
        }
        self.identities()?;
        Ok(result)
    }

    fn store_group(&self, group: Vec<Embedded>) -> Result<Vec<(DocumentId, String, usize)>> {
        let mut documents = Vec::with_capacity(group.len());
        let mut points = Vec::new();
        for Embedded { work, points: new } in group {
            points.extend(new);
            if let Some(ledger) = work.ledger {
                documents.push(NewDocument {
                    id: work.id,
                    collection: work.collection,
                    sha256: ledger.sha256,
                    document: ledger.document,
                    chunks: work.chunks,
                    place: ledger.place,
                });
            }
        }
        if documents.is_empty() {
            return Ok(Vec::new());
        }
        let store = self.store();
        self.wait(store.upsert(points))?;
        self.wait(store.flush())?;
        self.db.put_recognised_documents(&documents, self.recognised_languages())?;
        Ok(documents
            .into_iter()
            .map(|new| {
                info!(document.id = %new.id, pages = new.document.pages.len(), chunks = new.chunks.len(), "added document");
                (new.id, new.place.file, new.document.pages.len())
            })
            .collect())
    }

    /// Takes from the index what the ledger has let go, then drops it from the ledger too.
    pub(super) fn finish_removals(&self) -> Result<()> {
        let removing = self.db.removing()?;
        if removing.is_empty() {
            return Ok(());
        }
        let store = self.store();
        for (collection, document) in &removing {
            self.wait(store.delete(*collection, Filter::documents([*document])))?;
        }
        self.wait(store.flush())?;
        for (_, document) in removing {
            if let Some(sha256) = self.db.forget(document)? {
                self.drop_copy(&sha256)?;
            }
        }
        Ok(())
    }

    /// Embeds documents again from the ledger's chunks into `store`.
    pub(super) fn embed_again(
        &self,
        documents: &[(CollectionId, DocumentId)],
        store: &dyn crate::store::Store,
        stop: &AtomicBool,
        on_progress: OnProgress,
    ) -> Result<Throughput> {
        if documents.is_empty() {
            return Ok(Throughput::default());
        }
        on_progress(Progress::Planned { files: documents.len(), size_bytes: documents.len() as u64 * 1_000_000 });
        let fatal = Mutex::new(None);
        let produce = |inlet: &Inlet| {
            for (collection, id) in documents {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                match self.db.chunks_of(*id) {
                    Ok(chunks) => {
                        let work =
                            Work { id: *id, collection: *collection, chunks, ledger: None, size_bytes: 1_000_000 };
                        if !inlet.push(work) {
                            break;
                        }
                    }
                    Err(error) => {
                        lock(&fatal).get_or_insert(Error::from(error));
                        break;
                    }
                }
            }
        };
        let write = |group: Vec<Embedded>| {
            let points = group.into_iter().flat_map(|document| document.points).collect();
            self.wait(store.upsert(points))?;
            self.wait(store.flush())
        };
        let run = Run {
            embedders: self.take_embedders()?,
            stop,
            priority: &self.priority,
            advanced: &|size_bytes| on_progress(Progress::Advanced { size_bytes }),
        };
        let (throughput, embedders) = pipeline::run(run, produce, write, |_, reason| Err(Error::internal(reason)))?;
        self.return_embedders(embedders);
        match fatal.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(throughput),
        }
    }
}

impl Cautioned {
    fn of(work: &Work) -> Option<Self> {
        let ledger = work.ledger.as_ref().filter(|ledger| !ledger.document.cautions.is_empty())?;
        Some(Self { file: ledger.place.file.clone(), cautions: ledger.document.cautions.clone() })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn read_file(path: &Path, limits: &Limits) -> Result<Vec<u8>> {
    let metadata = std::fs::metadata(path).map_err(|error| Error::io("open it", &error))?;
    if metadata.len() > limits.max_bytes as u64 {
        return Err(Error::new(
            Kind::TooLarge,
            "file_too_large",
            format!("it has {} MB, and {} MB is the most that is read", metadata.len() >> 20, limits.max_bytes >> 20),
            "Split the file into parts",
        ));
    }
    std::fs::read(path).map_err(|error| Error::io("read it", &error))
}
