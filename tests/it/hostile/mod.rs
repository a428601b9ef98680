//! Files that are made to harm: whatever stands in a folder, a sync ends, tells of each file, and finds what is good.

mod mails;
mod office;
mod pdfs;
mod texts;

use std::{collections::HashSet, time::Instant};

use crate::{
    files::{LEASE, pdf},
    world::{SETTINGS, World},
};

/// A file's name and content.
type Hostile = (String, Vec<u8>);

fn all() -> Vec<Hostile> {
    [pdfs::all(), office::all(), mails::all(), texts::all()].concat()
}

#[test]
fn a_hundred_hostile_files_harm_nothing_and_each_has_its_reason() {
    let world = World::with_settings(&format!("{SETTINGS}[reading]\nseconds = 4\nmemory_mb = 1024\noutput_mb = 64\n"));
    let hostile = all();
    assert!(hostile.len() >= 100, "{}", hostile.len());
    let names: HashSet<&str> = hostile.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.len(), hostile.len(), "each has a name of its own");
    for (name, bytes) in &hostile {
        world.write(name, bytes);
    }
    world.write("good.pdf", pdf(&LEASE));

    let started = Instant::now();
    let done = world.premise(&["sync", "files", "--json"]);
    let report = done.json(3);
    let list = |field: &str| report[field].as_array().cloned().unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let added: HashSet<String> = list("added").iter().map(text).collect();
    let failed: HashSet<String> = list("failed").iter().map(|failure| text(&failure["file"])).collect();
    let mut by_reason = std::collections::BTreeMap::<String, usize>::new();
    for failure in list("failed") {
        let (reason, hint) = (text(&failure["reason"]), text(&failure["hint"]));
        assert!(!reason.is_empty() && !hint.is_empty(), "{failure}");
        *by_reason.entry(reason.chars().take(60).collect()).or_default() += 1;
    }
    // Run with --nocapture, this is the record of a run.
    println!(
        "{} hostile files in {:.0} s: {} read, {} refused",
        hostile.len(),
        started.elapsed().as_secs_f64(),
        hostile.iter().filter(|(name, _)| added.contains(name)).count(),
        hostile.iter().filter(|(name, _)| failed.contains(name)).count()
    );
    for (reason, count) in by_reason {
        println!("{count:4}  {reason}");
    }
    for (name, _) in &hostile {
        let told = usize::from(added.contains(name)) + usize::from(failed.contains(name));
        assert_eq!(told, 1, "{name} is told of once: {report}");
    }
    assert!(added.contains("good.pdf"));

    // The same again: nothing is read anew, and everything that failed is still told.
    let again = world.premise(&["sync", "files", "--json"]).json(3);
    assert_eq!(again["failed"].as_array().map(Vec::len), Some(failed.len()));
    assert_eq!(again["added"].as_array().map(Vec::len), Some(0));
    let library = world.library();
    let found = world.search(&library, "How high is the deposit that the tenant of Harbour Estates pays?");
    assert!(found.iter().any(|passage| passage.text.contains("9,000 dollars")), "{found:?}");
}

#[test]
fn a_server_outlives_hostile_uploads() {
    let world = World::with_settings(&format!("{SETTINGS}[reading]\nseconds = 2\nmemory_mb = 400\noutput_mb = 16\n"));
    let server = world.serve();
    let names =
        ["pages-in-a-circle.pdf", "unpacks-to-much.docx", "mail-in-mail.eml", "deep-groups.rtf", "far-cell.xlsx"];
    for (name, bytes) in all().into_iter().filter(|(name, _)| names.contains(&name.as_str())) {
        let reply = server.upload(&name, &bytes);
        assert!(matches!(reply.status, 200..=299 | 400..=499), "{name}: {reply:?}");
    }
    server.upload("good.pdf", &pdf(&LEASE)).ok();
    world.shut_down(server);
}
