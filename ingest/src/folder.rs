//! What a folder holds and what changed in it since last time, told by content, not by date.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::MediaType;

/// Deeper folders are reported, not entered.
const MAX_DEPTH: usize = 64;

/// A file in a folder, as the file system tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundFile {
    /// Its path, beginning with the scanned folder's.
    pub path: PathBuf,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Last change, in milliseconds since 1970 (UTC).
    pub modified_ms: i64,
}

/// Everything that a folder holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Files of a type that can be read, by path.
    pub files: Vec<FoundFile>,
    /// Other files, by path; hidden ones are left out altogether.
    pub unsupported: Vec<PathBuf>,
    /// What could not be looked into, and why.
    pub problems: Vec<(PathBuf, String)>,
}

/// Lists a folder with all below it. An error only when the folder itself cannot be read.
///
/// Links to files are followed; links to folders only where they do not lead back to a folder
/// on the way, so a loop ends.
pub fn scan(folder: &Path) -> io::Result<Scan> {
    let mut scan = Scan::default();
    let entries = fs::read_dir(folder)?;
    let mut above = vec![fs::canonicalize(folder)?];
    scan_entries(entries, folder, &mut above, &mut scan);
    scan.files.sort_by(|a, b| a.path.cmp(&b.path));
    scan.unsupported.sort();
    scan.problems.sort();
    Ok(scan)
}

fn scan_entries(entries: fs::ReadDir, folder: &Path, above: &mut Vec<PathBuf>, scan: &mut Scan) {
    for entry in entries {
        let path = match entry {
            Ok(entry) => entry.path(),
            Err(error) => {
                scan.problems.push((folder.to_owned(), error.to_string()));
                continue;
            }
        };
        if let Err(error) = scan_entry(&path, above, scan) {
            scan.problems.push((path, error.to_string()));
        }
    }
}

fn scan_entry(path: &Path, above: &mut Vec<PathBuf>, scan: &mut Scan) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // `~$lease.docx` is Word's lock file.
    if name.starts_with('.') || name.starts_with("~$") {
        return Ok(());
    }
    let metadata = fs::metadata(path)?;
    if metadata.is_dir() {
        let real = fs::canonicalize(path)?;
        if above.contains(&real) {
            return Ok(());
        }
        if above.len() >= MAX_DEPTH {
            return Err(io::Error::other("the folder lies too deep"));
        }
        let entries = fs::read_dir(path)?;
        above.push(real);
        scan_entries(entries, path, above, scan);
        above.pop();
    } else if metadata.is_file() && MediaType::from_name(&name).is_some() {
        scan.files.push(FoundFile {
            path: path.to_owned(),
            size_bytes: metadata.len(),
            modified_ms: modified_ms(&metadata),
        });
    } else if metadata.is_file() {
        scan.unsupported.push(path.to_owned());
    }
    Ok(())
}

/// Negative before 1970; 0 where the file system keeps no time.
fn modified_ms(metadata: &fs::Metadata) -> i64 {
    let Ok(modified) = metadata.modified() else {
        return 0;
    };
    match modified.duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_millis() as i64,
        Err(before) => -(before.duration().as_millis() as i64),
    }
}

/// A file as it was when it was last taken in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownFile {
    /// Its path then.
    pub path: PathBuf,
    /// SHA-256 of its content, in lower-case hex.
    pub sha256: String,
    /// Its size then.
    pub size_bytes: u64,
    /// Its time then, as in [`FoundFile::modified_ms`].
    pub modified_ms: i64,
}

/// What to do so that what is known equals what was found. Every found file is in exactly one of
/// `added`, `changed`, `moved`, `unchanged`, `touched` and `unreadable`; every known file that is
/// gone is in `deleted` or the origin of a `moved`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// New files with their SHA-256.
    pub added: Vec<(FoundFile, String)>,
    /// Known paths with new content, and its SHA-256.
    pub changed: Vec<(FoundFile, String)>,
    /// Known content under a new path: the old path, the file, its SHA-256.
    pub moved: Vec<(PathBuf, FoundFile, String)>,
    /// Known paths that are gone.
    pub deleted: Vec<PathBuf>,
    /// Known paths of the same size and time: not even opened.
    pub unchanged: Vec<PathBuf>,
    /// Known paths with the same content but another time: only the note of it is renewed.
    pub touched: Vec<(FoundFile, String)>,
    /// Files that cannot be opened, and why; if known, they are kept as they are.
    pub unreadable: Vec<(PathBuf, String)>,
}

/// Compares what is known with what was found. `hash` is called only for files whose path, size
/// or time is new; pass [`hash_file`].
pub fn plan(known: &[KnownFile], found: &[FoundFile], mut hash: impl FnMut(&Path) -> io::Result<String>) -> Plan {
    let mut plan = Plan::default();
    let by_path: HashMap<&Path, &KnownFile> = known.iter().map(|file| (file.path.as_path(), file)).collect();
    let present: HashSet<&Path> = found.iter().map(|file| file.path.as_path()).collect();
    // Known content that lies nowhere any more, by hash: where a new path may have come from.
    let mut gone: HashMap<&str, Vec<&Path>> = HashMap::new();
    for file in by_path.values().filter(|file| !present.contains(file.path.as_path())) {
        gone.entry(&file.sha256).or_default().push(&file.path);
    }
    for paths in gone.values_mut() {
        paths.sort_by(|a, b| b.cmp(a));
    }
    for file in found {
        let before = by_path.get(file.path.as_path());
        if let Some(before) = before
            && before.size_bytes == file.size_bytes
            && before.modified_ms == file.modified_ms
        {
            plan.unchanged.push(file.path.clone());
            continue;
        }
        let sha256 = match hash(&file.path) {
            Ok(sha256) => sha256,
            Err(error) => {
                plan.unreadable.push((file.path.clone(), error.to_string()));
                continue;
            }
        };
        match before {
            Some(before) if before.sha256 == sha256 => plan.touched.push((file.clone(), sha256)),
            Some(_) => plan.changed.push((file.clone(), sha256)),
            None => match gone.get_mut(sha256.as_str()).and_then(Vec::pop) {
                Some(from) => plan.moved.push((from.to_owned(), file.clone(), sha256)),
                None => plan.added.push((file.clone(), sha256)),
            },
        }
    }
    plan.deleted = gone.into_values().flatten().map(Path::to_owned).collect();
    plan.deleted.sort();
    plan
}

/// SHA-256 of a file's content, in lower-case hex, read in pieces.
pub fn hash_file(path: &Path) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let mut digest = Sha256::new();
    let mut piece = vec![0; 1 << 16];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hex(&digest.finalize())),
            length => digest.update(&piece[..length]),
        }
    }
}

/// SHA-256 of bytes, in lower-case hex.
pub fn hash_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(digest: &[u8]) -> String {
    use std::fmt::Write;
    digest.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a string takes every write");
        hex
    })
}
