//! Splits drawing instructions into operands and operators (ISO 32000-1, 7.8.2). Our own, since a
//! page in the wild has broken numbers, stray brackets and operators within arrays, and all that
//! follows such a slip must still be read.

/// An operand of a drawing instruction; dictionaries are of no use to text and are left out.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operand {
    Number(f64),
    Name(Vec<u8>),
    String(Vec<u8>),
    Array(Vec<Operand>),
}

impl Operand {
    pub(super) fn number(&self) -> f64 {
        match self {
            Self::Number(number) => *number,
            _ => 0.0,
        }
    }

    pub(super) fn name(&self) -> Option<&[u8]> {
        match self {
            Self::Name(name) => Some(name),
            _ => None,
        }
    }
}

/// More operands than any operator takes are junk, or an attack.
const MAX_OPERANDS: usize = 64;
const MAX_ARRAY: usize = 100_000;
/// Operators have three letters at most.
const MAX_OPERATOR: usize = 3;

/// Reads a content stream from operator to operator.
pub(super) struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The operands before the operator that [`Lexer::next_operator`] returned.
    pub(super) operands: Vec<Operand>,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, operands: Vec::new() }
    }

    /// The next operator, with its operands in `operands`; none at the end. `BI` stands for a
    /// whole inline image.
    pub(super) fn next_operator(&mut self) -> Option<&'a [u8]> {
        self.operands.clear();
        let mut array: Option<Vec<Operand>> = None;
        loop {
            self.skip_blanks();
            let byte = *self.bytes.get(self.at)?;
            let operand = match byte {
                b'[' => {
                    self.at += 1;
                    // An array within an array is read as if its brackets were not there.
                    array.get_or_insert_default();
                    continue;
                }
                b']' => {
                    self.at += 1;
                    let Some(items) = array.take() else { continue };
                    Operand::Array(items)
                }
                b'(' => Operand::String(self.literal()),
                b'<' if self.bytes.get(self.at + 1) == Some(&b'<') => {
                    self.skip_dictionary();
                    continue;
                }
                b'<' => Operand::String(self.hexadecimal()),
                b'/' => {
                    self.at += 1;
                    Operand::Name(self.name())
                }
                b'+' | b'-' | b'.' | b'0'..=b'9' => Operand::Number(self.number()),
                b')' | b'>' | b'{' | b'}' => {
                    self.at += 1;
                    continue;
                }
                _ => {
                    let word = self.word();
                    if matches!(word, b"true" | b"false" | b"null") {
                        continue;
                    }
                    match array.take() {
                        // The bracket was never closed.
                        Some(items) if matches!(word, b"TJ" | b"ET" | b"BT") => {
                            self.operands.push(Operand::Array(items));
                        }
                        Some(items) => {
                            array = Some(items);
                            continue;
                        }
                        None => {}
                    }
                    if word == b"BI" {
                        self.skip_inline_image();
                    }
                    return Some(word);
                }
            };
            match &mut array {
                Some(items) if items.len() < MAX_ARRAY => items.push(operand),
                None if self.operands.len() < MAX_OPERANDS => self.operands.push(operand),
                Some(_) | None => {}
            }
        }
    }

    fn skip_blanks(&mut self) {
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b'%' => {
                    let rest = &self.bytes[self.at..];
                    let line = rest.iter().position(|byte| b"\r\n".contains(byte)).unwrap_or(rest.len());
                    self.at += line;
                }
                _ if is_blank(byte) => self.at += 1,
                _ => return,
            }
        }
    }

    /// A word of letters; one that runs on without a blank (`ETBT`, `TjET`) is cut where an
    /// operator can end.
    fn word(&mut self) -> &'a [u8] {
        let start = self.at;
        self.at += 1;
        while self.bytes.get(self.at).is_some_and(|&byte| !is_blank(byte) && !is_delimiter(byte)) {
            self.at += 1;
        }
        let word = &self.bytes[start..self.at];
        if word.len() > MAX_OPERATOR && !matches!(word, b"true" | b"false" | b"null") {
            let joined = [b"BT".as_slice(), b"ET", b"Tj", b"TJ", b"T*", b"Td", b"Tm", b"Q", b"q"];
            if let Some(first) = joined.iter().find(|operator| word.starts_with(operator)) {
                self.at = start + first.len();
                return &self.bytes[start..self.at];
            }
        }
        word
    }

    /// A number as lenient readers take it: `--5` is -5, `1.2.3` is 1.2, `4-3` is 4.
    fn number(&mut self) -> f64 {
        let (mut value, mut scale) = (0.0, 0.0);
        let mut negative = false;
        let start = self.at;
        let mut valid = true;
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b'-' | b'+' if self.at == start || self.bytes[self.at - 1] == b'-' => negative |= byte == b'-',
                b'.' if scale == 0.0 => scale = 1.0,
                b'-' | b'+' | b'.' => valid = false,
                b'0'..=b'9' if !valid => {}
                b'0'..=b'9' if scale == 0.0 => value = value * 10.0 + f64::from(byte - b'0'),
                b'0'..=b'9' => {
                    scale /= 10.0;
                    value += f64::from(byte - b'0') * scale;
                }
                _ => break,
            }
            self.at += 1;
        }
        if !value.is_finite() {
            return 0.0;
        }
        if negative { -value } else { value }
    }

    fn name(&mut self) -> Vec<u8> {
        let mut name = Vec::new();
        while let Some(&byte) = self.bytes.get(self.at) {
            if is_blank(byte) || is_delimiter(byte) {
                break;
            }
            self.at += 1;
            if byte == b'#'
                && let Some([high, low]) = self.bytes.get(self.at..self.at + 2)
                && let (Some(high), Some(low)) = (nibble(*high), nibble(*low))
            {
                name.push(high << 4 | low);
                self.at += 2;
            } else {
                name.push(byte);
            }
        }
        name
    }

    fn literal(&mut self) -> Vec<u8> {
        let mut string = Vec::new();
        let mut depth = 0_usize;
        while let Some(&byte) = self.bytes.get(self.at) {
            self.at += 1;
            match byte {
                b'(' => {
                    if depth > 0 {
                        string.push(byte);
                    }
                    depth += 1;
                }
                b')' => {
                    depth -= 1;
                    if depth == 0 {
                        break;
                    }
                    string.push(byte);
                }
                b'\\' => self.escape(&mut string),
                _ => string.push(byte),
            }
        }
        string
    }

    fn escape(&mut self, string: &mut Vec<u8>) {
        let Some(&byte) = self.bytes.get(self.at) else { return };
        self.at += 1;
        match byte {
            b'n' => string.push(b'\n'),
            b'r' => string.push(b'\r'),
            b't' => string.push(b'\t'),
            b'b' => string.push(8),
            b'f' => string.push(12),
            b'\r' => self.at += usize::from(self.bytes.get(self.at) == Some(&b'\n')),
            b'\n' => {}
            b'0'..=b'7' => {
                let mut code = u32::from(byte - b'0');
                for _ in 0..2 {
                    let Some(&digit @ b'0'..=b'7') = self.bytes.get(self.at) else { break };
                    code = code * 8 + u32::from(digit - b'0');
                    self.at += 1;
                }
                string.push(code as u8);
            }
            _ => string.push(byte),
        }
    }

    fn hexadecimal(&mut self) -> Vec<u8> {
        self.at += 1;
        let mut string = Vec::new();
        let mut high = None;
        while let Some(&byte) = self.bytes.get(self.at) {
            self.at += 1;
            if byte == b'>' {
                break;
            }
            let Some(low) = nibble(byte) else { continue };
            match high.take() {
                Some(high) => string.push(high << 4 | low),
                None => high = Some(low),
            }
        }
        string.extend(high.map(|high| high << 4));
        string
    }

    fn skip_dictionary(&mut self) {
        let mut depth = 0_usize;
        while let Some(&byte) = self.bytes.get(self.at) {
            let twice = self.bytes.get(self.at + 1) == Some(&byte);
            match byte {
                b'(' => {
                    self.literal();
                    continue;
                }
                b'<' if twice => depth += 1,
                b'>' if twice => depth = depth.saturating_sub(1),
                _ => {
                    self.at += 1;
                    continue;
                }
            }
            self.at += 2;
            if depth == 0 {
                return;
            }
        }
    }

    /// To behind `EI`: the first one among blanks after which instructions go on, since picture
    /// data may hold the two letters by chance.
    fn skip_inline_image(&mut self) {
        const SEEN_AFTER: usize = 12;
        let from = |lexer: &Self, word: &[u8], at: usize| {
            lexer.bytes[at..].windows(word.len()).position(|window| window == word).map(|found| at + found)
        };
        let Some(mut at) = from(self, b"ID", self.at) else {
            self.at = self.bytes.len();
            return;
        };
        at += 2;
        while let Some(found) = from(self, b"EI", at) {
            at = found + 2;
            let rest = &self.bytes[at..];
            let before = self.bytes[found - 1];
            let after = &rest[..rest.len().min(SEEN_AFTER)];
            let ends = after.first().is_none_or(|&byte| is_blank(byte) || is_delimiter(byte));
            let is_text = |byte: &u8| (b' '..=b'~').contains(byte) || b"\r\n\t".contains(byte);
            if ends && (is_blank(before) || before == b'>') && after.iter().all(is_text) {
                self.at = at;
                return;
            }
        }
        self.at = self.bytes.len();
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, 0 | b'\t' | b'\n' | 12 | b'\r' | b' ')
}

fn is_delimiter(byte: u8) -> bool {
    matches!(byte, b'(' | b')' | b'<' | b'>' | b'[' | b']' | b'{' | b'}' | b'/' | b'%')
}

fn nibble(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operators(content: &str) -> Vec<(String, Vec<Operand>)> {
        let mut lexer = Lexer::new(content.as_bytes());
        let mut found = Vec::new();
        while let Some(operator) = lexer.next_operator() {
            found.push((String::from_utf8_lossy(operator).into_owned(), lexer.operands.clone()));
        }
        found
    }

    fn check(content: &str, operator: &str, operands: &[Operand]) {
        assert_eq!(operators(content), [(operator.to_owned(), operands.to_vec())], "{content}");
    }

    fn string(text: &str) -> Operand {
        Operand::String(text.as_bytes().to_vec())
    }

    #[test]
    fn operands_are_read_as_lenient_readers_do() {
        let numbers = |values: &[f64]| values.iter().copied().map(Operand::Number).collect::<Vec<_>>();
        check("1 -.5 --3 4. 1.2.3 +7 Td", "Td", &numbers(&[1.0, -0.5, -3.0, 4.0, 1.2, 7.0]));
        check("(a\\(b\\)(c)\\101\\\nd) Tj", "Tj", &[string("a(b)(c)Ad")]);
        check("<4 1 42 5> Tj", "Tj", &[string("ABP")]);
        check("/F#31 % font\n9 Tf", "Tf", &[Operand::Name(b"F1".to_vec()), Operand::Number(9.0)]);
        check("/P <</MCID 0 /A [1 (>>)]>> BDC", "BDC", &[Operand::Name(b"P".to_vec())]);
    }

    #[test]
    fn slips_lose_no_text() {
        let pieces = [string("a"), Operand::Number(0.0), Operand::Number(-250.0), string("b")];
        check("[(a) 0 Tc -250 (b)] TJ", "TJ", &[Operand::Array(pieces.to_vec())]);
        check("[(a) TJ", "TJ", &[Operand::Array(vec![string("a")])]);
        check(") ] > (a) Tj", "Tj", &[string("a")]);
        let found: Vec<String> = operators("BT(a)TjETBT (b)Tj ET").into_iter().map(|found| found.0).collect();
        assert_eq!(found, ["BT", "Tj", "ET", "BT", "Tj", "ET"]);
    }

    #[test]
    fn an_inline_image_is_passed_over_whole() {
        let found: Vec<String> =
            operators("BI /W 1 ID \u{1}\u{2} EI\u{3} EI (a) Tj").into_iter().map(|found| found.0).collect();
        assert_eq!(found, ["BI", "Tj"]);
    }
}
