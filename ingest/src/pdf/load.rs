//! Opens a PDF: with the passwords that were given, and in spite of damage. What a strict reader
//! refuses is tried again with its objects searched for from byte to byte.

use std::panic::{AssertUnwindSafe, catch_unwind};

use lopdf::xref::XrefRecovery;
use lopdf::{LoadOptions, Object, ObjectId};

use super::panic_message;
use crate::{Limits, MediaType, ReadError};

/// The marker may stand after some junk, as readers have always allowed.
const HEADER_REACH: usize = 1024;
/// Appended to a file that lost its end: a root, so that its objects are looked for at all.
const ROOT: &[u8] = b"\n9999999 0 obj\n<</Type/Catalog>>\nendobj\n\
    trailer\n<</Root 9999999 0 R/Size 10000000>>\nstartxref\n0\n%%EOF\n";

/// An opened file, with its pages in order.
pub(super) struct Loaded {
    pub(super) file: lopdf::Document,
    pub(super) pages: Vec<ObjectId>,
    /// Set when parts of the file may be missing.
    pub(super) recovered: bool,
}

/// Opens a file; the empty password is tried first.
pub(super) fn load(bytes: &[u8], passwords: &[String], limits: &Limits) -> Result<Loaded, ReadError> {
    let head = &bytes[..bytes.len().min(HEADER_REACH)];
    let Some(start) = head.windows(5).position(|window| window == b"%PDF-") else {
        return Err(ReadError::NotWhatItSays { named: MediaType::Pdf.name() });
    };
    let mut outcome = Err(ReadError::Locked);
    for password in [""].into_iter().chain(passwords.iter().map(String::as_str)) {
        outcome = load_with(bytes, start, password, limits);
        if !matches!(outcome, Err(ReadError::Locked)) {
            break;
        }
    }
    outcome
}

fn load_with(bytes: &[u8], start: usize, password: &str, limits: &Limits) -> Result<Loaded, ReadError> {
    let mut outcome = attempt(bytes, password, limits, false);
    if start > 0 && has_failed(&outcome) {
        outcome = attempt(&bytes[start..], password, limits, false);
    }
    if has_failed(&outcome) {
        outcome = better(outcome, attempt(bytes, password, limits, true));
    }
    if has_failed(&outcome) {
        let mended = [bytes, ROOT].concat();
        outcome = better(outcome, attempt(&mended, password, limits, true));
    }
    let loaded = outcome?;
    if loaded.pages.is_empty() {
        return Err(ReadError::Damaged("it has no pages".into()));
    }
    Limits::check("pages", loaded.pages.len(), limits.max_pages)?;
    Ok(loaded)
}

fn has_failed(outcome: &Result<Loaded, ReadError>) -> bool {
    match outcome {
        Ok(loaded) => loaded.pages.is_empty(),
        Err(ReadError::Damaged(_)) => true,
        Err(_) => false,
    }
}

/// The second outcome if it has pages; its cause of failure says less than the first one's.
fn better(first: Result<Loaded, ReadError>, second: Result<Loaded, ReadError>) -> Result<Loaded, ReadError> {
    match second {
        Ok(loaded) if !loaded.pages.is_empty() => Ok(Loaded { recovered: true, ..loaded }),
        Err(ReadError::Locked) => Err(ReadError::Locked),
        _ => first,
    }
}

fn attempt(bytes: &[u8], password: &str, limits: &Limits, rebuild: bool) -> Result<Loaded, ReadError> {
    let options = LoadOptions {
        max_decompressed_size: Some(limits.max_page_bytes),
        force_reconstruct: rebuild,
        ..LoadOptions::with_password(password)
    };
    let loaded = catch_unwind(AssertUnwindSafe(|| lopdf::Document::load_mem_with_options(bytes, options)))
        .unwrap_or_else(|panic| Err(lopdf::Error::Syntax(panic_message(&*panic))));
    match loaded {
        Ok(file) if file.is_encrypted() => Err(ReadError::Locked),
        Ok(mut file) => {
            fill_streams(&mut file, bytes);
            let pages = page_ids(&file, limits);
            let recovered = file.xref_recovery == Some(XrefRecovery::Reconstructed);
            Ok(Loaded { file, pages, recovered })
        }
        Err(
            lopdf::Error::InvalidPassword | lopdf::Error::Decryption(_) | lopdf::Error::UnsupportedSecurityHandler(_),
        ) => Err(ReadError::Locked),
        Err(error) => Err(ReadError::Damaged(error.to_string())),
    }
}

/// Streams that do not state their length end at their keyword. Not where a file is encrypted:
/// what is read here would not be decrypted.
fn fill_streams(file: &mut lopdf::Document, bytes: &[u8]) {
    const END: &[u8] = b"endstream";
    if file.was_encrypted() {
        return;
    }
    for object in file.objects.values_mut() {
        if let Object::Stream(stream) = object
            && stream.content.is_empty()
            && let Some(rest) = stream.start_position.and_then(|start| bytes.get(start..))
            && !rest.starts_with(END)
        {
            let length = rest.windows(END.len()).position(|window| window == END).unwrap_or(rest.len());
            stream.content = rest[..length].to_vec();
        }
    }
}

/// The pages in order; of a file whose page tree is broken, every page object there is.
fn page_ids(file: &lopdf::Document, limits: &Limits) -> Vec<ObjectId> {
    let ids: Vec<ObjectId> = file.page_iter().take(limits.max_pages + 1).collect();
    if !ids.is_empty() {
        return ids;
    }
    let is_page = |object: &Object| object.as_dict().is_ok_and(|page| page.has_type(b"Page"));
    let loose = file.objects.iter().filter(|(_, object)| is_page(object));
    loose.map(|(&id, _)| id).take(limits.max_pages + 1).collect()
}
