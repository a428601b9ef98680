//! What can go wrong in a store, told apart only where somebody acts on the difference.

use thiserror::Error;

/// The result of a store call.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Why a store call failed.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The server does not answer. Worth another try.
    #[error("cannot {doing}: {store} does not answer")]
    Unreachable {
        /// What was being done.
        doing: &'static str,
        /// The store, in words.
        store: String,
        /// What the network said.
        #[source]
        source: BoxError,
    },
    /// The index was made for something else, such as another embedder.
    #[error("{store} has {found}, not {expected}")]
    WrongSchema {
        /// The store, in words.
        store: String,
        /// What it is like.
        found: String,
        /// What it should be like.
        expected: String,
    },
    /// Another process, or this one a second time, has the folder open.
    #[error("{store} is in use")]
    InUse {
        /// The store, in words.
        store: String,
    },
    /// No room for what was to be written.
    #[error("cannot {doing}: the disk of {store} is full")]
    DiskFull {
        /// What was being done.
        doing: &'static str,
        /// The store, in words.
        store: String,
    },
    /// A vector that no index should take. Nothing was written.
    #[error("cannot use the vector of {of}: {problem}")]
    BadVector {
        /// Whose vector.
        of: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Anything else.
    #[error("cannot {doing} in {store}")]
    Other {
        /// What was being done.
        doing: &'static str,
        /// The store, in words.
        store: String,
        /// What the store said.
        #[source]
        source: BoxError,
    },
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl StoreError {
    /// What the reader can do about it, for a line of its own.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unreachable { .. } => {
                Some("check that the Qdrant server runs and that the address, port (gRPC, 6334) and API key are right")
            }
            Self::WrongSchema { .. } => {
                Some("the index can be rebuilt from the library: run `premise reindex`, or put the former model back")
            }
            Self::InUse { .. } => Some("stop the other process, or reach it over its address"),
            Self::DiskFull { .. } => {
                Some("free some space, then run the same command again: it goes on where it stopped")
            }
            Self::BadVector { .. } | Self::Other { .. } => None,
        }
    }

    /// Sorts what a backend said into [`StoreError::DiskFull`] and [`StoreError::Other`]: neither
    /// Qdrant keeps the kind of an I/O error, so its words decide.
    pub(super) fn of(doing: &'static str, store: String, source: impl Into<BoxError>) -> Self {
        let source = source.into();
        if says_disk_full(&source.to_string()) {
            Self::DiskFull { doing, store }
        } else {
            Self::Other { doing, store, source }
        }
    }
}

/// `ENOSPC` (28), `EDQUOT` (122) and `ErrorKind::StorageFull` as Rust prints them, and the wording
/// of Qdrant's own checks.
fn says_disk_full(message: &str) -> bool {
    const SIGNS: [&str; 5] =
        ["os error 28", "os error 122", "no storage space", "No space left", "available disk space"];
    SIGNS.iter().any(|sign| message.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_other_errors() {
        let sorted = |message: &str| StoreError::of("write points", "the index".into(), message);
        let ours = std::io::Error::from(std::io::ErrorKind::StorageFull);
        for full in
            ["Service runtime error: IO Error: No space left on device (os error 28)", &format!("IO Error: {ours}")]
        {
            assert!(matches!(sorted(full), StoreError::DiskFull { .. }), "{full}");
        }
        let other = sorted("Service runtime error: IO Error: Input/output error (os error 5)");
        assert_eq!(other.to_string(), "cannot write points in the index");
    }
}
