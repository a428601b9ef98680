//! The files that a mail carries: plain names, no two the same, and not more than a mail may hold.

use std::collections::HashSet;

use crate::flow::Flow;
use crate::{Attachment, Limits, ReadError};

/// More than any mail that people sent.
const MAX_ATTACHMENTS: usize = 1000;
const MAX_NAME_CHARS: usize = 120;

pub(crate) struct Attachments {
    found: Vec<Attachment>,
    names: HashSet<String>,
    left_bytes: usize,
}

impl Attachments {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { found: Vec::new(), names: HashSet::new(), left_bytes: limits.max_bytes }
    }

    /// Adds a file under its own name, or under a number where it has none. An empty one is none.
    pub(crate) fn add(&mut self, name: Option<&str>, extension: &str, bytes: Vec<u8>) -> Result<(), ReadError> {
        if bytes.is_empty() {
            return Ok(());
        }
        Limits::check("attachments", self.found.len() + 1, MAX_ATTACHMENTS)?;
        Limits::check("bytes of attachments", bytes.len(), self.left_bytes)?;
        self.left_bytes -= bytes.len();
        let name = self.unused(&plain_name(name.unwrap_or_default(), extension, self.found.len() + 1));
        self.names.insert(name.to_lowercase());
        self.found.push(Attachment { name, bytes });
        Ok(())
    }

    /// The files; their names are told at the end of the mail, as mail programs do.
    pub(crate) fn finish(self, flow: &mut Flow) -> Vec<Attachment> {
        if !self.found.is_empty() {
            flow.part();
            let names: Vec<&str> = self.found.iter().map(|attachment| attachment.name.as_str()).collect();
            flow.push(&format!("Attachments: {}", names.join(", ")));
            flow.end_line();
        }
        self.found
    }

    fn unused(&self, name: &str) -> String {
        let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
        let mut unused = name.to_owned();
        let mut number = 2;
        while self.names.contains(&unused.to_lowercase()) {
            unused = format!("{stem} ({number}).{extension}");
            number += 1;
        }
        unused
    }
}

/// The last part of a path, without what a file system or a terminal could mistake; with an extension.
fn plain_name(name: &str, extension: &str, number: usize) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain: String = last.chars().map(|c| if c.is_control() || c == ':' { ' ' } else { c }).collect();
    let plain = plain.trim().trim_start_matches('.');
    if plain.is_empty() {
        return format!("attachment {number}.{extension}");
    }
    match plain.rsplit_once('.') {
        Some((stem, own)) if !own.is_empty() && own.len() <= 10 && !own.contains(' ') => {
            format!("{}.{own}", stem.chars().take(MAX_NAME_CHARS).collect::<String>())
        }
        _ => format!("{}.{extension}", plain.chars().take(MAX_NAME_CHARS).collect::<String>()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_no_two_the_same() {
        let mut attachments = Attachments::new(&Limits::default());
        for name in ["../../etc/passwd.txt", "C:\\x\\Lease.pdf", "lease.PDF", "", "Re: the rent", "a\u{7}b.md", ".x"] {
            attachments.add(Some(name), "eml", b"x".to_vec()).expect("there is room");
        }
        let names: Vec<_> = attachments.found.iter().map(|file| file.name.as_str()).collect();
        let expected =
            ["passwd.txt", "Lease.pdf", "lease (2).PDF", "attachment 4.eml", "Re  the rent.eml", "a b.md", "x.eml"];
        assert_eq!(names, expected);
    }
}
