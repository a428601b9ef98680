//! Pages that are pictures: which ones they are, and their text by recognition.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::Draft;
use super::content::PageGlyphs;
use super::geometry::PageGeometry;
use super::lines::{CELL_GAP, Line, LineWord, around};
use super::render::Renderer;
use crate::ocr::{self, Seen};
use crate::{Picture, Problem, ReadOptions, Recognise};

/// Why a page's text layer is not what is to be seen on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// A picture, or letters drawn as shapes, and no text.
    NoText,
    /// A picture of the page under a stamp or a page number.
    FewWords,
    /// Characters of which the file does not say what they are.
    Unreadable,
}

/// Whether a page is to be recognised, and why.
pub(super) fn reason(page: &PageGlyphs) -> Option<Reason> {
    /// A stamp, a file number and a date are about 60 characters.
    const STAMP_CHARACTERS: usize = 150;
    const PAGE_SHARE: f64 = 0.6;
    /// A logo or a rule is not a page.
    const PICTURE_SHARE: f64 = 0.05;
    /// A page of outlined letters has thousands of shapes, a ruled blank form some dozens.
    const LETTER_SHAPES: usize = 200;
    let shown = page.text.chars().filter(|c| !c.is_whitespace()).count();
    if page.unreadable >= 20 && page.unreadable * 3 > shown + page.unreadable {
        return Some(Reason::Unreadable);
    }
    if shown == 0 {
        let drawn = page.image_share > PICTURE_SHARE || page.shapes > LETTER_SHAPES;
        return drawn.then_some(Reason::NoText);
    }
    (shown < STAMP_CHARACTERS && page.image_share > PAGE_SHARE).then_some(Reason::FewWords)
}

/// Reads the pages that need it into their drafts. What cannot be read is a problem, so that no picture is passed over
/// in silence.
pub(super) fn recognise(drafts: &mut [Draft], bytes: &[u8], options: &ReadOptions, problems: &mut Vec<Problem>) {
    let wanted: Vec<usize> = (0..drafts.len()).filter(|&at| drafts[at].picture.is_some()).collect();
    if wanted.is_empty() {
        return;
    }
    let Some(recogniser) = options.recogniser else {
        problems.extend(wanted.iter().filter_map(|&at| Some(awaiting(at as u32 + 1, drafts[at].picture?))));
        return;
    };
    let passwords = &options.passwords;
    let renderer = catch_unwind(|| Renderer::open(bytes, passwords)).ok().flatten();
    let draw = |at: usize| {
        let renderer = renderer.as_ref().ok_or("the file cannot be drawn")?;
        let drawn = catch_unwind(AssertUnwindSafe(|| renderer.page(at))).ok().flatten();
        drawn.ok_or_else(|| "it cannot be drawn".to_owned())
    };
    let seen = ocr::see(recogniser, wanted.iter().map(|&at| draw(at)));
    for (at, seen) in wanted.into_iter().zip(seen) {
        take(&mut drafts[at], at as u32 + 1, seen, problems);
    }
}

/// Pictures as drafts of pages.
pub(super) fn drafts(
    pictures: impl Iterator<Item = Result<Picture, String>>,
    recogniser: &dyn Recognise,
    problems: &mut Vec<Problem>,
) -> Vec<Draft> {
    let seen = ocr::see(recogniser, pictures);
    let draft = |(number, seen): (u32, Result<Seen, String>)| {
        let size = seen.as_ref().map_or([0.0; 2], |seen| seen.size_pt);
        let mut draft = Draft::new(PageGeometry::of_picture(size));
        draft.picture = Some(Reason::NoText);
        take(&mut draft, number, seen, problems);
        draft
    };
    (1..).zip(seen).map(draft).collect()
}

/// The problem of a page that nobody is there to read.
fn awaiting(number: u32, reason: Reason) -> Problem {
    let what = match reason {
        Reason::NoText => "is a picture without text",
        Reason::FewWords => "is a picture with a few words",
        Reason::Unreadable => "has characters that the file does not name",
    };
    let message = format!("page {number} {what}, and text recognition is not available");
    Problem { awaits_recognition: true, ..Problem::on_page(number, message) }
}

/// Puts what was seen into a draft, unless its text layer had more, and notes what a person should know of it.
fn take(draft: &mut Draft, number: u32, seen: Result<Seen, String>, problems: &mut Vec<Problem>) {
    /// Below this, every fourth word or so is wrong (Tesseract's own measure).
    const UNSURE: f32 = 0.7;
    let seen = match seen {
        Ok(seen) => seen,
        Err(reason) => {
            let message = format!("page {number} is a picture and could not be recognised: {reason}");
            problems.push(Problem::on_page(number, message));
            return;
        }
    };
    let lines = lines(&seen, draft.geometry.shown_size()[1] as f32);
    let count = |lines: &[Line]| lines.iter().flat_map(|line| &line.words).map(|word| word.text.len()).sum::<usize>();
    let has_more = count(&lines) > count(&draft.lines);
    if lines.is_empty() || (!has_more && draft.picture != Some(Reason::Unreadable)) {
        return;
    }
    draft.lines = lines;
    draft.recognised = true;
    draft.confidence = seen.words.iter().map(|word| word.confidence).sum::<f32>() / seen.words.len().max(1) as f32;
    // What its text layer lacked is here now.
    problems.retain(|problem| problem.page != Some(number));
    if draft.confidence < UNSURE {
        let message = format!("page {number} was recognised in a poor picture: many of its words may be wrong");
        problems.push(Problem::on_page(number, message));
    }
}

/// Seen words as lines of the page as shown: in points, y upwards.
fn lines(seen: &Seen, page_height: f32) -> Vec<Line> {
    /// What is seen with less is dirt on the glass.
    const MIN_CONFIDENCE: f32 = 0.1;
    let mut lines: Vec<Line> = Vec::new();
    let mut last_line = None;
    for seen_word in seen.words.iter().filter(|word| word.confidence >= MIN_CONFIDENCE) {
        let [x0, y0, x1, y1] = seen_word.bbox;
        let bbox = [x0, page_height - y1, x1, page_height - y0];
        let mut text = String::new();
        crate::clean::push_clean(&mut text, &seen_word.text);
        for part in text.split_whitespace() {
            let word = LineWord { text: part.to_owned(), bbox, after_gap: false, after_blank: false };
            match lines.last_mut() {
                Some(line) if last_line == Some(seen_word.line) => line.words.push(word),
                _ => lines.push(Line { words: vec![word], level: true, ..Line::default() }),
            }
            last_line = Some(seen_word.line);
        }
    }
    lines.iter_mut().for_each(measure);
    lines
}

/// Sets a line's box, size and baseline from the boxes of its words, which enclose the ink.
fn measure(line: &mut Line) {
    /// From the top of a capital to the end of a descender, of the font size.
    const INK: f32 = 0.9;
    line.bbox = line.words.iter().map(|word| word.bbox).reduce(around).unwrap_or_default();
    let mut heights: Vec<f32> = line.words.iter().map(|word| word.bbox[3] - word.bbox[1]).collect();
    heights.sort_by(f32::total_cmp);
    // The tallest but for the outermost: a speck above a word makes its box too tall.
    line.size = heights[(heights.len() - 1) * 9 / 10] / INK;
    let mut feet: Vec<f32> = line.words.iter().map(|word| word.bbox[1]).collect();
    feet.sort_by(f32::total_cmp);
    line.baseline = feet[feet.len() / 2];
    for at in 1..line.words.len() {
        let gap = line.words[at].bbox[0] - line.words[at - 1].bbox[2];
        line.words[at].after_gap = gap > CELL_GAP * line.size;
    }
}
