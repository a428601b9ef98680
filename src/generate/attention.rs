//! Causal grouped-query attention (Ainslie et al. 2023): the queries that share a key-value head are computed together,
//! so that its keys and values are read once. Tokens are taken 512 at a time with a running softmax (Milakov,
//! Gimelshein 2018), so that scores stay in cache however long the conversation is; where there are too few rows to
//! keep all cores busy, they share these steps.

use std::cmp::Reverse;
use std::ops::Range;

use super::buffers::Buffer;
use super::cache::Cache;
use super::kernel::panel::{PANEL, PanelProduct};
use super::math;
use super::parallel::{self, Scattered};

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
pub(super) fn attend(asked: &[Asked<'_>], heads: Heads) -> Buffer {
    let group = heads.queries / heads.keys;
    let width = heads.queries * heads.size;
    let mut out = Buffer::new(asked.iter().map(|asked| asked.queries.len()).sum());
    let scattered = Scattered::new(&mut out);
    let mut parts = Vec::new();
    let mut from = 0;
    for asked in asked {
        let rows = asked.queries.len() / width;
        let block_rows = (QUERIES / group).clamp(1, rows);
        for head in 0..heads.keys {
            for first in (0..rows).step_by(block_rows) {
                parts.push(Part { asked, head, rows: first..rows.min(first + block_rows), from });
            }
        }
        from += rows;
    }
    if from <= FEW_ROWS {
        attend_in_steps(&parts, heads, &scattered);
    } else {
        // Later rows look back further; begun first, they leave no core waiting at the end.
        parts.sort_by_key(|part| Reverse(part.asked.position + part.rows.start));
        parallel::each_index(parts.len(), |at| attend_part(&parts[at], heads, &scattered));
    }
    out
}

/// Rows of a few answers with their guesses: their few parts are cut into steps, so that every core has something to do.
const FEW_ROWS: usize = 32;

/// Attention of parts with few rows: their steps are computed on all cores, then put together. Gives the same numbers
/// as [`attend_part`].
fn attend_in_steps(parts: &[Part<'_>], heads: Heads, out: &Scattered<'_>) {
    let steps = parts.iter().flat_map(|part| part.steps().map(move |tokens| (part, tokens)));
    let mut steps: Vec<_> = steps.map(|(part, tokens)| (part, tokens, None)).collect();
    parallel::each(steps.iter_mut().collect(), |(part, tokens, sums)| {
        *sums = Some(part.step(heads, &part.queries(heads), tokens.clone()));
    });
    let mut whole: Option<Sums> = None;
    let mut steps = steps.into_iter().peekable();
    while let Some((part, _, sums)) = steps.next() {
        let sums = sums.expect("every step was computed");
        match &mut whole {
            Some(whole) => whole.add(&sums, heads),
            None => whole = Some(sums),
        }
        if steps.peek().is_none_or(|(next, ..)| !std::ptr::eq(*next, part)) {
            part.put(heads, &whole.take().expect("it has this step"), out);
        }
    }
}

/// Attention of one part, step by step.
fn attend_part(part: &Part<'_>, heads: Heads, out: &Scattered<'_>) {
    let queries = part.queries(heads);
    let mut steps = part.steps().map(|tokens| part.step(heads, &queries, tokens));
    let mut whole = steps.next().expect("a row sees itself");
    steps.for_each(|sums| whole.add(&sums, heads));
    part.put(heads, &whole, out);
}

/// A few rows of one conversation in one key-value head.
struct Part<'a> {
    asked: &'a Asked<'a>,
    head: usize,
    rows: Range<usize>,
    /// Rows of the conversations before.
    from: usize,
}

/// What queries have of some tokens: the sums of their values, weighted by e^((score - highest) * scale).
struct Sums {
    /// A row a query, filled up to whole panels.
    values: Buffer,
    highest: Vec<f32>,
    /// The sums of the weights.
    totals: Vec<f32>,
}

impl Sums {
    /// Adds what the same queries have of further tokens.
    fn add(&mut self, more: &Self, heads: Heads) {
        let padded = heads.size.next_multiple_of(PANEL);
        let rows = self.values.chunks_exact_mut(padded).zip(more.values.chunks_exact(padded));
        for (at, (values, more_values)) in rows.enumerate() {
            if more.totals[at] == 0.0 {
                continue;
            }
            let highest = self.highest[at].max(more.highest[at]);
            let kept = |of: f32| if of == f32::NEG_INFINITY { 0.0 } else { ((of - highest) * heads.scale).exp() };
            let (own, other) = (kept(self.highest[at]), kept(more.highest[at]));
            values.iter_mut().zip(more_values).for_each(|(sum, more)| *sum = *sum * own + more * other);
            self.totals[at] = self.totals[at] * own + more.totals[at] * other;
            self.highest[at] = highest;
        }
    }
}

impl Part<'_> {
    /// The tokens that its rows look back to, in steps that begin with a panel. They end at the same tokens whichever rows
    /// are in the part, so that a row gets the same numbers.
    fn steps(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let position = self.asked.position + self.rows.start;
        let seen = position + self.rows.len();
        let first_seen = self.asked.window.map_or(0, |window| (position + 1).saturating_sub(window));
        let first = first_seen / STEP_TOKENS * STEP_TOKENS;
        let start = move |step: usize| step.max(first_seen / PANEL * PANEL);
        (first..seen).step_by(STEP_TOKENS).map(move |step| start(step)..seen.min(step + STEP_TOKENS))
    }

    /// Its queries, those of a row after those of the row before.
    fn queries(&self, heads: Heads) -> Buffer {
        let (width, group_width) = (heads.queries * heads.size, heads.queries / heads.keys * heads.size);
        let mut queries = Buffer::new(self.rows.len() * group_width);
        for (row, queries) in self.rows.clone().zip(queries.chunks_exact_mut(group_width)) {
            queries.copy_from_slice(&self.asked.queries[row * width + self.head * group_width..][..group_width]);
        }
        queries
    }

    /// What its queries have of the tokens of one step.
    fn step(&self, heads: Heads, queries: &Buffer, tokens: Range<usize>) -> Sums {
        let Self { asked, head, .. } = *self;
        let (group, size) = (heads.queries / heads.keys, heads.size);
        let position = asked.position + self.rows.start;
        let count = self.rows.len() * group;
        let padded = size.next_multiple_of(PANEL);
        let from = tokens.start;
        let stride = tokens.len().next_multiple_of(PANEL);
        let (highest, totals) = (vec![f32::NEG_INFINITY; count], vec![0.0; count]);
        let mut sums = Sums { values: Buffer::new(count * padded), highest, totals };
        let mut scores = Buffer::new(count * stride);
        for panel in 0..stride / PANEL {
            let panel_of_keys = asked.cache.keys(head, from / PANEL + panel);
            let out = &mut scores[panel * PANEL..];
            let (a, a_stride, out_stride) = (&**queries, size, stride);
            PanelProduct { rows: count, a, a_stride, panel: panel_of_keys, out, out_stride }.compute();
        }
        for (at, scores) in scores.chunks_exact_mut(stride).enumerate() {
            let own = position + at / group;
            let end = (own + 1).clamp(from, tokens.end) - from;
            let start =
                asked.window.map_or(0, |window| (own + 1).saturating_sub(window).clamp(from, from + end) - from);
            scores[..start].fill(0.0);
            scores[end..].fill(0.0);
            if start < end {
                let (highest, total) = (&mut sums.highest[at], &mut sums.totals[at]);
                math::softmax_step(&mut scores[start..end], heads.scale, highest, total);
            }
        }
        for (part, panel) in asked.cache.values(head, tokens).enumerate() {
            let out = &mut sums.values[part * PANEL..];
            let (a, a_stride, out_stride) = (&*scores, stride, padded);
            PanelProduct { rows: count, a, a_stride, panel, out, out_stride }.compute();
        }
        sums
    }

    /// Writes its rows, now that all that they see is in `sums`.
    fn put(&self, heads: Heads, sums: &Sums, out: &Scattered<'_>) {
        let (group, size) = (heads.queries / heads.keys, heads.size);
        let padded = size.next_multiple_of(PANEL);
        for (at, (values, total)) in sums.values.chunks_exact(padded).zip(&sums.totals).enumerate() {
            let row = self.from + self.rows.start + at / group;
            let place = row * heads.queries * size + (self.head * group + at % group) * size;
            // SAFETY: each head of each row is written by one part only: the one of this key-value head and these rows.
            let out = unsafe { out.place(place, size) };
            out.iter_mut().zip(values).for_each(|(out, sum)| *out = sum / total);
        }
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
    fn a_row_gets_the_same_numbers_whichever_rows_are_computed_with_it() {
        let heads = Heads { queries: 4, keys: 2, size: 32, scale: 0.2 };
        let mut cache = Cache::new(2, 32);
        cache.append(0, &noise(1500 * 64, 1), &noise(1500 * 64, 2));
        let queries = noise(500 * 128, 3);
        for window in [None, Some(700)] {
            let asked = |rows: Range<usize>| {
                let position = 1000 + rows.start;
                Asked { queries: &queries[rows.start * 128..rows.end * 128], cache: &cache, position, window }
            };
            let together = attend(&[asked(0..500)], heads);
            let apart: Vec<f32> = [0..77, 77..78, 78..500].map(|rows| attend(&[asked(rows)], heads).to_vec()).concat();
            assert_eq!(*together, apart, "{window:?}");
        }
    }

    #[test]
    fn steps_on_all_cores_give_the_numbers_of_one_after_another() {
        let heads = Heads { queries: 6, keys: 2, size: 32, scale: 0.2 };
        let mut cache = Cache::new(2, 32);
        cache.append(0, &noise(1300 * 64, 1), &noise(1300 * 64, 2));
        let queries = noise(3 * 192, 3);
        for window in [None, Some(600)] {
            let asked = Asked { queries: &queries, cache: &cache, position: 1297, window };
            let part = |head| Part { asked: &asked, head, rows: 0..3, from: 0 };
            let mut apart = vec![0.0; queries.len()];
            for head in 0..2 {
                attend_part(&part(head), heads, &Scattered::new(&mut apart));
            }
            let mut together = vec![0.0; queries.len()];
            attend_in_steps(&[part(0), part(1)], heads, &Scattered::new(&mut together));
            assert_eq!(apart, together, "{window:?}");
        }
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
        let alone = |asked| attend(&[asked], heads).to_vec();
        let apart = [alone(asked(0..1, &first, 39)), alone(asked(1..4, &second, 6))].concat();
        assert_eq!(*together, apart);
    }
}
