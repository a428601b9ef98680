//! The truth: collections, documents with their pages and chunks, where each file lies, what failed, past reports.
//! The vector index can always be rebuilt from here. Every call blocks: make it on a blocking thread.

mod documents;
mod feedback;
mod files;
mod labels;
mod names;
mod reports;
mod schema;
mod words;

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use serde::Serialize;
use uuid::Uuid;

pub use self::{
    documents::{
        ChunkRow, DocumentRow, Listing, NewDocument, PageRow, PartlyRead, document_id, point_id,
        recognised_document_id, recognition,
    },
    feedback::FeedbackRow,
    files::{FileRow, Origin, Place},
    labels::Narrowing,
    names::NameRow,
    reports::{Awaits, Failure, StoredReport},
};
use crate::store::{CollectionId, DocumentId};

/// What can go wrong with the ledger.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// `SQLite` refused: the message says what was being done.
    #[error("cannot {doing} in the ledger {path}: {source}")]
    Sqlite {
        /// What was being done, as a verb with its object.
        doing: &'static str,
        /// The ledger's file.
        path: PathBuf,
        /// The cause.
        source: rusqlite::Error,
    },
    /// The file was written by a newer version of this program.
    #[error(
        "the ledger {path} has format {found}, and this program knows formats up to {known}: use the newer program"
    )]
    Newer {
        /// The ledger's file.
        path: PathBuf,
        /// Format number found.
        found: i64,
        /// Newest format number known.
        known: i64,
    },
}

impl DbError {
    /// True when the disk has no room left.
    pub fn is_disk_full(&self) -> bool {
        let Self::Sqlite { source, path, .. } = self else { return false };
        match source.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => true,
            // What SQLite says when not even the small file beside the ledger fits; the disk itself is asked.
            Some(rusqlite::ErrorCode::SystemIoFailure) => path.parent().is_some_and(has_no_room),
            _ => false,
        }
    }
}

fn has_no_room(folder: &Path) -> bool {
    use std::io::{ErrorKind, Write};
    let probed = tempfile::NamedTempFile::new_in(folder).and_then(|mut file| file.write_all(&vec![0; 64 << 10]));
    probed.is_err_and(|error| matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded))
}

/// A result of the ledger.
pub type Result<T> = std::result::Result<T, DbError>;

/// The ledger: one connection that writes and one that reads, so that a long write does not hold up questions.
pub struct Db {
    path: PathBuf,
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
}

/// A collection (a matter, a department) with its size.
#[derive(Debug, Clone, Serialize)]
pub struct CollectionSummary {
    /// Its identity in the index.
    #[serde(skip)]
    pub id: CollectionId,
    /// Its name.
    pub name: String,
    /// How many documents it holds.
    pub documents: u64,
    /// How many pages they have.
    pub pages: u64,
}

/// How much the ledger holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Documents that can be searched.
    pub documents: u64,
    /// Their pages.
    pub pages: u64,
    /// Their chunks.
    pub chunks: u64,
}

impl Db {
    /// Opens the ledger at `path`, making it when it is not there and bringing an older format up to date.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |doing| move |source| DbError::Sqlite { doing, path: path.to_owned(), source };
        let mut writer = Connection::open(path).map_err(failed("open"))?;
        // FULL: a document that was reported as added survives a power cut.
        writer
            .execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;")
            .map_err(failed("set up"))?;
        schema::migrate(&mut writer, path)?;
        let reader =
            Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)
                .map_err(failed("open"))?;
        reader.execute_batch("PRAGMA query_only=ON; PRAGMA cache_size=-32000;").map_err(failed("set up"))?;
        Ok(Self { path: path.to_owned(), writer: Mutex::new(writer), reader: Mutex::new(reader) })
    }

    /// The collection of that name, made when it is not there.
    pub fn ensure_collection(&self, name: &str) -> Result<CollectionId> {
        if let Some(id) = self.collection(name)? {
            return Ok(id);
        }
        let id = Uuid::new_v4();
        self.write("make a collection", |c| {
            c.execute(
                "INSERT INTO collections(id, name, created_at) VALUES (?1, ?2, ?3) ON CONFLICT(name) DO NOTHING",
                params![id, name, chrono::Utc::now()],
            )
        })?;
        Ok(self.collection(name)?.unwrap_or(CollectionId(id)))
    }

    /// The collection of that name, if there is one.
    pub fn collection(&self, name: &str) -> Result<Option<CollectionId>> {
        self.read("look up a collection", |c| {
            c.query_row("SELECT id FROM collections WHERE name = ?1", [name], |r| r.get(0)).optional()
        })
        .map(|id: Option<Uuid>| id.map(CollectionId))
    }

    /// All collections that hold something, by name.
    pub fn collections(&self) -> Result<Vec<CollectionSummary>> {
        self.read("list collections", |c| {
            c.prepare(
                "SELECT c.id, c.name, count(d.id), coalesce(sum(d.pages), 0) FROM collections c
                 JOIN documents d ON d.collection = c.id AND NOT d.removing GROUP BY c.id ORDER BY c.name",
            )?
            .query_map([], |r| {
                Ok(CollectionSummary {
                    id: CollectionId(r.get(0)?),
                    name: r.get(1)?,
                    documents: r.get(2)?,
                    pages: r.get(3)?,
                })
            })?
            .collect()
        })
    }

    /// What a collection is called.
    pub fn collection_name(&self, id: CollectionId) -> Result<Option<String>> {
        self.read("look up a collection", |c| {
            c.query_row("SELECT name FROM collections WHERE id = ?1", [id], |r| r.get(0)).optional()
        })
    }

    /// How much there is over all collections.
    pub fn totals(&self) -> Result<Totals> {
        self.read("count documents", |c| {
            c.query_row(
                "SELECT count(*), coalesce(sum(pages), 0), coalesce(sum(chunks), 0) FROM documents WHERE NOT removing",
                [],
                |r| Ok(Totals { documents: r.get(0)?, pages: r.get(1)?, chunks: r.get(2)? }),
            )
        })
    }

    /// A setting that the program itself keeps (which index is the live one, say).
    pub fn meta(&self, key: &str) -> Result<Option<String>> {
        self.read("read a mark", |c| {
            c.query_row("SELECT value FROM meta WHERE key = ?1", [key], |r| r.get(0)).optional()
        })
    }

    /// Keeps such a setting.
    pub fn set_meta(&self, key: &str, value: &str) -> Result<()> {
        self.write("keep a mark", |c| {
            c.execute(
                "INSERT INTO meta(key, value) VALUES (?1, ?2) ON CONFLICT(key) DO UPDATE SET value = excluded.value",
                [key, value],
            )
        })
        .map(drop)
    }

    /// Keeps several of them at once, all or none; what is `None` goes.
    pub fn set_metas(&self, values: &[(&str, Option<&str>)]) -> Result<()> {
        self.write("keep marks", |c| {
            for (key, value) in values {
                c.execute("DELETE FROM meta WHERE key = ?1", [key])?;
                if let Some(value) = value {
                    c.execute("INSERT INTO meta(key, value) VALUES (?1, ?2)", [key, value])?;
                }
            }
            Ok(())
        })
    }

    fn read<T>(&self, doing: &'static str, f: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        f(&lock(&self.reader)).map_err(|source| self.error(doing, source))
    }

    fn write<T>(
        &self,
        doing: &'static str,
        f: impl FnOnce(&rusqlite::Transaction) -> rusqlite::Result<T>,
    ) -> Result<T> {
        let mut connection = lock(&self.writer);
        let result = connection.transaction().and_then(|transaction| {
            let value = f(&transaction)?;
            transaction.commit().map(|()| value)
        });
        result.map_err(|source| self.error(doing, source))
    }

    fn error(&self, doing: &'static str, source: rusqlite::Error) -> DbError {
        DbError::Sqlite { doing, path: self.path.clone(), source }
    }
}

// A panic inside a transaction rolls it back when the guard unwinds, so the connection is whole.
fn lock(connection: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

impl rusqlite::ToSql for DocumentId {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}

impl rusqlite::ToSql for CollectionId {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}
