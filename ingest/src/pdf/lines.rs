//! Glyphs to words to lines, by the gaps between them. Drawing order is kept, since it is nearly
//! always reading order; a page drawn in disorder is sorted from top to bottom.

use super::bidi::{has_right_to_left, is_right_to_left, sort_as_seen, to_reading_order};
use super::content::{Glyph, PageGlyphs};
use super::fields;

/// A gap of this part of the font size ends a word (spaces are often not drawn at all).
const WORD_GAP: f32 = 0.11;
/// A gap of this many font sizes stands between the cells of a table row.
pub(super) const CELL_GAP: f32 = 2.0;
/// A step across the line of this part of the font size starts a new line; less is a superscript.
const LINE_STEP: f32 = 0.55;
/// So many words make a line in which single letters are looked at.
const SPACED_LETTERS: usize = 6;
/// Letters that stand further apart than this part of the font size are words of their own.
const LETTER_GAP: f32 = 0.24;
/// How much wider a gap between words is than one between letters that stand apart.
const WORD_TO_LETTER_GAP: f32 = 1.6;
/// Fake bold draws a character again within so many glyphs.
const DUPLICATE_REACH: usize = 24;

/// Words that stand on one baseline, in points on the page as shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    pub(super) words: Vec<LineWord>,
    /// Runs from left to right, level.
    pub(super) level: bool,
    /// `x0, y0, x1, y1` around all words.
    pub(super) bbox: [f32; 4],
    pub(super) baseline: f32,
    /// Mean font size by characters.
    pub(super) size: f32,
    /// Most of its characters are set in bold.
    pub(super) bold: bool,
}

/// A word with its place on the page as shown.
#[derive(Clone, Debug)]
pub(super) struct LineWord {
    pub(super) text: String,
    pub(super) bbox: [f32; 4],
    /// A table cell's gap stands before it.
    pub(super) after_gap: bool,
    /// A blank was drawn before it.
    pub(super) after_blank: bool,
}

impl Line {
    /// Its words with single spaces.
    pub(super) fn text(&self) -> String {
        let words: Vec<&str> = self.words.iter().map(|word| word.text.as_str()).collect();
        words.join(" ")
    }

    pub(super) fn width(&self) -> f32 {
        self.bbox[2] - self.bbox[0]
    }

    /// Letters that stand apart become words again: in a line that is mostly single letters, the usual gap is the one
    /// between letters, and only a clearly wider one ends a word.
    fn close_up(&mut self) {
        let is_letter = |word: &&LineWord| {
            let mut characters = word.text.chars();
            characters.next().is_some_and(char::is_alphabetic) && characters.next().is_none()
        };
        let singles = self.words.iter().filter(is_letter).count();
        if !self.level || self.words.len() < SPACED_LETTERS || singles * 5 < self.words.len() * 3 {
            return;
        }
        let gaps: Vec<f32> = self.words.windows(2).map(|pair| pair[1].bbox[0] - pair[0].bbox[2]).collect();
        let mut sorted = gaps.clone();
        sorted.sort_unstable_by(f32::total_cmp);
        let usual = sorted[sorted.len() / 2];
        if usual > LETTER_GAP * self.size {
            return;
        }
        let mut words = std::mem::take(&mut self.words).into_iter();
        self.words.extend(words.next());
        for (word, gap) in words.zip(gaps) {
            match self.words.last_mut() {
                Some(last) if gap < WORD_TO_LETTER_GAP * usual && !word.after_blank => {
                    last.text.push_str(&word.text);
                    last.bbox = around(last.bbox, word.bbox);
                }
                _ => self.words.push(word),
            }
        }
    }

    /// Takes the words of another line in, which stands in a gap of this one or at its end.
    pub(super) fn insert(&mut self, other: Self) {
        let at = self.words.iter().position(|word| word.bbox[0] >= other.bbox[0]).unwrap_or(self.words.len());
        self.bbox = around(self.bbox, other.bbox);
        if let Some(next) = self.words.get_mut(at) {
            next.after_gap = false;
        }
        self.words.splice(at..at, other.words);
    }

    /// How much of the narrower line's width both cover.
    pub(super) fn overlap(&self, other: &Self) -> f32 {
        let covered = self.bbox[2].min(other.bbox[2]) - self.bbox[0].max(other.bbox[0]);
        covered / self.width().min(other.width()).max(1.0)
    }
}

/// The lines of a page in reading order.
pub(super) fn page_lines(page: &PageGlyphs) -> Vec<Line> {
    let mut builder = Builder::default();
    let turns = has_right_to_left(&page.text);
    let seen = if turns { sort_as_seen(page) } else { Vec::new() };
    let glyphs = if turns { &seen } else { &page.glyphs };
    let mut printed = None;
    for (at, glyph) in glyphs.iter().enumerate() {
        if at == page.fields_start {
            builder.end_line();
            printed = Some(std::mem::take(&mut builder.lines));
        }
        let recent = &glyphs[at.saturating_sub(DUPLICATE_REACH)..at];
        let text = text_of(page, glyph);
        if text != " " && recent.iter().any(|other| is_same_place(page, other, glyph)) {
            continue;
        }
        builder.push(glyph, text);
    }
    builder.end_line();
    let (mut lines, fields) = match printed {
        Some(printed) => (printed, builder.lines),
        None => (builder.lines, Vec::new()),
    };
    if is_disordered(&lines) {
        lines = sort_top_down(lines);
    }
    fields::place(&mut lines, fields);
    if turns {
        lines.iter_mut().for_each(to_reading_order);
    }
    lines
}

fn text_of<'a>(page: &'a PageGlyphs, glyph: &Glyph) -> &'a str {
    &page.text[glyph.start as usize..glyph.end as usize]
}

fn is_same_place(page: &PageGlyphs, other: &Glyph, glyph: &Glyph) -> bool {
    let near = 0.15 * length(glyph.up);
    (other.origin[0] - glyph.origin[0]).abs() < near
        && (other.origin[1] - glyph.origin[1]).abs() < near
        && text_of(page, other) == text_of(page, glyph)
}

fn length([x, y]: [f32; 2]) -> f32 {
    x.hypot(y)
}

#[derive(Default)]
struct Builder {
    lines: Vec<Line>,
    line: Line,
    word: Option<LineWord>,
    /// Sum of font size by character, and characters, of the line so far.
    sizes: (f32, f32),
    /// Characters of the line so far that are bold.
    bold: f32,
    previous: Option<Previous>,
    after_gap: bool,
    after_blank: bool,
}

#[derive(Clone, Copy)]
struct Previous {
    /// Where the last glyph, blank or not, ended.
    end: [f32; 2],
    /// Where the last glyph that shows ended.
    ink_end: [f32; 2],
    direction: [f32; 2],
    size: f32,
}

impl Builder {
    fn push(&mut self, glyph: &Glyph, text: &str) {
        let size = length(glyph.up).max(0.1);
        let run = [glyph.advance[0] - glyph.origin[0], glyph.advance[1] - glyph.origin[1]];
        let run_length = length(run);
        let mut direction = [glyph.up[1] / size, -glyph.up[0] / size];
        if run_length > 1e-3 {
            direction = run.map(|value| value / run_length);
        }
        if let Some(previous) = self.previous {
            self.separate(glyph, size, direction, previous);
        }
        let blank = text.chars().all(char::is_whitespace);
        if blank {
            self.end_word();
            self.after_blank = true;
        } else {
            self.push_ink(glyph, text, size, direction);
        }
        let ink_end = match self.previous {
            Some(previous) if blank => previous.ink_end,
            _ => glyph.advance,
        };
        self.previous = Some(Previous { end: glyph.advance, ink_end, direction, size });
    }

    /// Ends the word or the line before a glyph that does not follow on the last one.
    fn separate(&mut self, glyph: &Glyph, size: f32, direction: [f32; 2], previous: Previous) {
        let [dx, dy] = previous.direction;
        let step = |from: [f32; 2]| [glyph.origin[0] - from[0], glyph.origin[1] - from[1]];
        let along = |[x, y]: [f32; 2]| x * dx + y * dy;
        let gap = step(previous.end);
        let across = (gap[1] * dx - gap[0] * dy).abs();
        let larger = size.max(previous.size);
        let turned = direction[0] * dx + direction[1] * dy < 0.85;
        if turned || across > LINE_STEP * larger || along(gap) < -larger {
            self.end_line();
        } else if along(gap) > WORD_GAP * size.min(previous.size.max(0.5 * size)) {
            self.end_word();
        }
        if self.word.is_none() {
            self.after_gap = along(step(previous.ink_end)) > CELL_GAP * larger;
        }
    }

    fn push_ink(&mut self, glyph: &Glyph, text: &str, size: f32, direction: [f32; 2]) {
        let bbox = glyph_box(glyph);
        if self.line.words.is_empty() && self.word.is_none() {
            self.line.level = direction[0] > 0.98;
            self.line.baseline = glyph.origin[1];
        }
        let characters = text.chars().count() as f32;
        self.sizes.0 += size * characters;
        self.sizes.1 += characters;
        self.bold += if glyph.bold { characters } else { 0.0 };
        // A glyph may stand for several words: each gets the glyph's box.
        for (at, part) in text.split(' ').enumerate() {
            if at > 0 {
                self.end_word();
            }
            if part.is_empty() {
                continue;
            }
            // A ligature is stored as read; its letters wait to be turned with the others.
            let as_seen: String;
            let part = if part.len() > 2 && part.contains(is_right_to_left) {
                as_seen = part.chars().rev().collect();
                &as_seen
            } else {
                part
            };
            if let Some(word) = &mut self.word {
                word.text.push_str(part);
                word.bbox = around(word.bbox, bbox);
            } else {
                let after_gap = self.after_gap && !self.line.words.is_empty();
                let text = part.to_owned();
                let after_blank = std::mem::take(&mut self.after_blank);
                self.word = Some(LineWord { text, bbox, after_gap, after_blank });
            }
        }
    }

    fn end_word(&mut self) {
        if let Some(word) = self.word.take() {
            self.line.bbox = if self.line.words.is_empty() { word.bbox } else { around(self.line.bbox, word.bbox) };
            self.line.words.push(word);
        }
    }

    fn end_line(&mut self) {
        self.end_word();
        let (sum, characters) = std::mem::take(&mut self.sizes);
        let bold = std::mem::take(&mut self.bold);
        let mut line = std::mem::take(&mut self.line);
        if !line.words.is_empty() {
            line.size = sum / characters.max(1.0);
            line.close_up();
            line.bold = bold * 2.0 > characters;
            self.lines.push(line);
        }
    }
}

/// Around the glyph's em: a usual font reaches .22 below the baseline and .78 above.
fn glyph_box(glyph: &Glyph) -> [f32; 4] {
    let up = glyph.up;
    let corners = [(glyph.origin, -0.22), (glyph.origin, 0.78), (glyph.advance, -0.22), (glyph.advance, 0.78)]
        .map(|([x, y], part)| [x + part * up[0], y + part * up[1]]);
    let [mut x0, mut y0] = corners[0];
    let [mut x1, mut y1] = corners[0];
    for [x, y] in corners {
        (x0, y0) = (x0.min(x), y0.min(y));
        (x1, y1) = (x1.max(x), y1.max(y));
    }
    [x0, y0, x1, y1]
}

pub(super) fn around(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
    [a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])]
}

/// Whether the drawing order jumps back up over text it has passed, again and again.
/// Up to a higher line beside the last one is only the next column.
fn is_disordered(lines: &[Line]) -> bool {
    let jumps = lines
        .windows(2)
        .filter(|pair| {
            let up = pair[1].baseline - pair[0].baseline;
            pair[0].level && pair[1].level && up > 0.6 * pair[1].size && pair[0].overlap(&pair[1]) > 0.3
        })
        .count();
    jumps >= 4 && jumps * 8 > lines.len()
}

/// From top to bottom, lines on one baseline from left to right and as one line.
fn sort_top_down(mut lines: Vec<Line>) -> Vec<Line> {
    lines.sort_by(|a, b| b.baseline.total_cmp(&a.baseline));
    let mut rows: Vec<Vec<Line>> = Vec::new();
    for line in lines {
        match rows.last_mut() {
            Some(row)
                if line.level && row[0].level && row[0].baseline - line.baseline < 0.4 * line.size.min(row[0].size) =>
            {
                row.push(line);
            }
            _ => rows.push(vec![line]),
        }
    }
    let mut sorted: Vec<Line> = Vec::new();
    for mut row in rows {
        row.sort_by(|a, b| a.bbox[0].total_cmp(&b.bbox[0]));
        let mut row = row.into_iter();
        let Some(mut line) = row.next() else { continue };
        for mut next in row {
            let gap = next.bbox[0] - line.bbox[2];
            if let Some(word) = next.words.first_mut() {
                word.after_gap = gap > CELL_GAP * line.size;
            }
            line.bbox = around(line.bbox, next.bbox);
            line.words.append(&mut next.words);
        }
        sorted.push(line);
    }
    sorted
}
