//! What the codes of a simple font mean: base encodings, differences and glyph names
//! (ISO 32000-1, annex D).

use lopdf::{Dictionary, Document, Encoding, Object, dictionary};

use super::objects::{dictionary as dictionary_of, entry, follow, name};
use super::program::{Program, name_text};

/// The text of each code; none where the encoding says nothing.
pub(super) type CodeTable = Vec<Option<Box<str>>>;

/// The Symbol font's own encoding, from code 0x20 and from code 0xa0.
const SYMBOL_LOW: &str =
    " !∀#∃%&∋()∗+,−./0123456789:;<=>?≅ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ[∴]⊥_‾αβχδεφγηιϕκλμνοπθρστυϖωξψζ{|}∼";
const SYMBOL_HIGH: &str =
    "€ϒ′≤⁄∞ƒ♣♦♥♠↔←↑→↓°±″≥×∝∂•÷≠≡≈…⏐⎯↵ℵℑℜ℘⊗⊕∅∩∪⊃⊇⊄⊂⊆∈∉∠∇®©™∏√⋅¬∧∨⇔⇐⇑⇒⇓◊〈®©™∑⎛⎜⎝⎡⎢⎣⎧⎨⎩⎪ 〉∫⌠⎮⌡⎞⎟⎠⎤⎥⎦⎫⎬⎭";

/// The codes of a simple font, from its `Encoding` entry, its own built-in encoding or its name.
pub(super) fn simple_table(document: &Document, font: &Dictionary, base_font: &[u8]) -> CodeTable {
    let encoding = entry(document, font, b"Encoding");
    let dictionary = encoding.and_then(|object| object.as_dict().ok());
    let base_name = match encoding {
        Some(Object::Name(name)) => Some(name.as_slice()),
        _ => dictionary.and_then(|dictionary| name(document, dictionary, b"BaseEncoding")),
    };
    let program = || {
        dictionary_of(document, font, b"FontDescriptor").and_then(|descriptor| Program::embedded(document, descriptor))
    };
    let mut embedded = None;
    let mut table = match base_name {
        Some(base) => named_table(document, base),
        None if base_font.ends_with(b"Symbol") => symbol_table(),
        None if base_font.ends_with(b"ZapfDingbats") => dingbats_table(),
        None => {
            embedded = program();
            let built_in = embedded.as_ref().and_then(built_in_table);
            built_in.unwrap_or_else(|| named_table(document, b"StandardEncoding"))
        }
    };
    if let Some(differences) = dictionary
        .and_then(|dictionary| entry(document, dictionary, b"Differences"))
        .and_then(|object| object.as_array().ok())
    {
        apply_differences(document, differences, &mut table, || embedded.take().or_else(program));
    }
    table
}

/// Sets the codes that a font names apart. A name of no meaning (`g23`) may still be that of a
/// glyph whose text the font program knows.
fn apply_differences(
    document: &Document,
    differences: &[Object],
    table: &mut CodeTable,
    program: impl FnOnce() -> Option<Program>,
) {
    let mut code = 0_usize;
    let mut named = Vec::new();
    for object in differences {
        match follow(document, object) {
            Object::Integer(first) => code = usize::try_from(*first).unwrap_or(usize::MAX),
            Object::Name(glyph) => {
                if code < table.len() {
                    named.push((code, std::str::from_utf8(glyph).unwrap_or_default()));
                }
                code = code.saturating_add(1);
            }
            _ => {}
        }
    }
    // Fonts of pixels from TeX call each glyph by its code, `a65` for an A, which are names of dingbats elsewhere.
    let number = |glyph: &str| glyph.strip_prefix('a').and_then(|number| number.parse::<usize>().ok());
    let are_codes = named.iter().all(|(code, glyph)| number(glyph).is_none_or(|number| number == *code));
    let mut meaningless = Vec::new();
    for (code, glyph) in named {
        table[code] = match number(glyph) {
            Some(_) if are_codes => {
                char::from_u32(code as u32).filter(char::is_ascii_graphic).map(|c| c.to_string().into())
            }
            _ => name_text(glyph),
        };
        if table[code].is_none() && glyph != ".notdef" {
            meaningless.push((code, glyph));
        }
    }
    if let Some(program) = (!meaningless.is_empty()).then(program).flatten() {
        for (code, glyph) in meaningless {
            table[code] = program.name_text(glyph).map(Into::into);
        }
    }
}

/// The table of a font program's own encoding. A code whose glyph it does not name keeps its
/// standard meaning, as subset fonts without names usually intend.
fn built_in_table(program: &Program) -> Option<CodeTable> {
    let mut table: CodeTable = vec![None; 256];
    let mut found = false;
    for (code, slot) in (0..).zip(&mut table) {
        *slot = program.code_text(code).map(Into::into);
        found |= slot.is_some();
    }
    found.then_some(table)
}

fn named_table(document: &Document, encoding: &[u8]) -> CodeTable {
    let font = dictionary! { "Type" => "Font", "Encoding" => Object::Name(encoding.to_vec()) };
    let mut table: CodeTable = vec![None; 256];
    if let Ok(encoding @ Encoding::OneByteEncoding(_)) = font.get_font_encoding(document) {
        for code in 0..=u8::MAX {
            let text = encoding.bytes_to_string(&[code]).unwrap_or_default();
            if !text.is_empty() && text != "\0" {
                table[usize::from(code)] = Some(text.into());
            }
        }
    }
    if encoding == b"WinAnsiEncoding" {
        // Annex D.2, notes 3, 5 and 6: unused codes are bullets, 160 a space, 173 a hyphen.
        for slot in &mut table[0o41..] {
            slot.get_or_insert_with(|| "•".into());
        }
        table[0xa0] = Some(" ".into());
        table[0xad] = Some("-".into());
    }
    table
}

fn symbol_table() -> CodeTable {
    let mut table: CodeTable = vec![None; 256];
    for (first, characters) in [(0x20, SYMBOL_LOW), (0xa0, SYMBOL_HIGH)] {
        for (slot, character) in table[first..].iter_mut().zip(characters.chars()) {
            *slot = Some(character.to_string().into());
        }
    }
    table
}

/// The Dingbats block of Unicode follows this font, but for the characters that stood elsewhere.
fn dingbats_table() -> CodeTable {
    let mut table: CodeTable = vec![None; 256];
    for code in (0x21..=0x7e_u32).chain(0xa1..=0xfe) {
        let character = match code {
            0x25 => '☎',
            0x2a => '☛',
            0x2b => '☞',
            0x48 => '★',
            0x6c => '●',
            0x6e => '■',
            0x73 => '▲',
            0x74 => '▼',
            0x75 => '◆',
            0x77 => '◗',
            0xa8 => '♣',
            0xa9 => '♦',
            0xaa => '♥',
            0xab => '♠',
            0xd5 => '→',
            0xd6 => '↔',
            0xd7 => '↕',
            0xac..=0xb5 => char::from_u32(0x2460 + code - 0xac).unwrap_or('•'),
            0x21..=0x7e => char::from_u32(0x2700 + code - 0x20).unwrap_or('•'),
            _ => char::from_u32(0x2761 + code - 0xa1).unwrap_or('•'),
        };
        table[code as usize] = Some(character.to_string().into());
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(glyph: &str, text: Option<&str>) {
        let found = name_text(glyph);
        assert_eq!(found.as_deref(), text, "{glyph}");
    }

    #[test]
    fn glyph_names_give_their_text() {
        check("A", Some("A"));
        check("fi", Some("\u{fb01}"));
        check("f_f_i", Some("ffi"));
        check("quoteright", Some("\u{2019}"));
        check("Euro", Some("€"));
        check("one.oldstyle", Some("1"));
        check("uni00410042", Some("AB"));
        check("u1F600", Some("😀"));
        check("g23", None);
        check(".notdef", None);
        check("", None);
        check("uniÄÄ", None);
    }

    #[test]
    fn numbers_are_codes_where_all_of_them_are() {
        let check = |differences: &[Object], code: usize, text: Option<&str>| {
            let mut table: CodeTable = vec![None; 256];
            apply_differences(&Document::new(), differences, &mut table, || None);
            assert_eq!(table[code].as_deref(), text, "{differences:?}");
        };
        check(&[84.into(), "a84".into(), "a85".into()], 84, Some("T"));
        check(&[11.into(), "a11".into()], 11, None);
        check(&[84.into(), "a84".into(), 33.into(), "a1".into()], 33, Some("✁"));
    }

    #[test]
    fn the_symbol_table_is_aligned() {
        let table = symbol_table();
        assert_eq!(table[0x61].as_deref(), Some("α"));
        assert_eq!(table[0x7e].as_deref(), Some("∼"));
        assert_eq!(table[0xb7].as_deref(), Some("•"));
        assert_eq!(table[0xd2].as_deref(), Some("®"));
        assert_eq!(table[0xe5].as_deref(), Some("∑"));
        assert_eq!(table[0xfe].as_deref(), Some("⎭"));
    }

    #[test]
    fn win_ansi_has_its_quotes_and_bullets() {
        let table = named_table(&Document::new(), b"WinAnsiEncoding");
        assert_eq!(table[0x93].as_deref(), Some("\u{201c}"));
        assert_eq!(table[0x95].as_deref(), Some("•"));
        assert_eq!(table[0xe9].as_deref(), Some("é"));
    }
}
