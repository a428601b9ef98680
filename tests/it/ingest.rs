//! A folder and its collection: what sync reads, leaves alone, takes out and reports.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use premise::{
    library::{Library, MovedFile, Progress, SyncReport},
    store::DocumentId,
};

use crate::{
    crash::contents,
    files::{CLINIC, GARDEN, LEASE, locked_pdf, long_text, pdf},
    world::{World, documents, files},
};

/// The numbers of added, changed, moved, deleted, unchanged and failed files.
fn numbers(report: &SyncReport) -> [usize; 6] {
    [
        report.added.len(),
        report.changed.len(),
        report.moved.len(),
        report.deleted.len(),
        report.unchanged,
        report.failed.len(),
    ]
}

fn id_of(library: &Library, file: &str) -> DocumentId {
    documents(library).iter().find(|row| row.file == file).expect("the file is in").id
}

/// Gives a file another content and surely another time.
fn rewrite(path: &Path, bytes: impl AsRef<[u8]>) {
    let before = fs::metadata(path).and_then(|metadata| metadata.modified()).expect("the file is there");
    fs::write(path, bytes).expect("a file can be written");
    let file = fs::File::options().write(true).open(path).expect("the file opens");
    file.set_modified(before + std::time::Duration::from_secs(5)).expect("its time can be set");
}

#[test]
fn what_is_new_changed_moved_and_gone_shows_in_the_report_and_in_search() {
    let world = World::new();
    let lease = world.write("lease.pdf", pdf(&LEASE));
    let clinic = world.write("clinic/vaccines.md", CLINIC);
    world.write("garden.txt", GARDEN);
    world.write("photo.heic", "not read");
    let library = world.library();

    let report = world.sync(&library);
    assert_eq!(numbers(&report), [3, 0, 0, 0, 0, 0]);
    assert_eq!(report.unsupported, ["photo.heic"]);
    assert_eq!((report.pages, report.interrupted), (4, false));
    assert!(report.chunks > 0);
    assert_eq!(files(&library), ["clinic/vaccines.md", "garden.txt", "lease.pdf"]);
    let best = &world.search(&library, "How high is the deposit of the tenant?")[0];
    assert_eq!((best.file.as_str(), best.page_end), ("lease.pdf", 2));
    assert!(best.text.contains("9,000 dollars"), "{best:?}");
    let moved_id = id_of(&library, "clinic/vaccines.md");

    rewrite(&lease, pdf(&["The tenant keeps three parrots and a tortoise in the shop."]));
    fs::create_dir(world.files().join("archive")).expect("a folder can be made");
    fs::rename(clinic, world.files().join("archive/measles.md")).expect("a file can be moved");
    fs::remove_file(world.files().join("garden.txt")).expect("a file can be removed");
    world.write("new.txt", "The lighthouse of Ostrava was painted red and white in 1911.");

    let report = world.sync(&library);
    assert_eq!(report.added, ["new.txt"]);
    assert_eq!(report.changed, ["lease.pdf"]);
    let moved = MovedFile { from: "clinic/vaccines.md".to_owned(), to: "archive/measles.md".to_owned() };
    assert_eq!(report.moved, [moved]);
    assert_eq!(report.deleted, ["garden.txt"]);
    assert_eq!(numbers(&report), [1, 1, 1, 1, 0, 0]);
    assert_eq!(files(&library), ["archive/measles.md", "lease.pdf", "new.txt"]);
    assert_eq!(id_of(&library, "archive/measles.md"), moved_id, "a moved file keeps its document");

    for (question, file) in [
        ("parrots in the shop", "lease.pdf"),
        ("lighthouse of Ostrava", "new.txt"),
        ("first dose of the measles vaccine", "archive/measles.md"),
    ] {
        assert_eq!(world.search(&library, question)[0].file, file, "{question}");
    }
    for gone in ["deposit of the tenant", "watering tomatoes in the morning"] {
        let found = world.search(&library, gone);
        assert!(found.iter().all(|passage| !passage.text.contains("deposit") && passage.file != "garden.txt"));
    }
    assert_eq!(world.sync(&library).unchanged, 3);
}

#[test]
fn a_second_run_changes_nothing() {
    let world = World::new();
    world.write("lease.pdf", pdf(&LEASE));
    world.write("vaccines.md", CLINIC);
    let library = world.library();
    world.sync(&library);
    let before = documents(&library);

    let mut progress = std::sync::Mutex::new(Vec::new());
    let report = library
        .sync("default", &world.files(), &AtomicBool::new(false), &|event| {
            progress.lock().expect("nobody panics with it").push(event);
        })
        .expect("the folder can be synced");
    assert_eq!(numbers(&report), [0, 0, 0, 0, 2, 0]);
    assert_eq!((report.chunks, report.pages), (0, 0), "nothing is embedded or read");
    let events = progress.get_mut().expect("nobody panics with it");
    assert!(matches!(events.as_slice(), [Progress::Planned { files: 0, .. }]), "{events:?}");
    let after = documents(&library);
    let identity = |rows: &[premise::db::DocumentRow]| -> Vec<_> { rows.iter().map(|r| (r.id, r.added_at)).collect() };
    assert_eq!(identity(&before), identity(&after));

    drop(library);
    assert_eq!(numbers(&world.sync(&world.library())), [0, 0, 0, 0, 2, 0], "nor after a new start");
}

#[test]
fn a_file_that_was_only_touched_is_not_read_again() {
    let world = World::new();
    let path = world.write("vaccines.md", CLINIC);
    let library = world.library();
    world.sync(&library);
    rewrite(&path, CLINIC);
    let report = world.sync(&library);
    assert_eq!((numbers(&report), report.chunks), ([0, 0, 0, 0, 1, 0], 0));
}

#[test]
fn files_that_cannot_be_read_are_named_with_reason_and_hint() {
    let world = World::new();
    let whole = pdf(&LEASE);
    world.write("cut.pdf", &whole[..200]);
    world.write("empty.pdf", "");
    world.write("empty.txt", " \n ");
    world.write("letter.pdf", "Dear Sir or Madam, this is no PDF at all.");
    world.write("locked.pdf", locked_pdf());
    world.write("scan.pdf", pdf(&[""]));
    world.write("word.docx", "PK not a zip");
    world.write("good.txt", GARDEN);
    let library = world.library();

    let report = world.sync(&library);
    assert_eq!(report.added, ["good.txt"], "a bad file does not hold up a good one");
    let mut failed: Vec<_> = report.failed.iter().map(|failure| failure.file.as_str()).collect();
    failed.sort_unstable();
    let bad = ["cut.pdf", "empty.pdf", "empty.txt", "letter.pdf", "locked.pdf", "scan.pdf", "word.docx"];
    assert_eq!(failed, bad);
    for (file, reason, hint) in [
        ("empty.pdf", "empty", "copied completely"),
        ("empty.txt", "empty", "copied completely"),
        ("letter.pdf", "named like a PDF file but is not one", "save it again"),
        ("locked.pdf", "password", "save a copy without one"),
        ("cut.pdf", "damaged", "Get the file again"),
        ("scan.pdf", "no text can be found on 1 page", "shows any text"),
        ("word.docx", "", "save"),
    ] {
        let failure = report.failed.iter().find(|failure| failure.file == file).expect("it is named");
        assert!(failure.reason.contains(reason), "{failure:?}");
        assert!(failure.hint.contains(hint), "{failure:?}");
    }
    let status = library.status().expect("the status can be had");
    assert_eq!(status.failed.len(), bad.len(), "and kept for the status");

    // Unchanged since: not tried again, still reported.
    let report = world.sync(&library);
    assert_eq!(numbers(&report), [0, 0, 0, 0, 1, 7]);
    assert_eq!(report.chunks, 0);
}

#[test]
fn a_mended_file_comes_in_at_the_next_sync() {
    let world = World::new();
    let path = world.write("lease.pdf", &pdf(&LEASE)[..200]);
    world.write("gone.pdf", "");
    let library = world.library();
    assert_eq!(numbers(&world.sync(&library)), [0, 0, 0, 0, 0, 2]);

    rewrite(&path, pdf(&LEASE));
    fs::remove_file(world.files().join("gone.pdf")).expect("a file can be removed");
    let report = world.sync(&library);
    assert_eq!(numbers(&report), [1, 0, 0, 0, 0, 0]);
    assert_eq!(library.status().expect("the status can be had").failed.len(), 0);
    assert_eq!(world.search(&library, "rent a month")[0].file, "lease.pdf");
}

#[test]
fn a_file_that_is_damaged_later_keeps_what_was_read() {
    let world = World::new();
    let path = world.write("lease.pdf", pdf(&LEASE));
    world.write("garden.txt", GARDEN);
    let library = world.library();
    world.sync(&library);
    rewrite(&path, "half copied");
    for run in 1..=2 {
        let report = world.sync(&library);
        assert_eq!((report.deleted.len(), report.failed.len()), (0, 1), "run {run}: {report:?}");
        assert_eq!(files(&library), ["garden.txt", "lease.pdf"], "run {run}");
    }
    rewrite(&path, pdf(&["The tenant keeps three parrots and a tortoise in the shop."]));
    assert_eq!(world.sync(&library).changed, ["lease.pdf"]);
    assert!(world.search(&library, "parrots")[0].text.contains("parrots"));
    assert_eq!(library.status().expect("the status can be had").failed.len(), 0);
}

#[test]
fn a_folder_that_cannot_be_looked_into_loses_nothing() {
    // Root may read everything, so the rights themselves cannot be tested by it: a link that leads nowhere stands in
    // where the file was, and a folder that is gone altogether where the folder was.
    let world = World::new();
    let path = world.write("garden.txt", GARDEN);
    world.write("vaccines.md", CLINIC);
    let library = world.library();
    world.sync(&library);
    #[cfg(unix)]
    {
        fs::remove_file(&path).expect("a file can be removed");
        std::os::unix::fs::symlink("/nowhere/garden.txt", &path).expect("a link can be made");
        let report = world.sync(&library);
        assert_eq!(report.deleted.len(), 0, "{report:?}");
        assert_eq!(report.failed.len(), 1, "{report:?}");
        assert!(report.failed[0].file.ends_with("garden.txt") && !report.failed[0].hint.is_empty(), "{report:?}");
        assert_eq!(files(&library), ["garden.txt", "vaccines.md"]);
    }
    fs::rename(world.files(), world.path().join("elsewhere")).expect("a folder can be moved");
    let error =
        library.sync("default", &world.files(), &AtomicBool::new(false), &|_| {}).expect_err("there is no such folder");
    assert_eq!(error.code, "not_found");
    assert_eq!(files(&library), ["garden.txt", "vaccines.md"]);
}

#[test]
fn an_emptied_folder_deletes_nothing_and_says_so() {
    let world = World::new();
    let path = world.write("garden.txt", GARDEN);
    let library = world.library();
    world.sync(&library);
    fs::remove_file(path).expect("a file can be removed");
    let error = library
        .sync("default", &world.files(), &AtomicBool::new(false), &|_| {})
        .expect_err("an empty folder is more likely a missing drive");
    assert_eq!(error.code, "empty_folder");
    assert!(error.hint.contains("drive"), "{}", error.hint);
    assert_eq!(files(&library), ["garden.txt"]);
    assert_eq!(world.search(&library, "tomatoes")[0].file, "garden.txt");
}

#[test]
fn the_same_content_in_two_places_is_one_document() {
    let world = World::new();
    world.write("a.txt", GARDEN);
    world.write("copies/b.txt", GARDEN);
    let library = world.library();
    let report = world.sync(&library);
    assert_eq!(report.added.len() + report.failed.len(), 2, "{report:?}");
    assert_eq!(documents(&library).len(), 1);
    assert_eq!(world.search(&library, "tomatoes").len(), 1);

    fs::remove_file(world.files().join("a.txt")).expect("a file can be removed");
    assert_eq!(world.sync(&library).deleted, ["a.txt"]);
    assert_eq!(world.search(&library, "tomatoes")[0].file, "copies/b.txt", "it still lies in the other place");
}

#[test]
fn a_sync_that_was_stopped_goes_on_and_ends_like_any_other() {
    const FILES: usize = 12;
    let (whole, parts) = (World::new(), World::new());
    for number in 0..FILES {
        for world in [&whole, &parts] {
            world.write(&format!("{number:02}.txt"), long_text(number));
        }
    }
    let expected = {
        let library = whole.library();
        whole.sync(&library);
        contents(&library)
    };

    let library = parts.library();
    let (stop, embedded) = (AtomicBool::new(false), AtomicUsize::new(0));
    let report = library
        .sync("default", &parts.files(), &stop, &|progress| {
            if matches!(progress, Progress::Advanced { .. }) && embedded.fetch_add(1, Ordering::SeqCst) == FILES {
                stop.store(true, Ordering::SeqCst);
            }
        })
        .expect("a stop is no error");
    assert!(report.interrupted);
    let first = report.added.len();
    assert!((1..FILES).contains(&first), "something is in and something is left: {first}");
    assert_eq!(files(&library), sorted(report.added), "what the report names is in, and nothing else");

    let report = parts.sync(&library);
    assert_eq!((report.unchanged, report.added.len(), report.interrupted), (first, FILES - first, false));
    assert_eq!(contents(&library), expected);
    let found = parts.search(&library, "Clause 11003 of agreement 11");
    assert!(found.iter().any(|passage| passage.file == "11.txt"), "{found:?}");
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

#[test]
fn added_files_and_folders_keep_a_copy_and_their_own_names() {
    let world = World::new();
    let file = world.write("garden.txt", GARDEN);
    world.write("matters/lease.pdf", pdf(&LEASE));
    let library = world.library();
    let missing = world.files().join("missing.pdf");
    let paths = [file.clone(), world.files().join("matters"), missing];
    let added = library.add("default", &paths, &[], &AtomicBool::new(false), &|_| {}).expect("files can be added");
    assert_eq!(sorted(added.added), ["garden.txt", "lease.pdf"]);
    assert_eq!(added.failed.len(), 1);
    assert!(added.failed[0].file.ends_with("missing.pdf"), "{:?}", added.failed);

    fs::remove_file(file).expect("a file can be removed");
    let (original, _) = library.original(id_of(&library, "garden.txt")).expect("the copy is kept");
    assert_eq!(fs::read_to_string(&original).expect("it can be read"), GARDEN);
    library.remove(id_of(&library, "garden.txt")).expect("it can be taken out");
    assert!(!original.exists(), "and the copy goes with the document");
    assert_eq!(files(&library), ["lease.pdf"]);
}
