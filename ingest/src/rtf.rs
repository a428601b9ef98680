//! Rich Text Format: the text between its control words, in whatever code page each font has. Groups that are no text
//! (fonts, styles, pictures, fields' instructions) are passed over. (Rich Text Format Specification, version 1.9.1.)

use encoding_rs::{Encoding, WINDOWS_1252};

use crate::flow::Flow;
use crate::{Document, Limits, MediaType, ReadError};

/// Deeper groups keep the state of the one above: real files have a dozen.
const MAX_DEPTH: usize = 1000;

pub(crate) fn read(bytes: &[u8], limits: &Limits) -> Result<Document, ReadError> {
    if !bytes.starts_with(b"{\\rtf") {
        return Err(ReadError::NotWhatItSays { named: MediaType::Rtf.name() });
    }
    let mut flow = Flow::default();
    flow_into(&mut flow, bytes, limits)?;
    flow.document(MediaType::Rtf, limits)
}

/// Adds the text of an RTF body, which a mail may have too.
pub(crate) fn flow_into(flow: &mut Flow, bytes: &[u8], limits: &Limits) -> Result<(), ReadError> {
    let mut reader = Rtf {
        flow,
        encoding: WINDOWS_1252,
        state: State::default(),
        above: Vec::new(),
        pending: Vec::new(),
        high: None,
        to_pass: 0,
        font_charsets: Vec::new(),
    };
    let mut at = 0;
    while at < bytes.len() {
        at = reader.step(bytes, at);
        reader.flow.check(limits)?;
    }
    reader.flush();
    Ok(())
}

#[derive(Clone, Copy)]
struct State {
    /// Text goes to the document.
    shown: bool,
    /// Text is marked as hidden.
    hidden: bool,
    /// In the table of fonts.
    in_fonts: bool,
    /// Characters after `\u` for readers that do not know it.
    fallback_chars: usize,
    encoding: Option<&'static Encoding>,
    /// The font that is being described, or used.
    font: usize,
}

impl Default for State {
    fn default() -> Self {
        Self { shown: true, hidden: false, in_fonts: false, fallback_chars: 1, encoding: None, font: 0 }
    }
}

struct Rtf<'a> {
    flow: &'a mut Flow,
    encoding: &'static Encoding,
    state: State,
    above: Vec<State>,
    /// Bytes of the current code page that wait to be decoded: a character may have two.
    pending: Vec<u8>,
    /// The first half of a character that takes two of `\\u`.
    high: Option<u16>,
    /// Characters still to be passed over after `\u`.
    to_pass: usize,
    font_charsets: Vec<(usize, &'static Encoding)>,
}

impl Rtf<'_> {
    /// Takes what stands at `at`; returns where the next thing stands.
    fn step(&mut self, bytes: &[u8], at: usize) -> usize {
        match bytes[at] {
            b'{' => {
                self.flush();
                if self.above.len() < MAX_DEPTH {
                    self.above.push(self.state);
                }
                at + 1
            }
            b'}' => {
                self.flush();
                self.state = self.above.pop().unwrap_or_default();
                at + 1
            }
            b'\\' => self.control(bytes, at + 1),
            b'\r' | b'\n' => at + 1,
            byte => {
                self.byte(byte);
                at + 1
            }
        }
    }

    fn byte(&mut self, byte: u8) {
        if self.to_pass > 0 {
            self.to_pass -= 1;
        } else if self.state.shown {
            self.pending.push(byte);
        }
    }

    fn control(&mut self, bytes: &[u8], at: usize) -> usize {
        let Some(&first) = bytes.get(at) else { return at };
        if !first.is_ascii_alphabetic() {
            return self.symbol(bytes, first, at);
        }
        let name_length = bytes[at..].iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
        let name = &bytes[at..at + name_length];
        let mut next = at + name_length;
        let is_negative = bytes.get(next) == Some(&b'-');
        next += usize::from(is_negative);
        let digits = bytes[next..].iter().take(10).take_while(|byte| byte.is_ascii_digit()).count();
        let number =
            std::str::from_utf8(&bytes[next..next + digits]).ok().and_then(|digits| digits.parse::<i64>().ok());
        let number = number.map(|number| if is_negative { -number } else { number });
        next += digits;
        next += usize::from(bytes.get(next) == Some(&b' '));
        if name == b"bin" {
            // So many raw bytes follow.
            return next.saturating_add(number.unwrap_or_default().max(0) as usize).min(bytes.len());
        }
        self.word(name, number);
        next
    }

    fn symbol(&mut self, bytes: &[u8], symbol: u8, at: usize) -> usize {
        match symbol {
            b'\'' => {
                let hex = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
                if let Some(byte) = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
                    self.byte(byte);
                }
                return (at + 3).min(bytes.len());
            }
            b'*' => {
                self.flush();
                self.state.shown = false;
            }
            b'~' => self.byte(b' '),
            b'_' => self.byte(b'-'),
            b'\\' | b'{' | b'}' => self.byte(symbol),
            b'\r' | b'\n' => self.word(b"par", None),
            _ => {}
        }
        at + 1
    }

    fn word(&mut self, name: &[u8], number: Option<i64>) {
        match name {
            b"u" => {
                self.flush();
                // Written as a signed number of 16 bits; pairs of surrogates come one by one.
                let unit = number.unwrap_or_default() as u16;
                self.unicode(unit);
                self.to_pass = self.state.fallback_chars;
                return;
            }
            b"uc" => self.state.fallback_chars = number.unwrap_or(1).clamp(0, 16) as usize,
            _ => {}
        }
        self.flush();
        match name {
            b"fonttbl" => (self.state.shown, self.state.in_fonts) = (false, true),
            b"colortbl" | b"stylesheet" | b"info" | b"pict" | b"object" | b"fldinst" | b"header" | b"headerl"
            | b"headerr" | b"headerf" | b"footer" | b"footerl" | b"footerr" | b"footerf" | b"listtable"
            | b"listoverridetable" | b"revtbl" | b"xmlnstbl" | b"generator" | b"themedata" | b"datastore"
            | b"nonshppict" | b"deleted" | b"bkmkstart" | b"bkmkend" => {
                self.state.shown &= number == Some(0);
            }
            b"v" => self.state.hidden = number != Some(0),
            b"plain" => self.state.hidden = false,
            b"shptxt" | b"footnote" => self.state.shown = true,
            // A mail that was a web page keeps both: what only RTF readers should see is switched on and off.
            b"htmlrtf" => self.state.shown = number == Some(0),
            b"ansicpg" => {
                let page = number.and_then(|page| u16::try_from(page).ok());
                self.encoding = page.and_then(code_page).unwrap_or(self.encoding);
            }
            b"f" => {
                self.state.font = number.unwrap_or_default().max(0) as usize;
                if !self.state.in_fonts {
                    let font = self.state.font;
                    let known = self.font_charsets.iter().find(|(of, _)| *of == font);
                    self.state.encoding = known.map(|&(_, encoding)| encoding);
                }
            }
            b"fcharset" if self.state.in_fonts && self.font_charsets.len() < MAX_DEPTH => {
                let encoding = number.and_then(charset);
                self.font_charsets.extend(encoding.map(|encoding| (self.state.font, encoding)));
            }
            _ if !self.state.shown => {}
            b"par" | b"sect" if !self.flow.in_table() => self.flow.end_paragraph(),
            b"par" | b"line" | b"sect" => self.flow.end_line(),
            b"page" => self.flow.end_page(),
            b"tab" => self.flow.tab(),
            b"trowd" if !self.flow.in_table() => {
                self.flow.start_row();
                self.flow.start_cell();
            }
            b"cell" if self.flow.in_table() => self.flow.start_cell(),
            b"row" if self.flow.in_table() => self.flow.end_row(),
            b"emdash" => self.flow.push("\u{2014}"),
            b"endash" => self.flow.push("\u{2013}"),
            b"bullet" => self.flow.push("\u{2022}"),
            b"lquote" => self.flow.push("\u{2018}"),
            b"rquote" => self.flow.push("\u{2019}"),
            b"ldblquote" => self.flow.push("\u{201c}"),
            b"rdblquote" => self.flow.push("\u{201d}"),
            _ => {}
        }
    }

    fn unicode(&mut self, unit: u16) {
        if self.state.shown {
            let units = [self.high.take(), Some(unit)].into_iter().flatten();
            if (0xd800..0xdc00).contains(&unit) {
                self.high = Some(unit);
            } else {
                let text: String = char::decode_utf16(units).flatten().collect();
                self.push(&text);
            }
        }
    }

    /// Decodes the bytes that have come since the code page was last set.
    fn flush(&mut self) {
        if !self.pending.is_empty() {
            let encoding = self.state.encoding.unwrap_or(self.encoding);
            let pending = std::mem::take(&mut self.pending);
            self.push(&encoding.decode_without_bom_handling(&pending).0);
        }
    }

    fn push(&mut self, text: &str) {
        if self.state.hidden { self.flow.push_unseen("marked as hidden", text) } else { self.flow.push(text) }
    }
}

/// Windows' number of a code page.
fn code_page(number: u16) -> Option<&'static Encoding> {
    let label = match number {
        437 | 850 | 1252 => "windows-1252",
        866 => "ibm866",
        874 => "windows-874",
        932 => "shift_jis",
        936 => "gbk",
        949 => "euc-kr",
        950 => "big5",
        10000 => "macintosh",
        65001 => "utf-8",
        1250..=1258 => return Encoding::for_label(format!("windows-{number}").as_bytes()),
        _ => return None,
    };
    Encoding::for_label(label.as_bytes())
}

/// The character set of a font.
fn charset(number: i64) -> Option<&'static Encoding> {
    let page = match number {
        0 => 1252,
        77 => 10000,
        128 => 932,
        129 => 949,
        134 => 936,
        136 => 950,
        161 => 1253,
        162 => 1254,
        163 => 1258,
        177 => 1255,
        178 => 1256,
        186 => 1257,
        204 => 1251,
        222 => 874,
        238 => 1250,
        _ => return None,
    };
    code_page(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rtf: &str, text: &str) {
        let document = read(rtf.as_bytes(), &Limits::default()).expect("it has text");
        assert_eq!(document.pages[0].text, text, "{rtf}");
    }

    #[test]
    fn text_is_read_in_the_code_page_of_its_font() {
        check(r"{\rtf1\ansi\ansicpg1252 K\'e4se\par und \u8364?5}", "Käse\n\nund €5");
        check(r"{\rtf1\ansi{\fonttbl{\f0\fcharset0 A;}{\f1\fcharset204 B;}}\f1\'c4\'ee\f0\'e4}", "Доä");
        check(r"{\rtf1 \u-10179?\u-8704? ok\emdash}", "😀 ok—");
    }

    #[test]
    fn groups_that_are_no_text_are_passed_over() {
        let field = r"{\field{\*\fldinst HYPERLINK x}{\fldrslt link}}";
        check(
            &format!(r"{{\rtf1{{\*\generator Word;}}{{\info{{\title x}}}}{{\pict\bin2 }}}}}}one{field}}}"),
            "onelink",
        );
    }

    #[test]
    fn hidden_text_is_left_out_and_told() {
        let document = read(br"{\rtf1 one \v two three four\v0 five}", &Limits::default()).expect("it has text");
        assert_eq!(document.pages[0].text, "one five");
        assert!(document.cautions[0].message.contains("12 letters"), "{:?}", document.cautions);
    }

    #[test]
    fn rows_are_lines() {
        check(
            r"{\rtf1\trowd Item\cell Price\cell\row\trowd Desk\cell 100\cell\row end}",
            "Item | Price\nDesk | 100\nend",
        );
    }
}
