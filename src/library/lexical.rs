//! What a question and a passage share word for word: identifiers, dates, quoted phrases, words.

use std::collections::HashSet;

use premise_ingest::dates;

use super::evidence::distinct;
use crate::sparse;

/// A question taken apart.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// The question as it was searched for.
    pub text: String,
    terms: Vec<String>,
    /// Those, and the ones of what its terms mean.
    meant: Vec<String>,
    /// Section numbers, codes, sums: `§ 12(b)`, `E11.9`, `$1,000.50`.
    identifiers: Vec<String>,
    days: Vec<chrono::NaiveDate>,
    /// What stands in double quotes, as plain words.
    phrases: Vec<String>,
}

/// What of a question a passage holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Matches {
    pub words: Vec<String>,
    /// Identifiers, days and phrases.
    pub exact: Vec<String>,
    /// Share of the question's identifiers and days that the passage holds, 0 to 1.
    pub identifiers: f32,
    /// How many of the quoted phrases it holds.
    pub phrases: usize,
}

impl Asked {
    pub(super) fn of(question: &str) -> Self {
        let phrases = quoted(question);
        let mut identifiers = sparse::identifiers(question);
        identifiers.sort();
        identifiers.dedup();
        let mut days: Vec<_> = dates(question).into_iter().map(|date| date.day).collect();
        days.sort();
        days.dedup();
        let terms = distinct(sparse::terms(question));
        Self { text: question.to_owned(), meant: terms.clone(), terms, identifiers, days, phrases }
    }

    /// The same question, with what its terms mean.
    pub(super) fn explained(self, explained: &str) -> Self {
        // Most questions have no term that is explained.
        if explained == self.text { self } else { Self { meant: distinct(sparse::terms(explained)), ..self } }
    }

    /// Whether the question asks for anything that must stand as it is.
    pub(super) fn wants_exact(&self) -> bool {
        !(self.identifiers.is_empty() && self.days.is_empty() && self.phrases.is_empty())
    }

    /// How many different words of the question and of what its terms mean a text holds.
    pub(super) fn covered(&self, text: &str) -> usize {
        let held: HashSet<String> = sparse::terms(text).collect();
        self.meant.iter().filter(|term| held.contains(*term)).count()
    }

    pub(super) fn matches(&self, text: &str) -> Matches {
        let held: HashSet<String> = sparse::terms(text).collect();
        let words = self.terms.iter().filter(|term| held.contains(*term)).cloned().collect();
        let mut exact: Vec<String> = self.identifiers.iter().filter(|whole| held.contains(*whole)).cloned().collect();
        if !self.days.is_empty() {
            let found: HashSet<_> = dates(text).into_iter().map(|date| date.day).collect();
            exact.extend(self.days.iter().filter(|day| found.contains(day)).map(ToString::to_string));
        }
        let all = self.identifiers.len() + self.days.len();
        let identifiers = if all == 0 { 0.0 } else { exact.len() as f32 / all as f32 };
        let plain = if self.phrases.is_empty() { String::new() } else { plain_words(text) };
        let phrases: Vec<_> = self.phrases.iter().filter(|phrase| plain.contains(phrase.as_str())).collect();
        let count = phrases.len();
        exact.extend(phrases.into_iter().map(|phrase| phrase.trim().to_owned()));
        Matches { words, exact, identifiers, phrases: count }
    }
}

/// What stands between double quotes, straight or curly.
fn quoted(text: &str) -> Vec<String> {
    let mut phrases = Vec::new();
    let mut open: Option<(usize, char)> = None;
    for (at, c) in text.char_indices() {
        match (open, c) {
            (Some((start, end)), c) if c == end => {
                let phrase = plain_words(&text[start..at]);
                if phrase.trim().chars().count() > 1 {
                    phrases.push(phrase);
                }
                open = None;
            }
            (None, '"') => open = Some((at + 1, '"')),
            (None, '“') => open = Some((at + c.len_utf8(), '”')),
            _ => {}
        }
    }
    phrases
}

/// Letters and digits in lower case, a blank between words and at both ends: whole words are compared.
fn plain_words(text: &str) -> String {
    let mut plain = String::from(" ");
    for c in text.chars().flat_map(char::to_lowercase) {
        if c.is_alphanumeric() {
            plain.push(c);
        } else if !plain.ends_with(' ') && !matches!(c, '\'' | '’' | '\u{ad}') {
            plain.push(' ');
        }
    }
    if !plain.ends_with(' ') {
        plain.push(' ');
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(question: &str, passage: &str, expected: &[&str], identifiers: f32, phrases: usize) {
        let matches = Asked::of(question).matches(passage);
        assert_eq!(matches.exact, expected, "{question}");
        assert!((matches.identifiers - identifiers).abs() < 1e-6, "{question}: {}", matches.identifiers);
        assert_eq!(matches.phrases, phrases, "{question}");
    }

    #[test]
    fn identifiers_days_and_phrases_are_found_as_they_are() {
        check("Is E11.9 coded?", "Codes: E11.9, I10", &["e11.9"], 1.0, 0);
        check("Section 12(b) or 12(c)?", "under Section 12(b)", &["12(b)"], 0.5, 0);
        check("what was due on April 30, 2018?", "Due 4/30/2018.", &["2018-04-30"], 1.0, 0);
        check("who has \"change of control\" rights", "any Change of  Control event", &["change of control"], 0.0, 1);
        check("who has “change of control” rights", "changes of control", &[], 0.0, 0);
        check("an open \" quote", "an open quote", &[], 0.0, 0);
    }

    #[test]
    fn words_are_compared_by_their_stems() {
        let matches = Asked::of("When are the rents payable?").matches("The rent is payable monthly.");
        assert_eq!(matches.words, ["payabl", "rent"]);
    }
}
