//! The real embedder, against vectors that Python's ONNX Runtime computed from a graph of plain operators.

use std::fs;

use super::fastembed::{check, cut};
use super::*;
use crate::models::{Installed, VerifiedFile, find, local, locate, test_models_dir, tiny};

/// Sentences and the first eight numbers of their vectors.
const REFERENCE: [(&str, [f32; 8]); 4] = [
    (
        "The tenant shall give thirty days' written notice before the end of the lease.",
        [0.0486, 0.09046, 0.00625, -0.01107, -0.03644, 0.0237, -0.07848, -0.06209],
    ),
    (
        "Take one 5 mg tablet of apixaban twice daily with water.",
        [0.04754, 0.01478, 0.01748, 0.04429, -0.05148, -0.10265, 0.00859, 0.04563],
    ),
    ("Who pays for repairs to the roof?", [-0.0263, 0.12516, 0.09267, -0.00632, -0.01578, -0.11169, 0.02185, -0.04679]),
    (
        "§ 12(b) ICD-10 E11.9 — Größe, naïve café, 東京",
        [0.03062, 0.06249, 0.05092, -0.06989, 0.00824, 0.05556, 0.07804, -0.00958],
    ),
];

/// More than 256 tokens, so a question of it is cut.
const LONG: (&str, [f32; 8]) = (
    "This agreement is governed by the laws of the State of New York. ",
    [-0.00842, -0.01113, 0.03592, 0.006, -0.02328, 0.00787, 0.00232, -0.11855],
);

fn installed(name: &str) -> Installed {
    let found = locate(&test_models_dir(), find(name).unwrap());
    found.unwrap_or_else(|error| panic!("{error}: run the tests with `make test`"))
}

fn minilm(precision: Precision) -> Box<dyn Embedder> {
    init_runtime(installed("onnxruntime").main_file()).unwrap();
    open(&installed("all-minilm-l6-v2").embedder(precision).unwrap(), 1).unwrap()
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[test]
fn vectors_equal_those_of_the_reference() {
    let mut embedder = minilm(Precision::Fp32);
    let long = LONG.0.repeat(30);
    let cases = REFERENCE.iter().map(|(text, start)| (*text, start)).chain([(long.as_str(), &LONG.1)]);
    for (text, expected) in cases {
        let vector = embedder.embed_question(text).unwrap();
        for (value, expected) in vector.iter().zip(expected) {
            assert!((value - expected).abs() < 5e-5, "{text}: {value} is not {expected}");
        }
    }
    assert_eq!((embedder.identity().dimension, embedder.max_tokens()), (384, 256));
}

#[test]
fn int8_vectors_are_close_to_those_of_floats() {
    let (mut floats, mut integers) = (minilm(Precision::Fp32), minilm(Precision::Int8));
    for (text, _) in REFERENCE {
        let near = cosine(&floats.embed_passage(text).unwrap(), &integers.embed_passage(text).unwrap());
        assert!(near > 0.985, "{text}: cosine {near}");
    }
    assert_ne!(floats.identity(), integers.identity());
}

#[test]
fn a_question_is_nearest_to_the_passage_that_answers_it() {
    let mut embedder = minilm(Precision::Fp32);
    let question = embedder.embed_question("How long before leaving must a renter tell the landlord?").unwrap();
    let near = REFERENCE.map(|(text, _)| cosine(&question, &embedder.embed_passage(text).unwrap()));
    assert!(near[1..].iter().all(|other| near[0] > *other), "{near:?}");
}

/// An embedder of a folder of the user's own, with weights outside its graph.
fn tiny(folder: &std::path::Path, max_tokens: usize) -> Box<dyn Embedder> {
    init_runtime(installed("onnxruntime").main_file()).unwrap();
    tiny::embedder(folder, max_tokens);
    open(&local::embedder(folder).unwrap(), 1).unwrap()
}

#[test]
fn a_folder_with_weights_outside_the_graph_is_an_embedder() {
    let folder = tempfile::tempdir().unwrap();
    let mut embedder = tiny(folder.path(), 64);
    let roof = embedder.embed_passage("The tenant repairs the roof.").unwrap();
    assert_eq!(roof.len(), tiny::DIMENSION);
    let question = embedder.embed_question("Who repairs the roof?").unwrap();
    let bees = embedder.embed_passage("Bees like lavender and thyme.").unwrap();
    assert!(cosine(&question, &roof) > cosine(&question, &bees));
    let weights = embedder.identity().sha256.clone();
    // What is added to each word lies in a file of its own and counts too.
    let shift: Vec<u8> = (0..tiny::DIMENSION).flat_map(|_| 9.0_f32.to_le_bytes()).collect();
    fs::write(folder.path().join("shift.bin"), shift).unwrap();
    let mut shifted = open(&local::embedder(folder.path()).unwrap(), 1).unwrap();
    assert_ne!(shifted.identity().sha256, weights);
    let shifted = shifted.embed_passage("The tenant repairs the roof.").unwrap();
    assert!(cosine(&shifted, &roof) < 0.9, "{}", cosine(&shifted, &roof));
}

#[test]
fn all_of_a_passage_counts_however_long_it_is() {
    let (short, long) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut short, mut long) = (tiny(short.path(), 64), tiny(long.path(), 512));
    let (bees, roof) = ("Bees like lavender and thyme. ", "The tenant repairs the roof. ");
    let passage = format!("{}{}", bees.repeat(30), roof.repeat(10));
    let question = "tenant repairs roof";
    let cut_off = short.embed_question(&passage).unwrap();
    let (in_pieces, whole) = (short.embed_passage(&passage).unwrap(), long.embed_passage(&passage).unwrap());
    // Pieces do not see each other, so the vectors are near and not the same.
    assert!(cosine(&in_pieces, &whole) > 0.9, "{}", cosine(&in_pieces, &whole));
    let asked = short.embed_question(question).unwrap();
    assert!(cosine(&asked, &in_pieces) > cosine(&asked, &cut_off));
    // Neither spaces nor words: it is cut all the same.
    assert!(short.embed_passage(&"é".repeat(4000)).is_ok());
    assert!(short.embed_passage(&"7".repeat(4000)).is_ok());
}

#[test]
fn a_text_is_cut_at_spaces_and_nothing_is_left_out() {
    let text = "aa bb  cc dd ee";
    let starts = [0, 3, 7, 10, 13];
    assert_eq!(cut(text, &starts, 2), [("aa bb ", 2), (" cc dd", 2), (" ee", 1)]);
    assert_eq!(cut(text, &starts, 5), [(text, 5)]);
    // One word of many tokens, then tokens that share a character.
    assert_eq!(cut("aabbcc", &[0, 2, 4], 2), [("aabb", 2), ("cc", 1)]);
    assert_eq!(cut("éa", &[0, 0, 0, 2], 2), [("é", 3), ("a", 1)]);
}

#[test]
fn an_empty_text_is_an_error() {
    assert!(matches!(minilm(Precision::Fp32).embed_passage(" \n"), Err(EmbedError::Empty)));
}

#[test]
fn a_bad_vector_is_an_error() {
    assert!(check(vec![0.6, 0.8], 2).is_ok());
    for bad in [vec![f32::NAN, 1.0], vec![0.0, 0.0], vec![1.0], vec![3.0, 4.0]] {
        assert!(matches!(check(bad, 2), Err(EmbedError::BadVector(_))));
    }
}

#[test]
fn an_altered_graph_is_an_error() {
    init_runtime(installed("onnxruntime").main_file()).unwrap();
    let mut paths = installed("all-minilm-l6-v2").embedder(Precision::Fp32).unwrap();
    let folder = tempfile::tempdir().unwrap();
    paths.graph.path = folder.path().join("model.onnx");
    assert!(matches!(open(&paths, 1), Err(EmbedError::Read { .. })));
    fs::write(&paths.graph.path, "no graph").unwrap();
    assert!(matches!(open(&paths, 1), Err(EmbedError::Open { .. })));
}

#[test]
fn a_wrong_library_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let library = VerifiedFile { path: folder.path().join("lib.so"), sha256: String::new() };
    assert!(matches!(init_runtime(&library), Err(EmbedError::Runtime { .. })));
    fs::write(&library.path, "no library").unwrap();
    assert!(matches!(init_runtime(&library), Err(EmbedError::Runtime { .. })));
}
