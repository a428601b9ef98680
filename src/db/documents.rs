//! Documents with their pages and chunks: written whole in one transaction, read by page or by chunk.

use std::{collections::HashMap, path::Path};

use premise_ingest::{Caution, Chunk, Document, PageSpan, Word};
use rusqlite::{OptionalExtension, Params, ToSql, Transaction, params, params_from_iter};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Db, Result, files::Place, words};
use crate::store::{CollectionId, DocumentId, Scope};

/// A document that the index already holds, ready for the ledger.
pub struct NewDocument {
    /// Its identity, from [`document_id`].
    pub id: DocumentId,
    /// The collection that it belongs to.
    pub collection: CollectionId,
    /// SHA-256 of its bytes, lower-case hex.
    pub sha256: String,
    /// Its pages.
    pub document: Document,
    /// Its chunks, in order.
    pub chunks: Vec<Chunk>,
    /// Where it lies.
    pub place: Place,
}

/// A document as lists show it.
#[derive(Debug, Clone, Serialize)]
pub struct DocumentRow {
    /// Its identity.
    pub id: DocumentId,
    /// The file that it was read from (the first by name, when it lies in several places).
    pub file: String,
    /// The name of its collection.
    pub collection: String,
    /// Its title, when it states one.
    pub title: Option<String>,
    /// Its media type.
    pub media_type: String,
    /// How many pages it has.
    pub pages: u32,
    /// How many chunks it has in the index.
    pub chunks: u32,
    /// Size of the file.
    pub size_bytes: u64,
    /// SHA-256 of the file.
    pub sha256: String,
    /// When it was added.
    pub added_at: chrono::DateTime<chrono::Utc>,
    /// What could not be read in it, in sentences.
    pub problems: Vec<String>,
    /// Text that it hides from readers, and orders that it gives to language models.
    pub cautions: Vec<Caution>,
    /// Who wrote it, when it states that.
    pub author: Option<String>,
    /// The day that it bears, as its first page, its file name or its properties say.
    pub dated: Option<chrono::NaiveDate>,
    /// Words that people put on its files.
    pub labels: Vec<String>,
}

/// A page as it was read.
#[derive(Debug, Clone)]
pub struct PageRow {
    /// Page number from 1.
    pub number: u32,
    /// Its text: what quotes are exact spans of.
    pub text: String,
    /// Where each word stands on it.
    pub words: Vec<Word>,
    /// How sure the reader of pictures was of its words, from 0 to 1; none when its text is the file's own.
    pub recognised: Option<f32>,
}

/// A chunk with the document and the file that it came from.
#[derive(Debug, Clone)]
pub struct ChunkRow {
    /// Identity of its point in the index.
    pub id: Uuid,
    /// The document.
    pub document: DocumentId,
    /// The collection's name.
    pub collection: String,
    /// The file.
    pub file: String,
    /// The document's title, when it states one.
    pub title: Option<String>,
    /// The day that the document bears.
    pub dated: Option<chrono::NaiveDate>,
    /// Number within the document, from 0.
    pub number: u32,
    /// First page.
    pub page_start: u32,
    /// Last page.
    pub page_end: u32,
    /// Exact spans of the stored pages.
    pub spans: Vec<PageSpan>,
    /// Its text.
    pub text: String,
    /// The headings that it stands under, the outermost first.
    pub section: Vec<String>,
    /// Whether it begins within a paragraph that the chunk before has the start of.
    pub continues: bool,
    /// What a person should know of the document.
    pub cautions: Vec<Caution>,
    /// How sure the reader of pictures was of its pages, from 0 to 1; none when their text is the file's own.
    pub recognised: Option<f32>,
}

/// A file that is in, but not all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartlyRead {
    /// The file's name in its collection.
    pub file: String,
    /// What could not be read in it, in sentences.
    pub problems: Vec<String>,
}

/// Which documents to list.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// Only this collection.
    pub collection: Option<CollectionId>,
    /// Only files whose name has this in it.
    pub name_contains: Option<String>,
    /// How many to pass over.
    pub offset: u64,
    /// How many at most.
    pub limit: u64,
}

/// The same bytes in the same collection, read by the same revision of the reader, are the same document.
pub fn document_id(collection: CollectionId, sha256: &str) -> DocumentId {
    recognised_document_id(collection, sha256, None)
}

/// The same for a document with pictures, which is another one for each way in which they were read.
pub fn recognised_document_id(collection: CollectionId, sha256: &str, recognition: Option<&str>) -> DocumentId {
    let how = recognition.map(|languages| format!("/{languages}")).unwrap_or_default();
    let name = format!("{sha256}/{}{how}", premise_ingest::REVISION);
    DocumentId(Uuid::new_v5(&collection.0, name.as_bytes()))
}

/// How the pictures of a document were read: in `languages`, or not at all (empty); none when it has no pictures.
pub fn recognition<'a>(document: &Document, languages: Option<&'a str>) -> Option<&'a str> {
    if document.problems.iter().any(|problem| problem.awaits_recognition) {
        return Some("");
    }
    languages.filter(|_| document.pages.iter().any(|page| page.recognised))
}

/// Whether pictures that were read like that need not be read again by who reads `languages`, or by nobody.
pub(super) fn is_current(recognition: Option<&str>, languages: Option<&str>) -> bool {
    recognition.is_none() || languages.is_none() || recognition == languages
}

/// Identity of a document's chunk in the index.
pub fn point_id(document: DocumentId, chunk: u32) -> Uuid {
    Uuid::new_v5(&document.0, &chunk.to_be_bytes())
}

impl Db {
    /// Turns the ledger to documents whose points the index has taken durably. What their files held before and
    /// lies nowhere else any more is marked as being removed, to be finished with [`Db::forget`].
    pub fn put_documents(&self, documents: &[NewDocument]) -> Result<()> {
        self.put_recognised_documents(documents, None)
    }

    /// The same with pictures that were read in those languages.
    pub fn put_recognised_documents(&self, documents: &[NewDocument], languages: Option<&str>) -> Result<()> {
        self.write("add documents", |t| documents.iter().try_for_each(|document| put(t, document, languages)))
    }

    /// The document that those bytes are in a collection, unless its pictures should be read again by who reads
    /// `languages`.
    pub fn document_of(
        &self,
        collection: CollectionId,
        sha256: &str,
        languages: Option<&str>,
    ) -> Result<Option<DocumentId>> {
        let rows: Vec<(DocumentId, Option<String>)> = self.read("look up a document", |c| {
            c.prepare_cached(
                "SELECT id, recognition FROM documents
                 WHERE collection = ?1 AND sha256 = ?2 AND revision = ?3 AND NOT removing",
            )?
            .query_map(params![collection, sha256, premise_ingest::REVISION], |r| {
                Ok((DocumentId(r.get(0)?), r.get(1)?))
            })?
            .collect()
        })?;
        Ok(rows.into_iter().find(|(_, recognition)| is_current(recognition.as_deref(), languages)).map(|(id, _)| id))
    }

    /// True while some document is made of those bytes.
    pub fn has_content(&self, sha256: &str) -> Result<bool> {
        self.read("look for a document's bytes", |c| {
            c.query_row("SELECT 1 FROM documents WHERE sha256 = ?1", [sha256], |_| Ok(()))
                .optional()
                .map(|found| found.is_some())
        })
    }

    /// Files with pictures that nobody was there to read, of one collection and folder or of all.
    pub fn awaiting_recognition(&self, within: Option<(CollectionId, &Path)>) -> Result<Vec<PartlyRead>> {
        let collection = within.map(|(collection, _)| collection);
        let folder = within.map(|(_, folder)| folder.to_string_lossy());
        self.read("list files with unread pictures", |c| {
            c.prepare_cached(
                "SELECT f.file, d.problems FROM documents d JOIN files f ON f.document = d.id
                 WHERE d.recognition = '' AND NOT d.removing AND (?1 IS NULL OR f.collection = ?1 AND f.folder = ?2)
                 ORDER BY f.file",
            )?
            .query_map(params![collection, folder], |r| {
                let problems: String = r.get(1)?;
                Ok(PartlyRead { file: r.get(0)?, problems: serde_json::from_str(&problems).unwrap_or_default() })
            })?
            .collect()
        })
    }

    /// The document of that identity.
    pub fn document(&self, id: DocumentId) -> Result<Option<DocumentRow>> {
        self.read("look up a document", |c| {
            c.query_row(&format!("{ROW} AND d.id = ?1 GROUP BY d.id"), [id], row).optional()
        })
    }

    /// True when the ledger has that document, ready to be searched.
    pub fn has_document(&self, id: DocumentId) -> Result<bool> {
        self.read("look up a document", |c| {
            c.query_row("SELECT 1 FROM documents WHERE id = ?1 AND NOT removing", [id], |_| Ok(()))
                .optional()
                .map(|found| found.is_some())
        })
    }

    /// A page of the list of documents, by file name, and how many there are in all.
    pub fn documents(&self, listing: &Listing) -> Result<(Vec<DocumentRow>, u64)> {
        let collection = listing.collection;
        let like = listing.name_contains.as_ref().map(|part| format!("%{}%", escape_like(part)));
        let matching = "AND (?1 IS NULL OR d.collection = ?1) AND (?2 IS NULL OR f.file LIKE ?2 ESCAPE '\\')";
        self.read("list documents", |c| {
            let rows = c
                .prepare_cached(&format!("{ROW} {matching} GROUP BY d.id ORDER BY min(f.file) LIMIT ?3 OFFSET ?4"))?
                .query_map(params![collection, like, listing.limit, listing.offset], row)?
                .collect::<rusqlite::Result<_>>()?;
            let total = c.query_row(
                &format!(
                    "SELECT count(DISTINCT d.id) FROM documents d JOIN files f ON f.document = d.id
                     WHERE NOT d.removing {matching}"
                ),
                params![collection, like],
                |r| r.get(0),
            )?;
            Ok((rows, total))
        })
    }

    /// The documents of the scope that those file names mean: a whole path as listed, or the last part of one.
    pub fn documents_named(&self, scope: &Scope, names: &[String]) -> Result<Vec<(String, Vec<DocumentId>)>> {
        let marks = vec!["?"; scope.collections().len()].join(",");
        self.read("look up files by name", |c| {
            let mut find = c.prepare_cached(&format!(
                "SELECT DISTINCT f.document FROM files f
                 WHERE (f.file = ? OR f.file LIKE ? ESCAPE '\\') AND f.collection IN ({marks})"
            ))?;
            names
                .iter()
                .map(|name| {
                    let last_part = format!("%/{}", escape_like(name));
                    let mut values = vec![name as &dyn ToSql, &last_part];
                    values.extend(scope.collections().iter().map(|collection| collection as &dyn ToSql));
                    let ids = find
                        .query_map(values.as_slice(), |r| r.get(0).map(DocumentId))?
                        .collect::<rusqlite::Result<_>>()?;
                    Ok((name.clone(), ids))
                })
                .collect()
        })
    }

    /// The documents that a person should be careful with, by file name, with why; so many at most.
    pub fn cautioned(&self, limit: u32) -> Result<Vec<(String, Vec<Caution>)>> {
        self.read("list documents with cautions", |c| {
            c.prepare_cached(
                "SELECT min(f.file), d.cautions FROM documents d JOIN files f ON f.document = d.id
                 WHERE NOT d.removing AND d.cautions <> '[]' GROUP BY d.id ORDER BY min(f.file) LIMIT ?1",
            )?
            .query_map([limit], |r| Ok((r.get(0)?, cautions(r, 1)?)))?
            .collect()
        })
    }

    /// One page of a document, with its words.
    pub fn page(&self, document: DocumentId, number: u32) -> Result<Option<PageRow>> {
        self.read("read a page", |c| {
            c.prepare_cached(
                "SELECT number, text, words, iif(recognised, confidence, NULL) FROM pages WHERE document = ?1 AND number = ?2",
            )?
                .query_row(params![document, number], |r| {
                    Ok(PageRow {
                        number: r.get(0)?,
                        text: r.get(1)?,
                        words: words::unpack(r.get_ref(2)?.as_blob().unwrap_or_default()),
                        recognised: r.get(3)?,
                    })
                })
                .optional()
        })
    }

    /// The chunks of those identities that can be searched. A point that the ledger does not know is left out.
    pub fn chunks(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, ChunkRow>> {
        let marks = vec!["?"; ids.len()].join(",");
        let rows = self.chunk_rows(&format!("k.id IN ({marks})"), params_from_iter(ids))?;
        Ok(rows.into_iter().map(|row| (row.id, row)).collect())
    }

    /// The chunks at those places: a document and a number in it. Places that are not there are left out.
    pub fn chunks_at(&self, places: &[(DocumentId, u32)]) -> Result<Vec<ChunkRow>> {
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let marks = vec!["(?, ?)"; places.len()].join(",");
        let values = places.iter().flat_map(|(document, number)| [document as &dyn ToSql, number as &dyn ToSql]);
        self.chunk_rows(&format!("(k.document, k.number) IN (VALUES {marks})"), params_from_iter(values))
    }

    fn chunk_rows(&self, condition: &str, values: impl Params) -> Result<Vec<ChunkRow>> {
        self.read("read chunks", |c| {
            c.prepare_cached(&format!(
                "SELECT k.id, k.document, c.name, (SELECT min(file) FROM files f WHERE f.document = d.id), k.number,
                        k.page_start, k.page_end, k.spans, k.text, k.section, k.continues, d.title, d.dated,
                        d.cautions,
                        (SELECT avg(p.confidence) FROM pages p INDEXED BY recognised_pages
                         WHERE p.recognised AND p.document = k.document
                         AND p.number BETWEEN k.page_start AND k.page_end)
                 FROM chunks k JOIN documents d ON d.id = k.document JOIN collections c ON c.id = d.collection
                 WHERE NOT d.removing AND {condition}"
            ))?
            .query_map(values, |r| {
                let spans: String = r.get(7)?;
                Ok(ChunkRow {
                    id: r.get(0)?,
                    document: DocumentId(r.get(1)?),
                    collection: r.get(2)?,
                    file: r.get::<_, Option<String>>(3)?.unwrap_or_default(),
                    number: r.get(4)?,
                    page_start: r.get(5)?,
                    page_end: r.get(6)?,
                    spans: serde_json::from_str(&spans).unwrap_or_default(),
                    text: r.get(8)?,
                    section: section(r, 9)?,
                    continues: r.get(10)?,
                    title: r.get(11)?,
                    dated: r.get(12)?,
                    cautions: cautions(r, 13)?,
                    recognised: r.get(14)?,
                })
            })?
            .collect()
        })
    }

    /// A document's chunks in order: what a rebuild of the index embeds.
    pub fn chunks_of(&self, document: DocumentId) -> Result<Vec<Chunk>> {
        self.read("read a document's chunks", |c| {
            c.prepare_cached(
                "SELECT number, page_start, page_end, spans, text, section, continues FROM chunks WHERE document = ?1 ORDER BY number",
            )?
            .query_map([document], |r| {
                let spans: String = r.get(3)?;
                Ok(Chunk {
                    number: r.get(0)?,
                    page_start: r.get(1)?,
                    page_end: r.get(2)?,
                    spans: serde_json::from_str(&spans).unwrap_or_default(),
                    text: r.get(4)?,
                    section: section(r, 5)?,
                    continues: r.get(6)?,
                })
            })?
            .collect()
        })
    }

    /// How many chunks each document should have in the index, with its collection.
    pub fn expected_chunks(&self) -> Result<HashMap<DocumentId, (CollectionId, u64)>> {
        self.read("count chunks", |c| {
            c.prepare("SELECT id, collection, chunks FROM documents WHERE NOT removing")?
                .query_map([], |r| Ok((DocumentId(r.get(0)?), (CollectionId(r.get(1)?), r.get(2)?))))?
                .collect()
        })
    }

    /// Documents that lie nowhere any more and wait for their points to go.
    pub fn removing(&self) -> Result<Vec<(CollectionId, DocumentId)>> {
        self.read("list documents to remove", |c| {
            c.prepare_cached("SELECT collection, id FROM documents WHERE removing")?
                .query_map([], |r| Ok((CollectionId(r.get(0)?), DocumentId(r.get(1)?))))?
                .collect()
        })
    }

    /// Drops a removed document, once the index has let go of its points. Its SHA-256, so that a kept copy of its
    /// bytes can go too.
    pub fn forget(&self, id: DocumentId) -> Result<Option<String>> {
        self.write("drop a document", |t| {
            let sha256 = t
                .query_row("SELECT sha256 FROM documents WHERE id = ?1 AND removing", [id], |r| r.get(0))
                .optional()?;
            t.execute("DELETE FROM documents WHERE id = ?1 AND removing", [id])?;
            Ok(sha256)
        })
    }
}

const ROW: &str = "
    SELECT d.id, min(f.file), c.name, d.title, d.media_type, d.pages, d.chunks, d.size_bytes, d.sha256, d.added_at,
           d.problems, d.author, d.dated,
           (SELECT json_group_array(DISTINCT l.label) FROM labels l JOIN files g ON g.collection = l.collection
            AND g.file = l.file WHERE g.document = d.id), d.cautions
    FROM documents d JOIN files f ON f.document = d.id JOIN collections c ON c.id = d.collection
    WHERE NOT d.removing";

fn row(r: &rusqlite::Row) -> rusqlite::Result<DocumentRow> {
    let (problems, labels): (String, String) = (r.get(10)?, r.get(13)?);
    Ok(DocumentRow {
        id: DocumentId(r.get(0)?),
        file: r.get(1)?,
        collection: r.get(2)?,
        title: r.get(3)?,
        media_type: r.get(4)?,
        pages: r.get(5)?,
        chunks: r.get(6)?,
        size_bytes: r.get(7)?,
        sha256: r.get(8)?,
        added_at: r.get(9)?,
        problems: serde_json::from_str(&problems).unwrap_or_default(),
        author: r.get(11)?,
        dated: r.get(12)?,
        labels: serde_json::from_str(&labels).unwrap_or_default(),
        cautions: cautions(r, 14)?,
    })
}

fn cautions(r: &rusqlite::Row, column: usize) -> rusqlite::Result<Vec<Caution>> {
    let cautions: String = r.get(column)?;
    Ok(serde_json::from_str(&cautions).unwrap_or_default())
}

fn section(r: &rusqlite::Row, column: usize) -> rusqlite::Result<Vec<String>> {
    let section: String = r.get(column)?;
    Ok(serde_json::from_str(&section).unwrap_or_default())
}

fn put(t: &Transaction, new: &NewDocument, languages: Option<&str>) -> rusqlite::Result<()> {
    let document = &new.document;
    let problems: Vec<String> = document
        .problems
        .iter()
        .map(|problem| match problem.page {
            Some(page) if !problem.message.contains("page") => format!("page {page}: {}", problem.message),
            _ => problem.message.clone(),
        })
        .collect();
    let fresh = t.execute(
        "INSERT INTO documents(id, collection, sha256, size_bytes, media_type, title, pages, chunks, revision, problems, added_at, author, dated, cautions, recognition)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15) ON CONFLICT(id) DO NOTHING",
        params![
            new.id,
            new.collection,
            new.sha256,
            new.place.size_bytes,
            document.media_type.as_str(),
            document.title,
            document.pages.len() as i64,
            new.chunks.len() as i64,
            premise_ingest::REVISION,
            serde_json::to_string(&problems).unwrap_or_default(),
            chrono::Utc::now(),
            document.author,
            premise_ingest::dated(document, &new.place.file),
            serde_json::to_string(&document.cautions).unwrap_or_default(),
            recognition(document, languages),
        ],
    )?;
    if fresh == 0 {
        // It waited to be removed and has come back, or lies in a second place.
        t.execute("UPDATE documents SET removing = 0 WHERE id = ?1", [new.id])?;
    } else {
        let mut insert = t.prepare_cached(
            "INSERT INTO pages(document, number, label, width_pt, height_pt, rotation, text, words, recognised, confidence)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?;
        for page in &document.pages {
            insert.execute(params![
                new.id,
                page.number,
                page.label,
                page.width_pt,
                page.height_pt,
                page.rotation,
                page.text,
                words::pack(&page.words),
                page.recognised,
                page.confidence,
            ])?;
        }
        let mut insert = t.prepare_cached(
            "INSERT INTO chunks(id, document, number, page_start, page_end, spans, text, section, continues)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?;
        for chunk in &new.chunks {
            insert.execute(params![
                point_id(new.id, chunk.number),
                new.id,
                chunk.number,
                chunk.page_start,
                chunk.page_end,
                serde_json::to_string(&chunk.spans).unwrap_or_default(),
                chunk.text,
                serde_json::to_string(&chunk.section).unwrap_or_default(),
                chunk.continues,
            ])?;
        }
    }
    super::files::place(t, new.collection, new.id, &new.place)
}

fn escape_like(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}
