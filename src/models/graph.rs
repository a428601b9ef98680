//! Writes the ONNX graph of a BERT sentence embedder from its weights: embeddings, encoder layers with ONNX
//! Runtime's fused operators, masked mean and length one. The same weights always give the same bytes.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::Precision;
use super::catalogue::Graph;
use super::onnx::{Attribute, Dim, FLOAT, GraphBuilder, INT8, INT32, INT64, Value};
use super::verify::beside;
use super::weights::Weights;

/// Writes the graph of `model.safetensors` and `config.json` in this folder, as a `.part` file.
pub(super) fn write(folder: &Path, graph: &Graph) -> Result<()> {
    let config = fs::read(folder.join("config.json")).context("cannot read config.json")?;
    let config: BertConfig = serde_json::from_slice(&config).context("config.json is not that of a BERT model")?;
    let weights = fs::read(folder.join("model.safetensors")).context("cannot read model.safetensors")?;
    let bytes = build(&config, &weights, graph.precision)?;
    let part = beside(&folder.join(&graph.file.name), "part");
    fs::write(&part, bytes).with_context(|| format!("cannot write {}", part.display()))
}

/// Sizes of the network, named as in the model's configuration file.
#[derive(Deserialize)]
struct BertConfig {
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    layer_norm_eps: f32,
    hidden_act: String,
}

fn build(config: &BertConfig, weights: &[u8], precision: Precision) -> Result<Vec<u8>> {
    ensure!(config.hidden_act == "gelu", "the activation is {}, not gelu", config.hidden_act);
    let mut bert = Bert { config, weights: Weights::read(weights)?, precision, graph: GraphBuilder::default() };
    let mut hidden = bert.embeddings()?;
    let mask = bert.graph.node("Cast", &["attention_mask"], "mask_i", vec![Attribute::int("to", i64::from(INT32))]);
    for layer in 0..config.num_hidden_layers {
        hidden = bert.layer(layer, &hidden, &mask)?;
    }
    bert.pool(&hidden);
    let tokens = [Dim::Named("batch"), Dim::Named("sequence")];
    let input = |name| Value { name, elem_type: INT64, dims: &tokens };
    let output = Value {
        name: "sentence_embedding",
        elem_type: FLOAT,
        dims: &[Dim::Named("batch"), Dim::Size(config.hidden_size)],
    };
    let inputs = [input("input_ids"), input("attention_mask"), input("token_type_ids")];
    Ok(bert.graph.finish("bert", &inputs, &output))
}

struct Bert<'a> {
    config: &'a BertConfig,
    weights: Weights<'a>,
    precision: Precision,
    graph: GraphBuilder,
}

impl Bert<'_> {
    fn embeddings(&mut self) -> Result<String> {
        let words = self.word_vectors()?;
        let types = self.weights.matrix("embeddings.token_type_embeddings.weight")?;
        let types = self.graph.floats("types", &[types.rows, types.columns], &types.values);
        let types = self.graph.node("Gather", &[&types, "token_type_ids"], "emb/type", vec![]);
        let positions = self.weights.matrix("embeddings.position_embeddings.weight")?;
        let positions = self.graph.floats("positions", &[positions.rows, positions.columns], &positions.values);
        for (name, value) in [("zero", 0), ("one", 1), ("two", 2)] {
            self.graph.integers(name, &[value]);
        }
        let shape = self.graph.node("Shape", &["input_ids"], "shape", vec![]);
        let length = self.graph.node("Slice", &[&shape, "one", "two"], "length", vec![]);
        let positions = self.graph.node("Slice", &[&positions, "zero", &length, "zero"], "emb/position", vec![]);
        let sum = self.graph.node("Add", &[&words, &types], "emb/typed", vec![]);
        let sum = self.graph.node("Add", &[&sum, &positions], "emb/sum", vec![]);
        let (gain, bias) = self.layer_norm("embeddings.LayerNorm")?;
        let attributes = vec![Attribute::int("axis", -1), Attribute::float("epsilon", self.config.layer_norm_eps)];
        Ok(self.graph.node("LayerNormalization", &[&sum, &gain, &bias], "emb", attributes))
    }

    /// Word vectors; in int8 a row at a time with its own scale, which costs next to no precision.
    fn word_vectors(&mut self) -> Result<String> {
        let words = self.weights.matrix("embeddings.word_embeddings.weight")?;
        let dims = [words.rows, words.columns];
        if self.precision == Precision::Fp32 {
            let words = self.graph.floats("words", &dims, &words.values);
            return Ok(self.graph.node("Gather", &[&words, "input_ids"], "emb/word", vec![]));
        }
        let (quantised, scales) = words.quantise_rows();
        let words = self.graph.constant("words", INT8, &dims, quantised);
        let scales = self.graph.floats("word_scales", &[dims[0], 1], &scales);
        let words = self.graph.node("Gather", &[&words, "input_ids"], "emb/word_q", vec![]);
        let to_float = vec![Attribute::int("to", i64::from(FLOAT))];
        let words = self.graph.node("Cast", &[&words], "emb/word_f", to_float);
        let scales = self.graph.node("Gather", &[&scales, "input_ids"], "emb/word_s", vec![]);
        Ok(self.graph.node("Mul", &[&words, &scales], "emb/word", vec![]))
    }

    fn layer(&mut self, layer: usize, hidden: &str, mask: &str) -> Result<String> {
        let weights = |part: &str| format!("encoder.layer.{layer}.{part}");
        let output = |part: &str| format!("layer{layer}/{part}");

        let input = self.input_of_linear(hidden, &output("in"));
        let mut projected = Vec::new();
        let mut bias = Vec::new();
        for part in ["query", "key", "value"] {
            let name = weights(&format!("attention.self.{part}"));
            projected.push(self.linear(&input, &name, &output(part))?);
            bias.extend(self.weights.tensor(&format!("{name}.bias"))?.1);
        }
        let bias = self.graph.floats(&weights("attention.self.bias"), &[bias.len()], &bias);
        let heads = vec![Attribute::int("num_heads", self.config.num_attention_heads as i64)];
        let inputs = [&projected[0], &projected[1], &projected[2], &bias, mask];
        let attended = self.graph.fused("MultiHeadAttention", &inputs, &output("attention"), heads);
        let hidden = self.add_and_normalise(&attended, hidden, &weights("attention.output"), &output("attended"))?;

        let input = self.input_of_linear(&hidden, &output("mid"));
        let wide = self.linear(&input, &weights("intermediate.dense"), &output("wide"))?;
        let bias = self.vector(&weights("intermediate.dense.bias"))?;
        let wide = self.graph.fused("BiasGelu", &[&wide, &bias], &output("gelu"), vec![]);
        self.add_and_normalise(&wide, &hidden, &weights("output"), &output("out"))
    }

    /// A linear map, the residual and the layer norm.
    fn add_and_normalise(&mut self, input: &str, residual: &str, weights: &str, output: &str) -> Result<String> {
        let input = self.input_of_linear(input, &format!("{output}/in"));
        let dense = self.linear(&input, &format!("{weights}.dense"), &format!("{output}/dense"))?;
        let bias = self.vector(&format!("{weights}.dense.bias"))?;
        let (gain, shift) = self.layer_norm(&format!("{weights}.LayerNorm"))?;
        let epsilon = vec![Attribute::float("epsilon", self.config.layer_norm_eps)];
        let inputs = [dense.as_str(), residual, &gain, &shift, &bias];
        Ok(self.graph.fused("SkipLayerNormalization", &inputs, output, epsilon))
    }

    /// Quantises what goes into linear maps, once for all that share it.
    fn input_of_linear(&mut self, input: &str, output: &str) -> Quantised {
        let part = |part: &str| format!("{output}/{part}");
        let (values, scale, zero) = (part("q"), part("scale"), part("zero"));
        if self.precision == Precision::Int8 {
            let outputs = [values.as_str(), &scale, &zero];
            self.graph.outputs("", "DynamicQuantizeLinear", &[input], &outputs, vec![]);
        }
        Quantised { plain: input.to_owned(), values, scale, zero }
    }

    /// A linear map without its bias, which the operator behind it adds.
    fn linear(&mut self, input: &Quantised, weights: &str, output: &str) -> Result<String> {
        let matrix = self.weights.matrix(&format!("{weights}.weight"))?.transposed();
        let dims = [matrix.rows, matrix.columns];
        if self.precision == Precision::Fp32 {
            let matrix = self.graph.floats(weights, &dims, &matrix.values);
            return Ok(self.graph.node("MatMul", &[&input.plain, &matrix], output, vec![]));
        }
        let (quantised, scales) = matrix.quantise_columns();
        let quantised = self.graph.constant(weights, INT8, &dims, quantised);
        let scales = self.graph.floats(&format!("{weights}.scale"), &[matrix.columns], &scales);
        let inputs = [&input.values, &quantised, &input.scale, &scales, &input.zero];
        Ok(self.graph.fused("MatMulIntegerToFloat", &inputs.map(String::as_str), output, vec![]))
    }

    /// Mean over the tokens that are no padding, brought to length one.
    fn pool(&mut self, hidden: &str) {
        let to_float = vec![Attribute::int("to", i64::from(FLOAT))];
        let mask = self.graph.node("Cast", &["attention_mask"], "mask_f", to_float);
        let last = self.graph.integers("last_axis", &[-1]);
        let mask = self.graph.node("Unsqueeze", &[&mask, &last], "mask_3d", vec![]);
        let masked = self.graph.node("Mul", &[hidden, &mask], "masked", vec![]);
        let drop_axis = || vec![Attribute::int("keepdims", 0)];
        let sum = self.graph.node("ReduceSum", &[&masked, "one"], "sum", drop_axis());
        let count = self.graph.node("ReduceSum", &[&mask, "one"], "count", drop_axis());
        let mean = self.graph.node("Div", &[&sum, &count], "mean", vec![]);
        let axes = vec![Attribute::ints("axes", &[1]), Attribute::int("keepdims", 1)];
        let norm = self.graph.node("ReduceL2", &[&mean], "norm", axes);
        self.graph.node("Div", &[&mean, &norm], "sentence_embedding", vec![]);
    }

    fn layer_norm(&mut self, name: &str) -> Result<(String, String)> {
        Ok((self.vector(&format!("{name}.weight"))?, self.vector(&format!("{name}.bias"))?))
    }

    fn vector(&mut self, name: &str) -> Result<String> {
        let (dims, values) = self.weights.tensor(name)?;
        Ok(self.graph.floats(name, &dims, &values))
    }
}

/// The input of a linear map: as it is, and the names of its quantised form.
struct Quantised {
    plain: String,
    values: String,
    scale: String,
    zero: String,
}
