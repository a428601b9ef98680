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
mod labels;
mod lexer;
mod lines;
mod objects;
mod page_text;
mod program;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use lopdf::{LoadOptions, Object, ObjectId};

use self::content::{FontCache, PageGlyphs, page_glyphs};
use self::geometry::PageGeometry;
use self::lines::{Line, page_lines};
use self::page_text::{Vocabulary, compose, shown_title};
use crate::{Document, Limits, MediaType, Page, Problem, ReadError};

/// The marker may stand after some junk, as readers have always allowed.
const HEADER_REACH: usize = 1024;

pub(crate) fn read(bytes: &[u8], limits: &Limits) -> Result<Document, ReadError> {
    let file = load(bytes, limits)?;
    let ids = page_ids(&file, limits)?;
    let mut problems = Vec::new();
    let mut fonts = FontCache::new();
    let drafts: Vec<Draft> =
        (1..).zip(&ids).map(|(number, &id)| draft_page(&file, number, id, &mut fonts, limits, &mut problems)).collect();
    if drafts.iter().all(|draft| draft.lines.is_empty()) {
        return Err(ReadError::NoText { pages: drafts.len() });
    }
    let vocabulary = Vocabulary::of(drafts.iter().map(|draft| draft.lines.as_slice()));
    let title = stated_title(&file).or_else(|| shown_title(&drafts[0].lines));
    let labels = labels::page_labels(&file, drafts.len());
    let pages = (1..)
        .zip(drafts)
        .zip(labels)
        .map(|((number, draft), label)| finish_page(number, label, &draft, &vocabulary))
        .collect();
    Ok(Document { title, author: None, written: None, media_type: MediaType::Pdf, pages, problems })
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
}

fn load(bytes: &[u8], limits: &Limits) -> Result<lopdf::Document, ReadError> {
    let head = &bytes[..bytes.len().min(HEADER_REACH)];
    let Some(start) = head.windows(5).position(|window| window == b"%PDF-") else {
        return Err(ReadError::NotWhatItSays { named: MediaType::Pdf.name() });
    };
    let options =
        || LoadOptions { max_decompressed_size: Some(limits.max_page_bytes), ..LoadOptions::with_password("") };
    let attempt = |bytes: &[u8]| {
        catch_unwind(AssertUnwindSafe(|| lopdf::Document::load_mem_with_options(bytes, options())))
            .unwrap_or_else(|panic| Err(lopdf::Error::Syntax(panic_message(&*panic))))
    };
    let mut loaded = attempt(bytes);
    if start > 0 && loaded.is_err() {
        loaded = attempt(&bytes[start..]);
    }
    match loaded {
        Ok(file) if file.is_encrypted() => Err(ReadError::Locked),
        Ok(file) => Ok(file),
        Err(
            lopdf::Error::InvalidPassword | lopdf::Error::Decryption(_) | lopdf::Error::UnsupportedSecurityHandler(_),
        ) => Err(ReadError::Locked),
        Err(error) => Err(ReadError::Damaged(error.to_string())),
    }
}

/// The pages in order; of a file whose page tree is broken, every page object there is.
fn page_ids(file: &lopdf::Document, limits: &Limits) -> Result<Vec<ObjectId>, ReadError> {
    let mut ids: Vec<ObjectId> = file.page_iter().take(limits.max_pages + 1).collect();
    if ids.is_empty() {
        let is_page = |object: &Object| object.as_dict().is_ok_and(|page| page.has_type(b"Page"));
        let loose = file.objects.iter().filter(|(_, object)| is_page(object));
        ids = loose.map(|(&id, _)| id).take(limits.max_pages + 1).collect();
    }
    if ids.is_empty() {
        return Err(ReadError::Damaged("it has no pages".into()));
    }
    Limits::check("pages", ids.len(), limits.max_pages)?;
    Ok(ids)
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
    let mut lines = Vec::new();
    // A last resort: nothing below is known to panic.
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let glyphs = page_glyphs(file, id, geometry, fonts, limits)?;
        Ok::<_, lopdf::Error>((page_lines(&glyphs), glyphs))
    }));
    match outcome {
        Ok(Ok((found, glyphs))) => {
            lines = found;
            let blank = lines.is_empty();
            let found = page_problems(&glyphs, number, blank);
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
    Draft { geometry, lines }
}

/// What a person should know about a page that was read in part.
fn page_problems(page: &PageGlyphs, number: u32, blank: bool) -> impl Iterator<Item = String> {
    // One lost bullet in a hundred characters is not worth a report.
    let (unreadable, shown) = (page.unreadable, page.glyphs.len());
    let lost = (unreadable >= 20 || unreadable * 50 > shown) && unreadable > 0;
    [
        lost.then(|| format!("{unreadable} characters on page {number} cannot be read as text")),
        page.cut_short.then(|| format!("page {number} is too complex: only the first part of it was read")),
        (blank && page.images > 0).then(|| format!("page {number} is a picture without text, probably a scan")),
    ]
    .into_iter()
    .flatten()
}

fn finish_page(number: u32, label: Option<String>, draft: &Draft, vocabulary: &Vocabulary) -> Page {
    let geometry = draft.geometry;
    let shown_width = geometry.shown_size()[0] as f32;
    let (text, mut words) = compose(&draft.lines, shown_width, vocabulary);
    for word in &mut words {
        word.bbox = geometry.to_stored(word.bbox);
    }
    Page {
        number,
        label,
        width_pt: geometry.width as f32,
        height_pt: geometry.height as f32,
        rotation: geometry.rotation,
        text,
        words,
        headings: Vec::new(),
    }
}

/// The title in the file's properties, unless a program filled it in.
fn stated_title(file: &lopdf::Document) -> Option<String> {
    let info = objects::dictionary(file, &file.trailer, b"Info")?;
    let title = objects::text_string(objects::entry(file, info, b"Title")?)?;
    let title = title.strip_prefix("Microsoft Word - ").unwrap_or(&title).trim();
    let letters = title.chars().filter(|c| c.is_alphabetic()).count();
    let lower = title.to_lowercase();
    let is_file_name =
        [".doc", ".docx", ".pdf", ".htm", ".html", ".rtf", ".txt", ".wpd", ".xls", ".indd", ".qxd", ".dvi", ".tex"]
            .iter()
            .any(|extension| lower.ends_with(extension))
            || !title.contains(' ') && title.contains(['_', '/', '\\']);
    let placeholder = ["untitled", "document", "title", "layout 1", "print", "slide 1"]
        .iter()
        .any(|name| lower.starts_with(name) && lower.len() <= name.len() + 3);
    (letters >= 4 && !is_file_name && !placeholder).then(|| title.to_owned())
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("the parser failed")
        .to_owned()
}
