//! Text generation on this machine: a GGUF file in, an answer in pieces out.
//! The file brings everything: weights, tokenizer and chat template. Nothing here opens a connection.

mod attention;
mod buffers;
mod cache;
mod draft;
mod error;
mod forward;
mod gguf;
mod kernel;
mod language;
mod levels;
mod linear;
mod math;
mod packed;
mod packfile;
mod parallel;
mod pieces;
mod rope;
mod sample;
mod session;
mod shared;
mod spm;
mod stock;
mod template;
mod tokenizer;
mod weights;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

pub use error::GenerateError;
pub use shared::Shared;

use gguf::GgufFile;
use session::{Network, Session};

/// Opens a model file and makes it ready to answer.
///
/// The first time, weights are packed for the kernels and kept beside the file (see [`EngineSettings::packed`]); later
/// ones find them.
pub fn open(path: &Path, settings: &EngineSettings) -> Result<Box<dyn Generator>, GenerateError> {
    Ok(Box::new(session(path, settings)?))
}

/// Opens a model file for several people at once: clones of the handle may be used from as many threads.
pub fn open_shared(path: &Path, settings: &EngineSettings) -> Result<Shared, GenerateError> {
    Shared::new(session(path, settings)?)
}

fn session(path: &Path, settings: &EngineSettings) -> Result<Session, GenerateError> {
    let mut file = GgufFile::open(path)?;
    let architecture = file.architecture()?;
    if !error::SUPPORTED.contains(&architecture.as_str()) {
        return Err(GenerateError::UnknownArchitecture { architecture });
    }
    let own = settings.engine == Engine::Auto && forward::supports(&file, &architecture);
    let vocabulary = tokenizer::Vocabulary::from_gguf(&file)?;
    let template = template::ChatTemplate::from_gguf(&file, &vocabulary)?;
    let context_tokens = settings
        .context_tokens
        .unwrap_or(DEFAULT_CONTEXT_TOKENS)
        .min(file.context_tokens(&architecture))
        .min(if own { usize::MAX } else { stock::CONTEXT_TOKENS });
    let identity = ModelIdentity {
        name: file.name(),
        architecture: architecture.clone(),
        sha256: settings.sha256.clone(),
        context_tokens,
    };
    let network: Box<dyn Network> = if own {
        let packs = settings.packed.unwrap_or(true) && kernel::Kernel::best().is_some();
        let packing = packs.then(|| weights::Packing {
            path: settings.packed_path.clone().unwrap_or_else(|| packed_path(path)),
            sha256: settings.sha256.clone(),
        });
        Box::new(forward::Transformer::load(&mut file, &architecture, packing.as_ref())?)
    } else {
        stock::load(file, &architecture)?
    };
    let language = language::Language { vocabulary, template };
    Ok(Session::new(identity, language, network, settings.drafts.unwrap_or(true)))
}

/// Where the packed weights of a model file are kept unless the settings say otherwise: beside it.
pub fn packed_path(model: &Path) -> PathBuf {
    let mut name = model.file_name().unwrap_or_default().to_owned();
    name.push(".packed");
    model.with_file_name(name)
}

/// Threads that compute, the one that asks among them.
pub fn threads() -> usize {
    parallel::threads()
}

/// How many people are answered at the same time; more wait.
pub const PLACES: usize = session::PLACES;

/// A window that holds the passages of a question with room to answer, and keeps a 1.5B model's cache below 250 MB.
pub const DEFAULT_CONTEXT_TOKENS: usize = 4096;

/// How a model file is run.
#[derive(Debug, Clone, Default)]
pub struct EngineSettings {
    /// Tokens that prompt and answer may take together; default 4,096, and never more than the model was made for.
    /// A longer window costs memory only when it is used.
    pub context_tokens: Option<usize>,
    /// Which forward pass computes the model; default [`Engine::Auto`].
    pub engine: Engine,
    /// Runs the model from weights that are laid out for this CPU's instructions and kept in a file of about the
    /// model's size. Default: on where the CPU has AVX2, AVX-512 or the dot products of ARM; off, candle's kernels read
    /// the model as it is, several times slower.
    pub packed: Option<bool>,
    /// The file that keeps them; default: beside the model, see [`packed_path`].
    pub packed_path: Option<PathBuf>,
    /// Guesses at words that an answer quotes from its prompt, and checks them several at a time; the answer is the
    /// same, and sooner there. Default: on.
    pub drafts: Option<bool>,
    /// SHA-256 of the file as the caller verified it; goes into [`ModelIdentity`].
    pub sha256: Option<String>,
}

/// Which forward pass computes a model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Engine {
    /// Our own where it knows the architecture, else candle's.
    #[default]
    Auto,
    /// Always the models of candle-transformers; two to three times slower, kept to compare with.
    Candle,
}

/// A language model that answers one conversation at a time.
pub trait Generator: Send {
    /// Which model this is.
    fn identity(&self) -> &ModelIdentity;

    /// Tokens of plain text, without any of the chat template.
    fn tokens(&self, text: &str) -> Result<Vec<u32>, GenerateError>;

    /// How many tokens plain text has.
    fn count_tokens(&self, text: &str) -> usize {
        // Encoding fails only inside the tokenizer library; a token a byte is then the safe side.
        self.tokens(text).map_or(text.len(), |tokens| tokens.len())
    }

    /// The conversation as the file's chat template writes it, ending where the answer begins.
    fn render(&self, messages: &[Message]) -> Result<String, GenerateError>;

    /// Tokens that a conversation takes of the window.
    fn prompt_tokens(&self, messages: &[Message]) -> Result<usize, GenerateError>;

    /// Writes the answer to a conversation, telling `on_progress` about each step.
    ///
    /// `ControlFlow::Break` from `on_progress` stops before the next token, or before the next 256 tokens of the
    /// prompt; the result then holds what was written and [`Finish::Cancelled`].
    fn generate(
        &mut self,
        messages: &[Message],
        options: &GenerateOptions,
        on_progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<Generated, GenerateError>;

    /// The hidden states in which the model would begin its answers to some conversations: of the last token of each,
    /// after two thirds of the layers, which is as far as they are read: none is gone on with. What conversations begin
    /// with alike is read once, and several are read together. Nothing for models that run on candle's forward pass, and
    /// where `ControlFlow::Break` from `on_progress` breaks off.
    fn states(
        &mut self,
        conversations: &[Vec<Message>],
        on_progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<Option<Vec<Vec<f32>>>, GenerateError> {
        let mut states = Vec::with_capacity(conversations.len());
        for messages in conversations {
            let options = GenerateOptions::for_state(Wanted::State);
            let Some(state) = self.generate(messages, &options, on_progress)?.state else { return Ok(None) };
            states.push(state);
        }
        Ok(Some(states))
    }

    /// The same of a conversation that is gone on with: that is asked something else, or for its answer.
    fn state(
        &mut self,
        messages: &[Message],
        on_progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<Option<Vec<f32>>, GenerateError> {
        Ok(self.generate(messages, &GenerateOptions::for_state(Wanted::WordsAndState), on_progress)?.state)
    }

    /// How likely plain text is from its second token on, without any template: e to the minus mean is its perplexity.
    fn score_text(&mut self, text: &str) -> Result<Scored, GenerateError>;
}

/// How likely a model finds a text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    /// Natural logarithm of the probability of a token, in the mean; 0 when there is none.
    pub mean_log_probability: f32,
    /// Tokens that were scored.
    pub tokens: usize,
}

/// Which model answers; kept with every answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelIdentity {
    /// The name that the file gives itself, or the file's name.
    pub name: String,
    /// GGUF architecture, such as `llama` or `qwen2`.
    pub architecture: String,
    /// SHA-256 of the file, when the caller verified it.
    pub sha256: Option<String>,
    /// Tokens that prompt and answer may take together.
    pub context_tokens: usize,
}

/// Who speaks a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The operator's instructions.
    System,
    /// The person who asks.
    User,
    /// The model's earlier answers.
    Assistant,
}

/// One turn of a conversation. Its content is plain text to the model: a special token written in it has no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
}

impl Message {
    /// A message of `role`.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self { role, content: content.into() }
    }
}

/// How an answer is written.
#[derive(Debug, Clone)]
pub struct GenerateOptions {
    /// The answer ends after this many tokens; default 512.
    pub max_tokens: usize,
    /// The answer does not end before this many tokens, even if the model would end it; default 0.
    pub min_tokens: usize,
    /// 0 (default) always takes the likeliest token, so the same question gives the same answer; higher values vary.
    pub temperature: f32,
    /// Above temperature 0, chooses among the likeliest tokens that together have this probability; default .95.
    pub top_p: f32,
    /// Above temperature 0, the same seed gives the same answer; default 0.
    pub seed: u64,
    /// The answer ends before any of these strings; they are not part of it.
    pub stop: Vec<String>,
    /// What of the answer is wanted; default: its words.
    pub wanted: Wanted,
}

/// What a prompt is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wanted {
    /// An answer.
    #[default]
    Words,
    /// An answer and [`Generated::state`].
    WordsAndState,
    /// Only [`Generated::state`]: our own forward pass leaves out the layers after the one that it comes from. Nothing
    /// is written, and no answer goes on from what was read.
    State,
}

impl Default for GenerateOptions {
    fn default() -> Self {
        Self {
            max_tokens: 512,
            min_tokens: 0,
            temperature: 0.0,
            top_p: 0.95,
            seed: 0,
            stop: Vec::new(),
            wanted: Wanted::default(),
        }
    }
}

impl GenerateOptions {
    /// Reads a prompt for the state that the model is in then, and writes nothing.
    fn for_state(wanted: Wanted) -> Self {
        Self { max_tokens: 0, wanted, ..Self::default() }
    }
}

/// A step on the way to an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress<'a> {
    /// The prompt is being read: `done` of `total` tokens.
    Reading {
        /// Tokens read so far, those remembered from the last prompt included.
        done: usize,
        /// Tokens of the prompt.
        total: usize,
    },
    /// The next piece of the answer: whole characters, never empty.
    Piece(&'a str),
}

/// A finished answer and what it took.
#[derive(Debug, Clone, PartialEq)]
pub struct Generated {
    /// The whole answer: all pieces joined.
    pub text: String,
    /// The hidden state in which it was begun, where [`GenerateOptions::wanted`] asks for it; see [`Generator::states`].
    pub state: Option<Vec<f32>>,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Tokens of the prompt that were remembered from the last one and not read again.
    pub reused_tokens: usize,
    /// Tokens written.
    pub tokens: usize,
    /// Tokens of those that were guessed rightly, see [`EngineSettings::drafts`].
    pub drafted_tokens: usize,
    /// Milliseconds to read the prompt, up to the first token.
    pub prefill_ms: u64,
    /// Milliseconds to write the answer.
    pub decode_ms: u64,
    /// Why it ended.
    pub finish: Finish,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// The model ended it, or a stop string came.
    Stop,
    /// `max_tokens` were written, or the window was full.
    Length,
    /// The caller broke off.
    Cancelled,
}

#[cfg(test)]
mod tests;
