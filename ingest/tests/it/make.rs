//! Makes small files and a small tokenizer.

use std::io::{Cursor, Write};

use lopdf::{Dictionary, Document, Object, ObjectId, Stream, dictionary};
use premise_ingest::TokenCounter;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// A PDF in the making: pages are drawing instructions with Helvetica as `/F1`.
pub(crate) struct Pdf {
    pub(crate) document: Document,
    pages: ObjectId,
    kids: Vec<Object>,
    pub(crate) fonts: Dictionary,
    pub(crate) objects: Dictionary,
}

impl Pdf {
    pub(crate) fn new() -> Self {
        let mut document = Document::with_version("1.7");
        let pages = document.new_object_id();
        let helvetica = document.add_object(dictionary! {
            "Type" => "Font", "Subtype" => "Type1", "BaseFont" => "Helvetica", "Encoding" => "WinAnsiEncoding",
        });
        let catalog = document.add_object(dictionary! { "Type" => "Catalog", "Pages" => pages });
        document.trailer.set("Root", catalog);
        Self { document, pages, kids: Vec::new(), fonts: dictionary! { "F1" => helvetica }, objects: Dictionary::new() }
    }

    /// A letter page that shows each line of text, 14 points apart from the top.
    pub(crate) fn lines(self, lines: &[&str]) -> Self {
        let shown: Vec<String> = lines.iter().map(|line| format!("({line}) Tj T*")).collect();
        self.page(&format!("BT /F1 12 Tf 14 TL 72 720 Td {} ET", shown.join("\n")))
    }

    pub(crate) fn page(self, content: &str) -> Self {
        self.page_with(content, &Dictionary::new())
    }

    pub(crate) fn page_with(mut self, content: &str, entries: &Dictionary) -> Self {
        let content = Stream::new(Dictionary::new(), content.as_bytes().to_vec());
        let content = self.document.add_object(content);
        let mut page = dictionary! {
            "Type" => "Page", "Parent" => self.pages, "Contents" => content,
            "MediaBox" => vec![0.into(), 0.into(), 612.into(), 792.into()],
        };
        page.extend(entries);
        self.kids.push(self.document.add_object(page).into());
        self
    }

    /// The finished document, still open to change.
    pub(crate) fn finish(mut self) -> Document {
        let pages = dictionary! {
            "Type" => "Pages", "Count" => self.kids.len() as i64, "Kids" => self.kids,
            "Resources" => dictionary! { "Font" => self.fonts, "XObject" => self.objects },
        };
        self.document.objects.insert(self.pages, pages.into());
        self.document
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        save(self.finish())
    }
}

pub(crate) fn save(mut document: Document) -> Vec<u8> {
    let mut bytes = Vec::new();
    document.save_to(&mut bytes).unwrap();
    bytes
}

/// A Word file with this body and nothing else.
pub(crate) fn docx(body: &str) -> Vec<u8> {
    let xml = format!("<?xml version=\"1.0\"?><w:document xmlns:w=\"w\"><w:body>{body}</w:body></w:document>");
    zip(&[("word/document.xml", xml.as_bytes())])
}

pub(crate) fn zip(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in parts {
        archive.start_file(*name, SimpleFileOptions::default()).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// A tokenizer built like `BERT`'s, in whose vocabulary are single letters and digits only, so
/// that a word has as many tokens as letters; it also truncates and pads at 8, as shipped ones do.
pub(crate) fn letter_counter() -> TokenCounter {
    let mut vocabulary = serde_json::Map::new();
    vocabulary.insert("[UNK]".into(), 0.into());
    for character in ('a'..='z').chain('0'..='9') {
        for token in [character.to_string(), format!("##{character}")] {
            vocabulary.insert(token, vocabulary.len().into());
        }
    }
    let tokenizer = serde_json::json!({
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0},
        "padding": {"strategy": {"Fixed": 8}, "direction": "Right", "pad_to_multiple_of": null,
            "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"},
        "added_tokens": [],
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": null, "decoder": null,
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocabulary},
    });
    TokenCounter::from_bytes(tokenizer.to_string().as_bytes()).unwrap()
}
