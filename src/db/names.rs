//! What the ledger knows of a document by which people could call it: its files, its title, how it begins.

use rusqlite::params;

use super::{Db, Result};
use crate::store::{CollectionId, DocumentId};

/// A document's names.
#[derive(Debug, Clone)]
pub struct NameRow {
    /// The document.
    pub id: DocumentId,
    /// Its collection.
    pub collection: CollectionId,
    /// The files that it lies in.
    pub files: Vec<String>,
    /// Its title, when it states one.
    pub title: Option<String>,
    /// How many chunks it has.
    pub chunks: u32,
}

impl Db {
    /// A number that differs from an earlier one when the ledger was written to in between.
    pub fn change_mark(&self) -> Result<i64> {
        self.read("look for changes", |c| c.pragma_query_value(None, "data_version", |r| r.get(0)))
    }

    /// The names of all documents that can be searched, in the order of their identities.
    pub fn names(&self) -> Result<Vec<NameRow>> {
        self.read("list the names of documents", |c| {
            let mut rows: Vec<NameRow> = Vec::new();
            let mut find = c.prepare_cached(
                "SELECT d.id, d.collection, f.file, d.title, d.chunks FROM documents d
                 JOIN files f ON f.document = d.id WHERE NOT d.removing ORDER BY d.id, f.file",
            )?;
            let mut found = find.query([])?;
            while let Some(r) = found.next()? {
                let id = DocumentId(r.get(0)?);
                match rows.last_mut() {
                    Some(row) if row.id == id => row.files.push(r.get(2)?),
                    _ => rows.push(NameRow {
                        id,
                        collection: CollectionId(r.get(1)?),
                        files: vec![r.get(2)?],
                        title: r.get(3)?,
                        chunks: r.get(4)?,
                    }),
                }
            }
            Ok(rows)
        })
    }

    /// The beginning of a document's first two pages.
    pub fn opening(&self, document: DocumentId) -> Result<String> {
        self.texts(
            "read how a document begins",
            "SELECT substr(text, 1, 2000) FROM pages WHERE document = ?1 AND number <= ?2 ORDER BY number",
            document,
            2,
        )
    }

    /// Up to that many chunks spread over a document, without its first: how its running text reads.
    pub fn sample(&self, document: DocumentId, chunks: u32) -> Result<String> {
        self.texts(
            "read a sample of a document",
            "SELECT k.text FROM chunks k JOIN documents d ON d.id = k.document
             WHERE k.document = ?1 AND k.number > 0 AND k.number % max(1, d.chunks / ?2) = 0
             ORDER BY k.number LIMIT ?2",
            document,
            chunks,
        )
    }

    fn texts(&self, doing: &'static str, sql: &str, document: DocumentId, most: u32) -> Result<String> {
        self.read(doing, |c| {
            let texts: Vec<String> = c
                .prepare_cached(sql)?
                .query_map(params![document, most], |r| r.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            Ok(texts.join("\n"))
        })
    }
}
