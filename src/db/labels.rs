//! Labels on files, and which documents are left when a search is narrowed by label, date or type.

use std::fmt::Write;

use rusqlite::{ToSql, params};

use super::{Db, Result};
use crate::store::{CollectionId, DocumentId, Scope};

/// By what documents are chosen; what is empty chooses nothing out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Narrowing {
    /// Media types, one of which the document must have.
    pub media_types: Vec<String>,
    /// Labels, one of which one of its files must have.
    pub labels: Vec<String>,
    /// The first day that it may bear.
    pub dated_from: Option<chrono::NaiveDate>,
    /// The last day that it may bear.
    pub dated_to: Option<chrono::NaiveDate>,
}

impl Db {
    /// The documents of the scope that a narrowing leaves.
    pub fn documents_within(&self, scope: &Scope, narrowing: &Narrowing) -> Result<Vec<DocumentId>> {
        let mut sql = String::from("SELECT d.id FROM documents d WHERE NOT d.removing");
        let mut values: Vec<&dyn ToSql> = Vec::new();
        let any_of = |sql: &mut String, column: &str, count: usize| {
            let _ = write!(sql, "{column} IN ({})", vec!["?"; count].join(","));
        };
        any_of(&mut sql, " AND d.collection", scope.collections().len());
        values.extend(scope.collections().iter().map(as_sql));
        if !narrowing.media_types.is_empty() {
            any_of(&mut sql, " AND d.media_type", narrowing.media_types.len());
            values.extend(narrowing.media_types.iter().map(as_sql));
        }
        if !narrowing.labels.is_empty() {
            sql.push_str(
                " AND EXISTS (SELECT 1 FROM labels l JOIN files f ON f.collection = l.collection AND f.file = l.file
                  WHERE f.document = d.id AND ",
            );
            any_of(&mut sql, "l.label", narrowing.labels.len());
            values.extend(narrowing.labels.iter().map(as_sql));
            sql.push(')');
        }
        if let Some(from) = &narrowing.dated_from {
            sql.push_str(" AND d.dated >= ?");
            values.push(from);
        }
        if let Some(to) = &narrowing.dated_to {
            sql.push_str(" AND d.dated <= ?");
            values.push(to);
        }
        self.read("choose documents", |c| {
            c.prepare(&sql)?.query_map(values.as_slice(), |r| r.get(0).map(DocumentId))?.collect()
        })
    }

    /// All labels that files have, in the order of the alphabet.
    pub fn labels(&self) -> Result<Vec<String>> {
        self.read("list labels", |c| {
            c.prepare_cached("SELECT DISTINCT label FROM labels ORDER BY label")?.query_map([], |r| r.get(0))?.collect()
        })
    }

    /// The media types that documents have, in the order of the alphabet.
    pub fn media_types(&self) -> Result<Vec<String>> {
        self.read("list media types", |c| {
            c.prepare_cached("SELECT DISTINCT media_type FROM documents WHERE NOT removing ORDER BY media_type")?
                .query_map([], |r| r.get(0))?
                .collect()
        })
    }

    /// Puts labels on all files of a document in place of those that they had. False when there is no such document.
    pub fn set_labels(&self, document: DocumentId, labels: &[String]) -> Result<bool> {
        self.write("label a file", |t| {
            let places: Vec<(CollectionId, String)> = t
                .prepare_cached("SELECT collection, file FROM files WHERE document = ?1")?
                .query_map([document], |r| Ok((CollectionId(r.get(0)?), r.get(1)?)))?
                .collect::<rusqlite::Result<_>>()?;
            for (collection, file) in &places {
                t.execute("DELETE FROM labels WHERE collection = ?1 AND file = ?2", params![collection, file])?;
                for label in labels {
                    t.execute(
                        "INSERT OR IGNORE INTO labels(collection, file, label) VALUES (?1, ?2, ?3)",
                        params![collection, file, label],
                    )?;
                }
            }
            Ok(!places.is_empty())
        })
    }
}

fn as_sql<T: ToSql>(value: &T) -> &dyn ToSql {
    value
}
