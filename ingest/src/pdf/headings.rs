//! Headings: what the file's outline names, found again in the text of its page; without an
//! outline, short lines in larger or bolder type than the document's running text.

use std::collections::HashMap;

use lopdf::{Dictionary, Document, Object, ObjectId};

use super::lines::Line;
use super::objects::{dictionary, entry, follow, text_string};
use crate::{Heading, Page};

const MAX_ENTRIES: usize = 20_000;
const MAX_DEPTH: u8 = 8;
const MAX_NAME_NODES: usize = 100_000;

/// An outline's entry: what it is called, where it leads, and how deep it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct OutlineEntry {
    pub(super) title: String,
    /// Position of the page, from 0.
    pub(super) page: usize,
    pub(super) level: u8,
}

/// The outline's entries in order (ISO 32000-1, 12.3.3).
pub(super) fn outline(document: &Document, pages: &[ObjectId]) -> Vec<OutlineEntry> {
    let mut entries = Vec::new();
    let Some(root) = document.catalog().ok().and_then(|catalog| dictionary(document, catalog, b"Outlines")) else {
        return entries;
    };
    let numbers: HashMap<ObjectId, usize> = pages.iter().enumerate().map(|(at, &id)| (id, at)).collect();
    let mut seen = 0;
    collect(document, root, 1, &numbers, &mut seen, &mut entries);
    entries
}

fn collect(
    document: &Document,
    parent: &Dictionary,
    level: u8,
    numbers: &HashMap<ObjectId, usize>,
    seen: &mut usize,
    entries: &mut Vec<OutlineEntry>,
) {
    let mut next = dictionary(document, parent, b"First");
    while let Some(item) = next {
        *seen += 1;
        // A chain that returns to itself ends here.
        if *seen > MAX_ENTRIES {
            return;
        }
        let title = entry(document, item, b"Title").and_then(text_string);
        let target = entry(document, item, b"Dest")
            .or_else(|| entry(document, dictionary(document, item, b"A")?, b"D"))
            .and_then(|destination| target_page(document, destination));
        if let (Some(title), Some(&page)) = (title, target.and_then(|id| numbers.get(&id))) {
            entries.push(OutlineEntry { title, page, level });
        }
        if level < MAX_DEPTH {
            collect(document, item, level + 1, numbers, seen, entries);
        }
        next = dictionary(document, item, b"Next");
    }
}

/// The page that a destination leads to, by itself or by its name.
fn target_page(document: &Document, destination: &Object) -> Option<ObjectId> {
    match destination {
        Object::Array(parts) => parts.first()?.as_reference().ok(),
        Object::Dictionary(named) => target_page(document, entry(document, named, b"D")?),
        Object::Name(name) | Object::String(name, _) => {
            let catalog = document.catalog().ok()?;
            let listed = dictionary(document, catalog, b"Dests").and_then(|dests| entry(document, dests, name));
            let named = listed.or_else(|| {
                let tree = dictionary(document, dictionary(document, catalog, b"Names")?, b"Dests")?;
                look_up(document, tree, name, &mut MAX_NAME_NODES.clone(), 0)
            })?;
            match named {
                Object::Name(_) | Object::String(..) => None,
                found => target_page(document, found),
            }
        }
        _ => None,
    }
}

/// Looks a name up in a name tree (ISO 32000-1, 7.9.6).
fn look_up<'a>(
    document: &'a Document,
    node: &'a Dictionary,
    name: &[u8],
    nodes_left: &mut usize,
    depth: u8,
) -> Option<&'a Object> {
    if *nodes_left == 0 || depth > 16 {
        return None;
    }
    *nodes_left -= 1;
    let string = |object: &'a Object| follow(document, object).as_str().unwrap_or_default();
    if let Some(Ok([first, last])) = entry(document, node, b"Limits").map(|limits| limits.as_array().map(Vec::as_slice))
        && (name < string(first) || name > string(last))
    {
        return None;
    }
    let list = |key: &[u8]| entry(document, node, key).and_then(|object| object.as_array().ok());
    let found =
        list(b"Names").into_iter().flat_map(|names| names.chunks_exact(2)).find(|pair| string(&pair[0]) == name);
    if let Some([_, value]) = found {
        return Some(follow(document, value));
    }
    list(b"Kids").into_iter().flatten().find_map(|kid| {
        let kid = follow(document, kid).as_dict().ok()?;
        look_up(document, kid, name, nodes_left, depth + 1)
    })
}

/// Marks the outline's entries in their pages' texts. An entry whose words do not stand on its
/// page is left out: a heading is text of the page.
pub(super) fn mark_outline(pages: &mut [Page], entries: &[OutlineEntry]) {
    for entry in entries {
        let Some(page) = pages.get_mut(entry.page) else { continue };
        let from = page.headings.last().map_or(0, |heading| heading.end as usize);
        let range = find_words(&page.text, from, &entry.title).or_else(|| find_words(&page.text, 0, &entry.title));
        if let Some((start, end)) = range {
            let heading = Heading { start: start as u32, end: end as u32, level: entry.level };
            if !page.headings.iter().any(|other| other.start < heading.end && heading.start < other.end) {
                page.headings.push(heading);
            }
        }
    }
    for page in pages {
        page.headings.sort_by_key(|heading| heading.start);
    }
}

/// Where a text begins a line and has these words one after another, whatever stands between them.
fn find_words(text: &str, from: usize, words: &str) -> Option<(usize, usize)> {
    let letters = |text: &str| -> Vec<char> {
        text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let wanted = letters(words);
    if wanted.is_empty() {
        return None;
    }
    let mut line_start = 0;
    for line in text.split_inclusive('\n') {
        let start = line_start + line.len() - line.trim_start().len();
        line_start += line.len();
        if start < from || line.trim().is_empty() {
            continue;
        }
        let line = line.trim_start();
        if let Some(end) = match_at(&text[start..], &wanted) {
            return Some((start, start + end));
        }
        // The outline leaves a section's number out at times.
        let numbered = line.find(' ').filter(|&at| line[..at].starts_with(|c: char| c.is_ascii_digit()));
        if let Some(at) = numbered
            && let Some(end) = match_at(&text[start + at..], &wanted)
        {
            return Some((start, start + at + end));
        }
    }
    None
}

/// How many bytes of a text hold these letters; none when others stand among them, or when its
/// line goes on for long.
fn match_at(text: &str, wanted: &[char]) -> Option<usize> {
    const MAX_REST: usize = 24;
    let mut left = wanted.iter().peekable();
    for (at, character) in text.char_indices() {
        if !character.is_alphanumeric() {
            continue;
        }
        for lower in character.to_lowercase() {
            if left.next() != Some(&lower) {
                return None;
            }
        }
        if left.peek().is_none() {
            let end = at + character.len_utf8();
            let rest = text[end..].lines().next().unwrap_or_default();
            return (rest.len() <= MAX_REST).then_some(end);
        }
    }
    None
}

/// How a line looks beside the running text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Look {
    half_points: u32,
    bold: bool,
}

/// The headings that stand out by their type, of a document without an outline: for each page the
/// lines, by position, with their level.
pub(super) fn by_type(pages: &[&[Line]]) -> Vec<Vec<(usize, u8)>> {
    let look = |line: &Line| Look { half_points: (line.size * 2.0).round() as u32, bold: line.bold };
    let mut characters: HashMap<Look, usize> = HashMap::new();
    for line in pages.iter().copied().flatten() {
        *characters.entry(look(line)).or_default() += line.words.iter().map(|word| word.text.len()).sum::<usize>();
    }
    let Some(body) = characters.iter().max_by_key(|(look, count)| (**count, **look)).map(|(look, _)| *look) else {
        return vec![Vec::new(); pages.len()];
    };
    let total: usize = characters.values().sum();
    let stands_out = |look: Look| {
        let larger = f64::from(look.half_points) >= 1.12 * f64::from(body.half_points);
        let bolder = look.bold && !body.bold && look.half_points >= body.half_points;
        // What a tenth of a document is set in is no heading.
        (larger || bolder) && characters.get(&look).is_some_and(|&count| count * 10 < total)
    };
    let mut looks: Vec<Look> = characters.keys().copied().filter(|&look| stands_out(look)).collect();
    looks.sort_unstable_by(|a, b| b.cmp(a));
    looks.dedup_by_key(|look| look.half_points);
    let level = |found: Look| {
        let at = looks.iter().position(|look| look.half_points <= found.half_points).unwrap_or(looks.len());
        (at + 1).min(6) as u8
    };
    let is_heading = |line: &Line| {
        let text = line.text();
        line.level
            && stands_out(look(line))
            && (1..=16).contains(&line.words.len())
            && !line.words.iter().any(|word| word.after_gap)
            && text.chars().filter(|c| c.is_alphabetic()).count() >= 3
            && !text.ends_with([',', ';'])
    };
    let of_page = |lines: &[Line]| {
        lines
            .iter()
            .enumerate()
            .filter(|(_, line)| is_heading(line))
            .map(|(at, line)| (at, level(look(line))))
            .collect()
    };
    pages.iter().map(|lines| of_page(lines)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, title: &str, found: Option<&str>) {
        assert_eq!(find_words(text, 0, title).map(|(start, end)| &text[start..end]), found, "{title}");
    }

    #[test]
    fn an_entry_is_found_whatever_stands_between_its_words() {
        check(
            "intro\n\n2.1  Term and\nTermination\nThe term",
            "2.1 Term and Termination",
            Some("2.1  Term and\nTermination"),
        );
        check("2.1 Rent\nThe rent", "Rent", Some("2.1 Rent"));
        check("The rent is due on the first day of each month, in advance", "The rent", None);
        check("Rent", "Deposit", None);
    }
}
