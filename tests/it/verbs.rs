//! The real binary on the command line: what each verb prints, how it ends, and what it says when it cannot.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::{
    files::{CLINIC, GARDEN, LEASE, pdf},
    world::{Done, SETTINGS, World},
};

fn filled() -> World {
    let world = World::new();
    world.write("lease.pdf", pdf(&LEASE));
    world.write("vaccines.md", CLINIC);
    world.premise(&["sync", "files"]).ok();
    world
}

fn list(value: &Value) -> Vec<&str> {
    value.as_array().expect("a list").iter().filter_map(|item| item.as_str().or(item["file"].as_str())).collect()
}

#[test]
fn help_names_every_verb_and_wrong_usage_ends_with_2() {
    let world = World::new();
    let help = world.premise(&["--help"]).ok();
    for verb in
        ["setup", "add", "sync", "search", "ask", "list", "remove", "serve", "status", "reindex", "eval", "demo"]
    {
        let named = |line: &str| line.trim_start().strip_prefix(verb).is_some_and(|rest| rest.starts_with("  "));
        assert!(help.lines().any(named), "{verb}: {help}");
        assert!(world.premise(&[verb, "--help"]).ok().contains("Usage: premise"), "{verb}");
    }
    for code in ["Exit status", "0 done", "2 wrong usage", "3 done but some files could not be read"] {
        assert!(help.contains(code), "{help}");
    }
    for wrong in [&["fly"][..], &["search"], &["add"], &["sync", "files", "--fast"], &[]] {
        assert_eq!(world.premise(wrong).code, Some(2), "{wrong:?}");
    }
}

#[test]
fn each_verb_prints_for_people_and_for_programs() {
    let world = World::new();
    world.write("lease.pdf", pdf(&LEASE));
    world.write("vaccines.md", CLINIC);
    let text = world.premise(&["sync", "files"]).ok();
    assert!(text.contains("2 added, 0 changed, 0 moved, 0 deleted, 0 unchanged, 0 failed."), "{text}");
    let report = world.premise(&["sync", "files", "--json"]).json(0);
    assert_eq!(
        (&report["unchanged"], &report["added"], &report["interrupted"]),
        (&json!(2), &json!([]), &json!(false))
    );

    let garden = world.path().join("garden.txt");
    fs::write(&garden, GARDEN).expect("a file can be written");
    let text = world.premise(&["add", "garden.txt", "--collection", "home"]).ok();
    assert!(text.starts_with("1 file read: 1 page, 1 chunk in "), "{text}");
    let added = world.premise(&["add", "garden.txt", "--collection", "home", "--json"]).json(0);
    assert_eq!((&added["added"], &added["chunks"]), (&json!(["garden.txt"]), &json!(0)), "it is in already");

    let text = world.premise(&["search", "deposit of the tenant", "-k", "1"]).ok();
    assert!(text.starts_with("[1] lease.pdf, page") && text.contains("9,000 dollars"), "{text}");
    let found = world.premise(&["search", "tomatoes", "--collection", "home", "--json"]).json(0);
    assert_eq!(list(&found["passages"]), ["garden.txt"]);
    let found = world.premise(&["search", "deposit", "--document", "vaccines.md", "--json"]).json(0);
    assert_eq!(list(&found["passages"]), ["vaccines.md"]);

    let text = world.premise(&["ask", "When does the lease end?"]).ok();
    assert!(text.contains("smollm2-135m."), "{text}");
    let answer = world.premise(&["ask", "Who won the football final of Uruguay?", "--json"]).json(0);
    assert_eq!((&answer["refused"], &answer["answer"]), (&json!(true), &json!("Your files do not say.")));

    let text = world.premise(&["list"]).ok();
    assert_eq!(
        text,
        "garden.txt  [home]  1 page\nlease.pdf  [default]  2 pages\nvaccines.md  [default]  1 page\n3 files.\n"
    );
    let listed = world.premise(&["list", "lease", "--json"]).json(0);
    assert_eq!(list(&listed["documents"]), ["lease.pdf"]);

    let text = world.premise(&["status"]).ok();
    assert!(text.contains("3 documents, 4 pages") && text.contains("Last sync"), "{text}");
    let status = world.premise(&["status", "--json"]).json(0);
    assert_eq!((&status["documents"], &status["last_sync"]["unchanged"]), (&json!(3), &json!(2)));

    assert_eq!(world.premise(&["remove", "garden.txt"]).ok(), "garden.txt is out.\n");
    let removed = world.premise(&["remove", "lease.pdf", "--json"]).json(0);
    assert_eq!(removed["removed"]["file"], "lease.pdf");
    assert_eq!(list(&world.premise(&["list", "--json"]).json(0)["documents"]), ["vaccines.md"]);
    let text = world.premise(&["reindex"]).ok();
    assert!(text.starts_with("The index is new: 1 document by all-minilm-l6-v2 (fp32).\n"), "{text}");
}

#[test]
fn files_that_cannot_be_read_end_it_with_3_and_are_named() {
    let world = World::new();
    world.write("garden.txt", GARDEN);
    world.write("letter.pdf", "no PDF");
    world.write("drawing.dwg", "not of a kind");
    let done = world.premise(&["sync", "files"]);
    assert_eq!(done.code, Some(3), "{done:?}");
    for part in
        ["1 added", "1 failed", "letter.pdf: ", "Open it in the program", "Not of a kind that is read: drawing.dwg"]
    {
        assert!(done.out.contains(part), "{part}: {done:?}");
    }
    let report = world.premise(&["sync", "files", "--json"]).json(3);
    assert_eq!(list(&report["failed"]), ["letter.pdf"]);
    let added = world.premise(&["add", "missing.pdf", "files/garden.txt", "--json"]).json(3);
    assert_eq!(list(&added["added"]), ["garden.txt"]);
    assert!(added["failed"][0]["file"].as_str().is_some_and(|file| file.ends_with("missing.pdf")), "{added}");
}

#[test]
fn what_cannot_be_done_is_said_in_a_sentence_with_a_hint() {
    let world = filled();
    world.premise(&["search", "rent", "--collection", "nobody"]).says("no collection named nobody", "default");
    world.premise(&["search", "rent", "--document", "x.pdf"]).says("no file named x.pdf", "list");
    world.premise(&["search", ""]).says("the question is empty", "Type a question");
    world.premise(&["ask", &"why ".repeat(25_000)]).says("99999 characters", "few sentences");
    world.premise(&["sync", "missing"]).says("missing", "spelling");
    world.premise(&["sync", "files/lease.pdf"]).says("not a folder", "premise add");
    world.premise(&["sync"]).says("no folder to sync", "[sync]");
    world.premise(&["sync", "files", "--collection", " "]).says("needs a name", "short name");
    world.premise(&["remove", "x.pdf"]).says("no file named x.pdf", "premise list");
    let done = world.premise(&["search", "", "--json"]);
    assert_eq!(done.json(1)["error"]["code"], "empty_question");
    assert_eq!(done.err, "");
}

#[test]
fn rows_that_came_before_an_error_are_printed_with_it() {
    const QUESTION: &str = "When does the lease between Harbour Estates and Willow Books end?";
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let model = folder.path().join("broken.gguf");
    fs::write(&model, "no model").expect("a file can be written");
    let settings = format!("[models]\ngenerator = \"{}\"\n", model.display());
    let world = World::within(folder, &settings);
    // The first file has nothing to do with the question, so that the model is opened for the second.
    world.write("garden.txt", GARDEN);
    world.write("lease.pdf", pdf(&LEASE));
    world.premise(&["sync", "files"]).ok();
    let check = || {
        let done = world.premise(&["ask", "--each", QUESTION]);
        assert_eq!(done.code, Some(1), "{done:?}");
        assert_eq!(done.out, "garden.txt\n    Your files do not say.\n\nIt broke off after 1 file.\n", "{done:?}");
        assert!(done.err.contains("broken.gguf is not a GGUF file"), "{done:?}");
        let told = world.premise(&["ask", "--each", QUESTION, "--json"]).json(1);
        assert_eq!((list(&told["rows"]), &told["error"]["code"]), (vec!["garden.txt"], &json!("model_failed")));
    };
    check();
    let _server = world.spawn_server();
    check();
}

#[test]
fn a_port_that_is_taken_and_a_folder_that_is_taken_are_told() {
    let world = filled();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port can be bound");
    let addr = taken.local_addr().expect("it has an address").to_string();
    world.premise(&["serve", "--addr", &addr]).says("cannot listen on", "--addr");
    let _server = world.spawn_server();
    world.premise(&["serve", "--addr", "127.0.0.1:0"]).says("is using", "--data-dir");
    world.premise(&["reindex"]).says("is using", "Stop it first");
}

#[test]
fn with_a_server_on_the_data_folder_verbs_go_through_it() {
    let world = filled();
    let alone = world.premise(&["search", "deposit of the tenant", "--json"]).json(0);
    let _server = world.spawn_server();
    let through = world.premise(&["search", "deposit of the tenant", "--json"]).json(0);
    assert_eq!(through["passages"], alone["passages"]);

    let garden = world.path().join("garden.txt");
    fs::write(&garden, GARDEN).expect("a file can be written");
    let added = world.premise(&["add", "garden.txt", "letter.pdf", "--collection", "home", "--json"]).json(3);
    assert_eq!((list(&added["added"]), &added["chunks"]), (vec!["garden.txt"], &json!(1)));
    world.write("new.txt", "The lighthouse of Ostrava was painted red and white in 1911.");
    let report = world.premise(&["sync", "files", "--json"]).json(0);
    assert_eq!((&report["added"], &report["unchanged"]), (&json!(["new.txt"]), &json!(2)));
    let listed = world.premise(&["list", "--json"]).json(0);
    assert_eq!(list(&listed["documents"]), ["garden.txt", "lease.pdf", "new.txt", "vaccines.md"]);
    let answer = world.premise(&["ask", "How high is the rent a month?", "--json"]).json(0);
    assert_eq!(answer["model"], "smollm2-135m");
    world.premise(&["ask", " "]).says("the question is empty", "Type a question");
    world.premise(&["sync", "missing"]).says("missing", "spelling");
    world.premise(&["search", "rent", "--collection", "nobody"]).says("no collection named nobody", "home");
    world.premise(&["remove", "garden.txt"]).ok();
    let status = world.premise(&["status", "--json"]).json(0);
    assert_eq!(status["documents"], 3);
}

#[test]
fn added_folders_lose_no_file_to_another_of_its_name_and_none_in_silence() {
    let world = World::new();
    world.write("Smith/lease.pdf", pdf(&LEASE));
    world.write("Smith/drawing.dwg", "not of a kind");
    world.write("Jones/lease.pdf", pdf(&["The tenant Jones keeps three parrots and a tortoise in the shop."]));
    std::os::unix::fs::symlink("nowhere", world.files().join("Jones/gone.pdf")).expect("a link can be made");
    let check = |collection: &str| {
        let done = world.premise(&["add", "files/Smith", "files/Jones", "--collection", collection]);
        assert_eq!(done.code, Some(3), "{done:?}");
        for part in ["2 files read: 3 pages", "files/Jones/gone.pdf: ", "Not of a kind that is read: drawing.dwg"] {
            assert!(done.out.contains(part), "{part}: {done:?}");
        }
        let listed = world.premise(&["list", "--collection", collection, "--json"]).json(0);
        assert_eq!(list(&listed["documents"]), ["Jones/lease.pdf", "Smith/lease.pdf"], "{collection}");

        // What is named itself is not passed over.
        let added = world.premise(&["add", "files/Smith/drawing.dwg", "--collection", collection, "--json"]).json(1);
        assert_eq!((added["failed"].as_array().map(Vec::len), &added["unsupported"]), (Some(1), &json!([])), "{added}");
    };
    check("alone");
    let _server = world.spawn_server();
    check("through");
}

#[test]
fn bad_settings_and_bad_data_folders_are_told() {
    let world = World::with_settings("[sink]\n");
    world.premise(&["status"]).says("unknown field `sink`", "Correct that line");
    let world = World::with_settings("[sync]\ncron = \"at two\"\n");
    world.premise(&["status"]).says("\"at two\" is not a cron expression", "Correct that line");
    let world = World::with_settings("[models]\ngenerator = \"gpt\"\n");
    let done = world.premise(&["status"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.err.contains("there is no model \"gpt\"") && done.err.contains("smollm2-135m"), "{done:?}");

    let file = world.path().join("a-file");
    fs::write(&file, "no folder").expect("a file can be written");
    let as_file = |path: &Path| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_premise"));
        command.arg("--data-dir").arg(path).arg("status").env("PREMISE_MODELS_DIR", world.models());
        Done::of(command)
    };
    as_file(&file).says("a-file", "choose another place");
    // Below a file no folder can be made by anyone, root included; that stands in for missing rights.
    as_file(&file.join("data")).says("a-file", "choose another place");
}

/// A models folder of this world's own: small files are copied, large ones linked, and none is changed in place.
fn own_models(world: &World) -> PathBuf {
    let own = world.path().join("models");
    let folder = |name: &str| world.models().join(name);
    copy(&folder(""), &own, |name| name.starts_with("SmolLM2"));
    for part in ["all-minilm-l6-v2", "onnxruntime"] {
        let part =
            premise::models::find(part).expect("it is in the catalogue").folder.as_ref().expect("it has a folder");
        copy(&folder(part), &own.join(part), |_| true);
    }
    own
}

fn copy(from: &Path, to: &Path, wanted: impl Fn(&str) -> bool) {
    fs::create_dir_all(to).expect("a folder can be made");
    for entry in fs::read_dir(from).expect("the models are there").flatten() {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        let metadata = entry.metadata().expect("it can be looked at");
        if !metadata.is_file() || !wanted(&entry.file_name().to_string_lossy()) {
            continue;
        }
        // Models on another disk cannot be linked.
        if metadata.len() < 1 << 20 || fs::hard_link(&path, &target).is_err() {
            fs::copy(&path, &target).expect("a file can be copied");
        }
    }
}

#[test]
fn a_model_is_brought_in_without_a_network_and_what_else_is_needed_is_told() {
    let world = World::new();
    let models = world.path().join("models");
    let run = |args: &[&str]| {
        let mut command = world.command(args);
        // No pip on the path, and no hub: any try to fetch something fails.
        command.env("PREMISE_MODELS_DIR", &models).env("PATH", "/nowhere").env("HF_ENDPOINT", "http://127.0.0.1:9");
        Done::of(command)
    };
    let runtime = premise::models::find("onnxruntime").expect("it is in the catalogue");
    let file = runtime.folder(world.models()).join(&runtime.files[0].name);
    let file = file.to_str().expect("a plain path");
    let two = ["setup", "--model", "onnxruntime", "--model", "smollm2-135m", "--from", file];
    run(&two).says("--from brings in one model", "one --model");
    let text = run(&["setup", "--model", "onnxruntime", "--from", file]).ok();
    assert!(text.starts_with("onnxruntime is there and verified, in "), "{text}");
    for line in [
        "premise setup --model smollm2-135m --from FILE    SmolLM2-135M-Instruct.Q4_1.gguf\n",
        "premise setup --model all-minilm-l6-v2 --from FOLDER    model.safetensors, tokenizer.json, ",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let brought = run(&["setup", "--model", "onnxruntime", "--from", file, "--json"]).json(0);
    assert_eq!(
        (&brought["models"], &brought["missing"]),
        (&json!(["onnxruntime"]), &json!(["all-minilm-l6-v2", "smollm2-135m"]))
    );
}

#[test]
fn a_missing_or_altered_model_file_is_named_with_the_way_out() {
    let world = World::with_settings(SETTINGS);
    let models = own_models(&world);
    let run = |args: &[&str]| {
        let mut command = world.command(args);
        command.env("PREMISE_MODELS_DIR", &models);
        Done::of(command)
    };
    run(&["status"]).ok();

    // A generator that is not there: searching works, asking says what is missing.
    let generator = models.join("SmolLM2-135M-Instruct.Q4_1.gguf");
    let aside = models.join("aside");
    fs::rename(&generator, &aside).expect("a file can be moved");
    world.write("garden.txt", GARDEN);
    run(&["sync", "files"]).ok();
    assert!(run(&["search", "tomatoes"]).ok().contains("garden.txt"));
    run(&["ask", "tomatoes?"]).says("smollm2-135m is not set up", "premise setup");
    let status = run(&["status"]).ok();
    assert!(status.contains("cannot be used") && status.contains("premise setup"), "{status}");
    fs::rename(&aside, &generator).expect("a file can be moved");

    let tokenizer = models.join("all-minilm-l6-v2/tokenizer.json");
    let text = fs::read_to_string(&tokenizer).expect("it can be read");
    fs::remove_file(&tokenizer).expect("a file can be removed");
    run(&["search", "tomatoes"]).says("tokenizer.json is missing", "premise setup");
    fs::write(&tokenizer, text.replacen("\"[UNK]\"", "\"[ANK]\"", 1)).expect("a file can be written");
    run(&["search", "tomatoes"]).says("tokenizer.json was altered", "premise setup");
    fs::write(&tokenizer, &text[..1000]).expect("a file can be written");
    run(&["search", "tomatoes"]).says("tokenizer.json was altered", "premise setup");
    fs::write(&tokenizer, &text).expect("a file can be written");
    assert!(run(&["search", "tomatoes"]).ok().contains("garden.txt"), "put back, it works again");
}
