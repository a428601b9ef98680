//! Web pages, also as the bodies of mails: what a browser would show, as text. Reads tags as they come, so nesting
//! costs nothing. Only this file names html5gum.

use encoding_rs::Encoding;
use html5gum::emitters::default::DefaultEmitter;
use html5gum::{StartTag, Token, Tokenizer};

use crate::flow::Flow;
use crate::text::decode;
use crate::{Document, Limits, MediaType, ReadError};

pub(crate) fn read(bytes: &[u8], limits: &Limits) -> Result<Document, ReadError> {
    let text = decoded(bytes);
    if text.contains('\0') {
        return Err(ReadError::NotWhatItSays { named: MediaType::Html.name() });
    }
    let mut flow = Flow::default();
    let title = flow_into(&mut flow, &text, limits)?;
    Ok(Document { title, ..Document::of(MediaType::Html, flow.finish(limits)?) })
}

/// A page's source in the encoding that it states, or else is most likely in.
pub(crate) fn decoded(bytes: &[u8]) -> String {
    declared_encoding(bytes).map_or_else(|| decode(bytes).0, |encoding| encoding.decode(bytes).0.into_owned())
}

/// What a page says its encoding is, within its first kilobyte as the standard has it (HTML, 13.2.3.2); a byte order
/// mark and valid UTF-8 come first.
fn declared_encoding(bytes: &[u8]) -> Option<&'static Encoding> {
    const LOOKED_AT: usize = 1024;
    if Encoding::for_bom(bytes).is_some() || std::str::from_utf8(bytes).is_ok() {
        return None;
    }
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(LOOKED_AT)]).to_ascii_lowercase();
    let (_, after) = head.split_once("charset=")?;
    let label = after.trim_start_matches(['"', '\'']).split(['"', '\'', ';', ' ', '>', '/']).next()?;
    Encoding::for_label(label.as_bytes())
}

/// Adds a page's text; returns its title.
pub(crate) fn flow_into(flow: &mut Flow, html: &str, limits: &Limits) -> Result<Option<String>, ReadError> {
    let mut emitter = DefaultEmitter::<()>::default();
    // Else the text of a script would be read as tags.
    emitter.naively_switch_states(true);
    let mut page = PageText { flow, title: String::new(), inside: Inside::Text, pre: 0 };
    for token in Tokenizer::new_with_emitter(html, emitter).flatten() {
        match token {
            Token::StartTag(tag) => page.start(&tag),
            Token::EndTag(tag) => page.end(&tag.name),
            Token::String(text) => page.text(&String::from_utf8_lossy(&text)),
            Token::Comment(_) | Token::Doctype(_) | Token::Error(_) => {}
        }
        page.flow.check(limits)?;
    }
    let title = page.title.split_whitespace().collect::<Vec<_>>().join(" ");
    Ok((!title.is_empty()).then_some(title))
}

struct PageText<'a> {
    flow: &'a mut Flow,
    title: String,
    inside: Inside,
    /// How many elements that keep their line ends are open.
    pre: usize,
}

enum Inside {
    Text,
    Title,
    /// What nobody sees: the element's name, and how many of that name are open.
    Unseen(Vec<u8>, usize),
}

impl PageText<'_> {
    fn start(&mut self, tag: &StartTag<()>) {
        let name = tag.name.as_slice();
        if let Inside::Unseen(unseen, depth) = &mut self.inside {
            *depth += usize::from(unseen == name && !tag.self_closing);
            return;
        }
        match name {
            b"script" | b"style" | b"template" | b"noframes" | b"object" | b"svg" | b"select" | b"textarea"
                if !tag.self_closing =>
            {
                self.inside = Inside::Unseen(name.to_owned(), 1);
            }
            b"br" => self.flow.end_line(),
            b"hr" => self.flow.end_paragraph(),
            _ if is_hidden(tag) && !is_void(name) && !tag.self_closing => {
                self.inside = Inside::Unseen(name.to_owned(), 1);
            }
            b"title" => self.inside = Inside::Title,
            b"table" => self.flow.start_table(),
            b"tr" => self.flow.start_row(),
            b"td" | b"th" => self.flow.start_cell(),
            b"li" | b"dt" | b"dd" | b"option" => self.flow.end_line(),
            b"pre" => {
                self.pre += 1;
                self.flow.end_paragraph();
            }
            _ if heading_level(name).is_some() || is_block(name) => self.flow.end_paragraph(),
            _ => {}
        }
    }

    fn end(&mut self, name: &[u8]) {
        match &mut self.inside {
            Inside::Unseen(unseen, depth) => {
                *depth -= usize::from(unseen == name);
                if *depth == 0 {
                    self.inside = Inside::Text;
                }
                return;
            }
            Inside::Title if name == b"title" => {
                self.inside = Inside::Text;
                return;
            }
            Inside::Title | Inside::Text => {}
        }
        match name {
            b"tr" => self.flow.end_row(),
            b"table" => self.flow.end_table(),
            b"li" | b"dt" | b"dd" | b"option" | b"td" | b"th" => self.flow.end_line(),
            b"pre" => {
                self.pre = self.pre.saturating_sub(1);
                self.flow.end_paragraph();
            }
            _ => match heading_level(name) {
                Some(level) => self.flow.end_heading(level),
                None if is_block(name) => self.flow.end_paragraph(),
                None => {}
            },
        }
    }

    fn text(&mut self, text: &str) {
        match self.inside {
            Inside::Unseen(..) => {}
            Inside::Title => self.title.push_str(text),
            Inside::Text if self.pre > 0 => {
                for (at, line) in text.lines().enumerate() {
                    if at > 0 {
                        self.flow.end_line();
                    }
                    self.flow.push(line);
                }
            }
            Inside::Text => self.flow.push_collapsed(text),
        }
    }
}

fn heading_level(name: &[u8]) -> Option<u8> {
    match name {
        [b'h', level @ b'1'..=b'6'] => Some(level - b'0'),
        _ => None,
    }
}

fn is_block(name: &[u8]) -> bool {
    const BLOCKS: [&[u8]; 22] = [
        b"address",
        b"article",
        b"aside",
        b"blockquote",
        b"body",
        b"caption",
        b"center",
        b"dialog",
        b"div",
        b"dl",
        b"fieldset",
        b"figcaption",
        b"figure",
        b"footer",
        b"form",
        b"header",
        b"main",
        b"nav",
        b"ol",
        b"p",
        b"section",
        b"ul",
    ];
    BLOCKS.contains(&name)
}

fn is_void(name: &[u8]) -> bool {
    const VOID: [&[u8]; 13] = [
        b"area", b"base", b"br", b"col", b"embed", b"hr", b"img", b"input", b"link", b"meta", b"source", b"track",
        b"wbr",
    ];
    VOID.contains(&name)
}

/// What a page hides from its readers is not read either: it may be there to mislead programs.
fn is_hidden(tag: &StartTag<()>) -> bool {
    let attribute = |name: &[u8]| tag.attributes.get(name);
    let style = attribute(b"style").map(|style| String::from_utf8_lossy(style).to_ascii_lowercase().replace(' ', ""));
    attribute(b"hidden").is_some()
        || style.is_some_and(|style| style.contains("display:none") || style.contains("visibility:hidden"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(html: &str, text: &str) {
        let document = read(html.as_bytes(), &Limits::default()).expect("it has text");
        assert_eq!(document.pages[0].text, text, "{html}");
    }

    #[test]
    fn what_a_browser_shows_is_text() {
        check("<p>Rent  &amp;\n costs<p>are <b>due</b>.", "Rent & costs\n\nare due.");
        check("<ul><li>one<li>two</ul>end", "one\ntwo\n\nend");
        check("<pre>a\n  b</pre>c<br>d", "a\nb\n\nc\nd");
        check("<script>if (a < b) { '<p>no</p>' }</script><style>p {}</style>yes", "yes");
        check("<div style='display: none'>no <div>no</div> no</div><p hidden>no</p>yes", "yes");
    }

    #[test]
    fn tables_are_rows_unless_they_are_layout() {
        check("<table><tr><th>Item<th>Price</tr><tr><td>Desk<td>100</tr></table>x", "Item | Price\nDesk | 100\n\nx");
        check("<table><tr><td><p>one</p><p>two</p></td></tr></table>", "one\ntwo");
        check("<table><tr><td>a<td>b</table>end", "a | b\n\nend");
    }

    #[test]
    fn titles_headings_and_declared_encodings_are_known() {
        let html = b"<meta charset=windows-1251><title>\xc4\xee\xe3\xee\xe2\xee\xf0</title><h2>\xcf\xf0\xe5\xe4\xec\xe5\xf2</h2>";
        let document = read(html, &Limits::default()).expect("it has text");
        assert_eq!(document.title.as_deref(), Some("Договор"));
        assert_eq!((document.pages[0].text.as_str(), document.pages[0].headings[0].level), ("Предмет", 2));
    }

    #[test]
    fn deep_nesting_costs_nothing() {
        let deep = "<div><table><tr><td>".repeat(100_000) + "text";
        check(&deep, "text");
    }
}
