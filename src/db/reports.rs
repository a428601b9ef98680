//! What failed, file by file, and the reports of past syncs.

use std::path::Path;

use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::{Db, Result};
use crate::store::CollectionId;

/// A file that could not be read. It is tried again when it changes or when the reader does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The file's name in its collection.
    pub file: String,
    /// Why.
    pub reason: String,
    /// What to do.
    pub hint: String,
    /// Its size then.
    #[serde(default, skip_serializing)]
    pub size_bytes: u64,
    /// When it had been changed.
    #[serde(default, skip_serializing)]
    pub modified_ms: i64,
    /// What it waits for, when it is no fault of its own.
    #[serde(skip)]
    pub awaits: Option<Awaits>,
}

/// What lets a file be read that could not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaits {
    /// Someone who reads pictures.
    Recognition,
    /// The right password.
    Password,
}

impl Awaits {
    const ALL: [(Self, &'static str); 2] = [(Self::Recognition, "recognition"), (Self::Password, "password")];

    fn word(self) -> &'static str {
        Self::ALL.iter().find(|(awaits, _)| *awaits == self).map_or("", |(_, word)| word)
    }

    fn of_word(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == word).map(|&(awaits, _)| awaits)
    }
}

/// A report that was kept, as JSON.
#[derive(Debug, Clone)]
pub struct StoredReport {
    /// When the sync ended.
    pub at: chrono::DateTime<chrono::Utc>,
    /// The report.
    pub json: String,
}

/// How many reports are kept.
const KEPT: u32 = 400;

impl Db {
    /// Notes that a file failed; `folder` is the synced folder that it lies in, if any.
    pub fn note_failure(&self, collection: CollectionId, folder: Option<&Path>, failure: &Failure) -> Result<()> {
        self.write("note a failure", |t| {
            t.execute(
                "INSERT INTO failures(collection, file, folder, reason, hint, size_bytes, modified_ms, revision, at, awaits)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
                 ON CONFLICT(collection, file) DO UPDATE SET folder = excluded.folder, reason = excluded.reason,
                    hint = excluded.hint, size_bytes = excluded.size_bytes, modified_ms = excluded.modified_ms,
                    revision = excluded.revision, at = excluded.at, awaits = excluded.awaits",
                params![
                    collection,
                    failure.file,
                    folder.map(|folder| folder.to_string_lossy()),
                    failure.reason,
                    failure.hint,
                    failure.size_bytes,
                    failure.modified_ms,
                    premise_ingest::REVISION,
                    chrono::Utc::now(),
                    failure.awaits.map(Awaits::word),
                ],
            )
        })
        .map(drop)
    }

    /// Forgets that a file failed: it is gone, or it can be read now.
    pub fn clear_failure(&self, collection: CollectionId, file: &str) -> Result<()> {
        self.write("clear a failure", |t| {
            t.execute("DELETE FROM failures WHERE collection = ?1 AND file = ?2", params![collection, file])
        })
        .map(drop)
    }

    /// Files that this revision of the reader could not read: of one collection, or of all.
    pub fn failures(&self, collection: Option<CollectionId>) -> Result<Vec<Failure>> {
        self.failures_where("(?1 IS NULL OR collection = ?1) AND ?2 IS NULL", collection, None)
    }

    /// The same for a synced folder.
    pub fn failures_of_folder(&self, collection: CollectionId, folder: &Path) -> Result<Vec<Failure>> {
        self.failures_where("collection = ?1 AND folder = ?2", Some(collection), Some(folder))
    }

    fn failures_where(
        &self,
        condition: &str,
        collection: Option<CollectionId>,
        folder: Option<&Path>,
    ) -> Result<Vec<Failure>> {
        self.read("list failures", |c| {
            c.prepare_cached(&format!(
                "SELECT file, reason, hint, size_bytes, modified_ms, awaits FROM failures
                 WHERE {condition} AND revision = ?3 ORDER BY file"
            ))?
            .query_map(
                params![collection, folder.map(|folder| folder.to_string_lossy()), premise_ingest::REVISION],
                |r| {
                    Ok(Failure {
                        file: r.get(0)?,
                        reason: r.get(1)?,
                        hint: r.get(2)?,
                        size_bytes: r.get(3)?,
                        modified_ms: r.get(4)?,
                        awaits: r.get::<_, Option<String>>(5)?.as_deref().and_then(Awaits::of_word),
                    })
                },
            )?
            .collect()
        })
    }

    /// Keeps a sync's report.
    pub fn keep_report(&self, json: &str) -> Result<()> {
        self.write("keep a report", |t| {
            t.execute("INSERT INTO reports(at, report) VALUES (?1, ?2)", params![chrono::Utc::now(), json])?;
            t.execute("DELETE FROM reports WHERE id <= (SELECT max(id) FROM reports) - ?1", [KEPT])
        })
        .map(drop)
    }

    /// The last report.
    pub fn last_report(&self) -> Result<Option<StoredReport>> {
        self.read("read the last report", |c| {
            c.query_row("SELECT at, report FROM reports ORDER BY id DESC LIMIT 1", [], |r| {
                Ok(StoredReport { at: r.get(0)?, json: r.get(1)? })
            })
            .optional()
        })
    }
}
