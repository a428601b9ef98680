//! Progress on a terminal: how much is read, how fast, how long it still takes. Nothing when the output is no
//! terminal or JSON was asked for.

use std::{
    io::IsTerminal,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::library::Progress;

pub(super) struct Bar {
    line: ProgressBar,
    started: Instant,
    chunks: AtomicU64,
    files: AtomicU64,
    written: Mutex<String>,
}

/// Twelve pictures a second at most; the terminal is not what takes time here.
const TICK: Duration = Duration::from_millis(120);

impl Bar {
    /// A bar for reading files.
    pub(super) fn new(quiet: bool) -> Self {
        Self::with(quiet, "{spinner} {wide_bar} {percent:>3}%  {msg}  {eta} left")
    }

    /// A line for an answer that is being written.
    pub(super) fn answering(quiet: bool) -> Self {
        let bar = Self::with(quiet, "{spinner} {elapsed} {wide_msg}");
        bar.line.enable_steady_tick(TICK);
        bar.line.set_message("looking for passages");
        bar
    }

    /// A bar for files that are asked one by one.
    pub(super) fn each(quiet: bool) -> Self {
        Self::with(quiet, "{spinner} {msg:40!} {wide_bar} {pos}/{len} {eta} left")
    }

    /// A bar for something that is fetched.
    pub(super) fn fetching(quiet: bool) -> Self {
        Self::with(quiet, "{spinner} {msg:40!} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta} left")
    }

    fn with(quiet: bool, template: &str) -> Self {
        let line = if quiet || !std::io::stderr().is_terminal() { ProgressBar::hidden() } else { ProgressBar::new(0) };
        line.set_style(
            ProgressStyle::with_template(template)
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .progress_chars("━╸ "),
        );
        Self {
            line,
            started: Instant::now(),
            chunks: AtomicU64::new(0),
            files: AtomicU64::new(0),
            written: Mutex::default(),
        }
    }

    pub(super) fn note(&self, progress: Progress) {
        match progress {
            Progress::Planned { files, size_bytes } => {
                self.line.enable_steady_tick(TICK);
                self.line.set_length(size_bytes);
                self.line.set_position(0);
                self.line.set_message(format!("{files} files"));
            }
            Progress::Advanced { size_bytes } => {
                self.line.inc(size_bytes);
                let chunks = self.chunks.fetch_add(1, Ordering::Relaxed) + 1;
                let rate = chunks as f64 / self.started.elapsed().as_secs_f64().max(0.001);
                let files = self.files.load(Ordering::Relaxed);
                self.line.set_message(format!("{files} files, {chunks} chunks, {rate:.0}/s"));
            }
            Progress::Added { .. } => {
                self.files.fetch_add(1, Ordering::Relaxed);
            }
            Progress::Failed { file, reason } => self.line.println(format!("not read: {file}: {reason}")),
            Progress::Maintaining => self.line.set_message("putting the index in order"),
        }
    }

    pub(super) fn fetched(&self, message: &str, done_bytes: u64, total_bytes: Option<u64>) {
        self.line.enable_steady_tick(TICK);
        self.line.set_message(message.to_owned());
        self.line.set_length(total_bytes.unwrap_or(done_bytes.max(1)));
        self.line.set_position(done_bytes);
    }

    pub(super) fn found(&self, passages: usize) {
        self.line.set_message(format!("reading {passages} passages"));
    }

    /// Shows the best quote above the bar: it is there seconds before the answer.
    pub(super) fn quotes(&self, quotes: &[crate::library::Quote]) {
        if let Some(best) = quotes.first() {
            self.line.println(format!("{}, page {}: \u{201c}{}\u{201d}", best.file, best.page, best.quote));
        }
    }

    pub(super) fn planned(&self, documents: usize) {
        self.line.enable_steady_tick(TICK);
        self.line.set_length(documents as u64);
    }

    pub(super) fn answered(&self, file: &str) {
        self.line.set_message(file.to_owned());
        self.line.inc(1);
    }

    pub(super) fn queued(&self, ahead: usize) {
        self.line.set_message(format!("waiting for {ahead} other questions"));
    }

    /// Shows the end of what has been written so far.
    pub(super) fn piece(&self, piece: &str) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.push_str(&piece.replace('\n', " "));
        let tail: Vec<char> = written.chars().rev().take(90).collect();
        self.line.set_message(tail.into_iter().rev().collect::<String>());
    }

    pub(super) fn finish(&self) {
        self.line.finish_and_clear();
    }
}
