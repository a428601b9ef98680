//! Word documents: paragraphs, headings, tables and notes from Office Open XML; pages where Word last broke them.
//! Insertions that are tracked count as text, deletions do not, as a reader sees the final text.

use std::collections::{HashMap, HashSet};

use crate::archive::Archive;
use crate::flow::Flow;
use crate::properties::Properties;
use crate::xml::{Element, Piece, walk};
use crate::{Document, Limits, MediaType, Problem, ReadError};

const BODY: &str = "word/document.xml";
/// How a document hides text.
const HIDDEN: &str = "marked as hidden";
/// Smaller type nobody can read.
const SMALLEST_POINTS: f32 = 2.0;

pub(crate) fn read(bytes: &[u8], limits: &Limits) -> Result<Document, ReadError> {
    let mut archive = Archive::open(bytes, MediaType::Docx, limits)?;
    let body = archive.text(BODY)?.ok_or(ReadError::NotWhatItSays { named: MediaType::Docx.name() })?;
    let styles = archive.text("word/styles.xml")?.map(|xml| Styles::of(&xml)).unwrap_or_default();
    let has_background = body.contains("<w:background ");
    let mut text = Body { styles, has_background, ..Body::default() };
    text.read(BODY, &body, limits)?;
    let mut problems = Vec::new();
    for notes in ["word/footnotes.xml", "word/endnotes.xml"] {
        if let Some(xml) = archive.text(notes)?
            && let Err(error) = text.read(notes, &xml, limits)
        {
            let message = format!("notes of the document cannot be read: {error}");
            problems.push(Problem::on_file(message));
        }
    }
    if text.has_deletions {
        let message = "the document has tracked changes: deleted text was left out, inserted text is in".to_owned();
        problems.push(Problem::on_file(message));
    }
    let document = Document { title: text.title, problems, ..text.flow.document(MediaType::Docx, limits)? };
    Ok(Properties::of(&mut archive)?.apply(document))
}

/// What a paragraph's style says of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Title,
    Heading(u8),
    ListItem,
    Other,
}

impl Style {
    /// Names are English in every version of Word, identifiers are not.
    fn of_name(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        let level = name.strip_prefix("heading").map(|rest| rest.trim().parse::<u8>());
        match level {
            Some(Ok(level @ 1..=9)) => Self::Heading(level),
            _ if name == "title" => Self::Title,
            _ if name.starts_with("list") => Self::ListItem,
            _ => Self::Other,
        }
    }
}

/// Styles by identifier.
#[derive(Default)]
struct Styles {
    kinds: HashMap<String, Style>,
    /// Those that hide their text.
    hiding: HashSet<String>,
}

impl Styles {
    fn of(xml: &str) -> Self {
        let mut styles = Self::default();
        let mut id = String::new();
        let _as_far_as_it_goes = walk("word/styles.xml", xml, |piece| {
            match piece {
                Piece::Start("style", element) => id = element.attribute("styleId").unwrap_or_default(),
                Piece::Start("name", element) => {
                    if let Some(name) = element.attribute("val") {
                        styles.kinds.insert(id.clone(), Style::of_name(&name));
                    }
                }
                Piece::Start("vanish", element) if is_on(&element) => drop(styles.hiding.insert(id.clone())),
                _ => {}
            }
            Ok(())
        });
        styles
    }

    fn hides(&self, element: &Element<'_>) -> bool {
        element.attribute("val").is_some_and(|id| self.hiding.contains(&id))
    }
}

/// Whether a property that is on where it stands is not switched off.
fn is_on(element: &Element<'_>) -> bool {
    !matches!(element.attribute("val").as_deref(), Some("0" | "false" | "off"))
}

#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a state of the reader that comes and goes by itself")]
struct Body {
    flow: Flow,
    styles: Styles,
    style: Option<Style>,
    /// Of the paragraph itself, from 1; it comes before the style's.
    outline_level: Option<u8>,
    title: Option<String>,
    in_text: bool,
    /// How the text of the run is kept from its readers, if it is.
    hidden: Option<&'static str>,
    /// How the whole paragraph is.
    hidden_paragraph: Option<&'static str>,
    /// The page is coloured, so that white text may be seen.
    has_background: bool,
    /// The run or its paragraph has a colour behind it.
    is_shaded: bool,
    is_white: bool,
    /// Inside of shapes, which may have any colour.
    drawings: usize,
    has_deletions: bool,
    /// Depth inside of what is not to be read: alternative content that repeats another branch, text that was moved
    /// away, rulers between notes.
    skipped: usize,
}

impl Body {
    fn read(&mut self, part: &str, xml: &str, limits: &Limits) -> Result<(), ReadError> {
        self.in_text = false;
        self.skipped = 0;
        walk(part, xml, |piece| {
            match piece {
                Piece::Start(name, element) => self.start(name, &element),
                Piece::End(name) => self.end(name),
                Piece::Text(text) if self.in_text && self.skipped == 0 => match self.unseen() {
                    Some(how) => self.flow.push_unseen(how, text),
                    None => self.flow.push(text),
                },
                Piece::Text(_) => {}
            }
            self.flow.check(limits)
        })
    }

    fn start(&mut self, name: &str, element: &Element<'_>) {
        let is_ruler = || matches!(element.attribute("type").as_deref(), Some("separator" | "continuationSeparator"));
        self.has_deletions |= name == "delText";
        match name {
            _ if self.skipped > 0 => self.skipped += 1,
            "Fallback" | "moveFrom" => self.skipped = 1,
            "footnote" | "endnote" if is_ruler() => self.skipped = 1,
            "footnote" | "endnote" | "footnoteReference" | "endnoteReference" => self.note_mark(element),
            "t" => self.in_text = true,
            "r" => (self.hidden, self.is_white) = (None, false),
            "vanish" => self.hidden = is_on(element).then_some(HIDDEN),
            "rStyle" if self.styles.hides(element) => self.hidden = Some(HIDDEN),
            "sz" => {
                let half_points = element.attribute("val").and_then(|size| size.parse::<f32>().ok());
                if half_points.is_some_and(|size| size < 2.0 * SMALLEST_POINTS) {
                    self.hidden = Some("too small to read");
                }
            }
            "color" => {
                let is_light =
                    |hex: &str| hex.len() == 6 && hex.to_ascii_uppercase().bytes().step_by(2).all(|c| c == b'F');
                self.is_white = element.attribute("val").is_some_and(|color| is_light(&color));
            }
            "shd" => {
                self.is_shaded |= element
                    .attribute("fill")
                    .is_none_or(|fill| !matches!(fill.to_ascii_uppercase().as_str(), "AUTO" | "FFFFFF"));
            }
            "txbxContent" => self.drawings += 1,
            "p" => {
                (self.style, self.outline_level, self.hidden_paragraph) = (None, None, None);
                (self.is_shaded, self.hidden, self.is_white) = (false, None, false);
            }
            "pStyle" => {
                let id = element.attribute("val").unwrap_or_default();
                // A style that the file does not describe is known by its identifier.
                self.style = Some(self.styles.kinds.get(&id).copied().unwrap_or_else(|| Style::of_name(&id)));
                self.hidden_paragraph = self.styles.hides(element).then_some(HIDDEN);
            }
            "outlineLvl" if self.flow.current_line().is_empty() => {
                let level = element.attribute("val").and_then(|level| level.parse::<u8>().ok());
                self.outline_level = level.filter(|&level| level < 9).map(|level| level + 1);
            }
            "tab" if !self.flow.current_line().is_empty() => self.flow.tab(),
            "noBreakHyphen" => self.flow.push("-"),
            "br" if element.attribute("type").as_deref() == Some("page") => self.flow.end_page(),
            "br" | "cr" => self.flow.end_line(),
            "lastRenderedPageBreak" => self.flow.end_page(),
            "tbl" => self.flow.start_table(),
            "tr" => self.flow.start_row(),
            "tc" => self.flow.start_cell(),
            _ => {}
        }
    }

    fn end(&mut self, name: &str) {
        if self.skipped > 0 {
            self.skipped -= 1;
            return;
        }
        match name {
            "t" => self.in_text = false,
            "txbxContent" => self.drawings = self.drawings.saturating_sub(1),
            "p" => self.end_paragraph(),
            "tr" => self.flow.end_row(),
            "tbl" => self.flow.end_table(),
            _ => {}
        }
    }

    /// How the text that comes is kept from readers, if it is. White text in tables and shapes may stand on a colour.
    fn unseen(&self) -> Option<&'static str> {
        let may_be_coloured = self.has_background || self.is_shaded || self.drawings > 0 || self.flow.in_table();
        self.hidden.or(self.hidden_paragraph).or((self.is_white && !may_be_coloured).then_some("white on white"))
    }

    /// `[^2]` where a note is called, and before the note itself.
    fn note_mark(&mut self, element: &Element<'_>) {
        if let Some(id) = element.attribute("id") {
            let gap = if self.flow.current_line().is_empty() { " " } else { "" };
            self.flow.push(&format!("[^{id}]{gap}"));
        }
    }

    fn end_paragraph(&mut self) {
        let style = self.style.unwrap_or(Style::Other);
        let level = match (self.outline_level, style) {
            (Some(level), _) | (None, Style::Heading(level)) => Some(level),
            (None, Style::Title) => Some(1),
            _ => None,
        };
        let line = self.flow.current_line();
        if self.title.is_none() && !line.is_empty() && level == Some(1) {
            self.title = Some(line.to_owned());
        }
        match level {
            Some(level) if !line.is_empty() => self.flow.end_heading(level),
            _ if style == Style::ListItem => self.flow.end_line(),
            _ => self.flow.end_paragraph(),
        }
    }
}
