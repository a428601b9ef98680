//! Text to vectors, and question and passage to a score. An embedder says who it is, because vectors of two embedders
//! cannot be compared.

use std::path::PathBuf;

use crate::models::{EmbedderPaths, Precision};

mod fastembed;
mod reranker;

pub use fastembed::{init_runtime, open};
pub use reranker::{open_reranker, score_until};

/// Turns texts into vectors of length one. It computes on the thread that calls it: keep it in a worker.
pub trait Embedder: Send {
    /// Who computes the vectors.
    fn identity(&self) -> &EmbedderIdentity;

    /// The vector of a passage of a document. One that is longer than [`Self::max_tokens`] is embedded in pieces, and
    /// its vector is their mean by length: all of it counts.
    fn embed_passage(&mut self, text: &str) -> Result<Vec<f32>, EmbedError>;

    /// The vector of a question. What is beyond [`Self::max_tokens`] does not count.
    fn embed_question(&mut self, text: &str) -> Result<Vec<f32>, EmbedError>;

    /// Longest text in tokens, the model's own special tokens included (two for BERT models).
    fn max_tokens(&self) -> usize;
}

/// Judges how well a passage answers a question. It computes on the thread that calls it: keep it in a worker.
pub trait Reranker: Send {
    /// Name of the model.
    fn name(&self) -> &str;

    /// A number that is the higher, the better the passage answers the question; only scores of one model for one
    /// question compare.
    fn score(&mut self, question: &str, passage: &str) -> Result<f32, EmbedError>;
}

/// Who computes vectors: an index belongs to one identity.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct EmbedderIdentity {
    /// Name of the model.
    pub name: String,
    /// SHA-256 of the weights; of a model of the user's own, of all that its vectors depend on.
    pub sha256: String,
    /// Length of the vectors.
    pub dimension: usize,
    /// What it computes with.
    pub precision: Precision,
}

impl EmbedderIdentity {
    /// That of a model on disk.
    pub fn of(paths: &EmbedderPaths) -> Self {
        Self {
            name: paths.name.clone(),
            sha256: paths.sha256.clone(),
            dimension: paths.embedding.dimension,
            precision: paths.precision,
        }
    }
}

/// Why there is no vector.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    /// There is nothing to embed.
    #[error("cannot embed an empty text")]
    Empty,
    /// The model gave numbers that are no vector of length one.
    #[error("the embedder gave a vector that is {0}")]
    BadVector(&'static str),
    /// The runtime library could not be loaded.
    #[error("cannot load the embedding runtime {}: {detail}", library.display())]
    Runtime {
        /// The library.
        library: PathBuf,
        /// What was said.
        detail: String,
    },
    /// An embedder was opened before [`init_runtime`].
    #[error("the embedding runtime is not loaded")]
    NoRuntime,
    /// A file of the model could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The model could not be opened.
    #[error("cannot open embedder {name}: {detail}")]
    Open {
        /// The model.
        name: String,
        /// What was said.
        detail: String,
    },
    /// The model could not compute.
    #[error("cannot embed: {0}")]
    Compute(String),
    /// The reranker could not be opened.
    #[error("cannot open reranker {name}: {detail}")]
    OpenReranker {
        /// The model.
        name: String,
        /// What was said.
        detail: String,
    },
    /// The reranker could not compute.
    #[error("cannot rerank: {0}")]
    Rerank(String),
}

#[cfg(test)]
mod listed_tests;
#[cfg(test)]
mod tests;
