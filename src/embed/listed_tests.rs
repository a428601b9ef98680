//! The catalogue's embedders and rerankers against fastembed's own lists, so that neither drifts from the other.

use ::fastembed::{EmbeddingModel, OutputKey, TextEmbedding, TextRerank};

use crate::models::catalogue::{Entry, Source, entries};
use crate::models::{Kind, Pooling, Precision};

/// What fastembed lists and the catalogue has not, with the reason.
const LEFT_OUT: [(EmbeddingModel, &str); 1] =
    [(EmbeddingModel::ClipVitB32, "half of a model of pictures: it reads captions of 77 tokens, not passages")];

/// The same weights, which the catalogue takes from another place: pinned there, or written by this program.
const ELSEWHERE: [EmbeddingModel; 3] =
    [EmbeddingModel::AllMiniLML6V2, EmbeddingModel::AllMiniLML6V2Q, EmbeddingModel::BGESmallENV15];

fn hub_path<'a>(entry: &'a Entry, name: &'a str) -> (&'a str, &'a str) {
    let Some(Source::Hub(hub)) = entry.sources.iter().find(|source| matches!(source, Source::Hub(_))) else {
        panic!("{} does not come from the hub", entry.name)
    };
    (&hub.repository, hub.paths.get(name).map_or(name, String::as_str))
}

/// The entry whose graph is this file of this repository.
fn entry_of(kind: Kind, repository: &str, file: &str) -> Option<&'static Entry> {
    entries().filter(|entry| entry.kind == kind).find(|entry| {
        entry.sources.iter().any(|source| matches!(source, Source::Hub(_)))
            && hub_path(entry, &entry.graphs[0].file.name) == (repository, file)
    })
}

fn data_paths(entry: &Entry) -> Vec<String> {
    entry.graphs[0].data.iter().map(|name| hub_path(entry, name).1.to_owned()).collect()
}

#[test]
fn every_embedder_of_fastembed_is_in_the_catalogue_as_fastembed_has_it() {
    let mut found = 0;
    for model in TextEmbedding::list_supported_models() {
        if LEFT_OUT.iter().any(|(left_out, _)| *left_out == model.model) {
            continue;
        }
        if ELSEWHERE.contains(&model.model) {
            found += 1;
            continue;
        }
        let entry = entry_of(Kind::Embedder, &model.model_code, &model.model_file);
        let entry = entry.unwrap_or_else(|| panic!("{:?}: {} is missing", model.model, model.model_code));
        let embedding = entry.embedding.as_ref().unwrap();
        assert_eq!(embedding.dimension, model.dim, "{}", entry.name);
        assert_eq!(data_paths(entry), model.additional_files, "{}", entry.name);
        let pooling = match embedding.pooling {
            Pooling::Mean => ::fastembed::Pooling::Mean,
            Pooling::Cls => ::fastembed::Pooling::Cls,
        };
        assert_eq!(TextEmbedding::get_default_pooling_method(&model.model), Some(pooling), "{}", entry.name);
        let output = embedding.output.as_ref().map(|name| OutputKey::ByName(name.clone().leak()));
        assert_eq!(output, model.output_key, "{}", entry.name);
        let variant = format!("{:?}", model.model);
        let is_quantised = variant.ends_with('Q') || variant.ends_with("Q4");
        assert_eq!(is_quantised, entry.graphs[0].precision != Precision::Fp32, "{} {variant}", entry.name);
        found += 1;
    }
    let variants = entries().filter(|entry| entry.kind == Kind::Embedder).flat_map(|entry| &entry.graphs).count();
    assert_eq!(variants, found, "the catalogue has an embedder that fastembed does not list");
}

#[test]
fn every_reranker_of_fastembed_is_in_the_catalogue_as_fastembed_has_it() {
    let models = TextRerank::list_supported_models();
    for model in &models {
        let entry = entry_of(Kind::Reranker, &model.model_code, &model.model_file);
        let entry = entry.unwrap_or_else(|| panic!("{} is missing", model.model_code));
        assert_eq!(data_paths(entry), model.additional_files, "{}", entry.name);
    }
    assert_eq!(entries().filter(|entry| entry.kind == Kind::Reranker).count(), models.len());
}

#[test]
fn the_models_that_want_prefixes_have_them() {
    let check = |name: &str, question: &str, passage: &str| {
        for entry in entries().filter(|entry| entry.name.starts_with(name)) {
            let embedding = entry.embedding.as_ref().unwrap();
            let prefixes = (embedding.question_prefix.as_str(), embedding.passage_prefix.as_str());
            assert_eq!(prefixes, (question, passage), "{}", entry.name);
        }
    };
    let instruction = "Represent this sentence for searching relevant passages: ";
    check("multilingual-e5", "query: ", "passage: ");
    check("nomic", "search_query: ", "search_document: ");
    check("modernbert", "search_query: ", "search_document: ");
    check("embeddinggemma", "task: search result | query: ", "title: none | text: ");
    check("snowflake", instruction, "");
    check("mxbai", instruction, "");
    check("bge-base", instruction, "");
    check("gte", "", "");
    check("jina-embeddings", "", "");
    check("bge-m3", "", "");
}
