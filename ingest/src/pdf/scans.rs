//! Pages that are pictures: which ones they are, and their text by recognition.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Draft;
use super::content::PageGlyphs;
use super::lines::{CELL_GAP, Line, LineWord, around};
use super::render::Renderer;
use crate::ocr::SeenWord;
use crate::{Ocr, Problem, ReadOptions};

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

/// Reads the pages that need it, several at a time, into their drafts. What cannot be read is a
/// problem, so that no picture is passed over in silence.
pub(super) fn recognise(drafts: &mut [Draft], bytes: &[u8], options: &ReadOptions, problems: &mut Vec<Problem>) {
    let wanted: Vec<usize> = (0..drafts.len()).filter(|&at| drafts[at].picture.is_some()).collect();
    if wanted.is_empty() {
        return;
    }
    let mut report = |at: usize, message: &str| {
        let number = at as u32 + 1;
        problems.push(Problem::on_page(number, format!("page {number} {message}")));
    };
    let Some(ocr) = &options.ocr else {
        for at in wanted {
            match drafts[at].picture {
                Some(Reason::NoText) => report(at, "is a picture without text, and text recognition is not available"),
                Some(Reason::FewWords) => {
                    report(at, "is a picture with a few words, and text recognition is not available");
                }
                // Its unreadable characters are reported already.
                Some(Reason::Unreadable) | None => {}
            }
        }
        return;
    };
    for (at, outcome) in read_pages(&wanted, bytes, options, ocr) {
        let draft = &mut drafts[at];
        match outcome {
            Ok(seen) => {
                if let Some(message) = take(draft, &seen) {
                    report(at, message);
                }
            }
            Err(message) => report(at, &format!("is a picture and could not be recognised: {message}")),
        }
    }
}

type Outcome = Result<Seen, String>;

/// What was seen on a page.
struct Seen {
    words: Vec<SeenWord>,
    pixels_per_point: f32,
}

/// Draws and reads pages in as many threads as the recogniser is allowed, in page order.
fn read_pages(wanted: &[usize], bytes: &[u8], options: &ReadOptions, ocr: &Ocr) -> Vec<(usize, Outcome)> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if ocr.threads == 0 { cores } else { ocr.threads }.min(wanted.len());
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(Vec::with_capacity(wanted.len()));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let renderer = catch_unwind(|| Renderer::open(bytes, &options.passwords)).ok().flatten();
                while let Some(&at) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = match &renderer {
                        Some(renderer) => catch_unwind(AssertUnwindSafe(|| read_page(renderer, at, ocr)))
                            .unwrap_or_else(|_| Err("it cannot be drawn".into())),
                        None => Err("the file cannot be drawn".into()),
                    };
                    outcomes.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((at, outcome));
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    outcomes.sort_by_key(|(at, _)| *at);
    outcomes
}

fn read_page(renderer: &Renderer, at: usize, ocr: &Ocr) -> Outcome {
    let picture = renderer.page(at).ok_or("it cannot be drawn")?;
    Ok(Seen { words: ocr.words(&picture)?, pixels_per_point: picture.pixels_per_point })
}

/// Puts what was seen into a draft, unless its text layer had more. Returns what a person should
/// know of it.
fn take(draft: &mut Draft, seen: &Seen) -> Option<&'static str> {
    /// Below this, every fourth word or so is wrong (Tesseract's own measure).
    const UNSURE: f32 = 0.7;
    let lines = lines(seen, draft.geometry.shown_size()[1] as f32);
    let count = |lines: &[Line]| lines.iter().flat_map(|line| &line.words).map(|word| word.text.len()).sum::<usize>();
    if count(&lines) <= count(&draft.lines) && draft.picture != Some(Reason::Unreadable) {
        return None;
    }
    if lines.is_empty() {
        return None;
    }
    draft.lines = lines;
    draft.recognised = true;
    draft.confidence = seen.words.iter().map(|word| word.confidence).sum::<f32>() / seen.words.len().max(1) as f32;
    (draft.confidence < UNSURE).then_some("was recognised in a poor picture: many of its words may be wrong")
}

/// Seen words as lines of the page as shown: in points, y upwards.
fn lines(seen: &Seen, page_height: f32) -> Vec<Line> {
    /// What is seen with less is dirt on the glass.
    const MIN_CONFIDENCE: f32 = 0.1;
    let scale = seen.pixels_per_point;
    let mut lines: Vec<Line> = Vec::new();
    let mut last_line = None;
    for seen_word in seen.words.iter().filter(|word| word.confidence >= MIN_CONFIDENCE) {
        let [x0, y0, x1, y1] = seen_word.bbox.map(|value| value / scale);
        let bbox = [x0, page_height - y1, x1, page_height - y0];
        let mut text = String::new();
        crate::clean::push_clean(&mut text, &seen_word.text);
        for part in text.split_whitespace() {
            let word = LineWord { text: part.to_owned(), bbox, after_gap: false };
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
