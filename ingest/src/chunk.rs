//! A document's text in pieces that fit the embedder, cut at paragraphs and sentences, each with
//! the exact places it came from. Only this file names text-splitter.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use text_splitter::{ChunkConfig, ChunkSizer, TextSplitter};

use crate::body::bodies;
use crate::section::{self, Mark};
use crate::{Document, Heading, Page, TokenCounter};

/// Between pages; a sentence that goes on overleaf gets a space instead.
const PAGE_JOINER: &str = "\n\n";
const SENTENCE_JOINER: &str = " ";

/// A word that the tokenizer does not know is one token at any length; beyond so many bytes a
/// token, a chunk counts as full all the same. English has about 5, long words 12.
const MAX_BYTES_PER_TOKEN: usize = 16;

/// A piece of a document, small enough to embed and to cite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// Position in the document, from 0.
    pub number: u32,
    /// The text of its spans, joined by a blank line, or by a space where a sentence goes on. Rows of
    /// a table have its header before them.
    pub text: String,
    /// First page, from 1.
    pub page_start: u32,
    /// Last page, from 1.
    pub page_end: u32,
    /// Where it stands, in order: one span a page, and one more for the header of a table.
    pub spans: Vec<PageSpan>,
    /// The headings that its beginning stands under, the outermost first, four at most.
    pub section: Vec<String>,
    /// Whether it begins within a paragraph that the chunk before has the start of.
    pub continues: bool,
}

/// A byte range of one [`Page::text`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageSpan {
    /// The page, from 1.
    pub page: u32,
    /// First byte.
    pub start: u32,
    /// Byte after the last.
    pub end: u32,
}

/// How large chunks are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkRules {
    /// Most tokens in a chunk. 254 by default: 256 less the two that the embedder adds.
    pub max_tokens: usize,
    /// Most tokens that a chunk repeats of the one before; 0 by default. Must be less than
    /// `max_tokens`, or is taken as one less.
    pub overlap_tokens: usize,
}

impl Default for ChunkRules {
    fn default() -> Self {
        Self { max_tokens: 254, overlap_tokens: 0 }
    }
}

/// Cuts a document into chunks. The same document and rules give the same chunks; each has a
/// letter or digit in it.
pub fn chunk(document: &Document, counter: &TokenCounter, rules: &ChunkRules) -> Vec<Chunk> {
    let joined = Joined::of(&document.pages);
    let max_tokens = rules.max_tokens.max(1);
    let overlap_tokens = rules.overlap_tokens.min(max_tokens - 1);
    let sizer = &OffsetSizer::new(counter, &joined.text);
    let ranges = split(&joined.text, sizer, max_tokens, overlap_tokens);
    ranges
        .into_iter()
        .flat_map(|range| fit(&joined.text, range, sizer, max_tokens))
        .flat_map(|range| with_header(&joined.text, range, sizer, max_tokens))
        .filter(|(_, range)| joined.text[range.clone()].contains(char::is_alphanumeric))
        .zip(0..)
        .map(|((header, range), number)| joined.chunk(number, header.as_ref(), &range))
        .collect()
}

/// The ranges of a text's chunks. The splitter looks through all that is left for each chunk, which
/// is slow on long texts without line ends; so it is shown a window at a time, and the last chunk
/// in a window is cut anew, with what follows it in sight.
fn split<S: ChunkSizer + Copy>(text: &str, sizer: S, max_tokens: usize, overlap_tokens: usize) -> Vec<Range<usize>> {
    let window_bytes = max_tokens.saturating_mul(4 * MAX_BYTES_PER_TOKEN).max(1024);
    let mut ranges = Vec::new();
    let mut start = 0;
    while start < text.len() {
        let end = window_end(text, start, window_bytes);
        let mut chunks = split_window(text, start..end, sizer, max_tokens, overlap_tokens).into_iter().peekable();
        let first = ranges.len();
        let mut next_start = end;
        while let Some(chunk) = chunks.next() {
            if end < text.len() && chunks.peek().is_none() && ranges.len() > first {
                next_start = chunk.start;
                break;
            }
            if overlap_tokens == 0
                && let Some(parted) = part_heading(text, &chunk, sizer, max_tokens)
            {
                next_start = parted.next_start;
                ranges.push(parted.chunk);
                break;
            }
            ranges.push(chunk);
        }
        start = next_start;
    }
    ranges
}

fn split_window(
    text: &str,
    window: Range<usize>,
    sizer: impl ChunkSizer,
    max_tokens: usize,
    overlap_tokens: usize,
) -> Vec<Range<usize>> {
    let config = ChunkConfig::new(max_tokens)
        .with_sizer(sizer)
        .with_overlap(overlap_tokens)
        .expect("the overlap was made smaller than the chunk");
    TextSplitter::new(config)
        .chunk_indices(&text[window.clone()])
        .map(|(at, chunk)| window.start + at..window.start + at + chunk.len())
        .collect()
}

/// A chunk after its headings were taken into account, and where the next one starts.
struct Parted {
    chunk: Range<usize>,
    next_start: usize,
}

/// Moves the headings that a chunk ends with to the paragraph they head, unless both would not fit
/// one chunk. Headings that would be a chunk alone take the paragraph's first sentences.
fn part_heading<S: ChunkSizer + Copy>(text: &str, chunk: &Range<usize>, sizer: S, max_tokens: usize) -> Option<Parted> {
    const MIN_PARAGRAPH_BYTES: usize = 80;
    let after = &text[chunk.end..];
    let paragraph_start = text.len() - after.trim_start().len();
    let paragraph = text[paragraph_start..].lines().next()?;
    if !after.starts_with('\n') || paragraph.len() < MIN_PARAGRAPH_BYTES {
        return None;
    }
    let body_bytes = trailing_headings(&text[chunk.clone()])?;
    let heading_start = chunk.start + body_bytes;
    let heading_tokens = sizer.size(&text[heading_start..chunk.end]);
    let is_long = sizer.size(paragraph) > max_tokens;
    if body_bytes > 0 {
        let fits = heading_tokens + sizer.size(paragraph) <= max_tokens;
        let body = text[chunk.start..heading_start].trim_end();
        return (is_long || fits)
            .then(|| Parted { chunk: chunk.start..chunk.start + body.len(), next_start: heading_start });
    }
    if heading_tokens * 2 > max_tokens {
        return None;
    }
    let room = max_tokens - heading_tokens;
    let paragraph = paragraph_start..paragraph_start + paragraph.len();
    let end = split_window(text, paragraph, sizer, room, 0).first()?.end;
    Some(Parted { chunk: chunk.start..end, next_start: end })
}

/// Where the headings begin that a chunk ends with; 0 if it is nothing else.
fn trailing_headings(chunk: &str) -> Option<usize> {
    const MAX_HEADING_LINES: usize = 3;
    let mut start = None;
    let mut above = chunk;
    for _ in 0..MAX_HEADING_LINES {
        let (rest, line) = above.rsplit_once('\n').unwrap_or(("", above));
        if !is_heading(line) {
            break;
        }
        above = rest.trim_end();
        if above.is_empty() {
            return Some(0);
        }
        start = Some(rest.len() + 1);
    }
    start
}

fn is_heading(line: &str) -> bool {
    const MAX_HEADING_BYTES: usize = 80;
    let is_numbered = line.starts_with(|c: char| c.is_ascii_digit());
    line.len() <= MAX_HEADING_BYTES
        && line.contains(char::is_alphabetic)
        && (is_numbered || line.starts_with(char::is_uppercase))
        && (is_numbered || !line.ends_with(['.', ',', ';']))
}

/// At most so many bytes on, at a paragraph's end if there is one in the second half; else at a
/// line's end, a blank or a character.
fn window_end(text: &str, start: usize, window_bytes: usize) -> usize {
    if text.len() - start <= window_bytes {
        return text.len();
    }
    let limit = text.floor_char_boundary(start + window_bytes);
    let half = text.floor_char_boundary(start + window_bytes / 2);
    let ends = ["\n\n", "\n", " "].into_iter();
    ends.filter_map(|end| text[half..limit].rfind(end)).map(|at| half + at).next().unwrap_or(limit)
}

/// The chunk itself, or smaller ones: cut in mid-word, a text may have more tokens alone than it
/// had in its place.
fn fit(text: &str, range: Range<usize>, sizer: &OffsetSizer<'_>, max_tokens: usize) -> Vec<Range<usize>> {
    /// Tokenizers that mark the start of a text add one or two tokens.
    const SLACK_TOKENS: usize = 8;
    let chunk = &text[range.clone()];
    let cut_in_word = text[..range.start].ends_with(|c: char| !c.is_whitespace())
        || text[range.end..].starts_with(|c: char| !c.is_whitespace());
    let surely_fits = !cut_in_word && sizer.size(chunk) + SLACK_TOKENS <= max_tokens;
    if surely_fits || sizer.counter.count(chunk) <= max_tokens {
        return vec![range];
    }
    split_window(chunk, 0..chunk.len(), sizer.counter, max_tokens, 0)
        .into_iter()
        .map(|part| range.start + part.start..range.start + part.end)
        .collect()
}

/// A chunk that begins within a Markdown table, with the rows that head the table; in smaller chunks
/// where both together would not fit. A header of half a chunk or more is left where it is.
fn with_header(
    text: &str,
    range: Range<usize>,
    sizer: &OffsetSizer<'_>,
    max_tokens: usize,
) -> Vec<(Option<Range<usize>>, Range<usize>)> {
    /// Tokenizers may part two texts elsewhere than their join.
    const SLACK_TOKENS: usize = 8;
    let Some(header) = table_header(text, range.start) else { return vec![(None, range)] };
    let header_tokens = sizer.size(&text[header.clone()]) + SLACK_TOKENS;
    if header_tokens * 2 > max_tokens {
        return vec![(None, range)];
    }
    let room = max_tokens - header_tokens;
    let parts =
        if sizer.size(&text[range.clone()]) <= room { vec![range] } else { split_window(text, range, sizer, room, 0) };
    parts.into_iter().map(|part| (table_header(text, part.start), part)).collect()
}

/// The first row of the table that a place is in, with the rule below it, when the place is further down.
fn table_header(text: &str, at: usize) -> Option<Range<usize>> {
    let is_row = |line: &str| line.starts_with('|');
    if !is_row(&text[at..]) {
        return None;
    }
    let above = text[..at].trim_end_matches(['\n', ' ']);
    let mut start = at;
    for line in above.rsplit('\n').take_while(|line| is_row(line)) {
        start = line.as_ptr() as usize - text.as_ptr() as usize;
    }
    let mut lines = text[start..at].split_inclusive('\n');
    let first = lines.next()?;
    let is_rule = |line: &&str| line.contains("--") && line.chars().all(|c| matches!(c, '|' | '-' | ':' | ' ' | '\n'));
    let rule = lines.next().filter(is_rule).map_or(0, str::len);
    let end = start + text[start..start + first.len() + rule].trim_end().len();
    (start < at).then_some(start..end)
}

/// The bodies of all pages as one text, and where in it each page lies.
struct Joined {
    text: String,
    bodies: Vec<Body>,
    marks: Vec<Mark>,
}

struct Body {
    page: u32,
    /// Where the body begins in the page's text.
    start_in_page: usize,
    /// Where it lies in the joined text.
    range: Range<usize>,
}

impl Joined {
    fn of(pages: &[Page]) -> Self {
        let mut joined = Self { text: String::new(), bodies: Vec::new(), marks: Vec::new() };
        let mut shown = Vec::new();
        for (page, body) in pages.iter().zip(bodies(pages)) {
            let text = &page.text[body.clone()];
            if text.trim().is_empty() {
                continue;
            }
            if !joined.text.is_empty() {
                joined.text.push_str(if goes_on(&joined.text, text) { SENTENCE_JOINER } else { PAGE_JOINER });
            }
            let start = joined.text.len();
            joined.text.push_str(text);
            let in_body = |heading: &&Heading| body.start <= heading.start as usize && heading.end as usize <= body.end;
            let in_joined = |at: u32| (at as usize - body.start + start) as u32;
            shown.extend(page.headings.iter().filter(in_body).map(|heading| Heading {
                start: in_joined(heading.start),
                end: in_joined(heading.end),
                ..*heading
            }));
            joined.bodies.push(Body { page: page.number, start_in_page: body.start, range: start..joined.text.len() });
        }
        joined.marks = section::marks(&joined.text, &shown);
        joined
    }

    fn chunk(&self, number: u32, header: Option<&Range<usize>>, range: &Range<usize>) -> Chunk {
        let own = self.spans(range);
        let text = &self.text[range.clone()];
        let before = self.text[..range.start].trim_end_matches(' ');
        Chunk {
            number,
            page_start: own.first().map_or(1, |span| span.page),
            page_end: own.last().map_or(1, |span| span.page),
            section: section::path(&self.marks, range.start),
            continues: header.is_none() && !before.is_empty() && !before.ends_with('\n'),
            text: header.map_or_else(|| text.to_owned(), |header| format!("{}\n{text}", &self.text[header.clone()])),
            spans: header.into_iter().flat_map(|header| self.spans(header)).chain(own).collect(),
        }
    }

    fn spans(&self, range: &Range<usize>) -> Vec<PageSpan> {
        let first = self.bodies.partition_point(|body| body.range.end <= range.start);
        self.bodies[first..]
            .iter()
            .take_while(|body| body.range.start < range.end)
            .map(|body| {
                let in_page = |at: usize| (at - body.range.start + body.start_in_page) as u32;
                PageSpan {
                    page: body.page,
                    start: in_page(range.start.max(body.range.start)),
                    end: in_page(range.end.min(body.range.end)),
                }
            })
            .collect()
    }
}

/// Whether a sentence goes on from one page to the next.
fn goes_on(before: &str, after: &str) -> bool {
    let open = before.ends_with(|c: char| c.is_lowercase() || matches!(c, ',' | '-'));
    open && after.starts_with(char::is_lowercase)
}

impl ChunkSizer for &TokenCounter {
    fn size(&self, chunk: &str) -> usize {
        self.count(chunk).max(chunk.len() / MAX_BYTES_PER_TOKEN)
    }
}

/// Sizes any part of one text by looking up its tokens' places, so that the text is tokenised
/// once: ten times as fast as sizing each candidate anew.
struct OffsetSizer<'a> {
    counter: &'a TokenCounter,
    base: usize,
    len: usize,
    starts: Vec<u32>,
}

impl<'a> OffsetSizer<'a> {
    fn new(counter: &'a TokenCounter, text: &str) -> Self {
        Self { counter, base: text.as_ptr() as usize, len: text.len(), starts: counter.starts(text) }
    }
}

impl ChunkSizer for &OffsetSizer<'_> {
    fn size(&self, chunk: &str) -> usize {
        let start = (chunk.as_ptr() as usize).wrapping_sub(self.base);
        let Some(end) = start.checked_add(chunk.len()).filter(|&end| end <= self.len) else {
            return ChunkSizer::size(&self.counter, chunk);
        };
        let tokens_before = |at: usize| self.starts.partition_point(|&start| (start as usize) < at);
        let tokens = tokens_before(end) - tokens_before(start);
        tokens.max(chunk.len() / MAX_BYTES_PER_TOKEN)
    }
}
