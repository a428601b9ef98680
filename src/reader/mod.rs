//! Reads strangers' files in a process of its own: the same program, which holds nothing but the one file, may open
//! nothing, connect to nothing, and has little memory and time. What goes wrong there is that file's failure.

mod check;
mod child;
mod process;
mod recogniser;
mod sandbox;
mod wire;

use std::{path::Path, sync::atomic::AtomicBool, time::Duration};

use premise_ingest::{Limits, Reading};
use secrecy::{ExposeSecret, SecretString};
use tracing::debug;

pub use self::{
    child::serve,
    recogniser::{NoRecogniser, Recogniser, Walls, become_program},
    sandbox::{Confinement, Landlock},
};
pub(crate) use self::{process::VERB, recogniser::VERB as PICTURE_VERB};
use self::{
    process::{End, Means, Process},
    wire::{Request, Setup},
};
use crate::{
    config,
    error::{Error, Kind, Result},
};

/// A process is replaced after so many files, so that no file lives with what many others left behind. A start takes
/// about 20 ms.
const FILES_PER_PROCESS: u32 = 200;
/// Reading may take so many times its CPU time: the machine has other work too.
const WALL_PER_CPU: u32 = 4;

/// A file to read.
#[derive(Clone, Copy, Default)]
pub struct File<'a> {
    /// Its name; the ending says what it is.
    pub name: &'a str,
    /// Its content.
    pub bytes: &'a [u8],
    /// Tried if it is locked.
    pub passwords: &'a [SecretString],
    /// Where the words of its pictures are kept, so that they need not be read again.
    pub kept: Option<&'a Path>,
}

/// Reads file after file in a process that is kept warm, and replaced when a file breaks it. For one collection: no
/// process sees files of two.
pub struct Reader<'a> {
    settings: &'a config::Reading,
    setup: Setup,
    recogniser: Option<&'a Recogniser>,
    process: Option<Process>,
}

impl<'a> Reader<'a> {
    /// A reader whose process starts with the first file.
    pub fn new(settings: &'a config::Reading, limits: &Limits, recogniser: Option<&'a Recogniser>) -> Self {
        let setup = Setup {
            memory_bytes: settings.memory_mb << 20,
            output_bytes: settings.output_mb << 20,
            limits: limits.clone(),
        };
        Self { settings, setup, recogniser, process: None }
    }

    /// Reads one file. Blocks for at most the time of the settings and that of its pictures, and ends soon after `stop`
    /// is raised.
    pub fn read(&mut self, file: File, stop: &AtomicBool) -> Result<Reading> {
        let request = Request {
            file_name: file.name.to_owned(),
            passwords: file.passwords.iter().map(|password| password.expose_secret().to_owned()).collect(),
            recognises: self.recogniser.is_some(),
        };
        let tesseract = self.recogniser.map(|recogniser| recogniser.for_file(file.kept));
        let (cpu_time, wall_time) = (self.cpu_time(), self.wall_time());
        let means = Means { cpu_time, wall_time, tesseract: tesseract.as_ref(), stop };
        loop {
            let mut process = self.process()?;
            let is_fresh = process.files == 0;
            return match process.read(&request, file.bytes, &means) {
                Ok(reading) => {
                    if process.files < FILES_PER_PROCESS {
                        self.process = Some(process);
                    }
                    reading
                }
                // What earlier files left in memory may be at fault: only a fresh process is believed.
                Err(End::Memory | End::Fault(_)) if !is_fresh => continue,
                Err(end) => Err(self.error(&end)),
            };
        }
    }

    /// Starts a process, and tells what holds it in.
    pub fn confinement(&mut self) -> Result<Confinement> {
        let (process, confinement) = self.start()?;
        self.process = Some(process);
        Ok(confinement)
    }

    fn process(&mut self) -> Result<Process> {
        match self.process.take() {
            Some(process) => Ok(process),
            None => self.start().map(|(process, confinement)| {
                debug!(?confinement, "started a process that reads files");
                process
            }),
        }
    }

    fn start(&self) -> Result<(Process, Confinement)> {
        Process::start(self.settings.program.as_deref(), &self.setup).map_err(|error| {
            Error::new(
                Kind::Unavailable,
                "reader_failed",
                format!("cannot start the process that reads files: {error}"),
                "`premise doctor` tells more. If memory is short, close other programs and try again",
            )
        })
    }

    fn cpu_time(&self) -> Duration {
        Duration::from_secs(self.settings.seconds)
    }

    fn wall_time(&self) -> Duration {
        self.cpu_time() * WALL_PER_CPU
    }

    fn error(&self, end: &End) -> Error {
        const SAVE_ANEW: &str =
            "Open it in the program it came from and save it anew; if it still fails, report the file";
        let (kind, code, message, hint) = match end {
            End::Stopped => return crate::library::stopped(),
            End::Time => (
                Kind::Unreadable,
                "file_too_slow",
                format!("reading it takes more than {} seconds", self.settings.seconds),
                "Save it anew, or split it; `seconds` under [reading] in the settings gives it more time",
            ),
            End::Memory => (
                Kind::TooLarge,
                "file_too_large",
                format!("reading it takes more than {} MB of memory", self.settings.memory_mb),
                "Split the file; `memory_mb` under [reading] in the settings gives it more",
            ),
            End::Output => (
                Kind::TooLarge,
                "file_too_large",
                format!("what is in it comes to more than {} MB", self.settings.output_mb),
                "Split the file; `output_mb` under [reading] in the settings lets more through",
            ),
            End::Depth => {
                (Kind::Unreadable, "unreadable_file", "its parts lie too deep within each other".to_owned(), SAVE_ANEW)
            }
            End::Fault(how) => {
                (Kind::Unreadable, "unreadable_file", format!("the reader failed on this file ({how})"), SAVE_ANEW)
            }
        };
        Error::new(kind, code, message, hint)
    }
}
