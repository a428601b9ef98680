//! The right passages: narrowed as people narrow, exact where they are exact, whole, once, and in the right order.

use std::sync::Arc;

use premise::{
    db::Listing,
    library::{Found, Library, Passage, SearchRequest, Steps, Turn},
};

use crate::{
    files::{CLINIC, LEASE, pdf},
    world::World,
};

struct Shelf {
    world: World,
    library: Arc<Library>,
}

impl Shelf {
    fn of(files: &[(&str, &[u8])]) -> Self {
        let world = World::new();
        for (name, bytes) in files {
            world.write(name, bytes);
        }
        let library = world.library();
        let report = world.sync(&library);
        assert!(report.failed.is_empty(), "{:?}", report.failed);
        Self { world, library }
    }

    #[expect(clippy::needless_pass_by_value, reason = "a request is made where it is asked")]
    fn find(&self, request: SearchRequest) -> Found {
        self.world.block_on(self.library.search(&request)).expect("the question can be searched")
    }

    fn label(&self, file: &str, label: &str) {
        let listing = Listing { name_contains: Some(file.to_owned()), limit: 1, ..Listing::default() };
        let (rows, _) = self.library.db().documents(&listing).expect("the ledger can be read");
        self.library.set_labels(rows[0].id, &[label.to_owned()]).expect("a label can be put on");
    }
}

fn asking(question: &str) -> SearchRequest {
    SearchRequest { question: question.to_owned(), k: Some(20), explain: true, ..SearchRequest::default() }
}

fn files(found: &Found) -> Vec<&str> {
    let mut files: Vec<&str> = found.passages.iter().map(|passage| passage.file.as_str()).collect();
    files.sort_unstable();
    files.dedup();
    files
}

const OLD: &[u8] = b"Letter of March 3, 2015\n\nThe tenant asks for a reduction of the rent because the roof leaks.";
const NEW: &[u8] = b"Letter of May 9, 2021\n\nThe tenant pays the rent again since the roof was repaired.";
const NOTE: &[u8] = b"# Call\n\nThe tenant called about the rent and the roof.";

#[test]
fn a_search_is_narrowed_by_type_date_and_label() {
    let shelf = Shelf::of(&[("old.txt", OLD), ("new.txt", NEW), ("call.md", NOTE)]);
    let check = |narrowed: &dyn Fn(&mut SearchRequest), expected: &[&str]| {
        let mut request = asking("rent and roof of the tenant");
        narrowed(&mut request);
        assert_eq!(files(&shelf.find(request)), expected);
    };
    let day = |text: &str| Some(text.parse().expect("a day"));
    check(&|_| {}, &["call.md", "new.txt", "old.txt"]);
    check(&|request| request.types = Some(vec!["txt".to_owned()]), &["new.txt", "old.txt"]);
    check(&|request| request.dated_from = day("2020-01-01"), &["new.txt"]);
    check(&|request| request.dated_to = day("2015-03-03"), &["old.txt"]);
    check(&|request| (request.dated_from, request.dated_to) = (day("2016-01-01"), day("2020-12-31")), &[]);
    shelf.label("call.md", "urgent");
    check(&|request| request.labels = Some(vec!["urgent".to_owned(), "other".to_owned()]), &["call.md"]);
    check(
        &|request| {
            request.labels = Some(vec!["urgent".to_owned()]);
            request.documents = Some(vec!["new.txt".to_owned()]);
        },
        &[],
    );
    // A label stays with its file when the content changes, and goes with it when the file moves.
    shelf.world.write("call.md", [NOTE, b" He will pay the rent."].concat());
    shelf.world.sync(&shelf.library);
    check(&|request| request.labels = Some(vec!["urgent".to_owned()]), &["call.md"]);
    std::fs::rename(shelf.world.files().join("call.md"), shelf.world.files().join("done.md")).expect("it moves");
    shelf.world.sync(&shelf.library);
    check(&|request| request.labels = Some(vec!["urgent".to_owned()]), &["done.md"]);
}

const ORDERS: &[u8] = b"The buyer shall purchase no less than 500 units a year, and pays within thirty days.";
const VISIT: &[u8] =
    b"The parties look forward to a long contract. Both teams will visit the plant, which is there for all.";
const CHAIRS: &[u8] = b"The chairs of the meeting room are blue, and the tables of the canteen are white.";

#[test]
fn what_a_term_means_is_searched_for_and_never_shown_as_asked() {
    let shelf = Shelf::of(&[("orders.txt", ORDERS), ("visit.txt", VISIT), ("chairs.txt", CHAIRS)]);
    let mut request = asking("Is there a minimum commitment in the contract?");
    let score = |found: &Found| {
        let orders = found.passages.iter().find(|passage| passage.file == "orders.txt");
        let orders = orders.expect("all passages are shown");
        let why = orders.why.clone().expect("it was asked for");
        (orders.n, orders.similarity.expect("it was found by meaning"), why.words)
    };
    let (place, near, words) = score(&shelf.find(request.clone()));
    assert_eq!((place, words), (1, Vec::new()), "it has no word of the question");
    let steps = Steps::all().without("glossary").expect("it is a step");
    let without = shelf.world.block_on(shelf.library.search_by(&request, steps)).expect("the question can be searched");
    assert!(near > score(&without.0).1 + 0.05, "{near}");

    // An office's own glossary, read at the next start.
    std::fs::write(shelf.world.data_dir().join("glossary.txt"), "the cobalt rule = The chairs are blue.\n")
        .expect("is written");
    drop(shelf.library);
    let library = shelf.world.library();
    request.question = "Does the cobalt rule hold?".to_owned();
    let found = shelf.world.block_on(library.search(&request)).expect("the question can be searched");
    assert_eq!(found.passages[0].file, "chairs.txt");
}

#[test]
fn a_bad_narrowing_says_what_is_wrong() {
    let shelf = Shelf::of(&[("old.txt", OLD)]);
    let check = |request: SearchRequest, code: &str| {
        let error = shelf.world.block_on(shelf.library.search(&request)).expect_err("it cannot be searched");
        assert_eq!(error.code, code);
    };
    check(SearchRequest { types: Some(vec!["exe".to_owned()]), ..asking("rent") }, "unknown_type");
    let (from, to) = ("2020-01-02".parse().ok(), "2020-01-01".parse().ok());
    check(SearchRequest { dated_from: from, dated_to: to, ..asking("rent") }, "bad_dates");
    let label = shelf.library.set_labels(shelf.find(asking("rent")).passages[0].document, &["x".repeat(100)]);
    assert_eq!(label.expect_err("it is too long").code, "bad_labels");
}

#[test]
fn pages_of_results_follow_each_other_without_gap_or_repeat() {
    let texts: Vec<(String, String)> = ["rent", "roof", "garden", "lift", "cellar", "stairs", "heating"]
        .iter()
        .map(|word| (format!("{word}.txt"), format!("The tenant of the house complains about the {word}.")))
        .collect();
    let named: Vec<(&str, &[u8])> = texts.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
    let shelf = Shelf::of(&named);
    let all = shelf.find(asking("What does the tenant complain about?"));
    assert_eq!((all.passages.len(), all.next_offset), (7, None));
    let mut paged: Vec<Passage> = Vec::new();
    let mut offset = Some(0);
    while let Some(at) = offset {
        let page = shelf.find(SearchRequest {
            k: Some(3),
            offset: Some(at),
            ..asking("What does the tenant complain about?")
        });
        paged.extend(page.passages);
        offset = page.next_offset;
    }
    let places = |passages: &[Passage]| passages.iter().map(|p| (p.n, p.file.clone())).collect::<Vec<_>>();
    assert_eq!(places(&paged), places(&all.passages));
}

#[test]
fn the_same_form_in_many_files_is_shown_once_and_another_sum_is_another_text() {
    let form = |sum: &str| {
        format!(
            "The tenant shall pay a deposit of {sum} to the landlord before the keys are handed over to him by the agent."
        )
    };
    let (same, other) = (form("$500"), form("$900"));
    let shelf = Shelf::of(&[
        ("a.txt", same.as_bytes()),
        ("b.txt", format!("{same}\n").as_bytes()),
        ("c.txt", other.as_bytes()),
    ]);
    let found = shelf.find(asking("How high is the deposit?"));
    assert_eq!(found.passages.len(), 2);
    let passage = found.passages.iter().find(|passage| !passage.also.is_empty()).expect("one stands twice");
    let mut both = vec![passage.file.as_str(), passage.also[0].file.as_str()];
    both.sort_unstable();
    assert_eq!(both, ["a.txt", "b.txt"]);
}

#[test]
fn identifiers_days_and_quoted_words_lead_to_where_they_stand() {
    let codes = b"Visit of 1 June 2022. Coded E11.9, diabetes without complications. Metformin 500 mg twice a day.";
    let other = b"Visit of 8 June 2022. Coded E11.65, diabetes with a high sugar level. Metformin 850 mg twice a day.";
    let clause = b"A change of control ends the agreement. Section 12(b) says who is told of it.";
    let near = b"Whoever has control may change the agreement. Section 12(c) says who is told of it.";
    let shelf = Shelf::of(&[("a.txt", codes), ("b.txt", other), ("c.txt", clause), ("d.txt", near)]);
    let check = |question: &str, file: &str, exact: &str| {
        let found = shelf.find(asking(question));
        let first = &found.passages[0];
        assert_eq!(first.file, file, "{question}");
        let why = first.why.as_ref().expect("it was asked for");
        assert!(why.exact.iter().any(|held| held == exact), "{question}: {why:?}");
    };
    check("Which visit was coded E11.9?", "a.txt", "e11.9");
    check("Which visit was coded E11.65?", "b.txt", "e11.65");
    check("What was prescribed on June 8, 2022?", "b.txt", "2022-06-08");
    check("Which agreement speaks of a \"change of control\"?", "c.txt", "change of control");
    check("Who is told under Section 12(c)?", "d.txt", "12(c)");
}

#[test]
fn a_long_clause_comes_whole_with_its_heading() {
    let sentence = |n: usize| {
        format!("Sentence {n} of this clause speaks at length of the duties of the tenant towards the house.")
    };
    let clause: Vec<String> = (0..30).map(sentence).collect();
    let text = format!("4. Duties\n\n{}\n\n5. Garden\n\nThe garden is kept by the landlord.", clause.join(" "));
    let shelf = Shelf::of(&[("lease.txt", text.as_bytes())]);
    let found = shelf.find(SearchRequest { k: Some(1), ..asking("What does sentence 12 say of the tenant's duties?") });
    let passage = &found.passages[0];
    assert!(passage.text.contains("Sentence 0 of") && passage.text.contains("Sentence 29 of"), "{}", passage.text);
    assert!(text.contains(&passage.text), "its text is that of the page");
    assert_eq!(passage.section, ["4 Duties"]);
    assert!(passage.why.as_ref().is_some_and(|why| why.chunks.len() > 1));
}

#[test]
fn a_follow_up_is_understood_with_what_was_asked_before() {
    let shelf = Shelf::of(&[("lease.pdf", &pdf(&LEASE)), ("vaccines.md", CLINIC.as_bytes())]);
    let before = |question: &str| vec![Turn { question: question.to_owned(), answer: String::new() }];
    let first = "How high is the rent in lease.pdf?";
    let found = shelf.find(SearchRequest { conversation: before(first), ..asking("And when does it end?") });
    assert_eq!(found.passages[0].file, "lease.pdf");
    assert!(found.understood.is_some_and(|understood| understood.contains("lease.pdf")));
    let alone = shelf.find(asking("At what age is the measles vaccine given?"));
    assert_eq!((alone.passages[0].file.as_str(), alone.understood), ("vaccines.md", None));
}
