//! The parent's side: starts the child, hands it files within a time, and tells how it ended.

use std::{
    io::{self, Read},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::Path,
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use premise_ingest::{Picture, Reading, Recognised, Tesseract};
use rlimit::{Resource, prlimit};

use super::{
    check,
    sandbox::Confinement,
    wire::{self, Refusal, RefusedAs, Request, Said, Setup},
};
use crate::error::{Error, Kind};

/// The verb that makes a process of this program a reader.
pub(crate) const VERB: &str = "read-files";

/// A start takes about 20 ms; a machine may be slow.
const START_TIME: Duration = Duration::from_secs(30);
/// A process that has closed its pipe is given so long to end by itself, so that its own signal tells why.
const END_TIME: Duration = Duration::from_secs(2);
/// How long it takes at most until a raised flag is seen.
const GLANCE: Duration = Duration::from_millis(100);
const MAX_CONFINEMENT_BYTES: u64 = 1 << 10;
/// A picture of the largest page.
const MAX_PICTURE_BYTES: u64 = 128 << 20;
const MAX_SIDE_PIXELS: usize = 20_000;
/// Drawing and levelling a page takes a quarter of a second; a picture adds so much to the time of its file.
const SECONDS_FOR_PICTURE: u64 = 10;
const MAX_LAST_WORDS: u64 = 1 << 12;
/// proc(5) counts in these, on every architecture that Rust's seccomp filters know.
const TICKS_PER_SECOND: u64 = 100;

/// A running child, with its walls up.
pub(super) struct Process {
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    stderr: ChildStderr,
    /// Files that it was given.
    pub files: u32,
    output_bytes: u64,
    max_pages: usize,
}

/// What one file may take, and who reads its pictures.
pub(super) struct Means<'a> {
    pub cpu_time: Duration,
    pub wall_time: Duration,
    pub tesseract: Option<&'a Tesseract>,
    pub stop: &'a AtomicBool,
}

/// How a process ended, or had to be ended, over a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    Stopped,
    Time,
    Memory,
    Output,
    /// Its stack was too small.
    Depth,
    Fault(String),
}

impl Process {
    /// Starts a reader, this program or another build of it, and tells what holds it in.
    pub(super) fn start(program: Option<&Path>, setup: &Setup) -> io::Result<(Self, Confinement)> {
        // The link leads to the running program even after an update has put a newer one in its place.
        let mut command = Command::new(program.unwrap_or(Path::new("/proc/self/exe")));
        command.arg0("premise").arg(VERB).current_dir("/");
        // Secrets may be in the environment. A Ctrl-C is for the parent: a group of its own keeps it from the child.
        command.env_clear().envs(std::env::var_os("LD_LIBRARY_PATH").map(|path| ("LD_LIBRARY_PATH", path)));
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let missing = || io::Error::other("a pipe is missing");
        let stdin = child.stdin.take().ok_or_else(missing)?;
        let stdout = child.stdout.take().ok_or_else(missing)?;
        let stderr = child.stderr.take().ok_or_else(missing)?;
        let (output_bytes, max_pages) = (setup.output_bytes, setup.limits.max_pages);
        let mut process = Self { child, stdin, stdout, stderr, files: 0, output_bytes, max_pages };
        let confinement = process.set_up(setup)?;
        Ok((process, confinement))
    }

    fn set_up(&mut self, setup: &Setup) -> io::Result<Confinement> {
        let setup = wire::pack(setup)?;
        let confinement = self.exchange(&Clock::new(START_TIME), crate::library::never(), |to_child, from_child| {
            wire::send(to_child, &setup)?;
            wire::receive(from_child, MAX_CONFINEMENT_BYTES)
        });
        wire::unpack(&confinement.map_err(|end| io::Error::other(format!("it ended at its start: {end:?}")))?)
    }

    /// Has one file read. After an `Err`, the process is of no use any more.
    pub(super) fn read(
        &mut self,
        request: &Request,
        bytes: &[u8],
        means: &Means,
    ) -> Result<Result<Reading, Error>, End> {
        self.files += 1;
        let limit = |error: io::Error| End::Fault(format!("its time cannot be limited: {error}"));
        let cpu = CpuLimit::new(self.child.id(), means.cpu_time).map_err(limit)?;
        let (output_bytes, max_pages) = (self.output_bytes, self.max_pages);
        let request = wire::pack(request).map_err(|error| End::Fault(error.to_string()))?;
        let clock = Clock::new(means.wall_time);
        let mut taken = 0;
        let reply = self.exchange(&clock, means.stop, |to_child, from_child| {
            wire::send(to_child, &request)?;
            wire::send(to_child, bytes)?;
            loop {
                let frame = wire::receive(from_child, output_bytes.max(MAX_PICTURE_BYTES))?;
                let length = frame.len() as u64;
                match wire::unpack(&frame)? {
                    Said::Done(_) if length > output_bytes => return Ok(Err(Refusal::Output)),
                    Said::Done(reply) => return Ok(reply),
                    Said::Picture(first) => {
                        let mut incoming = Incoming {
                            from_child: &mut *from_child,
                            clock: &clock,
                            cpu: &cpu,
                            taken: &mut taken,
                            most: max_pages,
                            fault: None,
                        };
                        let words = incoming.recognise(first, means)?;
                        wire::send(to_child, &wire::pack(&words)?)?;
                    }
                    Said::NoMorePictures => wire::send(to_child, &wire::pack(&Vec::<Recognised>::new())?)?,
                }
            }
        })?;
        match reply {
            Ok(reading) if check::fits_together(&reading) => Ok(Ok(reading)),
            Err(Refusal::Error { kind, code, message, hint }) => Ok(Err(Error::new(kind.into(), code, message, hint))),
            Err(Refusal::Output) => Err(End::Output),
            Err(Refusal::Panic) => Err(End::Fault("a fault in our code".to_owned())),
            Ok(_) => Err(End::Fault("its answer makes no sense".to_owned())),
        }
    }

    /// Talks to the child, which is ended when its time is over or `stop` is raised: then its pipes break.
    fn exchange<T>(
        &mut self,
        clock: &Clock,
        stop: &AtomicBool,
        talk: impl FnOnce(&mut ChildStdin, &mut ChildStdout) -> io::Result<T>,
    ) -> Result<T, End> {
        let Self { child, stdin, stdout, .. } = self;
        let (talking, talk_ended) = mpsc::channel();
        let (talked, ended_by_us) = thread::scope(|scope| {
            let watch = move || watch(child, clock, stop, &talk_ended);
            let watching = thread::Builder::new().spawn_scoped(scope, watch);
            let talked = watching.is_ok().then(|| talk(stdin, stdout));
            drop(talking);
            (talked, watching.map(|watching| watching.join().unwrap_or_default()))
        });
        match (talked, ended_by_us) {
            (_, Ok(Some(end))) => Err(end),
            (Some(Ok(value)), _) => Ok(value),
            (Some(Err(error)), _) => Err(self.end(&error)),
            (None, watching) => Err(End::Fault(format!("nothing watches over it: {:?}", watching.err()))),
        }
    }

    /// Why the pipe broke.
    fn end(&mut self, error: &io::Error) -> End {
        match error.kind() {
            io::ErrorKind::FileTooLarge => return End::Output,
            io::ErrorKind::InvalidData => return End::Fault("its answer makes no sense".to_owned()),
            _ => {}
        }
        let until = Instant::now() + END_TIME;
        while Instant::now() < until {
            match self.child.try_wait() {
                Ok(Some(status)) => return ended(status, &self.last_words()),
                Ok(None) => std::thread::sleep(Duration::from_millis(5)),
                Err(error) => return End::Fault(error.to_string()),
            }
        }
        End::Fault("it broke off".to_owned())
    }

    /// Only after its end: until then it may say more.
    fn last_words(&mut self) -> String {
        let mut words = Vec::new();
        let _ = (&mut self.stderr).take(MAX_LAST_WORDS).read_to_end(&mut words);
        String::from_utf8_lossy(&words).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The limit on CPU time counts from the start of a process, so it is moved before each file; only from outside, for
/// the child's walls do not let it.
struct CpuLimit {
    child: i32,
    seconds: u64,
}

impl CpuLimit {
    fn new(child: u32, time: Duration) -> io::Result<Self> {
        let used_ticks = used_ticks(&std::fs::read_to_string(format!("/proc/{child}/stat"))?);
        let used_seconds = used_ticks.unwrap_or_default() / TICKS_PER_SECOND + 1;
        let limit = Self { child: child.cast_signed(), seconds: used_seconds + time.as_secs() };
        limit.allow(0)?;
        Ok(limit)
    }

    fn allow(&self, more_seconds: u64) -> io::Result<()> {
        // What someone else allows at most stays as it is: only an administrator may raise it.
        let (mut soft, mut hard) = (0, 0);
        prlimit(self.child, Resource::CPU, None, Some((&mut soft, &mut hard)))?;
        prlimit(self.child, Resource::CPU, Some(((self.seconds + more_seconds).min(hard), hard)), None)
    }
}

/// The child's time by the clock, which stands while the child waits for us.
struct Clock(Mutex<Running>);

struct Running {
    left: Duration,
    /// Since when it runs.
    since: Option<Instant>,
}

impl Clock {
    fn new(time: Duration) -> Self {
        Self(Mutex::new(Running { left: time, since: Some(Instant::now()) }))
    }

    fn run(&self, on: bool) {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        running.left = running.left();
        running.since = on.then(Instant::now);
    }

    fn left(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).left()
    }
}

impl Running {
    fn left(&self) -> Duration {
        self.left.saturating_sub(self.since.map(|since| since.elapsed()).unwrap_or_default())
    }
}

/// Pictures as they come out of the child.
struct Incoming<'a> {
    from_child: &'a mut ChildStdout,
    clock: &'a Clock,
    cpu: &'a CpuLimit,
    /// Pictures of the file so far: however often the child begins anew, no more than a file has pages are read.
    taken: &'a mut usize,
    most: usize,
    fault: Option<io::Error>,
}

impl Incoming<'_> {
    /// The words of the first picture and of those that follow it.
    fn recognise(&mut self, first: Picture, means: &Means) -> io::Result<Vec<Recognised>> {
        let tesseract = means.tesseract.ok_or(io::ErrorKind::InvalidData)?;
        let first = self.take(first)?;
        self.clock.run(false);
        let words = {
            let mut pictures = std::iter::once(first).chain(std::iter::from_fn(|| self.next()));
            tesseract.recognise_until(&mut pictures, means.stop)
        };
        self.clock.run(true);
        match self.fault.take() {
            Some(fault) => Err(fault),
            None => Ok(words),
        }
    }

    fn next(&mut self) -> Option<Picture> {
        self.clock.run(true);
        let next = self.receive();
        self.clock.run(false);
        next.unwrap_or_else(|fault| {
            self.fault = Some(fault);
            None
        })
    }

    fn receive(&mut self) -> io::Result<Option<Picture>> {
        match wire::unpack(&wire::receive(self.from_child, MAX_PICTURE_BYTES)?)? {
            Said::Picture(picture) => self.take(picture).map(Some),
            Said::NoMorePictures => Ok(None),
            Said::Done(_) => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    fn take(&mut self, picture: Picture) -> io::Result<Picture> {
        *self.taken += 1;
        if *self.taken > self.most || !is_sound(&picture) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.cpu.allow(SECONDS_FOR_PICTURE * *self.taken as u64)?;
        Ok(picture)
    }
}

/// A file may have taken the child over: its pictures are believed as far as they fit together.
fn is_sound(picture: &Picture) -> bool {
    let sides = [picture.width, picture.height];
    sides.iter().all(|side| (1..=MAX_SIDE_PIXELS).contains(side))
        && picture.width * picture.height == picture.grey.len()
        && (0.01..100.0).contains(&picture.pixels_per_point)
}

/// By the signal, and for an abort by what Rust's runtime says before it.
fn ended(status: ExitStatus, last_words: &str) -> End {
    match status.signal() {
        Some(libc::SIGXCPU) => End::Time,
        // Nobody else ends it so: the machine has no memory left.
        Some(libc::SIGKILL) => End::Memory,
        Some(libc::SIGABRT) if last_words.contains("memory allocation of") => End::Memory,
        Some(_) if last_words.contains("overflowed its stack") => End::Depth,
        Some(signal) => End::Fault(format!("signal {signal}")),
        None => End::Fault(status.to_string()),
    }
}

/// CPU time so far, in clock ticks, of a line of `/proc/PID/stat` (proc(5): fields 14 and 15; the name before them is
/// in brackets and may hold anything).
fn used_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

/// Ends the child when its time is over or the flag is raised, and says so; returns when the talk has ended.
fn watch(child: &mut Child, clock: &Clock, stop: &AtomicBool, talk_ended: &mpsc::Receiver<()>) -> Option<End> {
    loop {
        if talk_ended.recv_timeout(clock.left().min(GLANCE)) == Err(RecvTimeoutError::Disconnected) {
            return None;
        }
        let end = if stop.load(Ordering::Relaxed) { End::Stopped } else { End::Time };
        if end == End::Stopped || clock.left().is_zero() {
            let _ = child.kill();
            return Some(end);
        }
    }
}

impl From<RefusedAs> for Kind {
    fn from(refused: RefusedAs) -> Self {
        match refused {
            RefusedAs::Unsupported => Self::Unsupported,
            RefusedAs::TooLarge => Self::TooLarge,
            RefusedAs::Unreadable => Self::Unreadable,
        }
    }
}
