//! Causal grouped-query attention (Ainslie et al. 2023): the queries that share a key-value head are computed together,
//! so that its keys and values are read once and never copied.

use std::cmp::Reverse;

use super::cache::Cache;
use super::{math, parallel};

/// How a layer's width is cut into heads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heads {
    /// Heads of the queries.
    pub(super) queries: usize,
    /// Heads of keys and values.
    pub(super) keys: usize,
    /// Numbers a head.
    pub(super) size: usize,
}

/// Attends from each row of `queries` to the tokens of `cache` up to its own; the first row is token `position`.
pub(super) fn attend(queries: &[f32], cache: &Cache, heads: Heads, position: usize) -> Vec<f32> {
    let group = heads.queries / heads.keys;
    let (width, group_width) = (heads.queries * heads.size, group * heads.size);
    let rows = queries.len() / width;
    // About 96 queries a product keep its scores in the second-level cache.
    let block_rows = (96 / group).clamp(8, rows.max(8));

    // Grouped by key-value head, then row, so that each part writes one run.
    let mut grouped = vec![0.0; queries.len()];
    let mut parts = Vec::new();
    for (head, out) in grouped.chunks_mut(rows * group_width).enumerate() {
        for (block, out) in out.chunks_mut(block_rows * group_width).enumerate() {
            parts.push((head, block * block_rows, out));
        }
    }
    // Later rows look back further; begun first, they leave no core waiting at the end.
    parts.sort_by_key(|(_, first_row, _)| Reverse(*first_row));
    parallel::each(parts, |(head, first_row, out)| {
        let block: Vec<f32> = queries[*first_row * width..]
            .chunks_exact(width)
            .take(out.len() / group_width)
            .flat_map(|row| &row[*head * group_width..][..group_width])
            .copied()
            .collect();
        attend_block(out, &block, cache, *head, position + *first_row, heads);
    });
    if rows == 1 {
        return grouped;
    }
    let mut out = vec![0.0; queries.len()];
    for (head, grouped) in grouped.chunks_exact(rows * group_width).enumerate() {
        for (row, from) in grouped.chunks_exact(group_width).enumerate() {
            out[row * width + head * group_width..][..group_width].copy_from_slice(from);
        }
    }
    out
}

/// Attention of a few rows in one key-value head; `out` and `queries` are rows x group x size.
fn attend_block(out: &mut [f32], queries: &[f32], cache: &Cache, head: usize, position: usize, heads: Heads) {
    let group = heads.queries / heads.keys;
    let rows = queries.len() / (group * heads.size);
    let seen = position + rows;
    let (keys, values) = cache.head(head, seen);
    let scale = 1.0 / (heads.size as f32).sqrt();
    let mut scores = vec![0.0; rows * group * seen];
    if rows == 1 {
        math::scores(&mut scores, queries, keys, heads.size);
    } else {
        math::multiply(&mut scores, queries, keys, heads.size, true);
    }
    for (at, scores) in scores.chunks_exact_mut(seen).enumerate() {
        let (past, future) = scores.split_at_mut(position + at / group + 1);
        math::softmax(past, scale);
        future.fill(0.0);
    }
    if rows == 1 {
        math::weigh(out, &scores, values, heads.size);
    } else {
        math::multiply(out, &scores, values, seen, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|at| ((at * 7919 + seed * 104_729) % 1000) as f32 / 500.0 - 1.0).collect()
    }

    /// Attention by its definition, one number after another.
    fn reference(queries: &[f32], keys: &[f32], values: &[f32], heads: Heads, position: usize) -> Vec<f32> {
        let (width, kv_width, group) =
            (heads.queries * heads.size, heads.keys * heads.size, heads.queries / heads.keys);
        let mut out = vec![0.0; queries.len()];
        for row in 0..queries.len() / width {
            for head in 0..heads.queries {
                let at = |token: usize| token * kv_width + head / group * heads.size;
                let query = &queries[row * width + head * heads.size..][..heads.size];
                let weights: Vec<f32> = (0..=position + row)
                    .map(|token| query.iter().zip(&keys[at(token)..]).map(|(a, b)| a * b).sum::<f32>())
                    .map(|score| (score / (heads.size as f32).sqrt()).exp())
                    .collect();
                let total: f32 = weights.iter().sum();
                for (token, weight) in weights.iter().enumerate() {
                    for n in 0..heads.size {
                        out[row * width + head * heads.size + n] += weight / total * values[at(token) + n];
                    }
                }
            }
        }
        out
    }

    fn check(rows: usize, position: usize) {
        let heads = Heads { queries: 6, keys: 2, size: 32 };
        let tokens = position + rows;
        let queries = noise(rows * heads.queries * heads.size, 1);
        let (keys, values) = (noise(tokens * 64, 2), noise(tokens * 64, 3));
        let mut cache = Cache::new(heads.keys, heads.size);
        cache.append(&keys[..position * 64], &values[..position * 64]);
        cache.append(&keys[position * 64..], &values[position * 64..]);
        let found = attend(&queries, &cache, heads, position);
        let wanted = reference(&queries, &keys, &values, heads, position);
        let worst = found.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-4, "{rows} rows at {position}: off by {worst}");
    }

    #[test]
    fn one_token_sees_everything_before_it() {
        check(1, 0);
        check(1, 70);
    }

    #[test]
    fn a_block_sees_no_token_after_itself() {
        check(5, 0);
        check(100, 0);
        check(67, 41);
    }
}
