//! An evaluation set: questions with the pages that hold their answers.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::bad_set;
use crate::{error::Result, library::Turn};

pub(crate) struct EvalSet {
    pub name: String,
    pub docs: PathBuf,
    /// The text of each page, for checking quotes.
    pub pages: PathBuf,
    pub queries: Vec<Query>,
}

/// A question with what is known about it. Only the question, and in a scoped run the scope, reach the system.
#[derive(Debug, Deserialize)]
pub(crate) struct Query {
    pub id: String,
    pub question: String,
    pub answerable: bool,
    #[serde(default)]
    pub evidence: Vec<Evidence>,
    #[serde(default)]
    pub relevant_docs: Vec<String>,
    #[serde(default)]
    pub scope: Option<Vec<String>>,
    #[serde(default)]
    pub answer_type: String,
    /// Right answers.
    #[serde(default)]
    pub answers: Vec<String>,
    /// For a question that cannot be answered: a plain "No" is as good as a refusal.
    #[serde(default)]
    pub accept_no: bool,
    /// What was asked before, for follow-up questions.
    #[serde(default)]
    pub conversation: Vec<Turn>,
}

impl Query {
    /// The kind of question that figures are broken down by.
    pub(super) fn kind(&self) -> String {
        if !self.answerable {
            return "unanswerable".to_owned();
        }
        if self.answer_type.is_empty() { "answerable".to_owned() } else { self.answer_type.clone() }
    }

    /// The pages that hold the answer; for sets judged by document, page 1 of each right one.
    pub(super) fn right_pages(&self) -> HashSet<(&str, u32)> {
        if !self.relevant_docs.is_empty() {
            return self.relevant_docs.iter().map(|file| (file.as_str(), 1)).collect();
        }
        self.evidence
            .iter()
            .flat_map(|evidence| evidence.pages.iter().map(|page| (evidence.file.as_str(), *page)))
            .collect()
    }

    /// The files that hold the answer.
    pub(super) fn right_files(&self) -> HashSet<&str> {
        let evidence = self.evidence.iter().map(|evidence| evidence.file.as_str());
        evidence.chain(self.relevant_docs.iter().map(String::as_str)).collect()
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Evidence {
    pub file: String,
    pub pages: Vec<u32>,
    #[serde(default)]
    pub text: Option<String>,
}

impl EvalSet {
    pub(crate) fn load(folder: &Path) -> Result<Self> {
        let path = folder.join("queries.jsonl");
        let text = std::fs::read_to_string(&path).map_err(|error| bad_set(&path, error))?;
        let queries = text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty())
            .map(|(at, line)| {
                serde_json::from_str(line).map_err(|error| bad_set(&path, format_args!("line {}: {error}", at + 1)))
            })
            .collect::<Result<_>>()?;
        let name = folder.canonicalize().ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
        Ok(Self {
            name: name.unwrap_or_else(|| "set".to_owned()),
            docs: folder.join("docs"),
            pages: folder.join("pages.jsonl"),
            queries,
        })
    }
}
