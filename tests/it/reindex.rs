//! Another index and another embedder: built beside the one in use, turned to, taken back, cleared away.

use std::{
    fs,
    path::Path,
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use premise::{
    app, config,
    library::{Library, Mended, Progress},
    models::Precision,
};

use crate::{
    files::{CLINIC, GARDEN, LEASE, long_text, pdf},
    world::{SETTINGS, World, wait_until},
};

const QUESTIONS: [&str; 3] = ["Who pays for repairs of the roof?", "when are tomatoes planted", "vaccines of children"];

fn three_files() -> World {
    let world = World::new();
    world.write("lease.pdf", pdf(&LEASE));
    world.write("garden.txt", GARDEN);
    world.write("vaccines.md", CLINIC);
    let library = world.library();
    world.sync(&library);
    world
}

/// What a search finds, to the bit.
fn found(world: &World, library: &Arc<Library>) -> Vec<Vec<(String, String, u32)>> {
    let all = QUESTIONS.iter().map(|question| {
        let passages = world.search(library, question);
        passages.into_iter().map(|passage| (passage.file, passage.text, passage.score.to_bits())).collect()
    });
    all.collect()
}

fn for_reindex(world: &World, precision: Option<Precision>) -> Library {
    let _within = world.enter();
    app::open_library_for_reindex(&world.data_dir(), &world.settings(), None, precision).expect("the library opens")
}

fn live(library: &Library) -> String {
    library.db().meta("live_index").expect("the ledger can be read").expect("there is an index")
}

/// The folders of indexes, whether in use or not.
fn indexes(world: &World) -> usize {
    fs::read_dir(world.data_dir().join("index")).expect("the folder can be read").count()
}

fn set(world: &World, models: &str) {
    let settings = SETTINGS.replace("[answer]", &format!("{models}\n[answer]"));
    fs::write(world.data_dir().join(config::FILE), settings).expect("settings can be written");
}

#[test]
fn a_new_index_gives_the_same_results_and_a_stopped_one_keeps_the_old_and_is_gone_on_with() {
    let world = three_files();
    let library = world.library();
    let (before, first) = (found(&world, &library), live(&library));
    drop(library);

    let stop = AtomicBool::new(false);
    let rebuilt = for_reindex(&world, None);
    let stop_at_once = |progress| {
        if matches!(progress, Progress::Advanced { .. }) {
            stop.store(true, Ordering::SeqCst);
        }
    };
    assert_eq!(rebuilt.reindex(&stop, &stop_at_once).expect_err("it was stopped").code, "stopped");
    drop(rebuilt);
    let library = world.library();
    assert_eq!((live(&library), found(&world, &library)), (first.clone(), before.clone()));
    drop(library);

    let planned = Mutex::new(Vec::new());
    let note = |progress| {
        if let Progress::Planned { files, .. } = progress {
            planned.lock().expect("nothing panics").push(files);
        }
    };
    let rebuilt = for_reindex(&world, None);
    assert_eq!(rebuilt.reindex(&AtomicBool::new(false), &note).expect("the index can be built"), 3);
    assert!(planned.lock().expect("nothing panics")[0] < 3, "what was done is not done again: {planned:?}");
    assert_ne!(live(&rebuilt), first);
    drop(rebuilt);
    let library = world.unmended();
    assert_eq!(library.mend(&AtomicBool::new(false), &|_| {}).expect("it can be mended"), Mended::default());
    assert_eq!(found(&world, &library), before);
}

#[test]
fn another_embedder_stays_in_use_until_it_is_taken_back() {
    let world = three_files();
    let before = found(&world, &world.library());
    let done = world.premise(&["reindex", "--precision", "int8", "--json"]).json(0);
    assert_eq!((&done["documents"], &done["precision"]), (&3.into(), &"int8".into()));
    // The settings still say fp32.
    let library = world.library();
    assert_eq!(library.embedder().precision, Precision::Int8);
    let int8 = found(&world, &library);
    assert_ne!(int8, before, "vectors of 8 bits give other scores");
    drop(library);
    // A file that comes in between is in the old index too once that is back, and one that went is not.
    world.write("cellar.txt", "The cellar is dry and has shelves for wine.");
    fs::remove_file(world.files().join("garden.txt")).expect("the file can be removed");
    world.premise(&["sync", "files"]).ok();

    let text = world.premise(&["reindex", "--back"]).ok();
    assert!(text.contains("in use again: 3 documents by all-minilm-l6-v2 (fp32)"), "{text}");
    let library = world.unmended();
    assert_eq!(library.mend(&AtomicBool::new(false), &|_| {}).expect("it can be mended"), Mended::default());
    assert_eq!(library.embedder().precision, Precision::Fp32);
    assert_eq!(world.search(&library, "shelves for wine")[0].file, "cellar.txt");
    assert!(world.search(&library, QUESTIONS[1]).iter().all(|passage| passage.file != "garden.txt"));
    drop(library);

    assert_eq!(indexes(&world), 2);
    assert_eq!(world.premise(&["reindex", "--drop-old"]).ok(), "Removed the old index.\n");
    assert_eq!(indexes(&world), 1);
    assert_eq!(world.premise(&["reindex", "--drop-old"]).ok(), "There is no old index.\n");
    world.premise(&["reindex", "--back"]).says("no earlier index", "--embedder");
    assert_eq!(world.search(&world.library(), "shelves for wine")[0].file, "cellar.txt");
}

#[test]
fn of_many_rebuilds_the_last_two_indexes_stay() {
    let world = three_files();
    for _ in 0..3 {
        world.premise(&["reindex"]).ok();
        assert_eq!(indexes(&world), 2);
    }
}

#[test]
fn settings_that_change_win_over_an_earlier_choice() {
    let world = three_files();
    world.premise(&["reindex", "--precision", "int8"]).ok();
    set(&world, "precision = \"int8\"");
    assert_eq!(world.library().embedder().precision, Precision::Int8);
    // Now the settings say it, and then something else.
    set(&world, "precision = \"fp32\"");
    world.premise(&["search", "roof"]).says("built by another embedder", "premise reindex");
    world.premise(&["reindex"]).ok();
    assert_eq!(world.library().embedder().precision, Precision::Fp32);
    world.premise(&["reindex", "--embedder", "bge-m3"]).says("bge-m3 is not set up", "setup --model bge-m3");
    world.premise(&["reindex", "--embedder", "bge-m4"]).says("no model \"bge-m4\"", "setup --list");
    world.premise(&["reindex", "--precision", "fp16"]).says("has no fp16 variant", "fp32 or int8");
}

#[test]
fn a_folder_is_an_embedder() {
    let world = three_files();
    let folder = world.path().join("mine");
    fs::create_dir(&folder).expect("a folder can be made");
    world.premise(&["reindex", "--embedder", "./mine"]).says("lacks embedding.toml", "docs/embedders.md");
    let minilm = world.models().join("all-minilm-l6-v2");
    let copy = |from: &str, to: &str| fs::copy(minilm.join(from), folder.join(to)).expect("a file can be copied");
    copy("model-int8.onnx", "model.onnx");
    for name in ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "config.json"] {
        copy(name, name);
    }
    // Chunks were cut for 254 tokens: those that are longer than this are embedded in pieces.
    let description = "dimension = 384\nmax_tokens = 64\npooling = \"mean\"\npassage_prefix = \"passage: \"\n";
    fs::write(folder.join("embedding.toml"), description).expect("a file can be written");
    world.premise(&["reindex", "--embedder", "./mine"]).ok();
    let library = world.library();
    assert!(Path::new(&library.embedder().embedder).is_absolute());
    assert_eq!(world.search(&library, QUESTIONS[0])[0].file, "lease.pdf");
    drop(library);
    // What the folder holds is the model: a change of it is another embedder.
    fs::write(folder.join("embedding.toml"), description.replace("64", "128")).expect("a file can be written");
    world.premise(&["search", "roof"]).says("built by another embedder", "premise reindex");
    assert!(world.premise(&["reindex", "--back"]).ok().contains("all-minilm-l6-v2 (fp32)"));
    assert_eq!(world.search(&world.library(), QUESTIONS[0])[0].file, "lease.pdf");
}

#[test]
fn a_rebuild_that_is_killed_leaves_the_old_index_in_use() {
    let world = World::new();
    for number in 0..30 {
        world.write(&format!("{number:02}.txt"), long_text(number));
    }
    let library = world.library();
    world.sync(&library);
    let (before, first) = (found(&world, &library), live(&library));
    drop(library);
    let mut child = world
        .command(&["reindex", "--precision", "int8"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    wait_until("it builds the new index", || indexes(&world) == 2);
    child.kill().expect("the process can be killed");
    child.wait().expect("the process ends");
    let library = world.library();
    assert_eq!((live(&library), found(&world, &library)), (first.clone(), before));
    drop(library);
    world.premise(&["reindex", "--precision", "int8"]).ok();
    let library = world.unmended();
    assert_ne!(live(&library), first);
    assert_eq!(library.mend(&AtomicBool::new(false), &|_| {}).expect("it can be mended"), Mended::default());
}
