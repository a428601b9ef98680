//! Locked files: opened with the passwords of their collection or those given with them, and told of when none fits.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Stdio};

use crate::{
    files::locked_pdf,
    world::{Done, SETTINGS, World, files},
};

fn write_private(path: &Path, text: &str) {
    fs::write(path, text).expect("a file can be written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("its rights can be set");
}

#[test]
fn a_locked_file_is_read_once_its_collection_has_the_password() {
    let world = World::new();
    world.write("locked.pdf", locked_pdf());
    let report = world.premise(&["sync", "files", "--json"]).json(3);
    assert!(report["failed"][0]["reason"].as_str().is_some_and(|reason| reason.contains("password")), "{report}");
    assert!(files(&world.library()).is_empty(), "it is not in as an empty file");

    let passwords = world.path().join("passwords");
    write_private(&passwords, "wrong\nsecret\n");
    let settings = format!("{SETTINGS}[passwords]\ndefault = \"{}\"\n", passwords.display());
    fs::write(world.data_dir().join("premise.toml"), settings).expect("settings can be written");
    let done = world.premise(&["sync", "files", "--json"]);
    assert_eq!(done.json(0)["added"][0], "locked.pdf", "{done:?}");
    assert_eq!(done.err, "", "nothing to warn of, and no password in the log");
    assert_eq!(world.search(&world.library(), "password of the safe")[0].file, "locked.pdf");

    fs::set_permissions(&passwords, fs::Permissions::from_mode(0o644)).expect("its rights can be set");
    let doctor = world.premise(&["doctor"]).out;
    assert!(doctor.contains("can be read by other accounts") && doctor.contains("chmod 600"), "{doctor}");
    let done = world.premise(&["sync", "files"]);
    assert!(done.err.contains("can be read by others") && !done.err.contains("secret"), "{done:?}");
    fs::remove_file(&passwords).expect("a file can be removed");
    world.premise(&["sync", "files"]).says("cannot read the passwords in", "Check the spelling");
}

#[test]
fn a_locked_file_is_added_with_its_password_alone_and_through_a_server() {
    let world = World::new();
    let locked = world.path().join("locked.pdf");
    fs::write(&locked, locked_pdf()).expect("a file can be written");
    let passwords = world.path().join("passwords");
    write_private(&passwords, "wrong\nsecret\n");
    let add = |collection: &str, from: &str| {
        world.premise(&["add", "locked.pdf", "--collection", collection, "--password-file", from, "--json"])
    };
    let refused = world.premise(&["add", "locked.pdf", "--json"]).json(1);
    assert!(refused["failed"][0]["hint"].as_str().is_some_and(|hint| hint.contains("--password-file")), "{refused}");
    assert_eq!(add("alone", "passwords").json(0)["added"][0], "locked.pdf");

    let piped = || {
        let mut command =
            world.command(&["add", "locked.pdf", "--collection", "piped", "--password-file", "-", "--json"]);
        command.stdin(Stdio::from(fs::File::open(&passwords).expect("it is there")));
        Done::of(command)
    };
    assert_eq!(piped().json(0)["added"][0], "locked.pdf");
    let _server = world.spawn_server();
    assert_eq!(add("server", "passwords").json(0)["added"][0], "locked.pdf");
    let missing = ["add", "locked.pdf", "--collection", "server", "--password-file", "missing"];
    world.premise(&missing).says("cannot read the passwords in missing", "spelling");
}

#[test]
fn a_password_comes_with_an_upload_in_a_header() {
    let world = World::new();
    let server = world.serve();
    server.upload("locked.pdf", &locked_pdf()).refused(422, "locked_file");
    let upload = server.agent.post(server.url("/api/v1/documents")).query("file", "locked.pdf");
    let reply =
        upload.header("x-premise-password", "secret").send(locked_pdf().as_slice()).expect("the server answers");
    assert_eq!(reply.status(), 201);
    world.shut_down(server);
}
