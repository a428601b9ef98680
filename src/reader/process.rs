//! The parent's side: starts the child, hands it files within a time, and tells how it ended.

use std::{
    io::{self, Read},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::Path,
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use premise_ingest::Reading;
use rlimit::{Resource, prlimit};

use super::{
    check,
    sandbox::Confinement,
    wire::{self, Refusal, RefusedAs, Setup},
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
        let mut process = Self { child, stdin, stdout, stderr, files: 0, output_bytes: setup.output_bytes };
        let confinement = process.set_up(setup)?;
        Ok((process, confinement))
    }

    fn set_up(&mut self, setup: &Setup) -> io::Result<Confinement> {
        let setup = wire::pack(setup)?;
        let confinement = self.exchange(START_TIME, crate::library::never(), |to_child, from_child| {
            wire::send(to_child, &setup)?;
            wire::receive(from_child, MAX_CONFINEMENT_BYTES)
        });
        wire::unpack(&confinement.map_err(|end| io::Error::other(format!("it ended at its start: {end:?}")))?)
    }

    /// Has one file read. After an `Err`, the process is of no use any more.
    pub(super) fn read(
        &mut self,
        file_name: &str,
        bytes: &[u8],
        cpu_time: Duration,
        wall_time: Duration,
        stop: &AtomicBool,
    ) -> Result<Result<Reading, Error>, End> {
        self.files += 1;
        self.limit_cpu(cpu_time).map_err(|error| End::Fault(format!("its time cannot be limited: {error}")))?;
        let output_bytes = self.output_bytes;
        let reply = self.exchange(wall_time, stop, |to_child, from_child| {
            wire::send(to_child, file_name.as_bytes())?;
            wire::send(to_child, bytes)?;
            wire::receive(from_child, output_bytes)
        })?;
        match wire::unpack::<Result<Reading, Refusal>>(&reply) {
            Ok(Ok(reading)) if check::fits_together(&reading) => Ok(Ok(reading)),
            Ok(Err(Refusal::Error { kind, code, message, hint })) => {
                Ok(Err(Error::new(kind.into(), code, message, hint)))
            }
            Ok(Err(Refusal::Output)) => Err(End::Output),
            Ok(Err(Refusal::Panic)) => Err(End::Fault("a fault in our code".to_owned())),
            Ok(Ok(_)) | Err(_) => Err(End::Fault("its answer makes no sense".to_owned())),
        }
    }

    /// Talks to the child, which is ended when the time is over or `stop` is raised: then its pipes break.
    fn exchange<T>(
        &mut self,
        time: Duration,
        stop: &AtomicBool,
        talk: impl FnOnce(&mut ChildStdin, &mut ChildStdout) -> io::Result<T>,
    ) -> Result<T, End> {
        let Self { child, stdin, stdout, .. } = self;
        let (talking, talk_ended) = mpsc::channel();
        let (talked, ended_by_us) = thread::scope(|scope| {
            let watch = move || watch(child, Instant::now() + time, stop, &talk_ended);
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

    /// The limit counts from the start of a process, so it is moved before each file; only from outside, for the
    /// child's walls do not let it.
    fn limit_cpu(&self, cpu_time: Duration) -> io::Result<()> {
        let used_ticks = used_ticks(&std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?);
        let used_seconds = used_ticks.unwrap_or_default() / TICKS_PER_SECOND + 1;
        let child = self.child.id().cast_signed();
        // What someone else allows at most stays as it is: only an administrator may raise it.
        let (mut soft, mut hard) = (0, 0);
        prlimit(child, Resource::CPU, None, Some((&mut soft, &mut hard)))?;
        let most = used_seconds + cpu_time.as_secs();
        prlimit(child, Resource::CPU, Some((most.min(hard), hard)), None)
    }

    /// Why the pipe broke.
    fn end(&mut self, error: &io::Error) -> End {
        if error.kind() == io::ErrorKind::FileTooLarge {
            return End::Output;
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
fn watch(child: &mut Child, until: Instant, stop: &AtomicBool, talk_ended: &mpsc::Receiver<()>) -> Option<End> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if talk_ended.recv_timeout(left.min(GLANCE)) == Err(RecvTimeoutError::Disconnected) {
            return None;
        }
        let end = if stop.load(Ordering::Relaxed) { End::Stopped } else { End::Time };
        if end == End::Stopped || Instant::now() >= until {
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
