//! Where documents lie: a file name in a collection, and for a synced folder the path on disk.

use std::path::{Path, PathBuf};

use rusqlite::{OptionalExtension, Transaction, params};

use super::{Db, Result};
use crate::store::{CollectionId, DocumentId};

/// A place where a document lies.
#[derive(Debug, Clone)]
pub struct Place {
    /// Name shown to people: the path within the folder that it came with, or the plain file name. Unique in a
    /// collection.
    pub file: String,
    /// Where it came from.
    pub origin: Origin,
    /// Size of the file.
    pub size_bytes: u64,
    /// When the file was last changed, in milliseconds since 1970.
    pub modified_ms: i64,
}

/// Where a file came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A file in a synced folder: it is read from there.
    Folder {
        /// The folder that is synced.
        folder: PathBuf,
        /// The file's whole path.
        path: PathBuf,
    },
    /// A file that was added or uploaded: the data folder keeps a copy.
    Added,
}

/// A file of a synced folder as the ledger has it.
#[derive(Debug, Clone)]
pub struct FileRow {
    /// Its name in the collection.
    pub file: String,
    /// Its whole path.
    pub path: PathBuf,
    /// Its document.
    pub document: DocumentId,
    /// SHA-256 of its content.
    pub sha256: String,
    /// Revision of the reader that read it.
    pub revision: u32,
    /// The languages that its pictures were read in; empty when nobody was there to read them, none when it has none.
    pub recognition: Option<String>,
    /// Size when it was read.
    pub size_bytes: u64,
    /// When it had been changed.
    pub modified_ms: i64,
}

impl FileRow {
    /// Whether it would be read as it was, by who reads pictures in `languages`, or by nobody.
    pub fn is_current(&self, languages: Option<&str>) -> bool {
        self.revision == premise_ingest::REVISION
            && super::documents::is_current(self.recognition.as_deref(), languages)
    }
}

impl Db {
    /// The files of a synced folder.
    pub fn files_of_folder(&self, collection: CollectionId, folder: &Path) -> Result<Vec<FileRow>> {
        self.read("list a folder's files", |c| {
            c.prepare(
                "SELECT f.file, f.path, f.document, d.sha256, d.revision, f.size_bytes, f.modified_ms, d.recognition
                 FROM files f JOIN documents d ON d.id = f.document WHERE f.collection = ?1 AND f.folder = ?2",
            )?
            .query_map(params![collection, folder.to_string_lossy()], |r| {
                Ok(FileRow {
                    file: r.get(0)?,
                    path: PathBuf::from(r.get::<_, String>(1)?),
                    document: DocumentId(r.get(2)?),
                    sha256: r.get(3)?,
                    revision: r.get(4)?,
                    size_bytes: r.get(5)?,
                    modified_ms: r.get(6)?,
                    recognition: r.get(7)?,
                })
            })?
            .collect()
        })
    }

    /// Names in the collection that belong to other folders or to uploads.
    pub fn other_files(&self, collection: CollectionId, folder: &Path) -> Result<Vec<String>> {
        self.read("list other files", |c| {
            c.prepare("SELECT file FROM files WHERE collection = ?1 AND folder IS NOT ?2")?
                .query_map(params![collection, folder.to_string_lossy()], |r| r.get(0))?
                .collect()
        })
    }

    /// True while some document still needs the kept copy of those bytes.
    pub fn uses_copy(&self, sha256: &str) -> Result<bool> {
        self.read("look for users of a kept copy", |c| {
            c.query_row(
                "SELECT 1 FROM documents d JOIN files f ON f.document = d.id WHERE d.sha256 = ?1 AND f.path IS NULL",
                [sha256],
                |_| Ok(()),
            )
            .optional()
            .map(|found| found.is_some())
        })
    }

    /// Where a document's bytes can be read: its path in a synced folder, if it lies in one.
    pub fn path_of(&self, document: DocumentId) -> Result<Option<PathBuf>> {
        self.read("look up where a document lies", |c| {
            c.query_row(
                "SELECT path FROM files WHERE document = ?1 AND path IS NOT NULL ORDER BY file LIMIT 1",
                [document],
                |r| r.get::<_, String>(0),
            )
            .optional()
            .map(|path| path.map(PathBuf::from))
        })
    }

    /// Adds a place to a document that the ledger already has.
    pub fn add_place(&self, collection: CollectionId, document: DocumentId, new: &Place) -> Result<()> {
        self.write("add a file", |t| {
            t.execute("UPDATE documents SET removing = 0 WHERE id = ?1", [document])?;
            // A moved file keeps its labels, and a copy has those of what it is a copy of.
            t.execute(
                "INSERT OR IGNORE INTO labels(collection, file, label)
                 SELECT l.collection, ?3, l.label FROM labels l JOIN files f ON f.collection = l.collection AND f.file = l.file
                 WHERE f.document = ?2 AND f.collection = ?1",
                params![collection, document, new.file],
            )?;
            place(t, collection, document, new)
        })
    }

    /// Takes a file out; its document goes when it lies nowhere else.
    pub fn remove_file(&self, collection: CollectionId, file: &str) -> Result<bool> {
        self.write("take a file out", |t| {
            let gone = t.execute("DELETE FROM files WHERE collection = ?1 AND file = ?2", params![collection, file])?;
            t.execute("DELETE FROM failures WHERE collection = ?1 AND file = ?2", params![collection, file])?;
            t.execute("DELETE FROM labels WHERE collection = ?1 AND file = ?2", params![collection, file])?;
            mark_unplaced(t, collection)?;
            Ok(gone > 0)
        })
    }

    /// Takes a document out, wherever it lies.
    pub fn remove_document(&self, id: DocumentId) -> Result<bool> {
        self.write("take a document out", |t| {
            t.execute(
                "DELETE FROM labels WHERE (collection, file) IN (SELECT collection, file FROM files WHERE document = ?1)",
                [id],
            )?;
            t.execute("DELETE FROM files WHERE document = ?1", [id])?;
            t.execute("UPDATE documents SET removing = 1 WHERE id = ?1", [id]).map(|rows| rows > 0)
        })
    }
}

pub(super) fn place(
    t: &Transaction,
    collection: CollectionId,
    document: DocumentId,
    new: &Place,
) -> rusqlite::Result<()> {
    let (folder, path) = match &new.origin {
        Origin::Folder { folder, path } => (Some(folder.to_string_lossy()), Some(path.to_string_lossy())),
        Origin::Added => (None, None),
    };
    t.execute(
        "INSERT INTO files(collection, file, document, folder, path, size_bytes, modified_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT(collection, file) DO UPDATE SET document = excluded.document, folder = excluded.folder,
            path = excluded.path, size_bytes = excluded.size_bytes, modified_ms = excluded.modified_ms",
        params![collection, new.file, document, folder, path, new.size_bytes, new.modified_ms],
    )?;
    t.execute("DELETE FROM failures WHERE collection = ?1 AND file = ?2", params![collection, new.file])?;
    mark_unplaced(t, collection)
}

fn mark_unplaced(t: &Transaction, collection: CollectionId) -> rusqlite::Result<()> {
    t.execute(
        "UPDATE documents SET removing = 1 WHERE collection = ?1 AND NOT removing
         AND NOT EXISTS (SELECT 1 FROM files f WHERE f.document = documents.id)",
        [collection],
    )
    .map(drop)
}
