//! One question put to each of several documents, one after the other: "which of these leases may be ended early?".
//! A model that reads eight passages of forty leases would answer for three of them.

use std::{sync::Arc, time::Instant};

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::{
    Answer, AskRequest, Grade, Library, Quote,
    ask::Asking,
    retrieve::Steps,
    search::{checked_question, too_many},
};
use crate::{
    db::{DocumentRow, Narrowing},
    error::{Error, Kind, Result},
    store::DocumentId,
};

/// What happens while several documents are asked, in this order.
#[derive(Debug, Clone)]
pub enum EachEvent {
    /// So many documents will be asked.
    Planned(usize),
    /// What one of them says.
    Row(Box<Row>),
    /// All have been asked.
    Done {
        /// Milliseconds that it took.
        total_ms: u64,
    },
    /// It went wrong; the rows before it stand.
    Failed(Error),
}

/// What one of several documents says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    /// The document.
    pub document: DocumentId,
    /// Its file.
    pub file: String,
    /// The day that it bears.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dated: Option<NaiveDate>,
    /// Whether it holds the answer.
    pub grade: Grade,
    /// The answer, as [`Answer::answer`].
    pub answer: String,
    /// Where it stands; of a document that does not say, what comes closest.
    pub citations: Vec<Quote>,
    /// True when the document was changed or removed before it had answered: nobody knows then what it says.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gone: bool,
}

/// What people read of a document that is gone: "does not say" would be taken for what the file says.
const GONE: &str = "This file was changed or removed while it was asked about: ask again.";

/// More documents are narrowed to fewer first: the last one would be answered after many minutes.
const MOST_DOCUMENTS: usize = 50;
/// Rows that wait for a slow reader.
const QUEUED_ROWS: usize = 8;

impl Library {
    /// Answers a question from each document that the request is narrowed to, by file name. Dropping the receiver stops
    /// the model at the next token.
    pub async fn ask_each(self: &Arc<Self>, request: AskRequest) -> Result<mpsc::Receiver<EachEvent>> {
        checked_question(&request.question)?;
        let generator = self.generator.as_ref().map_err(Clone::clone)?;
        if generator.queued() >= self.answer.queue {
            return Err(too_many());
        }
        let narrowed = request.clone();
        let documents = self.blocking(move |library| library.each_of(&narrowed)).await?;
        let (events, receiver) = mpsc::channel(QUEUED_ROWS);
        let library = self.clone();
        tokio::spawn(async move {
            let started = Instant::now();
            if events.send(EachEvent::Planned(documents.len())).await.is_err() {
                return;
            }
            for document in documents {
                let event = match library.ask_one(&request, document, &events).await {
                    Ok(Some(row)) => EachEvent::Row(Box::new(row)),
                    Ok(None) => return,
                    Err(error) => {
                        drop(events.send(EachEvent::Failed(error)).await);
                        return;
                    }
                };
                if events.send(event).await.is_err() {
                    return;
                }
            }
            let total_ms = started.elapsed().as_millis() as u64;
            drop(events.send(EachEvent::Done { total_ms }).await);
        });
        Ok(receiver)
    }

    /// The documents of the request by file name. Blocks.
    fn each_of(&self, request: &AskRequest) -> Result<Vec<DocumentRow>> {
        let Some((scope, filter)) = self.scope(request)? else { return Ok(Vec::new()) };
        let ids = match filter.documents {
            Some(ids) => ids,
            None => self.db.documents_within(&scope, &Narrowing::default())?,
        };
        if ids.len() > MOST_DOCUMENTS {
            return Err(Error::new(
                Kind::BadInput,
                "too_many_documents",
                format!("{} files would be asked one by one, and {MOST_DOCUMENTS} is the most", ids.len()),
                "Choose a collection, some files, a label or a span of days",
            ));
        }
        let rows = ids.iter().map(|id| self.db.document(*id)).collect::<std::result::Result<Vec<_>, _>>()?;
        let mut rows: Vec<DocumentRow> = rows.into_iter().flatten().collect();
        rows.sort_by(|a, b| a.file.cmp(&b.file).then(a.id.cmp(&b.id)));
        Ok(rows)
    }

    /// What one document says; nothing when the reader of `events` has gone.
    async fn ask_one(
        self: &Arc<Self>,
        request: &AskRequest,
        document: DocumentRow,
        events: &mpsc::Sender<EachEvent>,
    ) -> Result<Option<Row>> {
        let id = document.id;
        let answer = self.answer_of(request, id, events).await;
        if !self.blocking(move |library| Ok(library.db.has_document(id)?)).await? {
            return Ok(Some(Row::gone(document)));
        }
        Ok(answer?.map(|answer| Row::of(document, answer)))
    }

    /// The answer out of that document alone; nothing when the reader of `events` has gone.
    async fn answer_of(
        self: &Arc<Self>,
        request: &AskRequest,
        id: DocumentId,
        events: &mpsc::Sender<EachEvent>,
    ) -> Result<Option<Answer>> {
        let _waiting = self.priority.person();
        let started = Instant::now();
        // All were chosen before the first was asked: chosen anew, one that has gone since would end it for the others.
        let narrowed = AskRequest {
            documents: None,
            types: None,
            labels: None,
            dated_from: None,
            dated_to: None,
            within: Some(vec![id]),
            ..request.clone()
        };
        let found = self.retrieve(&narrowed, Steps::all()).await?;
        let question = found.to_answer(&request.question);
        // Fifty questions come one after another: the queue may be full in between, and others must come first.
        let asking = Asking { question, started, retrieve_ms: 0, waits: true, chosen: false };
        let (pieces, mut unread) = mpsc::channel(QUEUED_ROWS);
        let answered = async {
            let answer = self.answer(&asking, found, &pieces).await;
            drop(pieces);
            answer
        };
        // Nobody reads the words as they come; when the reader of the rows goes, the model stops.
        let left_unread = async {
            loop {
                tokio::select! {
                    event = unread.recv() => if event.is_none() { break },
                    () = events.closed() => break,
                }
            }
            drop(unread);
        };
        let (answer, ()) = tokio::join!(answered, left_unread);
        answer
    }
}

impl Row {
    fn of(document: DocumentRow, answer: Answer) -> Self {
        let closest = || answer.evidence.iter().take(1).cloned().collect();
        let citations = if answer.refused { closest() } else { answer.citations };
        let DocumentRow { id, file, dated, .. } = document;
        Self { document: id, file, dated, grade: answer.grade, answer: answer.answer, citations, gone: false }
    }

    fn gone(document: DocumentRow) -> Self {
        let DocumentRow { id, file, dated, .. } = document;
        let (grade, answer) = (Grade::NotInFiles, GONE.to_owned());
        Self { document: id, file, dated, grade, answer, citations: Vec::new(), gone: true }
    }
}
