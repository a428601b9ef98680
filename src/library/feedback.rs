//! Feedback: what a person thought of an answer, kept in the ledger when they say so; and all of it as an evaluation set,
//! so that it can be measured whether the next version does better on the office's own questions.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::Path,
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Library, Quote};
use crate::{
    db::FeedbackRow,
    error::{Error, Kind, Result},
    store::DocumentId,
};

/// What a person thought of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Opinion {
    /// It is right and of use.
    Helpful,
    /// It is not.
    NotHelpful,
    /// A quote of it does not support what it is cited for.
    WrongCitation,
}

impl Opinion {
    /// The word that the ledger and the service use for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Helpful => "helpful",
            Self::NotHelpful => "not_helpful",
            Self::WrongCitation => "wrong_citation",
        }
    }
}

/// An opinion with the answer that it is about.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Judgement {
    /// The answer's identity.
    pub answer_id: Uuid,
    /// When the opinion was given.
    pub at: DateTime<Utc>,
    /// The opinion.
    pub opinion: Opinion,
    /// What was asked, as it was understood.
    pub question: String,
    /// The files that the question was narrowed to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Vec<String>>,
    /// The collections that it was narrowed to, in which those files are meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collections: Option<Vec<String>>,
    /// What was answered.
    pub answer: String,
    /// Whether it was refused.
    pub refused: bool,
    /// What was quoted.
    pub citations: Vec<Quote>,
    /// The model that wrote it.
    pub model: String,
}

/// What an export wrote.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Export {
    /// Questions whose answer is known.
    pub questions: usize,
    /// Questions that a person has to settle first.
    pub unsettled: usize,
    /// Files that were copied.
    pub files: usize,
    /// Questions left out because a file that they quote has changed or is gone.
    pub left_out: usize,
}

impl Library {
    /// Keeps what a person thought of a late answer, in place of what they said before. Blocks.
    pub fn judge_given(&self, answer: Uuid, opinion: Opinion) -> Result<()> {
        let given = self.given(answer)?;
        let told = &given.answer;
        let judgement = Judgement {
            answer_id: answer,
            at: Utc::now(),
            opinion,
            question: told.understood.clone().unwrap_or_else(|| told.question.clone()),
            scope: given.scope.clone(),
            collections: given.collections.clone(),
            answer: told.answer.clone(),
            refused: told.refused,
            citations: told.citations.clone(),
            model: told.model.clone(),
        };
        self.db.put_feedback(&FeedbackRow {
            answer,
            at: judgement.at,
            opinion: opinion.as_str().to_owned(),
            record: serde_json::to_string(&judgement).map_err(Error::internal)?,
        })?;
        Ok(())
    }

    /// All opinions, the oldest first. Blocks.
    pub fn feedback(&self) -> Result<Vec<Judgement>> {
        let rows = self.db.feedback()?;
        Ok(rows.iter().filter_map(|row| serde_json::from_str(&row.record).ok()).collect())
    }

    /// Drops the opinion on an answer, or all of them. How many there were. Blocks.
    pub fn drop_feedback(&self, answer: Option<Uuid>) -> Result<usize> {
        Ok(self.db.drop_feedback(answer)?)
    }

    /// Writes the opinions as an evaluation set into a new folder (docs/evaluation.md): an answer marked as helpful says
    /// which pages answer its question, a refusal marked as helpful that none does. Of the others nobody has said what
    /// is right; they go into `unsettled.jsonl`. Blocks.
    pub fn export_feedback(&self, folder: &Path) -> Result<Export> {
        let failed = |error: std::io::Error| Error::io(format_args!("write into {}", folder.display()), &error);
        let docs = folder.join("docs");
        if docs.exists() || folder.join("queries.jsonl").exists() {
            return Err(Error::new(
                Kind::BadInput,
                "folder_in_use",
                format!("{} holds an evaluation set already", folder.display()),
                "Name a folder that is not there yet",
            ));
        }
        fs::create_dir_all(&docs).map_err(failed)?;
        let mut files = Files { docs: &docs, names: BTreeMap::new(), taken: HashSet::new() };
        let mut export = Export { questions: 0, unsettled: 0, files: 0, left_out: 0 };
        let (mut queries, mut unsettled) = (String::new(), String::new());
        for judgement in self.feedback()? {
            let Ok(query) = self.query(&judgement, &mut files) else {
                export.left_out += 1;
                continue;
            };
            let (lines, count) = match judgement.opinion {
                Opinion::Helpful => (&mut queries, &mut export.questions),
                Opinion::NotHelpful | Opinion::WrongCitation => (&mut unsettled, &mut export.unsettled),
            };
            *count += 1;
            lines.push_str(&query.to_string());
            lines.push('\n');
        }
        let mut pages = String::new();
        for (id, name) in &files.names {
            for number in 1..=self.document(*id)?.pages {
                let page = self.page(*id, number)?;
                pages.push_str(&json!({ "file": name, "page": number, "text": page.text }).to_string());
                pages.push('\n');
            }
        }
        export.files = files.names.len();
        fs::write(folder.join("queries.jsonl"), queries).map_err(failed)?;
        fs::write(folder.join("pages.jsonl"), pages).map_err(failed)?;
        if !unsettled.is_empty() {
            fs::write(folder.join("unsettled.jsonl"), unsettled).map_err(failed)?;
        }
        Ok(export)
    }

    /// A line of the set; an error when a file that it needs cannot be had.
    fn query(&self, judgement: &Judgement, files: &mut Files) -> Result<Value> {
        let mut evidence = Vec::new();
        for quote in &judgement.citations {
            let page = self.page(quote.document, quote.page)?;
            if page.text.get(quote.start as usize..quote.end as usize) != Some(quote.quote.as_str()) {
                return Err(Error::internal("the page has another text now"));
            }
            let file = files.copy(self, quote.document)?;
            evidence.push(json!({ "file": file, "pages": [quote.page], "text": quote.quote }));
        }
        let mut scope = Vec::new();
        if let Some(names) = &judgement.scope
            && let Some(within) = self.scope_of(judgement.collections.as_deref())?
        {
            for (_, ids) in self.db.documents_named(&within, names)? {
                for id in ids {
                    scope.push(files.copy(self, id)?);
                }
            }
        }
        let mut query = json!({
            "id": judgement.answer_id,
            "question": judgement.question,
            "answerable": !judgement.refused,
            "evidence": evidence,
            "scope": judgement.scope.as_ref().map(|_| scope),
            "answers": if judgement.refused { vec![] } else { vec![without_marks(&judgement.answer)] },
        });
        if judgement.opinion != Opinion::Helpful {
            query["opinion"] = judgement.opinion.as_str().into();
        }
        Ok(query)
    }
}

/// The originals that a set needs, each under a name of its own.
struct Files<'a> {
    docs: &'a Path,
    names: BTreeMap<DocumentId, String>,
    taken: HashSet<String>,
}

impl Files<'_> {
    fn copy(&mut self, library: &Library, id: DocumentId) -> Result<String> {
        if let Some(name) = self.names.get(&id) {
            return Ok(name.clone());
        }
        let (path, document) = library.original(id)?;
        let name = self.free_name(document.file.rsplit('/').next().unwrap_or(&document.file));
        fs::copy(path, self.docs.join(&name))
            .map_err(|error| Error::io(format_args!("copy {} into the set", document.file), &error))?;
        self.taken.insert(name.to_lowercase());
        self.names.insert(id, name.clone());
        Ok(name)
    }

    fn free_name(&self, name: &str) -> String {
        let (stem, extension) = name.rsplit_once('.').unwrap_or((name, "txt"));
        let numbered = (2..).map(|number| format!("{stem} ({number}).{extension}"));
        let mut names = std::iter::once(name.to_owned()).chain(numbered);
        names.find(|name| !self.taken.contains(&name.to_lowercase())).unwrap_or_else(|| name.to_owned())
    }
}

/// An answer without its marks such as `[2]`.
fn without_marks(answer: &str) -> String {
    let mut plain = String::new();
    let mut rest = answer;
    while let Some((before, after)) = rest.split_once('[') {
        match after.split_once(']') {
            Some((mark, more)) if !mark.is_empty() && mark.bytes().all(|c| c.is_ascii_digit()) => {
                plain.push_str(before.trim_end_matches(' '));
                rest = more;
            }
            _ => {
                plain.push_str(before);
                plain.push('[');
                rest = after;
            }
        }
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_go_and_other_brackets_stay() {
        assert_eq!(without_marks("It is [sic] 5. [1] [2] Yes [3]"), "It is [sic] 5. Yes");
    }
}
