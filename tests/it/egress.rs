//! Nothing leaves the machine: no process that has the files can make a connection, and the library that computes vectors
//! does not even know how.

use std::fs;

use premise::models;

use crate::{
    files::{LEASE, pdf},
    world::World,
};

/// Whether each thread of a process is held by a filter of calls.
fn is_filtered(id: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{id}/task")).expect("the process is there").flatten();
    threads.into_iter().all(|thread| {
        let status = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        status.is_empty() || status.lines().any(|line| line == "Seccomp:\t2")
    })
}

#[test]
fn a_server_answers_but_can_make_no_connection() {
    let world = World::new();
    world.write("lease.pdf", pdf(&LEASE));
    let server = world.spawn_server();
    assert!(is_filtered(server.id()));
    assert!(!is_filtered(std::process::id()), "the test itself is not held");
    // Files are read, embedded and searched behind the wall, for a client that comes from outside.
    world.premise(&["sync", "files"]).ok();
    let found = world.premise(&["search", "deposit of the tenant", "-k", "1"]).ok();
    assert!(found.contains("9,000 dollars"), "{found}");
    assert!(is_filtered(server.id()), "threads that began later are held too");
}

#[test]
fn the_doctor_tries_to_get_out() {
    let world = World::new();
    let network = |done: crate::world::Done| {
        let findings = done.json(0)["findings"].as_array().cloned().unwrap_or_default();
        let found = findings.into_iter().find(|finding| finding["about"] == "network").expect("it was looked at");
        (found["state"].as_str().unwrap_or_default().to_owned(), found["message"].to_string())
    };
    let (state, message) = network(world.premise(&["doctor", "--json"]));
    assert!(state == "good" && message.contains("can make no connection"), "{message}");
    // With its index on a server a process must reach that.
    let settings = fs::read_to_string(world.data_dir().join("premise.toml")).expect("the world has settings");
    let with_server = format!("{settings}\n[store]\nurl = \"http://127.0.0.1:6334\"\n");
    fs::write(world.data_dir().join("premise.toml"), with_server).expect("settings can be written");
    let (state, message) = network(world.premise(&["doctor", "--json"]));
    assert!(state == "warning" && message.contains("http://127.0.0.1:6334"), "{message}");
}

/// Newer releases of ONNX Runtime report their use to their maker.
#[test]
fn the_runtime_knows_no_call_that_makes_a_connection() {
    let runtime = models::find("onnxruntime").expect("it is in the catalogue");
    let folder = World::new().models().join(runtime.folder.as_ref().expect("it has a folder"));
    let bytes = fs::read(folder.join(&runtime.files[0].name)).expect("the runtime is installed");
    let has = |name: &str| {
        let name = format!("\0{name}\0");
        bytes.windows(name.len()).any(|window| window == name.as_bytes())
    };
    assert!(has("malloc"), "the names of the calls that it makes can be found");
    for call in ["socket", "connect", "sendto", "sendmsg", "getaddrinfo"] {
        assert!(!has(call), "{call}");
    }
}
