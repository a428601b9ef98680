//! One model for several people at once. A thread owns it; each handle asks it as if alone. Answers take their steps
//! together, so that the weights are read from memory once for all of them, and prompts are read in the order of
//! arrival, in short blocks while others are being answered.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use super::language::Language;
use super::session::{Session, Writing};
use super::{GenerateError, GenerateOptions, Generated, Generator, Message, ModelIdentity, Progress, Scored, Wanted};

/// A handle to a model that others use too. The model goes when the last handle does.
#[derive(Clone)]
pub struct Shared {
    identity: ModelIdentity,
    language: Arc<Language>,
    jobs: Sender<Job>,
    places: usize,
}

/// What a handle asks the thread for.
enum Job {
    Answer {
        messages: Vec<Message>,
        options: GenerateOptions,
        reader: Reader,
    },
    /// Anything short that needs the model for itself, between two steps.
    Between(Box<dyn FnOnce(&mut Session) + Send>),
}

/// Where an answer goes.
struct Reader {
    news: Sender<News>,
    has_left: Arc<AtomicBool>,
}

enum News {
    Reading { done: usize, total: usize },
    Piece(String),
    End(Result<Generated, GenerateError>),
}

impl Shared {
    /// Gives `session` to a thread of its own.
    pub(super) fn new(session: Session) -> Result<Self, GenerateError> {
        let (jobs, queue) = channel();
        let (identity, language, places) = (session.identity().clone(), session.language(), session.places());
        let thread = thread::Builder::new().name("model".to_owned()).spawn(move || work(session, &queue));
        thread.map_err(|error| GenerateError::Stopped { problem: format!("there is no thread for it: {error}") })?;
        Ok(Self { identity, language, jobs, places })
    }

    /// How many answers are written at the same time; more wait.
    pub fn places(&self) -> usize {
        self.places
    }

    fn send(&self, messages: &[Message], options: &GenerateOptions) -> Result<Pending, GenerateError> {
        let (news, told) = channel();
        let has_left = Arc::new(AtomicBool::new(false));
        let reader = Reader { news, has_left: has_left.clone() };
        let job = Job::Answer { messages: messages.to_vec(), options: options.clone(), reader };
        self.jobs.send(job).map_err(|_| stopped())?;
        Ok(Pending { told, has_left })
    }

    fn between<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Session) -> Result<R, GenerateError> + Send + 'static,
    ) -> Result<R, GenerateError> {
        let (reply, result) = channel();
        let job = Box::new(move |session: &mut Session| drop(reply.send(job(session))));
        self.jobs.send(Job::Between(job)).map_err(|_| stopped())?;
        result.recv().map_err(|_| stopped())?
    }
}

impl Generator for Shared {
    fn identity(&self) -> &ModelIdentity {
        &self.identity
    }

    fn tokens(&self, text: &str) -> Result<Vec<u32>, GenerateError> {
        self.language.vocabulary.encode(text)
    }

    fn render(&self, messages: &[Message]) -> Result<String, GenerateError> {
        self.language.render(messages)
    }

    fn prompt_tokens(&self, messages: &[Message]) -> Result<usize, GenerateError> {
        Ok(self.language.prompt(messages)?.len())
    }

    fn generate(
        &mut self,
        messages: &[Message],
        options: &GenerateOptions,
        on_progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<Generated, GenerateError> {
        self.send(messages, options)?.wait(on_progress)
    }

    fn states(
        &mut self,
        conversations: &[Vec<Message>],
        on_progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<Option<Vec<Vec<f32>>>, GenerateError> {
        let Some((first, others)) = conversations.split_first() else { return Ok(Some(Vec::new())) };
        // The others find what they begin with already read.
        let options = GenerateOptions::for_state(Wanted::State);
        let first = self.generate(first, &options, on_progress)?;
        let Some(first) = first.state else { return Ok(None) };
        let mut states = vec![first];
        let sent = others.iter().map(|messages| self.send(messages, &options));
        for pending in sent.collect::<Result<Vec<_>, _>>()? {
            let Some(state) = pending.wait(on_progress)?.state else { return Ok(None) };
            states.push(state);
        }
        Ok(Some(states))
    }

    fn score_text(&mut self, text: &str) -> Result<Scored, GenerateError> {
        let text = text.to_owned();
        self.between(move |session| session.score_text(&text))
    }
}

/// An answer that will come.
struct Pending {
    told: Receiver<News>,
    has_left: Arc<AtomicBool>,
}

impl Pending {
    fn wait(self, on_progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>) -> Result<Generated, GenerateError> {
        while let Ok(news) = self.told.recv() {
            let progress = match &news {
                News::Reading { done, total } => Progress::Reading { done: *done, total: *total },
                News::Piece(piece) => Progress::Piece(piece),
                News::End(_) => {
                    let News::End(result) = news else { unreachable!("this arm is for the end") };
                    return result;
                }
            };
            if !self.has_left.load(Ordering::Relaxed) && on_progress(progress).is_break() {
                self.has_left.store(true, Ordering::Relaxed);
            }
        }
        Err(stopped())
    }
}

impl Drop for Pending {
    /// Nobody waits for it any more.
    fn drop(&mut self) {
        self.has_left.store(true, Ordering::Relaxed);
    }
}

fn stopped() -> GenerateError {
    GenerateError::Stopped { problem: "its thread has ended".to_owned() }
}

/// Until the last handle is gone: admits whoever waits while there are places, and takes all a step further.
fn work(mut session: Session, queue: &Receiver<Job>) {
    let mut writings: Vec<Writing> = Vec::new();
    let mut readers: Vec<Reader> = Vec::new();
    loop {
        while writings.len() < session.places() {
            let job = if writings.is_empty() { queue.recv().ok() } else { queue.try_recv().ok() };
            match job {
                Some(Job::Between(job)) => job(&mut session),
                Some(Job::Answer { messages, options, reader }) => match session.begin(&messages, &options) {
                    Ok(writing) => {
                        writings.push(writing);
                        readers.push(reader);
                    }
                    Err(error) => drop(reader.news.send(News::End(Err(error)))),
                },
                None if writings.is_empty() => return,
                None => break,
            }
        }
        let step = || session.step(&mut writings, &mut |at, progress| readers[at].tell(progress));
        let stepped = catch_unwind(AssertUnwindSafe(step));
        let failure = if let Ok(stepped) = stepped {
            stepped.err().map(|error| error.to_string())
        } else {
            // It was told on the standard error stream. What the network has read may be half of it.
            session.forget_all();
            Some("it panicked".to_owned())
        };
        let mut at = 0;
        while at < writings.len() {
            if failure.is_none() && !writings[at].is_over() {
                at += 1;
                continue;
            }
            let (writing, reader) = (writings.remove(at), readers.remove(at));
            let generated = session.finish(writing);
            let result = match &failure {
                Some(problem) => Err(GenerateError::Stopped { problem: problem.clone() }),
                None => Ok(generated),
            };
            let _ = reader.news.send(News::End(result));
        }
    }
}

impl Reader {
    fn tell(&self, progress: Progress<'_>) -> ControlFlow<()> {
        let news = match progress {
            Progress::Reading { done, total } => News::Reading { done, total },
            Progress::Piece(piece) => News::Piece(piece.to_owned()),
        };
        if self.has_left.load(Ordering::Relaxed) || self.news.send(news).is_err() {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}
