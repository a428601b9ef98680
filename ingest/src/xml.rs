//! XML as it comes, element by element: nothing is nested and no entity is expanded, so that neither depth nor an
//! entity bomb costs anything. Only this file names quick-xml.

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use crate::ReadError;

/// An element's start, with what it says of itself.
pub(crate) struct Element<'a>(&'a BytesStart<'a>);

/// What comes next.
pub(crate) enum Piece<'a> {
    /// The name, without its prefix. An empty element starts and ends.
    Start(&'a str, Element<'a>),
    End(&'a str),
    Text(&'a str),
}

/// Calls `visit` with each piece, in order.
pub(crate) fn walk(
    part: &str,
    xml: &str,
    mut visit: impl FnMut(Piece<'_>) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let damaged = |error: quick_xml::Error| ReadError::Damaged(format!("{part}: {error}"));
    let mut reader = Reader::from_str(xml);
    reader.config_mut().check_end_names = false;
    loop {
        match reader.read_event().map_err(damaged)? {
            Event::Start(element) => visit(Piece::Start(element.local_name().into_inner(), Element(&element)))?,
            Event::Empty(element) => {
                let name = element.local_name().into_inner();
                visit(Piece::Start(name, Element(&element)))?;
                visit(Piece::End(name))?;
            }
            Event::End(element) => visit(Piece::End(element.local_name().into_inner()))?,
            Event::Text(text) => visit(Piece::Text(&text.xml10_content()))?,
            Event::CData(text) => visit(Piece::Text(&text.xml10_content()))?,
            Event::GeneralRef(entity) => {
                let resolved = entity.resolve_char_ref().ok().flatten();
                if let Some(character) = resolved.or_else(|| predefined(&entity.xml10_content())) {
                    visit(Piece::Text(character.encode_utf8(&mut [0; 4])))?;
                }
            }
            Event::Eof => return Ok(()),
            _ => {}
        }
    }
}

impl Element<'_> {
    /// The first attribute of that name, prefixes aside.
    pub(crate) fn attribute(&self, local_name: &str) -> Option<String> {
        self.attributes(local_name).into_iter().next()
    }

    /// All attributes of that name: they differ in their prefix.
    pub(crate) fn attributes(&self, local_name: &str) -> Vec<String> {
        let mut attributes = self.0.attributes();
        let named = attributes.with_checks(false).flatten();
        named
            .filter(|attribute| attribute.key.local_name().into_inner() == local_name)
            .filter_map(|attribute| Some(attribute.normalized_value(XmlVersion::Implicit1_0).ok()?.into_owned()))
            .collect()
    }
}

/// The five that XML itself has; a file's own are left out.
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
