//! A document's text in pieces that fit the embedder, cut at paragraphs and sentences, each with
//! the exact places it came from. Only this file names text-splitter and tokenizers.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use text_splitter::{ChunkConfig, ChunkSizer, TextSplitter};
use tokenizers::Tokenizer;

use crate::body::bodies;
use crate::{Document, Page};

/// Between pages; a sentence that goes on overleaf gets a space instead.
const PAGE_JOINER: &str = "\n\n";
const SENTENCE_JOINER: &str = " ";

/// The tokenizer sees a text in pieces of at most so many bytes: its normaliser slows down on
/// long strings.
const MAX_PIECE_BYTES: usize = 4096;

/// A word that the tokenizer does not know is one token at any length; beyond so many bytes a
/// token, a chunk counts as full all the same. English has about 5, long words 12.
const MAX_BYTES_PER_TOKEN: usize = 16;

/// A piece of a document, small enough to embed and to cite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// Position in the document, from 0.
    pub number: u32,
    /// The text of its spans, joined by a blank line, or by a space where a sentence goes on.
    pub text: String,
    /// First page, from 1.
    pub page_start: u32,
    /// Last page, from 1.
    pub page_end: u32,
    /// Where it stands, one span a page, in order.
    pub spans: Vec<PageSpan>,
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
        Self {
            max_tokens: 254,
            overlap_tokens: 0,
        }
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
        .filter(|range| joined.text[range.clone()].contains(char::is_alphanumeric))
        .zip(0..)
        .map(|(range, number)| joined.chunk(number, range))
        .collect()
}

/// The ranges of a text's chunks. The splitter looks through all that is left for each chunk, which
/// is slow on long texts without line ends; so it is shown a window at a time, and the last chunk
/// in a window is cut anew, with what follows it in sight.
fn split<S: ChunkSizer + Copy>(
    text: &str,
    sizer: S,
    max_tokens: usize,
    overlap_tokens: usize,
) -> Vec<Range<usize>> {
    let window_bytes = max_tokens.saturating_mul(4 * MAX_BYTES_PER_TOKEN).max(1024);
    let mut ranges = Vec::new();
    let mut start = 0;
    while start < text.len() {
        let end = window_end(text, start, window_bytes);
        let config = ChunkConfig::new(max_tokens)
            .with_sizer(sizer)
            .with_overlap(overlap_tokens)
            .expect("the overlap was made smaller than the chunk");
        let splitter = TextSplitter::new(config);
        let window = &text[start..end];
        let is_last = end == text.len();
        let mut chunks = splitter
            .chunk_indices(&text[start..end])
            .map(|(at, chunk)| start + at..start + at + chunk.len())
            .peekable();
        let first = ranges.len();
        let mut next_start = end;
        while let Some(chunk) = chunks.next() {
            let reopen = !is_last && chunks.peek().is_none() && ranges.len() > first;
            let heading = last_heading(text, &chunk).filter(|_| overlap_tokens == 0);
            if reopen {
                next_start = chunk.start;
                break;
            }
            if let Some(heading) = heading {
                let body = text[chunk.start..heading].trim_end();
                ranges.push(chunk.start..chunk.start + body.len());
                next_start = heading;
                break;
            }
            ranges.push(chunk);
        }
        start = next_start;
    }
    ranges
}

/// Where the headings begin that a chunk ends with: they belong to the text that follows.
fn last_heading(text: &str, chunk: &Range<usize>) -> Option<usize> {
    const MAX_HEADING_LINES: usize = 3;
    const MAX_HEADING_BYTES: usize = 80;
    const MIN_NEXT_BYTES: usize = 80;
    let next = text[chunk.end..].trim_start().lines().next()?;
    if !text[chunk.end..].starts_with('\n') || next.len() < MIN_NEXT_BYTES {
        return None;
    }
    let mut start = None;
    let mut body = &text[chunk.clone()];
    for _ in 0..MAX_HEADING_LINES {
        let (above, line) = body.rsplit_once('\n')?;
        let heads = line.len() <= MAX_HEADING_BYTES
            && line.starts_with(|c: char| c.is_uppercase() || c.is_ascii_digit())
            && line.contains(char::is_alphabetic)
            && (line.starts_with(|c: char| c.is_ascii_digit()) || !line.ends_with(['.', ',', ';']));
        if !heads || !above.contains(char::is_alphanumeric) {
            break;
        }
        start = Some(chunk.start + above.len() + 1);
        body = above.trim_end();
    }
    start
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
    ends.filter_map(|end| text[half..limit].rfind(end))
        .map(|at| half + at)
        .next()
        .unwrap_or(limit)
}

/// The chunk itself, or smaller ones: cut in mid-word, a text may have more tokens alone than it
/// had in its place.
fn fit(
    text: &str,
    range: Range<usize>,
    sizer: &OffsetSizer<'_>,
    max_tokens: usize,
) -> Vec<Range<usize>> {
    /// Tokenizers that mark the start of a text add one or two tokens.
    const SLACK_TOKENS: usize = 8;
    let chunk = &text[range.clone()];
    let cut_in_word = text[..range.start].ends_with(|c: char| !c.is_whitespace())
        || text[range.end..].starts_with(|c: char| !c.is_whitespace());
    let surely_fits = !cut_in_word && sizer.size(chunk) + SLACK_TOKENS <= max_tokens;
    if surely_fits || sizer.counter.count(chunk) <= max_tokens {
        return vec![range];
    }
    split(chunk, sizer.counter, max_tokens, 0)
        .into_iter()
        .map(|part| range.start + part.start..range.start + part.end)
        .collect()
}

/// The bodies of all pages as one text, and where in it each page lies.
struct Joined {
    text: String,
    bodies: Vec<Body>,
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
        let mut joined = Self {
            text: String::new(),
            bodies: Vec::new(),
        };
        for (page, body) in pages.iter().zip(bodies(pages)) {
            let text = &page.text[body.clone()];
            if text.trim().is_empty() {
                continue;
            }
            if !joined.text.is_empty() {
                joined.text.push_str(if goes_on(&joined.text, text) {
                    SENTENCE_JOINER
                } else {
                    PAGE_JOINER
                });
            }
            let start = joined.text.len();
            joined.text.push_str(text);
            joined.bodies.push(Body {
                page: page.number,
                start_in_page: body.start,
                range: start..joined.text.len(),
            });
        }
        joined
    }

    fn chunk(&self, number: u32, range: Range<usize>) -> Chunk {
        let first = self
            .bodies
            .partition_point(|body| body.range.end <= range.start);
        let spans: Vec<PageSpan> = self.bodies[first..]
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
            .collect();
        Chunk {
            number,
            text: self.text[range].to_owned(),
            page_start: spans.first().map_or(1, |span| span.page),
            page_end: spans.last().map_or(1, |span| span.page),
            spans,
        }
    }
}

/// Whether a sentence goes on from one page to the next.
fn goes_on(before: &str, after: &str) -> bool {
    let open = before.ends_with(|c: char| c.is_lowercase() || matches!(c, ',' | '-'));
    open && after.starts_with(char::is_lowercase)
}

/// Counts tokens as the embedder's tokenizer makes them, without its special ones.
pub struct TokenCounter {
    tokenizer: Tokenizer,
}

/// A tokenizer file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the tokenizer: {0}")]
pub struct TokenizerError(String);

impl TokenCounter {
    /// From the bytes of a `tokenizer.json`. Its truncation and padding are switched off: they
    /// would make every text as long as the model's limit.
    pub fn from_bytes(tokenizer_json: &[u8]) -> Result<Self, TokenizerError> {
        let failed = |error: tokenizers::Error| TokenizerError(error.to_string());
        let mut tokenizer = Tokenizer::from_bytes(tokenizer_json).map_err(failed)?;
        tokenizer.with_truncation(None).map_err(failed)?;
        tokenizer.with_padding(None);
        Ok(Self { tokenizer })
    }

    /// How many tokens a text has.
    pub fn count(&self, text: &str) -> usize {
        pieces(text)
            .map(|piece| {
                self.tokenizer
                    .encode_fast(piece, false)
                    .map_or(piece.len(), |found| found.len())
            })
            .sum()
    }

    /// Byte offset of each token's start, in order.
    fn starts(&self, text: &str) -> Vec<u32> {
        let mut starts = Vec::with_capacity(text.len() / 4);
        let mut at = 0;
        for piece in pieces(text) {
            match self.tokenizer.encode(piece, false) {
                Ok(encoding) => {
                    let offsets = encoding.get_offsets().iter();
                    starts.extend(offsets.map(|&(start, _)| (at + start) as u32));
                }
                // Counts as one token a byte, so that no chunk gets too long.
                Err(_) => starts.extend(at as u32..(at + piece.len()) as u32),
            }
            at += piece.len();
        }
        starts.sort_unstable();
        starts
    }
}

impl ChunkSizer for &TokenCounter {
    fn size(&self, chunk: &str) -> usize {
        self.count(chunk).max(chunk.len() / MAX_BYTES_PER_TOKEN)
    }
}

/// The text in consecutive pieces: lines, and of long lines at most so many bytes, cut at blanks
/// where there are any.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive('\n').flat_map(|line| {
        let mut rest = line;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let mut cut = rest.len();
            if cut > MAX_PIECE_BYTES {
                let limit = rest.floor_char_boundary(MAX_PIECE_BYTES);
                let blank = rest[..limit].rfind(' ').filter(|&blank| blank > 0);
                cut = blank.unwrap_or(limit);
            }
            let (piece, after) = rest.split_at(cut);
            rest = after;
            Some(piece)
        })
    })
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
        Self {
            counter,
            base: text.as_ptr() as usize,
            len: text.len(),
            starts: counter.starts(text),
        }
    }
}

impl ChunkSizer for &OffsetSizer<'_> {
    fn size(&self, chunk: &str) -> usize {
        let start = (chunk.as_ptr() as usize).wrapping_sub(self.base);
        let Some(end) = start
            .checked_add(chunk.len())
            .filter(|&end| end <= self.len)
        else {
            return ChunkSizer::size(&self.counter, chunk);
        };
        let tokens_before = |at: usize| self.starts.partition_point(|&start| (start as usize) < at);
        let tokens = tokens_before(end) - tokens_before(start);
        tokens.max(chunk.len() / MAX_BYTES_PER_TOKEN)
    }
}
