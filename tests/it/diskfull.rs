//! A disk that fills up in the middle of a sync. Needs the right to mount a small disk in memory, so it runs as root
//! on Linux only, and says so where it does not run.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::AtomicBool,
};

use premise::library::Mended;

use crate::{
    files::long_text,
    world::{SETTINGS, World, documents},
};

/// A disk in memory over a folder, until it is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(folder: PathBuf, size: &str) -> Option<Self> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "premise-test"])
            .arg(&folder)
            .stderr(Stdio::null())
            .status();
        mounted.is_ok_and(|status| status.success()).then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_told_and_after_making_room_the_same_command_completes() {
    const FILES: usize = 6;
    let world = World::new();
    let Some(disk) = SmallDisk::mount(world.data_dir(), "400m") else {
        println!("not run: no disk in memory can be mounted here (needs root on Linux)");
        return;
    };
    fs::write(world.data_dir().join("premise.toml"), SETTINGS).expect("settings can be written");
    world.write("first.txt", long_text(100));
    let first = world.premise(&["sync", "files", "--json"]);
    assert_eq!(first.code, Some(0), "{first:?}");

    // Somebody else's file takes nearly all the room that is left: first all of it, then a little less each time, so
    // that the disk fills up at the start, or while the index or the ledger is written.
    let ballast = world.data_dir().join("ballast");
    for number in 0..FILES {
        world.write(&format!("{number}.txt"), long_text(number));
    }
    let mut refused = 0;
    for room_bytes in [0, 1_000_000, 100_000_000] {
        fill(&ballast, room_bytes);
        let full = world.premise(&["sync", "files", "--json"]);
        if room_bytes > 0 && full.code == Some(0) {
            break;
        }
        let told = full.json(1);
        assert_eq!(told["error"]["code"], "disk_full", "{room_bytes} bytes left: {full:?}");
        assert!(told["error"]["hint"].as_str().is_some_and(|hint| hint.contains("Make room")), "{full:?}");
        refused += 1;
    }
    println!("refused {refused} times");

    fs::remove_file(ballast).expect("the file can be removed");
    let report = world.premise(&["sync", "files", "--json"]).json(0);
    assert_eq!(report["failed"].as_array().map(Vec::len), Some(0), "{report}");
    {
        let library = world.unmended();
        assert_eq!(documents(&library).len(), FILES + 1);
        let mended = library.mend(&AtomicBool::new(false), &|_| {}).expect("the index can be mended");
        assert_eq!(mended, Mended::default());
        assert_eq!(world.search(&library, "Clause 100003 of agreement 100")[0].file, "first.txt");
    }
    drop(disk);
}

/// Fills the disk with a file but for so many bytes.
fn fill(path: &Path, room_bytes: u64) {
    let mut file = fs::File::create(path).expect("a file can be made");
    for piece in [1 << 20, 4 << 10] {
        while file.write_all(&vec![0; piece]).is_ok() {}
    }
    let size = file.metadata().expect("it can be looked at").len();
    file.set_len(size.saturating_sub(room_bytes)).expect("it can be cut");
}
