//! Rotary position embedding (Su et al. 2021), in the two pairings that GGUF files use.

use super::GenerateError;
use super::gguf::GgufFile;

/// Which numbers of a head turn together, and how fast.
pub(super) struct Rope {
    /// Turns a token, one for each pair.
    frequencies: Vec<f32>,
    /// Neighbours make a pair (`llama`), not the two halves of a head (`qwen2`, `qwen3`).
    neighbours: bool,
}

impl Rope {
    /// The model's own, and for Gemma 3 a second one for layers with a window.
    pub(super) fn all_from_gguf(
        file: &mut GgufFile,
        architecture: &str,
        size: usize,
    ) -> Result<Vec<Self>, GenerateError> {
        let own = Self::from_gguf(file, architecture, size)?;
        if architecture != "gemma3" {
            return Ok(vec![own]);
        }
        // Its report (Gemma Team 2025): base 10,000 and no scaling where attention is local.
        let local = Self { frequencies: frequencies(10_000.0, own.frequencies.len() * 2), neighbours: own.neighbours };
        Ok(vec![own, local])
    }

    /// Reads base, scaling and, for Llama 3.1 and later, the factors of `rope_freqs.weight`.
    fn from_gguf(file: &mut GgufFile, architecture: &str, size: usize) -> Result<Self, GenerateError> {
        let base = file.real(&format!("{architecture}.rope.freq_base")).unwrap_or(10_000.0);
        let turned = file.number(&format!("{architecture}.rope.dimension_count")).unwrap_or(size).min(size);
        let mut frequencies = frequencies(base, turned);
        if file.has("rope_freqs.weight") {
            for (frequency, factor) in frequencies.iter_mut().zip(file.vector("rope_freqs.weight")?) {
                *frequency /= factor;
            }
        }
        match file.text(&format!("{architecture}.rope.scaling.type")) {
            None | Some("none") => {}
            Some("linear") => {
                let factor = file.real(&format!("{architecture}.rope.scaling.factor")).unwrap_or(1.0);
                for frequency in &mut frequencies {
                    *frequency /= factor;
                }
            }
            Some(kind) => tracing::warn!(kind, "unknown position scaling: answers to long prompts may be wrong"),
        }
        Ok(Self { frequencies, neighbours: architecture == "llama" })
    }

    /// Pairs that turn in each head.
    pub(super) fn pairs(&self) -> usize {
        self.frequencies.len()
    }

    /// Cosines and sines for `count` tokens from `position`, the same in every layer.
    pub(super) fn turns(&self, position: usize, count: usize) -> Vec<(f32, f32)> {
        let token = |token: usize| {
            self.frequencies.iter().map(move |frequency| {
                let (sin, cos) = (token as f32 * frequency).sin_cos();
                (cos, sin)
            })
        };
        (position..position + count).flat_map(token).collect()
    }

    /// Turns every head of a row; `turns` are those of its token.
    pub(super) fn apply(&self, row: &mut [f32], turns: &[(f32, f32)], size: usize) {
        let pairs = self.pairs();
        for head in row.chunks_exact_mut(size) {
            if self.neighbours {
                for (pair, (cos, sin)) in head.as_chunks_mut::<2>().0.iter_mut().zip(turns) {
                    let [x, y] = *pair;
                    *pair = [x * cos - y * sin, x * sin + y * cos];
                }
            } else {
                let (first, second) = head[..2 * pairs].split_at_mut(pairs);
                for ((a, b), (cos, sin)) in first.iter_mut().zip(second).zip(turns) {
                    let (x, y) = (*a, *b);
                    (*a, *b) = (x * cos - y * sin, x * sin + y * cos);
                }
            }
        }
    }
}

/// Turns a token of each pair, slower from pair to pair.
fn frequencies(base: f32, turned: usize) -> Vec<f32> {
    (0..turned / 2).map(|pair| base.powf(-2.0 * pair as f32 / turned as f32)).collect()
}
