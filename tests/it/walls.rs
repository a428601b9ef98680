//! Collections are walls: what one holds shows nowhere in another, not even in a score.

use std::sync::{Arc, atomic::AtomicBool};

use premise::library::{Library, SearchRequest};

use crate::{
    files::{CLINIC, GARDEN, LEASE, pdf},
    world::World,
};

/// File, text and score of what a question finds in some collections.
fn found(world: &World, library: &Arc<Library>, question: &str, collections: &[&str]) -> Vec<(String, String, u32)> {
    let request = SearchRequest {
        question: question.to_owned(),
        k: Some(50),
        collections: Some(collections.iter().map(|&name| name.to_owned()).collect()),
        ..SearchRequest::default()
    };
    let found = world.block_on(library.search(&request)).expect("the question can be searched");
    for passage in &found.passages {
        assert!(collections.contains(&passage.collection.as_str()), "{passage:?}");
    }
    found.passages.into_iter().map(|passage| (passage.file, passage.text, passage.score.to_bits())).collect()
}

fn add(library: &Library, collection: &str, path: std::path::PathBuf) {
    let added = library.add(collection, &[path], &[], &AtomicBool::new(false), &|_| {}).expect("files can be added");
    assert!(added.failed.is_empty(), "{:?}", added.failed);
}

#[test]
fn a_search_in_one_collection_never_shows_another_nor_feels_it_grow() {
    const QUESTIONS: [&str; 3] = ["deposit of the tenant", "When is the measles vaccine given?", "rent a month"];
    let world = World::new();
    let library = world.library();
    add(&library, "leases", world.write("lease.pdf", pdf(&LEASE)));
    add(&library, "clinic", world.write("vaccines.md", CLINIC));
    let before: Vec<_> = QUESTIONS.iter().map(|question| found(&world, &library, question, &["leases"])).collect();
    assert!(before.iter().flatten().all(|(file, ..)| file == "lease.pdf"));
    assert!(!before[0].is_empty());
    let vaccine = &found(&world, &library, QUESTIONS[1], &["clinic"])[0];
    assert_eq!(vaccine.0, "vaccines.md");

    // The other one grows, with the very words that are asked for, and with the same file.
    for number in 0..6 {
        let text = format!("Matter {number}: the deposit of the tenant and the rent a month are in dispute. {GARDEN}");
        add(&library, "clinic", world.write(&format!("dispute {number}.txt"), text));
    }
    add(&library, "clinic", world.files().join("lease.pdf"));
    let after: Vec<_> = QUESTIONS.iter().map(|question| found(&world, &library, question, &["leases"])).collect();
    assert_eq!(before, after);
    assert!(found(&world, &library, QUESTIONS[0], &["clinic"]).len() > 6);
    assert!(found(&world, &library, QUESTIONS[0], &["clinic", "leases"]).len() > before[0].len());

    // Taking the file out of one leaves the other's.
    let clinic = library.collection("clinic").expect("the collection is there");
    let listing = premise::db::Listing { collection: Some(clinic), limit: 100, ..premise::db::Listing::default() };
    let (rows, _) = library.db().documents(&listing).expect("the ledger can be read");
    for row in rows {
        library.remove(row.id).expect("it can be taken out");
    }
    assert_eq!(library.status().expect("the status can be had").documents, 1);
    assert_eq!(QUESTIONS.map(|question| found(&world, &library, question, &["leases"])).to_vec(), before);
}

#[test]
fn a_collection_that_is_not_there_is_no_empty_result() {
    let world = World::new();
    let library = world.library();
    add(&library, "leases", world.write("lease.pdf", pdf(&LEASE)));
    let request = SearchRequest {
        question: "rent".to_owned(),
        collections: Some(vec!["leases".to_owned(), "nobody".to_owned()]),
        ..SearchRequest::default()
    };
    let error = world.block_on(library.search(&request)).expect_err("one of them is unknown");
    assert_eq!(error.code, "unknown_collection");
    assert!(error.message.contains("nobody") && error.hint.contains("leases"), "{error:?}");
    let none = SearchRequest { collections: Some(Vec::new()), ..request };
    let found = world.block_on(library.search(&none)).expect("no collection is an answerable question");
    assert!(found.passages.is_empty(), "no collection is not all collections");
}
