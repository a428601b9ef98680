//! Real ONNX models small enough to be written by a test: an embedder whose vectors are bags of words, with weights
//! outside its graph, and a cross-encoder that counts the words that question and passage share. Their tokenizer is
//! that of the small model that tests run with.

use std::fs;
use std::path::Path;

use super::listed::COMPANIONS;
use super::onnx::{Attribute, Dim, FLOAT, GraphBuilder, INT64, Value};
use super::test_models_dir;

/// Length of the embedder's vectors.
pub(crate) const DIMENSION: usize = 32;
/// Words of the tokenizer.
const WORDS: usize = 30_522;

const TOKENS: [Dim<'_>; 2] = [Dim::Named("batch"), Dim::Named("sequence")];

fn input(name: &str) -> Value<'_> {
    Value { name, elem_type: INT64, dims: &TOKENS }
}

fn companions(folder: &Path) {
    for name in COMPANIONS {
        fs::copy(test_models_dir().join("all-minilm-l6-v2").join(name), folder.join(name)).unwrap();
    }
}

/// Writes an embedder that takes so many tokens. The table of words is an initializer in one file, what is added to
/// each word a constant in another: both ways in which published graphs keep weights outside.
pub(crate) fn embedder(folder: &Path, max_tokens: usize) {
    companions(folder);
    let mut graph = GraphBuilder::default();
    let table = graph.floats_in_file("table", &[WORDS, DIMENSION], "weights.bin");
    let words = graph.node("Gather", &[&table, "input_ids"], "words", vec![]);
    let shift = vec![Attribute::floats_in_file("value", &[DIMENSION], "shift.bin")];
    let shift = graph.node("Constant", &[], "shift", shift);
    graph.node("Add", &[&words, &shift], "last_hidden_state", vec![]);
    let dims = [TOKENS[0], TOKENS[1], Dim::Size(DIMENSION)];
    let output = Value { name: "last_hidden_state", elem_type: FLOAT, dims: &dims };
    let bytes = graph.finish("bag", &[input("input_ids"), input("attention_mask")], &output);
    fs::write(folder.join("model.onnx"), bytes).unwrap();
    // A linear congruential generator (Numerical Recipes, 7.1) gives each word a direction of its own.
    let mut state = 1_u32;
    let mut number = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (f64::from(state) / f64::from(u32::MAX) * 2.0 - 1.0) as f32
    };
    let mut floats = |count: usize| (0..count).flat_map(|_| number().to_le_bytes()).collect::<Vec<u8>>();
    fs::write(folder.join("weights.bin"), floats(WORDS * DIMENSION)).unwrap();
    fs::write(folder.join("shift.bin"), vec![0; DIMENSION * size_of::<f32>()]).unwrap();
    let description = format!(
        "dimension = {DIMENSION}\nmax_tokens = {max_tokens}\npooling = \"mean\"\ndata = [\"weights.bin\", \"shift.bin\"]\n"
    );
    fs::write(folder.join("embedding.toml"), description).unwrap();
}

/// Writes a cross-encoder whose score is the number of pairs of equal tokens, one of the question and one of the
/// passage; its output has that name (`logits` is what a cross-encoder's is called).
pub(crate) fn cross_encoder(folder: &Path, output: &str) {
    companions(folder);
    let mut graph = GraphBuilder::default();
    let first = graph.integers("first", &[1]);
    let second = graph.integers("second", &[2]);
    let both = graph.integers("both", &[1, 2]);
    let to_float = || vec![Attribute::int("to", i64::from(FLOAT))];
    let mask = graph.node("Cast", &["attention_mask"], "mask", to_float());
    let kind = graph.node("Cast", &["token_type_ids"], "kind", to_float());
    let passage = graph.node("Mul", &[&kind, &mask], "passage", vec![]);
    let question = graph.node("Sub", &[&mask, &passage], "question", vec![]);
    let across = graph.node("Unsqueeze", &["input_ids", &first], "across", vec![]);
    let down = graph.node("Unsqueeze", &["input_ids", &second], "down", vec![]);
    let equal = graph.node("Equal", &[&down, &across], "equal", vec![]);
    let equal = graph.node("Cast", &[&equal], "equal_f", to_float());
    let question = graph.node("Unsqueeze", &[&question, &second], "question_down", vec![]);
    let passage = graph.node("Unsqueeze", &[&passage, &first], "passage_across", vec![]);
    let equal = graph.node("Mul", &[&equal, &question], "of_question", vec![]);
    let equal = graph.node("Mul", &[&equal, &passage], "of_both", vec![]);
    let drop_axes = vec![Attribute::int("keepdims", 0)];
    let count = graph.node("ReduceSum", &[&equal, &both], "count", drop_axes);
    graph.node("Unsqueeze", &[&count, &first], output, vec![]);
    let inputs = [input("input_ids"), input("attention_mask"), input("token_type_ids")];
    let dims = [TOKENS[0], Dim::Size(1)];
    let bytes = graph.finish("overlap", &inputs, &Value { name: output, elem_type: FLOAT, dims: &dims });
    fs::write(folder.join("model.onnx"), bytes).unwrap();
}
