//! Retrieval figures, averaged over the answerable questions; the same as ../score.py of the sets computes:
//! page recall over distinct pages, MRR and nDCG at 10, and the share of the evidence text that lies in the passages.

use std::{collections::HashSet, ops::RangeInclusive};

use super::set::Query;

pub(super) struct Retrieved<'a> {
    pub file: &'a str,
    pub pages: RangeInclusive<u32>,
    pub text: &'a str,
}

#[derive(Default)]
pub(super) struct Scores {
    questions: Vec<Vec<f64>>,
    took_ms: Vec<f64>,
}

const RECALL_AT: [usize; 4] = [1, 5, 10, 20];
const NAMES: [&str; 8] = ["R@1", "R@5", "R@10", "R@20", "MRR@10", "nDCG@10", "span@10", "document@1"];

impl Scores {
    pub(super) fn add(&mut self, query: &Query, retrieved: &[Retrieved], took_ms: f64) {
        self.took_ms.push(took_ms);
        let gold = gold(query);
        if !query.answerable || gold.is_empty() {
            return;
        }
        let mut pages: Vec<(&str, u32)> = Vec::new();
        for passage in retrieved {
            for page in passage.pages.clone() {
                if !pages.contains(&(passage.file, page)) {
                    pages.push((passage.file, page));
                }
            }
        }
        let right: Vec<bool> = pages.iter().map(|page| gold.contains(page)).collect();
        let found = |k: usize| right.iter().take(k).filter(|right| **right).count() as f64;
        let mut figures: Vec<f64> = RECALL_AT.iter().map(|k| found(*k) / gold.len() as f64).collect();
        figures.push(right.iter().take(10).position(|right| *right).map_or(0.0, |at| 1.0 / (at + 1) as f64));
        let gain = |at: usize| 1.0 / (at as f64 + 2.0).log2();
        let best: f64 = (0..gold.len().min(10)).map(gain).sum();
        let gained: f64 = right.iter().take(10).enumerate().filter(|(_, right)| **right).map(|(at, _)| gain(at)).sum();
        figures.push(gained / best);
        figures.push(span_recall(query, &retrieved[..retrieved.len().min(10)]));
        let files: HashSet<&str> = gold.iter().map(|(file, _)| *file).collect();
        figures.push(f64::from(u8::from(retrieved.first().is_some_and(|passage| files.contains(passage.file)))));
        self.questions.push(figures);
    }

    pub(super) fn answerable(&self) -> usize {
        self.questions.len()
    }

    /// Means by name, then the median and 95th percentile of the time in milliseconds.
    pub(super) fn figures(&self) -> Vec<(String, f64)> {
        let count = self.questions.len().max(1) as f64;
        let mut figures: Vec<_> = NAMES
            .iter()
            .enumerate()
            .map(|(at, name)| {
                ((*name).to_owned(), self.questions.iter().map(|figures| figures[at]).sum::<f64>() / count)
            })
            .collect();
        let mut took = self.took_ms.clone();
        took.sort_by(f64::total_cmp);
        let at = |share: f64| took.get(((took.len().max(1) - 1) as f64 * share) as usize).copied().unwrap_or_default();
        figures.push(("p50_ms".to_owned(), at(0.5)));
        figures.push(("p95_ms".to_owned(), at(0.95)));
        figures
    }
}

/// The pages that hold the answer; for sets judged by document, page 1 of each right one.
fn gold(query: &Query) -> HashSet<(&str, u32)> {
    if !query.relevant_docs.is_empty() {
        return query.relevant_docs.iter().map(|file| (file.as_str(), 1)).collect();
    }
    query
        .evidence
        .iter()
        .flat_map(|evidence| evidence.pages.iter().map(|page| (evidence.file.as_str(), *page)))
        .collect()
}

/// Letters and digits in lower case: what is compared, so that blanks and hyphens do not count.
fn plain(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).filter(|c| c.is_alphanumeric()).collect()
}

/// The share of the evidence, in pieces of 40 characters every 10, that lies within one of the passages.
fn span_recall(query: &Query, retrieved: &[Retrieved]) -> f64 {
    let (mut all, mut inside) = (0, 0);
    for evidence in &query.evidence {
        let Some(text) = &evidence.text else { continue };
        let letters: Vec<char> = plain(text).chars().collect();
        let pieces: HashSet<String> = if letters.len() <= 40 {
            HashSet::from([letters.iter().collect()])
        } else {
            (0..=letters.len() - 40).step_by(10).map(|at| letters[at..at + 40].iter().collect()).collect()
        };
        let texts: Vec<String> = retrieved
            .iter()
            .filter(|passage| passage.file == evidence.file)
            .map(|passage| plain(passage.text))
            .collect();
        all += pieces.len();
        inside += pieces.iter().filter(|piece| texts.iter().any(|text| text.contains(piece.as_str()))).count();
    }
    if all == 0 { 0.0 } else { inside as f64 / all as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_follow_their_definitions() {
        let query: Query = serde_json::from_str(
            r#"{"id": "1", "question": "?", "answerable": true, "evidence": [{"file": "a.pdf", "pages": [2, 5], "text": "The term is two years."}]}"#,
        )
        .expect("a question");
        let passage = |file, page, text| Retrieved { file, pages: page..=page, text };
        let mut scores = Scores::default();
        scores.add(&query, &[passage("b.pdf", 2, ""), passage("a.pdf", 2, "(a) The term is two\nyears.")], 3.0);
        let figures: std::collections::HashMap<_, _> = scores.figures().into_iter().collect();
        let ideal = 1.0 + 1.0 / 3f64.log2();
        let expected =
            [("R@1", 0.0), ("R@5", 0.5), ("MRR@10", 0.5), ("nDCG@10", 1.0 / 3f64.log2() / ideal), ("span@10", 1.0)];
        for (name, value) in expected {
            assert!((figures[name] - value).abs() < 1e-9, "{name} is {}", figures[name]);
        }
    }
}
