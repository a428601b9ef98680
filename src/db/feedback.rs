//! What people thought of answers: kept only because somebody said so, and with the question, without which it means
//! nothing.

use rusqlite::params;
use uuid::Uuid;

use super::{Db, Result};

/// An opinion on an answer as it is stored.
#[derive(Debug, Clone)]
pub struct FeedbackRow {
    /// The answer's identity.
    pub answer: Uuid,
    /// When it was given.
    pub at: chrono::DateTime<chrono::Utc>,
    /// A word for it.
    pub opinion: String,
    /// Question, answer and citations as JSON.
    pub record: String,
}

impl Db {
    /// Keeps an opinion, in place of an earlier one on the same answer.
    pub fn put_feedback(&self, row: &FeedbackRow) -> Result<()> {
        self.write("keep feedback", |t| {
            t.execute(
                "INSERT OR REPLACE INTO feedback(answer, at, opinion, record) VALUES (?1, ?2, ?3, ?4)",
                params![row.answer, row.at, row.opinion, row.record],
            )
        })
        .map(drop)
    }

    /// All opinions, the oldest first.
    pub fn feedback(&self) -> Result<Vec<FeedbackRow>> {
        self.read("read feedback", |c| {
            c.prepare_cached("SELECT answer, at, opinion, record FROM feedback ORDER BY at, answer")?
                .query_map([], |r| {
                    Ok(FeedbackRow { answer: r.get(0)?, at: r.get(1)?, opinion: r.get(2)?, record: r.get(3)? })
                })?
                .collect()
        })
    }

    /// Drops the opinion on an answer, or all of them. How many there were.
    pub fn drop_feedback(&self, answer: Option<Uuid>) -> Result<usize> {
        self.write("drop feedback", |t| t.execute("DELETE FROM feedback WHERE ?1 IS NULL OR answer = ?1", [answer]))
    }
}
