//! What was seen, kept by the picture's hash: a folder for each file, so that it goes with the file.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{Picture, SeenWord};

/// Where the words of a picture are kept; `how` is all that they depend on besides.
pub(super) fn path(folder: &Path, how: &str, picture: &Picture) -> PathBuf {
    let how = format!("{how}\n{} {} {}\n", picture.width, picture.height, picture.pixels_per_point);
    folder.join(crate::hash_bytes(&[how.as_bytes(), &picture.grey].concat()))
}

pub(super) fn read(path: &Path) -> Option<Vec<SeenWord>> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Words that cannot be kept are read again: no reason to fail a file.
pub(super) fn write(path: &Path, words: &[SeenWord]) {
    let (Ok(json), Some(folder)) = (serde_json::to_vec(words), path.parent()) else { return };
    // Written beside and moved, so that a reader never sees half of it.
    let unfinished = path.with_extension(format!("{}.part", std::process::id()));
    if fs::create_dir_all(folder).and_then(|()| fs::write(&unfinished, json)).is_ok() {
        let _ = fs::rename(&unfinished, path);
    }
}

/// Drops what is kept for one file.
pub fn drop_kept(folder: &Path) {
    // There may be nothing.
    let _ = fs::remove_dir_all(folder);
}

/// Drops what was kept longest, file by file, until the folders in `root` hold no more than so many bytes.
pub fn trim_kept(root: &Path, most_bytes: u64) {
    let mut folders: Vec<(SystemTime, PathBuf, u64)> = Vec::new();
    for folder in fs::read_dir(root).into_iter().flatten().flatten() {
        let entries = fs::read_dir(folder.path()).into_iter().flatten().flatten();
        let size = entries.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum();
        let since = folder.metadata().and_then(|metadata| metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
        folders.push((since, folder.path(), size));
    }
    folders.sort();
    let mut held: u64 = folders.iter().map(|(_, _, size)| size).sum();
    for (_, folder, size) in folders {
        if held <= most_bytes {
            break;
        }
        drop_kept(&folder);
        held -= size;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_longest_goes_first() {
        let root = tempfile::tempdir().unwrap();
        for (name, age_s) in [("old", 30), ("new", 10), ("older", 60)] {
            let folder = root.path().join(name);
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("page"), [0; 100]).unwrap();
            let since = SystemTime::now() - std::time::Duration::from_secs(age_s);
            fs::File::open(&folder).unwrap().set_modified(since).unwrap();
        }
        trim_kept(root.path(), 150);
        let left: Vec<_> = fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["new"]);
        trim_kept(&root.path().join("missing"), 0);
    }
}
