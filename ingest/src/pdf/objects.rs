//! Reading lopdf's objects without an error for each missing or mistyped entry: PDF files in the
//! wild have many, and a text layer wants what is there.

use lopdf::{Dictionary, Document, Object, ObjectId};

/// How far up a page tree an inherited entry is looked for.
const MAX_TREE_DEPTH: usize = 64;

/// The object behind a reference, or the object itself.
pub(super) fn follow<'a>(document: &'a Document, object: &'a Object) -> &'a Object {
    document.dereference(object).map_or(&Object::Null, |found| found.1)
}

/// An entry of a dictionary, with its reference followed; null counts as absent.
pub(super) fn entry<'a>(document: &'a Document, dictionary: &'a Dictionary, key: &[u8]) -> Option<&'a Object> {
    let object = follow(document, dictionary.get(key).ok()?);
    (!object.is_null()).then_some(object)
}

/// An entry that is a dictionary, or a stream's dictionary.
pub(super) fn dictionary<'a>(document: &'a Document, parent: &'a Dictionary, key: &[u8]) -> Option<&'a Dictionary> {
    as_dictionary(entry(document, parent, key)?)
}

/// A dictionary, or a stream's dictionary.
pub(super) fn as_dictionary(object: &Object) -> Option<&Dictionary> {
    match object {
        Object::Dictionary(dictionary) => Some(dictionary),
        Object::Stream(stream) => Some(&stream.dict),
        _ => None,
    }
}

/// An entry that is a name.
pub(super) fn name<'a>(document: &'a Document, parent: &'a Dictionary, key: &[u8]) -> Option<&'a [u8]> {
    entry(document, parent, key)?.as_name().ok()
}

/// A number, or 0 for anything else.
pub(super) fn number(object: &Object) -> f64 {
    let number = object.as_float().map_or(0.0, f64::from);
    if number.is_finite() { number } else { 0.0 }
}

/// The numbers of an entry that is an array of exactly `N`.
pub(super) fn numbers<const N: usize>(document: &Document, parent: &Dictionary, key: &[u8]) -> Option<[f64; N]> {
    as_numbers(document, entry(document, parent, key)?)
}

/// The numbers of an array of exactly `N`.
pub(super) fn as_numbers<const N: usize>(document: &Document, object: &Object) -> Option<[f64; N]> {
    let array: &[Object; N] = object.as_array().ok()?.as_slice().try_into().ok()?;
    Some(array.each_ref().map(|item| number(follow(document, item))))
}

/// A page's entry, or that of the nearest node above it (ISO 32000-1, 7.7.3.4).
pub(super) fn inherited<'a>(document: &'a Document, page: ObjectId, key: &[u8]) -> Option<&'a Object> {
    let mut node = document.get_dictionary(page).ok()?;
    for _ in 0..MAX_TREE_DEPTH {
        if let Some(object) = entry(document, node, key) {
            return Some(object);
        }
        node = dictionary(document, node, b"Parent")?;
    }
    None
}

/// A text string (ISO 32000-1, 7.9.2.2) as one tidy line.
pub(super) fn text_string(object: &Object) -> Option<String> {
    let raw = lopdf::decode_text_string(object).ok()?;
    let mut clean = String::new();
    crate::clean::push_clean(&mut clean, &raw);
    let line = clean.split_whitespace().collect::<Vec<_>>().join(" ");
    (!line.is_empty()).then_some(line)
}

/// A text string as its lines, tidy; none when there is nothing in them.
pub(super) fn text_lines(object: &Object) -> Option<Vec<String>> {
    let raw = lopdf::decode_text_string(object).ok()?;
    let tidy = |line: &str| {
        let mut clean = String::new();
        crate::clean::push_clean(&mut clean, line);
        clean.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let lines: Vec<String> = raw.split(['\n', '\r']).map(tidy).filter(|line| !line.is_empty()).collect();
    (!lines.is_empty()).then_some(lines)
}
