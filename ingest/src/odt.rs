//! Text documents of `OpenDocument`: paragraphs, headings, lists, tables, notes where they are called.

use std::collections::HashSet;

use crate::archive::Archive;
use crate::flow::Flow;
use crate::properties::Properties;
use crate::xml::{Piece, walk};
use crate::{Document, Limits, MediaType, ReadError};

pub(crate) fn read(bytes: &[u8], limits: &Limits) -> Result<Document, ReadError> {
    let mut archive = Archive::open(bytes, MediaType::Odt, limits)?;
    let locked = archive.text("META-INF/manifest.xml")?.is_some_and(|manifest| manifest.contains("encryption-data"));
    if locked {
        return Err(ReadError::Locked);
    }
    let body = archive.text("content.xml")?.ok_or(ReadError::NotWhatItSays { named: MediaType::Odt.name() })?;
    let mut text = Body { hiding: hiding_styles(&body), ..Body::default() };
    walk("content.xml", &body, |piece| {
        text.take(piece);
        text.flow.check(limits)
    })?;
    let document = Document { title: text.title, ..text.flow.document(MediaType::Odt, limits)? };
    Ok(Properties::of(&mut archive)?.apply(document))
}

#[derive(Default)]
struct Body {
    flow: Flow,
    title: Option<String>,
    /// Paragraphs and headings that are open; text outside of them is none.
    open: usize,
    level: u8,
    in_list: usize,
    in_note: bool,
    /// Depth inside of what is not shown: what was deleted, and comments.
    skipped: usize,
    /// Names of the styles that hide their text.
    hiding: HashSet<String>,
    /// Depth inside of an element whose text is hidden.
    hidden: usize,
}

/// How a document hides text.
const HIDDEN: &str = "marked as hidden";

fn hiding_styles(xml: &str) -> HashSet<String> {
    let mut hiding = HashSet::new();
    let mut name = None;
    let _as_far_as_it_goes = walk("content.xml", xml, |piece| {
        match piece {
            Piece::Start("style", element) => name = element.attribute("name"),
            Piece::Start("text-properties", element) if element.attribute("display").as_deref() == Some("none") => {
                hiding.extend(name.take());
            }
            _ => {}
        }
        Ok(())
    });
    hiding
}

impl Body {
    fn take(&mut self, piece: Piece<'_>) {
        self.hidden = match &piece {
            Piece::Start(..) if self.hidden > 0 => self.hidden + 1,
            Piece::Start("hidden-text", element) => {
                usize::from(element.attribute("is-hidden").as_deref() == Some("true"))
            }
            Piece::Start("span" | "p" | "h", element) => {
                usize::from(element.attribute("style-name").is_some_and(|name| self.hiding.contains(&name)))
            }
            Piece::End(_) => self.hidden.saturating_sub(1),
            _ => self.hidden,
        };
        match piece {
            Piece::Start(_, _) if self.skipped > 0 => self.skipped += 1,
            Piece::End(_) if self.skipped > 0 => self.skipped -= 1,
            Piece::Text(_) if self.skipped > 0 => {}
            Piece::Start("tracked-changes" | "annotation" | "forms" | "note-citation", _) => self.skipped = 1,
            Piece::Start("p", _) => self.open += usize::from(!self.in_note),
            Piece::Start("h", element) => {
                self.open += 1;
                let level = element.attribute("outline-level").and_then(|level| level.parse().ok());
                self.level = level.unwrap_or(1).clamp(1, 9);
            }
            // The paragraphs of a note belong to the line that calls it.
            Piece::End("p") if self.in_note => self.flow.push(" "),
            Piece::End("p") => {
                self.open = self.open.saturating_sub(1);
                if self.in_list > 0 { self.flow.end_line() } else { self.flow.end_paragraph() }
            }
            Piece::End("h") => {
                self.open = self.open.saturating_sub(1);
                if self.level == 1 && self.title.is_none() && !self.flow.current_line().is_empty() {
                    self.title = Some(self.flow.current_line().to_owned());
                }
                self.flow.end_heading(self.level);
            }
            Piece::Start("list", _) => self.in_list += 1,
            Piece::End("list") => {
                self.in_list = self.in_list.saturating_sub(1);
                self.flow.part();
            }
            Piece::Start("table", _) => self.flow.start_table(),
            Piece::Start("table-row", _) => self.flow.start_row(),
            Piece::End("table-row") => self.flow.end_row(),
            Piece::Start("table-cell" | "covered-table-cell", _) => self.flow.start_cell(),
            Piece::End("table") => self.flow.end_table(),
            Piece::Start("note", _) => {
                self.in_note = true;
                self.flow.push(" (");
            }
            Piece::End("note") => {
                self.in_note = false;
                self.flow.push(")");
            }
            Piece::Start("tab" | "s" | "line-break", _) if self.hidden > 0 => {}
            Piece::Start("tab", _) => self.flow.tab(),
            Piece::Start("s", _) => self.flow.push(" "),
            Piece::Start("line-break", _) => self.flow.end_line(),
            Piece::Start("soft-page-break", _) => self.flow.end_page(),
            Piece::Text(text) if self.hidden > 0 => self.flow.push_unseen(HIDDEN, text),
            Piece::Text(text) if self.open > 0 => self.flow.push(text),
            _ => {}
        }
    }
}
