//! Composite fonts (ISO 32000-1, 9.7): codes of one to four bytes, by way of character identifiers
//! to text. Where `ToUnicode` is silent, the identifiers' own collection or the embedded font
//! program answers. Only this file names hayro-cmap, which has the predefined tables.

use std::collections::HashMap;

use hayro_cmap::{BfString, CMapName, CidFamily, WritingMode, load_embedded};
use lopdf::{Dictionary, Document, Object};

use super::cmap::CMap;
use super::objects::{as_dictionary, dictionary, entry, follow, number};
use super::program::Program;

const MAX_CMAP_BYTES: usize = 16 << 20;
const MAX_MAP_BYTES: usize = 1 << 20;
const MAX_WIDTH_RANGE: u32 = 0xffff;

/// A composite font's way from codes to text and widths.
pub(super) struct Composite {
    /// Text by code, as the file states it.
    stated: CMap,
    encoding: Encoding,
    /// Text by character identifier, of a known collection.
    collection: Option<hayro_cmap::CMap>,
    program: Option<Program>,
    /// Glyphs by character identifier, two bytes each.
    glyphs: Option<Vec<u8>>,
    widths: HashMap<u32, f64>,
    default_width: f64,
    pub(super) vertical: bool,
    pub(super) codes_are_text: bool,
}

enum Encoding {
    /// The code is the identifier; so many bytes a code.
    Identity(usize),
    Table(Box<hayro_cmap::CMap>),
    /// Codes are UTF-16 units themselves (`UniJIS-UTF16-H` and its kin).
    Utf16,
}

impl Composite {
    pub(super) fn load(document: &Document, font: &Dictionary, stated: CMap) -> Self {
        let descendant = entry(document, font, b"DescendantFonts")
            .and_then(|object| object.as_array().ok()?.first())
            .and_then(|object| as_dictionary(follow(document, object)));
        let (encoding, vertical) = encoding(document, font, stated.code_bytes);
        let mut widths = HashMap::new();
        let mut default_width = 1000.0;
        let (mut collection, mut program, mut glyphs) = (None, None, None);
        if let Some(descendant) = descendant {
            if let Some(width) = entry(document, descendant, b"DW") {
                default_width = number(width);
            }
            if let Some(Ok(list)) = entry(document, descendant, b"W").map(Object::as_array) {
                state_widths(document, list, &mut widths);
            }
            collection = collection_table(document, descendant);
            // Most files state all their text: their font programs need not be read.
            if collection.is_none() && !stated.is_broad() {
                program = dictionary(document, descendant, b"FontDescriptor")
                    .and_then(|descriptor| Program::embedded(document, descriptor));
                glyphs = match entry(document, descendant, b"CIDToGIDMap") {
                    Some(Object::Stream(map)) => map.get_plain_content_with_limit(MAX_MAP_BYTES).ok(),
                    _ => None,
                };
            }
        }
        Self { stated, encoding, collection, program, glyphs, widths, default_width, vertical, codes_are_text: false }
    }

    /// The first code of a string that is not empty, and its length in bytes.
    pub(super) fn next_code(&self, bytes: &[u8]) -> (u32, usize) {
        let fixed = |length: usize| {
            let code = bytes.iter().take(length).fold(0, |code, &byte| code << 8 | u32::from(byte));
            (code, length.min(bytes.len()))
        };
        match &self.encoding {
            Encoding::Identity(length) => fixed(*length),
            Encoding::Utf16 => fixed(2),
            Encoding::Table(table) => {
                let known = |length: &usize| table.lookup_cid_code(fixed(*length).0, *length as u8).is_some();
                (1..=bytes.len().min(4)).find(known).map_or_else(|| fixed(2), fixed)
            }
        }
    }

    pub(super) fn width(&self, code: u32, length: usize) -> f64 {
        self.widths.get(&self.identifier(code, length)).copied().unwrap_or(self.default_width)
    }

    /// Hands the text of a code to `push`; false when nothing tells it.
    pub(super) fn push_text(&self, code: u32, length: usize, push: impl FnOnce(&str)) -> bool {
        if let Some(text) = self.stated.text.get(&code) {
            push(text);
            return true;
        }
        let identifier = self.identifier(code, length);
        let mut utf8 = [0; 4];
        match self.collection.as_ref().and_then(|table| table.lookup_bf_string(identifier)) {
            Some(BfString::Char(character)) => push(character.encode_utf8(&mut utf8)),
            Some(BfString::String(text)) => push(&text),
            None => {
                let character = match self.encoding {
                    Encoding::Utf16 => char::from_u32(code),
                    _ if self.codes_are_text => char::from_u32(code),
                    _ => None,
                };
                match (character, self.glyph_text(identifier)) {
                    (Some(character), _) => push(character.encode_utf8(&mut utf8)),
                    (None, Some(text)) => push(text),
                    (None, None) => return false,
                }
            }
        }
        true
    }

    fn identifier(&self, code: u32, length: usize) -> u32 {
        match &self.encoding {
            Encoding::Table(table) => table.lookup_cid_code(code, length as u8).unwrap_or(0),
            Encoding::Identity(_) | Encoding::Utf16 => code,
        }
    }

    fn glyph_text(&self, identifier: u32) -> Option<&str> {
        let program = self.program.as_ref()?;
        let glyph = match (&program.cids, &self.glyphs) {
            (Some(cids), _) => *cids.get(&identifier)?,
            (None, Some(map)) => {
                let at = identifier as usize * 2;
                u32::from(u16::from_be_bytes(map.get(at..at + 2)?.try_into().ok()?))
            }
            (None, None) => identifier,
        };
        program.texts.get(&glyph).map(|text| &**text)
    }
}

/// The font's encoding, and whether it writes from top to bottom.
fn encoding(document: &Document, font: &Dictionary, stated_bytes: usize) -> (Encoding, bool) {
    let parse = |bytes: &[u8]| hayro_cmap::CMap::parse(bytes, load_embedded);
    let identity = |length| (Encoding::Identity(length), false);
    let (table, vertical) = match entry(document, font, b"Encoding") {
        Some(Object::Name(name)) if name.starts_with(b"Identity") => {
            return (Encoding::Identity(2), name.ends_with(b"-V"));
        }
        Some(Object::Name(name)) => {
            let table = load_embedded(CMapName::from_bytes(name)).and_then(parse);
            let has = |part: &[u8]| name.windows(part.len()).any(|window| window == part);
            let vertical = name.ends_with(b"-V") || name == b"V";
            if table.is_none() && (has(b"UCS2") || has(b"UTF16")) {
                return (Encoding::Utf16, vertical);
            }
            (table, vertical)
        }
        Some(Object::Stream(stream)) => {
            let table = stream.get_plain_content_with_limit(MAX_CMAP_BYTES).ok().and_then(|bytes| parse(&bytes));
            let vertical = table.as_ref().is_some_and(|t| t.metadata().writing_mode == Some(WritingMode::Vertical));
            (table, vertical)
        }
        _ => return identity(if stated_bytes == 1 { 1 } else { 2 }),
    };
    match table {
        Some(table) => (Encoding::Table(Box::new(table)), vertical),
        None => identity(if stated_bytes == 1 { 1 } else { 2 }),
    }
}

/// The text of each identifier of the collection that a font's glyphs are numbered by.
fn collection_table(document: &Document, descendant: &Dictionary) -> Option<hayro_cmap::CMap> {
    let info = dictionary(document, descendant, b"CIDSystemInfo")?;
    let part = |key: &[u8]| entry(document, info, key).and_then(|object| object.as_str().ok());
    let family = CidFamily::from_registry_ordering(part(b"Registry")?, part(b"Ordering")?);
    hayro_cmap::CMap::parse(load_embedded(family.ucs2_cmap()?)?, load_embedded)
}

/// The `W` array (ISO 32000-1, 9.7.4.3): `c [w1 w2 …]` or `first last w`.
fn state_widths(document: &Document, list: &[Object], widths: &mut HashMap<u32, f64>) {
    let mut items = list.iter().map(|item| follow(document, item));
    while let (Some(first), Some(next)) = (items.next(), items.next()) {
        let first = number(first) as u32;
        if let Object::Array(run) = next {
            for (code, width) in (first..).zip(run).take(MAX_WIDTH_RANGE as usize) {
                widths.insert(code, number(follow(document, width)));
            }
        } else {
            let Some(width) = items.next() else { return };
            let end = (number(next) as u32).min(MAX_WIDTH_RANGE);
            for code in first..=end {
                widths.insert(code, number(width));
            }
        }
    }
}
