//! Documents that say different things about what is asked: an amendment and its original, two notes of different days,
//! forty leases with rents of their own. They are shown beside each other, newest first, and not blended.

use std::collections::{HashMap, HashSet};

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::{
    Passage, Quote,
    claims::Figures,
    evidence::{Evidence, Line, distinct},
};
use crate::{sparse, store::DocumentId};

/// What one of several documents says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// The day that the document bears.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dated: Option<NaiveDate>,
    /// Its words.
    #[serde(flatten)]
    pub quote: Quote,
}

/// A document counts when its best line bears on the question this much of what the best of all does.
const AS_NEAR: f32 = 0.85;
/// And holds this share of what the best line holds of the question's words.
const AS_MANY_WORDS: f32 = 0.75;
/// Most documents that are shown beside each other.
const MOST_VERSIONS: usize = 6;

/// The versions, when at least two documents say something about the question with figures of their own; none when they
/// agree. `named` are the documents that the question names; where there are any, only they count.
pub(super) fn differing(asked: &str, named: &[DocumentId], passages: &[Passage], evidence: &Evidence) -> Vec<Version> {
    let wanted = distinct(sparse::terms(asked));
    let words = |line: &Line| -> f32 {
        wanted.iter().filter(|term| line.terms.contains(term)).map(|term| evidence.rarity.of_term(term)).sum()
    };
    // The best line of each document, best first.
    let mut best: Vec<(DocumentId, usize, f32)> = Vec::new();
    for (at, line) in evidence.lines.iter().enumerate() {
        let Some(score) = evidence.scores[at] else { continue };
        let document = evidence.stretches[line.stretch].document;
        if !named.is_empty() && !named.contains(&document) {
            continue;
        }
        match best.iter_mut().find(|(known, ..)| *known == document) {
            Some(known) if known.2 < score => *known = (document, at, score),
            Some(_) => {}
            None => best.push((document, at, score)),
        }
    }
    best.sort_by(|a, b| b.2.total_cmp(&a.2).then(a.1.cmp(&b.1)));
    let Some(&(_, first, score)) = best.first() else { return Vec::new() };
    let held = words(&evidence.lines[first]);
    best.retain(|(_, at, other)| {
        *other >= AS_NEAR * score && words(&evidence.lines[*at]) >= AS_MANY_WORDS * held && held > 0.0
    });
    best.truncate(MOST_VERSIONS);
    let figures: Vec<Figures> =
        best.iter().map(|(_, at, _)| Figures::of(evidence.text(&evidence.lines[*at]))).collect();
    let says: Vec<&Figures> = figures.iter().filter(|figures| !figures.is_empty()).collect();
    if !says.iter().enumerate().any(|(at, one)| says[..at].iter().any(|other| one.contradicts(other))) {
        return Vec::new();
    }
    let dated: HashMap<DocumentId, Option<NaiveDate>> =
        passages.iter().map(|passage| (passage.document, passage.dated)).collect();
    let mut shown = HashSet::new();
    let mut versions: Vec<Version> = best
        .iter()
        .zip(&figures)
        .filter(|(_, figures)| !figures.is_empty())
        .map(|((document, at, score), _)| {
            let line = &evidence.lines[*at];
            let quote = evidence.stretches[line.stretch].quote(evidence.window(line, &wanted), *score);
            Version { dated: dated.get(document).copied().flatten(), quote }
        })
        .filter(|version| shown.insert(version.quote.quote.clone()))
        .collect();
    // A document without a date comes last: whether it holds today cannot be told.
    versions.sort_by_key(|version| std::cmp::Reverse(version.dated));
    versions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::evidence::tests::pages;

    fn check(texts: &[&str], question: &str, named: &[usize], expected: &[usize]) {
        let evidence = pages(texts);
        let id = |number: usize| evidence.stretches[number].document;
        let named: Vec<_> = named.iter().map(|number| id(*number)).collect();
        let found = differing(question, &named, &[], &evidence);
        let found: HashSet<_> = found.iter().map(|version| version.quote.document).collect();
        assert_eq!(found, expected.iter().map(|number| id(*number)).collect(), "{question}");
    }

    const LEASE: &str = "The monthly rent is $4,500, due on the first day.";
    const AMENDMENT: &str = "From January 1, 2025 the monthly rent is $5,200.";
    const SAME: &str = "As agreed, the monthly rent is $4,500 until further notice.";
    const OTHER: &str = "The tenant keeps 2 dogs in the yard of the house.";

    #[test]
    fn an_amendment_stands_beside_its_original() {
        check(&[LEASE, AMENDMENT, OTHER], "What is the monthly rent?", &[], &[0, 1]);
        check(&[LEASE, AMENDMENT], "What is the monthly rent?", &[0], &[]);
    }

    #[test]
    fn documents_that_agree_are_no_conflict() {
        check(&[LEASE, OTHER], "What is the monthly rent?", &[], &[]);
        check(&[LEASE, LEASE], "What is the monthly rent?", &[], &[]);
        check(&[LEASE, SAME], "What is the monthly rent?", &[], &[]);
        check(&[], "What is the monthly rent?", &[], &[]);
    }
}
