//! The process that reads files: what holds it in, and that whatever a file does to it is that file's failure alone.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use premise::{
    config,
    reader::{File, Landlock, Reader},
};
use premise_ingest::{Limits, Reading};

use crate::{
    files::{LEASE, pdf},
    world::{World, files},
};

fn settings() -> config::Reading {
    config::Reading { program: Some(env!("CARGO_BIN_EXE_premise").into()), ..config::Reading::default() }
}

fn reader(settings: &config::Reading) -> Reader<'_> {
    Reader::new(settings, &Limits::default(), None)
}

fn read(reader: &mut Reader, name: &str, bytes: &[u8], stop: &AtomicBool) -> premise::error::Result<Reading> {
    reader.read(File { name, bytes, ..File::default() }, stop)
}

fn never() -> AtomicBool {
    AtomicBool::new(false)
}

/// Processes of this test that read files: other tests have theirs, told apart by their parent's thread.
fn readers_since(before: &[u32]) -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("the processes can be listed");
    let ids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_ours = |id: &u32| {
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let command = fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default();
        status.contains(&format!("PPid:\t{}\n", std::process::id())) && command.contains("read-files")
    };
    ids.filter(is_ours).filter(|id| !before.contains(id)).collect()
}

/// The line of `/proc/PID/FILE` that begins so.
fn line(id: u32, file: &str, start: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{id}/{file}")).expect("the process is there");
    text.lines().find(|line| line.starts_with(start)).unwrap_or_default().to_owned()
}

/// A text that is not UTF-8, whose encoding takes long to guess.
fn slow_text(megabytes: usize) -> Vec<u8> {
    b"K\xe4se und Br\xf6tchen. ".repeat(megabytes * 60_000)
}

#[test]
fn the_reader_is_shut_in() {
    let settings = settings();
    let mut reader = reader(&settings);
    let confinement = reader.confinement().expect("it starts");
    assert!(confinement.limits && confinement.seccomp && confinement.tried, "{confinement:?}");
    // Kernels without Landlock are told of by `premise doctor`; the filter of calls forbids the same.
    if fs::read_to_string("/sys/kernel/security/lsm").is_ok_and(|modules| modules.contains("landlock")) {
        assert_ne!(confinement.landlock, Landlock::None);
    }
}

#[test]
fn the_kernel_agrees_about_the_walls() {
    let settings = settings();
    let before = readers_since(&[]);
    let mut reader = reader(&settings);
    read(&mut reader, "a.txt", b"text", &never()).expect("it is text");
    let ours = readers_since(&before);
    // Other tests start readers of their own meanwhile; what holds for one must hold for all that have read a file.
    for id in ours.into_iter().filter(|&id| line(id, "status", "Seccomp:").ends_with('2')) {
        assert!(line(id, "status", "NoNewPrivs:").ends_with('1'));
        assert!(line(id, "limits", "Max core file size").contains(" 0  "));
        assert!(line(id, "limits", "Max file size").contains(" 0  "));
        let environment = fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&environment).contains("PREMISE"), "no setting and no secret is handed on");
        let open = fs::read_dir(format!("/proc/{id}/fd")).map(|open| open.flatten().count()).unwrap_or_default();
        assert!(open <= 5, "standard input, output, error and copies of two: {open}");
    }
}

#[test]
fn many_files_share_a_reader_and_each_error_is_its_own() {
    let settings = settings();
    let mut reader = reader(&settings);
    for round in 0..3 {
        let text = format!("Text of round {round}.");
        let reading = read(&mut reader, "a.txt", text.as_bytes(), &never()).expect("it is text");
        assert_eq!(reading.document.pages[0].text, text);
        assert_eq!(read(&mut reader, "a.pdf", &pdf(&LEASE), &never()).expect("it is a PDF").document.pages.len(), 2);
        let error = read(&mut reader, "a.pdf", b"no PDF", &never()).expect_err("it is no PDF");
        assert_eq!((error.code.as_ref(), error.hint.is_empty()), ("unreadable_file", false));
    }
}

#[test]
fn a_file_that_takes_too_long_is_ended_and_the_next_one_read() {
    let settings = config::Reading { seconds: 1, ..settings() };
    let mut reader = reader(&settings);
    let error = read(&mut reader, "slow.txt", &slow_text(200), &never()).expect_err("it takes longer");
    assert_eq!(error.code, "file_too_slow", "{error:?}");
    assert!(error.message.contains("1 second") && error.hint.contains("[reading]"), "{error:?}");
    assert_eq!(read(&mut reader, "a.txt", b"text", &never()).expect("it is text").document.pages.len(), 1);
}

#[test]
fn a_file_that_takes_too_much_memory_is_ended_and_the_next_one_read() {
    let settings = config::Reading { memory_mb: 400, ..settings() };
    let mut reader = reader(&settings);
    read(&mut reader, "a.txt", b"text", &never()).expect("it is text");
    let error = read(&mut reader, "large.txt", &vec![b'a'; 200 << 20], &never()).expect_err("it takes more");
    assert_eq!(error.code, "file_too_large", "{error:?}");
    assert!(error.message.contains("400 MB of memory"), "{error:?}");
    assert_eq!(read(&mut reader, "a.txt", b"text", &never()).expect("it is text").document.pages.len(), 1);
}

#[test]
fn a_file_with_too_much_in_it_is_refused() {
    let settings = config::Reading { output_mb: 1, ..settings() };
    let mut reader = reader(&settings);
    let error = read(&mut reader, "large.txt", &b"words ".repeat(1 << 20), &never()).expect_err("it holds more");
    assert!(error.code == "file_too_large" && error.message.contains("1 MB"), "{error:?}");
}

#[test]
fn a_reader_that_was_killed_is_replaced() {
    let settings = settings();
    let before = readers_since(&[]);
    let mut reader = reader(&settings);
    read(&mut reader, "a.txt", b"text", &never()).expect("it is text");
    for id in readers_since(&before) {
        // Whichever of them is ours: the others are replaced just so.
        let killed = std::process::Command::new("kill").args(["-9", &id.to_string()]).status();
        assert!(killed.is_ok_and(|status| status.success() || line(id, "status", "State").is_empty()));
    }
    assert_eq!(read(&mut reader, "a.txt", b"text", &never()).expect("it is text").document.pages.len(), 1);
}

#[test]
fn a_raised_flag_ends_a_read_at_once() {
    let settings = settings();
    let mut reader = reader(&settings);
    let stop = never();
    let started = Instant::now();
    let error = thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(300));
            stop.store(true, Ordering::Relaxed);
        });
        read(&mut reader, "slow.txt", &slow_text(200), &stop).expect_err("it is stopped")
    });
    assert_eq!(error.code, "stopped");
    assert!(started.elapsed() < Duration::from_mins(1));
}

#[test]
fn a_program_that_is_no_reader_is_not_the_files_failure() {
    let world = World::new();
    world.write("lease.pdf", pdf(&LEASE));
    let mut settings = world.settings();
    settings.reading.program = Some("/bin/false".into());
    let library = world.library_with(&settings);
    let error =
        library.sync("default", &world.files(), &never(), &|_| {}).expect_err("nothing can be read without a reader");
    assert_eq!(error.code, "reader_failed");
    drop(library);
    let library = world.library();
    assert_eq!(world.sync(&library).added, ["lease.pdf"], "the file was not noted as failed");
}

#[test]
fn a_sync_goes_on_after_files_that_break_the_reader() {
    let world = World::with_settings(&format!("{}[reading]\nmemory_mb = 400\n", crate::world::SETTINGS));
    world.write("a.pdf", pdf(&LEASE));
    world.write("large.txt", vec![b'a'; 200 << 20]);
    world.write("z.txt", "The lighthouse of Ostrava was painted red and white in 1911.");
    let done = world.premise(&["sync", "files", "--json"]);
    let report = done.json(3);
    assert_eq!(report["failed"][0]["file"], "large.txt");
    assert!(report["failed"][0]["hint"].as_str().is_some_and(|hint| !hint.is_empty()));
    assert_eq!(files(&world.library()), ["a.pdf", "z.txt"]);
}
