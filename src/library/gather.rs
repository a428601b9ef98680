//! What there is to add: the given files and those of given folders, each under a name that no other of them has.
//! In a collection, the later file of a name replaces the earlier one.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use super::documents::unreadable;
use crate::db::Failure;

/// What the given paths lead to.
#[derive(Default)]
pub(crate) struct Gathered {
    /// To be read.
    pub files: Vec<NamedFile>,
    /// Files in folders that are of kinds that are not read.
    pub unsupported: Vec<String>,
    /// What could not be looked into.
    pub failed: Vec<Failure>,
}

/// A file and what it is to be called in the collection.
pub(crate) struct NamedFile {
    pub path: PathBuf,
    pub name: String,
}

/// Finds the files that are meant. One that is named itself is taken whatever its kind: who names it is told why it
/// cannot be read.
pub(crate) fn gather_files(paths: &[PathBuf]) -> Gathered {
    let mut gathered = Gathered::default();
    let (mut files, mut unsupported) = (Found::default(), Found::default());
    for path in paths {
        if !path.is_dir() {
            files.add(path.parent().unwrap_or(path), [path.clone()]);
            continue;
        }
        match premise_ingest::scan(path) {
            Ok(scan) => {
                files.add(path, scan.files.into_iter().map(|file| file.path));
                unsupported.add(path, scan.unsupported);
                gathered.failed.extend(scan.problems.iter().map(|(path, reason)| unreadable(path, reason)));
            }
            Err(error) => gathered.failed.push(unreadable(path, &error.to_string())),
        }
    }
    gathered.unsupported = unsupported.told_apart().into_iter().map(|file| file.name).collect();
    let mut taken = HashSet::new();
    for NamedFile { path, name } in files.told_apart() {
        if taken.insert(name.clone()) {
            gathered.files.push(NamedFile { path, name });
        } else {
            // Only where letters of the names are not text, and are shown alike.
            let failure = unreadable(&path, "another file has a name that looks the same");
            gathered.failed.push(Failure { hint: "Give it another name".to_owned(), ..failure });
        }
    }
    gathered
}

/// Files that were found, each once however often its path was given.
#[derive(Default)]
struct Found {
    /// Each with the folders above it that are not in its name, from the root.
    files: Vec<(NamedFile, PathBuf)>,
    seen: HashSet<PathBuf>,
}

impl Found {
    /// Adds files that lie in `folder` or below; they are called by their path within it.
    fn add(&mut self, folder: &Path, paths: impl IntoIterator<Item = PathBuf>) {
        let from_here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let above = from_here.canonicalize().unwrap_or_else(|_| folder.to_owned());
        for path in paths {
            let within = path.strip_prefix(folder).unwrap_or(&path);
            if self.seen.insert(above.join(within)) {
                let name = within.to_string_lossy().into_owned();
                self.files.push((NamedFile { path, name }, above.clone()));
            }
        }
    }

    /// Puts the folders above before the names that several files have, one after the other, until they differ.
    fn told_apart(mut self) -> Vec<NamedFile> {
        loop {
            let shared = self.shared_names();
            let mut is_longer = false;
            for (file, above) in self.files.iter_mut().filter(|(file, _)| shared.contains(&file.name)) {
                if let Some(folder) = take_last(above) {
                    file.name = format!("{folder}/{}", file.name);
                    is_longer = true;
                }
            }
            if !is_longer {
                return self.files.into_iter().map(|(file, _)| file).collect();
            }
        }
    }

    fn shared_names(&self) -> HashSet<String> {
        let mut names = HashSet::new();
        let again = self.files.iter().filter(|(file, _)| !names.insert(file.name.as_str()));
        again.map(|(file, _)| file.name.clone()).collect()
    }
}

fn take_last(above: &mut PathBuf) -> Option<String> {
    let folder = above.file_name()?.to_string_lossy().into_owned();
    above.pop();
    Some(folder)
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt};

    use super::*;

    /// What is gathered from the `given` of these files and their folders, as path and name.
    fn check(given: &[&str], expected: &[(&str, &str)]) {
        let world = tempfile::tempdir().unwrap();
        let root = world.path().join("office");
        for file in [
            "Smith/lease.pdf",
            "Smith/notes.txt",
            "Jones/lease.pdf",
            "Jones/drawing.dwg",
            "old/Smith/lease.pdf",
            "old/Jones/2019/lease.pdf",
            "old/Jones/2020/lease.pdf",
        ] {
            fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            fs::write(root.join(file), file).unwrap();
        }
        let paths: Vec<_> = given.iter().map(|path| root.join(path)).collect();
        let gathered = gather_files(&paths);
        let is_file = |(file, (path, _)): (&NamedFile, &(&str, &str))| file.path.ends_with(path);
        assert!(gathered.files.iter().zip(expected).all(is_file), "{given:?}");
        let names: Vec<_> = gathered.files.into_iter().map(|file| file.name).collect();
        assert_eq!(names, expected.iter().map(|(_, name)| *name).collect::<Vec<_>>(), "{given:?}");
    }

    #[test]
    fn a_file_is_called_by_its_path_within_the_given_folder_or_by_its_own_name() {
        check(&["Smith"], &[("Smith/lease.pdf", "lease.pdf"), ("Smith/notes.txt", "notes.txt")]);
        check(&["old/Smith", "Smith/notes.txt"], &[("lease.pdf", "lease.pdf"), ("notes.txt", "notes.txt")]);
        check(&["old/Jones"], &[("2019/lease.pdf", "2019/lease.pdf"), ("2020/lease.pdf", "2020/lease.pdf")]);
        check(&["Jones/drawing.dwg"], &[("drawing.dwg", "drawing.dwg")]);
    }

    #[test]
    fn names_that_files_would_share_begin_further_up() {
        check(
            &["Smith", "Jones"],
            &[
                ("Smith/lease.pdf", "Smith/lease.pdf"),
                ("Smith/notes.txt", "notes.txt"),
                ("Jones/lease.pdf", "Jones/lease.pdf"),
            ],
        );
        check(
            &["Smith/lease.pdf", "Jones/../Jones/lease.pdf"],
            &[("Smith/lease.pdf", "Smith/lease.pdf"), ("Jones/lease.pdf", "Jones/lease.pdf")],
        );
        check(
            &["Smith/lease.pdf", "old/Smith/lease.pdf"],
            &[("Smith/lease.pdf", "office/Smith/lease.pdf"), ("old/Smith/lease.pdf", "old/Smith/lease.pdf")],
        );
        // Made longer, a name may be one that another file has.
        check(
            &["Smith/lease.pdf", "Jones/lease.pdf", "old"],
            &[
                ("Smith/lease.pdf", "office/Smith/lease.pdf"),
                ("Jones/lease.pdf", "Jones/lease.pdf"),
                ("old/Jones/2019/lease.pdf", "Jones/2019/lease.pdf"),
                ("old/Jones/2020/lease.pdf", "Jones/2020/lease.pdf"),
                ("old/Smith/lease.pdf", "old/Smith/lease.pdf"),
            ],
        );
    }

    #[test]
    fn a_file_that_is_given_twice_counts_once() {
        check(
            &["Smith", "Smith/lease.pdf", "Jones/../Smith/lease.pdf", "Smith/../Smith"],
            &[("Smith/lease.pdf", "lease.pdf"), ("Smith/notes.txt", "notes.txt")],
        );
    }

    #[test]
    fn what_is_not_taken_is_told() {
        let world = tempfile::tempdir().unwrap();
        for folder in ["Smith", "Jones"] {
            fs::create_dir(world.path().join(folder)).unwrap();
            fs::write(world.path().join(folder).join("drawing.dwg"), folder).unwrap();
        }
        let smith = world.path().join("Smith");
        std::os::unix::fs::symlink("nowhere", smith.join("gone.pdf")).unwrap();
        // Two names that are no text and are shown alike.
        for name in [b"\xfe.txt", b"\xff.txt"] {
            fs::write(smith.join(OsStr::from_bytes(name)), "text").unwrap();
        }
        let Gathered { files, unsupported, failed } = gather_files(&[smith, world.path().join("Jones")]);
        assert_eq!(unsupported, ["Smith/drawing.dwg", "Jones/drawing.dwg"]);
        assert_eq!(files.len(), 1);
        let failed: Vec<_> = failed.iter().map(|failure| failure.file.rsplit('/').next().unwrap()).collect();
        assert_eq!(failed, ["gone.pdf", "\u{fffd}.txt"]);
    }
}
