//! What an office document states about itself: `docProps/core.xml` of the newer formats, `meta.xml` of `OpenDocument`.

use crate::archive::Archive;
use crate::clean::push_clean;
use crate::xml::{Piece, walk};
use crate::{Document, ReadError};

#[derive(Default)]
pub(crate) struct Properties {
    pub(crate) title: Option<String>,
    pub(crate) author: Option<String>,
    /// A date of ISO 8601.
    pub(crate) written: Option<String>,
}

impl Properties {
    /// What the package says; a damaged part says nothing.
    pub(crate) fn of(archive: &mut Archive<'_>) -> Result<Self, ReadError> {
        for part in ["docProps/core.xml", "meta.xml"] {
            if let Some(xml) = archive.text(part)? {
                let mut stated = Self::default();
                let _as_far_as_it_goes = stated.read(part, &xml);
                return Ok(stated);
            }
        }
        Ok(Self::default())
    }

    /// The document with what its file states; a title that it only shows comes second.
    pub(crate) fn apply(self, document: Document) -> Document {
        Document { title: self.title.or(document.title), author: self.author, written: self.written, ..document }
    }

    fn read(&mut self, part: &str, xml: &str) -> Result<(), ReadError> {
        let mut text = String::new();
        walk(part, xml, |piece| {
            match piece {
                Piece::Start(..) => text.clear(),
                Piece::Text(more) => push_clean(&mut text, more),
                Piece::End(name) => {
                    self.note(name, text.trim());
                    text.clear();
                }
            }
            Ok(())
        })
    }

    fn note(&mut self, name: &str, value: &str) {
        let has_word = value.chars().filter(|c| c.is_alphabetic()).count() >= 2;
        match name {
            "title" if value.chars().count() >= 4 && has_word => self.title = Some(value.to_owned()),
            "creator" | "initial-creator" if has_word && self.author.is_none() => self.author = Some(value.to_owned()),
            "created" | "creation-date" => self.written = date(value),
            _ => {}
        }
    }
}

/// The day of a time such as `2019-04-30T08:15:00Z`.
pub(crate) fn date(time: &str) -> Option<String> {
    let day = time.get(..10)?;
    let is_date = day.bytes().enumerate().all(|(at, byte)| match at {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    is_date.then(|| day.to_owned())
}
