//! The zip files that office documents are: their parts as text, with every bomb refused. Only this file and the
//! fuzz targets name zip.

use std::io::{Cursor, Read};

use zip::ZipArchive;
use zip::result::ZipError;

use crate::text::decode;
use crate::xml::{Piece, walk};
use crate::{Limits, MediaType, ReadError};

/// How OLE containers begin: the old formats of Office, and the envelopes of locked files.
pub(crate) const OLE: [u8; 8] = [0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1];

/// More parts than any office document has.
const MAX_PARTS: usize = 100_000;

/// An office document's parts.
pub(crate) struct Archive<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    limits: Limits,
    /// What may still be unpacked.
    left_bytes: usize,
}

impl<'a> Archive<'a> {
    pub(crate) fn open(bytes: &'a [u8], media_type: MediaType, limits: &Limits) -> Result<Self, ReadError> {
        // A new format with a password is no zip but an OLE container.
        if bytes.starts_with(&OLE[..4]) {
            return Err(ReadError::Locked);
        }
        if !bytes.starts_with(b"PK") {
            return Err(ReadError::NotWhatItSays { named: media_type.name() });
        }
        let zip = ZipArchive::new(Cursor::new(bytes)).map_err(|error| ReadError::Damaged(error.to_string()))?;
        Limits::check("parts", zip.len(), MAX_PARTS)?;
        Ok(Self { zip, limits: limits.clone(), left_bytes: limits.max_bytes })
    }

    /// For readers that unpack by themselves: an error if the parts say that they unpack to more than a file may hold.
    pub(crate) fn check_declared(&self) -> Result<(), ReadError> {
        let declared = self.zip.decompressed_size().unwrap_or_default();
        Limits::check("bytes unpacked", usize::try_from(declared).unwrap_or(usize::MAX), self.limits.max_bytes)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.zip.index_for_name(name).is_some()
    }

    /// A part as text, or nothing when there is none of that name. What it really unpacks to is limited, whatever it
    /// declares.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, ReadError> {
        let damaged = |error: String| ReadError::Damaged(format!("{name}: {error}"));
        let part = match self.zip.by_name(name) {
            Ok(part) => part,
            Err(ZipError::FileNotFound) => return Ok(None),
            Err(ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED)) => return Err(ReadError::Locked),
            Err(error) => return Err(damaged(error.to_string())),
        };
        let most = self.limits.max_page_bytes.min(self.left_bytes);
        let mut bytes = Vec::new();
        part.take(most as u64 + 1).read_to_end(&mut bytes).map_err(|error| damaged(error.to_string()))?;
        Limits::check("bytes unpacked", bytes.len(), most)?;
        self.left_bytes -= bytes.len();
        Ok(Some(decode(&bytes).0))
    }

    /// Where a part's links lead: identifier and target, as a part of this package (ECMA-376-2, 8.3).
    pub(crate) fn links(&mut self, part: &str) -> Result<Vec<(String, String)>, ReadError> {
        let (folder, name) = part.rsplit_once('/').unwrap_or(("", part));
        let rels = format!("{folder}/_rels/{name}.rels");
        let Some(xml) = self.text(&rels)? else { return Ok(Vec::new()) };
        let mut links = Vec::new();
        walk(&rels, &xml, |piece| {
            if let Piece::Start("Relationship", element) = piece
                && let (Some(id), Some(target)) = (element.attribute("Id"), element.attribute("Target"))
            {
                links.push((id, resolve(folder, &target)));
            }
            Ok(())
        })?;
        Ok(links)
    }
}

/// A link's target seen from its folder.
fn resolve(folder: &str, target: &str) -> String {
    if let Some(absolute) = target.strip_prefix('/') {
        return absolute.to_owned();
    }
    let mut parts: Vec<&str> = folder.split('/').collect();
    for part in target.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_from_their_folder() {
        assert_eq!(resolve("ppt", "slides/slide1.xml"), "ppt/slides/slide1.xml");
        assert_eq!(resolve("ppt/slides", "../notesSlides/n1.xml"), "ppt/notesSlides/n1.xml");
        assert_eq!(resolve("ppt", "/ppt/slides/s.xml"), "ppt/slides/s.xml");
    }
}
