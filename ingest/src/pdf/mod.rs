//! The text layer of PDF files: words with their places, page by page. Our own, on lopdf's objects,
//! since lopdf's text extraction splits words and misses forms. Only this folder names lopdf.

mod bidi;
mod cmap;
mod composite;
mod content;
mod encoding;
mod fields;
mod flow;
mod fonts;
mod geometry;
mod headings;
mod labels;
mod lexer;
mod lines;
mod load;
mod objects;
mod page_text;
mod program;
mod properties;
mod render;
mod scans;
mod tables;
mod visible;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use lopdf::ObjectId;

use self::content::{FontCache, PageGlyphs, page_glyphs};
use self::geometry::PageGeometry;
use self::headings::OutlineEntry;
use self::lines::{Line, page_lines};
use self::load::{Loaded, load};
use self::page_text::{Vocabulary, compose, shown_title};
use crate::{Caution, Document, Heading, Limits, MediaType, Page, Picture, Problem, ReadError, ReadOptions, Recognise};

pub(crate) fn read(bytes: &[u8], options: &ReadOptions) -> Result<Document, ReadError> {
    let Loaded { file, pages: ids, recovered } = load(bytes, &options.passwords, &options.limits)?;
    let (mut problems, mut cautions) = (Vec::new(), Vec::new());
    if recovered {
        problems.push(Problem::on_file("the file is damaged: parts of it may be missing"));
    }
    if is_xfa_only(&file) {
        let message = "the file is an XFA form: what is filled into it cannot be read, only what other viewers show";
        problems.push(Problem::on_file(message));
    }
    let mut fonts = FontCache::new();
    let mut drafts: Vec<Draft> = (1..)
        .zip(&ids)
        .map(|(number, &id)| {
            let mut draft = draft_page(&file, number, id, &mut fonts, &options.limits, &mut problems);
            cautions.append(&mut draft.cautions);
            draft
        })
        .collect();
    scans::recognise(&mut drafts, bytes, options, &mut problems);
    let title = properties::title(&file);
    let labels = labels::page_labels(&file, drafts.len());
    let outline = headings::outline(&file, &ids);
    let document = finish(drafts, title, labels, &outline, problems)?;
    Ok(Document { author: properties::author(&file), written: properties::written(&file), cautions, ..document })
}

/// Reads pictures as pages, one after another as they are made.
pub(crate) fn read_pictures(
    pictures: impl Iterator<Item = Result<Picture, String>>,
    recogniser: &dyn Recognise,
) -> Result<Document, ReadError> {
    let mut problems = Vec::new();
    let drafts = scans::drafts(pictures, recogniser, &mut problems);
    let labels = vec![None; drafts.len()];
    Ok(Document { media_type: MediaType::Picture, ..finish(drafts, None, labels, &[], problems)? })
}

/// Drafts to pages, now that the words of all of them are known.
fn finish(
    drafts: Vec<Draft>,
    title: Option<String>,
    labels: Vec<Option<String>>,
    outline: &[OutlineEntry],
    mut problems: Vec<Problem>,
) -> Result<Document, ReadError> {
    problems.sort_by_key(|problem| problem.page);
    if drafts.iter().all(|draft| draft.lines.is_empty()) {
        let pages = drafts.len();
        if problems.iter().any(|problem| problem.awaits_recognition) {
            return Err(ReadError::NeedsRecognition { pages });
        }
        let reason = problems.into_iter().find(|problem| problem.page.is_some()).map(|problem| problem.message);
        return Err(reason.map_or(ReadError::NoText { pages }, ReadError::NothingReadable));
    }
    let vocabulary = Vocabulary::of(drafts.iter().map(|draft| draft.lines.as_slice()));
    let title = title.or_else(|| shown_title(&drafts[0].lines));
    let by_type = if outline.is_empty() {
        headings::by_type(&drafts.iter().map(|draft| draft.lines.as_slice()).collect::<Vec<_>>())
    } else {
        vec![Vec::new(); drafts.len()]
    };
    let mut pages: Vec<Page> = (1..)
        .zip(drafts)
        .zip(labels)
        .zip(by_type)
        .map(|(((number, draft), label), headings)| finish_page(number, label, &draft, &vocabulary, &headings))
        .collect();
    headings::mark_outline(&mut pages, outline);
    Ok(Document { title, problems, ..Document::of(MediaType::Pdf, pages) })
}

/// The `ToUnicode` parser alone, for its fuzz target.
#[cfg(fuzzing)]
pub(crate) fn fuzz_cmap(bytes: &[u8]) {
    let cmap = cmap::parse(bytes);
    assert!(cmap.text.values().all(|text| !text.is_empty()));
}

/// A page's lines, before the whole document's words are known.
struct Draft {
    geometry: PageGeometry,
    lines: Vec<Line>,
    /// Why its text layer is not all that is to be seen, if so.
    picture: Option<scans::Reason>,
    recognised: bool,
    confidence: f32,
    cautions: Vec<Caution>,
}

impl Draft {
    fn new(geometry: PageGeometry) -> Self {
        Self { geometry, lines: Vec::new(), picture: None, recognised: false, confidence: 1.0, cautions: Vec::new() }
    }
}

fn draft_page(
    file: &lopdf::Document,
    number: u32,
    id: ObjectId,
    fonts: &mut FontCache,
    limits: &Limits,
    problems: &mut Vec<Problem>,
) -> Draft {
    let geometry = PageGeometry::of(file, id);
    let mut draft = Draft::new(geometry);
    // A last resort: nothing below is known to panic.
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let glyphs = page_glyphs(file, id, geometry, fonts, limits)?;
        Ok::<_, lopdf::Error>((page_lines(&glyphs), glyphs))
    }));
    match outcome {
        Ok(Ok((found, glyphs))) => {
            draft.lines = found;
            draft.picture = scans::reason(&glyphs);
            let (shown, unreadable) = (glyphs.glyphs.len() as f32, glyphs.unreadable as f32);
            draft.confidence = shown / (shown + unreadable).max(1.0);
            if shown + unreadable == 0.0 {
                draft.confidence = 1.0;
            }
            draft.cautions = glyphs.unseen.cautions(Some(number)).collect();
            let found = page_problems(&glyphs, number);
            problems.extend(found.map(|message| Problem::on_page(number, message)));
        }
        Ok(Err(error)) => {
            let message = format!("page {number} cannot be read: {error}");
            problems.push(Problem::on_page(number, message));
        }
        Err(panic) => {
            let message = format!("page {number} cannot be read: {}", panic_message(&*panic));
            problems.push(Problem::on_page(number, message));
        }
    }
    draft
}

/// What a person should know about a page that was read in part.
fn page_problems(page: &PageGlyphs, number: u32) -> impl Iterator<Item = String> {
    // One lost bullet in a hundred characters is not worth a report.
    let (unreadable, shown) = (page.unreadable, page.glyphs.len());
    let lost = (unreadable >= 20 || unreadable * 50 > shown) && unreadable > 0;
    [
        lost.then(|| format!("{unreadable} characters on page {number} cannot be read as text")),
        page.cut_short.then(|| format!("page {number} is too complex: only the first part of it was read")),
    ]
    .into_iter()
    .flatten()
}

fn finish_page(
    number: u32,
    label: Option<String>,
    draft: &Draft,
    vocabulary: &Vocabulary,
    heading_lines: &[(usize, u8)],
) -> Page {
    let geometry = draft.geometry;
    let shown_width = geometry.shown_size()[0] as f32;
    let mut composed = compose(&draft.lines, shown_width, vocabulary);
    for word in &mut composed.words {
        word.bbox = geometry.to_stored(word.bbox);
    }
    let mut headings: Vec<Heading> = Vec::new();
    let mut last_line = None;
    for &(line, level) in heading_lines {
        let span = &composed.lines[line];
        match headings.last_mut() {
            // A heading of two lines is one heading.
            Some(last) if last.level == level && last_line == Some(line.wrapping_sub(1)) => last.end = span.end,
            _ => headings.push(Heading { start: span.start, end: span.end, level }),
        }
        last_line = Some(line);
    }
    Page {
        number,
        label,
        width_pt: geometry.width as f32,
        height_pt: geometry.height as f32,
        rotation: geometry.rotation,
        text: composed.text,
        words: composed.words,
        recognised: draft.recognised,
        confidence: draft.confidence,
        headings,
    }
}

/// Whether the file is a form whose fields are described in XML alone (XFA), which only one
/// family of viewers can show.
fn is_xfa_only(file: &lopdf::Document) -> bool {
    let Ok(catalog) = file.catalog() else { return false };
    let Some(form) = objects::dictionary(file, catalog, b"AcroForm") else { return false };
    let needs_viewer = objects::entry(file, catalog, b"NeedsRendering").is_some_and(|o| o.as_bool().unwrap_or(false));
    let fields = objects::entry(file, form, b"Fields").and_then(|fields| fields.as_array().ok());
    objects::entry(file, form, b"XFA").is_some() && (needs_viewer || fields.is_none_or(Vec::is_empty))
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("the parser failed")
        .to_owned()
}
