//! Where the model looks when it is asked whether the passages hold an answer. A few attention heads of a language model
//! point at the words that answer (retrieval heads: Wu et al. 2024, Zhang et al. 2025); what share of their attention a
//! sentence gets tells more of whether it bears on the question than its own words do. docs/answers.md has how much.

use std::ops::Range;

use serde::Deserialize;
use unicode_normalization::UnicodeNormalization as _;

use super::evidence::Evidence;
use crate::{
    generate::{Head, Seen},
    prompt::Fitted,
};

/// The heads that point at what answers.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(super) struct Pointers {
    /// Which ones.
    pub heads: Vec<Head>,
    /// What all of their attention would add to a sentence's score.
    pub weight: f32,
}

/// How much of each head's attention to the excerpts in a prompt each of them gets: for each excerpt, by its place among
/// those that are in the prompt, a share for each head. Empty where the passages are not found in the prompt.
pub(super) fn shares(fitted: &Fitted, seen: &Seen) -> Vec<Vec<f32>> {
    let Some(tokens) = located(fitted, seen) else { return Vec::new() };
    let mut shares = vec![Vec::with_capacity(seen.attention.len()); tokens.len()];
    for (_, head) in &seen.attention {
        let sums: Vec<f32> = tokens.iter().map(|range| head[range.clone()].iter().sum()).collect();
        let total: f32 = sums.iter().sum();
        for (shares, sum) in shares.iter_mut().zip(sums) {
            shares.push(if total > 0.0 { sum / total } else { 0.0 });
        }
    }
    shares
}

/// The tokens of each excerpt.
fn located(fitted: &Fitted, seen: &Seen) -> Option<Vec<Range<usize>>> {
    let prompt = seen.pieces.concat();
    let ends: Vec<usize> = seen
        .pieces
        .iter()
        .scan(0, |end, piece| {
            *end += piece.len();
            Some(*end)
        })
        .collect();
    let tokens = |bytes: Range<usize>| {
        let first = ends.partition_point(|end| *end <= bytes.start);
        first..ends.partition_point(|end| *end < bytes.end).max(first) + 1
    };
    let passages = &fitted.passages;
    if let Some(start) = find(&prompt, passages.as_bytes()) {
        return Some(fitted.places.iter().map(|(_, at)| tokens(start + at.start..start + at.end)).collect());
    }
    // Some tokenizers compose characters.
    let composed = |text: &str| text.nfc().collect::<String>();
    let start = find(&prompt, composed(passages).as_bytes())?;
    let place = |at: usize| start + composed(&passages[..at]).len();
    Some(fitted.places.iter().map(|(_, at)| tokens(place(at.start)..place(at.end))).collect())
}

fn find(whole: &[u8], part: &[u8]) -> Option<usize> {
    if part.is_empty() { None } else { whole.windows(part.len()).position(|window| window == part) }
}

impl Evidence {
    /// Takes into account how much the model looks at some of the lines: for each its share of the attention to all of
    /// them. A line that was not compared with the question stays out of the quotes all the same.
    pub(super) fn take_looks(&mut self, shares: &[(usize, f32)], weight: f32) {
        for (line, share) in shares {
            if let Some(look) = self.looks.get_mut(*line) {
                *look = weight * share;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::evidence::tests::page;

    fn fitted(passages: &str, excerpts: &[&str]) -> Fitted {
        let place = |(at, excerpt): (usize, &&str)| {
            let start = passages.find(excerpt).expect("it is in the passages");
            (at, start..start + excerpt.len())
        };
        let places = excerpts.iter().enumerate().map(place).collect();
        Fitted { answer: Vec::new(), check: Vec::new(), passages: passages.to_owned(), places }
    }

    fn seen(pieces: &[&str], attention: &[f32]) -> Seen {
        let pieces = pieces.iter().map(|piece| piece.as_bytes().into()).collect();
        Seen { state: Vec::new(), attention: vec![(Head { layer: 0, head: 0 }, attention.to_vec())], pieces }
    }

    #[test]
    fn an_excerpt_gets_the_attention_of_its_tokens() {
        let fitted = fitted("[1] a\nRent is due. Pets stay.", &["Rent is due.", "Pets stay."]);
        let pieces = ["<user>", "[1] a\n", "Rent is", " due", ".", " Pets", " stay.", "</user>"];
        let seen = seen(&pieces, &[0.5, 0.1, 0.02, 0.03, 0.01, 0.1, 0.04, 0.2]);
        let shares = shares(&fitted, &seen);
        assert!((shares[0][0] - 0.3).abs() < 1e-6 && (shares[1][0] - 0.7).abs() < 1e-6, "{shares:?}");
    }

    #[test]
    fn characters_that_the_tokenizer_composes_are_found() {
        let fitted = fitted("Cafe\u{301} rent. Pets.", &["Cafe\u{301} rent.", "Pets."]);
        let shares = shares(&fitted, &seen(&["Caf", "é", " rent.", " Pets", "."], &[0.1, 0.1, 0.1, 0.1, 0.6]));
        assert!((shares[0][0] - 0.3).abs() < 1e-6 && (shares[1][0] - 0.7).abs() < 1e-6, "{shares:?}");
        assert!(super::shares(&fitted, &seen(&["other"], &[1.0])).is_empty());
    }

    #[test]
    fn a_line_that_is_looked_at_comes_first() {
        let mut evidence = page("The rent is due on the first day. Pets are welcome in the house. Done.");
        for score in &mut evidence.scores[..2] {
            *score = Some(0.5);
        }
        evidence.take_looks(&[(1, 0.8), (0, 0.2), (2, 0.9), (99, 0.5)], 2.0);
        let quotes: Vec<String> = evidence.quotes("What?").into_iter().map(|quote| quote.quote).collect();
        assert_eq!(quotes, ["Pets are welcome in the house.", "The rent is due on the first day."]);
    }
}
