//! Chunks in, points out: reading, embedding and writing overlap, so that the embedders never wait.
//!
//! One thread produces documents, one thread an embedder turns their chunks into vectors, and the caller's thread
//! writes what is complete in groups, so that one flush to disk serves many small documents.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use premise_ingest::{Chunk, Document};

use crate::{
    db::{Place, point_id},
    embed::Embedder,
    error::{Error, Result},
    sparse,
    store::{CollectionId, DocumentId, Point},
};

/// A document on its way into the index.
pub(super) struct Work {
    pub id: DocumentId,
    pub collection: CollectionId,
    pub chunks: Vec<Chunk>,
    /// What the ledger needs besides; nothing when only the index is rebuilt.
    pub ledger: Option<ForLedger>,
    /// Its share of the progress bar.
    pub size_bytes: u64,
}

pub(super) struct ForLedger {
    pub sha256: String,
    pub document: Document,
    pub place: Place,
    /// Documents that the file carries: they go into the ledger before it.
    pub awaits: Vec<DocumentId>,
}

/// A document with all its vectors.
pub(super) struct Embedded {
    pub work: Work,
    pub points: Vec<Point>,
}

/// How an ingest went.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Throughput {
    pub chunks: u64,
    pub seconds: f64,
    /// Share of the wall time in which the embedders worked, 0 to 1.
    pub embedder_busy: f64,
}

/// Chunks that wait between the reader and the embedders: about five seconds of work for two cores.
const QUEUED_CHUNKS: usize = 256;
/// A group is written when it has this many points, or
const GROUP_POINTS: usize = 512;
/// when its oldest document has waited this long.
const GROUP_WAIT: Duration = Duration::from_millis(1500);
/// An embedder gives way to a question for at most this long before each chunk, so that a busy day cannot stop the
/// nightly job for good.
const YIELD: Duration = Duration::from_secs(2);

/// People who wait for an answer right now; embedders give way to them.
#[derive(Default)]
pub(crate) struct Priority {
    people: Mutex<usize>,
    free: Condvar,
}

/// Counts a waiting person until it is dropped.
pub(crate) struct Waiting(Arc<Priority>);

impl Priority {
    pub(crate) fn person(self: &Arc<Self>) -> Waiting {
        *self.people.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Waiting(self.clone())
    }

    fn give_way(&self) {
        let people = self.people.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.free.wait_timeout_while(people, YIELD, |people| *people > 0));
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        *self.0.people.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.free.notify_all();
    }
}

struct InFlight {
    work: Work,
    points: Mutex<Vec<Option<Point>>>,
    error: Mutex<Option<String>>,
}

/// Takes documents from the producer. It waits while the embedders are behind.
pub(super) struct Inlet {
    chunks: mpsc::SyncSender<(Arc<InFlight>, usize)>,
}

impl Inlet {
    /// False when the other side is gone and nothing more is wanted.
    pub(super) fn push(&self, work: Work) -> bool {
        let count = work.chunks.len();
        let document = Arc::new(InFlight {
            points: Mutex::new((0..count).map(|_| None).collect()),
            error: Mutex::new(None),
            work,
        });
        // One for each chunk and none for this side: whoever embeds the last chunk gets the document whole.
        let shares = vec![document; count];
        shares.into_iter().enumerate().all(|(chunk, document)| self.chunks.send((document, chunk)).is_ok())
    }
}

/// What the run needs from outside.
pub(super) struct Run<'a> {
    pub embedders: Vec<Box<dyn Embedder>>,
    pub stop: &'a AtomicBool,
    pub priority: &'a Priority,
    /// Called for each chunk with its share of the document's bytes.
    pub advanced: &'a (dyn Fn(u64) + Sync),
}

/// Runs until `produce` has returned and all it pushed is written, or until `stop`: then what is complete is still
/// written and the rest is left for the next run. The embedders come back for the next one.
pub(super) fn run(
    run: Run,
    produce: impl FnOnce(&Inlet) + Send,
    mut write: impl FnMut(Vec<Embedded>) -> Result<()>,
    mut failed: impl FnMut(Work, String) -> Result<()>,
) -> Result<(Throughput, Vec<Box<dyn Embedder>>)> {
    let Run { embedders, stop, priority, advanced } = run;
    let started = Instant::now();
    let workers = embedders.len();
    let (chunk_sender, chunk_receiver) = mpsc::sync_channel::<(Arc<InFlight>, usize)>(QUEUED_CHUNKS);
    // Shared with the threads only: when the last embedder has gone, the producer's next push fails and it ends too.
    let chunk_receiver = Arc::new(Mutex::new(chunk_receiver));
    let (done_sender, done_receiver) = mpsc::channel::<InFlight>();
    let (busy_ns, chunks) = (AtomicU64::new(0), AtomicU64::new(0));

    let embedders = thread::scope(|scope| {
        let mut threads = Vec::new();
        for mut embedder in embedders {
            let (chunk_receiver, done_sender) = (chunk_receiver.clone(), done_sender.clone());
            let (busy_ns, chunks) = (&busy_ns, &chunks);
            threads.push(scope.spawn(move || {
                loop {
                    let next = chunk_receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((document, chunk)) = next else { break };
                    if !stop.load(Ordering::Relaxed) {
                        priority.give_way();
                        let begun = Instant::now();
                        embed(&document, chunk, embedder.as_mut());
                        busy_ns.fetch_add(begun.elapsed().as_nanos() as u64, Ordering::Relaxed);
                        chunks.fetch_add(1, Ordering::Relaxed);
                        let work = &document.work;
                        advanced(work.size_bytes / work.chunks.len() as u64);
                    }
                    // Of those who held a chunk of it, exactly one is the last.
                    if let Some(document) = Arc::into_inner(document) {
                        drop(done_sender.send(document));
                    }
                }
                embedder
            }));
        }
        drop(done_sender);
        drop(chunk_receiver);
        let producer = scope.spawn(move || produce(&Inlet { chunks: chunk_sender }));
        let written = write_groups(&done_receiver, stop, &mut write, &mut failed);
        if written.is_err() {
            stop.store(true, Ordering::Relaxed);
        }
        // After an error nothing takes the finished documents any more: let the threads run dry.
        drop(done_receiver);
        let ended_well = producer.join().is_ok();
        let embedders = threads.into_iter().filter_map(|thread| thread.join().ok()).collect::<Vec<_>>();
        written?;
        if !ended_well || embedders.len() < workers {
            return Err(Error::internal("a thread of the ingest ended by a fault"));
        }
        Ok(embedders)
    })?;
    let seconds = started.elapsed().as_secs_f64();
    let busy = busy_ns.into_inner() as f64 / 1e9;
    let throughput = Throughput {
        chunks: chunks.into_inner(),
        seconds,
        embedder_busy: if seconds > 0.0 { busy / seconds / workers as f64 } else { 0.0 },
    };
    Ok((throughput, embedders))
}

fn embed(document: &InFlight, number: usize, embedder: &mut dyn Embedder) {
    let chunk = &document.work.chunks[number];
    match embedder.embed_passage(&chunk.text) {
        Ok(dense) => {
            let point = Point {
                id: point_id(document.work.id, chunk.number),
                collection: document.work.collection,
                document: document.work.id,
                chunk: chunk.number,
                page_start: chunk.page_start,
                page_end: chunk.page_end,
                dense,
                sparse: sparse::embed_passage(&chunk.text),
            };
            document.points.lock().unwrap_or_else(PoisonError::into_inner)[number] = Some(point);
        }
        Err(error) => {
            document
                .error
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get_or_insert_with(|| format!("cannot embed page {}: {error}", chunk.page_start));
        }
    }
}

fn write_groups(
    done: &mpsc::Receiver<InFlight>,
    stop: &AtomicBool,
    write: &mut impl FnMut(Vec<Embedded>) -> Result<()>,
    failed: &mut impl FnMut(Work, String) -> Result<()>,
) -> Result<()> {
    let mut group = VecDeque::new();
    let mut points = 0;
    let mut oldest = Instant::now();
    loop {
        let wait = if group.is_empty() { Duration::from_hours(1) } else { GROUP_WAIT.saturating_sub(oldest.elapsed()) };
        let ended = match done.recv_timeout(wait) {
            Ok(document) => {
                let error = document.error.into_inner().unwrap_or_else(PoisonError::into_inner);
                let all: Vec<_> = document
                    .points
                    .into_inner()
                    .unwrap_or_else(PoisonError::into_inner)
                    .into_iter()
                    .flatten()
                    .collect();
                if let Some(error) = error {
                    failed(document.work, error)?;
                } else if all.len() == document.work.chunks.len() {
                    if group.is_empty() {
                        oldest = Instant::now();
                    }
                    points += all.len();
                    group.push_back(Embedded { work: document.work, points: all });
                } else {
                    debug_assert!(stop.load(Ordering::Relaxed), "only a stop leaves a document unfinished");
                }
                false
            }
            Err(mpsc::RecvTimeoutError::Timeout) => false,
            Err(mpsc::RecvTimeoutError::Disconnected) => true,
        };
        if !group.is_empty() && (ended || points >= GROUP_POINTS || oldest.elapsed() >= GROUP_WAIT) {
            write(group.drain(..).collect())?;
            points = 0;
        }
        if ended {
            return Ok(());
        }
    }
}
