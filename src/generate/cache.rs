//! Keys and values of the tokens that one layer has read. It grows as they come, so a long window costs nothing before
//! it is used.

/// The memory of one layer: a run of keys and a run of values for each key-value head.
pub(super) struct Cache {
    heads: Vec<(Vec<f32>, Vec<f32>)>,
    size: usize,
}

impl Cache {
    /// An empty cache of `heads` heads of `size` numbers.
    pub(super) fn new(heads: usize, size: usize) -> Self {
        Self { heads: vec![(Vec::new(), Vec::new()); heads], size }
    }

    /// Appends tokens: `keys` and `values` hold a row a token, with the heads side by side.
    pub(super) fn append(&mut self, keys: &[f32], values: &[f32]) {
        let width = self.heads.len() * self.size;
        let added = keys.len() / self.heads.len();
        for (at, (head_keys, head_values)) in self.heads.iter_mut().enumerate() {
            for (into, from) in [(head_keys, keys), (head_values, values)] {
                if into.capacity() < into.len() + added {
                    // By an eighth, not by doubling: the window is most of what a conversation costs.
                    into.reserve_exact(added.max(256 * self.size).max(into.len() / 8));
                }
                for row in from.chunks_exact(width) {
                    into.extend_from_slice(&row[at * self.size..][..self.size]);
                }
            }
        }
    }

    /// Keys and values of the first `tokens` tokens of a head.
    pub(super) fn head(&self, head: usize, tokens: usize) -> (&[f32], &[f32]) {
        let (keys, values) = &self.heads[head];
        (&keys[..tokens * self.size], &values[..tokens * self.size])
    }

    /// Forgets all but the first `tokens` tokens.
    pub(super) fn truncate(&mut self, tokens: usize) {
        for (keys, values) in &mut self.heads {
            keys.truncate(tokens * self.size);
            values.truncate(tokens * self.size);
        }
    }
}
