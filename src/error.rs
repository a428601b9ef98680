//! What people are told when something cannot be done: a code for programs, a sentence, and what to do about it.

use std::borrow::Cow;

use serde::Serialize;

/// Whose move it is; doors turn this into an HTTP status or an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The request makes no sense as it is.
    BadInput,
    /// The caller may not do this.
    Forbidden,
    /// What was named is not there.
    NotFound,
    /// Something else is in the way.
    Conflict,
    /// More than is taken at once.
    TooLarge,
    /// A kind of file that is not read.
    Unsupported,
    /// A file that cannot be read.
    Unreadable,
    /// Try again soon.
    Busy,
    /// A part that is needed is not there.
    Unavailable,
    /// The disk is full.
    DiskFull,
    /// Stopped on request.
    Stopped,
    /// Our fault.
    Internal,
}

/// An error as people see it.
#[derive(Debug, Clone, thiserror::Error, Serialize)]
#[error("{message}")]
pub struct Error {
    /// Whose move it is.
    #[serde(skip)]
    pub kind: Kind,
    /// A stable word for programs.
    pub code: Cow<'static, str>,
    /// What could not be done, in a sentence without a full stop.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// The code of a file that nobody was there to recognise.
pub(crate) const NEEDS_RECOGNITION: &str = "needs_recognition";
/// The code of a file that no password opened.
pub(crate) const LOCKED: &str = "locked_file";

/// A result that people see.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of that kind.
    pub fn new(
        kind: Kind,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self { kind, code: code.into(), message: message.into(), hint: hint.into() }
    }

    /// Something that should not happen: the log has it, and people are told where to look.
    pub fn internal(message: impl std::fmt::Display) -> Self {
        Self::new(
            Kind::Internal,
            "internal",
            message.to_string(),
            "Try again; if it happens again, look into the program's log and report it",
        )
    }

    fn disk_full(message: impl std::fmt::Display) -> Self {
        Self::new(
            Kind::DiskFull,
            "disk_full",
            message.to_string(),
            "Make room on the disk that holds the data folder and run the same command again: nothing that was stored \
             is lost",
        )
    }

    /// An error of the file system while `doing` something.
    pub fn io(doing: impl std::fmt::Display, error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        let message = format!("cannot {doing}: {error}");
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::disk_full(message),
            ErrorKind::NotFound => Self::new(Kind::NotFound, "not_found", message, "Check the spelling of the path"),
            ErrorKind::NotADirectory | ErrorKind::AlreadyExists => Self::new(
                Kind::BadInput,
                "not_a_folder",
                message,
                "A part of this path is a file and no folder: choose another place",
            ),
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Self::new(
                Kind::Forbidden,
                "no_rights",
                message,
                "Give the account that runs this program the right to it, or choose another place",
            ),
            _ => Self::internal(message),
        }
    }
}

impl From<crate::db::DbError> for Error {
    fn from(error: crate::db::DbError) -> Self {
        if error.is_disk_full() {
            return Self::disk_full(error);
        }
        match &error {
            crate::db::DbError::Newer { .. } => {
                Self::new(Kind::Conflict, "newer_data", error.to_string(), "Update this program")
            }
            crate::db::DbError::Sqlite { .. } => Self::internal(error),
        }
    }
}

impl From<premise_ingest::ReadError> for Error {
    fn from(error: premise_ingest::ReadError) -> Self {
        use premise_ingest::ReadError;
        let (kind, code) = match &error {
            ReadError::Unsupported { .. } => (Kind::Unsupported, "unsupported_file"),
            ReadError::TooLarge { .. } => (Kind::TooLarge, "file_too_large"),
            ReadError::Locked => (Kind::Unreadable, LOCKED),
            ReadError::NeedsRecognition { .. } => (Kind::Unreadable, NEEDS_RECOGNITION),
            ReadError::Empty => (Kind::Unreadable, "empty_file"),
            _ => (Kind::Unreadable, "unreadable_file"),
        };
        Self::new(kind, code, error.to_string(), error.hint())
    }
}

/// An error with all its causes, in one sentence.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut sentence = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let part = error.to_string();
        // Some errors repeat their cause in their own words.
        if !sentence.contains(&part) {
            sentence.push_str(": ");
            sentence.push_str(&part);
        }
        cause = error.source();
    }
    sentence
}

impl From<crate::store::StoreError> for Error {
    fn from(error: crate::store::StoreError) -> Self {
        use crate::store::StoreError;
        let (kind, code) = match &error {
            StoreError::Unreachable { .. } => (Kind::Unavailable, "store_unreachable"),
            StoreError::WrongSchema { .. } => (Kind::Conflict, "other_embedder"),
            StoreError::InUse { .. } => (Kind::Conflict, "in_use"),
            StoreError::DiskFull { .. } => return Self::disk_full(with_causes(&error)),
            StoreError::BadVector { .. } | StoreError::Other { .. } => (Kind::Internal, "store_failed"),
        };
        // What the network said of a server that does not answer helps nobody.
        let message = if kind == Kind::Unavailable { error.to_string() } else { with_causes(&error) };
        Self::new(kind, code, message, hint(error.hint()))
    }
}

impl From<crate::models::ModelError> for Error {
    fn from(error: crate::models::ModelError) -> Self {
        Self::new(Kind::Unavailable, "model_missing", with_causes(&error), hint(error.hint().as_deref()))
    }
}

impl From<crate::embed::EmbedError> for Error {
    fn from(error: crate::embed::EmbedError) -> Self {
        Self::new(
            Kind::Unavailable,
            "embedder_failed",
            with_causes(&error),
            "Run `premise setup`: it checks the model files and fetches what is missing",
        )
    }
}

impl From<crate::generate::GenerateError> for Error {
    fn from(error: crate::generate::GenerateError) -> Self {
        Self::new(Kind::Unavailable, "model_failed", with_causes(&error), hint(error.hint().as_deref()))
    }
}

/// Hints are sentences: a capital at the start.
fn hint(hint: Option<&str>) -> String {
    let hint = hint.unwrap_or("Try again; if it happens again, look into the program's log and report it");
    let mut chars = hint.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
