//! What a file becomes: a document with pages, words and problems; and the one way in, [`read`].

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{
    Caution, Recognise, caution, docx, html, mail, odt, outlook, pdf, picture, rtf, sheets, slides, table, text,
};

/// Reads a file with nothing but limits: no passwords, and no text recognition for scans.
pub fn read(file_name: &str, bytes: &[u8], limits: &Limits) -> Result<Document, ReadError> {
    Ok(read_with_attachments(file_name, bytes, limits)?.document)
}

/// The same, with the files that the file carries: the attachments of a mail.
pub fn read_with_attachments(file_name: &str, bytes: &[u8], limits: &Limits) -> Result<Reading, ReadError> {
    read_with(file_name, bytes, &ReadOptions { limits: limits.clone(), ..ReadOptions::default() })
}

/// Reads a file: its type by the name's extension, its text page by page.
///
/// A page that cannot be read is a problem on the document, not an error.
pub fn read_with(file_name: &str, bytes: &[u8], options: &ReadOptions) -> Result<Reading, ReadError> {
    let Some(media_type) = MediaType::from_name(file_name) else {
        let extension = Path::new(file_name).extension().unwrap_or_default();
        return Err(ReadError::Unsupported { extension: extension.to_string_lossy().into_owned() });
    };
    if bytes.is_empty() {
        return Err(ReadError::Empty);
    }
    let limits = &options.limits;
    Limits::check("bytes", bytes.len(), limits.max_bytes)?;
    let document = match media_type {
        MediaType::Pdf => pdf::read(bytes, options)?,
        MediaType::Docx => docx::read(bytes, limits)?,
        MediaType::Markdown | MediaType::Text => text::read(bytes, media_type, limits)?,
        MediaType::Html => html::read(bytes, limits)?,
        MediaType::Rtf => rtf::read(bytes, limits)?,
        MediaType::Odt => odt::read(bytes, limits)?,
        MediaType::Xlsx | MediaType::Xls | MediaType::Ods => sheets::read(bytes, media_type, limits)?,
        MediaType::Csv => table::read(bytes, limits)?,
        MediaType::Pptx => slides::read(bytes, limits)?,
        MediaType::Mail => return mail::read(bytes, limits).map(looked_at),
        MediaType::OutlookMail => return outlook::read(bytes, limits).map(looked_at),
        MediaType::Picture => picture::read(bytes, options)?,
    };
    Ok(looked_at(Reading { document, attachments: Vec::new() }))
}

fn looked_at(mut reading: Reading) -> Reading {
    caution::look(&mut reading.document);
    reading
}

/// What a file holds: its own text, and files of their own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// The file's own text.
    pub document: Document,
    /// Files that it carries, each to be read as a document of its own.
    pub attachments: Vec<Attachment>,
}

/// A file within a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// Its plain name, without folders; no two of one file have the same.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// How a file is to be read.
#[derive(Clone, Default)]
pub struct ReadOptions<'a> {
    /// How much of it is read before it is refused.
    pub limits: Limits,
    /// Tried on a locked file, one after another, after the empty one.
    pub passwords: Vec<String>,
    /// Reads pages that are pictures. Without it they are problems on their document.
    pub recogniser: Option<&'a dyn Recognise>,
}

/// A file as text: pages in order, and what could not be read of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// The title that the file states or shows, if any.
    pub title: Option<String>,
    /// Who wrote it, as the file states.
    pub author: Option<String>,
    /// When it was written, as the file states: a date of ISO 8601, `2019-04-30`.
    pub written: Option<String>,
    /// What kind of file it came from.
    pub media_type: MediaType,
    /// All pages, numbered from 1 without gaps; a page without text is kept, empty.
    pub pages: Vec<Page>,
    /// What could not be read, in page order.
    pub problems: Vec<Problem>,
    /// What a reader does not see of it, and orders that it gives to programs, in page order.
    pub cautions: Vec<Caution>,
}

impl Document {
    /// Pages of which nothing else is known.
    pub(crate) fn of(media_type: MediaType, pages: Vec<Page>) -> Self {
        Self { title: None, author: None, written: None, media_type, pages, problems: Vec::new(), cautions: Vec::new() }
    }
}

/// The kinds of file that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaType {
    /// Portable Document Format with a text layer.
    Pdf,
    /// Office Open XML text document.
    Docx,
    /// Markdown, kept as it is written.
    Markdown,
    /// Plain text in any encoding.
    Text,
    /// A web page.
    Html,
    /// Rich Text Format.
    Rtf,
    /// `OpenDocument` text.
    Odt,
    /// Office Open XML workbook, also its binary form.
    Xlsx,
    /// The workbook of older versions of Excel.
    Xls,
    /// `OpenDocument` spreadsheet.
    Ods,
    /// A table as text.
    Csv,
    /// Office Open XML presentation.
    Pptx,
    /// A mail as it was sent.
    Mail,
    /// A mail as Outlook keeps it.
    OutlookMail,
    /// A picture, whose text is to be recognised.
    Picture,
}

impl MediaType {
    /// The file name extensions that can be read, in lower case, with their types.
    pub const EXTENSIONS: [(&'static str, Self); 29] = [
        ("pdf", Self::Pdf),
        ("docx", Self::Docx),
        ("docm", Self::Docx),
        ("md", Self::Markdown),
        ("markdown", Self::Markdown),
        ("txt", Self::Text),
        ("text", Self::Text),
        ("html", Self::Html),
        ("htm", Self::Html),
        ("xhtml", Self::Html),
        ("rtf", Self::Rtf),
        ("odt", Self::Odt),
        ("xlsx", Self::Xlsx),
        ("xlsm", Self::Xlsx),
        ("xlsb", Self::Xlsx),
        ("xls", Self::Xls),
        ("ods", Self::Ods),
        ("csv", Self::Csv),
        ("tsv", Self::Csv),
        ("pptx", Self::Pptx),
        ("pptm", Self::Pptx),
        ("eml", Self::Mail),
        ("msg", Self::OutlookMail),
        ("png", Self::Picture),
        ("jpg", Self::Picture),
        ("jpeg", Self::Picture),
        ("tif", Self::Picture),
        ("tiff", Self::Picture),
        ("jpe", Self::Picture),
    ];

    /// The type that a file name's extension says, in any case.
    pub fn from_name(file_name: &str) -> Option<Self> {
        let extension = Path::new(file_name).extension()?.to_str()?.to_ascii_lowercase();
        Self::EXTENSIONS.iter().find(|(known, _)| *known == extension).map(|&(_, media_type)| media_type)
    }

    /// Whether such a file carries others, which are documents of their own.
    pub fn carries_files(self) -> bool {
        matches!(self, Self::Mail | Self::OutlookMail)
    }

    /// The registered media type (IANA).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pdf => "application/pdf",
            Self::Docx => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            Self::Markdown => "text/markdown",
            Self::Text => "text/plain",
            Self::Html => "text/html",
            Self::Rtf => "application/rtf",
            Self::Odt => "application/vnd.oasis.opendocument.text",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            Self::Xls => "application/vnd.ms-excel",
            Self::Ods => "application/vnd.oasis.opendocument.spreadsheet",
            Self::Csv => "text/csv",
            Self::Pptx => "application/vnd.openxmlformats-officedocument.presentationml.presentation",
            Self::Mail => "message/rfc822",
            Self::OutlookMail => "application/vnd.ms-outlook",
            // Which one, its bytes tell.
            Self::Picture => "image/*",
        }
    }

    /// What a person calls such a file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pdf => "PDF file",
            Self::Docx => "Word document (.docx)",
            Self::Markdown => "Markdown file",
            Self::Text => "text file",
            Self::Html => "web page",
            Self::Rtf => "Rich Text file",
            Self::Odt => "OpenDocument text",
            Self::Xlsx => "Excel workbook (.xlsx)",
            Self::Xls => "Excel workbook (.xls)",
            Self::Ods => "OpenDocument spreadsheet",
            Self::Csv => "table (.csv)",
            Self::Pptx => "PowerPoint presentation (.pptx)",
            Self::Mail => "mail (.eml)",
            Self::OutlookMail => "Outlook message (.msg)",
            Self::Picture => "picture",
        }
    }
}

/// One page: its text and, for PDF, where each word stands.
///
/// Lines of a paragraph are joined by a space, other lines end in one line feed, and paragraphs
/// are a blank line apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Page {
    /// Position in the file, from 1.
    pub number: u32,
    /// The number printed on the page, where the file says so (`iv`, `A-3`).
    pub label: Option<String>,
    /// Width before rotation, in points; 0 where the format has no page size.
    pub width_pt: f32,
    /// Height before rotation, in points; 0 where the format has no page size.
    pub height_pt: f32,
    /// Degrees clockwise by which a viewer turns the page: 0, 90, 180 or 270.
    pub rotation: u16,
    /// The page's text, without blank ends.
    pub text: String,
    /// The words in text order; empty where the format has no positions.
    pub words: Vec<Word>,
    /// Whether the text was recognised in a picture of the page (OCR) and may have mistakes in it.
    pub recognised: bool,
    /// How far the text can be trusted, from 0 to 1: of a text layer, the share of its characters
    /// that the file gives as text; of a recognised page, the mean over its words.
    pub confidence: f32,
    /// The headings that the format or the layout shows as such, in text order; numbered clauses
    /// are known by their text and need not be here.
    pub headings: Vec<Heading>,
}

/// A line or two that name what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heading {
    /// First byte in [`Page::text`].
    pub start: u32,
    /// Byte after the last in [`Page::text`].
    pub end: u32,
    /// How deep it stands: 1 for the parts of a document, 2 for their parts.
    pub level: u8,
}

/// A word's place: in the page's text and on the page.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Word {
    /// First byte in [`Page::text`].
    pub start: u32,
    /// Byte after the last in [`Page::text`].
    pub end: u32,
    /// `x0, y0, x1, y1` in points from the lower left corner of the unrotated page, y upwards.
    pub bbox: [f32; 4],
}

/// Something that could not be read, for the reader of a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The page, from 1; none when it concerns the whole file.
    pub page: Option<u32>,
    /// What went wrong, lower case, without a full stop.
    pub message: String,
    /// Set when the page is a picture that nobody was there to read: worth another try when someone is.
    pub awaits_recognition: bool,
}

impl Problem {
    /// One that concerns the whole file.
    pub fn on_file(message: impl Into<String>) -> Self {
        Self { page: None, message: message.into(), awaits_recognition: false }
    }

    pub(crate) fn on_page(page: u32, message: impl Into<String>) -> Self {
        Self { page: Some(page), ..Self::on_file(message) }
    }
}

/// How much of a file is read before it is refused; the guard against decompression bombs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Limits {
    /// Largest file, in bytes.
    pub max_bytes: usize,
    /// Most pages in a file.
    pub max_pages: usize,
    /// Most bytes of one page's drawing instructions, or of one part of a docx, once unpacked.
    pub max_page_bytes: usize,
    /// Most drawing instructions on one page; the rest of the page is left out.
    pub max_page_operations: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_bytes: 256 << 20, max_pages: 10_000, max_page_bytes: 64 << 20, max_page_operations: 2_000_000 }
    }
}

impl Limits {
    pub(crate) fn check(what: &'static str, found: usize, limit: usize) -> Result<(), ReadError> {
        if found > limit {
            return Err(ReadError::TooLarge { what, found, limit });
        }
        Ok(())
    }
}

/// Why a whole file cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// No bytes, or no text in a text file.
    #[error("the file is empty")]
    Empty,
    /// An extension that no reader knows.
    #[error("files of type '.{extension}' cannot be read")]
    Unsupported {
        /// As in the name, without the dot; empty when there is none.
        extension: String,
    },
    /// The content is of another kind than the name says.
    #[error("the file is named like a {named} but is not one")]
    NotWhatItSays {
        /// What the name says.
        named: &'static str,
    },
    /// A password is needed.
    #[error("the file is locked with a password")]
    Locked,
    /// The structure is broken beyond repair.
    #[error("the file is damaged: {0}")]
    Damaged(String),
    /// Pages without any text, also where they are pictures.
    #[error("no text can be found on {}", count(*pages, "page"))]
    NoText {
        /// How many pages were looked at.
        pages: usize,
    },
    /// Pages that should have text, none of which could be read; of the first of them, why.
    #[error("nothing of it can be read: {0}")]
    NothingReadable(String),
    /// Pictures, as scanners and cameras make them, and nobody to read them.
    #[error("all of it is pictures ({}), and text recognition is not available", count(*pages, "page"))]
    NeedsRecognition {
        /// How many pages were looked at.
        pages: usize,
    },
    /// A limit of [`Limits`] is passed.
    #[error("the file is too large: {found} {what}, the limit is {limit}")]
    TooLarge {
        /// What was counted.
        what: &'static str,
        /// How many there are (at least).
        found: usize,
        /// How many are read.
        limit: usize,
    },
}

impl ReadError {
    /// What the person who gave the file can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Empty => "Check that the file was copied completely, then add it again.",
            Self::Unsupported { .. } => "Save it as PDF, .docx, .txt or .md and add that file instead.",
            Self::NotWhatItSays { .. } => "Open it in the program it came from and save it again under the right type.",
            Self::Locked => {
                "Give the password if it is a PDF (`[passwords]` in the settings, or `premise add --password-file`); \
                 of other files save a copy without one."
            }
            Self::NothingReadable(_) => "Open it and save or scan it anew; `premise doctor` looks at text recognition.",
            Self::Damaged(_) => "Get the file again from where it came, or open it and save it anew as PDF.",
            Self::NoText { .. } => {
                "Look whether it shows any text at all; if it does, scan it again, darker or sharper."
            }
            Self::NeedsRecognition { .. } => {
                "Install Tesseract (on Debian and Ubuntu: apt install tesseract-ocr); then it is read by itself."
            }
            Self::TooLarge { .. } => "Split the file into smaller ones and add those.",
        }
    }
}

fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}
