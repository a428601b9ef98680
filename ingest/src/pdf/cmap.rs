//! `ToUnicode` tables. Tolerant on purpose: only hex strings, brackets and the section operators
//! matter, since real files break the rest of the grammar freely.

use std::collections::HashMap;

/// More than any font has; a crafted table stops here, also one that maps the same codes again and again.
const MAX_ENTRIES: usize = 200_000;
/// What a code may stand for (Adobe's `CMap` specification allows 512 bytes).
const MAX_TEXT_BYTES: usize = 512;

/// Character codes to text.
#[derive(Default)]
pub(super) struct CMap {
    /// Text of each code; never empty, NUL or U+FFFD.
    pub(super) text: HashMap<u32, Box<str>>,
    /// Bytes of the longest code in the code space; 0 when none is declared.
    pub(super) code_bytes: usize,
    /// Mappings so far, also of the same code.
    mapped: usize,
}

enum Token {
    Hex(Vec<u8>),
    Array(Vec<Vec<u8>>),
}

/// Reads a `ToUnicode` stream (ISO 32000-1, 9.10.3).
pub(super) fn parse(bytes: &[u8]) -> CMap {
    let mut cmap = CMap::default();
    let mut tokens: Vec<Token> = Vec::new();
    let mut array: Option<Vec<Vec<u8>>> = None;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'<' if bytes.get(at + 1) != Some(&b'<') => {
                let end = bytes[at..].iter().position(|&byte| byte == b'>');
                let end = end.map_or(bytes.len(), |length| at + length);
                let hex = parse_hex(&bytes[at + 1..end]);
                match &mut array {
                    Some(array) => array.push(hex),
                    None => tokens.push(Token::Hex(hex)),
                }
                at = end + 1;
            }
            b'<' => at += 2,
            b'[' => {
                array = Some(Vec::new());
                at += 1;
            }
            b']' => {
                tokens.extend(array.take().map(Token::Array));
                at += 1;
            }
            b'%' => {
                let end = bytes[at..].iter().position(|byte| b"\r\n".contains(byte));
                at = end.map_or(bytes.len(), |length| at + length);
            }
            byte if byte.is_ascii_alphabetic() => {
                let end = bytes[at..].iter().position(|byte| !byte.is_ascii_alphanumeric());
                let end = end.map_or(bytes.len(), |length| at + length);
                section(&mut cmap, &bytes[at..end], &mut tokens);
                at = end;
            }
            _ => at += 1,
        }
    }
    cmap
}

fn section(cmap: &mut CMap, operator: &[u8], tokens: &mut Vec<Token>) {
    match operator {
        b"begincodespacerange" | b"beginbfchar" | b"beginbfrange" => {}
        b"endcodespacerange" => {
            for token in &*tokens {
                if let Token::Hex(code) = token {
                    cmap.code_bytes = cmap.code_bytes.max(code.len());
                }
            }
        }
        b"endbfchar" => {
            for pair in tokens.chunks_exact(2) {
                if let [Token::Hex(code), Token::Hex(text)] = pair {
                    cmap.insert(code_of(code), text);
                }
            }
        }
        b"endbfrange" => {
            for range in tokens.chunks_exact(3) {
                cmap.insert_range(range);
            }
        }
        _ => return,
    }
    tokens.clear();
}

impl CMap {
    /// Whether it states the text of more than a few codes. Some producers state only what the
    /// font program does not tell.
    pub(super) fn is_broad(&self) -> bool {
        self.text.len() > 4
    }

    fn insert(&mut self, code: u32, utf16: &[u8]) {
        self.mapped += 1;
        if self.mapped > MAX_ENTRIES {
            return;
        }
        let text = utf16_text(&utf16[..utf16.len().min(MAX_TEXT_BYTES)]);
        let readable = text.chars().any(|character| character != '\0' && character != '\u{fffd}');
        if readable {
            self.text.insert(code, text.into());
        }
    }

    fn insert_range(&mut self, range: &[Token]) {
        match range {
            [Token::Hex(first), Token::Hex(last), Token::Hex(text)] => {
                let (first, last) = (code_of(first), code_of(last));
                let mut text = text.clone();
                text.truncate(MAX_TEXT_BYTES);
                for code in first..=last.min(first.saturating_add(0xffff)) {
                    if self.mapped >= MAX_ENTRIES {
                        break;
                    }
                    self.insert(code, &text);
                    increment(&mut text);
                }
            }
            [Token::Hex(first), Token::Hex(_), Token::Array(texts)] => {
                for (code, text) in (code_of(first)..).zip(texts) {
                    self.insert(code, text);
                }
            }
            _ => {}
        }
    }
}

fn parse_hex(digits: &[u8]) -> Vec<u8> {
    let mut nibbles: Vec<u8> =
        digits.iter().filter_map(|&byte| char::from(byte).to_digit(16)).map(|digit| digit as u8).collect();
    if nibbles.len() % 2 == 1 {
        nibbles.push(0);
    }
    nibbles.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn code_of(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).fold(0, |code, &byte| code << 8 | u32::from(byte))
}

fn utf16_text(bytes: &[u8]) -> String {
    if let [latin] = bytes {
        return char::from(*latin).to_string();
    }
    let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
    String::from_utf16_lossy(&units)
}

/// The next value of a range: its last byte counts up, with carry.
fn increment(bytes: &mut [u8]) {
    for byte in bytes.iter_mut().rev() {
        *byte = byte.wrapping_add(1);
        if *byte != 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, code: u32, text: Option<&str>) {
        let cmap = parse(source.as_bytes());
        assert_eq!(cmap.text.get(&code).map(|text| &**text), text, "{source}");
    }

    #[test]
    fn single_codes_ranges_and_arrays_map() {
        check("1 beginbfchar <0041> <0061> endbfchar", 0x41, Some("a"));
        check("beginbfchar <03> <00660069> endbfchar", 3, Some("fi"));
        check("beginbfrange <01> <05> <0041> endbfrange", 5, Some("E"));
        check("beginbfrange <01><02> [<0041> <0058>] endbfrange", 2, Some("X"));
        check("beginbfrange <01> <03> <00FF> endbfrange", 2, Some("\u{100}"));
    }

    #[test]
    fn broken_tables_give_what_they_can() {
        check("beginbfchar <41> <0061> <42 endbfchar", 0x41, None);
        check("<< /a <01> >> beginbfchar\n<4 1><00 61>endbfchar", 0x41, Some("a"));
        check("beginbfchar <41> <0000> endbfchar", 0x41, None);
        check("beginbfrange <00000000> <ffffffff> <0041> endbfrange", 1, Some("B"));
        check("]]]] [ <", 0, None);
    }

    #[test]
    fn a_table_that_maps_everything_again_and_again_ends() {
        let table = "beginbfrange <0000> <ffff> <0041> endbfrange ".repeat(100_000);
        check(&table, 1, Some("B"));
    }

    #[test]
    fn the_code_space_gives_the_length_of_codes() {
        let cmap = parse(b"1 begincodespacerange <00> <FF> endcodespacerange");
        assert_eq!(cmap.code_bytes, 1);
    }
}
