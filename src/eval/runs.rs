//! Runs that are kept, so that a later one can be compared with them.

use std::{
    collections::HashMap,
    io::Write,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    retrieval::Measured,
    stats::{Difference, compare},
};
use crate::error::{Error, Kind, Result};

/// What a run was made with, and its figures by question.
#[derive(Serialize, Deserialize)]
pub(super) struct Run {
    pub set: String,
    pub at: String,
    pub version: String,
    pub embedder: String,
    pub scoped: bool,
    /// Steps of retrieval that were left out.
    pub without: Vec<String>,
    /// Figures by name, by question.
    pub questions: HashMap<String, HashMap<String, f64>>,
}

/// Figures in which runs are compared.
const COMPARED: [&str; 6] = ["R@1", "R@10", "MRR@10", "nDCG@10", "span@10", "document@1"];

impl Run {
    pub(super) fn add(&mut self, measured: &[Measured]) {
        for question in measured {
            self.questions.insert(question.id.clone(), question.figures.iter().cloned().collect());
        }
    }

    /// Keeps the run in the folder of runs and tells its file.
    pub(super) fn keep(&self, folder: &Path) -> Result<PathBuf> {
        let path = folder.join(format!("{}.json", self.at.replace(':', "-")));
        let write = || {
            std::fs::create_dir_all(folder)?;
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            serde_json::to_writer(&mut file, self)?;
            file.flush()?;
            file.persist(&path)?;
            Ok(())
        };
        write()
            .map_err(|error: std::io::Error| Error::io(format_args!("keep the run in {}", path.display()), &error))?;
        Ok(path)
    }

    /// The run in that file; `last` is the newest one of the folder.
    pub(super) fn load(which: &Path, folder: &Path) -> Result<Self> {
        let path = if which == Path::new("last") { newest(folder)? } else { which.to_owned() };
        let read = || Ok::<_, std::io::Error>(serde_json::from_slice(&std::fs::read(&path)?)?);
        read().map_err(|error| {
            Error::new(
                Kind::BadInput,
                "bad_run",
                format!("cannot read the run {}: {error}", path.display()),
                format!("Name a file of {}, or `last`", folder.display()),
            )
        })
    }

    /// This run less the other one, in each figure that both have.
    pub(super) fn against(&self, other: &Self) -> Vec<(&'static str, Difference)> {
        let pairs = |name: &str| -> Vec<(f64, f64)> {
            let mut ids: Vec<_> = self.questions.keys().collect();
            ids.sort();
            ids.into_iter()
                .filter_map(|id| Some((*self.questions[id].get(name)?, *other.questions.get(id)?.get(name)?)))
                .collect()
        };
        COMPARED.iter().filter_map(|name| Some((*name, compare(&pairs(name))?))).collect()
    }
}

fn newest(folder: &Path) -> Result<PathBuf> {
    let runs = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    runs.filter(|path| path.extension().is_some_and(|end| end == "json")).max().ok_or_else(|| {
        Error::new(
            Kind::NotFound,
            "no_run",
            "there is no earlier run of this set to compare with",
            "Run `premise eval` on it first",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(at: &str, value: f64) -> Run {
        Run {
            set: "s".to_owned(),
            at: at.to_owned(),
            version: String::new(),
            embedder: String::new(),
            scoped: false,
            without: Vec::new(),
            questions: (0..30).map(|id| (id.to_string(), HashMap::from([("R@10".to_owned(), value)]))).collect(),
        }
    }

    #[test]
    fn a_run_is_compared_with_the_newest_one_before_it() {
        let folder = tempfile::tempdir().expect("a folder");
        run("2026-01-01T10:00:00", 0.1).keep(folder.path()).expect("keeps");
        run("2026-01-02T10:00:00", 0.5).keep(folder.path()).expect("keeps");
        let last = Run::load(Path::new("last"), folder.path()).expect("loads");
        let differences = run("2026-01-03T10:00:00", 0.7).against(&last);
        assert_eq!(differences.len(), 1);
        assert!((differences[0].1.mean - 0.2).abs() < 1e-9 && differences[0].1.p < 0.01);
        assert!(Run::load(Path::new("nothing.json"), folder.path()).is_err());
        assert!(Run::load(Path::new("last"), &folder.path().join("none")).is_err());
    }
}
