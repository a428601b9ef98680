//! What can go wrong with a model file or a prompt, and what to do about it.

use std::path::PathBuf;

/// Why a model could not be opened or could not answer.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// There is no such file, or it may not be read.
    #[error("cannot open model file {path}")]
    Unreadable {
        /// The file that was asked for.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is of another kind.
    #[error("{path} is not a GGUF file")]
    NotGguf {
        /// The file that was asked for.
        path: PathBuf,
    },
    /// The file breaks off or contradicts itself.
    #[error("model file {path} is damaged: {problem}")]
    Damaged {
        /// The file that was asked for.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// No forward pass here knows the model.
    #[error("model architecture `{architecture}` is not supported")]
    UnknownArchitecture {
        /// What the file says it is.
        architecture: String,
    },
    /// The file's tokenizer is of a kind that we cannot run.
    #[error("cannot build the tokenizer of this model: {problem}")]
    Tokenizer {
        /// What is missing or wrong.
        problem: String,
    },
    /// The file's chat template is wrong, or refuses the conversation.
    #[error("the model's chat template failed: {problem}")]
    Template {
        /// What the template engine said.
        problem: String,
    },
    /// The prompt leaves no room for an answer.
    #[error("the prompt has {tokens} tokens, and the model's window holds {context_tokens}")]
    PromptTooLong {
        /// Tokens of the prompt.
        tokens: usize,
        /// Tokens of the window.
        context_tokens: usize,
    },
    /// The thread that runs the model for several people failed.
    #[error("the model has stopped: {problem}")]
    Stopped {
        /// What went wrong.
        problem: String,
    },
    /// The forward pass itself failed.
    #[error("cannot compute the model: {0}")]
    Compute(#[from] candle_core::Error),
}

/// Architectures that a file may have.
pub(super) const SUPPORTED: [&str; 5] = ["llama", "qwen2", "qwen3", "gemma3", "phi3"];

impl GenerateError {
    /// One line on what to do, for people; `None` where there is nothing that they could do.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unreadable { .. } => "check the path in the settings, or fetch the model with `premise setup`".into(),
            Self::NotGguf { .. } => "a model for local answers is a single file ending in .gguf".into(),
            Self::Damaged { .. } => "fetch the file again and compare its SHA-256".into(),
            Self::UnknownArchitecture { .. } => format!("these work: {}", SUPPORTED.join(", ")),
            Self::Tokenizer { .. } => "use a GGUF file with a `gpt2` or `llama` tokenizer".into(),
            Self::Template { .. } => "try the publisher's own GGUF file of this model".into(),
            Self::PromptTooLong { .. } => "ask a shorter question, use fewer passages, or set a longer window".into(),
            Self::Stopped { .. } => "ask again; if it happens again, restart the program".into(),
            Self::Compute(_) => return None,
        })
    }
}
