//! What the codes of a simple font mean: base encodings, differences and glyph names
//! (ISO 32000-1, annex D; names after the Adobe Glyph List, from lopdf's tables).

use lopdf::{Dictionary, Document, Encoding, Object, dictionary};

use super::objects::{entry, follow, name};

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
    let mut table = match base_name {
        Some(base) => named_table(document, base),
        None if base_font.ends_with(b"Symbol") => symbol_table(),
        None if base_font.ends_with(b"ZapfDingbats") => dingbats_table(),
        None => built_in_table(document, font).unwrap_or_else(|| named_table(document, b"StandardEncoding")),
    };
    if let Some(differences) = dictionary
        .and_then(|dictionary| entry(document, dictionary, b"Differences"))
        .and_then(|object| object.as_array().ok())
    {
        apply_differences(document, differences, &mut table);
    }
    table
}

fn apply_differences(document: &Document, differences: &[Object], table: &mut CodeTable) {
    let mut code = 0_usize;
    for object in differences {
        match follow(document, object) {
            Object::Integer(first) => code = usize::try_from(*first).unwrap_or(usize::MAX),
            Object::Name(glyph) => {
                if let Some(slot) = table.get_mut(code) {
                    *slot = glyph_text(document, glyph);
                }
                code = code.saturating_add(1);
            }
            _ => {}
        }
    }
}

/// The text that a glyph name stands for: `a`, `f_i`, `A.swash`, `uni00410042`, `u1F600`.
pub(super) fn glyph_text(document: &Document, glyph: &[u8]) -> Option<Box<str>> {
    let glyph = glyph.split(|&byte| byte == b'.').next()?;
    let mut text = String::new();
    for component in glyph.split(|&byte| byte == b'_') {
        text.push_str(&component_text(document, component)?);
    }
    (!text.is_empty()).then(|| text.into())
}

fn component_text(document: &Document, component: &[u8]) -> Option<String> {
    if let Some(character) = listed_glyph(document, component) {
        return Some(character.into());
    }
    let component = std::str::from_utf8(component).ok()?;
    let units: Vec<&str> = match (component.strip_prefix("uni"), component.strip_prefix('u')) {
        (Some(hex), _) if hex.is_ascii() && hex.len() >= 4 && hex.len().is_multiple_of(4) => {
            (0..hex.len()).step_by(4).map(|at| &hex[at..at + 4]).collect()
        }
        (_, Some(hex)) if (4..=6).contains(&hex.len()) => vec![hex],
        _ => return None,
    };
    units.into_iter().map(|hex| u32::from_str_radix(hex, 16).ok().and_then(char::from_u32)).collect()
}

/// Looks a name up in lopdf's glyph list, which it shows only through a font's differences.
fn listed_glyph(document: &Document, glyph: &[u8]) -> Option<char> {
    if glyph.is_empty() {
        return None;
    }
    let font = dictionary! {
        "Type" => "Font",
        "Encoding" => dictionary! {
            "Differences" => vec![Object::Integer(0), Object::Name(glyph.to_vec())],
        },
    };
    match font.get_font_encoding(document) {
        Ok(Encoding::Differences(differences)) => {
            let unit = differences.map.get(&0)?.utf16_code_unit();
            char::from_u32(unit.into()).filter(|&character| character != '\0')
        }
        _ => None,
    }
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

/// The encoding that an embedded Type 1 program states in its clear text (`dup 65 /A put`).
fn built_in_table(document: &Document, font: &Dictionary) -> Option<CodeTable> {
    const MAX_PROGRAM_BYTES: usize = 16 << 20;
    let descriptor = super::objects::dictionary(document, font, b"FontDescriptor")?;
    let Object::Stream(program) = entry(document, descriptor, b"FontFile")? else {
        return None;
    };
    let program = program.get_plain_content_with_limit(MAX_PROGRAM_BYTES).ok()?;
    let clear_end = find(&program, b"eexec").unwrap_or(program.len());
    let clear = &program[..clear_end];
    let encoding = &clear[find(clear, b"/Encoding")?..];
    let mut table: CodeTable = vec![None; 256];
    let mut found = false;
    let mut tokens = encoding.split(u8::is_ascii_whitespace).filter(|token| !token.is_empty());
    while let Some(token) = tokens.next() {
        match token {
            b"dup" => {
                let code = std::str::from_utf8(tokens.next()?).ok();
                let slot = code.and_then(|code| code.parse::<usize>().ok()).and_then(|code| table.get_mut(code));
                let glyph = tokens.next()?.strip_prefix(b"/");
                if let (Some(slot), Some(glyph)) = (slot, glyph) {
                    *slot = glyph_text(document, glyph);
                    found = true;
                }
            }
            b"def" => break,
            _ => {}
        }
    }
    found.then_some(table)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
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
        let found = glyph_text(&Document::new(), glyph.as_bytes());
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
