//! Outlook's messages: an OLE container whose streams are named by property ([MS-OXMSG]). Only this file names cfb.

use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use cfb::CompoundFile;
use encoding_rs::{Encoding, UTF_16LE, WINDOWS_1252};

use crate::attachments::Attachments;
use crate::flow::Flow;
use crate::mail::{Head, date_of_headers, date_of_seconds, plain};
use crate::{Limits, MediaType, ReadError, Reading, html, lzfu, rtf};

/// Property numbers ([MS-OXPROPS]).
const SUBJECT: u16 = 0x0037;
const HEADERS: u16 = 0x007d;
const SENDER_NAME: u16 = 0x0c1a;
const SENDER_ADDRESS: u16 = 0x5d01;
const TO: u16 = 0x0e04;
const CC: u16 = 0x0e03;
const BODY: u16 = 0x1000;
const BODY_RTF: u16 = 0x1009;
const BODY_HTML: u16 = 0x1013;
const ATTACHED_DATA: u16 = 0x3701;
const ATTACHED_NAME: u16 = 0x3707;
const ATTACHED_SHORT_NAME: u16 = 0x3704;
const ATTACHED_TITLE: u16 = 0x3001;
const SENT: u32 = 0x0039_0040;
const DELIVERED: u32 = 0x0e06_0040;

/// Times count from 1601.
const TICKS_PER_SECOND: i64 = 10_000_000;
const SECONDS_TO_1970: i64 = 11_644_473_600;
/// The end of the year 9999.
const LAST_SECOND: i64 = 253_402_300_799;

/// A mail within a mail within a mail.
const MAX_DEPTH: usize = 8;

pub(crate) fn read(bytes: &[u8], limits: &Limits) -> Result<Reading, ReadError> {
    let not_one = || ReadError::NotWhatItSays { named: MediaType::OutlookMail.name() };
    if !bytes.starts_with(&crate::archive::OLE) {
        return Err(not_one());
    }
    let file = CompoundFile::open(Cursor::new(bytes)).map_err(|error| ReadError::Damaged(error.to_string()))?;
    let mut file = Message { file, limits, left_bytes: limits.max_bytes };
    let root = Path::new("/");
    let mut flow = Flow::default();
    let head = file.head(root)?;
    if head.subject.is_none() && head.from.is_empty() && head.to.is_empty() && !file.has(root, BODY) {
        return Err(not_one());
    }
    head.flow_into(&mut flow);
    file.body(root, &mut flow)?;
    let mut attachments = Attachments::new(limits);
    file.attachments(root, &mut flow, &mut attachments, 0)?;
    let attachments = attachments.finish(&mut flow);
    let document = head.apply(flow.document(MediaType::OutlookMail, limits)?);
    Ok(Reading { document, attachments })
}

struct Message<'a> {
    file: CompoundFile<Cursor<&'a [u8]>>,
    limits: &'a Limits,
    /// What may still be read: streams may overlap, and be far more together than the file.
    left_bytes: usize,
}

impl Message<'_> {
    fn head(&mut self, folder: &Path) -> Result<Head, ReadError> {
        let name = self.text(folder, SENDER_NAME)?.unwrap_or_default();
        let address = self.text(folder, SENDER_ADDRESS)?.unwrap_or_default();
        let from = match (name.as_str(), address.as_str()) {
            (name, "") => name.to_owned(),
            ("", address) => address.to_owned(),
            (name, address) if name == address => name.to_owned(),
            (name, address) => format!("{name} <{address}>"),
        };
        Ok(Head {
            subject: self.text(folder, SUBJECT)?,
            from,
            to: self.text(folder, TO)?.unwrap_or_default(),
            cc: self.text(folder, CC)?.unwrap_or_default(),
            date: self.date(folder)?,
        })
    }

    /// As a web page if there is one, else as plain text, else as RTF.
    fn body(&mut self, folder: &Path, flow: &mut Flow) -> Result<(), ReadError> {
        if let Some(page) = self.stream(&property(folder, BODY_HTML, "0102"))? {
            html::flow_into(flow, &html::decoded(&page), self.limits)?;
        } else if let Some(page) = self.text(folder, BODY_HTML)? {
            html::flow_into(flow, &page, self.limits)?;
        } else if let Some(text) = self.text(folder, BODY)? {
            plain(flow, &text, self.limits)?;
        } else if let Some(packed) = self.stream(&property(folder, BODY_RTF, "0102"))? {
            rtf::flow_into(flow, &lzfu::unpack(&packed, self.limits)?, self.limits)?;
        }
        flow.end_paragraph();
        Ok(())
    }

    /// Files are attachments; a message within the message is told after it, since it has no bytes of its own.
    fn attachments(
        &mut self,
        folder: &Path,
        flow: &mut Flow,
        attachments: &mut Attachments,
        depth: usize,
    ) -> Result<(), ReadError> {
        Limits::check("mails within each other", depth, MAX_DEPTH)?;
        let Ok(entries) = self.file.read_storage(folder) else { return Ok(()) };
        let attached: Vec<PathBuf> = entries
            .filter(|entry| entry.is_storage() && entry.name().starts_with("__attach_version1.0_"))
            .map(|entry| folder.join(entry.name()))
            .collect();
        for attached in attached {
            let names = [ATTACHED_NAME, ATTACHED_SHORT_NAME, ATTACHED_TITLE];
            let mut name = None;
            for number in names {
                if name.is_none() {
                    name = self.text(&attached, number)?;
                }
            }
            if let Some(bytes) = self.stream(&property(&attached, ATTACHED_DATA, "0102"))? {
                attachments.add(name.as_deref(), "bin", bytes)?;
                continue;
            }
            let nested = property(&attached, ATTACHED_DATA, "000D");
            if self.file.is_storage(&nested) {
                flow.end_counted_page();
                self.head(&nested)?.flow_into(flow);
                self.body(&nested, flow)?;
                self.attachments(&nested, flow, attachments, depth + 1)?;
            }
        }
        Ok(())
    }

    fn has(&self, folder: &Path, number: u16) -> bool {
        ["001F", "001E", "0102"].iter().any(|kind| self.file.is_stream(property(folder, number, kind)))
    }

    /// A text property: UTF-16, or in an 8-bit code page that is not told reliably.
    fn text(&mut self, folder: &Path, number: u16) -> Result<Option<String>, ReadError> {
        let wide = self.stream(&property(folder, number, "001F"))?.map(|bytes| (bytes, UTF_16LE));
        let text = match wide {
            Some(wide) => Some(wide),
            None => self.stream(&property(folder, number, "001E"))?.map(|bytes| {
                let is_utf8 = std::str::from_utf8(&bytes).is_ok();
                let encoding: &'static Encoding = if is_utf8 { encoding_rs::UTF_8 } else { WINDOWS_1252 };
                (bytes, encoding)
            }),
        };
        Ok(text
            .map(|(bytes, encoding)| encoding.decode_without_bom_handling(&bytes).0.trim_end_matches('\0').to_owned())
            .filter(|text| !text.trim().is_empty()))
    }

    fn stream(&mut self, path: &Path) -> Result<Option<Vec<u8>>, ReadError> {
        if !self.file.is_stream(path) {
            return Ok(None);
        }
        let damaged = |error: std::io::Error| ReadError::Damaged(error.to_string());
        let stream = self.file.open_stream(path).map_err(damaged)?;
        let mut bytes = Vec::new();
        stream.take(self.left_bytes as u64 + 1).read_to_end(&mut bytes).map_err(damaged)?;
        Limits::check("bytes of mail", bytes.len(), self.left_bytes)?;
        self.left_bytes -= bytes.len();
        Ok(Some(bytes))
    }

    /// When it was sent, from the properties of fixed size: 16 bytes each, the first 4 say which.
    fn date(&mut self, folder: &Path) -> Result<Option<(String, String)>, ReadError> {
        let properties = self.stream(&folder.join("__properties_version1.0"))?.unwrap_or_default();
        let of = |tag: u32| {
            // The head before them has 32, 24 or 8 bytes, all of them multiples of 8.
            (0..properties.len().saturating_sub(15)).step_by(8).find_map(|at| {
                let entry = &properties[at..at + 16];
                let value = u64::from_le_bytes(entry[8..].try_into().ok()?);
                (entry[..4] == tag.to_le_bytes() && value > 0).then_some(value)
            })
        };
        let seconds = of(SENT).or_else(|| of(DELIVERED)).map(|ticks| ticks as i64 / TICKS_PER_SECOND - SECONDS_TO_1970);
        let stated = seconds.filter(|seconds| (0..=LAST_SECOND).contains(seconds)).map(date_of_seconds);
        if stated.is_some() {
            return Ok(stated);
        }
        let headers = self.text(folder, HEADERS)?.unwrap_or_default();
        Ok(date_of_headers(&headers))
    }
}

/// The stream of a property: its number, then its type.
fn property(folder: &Path, number: u16, kind: &str) -> PathBuf {
    folder.join(format!("__substg1.0_{number:04X}{kind}"))
}
