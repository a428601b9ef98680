//! Evidence bundles: made of an answer, checked without the data, and not to be tampered with unnoticed.

use std::{
    fs,
    io::{Cursor, Write},
};

use premise::bundle::{self, Bundle, Outcome, Unpacked, Verdict};
use serde_json::{Value, json};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use crate::{
    files::{CLINIC, LEASE, pdf},
    world::World,
};

const QUESTION: &str = "When does the lease between Harbour Estates and Willow Books end?";

fn two_files() -> World {
    let world = World::new();
    world.write("lease.pdf", pdf(&LEASE));
    world.write("clinic/vaccines.md", CLINIC);
    world.premise(&["sync", "files"]).ok();
    world
}

/// A bundle made from what `premise ask --json` prints.
fn exported(world: &World) -> Vec<u8> {
    let answer = world.premise(&["ask", QUESTION, "--json"]).ok();
    fs::write(world.path().join("answer.json"), answer).expect("the answer can be kept");
    let told = world.premise(&["export", "answer.json", "--output", "answer.zip", "--json"]).json(0);
    assert_eq!(told["bundle"], "answer.zip");
    fs::read(world.path().join("answer.zip")).expect("the bundle is there")
}

fn verify(bytes: &[u8]) -> Verdict {
    bundle::verify(bytes, None, &mut |_, _| Err("not read again here".to_owned()))
}

#[track_caller]
fn is_bad(bytes: &[u8], because: &str) {
    let verdict = verify(bytes);
    let said: Vec<&str> = verdict
        .checks
        .iter()
        .filter(|check| check.outcome == Outcome::Bad)
        .map(|check| check.message.as_str())
        .collect();
    assert!(!verdict.good && said.iter().any(|message| message.contains(because)), "{because}: {verdict:?}");
}

fn zipped(entries: &Unpacked) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        zip.start_file(name.as_str(), options).expect("an entry can be started");
        zip.write_all(bytes).expect("an entry can be written");
    }
    zip.finish().expect("the archive can be ended").into_inner()
}

fn opened(bytes: &[u8]) -> Bundle {
    let entries = bundle::unpack(bytes).expect("it is a bundle");
    let record = serde_json::from_slice(&entries[bundle::RECORD]).expect("the record can be read");
    let text = |bytes: &Vec<u8>| String::from_utf8(bytes.clone()).expect("a page is text");
    let pages = entries.iter().filter(|(name, _)| name.starts_with("pages/"));
    Bundle { record, pages: pages.map(|(name, bytes)| (name.clone(), text(bytes))).collect() }
}

/// The bundle, altered and packed anew with a manifest that fits.
fn repacked(bytes: &[u8], alter: impl FnOnce(&mut Bundle)) -> Vec<u8> {
    let mut bundle = opened(bytes);
    alter(&mut bundle);
    bundle::pack(&bundle).expect("it can be packed")
}

#[test]
fn a_bundle_is_checked_without_the_data_and_against_the_originals() {
    let world = two_files();
    let bytes = exported(&world);
    let bundle = opened(&bytes);
    assert_eq!(bundle.record.question, QUESTION);
    assert!(!bundle.record.evidence.is_empty() && bundle.record.made_by.model_sha256.is_some(), "{bundle:?}");
    assert_eq!(bundle::pack(&bundle).expect("it can be packed"), bytes, "the same bundle is the same bytes");

    // Another machine: no data folder, no models.
    let elsewhere = World::new();
    fs::write(elsewhere.path().join("answer.zip"), &bytes).expect("the bundle can be carried");
    let said = elsewhere.premise(&["verify", "answer.zip"]).ok();
    for sentence in
        ["entries are as the manifest lists them", "word for word", "not checked", "does not prove", "not signed"]
    {
        assert!(said.contains(sentence), "{sentence}: {said}");
    }
    elsewhere.write("copies/lease.pdf", pdf(&LEASE));
    elsewhere.write("copies/vaccines.md", CLINIC);
    let verdict = elsewhere.premise(&["verify", "answer.zip", "--files", "files", "--json"]).json(0);
    assert_eq!(verdict["good"], true);
    let said = verdict["checks"].to_string();
    assert!(said.contains("lease.pdf, read again, has the pages that the bundle holds"), "{said}");
    elsewhere.write("copies/lease.pdf", pdf(&["Another lease."]));
    let verdict = elsewhere.premise(&["verify", "answer.zip", "--files", "files", "--json"]).json(1);
    assert!(verdict["checks"].to_string().contains("lease.pdf has another SHA-256"), "{verdict}");
    elsewhere.premise(&["verify", "nothing.zip"]).says("cannot read nothing.zip", "spelling");
}

#[test]
fn what_was_tampered_with_does_not_pass() {
    let world = two_files();
    let bytes = exported(&world);
    assert!(verify(&bytes).good, "{:?}", verify(&bytes));
    let entries = bundle::unpack(&bytes).expect("it is a bundle");
    for name in entries.keys() {
        for at in [0, entries[name].len() / 2, entries[name].len() - 1] {
            let mut changed = entries.clone();
            changed.get_mut(name).expect("it is there")[at] ^= 1;
            assert!(!verify(&zipped(&changed)).good, "{name} {at}");
        }
        let mut without = entries.clone();
        without.remove(name);
        assert!(!verify(&zipped(&without)).good, "{name} is missing");
    }
    let mut more = entries.clone();
    more.insert("pages/more-1.txt".to_owned(), b"more".to_vec());
    is_bad(&zipped(&more), "pages/more-1.txt is not in the manifest");

    // Whoever can pack can make the manifest fit; the quotes still have to stand on their pages.
    is_bad(&repacked(&bytes, |bundle| bundle.record.evidence[0].quote.push('!')), "does not stand at its place");
    is_bad(&repacked(&bytes, |bundle| bundle.record.evidence[0].start += 1), "does not stand at its place");
    is_bad(&repacked(&bytes, |bundle| bundle.record.evidence[0].page += 1), "of a file that the bundle does not name");
    is_bad(&repacked(&bytes, |bundle| bundle.record.evidence[0].page = 0), "counted from 1");
    is_bad(
        &repacked(&bytes, |bundle| bundle.record.evidence[0].file.push('x')),
        "a file that the bundle does not name",
    );
    is_bad(&repacked(&bytes, |bundle| bundle.record.sources.clear()), "a file that the bundle does not name");
    is_bad(&repacked(&bytes, |bundle| bundle.pages.clear()), "the page is not in the bundle");
    is_bad(&repacked(&bytes, |bundle| bundle.record.answer.push_str(" [9]")), "the marks of the answer");
    is_bad(&repacked(&bytes, |bundle| bundle.record.refused = !bundle.record.refused), "a refusal has none");
    is_bad(&repacked(&bytes, |bundle| bundle.record.format.push('9')), "of the form");
    is_bad(&repacked(&bytes, |bundle| drop(bundle.pages.insert("pages/x-1.txt".into(), "x".into()))), "nothing quotes");
    // The page for people says the same as the record, or the difference is told.
    let mut shown = entries.clone();
    let page = String::from_utf8(shown[bundle::PAGE].clone()).expect("it is text").replace("<h1>", "<h1>Not ");
    shown.insert(bundle::PAGE.to_owned(), page.clone().into_bytes());
    let mut manifest: Value = serde_json::from_slice(&shown[bundle::MANIFEST]).expect("it is JSON");
    for entry in manifest["entries"].as_array_mut().expect("a list") {
        if entry["name"] == bundle::PAGE {
            entry["sha256"] = premise_ingest::hash_bytes(page.as_bytes()).into();
            entry["size_bytes"] = page.len().into();
        }
    }
    shown.insert(bundle::MANIFEST.to_owned(), manifest.to_string().into_bytes());
    is_bad(&zipped(&shown), "answer.html does not say what record.json says");
}

#[test]
fn what_is_made_to_do_harm_is_no_bundle() {
    let entry = |name: &str, bytes: Vec<u8>| zipped(&Unpacked::from([(name.to_owned(), bytes)]));
    for name in [
        "../../etc/passwd",
        "/etc/passwd",
        "pages/../../x.txt",
        "pages\\..\\x.txt",
        "pages/.txt",
        "C:x.txt",
        "more.txt",
    ] {
        is_bad(&entry(name, b"x".to_vec()), "none of a bundle");
    }
    is_bad(&entry("pages/a-1.txt", vec![b' '; 17 << 20]), "unpacks to more than a bundle holds");
    let many = (0..9).map(|at| (format!("pages/a-{at}.txt"), vec![b' '; 16 << 20])).collect();
    is_bad(&zipped(&many), "unpacks to more than a bundle holds");
    is_bad(&zipped(&(0..1001).map(|at| (format!("pages/a-{at}.txt"), Vec::new())).collect()), "more than 1000 entries");
    is_bad(b"no zip file", "no zip file");
    let good = entry("pages/a-1.txt", b"x".to_vec());
    is_bad(&[b"MZ something".as_slice(), &good].concat(), "the file is no bundle");
    is_bad(&[good.as_slice(), b"more"].concat(), "the file is no bundle");
    is_bad(&good, "there is no manifest.json");
}

#[test]
fn a_late_answer_is_exported_by_its_id_and_by_nothing_else() {
    let world = two_files();
    let server = world.serve();
    let answer = server.post("/api/v1/ask", &json!({ "question": QUESTION })).ok();
    let id = answer["id"].as_str().expect("an answer has an identity");
    let mut reply = server.agent.get(server.url(&format!("/api/v1/answers/{id}/bundle"))).call().expect("it answers");
    assert_eq!(reply.headers()["content-type"], "application/zip");
    assert!(reply.headers()["content-disposition"].to_str().is_ok_and(|shown| shown.starts_with("attachment;")));
    let bytes = reply.body_mut().read_to_vec().expect("it can be read");
    assert!(verify(&bytes).good);
    assert_eq!(opened(&bytes).record.answer, answer["answer"]);
    server.get("/api/v1/answers/00000000-0000-4000-8000-000000000000/bundle").refused(404, "unknown_answer");
    server.get("/api/v1/answers/nothing/bundle").refused(404, "unknown_answer");
    assert_eq!(server.get("/api/v1/answers").status, 404, "nobody can list them");

    // The command line asks the server, by the identity and by a kept answer.
    world.premise(&["export", id, "--output", "late.zip"]).ok();
    assert!(verify(&fs::read(world.path().join("late.zip")).expect("it is there")).good);
    let mut altered = answer.clone();
    altered["evidence"][0]["quote"] = "The lease never ends.".into();
    fs::write(world.path().join("altered.json"), altered.to_string()).expect("it can be written");
    world.premise(&["export", "altered.json"]).says("does not stand there any more", "ask again");
    world.premise(&["export", "no-such.json"]).says("cannot read no-such.json", "spelling");
    fs::write(world.path().join("no-answer.json"), "{}").expect("it can be written");
    world.premise(&["export", "no-answer.json"]).says("is no answer", "premise ask --json");
    world.shut_down(server);
    world.premise(&["export", id]).says("no server is running", "premise ask --json");
}
