//! The models of the hub that need no more than a line each: every embedder and cross-encoder that fastembed lists,
//! one catalogue entry for each precision that is published.

use std::path::Path;

use serde::Deserialize;

use super::catalogue::{Embedding, Entry, Graph, Hub, Kind, ModelFile, Precision, Reranking, Source};

/// The tokenizer and the sizes of the network, which each repository holds at its top.
pub(super) const COMPANIONS: [&str; 4] =
    ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "config.json"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    model: Vec<Model>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Model {
    name: String,
    architecture: String,
    licence: String,
    description: String,
    embedding: Option<Embedding>,
    reranking: Option<Reranking>,
    variant: Vec<Variant>,
}

/// One published graph of a model.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Variant {
    precision: Precision,
    repository: String,
    /// Path of the graph in the repository.
    graph: String,
    /// Paths of the files with weights outside the graph, which names them by their last part.
    #[serde(default)]
    data: Vec<String>,
}

/// The entries of both lists.
pub(super) fn entries() -> Vec<Entry> {
    let lists = [(Kind::Embedder, include_str!("embedders.toml")), (Kind::Reranker, include_str!("rerankers.toml"))];
    let mut entries = Vec::new();
    for (kind, text) in lists {
        let listed: Listed = toml::from_str(text).expect("a test reads the built-in lists");
        for model in listed.model {
            entries.extend(model.variant.iter().map(|variant| entry(kind, &model, variant)));
        }
    }
    entries
}

fn entry(kind: Kind, model: &Model, variant: &Variant) -> Entry {
    let hub_paths: Vec<&str> = std::iter::once(&variant.graph).chain(&variant.data).map(String::as_str).collect();
    let unpinned = |name: &str| ModelFile { name: name.to_owned(), size_bytes: None, sha256: None };
    let file_names = hub_paths.iter().map(|path| last_part(path));
    Entry {
        name: model.name.clone(),
        kind,
        architecture: model.architecture.clone(),
        platform: None,
        // Tokenizers of two repositories may differ, so each variant has a folder of its own.
        folder: Some(format!("{}-{}", model.name, variant.precision)),
        licence: model.licence.clone(),
        description: format!("{}, {}", model.description, variant.precision),
        embedding: model.embedding.clone(),
        reranking: model.reranking.clone(),
        files: file_names.chain(COMPANIONS).map(unpinned).collect(),
        graphs: vec![Graph {
            precision: variant.precision,
            file: unpinned(last_part(&variant.graph)),
            data: variant.data.iter().map(|path| last_part(path).to_owned()).collect(),
        }],
        sources: vec![Source::Hub(Hub {
            repository: variant.repository.clone(),
            revision: "main".to_owned(),
            paths: hub_paths.iter().map(|path| (last_part(path).to_owned(), (*path).to_owned())).collect(),
        })],
    }
}

fn last_part(path: &str) -> &str {
    Path::new(path).file_name().and_then(|name| name.to_str()).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_outside_the_graph_are_fetched_under_the_name_that_the_graph_knows() {
        let entries = entries();
        let m3 = entries.iter().find(|entry| entry.name == "bge-m3").unwrap();
        let names: Vec<_> = m3.files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names[..3], ["model.onnx", "model.onnx_data", "Constant_7_attr__value"]);
        assert_eq!(names[3..], COMPANIONS);
        assert_eq!(m3.graphs[0].data, ["model.onnx_data", "Constant_7_attr__value"]);
        let Source::Hub(hub) = &m3.sources[0] else { panic!("it comes from the hub") };
        assert_eq!(hub.paths["model.onnx_data"], "onnx/model.onnx_data");
        assert!(!hub.paths.contains_key("tokenizer.json"), "it lies at the top");
    }
}
