//! What can go wrong with model files, each with a hint that says what to do.

use std::io;
use std::path::{Path, PathBuf};

/// A failure to find, fetch, verify or write a model file.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The catalogue has no such model.
    #[error("there is no model {name:?}; known are {known}")]
    Unknown {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// The model exists for other machines only.
    #[error("model {name} is for {platform}, not for this machine")]
    WrongPlatform {
        /// The model.
        name: String,
        /// What it is for.
        platform: String,
    },
    /// The embedder has no graph of this precision.
    #[error("model {name} has no {precision} variant")]
    NoPrecision {
        /// The model.
        name: String,
        /// The precision asked for.
        precision: super::Precision,
        /// Those that it has.
        has: Vec<super::Precision>,
    },
    /// A folder of the user's own holds no model that can be used.
    #[error("cannot use the model in {}: {detail}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What is missing or wrong.
        detail: String,
    },
    /// A file of the model is not there.
    #[error("model {name} is not set up: {} is missing", path.display())]
    NotInstalled {
        /// The model.
        name: String,
        /// The missing file.
        path: PathBuf,
    },
    /// A file on disk is not what it was or should be.
    #[error("model file {} was altered: its SHA-256 should be {expected} and is {found}", path.display())]
    Altered {
        /// The file.
        path: PathBuf,
        /// The hash it should have, or size in bytes.
        expected: String,
        /// The hash it has, or size in bytes.
        found: String,
    },
    /// A fetched or given file is not the pinned one.
    #[error("{file} from {origin} is not the pinned file: its SHA-256 should be {expected} and is {found}")]
    Mismatch {
        /// Name of the file.
        file: String,
        /// Where it came from.
        origin: String,
        /// The pinned hash.
        expected: String,
        /// The hash it has.
        found: String,
        /// Where the bad file lies now.
        kept: PathBuf,
    },
    /// There is no Python, or it has no pip.
    #[error("cannot run pip: {detail}")]
    NoPip {
        /// What was said.
        detail: String,
    },
    /// pip could not fetch a package.
    #[error("pip cannot fetch {package}: {detail}")]
    Pip {
        /// Package and version.
        package: String,
        /// Last words of pip.
        detail: String,
    },
    /// A wheel does not hold what the catalogue says.
    #[error("package {package} does not hold {member}: {detail}")]
    BadWheel {
        /// Package and version.
        package: String,
        /// The missing file.
        member: String,
        /// What was said.
        detail: String,
    },
    /// A server could not be reached, or the connection broke.
    #[error("cannot fetch {what}: {detail}")]
    Network {
        /// What was being fetched.
        what: String,
        /// What was said.
        detail: String,
    },
    /// The hub wants a login or an accepted licence.
    #[error("the hub refuses {repository} (status {status})")]
    Gated {
        /// The repository.
        repository: String,
        /// HTTP status.
        status: u16,
    },
    /// The hub answered with an error.
    #[error("the hub answers status {status} for {url}")]
    Hub {
        /// The address.
        url: String,
        /// HTTP status.
        status: u16,
    },
    /// There is no room.
    #[error("no space left for {}", path.display())]
    DiskFull {
        /// What was being written.
        path: PathBuf,
    },
    /// Every source failed.
    #[error("no source has model {name}: {}", attempts.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    AllSourcesFailed {
        /// The model.
        name: String,
        /// What each source said, in order.
        attempts: Vec<ModelError>,
    },
    /// The ONNX graph could not be written.
    #[error("cannot write the ONNX graph of {name}: {detail}")]
    Graph {
        /// The model.
        name: String,
        /// What is wrong with its weights or configuration.
        detail: String,
    },
    /// Another failure of the file system.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl ModelError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Unknown { .. } | Self::WrongPlatform { .. } => {
                "`premise setup --list` shows the models for this machine; a GGUF file of your own is named by its path"
                    .to_owned()
            }
            Self::Hub { .. } => "try again later, or give the file with --from".to_owned(),
            Self::Graph { .. } => "run `premise setup --full`, which finds a damaged file".to_owned(),
            Self::NoPrecision { has, .. } => {
                let has: Vec<_> = has.iter().map(ToString::to_string).collect();
                format!("it has {}: choose one with precision under [models] in the settings", has.join(" or "))
            }
            Self::Folder { .. } => "see docs/embedders.md for the files of such a folder".to_owned(),
            Self::NotInstalled { .. } => "run `premise setup`".to_owned(),
            Self::Altered { path, .. } => format!(
                "run `premise setup` to fetch it anew; if you replaced {} on purpose, put the original back",
                path.display()
            ),
            Self::Mismatch { kept, .. } => format!(
                "the file is not used and lies at {}; run `premise setup` again, and if that does not help, \
                 the source has changed: do not use it",
                kept.display()
            ),
            Self::NoPip { .. } => {
                "install Python 3 with pip (Debian: apt install python3-pip), or give the file with --from".to_owned()
            }
            Self::Pip { .. } | Self::BadWheel { .. } => {
                "check the network and pip's index settings, or give the file with --from".to_owned()
            }
            Self::Network { .. } => {
                "check the network and proxy settings and run `premise setup` again: it goes on where it stopped; \
                 on a machine without network give the file with --from"
                    .to_owned()
            }
            Self::Gated { repository, .. } => {
                format!("accept the licence on the page of {repository} and set HF_TOKEN to a token that may read it")
            }
            Self::DiskFull { .. } => {
                "free some space, or set folder under [models] in the settings to a place on another disk".to_owned()
            }
            Self::AllSourcesFailed { attempts, .. } => {
                let mut hints: Vec<_> = attempts.iter().filter_map(Self::hint).collect();
                hints.dedup();
                hints.join("; or ")
            }
            Self::Io { .. } => "check that the models folder may be written".to_owned(),
        };
        Some(hint)
    }

    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            return Self::DiskFull { path: path.to_owned() };
        }
        Self::Io { action, path: path.to_owned(), source }
    }
}
