//! Model files: which there are, how they come here and whether they are what they should be. Only a set-up
//! fetches; everything else asks [`locate`], which reads the disk and nothing more.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

pub mod catalogue;
mod error;
mod fetch;
mod graph;
mod hub;
mod listed;
pub mod local;
mod onnx;
mod pip;
#[cfg(test)]
pub(crate) mod tiny;
mod verify;
mod weights;

pub use catalogue::{
    Embedding, Entry, Kind, Pooling, Precision, Reranking, entries, find, find_embedder, find_reranker,
};
pub use error::ModelError;
pub use fetch::{Origins, Progress, ensure, import};
pub use verify::{Check, VerifiedFile};

/// The files of a model, if they are all there and what they should be. Quick: files that were verified before
/// and have not changed are not read.
pub fn locate(models_dir: &Path, entry: &Entry) -> Result<Installed, ModelError> {
    verify(models_dir, entry, Check::Quick)
}

/// The files of a model, checked as closely as asked.
pub fn verify(models_dir: &Path, entry: &Entry, check: Check) -> Result<Installed, ModelError> {
    let folder = entry.folder(models_dir);
    let graphs = entry.built_graphs().map(|graph| &graph.file);
    let files = entry
        .files
        .iter()
        .chain(graphs)
        .map(|file| verify::verify_file(&entry.name, &folder, file, check))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Installed { entry: entry.clone(), folder, files })
}

/// A model whose files are there and verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// Its line in the catalogue.
    pub entry: Entry,
    /// The folder of its files.
    pub folder: PathBuf,
    /// Its files, in the catalogue's order, then the graphs written here.
    pub files: Vec<VerifiedFile>,
}

impl Installed {
    /// The one file of a generator or runtime.
    pub fn main_file(&self) -> &VerifiedFile {
        &self.files[0]
    }

    /// What it takes to open an embedder.
    pub fn embedder(&self, precision: Precision) -> Result<EmbedderPaths, ModelError> {
        let name = &self.entry.name;
        let missing = || {
            let has = self.entry.graphs.iter().map(|graph| graph.precision).collect();
            ModelError::NoPrecision { name: name.clone(), precision, has }
        };
        let listed = self.entry.graphs.iter().find(|graph| graph.precision == precision).ok_or_else(missing)?;
        let graph = self.file(&listed.file.name).ok_or_else(missing)?;
        let data: Vec<_> = listed.data.iter().filter_map(|name| self.file(name)).cloned().collect();
        Ok(EmbedderPaths {
            name: name.clone(),
            precision,
            embedding: self.entry.embedding.clone().ok_or_else(missing)?,
            graph: graph.clone(),
            sha256: identity(graph, &data),
            data,
            folder: self.folder.clone(),
        })
    }

    /// What it takes to open a reranker.
    pub fn reranker(&self) -> Result<RerankerPaths, ModelError> {
        let graph = self.entry.graphs.first().zip(self.entry.reranking.as_ref());
        let (graph, reranking) = graph.ok_or_else(|| ModelError::Folder {
            folder: self.folder.clone(),
            detail: format!("{} is no reranker", self.entry.name),
        })?;
        Ok(RerankerPaths {
            name: self.entry.name.clone(),
            graph: self.folder.join(&graph.file.name),
            folder: self.folder.clone(),
            max_tokens: reranking.max_tokens,
        })
    }

    fn file(&self, name: &str) -> Option<&VerifiedFile> {
        let path = self.folder.join(name);
        self.files.iter().find(|file| file.path == path)
    }
}

/// The hash of the weights, wherever they lie.
fn identity(graph: &VerifiedFile, data: &[VerifiedFile]) -> String {
    if data.is_empty() {
        return graph.sha256.clone();
    }
    let mut all = Sha256::new();
    for file in std::iter::once(graph).chain(data) {
        all.update(&file.sha256);
    }
    verify::hex(&all.finalize())
}

/// What it takes to open an embedder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbedderPaths {
    /// Name of the model.
    pub name: String,
    /// What the graph computes with.
    pub precision: Precision,
    /// How it embeds.
    pub embedding: Embedding,
    /// The ONNX graph.
    pub graph: VerifiedFile,
    /// Files with weights outside the graph, which lie beside it.
    pub data: Vec<VerifiedFile>,
    /// The identity of the embedder: an index belongs to it.
    pub sha256: String,
    /// The folder of the tokenizer and the configuration.
    pub folder: PathBuf,
}

impl EmbedderPaths {
    /// The tokenizer, which a chunker counts tokens with. It may truncate and pad by default: switch both off.
    pub fn tokenizer(&self) -> PathBuf {
        self.folder.join("tokenizer.json")
    }
}

/// What it takes to open a reranker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RerankerPaths {
    /// Name of the model.
    pub name: String,
    /// The ONNX graph; files with weights outside it lie beside it.
    pub graph: PathBuf,
    /// The folder of the tokenizer and the configuration.
    pub folder: PathBuf,
    /// Longest question and passage together in tokens.
    pub max_tokens: usize,
}

/// The folder of model files that tests run with.
#[cfg(test)]
pub(crate) fn test_models_dir() -> PathBuf {
    let folder = std::env::var_os("PREMISE_MODELS_DIR");
    folder.expect("PREMISE_MODELS_DIR names no models folder: run the tests with `make test`, which sets it").into()
}
