//! Retrieval figures of one question; the same as score.py of the sets computes:
//! page recall over distinct pages, MRR and nDCG at 10, and the share of the evidence text that lies in the passages.

use std::{borrow::Cow, collections::HashSet, ops::RangeInclusive};

use super::set::Query;

/// A passage or chunk in its place in a ranking.
pub(super) struct Ranked<'a> {
    pub file: String,
    pub pages: RangeInclusive<u32>,
    /// Empty when only pages are looked at.
    pub text: Cow<'a, str>,
}

const RECALL_AT: [(usize, &str); 4] = [(1, "R@1"), (5, "R@5"), (10, "R@10"), (20, "R@20")];

/// The figures of one question by name; none when it has no right pages.
pub(super) fn retrieval(query: &Query, ranked: &[Ranked]) -> Vec<(String, f64)> {
    let gold = query.right_pages();
    if !query.answerable || gold.is_empty() {
        return Vec::new();
    }
    let mut pages: Vec<(&str, u32)> = Vec::new();
    for passage in ranked {
        for page in passage.pages.clone() {
            if !pages.contains(&(passage.file.as_str(), page)) {
                pages.push((&passage.file, page));
            }
        }
    }
    let right: Vec<bool> = pages.iter().map(|page| gold.contains(page)).collect();
    let found = |k: usize| right.iter().take(k).filter(|right| **right).count() as f64;
    let mut figures: Vec<(&str, f64)> =
        RECALL_AT.iter().map(|(k, name)| (*name, found(*k) / gold.len() as f64)).collect();
    let first = right.iter().take(10).position(|right| *right);
    figures.push(("MRR@10", first.map_or(0.0, |at| 1.0 / (at + 1) as f64)));
    let gain = |at: usize| 1.0 / (at as f64 + 2.0).log2();
    let best: f64 = (0..gold.len().min(10)).map(gain).sum();
    let gained: f64 = right.iter().take(10).enumerate().filter(|(_, right)| **right).map(|(at, _)| gain(at)).sum();
    figures.push(("nDCG@10", gained / best));
    if query.evidence.iter().any(|evidence| evidence.text.is_some())
        && ranked.iter().any(|passage| !passage.text.is_empty())
    {
        figures.push(("span@10", span_recall(query, &ranked[..ranked.len().min(10)])));
    }
    let files = query.right_files();
    let is_right = ranked.first().is_some_and(|passage| files.contains(passage.file.as_str()));
    figures.push(("document@1", f64::from(u8::from(is_right))));
    figures.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The value below which that share of the values lies.
pub(crate) fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(((sorted.len().max(1) - 1) as f64 * share) as usize).copied().unwrap_or_default()
}

/// Letters and digits in lower case: what is compared, so that blanks and hyphens do not count.
fn plain(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).filter(|c| c.is_alphanumeric()).collect()
}

/// The share of the evidence, in pieces of 40 characters every 10, that lies within one of the passages.
fn span_recall(query: &Query, retrieved: &[Ranked]) -> f64 {
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
            .map(|passage| plain(&passage.text))
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
        let passage =
            |file: &str, page, text| Ranked { file: file.to_owned(), pages: page..=page, text: Cow::Borrowed(text) };
        let ranked = [passage("b.pdf", 2, ""), passage("a.pdf", 2, "(a) The term is two\nyears.")];
        let figures: std::collections::HashMap<_, _> = retrieval(&query, &ranked).into_iter().collect();
        let ideal = 1.0 + 1.0 / 3f64.log2();
        let expected =
            [("R@1", 0.0), ("R@5", 0.5), ("MRR@10", 0.5), ("nDCG@10", 1.0 / 3f64.log2() / ideal), ("span@10", 1.0)];
        for (name, value) in expected {
            assert!((figures[name] - value).abs() < 1e-9, "{name} is {}", figures[name]);
        }
    }
}
