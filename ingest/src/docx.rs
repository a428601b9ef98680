//! Word documents: paragraphs, headings, tables and notes from Office Open XML; pages where Word last broke them.
//! Insertions that are tracked count as text, deletions do not, as a reader sees the final text.

use std::collections::HashMap;

use crate::archive::Archive;
use crate::flow::Flow;
use crate::properties::Properties;
use crate::xml::{Element, Piece, walk};
use crate::{Document, Limits, MediaType, Problem, ReadError};

const BODY: &str = "word/document.xml";

pub(crate) fn read(bytes: &[u8], limits: &Limits) -> Result<Document, ReadError> {
    let mut archive = Archive::open(bytes, MediaType::Docx, limits)?;
    let body = archive.text(BODY)?.ok_or(ReadError::NotWhatItSays { named: MediaType::Docx.name() })?;
    let styles = archive.text("word/styles.xml")?.map(|xml| styles(&xml)).unwrap_or_default();
    let mut text = Body { styles, ..Body::default() };
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
    let document = Document { title: text.title, problems, ..Document::of(MediaType::Docx, text.flow.finish(limits)?) };
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
fn styles(xml: &str) -> HashMap<String, Style> {
    let mut styles = HashMap::new();
    let mut id = None;
    let _as_far_as_it_goes = walk("word/styles.xml", xml, |piece| {
        match piece {
            Piece::Start("style", element) => id = element.attribute("styleId"),
            Piece::Start("name", element) => {
                if let (Some(id), Some(name)) = (id.take(), element.attribute("val")) {
                    styles.insert(id, Style::of_name(&name));
                }
            }
            _ => {}
        }
        Ok(())
    });
    styles
}

#[derive(Default)]
struct Body {
    flow: Flow,
    styles: HashMap<String, Style>,
    style: Option<Style>,
    /// Of the paragraph itself, from 1; it comes before the style's.
    outline_level: Option<u8>,
    title: Option<String>,
    in_text: bool,
    /// Text that the author has hidden.
    is_hidden: bool,
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
                Piece::Text(text) if self.in_text && self.skipped == 0 && !self.is_hidden => self.flow.push(text),
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
            "r" => self.is_hidden = false,
            "vanish" => self.is_hidden = !matches!(element.attribute("val").as_deref(), Some("0" | "false" | "off")),
            "p" => (self.style, self.outline_level) = (None, None),
            "pStyle" => {
                let id = element.attribute("val").unwrap_or_default();
                // A style that the file does not describe is known by its identifier.
                self.style = Some(self.styles.get(&id).copied().unwrap_or_else(|| Style::of_name(&id)));
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
            "p" => self.end_paragraph(),
            "tr" => self.flow.end_row(),
            "tbl" => self.flow.end_table(),
            _ => {}
        }
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
