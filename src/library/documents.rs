//! Documents in and out by hand: add files, take one out, show a page or the original.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::UNIX_EPOCH,
};

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{
    Cautioned, Library, OnProgress,
    gather::{Gathered, gather_files},
    ingest::Source,
    narrow::unknown_collection,
};
use crate::{
    db::{DocumentRow, Failure, Origin, PartlyRead, Place},
    error::{Error, Kind, Result},
    store::{CollectionId, DocumentId},
};

/// What came of adding files.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Added {
    /// Files that are in now.
    pub added: Vec<String>,
    /// Files that could not be read, with the reason.
    pub failed: Vec<Failure>,
    /// Files of kinds that are not read, in folders or carried by other files.
    #[serde(default)]
    pub unsupported: Vec<String>,
    /// Files to be taken with care.
    #[serde(default)]
    pub cautioned: Vec<Cautioned>,
    /// Files that are in, but not all of them.
    #[serde(default)]
    pub partly: Vec<PartlyRead>,
    /// Pages that were read.
    pub pages: u64,
    /// Chunks that were embedded.
    pub chunks: u64,
    /// How long it took.
    pub seconds: f64,
    /// Share of that time in which the embedders worked, 0 to 1.
    pub embedder_busy: f64,
    /// True when it was stopped before the end; the same command goes on where it stopped.
    pub interrupted: bool,
}

/// A page's text, for showing a quote in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PageText {
    /// The file.
    pub file: String,
    /// Page number from 1.
    pub page: u32,
    /// How many pages the document has.
    pub pages: u32,
    /// The text.
    pub text: String,
    /// How sure text recognition was of its words, from 0 to 1; absent when the text is the file's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recognised: Option<f32>,
}

/// Longest label in characters, and most labels on a file.
const MOST_LABEL_CHARS: usize = 60;
const MOST_LABELS: usize = 20;

impl Library {
    /// Puts labels on a document's files in place of those that they had.
    pub fn set_labels(&self, id: DocumentId, labels: &[String]) -> Result<DocumentRow> {
        let mut labels: Vec<String> =
            labels.iter().map(|label| label.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        labels.retain(|label| !label.is_empty());
        labels.sort();
        labels.dedup();
        if labels.len() > MOST_LABELS || labels.iter().any(|label| label.chars().count() > MOST_LABEL_CHARS) {
            return Err(Error::new(
                Kind::BadInput,
                "bad_labels",
                format!("a file takes {MOST_LABELS} labels of {MOST_LABEL_CHARS} characters at most"),
                "Use fewer or shorter ones",
            ));
        }
        self.db.set_labels(id, &labels)?;
        self.db.document(id)?.ok_or_else(|| {
            Error::new(Kind::NotFound, "unknown_document", "there is no such document", "It may have been removed")
        })
    }

    /// Adds files, and the files of folders, to a collection. A copy of each is kept in the data folder; passwords that
    /// are given for them are not. Blocks.
    pub fn add(
        &self,
        collection: &str,
        paths: &[PathBuf],
        passwords: &[SecretString],
        stop: &AtomicBool,
        on_progress: OnProgress,
    ) -> Result<Added> {
        let _running = self.running.begin("adding files");
        let collection = self.db.ensure_collection(checked_name(collection)?)?;
        let Gathered { files, mut unsupported, mut failed } = gather_files(paths);
        let mut sources = Vec::new();
        for file in files {
            match added_place(&file.path, &file.name) {
                Ok(place) => sources.push(Source { path: file.path, place }),
                Err(error) => failed.push(unreadable(&file.path, &error.message)),
            }
        }
        let ingested = self.ingest(collection, &sources, passwords, stop, &|progress| {
            self.running.note(&progress);
            on_progress(progress);
        })?;
        failed.extend(ingested.failed);
        unsupported.extend(ingested.unsupported);
        Ok(Added {
            added: ingested.documents.into_iter().map(|(_, file)| file).collect(),
            failed,
            unsupported,
            cautioned: ingested.cautioned,
            partly: ingested.partly,
            pages: ingested.pages,
            chunks: ingested.throughput.chunks,
            seconds: ingested.throughput.seconds,
            embedder_busy: ingested.throughput.embedder_busy,
            interrupted: ingested.interrupted,
        })
    }

    /// Adds one file, an upload that was received at `path`, under a name that may have folders before it. Other bytes
    /// under a name that is in already are taken for a newer version, which replaces the earlier one. Blocks.
    pub fn upload(&self, collection: &str, file: &str, path: &Path, passwords: &[SecretString]) -> Result<DocumentRow> {
        let file = checked_file_name(file)?;
        let collection = self.db.ensure_collection(checked_name(collection)?)?;
        let _running = self.running.begin("reading an upload");
        let source = Source { path: path.to_owned(), place: added_place(path, file)? };
        let stop = AtomicBool::new(false);
        let ingested =
            self.ingest(collection, &[source], passwords, &stop, &|progress| self.running.note(&progress))?;
        // What a mail carries may fail without it, and is noted on it.
        match ingested.documents.iter().find(|(_, name)| name == file) {
            Some((id, _)) => self.document(*id),
            None => Err(ingested.first_error.unwrap_or_else(|| Error::internal("the upload was not stored"))),
        }
    }

    /// A document by its identity.
    pub fn document(&self, id: DocumentId) -> Result<DocumentRow> {
        self.db.document(id)?.ok_or_else(no_document)
    }

    /// Takes a document out of the ledger and the index. Blocks.
    pub fn remove(&self, id: DocumentId) -> Result<()> {
        self.document(id)?;
        self.db.remove_document(id)?;
        self.finish_removals()
    }

    /// The collection of that name.
    pub fn collection(&self, name: &str) -> Result<CollectionId> {
        let all = self.db.collections()?;
        let known: Vec<_> = all.iter().map(|collection| collection.name.as_str()).collect();
        let found = all.iter().find(|collection| collection.name == name).map(|collection| collection.id);
        found.ok_or_else(|| unknown_collection(name, &known))
    }

    /// An empty file on the data folder's disk, for what is being received; it goes when it is dropped.
    pub fn temporary_file(&self) -> Result<tempfile::NamedTempFile> {
        let folder = self.data_dir.join("incoming");
        std::fs::create_dir_all(&folder)
            .and_then(|()| tempfile::NamedTempFile::new_in(&folder))
            .map_err(|error| Error::io("make a temporary file in the data folder", &error))
    }

    /// A page's text.
    pub fn page(&self, id: DocumentId, number: u32) -> Result<PageText> {
        let document = self.document(id)?;
        let page = self.db.page(id, number)?.ok_or_else(|| {
            Error::new(
                Kind::NotFound,
                "unknown_page",
                format!("{} has no page {number}", document.file),
                format!("It has pages 1 to {}", document.pages),
            )
        })?;
        Ok(PageText {
            file: document.file,
            page: number,
            pages: document.pages,
            text: page.text,
            recognised: page.recognised,
        })
    }

    /// The original's path and row: only while the file is still the one that was read.
    pub fn original(&self, id: DocumentId) -> Result<(PathBuf, DocumentRow)> {
        let document = self.document(id)?;
        let copy = self.copy_path(&document.sha256);
        let path = if copy.exists() { Some(copy) } else { self.db.path_of(id)? };
        let path = path.ok_or_else(|| {
            Error::new(Kind::NotFound, "no_original", "the original is not kept", "Add the file again")
        })?;
        let hash = premise_ingest::hash_file(&path)
            .map_err(|error| Error::io(format_args!("open the original of {}", document.file), &error))?;
        if hash != document.sha256 {
            return Err(Error::new(
                Kind::Conflict,
                "original_changed",
                format!("{} has changed since it was read", document.file),
                "It is read again at the next sync; run `premise sync` to do it now",
            ));
        }
        Ok((path, document))
    }
}

/// The error of a run that was stopped.
pub(crate) fn stopped() -> Error {
    Error::new(
        Kind::Stopped,
        "stopped",
        "stopped before the end",
        "Run the same command again: it goes on where it stopped",
    )
}

fn no_document() -> Error {
    Error::new(Kind::NotFound, "unknown_document", "there is no such document", "The list of files shows what is in")
}

pub(super) fn unreadable(path: &Path, reason: &str) -> Failure {
    Failure {
        file: path.display().to_string(),
        reason: reason.to_owned(),
        hint: "Check that it is there and that this account may read it".to_owned(),
        size_bytes: 0,
        modified_ms: 0,
        awaits: None,
    }
}

fn added_place(path: &Path, name: &str) -> Result<Place> {
    let metadata = std::fs::metadata(path).map_err(|error| Error::io("open it", &error))?;
    Ok(Place {
        file: name.to_owned(),
        origin: Origin::Added,
        size_bytes: metadata.len(),
        modified_ms: metadata
            .modified()
            .ok()
            .and_then(|at| at.duration_since(UNIX_EPOCH).ok())
            .map_or(0, |since| since.as_millis() as i64),
    })
}

/// A collection's name as people may write it.
pub(super) fn checked_name(name: &str) -> Result<&str> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
        return Err(Error::new(
            Kind::BadInput,
            "bad_collection_name",
            "a collection needs a name of 1 to 100 characters",
            "Use a short name such as \"leases\"",
        ));
    }
    Ok(name)
}

/// Longest name of a file, or of a folder before it: as on Linux.
const MOST_PART_BYTES: usize = 255;
/// Longest name with all folders before it.
const MOST_NAME_BYTES: usize = 1_024;

/// A file's name as people may send it: plain, or with the plain names of folders before it.
fn checked_file_name(name: &str) -> Result<&str> {
    let name = name.trim();
    let is_plain = |part: &str| !matches!(part, "" | "." | "..") && part.len() <= MOST_PART_BYTES;
    let is_clean = !name.contains('\\') && !name.chars().any(char::is_control);
    if name.len() > MOST_NAME_BYTES || !is_clean || !name.split('/').all(is_plain) {
        return Err(Error::new(
            Kind::BadInput,
            "bad_file_name",
            "the file needs a plain name",
            "Use a name such as lease.pdf, or Smith/lease.pdf with the folder before it",
        ));
    }
    Ok(name)
}

/// True when a run should end.
pub(super) fn is_stopped(stop: &AtomicBool) -> bool {
    stop.load(Ordering::Relaxed)
}
