//! Our own forward pass for Llama, Qwen2 and Qwen3 on candle's quantised kernels. Two to three times candle's models:
//! attention without copies, prompts in blocks, the last layer for the last token only, 8-bit weights for prompts.

use std::sync::Arc;

use candle_core::quantized::QTensor;
use candle_core::{Device, Tensor};

use super::attention::{Heads, attend};
use super::cache::Cache;
use super::gguf::GgufFile;
use super::linear::{Linear, Packing, apply, apply_all};
use super::rope::Rope;
use super::session::Network;
use super::{GenerateError, int8, math, parallel};

/// Tokens of a prompt that are read at once: enough to use every core, few enough to stop soon and to stay in cache.
const BLOCK_TOKENS: usize = 256;

/// Models below this many weights are packed at load unless the settings say otherwise: at most 4 GB and 20 s.
const PACKED_WEIGHTS: usize = 4_000_000_000;

/// A decoder-only transformer and what it has read.
pub(super) struct Transformer {
    embedding: Arc<QTensor>,
    layers: Vec<Layer>,
    norm: Vec<f32>,
    output: Linear,
    heads: Heads,
    width: usize,
    epsilon: f32,
    rope: Rope,
}

struct Layer {
    attention_norm: Vec<f32>,
    query: Projection,
    key: Projection,
    value: Projection,
    attention_output: Linear,
    feed_norm: Vec<f32>,
    gate: Linear,
    up: Linear,
    down: Linear,
    cache: Cache,
}

/// A matrix with what some architectures do to its result: Qwen2 adds a bias, Qwen3 norms each head.
struct Projection {
    matrix: Linear,
    bias: Option<Vec<f32>>,
    head_norm: Option<Vec<f32>>,
}

/// Whether [`Transformer`] computes this model rightly.
pub(super) fn supports(file: &GgufFile, architecture: &str) -> bool {
    let experts = file.number(&format!("{architecture}.expert_count")).unwrap_or(0);
    matches!(architecture, "llama" | "qwen2" | "qwen3") && experts == 0 && !file.has("blk.0.attn_output.bias")
}

impl Transformer {
    /// Reads all weights. `int8_prefill` as in [`super::EngineSettings`].
    pub(super) fn load(
        file: &mut GgufFile,
        architecture: &str,
        int8_prefill: Option<bool>,
    ) -> Result<Self, GenerateError> {
        let number = |file: &GgufFile, key: &str| file.number(&format!("{architecture}.{key}"));
        let needed = |file: &GgufFile, key: &str| {
            number(file, key)
                .filter(|n| *n > 0)
                .ok_or_else(|| file.damaged(&format!("{architecture}.{key} is missing")))
        };
        let width = needed(file, "embedding_length")?;
        let queries = needed(file, "attention.head_count")?;
        let keys = number(file, "attention.head_count_kv").unwrap_or(queries).max(1);
        let heads = Heads { queries, keys, size: number(file, "attention.key_length").unwrap_or(width / queries) };
        if !queries.is_multiple_of(keys) || !heads.size.is_multiple_of(2) {
            return Err(file.damaged(&format!("{queries} heads of {} numbers over {keys} are impossible", heads.size)));
        }
        let epsilon = file.real(&format!("{architecture}.attention.layer_norm_rms_epsilon")).unwrap_or(1e-5);
        let weights: usize = file.content.tensor_infos.values().map(|tensor| tensor.shape.elem_count()).sum();
        let small = weights < PACKED_WEIGHTS;
        let packing = match int8_prefill.unwrap_or(small) {
            true if int8::is_available() => Packing::Int8,
            _ if small => Packing::Quick,
            _ => Packing::AsInFile,
        };

        let rope = Rope::from_gguf(file, architecture, heads.size)?;
        let embedding = Arc::new(file.tensor("token_embd.weight")?);
        // Small models share one matrix for both ends.
        let output =
            if file.has("output.weight") { Arc::new(file.tensor("output.weight")?) } else { embedding.clone() };
        let layers = (0..needed(file, "block_count")?).map(|at| Layer::load(file, at, heads, packing));
        let layers = layers.collect::<Result<_, _>>()?;
        Ok(Self {
            embedding,
            layers,
            norm: file.vector("output_norm.weight")?,
            output: Linear::for_single_rows(output, packing)?,
            heads,
            width,
            epsilon,
            rope,
        })
    }

    fn normed(&self, rows: &[f32], weight: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; rows.len()];
        parallel::each_row(&mut out, rows, weight.len(), |out, row| {
            math::rms_norm(out, row, weight, self.epsilon);
        });
        out
    }

    fn project(&self, projection: &Projection, rows: &mut [f32], turns: &[(f32, f32)]) {
        if let Some(bias) = &projection.bias {
            rows.chunks_exact_mut(bias.len()).for_each(|row| math::add(row, bias));
        }
        if let Some(norm) = &projection.head_norm {
            let normed = self.normed(rows, norm);
            rows.copy_from_slice(&normed);
        }
        if !turns.is_empty() {
            let heads = rows.len() / self.heads.size / (turns.len() / self.rope.pairs());
            self.rope.apply(rows, turns, heads, self.heads.size);
        }
    }
}

impl Network for Transformer {
    fn read(&mut self, tokens: &[u32], position: usize, score: bool) -> Result<Vec<f32>, GenerateError> {
        let ids = Tensor::new(tokens, &Device::Cpu)?;
        let mut rows: Vec<f32> = self.embedding.embedding(&ids)?.flatten_all()?.to_vec1()?;
        let turns = self.rope.turns(position, tokens.len());
        let last = self.layers.len() - 1;
        for at in 0..=last {
            let layer = &self.layers[at];
            let normed = self.normed(&rows, &layer.attention_norm);
            let matrices = [&layer.query.matrix, &layer.key.matrix, &layer.value.matrix];
            let [mut query, mut key, mut value] = apply_all(matrices, normed)?;
            self.project(&layer.query, &mut query, &turns);
            self.project(&layer.key, &mut key, &turns);
            self.project(&layer.value, &mut value, &[]);
            self.layers[at].cache.append(&key, &value);

            let mut first = position;
            if at == last {
                if !score {
                    return Ok(Vec::new());
                }
                // Nothing follows but the scores of the last token.
                query.drain(..query.len() - self.heads.queries * self.heads.size);
                rows.drain(..rows.len() - self.width);
                first = position + tokens.len() - 1;
            }
            let layer = &self.layers[at];
            let attended = attend(&query, &layer.cache, self.heads, first);
            math::add(&mut rows, &apply(&layer.attention_output, attended)?);

            let normed = self.normed(&rows, &layer.feed_norm);
            let [mut gate, up] = apply_all([&layer.gate, &layer.up], normed)?;
            let feed_width = gate.len() / (rows.len() / self.width);
            parallel::each_row(&mut gate, &up, feed_width, math::gate);
            math::add(&mut rows, &apply(&layer.down, gate)?);
        }
        apply(&self.output, self.normed(&rows, &self.norm))
    }

    fn keep(&mut self, length: usize) -> usize {
        self.layers.iter_mut().for_each(|layer| layer.cache.truncate(length));
        length
    }

    fn block_tokens(&self) -> usize {
        BLOCK_TOKENS
    }
}

impl Layer {
    fn load(file: &mut GgufFile, at: usize, heads: Heads, packing: Packing) -> Result<Self, GenerateError> {
        let matrix = |file: &mut GgufFile, name: &str| {
            Linear::new(Arc::new(file.tensor(&format!("blk.{at}.{name}.weight"))?), packing)
        };
        let vector = |file: &mut GgufFile, name: &str| file.vector(&format!("blk.{at}.{name}"));
        let optional = |file: &mut GgufFile, name: &str| {
            let name = format!("blk.{at}.{name}");
            if file.has(&name) { file.vector(&name).map(Some) } else { Ok(None) }
        };
        let projection = |file: &mut GgufFile, name: &str| -> Result<Projection, GenerateError> {
            Ok(Projection {
                matrix: matrix(file, name)?,
                bias: optional(file, &format!("{name}.bias"))?,
                head_norm: optional(file, &format!("{name}_norm.weight"))?,
            })
        };
        Ok(Self {
            attention_norm: vector(file, "attn_norm.weight")?,
            query: projection(file, "attn_q")?,
            key: projection(file, "attn_k")?,
            value: projection(file, "attn_v")?,
            attention_output: matrix(file, "attn_output")?,
            feed_norm: vector(file, "ffn_norm.weight")?,
            gate: matrix(file, "ffn_gate")?,
            up: matrix(file, "ffn_up")?,
            down: matrix(file, "ffn_down")?,
            cache: Cache::new(heads.keys, heads.size),
        })
    }
}
