//! Tesseract within walls of its own: this program is started once more for each picture, shuts itself in, and becomes
//! Tesseract, which then has its libraries, its data, a pipe in and a pipe out, and nothing else.

use std::{
    ffi::OsString,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    sync::atomic::AtomicBool,
};

use premise_ingest::{Picture, Tesseract, TesseractMissing};

use super::sandbox;
use crate::config;

/// The verb that makes a process of this program the one that reads a picture.
pub(crate) const VERB: &str = "read-picture";
/// Where programs have their libraries, and how the loader finds them.
const LIBRARIES: [&str; 6] = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache"];

/// Reads pictures, or says why nobody can.
#[derive(Clone)]
pub struct Recogniser {
    tesseract: Tesseract,
}

/// Why pictures are not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoRecogniser {
    /// The settings do not want it.
    #[error("text recognition is switched off in the settings")]
    Off,
    /// A part is missing.
    #[error(transparent)]
    Missing(#[from] TesseractMissing),
}

impl NoRecogniser {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Off => "Set `enabled = \"auto\"` under [ocr] in the settings".to_owned(),
            Self::Missing(TesseractMissing::Language { language, .. }) => format!(
                "On Debian and Ubuntu: apt install tesseract-ocr-{}; or change `languages` under [ocr] in the settings",
                language.replace('_', "-")
            ),
            Self::Missing(_) => "On Debian and Ubuntu: apt install tesseract-ocr tesseract-ocr-eng".to_owned(),
        }
    }
}

impl Recogniser {
    /// Finds Tesseract, and what the settings ask of it.
    pub fn find(ocr: &config::Ocr, reading: &config::Reading) -> Result<Self, NoRecogniser> {
        if ocr.enabled == config::Enabled::Off {
            return Err(NoRecogniser::Off);
        }
        let mut tesseract = Tesseract::find(&ocr.languages)?;
        if ocr.pages_at_once > 0 {
            tesseract = tesseract.with_threads(ocr.pages_at_once);
        }
        let program = reading.program.clone().unwrap_or_else(|| PathBuf::from("/proc/self/exe"));
        let mut launcher: Vec<OsString> = vec![program.into(), VERB.into()];
        launcher.extend(["--memory-mb".into(), reading.memory_mb.to_string().into()]);
        launcher.extend(["--seconds".into(), ocr.page_seconds.to_string().into()]);
        for folder in tesseract.data_folders() {
            launcher.extend(["--data".into(), folder.into()]);
        }
        launcher.push("--".into());
        Ok(Self { tesseract: tesseract.started_by(launcher) })
    }

    /// What was found, for reports.
    pub fn describe(&self) -> String {
        format!("{} ({})", self.tesseract.version(), self.tesseract.languages())
    }

    /// The languages that pictures are read in, as in `eng+deu`.
    pub fn languages(&self) -> &str {
        self.tesseract.languages()
    }

    /// All languages that could be set.
    pub fn known_languages(&self) -> &[String] {
        self.tesseract.known_languages()
    }

    /// Reads a blank picture within the walls: whether it works at all.
    pub fn try_out(&self) -> Result<(), String> {
        let blank = Picture { width: 64, height: 64, grey: vec![255; 64 * 64], pixels_per_point: 2.0 };
        self.tesseract.words(&blank, &AtomicBool::new(false)).map(drop)
    }

    /// The reader for one file, which keeps what it sees in that folder.
    pub(super) fn for_file(&self, kept: Option<&Path>) -> Tesseract {
        let tesseract = self.tesseract.clone();
        match kept {
            Some(folder) => tesseract.keeping_in(folder),
            None => tesseract,
        }
    }
}

/// What is left to a process before it becomes the program.
pub struct Walls {
    /// Most memory.
    pub memory_mb: u64,
    /// Most CPU time.
    pub seconds: u64,
    /// Folders that it may read.
    pub data: Vec<PathBuf>,
}

/// Becomes the program, within walls; the hidden verb of the command line. Comes back only when that fails.
pub fn become_program(walls: &Walls, command: &[OsString]) -> ExitCode {
    sandbox::close_what_was_left_open();
    let [program, arguments @ ..] = command else { return ExitCode::FAILURE };
    let mut readable: Vec<&Path> = LIBRARIES.iter().map(Path::new).collect();
    readable.push(Path::new(program));
    let data: Vec<&Path> = walls.data.iter().map(PathBuf::as_path).collect();
    sandbox::confine_program(walls.memory_mb << 20, walls.seconds, &readable, &data);
    // The error would go where nobody reads; the exit tells.
    let _ = Command::new(program).args(arguments).exec();
    ExitCode::FAILURE
}
