//! Word documents: paragraphs, headings, tables and notes from Office Open XML; pages where Word
//! last broke them.

use std::io::{Cursor, Read};

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use zip::ZipArchive;
use zip::result::ZipError;

use crate::clean::{push_clean, tidy_lines};
use crate::text::{decode, plain_page};
use crate::{Document, Limits, MediaType, Page, Problem, ReadError};

pub(crate) fn read(bytes: &[u8], limits: &Limits) -> Result<Document, ReadError> {
    let mut archive = open(bytes)?;
    let body = part(&mut archive, "word/document.xml", limits)?
        .ok_or(ReadError::NotWhatItSays { named: MediaType::Docx.name() })?;
    let mut flow = Flow::default();
    flow.read(&body).map_err(ReadError::Damaged)?;
    let mut problems = Vec::new();
    for notes in ["word/footnotes.xml", "word/endnotes.xml"] {
        if let Some(xml) = part(&mut archive, notes, limits)?
            && let Err(error) = flow.read(&xml)
        {
            let message = format!("notes of the document cannot be read: {error}");
            problems.push(Problem { page: None, message });
        }
    }
    let stated = part(&mut archive, "docProps/core.xml", limits)?.and_then(|xml| stated_title(&xml));
    let (pages, shown) = flow.finish();
    Limits::check("pages", pages.len(), limits.max_pages)?;
    if pages.iter().all(|page| page.text.is_empty()) {
        return Err(ReadError::Empty);
    }
    Ok(Document { title: stated.or(shown), author: None, written: None, media_type: MediaType::Docx, pages, problems })
}

fn open(bytes: &[u8]) -> Result<ZipArchive<Cursor<&[u8]>>, ReadError> {
    // A Word file with a password is no zip but an OLE container.
    if bytes.starts_with(&[0xd0, 0xcf, 0x11, 0xe0]) {
        return Err(ReadError::Locked);
    }
    if !bytes.starts_with(b"PK") {
        return Err(ReadError::NotWhatItSays { named: MediaType::Docx.name() });
    }
    ZipArchive::new(Cursor::new(bytes)).map_err(|error| ReadError::Damaged(error.to_string()))
}

/// A part of the package as text. What it really unpacks to is limited, whatever it declares.
fn part(archive: &mut ZipArchive<Cursor<&[u8]>>, name: &str, limits: &Limits) -> Result<Option<String>, ReadError> {
    let damaged = |error: String| ReadError::Damaged(format!("{name}: {error}"));
    let part = match archive.by_name(name) {
        Ok(part) => part,
        Err(ZipError::FileNotFound) => return Ok(None),
        Err(error) => return Err(damaged(error.to_string())),
    };
    let mut bytes = Vec::new();
    part.take(limits.max_page_bytes as u64 + 1).read_to_end(&mut bytes).map_err(|error| damaged(error.to_string()))?;
    Limits::check("bytes unpacked", bytes.len(), limits.max_page_bytes)?;
    Ok(Some(decode(&bytes).0))
}

/// The text as it builds up, element by element.
#[derive(Default)]
struct Flow {
    pages: Vec<String>,
    /// Finished lines of the current page; an empty one parts paragraphs.
    lines: Vec<String>,
    line: String,
    /// Row cells of the tables that are open, outermost first.
    rows: Vec<Vec<String>>,
    style: String,
    shown_title: Option<String>,
    in_text: bool,
    /// Depth inside alternative content that repeats what another branch says.
    skipped: usize,
}

impl Flow {
    fn read(&mut self, xml: &str) -> Result<(), String> {
        let mut reader = Reader::from_str(xml);
        reader.config_mut().check_end_names = false;
        loop {
            match reader.read_event().map_err(|error| error.to_string())? {
                Event::Start(element) => self.start(&element),
                Event::Empty(element) => {
                    self.start(&element);
                    self.end(element.local_name().into_inner());
                }
                Event::End(element) => self.end(element.local_name().into_inner()),
                Event::Text(text) if self.in_text => {
                    push_clean(&mut self.line, &text.xml10_content());
                }
                Event::CData(text) if self.in_text => {
                    push_clean(&mut self.line, &text.xml10_content());
                }
                Event::GeneralRef(entity) if self.in_text => {
                    let resolved = entity.resolve_char_ref().ok().flatten();
                    let character = resolved.or_else(|| predefined(&entity.xml10_content()));
                    if let Some(character) = character {
                        push_clean(&mut self.line, character.encode_utf8(&mut [0; 4]));
                    }
                }
                Event::Eof => return Ok(()),
                _ => {}
            }
        }
    }

    fn start(&mut self, element: &BytesStart<'_>) {
        let name = element.local_name().into_inner();
        if self.skipped > 0 || name == "Fallback" {
            self.skipped += 1;
            return;
        }
        match name {
            "t" => self.in_text = true,
            "p" => self.style.clear(),
            "pStyle" => self.style = attribute(element, "val").unwrap_or_default(),
            "tab" if !self.line.is_empty() => self.line.push_str("  "),
            "noBreakHyphen" => self.line.push('-'),
            "br" if attribute(element, "type").as_deref() == Some("page") => self.end_page(),
            "br" | "cr" => self.end_line(),
            "lastRenderedPageBreak" => self.end_page(),
            "tr" => self.rows.push(Vec::new()),
            "tc" => {
                if let Some(row) = self.rows.last_mut() {
                    row.push(String::new());
                }
            }
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
            "tr" => {
                let cells = self.rows.pop().unwrap_or_default();
                if cells.iter().any(|cell| !cell.is_empty()) {
                    self.line = cells.join(" | ");
                    self.end_line();
                }
            }
            "tbl" if self.rows.is_empty() => self.lines.push(String::new()),
            _ => {}
        }
    }

    /// A line's end; inside a table, a blank within the cell.
    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = line.trim();
        match self.rows.last_mut().and_then(|row| row.last_mut()) {
            Some(cell) => {
                if !cell.is_empty() && !line.is_empty() {
                    cell.push(' ');
                }
                cell.push_str(line);
            }
            None => self.lines.push(line.to_owned()),
        }
    }

    fn end_paragraph(&mut self) {
        let style = self.style.to_ascii_lowercase();
        let title = self.line.trim();
        if self.shown_title.is_none()
            && !title.is_empty()
            && (style == "title" || style.starts_with("heading1") || style.starts_with("heading 1"))
        {
            self.shown_title = Some(title.to_owned());
        }
        let is_item = style.starts_with("list");
        self.end_line();
        if self.rows.is_empty() && !is_item {
            self.lines.push(String::new());
        }
    }

    /// Page breaks inside a table or before any text are left out: rows stay whole, and Word
    /// marks a forced break twice.
    fn end_page(&mut self) {
        let blank = self.line.trim().is_empty() && self.lines.iter().all(String::is_empty);
        if self.rows.is_empty() && !blank {
            self.end_line();
            self.pages.push(tidy_lines(self.lines.drain(..).as_slice().iter().map(String::as_str)));
        }
    }

    fn finish(mut self) -> (Vec<Page>, Option<String>) {
        self.end_line();
        self.pages.push(tidy_lines(self.lines.iter().map(String::as_str)));
        let pages = (1..).zip(self.pages).map(|(number, text)| plain_page(number, text));
        (pages.collect(), self.shown_title)
    }
}

fn attribute(element: &BytesStart<'_>, local_name: &str) -> Option<String> {
    let attribute = element
        .attributes()
        .with_checks(false)
        .flatten()
        .find(|attribute| attribute.key.local_name().into_inner() == local_name)?;
    Some(attribute.normalized_value(XmlVersion::Implicit1_0).ok()?.into_owned())
}

fn predefined(entity: &str) -> Option<char> {
    match entity {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => None,
    }
}

/// `dc:title` of the core properties.
fn stated_title(xml: &str) -> Option<String> {
    let mut reader = Reader::from_str(xml);
    let mut inside = false;
    let mut title = String::new();
    loop {
        match reader.read_event().ok()? {
            Event::Start(element) => inside = element.local_name().into_inner() == "title",
            Event::Text(text) if inside => push_clean(&mut title, &text.xml10_content()),
            Event::GeneralRef(entity) if inside => {
                title.extend(predefined(&entity.xml10_content()));
            }
            Event::End(_) if inside => break,
            Event::Eof => return None,
            _ => {}
        }
    }
    let title = title.trim();
    (title.chars().count() >= 4 && title.contains(char::is_alphabetic)).then(|| title.to_owned())
}
