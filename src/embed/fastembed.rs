//! Embedders on fastembed and ONNX Runtime, which is loaded from a library file. The only file that names either.

use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use fastembed::{InitOptionsUserDefined, TextEmbedding, TokenizerFiles, UserDefinedEmbeddingModel};
use ort::environment::Environment;

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
    let environment = match &*RUNTIME.lock().unwrap_or_else(PoisonError::into_inner) {
        Some((_, environment)) => environment.clone(),
        None => return Err(EmbedError::NoRuntime),
    };
    let read = |path: &Path| std::fs::read(path).map_err(|source| EmbedError::Read { path: path.to_owned(), source });
    let tokenizer_files = TokenizerFiles {
        tokenizer_file: read(&paths.tokenizer)?,
        config_file: read(&paths.config)?,
        special_tokens_map_file: read(&paths.special_tokens_map)?,
        tokenizer_config_file: read(&paths.tokenizer_config)?,
    };
    // A graph that pools by itself gives one vector a text, which both kinds of pooling pass on.
    let pooling = match paths.embedding.pooling {
        Pooling::Mean => fastembed::Pooling::Mean,
        Pooling::Cls => fastembed::Pooling::Cls,
    };
    let model = UserDefinedEmbeddingModel::new(read(&paths.graph.path)?, tokenizer_files).with_pooling(pooling);
    let options = InitOptionsUserDefined::new()
        .with_environment(environment)
        .with_max_length(paths.embedding.max_tokens)
        // Threads that spin while they wait would take the processor from the generator.
        .with_session_config("session.intra_op.allow_spinning", "0")
        .with_intra_threads(threads);
    let model = TextEmbedding::try_new_from_user_defined(model, options)
        .map_err(|error| EmbedError::Open { name: paths.name.clone(), detail: error.to_string() })?;
    let identity = EmbedderIdentity {
        name: paths.name.clone(),
        sha256: paths.graph.sha256.clone(),
        dimension: paths.embedding.dimension,
        precision: paths.precision,
    };
    let embedding = paths.embedding.clone();
    Ok(Box::new(FastEmbedder { identity, embedding, model }))
}

struct FastEmbedder {
    identity: EmbedderIdentity,
    embedding: Embedding,
    model: TextEmbedding,
}

impl FastEmbedder {
    /// One text at a time: larger batches gain nothing on a CPU, and int8 vectors would depend on the batch.
    fn embed(&mut self, text: &str) -> Result<Vec<f32>, EmbedError> {
        let vectors = self.model.embed([text], Some(1)).map_err(|error| EmbedError::Compute(error.to_string()))?;
        let vector = vectors.into_iter().next().ok_or(EmbedError::BadVector("missing"))?;
        check(vector, self.identity.dimension)
    }
}

impl Embedder for FastEmbedder {
    fn identity(&self) -> &EmbedderIdentity {
        &self.identity
    }

    fn embed_passage(&mut self, text: &str) -> Result<Vec<f32>, EmbedError> {
        let prefixed = prefixed(&self.embedding.passage_prefix, text)?;
        self.embed(&prefixed)
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
