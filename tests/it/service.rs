//! The query service over HTTP, as a browser and other programs see it.

use std::{fs, net::TcpStream};

use premise::datadir::{self, Owner};
use serde_json::{Value, json};

use crate::{
    files::{CLINIC, GARDEN, LEASE, pdf},
    server::{Server, reply},
    world::World,
};

const DOCUMENTS: &str = "/api/v1/documents";

fn served() -> (World, Server) {
    let world = World::new();
    world.write("lease.pdf", pdf(&LEASE));
    world.write("clinic/vaccines.md", CLINIC);
    world.write("garden.txt", GARDEN);
    let library = world.library();
    world.sync(&library);
    let server = world.serve_library(library);
    (world, server)
}

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = value.as_object().expect("an object").keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

fn names(documents: &Value) -> Vec<&str> {
    documents.as_array().expect("a list").iter().filter_map(|document| document["file"].as_str()).collect()
}

fn id_of(server: &Server, file: &str) -> String {
    let listed = server.get(&format!("{DOCUMENTS}?q={file}")).ok();
    listed["documents"][0]["id"].as_str().expect("the file is in").to_owned()
}

#[test]
fn search_and_ask_have_the_shapes_that_are_promised() {
    let (_world, server) = served();
    let question = json!({ "question": "How high is the deposit of the tenant?", "k": 2 });
    let found = server.post("/api/v1/search", &question).ok();
    assert_eq!(keys(&found), ["next_offset", "passages", "took_ms"]);
    let passages = found["passages"].as_array().expect("a list");
    assert!((1..=2).contains(&passages.len()));
    for (at, passage) in passages.iter().enumerate() {
        for key in ["n", "document", "file", "collection", "page_start", "page_end", "text", "score"] {
            assert!(!passage[key].is_null(), "{key}: {passage}");
        }
        assert_eq!(passage["n"], at + 1);
    }
    assert_eq!(passages[0]["file"], "lease.pdf");

    let answer = server.post("/api/v1/ask", &question).ok();
    let expected = [
        "answer",
        "asked_at",
        "citations",
        "evidence",
        "grade",
        "id",
        "left_out",
        "model",
        "passages",
        "question",
        "refused",
        "signals",
        "timings",
    ];
    assert_eq!(keys(&answer), expected);
    for key in ["retrieve_ms", "first_token_ms", "total_ms"] {
        assert!(answer["timings"][key].is_u64(), "{answer}");
    }
    assert_eq!(answer["model"], "smollm2-135m");
    for citation in answer["citations"].as_array().expect("a list") {
        assert_eq!(keys(citation), ["boxes", "document", "end", "file", "n", "page", "quote", "score", "start"]);
    }
}

#[test]
fn a_streamed_answer_comes_as_passages_then_pieces_then_the_whole() {
    let (_world, server) = served();
    let question = json!({ "question": "When does the lease end?", "stream": true });
    let events = server.events("/api/v1/ask", &question);
    let order: Vec<_> = events.iter().map(|(name, _)| name.as_str()).collect();
    let last = order.len() - 1;
    assert_eq!((order[0], order[last]), ("passages", "done"));
    assert_eq!(order[1], "evidence");
    assert!(last > 2 && order[2..last].iter().all(|name| *name == "piece"), "{order:?}");
    assert!(events[0].1["took_ms"].is_u64() && !events[0].1["passages"][0]["text"].is_null());
    assert!(events[2].1["text"].is_string());
    assert_eq!(events[0].1["passages"], events[last].1["passages"]);
    assert!(events[last].1["refused"].is_boolean());
}

#[test]
fn documents_and_collections_narrow_and_unknown_names_are_not_found() {
    let (_world, server) = served();
    for name in ["clinic/vaccines.md", "vaccines.md"] {
        let request = json!({ "question": "deposit of the tenant", "documents": [name] });
        let found = server.post("/api/v1/search", &request).ok();
        assert_eq!(names(&found["passages"]), ["clinic/vaccines.md"], "{name}");
    }
    let ask = |body: Value| server.post("/api/v1/search", &body);
    assert!(!names(&ask(json!({ "question": "rent", "collections": ["default"] })).ok()["passages"]).is_empty());
    ask(json!({ "question": "rent", "documents": ["nothing.pdf"] })).refused(404, "unknown_document");
    ask(json!({ "question": "rent", "collections": ["nobody"] })).refused(404, "unknown_collection");
    server.get(&format!("{DOCUMENTS}?collection=nobody")).refused(404, "unknown_collection");
    for id in ["00000000-0000-4000-8000-000000000000", "not-an-id"] {
        server.get(&format!("{DOCUMENTS}/{id}/file")).refused(404, "unknown_document");
        server.get(&format!("{DOCUMENTS}/{id}/pages/1")).refused(404, "unknown_document");
        server.delete(&format!("{DOCUMENTS}/{id}")).refused(404, "unknown_document");
    }
    let lease = id_of(&server, "lease");
    server.get(&format!("{DOCUMENTS}/{lease}/pages/3")).refused(404, "unknown_page");
    server.get("/api/v1/nothing").refused(404, "no_such_address");
    server.get("/nothing").refused(404, "no_such_address");
}

#[test]
fn a_question_that_cannot_be_asked_is_refused_with_a_sentence() {
    let (_world, server) = served();
    for verb in ["/api/v1/search", "/api/v1/ask"] {
        server.post(verb, &json!({ "question": "  " })).refused(400, "empty_question");
        server.post(verb, &json!({ "question": "why ".repeat(25_000) })).refused(413, "question_too_long");
        server.post(verb, &json!({ "query": "no question" })).refused(400, "bad_json");
        reply(server.agent.post(server.url(verb)).content_type("application/json").send("{")).refused(400, "bad_json");
        reply(server.agent.post(server.url(verb)).content_type("text/plain").send("rent?")).refused(400, "bad_json");
    }
}

#[test]
fn an_upload_can_be_listed_searched_read_and_deleted() {
    let (_world, server) = served();
    let bytes = pdf(&["The harbour crane of Willow Books lifts twelve tons.", "It was built in 1987."]);
    let uploaded = server.upload("crane.pdf", &bytes);
    assert_eq!(uploaded.status, 201);
    let document = uploaded.ok()["document"].take();
    assert_eq!(
        (&document["file"], &document["pages"], &document["status"]),
        (&json!("crane.pdf"), &json!(2), &json!("ready"))
    );
    let id = document["id"].as_str().expect("it has an id");

    let listed = server.get(DOCUMENTS).ok();
    assert_eq!(names(&listed["documents"]), ["clinic/vaccines.md", "crane.pdf", "garden.txt", "lease.pdf"]);
    assert_eq!(listed["total"], 4);
    let part = server.get(&format!("{DOCUMENTS}?offset=1&limit=2")).ok();
    assert_eq!((names(&part["documents"]), &part["total"]), (vec!["crane.pdf", "garden.txt"], &json!(4)));
    let collections = server.get("/api/v1/collections").ok();
    assert_eq!(
        (&collections["collections"][0]["name"], &collections["collections"][0]["documents"]),
        (&json!("default"), &json!(4))
    );

    let search = || server.post("/api/v1/search", &json!({ "question": "How much does the harbour crane lift?" })).ok();
    assert_eq!(search()["passages"][0]["file"], "crane.pdf");
    let page = server.get(&format!("{DOCUMENTS}/{id}/pages/2")).ok();
    assert_eq!(page, json!({ "file": "crane.pdf", "page": 2, "pages": 2, "text": "It was built in 1987." }));

    let mut file = server.agent.get(server.url(&format!("{DOCUMENTS}/{id}/file"))).call().expect("the server answers");
    assert_eq!(file.headers()["content-type"], "application/pdf");
    assert_eq!(file.headers()["content-disposition"], "inline; filename=\"crane.pdf\"");
    assert_eq!(file.body_mut().read_to_vec().expect("the file can be read"), bytes);

    assert_eq!(server.delete(&format!("{DOCUMENTS}/{id}")).status, 204);
    assert!(!names(&search()["passages"]).contains(&"crane.pdf"));
    server.get(&format!("{DOCUMENTS}/{id}/file")).refused(404, "unknown_document");
    server.delete(&format!("{DOCUMENTS}/{id}")).refused(404, "unknown_document");
}

#[test]
fn an_upload_that_cannot_be_read_or_named_is_refused_and_leaves_nothing() {
    let (world, server) = served();
    assert_eq!(server.upload("empty.pdf", b"").status, 422);
    server.upload("letter.pdf", b"no PDF").refused(422, "unreadable_file");
    for name in
        ["../lease.pdf", "/a.txt", "a//b.txt", "a/../b.txt", "a/./b.txt", "a/", "a\\b.txt", "a\nb.txt", "", ".."]
    {
        server.upload(name, GARDEN.as_bytes()).refused(400, "bad_file_name");
    }
    for name in ["a".repeat(300), "folder/".repeat(200) + "b"] {
        server.upload(&format!("{name}.txt"), GARDEN.as_bytes()).refused(400, "bad_file_name");
    }
    assert_eq!(server.get(DOCUMENTS).ok()["total"], 3);
    let left = fs::read_dir(world.data_dir().join("incoming")).expect("the folder is there").count();
    assert_eq!(left, 0, "what was received is gone");
}

#[test]
fn uploads_are_told_apart_by_their_folders_and_a_newer_version_replaces_the_earlier() {
    let (_world, server) = served();
    let herons = "The herons of Smith nest by the river in the month of March.";
    let swallows = "The swallows of Jones nest in the barn in the month of May.";
    assert_eq!(server.upload("Smith/birds.txt", herons.as_bytes()).status, 201);
    assert_eq!(server.upload("Jones/birds.txt", swallows.as_bytes()).status, 201);
    let listed = || server.get(&format!("{DOCUMENTS}?q=birds.txt")).ok();
    assert_eq!(names(&listed()["documents"]), ["Jones/birds.txt", "Smith/birds.txt"]);
    let smith = id_of(&server, "Smith/birds.txt");
    assert_eq!(server.get(&format!("{DOCUMENTS}/{smith}/file")).ok(), herons);

    let newer = "The cranes of Smith nest by the lake in the month of April.";
    assert_eq!(server.upload("Smith/birds.txt", newer.as_bytes()).status, 201);
    assert_eq!(names(&listed()["documents"]), ["Jones/birds.txt", "Smith/birds.txt"]);
    server.get(&format!("{DOCUMENTS}/{smith}/file")).refused(404, "unknown_document");
    let smith = id_of(&server, "Smith/birds.txt");
    assert_eq!(server.get(&format!("{DOCUMENTS}/{smith}/file")).ok(), newer);
}

#[test]
fn a_body_above_the_limit_is_refused() {
    let world = World::with_settings(&format!("{}[serve]\nmax_upload_mb = 1\n", crate::world::SETTINGS));
    let server = world.serve();
    server.upload("large.txt", "word ".repeat(300_000).as_bytes()).refused(413, "file_too_large");
    let question = json!({ "question": "why ".repeat(300_000) });
    server.post("/api/v1/search", &question).refused(413, "body_too_large");
    assert_eq!(server.get(DOCUMENTS).ok()["total"], 0);
}

#[test]
fn other_names_and_other_sites_are_refused() {
    let (_world, server) = served();
    let foreign = |host: &str| reply(server.agent.get(server.url("/api/v1/status")).header("host", host).call());
    foreign("evil.example").refused(403, "unknown_host");
    foreign("127.0.0.1:1").refused(403, "unknown_host");
    let port = server.addr.rsplit_once(':').expect("it has a port").1;
    foreign(&format!("localhost:{port}")).ok();

    let search = |header: &str, value: &str| {
        let request = server.agent.post(server.url("/api/v1/search")).header(header, value);
        reply(request.send_json(json!({ "question": "rent" })))
    };
    search("origin", "https://evil.example").refused(403, "foreign_page");
    search("origin", "null").refused(403, "foreign_page");
    search("sec-fetch-site", "cross-site").refused(403, "foreign_page");
    search("origin", &format!("http://{}", server.addr)).ok();
    search("sec-fetch-site", "same-origin").ok();
    let lease = id_of(&server, "lease");
    let delete =
        server.agent.delete(server.url(&format!("{DOCUMENTS}/{lease}"))).header("origin", "https://evil.example");
    reply(delete.call()).refused(403, "foreign_page");
    assert_eq!(server.get(DOCUMENTS).ok()["total"], 3);
}

#[test]
fn the_page_comes_with_a_policy_that_lets_nothing_else_in() {
    let (_world, server) = served();
    let page = server.get("/");
    assert_eq!(page.status, 200);
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    for path in ["/", "/assets/app.js", "/assets/app.css", DOCUMENTS, "/nothing"] {
        let reply = server.get(path);
        let policy = reply.headers["content-security-policy"].to_str().expect("it is text");
        assert!(policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert_eq!(reply.headers["x-content-type-options"], "nosniff", "{path}");
    }
    let html = page.body.as_str().expect("it is text").to_owned();
    assert!(!html.contains("https://") && !html.contains("<script>"), "nothing from outside, nothing inline");
    // A stranger's text file is shown by itself, without any right.
    let garden = id_of(&server, "garden");
    let shown = server.get(&format!("{DOCUMENTS}/{garden}/file"));
    assert_eq!(shown.headers["content-security-policy"], "default-src 'none'; sandbox");
    assert_eq!(shown.headers["content-type"], "text/plain; charset=utf-8");
}

#[test]
fn the_original_of_a_file_that_has_changed_is_not_shown() {
    let (world, server) = served();
    let garden = id_of(&server, "garden");
    let url = format!("{DOCUMENTS}/{garden}/file");
    assert_eq!(server.get(&url).ok(), GARDEN);
    world.write("garden.txt", "Roses now.");
    server.get(&url).refused(409, "original_changed");
    fs::remove_file(world.files().join("garden.txt")).expect("a file can be removed");
    server.get(&url).refused(404, "not_found");
    // What was read of it can still be quoted.
    assert!(
        server.get(&format!("{DOCUMENTS}/{garden}/pages/1")).ok()["text"].as_str().is_some_and(|t| t.contains("Basil"))
    );
}

#[test]
fn a_sync_needs_the_token_of_the_data_folder() {
    let (world, server) = served();
    world.write("new.txt", "The lighthouse of Ostrava was painted red and white in 1911.");
    let body = json!({ "folder": world.files(), "collection": "default" });
    server.post("/api/v1/sync", &body).refused(403, "no_token");
    let wrong = server.agent.post(server.url("/api/v1/sync")).header("x-premise-token", "0".repeat(32));
    reply(wrong.send_json(&body)).refused(403, "no_token");
    assert_eq!(server.get(DOCUMENTS).ok()["total"], 3);

    let events = server.events("/api/v1/sync", &body);
    let (name, last) = events.last().expect("it tells something");
    assert_eq!((name.as_str(), &last["done"]["added"]), ("sync", &json!(["new.txt"])));
    assert!(events.iter().any(|(_, data)| data["progress"]["added"]["file"] == "new.txt"), "{events:?}");
    assert_eq!(server.get(DOCUMENTS).ok()["total"], 4);

    let missing = json!({ "folder": world.path().join("missing"), "collection": "default" });
    let events = server.events("/api/v1/sync", &missing);
    assert_eq!((events[0].0.as_str(), &events[0].1["code"]), ("error", &json!("not_found")));
}

#[test]
fn health_and_status_tell_how_it_stands() {
    let (world, server) = served();
    assert_eq!(server.get("/api/v1/health").ok(), json!({ "status": "ok", "documents": 3 }));
    world.write("bad.pdf", "no PDF");
    world.sync(&server.library);
    let status = server.get("/api/v1/status").ok();
    assert_eq!((&status["documents"], &status["pages"]), (&json!(3), &json!(4)));
    assert!(status["chunks"].as_u64().is_some_and(|chunks| chunks >= 3));
    assert_eq!(status["model"], "smollm2-135m");
    assert_eq!(
        (&status["model_problem"], &status["running"], &status["next_sync"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    assert_eq!(status["failed"][0]["file"], "bad.pdf");
    assert_eq!(status["last_sync"]["unchanged"], 3);
}

#[test]
fn a_shutdown_lets_answers_end_and_frees_the_data_folder() {
    let (world, server) = served();
    assert!(matches!(datadir::open(&world.data_dir()), Ok(Owner::Server(_))));
    let addr = server.addr.clone();
    // An answer is under way: its head has come, its end has not.
    let request = server.agent.post(server.url("/api/v1/ask"));
    let mut answer = request
        .send_json(json!({ "question": "When does the lease end?", "stream": true }))
        .expect("the server answers");
    let reading = std::thread::spawn(move || answer.body_mut().read_to_string());
    // Open connections that say nothing do not hold it up.
    let _keep_alive = server.get("/api/v1/health").ok();
    world.shut_down(server);
    let text = reading.join().expect("the reader does not panic").expect("the answer is not cut off");
    assert!(text.contains("event: done"), "{text}");
    assert!(TcpStream::connect(&addr).is_err(), "nobody listens any more");
    assert!(matches!(datadir::open(&world.data_dir()), Ok(Owner::Us(_))));
}
