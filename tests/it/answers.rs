//! Answers by a real, small model: quotes that stand on the page, honest refusals, and people who leave or must wait.

use std::{
    fs,
    sync::{Arc, atomic::AtomicBool},
};

use premise::{
    bundle,
    error::Error,
    library::{Answer, AskEvent, EachEvent, Grade, Library, Row, SearchRequest},
};
use tokio::sync::mpsc::Receiver;

use crate::{
    files::{CLINIC, GARDEN, LEASE, pdf},
    world::{SETTINGS, World, wait_until},
};

fn ask(world: &World, library: &Arc<Library>, question: &str) -> Result<Receiver<AskEvent>, Error> {
    let request = SearchRequest { question: question.to_owned(), ..SearchRequest::default() };
    world.block_on(library.ask(request))
}

fn answer(world: &World, library: &Arc<Library>, question: &str) -> Answer {
    let mut events = ask(world, library, question).expect("the question can be asked");
    world.block_on(async {
        while let Some(event) = events.recv().await {
            match event {
                AskEvent::Done(answer) => return *answer,
                AskEvent::Failed(error) => panic!("{error:?}"),
                AskEvent::Passages(..) | AskEvent::Evidence(_) | AskEvent::Queued(_) | AskEvent::Piece(_) => {}
            }
        }
        panic!("the answer broke off")
    })
}

fn three_files(world: &World) -> Arc<Library> {
    world.write("lease.pdf", pdf(&LEASE));
    world.write("vaccines.md", CLINIC);
    world.write("garden.txt", GARDEN);
    let library = world.library();
    world.sync(&library);
    library
}

/// Numbers in marks such as `[2]`, in order.
fn marks(answer: &str) -> Vec<usize> {
    answer.split('[').skip(1).filter_map(|rest| rest.split_once(']')?.0.parse().ok()).collect()
}

#[test]
fn every_quote_stands_on_its_page_and_every_mark_has_its_citation() {
    let world = World::new();
    let library = three_files(&world);
    let mut cited = 0;
    for question in [
        "When does the lease between Harbour Estates and Willow Books end?",
        "How high is the rent a month?",
        "At what age is the first dose of the measles vaccine given?",
        "What grows well beside tomatoes?",
    ] {
        let answer = answer(&world, &library, question);
        assert!(!answer.passages.is_empty(), "{question}");
        assert_eq!(answer.refused, answer.citations.is_empty(), "{answer:?}");
        if answer.refused {
            assert_eq!(answer.answer, "Your files do not say.");
            continue;
        }
        cited += 1;
        assert!(answer.timings.first_token_ms.is_some_and(|ms| ms <= answer.timings.total_ms), "{answer:?}");
        let numbers: Vec<_> = answer.citations.iter().map(|citation| citation.n).collect();
        assert_eq!(marks(&answer.answer), numbers, "{answer:?}");
        for citation in &answer.citations {
            let passage = answer.passages.iter().find(|passage| passage.n == citation.n).expect("n is a passage's");
            assert_eq!((passage.document, &passage.file), (citation.document, &citation.file));
            assert!((passage.page_start..=passage.page_end).contains(&citation.page), "{citation:?}");
            let page = library.page(citation.document, citation.page).expect("the page is there");
            assert!(!citation.quote.is_empty() && page.text.contains(&citation.quote), "{citation:?}");
        }
    }
    assert!(cited > 0, "even the smallest model answers one of them");
}

#[test]
fn a_question_that_has_nothing_to_do_with_the_files_is_refused_without_asking_the_model() {
    let world = World::new();
    let library = three_files(&world);
    let answer = answer(&world, &library, "Who scored in the football final of Uruguay?");
    assert!(answer.refused, "{answer:?}");
    assert_eq!(answer.answer, "Your files do not say.");
    assert_eq!(answer.timings.first_token_ms, None);
    assert!(answer.citations.is_empty());
}

#[test]
fn a_name_that_stands_in_no_file_is_told() {
    let world = World::new();
    let library = three_files(&world);
    let unknown = |question: &str| answer(&world, &library, question).unknown;
    assert_eq!(unknown("What rent does Mr. Miller pay to Harbour Estates?"), ["Miller"]);
    assert!(unknown("What rent does Willow Books pay to Harbour Estates?").is_empty());
}

#[test]
fn without_any_files_every_question_is_refused() {
    let world = World::new();
    let library = world.library();
    let answer = answer(&world, &library, "When does the lease end?");
    assert!(answer.refused && answer.passages.is_empty(), "{answer:?}");
}

#[test]
fn two_who_ask_at_once_are_both_answered() {
    let world = World::new();
    let library = three_files(&world);
    let first = ask(&world, &library, "When does the lease end?").expect("the question can be asked");
    let second = ask(&world, &library, "How high is the rent a month?").expect("the question can be asked");
    for mut events in [first, second] {
        let mut kinds = Vec::new();
        while let Some(event) = world.block_on(events.recv()) {
            kinds.push(match event {
                AskEvent::Queued(_) => continue,
                AskEvent::Passages(..) => "passages",
                AskEvent::Evidence(_) => "evidence",
                AskEvent::Piece(_) => "piece",
                AskEvent::Done(_) => "done",
                AskEvent::Failed(error) => panic!("{error:?}"),
            });
        }
        let last = kinds.len() - 1;
        assert_eq!((kinds[0], kinds[1], kinds[last]), ("passages", "evidence", "done"));
        assert!(last > 2 && kinds[2..last].iter().all(|kind| *kind == "piece"), "{kinds:?}");
    }
}

/// All rows of a question that is put to each document by itself.
fn rows(world: &World, mut events: Receiver<EachEvent>) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut planned = None;
    loop {
        match world.block_on(events.recv()).expect("it ends with its end") {
            EachEvent::Planned(documents) => planned = Some(documents),
            EachEvent::Row(row) => rows.push(*row),
            EachEvent::Done { .. } => break,
            EachEvent::Failed(error) => panic!("{error:?}"),
        }
    }
    assert_eq!(planned, Some(rows.len()));
    rows
}

/// A question that no file of these tests has to do with: no model is asked.
const FOREIGN: &str = "Who scored in the football final of Uruguay?";

#[test]
fn each_document_is_asked_by_itself_and_only_those_that_were_chosen() {
    let world = World::new();
    let library = three_files(&world);
    let ask_each = |documents: Option<Vec<String>>| {
        let question = "How high is the rent a month?".to_owned();
        let request = SearchRequest { question, documents, ..SearchRequest::default() };
        let rows = rows(&world, world.block_on(library.ask_each(request)).expect("the question can be asked"));
        for quote in rows.iter().flat_map(|row| row.citations.iter().map(|quote| (row.document, quote))) {
            assert_eq!(quote.0, quote.1.document, "a row quotes its own document");
            let page = library.page(quote.0, quote.1.page).expect("the page is there");
            assert!(page.text.contains(&quote.1.quote), "{quote:?}");
        }
        rows.into_iter().map(|row| row.file).collect::<Vec<_>>()
    };
    assert_eq!(ask_each(None), ["garden.txt", "lease.pdf", "vaccines.md"]);
    assert_eq!(ask_each(Some(vec!["lease.pdf".to_owned()])), ["lease.pdf"]);
}

#[test]
fn a_file_name_means_the_files_of_the_collections_that_are_asked() {
    let world = World::new();
    world.write("smith/lease.txt", "The rent of Oak House is $4,500 a month.\n");
    world.write("jones/old/lease.txt", "The rent of Elm House is $5,200 a month.\n");
    world.write("jones/garden.txt", GARDEN);
    let library = world.library();
    for collection in ["smith", "jones"] {
        let folder = world.files().join(collection);
        library.sync(collection, &folder, &AtomicBool::new(false), &|_| {}).expect("the folder can be synced");
    }
    let ask_each = |collection: Option<&str>, file: &str| {
        let request = SearchRequest {
            question: FOREIGN.to_owned(),
            collections: collection.map(|name| vec![name.to_owned()]),
            documents: Some(vec![file.to_owned()]),
            ..SearchRequest::default()
        };
        let events = world.block_on(library.ask_each(request))?;
        Ok::<_, Error>(rows(&world, events).into_iter().map(|row| row.file).collect::<Vec<_>>())
    };
    let check = |collection: Option<&str>, files: &[&str]| {
        assert_eq!(ask_each(collection, "lease.txt").expect("the question can be asked"), files, "{collection:?}");
    };
    check(Some("smith"), &["lease.txt"]);
    check(Some("jones"), &["old/lease.txt"]);
    check(None, &["lease.txt", "old/lease.txt"]);
    let error = ask_each(Some("smith"), "garden.txt").expect_err("only the other collection has it");
    assert_eq!(error.code, "unknown_document");
}

#[test]
fn a_file_that_goes_while_each_is_asked_is_not_told_to_say_nothing() {
    let world = World::new();
    let name = |number: usize| format!("{number:02}.txt");
    for number in 1..=12 {
        world.write(&name(number), format!("{GARDEN}This is bed {number}.\n"));
    }
    let library = world.library();
    world.sync(&library);
    let request = SearchRequest {
        question: FOREIGN.to_owned(),
        documents: Some((1..=12).map(name).collect()),
        ..SearchRequest::default()
    };
    let events = world.block_on(library.ask_each(request)).expect("the question can be asked");
    // Eight events wait for their reader: the last files are not asked before somebody reads.
    world.write(&name(11), "Roses now.");
    fs::remove_file(world.files().join(name(12))).expect("a file can be removed");
    world.sync(&library);
    let rows = rows(&world, events);
    assert_eq!(rows.len(), 12);
    for row in rows {
        let is_gone = row.file > name(10);
        let said = if is_gone {
            "This file was changed or removed while it was asked about: ask again."
        } else {
            "Your files do not say."
        };
        assert_eq!((row.gone, row.answer.as_str()), (is_gone, said), "{}", row.file);
    }
}

#[test]
fn an_amendment_is_shown_beside_what_it_amends() {
    let world = World::new();
    world.write(
        "oak lease 2020.txt",
        "Lease of Oak House, dated 1 May 2020.\n\nThe rent of Oak House is $4,500 a month.\n",
    );
    let newer = "Amendment to the lease of Oak House, dated 1 May 2024.\n\nThe rent of Oak House is $5,200 a month.\n";
    world.write("oak amendment 2024.txt", newer);
    let library = world.library();
    world.sync(&library);
    let answer = answer(&world, &library, "What is the rent of Oak House a month?");
    assert!(!answer.refused, "{answer:?}");
    let quotes: Vec<_> = answer.differing.iter().map(|version| version.quote.quote.as_str()).collect();
    assert_eq!(quotes, ["The rent of Oak House is $5,200 a month.", "The rent of Oak House is $4,500 a month."]);
    assert!(answer.differing[0].dated > answer.differing[1].dated, "{:?}", answer.differing);
}

/// A world whose refusals are decided by the model's state alone: probes that say the same of every question, and one of
/// sentences that goes by a single number of the state.
fn a_world_that_decides(holds: f32, yes: f32, sentence: f32) -> World {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("refusals.json");
    // SmolLM2 is 576 numbers wide.
    let probe = |intercept: f32| serde_json::json!({ "intercept": intercept, "weights": vec![0.0; 576] });
    let mut of_sentences = probe(0.0);
    of_sentences["weights"][7] = sentence.into();
    let fitted = serde_json::json!([{
        "embedder": "all-minilm-l6-v2",
        "generator": "smollm2-135m",
        "intercept": 0,
        "weights": { "state_holds": 1 },
        "refuse_below": 0.4,
        "partly_below": 0.5,
        "holds": probe(holds),
        "yes": probe(yes),
        "sentence": of_sentences,
    }]);
    fs::write(&file, fitted.to_string()).expect("a file can be written");
    World::within(folder, &format!("{SETTINGS}refusals = \"{}\"\n", file.display()))
}

#[test]
fn what_was_fitted_decides_over_refusal_and_verdict() {
    const MAY: &str = "Is the rent of the lease due each month?";
    let world = a_world_that_decides(-3.0, 3.0, 0.0);
    let library = three_files(&world);
    for question in
        ["Is a deposit kept by the landlord for pets?", "How high is the deposit for pets that the landlord keeps?"]
    {
        let answer = answer(&world, &library, question);
        assert!(answer.refused && answer.citations.is_empty() && !answer.evidence.is_empty(), "{answer:?}");
        assert_eq!((answer.answer.as_str(), answer.signals.state_holds), ("Your files do not say.", Some(-3.0)));
        assert_eq!(answer.timings.tokens, 0);
    }
    for (yes, opening) in [(3.0, "Yes. "), (-3.0, "No. ")] {
        let world = a_world_that_decides(3.0, yes, 0.0);
        let library = three_files(&world);
        let answer = answer(&world, &library, MAY);
        assert_eq!((answer.refused, answer.grade), (false, Grade::Answered));
        let said = answer.answer.strip_prefix(opening).expect("the verdict comes first");
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let (said, _mark) = said.rsplit_once(' ').expect("a mark follows");
        assert_eq!(words(said), words(&answer.citations[0].quote));
        let page = library.page(answer.citations[0].document, answer.citations[0].page).expect("the page is there");
        assert!(page.text.contains(&answer.citations[0].quote));
        assert_eq!(marks(&answer.answer), [answer.citations[0].n]);
    }
}

#[test]
fn a_number_in_brackets_on_the_page_is_not_taken_for_a_mark() {
    let world = a_world_that_decides(3.0, 3.0, 0.0);
    let line = "Aspirin is recommended each day after myocardial infarction [14].";
    world.write("heart.txt", line);
    let library = world.library();
    world.sync(&library);
    let answer = answer(&world, &library, "Is aspirin recommended after myocardial infarction?");
    assert!(answer.answer.ends_with("infarction (14). [1]"), "{answer:?}");
    assert_eq!((answer.citations.len(), answer.citations[0].quote.as_str()), (1, line));
    let bundle = library.export(&answer).expect("it can be exported");
    let verdict = bundle::verify(&bundle, None, &mut |_, _| Err("not read again here".to_owned()));
    assert!(verdict.good, "{verdict:?}");
}

#[test]
fn the_sentences_that_the_model_is_surest_of_come_first() {
    let sifted = |sentence: f32| {
        let world = a_world_that_decides(-3.0, 3.0, sentence);
        world.write(
            "lease.txt",
            "The rent is due on the first day. Pets may stay in the house. The landlord keeps the garden.",
        );
        let library = world.library();
        world.sync(&library);
        let answer = answer(&world, &library, "Who keeps the garden of the house?");
        let quotes: Vec<String> = answer.evidence.iter().map(|quote| quote.quote.clone()).collect();
        assert_eq!(quotes.len(), 3, "{quotes:?}");
        (quotes, answer.signals.surest.expect("the model was asked"))
    };
    let ((mut forth, surest), (back, least)) = (sifted(1.0), sifted(-1.0));
    assert!(surest > -least, "the highest of the numbers, and the least of them: {surest}, {least}");
    forth.reverse();
    assert_eq!(forth, back, "the other way round with the opposite probe");
}

/// One place in the queue, and a prompt to which the model writes hundreds of words.
fn a_talkative_world() -> World {
    let world = World::with_settings(
        "[models]\ngenerator = \"smollm2-135m\"\n\
         [answer]\nqueue = 1\npassages = 1\ncontext_tokens = 100\nmax_tokens = 1000\n",
    );
    let prompts = world.data_dir().join("prompts");
    fs::create_dir(&prompts).expect("a folder can be made");
    fs::write(prompts.join("answer.system.txt"), "You write very long stories.").expect("a prompt can be written");
    let user = "Write a very long story of twenty chapters about this: {passages}\n{question}";
    fs::write(prompts.join("answer.user.txt"), user).expect("a prompt can be written");
    world
}

/// Waits for the model's first words.
fn first_piece(world: &World, events: &mut Receiver<AskEvent>) {
    while let Some(event) = world.block_on(events.recv()) {
        if matches!(event, AskEvent::Piece(_)) {
            return;
        }
    }
    panic!("the model writes nothing");
}

#[test]
fn a_full_queue_turns_people_away_politely_and_one_who_leaves_frees_it() {
    const QUESTION: &str = "What grows well beside tomatoes?";
    let world = a_talkative_world();
    world.write("garden.txt", GARDEN);
    let library = world.library();
    world.sync(&library);
    let server = world.serve_library(library.clone());

    let mut events = ask(&world, &library, QUESTION).expect("the question can be asked");
    first_piece(&world, &mut events);
    let error = ask(&world, &library, QUESTION).expect_err("the queue is full");
    assert_eq!(error.code, "busy");
    let refusal = server.post("/api/v1/ask", &serde_json::json!({ "question": QUESTION }));
    refusal.refused(429, "busy");
    assert_eq!(refusal.headers["retry-after"], "5");
    // Searching needs no place in the model's queue.
    assert_eq!(world.search(&library, "tomatoes").len(), 1);

    let mut pieces = 1;
    while pieces < 20 {
        match world.block_on(events.recv()) {
            Some(AskEvent::Piece(_)) => pieces += 1,
            other => panic!("it goes on writing: {other:?}"),
        }
    }
    // Nobody reads any more: the model stops long before its thousand tokens, and the next one has their place.
    let left = std::time::Instant::now();
    drop(events);
    let mut next = None;
    wait_until("the model is free", || {
        next = ask(&world, &library, QUESTION).ok();
        next.is_some()
    });
    let freed = left.elapsed();
    first_piece(&world, &mut next.expect("it was asked"));
    assert!(freed.as_secs() < 5, "the model stopped at once and not after {freed:?}");
    world.shut_down(server);
}
