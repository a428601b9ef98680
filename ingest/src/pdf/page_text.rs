//! Lines to a page's text, with each word's exact byte range; also the title that a first page shows.

use std::collections::HashSet;
use std::ops::Range;

use super::flow::{Break, breaks, is_hyphenated};
use super::lines::Line;
use super::tables::{self, Table};
use crate::Word;

/// A page's text and the words in it; boxes are on the page as shown.
pub(super) struct Composed {
    pub(super) text: String,
    pub(super) words: Vec<Word>,
    /// The bytes of each line.
    pub(super) lines: Vec<Range<u32>>,
}

pub(super) fn compose(lines: &[Line], page_width: f32, vocabulary: &Vocabulary) -> Composed {
    let mut text = String::new();
    let mut words: Vec<Word> = Vec::new();
    let mut spans = Vec::with_capacity(lines.len());
    let breaks = breaks(lines, page_width);
    let tables = tables::find(lines, &breaks);
    let mut tables = tables.iter().peekable();
    let mut at = 0;
    while at < lines.len() {
        if let Some(table) = tables.next_if(|table| table.lines.start == at) {
            if !text.is_empty() {
                text.push_str("\n\n");
            }
            push_table(&mut text, &mut words, lines, table);
            let end = text.len() as u32;
            spans.extend(table.lines.clone().map(|_| end..end));
            at = table.lines.end;
            continue;
        }
        let line = &lines[at];
        let after_table = spans.last().is_some_and(|span: &Range<u32>| span.is_empty());
        if after_table {
            text.push_str("\n\n");
        } else if at > 0 {
            let joined = breaks[at - 1] == Break::Wrap && join_hyphenated(&mut text, &mut words, line, vocabulary);
            text.push_str(match breaks[at - 1] {
                _ if joined => "",
                Break::Wrap => " ",
                Break::Cell => "  ",
                Break::Line => "\n",
                Break::Paragraph => "\n\n",
            });
        }
        let line_start = text.len() as u32;
        for (at, word) in line.words.iter().enumerate() {
            if at > 0 {
                text.push_str(if word.after_gap { "  " } else { " " });
            }
            push_word(&mut text, &mut words, &word.text, word.bbox);
        }
        spans.push(line_start..text.len() as u32);
        at += 1;
    }
    Composed { text, words, lines: spans }
}

fn push_word(text: &mut String, words: &mut Vec<Word>, word: &str, bbox: [f32; 4]) {
    let start = text.len() as u32;
    text.push_str(word);
    words.push(Word { start, end: text.len() as u32, bbox });
}

/// A table in Markdown: a row a line, and a rule below the first.
fn push_table(text: &mut String, words: &mut Vec<Word>, lines: &[Line], table: &Table) {
    for (at, row) in table.rows.iter().enumerate() {
        if at > 0 {
            text.push('\n');
        }
        text.push('|');
        for cell in row {
            for &(line, word) in cell {
                let word = &lines[line].words[word];
                text.push(' ');
                push_word(text, words, &tables::escaped(word), word.bbox);
            }
            text.push_str(" |");
        }
        if at == 0 {
            text.push_str("\n|");
            text.push_str(&"---|".repeat(row.len()));
        }
    }
}

/// Cuts the hyphen off the text's last word if the next line goes on with the same word; true
/// when nothing may stand between the two parts.
fn join_hyphenated(text: &mut String, words: &mut [Word], next: &Line, vocabulary: &Vocabulary) -> bool {
    let Some(last) = words.last_mut() else {
        return false;
    };
    let (first, second) = (&text[last.start as usize..], &next.words[0].text);
    if !is_hyphenated(first) || !second.starts_with(char::is_lowercase) {
        return false;
    }
    if !vocabulary.keeps_hyphen(first, second) {
        text.pop();
        last.end -= 1;
    }
    true
}

/// The words of a whole document, to tell `agree-ment` from `non-exclusive` at a line's end.
#[derive(Default)]
pub(super) struct Vocabulary {
    words: HashSet<String>,
    needed: bool,
}

impl Vocabulary {
    pub(super) fn of<'a>(pages: impl Iterator<Item = &'a [Line]> + Clone) -> Self {
        let mut vocabulary = Self {
            needed: pages.clone().flatten().any(|line| line.words.last().is_some_and(|word| is_hyphenated(&word.text))),
            ..Self::default()
        };
        if vocabulary.needed {
            for word in pages.flatten().flat_map(|line| &line.words) {
                vocabulary.words.insert(bare(&word.text).to_lowercase());
            }
        }
        vocabulary
    }

    /// The form that stands elsewhere wins; else two known words are a compound.
    fn keeps_hyphen(&self, first: &str, second: &str) -> bool {
        let (first, second) = (bare(first).to_lowercase(), bare(second).to_lowercase());
        if self.words.contains(&format!("{first}{second}")) {
            return false;
        }
        self.words.contains(&format!("{first}-{second}"))
            || (self.words.contains(&first) && self.words.contains(&second))
    }
}

fn bare(word: &str) -> &str {
    word.trim_matches(|c: char| !c.is_alphanumeric())
}

/// What the lines of a title have in common.
enum TitleStyle {
    Size(f32),
    Capitals,
    OneLine,
}

impl TitleStyle {
    fn fits(&self, line: &Line) -> bool {
        match self {
            Self::Size(size) => (line.size - size).abs() < 0.05 * size,
            Self::Capitals => is_upper(line),
            Self::OneLine => false,
        }
    }
}

/// The title's first line: the largest; or else near the top a line in capitals or title case
/// that names a kind of document; or else any line in capitals.
fn title_start(lines: &[Line]) -> Option<(usize, TitleStyle)> {
    const TOP_LINES: usize = 20;
    let largest = lines.iter().filter(|line| may_be_title(line)).map(|line| line.size).fold(0.0, f32::max);
    if largest > 1.15 * median_size(lines)? {
        let style = TitleStyle::Size(largest);
        let is_first = |line: &Line| may_be_title(line) && style.fits(line);
        return Some((lines.iter().position(is_first)?, style));
    }
    let top = &lines[..lines.len().min(TOP_LINES)];
    let names_document = |line: &Line| {
        line.text().split(|c: char| !c.is_alphabetic()).any(|word| DOCUMENTS.contains(&&*word.to_lowercase()))
    };
    let first = top
        .iter()
        .position(|line| may_be_title(line) && is_capitalised(line) && names_document(line))
        .or_else(|| top.iter().position(|line| may_be_title(line) && is_upper(line)))?;
    let style = if is_upper(&lines[first]) { TitleStyle::Capitals } else { TitleStyle::OneLine };
    Some((first, style))
}

/// Nouns by which English documents call themselves.
const DOCUMENTS: [&str; 22] = [
    "agreement",
    "amendment",
    "contract",
    "lease",
    "policy",
    "report",
    "plan",
    "guideline",
    "guidelines",
    "guide",
    "handbook",
    "manual",
    "memorandum",
    "notice",
    "statement",
    "terms",
    "certificate",
    "deed",
    "summary",
    "protocol",
    "charter",
    "bylaws",
];

/// The title that a first page shows, if any.
pub(super) fn shown_title(lines: &[Line]) -> Option<String> {
    const MAX_TITLE_LINES: usize = 3;
    const MAX_TITLE_CHARS: usize = 140;
    let (first, style) = title_start(lines)?;
    let mut title = lines[first].text();
    for pair in lines[first..].windows(2).take(MAX_TITLE_LINES - 1) {
        let next = pair[1].text();
        let complete = DOCUMENTS.iter().any(|noun| title.to_lowercase().ends_with(noun));
        let near = pair[0].baseline - pair[1].baseline < 2.5 * pair[0].size;
        let long = title.chars().count() + next.chars().count() >= MAX_TITLE_CHARS;
        if complete || !near || long || !pair[1].level || !style.fits(&pair[1]) {
            break;
        }
        title = format!("{title} {next}");
    }
    Some(title)
}

/// A level line of some words, mostly letters, that is no filing mark and no sentence.
fn may_be_title(line: &Line) -> bool {
    let text = line.text();
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    line.level
        && (2..=14).contains(&line.words.len())
        && letters >= 4
        && letters * 2 > text.chars().count()
        && !text.ends_with(['.', ',', ';', ':'])
        && !is_filing_mark(&text)
}

fn is_upper(line: &Line) -> bool {
    !line.text().contains(char::is_lowercase)
}

/// Every word of some length begins with a capital.
fn is_capitalised(line: &Line) -> bool {
    line.words
        .iter()
        .filter(|word| word.text.chars().count() >= 4)
        .all(|word| !word.text.starts_with(char::is_lowercase))
}

/// `Exhibit 10.5`, `EX-10.5`, `Source: ACME, 10-K`: marks of a filing, not titles.
fn is_filing_mark(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    text.starts_with("source:")
        || text.len() <= 24 && ["exhibit", "ex-", "page "].iter().any(|mark| text.starts_with(mark))
}

fn median_size(lines: &[Line]) -> Option<f32> {
    let mut sizes: Vec<f32> = lines.iter().map(|line| line.size).collect();
    sizes.sort_by(f32::total_cmp);
    sizes.get(sizes.len() / 2).copied()
}
