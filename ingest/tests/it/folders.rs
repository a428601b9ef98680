use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use premise_ingest::{FoundFile, KnownFile, Plan, hash_bytes, hash_file, plan, scan};
use proptest::prelude::*;

#[test]
fn a_scan_lists_what_can_be_read_and_what_cannot() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("deep/er")).unwrap();
    fs::create_dir(at(".git")).unwrap();
    for name in ["b.PDF", "a.txt", "deep/er/c.md", "sheet.numbers", ".hidden.txt", ".git/d.txt", "~$e.docx"] {
        fs::write(at(name), name).unwrap();
    }
    let scan = scan(folder.path()).unwrap();
    let paths: Vec<PathBuf> = scan.files.iter().map(|file| file.path.clone()).collect();
    assert_eq!(paths, [at("a.txt"), at("b.PDF"), at("deep/er/c.md")]);
    assert_eq!(scan.files[0].size_bytes, 5);
    assert!(scan.files[0].modified_ms > 0);
    assert_eq!(scan.unsupported, [at("sheet.numbers")]);
    assert_eq!(scan.problems, []);
}

#[cfg(unix)]
#[test]
fn links_that_lead_round_or_nowhere_do_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("sub")).unwrap();
    fs::write(at("sub/a.txt"), "a").unwrap();
    std::os::unix::fs::symlink(folder.path(), at("sub/round")).unwrap();
    std::os::unix::fs::symlink(at("nowhere"), at("gone.txt")).unwrap();
    let scan = scan(folder.path()).unwrap();
    assert_eq!(scan.files.len(), 1);
    assert_eq!(scan.problems.len(), 1);
    assert_eq!(scan.problems[0].0, at("gone.txt"));
}

#[test]
fn a_missing_folder_is_an_error() {
    assert!(scan(Path::new("/no/such/folder")).is_err());
}

#[test]
fn a_hash_is_sha_256_in_lower_case() {
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(hash_bytes(b"abc"), abc);
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "abc").unwrap();
    assert_eq!(hash_file(file.path()).unwrap(), abc);
}

fn known(path: &str, content: &str, modified_ms: i64) -> KnownFile {
    KnownFile {
        path: path.into(),
        sha256: hash_bytes(content.as_bytes()),
        size_bytes: content.len() as u64,
        modified_ms,
    }
}

fn found(path: &str, content: &str, modified_ms: i64) -> FoundFile {
    FoundFile { path: path.into(), size_bytes: content.len() as u64, modified_ms }
}

/// The plan for one folder turned into another; files are path, content and time.
fn plan_of(before: &[(&str, &str, i64)], after: &[(&str, &str, i64)]) -> Plan {
    let before: Vec<KnownFile> = before.iter().map(|&(p, c, t)| known(p, c, t)).collect();
    let files: Vec<FoundFile> = after.iter().map(|&(p, c, t)| found(p, c, t)).collect();
    plan(&before, &files, |path| {
        let content = after.iter().find(|file| Path::new(file.0) == path);
        content
            .filter(|file| file.1 != "locked")
            .map(|file| hash_bytes(file.1.as_bytes()))
            .ok_or_else(|| io::ErrorKind::PermissionDenied.into())
    })
}

#[test]
fn every_kind_of_change_is_told_apart() {
    let plan = plan_of(
        &[("same", "1", 1), ("edit", "2", 1), ("touch", "3", 1), ("old", "4", 1), ("gone", "5", 1), ("shut", "6", 1)],
        &[
            ("same", "1", 1),
            ("edit", "22", 2),
            ("touch", "3", 9),
            ("new", "4", 1),
            ("more", "7", 1),
            ("shut", "locked", 2),
        ],
    );
    assert_eq!(plan.unchanged, [PathBuf::from("same")]);
    assert_eq!(plan.changed[0].0.path, Path::new("edit"));
    assert_eq!(plan.touched[0].0.path, Path::new("touch"));
    assert_eq!(plan.moved[0].0, Path::new("old"));
    assert_eq!(plan.moved[0].1.path, Path::new("new"));
    assert_eq!(plan.deleted, [PathBuf::from("gone")]);
    assert_eq!(plan.added[0].0.path, Path::new("more"));
    assert_eq!(plan.unreadable[0].0, Path::new("shut"));
}

#[test]
fn copies_are_added_and_only_one_of_them_is_the_move() {
    let plan = plan_of(&[("a", "1", 1)], &[("b", "1", 1), ("c", "1", 1)]);
    assert_eq!((plan.moved.len(), plan.added.len(), plan.deleted.len()), (1, 1, 0));
    let plan = plan_of(&[("a", "1", 1)], &[("a", "1", 1), ("b", "1", 1)]);
    assert_eq!((plan.moved.len(), plan.added.len(), plan.unchanged.len()), (0, 1, 1));
}

proptest! {
    #[test]
    fn a_plan_accounts_for_every_file_once(
        before in prop::collection::btree_map("[a-d]", ("[xyz]", 0_i64..3), 0..5),
        after in prop::collection::btree_map("[a-d]", ("([xyz]|locked)", 0_i64..3), 0..5),
    ) {
        fn list(files: &std::collections::BTreeMap<String, (String, i64)>) -> Vec<(&str, &str, i64)> {
            files.iter().map(|(path, (content, time))| (path.as_str(), content.as_str(), *time)).collect()
        }
        let plan = plan_of(&list(&before), &list(&after));
        let mut placed: Vec<PathBuf> = plan.unchanged.clone();
        placed.extend(plan.unreadable.iter().map(|file| file.0.clone()));
        for files in [&plan.added, &plan.changed, &plan.touched] {
            placed.extend(files.iter().map(|file| file.0.path.clone()));
        }
        placed.extend(plan.moved.iter().map(|file| file.1.path.clone()));
        placed.sort();
        let expected: Vec<PathBuf> = after.keys().map(PathBuf::from).collect();
        prop_assert_eq!(placed, expected);
        let mut gone = plan.deleted.clone();
        gone.extend(plan.moved.iter().map(|file| file.0.clone()));
        gone.sort();
        let expected: Vec<PathBuf> =
            before.keys().filter(|path| !after.contains_key(*path)).map(PathBuf::from).collect();
        prop_assert_eq!(gone, expected);
    }
}
