//! Mails in a synced folder: what they carry comes, moves, changes and goes with them.

use std::{fs, sync::atomic::AtomicBool};

use crate::world::{World, documents, files};

/// A mail with these attachments as plain text.
fn mail(words: &str, attachments: &[(&str, &str)]) -> String {
    let attached: String = attachments
        .iter()
        .map(|(name, text)| {
            format!(
                "--b\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment; filename=\"{name}\"\r\n\r\n{text}\r\n"
            )
        })
        .collect();
    format!(
        "From: Ann Lee <ann@example.org>\r\nTo: bob@example.org\r\nSubject: The harbour lease\r\n\
         Date: Tue, 1 Jul 2025 10:05:00 +0200\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
         --b\r\nContent-Type: text/plain\r\n\r\n{words}\r\n{attached}--b--\r\n"
    )
}

const DEPOSIT: &str =
    "The tenant of the harbour warehouse pays a deposit of 9,000 dollars before the keys are handed over.";
const PARROTS: &str = "The lighthouse of Ostrava was painted red and white in 1911 by three sailors.";

#[test]
fn attachments_are_documents_that_go_with_their_mail() {
    let world = World::new();
    let words = "Dear Bob, please find the agreement enclosed. The meeting is on Thursday at noon.";
    let path = world
        .write("post/offer.eml", mail(words, &[("lease.txt", DEPOSIT), ("photo.heic", "x"), ("bad.pdf", "no PDF")]));
    let library = world.library();
    let report = world.sync(&library);
    let mut added = report.added.clone();
    added.sort();
    assert_eq!(added, ["post/offer.eml", "post/offer.eml/lease.txt"]);
    assert_eq!(report.unsupported, ["post/offer.eml/photo.heic"]);
    assert_eq!(
        report.failed.iter().map(|failure| failure.file.as_str()).collect::<Vec<_>>(),
        ["post/offer.eml/bad.pdf"]
    );
    let noted = &documents(&library).into_iter().find(|row| row.file == "post/offer.eml").expect("it is in").problems;
    assert!(noted.iter().any(|problem| problem.contains("photo.heic")), "{noted:?}");
    assert_eq!(world.search(&library, "deposit for the warehouse")[0].file, "post/offer.eml/lease.txt");
    assert_eq!(world.search(&library, "When is the meeting with Bob?")[0].file, "post/offer.eml");
    let attachment = documents(&library).into_iter().find(|row| row.file.ends_with("lease.txt")).expect("it is in");
    let (original, _) = library.original(attachment.id).expect("its original can be shown");
    assert_eq!(fs::read_to_string(original).expect("it can be read").trim_end(), DEPOSIT);

    let again = world.sync(&library);
    assert_eq!((again.added.len(), again.changed.len(), again.deleted.len(), again.unchanged), (0, 0, 0, 1));
    assert_eq!(again.failed.len(), 1, "what could not be read is still told");

    let moved = world.files().join("archive.eml");
    fs::rename(&path, &moved).expect("a file can be moved");
    let report = world.sync(&library);
    assert_eq!((report.moved.len(), report.deleted.len(), report.added.len()), (1, 0, 0));
    assert_eq!(files(&library), ["archive.eml", "archive.eml/lease.txt"]);

    world.write("archive.eml", mail("Dear Bob, another text.", &[("other.txt", PARROTS)]));
    let report = world.sync(&library);
    assert_eq!(report.changed.len(), 2, "{:?}", report.changed);
    assert_eq!(files(&library), ["archive.eml", "archive.eml/other.txt"]);
    assert!(world.search(&library, "deposit for the warehouse").iter().all(|passage| !passage.text.contains("9,000")));

    world.write("keep.txt", "Basil grows well beside tomatoes.");
    fs::remove_file(moved).expect("a file can be removed");
    let report = world.sync(&library);
    assert_eq!(report.deleted, ["archive.eml"]);
    assert_eq!(files(&library), ["keep.txt"]);
}

#[test]
fn mails_within_mails_end_somewhere() {
    let world = World::new();
    let mut inner = mail(PARROTS, &[]);
    for _ in 0..8 {
        let head = "From: a@example.org\r\nSubject: Forwarded\r\nContent-Type: multipart/mixed; boundary=f\r\n\r\n";
        inner = format!(
            "{head}--f\r\nContent-Type: message/rfc822\r\nContent-Disposition: attachment; filename=m.eml\r\n\r\n{inner}\r\n--f--\r\n"
        );
    }
    world.write("loop.eml", inner);
    let library = world.library();
    let report = world.sync(&library);
    assert!(report.added.contains(&"loop.eml".to_owned()), "{report:?}");
    assert!(report.failed.iter().all(|failure| failure.reason.contains("mails within each other")), "{report:?}");
    assert_eq!(report.failed.len(), 1, "{report:?}");
}

#[test]
fn an_added_mail_tells_what_it_carries_that_is_not_read() {
    let world = World::new();
    let path = world.write("offer.eml", mail("Dear Bob, see the picture.", &[("photo.heic", "x")]));
    let library = world.library();
    let added = library.add("default", &[path], &[], &AtomicBool::new(false), &|_| {}).expect("files can be added");
    assert_eq!(added.added, ["offer.eml"]);
    assert_eq!(added.unsupported, ["offer.eml/photo.heic"]);
}

#[test]
fn an_uploaded_mail_brings_its_attachments() {
    let world = World::new();
    let server = world.serve();
    let document =
        server.upload("offer.eml", mail("Dear Bob, see the file.", &[("lease.txt", DEPOSIT)]).as_bytes()).ok();
    assert_eq!(document["document"]["file"], "offer.eml");
    assert_eq!(files(&server.library), ["offer.eml", "offer.eml/lease.txt"]);
    world.shut_down(server);
}
