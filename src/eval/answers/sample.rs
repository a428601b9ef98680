//! Which questions a sampled run asks: so many of each kind as its share of the set, chosen by a seed.

use std::collections::BTreeMap;

use crate::eval::{set::Query, stats::Random};

/// The places in the set of `size` questions, ascending; all when there are no more. The same seed gives the same ones.
pub(super) fn stratified(queries: &[Query], size: usize, seed: u64) -> Vec<usize> {
    if size >= queries.len() {
        return (0..queries.len()).collect();
    }
    let mut kinds: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, query) in queries.iter().enumerate() {
        kinds.entry(format!("{} {}", query.kind(), query.accept_no)).or_default().push(at);
    }
    // Each kind gets the whole part of its share, and the largest remainders one more.
    let share = |count: usize| size as f64 * count as f64 / queries.len() as f64;
    let mut wanted: Vec<(usize, f64)> =
        kinds.values().map(|of_kind| (share(of_kind.len()) as usize, share(of_kind.len()).fract())).collect();
    let mut by_remainder: Vec<usize> = (0..wanted.len()).collect();
    by_remainder.sort_by(|a, b| wanted[*b].1.total_cmp(&wanted[*a].1));
    let missing = size - wanted.iter().map(|(count, _)| count).sum::<usize>();
    for at in by_remainder.into_iter().take(missing) {
        wanted[at].0 += 1;
    }
    let mut random = Random(seed);
    let mut chosen = Vec::with_capacity(size);
    for (mut of_kind, (count, _)) in kinds.into_values().zip(wanted) {
        // The first steps of a Fisher-Yates shuffle.
        for at in 0..count {
            let other = at + random.below(of_kind.len() - at);
            of_kind.swap(at, other);
        }
        chosen.extend(&of_kind[..count]);
    }
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_every_kind_in_its_share_and_is_that_of_its_seed() {
        let query = |at: usize| {
            let (answerable, kind) = if at < 60 { (true, "yesno") } else { (at < 80, "extract") };
            let line =
                format!(r#"{{"id": "{at}", "question": "?", "answerable": {answerable}, "answer_type": "{kind}"}}"#);
            serde_json::from_str(&line).expect("a question")
        };
        let queries: Vec<Query> = (0..101).map(query).collect();
        let sample = stratified(&queries, 20, 7);
        let of = |from, to| sample.iter().filter(|at| (from..to).contains(*at)).count();
        assert_eq!((sample.len(), of(0, 60), of(60, 80), of(80, 101)), (20, 12, 4, 4));
        assert!(sample.is_sorted_by(|a, b| a < b));
        assert_eq!(sample, stratified(&queries, 20, 7));
        assert_ne!(sample, stratified(&queries, 20, 8));
        assert_eq!(stratified(&queries, 500, 7).len(), 101);
    }
}
