//! Ask: passages, then the model's words as they come, then the answer with its citations.

use std::{
    collections::HashSet,
    fmt::Write as _,
    ops::ControlFlow,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tracing::{info, warn};
use uuid::Uuid;

use super::{
    Excerpt, Found, Grade, Library, Model, Passage, Quote, SearchRequest, Signals, Version,
    cite::{Cited, Question, cite, in_round_brackets},
    differing::differing,
    refusals::without_refusals,
    refuse::{Heard, Verdict},
    retrieve::{Retrieved, Steps},
    search::{checked_question, too_many},
    sift::Reading,
};
use crate::{
    error::{Error, Result},
    generate::{Finish, GenerateError, GenerateOptions, Generated, Progress},
    prompt::{self, Budget},
    sparse, text,
    worker::Worker,
};

/// A question that wants an answer.
pub type AskRequest = SearchRequest;

/// What happens while a question is answered, in this order.
#[derive(Debug, Clone)]
pub enum AskEvent {
    /// The passages that were found, before the model has written a word.
    Passages(Found),
    /// The sentences of them that bear most on the question, best first.
    Evidence(Vec<Quote>),
    /// So many other questions come first.
    Queued(usize),
    /// Some words of the answer.
    Piece(String),
    /// The whole answer.
    Done(Box<Answer>),
    /// It went wrong.
    Failed(Error),
}

/// An answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Answer {
    /// Its identity: for a while the service knows it by this.
    #[serde(default)]
    pub id: Uuid,
    /// What was asked.
    #[serde(default)]
    pub question: String,
    /// How a follow-up was understood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub understood: Option<String>,
    /// When it was asked.
    #[serde(default)]
    pub asked_at: DateTime<Utc>,
    /// Its text, with a mark such as `[2]` after each sentence that a passage supports.
    pub answer: String,
    /// Whether the files hold the answer.
    pub grade: Grade,
    /// True when they do not; the passages and quotes are then only the closest ones.
    pub refused: bool,
    /// For each mark, in order: where it stands.
    pub citations: Vec<Quote>,
    /// Names of the question that stand in none of the files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
    /// How many sentences of the model were left out, or marked, because nothing in the files supports them.
    #[serde(default)]
    pub left_out: usize,
    /// What each of several documents says, newest first, where they do not say the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differing: Vec<Version>,
    /// The sentences that bear most on the question: those that were shown before the model was asked, or others that it
    /// finds to answer it.
    #[serde(default)]
    pub evidence: Vec<Quote>,
    /// The passages that were found.
    pub passages: Vec<Passage>,
    /// What the refusal was decided by.
    #[serde(default)]
    pub signals: Signals,
    /// How long it took.
    pub timings: Timings,
    /// The model that wrote it.
    pub model: String,
}

/// How long an answer took, from the question's arrival.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Timings {
    /// Until the passages were there.
    pub retrieve_ms: u64,
    /// Until the quotes were there.
    #[serde(default)]
    pub quotes_ms: u64,
    /// Until the first word, waiting in the queue included; absent when the model gave none.
    pub first_token_ms: Option<u64>,
    /// Until the end.
    pub total_ms: u64,
    /// Tokens that the model wrote.
    #[serde(default)]
    pub tokens: usize,
    /// Those of them that were guessed from the prompt and confirmed several at a time.
    #[serde(default)]
    pub guessed_tokens: usize,
}

/// A question as far as it is known before an answer is written.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The passages that were found.
    pub passages: Vec<Passage>,
    /// The sentences that bear most on it.
    pub quotes: Vec<Quote>,
    /// What a refusal is decided by.
    pub signals: Signals,
    /// The sentences and rows of the passages.
    pub(crate) excerpts: Vec<Excerpt>,
    /// What the model tells of them.
    pub heard: Heard,
    /// Time until the quotes were there.
    pub quotes_ms: u64,
}

/// What people read when the files do not hold the answer.
const NOT_IN_FILES: &str = "Your files do not say.";

/// Events that wait for a slow reader.
const QUEUED_EVENTS: usize = 64;

impl Library {
    /// Opens the model in the background, so that the first question does not wait for it.
    pub fn warm_up(self: &Arc<Self>) {
        let library = self.clone();
        tokio::spawn(async move {
            let Ok(generator) = &library.generator else { return };
            let opened = generator.run(|model| model.open().map(drop)).await;
            if let Ok(Err(error)) = opened {
                warn!(error = crate::error::with_causes(&error), "cannot open the model");
            }
        });
    }

    /// Hashes of what else an answer depends on: the prompts, the fitted decisions and the glossary.
    pub fn hashes(&self) -> [String; 3] {
        let hash = |it: &dyn std::fmt::Debug| premise_ingest::hash_bytes(format!("{it:?}").as_bytes());
        [hash(&self.prompts), hash(&self.refusal), hash(&self.glossary)]
    }

    /// Answers a question as a stream of events. Dropping the receiver stops the model at the next token.
    ///
    /// Errors: a question that cannot be asked, or too many people waiting, are told at once.
    pub async fn ask(self: &Arc<Self>, request: AskRequest) -> Result<mpsc::Receiver<AskEvent>> {
        let started = Instant::now();
        checked_question(&request.question)?;
        let generator = self.generator.as_ref().map_err(Clone::clone)?;
        if generator.queued() >= self.answer.queue {
            return Err(too_many());
        }
        let waiting = self.priority.person();
        let found = self.retrieve(&request, Steps::all()).await?;
        let retrieve_ms = started.elapsed().as_millis() as u64;
        let (events, receiver) = mpsc::channel(QUEUED_EVENTS);
        let question = found.to_answer(&request.question);
        let library = self.clone();
        tokio::spawn(async move {
            let _waiting = waiting;
            let shown = AskEvent::Passages(Found {
                passages: found.passages.clone(),
                understood: found.understood.clone(),
                next_offset: found.next_offset,
                took_ms: retrieve_ms,
            });
            if events.send(shown).await.is_err() {
                return;
            }
            let understood = found.understood.clone();
            let asking = Asking { question, started, retrieve_ms, waits: false, chosen: request.documents.is_some() };
            let last = match library.answer(&asking, found, &events).await {
                Ok(Some(mut answer)) => {
                    request.question.trim().clone_into(&mut answer.question);
                    answer.understood = understood;
                    library.recent.keep(&answer, request);
                    info!(
                        refused = answer.refused,
                        citations = answer.citations.len(),
                        total_ms = answer.timings.total_ms,
                        "answered a question"
                    );
                    AskEvent::Done(Box::new(answer))
                }
                Ok(None) => return,
                Err(error) => AskEvent::Failed(error),
            };
            drop(events.send(last).await);
        });
        Ok(receiver)
    }

    /// Nothing when the reader has gone.
    pub(super) async fn answer(
        self: &Arc<Self>,
        asking: &Asking,
        found: Retrieved,
        events: &mpsc::Sender<AskEvent>,
    ) -> Result<Option<Answer>> {
        let Asking { question, started, retrieve_ms, .. } = asking;
        let (started, retrieve_ms) = (*started, *retrieve_ms);
        let read = found.to_read();
        let Retrieved { passages, asked, explained, named, searched, trace, .. } = found;
        let (mut evidence, unknown) = tokio::try_join!(
            self.evidence(&asked, &explained, &read),
            self.unknown_names(question, searched.as_ref(), &passages)
        )?;
        let quotes = evidence.quotes(&explained);
        if events.send(AskEvent::Evidence(quotes.clone())).await.is_err() {
            return Ok(None);
        }
        let mut answer = Answer {
            id: Uuid::new_v4(),
            question: String::new(),
            understood: None,
            asked_at: Utc::now(),
            answer: NOT_IN_FILES.to_owned(),
            grade: Grade::NotInFiles,
            refused: true,
            citations: Vec::new(),
            unknown,
            left_out: 0,
            differing: Vec::new(),
            evidence: quotes,
            passages: Vec::new(),
            signals: evidence.signals,
            timings: Timings { retrieve_ms, quotes_ms: millis(started), ..Timings::default() },
            model: self.generator_name.clone(),
        };
        let differing = differing(&explained, &trace.named, &passages, &evidence);
        if named || asking.chosen || bears_on(question, &passages) {
            let generator = self.generator.as_ref().map_err(Clone::clone)?;
            let reading = Reading { asked: asked.clone(), about: trace.named.clone(), excerpts: evidence.excerpts() };
            let written = self.write(generator, asking, reading, evidence.signals, events).await?;
            let Some(written) = written.filter(|_| !events.is_closed()) else { return Ok(None) };
            answer.signals = written.signals;
            if !written.sure.is_empty() {
                evidence.take_sifted(&written.sure);
                answer.evidence = evidence.quotes(&explained);
            }
            let nearest = evidence.nearest(&explained, 1).pop().unwrap_or_default();
            answer.timings.first_token_ms = written.first_token.map(|at| (at - started).as_millis() as u64);
            let grade = self.refusal.grade(&written.signals);
            if let Some(verdict) = written.verdict {
                // Of whom no file names nothing is affirmed.
                let verdict = if answer.unknown.is_empty() { verdict } else { Verdict::Unsure };
                let grade = if verdict == Verdict::Unsure { Grade::Partly } else { grade };
                answer.take_nearest(&nearest, verdict.opening(), grade);
            }
            if let Some(generated) = written.generated {
                answer.timings.tokens = generated.tokens;
                answer.timings.guessed_tokens = generated.drafted_tokens;
                let cut_off = generated.finish == Finish::Length;
                let text = if cut_off { whole_sentences(&generated.text) } else { &generated.text }.to_owned();
                let text = without_refusals(&text);
                if !text.is_empty() {
                    let unsupported = self.answer.unsupported;
                    let unknown = answer.unknown.clone();
                    let question = Question { asked: question.clone(), unnamed: asked, unknown };
                    let cited = self.blocking(move |_| Ok(cite(&text, &question, &evidence, unsupported))).await?;
                    answer.take(cited, grade);
                }
                // What the model did not put into words that can be checked, the files' own words may say.
                if answer.refused && written.signals.surest.is_some_and(|surest| surest >= STANDS_FOR_ANSWER) {
                    answer.take_nearest(&nearest, "", Grade::Partly);
                }
            }
        }
        if !answer.refused {
            answer.differing = differing;
        }
        if !answer.unknown.is_empty() && answer.grade == Grade::Answered {
            answer.grade = Grade::Partly;
        }
        answer.passages = passages;
        answer.timings.total_ms = millis(started);
        Ok(Some(answer))
    }

    /// Has the model say which sentences answer and, if it is likely enough that the passages do, write an answer, passing
    /// its words on as they come. Nothing when the reader has gone.
    async fn write(
        &self,
        generator: &Worker<Model>,
        asking: &Asking,
        reading: Reading,
        mut signals: Signals,
        events: &mpsc::Sender<AskEvent>,
    ) -> Result<Option<Written>> {
        let job = {
            let (prompts, events, refusal) = (self.prompts.clone(), events.clone(), self.refusal.clone());
            let question = asking.question.clone();
            let budget = Budget { context_tokens: self.answer.context_tokens, answer_tokens: self.answer.max_tokens };
            move |model: &mut Model| {
                if events.is_closed() {
                    return Ok(Written::default());
                }
                let model = model.open()?;
                let fitted = prompt::fit(&prompts, model, &question, &reading.excerpts, budget)?;
                let mut sure = Vec::new();
                if refusal.asks_model() {
                    let on_progress = &mut |_: Progress<'_>| goes_on(!events.is_closed());
                    sure = refusal.ask_model(&prompts, model, &reading, &fitted, &mut signals, on_progress)?.sure;
                }
                if refusal.grade(&signals) == Grade::NotInFiles {
                    return Ok(Written { signals, sure, ..Written::default() });
                }
                if let Some(verdict) = refusal.verdict(&signals) {
                    let first_token = (verdict != Verdict::Unsure).then(Instant::now);
                    if first_token.is_some() {
                        send_soon(&events, AskEvent::Piece(verdict.opening().to_owned()));
                    }
                    return Ok(Written { verdict: Some(verdict), first_token, signals, sure, generated: None });
                }
                let options = GenerateOptions { max_tokens: budget.answer_tokens, ..GenerateOptions::default() };
                let mut first_token = None;
                let generated = model.generate(&fitted.answer, &options, &mut |progress| {
                    goes_on(match progress {
                        Progress::Reading { .. } => !events.is_closed(),
                        Progress::Piece(piece) => {
                            first_token.get_or_insert_with(Instant::now);
                            send_soon(&events, AskEvent::Piece(piece.to_owned()))
                        }
                    })
                })?;
                Ok::<_, GenerateError>(Written {
                    generated: Some(generated),
                    first_token,
                    signals,
                    sure,
                    verdict: None,
                })
            }
        };
        let written = async {
            let pending = if asking.waits { generator.submit(job).await? } else { generator.try_submit(job)? };
            let ahead = pending.ahead();
            if ahead > 0 {
                drop(events.send(AskEvent::Queued(ahead)).await);
            }
            Ok::<_, Error>(pending.await??)
        };
        unless_left(events, written).await
    }

    /// What is known about a question before an answer is written: its passages, the quotes and the signals that a
    /// refusal is decided by; with `with_model` also the states of the model. For measuring and fitting.
    pub async fn judge(self: &Arc<Self>, request: &AskRequest, with_model: bool) -> Result<Judged> {
        let started = Instant::now();
        let found = self.retrieve(request, Steps::all()).await?;
        let asked = found.asked.clone();
        let mut evidence = self.evidence(&asked, &found.explained, &found.to_read()).await?;
        let quotes = evidence.quotes(&found.explained);
        let quotes_ms = millis(started);
        let mut judged = Judged {
            quotes,
            signals: evidence.signals,
            excerpts: Vec::new(),
            heard: Heard::default(),
            quotes_ms,
            passages: Vec::new(),
        };
        if with_model {
            let reading =
                Reading { asked: asked.clone(), about: found.trace.named.clone(), excerpts: evidence.excerpts() };
            let (prompts, refusal) = (self.prompts.clone(), self.refusal.clone());
            let question = found.to_answer(&request.question);
            let budget = Budget { context_tokens: self.answer.context_tokens, answer_tokens: self.answer.max_tokens };
            let generator = self.generator.as_ref().map_err(Clone::clone)?;
            let mut signals = evidence.signals;
            let job = move |model: &mut Model| {
                let model = model.open()?;
                let fitted = prompt::fit(&prompts, model, &question, &reading.excerpts, budget)?;
                let on_progress = &mut |_: Progress<'_>| ControlFlow::Continue(());
                let heard = refusal.ask_model(&prompts, model, &reading, &fitted, &mut signals, on_progress)?;
                Ok::<_, GenerateError>((heard, signals, reading.excerpts))
            };
            (judged.heard, judged.signals, judged.excerpts) = generator.run(job).await??;
            evidence.take_sifted(&judged.heard.sure);
            judged.quotes = evidence.quotes(&found.explained);
        }
        judged.passages = found.passages;
        Ok(judged)
    }
}

/// A question on its way to an answer.
pub(super) struct Asking {
    /// As it is put to the model.
    pub question: String,
    pub started: Instant,
    /// Until the passages were there.
    pub retrieve_ms: u64,
    /// Whether the files were chosen for this question: then the model is asked, however far the question seems.
    pub chosen: bool,
    /// Waits for a place in the model's queue; without it, a person is told that too many wait.
    pub waits: bool,
}

/// What the model gave.
#[derive(Default)]
struct Written {
    /// Whether it is yes or no, where that is known without writing.
    verdict: Option<Verdict>,
    /// Nothing when it was not asked to write.
    generated: Option<Generated>,
    first_token: Option<Instant>,
    signals: Signals,
    /// Log-odds that lines of the evidence answer the question.
    sure: Vec<(usize, f32)>,
}

impl Answer {
    /// Shows what is supported. An answer without support stays a refusal: what cannot be checked is not shown as one.
    fn take(&mut self, cited: Cited, likely: Grade) {
        self.left_out = cited.unsupported;
        if cited.supported == 0 {
            return;
        }
        self.refused = false;
        self.grade = if cited.unsupported > 0 { Grade::Partly } else { likely };
        self.answer = cited.answer;
        self.citations = cited.quotes;
    }

    /// Shows a line of the files after `opening`, in the words of its page; they make no marks.
    fn take_nearest(&mut self, line: &[Quote], opening: &str, grade: Grade) {
        if line.is_empty() {
            return;
        }
        let quoted = line.iter().flat_map(|quote| quote.quote.split_whitespace());
        let words: Vec<&str> = opening.split_whitespace().chain(quoted).collect();
        self.refused = false;
        self.grade = grade;
        self.answer = in_round_brackets(&words.join(" "));
        for quote in line {
            let _ = write!(self.answer, " [{}]", quote.n);
        }
        self.citations = line.to_vec();
    }
}

fn goes_on(wanted: bool) -> ControlFlow<()> {
    if wanted { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

fn millis(since: Instant) -> u64 {
    since.elapsed().as_millis() as u64
}

/// What comes of `work`; nothing, and `work` is dropped, when the reader of `events` goes before. A job that still waits
/// then gives its place in the queue to the next one.
async fn unless_left<T>(events: &mpsc::Sender<AskEvent>, work: impl Future<Output = Result<T>>) -> Result<Option<T>> {
    tokio::select! {
        done = work => done.map(Some),
        () = events.closed() => Ok(None),
    }
}

/// On the model's thread: waits a little for a slow reader, then takes it for gone.
fn send_soon(events: &mpsc::Sender<AskEvent>, event: AskEvent) -> bool {
    let mut event = event;
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        match events.try_send(event) {
            Ok(()) => return true,
            Err(mpsc::error::TrySendError::Full(back)) if Instant::now() < until => {
                event = back;
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(_) => return false,
        }
    }
}

/// Cosine from which a passage is taken to bear on a question, with `MiniLM`: of the legal questions that the
/// development contracts answer the lowest best passage has .50; health questions put to the same contracts have .22
/// in the median and .31 at the 90th percentile.
const BEARS_COSINE: f32 = 0.30;
/// Or this share of the question's words stands in one passage.
const BEARS_WORDS: f32 = 0.5;

/// Log-odds that the surest sentence answers from which it stands for an answer that has no support: seven in ten such
/// sentences are part of the evidence (docs/answers.md).
const STANDS_FOR_ANSWER: f32 = -1.0;

/// Whether anything that was found has to do with the question at all. One that names a document does anyhow.
fn bears_on(question: &str, passages: &[Passage]) -> bool {
    let mut asked: Vec<_> = sparse::terms(question).collect();
    asked.sort();
    asked.dedup();
    passages.iter().any(|passage| {
        if passage.similarity.is_some_and(|cosine| cosine >= BEARS_COSINE) {
            return true;
        }
        let held: HashSet<_> = sparse::terms(&passage.text).collect();
        let known = asked.iter().filter(|term| held.contains(*term)).count();
        !asked.is_empty() && known as f32 / asked.len() as f32 >= BEARS_WORDS
    })
}

/// An answer that was cut off, up to its last whole sentence; all of it when there is none.
fn whole_sentences(text: &str) -> &str {
    let sentences = text::sentences(text);
    match sentences.as_slice() {
        [.., last_whole, _cut] => &text[..last_whole.end],
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::library::evidence::tests::pages;

    #[test]
    fn an_answer_that_was_cut_off_ends_with_a_whole_sentence() {
        assert_eq!(whole_sentences("The rent is $40. It is due on the fi"), "The rent is $40.");
        assert_eq!(whole_sentences("The rent is $40 and due on"), "The rent is $40 and due on");
    }

    #[test]
    fn the_words_of_a_page_make_no_marks() {
        let page = "Aspirin is recommended after myocardial infarction [14].";
        let mut answer = Answer {
            id: Uuid::nil(),
            question: String::new(),
            understood: None,
            asked_at: DateTime::default(),
            answer: NOT_IN_FILES.to_owned(),
            grade: Grade::NotInFiles,
            refused: true,
            citations: Vec::new(),
            unknown: Vec::new(),
            left_out: 0,
            differing: Vec::new(),
            evidence: Vec::new(),
            passages: Vec::new(),
            signals: Signals::default(),
            timings: Timings::default(),
            model: String::new(),
        };
        let nearest = pages(&[page]).nearest("aspirin", 1).pop().unwrap();
        answer.take_nearest(&nearest, "Yes.", Grade::Answered);
        assert_eq!(answer.answer, "Yes. Aspirin is recommended after myocardial infarction (14). [3]");
        assert_eq!(answer.citations[0].quote, page);
    }

    #[tokio::test]
    async fn one_who_leaves_while_others_are_answered_gives_the_place_back() {
        let worker = Worker::spawn("model", 2, || Ok::<_, Infallible>(0_u32)).unwrap();
        let (release, released) = std::sync::mpsc::channel::<()>();
        let running = worker
            .try_submit(move |_| {
                let _ = released.recv();
            })
            .unwrap();
        let waiting = worker.try_submit(|_| 1).unwrap();
        let (events, reader) = mpsc::channel(1);
        drop(reader);
        let left = unless_left(&events, async { Ok::<_, Error>(waiting.await?) }).await;
        assert_eq!((left.unwrap(), worker.queued()), (None, 1));
        release.send(()).unwrap();
        running.await.unwrap();
    }
}
