//! Embedders and rerankers of the user's own: a folder named by its path, with the graph, its tokenizer and, for an
//! embedder, a few lines on how it embeds. What the folder holds now is the model; nothing in it is pinned.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::catalogue::{Embedding, Pooling};
use super::listed::COMPANIONS;
use super::verify::{hex, sealed_hash};
use super::{EmbedderPaths, ModelError, Precision, RerankerPaths, VerifiedFile};

/// How an embedder of the user's own embeds.
const EMBEDDING: &str = "embedding.toml";
/// What is read when `embedding.toml` names no other file, and the graph of every reranker.
const GRAPH: &str = "model.onnx";
/// A text of fewer tokens would be its prefix and special tokens.
const LEAST_TOKENS: usize = 32;
/// Question and passage together; what fastembed reads too unless told otherwise.
const RERANKER_TOKENS: usize = 512;

/// What `embedding.toml` says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    dimension: usize,
    max_tokens: usize,
    pooling: Pooling,
    #[serde(default)]
    question_prefix: String,
    #[serde(default)]
    passage_prefix: String,
    /// The graph's output with the vector of a text, where it is not the usual one.
    output: Option<String>,
    #[serde(default = "graph")]
    graph: String,
    /// Files with weights outside the graph.
    #[serde(default)]
    data: Vec<String>,
}

fn graph() -> String {
    GRAPH.to_owned()
}

/// Whether settings name a model by its path.
pub fn is_path(model: &str) -> bool {
    model.contains(std::path::MAIN_SEPARATOR)
}

/// Whether settings name a generator by its path: a GGUF file needs no folder before its name.
pub fn is_gguf(generator: &str) -> bool {
    is_path(generator) || Path::new(generator).extension().is_some_and(|end| end == "gguf")
}

/// The embedder in a folder.
pub fn embedder(folder: &Path) -> Result<EmbedderPaths, ModelError> {
    let wrong = |detail: String| ModelError::Folder { folder: folder.to_owned(), detail };
    check_files(folder, &[EMBEDDING])?;
    let text = fs::read_to_string(folder.join(EMBEDDING))
        .map_err(|error| ModelError::io("read", &folder.join(EMBEDDING), error))?;
    let description: Description =
        toml::from_str(&text).map_err(|error| wrong(format!("{EMBEDDING} is not right: {error}")))?;
    if description.dimension == 0 || description.max_tokens < LEAST_TOKENS {
        return Err(wrong(format!(
            "{EMBEDDING} is not right: dimension must be above 0 and max_tokens at least {LEAST_TOKENS}"
        )));
    }
    let mut needed: Vec<&str> = vec![&description.graph];
    needed.extend(description.data.iter().map(String::as_str));
    needed.extend(COMPANIONS);
    check_files(folder, &needed)?;

    let file = |name: &str| {
        let path = folder.join(name);
        sealed_hash(&path).map(|sha256| VerifiedFile { path, sha256 })
    };
    let graph = file(&description.graph)?;
    let data = description.data.iter().map(|name| file(name)).collect::<Result<Vec<_>, _>>()?;
    // All that moves a vector is its identity, so that no change of the folder goes into an index of what it was.
    let mut identity = Sha256::new();
    for file in std::iter::once(&graph).chain(&data).chain([&file(COMPANIONS[0])?]) {
        identity.update(&file.sha256);
    }
    identity.update(&text);
    Ok(EmbedderPaths {
        name: folder.display().to_string(),
        precision: Precision::default(),
        embedding: Embedding {
            dimension: description.dimension,
            max_tokens: description.max_tokens,
            pooling: description.pooling,
            question_prefix: description.question_prefix,
            passage_prefix: description.passage_prefix,
            output: description.output,
        },
        graph,
        data,
        sha256: hex(&identity.finalize()),
        folder: folder.to_owned(),
    })
}

/// The reranker in a folder.
pub fn reranker(folder: &Path) -> Result<RerankerPaths, ModelError> {
    check_files(folder, &[GRAPH])?;
    check_files(folder, &COMPANIONS)?;
    Ok(RerankerPaths {
        name: folder.display().to_string(),
        graph: folder.join(GRAPH),
        folder: folder.to_owned(),
        max_tokens: RERANKER_TOKENS,
    })
}

/// Names everything that is missing at once.
fn check_files(folder: &Path, names: &[&str]) -> Result<(), ModelError> {
    let wrong = |detail: String| ModelError::Folder { folder: folder.to_owned(), detail };
    if !folder.is_dir() {
        return Err(wrong("there is no such folder".to_owned()));
    }
    let mut missing = String::new();
    for name in names.iter().filter(|name| !folder.join(name).is_file()) {
        let separator = if missing.is_empty() { "" } else { ", " };
        let _ = write!(missing, "{separator}{name}");
    }
    if missing.is_empty() { Ok(()) } else { Err(wrong(format!("it lacks {missing}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::tiny;

    fn problem(folder: &Path) -> String {
        embedder(folder).unwrap_err().to_string()
    }

    #[test]
    fn all_that_a_folder_lacks_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        assert!(problem(&path.join("nowhere")).contains("no such folder"));
        assert!(problem(path).contains("lacks embedding.toml"));
        fs::write(path.join(EMBEDDING), "dimension = 8\nmax_tokens = 64\npooling = \"mean\"").unwrap();
        fs::write(path.join("config.json"), "{}").unwrap();
        assert!(problem(path).contains("lacks model.onnx, tokenizer.json, tokenizer_config.json, special_tokens_map"));
        fs::write(path.join(EMBEDDING), "dimension = 8\nmax_tokens = 64\npooling = \"max\"").unwrap();
        assert!(problem(path).contains("embedding.toml is not right"));
        fs::write(path.join(EMBEDDING), "dimension = 8\nmax_tokens = 4\npooling = \"mean\"").unwrap();
        assert!(problem(path).contains("at least 32"));
        let error = reranker(path).unwrap_err();
        assert!(error.to_string().contains("lacks model.onnx") && error.hint().unwrap().contains("docs/embedders.md"));
    }

    #[test]
    fn a_change_of_the_folder_is_another_identity() {
        let folder = tempfile::tempdir().unwrap();
        tiny::embedder(folder.path(), 64);
        let before = embedder(folder.path()).unwrap();
        assert_eq!(embedder(folder.path()).unwrap(), before);
        let described = fs::read_to_string(folder.path().join(EMBEDDING)).unwrap();
        fs::write(folder.path().join(EMBEDDING), format!("{described}passage_prefix = \"passage: \"\n")).unwrap();
        let prefixed = embedder(folder.path()).unwrap();
        assert_ne!(prefixed.sha256, before.sha256);
        fs::write(folder.path().join("weights.bin"), vec![1; 1 << 20]).unwrap();
        assert_ne!(embedder(folder.path()).unwrap().sha256, prefixed.sha256);
    }
}
