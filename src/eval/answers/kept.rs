//! Answers that are kept as they come, a question a line, so that a run that was broken off goes on where it stopped.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::error::{Error, Result};

/// A file of answers that were all given under the same settings.
pub(super) struct Kept {
    path: PathBuf,
    file: File,
    lines: HashMap<String, Value>,
}

impl Kept {
    /// The answers given before under these settings; the file's name tells them apart. `fresh` begins anew.
    pub(super) fn open(folder: &Path, stage: &str, settings: &Value, fresh: bool) -> Result<Self> {
        let text = settings.to_string();
        let key = premise_ingest::hash_bytes(text.as_bytes());
        let path = folder.join(format!("{stage}-{}.jsonl", &key[..12]));
        let open = || {
            std::fs::create_dir_all(folder)?;
            let old = if fresh { String::new() } else { std::fs::read_to_string(&path).unwrap_or_default() };
            // A line that a crash cut off is asked again.
            let lines: HashMap<String, Value> = old
                .lines()
                .filter_map(|line| serde_json::from_str::<Value>(line).ok())
                .filter_map(|line| Some((line["id"].as_str()?.to_owned(), line)))
                .collect();
            let mut file = OpenOptions::new().create(true).write(true).truncate(true).open(&path)?;
            writeln!(file, "{}", serde_json::json!({ "settings": settings }))?;
            for line in lines.values() {
                writeln!(file, "{line}")?;
            }
            Ok((file, lines))
        };
        let (file, lines) = open().map_err(|error: std::io::Error| failed(&path, &error))?;
        Ok(Self { path, file, lines })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn get(&self, id: &str) -> Option<&Value> {
        self.lines.get(id)
    }

    pub(super) fn add(&mut self, id: &str, line: Value) -> Result<()> {
        writeln!(self.file, "{line}").and_then(|()| self.file.flush()).map_err(|error| failed(&self.path, &error))?;
        self.lines.insert(id.to_owned(), line);
        Ok(())
    }
}

fn failed(path: &Path, error: &std::io::Error) -> Error {
    Error::io(format_args!("keep answers in {}", path.display()), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_goes_on_where_it_stopped_and_other_settings_begin_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = serde_json::json!({ "generator": "a" });
        let open = |settings: &Value, fresh| Kept::open(folder.path(), "answer", settings, fresh).expect("opens");
        let mut kept = open(&settings, false);
        kept.add("q1", serde_json::json!({ "id": "q1", "answer": "Yes." })).expect("is written");
        let path = kept.path().to_owned();
        drop(kept);
        let mut text = std::fs::read_to_string(&path).expect("is there");
        text.push_str("{\"id\": \"q2\", \"ans");
        std::fs::write(&path, text).expect("is written");
        let kept = open(&settings, false);
        assert_eq!(kept.get("q1").expect("was kept")["answer"], "Yes.");
        assert!(kept.get("q2").is_none());
        assert!(open(&serde_json::json!({ "generator": "b" }), false).get("q1").is_none());
        assert!(open(&settings, true).get("q1").is_none());
    }
}
