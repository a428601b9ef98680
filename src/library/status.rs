//! What there is and what is going on.

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::{Cautioned, Library, Progress, SyncReport};
use crate::{
    db::{Failure, PartlyRead},
    error::Result,
};

/// Files that the status names; the list of files has them all.
const MOST_CAUTIONED: u32 = 100;

/// How the library stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// The program's version.
    pub version: String,
    /// Documents that can be searched.
    pub documents: u64,
    /// Their pages.
    pub pages: u64,
    /// Their chunks.
    pub chunks: u64,
    /// The model that writes answers.
    pub model: String,
    /// Why it cannot be used, if it cannot.
    pub model_problem: Option<String>,
    /// The embedder.
    pub embedder: String,
    /// Where vectors are kept.
    pub store: String,
    /// Who recognises the text of pictures, or why nobody does.
    #[serde(default)]
    pub recognition: String,
    /// Files that could not be read.
    pub failed: Vec<Failure>,
    /// Files to be careful with, 100 at most.
    #[serde(default)]
    pub cautioned: Vec<Cautioned>,
    /// Files with pictures that nobody was there to read.
    #[serde(default)]
    pub partly: Vec<PartlyRead>,
    /// The last sync.
    pub last_sync: Option<SyncReport>,
    /// When the next one is due, by the settings.
    pub next_sync: Option<chrono::DateTime<chrono::Local>>,
    /// What is being read right now.
    pub running: Option<Running>,
}

/// An ingest that is under way.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Running {
    /// What is being done.
    pub what: String,
    /// Files done.
    pub done: usize,
    /// Files in all.
    pub total: usize,
}

/// What is being read, by however many callers.
#[derive(Default)]
pub(super) struct Activity(Arc<Mutex<Option<Running>>>);

/// Clears the activity when the ingest ends, however it ends.
pub(super) struct Begun(Arc<Mutex<Option<Running>>>);

impl Activity {
    pub(super) fn begin(&self, what: &str) -> Begun {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Running { what: what.to_owned(), ..Running::default() });
        Begun(self.0.clone())
    }

    pub(super) fn note(&self, progress: &Progress) {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let running = running.get_or_insert_default();
        match progress {
            Progress::Planned { files, .. } => running.total = *files,
            Progress::Added { .. } | Progress::Failed { .. } => running.done += 1,
            Progress::Advanced { .. } | Progress::Maintaining => {}
        }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Library {
    /// How the library stands; when the next sync is due is the caller's to add.
    pub fn status(&self) -> Result<Status> {
        let totals = self.db.totals()?;
        let last = self.db.last_report()?;
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            documents: totals.documents,
            pages: totals.pages,
            chunks: totals.chunks,
            model: self.generator_name.clone(),
            model_problem: self.generator.as_ref().err().map(|error| format!("{error}. {}", error.hint)),
            embedder: self.embedder.name.clone(),
            store: self.store().describe(),
            recognition: match self.recogniser() {
                Ok(recogniser) => recogniser.describe(),
                Err(missing) => format!("not available: {missing}. {}", missing.hint()),
            },
            failed: self.db.failures(None)?,
            cautioned: self
                .db
                .cautioned(MOST_CAUTIONED)?
                .into_iter()
                .map(|(file, cautions)| Cautioned { file, cautions })
                .collect(),
            partly: self.db.awaiting_recognition(None)?,
            last_sync: last.and_then(|report| serde_json::from_str(&report.json).ok()),
            next_sync: None,
            running: self.running.0.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        })
    }
}
