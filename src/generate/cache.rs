//! Keys and values of the tokens that a conversation has had, as half floats like llama.cpp's. They grow as tokens
//! come, so a long window costs nothing before it is used.

use half::f16;
use half::slice::HalfFloatSliceExt as _;

use super::kernel::panel::PANEL;
use super::parallel;

/// What one conversation has had, in all layers.
#[derive(Clone, Default)]
pub(super) struct Memory {
    pub(super) layers: Vec<Cache>,
    tokens: usize,
}

impl Memory {
    /// An empty memory of `layers` layers with `heads` heads of `size` numbers.
    pub(super) fn new(layers: usize, heads: usize, size: usize) -> Self {
        Self { layers: vec![Cache::new(heads, size); layers], tokens: 0 }
    }

    /// Tokens that are held.
    pub(super) fn tokens(&self) -> usize {
        self.tokens
    }

    /// Notes that the layers have got `count` tokens more: all, or the first ones where nothing but a state is wanted.
    pub(super) fn grew(&mut self, count: usize) {
        self.tokens += count;
    }

    /// Forgets all but the first `tokens` tokens.
    pub(super) fn truncate(&mut self, tokens: usize) {
        self.tokens = tokens;
        self.layers.iter_mut().for_each(|layer| layer.truncate(tokens));
    }

    /// Becomes a copy of the first `tokens` tokens of another, in the layers that have them.
    pub(super) fn copy_start(&mut self, other: &Self, tokens: usize) {
        self.tokens = tokens;
        for (layer, other) in self.layers.iter_mut().zip(&other.layers) {
            layer.copy_start(other, tokens);
        }
    }
}

/// The memory of one layer.
#[derive(Clone)]
pub(super) struct Cache {
    heads: Vec<Head>,
    size: usize,
}

/// The keys and values of one head, laid out for [`super::kernel::panel`].
#[derive(Clone)]
struct Head {
    /// A panel for every 32 tokens: for each dimension, that of each token.
    keys: Vec<f16>,
    /// For every 32 dimensions a panel: for each token, those dimensions, filled up with 0.
    values: Vec<Vec<f16>>,
}

impl Cache {
    /// An empty cache of `heads` heads of `size` numbers.
    pub(super) fn new(heads: usize, size: usize) -> Self {
        Self { heads: vec![Head { keys: Vec::new(), values: vec![Vec::new(); size.div_ceil(PANEL)] }; heads], size }
    }

    /// Adds tokens after the first `held`: `keys` and `values` hold a row a token, with the heads side by side.
    pub(super) fn append(&mut self, held: usize, keys: &[f32], values: &[f32]) {
        let (size, width) = (self.size, self.heads.len() * self.size);
        let count = keys.len() / width;
        let add = |at: usize, head: &mut Head| {
            assert!(head.values.iter().all(|panel| panel.len() == held * PANEL), "this layer has all tokens before");
            let panels = (held + count).div_ceil(PANEL) * PANEL * size;
            reserve(&mut head.keys, panels);
            head.keys.resize(panels, f16::ZERO);
            let mut halves = vec![f16::ZERO; size];
            for (token, row) in (held..).zip(keys.chunks_exact(width)) {
                to_halves(&mut halves, &row[at * size..][..size]);
                let panel = &mut head.keys[token / PANEL * PANEL * size..][..PANEL * size];
                for (column, key) in panel.chunks_exact_mut(PANEL).zip(&halves) {
                    column[token % PANEL] = *key;
                }
            }
            for (part, panel) in head.values.iter_mut().enumerate() {
                reserve(panel, (held + count) * PANEL);
                panel.resize((held + count) * PANEL, f16::ZERO);
                for (row, panel) in values.chunks_exact(width).zip(panel[held * PANEL..].chunks_exact_mut(PANEL)) {
                    let row = &row[at * size..][..size];
                    let row = &row[part * PANEL..size.min((part + 1) * PANEL)];
                    to_halves(&mut panel[..row.len()], row);
                }
            }
        };
        if count == 1 {
            // Done sooner than handed over.
            self.heads.iter_mut().enumerate().for_each(|(at, head)| add(at, head));
        } else {
            parallel::each(self.heads.iter_mut().enumerate().collect(), |(at, head)| add(*at, head));
        }
    }

    /// The keys of 32 tokens of a head, the first of them token `panel * 32`.
    pub(super) fn keys(&self, head: usize, panel: usize) -> &[f16] {
        &self.heads[head].keys[panel * PANEL * self.size..][..PANEL * self.size]
    }

    /// For every 32 dimensions of a head, the values of some tokens.
    pub(super) fn values(&self, head: usize, tokens: std::ops::Range<usize>) -> impl Iterator<Item = &[f16]> {
        self.heads[head].values.iter().map(move |panel| &panel[tokens.start * PANEL..tokens.end * PANEL])
    }

    fn truncate(&mut self, tokens: usize) {
        for head in &mut self.heads {
            // Tokens that are left over in the last panel are written over before anything looks at them.
            head.keys.truncate(tokens.div_ceil(PANEL) * PANEL * self.size);
            head.values.iter_mut().for_each(|panel| panel.truncate(tokens * PANEL));
        }
    }

    fn copy_start(&mut self, other: &Self, tokens: usize) {
        let copy = |into: &mut Vec<f16>, from: &[f16], length: usize| {
            into.clear();
            into.extend_from_slice(&from[..length.min(from.len())]);
        };
        for (head, other) in self.heads.iter_mut().zip(&other.heads) {
            copy(&mut head.keys, &other.keys, tokens.div_ceil(PANEL) * PANEL * self.size);
            for (panel, other) in head.values.iter_mut().zip(&other.values) {
                copy(panel, other, tokens * PANEL);
            }
        }
    }
}

/// Larger numbers would become infinite; no model is known to need them.
fn to_halves(halves: &mut [f16], numbers: &[f32]) {
    const RUN: usize = 64;
    for (halves, numbers) in halves.chunks_mut(RUN).zip(numbers.chunks(RUN)) {
        let mut finite = [0.0; RUN];
        for (finite, number) in finite.iter_mut().zip(numbers) {
            *finite = number.clamp(-65_504.0, 65_504.0);
        }
        halves.convert_from_f32_slice(&finite[..numbers.len()]);
    }
}

/// Room for `length` numbers: grows by an eighth, not by doubling, for the window is most of what a conversation costs.
fn reserve(numbers: &mut Vec<f16>, length: usize) {
    if numbers.capacity() < length {
        numbers.reserve_exact((length - numbers.len()).max(numbers.len() / 8).max(256 * PANEL));
    }
}
