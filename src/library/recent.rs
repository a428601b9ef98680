//! The latest answers, in memory alone: what a person may still export or judge. Nothing of them is on disk, and nobody
//! can list them: who has an answer's identity was given the answer.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use uuid::Uuid;

use super::{Answer, AskRequest, Library};
use crate::error::{Error, Kind, Result};

/// About a day of an office of twenty; an answer has some 30 KB.
const MOST_ANSWERS: usize = 200;

/// An answer that was given a while ago.
#[derive(Debug)]
pub(super) struct Given {
    pub answer: Answer,
    /// The files that its question was narrowed to,
    pub scope: Option<Vec<String>>,
    /// and the collections.
    pub collections: Option<Vec<String>>,
}

#[derive(Default)]
pub(super) struct Recent(Mutex<VecDeque<Arc<Given>>>);

impl Recent {
    pub(super) fn keep(&self, answer: &Answer, asked: AskRequest) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST_ANSWERS {
            all.pop_front();
        }
        let AskRequest { documents: scope, collections, .. } = asked;
        all.push_back(Arc::new(Given { answer: answer.clone(), scope, collections }));
    }

    fn get(&self, id: Uuid) -> Option<Arc<Given>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().find(|given| given.answer.id == id).cloned()
    }
}

impl Library {
    /// A late answer by its identity.
    pub(super) fn given(&self, id: Uuid) -> Result<Arc<Given>> {
        self.recent.get(id).ok_or_else(|| {
            Error::new(
                Kind::NotFound,
                "unknown_answer",
                "this answer is not kept any more",
                format!(
                    "The last {MOST_ANSWERS} answers are kept until the service ends: ask again, or keep what `premise ask \
                     --json` prints"
                ),
            )
        })
    }
}
