//! The ledger's tables and how an older format becomes the newest one.

use std::path::Path;

use rusqlite::Connection;

use super::{DbError, Result};

/// One step a format: the first makes the tables, a later one changes them. Never edit a step that was released.
const STEPS: &[&str] = &[
    "
    CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
    CREATE TABLE collections(id BLOB PRIMARY KEY, name TEXT NOT NULL UNIQUE, created_at TEXT NOT NULL) STRICT;
    -- A document is content: the same bytes in one collection are one document, wherever they lie.
    CREATE TABLE documents(
        id BLOB PRIMARY KEY,
        collection BLOB NOT NULL REFERENCES collections(id),
        sha256 TEXT NOT NULL,
        size_bytes INTEGER NOT NULL,
        media_type TEXT NOT NULL,
        title TEXT,
        pages INTEGER NOT NULL,
        chunks INTEGER NOT NULL,
        revision INTEGER NOT NULL,
        problems TEXT NOT NULL,
        added_at TEXT NOT NULL,
        removing INTEGER NOT NULL DEFAULT 0) STRICT;
    CREATE INDEX documents_of_collection ON documents(collection);
    -- A file is a place where a document lies.
    CREATE TABLE files(
        collection BLOB NOT NULL REFERENCES collections(id),
        file TEXT NOT NULL,
        document BLOB NOT NULL REFERENCES documents(id),
        folder TEXT,
        path TEXT,
        size_bytes INTEGER NOT NULL,
        modified_ms INTEGER NOT NULL,
        PRIMARY KEY(collection, file)) STRICT;
    CREATE INDEX files_of_document ON files(document);
    CREATE TABLE pages(
        document BLOB NOT NULL REFERENCES documents(id) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        label TEXT,
        width_pt REAL NOT NULL,
        height_pt REAL NOT NULL,
        rotation INTEGER NOT NULL,
        text TEXT NOT NULL,
        words BLOB NOT NULL,
        PRIMARY KEY(document, number)) STRICT, WITHOUT ROWID;
    CREATE TABLE chunks(
        id BLOB PRIMARY KEY,
        document BLOB NOT NULL REFERENCES documents(id) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        page_start INTEGER NOT NULL,
        page_end INTEGER NOT NULL,
        spans TEXT NOT NULL,
        text TEXT NOT NULL) STRICT;
    CREATE UNIQUE INDEX chunks_of_document ON chunks(document, number);
    CREATE TABLE failures(
        collection BLOB NOT NULL REFERENCES collections(id),
        file TEXT NOT NULL,
        folder TEXT,
        reason TEXT NOT NULL,
        hint TEXT NOT NULL,
        size_bytes INTEGER NOT NULL,
        modified_ms INTEGER NOT NULL,
        revision INTEGER NOT NULL,
        at TEXT NOT NULL,
        PRIMARY KEY(collection, file)) STRICT;
    CREATE TABLE reports(id INTEGER PRIMARY KEY, at TEXT NOT NULL, report TEXT NOT NULL) STRICT;
",
    "
    ALTER TABLE documents ADD COLUMN author TEXT;
    -- The day that it bears, as its text, name or properties say: 2018-04-30.
    ALTER TABLE documents ADD COLUMN dated TEXT;
    -- A JSON list of the headings that the chunk stands under.
    ALTER TABLE chunks ADD COLUMN section TEXT NOT NULL DEFAULT '[]';
    ALTER TABLE chunks ADD COLUMN continues INTEGER NOT NULL DEFAULT 0;
    -- Words that people put on files, to narrow searches by. They stay with the place when its content changes.
    CREATE TABLE labels(
        collection BLOB NOT NULL REFERENCES collections(id),
        file TEXT NOT NULL,
        label TEXT NOT NULL,
        PRIMARY KEY(collection, file, label)) STRICT, WITHOUT ROWID;
",
    "
    -- A JSON list of what a person should know before relying on it: hidden text, orders to a language model.
    ALTER TABLE documents ADD COLUMN cautions TEXT NOT NULL DEFAULT '[]';
",
    "
    -- What people thought of answers, each with its question, because they said so.
    CREATE TABLE feedback(
        answer BLOB PRIMARY KEY,
        at TEXT NOT NULL,
        opinion TEXT NOT NULL,
        record TEXT NOT NULL) STRICT;
",
    "
    -- Whether its text was recognised in a picture, and how far it can be trusted, from 0 to 1.
    ALTER TABLE pages ADD COLUMN recognised INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE pages ADD COLUMN confidence REAL NOT NULL DEFAULT 1;
    -- Every search asks it of its chunks, and pages have long texts before these columns: named in the query, since the
    -- planner does not see that.
    CREATE INDEX recognised_pages ON pages(document, number, confidence) WHERE recognised;
    -- Every file that is read is looked up by its bytes.
    CREATE INDEX documents_of_content ON documents(sha256);
    -- The languages that its pictures were read in; empty when nobody was there to read them, NULL when it has none.
    ALTER TABLE documents ADD COLUMN recognition TEXT;
    -- What a file waits for that is no fault of its own: recognition or a password.
    ALTER TABLE failures ADD COLUMN awaits TEXT;
",
];

pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<()> {
    let error = |source| DbError::Sqlite { doing: "bring the format up to date", path: path.to_owned(), source };
    let known = STEPS.len() as i64;
    let found: i64 = connection.pragma_query_value(None, "user_version", |r| r.get(0)).map_err(error)?;
    if found > known {
        return Err(DbError::Newer { path: path.to_owned(), found, known });
    }
    for (done, step) in STEPS.iter().enumerate().skip(found as usize) {
        let transaction = connection.transaction().map_err(error)?;
        transaction.execute_batch(step).map_err(error)?;
        transaction.pragma_update(None, "user_version", done as i64 + 1).map_err(error)?;
        transaction.commit().map_err(error)?;
    }
    Ok(())
}
