//! Causal grouped-query attention (Ainslie et al. 2023): the queries that share a key-value head are computed together,
//! so that its keys and values are read once. Tokens are taken 512 at a time with a running softmax (Milakov,
//! Gimelshein 2018), so that scores stay in cache however long the conversation is.

use std::cmp::Reverse;

use super::cache::Cache;
use super::kernel::panel::{PANEL, PanelProduct};
use super::{math, parallel};

/// Tokens whose scores are held at once.
const STEP_TOKENS: usize = 512;
/// Queries that are computed together: their scores for a step take 200 KB of the second-level cache.
const QUERIES: usize = 96;

/// How a layer's width is cut into heads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heads {
    /// Heads of the queries.
    pub(super) queries: usize,
    /// Heads of keys and values.
    pub(super) keys: usize,
    /// Numbers a head.
    pub(super) size: usize,
    /// What scores are multiplied with before the softmax.
    pub(super) scale: f32,
}

/// Queries of one conversation: rows that belong to the tokens from `position` on.
pub(super) struct Asked<'a> {
    pub(super) queries: &'a [f32],
    pub(super) cache: &'a Cache,
    pub(super) position: usize,
    /// How many tokens before and including its own a query sees; all when `None`.
    pub(super) window: Option<usize>,
}

/// Attends from each row to the tokens of its conversation up to its own; the rows of all conversations in order.
pub(super) fn attend(asked: &[Asked<'_>], heads: Heads) -> Vec<f32> {
    let group = heads.queries / heads.keys;
    let (width, group_width) = (heads.queries * heads.size, group * heads.size);
    let total: usize = asked.iter().map(|asked| asked.queries.len()).sum();

    // Grouped by conversation, key-value head, then row, so that each part writes one run.
    let mut grouped = vec![0.0; total];
    let mut parts = Vec::new();
    let mut rest = grouped.as_mut_slice();
    for asked in asked {
        let rows = asked.queries.len() / width;
        let block_rows = (QUERIES / group).clamp(1, rows);
        let (own, others) = rest.split_at_mut(asked.queries.len());
        rest = others;
        for (head, out) in own.chunks_mut(rows * group_width).enumerate() {
            for (block, out) in out.chunks_mut(block_rows * group_width).enumerate() {
                parts.push((asked, head, block * block_rows, out));
            }
        }
    }
    // Later rows look back further; begun first, they leave no core waiting at the end.
    parts.sort_by_key(|(asked, _, first_row, _)| Reverse(asked.position + *first_row));
    parallel::each(parts, |(asked, head, first_row, out)| {
        let block: Vec<f32> = asked.queries[*first_row * width..]
            .chunks_exact(width)
            .take(out.len() / group_width)
            .flat_map(|row| &row[*head * group_width..][..group_width])
            .copied()
            .collect();
        attend_block(out, &block, asked, *head, asked.position + *first_row, heads);
    });

    let mut out = vec![0.0; total];
    let mut from = 0;
    for asked in asked {
        let rows = asked.queries.len() / width;
        let grouped = &grouped[from..][..asked.queries.len()];
        for (head, grouped) in grouped.chunks_exact(rows * group_width).enumerate() {
            for (row, numbers) in grouped.chunks_exact(group_width).enumerate() {
                out[from + row * width + head * group_width..][..group_width].copy_from_slice(numbers);
            }
        }
        from += asked.queries.len();
    }
    out
}

/// Attention of a few rows in one key-value head; `out` and `queries` are rows x group x size.
fn attend_block(out: &mut [f32], queries: &[f32], asked: &Asked<'_>, head: usize, position: usize, heads: Heads) {
    let (group, size) = (heads.queries / heads.keys, heads.size);
    let count = queries.len() / size;
    let seen = position + count / group;
    let padded = size.next_multiple_of(PANEL);
    let mut sums = vec![0.0; count * padded];
    let mut highest = vec![f32::NEG_INFINITY; count];
    let mut totals = vec![0.0; count];
    let mut scores = vec![0.0; count * STEP_TOKENS.min(seen.next_multiple_of(PANEL))];
    let first_seen = asked.window.map_or(0, |window| (position + 1).saturating_sub(window));
    let first_step = first_seen / PANEL * PANEL;
    for from in (first_step..seen).step_by(STEP_TOKENS) {
        let tokens = from..seen.min(from + STEP_TOKENS);
        let stride = tokens.len().next_multiple_of(PANEL);
        let scores = &mut scores[..count * stride];
        scores.fill(0.0);
        for panel in 0..stride / PANEL {
            let panel_of_keys = asked.cache.keys(head, from / PANEL + panel);
            let out = &mut scores[panel * PANEL..];
            PanelProduct { rows: count, a: queries, a_stride: size, panel: panel_of_keys, out, out_stride: stride }
                .compute();
        }
        for (at, scores) in scores.chunks_exact_mut(stride).enumerate() {
            let own = position + at / group;
            let end = (own + 1).clamp(from, tokens.end) - from;
            let start =
                asked.window.map_or(0, |window| (own + 1).saturating_sub(window).clamp(from, from + end) - from);
            scores[..start].fill(0.0);
            scores[end..].fill(0.0);
            if start == end {
                continue;
            }
            let before = highest[at];
            let mut total = 0.0;
            math::softmax_step(&mut scores[start..end], heads.scale, &mut highest[at], &mut total);
            let kept = if before == f32::NEG_INFINITY { 0.0 } else { ((before - highest[at]) * heads.scale).exp() };
            totals[at] = totals[at] * kept + total;
            if kept < 1.0 {
                for sum in &mut sums[at * padded..][..padded] {
                    *sum *= kept;
                }
            }
        }
        for (part, panel) in asked.cache.values(head, tokens).enumerate() {
            let out = &mut sums[part * PANEL..];
            PanelProduct { rows: count, a: scores, a_stride: stride, panel, out, out_stride: padded }.compute();
        }
    }
    for ((out, sums), total) in out.chunks_exact_mut(size).zip(sums.chunks_exact(padded)).zip(totals) {
        out.iter_mut().zip(sums).for_each(|(out, sum)| *out = sum / total);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|at| ((at * 7919 + seed * 104_729) % 1000) as f32 / 500.0 - 1.0).collect()
    }

    /// Attention by its definition, one number after another.
    fn reference(
        queries: &[f32],
        keys: &[f32],
        values: &[f32],
        heads: Heads,
        (position, window): (usize, Option<usize>),
    ) -> Vec<f32> {
        let (width, kv_width, group) =
            (heads.queries * heads.size, heads.keys * heads.size, heads.queries / heads.keys);
        let mut out = vec![0.0; queries.len()];
        for row in 0..queries.len() / width {
            let own = position + row;
            let seen = window.map_or(0, |window| (own + 1).saturating_sub(window))..=own;
            for head in 0..heads.queries {
                let at = |token: usize| token * kv_width + head / group * heads.size;
                let query = &queries[row * width + head * heads.size..][..heads.size];
                let weights: Vec<f32> = seen
                    .clone()
                    .map(|token| query.iter().zip(&keys[at(token)..]).map(|(a, b)| a * b).sum::<f32>())
                    .map(|score| (score * heads.scale).exp())
                    .collect();
                let total: f32 = weights.iter().sum();
                for (token, weight) in seen.clone().zip(&weights) {
                    for n in 0..heads.size {
                        out[row * width + head * heads.size + n] += weight / total * values[at(token) + n];
                    }
                }
            }
        }
        out
    }

    fn check_window(rows: usize, position: usize, size: usize, window: Option<usize>) {
        let heads = Heads { queries: 6, keys: 2, size, scale: 1.0 / (size as f32).sqrt() };
        let tokens = position + rows;
        let kv_width = 2 * size;
        let queries = noise(rows * heads.queries * size, 1);
        let (keys, values) = (noise(tokens * kv_width, 2), noise(tokens * kv_width, 3));
        let mut cache = Cache::new(heads.keys, size);
        cache.append(0, &keys[..position * kv_width], &values[..position * kv_width]);
        cache.append(position, &keys[position * kv_width..], &values[position * kv_width..]);
        let found = attend(&[Asked { queries: &queries, cache: &cache, position, window }], heads);
        let wanted = reference(&queries, &keys, &values, heads, (position, window));
        let worst = found.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        // Half floats have 11 bits.
        assert!(worst < 1e-3, "{rows} rows at {position}, size {size}, {window:?}: off by {worst}");
    }

    fn check(rows: usize, position: usize) {
        check_window(rows, position, 32, None);
    }

    #[test]
    fn one_token_sees_everything_before_it() {
        check(1, 0);
        check(1, 70);
        check(1, 1100);
    }

    #[test]
    fn a_block_sees_no_token_after_itself() {
        check(5, 0);
        check(100, 0);
        check(67, 41);
        check(130, 500);
    }

    #[test]
    fn heads_need_not_fill_whole_panels() {
        check_window(7, 30, 16, None);
        check_window(7, 30, 80, None);
    }

    #[test]
    fn a_window_hides_what_is_longer_ago() {
        check_window(1, 70, 32, Some(20));
        check_window(60, 700, 32, Some(64));
        check_window(60, 10, 32, Some(1));
        check_window(60, 600, 32, Some(1000));
    }

    #[test]
    fn conversations_do_not_see_each_other() {
        let heads = Heads { queries: 4, keys: 2, size: 32, scale: 0.2 };
        let one = |tokens: usize, seed: usize| {
            let mut cache = Cache::new(2, 32);
            cache.append(0, &noise(tokens * 64, seed), &noise(tokens * 64, seed + 1));
            cache
        };
        let (first, second) = (one(40, 1), one(9, 5));
        let queries = noise(4 * 128, 9);
        let asked = |rows: std::ops::Range<usize>, cache, position| Asked {
            queries: &queries[rows.start * 128..rows.end * 128],
            cache,
            position,
            window: None,
        };
        let together = attend(&[asked(0..1, &first, 39), asked(1..4, &second, 6)], heads);
        let apart = [attend(&[asked(0..1, &first, 39)], heads), attend(&[asked(1..4, &second, 6)], heads)].concat();
        assert_eq!(together, apart);
    }
}
