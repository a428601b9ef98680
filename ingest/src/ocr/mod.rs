//! Text recognition: a picture of a page in, words with their places out. The reading is done by
//! Tesseract, a program of its own, found when we start; what it has read is kept by the picture's
//! hash.

mod deskew;
mod tsv;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// A page takes 2 to 4 s; one that takes this long holds up everything behind it.
const PAGE_TIMEOUT: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(20);
/// Raised when pictures are prepared in another way, so that kept results are not used again.
const CACHE_REVISION: u32 = 1;

/// The recogniser: where the program is, and how it is to read.
#[derive(Clone, Debug)]
pub struct Ocr {
    program: PathBuf,
    version: String,
    languages: String,
    cache: Option<PathBuf>,
    /// How many pages are read at a time; 0 for as many as there are cores.
    pub threads: usize,
}

/// Why pictures of pages cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OcrMissing {
    /// The program is not installed.
    #[error("text recognition (tesseract) is not installed")]
    NotInstalled,
    /// A language that was asked for has no data.
    #[error("text recognition does not know the language '{0}'")]
    Language(String),
}

/// A grey picture of a page, row by row from the top; 0 is black.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `width * height` values.
    pub grey: Vec<u8>,
    /// How many pixels a point (1/72 inch) is wide.
    pub pixels_per_point: f32,
}

/// A word that was recognised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeenWord {
    /// Its letters.
    pub text: String,
    /// `x0, y0, x1, y1` in pixels of the picture, from its upper left, y downwards.
    pub bbox: [f32; 4],
    /// How sure the reader is, from 0 to 1.
    pub confidence: f32,
    /// The line that it stands in, counted from 0 over the page.
    pub line: u32,
}

impl Ocr {
    /// Finds Tesseract on the path, and the data of the languages, as in `eng+deu`. The page's
    /// words are kept in `cache`, if there is one.
    pub fn find(languages: &str, cache: Option<&Path>) -> Result<Self, OcrMissing> {
        let program = PathBuf::from("tesseract");
        let run = |argument: &str| {
            let output = Command::new(&program).arg(argument).stdin(Stdio::null()).output().ok()?;
            // Older versions say this on standard error.
            Some([output.stdout, output.stderr].concat()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        };
        let version = run("--version").ok_or(OcrMissing::NotInstalled)?;
        let version = version.lines().next().unwrap_or_default().to_owned();
        let known = run("--list-langs").ok_or(OcrMissing::NotInstalled)?;
        if let Some(missing) = languages.split('+').find(|language| !known.lines().any(|line| line == *language)) {
            return Err(OcrMissing::Language(missing.to_owned()));
        }
        Ok(Self { program, version, languages: languages.to_owned(), cache: cache.map(Path::to_owned), threads: 0 })
    }

    /// What was found, for a report: `tesseract 5.3.0 (eng)`.
    pub fn describe(&self) -> String {
        format!("{} ({})", self.version, self.languages)
    }

    /// Reads a picture. The error says in a few words why it could not.
    pub fn words(&self, picture: &Picture) -> Result<Vec<SeenWord>, String> {
        let kept = self.cache.as_ref().map(|folder| folder.join(self.key(picture)));
        if let Some(words) = kept.as_deref().and_then(read_kept) {
            return Ok(words);
        }
        let skew = deskew::angle(picture);
        let words = if skew == 0.0 {
            self.run(picture)?
        } else {
            let mut words = self.run(&deskew::turned(picture, -skew))?;
            for word in &mut words {
                word.bbox = deskew::turned_box(word.bbox, picture, skew);
            }
            words
        };
        if let Some(kept) = kept {
            keep(&kept, &words);
        }
        Ok(words)
    }

    /// What a picture's words depend on.
    fn key(&self, picture: &Picture) -> String {
        let how = format!("{CACHE_REVISION} {} {} {}\n", self.version, self.languages, picture.width);
        let hash = crate::hash_bytes(&[how.as_bytes(), &picture.grey].concat());
        format!("{hash}.json")
    }

    fn run(&self, picture: &Picture) -> Result<Vec<SeenWord>, String> {
        let dpi = (picture.pixels_per_point * 72.0).round().clamp(70.0, 2400.0);
        let mut child = Command::new(&self.program)
            .args(["stdin", "stdout", "-l", &self.languages, "--psm", "3", "--dpi", &dpi.to_string(), "tsv"])
            // Pages are read side by side: threads within a page only wait for each other.
            .env("OMP_THREAD_LIMIT", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("tesseract cannot be started: {error}"))?;
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
                let mut text = String::new();
                output.and_then(|mut output| std::io::Read::read_to_string(&mut output, &mut text).ok());
                text
            });
            let ended = wait(&mut child);
            let text = reader.join().unwrap_or_default();
            ended.map(|()| tsv::words(&text))
        })
    }
}

/// Waits for the child, and ends it when its time is over.
fn wait(child: &mut Child) -> Result<(), String> {
    let start = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(format!("tesseract failed ({status})")),
            Ok(None) if start.elapsed() < PAGE_TIMEOUT => std::thread::sleep(POLL),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("tesseract took longer than {} s", PAGE_TIMEOUT.as_secs()));
            }
            Err(error) => return Err(format!("tesseract cannot be waited for: {error}")),
        }
    }
}

fn read_kept(path: &Path) -> Option<Vec<SeenWord>> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// A result that cannot be kept is made again: no reason to fail a file.
fn keep(path: &Path, words: &[SeenWord]) {
    let Ok(json) = serde_json::to_vec(words) else { return };
    // Written beside and moved, so that a reader never sees half of it.
    let unfinished = path.with_extension(format!("{}.part", std::process::id()));
    if std::fs::write(&unfinished, json).is_ok() {
        let _ = std::fs::rename(&unfinished, path);
    }
}
