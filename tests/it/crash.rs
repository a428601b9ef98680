//! What a crash may leave, and that nothing is lost or doubled by it.

use std::{fs, path::Path, process::Stdio, sync::atomic::AtomicBool};

use premise::{
    library::{Library, Mended},
    store::{CollectionId, DocumentId, Point, Store, edge::EdgeStore},
};
use rusqlite::{Connection, OpenFlags};
use uuid::Uuid;

use crate::{
    files::{CLINIC, GARDEN, LEASE, long_text, pdf},
    world::{World, documents, files, wait_until},
};

/// Each file's content as the ledger has it, chunk by chunk. Ids differ between data folders, so they are left out.
pub(crate) fn contents(library: &Library) -> Vec<(String, String, u32, Vec<String>)> {
    documents(library)
        .into_iter()
        .map(|row| {
            let chunks = library.db().chunks_of(row.id).expect("the ledger can be read");
            (row.file, row.sha256, row.pages, chunks.into_iter().map(|chunk| chunk.text).collect())
        })
        .collect()
}

/// How many documents another process has put into the ledger so far.
fn ledger_count(ledger: &Path) -> u64 {
    let count = || {
        let connection = Connection::open_with_flags(ledger, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.query_row("SELECT count(*) FROM documents", [], |row| row.get(0))
    };
    // Not there yet, or just being made.
    count().unwrap_or_default()
}

#[test]
fn killed_again_and_again_a_sync_loses_and_doubles_nothing() {
    const FILES: usize = 40;
    const KILLS: u64 = 3;
    let (whole, killed) = (World::new(), World::new());
    for number in 0..FILES {
        for world in [&whole, &killed] {
            world.write(&format!("{number:02}.txt"), long_text(number));
        }
    }
    let ledger = killed.data_dir().join("ledger.sqlite");
    let mut stored = 0;
    let mut kills = 0;
    // Killed once when it has just begun, then whenever another group of documents is in.
    for kill in 0..KILLS {
        let mut child = killed
            .command(&["sync", "files", "--json"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let mut ended = false;
        wait_until("the sync has stored something more", || {
            ended = child.try_wait().expect("the process can be asked").is_some();
            ended || if kill == 0 { index_bytes(&killed) > 0 } else { ledger_count(&ledger) > stored }
        });
        child.kill().expect("the process can be killed");
        child.wait().expect("the process ends");
        let now = ledger_count(&ledger);
        assert!(now >= stored, "what was stored stays: {stored} documents, then {now}");
        stored = now;
        kills += u64::from(!ended);
    }
    // A fast machine may be through before the last kill.
    assert!(kills > 0, "a kill came in the middle");
    println!("killed {kills} times; {stored} of {FILES} documents were in then");

    let report = killed.premise(&["sync", "files", "--json"]).json(0);
    let added = report["added"].as_array().expect("a list").len() as u64;
    assert_eq!((added, report["unchanged"].as_u64()), (FILES as u64 - stored, Some(stored)));
    let status = killed.premise(&["status", "--json"]).json(0);
    assert_eq!(status["documents"], FILES);

    let library = killed.unmended();
    assert_eq!(mend(&library), Mended::default(), "each document has exactly its chunks in the index");
    let expected = whole.library();
    whole.sync(&expected);
    assert_eq!(status["chunks"], expected.status().expect("the status can be had").chunks);
    assert_eq!(contents(&library), contents(&expected));
}

/// Bytes of the index on disk.
fn index_bytes(world: &World) -> u64 {
    fn size(folder: &Path) -> u64 {
        let Ok(entries) = fs::read_dir(folder) else { return 0 };
        entries
            .flatten()
            .map(
                |entry| {
                    if entry.path().is_dir() { size(&entry.path()) } else { entry.metadata().map_or(0, |m| m.len()) }
                },
            )
            .sum()
    }
    size(&world.data_dir().join("index"))
}

fn mend(library: &Library) -> Mended {
    library.mend(&AtomicBool::new(false), &|_| {}).expect("the index can be mended")
}

fn three_files() -> World {
    let world = World::new();
    world.write("lease.pdf", pdf(&LEASE));
    world.write("vaccines.md", CLINIC);
    world.write("garden.txt", GARDEN);
    world
}

const QUESTIONS: [&str; 3] = ["How high is the deposit?", "When is measles vaccine given?", "watering tomatoes"];

/// What each question finds, with scores.
fn found(world: &World, library: &std::sync::Arc<Library>) -> Vec<Vec<(String, String, u32)>> {
    QUESTIONS
        .iter()
        .map(|question| {
            let passages = world.search(library, question);
            passages.into_iter().map(|passage| (passage.file, passage.text, passage.score.to_bits())).collect()
        })
        .collect()
}

#[test]
fn a_lost_index_is_built_anew_at_the_next_start() {
    let world = three_files();
    let library = world.library();
    world.sync(&library);
    let before = found(&world, &library);
    assert!(before.iter().all(|passages| !passages.is_empty()));
    drop(library);
    fs::remove_dir_all(world.data_dir().join("index")).expect("the index can be deleted");

    let library = world.unmended();
    assert_eq!(world.search(&library, QUESTIONS[0]).len(), 0, "nothing is left of it");
    assert_eq!(mend(&library), Mended { rebuilt: 3, removed: 0 });
    assert_eq!(found(&world, &library), before);
    assert_eq!(mend(&library), Mended::default());
    drop(library);
    // The same through the program.
    fs::remove_dir_all(world.data_dir().join("index")).expect("the index can be deleted");
    let found = world.premise(&["search", QUESTIONS[0], "--json"]).json(0);
    assert_eq!(found["passages"][0]["file"], "lease.pdf");
}

#[test]
fn points_that_the_ledger_does_not_know_are_removed_and_never_shown() {
    let world = three_files();
    let library = world.library();
    world.sync(&library);
    let before = found(&world, &library);
    let index = library.db().meta("live_index").expect("the ledger can be read").expect("there is an index");
    let known = library.db().collection("default").expect("the ledger can be read").expect("the collection is there");
    drop(library);
    {
        let store = EdgeStore::open(&world.data_dir().join("index").join(index), 384).expect("the index opens");
        let points = vec![orphan(known), orphan(CollectionId(Uuid::new_v4()))];
        world.block_on(store.upsert(points)).expect("points can be written");
        world.block_on(store.flush()).expect("the index can be flushed");
    }
    let library = world.unmended();
    assert!(world.search(&library, "deposit").iter().all(|passage| !passage.file.is_empty()));
    assert_eq!(mend(&library), Mended { rebuilt: 0, removed: 2 });
    assert_eq!(mend(&library), Mended::default());
    assert_eq!(found(&world, &library), before);
}

/// A point as a crash between the index and the ledger leaves it.
fn orphan(collection: CollectionId) -> Point {
    Point {
        id: Uuid::new_v4(),
        collection,
        document: DocumentId(Uuid::new_v4()),
        chunk: 0,
        page_start: 1,
        page_end: 1,
        dense: vec![0.05; 384],
        sparse: premise::sparse::embed_passage("the deposit of the tenant"),
    }
}

#[test]
fn a_document_of_which_some_points_are_missing_is_made_whole() {
    let world = World::new();
    world.write("long.txt", long_text(1));
    world.write("garden.txt", GARDEN);
    let library = world.library();
    world.sync(&library);
    let index = library.db().meta("live_index").expect("the ledger can be read").expect("there is an index");
    let collection = library.db().collection("default").expect("the ledger can be read").expect("it is there");
    let long = documents(&library).into_iter().find(|row| row.file == "long.txt").expect("the file is in");
    assert!(long.chunks > 1, "{long:?}");
    drop(library);
    {
        // Nothing but one chunk is left of it.
        let store = EdgeStore::open(&world.data_dir().join("index").join(index), 384).expect("the index opens");
        let filter = premise::store::Filter::documents([long.id]);
        world.block_on(store.delete(collection, filter)).expect("points can be deleted");
        let left = Point { document: long.id, id: premise::db::point_id(long.id, 0), ..orphan(collection) };
        world.block_on(store.upsert(vec![left])).expect("a point can be written");
        world.block_on(store.flush()).expect("the index can be flushed");
    }
    let library = world.unmended();
    assert_eq!(mend(&library), Mended { rebuilt: 1, removed: 0 });
    assert_eq!(mend(&library), Mended::default());
    assert_eq!(files(&library), ["garden.txt", "long.txt"]);
}
