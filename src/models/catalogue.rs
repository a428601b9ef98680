//! The catalogue: which model files there are, their pinned hashes and where each comes from. It is part of the
//! program, so a pinned hash can only change with a new version of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::{ModelError, listed};

static CATALOGUE: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    #[derive(Deserialize)]
    struct Catalogue {
        model: Vec<Entry>,
    }
    let catalogue: Catalogue =
        toml::from_str(include_str!("catalogue.toml")).expect("a test reads the built-in catalogue");
    let mut entries = catalogue.model;
    entries.extend(listed::entries());
    entries
});

/// All models that this machine could use, in the catalogue's order.
pub fn entries() -> impl Iterator<Item = &'static Entry> {
    let platform = format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH);
    CATALOGUE.iter().filter(move |entry| entry.platform.as_ref().is_none_or(|p| *p == platform))
}

/// The model of this name; of one with several precisions, the first.
pub fn find(name: &str) -> Result<&'static Entry, ModelError> {
    entries().find(|entry| entry.name == name).ok_or_else(|| {
        if let Some(entry) = CATALOGUE.iter().find(|entry| entry.name == name) {
            let platform = entry.platform.clone().unwrap_or_default();
            return ModelError::WrongPlatform { name: name.to_owned(), platform };
        }
        unknown(name, entries())
    })
}

/// The embedder of this name that computes with this precision.
pub fn find_embedder(name: &str, precision: Precision) -> Result<&'static Entry, ModelError> {
    let variants: Vec<_> = of_kind(Kind::Embedder).filter(|entry| entry.name == name).collect();
    if variants.is_empty() {
        return Err(unknown(name, of_kind(Kind::Embedder)));
    }
    let found = variants.iter().find(|entry| entry.graphs.iter().any(|graph| graph.precision == precision));
    found.copied().ok_or_else(|| ModelError::NoPrecision {
        name: name.to_owned(),
        precision,
        has: variants.iter().flat_map(|entry| &entry.graphs).map(|graph| graph.precision).collect(),
    })
}

/// The cross-encoder of this name.
pub fn find_reranker(name: &str) -> Result<&'static Entry, ModelError> {
    let found = of_kind(Kind::Reranker).find(|entry| entry.name == name);
    found.ok_or_else(|| unknown(name, of_kind(Kind::Reranker)))
}

fn of_kind(kind: Kind) -> impl Iterator<Item = &'static Entry> {
    entries().filter(move |entry| entry.kind == kind)
}

fn unknown(name: &str, known: impl Iterator<Item = &'static Entry>) -> ModelError {
    let mut known: Vec<_> = known.map(|entry| entry.name.as_str()).collect();
    known.dedup();
    ModelError::Unknown { name: name.to_owned(), known: known.join(", ") }
}

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Writes answers.
    Generator,
    /// Turns text into vectors.
    Embedder,
    /// Judges how well a passage answers a question.
    Reranker,
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
    /// 16-bit floats: half the memory.
    Fp16,
    /// 8-bit integers: the default embedder is twice as fast (24 against 52 ms a 256-token chunk), takes a quarter of
    /// the memory, and gives other vectors: their mean cosine to those of floats is .993.
    Int8,
    /// 4-bit integers.
    Int4,
}

impl std::str::FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Fp32, Self::Fp16, Self::Int8, Self::Int4];
        all.into_iter().find(|precision| precision.to_string() == text).ok_or_else(|| {
            format!("\"{text}\" is none of {}", all.map(|precision| format!("\"{precision}\"")).join(", "))
        })
    }
}

impl std::fmt::Display for Precision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Fp32 => "fp32",
            Self::Fp16 => "fp16",
            Self::Int8 => "int8",
            Self::Int4 => "int4",
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
    /// How it reranks; only for rerankers.
    pub reranking: Option<Reranking>,
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
    pub(crate) fn built_graphs(&self) -> impl Iterator<Item = &Graph> {
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

/// An ONNX graph of an embedder or reranker.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Graph {
    /// What it computes with.
    pub precision: Precision,
    /// The file.
    #[serde(flatten)]
    pub file: ModelFile,
    /// Names of the files with weights that lie outside the graph.
    #[serde(default)]
    pub data: Vec<String>,
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
    /// The output of the graph that holds the vector of a text, where it is not the usual one.
    pub output: Option<String>,
}

/// How a cross-encoder reranks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reranking {
    /// Longest question and passage together in tokens; the longer of the two is cut.
    pub max_tokens: usize,
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
            assert_eq!(entry.kind == Kind::Reranker, entry.reranking.is_some(), "{}", entry.name);
            let has_graph = matches!(entry.kind, Kind::Embedder | Kind::Reranker);
            assert_eq!(has_graph, !entry.graphs.is_empty(), "{}", entry.name);
            let graphs = entry.graphs.iter().map(|graph| &graph.file);
            for file in entry.files.iter().chain(graphs) {
                let hash = file.sha256.as_deref();
                assert!(hash.is_none_or(|hash| hash.len() == 64), "{} {}", entry.name, file.name);
                assert!(!file.name.contains(['/', '\\']), "{} {}", entry.name, file.name);
            }
        }
    }

    #[test]
    fn all_models_are_pinned_but_those_that_are_only_listed() {
        let listed = listed::entries();
        assert!(CATALOGUE.iter().all(|entry| entry.is_pinned() != listed.contains(entry)));
        assert!(CATALOGUE.iter().flat_map(Entry::built_graphs).all(|graph| graph.file.sha256.is_some()));
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = find("gpt-5").unwrap_err().to_string();
        assert!(error.contains("gpt-5") && error.contains("llama-3.2-3b"), "{error}");
    }

    #[test]
    fn an_embedder_is_found_by_name_and_precision() {
        assert!(find_embedder("bge-small-en-v1.5", Precision::Fp32).unwrap().is_pinned());
        assert_eq!(
            find_embedder("bge-small-en-v1.5", Precision::Fp16).unwrap().folder.as_deref(),
            Some("bge-small-en-v1.5-fp16")
        );
        let error = find_embedder("bge-base-en-v1.5", Precision::Int8).unwrap_err();
        assert!(error.to_string().contains("int8") && error.hint().unwrap().contains("fp32 or fp16"), "{error}");
        let error = find_embedder("smollm2-135m", Precision::Fp32).unwrap_err().to_string();
        assert!(error.contains("all-minilm-l6-v2") && !error.contains("llama"), "{error}");
        let error = find_reranker("all-minilm-l6-v2").unwrap_err().to_string();
        assert!(error.contains("bge-reranker-base") && !error.contains("minilm-l6-v2,"), "{error}");
    }

    #[test]
    fn pieces_are_numbered() {
        assert_eq!(Package::numbered("part{n}/p{nn}.bin", 7), "part7/p07.bin");
    }
}
