//! Under which headings a place in a document stands: `ARTICLE V TERM › 5.2 Renewal`. Headings are those that the
//! format or layout shows, and those that contracts and reports write as numbered or capital lines.

use std::ops::Range;

use crate::Heading;

/// A heading in a text, and how deep it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Its first byte.
    pub at: usize,
    /// Lower is further up.
    level: u8,
    /// What it says, on one line.
    pub title: String,
}

/// Longer lines are text. Headings of contracts in capitals reach about 80.
const MAX_TITLE_CHARS: usize = 90;
/// A path names at most so many headings, the nearest ones.
const MAX_DEPTH: usize = 4;
/// Levels of what is not numbered; numbered clauses follow, one level a part of the number.
const PART: u8 = 1;
const ARTICLE: u8 = 2;
const SHOWN: u8 = 2;
const CAPITALS: u8 = 3;
const CLAUSE: u8 = 4;

/// All headings of a text in their order. `shown` are those that the format or layout marks.
pub(crate) fn marks(text: &str, shown: &[Heading]) -> Vec<Mark> {
    let mut marks: Vec<Mark> = shown
        .iter()
        .filter_map(|heading| {
            let title = one_line(text.get(heading.start as usize..heading.end as usize)?);
            let level = written(&title).map_or(SHOWN.saturating_add(heading.level.saturating_sub(1)), |mark| mark.0);
            (!title.is_empty()).then_some(Mark { at: heading.start as usize, level, title })
        })
        .collect();
    let is_shown =
        |line: &Range<usize>| shown.iter().any(|h| (h.start as usize) < line.end && line.start < h.end as usize);
    let mut start = 0;
    for line in text.split('\n') {
        let range = start..start + line.len();
        start = range.end + 1;
        if let Some((level, title)) = written(line)
            && !is_shown(&range)
        {
            marks.push(Mark { at: range.start, level, title });
        }
    }
    marks.sort_by_key(|mark| mark.at);
    marks
}

/// The headings that hold at a place, the outermost first: of each level the last one before it, and none that a
/// heading further up has ended. A heading at the place itself counts.
pub(crate) fn path(marks: &[Mark], at: usize) -> Vec<String> {
    let mut open: Vec<&Mark> = Vec::new();
    for mark in marks.iter().take_while(|mark| mark.at <= at) {
        open.retain(|above| above.level < mark.level);
        open.push(mark);
    }
    let from = open.len().saturating_sub(MAX_DEPTH);
    open[from..].iter().map(|mark| mark.title.clone()).collect()
}

/// The level and title of a line that reads like a heading.
fn written(line: &str) -> Option<(u8, String)> {
    let line = line.trim().trim_start_matches('#').trim();
    if line.len() < 3 || !line.contains(char::is_alphabetic) {
        return None;
    }
    keyword(line).or_else(|| clause(line)).or_else(|| capitals(line))
}

/// `ARTICLE IV – TERM`, `Section 5.2 Renewal.`, `Exhibit A`.
fn keyword(line: &str) -> Option<(u8, String)> {
    let (word, rest) = line.split_once(|c: char| c.is_whitespace())?;
    let level = match word.to_lowercase().as_str() {
        "exhibit" | "schedule" | "annex" | "appendix" | "attachment" | "part" => PART,
        "article" | "chapter" => ARTICLE,
        "section" | "§" | "clause" | "paragraph" => CLAUSE,
        _ => return None,
    };
    // "Section 5 applies" and "Schedule A sets out" are sentences, and so is all that starts in lower case.
    if !word.starts_with(|c: char| c.is_uppercase() || c == '§') {
        return None;
    }
    let (number, rest) = rest.trim_start().split_once(|c: char| c.is_whitespace()).unwrap_or((rest.trim_start(), ""));
    let bare = number.trim_matches(|c: char| !c.is_alphanumeric());
    let is_number = !bare.is_empty()
        && bare.len() <= 8
        && (bare.starts_with(|c: char| c.is_ascii_digit()) || bare.chars().all(|c| c.is_ascii_uppercase()));
    let rest = rest.trim_start_matches(['-', '–', '—', ':', '.', ' ']);
    if !is_number || rest.starts_with(|c: char| c.is_lowercase() || c == ',' || c == '(') {
        return None;
    }
    let depth = bare.matches('.').count() as u8;
    let title = run_in_title(rest)?;
    Some((level + depth, one_line(&format!("{word} {bare} {title}"))))
}

/// `5.2 Renewal. The term …` and `12. NOTICES`.
fn clause(line: &str) -> Option<(u8, String)> {
    let number_end = line.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
    let number = line[..number_end].trim_end_matches('.');
    let rest = line[number_end..].trim_start_matches([')', '.', ' ', '\t', '-', '–', '—']);
    let parts: Vec<&str> = number.split('.').collect();
    let is_number = parts.len() <= 4 && parts.iter().all(|part| (1..=3).contains(&part.len()));
    if !is_number || number_end == line.len() || !rest.starts_with(char::is_uppercase) {
        return None;
    }
    let title = run_in_title(rest)?;
    if title.is_empty() {
        return None;
    }
    // "5.0" stands where others write "5".
    let depth = parts.iter().rposition(|part| *part != "0").unwrap_or(0) as u8;
    Some((CLAUSE + depth, one_line(&format!("{number} {title}"))))
}

/// A short line in capitals.
fn capitals(line: &str) -> Option<(u8, String)> {
    let letters = line.chars().filter(|c| c.is_alphabetic());
    let is_capital = letters.clone().count() >= 4 && letters.clone().all(char::is_uppercase);
    let words = line.split_whitespace().count();
    let ends_well = !line.ends_with([',', ';']);
    (is_capital && ends_well && words <= 12 && line.chars().count() <= MAX_TITLE_CHARS)
        .then(|| (CAPITALS, one_line(line.trim_end_matches([':', '.']))))
}

/// What a heading says before the text begins on the same line; nothing when the line is a sentence and no heading.
fn run_in_title(rest: &str) -> Option<String> {
    const MAX_RUN_IN_WORDS: usize = 10;
    let rest = rest.trim();
    let end = rest.char_indices().find(|(at, c)| {
        let blank_follows = rest[at + c.len_utf8()..].chars().next().is_none_or(char::is_whitespace);
        matches!(c, '.' | ':' | ';') && blank_follows
    });
    let title = end.map_or(rest, |(at, _)| &rest[..at]).trim_matches(|c: char| !c.is_alphanumeric() && c != ')');
    let words: Vec<&str> = title.split_whitespace().collect();
    if words.len() > MAX_RUN_IN_WORDS || title.chars().count() > MAX_TITLE_CHARS {
        return None;
    }
    let is_small = |word: &&str| word.len() <= 4 || word.starts_with(|c: char| !c.is_lowercase());
    // Headings have capitals on their longer words; a sentence does not, unless nothing follows it.
    (words.iter().all(is_small) || (end.is_none() && words.len() <= 6)).then(|| title.to_owned())
}

fn one_line(text: &str) -> String {
    let joined = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match joined.char_indices().nth(MAX_TITLE_CHARS) {
        Some((end, _)) => joined[..end].trim_end().to_owned(),
        None => joined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Option<&str>) {
        assert_eq!(written(line).map(|(_, title)| title).as_deref(), expected, "{line}");
    }

    #[test]
    fn headings_of_contracts_are_known_by_how_they_are_written() {
        check("ARTICLE IV – TERM AND TERMINATION", Some("ARTICLE IV TERM AND TERMINATION"));
        check("Section 5.2 Renewal. This Agreement renews each year.", Some("Section 5.2 Renewal"));
        check("EXHIBIT A", Some("EXHIBIT A"));
        check("12. NOTICES", Some("12 NOTICES"));
        check("5.2 Limitation of Liability. Neither party is liable for", Some("5.2 Limitation of Liability"));
        check("## Dosage", None);
        check("CONFIDENTIAL INFORMATION", Some("CONFIDENTIAL INFORMATION"));
    }

    #[test]
    fn sentences_and_numbers_are_no_headings() {
        for line in [
            "Section 5 applies to all leases.",
            "12 The tenant shall pay the rent on the first day of each month and not later",
            "Part of the price is due",
            "1,000 units at $5",
            "30 days after notice",
            "USA",
            "The tenant pays.",
            "",
            "2019",
        ] {
            check(line, None);
        }
    }

    #[test]
    fn a_place_stands_under_the_headings_that_no_later_one_has_ended() {
        let text = "LEASE\n\nARTICLE I TERM\n1.1 Start. May.\n1.2 End. June.\nmore\nARTICLE II RENT\n2.1 Sum. $5\ntext\nEXHIBIT A\nplan";
        let marks = marks(text, &[]);
        let check = |place: &str, expected: &[&str]| {
            assert_eq!(path(&marks, text.find(place).expect("it is there")), expected, "{place}");
        };
        check("more", &["ARTICLE I TERM", "1.2 End"]);
        check("text", &["ARTICLE II RENT", "2.1 Sum"]);
        check("plan", &["EXHIBIT A"]);
        check("LEASE", &["LEASE"]);
    }

    #[test]
    fn headings_that_the_format_shows_count_as_they_are() {
        let text = "Findings\nNormal.\nPlan\nRest.";
        let shown = [Heading { start: 0, end: 8, level: 1 }, Heading { start: 17, end: 21, level: 1 }];
        assert_eq!(path(&marks(text, &shown), 20), ["Plan"]);
        assert_eq!(path(&marks(text, &shown), 10), ["Findings"]);
    }
}
