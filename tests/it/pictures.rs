//! Scans and pictures: read by the real Tesseract within its walls, told of when nobody is there to read them, and read
//! once someone is.

use std::{fs, net::TcpListener, process::Command};

use crate::{
    files::{FAX, LETTER, SCAN, text_then_scan},
    world::{SETTINGS, World, documents, files},
};

const OFF: &str = "[ocr]\nenabled = \"off\"\n";

fn with_ocr(settings: &str) -> String {
    format!("{SETTINGS}{settings}")
}

#[test]
fn a_scan_is_found_by_its_words_which_are_marked_and_boxed() {
    let world = World::new();
    world.write("contract.pdf", SCAN);
    world.write("letter.png", LETTER);
    world.write("fax.tif", FAX);
    let library = world.library();
    let report = world.sync(&library);
    assert_eq!((report.failed.as_slice(), report.partly.as_slice()), ([].as_slice(), [].as_slice()));
    assert_eq!(
        (files(&library), report.pages),
        (vec!["contract.pdf".into(), "fax.tif".into(), "letter.png".into()], 4)
    );

    let question = "What is the monthly fee of Harbour Cleaning Services?";
    let passage = &world.search(&library, question)[0];
    assert_eq!((passage.file.as_str(), passage.text.contains("1,250 euros")), ("contract.pdf", true), "{passage:?}");
    assert!(passage.recognised.is_some_and(|sure| sure > 0.8), "{passage:?}");
    let page = library.db().page(passage.document, 1).expect("the ledger can be read").expect("it has a page");
    let boxed = page.words.iter().filter(|word| word.bbox[2] > word.bbox[0]).count();
    assert!(boxed > 20 && page.recognised.is_some(), "{boxed}");
    let passage = &world.search(&library, "Where do bicycles stand?")[0];
    assert_eq!((passage.file.as_str(), passage.page_start), ("fax.tif", 2), "{passage:?}");
    drop(library);

    let text = world.premise(&["search", question, "-k", "1"]).ok();
    assert!(text.contains("contract.pdf, page 1  (recognised in a picture, "), "{text}");
    let text = world.premise(&["status"]).ok();
    assert!(text.contains("Pictures   tesseract ") && text.contains("(eng)"), "{text}");
}

#[test]
fn pictures_that_nobody_reads_are_told_of_at_every_sync_and_read_once_someone_does() {
    let world = World::with_settings(&with_ocr(OFF));
    world.write("contract.pdf", SCAN);
    world.write("mixed.pdf", text_then_scan("The appendix of the lease follows on the next page."));
    for run in 1..=2 {
        let done = world.premise(&["sync", "files", "--json"]).json(3);
        assert_eq!(done["failed"][0]["file"], "contract.pdf", "run {run}: {done}");
        assert!(done["failed"][0]["reason"].as_str().is_some_and(|reason| reason.contains("switched off")), "{done}");
        assert_eq!(done["partly"][0]["file"], "mixed.pdf", "run {run}: {done}");
    }
    let text = world.premise(&["status"]).ok();
    assert!(text.contains("not available: text recognition is switched off"), "{text}");
    assert!(text.contains("Read in part:\n  mixed.pdf: page 2 is a picture without text"), "{text}");

    fs::write(world.data_dir().join("premise.toml"), SETTINGS).expect("settings can be written");
    let library = world.library();
    let report = world.sync(&library);
    assert_eq!(
        (report.added.as_slice(), report.changed.as_slice()),
        (["contract.pdf".into()].as_slice(), ["mixed.pdf".into()].as_slice())
    );
    assert_eq!((report.failed.len(), report.partly.len()), (0, 0), "{report:?}");
    assert_eq!(
        world.search(&library, "monthly fee")[0].page_end,
        1 + u32::from(world.search(&library, "monthly fee")[0].file == "mixed.pdf")
    );
    assert!(documents(&library).iter().all(|document| document.problems.is_empty()));
    let report = world.sync(&library);
    assert_eq!((report.unchanged, report.pages), (2, 0));

    // Switched off again, what was read stays.
    drop(library);
    fs::write(world.data_dir().join("premise.toml"), with_ocr(OFF)).expect("settings can be written");
    let report = world.sync(&world.library());
    assert_eq!((report.unchanged, report.pages, report.failed.len()), (2, 0, 0));
}

#[test]
fn another_language_reads_pictures_again_and_what_was_recognised_goes_with_its_file() {
    let world = World::new();
    let path = world.write("contract.pdf", SCAN);
    world.write("garden.txt", crate::files::GARDEN);
    world.sync(&world.library());
    let kept = world.data_dir().join("recognised");
    let pages = || -> usize {
        let folders = fs::read_dir(&kept).into_iter().flatten().flatten();
        folders.map(|folder| fs::read_dir(folder.path()).expect("a folder").count()).sum()
    };
    assert_eq!(pages(), 1);
    fs::write(world.data_dir().join("premise.toml"), with_ocr("[ocr]\nlanguages = \"eng+eng\"\n")).expect("written");
    let library = world.library();
    let report = world.sync(&library);
    assert_eq!((report.changed.as_slice(), report.unchanged), (["contract.pdf".into()].as_slice(), 1));
    assert_eq!((pages(), files(&library).len()), (2, 2));
    fs::remove_file(path).expect("a file can be removed");
    world.sync(&library);
    assert_eq!((pages(), files(&library)), (0, vec!["garden.txt".into()]));
}

#[test]
fn a_language_without_data_is_told_with_what_to_install() {
    let world = World::with_settings(&with_ocr("[ocr]\nlanguages = \"eng+tlh\"\n"));
    world.write("contract.pdf", SCAN);
    let done = world.premise(&["sync", "files"]);
    assert_eq!(done.code, Some(3), "{done:?}");
    assert!(done.out.contains("no data of the language 'tlh'") && done.out.contains("tesseract-ocr-tlh"), "{done:?}");
    let done = world.premise(&["doctor"]);
    assert!(done.out.contains("tesseract-ocr-tlh"), "{done:?}");
}

#[test]
fn the_doctor_tries_tesseract_out() {
    let done = World::new().premise(&["doctor"]);
    let line = done.out.lines().find(|line| line.contains("tesseract  ")).unwrap_or_default();
    assert!(line.starts_with("good") && line.contains("reads scans and pictures; there is data of"), "{done:?}");
}

/// What a program can do within the walls that Tesseract runs in.
fn within_walls(script: &str) -> bool {
    let mut command = Command::new(env!("CARGO_BIN_EXE_premise"));
    command.args(["read-picture", "--memory-mb", "512", "--seconds", "2", "--", "/bin/bash", "-c", script]);
    command.stdin(std::process::Stdio::null()).output().expect("the binary starts").status.success()
}

#[test]
fn a_picture_that_took_the_program_over_could_do_nothing_with_it() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("file");
    assert!(within_walls("exit 0"), "a program can run within the walls");
    assert!(!within_walls(&format!("echo text > {}", file.display())), "it writes no file");
    assert!(fs::read(&file).unwrap_or_default().is_empty());
    assert!(!within_walls("(exit 0)"), "it starts no process");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port can be bound");
    let port = listener.local_addr().expect("it has an address").port();
    let connect = format!("exec 3<>/dev/tcp/127.0.0.1/{port}");
    let free = Command::new("/bin/bash").args(["-c", &connect]).status();
    assert!(free.is_ok_and(|status| status.success()) && !within_walls(&connect), "it makes no connection");
    assert!(!within_walls("while :; do :; done"), "it does not run for ever");
    fs::write(&file, "true").expect("a file can be written");
    let reads = within_walls(&format!(". {}", file.display()));
    // Kernels without Landlock are told of by `premise doctor`.
    let settings = World::new().settings();
    let reader =
        premise::reader::Reader::new(&settings.reading, &premise_ingest::Limits::default(), None).confinement();
    assert!(!reads || reader.is_ok_and(|walls| walls.landlock == premise::reader::Landlock::None), "it reads no file");
}
