//! Nothing leaves the machine: no process that has the files can make a connection, and the library that computes vectors
//! does not even know how.

use std::{fs, process::Stdio};

use premise::models;
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    files::{CLINIC, LEASE, pdf},
    world::{Done, Spawned, World, wait_until},
};

/// How many filters of calls hold each thread of a process, at least. A container may set some before it starts.
fn filters(id: u32) -> usize {
    let threads = fs::read_dir(format!("/proc/{id}/task")).expect("the process is there").flatten();
    let of_thread = |thread: fs::DirEntry| {
        let status = fs::read_to_string(thread.path().join("status")).ok()?;
        status.lines().find_map(|line| line.strip_prefix("Seccomp_filters:")?.trim().parse().ok())
    };
    threads.filter_map(of_thread).min().unwrap_or_default()
}

#[test]
fn a_server_answers_but_can_make_no_connection() {
    let world = World::new();
    world.write("lease.pdf", pdf(&LEASE));
    let server = world.spawn_server();
    let without = filters(std::process::id());
    assert!(filters(server.0.id()) > without);
    // Files are read, embedded and searched behind the wall, for a client that comes from outside.
    world.premise(&["sync", "files"]).ok();
    let found = world.premise(&["search", "deposit of the tenant", "-k", "1"]).ok();
    assert!(found.contains("9,000 dollars"), "{found}");
    assert!(filters(server.0.id()) > without, "threads that began later are held too");
}

#[test]
fn each_verb_that_takes_the_files_has_no_way_out() {
    let world = World::new();
    world.write("lease.pdf", pdf(&LEASE));
    for verb in
        [&["sync", "files"][..], &["search", "rent"], &["ask", "When does the lease end?"], &["list"], &["reindex"]]
    {
        let mut command = world.command(verb);
        command.env("RUST_LOG", "premise=info");
        let done = Done::of(command);
        assert!(done.err.contains("this process can make no connection"), "{verb:?}: {done:?}");
    }
}

#[test]
fn a_sync_by_the_clock_has_no_way_out_and_finds_servers_that_come_and_go() {
    let world = World::new();
    world.write("lease.pdf", pdf(&LEASE));
    let server = world.spawn_server();
    let log = world.path().join("log");
    let mut command = world.command(&["sync", "files", "--cron", "* * * * * *"]);
    command.env("RUST_LOG", "premise=info").stdout(Stdio::null());
    command.stderr(fs::File::create(&log).expect("a file can be written"));
    let mut clock = Spawned(command.spawn().expect("the binary starts"));
    // While a sync has the data folder, it cannot be listed.
    let wait_for = |file: &str| wait_until("the file is in", || world.premise(&["list"]).out.contains(file));
    wait_for("lease.pdf");
    drop(server);
    world.write("vaccines.md", CLINIC);
    wait_for("vaccines.md");
    kill_process(Pid::from_child(&clock.0), Signal::TERM).expect("it can be asked to end");
    assert_eq!(clock.0.wait().expect("it ends").code(), Some(130));
    let log = fs::read_to_string(log).expect("it can be read");
    assert!(log.contains("this process can make no connection"), "{log}");
}

#[test]
fn the_doctor_tries_to_get_out() {
    let world = World::new();
    let network = |done: Done| {
        let findings = done.json(0)["findings"].as_array().cloned().unwrap_or_default();
        let found = findings.into_iter().find(|finding| finding["about"] == "network").expect("it was looked at");
        (found["state"].as_str().unwrap_or_default().to_owned(), found["message"].to_string())
    };
    let (state, message) = network(world.premise(&["doctor", "--json"]));
    assert!(state == "good" && message.contains("keeps the program from making connections"), "{message}");
    // With its index on a server a process must reach that.
    let settings = fs::read_to_string(world.data_dir().join("premise.toml")).expect("the world has settings");
    let with_server = format!("{settings}\n[store]\nurl = \"http://127.0.0.1:6334\"\n");
    fs::write(world.data_dir().join("premise.toml"), with_server).expect("settings can be written");
    let (state, message) = network(world.premise(&["doctor", "--json"]));
    assert!(state == "warning" && message.contains("http://127.0.0.1:6334"), "{message}");
}

/// Newer releases of ONNX Runtime report their use to their maker.
#[test]
fn the_runtime_imports_no_call_of_the_network() {
    let runtime = models::find("onnxruntime").expect("it is in the catalogue");
    let folder = World::new().models().join(runtime.folder.as_ref().expect("it has a folder"));
    let bytes = fs::read(folder.join(&runtime.files[0].name)).expect("the runtime is installed");
    let has = |name: &str| {
        let name = format!("\0{name}\0");
        bytes.windows(name.len()).any(|window| window == name.as_bytes())
    };
    assert!(has("malloc"), "the names of the calls that it makes can be found");
    for call in ["socket", "connect", "bind", "send", "sendto", "sendmsg", "sendmmsg", "recv", "getaddrinfo"] {
        assert!(!has(call), "{call}");
    }
}
