//! What a file states about itself: title, author, date, from its properties or their XML form
//! (ISO 32000-1, 14.3), and the outline that names its parts.

use lopdf::{Dictionary, Document, Object};

use super::objects::{dictionary, entry, text_string};

const MAX_XMP_BYTES: usize = 1 << 20;

/// The title in the file's properties, unless a program filled it in.
pub(super) fn title(file: &Document) -> Option<String> {
    stated(file, b"Title", "dc:title").as_deref().and_then(meaningful_title)
}

/// Who wrote it.
pub(super) fn author(file: &Document) -> Option<String> {
    let author = stated(file, b"Author", "dc:creator")?;
    let letters = author.chars().filter(|c| c.is_alphabetic()).count();
    let account = ["user", "admin", "administrator", "owner", "root", "unknown", "anonymous", "(unspecified)"];
    (letters >= 2 && !account.contains(&&*author.to_lowercase())).then_some(author)
}

/// When it was written, as `2019-04-30`.
pub(super) fn written(file: &Document) -> Option<String> {
    let stated = stated(file, b"CreationDate", "xmp:CreateDate")?;
    let digits: String = stated.trim_start_matches("D:").chars().filter(char::is_ascii_digit).take(8).collect();
    let part = |range: std::ops::Range<usize>| digits.get(range)?.parse::<u32>().ok();
    let (year, month, day) = (part(0..4)?, part(4..6).unwrap_or(1), part(6..8).unwrap_or(1));
    let plausible = (1970..=2200).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    plausible.then(|| format!("{year:04}-{month:02}-{day:02}"))
}

fn stated(file: &Document, key: &[u8], element: &str) -> Option<String> {
    let info = dictionary(file, &file.trailer, b"Info");
    info.and_then(|info| text_string(entry(file, info, key)?)).or_else(|| xmp_element(file, element))
}

/// The text of an element of the XML properties, or of the first item of a list in it.
fn xmp_element(file: &Document, element: &str) -> Option<String> {
    let catalog: &Dictionary = file.catalog().ok()?;
    let Object::Stream(stream) = entry(file, catalog, b"Metadata")? else {
        return None;
    };
    let bytes = stream.get_plain_content_with_limit(MAX_XMP_BYTES).ok()?;
    let xml = String::from_utf8_lossy(&bytes);
    let mut reader = quick_xml::Reader::from_str(&xml);
    let (mut inside, mut text) = (false, String::new());
    loop {
        match reader.read_event().ok()? {
            quick_xml::events::Event::Start(start) => inside |= start.name().as_ref() == element,
            quick_xml::events::Event::End(end)
                if inside && (end.name().as_ref() == element || !text.trim().is_empty()) =>
            {
                break;
            }
            quick_xml::events::Event::Text(part) if inside => text.push_str(part.as_ref()),
            quick_xml::events::Event::GeneralRef(reference) if inside => {
                text.push_str(match reference.as_ref() {
                    "amp" => "&",
                    "lt" => "<",
                    "gt" => ">",
                    "quot" => "\"",
                    "apos" => "'",
                    _ => " ",
                });
            }
            quick_xml::events::Event::Eof => return None,
            _ => {}
        }
    }
    let mut clean = String::new();
    crate::clean::push_clean(&mut clean, &text);
    let line = clean.split_whitespace().collect::<Vec<_>>().join(" ");
    (!line.is_empty()).then_some(line)
}

fn meaningful_title(title: &str) -> Option<String> {
    let title = title.strip_prefix("Microsoft Word - ").unwrap_or(title).trim();
    let letters = title.chars().filter(|c| c.is_alphabetic()).count();
    let lower = title.to_lowercase();
    let is_file_name =
        [".doc", ".docx", ".pdf", ".htm", ".html", ".rtf", ".txt", ".wpd", ".xls", ".indd", ".qxd", ".dvi", ".tex"]
            .iter()
            .any(|extension| lower.ends_with(extension))
            || !title.contains(' ') && title.contains(['_', '/', '\\']);
    let placeholder = ["untitled", "document", "title", "layout 1", "print", "slide 1"]
        .iter()
        .any(|name| lower.starts_with(name) && lower.len() <= name.len() + 3);
    (letters >= 4 && !is_file_name && !placeholder).then(|| title.to_owned())
}
