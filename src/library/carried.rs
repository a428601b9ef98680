//! Files within files: a mail's attachments are documents of their own, named `mail.eml/lease.pdf`. They are in before
//! the mail is, so that a mail that is in lacks none; and they go, move and change with it.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

use premise_ingest::{Attachment, ChunkRules, MediaType, Problem, Reading};
use secrecy::SecretString;

use super::{
    Library,
    ingest::Source,
    pipeline::{Embedded, ForLedger, Work},
};
use crate::{
    db::{FileRow, Origin, Place, recognised_document_id, recognition},
    error::{Error, Kind, NEEDS_RECOGNITION, Result},
    reader::{self, Reader},
    store::{CollectionId, DocumentId},
};

/// A mail within a mail within a mail.
const MAX_DEPTH: usize = 5;

/// What came of one file, or of one that it carries; those come first.
pub(super) struct Step {
    pub place: Place,
    pub outcome: Result<Prepared>,
}

pub(super) enum Prepared {
    /// To be embedded and stored.
    New(Box<Work>),
    /// The same bytes are in already: the place is noted once `awaits` are in.
    Known { id: DocumentId, awaits: Vec<DocumentId> },
    /// Carried by a file, and of a kind that is not read.
    Unsupported,
}

/// What files are read with.
pub(super) struct Tools<'a> {
    pub collection: CollectionId,
    pub reader: Reader<'a>,
    /// Tried on locked files.
    pub passwords: &'a [SecretString],
    pub stop: &'a AtomicBool,
}

/// A file in hand.
struct File {
    place: Place,
    bytes: Vec<u8>,
    depth: usize,
}

impl Library {
    /// Reads a file, and the files that it carries.
    pub(super) fn prepare(&self, source: &Source, tools: &mut Tools) -> Vec<Step> {
        let mut steps = Vec::new();
        match super::ingest::read_file(&source.path, &self.limits) {
            Ok(bytes) => {
                let mut place = source.place.clone();
                place.size_bytes = bytes.len() as u64;
                self.take_apart(File { place, bytes, depth: 0 }, tools, &mut steps);
            }
            Err(error) => steps.push(Step { place: source.place.clone(), outcome: Err(error) }),
        }
        steps
    }

    /// Adds the steps of a file; returns the document that it becomes, if any.
    fn take_apart(&self, file: File, tools: &mut Tools, steps: &mut Vec<Step>) -> Option<DocumentId> {
        let File { place, bytes, depth } = file;
        let (collection, languages) = (tools.collection, self.recognised_languages());
        let sha256 = premise_ingest::hash_bytes(&bytes);
        let mut fail = |place: Place, error: Error| {
            steps.push(Step { place, outcome: Err(error) });
            None
        };
        let known = match self.db.document_of(collection, &sha256, languages) {
            Ok(known) => known,
            Err(error) => return fail(place, error.into()),
        };
        let carries = MediaType::from_name(&place.file).is_some_and(MediaType::carries_files);
        if let Some(id) = known.filter(|_| !carries) {
            steps.push(Step { place, outcome: Ok(Prepared::Known { id, awaits: Vec::new() }) });
            return Some(id);
        }
        let kept = self.recognised_path(&sha256);
        let given =
            reader::File { name: &place.file, bytes: &bytes, passwords: tools.passwords, kept: Some(kept.as_path()) };
        let Reading { mut document, attachments } = match tools.reader.read(given, tools.stop) {
            Ok(reading) => reading,
            Err(error) => return fail(place, self.with_cause(error)),
        };
        let id =
            known.unwrap_or_else(|| recognised_document_id(collection, &sha256, recognition(&document, languages)));
        let mut awaits = Vec::new();
        for attachment in attachments {
            let name = attachment.name.clone();
            let taken = self.take_attachment(&place, depth, attachment, tools, steps);
            // The mail tells of it too, wherever it is moved to.
            let message = match steps.last().map(|step| &step.outcome) {
                Some(Ok(Prepared::Unsupported)) => Some(format!("the attachment {name} is of a kind that is not read")),
                Some(Err(error)) if taken.is_none() => {
                    Some(format!("the attachment {name} cannot be read: {}", error.message))
                }
                _ => None,
            };
            document.problems.extend(message.map(Problem::on_file));
            awaits.extend(taken);
        }
        let outcome = if known.is_some() {
            Ok(Prepared::Known { id, awaits })
        } else {
            self.cut(&document)
                .and_then(|chunks| {
                    // An attachment lies nowhere else where it could be shown from.
                    if depth > 0 || matches!(place.origin, Origin::Added) {
                        self.keep_copy(&sha256, &bytes)?;
                    }
                    Ok(chunks)
                })
                .map(|chunks| {
                    let size_bytes = if depth == 0 { place.size_bytes } else { 0 };
                    let ledger = Some(ForLedger { sha256, document, place: place.clone(), awaits });
                    Prepared::New(Box::new(Work { id, collection, chunks, ledger, size_bytes }))
                })
        };
        let is_in = outcome.is_ok();
        steps.push(Step { place, outcome });
        is_in.then_some(id)
    }

    /// An error that a missing recogniser caused, with what is missing.
    fn with_cause(&self, error: Error) -> Error {
        match self.recogniser() {
            Err(missing) if error.code == NEEDS_RECOGNITION => {
                Error { message: format!("{}: {missing}", error.message), hint: missing.hint(), ..error }
            }
            _ => error,
        }
    }

    fn take_attachment(
        &self,
        carrier: &Place,
        depth: usize,
        attachment: Attachment,
        tools: &mut Tools,
        steps: &mut Vec<Step>,
    ) -> Option<DocumentId> {
        let place = carried_place(carrier, &attachment);
        if MediaType::from_name(&attachment.name).is_none() {
            steps.push(Step { place, outcome: Ok(Prepared::Unsupported) });
            return None;
        }
        if depth + 1 >= MAX_DEPTH {
            let error = Error::new(
                Kind::Unreadable,
                "unreadable_file",
                format!("it lies in more than {MAX_DEPTH} mails within each other"),
                "Save the innermost mail as a file of its own and add that",
            );
            steps.push(Step { place, outcome: Err(error) });
            return None;
        }
        self.take_apart(File { place, bytes: attachment.bytes, depth: depth + 1 }, tools, steps)
    }

    /// A document's chunks; an error when it has none.
    fn cut(&self, document: &premise_ingest::Document) -> Result<Vec<premise_ingest::Chunk>> {
        let rules = ChunkRules { max_tokens: self.chunk_tokens, ..ChunkRules::default() };
        let cut = || premise_ingest::chunk(document, &self.counter, &rules);
        // What the reader's process made of a stranger's file is still a stranger's text.
        let chunks = std::panic::catch_unwind(std::panic::AssertUnwindSafe(cut)).map_err(|_| {
            Error::new(
                Kind::Unreadable,
                "unreadable_file",
                "its text could not be cut into passages",
                "Save it anew from the program it came from; if it still fails, report the file",
            )
        })?;
        if chunks.is_empty() {
            return Err(Error::new(
                Kind::Unreadable,
                "no_text",
                format!("no text on its {} pages", document.pages.len()),
                "Look whether it shows any text at all; if it does, report the file",
            ));
        }
        Ok(chunks)
    }
}

/// Of what is embedded, what can be stored now: a mail waits until all that it carries is in, or has failed.
pub(super) fn take_ready(waiting: &mut Vec<Embedded>, settled: &mut HashSet<DocumentId>) -> Vec<Embedded> {
    let mut ready = Vec::new();
    loop {
        let before = ready.len();
        let (now, later): (Vec<_>, Vec<_>) = std::mem::take(waiting).into_iter().partition(|embedded| {
            let awaits = embedded.work.ledger.as_ref().map(|ledger| ledger.awaits.as_slice()).unwrap_or_default();
            awaits.iter().all(|id| settled.contains(id))
        });
        settled.extend(now.iter().map(|embedded| embedded.work.id));
        ready.extend(now);
        *waiting = later;
        if ready.len() == before {
            return ready;
        }
    }
}

fn carried_place(carrier: &Place, attachment: &Attachment) -> Place {
    let origin = match &carrier.origin {
        Origin::Folder { folder, path } => Origin::Folder { folder: folder.clone(), path: path.join(&attachment.name) },
        Origin::Added => Origin::Added,
    };
    Place {
        file: format!("{}/{}", carrier.file, attachment.name),
        origin,
        size_bytes: attachment.bytes.len() as u64,
        modified_ms: carrier.modified_ms,
    }
}

/// The file on disk that carries this one, if its path leads through a file.
pub(super) fn carrier<'a>(folder: &Path, path: &'a Path) -> Option<&'a Path> {
    path.ancestors().skip(1).take_while(|above| *above != folder).filter(|above| carries(above)).last()
}

fn carries(path: &Path) -> bool {
    let media_type = path.file_name().and_then(|name| MediaType::from_name(&name.to_string_lossy()));
    media_type.is_some_and(MediaType::carries_files) && !path.is_dir()
}

/// Files of the ledger by whether they lie in the folder themselves or are carried by a file there.
pub(super) fn part(folder: &Path, rows: Vec<FileRow>) -> (Vec<FileRow>, Vec<FileRow>) {
    rows.into_iter().partition(|row| carrier(folder, &row.path).is_none())
}

/// The rows that a file carries.
pub(super) fn carried_by<'a>(rows: &'a [FileRow], path: &'a Path) -> impl Iterator<Item = &'a FileRow> {
    rows.iter().filter(move |row| row.path != path && row.path.starts_with(path))
}

/// Where a carried file lies after its carrier has moved.
pub(super) fn moved_place(row: &FileRow, from: &Path, to: &Place) -> Option<Place> {
    let Origin::Folder { folder, path } = &to.origin else { return None };
    let within: PathBuf = row.path.strip_prefix(from).ok()?.to_owned();
    Some(Place {
        file: format!("{}/{}", to.file, within.display()),
        origin: Origin::Folder { folder: folder.clone(), path: path.join(&within) },
        size_bytes: row.size_bytes,
        modified_ms: row.modified_ms,
    })
}

/// Whether the name is one that `carrier` carries.
pub(super) fn is_carried_name(file: &str, carrier: &str) -> bool {
    file.strip_prefix(carrier).is_some_and(|rest| rest.starts_with('/'))
}
