//! What an embedded font program tells about text: which glyph a code draws, and which character
//! a glyph draws, by the program's own tables and glyph names. Only this file names skrifa.

use std::collections::HashMap;

use lopdf::{Dictionary, Document, Object};
use skrifa::raw::TableProvider;
use skrifa::raw::ps::agl;
use skrifa::raw::ps::cff::{CffFontRef, charset::Charset};
use skrifa::raw::ps::type1::Type1Font;
use skrifa::{FontRef, GlyphId, GlyphId16, MetadataProvider};

use super::objects::entry;

const MAX_PROGRAM_BYTES: usize = 32 << 20;
/// Symbol fonts keep their codes in the private use area, from here.
const SYMBOL_BASE: u32 = 0xf000;

/// The tables of a font program that bear on text.
#[derive(Default)]
pub(super) struct Program {
    /// The glyph of each code of one byte, by the program's own encoding.
    pub(super) codes: HashMap<u32, u32>,
    /// The text of each glyph.
    pub(super) texts: HashMap<u32, Box<str>>,
    /// The glyph of each name.
    pub(super) names: HashMap<Box<str>, u32>,
    /// The glyph of each character identifier, when they differ.
    pub(super) cids: Option<HashMap<u32, u32>>,
}

impl Program {
    /// The program that a font descriptor embeds, if any and if it can be read.
    pub(super) fn embedded(document: &Document, descriptor: &Dictionary) -> Option<Self> {
        let streams = [b"FontFile".as_slice(), b"FontFile2", b"FontFile3"];
        let stream = streams.into_iter().find_map(|key| match entry(document, descriptor, key)? {
            Object::Stream(stream) => Some(stream),
            _ => None,
        })?;
        let bytes = stream.get_plain_content_with_limit(MAX_PROGRAM_BYTES).ok()?;
        let program = match bytes.as_slice() {
            [0, 1, 0, 0, ..] | [b't', b'r', b'u', b'e', ..] | [b'O', b'T', b'T', b'O', ..] => Self::of_sfnt(&bytes),
            [1, ..] => Self::of_cff(&bytes),
            _ => Self::of_type1(&bytes),
        };
        program.filter(|program| !program.texts.is_empty() || program.cids.is_some() || !program.codes.is_empty())
    }

    /// What the program's own encoding says of a code.
    pub(super) fn code_text(&self, code: u32) -> Option<&str> {
        Some(self.texts.get(self.codes.get(&code)?)?)
    }

    /// What a glyph of that name draws.
    pub(super) fn name_text(&self, name: &str) -> Option<&str> {
        Some(self.texts.get(self.names.get(name)?)?)
    }

    fn of_sfnt(bytes: &[u8]) -> Option<Self> {
        let font = FontRef::new(bytes).ok()?;
        let mut program =
            font.table_data(skrifa::Tag::new(b"CFF ")).and_then(|cff| Self::of_cff(cff.as_bytes())).unwrap_or_default();
        if let Ok(post) = font.post() {
            for glyph in 0..post.num_names().min(usize::from(u16::MAX)) as u16 {
                if let Some(name) = post.glyph_name(GlyphId16::new(glyph)) {
                    program.name(u32::from(glyph), name);
                }
            }
        }
        let charmap = font.charmap();
        if charmap.has_map() && !charmap.is_symbol() {
            for (code, glyph) in charmap.mappings() {
                let text = char::from_u32(code).filter(|&c| !c.is_control() && !is_private(c));
                if let Some(text) = text {
                    // The first code wins: the plain letter stands before its look-alikes.
                    program.texts.entry(glyph.to_u32()).or_insert_with(|| text.to_string().into());
                }
            }
        }
        if let Ok(cmap) = font.cmap() {
            for (at, record) in (0..).zip(cmap.encoding_records()) {
                let first = if record.is_symbol() { SYMBOL_BASE } else { 0 };
                if !record.is_symbol() && !record.is_mac_roman() {
                    continue;
                }
                let Ok(subtable) = cmap.subtable(at) else { continue };
                for code in 0..=0xff {
                    let glyph = subtable.map_codepoint(first + code).filter(|&glyph| glyph != GlyphId::NOTDEF);
                    if let Some(glyph) = glyph {
                        program.codes.entry(code).or_insert(glyph.to_u32());
                    }
                }
            }
        }
        Some(program)
    }

    fn of_cff(bytes: &[u8]) -> Option<Self> {
        let font = CffFontRef::new_cff(bytes, 0, None).ok()?;
        let mut program = Self::default();
        let charset = font.charset()?;
        if font.is_cid() {
            program.cids = Some(entries(&charset).map(|(glyph, cid)| (u32::from(cid), glyph)).collect());
            return Some(program);
        }
        for (glyph, string) in entries(&charset) {
            let name = font.string(skrifa::raw::ps::Sid::new(string));
            if let Some(Ok(name)) = name.map(std::str::from_utf8) {
                program.name(glyph, name);
            }
        }
        if let Some(encoding) = font.encoding() {
            for code in 0..=u8::MAX {
                let glyph = encoding.map(code).filter(|&glyph| glyph != GlyphId::NOTDEF);
                program.codes.extend(glyph.map(|glyph| (u32::from(code), glyph.to_u32())));
            }
        }
        Some(program)
    }

    fn of_type1(bytes: &[u8]) -> Option<Self> {
        let font = Type1Font::new(bytes).ok()?;
        let mut program = Self::default();
        for (glyph, name) in font.glyph_names() {
            program.name(glyph.to_u32(), name);
        }
        if let Some(encoding) = font.encoding() {
            for code in 0..=u8::MAX {
                let glyph = encoding.glyph_name(code).and_then(|name| program.names.get(name));
                program.codes.extend(glyph.map(|&glyph| (u32::from(code), glyph)));
            }
        }
        Some(program)
    }

    fn name(&mut self, glyph: u32, name: &str) {
        if let Some(text) = name_text(name) {
            self.texts.insert(glyph, text);
        }
        self.names.entry(name.into()).or_insert(glyph);
    }
}

/// Glyphs with their identifiers.
fn entries(charset: &Charset<'_>) -> impl Iterator<Item = (u32, u16)> {
    charset.iter().map(|(glyph, string)| (glyph.to_u32(), string.to_u16()))
}

/// The text that a glyph name stands for by the Adobe Glyph List: `a`, `f_i`, `A.swash`,
/// `uni00410042`, `u1F600`, `a71` of the dingbats.
pub(super) fn name_text(name: &str) -> Option<Box<str>> {
    let text: String = agl::name_to_chars(name).filter(|&c| c != '\0').collect();
    (!text.is_empty()).then(|| text.into())
}

fn is_private(character: char) -> bool {
    matches!(character, '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..)
}
