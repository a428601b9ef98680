//! Embedders on fastembed and ONNX Runtime, which is loaded from a library file.

use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use fastembed::{InitOptionsUserDefined, OutputKey, TextEmbedding, TokenizerFiles, UserDefinedEmbeddingModel};
use ort::environment::Environment;
use tokenizers::Tokenizer;

use super::{EmbedError, Embedder, EmbedderIdentity};
use crate::models::{EmbedderPaths, Embedding, Pooling, VerifiedFile};

/// The library that this process has loaded and its one environment, which outlives every session.
static RUNTIME: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);

/// Loads ONNX Runtime, once a process; the same library again does nothing. It takes a verified file, since loading
/// a library runs its code and a truncated one kills the process.
pub fn init_runtime(library: &VerifiedFile) -> Result<(), EmbedError> {
    let failed = |detail: String| EmbedError::Runtime { library: library.path.clone(), detail };
    // A relative path would be looked up beside the program.
    let path = library.path.canonicalize().map_err(|error| failed(error.to_string()))?;
    let mut runtime = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    match &*runtime {
        Some((loaded, _)) if *loaded == path => return Ok(()),
        Some((loaded, _)) => return Err(failed(format!("{} is loaded already", loaded.display()))),
        None => {}
    }
    let load = || {
        let builder = ort::init_from(&path).map_err(|error| error.to_string())?;
        builder.with_name("premise").with_telemetry(false).build().map_err(|error| error.to_string())
    };
    // The binding asserts on a library that answers with null.
    let loaded = catch_unwind(load).unwrap_or_else(|_| Err("it is no usable ONNX Runtime".to_owned()));
    *runtime = Some((path, loaded.map_err(failed)?));
    Ok(())
}

/// Opens an embedder that computes with this many threads. For ingest: one with 1 thread a core, which is fastest
/// and takes least memory. For questions: one with as many threads as may answer.
pub fn open(paths: &EmbedderPaths, threads: usize) -> Result<Box<dyn Embedder>, EmbedError> {
    // A graph that pools by itself gives one vector a text, which both kinds of pooling pass on.
    let pooling = match paths.embedding.pooling {
        Pooling::Mean => fastembed::Pooling::Mean,
        Pooling::Cls => fastembed::Pooling::Cls,
    };
    let graph = read(&paths.graph.path)?;
    let mut model = UserDefinedEmbeddingModel::new(graph, tokenizer_files(&paths.folder)?).with_pooling(pooling);
    // fastembed wants a name that lives forever: a few bytes for each embedder that is opened.
    model.output_key = paths.embedding.output.clone().map(|output| OutputKey::ByName(output.leak()));
    let mut options = InitOptionsUserDefined::new()
        .with_environment(environment()?)
        .with_max_length(paths.embedding.max_tokens)
        // Threads that spin while they wait would take the processor from the generator.
        .with_session_config("session.intra_op.allow_spinning", "0")
        .with_intra_threads(threads);
    if !paths.data.is_empty() {
        // ONNX Runtime maps them from there: gigabytes of weights are not read into memory first.
        let folder = paths.graph.path.parent().unwrap_or(Path::new("."));
        options = options.with_session_config(WEIGHTS_FOLDER, folder.display().to_string());
    }
    let model = TextEmbedding::try_new_from_user_defined(model, options)
        .map_err(|error| EmbedError::Open { name: paths.name.clone(), detail: error.to_string() })?;
    let identity = EmbedderIdentity::of(paths);
    let mut embedding = paths.embedding.clone();
    // A tokenizer may know that its model takes less.
    if let Some(truncation) = model.tokenizer.get_truncation() {
        embedding.max_tokens = truncation.max_length;
    }
    // The model's own tokenizer cuts what is too long and does not tell what it cut.
    let mut tokenizer = model.tokenizer.clone();
    tokenizer.with_padding(None);
    tokenizer
        .with_truncation(None)
        .map_err(|error| EmbedError::Open { name: paths.name.clone(), detail: error.to_string() })?;
    Ok(Box::new(FastEmbedder { identity, embedding, model, tokenizer }))
}

/// Where a graph that came from memory finds the files with its weights.
const WEIGHTS_FOLDER: &str = "session.model_external_initializers_file_folder_path";

/// The environment of the loaded library.
pub(super) fn environment() -> Result<Environment, EmbedError> {
    match &*RUNTIME.lock().unwrap_or_else(PoisonError::into_inner) {
        Some((_, environment)) => Ok(environment.clone()),
        None => Err(EmbedError::NoRuntime),
    }
}

/// The files of a folder that fastembed makes a tokenizer of.
pub(super) fn tokenizer_files(folder: &Path) -> Result<TokenizerFiles, EmbedError> {
    Ok(TokenizerFiles {
        tokenizer_file: read(&folder.join("tokenizer.json"))?,
        config_file: read(&folder.join("config.json"))?,
        special_tokens_map_file: read(&folder.join("special_tokens_map.json"))?,
        tokenizer_config_file: read(&folder.join("tokenizer_config.json"))?,
    })
}

fn read(path: &Path) -> Result<Vec<u8>, EmbedError> {
    std::fs::read(path).map_err(|source| EmbedError::Read { path: path.to_owned(), source })
}

struct FastEmbedder {
    identity: EmbedderIdentity,
    embedding: Embedding,
    model: TextEmbedding,
    /// Gives all tokens of a text, also beyond what the model takes.
    tokenizer: Tokenizer,
}

impl FastEmbedder {
    /// One text at a time: larger batches gain nothing on a CPU, and int8 vectors would depend on the batch.
    fn embed(&mut self, text: &str) -> Result<Vec<f32>, EmbedError> {
        let vectors = self.model.embed([text], Some(1)).map_err(|error| EmbedError::Compute(error.to_string()))?;
        let vector = vectors.into_iter().next().ok_or(EmbedError::BadVector("missing"))?;
        check(vector, self.identity.dimension)
    }

    /// A passage cut into pieces that the model takes whole, each with how many tokens it has; one piece when it fits.
    fn pieces<'a>(&self, passage: &'a str) -> Result<Vec<(&'a str, usize)>, EmbedError> {
        let encode = |text: &str| {
            let encoded = self.tokenizer.encode(text, true);
            encoded.map_err(|error| EmbedError::Compute(error.to_string()))
        };
        let prefix = encode(&self.embedding.passage_prefix)?;
        let whole = encode(passage)?;
        let special = whole.get_special_tokens_mask().iter().filter(|&&special| special == 1).count();
        let tokens = whole.get_offsets().iter().zip(whole.get_special_tokens_mask());
        let starts: Vec<usize> = tokens.filter(|(_, special)| **special == 0).map(|((start, _), _)| *start).collect();
        let limit = self.embedding.max_tokens.saturating_sub(special.max(prefix.len()));
        if starts.len() <= limit {
            return Ok(vec![(passage, starts.len())]);
        }
        // A word that a cut parts may read as more tokens than before.
        Ok(cut(passage, &starts, limit.saturating_sub(4).max(1)))
    }
}

/// Cuts a text into pieces of at most so many tokens, at a space where there is one.
pub(super) fn cut<'a>(text: &'a str, starts: &[usize], limit: usize) -> Vec<(&'a str, usize)> {
    let mut pieces = Vec::new();
    let (mut begin, mut first) = (0, 0);
    while first < starts.len() {
        // Several tokens may be of one character, which stays whole.
        let next = starts.iter().skip(first + limit).find(|start| **start > starts[first]);
        let end = next.map_or(text.len(), |&next| {
            let next = text.floor_char_boundary(next);
            let space = text[begin..next].rfind(char::is_whitespace).map(|at| begin + at);
            space.filter(|&space| space > starts[first]).unwrap_or(next)
        });
        let after = starts.partition_point(|&start| start < end);
        pieces.push((&text[begin..end], after - first));
        (begin, first) = (end, after);
    }
    pieces
}

impl Embedder for FastEmbedder {
    fn identity(&self) -> &EmbedderIdentity {
        &self.identity
    }

    fn embed_passage(&mut self, text: &str) -> Result<Vec<f32>, EmbedError> {
        let whole = prefixed(&self.embedding.passage_prefix, text)?;
        let pieces = self.pieces(text.trim())?;
        if pieces.len() == 1 {
            return self.embed(&whole);
        }
        let mut sum = vec![0.0; self.identity.dimension];
        for (piece, tokens) in pieces.iter().filter(|(piece, _)| !piece.trim().is_empty()) {
            let vector = self.embed(&prefixed(&self.embedding.passage_prefix, piece)?)?;
            for (sum, value) in sum.iter_mut().zip(vector) {
                *sum += value * *tokens as f32;
            }
        }
        let norm = sum.iter().map(|value| value * value).sum::<f32>().sqrt();
        check(sum.into_iter().map(|value| value / norm).collect(), self.identity.dimension)
    }

    fn embed_question(&mut self, text: &str) -> Result<Vec<f32>, EmbedError> {
        let prefixed = prefixed(&self.embedding.question_prefix, text)?;
        self.embed(&prefixed)
    }

    fn max_tokens(&self) -> usize {
        self.embedding.max_tokens
    }
}

fn prefixed(prefix: &str, text: &str) -> Result<String, EmbedError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(EmbedError::Empty);
    }
    Ok(format!("{prefix}{text}"))
}

/// A store takes any numbers, so a vector that would spoil its index stops here.
pub(super) fn check(vector: Vec<f32>, dimension: usize) -> Result<Vec<f32>, EmbedError> {
    if vector.len() != dimension {
        return Err(EmbedError::BadVector("of another length than its model's"));
    }
    if vector.iter().any(|value| !value.is_finite()) {
        return Err(EmbedError::BadVector("not finite"));
    }
    let norm = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    if (norm - 1.0).abs() > 0.01 {
        return Err(EmbedError::BadVector("not of length one"));
    }
    Ok(vector)
}
