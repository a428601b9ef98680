//! Tesseract, a program of its own: found once, started for each picture, several at a time.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use super::{Picture, Recognise, Recognised, kept, tsv};

/// A page takes about 2 s of CPU time, and was seen to take 40 s by the clock where other work had the machine. One that
/// takes this long holds up everything behind it.
const PAGE_TIME: Duration = Duration::from_mins(10);
const POLL: Duration = Duration::from_millis(10);
/// A page of the smallest print has some 100 KB of words and places.
const MOST_OUTPUT_BYTES: u64 = 16 << 20;
/// Where the packages of Linux distributions and an installation by hand put the data of languages.
const DATA_FOLDERS: [&str; 4] =
    ["/usr/share/tesseract-ocr", "/usr/share/tessdata", "/usr/local/share/tessdata", "/usr/share/tesseract"];

/// The recogniser: where the program is, and how it is to read.
#[derive(Clone, Debug)]
pub struct Tesseract {
    /// The program, with what is started before it.
    command: Vec<OsString>,
    version: String,
    known: Vec<String>,
    data: Vec<PathBuf>,
    languages: String,
    kept: Option<PathBuf>,
    threads: usize,
}

/// Why pictures cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TesseractMissing {
    /// The program is not installed.
    #[error("tesseract is not installed")]
    NotInstalled,
    /// A language that was asked for has no data.
    #[error("tesseract has no data of the language '{language}', only of {}", known.join(", "))]
    Language {
        /// The one that is missing.
        language: String,
        /// Those that are there.
        known: Vec<String>,
    },
}

impl Tesseract {
    /// Finds Tesseract on the path, and the data of the languages, as in `eng+deu`.
    pub fn find(languages: &str) -> Result<Self, TesseractMissing> {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let program = std::env::split_paths(&folders)
            .map(|folder| folder.join("tesseract"))
            .find(|program| program.is_file())
            .ok_or(TesseractMissing::NotInstalled)?;
        let run = |argument: &str| {
            let output = Command::new(&program).arg(argument).stdin(Stdio::null()).output().ok()?;
            // Older versions say this on standard error.
            Some([output.stdout, output.stderr].concat()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        };
        let version = run("--version").ok_or(TesseractMissing::NotInstalled)?;
        let version = version.lines().next().unwrap_or_default().to_owned();
        let listed = run("--list-langs").ok_or(TesseractMissing::NotInstalled)?;
        // The first line says where they lie, the others are their names.
        let known: Vec<String> = listed.lines().skip(1).map(|line| line.trim().to_owned()).collect();
        if let Some(missing) = languages.split('+').find(|language| !known.iter().any(|known| known == language)) {
            return Err(TesseractMissing::Language { language: missing.to_owned(), known });
        }
        let said = listed.lines().next().and_then(|line| line.split('"').nth(1)).map(PathBuf::from);
        let set = std::env::var_os("TESSDATA_PREFIX").map(PathBuf::from);
        let usual = DATA_FOLDERS.iter().map(PathBuf::from);
        let data = said.into_iter().chain(set).chain(usual).filter(|folder| folder.is_dir()).collect();
        Ok(Self {
            command: vec![program.into()],
            version,
            known,
            data,
            languages: languages.to_owned(),
            kept: None,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
        })
    }

    /// What was found, for a report: `tesseract 5.3.0`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The languages that it reads in, as in `eng+deu`.
    pub fn languages(&self) -> &str {
        &self.languages
    }

    /// All languages that have data.
    pub fn known_languages(&self) -> &[String] {
        &self.known
    }

    /// The folders that have the data of languages: the only files that it reads, besides itself and its libraries.
    pub fn data_folders(&self) -> &[PathBuf] {
        &self.data
    }

    /// Starts another program first, which becomes this one: whoever builds walls around it.
    #[must_use]
    pub fn started_by(self, launcher: impl IntoIterator<Item = OsString>) -> Self {
        Self { command: launcher.into_iter().chain(self.command).collect(), ..self }
    }

    /// Reads so many pages at a time instead of one for each core.
    #[must_use]
    pub fn with_threads(self, threads: usize) -> Self {
        Self { threads: threads.max(1), ..self }
    }

    /// Keeps what it sees in a folder, and looks there first.
    #[must_use]
    pub fn keeping_in(self, folder: &Path) -> Self {
        Self { kept: Some(folder.to_owned()), ..self }
    }

    /// Reads one picture; ends soon after the flag is raised.
    pub fn words(&self, picture: &Picture, stop: &AtomicBool) -> Recognised {
        let how = format!("{} {}", self.version, self.languages);
        let path = self.kept.as_deref().map(|folder| kept::path(folder, &how, picture));
        if let Some(words) = path.as_deref().and_then(kept::read) {
            return Ok(words);
        }
        let words = self.run(picture, stop)?;
        if let Some(path) = path {
            kept::write(&path, &words);
        }
        Ok(words)
    }

    /// Reads pictures, several at a time, until the flag is raised: then the rest of them is left.
    pub fn recognise_until(&self, pictures: &mut dyn Iterator<Item = Picture>, stop: &AtomicBool) -> Vec<Recognised> {
        let (pages, waiting) = mpsc::sync_channel::<(usize, Picture)>(1);
        let waiting = Mutex::new(waiting);
        let outcomes = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            let read_pages = || {
                loop {
                    let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((at, picture)) = next else { break };
                    let outcome = self.words(&picture, stop);
                    outcomes.lock().unwrap_or_else(PoisonError::into_inner).push((at, outcome));
                }
            };
            for (at, picture) in pictures.enumerate() {
                if at < self.threads {
                    scope.spawn(read_pages);
                }
                if stop.load(Ordering::Relaxed) || pages.send((at, picture)).is_err() {
                    break;
                }
            }
            drop(pages);
        });
        let mut outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
        outcomes.sort_by_key(|(at, _)| *at);
        outcomes.into_iter().map(|(_, outcome)| outcome).collect()
    }

    fn run(&self, picture: &Picture, stop: &AtomicBool) -> Recognised {
        let [program, arguments @ ..] = self.command.as_slice() else { return Err("there is no program".to_owned()) };
        let dpi = (picture.pixels_per_point * 72.0).round().clamp(70.0, 2400.0);
        let mut command = Command::new(program);
        command
            .args(arguments)
            .args(["stdin", "stdout", "-l", &self.languages, "--psm", "3", "--dpi", &dpi.to_string()])
            .args(["-c", "tessedit_create_tsv=1"])
            .env_clear()
            // Pages are read side by side: threads within a page only wait for each other.
            .env("OMP_THREAD_LIMIT", "1");
        for name in ["TESSDATA_PREFIX", "LD_LIBRARY_PATH"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        // A Ctrl-C is for the parent: a group of its own keeps it from the child.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).current_dir("/");
        let mut child = command.spawn().map_err(|error| format!("tesseract cannot be started: {error}"))?;
        let (mut input, output) = (child.stdin.take(), child.stdout.take());
        // Fed and read beside the clock, so that no full pipe can stop it.
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let Some(input) = &mut input else { return };
                let header = format!("P5\n{} {}\n255\n", picture.width, picture.height);
                // A child that died has closed the pipe; its exit says so.
                let _ = input.write_all(header.as_bytes()).and_then(|()| input.write_all(&picture.grey));
            });
            let reader = scope.spawn(move || {
                let mut table = Vec::new();
                output.and_then(|output| output.take(MOST_OUTPUT_BYTES).read_to_end(&mut table).ok());
                String::from_utf8_lossy(&table).into_owned()
            });
            let ended = wait(&mut child, stop);
            let table = reader.join().unwrap_or_default();
            ended.map(|()| tsv::words(&table))
        })
    }
}

impl Recognise for Tesseract {
    fn recognise(&self, pictures: &mut dyn Iterator<Item = Picture>) -> Vec<Recognised> {
        self.recognise_until(pictures, &AtomicBool::new(false))
    }
}

/// Waits for the child, and ends it when its time is over.
fn wait(child: &mut Child, stop: &AtomicBool) -> Result<(), String> {
    let start = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(format!("tesseract failed ({status})")),
            Ok(None) if start.elapsed() < PAGE_TIME && !stop.load(Ordering::Relaxed) => std::thread::sleep(POLL),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("tesseract took longer than {} minutes", PAGE_TIME.as_secs() / 60));
            }
            Err(error) => return Err(format!("tesseract cannot be waited for: {error}")),
        }
    }
}
