//! A thread that owns a model, or several that own one each, behind a bounded queue. The only way from the async side to work that computes:
//! people are refused when the queue is full, batch work waits, and a job whose caller has left gives its place back.

use std::any::Any;
use std::collections::BTreeSet;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::thread::{Builder, JoinHandle};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, mpsc, oneshot};

/// Why a job gave no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorkerError {
    /// The queue has no free place; a person should try again shortly (HTTP 429).
    #[error("the queue of the {0} worker is full")]
    Full(Arc<str>),
    /// The job panicked. The worker lives on and keeps its model.
    #[error("a job of the {worker} worker panicked: {message}")]
    Panicked {
        /// Name of the worker.
        worker: Arc<str>,
        /// What the panic said.
        message: String,
    },
    /// The worker's thread has ended.
    #[error("the {0} worker has stopped")]
    Stopped(Arc<str>),
}

/// Why a worker could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError<E> {
    /// The operating system gave no thread.
    #[error("cannot start a thread for the {0} worker")]
    Thread(Arc<str>, #[source] std::io::Error),
    /// The model could not be made.
    #[error("cannot make the model of the {0} worker")]
    Make(Arc<str>, #[source] E),
    /// Making the model panicked.
    #[error("making the model of the {0} worker panicked: {1}")]
    Panicked(Arc<str>, String),
}

type Job<T> = Box<dyn FnOnce(&mut T) + Send>;

/// A job in the queue, until a thread takes it out to run it or its caller leaves.
type Waiting<T> = Arc<Mutex<Option<Job<T>>>>;

/// A thread that owns a `T`, usually a model. Share it in an `Arc`; dropping the last one finishes the queue's jobs
/// whose callers still wait, then joins the thread.
pub struct Worker<T> {
    name: Arc<str>,
    // Dropped before `threads` are joined: the loop ends once every sender is gone.
    jobs: Option<mpsc::UnboundedSender<Waiting<T>>>,
    /// A permit for each job that may still wait. These bound the queue, since a channel keeps the place of a job whose
    /// caller has left until its turn; nothing of the job is left in it.
    room: Arc<Semaphore>,
    tally: Arc<Mutex<Tally>>,
    threads: Vec<JoinHandle<()>>,
}

/// The jobs that wait or run now.
#[derive(Default)]
struct Tally {
    /// Number of the next job.
    next: usize,
    /// Numbers of those that have a place, in order.
    open: BTreeSet<usize>,
}

impl Tally {
    fn take_number(&mut self) -> usize {
        let number = self.next;
        self.next += 1;
        self.open.insert(number);
        number
    }
}

impl<T: 'static> Worker<T> {
    /// Starts a thread, makes the model on it and returns once it is made, so call this from a blocking thread.
    /// At most `capacity` jobs wait besides the one that runs.
    pub fn spawn<E: Send + 'static>(
        name: &str,
        capacity: usize,
        make: impl FnOnce() -> Result<T, E> + Send + 'static,
    ) -> Result<Self, SpawnError<E>> {
        Self::spawn_many(name, capacity, [make])
    }

    /// Starts a thread for each of `makes`; they take jobs from one queue, in order.
    pub fn spawn_many<E: Send + 'static, M: FnOnce() -> Result<T, E> + Send + 'static>(
        name: &str,
        capacity: usize,
        makes: impl IntoIterator<Item = M>,
    ) -> Result<Self, SpawnError<E>> {
        let name: Arc<str> = Arc::from(name);
        let (jobs, queue) = mpsc::unbounded_channel();
        let queue = Arc::new(Mutex::new(queue));
        // Dropped early, it ends the threads that were started already.
        let mut worker = Self {
            name: name.clone(),
            jobs: Some(jobs),
            room: Arc::new(Semaphore::new(capacity.max(1))),
            tally: Arc::default(),
            threads: Vec::new(),
        };
        for make in makes {
            let (report, outcome) = std::sync::mpsc::sync_channel(1);
            let queue = queue.clone();
            let thread = Builder::new()
                .name(name.to_string())
                .spawn(move || match catch_unwind(AssertUnwindSafe(make)) {
                    Ok(Ok(model)) => {
                        let _ = report.send(None);
                        work(model, &queue);
                    }
                    Ok(Err(error)) => drop(report.send(Some(Ok(error)))),
                    Err(panic) => drop(report.send(Some(Err(panic_message(panic.as_ref()))))),
                })
                .map_err(|error| SpawnError::Thread(name.clone(), error))?;
            match outcome.recv().expect("the thread reports before it ends") {
                None => worker.threads.push(thread),
                Some(Ok(error)) => return Err(SpawnError::Make(name, error)),
                Some(Err(message)) => return Err(SpawnError::Panicked(name, message)),
            }
        }
        Ok(worker)
    }

    /// Runs a job, waiting for a place in the queue if need be: for work in batches.
    pub async fn run<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut T) -> R + Send + 'static,
    ) -> Result<R, WorkerError> {
        self.submit(job).await?.await
    }

    /// Queues a job, waiting for a place if need be, and returns with a future of its result: for work in batches.
    pub async fn submit<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut T) -> R + Send + 'static,
    ) -> Result<Pending<R>, WorkerError> {
        let room = self.room.clone().acquire_owned().await.map_err(|_| self.stopped())?;
        self.queue(job, room)
    }

    /// Runs a job if the queue has a place, else fails with [`WorkerError::Full`]: for people.
    pub async fn try_run<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut T) -> R + Send + 'static,
    ) -> Result<R, WorkerError> {
        self.try_submit(job)?.await
    }

    /// Queues a job if there is a place and returns at once with a future of its result that knows its place.
    pub fn try_submit<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut T) -> R + Send + 'static,
    ) -> Result<Pending<R>, WorkerError> {
        let room = self.room.clone().try_acquire_owned().map_err(|error| match error {
            TryAcquireError::NoPermits => WorkerError::Full(self.name.clone()),
            TryAcquireError::Closed => self.stopped(),
        })?;
        self.queue(job, room)
    }

    /// Runs a job from a thread that may block, waiting for a place; never from an async runtime's thread.
    pub fn run_blocking<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut T) -> R + Send + 'static,
    ) -> Result<R, WorkerError> {
        futures::executor::block_on(self.run(job))
    }

    /// Jobs that can run at the same time.
    pub fn threads(&self) -> usize {
        self.threads.len()
    }

    /// Jobs that wait or run now.
    pub fn queued(&self) -> usize {
        lock(&self.tally).open.len()
    }

    fn sender(&self) -> &mpsc::UnboundedSender<Waiting<T>> {
        self.jobs.as_ref().expect("the sender is taken only when the worker is dropped")
    }

    fn stopped(&self) -> WorkerError {
        WorkerError::Stopped(self.name.clone())
    }

    fn queue<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut T) -> R + Send + 'static,
        room: OwnedSemaphorePermit,
    ) -> Result<Pending<R>, WorkerError> {
        let (reply, result) = oneshot::channel();
        let worker = self.name.clone();
        let place = Place::take(&self.tally);
        let number = place.number;
        let job: Job<T> = Box::new(move |model| {
            // It waits no longer, so another one may.
            drop(room);
            let place = place;
            if reply.is_closed() {
                return;
            }
            // The model is used again after a panic: a half-made answer lies in buffers that the next job resets.
            let result = catch_unwind(AssertUnwindSafe(|| job(model)))
                .map_err(|panic| WorkerError::Panicked { worker, message: panic_message(panic.as_ref()) });
            // The place is free before the caller hears, so that a caller who asks again finds it free.
            drop(place);
            let _ = reply.send(result);
        });
        let waiting: Waiting<T> = Arc::new(Mutex::new(Some(job)));
        let left = waiting.clone();
        let pending = Pending {
            result,
            worker: self.name.clone(),
            number,
            threads: self.threads.len(),
            tally: self.tally.clone(),
            _leave: Leave(Box::new(move || {
                // Dropped after the lock is free: it may hold the last handle of the worker.
                let job = lock(&left).take();
                drop(job);
            })),
        };
        self.sender().send(waiting).map_err(|_| self.stopped())?;
        Ok(pending)
    }
}

fn work<T>(mut model: T, queue: &Mutex<mpsc::UnboundedReceiver<Waiting<T>>>) {
    // The lock is held while waiting for a job, not while one runs: the other threads that wait, wait for the lock.
    let next = || lock(queue).blocking_recv();
    while let Some(waiting) = next() {
        let job = lock(&waiting).take();
        // None where its caller has left.
        if let Some(job) = job {
            job(&mut model);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T> Drop for Worker<T> {
    fn drop(&mut self) {
        self.jobs.take();
        for thread in self.threads.drain(..) {
            // A job may hold the last handle; a thread cannot join itself.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

/// A place in the queue, given back when the job is over or dropped unrun.
struct Place {
    number: usize,
    tally: Arc<Mutex<Tally>>,
}

impl Place {
    fn take(tally: &Arc<Mutex<Tally>>) -> Self {
        let number = lock(tally).take_number();
        Self { number, tally: tally.clone() }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.tally).open.remove(&self.number);
    }
}

/// Takes a job out of the queue when its caller leaves; one that runs or is over is not there any more.
struct Leave(Box<dyn Fn() + Send + Sync>);

impl Drop for Leave {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// The result of a queued job, still to come. Dropping it before the job begins drops the job and gives its place back.
#[must_use = "dropping this cancels the job"]
pub struct Pending<R> {
    result: oneshot::Receiver<Result<R, WorkerError>>,
    worker: Arc<str>,
    number: usize,
    threads: usize,
    tally: Arc<Mutex<Tally>>,
    _leave: Leave,
}

impl<R> Pending<R> {
    /// How many jobs must end before this one begins; 0 when it is this one's turn.
    pub fn ahead(&self) -> usize {
        let before = lock(&self.tally).open.range(..self.number).count();
        (before + 1).saturating_sub(self.threads)
    }
}

impl<R> Future for Pending<R> {
    type Output = Result<R, WorkerError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(Pin::new(&mut self.result).poll(context));
        Poll::Ready(result.unwrap_or_else(|_| Err(WorkerError::Stopped(self.worker.clone()))))
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    fn counter(capacity: usize) -> Worker<u32> {
        Worker::spawn("counter", capacity, || Ok::<_, Infallible>(0)).unwrap()
    }

    /// Queues a job that ends when told, and waits until it runs.
    fn hold(worker: &Worker<u32>) -> (Pending<()>, Sender<()>) {
        let (release, released): (Sender<()>, Receiver<()>) = channel();
        let (started, has_started) = channel();
        let pending = worker
            .try_submit(move |_| {
                started.send(()).unwrap();
                let _ = released.recv();
            })
            .unwrap();
        has_started.recv().unwrap();
        (pending, release)
    }

    #[tokio::test]
    async fn jobs_run_in_order_on_one_model() {
        let worker = counter(4);
        for expected in 1..=3 {
            let count = worker.run(|count| {
                *count += 1;
                *count
            });
            assert_eq!(count.await, Ok(expected));
        }
        assert_eq!(worker.queued(), 0);
    }

    #[tokio::test]
    async fn several_threads_share_a_queue() {
        let worker = Worker::spawn_many("counter", 4, [|| Ok::<_, Infallible>(0), || Ok(0)]).unwrap();
        let ((first, release_first), (second, release_second)) = (hold(&worker), hold(&worker));
        let third = worker.try_submit(|_| ()).unwrap();
        assert_eq!((first.ahead(), second.ahead(), third.ahead()), (0, 0, 1));
        release_second.send(()).unwrap();
        second.await.unwrap();
        third.await.unwrap();
        release_first.send(()).unwrap();
        first.await.unwrap();
        assert_eq!(worker.queued(), 0);

        let makes: [fn() -> Result<u32, &'static str>; 2] = [|| Ok(0), || Err("no memory")];
        let error = Worker::spawn_many("counter", 4, makes).err().unwrap();
        assert!(matches!(error, SpawnError::Make(_, "no memory")));
    }

    #[tokio::test]
    async fn a_panic_is_an_error_of_its_job_and_the_worker_lives_on() {
        let worker = counter(1);
        let error = worker.run(|_| panic!("bad token {}", 7)).await.map(|(): ()| ()).unwrap_err();
        assert_eq!(error.to_string(), "a job of the counter worker panicked: bad token 7");
        assert_eq!(worker.run(|count| *count).await, Ok(0));
    }

    #[tokio::test]
    async fn a_full_queue_refuses_people_and_lets_batch_work_wait() {
        let worker = counter(1);
        let (first, release) = hold(&worker);
        let second = worker.try_submit(|_| 2).unwrap();
        assert_eq!(worker.try_run(|_| 3).await, Err(WorkerError::Full("counter".into())));
        assert_eq!((worker.queued(), first.ahead(), second.ahead()), (2, 0, 1));

        let (waited, ()) = tokio::join!(worker.run(|_| 4), async {
            release.send(()).unwrap();
            first.await.unwrap();
        });
        assert_eq!((waited, second.await), (Ok(4), Ok(2)));
    }

    #[tokio::test]
    async fn a_job_whose_caller_has_left_is_skipped() {
        let worker = counter(2);
        let (first, release) = hold(&worker);
        drop(worker.try_submit(|count| *count += 100).unwrap());
        let last = worker.try_submit(|count| *count).unwrap();
        release.send(()).unwrap();
        first.await.unwrap();
        assert_eq!(last.await, Ok(0));
    }

    #[tokio::test]
    async fn a_caller_who_leaves_gives_the_place_back_at_once() {
        let worker = counter(2);
        let (first, release) = hold(&worker);
        let second = worker.try_submit(|_| 2).unwrap();
        let prompt = Arc::new("a long one");
        let held = prompt.clone();
        let third = worker.try_submit(move |_| held.len()).unwrap();
        assert_eq!(worker.try_run(|_| 4).await, Err(WorkerError::Full("counter".into())));

        drop(third);
        assert_eq!((worker.queued(), Arc::strong_count(&prompt)), (2, 1));
        assert_eq!(second.ahead(), 1, "who leaves behind it brings nobody forward");
        let fourth = worker.try_submit(|_| 4).unwrap();
        assert_eq!((worker.queued(), fourth.ahead()), (3, 2));

        drop(second);
        assert_eq!((worker.queued(), fourth.ahead()), (2, 1));
        release.send(()).unwrap();
        first.await.unwrap();
        assert_eq!((fourth.await, worker.queued()), (Ok(4), 0));
    }

    #[test]
    fn a_model_that_cannot_be_made_is_an_error() {
        let error = Worker::<u32>::spawn("counter", 1, || Err("no such file")).err().unwrap();
        assert!(matches!(error, SpawnError::Make(_, "no such file")));
        let made: Result<Worker<u32>, SpawnError<Infallible>> = Worker::spawn("counter", 1, || panic!("bad file"));
        assert_eq!(made.err().unwrap().to_string(), "making the model of the counter worker panicked: bad file");
    }

    #[test]
    fn dropping_the_worker_joins_its_thread_after_the_queue() {
        struct Gone(Sender<()>);
        impl Drop for Gone {
            fn drop(&mut self) {
                self.0.send(()).unwrap();
            }
        }
        let (gone, is_gone) = channel();
        let worker = Worker::spawn("model", 1, move || Ok::<_, Infallible>(Gone(gone))).unwrap();
        assert_eq!(worker.run_blocking(|_| 1), Ok(1));
        drop(worker);
        is_gone.try_recv().unwrap();
    }

    #[test]
    fn a_job_may_drop_the_last_handle() {
        let worker = Arc::new(counter(1));
        let held = worker.clone();
        let (done, is_done) = channel();
        let pending = worker.try_submit(move |_| drop(held)).unwrap();
        drop(worker);
        std::thread::spawn(move || done.send(pending.result.blocking_recv()));
        assert_eq!(is_done.recv().unwrap().unwrap(), Ok(()));
    }
}
