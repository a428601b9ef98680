//! Merges the ranking by meaning and the ranking by words. Ours rather than the engines', so that
//! all backends agree to the last bit and a hit still knows its place in each ranking.

use std::collections::HashMap;

use uuid::Uuid;

use super::{Hit, PointRef};

/// How little the first places count for more than the next ones: 60, as in the paper that
/// [`fuse_rrf`] names.
pub const RRF_K: f32 = 60.0;

/// A point found by one ranking.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// The point.
    pub point: PointRef,
    /// Its score there, higher is better.
    pub score: f32,
}

/// Reciprocal rank fusion (Cormack, Clarke and Buettcher, SIGIR 2009): a point scores the sum of `1
/// / (60 + rank)` over the rankings that hold it, ranks from 1. Equal scores are ordered by id, in
/// the rankings and in the result. Candidates by words that share no term (score 0) are left out.
pub fn fuse_rrf(dense: Vec<Candidate>, mut sparse: Vec<Candidate>, limit: usize) -> Vec<Hit> {
    sparse.retain(|candidate| candidate.score > 0.0);
    let mut hits: HashMap<Uuid, Hit> = HashMap::new();
    for (rank, candidate) in (1..).zip(ranked(dense)) {
        let hit = hits.entry(candidate.point.id).or_insert_with(|| unranked(&candidate.point));
        (hit.dense_score, hit.dense_rank) = (Some(candidate.score), Some(rank));
    }
    for (rank, candidate) in (1..).zip(ranked(sparse)) {
        let hit = hits.entry(candidate.point.id).or_insert_with(|| unranked(&candidate.point));
        (hit.sparse_score, hit.sparse_rank) = (Some(candidate.score), Some(rank));
    }
    let mut hits: Vec<Hit> = hits.into_values().collect();
    for hit in &mut hits {
        hit.score =
            [hit.dense_rank, hit.sparse_rank].into_iter().flatten().map(|rank| 1.0 / (RRF_K + rank as f32)).sum();
    }
    hits.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then(a.id.cmp(&b.id)));
    hits.truncate(limit);
    hits
}

fn ranked(mut candidates: Vec<Candidate>) -> Vec<Candidate> {
    candidates.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then(a.point.id.cmp(&b.point.id)));
    candidates
}

fn unranked(point: &PointRef) -> Hit {
    let PointRef { id, collection, document, chunk, .. } = *point;
    Hit {
        id,
        collection,
        document,
        chunk,
        score: 0.0,
        dense_score: None,
        dense_rank: None,
        sparse_score: None,
        sparse_rank: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{CollectionId, DocumentId};

    fn candidates(scores: &[(u128, f32)]) -> Vec<Candidate> {
        let point = |id| PointRef {
            id: Uuid::from_u128(id),
            collection: CollectionId(Uuid::nil()),
            document: DocumentId(Uuid::nil()),
            chunk: 0,
            page_start: 1,
            page_end: 1,
        };
        scores.iter().map(|&(id, score)| Candidate { point: point(id), score }).collect()
    }

    fn check(dense: &[(u128, f32)], sparse: &[(u128, f32)], limit: usize, expected: &[(u128, f32)]) {
        let hits = fuse_rrf(candidates(dense), candidates(sparse), limit);
        let got: Vec<_> = hits.iter().map(|hit| (hit.id.as_u128(), hit.score)).collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn both_rankings_count_and_ties_go_by_id() {
        let score = |ranks: &[f32]| ranks.iter().map(|rank| 1.0 / (60.0 + rank)).sum::<f32>();
        check(&[], &[], 10, &[]);
        check(&[(1, 0.2), (2, 0.9)], &[], 10, &[(2, score(&[1.0])), (1, score(&[2.0]))]);
        check(&[(1, 0.2), (2, 0.9)], &[(1, 7.0)], 10, &[(1, score(&[2.0, 1.0])), (2, score(&[1.0]))]);
        check(&[(5, 0.5), (3, 0.5)], &[], 10, &[(3, score(&[1.0])), (5, score(&[2.0]))]);
        check(&[(8, 0.5)], &[(7, 3.0)], 10, &[(7, score(&[1.0])), (8, score(&[1.0]))]);
        check(&[(8, 0.5)], &[(7, 3.0)], 1, &[(7, score(&[1.0]))]);
    }

    #[test]
    fn a_hit_tells_its_place_in_each_ranking() {
        let hits = fuse_rrf(candidates(&[(1, 0.4), (2, 0.8)]), candidates(&[(1, 3.0), (3, 0.0)]), 10);
        assert_eq!(hits.len(), 2, "a point that shares no word is no hit by words");
        assert_eq!((hits[0].dense_score, hits[0].dense_rank), (Some(0.4), Some(2)));
        assert_eq!((hits[0].sparse_score, hits[0].sparse_rank), (Some(3.0), Some(1)));
        assert_eq!((hits[1].sparse_score, hits[1].sparse_rank), (None, None));
    }
}
