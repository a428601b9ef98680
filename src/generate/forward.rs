//! Our own forward pass for Llama, Qwen2, Qwen3 and Gemma 3: several conversations at once, prompts in blocks, attention
//! without copies, the last layer only where scores are wanted, the last third only where more than a state is. What tells
//! the architectures apart is data.

use super::attention::{Asked, Heads, attend};
use super::buffers::Buffer;
use super::cache::Memory;
use super::gguf::{GgufFile, Rows};
use super::linear::{Linear, apply, apply_all, apply_gated};
use super::rope::Rope;
use super::session::{Network, Part};
use super::weights::{Packing, Weights};
use super::{GenerateError, math, parallel};

/// Tokens of a prompt that are read at once: enough to use every core, few enough to stop soon and to stay in cache.
const BLOCK_TOKENS: usize = 256;

/// A decoder-only transformer.
pub(super) struct Transformer {
    embedding: Rows,
    /// What embedded tokens are multiplied with; Gemma 3 does that.
    embedding_scale: Option<f32>,
    layers: Vec<Layer>,
    norm: Vec<f32>,
    output: Linear,
    heads: Heads,
    epsilon: f32,
    activation: fn(&mut [f32], &[f32]),
    /// One for most; Gemma 3 turns the layers with a window by another.
    ropes: Vec<Rope>,
}

struct Layer {
    attention_norm: Vec<f32>,
    query: Projection,
    key: Projection,
    value: Projection,
    attention_output: Linear,
    /// Of what attention adds; Gemma 3 has it.
    attended_norm: Option<Vec<f32>>,
    feed_norm: Vec<f32>,
    gate: Linear,
    up: Linear,
    down: Linear,
    /// Of what the feed-forward part adds; Gemma 3 has it.
    fed_norm: Option<Vec<f32>>,
    /// Tokens that attention looks back to, its own among them; all when `None`.
    window: Option<usize>,
    /// Which of [`Transformer::ropes`] turns it.
    rope: usize,
}

/// A matrix with what some architectures do to its result: Qwen2 adds a bias, Qwen3 and Gemma 3 norm each head.
struct Projection {
    matrix: Linear,
    bias: Option<Vec<f32>>,
    head_norm: Option<Vec<f32>>,
}

/// Whether [`Transformer`] computes this model rightly.
pub(super) fn supports(file: &GgufFile, architecture: &str) -> bool {
    let experts = file.number(&format!("{architecture}.expert_count")).unwrap_or(0);
    matches!(architecture, "llama" | "qwen2" | "qwen3" | "gemma3")
        && experts == 0
        && !file.has("blk.0.attn_output.bias")
}

impl Transformer {
    /// Reads all weights: packed as `packing` says, else as they are in the file.
    pub(super) fn load(
        file: &mut GgufFile,
        architecture: &str,
        packing: Option<&Packing>,
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
        let size = number(file, "attention.key_length").unwrap_or(width / queries);
        if !queries.is_multiple_of(keys) || !size.is_multiple_of(2) {
            return Err(file.damaged(&format!("{queries} heads of {size} numbers over {keys} are impossible")));
        }
        let heads = Heads { queries, keys, size, scale: 1.0 / (size as f32).sqrt() };
        let layer_count = needed(file, "block_count")?;
        let ropes = Rope::all_from_gguf(file, architecture, size)?;
        let gemma = architecture == "gemma3";
        let window = number(file, "attention.sliding_window").filter(|_| gemma);
        let is_global = |at: usize| window.is_none() || at % GEMMA_PERIOD == GEMMA_PERIOD - 1;

        let embedding = file.rows("token_embd.weight")?;
        if embedding.length() != width {
            return Err(file.damaged("token_embd.weight has another width than the model"));
        }
        // Small models share one matrix for both ends.
        let output = if file.has("output.weight") { "output.weight" } else { "token_embd.weight" };
        let names: Vec<String> = (0..layer_count)
            .flat_map(|at| MATRICES.map(|name| format!("blk.{at}.{name}.weight")))
            .chain([output.to_owned()])
            .collect();
        let mut weights = Weights::open(file, &names, packing)?;
        let layers = (0..layer_count).map(|at| {
            let (window, rope) = if is_global(at) { (None, 0) } else { (window, ropes.len() - 1) };
            Ok(Layer { window, rope, ..Layer::load(file, &mut weights, at)? })
        });
        let layers = layers.collect::<Result<_, GenerateError>>()?;
        Ok(Self {
            embedding,
            embedding_scale: gemma.then(|| (width as f32).sqrt()),
            layers,
            norm: file.vector("output_norm.weight")?,
            output: weights.take(file, output)?,
            heads,
            epsilon: file.real(&format!("{architecture}.attention.layer_norm_rms_epsilon")).unwrap_or(1e-5),
            activation: if gemma { math::gelu_gate } else { math::gate },
            ropes,
        })
    }

    fn normed(&self, rows: &[f32], weight: &[f32]) -> Buffer {
        let mut out = Buffer::new(rows.len());
        parallel::each_row(&mut out, rows, weight.len(), |out, row| {
            out.copy_from_slice(row);
            math::rms_norm(out, weight, self.epsilon);
        });
        out
    }

    fn add_normed(&self, rows: &mut [f32], more: &[f32], norm: Option<&Vec<f32>>) {
        match norm {
            Some(norm) => math::add(rows, &self.normed(more, norm)),
            None => math::add(rows, more),
        }
    }

    /// What follows the product of a projection, whose rows are `width` wide.
    fn project(&self, projection: &Projection, rows: &mut [f32], width: usize, rope: Option<(&Rope, &[(f32, f32)])>) {
        if projection.bias.is_none() && projection.head_norm.is_none() && rope.is_none() {
            return;
        }
        let Self { epsilon, heads: Heads { size, .. }, .. } = *self;
        parallel::each_numbered_row(rows, width, |at, row| {
            if let Some(bias) = &projection.bias {
                math::add(row, bias);
            }
            if let Some(norm) = &projection.head_norm {
                for head in row.chunks_exact_mut(size) {
                    math::rms_norm(head, norm, epsilon);
                }
            }
            if let Some((rope, turns)) = rope {
                rope.apply(row, &turns[at * rope.pairs()..][..rope.pairs()], size);
            }
        });
    }

    /// Layers after which a hidden state is kept: where models of this kind know best whether a text holds an answer
    /// (docs/answers.md).
    fn state_layers(&self) -> usize {
        (self.layers.len() * 2 / 3).max(1)
    }

    /// How far each rope turns each row.
    fn turns(&self, parts: &[&mut Part<'_>]) -> Vec<Vec<(f32, f32)>> {
        let of_part = |rope: &Rope, part: &Part<'_>| rope.turns(part.memory.tokens(), part.tokens.len());
        self.ropes.iter().map(|rope| parts.iter().flat_map(|part| of_part(rope, part)).collect()).collect()
    }

    /// The feed-forward half of a layer.
    fn feed(&self, layer: &Layer, rows: &mut [f32]) -> Result<(), GenerateError> {
        let normed = self.normed(rows, &layer.feed_norm);
        let fed = apply_gated([&layer.gate, &layer.up, &layer.down], &normed, self.activation)?;
        self.add_normed(rows, &fed, layer.fed_norm.as_ref());
        Ok(())
    }
}

impl Network for Transformer {
    fn memory(&self) -> Memory {
        Memory::new(self.layers.len(), self.heads.keys, self.heads.size)
    }

    fn read(&mut self, parts: &mut [Part<'_>]) -> Result<Buffer, GenerateError> {
        let tokens: Vec<u32> = parts.iter().flat_map(|part| part.tokens).copied().collect();
        let mut rows = Buffer::from(self.embedding.read(&tokens)?);
        if let Some(scale) = self.embedding_scale {
            for x in &mut *rows {
                *x *= scale;
            }
        }
        let mut parts: Vec<&mut Part<'_>> = parts.iter_mut().collect();
        let (whole, mut turns) = (parts.len(), self.turns(&parts));
        let key_width = self.heads.keys * self.heads.size;
        let query_width = self.heads.queries * self.heads.size;
        for (at, layer) in self.layers.iter().enumerate() {
            let normed = self.normed(&rows, &layer.attention_norm);
            let matrices = [&layer.query.matrix, &layer.key.matrix, &layer.value.matrix];
            let [mut query, mut key, mut value] = apply_all(matrices, &normed)?;
            let rope = (&self.ropes[layer.rope], turns[layer.rope].as_slice());
            self.project(&layer.query, &mut query, query_width, Some(rope));
            self.project(&layer.key, &mut key, key_width, Some(rope));
            self.project(&layer.value, &mut value, key_width, None);
            let mut from = 0;
            for part in &mut parts {
                let range = from * key_width..(from + part.tokens.len()) * key_width;
                let held = part.memory.tokens();
                part.memory.layers[at].append(held, &key[range.clone()], &value[range]);
                from += part.tokens.len();
            }

            let is_last = at + 1 == self.layers.len();
            if is_last {
                // Nothing follows but the scores that are wanted, or a state.
                query = scored_rows(&query, &parts, query_width);
                rows = scored_rows(&rows, &parts, layer.attention_norm.len());
                if rows.is_empty() {
                    break;
                }
            }
            let mut from = 0;
            let asked: Vec<Asked<'_>> = parts
                .iter()
                .filter_map(|part| {
                    let count = if is_last { part.kept() } else { part.tokens.len() };
                    let queries = &query[from * query_width..(from + count) * query_width];
                    from += count;
                    let position = part.memory.tokens() + part.tokens.len() - count;
                    let cache = &part.memory.layers[at];
                    (count > 0).then_some(Asked { queries, cache, position, window: layer.window })
                })
                .collect();
            let attended = attend(&asked, self.heads);
            let added = apply(&layer.attention_output, &attended)?;
            self.add_normed(&mut rows, &added, layer.attended_norm.as_ref());
            self.feed(layer, &mut rows)?;
            if at + 1 == self.state_layers() {
                rows = keep_states(rows, &mut parts, layer.attention_norm.len(), is_last);
                if parts.is_empty() {
                    break;
                }
                if parts.len() < whole {
                    turns = self.turns(&parts);
                }
            }
        }
        for part in parts {
            part.memory.grew(part.tokens.len());
        }
        if rows.is_empty() {
            return Ok(rows);
        }
        apply(&self.output, &self.normed(&rows, &self.norm))
    }

    fn block_tokens(&self) -> usize {
        BLOCK_TOKENS
    }

    fn conversations(&self) -> usize {
        usize::MAX
    }
}

impl Part<'_> {
    /// Rows that the last layer has of it: those that are to be scored, and that of the state.
    fn kept(&self) -> usize {
        self.scored.max(usize::from(self.state.is_some()))
    }
}

/// Of each part the last rows, those that something is wanted of after the last layer.
fn scored_rows(rows: &[f32], parts: &[&mut Part<'_>], width: usize) -> Buffer {
    let counts = parts.iter().map(|part| (part.tokens.len(), part.kept()));
    last_rows(rows, &counts.collect::<Vec<_>>(), width)
}

/// Of runs of rows as long as the first numbers say, as many of the last as the second say.
fn last_rows(rows: &[f32], counts: &[(usize, usize)], width: usize) -> Buffer {
    let mut kept = Buffer::new(counts.iter().map(|(_, kept)| kept).sum::<usize>() * width);
    let (mut end, mut filled) = (0, 0);
    for (count, own) in counts {
        end += count;
        let own = &rows[(end - own) * width..end * width];
        kept[filled..][..own.len()].copy_from_slice(own);
        filled += own.len();
    }
    kept
}

/// Gives the last row to each part that wants its state, and takes away the parts that want nothing else, with their
/// rows. After the last layer there are only the rows that [`scored_rows`] leaves.
fn keep_states(rows: Buffer, parts: &mut Vec<&mut Part<'_>>, width: usize, is_last: bool) -> Buffer {
    let mut end = 0;
    let mut counts = Vec::with_capacity(parts.len());
    for part in parts.iter_mut() {
        debug_assert!(part.scored == 0 || !part.only_state, "nothing else is wanted of it");
        let count = if is_last { part.kept() } else { part.tokens.len() };
        end += count;
        counts.push((count, if part.only_state { 0 } else { count }));
        if let Some(state) = &mut part.state {
            state.extend_from_slice(&rows[(end - 1) * width..end * width]);
        }
    }
    if !parts.iter().any(|part| part.only_state) {
        return rows;
    }
    for part in parts.iter_mut().filter(|part| part.only_state) {
        part.memory.grew(part.tokens.len());
    }
    parts.retain(|part| !part.only_state);
    last_rows(&rows, &counts, width)
}

/// Every sixth layer of Gemma 3 sees everything, the others a window.
const GEMMA_PERIOD: usize = 6;

/// Matrices of a layer.
const MATRICES: [&str; 7] = ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"];

impl Layer {
    fn load(file: &mut GgufFile, weights: &mut Weights, at: usize) -> Result<Self, GenerateError> {
        let mut matrix = |file: &mut GgufFile, name: &str| weights.take(file, &format!("blk.{at}.{name}.weight"));
        let vector = |file: &mut GgufFile, name: &str| file.vector(&format!("blk.{at}.{name}"));
        let optional = |file: &mut GgufFile, name: &str| {
            let name = format!("blk.{at}.{name}");
            if file.has(&name) { file.vector(&name).map(Some) } else { Ok(None) }
        };
        let mut projection = |file: &mut GgufFile, name: &str| -> Result<Projection, GenerateError> {
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
            attention_output: projection(file, "attn_output")?.matrix,
            attended_norm: optional(file, "post_attention_norm.weight")?,
            feed_norm: vector(file, "ffn_norm.weight")?,
            gate: projection(file, "ffn_gate")?.matrix,
            up: projection(file, "ffn_up")?.matrix,
            down: projection(file, "ffn_down")?.matrix,
            fed_norm: optional(file, "post_ffw_norm.weight")?,
            window: None,
            rope: 0,
        })
    }
}
