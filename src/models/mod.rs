//! Model files: which there are, how they come here and whether they are what they should be. Only a set-up
//! fetches; everything else asks [`locate`], which reads the disk and nothing more.

use std::path::{Path, PathBuf};

pub mod catalogue;
mod error;
mod fetch;
mod graph;
mod hub;
mod onnx;
mod pip;
mod verify;
mod weights;

pub use catalogue::{Embedding, Entry, Kind, Pooling, Precision, entries, find};
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
        let missing = || ModelError::NoPrecision { name: name.clone(), precision };
        let graph = self.entry.graphs.iter().find(|graph| graph.precision == precision).ok_or_else(missing)?;
        let path = self.folder.join(&graph.file.name);
        let graph = self.files.iter().find(|file| file.path == path).ok_or_else(missing)?;
        let embedding = self.entry.embedding.clone().ok_or_else(missing)?;
        let file = |name: &str| self.folder.join(name);
        Ok(EmbedderPaths {
            name: name.clone(),
            precision,
            embedding,
            graph: graph.clone(),
            tokenizer: file("tokenizer.json"),
            tokenizer_config: file("tokenizer_config.json"),
            special_tokens_map: file("special_tokens_map.json"),
            config: file("config.json"),
        })
    }
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
    /// The ONNX graph; its hash is the identity of the embedder.
    pub graph: VerifiedFile,
    /// The tokenizer, which a chunker counts tokens with. It may truncate and pad by default: switch both off.
    pub tokenizer: PathBuf,
    /// Longest input and padding token.
    pub tokenizer_config: PathBuf,
    /// Names of the special tokens.
    pub special_tokens_map: PathBuf,
    /// Sizes of the network.
    pub config: PathBuf,
}

/// The folder of model files that tests run with.
#[cfg(test)]
pub(crate) fn test_models_dir() -> PathBuf {
    let folder = std::env::var_os("PREMISE_MODELS_DIR");
    folder.expect("PREMISE_MODELS_DIR names no models folder: run the tests with `make test`, which sets it").into()
}
