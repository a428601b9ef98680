//! Feedback: kept when a person says so, taken back when they say so, and a set that the program can be measured with.

use std::{fs, sync::atomic::AtomicBool};

use serde_json::{Value, json};

use crate::{
    files::{CLINIC, LEASE, pdf},
    world::World,
};

const FEEDBACK: &str = "/api/v1/feedback";

#[test]
fn what_people_say_of_answers_is_kept_and_becomes_a_set() {
    let world = World::new();
    world.write("lease.pdf", pdf(&LEASE));
    world.write("clinic/vaccines.md", CLINIC);
    let library = world.library();
    world.sync(&library);
    let server = world.serve_library(library);
    let ask = |question: &str| server.post("/api/v1/ask", &json!({ "question": question })).ok();
    let answers = [
        "When does the lease between Harbour Estates and Willow Books end?",
        "How high is the rent a month?",
        "At what age is the first dose of the measles vaccine given?",
    ]
    .map(ask);
    let answer = answers.iter().find(|answer| answer["refused"] == false).expect("one of them is answered");
    let refusal = ask("Who scored in the football final of Uruguay?");
    assert_eq!(refusal["refused"], true);
    let list = || world.premise(&["feedback", "list", "--json"]).json(0)["feedback"].clone();
    assert_eq!(list(), json!([]), "asking keeps nothing");

    let say = |answer: &Value, opinion: &str| {
        let reply = server.post(FEEDBACK, &json!({ "answer": answer["id"], "opinion": opinion }));
        assert_eq!(reply.status, 204, "{reply:?}");
    };
    say(answer, "not_helpful");
    say(answer, "helpful");
    say(&refusal, "helpful");
    let other = answers.iter().find(|other| other["id"] != answer["id"]).expect("there are three");
    say(other, "wrong_citation");
    assert_eq!(list().as_array().map(Vec::len), Some(3), "the last word on an answer counts");
    server.post(FEEDBACK, &json!({ "answer": answer["id"], "opinion": "fine" })).refused(400, "bad_json");
    let nobody = json!({ "answer": "00000000-0000-4000-8000-000000000000", "opinion": "helpful" });
    server.post(FEEDBACK, &nobody).refused(404, "unknown_answer");
    server.get(FEEDBACK).refused(403, "no_token");
    server.delete(FEEDBACK).refused(403, "no_token");
    let folder = json!({ "folder": world.path().join("stolen") });
    server.post(&format!("{FEEDBACK}/export"), &folder).refused(403, "no_token");

    let told = world.premise(&["feedback", "export", "set", "--json"]).json(0);
    assert_eq!(
        (&told["questions"], &told["unsettled"], &told["left_out"]),
        (&json!(2), &json!(1), &json!(0)),
        "{told}"
    );
    let set = world.path().join("set");
    let lines = |name: &str| -> Vec<Value> {
        let text = fs::read_to_string(set.join(name)).expect("it is there");
        text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
    };
    let queries = lines("queries.jsonl");
    let query = queries.iter().find(|query| query["answerable"] == true).expect("the answer is in");
    assert_eq!(query["question"], answer["question"]);
    let evidence = &query["evidence"][0];
    assert_eq!(
        (&evidence["text"], &evidence["pages"][0]),
        (&answer["citations"][0]["quote"], &answer["citations"][0]["page"])
    );
    let file = evidence["file"].as_str().expect("a name");
    assert!(set.join("docs").join(file).exists());
    assert!(lines("pages.jsonl").iter().any(|page| page["file"] == file && page["page"] == evidence["pages"][0]));
    let refused = queries.iter().find(|query| query["answerable"] == false).expect("the refusal is in");
    assert_eq!(refused["evidence"], json!([]));
    assert_eq!(lines("unsettled.jsonl")[0]["opinion"], "wrong_citation");
    world.premise(&["feedback", "export", "set"]).says("holds an evaluation set already", "not there yet");

    let id = other["id"].as_str().expect("an identity");
    assert_eq!(server.delete(&format!("{FEEDBACK}/{id}")).status, 204);
    assert_eq!(list().as_array().map(Vec::len), Some(2), "one was taken back");
    world.shut_down(server);
    // Without a server the same verbs read the ledger themselves, and the set can be measured.
    assert_eq!(list().as_array().map(Vec::len), Some(2));
    let work = world.path().join("work");
    let work = work.to_str().expect("a plain path");
    let measured = world.premise(&["eval", "set", "--work", work, "--json"]).json(0);
    assert!(measured["metrics"].to_string().contains("R@1"), "{measured}");
    // Without the text of the pages answers cannot be scored: said before any is asked for.
    fs::remove_file(set.join("pages.jsonl")).expect("it is there");
    let answered = world.premise(&["eval", "set", "--work", work, "--stage", "answer"]);
    answered.says("pages.jsonl", "--stage answer");
    assert!(world.premise(&["feedback", "clear"]).ok().contains("2 answers"));
    assert_eq!(list(), json!([]));
}

#[test]
fn a_set_has_the_files_that_were_meant_and_no_others_of_their_name() {
    let world = World::new();
    let library = world.library();
    for (collection, rent) in [("smith", "4,500"), ("jones", "5,200")] {
        let text = format!("The rent of the house is {rent} dollars a month.\n");
        world.write(&format!("{collection}/lease.txt"), text);
        let folder = world.files().join(collection);
        library.sync(collection, &folder, &AtomicBool::new(false), &|_| {}).expect("the folder can be synced");
    }
    let server = world.serve_library(library);
    let question = "How high is the rent a month?";
    let narrowed = json!({ "question": question, "collections": ["smith"], "documents": ["lease.txt"] });
    let answer = server.post("/api/v1/ask", &narrowed).ok();
    let reply = server.post(FEEDBACK, &json!({ "answer": answer["id"], "opinion": "helpful" }));
    assert_eq!(reply.status, 204, "{reply:?}");
    let told = world.premise(&["feedback", "export", "set", "--json"]).json(0);
    assert_eq!((&told["questions"], &told["files"]), (&json!(1), &json!(1)), "{told}");
    let copied = fs::read_to_string(world.path().join("set/docs/lease.txt")).expect("it is there");
    assert!(copied.contains("4,500"), "{copied}");
    world.shut_down(server);
}
