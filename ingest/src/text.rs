//! Plain text and Markdown in any encoding; a form feed starts a new page.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8};

use crate::clean::tidy_lines;
use crate::{Document, Limits, MediaType, Page, Problem, ReadError};

pub(crate) fn read(bytes: &[u8], media_type: MediaType, limits: &Limits) -> Result<Document, ReadError> {
    let has_mark = Encoding::for_bom(bytes).is_some();
    let is_other = bytes.starts_with(b"%PDF-") || bytes.starts_with(b"PK\x03\x04");
    let (text, lossy) = decode(bytes);
    if is_other || !has_mark && text.contains('\0') {
        return Err(ReadError::NotWhatItSays { named: media_type.name() });
    }
    let pages: Vec<Page> =
        (1..).zip(text.split('\u{c}')).map(|(number, page)| plain_page(number, tidy(page))).collect();
    Limits::check("pages", pages.len(), limits.max_pages)?;
    if pages.iter().all(|page| page.text.is_empty()) {
        return Err(ReadError::Empty);
    }
    let problem = || Problem::on_file("some characters are not valid in the file's encoding");
    Ok(Document {
        title: title(&text, media_type),
        author: None,
        written: None,
        media_type,
        pages,
        problems: lossy.then(problem).into_iter().collect(),
        cautions: Vec::new(),
    })
}

/// A page of a format without sizes and positions.
pub(crate) fn plain_page(number: u32, text: String) -> Page {
    Page {
        number,
        label: None,
        width_pt: 0.0,
        height_pt: 0.0,
        rotation: 0,
        text,
        words: Vec::new(),
        recognised: false,
        confidence: 1.0,
        headings: Vec::new(),
    }
}

/// Text by its byte order mark, as UTF-8, or in the encoding that it is most likely in; and
/// whether characters were lost.
pub(crate) fn decode(bytes: &[u8]) -> (String, bool) {
    let encoding = Encoding::for_bom(bytes).map_or_else(|| guess(bytes), |(encoding, _)| encoding);
    let (text, _, lossy) = encoding.decode(bytes);
    (text.into_owned(), lossy)
}

fn guess(bytes: &[u8]) -> &'static Encoding {
    if std::str::from_utf8(bytes).is_ok() {
        return UTF_8;
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    detector.feed(bytes, true);
    detector.guess(None, Utf8Detection::Allow)
}

fn tidy(page: &str) -> String {
    let kept: String = page
        .replace("\r\n", "\n")
        .chars()
        .filter_map(|character| match character {
            '\r' | '\u{2028}' | '\u{2029}' | '\u{85}' => Some('\n'),
            '\n' | '\t' => Some(character),
            '\u{a0}' => Some(' '),
            '\u{feff}' | '\u{ad}' => None,
            _ if character.is_control() => None,
            _ => Some(character),
        })
        .collect();
    tidy_lines(kept.lines())
}

/// Markdown's first top heading, or plain text's first line if it stands alone and is short.
fn title(text: &str, media_type: MediaType) -> Option<String> {
    const MAX_TITLE_CHARS: usize = 120;
    let mut lines = text.lines().map(str::trim).skip_while(|line| line.is_empty());
    let title = if media_type == MediaType::Markdown {
        lines.find_map(|line| line.strip_prefix("# "))?.trim()
    } else {
        let first = lines.next()?;
        lines.next().filter(|second| second.is_empty())?;
        first
    };
    (!title.is_empty() && title.chars().count() <= MAX_TITLE_CHARS).then(|| title.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], pages: &[&str]) {
        let document = read(bytes, MediaType::Text, &Limits::default()).expect("it is text");
        let texts: Vec<&str> = document.pages.iter().map(|page| page.text.as_str()).collect();
        assert_eq!(texts, pages);
    }

    #[test]
    fn text_is_read_in_any_encoding() {
        check("Käse\n".as_bytes(), &["Käse"]);
        check(b"\xef\xbb\xbfK\xc3\xa4se", &["Käse"]);
        check(b"\xff\xfeK\0\xe4\0s\0e\0", &["Käse"]);
        check(b"\xfe\xff\0K\0\xe4\0s\0e", &["Käse"]);
        check("Der Käse ist schön".chars().map(|c| c as u8).collect::<Vec<_>>().as_slice(), &["Der Käse ist schön"]);
    }

    #[test]
    fn line_ends_and_pages_are_tidied() {
        check(b"one\r\ntwo  \r\n\r\n\r\n\r\nthree\x0c\x0cfour\rfive", &["one\ntwo\n\nthree", "", "four\nfive"]);
    }

    #[test]
    fn a_file_that_is_not_text_is_refused() {
        let refused = |bytes: &[u8]| read(bytes, MediaType::Text, &Limits::default()).expect_err("it is no text");
        assert!(matches!(refused(b"\x7fELF\0\0\0\x01"), ReadError::NotWhatItSays { .. }));
        assert!(matches!(refused(b"%PDF-1.7 ..."), ReadError::NotWhatItSays { .. }));
        assert!(matches!(refused(b" \n\x0c\n"), ReadError::Empty));
    }

    #[test]
    fn titles_come_from_headings() {
        let markdown = b"\nintro\n# Lease, 2024\ntext";
        let document = read(markdown, MediaType::Markdown, &Limits::default()).expect("it is text");
        assert_eq!(document.title.as_deref(), Some("Lease, 2024"));
        let text = read(b"Lease\n\nThe parties", MediaType::Text, &Limits::default()).expect("it is text");
        assert_eq!(text.title.as_deref(), Some("Lease"));
    }
}
