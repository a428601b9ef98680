//! How hits become one ranking: meaning and words blended by score, and the hits of a named document before others.

use std::collections::HashMap;

use uuid::Uuid;

use super::retrieve::Candidate;
use crate::store::Hit;

/// How much meaning counts for; words count for the rest. On the development sets 0.5 to 0.7 are equal within noise,
/// and better than fusion by rank: see docs/retrieval.md.
const MEANING: f32 = 0.6;
/// What a passage with all identifiers and days of the question gains over one with none.
const EXACT: f32 = 0.3;
/// After so many hits of documents that are probably meant, one of the others.
const PROBABLE_RUN: usize = 4;

/// The hits of both searches, each once with its place in either.
pub(super) fn joined(by_meaning: Vec<Hit>, by_words: Vec<Hit>) -> Vec<Hit> {
    let mut hits: HashMap<Uuid, Hit> = by_meaning.into_iter().map(|hit| (hit.id, hit)).collect();
    for found in by_words {
        let hit = hits.entry(found.id).or_insert(found);
        (hit.sparse_score, hit.sparse_rank) = (found.sparse_score, found.sparse_rank);
    }
    hits.into_values().collect()
}

/// Orders hits by a weighted sum of both scores, each stretched to 0 (the last candidate, and what that search did not
/// find) to 1 (its best): Bruch, Gai and Ingber, "An Analysis of Fusion Functions for Hybrid Retrieval" (TOIS 2023).
/// Unlike ranks, the scores tell a search that is sure of its first hit from one that finds all of them alike.
pub(super) fn blended(mut hits: Vec<Hit>) -> Vec<Hit> {
    let meaning = extent(hits.iter().filter_map(|hit| hit.dense_score));
    let words = extent(hits.iter().filter_map(|hit| hit.sparse_score));
    for hit in &mut hits {
        hit.score =
            MEANING * stretched(hit.dense_score, meaning) + (1.0 - MEANING) * stretched(hit.sparse_score, words);
    }
    hits.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.id.cmp(&b.id)));
    hits
}

/// The least and the most of scores.
fn extent(scores: impl Iterator<Item = f32>) -> (f32, f32) {
    scores.fold((f32::MAX, f32::MIN), |(least, most), score| (least.min(score), most.max(score)))
}

/// A score's place between the least and the most; 1 when these are equal, 0 without a score.
fn stretched(score: Option<f32>, (least, most): (f32, f32)) -> f32 {
    score.map_or(0.0, |score| if most > least { (score - least) / (most - least) } else { 1.0 })
}

/// What holds identifiers or days of the question gains, and what holds its quoted phrases comes first.
pub(super) fn lift_exact(candidates: &mut [Candidate]) {
    for candidate in &mut *candidates {
        candidate.hit.score += EXACT * candidate.matches.identifiers;
    }
    candidates.sort_by(|a, b| {
        b.matches
            .phrases
            .cmp(&a.matches.phrases)
            .then(b.hit.score.total_cmp(&a.hit.score))
            .then(a.hit.id.cmp(&b.hit.id))
    });
}

/// What is of documents that are probably meant, with one of the others after every few.
pub(super) fn interleaved<T>(probable: Vec<T>, others: Vec<T>) -> Vec<T> {
    let mut all = Vec::with_capacity(probable.len() + others.len());
    let mut others = others.into_iter();
    for (at, item) in (1..).zip(probable) {
        all.push(item);
        if at % PROBABLE_RUN == 0 {
            all.extend(others.next());
        }
    }
    all.extend(others);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{CollectionId, DocumentId};

    fn hit(id: u128, dense_score: Option<f32>, sparse_score: Option<f32>) -> Hit {
        Hit {
            id: Uuid::from_u128(id),
            collection: CollectionId(Uuid::nil()),
            document: DocumentId(Uuid::nil()),
            chunk: 0,
            score: 0.0,
            dense_score,
            dense_rank: None,
            sparse_score,
            sparse_rank: None,
        }
    }

    fn order(hits: &[Hit]) -> Vec<u128> {
        hits.iter().map(|hit| hit.id.as_u128()).collect()
    }

    #[test]
    fn a_search_that_is_sure_of_its_hit_outweighs_one_that_is_not() {
        let close = [hit(1, Some(0.52), Some(2.0)), hit(2, Some(0.51), Some(9.0)), hit(3, Some(0.2), Some(1.0))];
        assert_eq!(order(&blended(close.to_vec())), [2, 1, 3]);
        let found_by_one = [hit(1, None, Some(3.0)), hit(2, Some(0.6), None), hit(3, Some(0.1), Some(0.5))];
        assert_eq!(order(&blended(found_by_one.to_vec())), [2, 1, 3]);
        assert_eq!(order(&blended(vec![hit(2, Some(0.5), None), hit(1, Some(0.5), None)])), [1, 2]);
        assert!(blended(Vec::new()).is_empty());
    }

    #[test]
    fn others_stay_in_sight_of_what_is_probably_meant() {
        assert_eq!(interleaved((0..6).collect(), vec![10, 11, 12]), [0, 1, 2, 3, 10, 4, 5, 11, 12]);
        assert_eq!(interleaved(Vec::new(), vec![10, 11]), [10, 11]);
    }
}
