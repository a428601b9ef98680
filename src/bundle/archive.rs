//! Bundles as zip files: written so that the same bundle is the same bytes, read with every trick of zip files refused.
//! Nothing is ever unpacked to disk. Beside the reader of office documents, only this file names zip.

use std::{
    collections::BTreeMap,
    io::{Cursor, Read, Write},
};

use serde::{Deserialize, Serialize};
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter, result::ZipError, write::SimpleFileOptions};

use super::{Bundle, FORMAT, MANIFEST, PAGE, RECORD, page};

/// Larger files are no bundles: one with the pages of 100 quotes has about 300 KB.
const MOST_BYTES: usize = 64 << 20;
const MOST_ENTRIES: usize = 1_000;
const MOST_ENTRY_BYTES: u64 = 16 << 20;
const MOST_UNPACKED_BYTES: usize = 128 << 20;
/// The record that ends a zip file has so many bytes (APPNOTE.TXT, 4.3.16), and a count of entries at this place.
const END_BYTES: usize = 22;
const END_COUNT_AT: usize = 10;

/// What a bundle's entries are.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) format: String,
    pub(super) entries: Vec<Entry>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) sha256: String,
    pub(super) size_bytes: u64,
}

/// A bundle's entries by name, none of them believed yet.
pub type Unpacked = BTreeMap<String, Vec<u8>>;

/// The bundle as one file.
pub fn pack(bundle: &Bundle) -> std::io::Result<Vec<u8>> {
    let mut entries: Unpacked = bundle.pages.iter().map(|(name, text)| (name.clone(), text.clone().into())).collect();
    entries.insert(RECORD.to_owned(), serde_json::to_vec_pretty(&bundle.record)?);
    entries.insert(PAGE.to_owned(), page::html(bundle).into_bytes());
    let manifest = Manifest {
        format: FORMAT.to_owned(),
        entries: entries
            .iter()
            .map(|(name, bytes)| Entry {
                name: name.clone(),
                sha256: premise_ingest::hash_bytes(bytes),
                size_bytes: bytes.len() as u64,
            })
            .collect(),
    };
    entries.insert(MANIFEST.to_owned(), serde_json::to_vec_pretty(&manifest)?);
    write(&entries).map_err(std::io::Error::other)
}

fn write(entries: &Unpacked) -> Result<Vec<u8>, ZipError> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default());
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        zip.start_file(name.as_str(), options)?;
        zip.write_all(bytes)?;
    }
    Ok(zip.finish()?.into_inner())
}

/// A bundle's entries; a sentence when the file is none, or is made to do harm.
pub fn unpack(bytes: &[u8]) -> Result<Unpacked, String> {
    if bytes.len() > MOST_BYTES {
        return Err(format!("it has more than {} MB", MOST_BYTES >> 20));
    }
    let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(|error| format!("it is no zip file: {error}"))?;
    if zip.len() > MOST_ENTRIES {
        return Err(format!("it has more than {MOST_ENTRIES} entries"));
    }
    if count_at_end(bytes) != Some(zip.len()) || zip.offset() != 0 {
        return Err("it has entries of the same name, or something beside its entries".to_owned());
    }
    let mut unpacked = Unpacked::new();
    let mut left = MOST_UNPACKED_BYTES;
    for at in 0..zip.len() {
        let entry = zip.by_index(at).map_err(|error| format!("its entry {at} cannot be read: {error}"))?;
        let name = entry.name().map_err(|error| format!("its entry {at} has no name: {error}"))?.into_owned();
        if !is_plain(&name) || entry.is_dir() || entry.is_symlink() {
            return Err(format!("its entry {name:?} is none of a bundle"));
        }
        let mut content = Vec::new();
        // What it declares is not believed.
        entry
            .take(MOST_ENTRY_BYTES + 1)
            .read_to_end(&mut content)
            .map_err(|error| format!("its entry {name} cannot be read: {error}"))?;
        if content.len() as u64 > MOST_ENTRY_BYTES || content.len() > left {
            return Err(format!("its entry {name} unpacks to more than a bundle holds"));
        }
        left -= content.len();
        unpacked.insert(name, content);
    }
    Ok(unpacked)
}

/// How many entries the file itself says that it has, when nothing follows its end.
fn count_at_end(bytes: &[u8]) -> Option<usize> {
    let end = bytes.get(bytes.len().checked_sub(END_BYTES)?..)?.strip_prefix(b"PK\x05\x06")?;
    let count = END_COUNT_AT - 4;
    Some(usize::from(u16::from_le_bytes([end[count], end[count + 1]])))
}

/// Whether a name is one that a bundle has: no way leads out of a folder that it is unpacked to.
fn is_plain(name: &str) -> bool {
    let page = name.strip_prefix("pages/").and_then(|page| page.strip_suffix(".txt"));
    [MANIFEST, RECORD, PAGE].contains(&name)
        || page.is_some_and(|page| !page.is_empty() && page.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-'))
}
