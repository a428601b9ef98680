//! How the sets' scorer (score.py) compares texts: letters and digits alone, words without articles, numbers, yes or no.

use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

use regex::Regex;
use unicode_normalization::UnicodeNormalization;

/// Letters and digits in lower case, compatibility forms taken apart: blanks, hyphens and ligatures do not count.
pub(super) fn plain(text: &str) -> String {
    text.nfkd().flat_map(char::to_lowercase).filter(|c| c.is_alphanumeric()).collect()
}

/// Runs of plain letters and digits, without the articles.
pub(super) fn tokens(text: &str) -> Vec<String> {
    let lower: String = text.nfkd().flat_map(char::to_lowercase).collect();
    lower
        .split(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit())
        .filter(|word| !word.is_empty() && !matches!(*word, "a" | "an" | "the"))
        .map(str::to_owned)
        .collect()
}

/// F1 of the tokens of both, with how often each stands there.
pub(super) fn token_f1(a: &str, b: &str) -> f64 {
    let (a, b) = (tokens(a), tokens(b));
    let mut left: HashMap<&str, usize> = HashMap::new();
    for token in &b {
        *left.entry(token).or_default() += 1;
    }
    let mut common = 0;
    for token in &a {
        if let Some(count) = left.get_mut(token.as_str()).filter(|count| **count > 0) {
            *count -= 1;
            common += 1;
        }
    }
    if common == 0 {
        return f64::from(u8::from(a == b));
    }
    let (precision, recall) = (f64::from(common) / a.len() as f64, f64::from(common) / b.len() as f64);
    2.0 * precision * recall / (precision + recall)
}

static NUMBER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(\()?\s*(-)?\s*[$€£]?\s*((?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+)\s*(%|percent|thousand|million|billion|bn|mm|m\b|k\b)?",
    )
    .expect("a fixed pattern")
});

/// The numbers of a text with their units; one in brackets counts as negative, as accounts have it.
fn numbers(text: &str) -> Vec<(f64, String)> {
    let lower = text.to_lowercase();
    NUMBER
        .captures_iter(&lower)
        .filter_map(|found| {
            let value: f64 = found[3].replace(',', "").parse().ok()?;
            let end = found.get(0)?.end();
            let negative = found.get(2).is_some() || (found.get(1).is_some() && lower[end..].starts_with(')'));
            let unit = found.get(4).map_or_else(String::new, |unit| unit.as_str().to_owned());
            Some((if negative { -value } else { value }, unit))
        })
        .collect()
}

/// Whether the answer holds the right number, within one in a hundred and up to the unit; nothing when the right answer
/// has no number.
pub(super) fn has_number(answer: &str, right: &str) -> Option<bool> {
    const SCALES: [f64; 9] = [1.0, 1e3, 1e6, 1e9, 1e-3, 1e-6, 1e-9, 100.0, 0.01];
    let (wanted, wanted_unit) = numbers(right).into_iter().next()?;
    Some(numbers(answer).iter().any(|(value, unit)| {
        SCALES
            .iter()
            .filter(|scale| (**scale - 1.0).abs() < f64::EPSILON || !unit.is_empty() || !wanted_unit.is_empty())
            .any(|scale| (value.abs() * scale - wanted.abs()).abs() <= 0.01 * wanted.abs().max(1e-9) + 1e-9)
    }))
}

static SAYS_NOTHING: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?i)(not (?:be )?(?:answerable|stated|specified|mentioned|provided|found|addressed|available|disclosed|contain\w*)|does(?: not|n't) (?:say|state|specify|mention|contain|address|provide|include|appear|indicate)|do(?: not|n't) (?:contain|mention|provide|specify|have (?:enough|sufficient))|no (?:relevant |such )?(?:information|evidence|mention|clause|provision)|(?:cannot|can't|could not|couldn't|unable to) (?:be )?(?:answer|find|determin|locat|confirm)|insufficient (?:information|evidence|context)|i (?:do not|don't) know|not enough (?:information|evidence))",
    )
    .expect("a fixed pattern")
});

/// Whether the text of an answer says that there is none; for runs that do not tell it themselves.
pub(super) fn reads_as_refusal(answer: &str) -> bool {
    let beginning: String = answer.chars().take(300).collect();
    answer.trim().is_empty() || SAYS_NOTHING.is_match(&beginning)
}

static BEGINS_YES_NO: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?i)^\W*(yes|no|true|false)\b").expect("a fixed pattern"));
static HOLDS_YES_NO: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?i)\b(yes|no)\b").expect("a fixed pattern"));

/// The yes (true) or no (false) of an answer: its first word, else the first one within 200 characters.
pub(super) fn yes_or_no(answer: &str) -> Option<bool> {
    if let Some(found) = BEGINS_YES_NO.captures(answer.trim()) {
        return Some(matches!(found[1].to_lowercase().as_str(), "yes" | "true"));
    }
    let beginning: String = answer.chars().take(200).collect();
    HOLDS_YES_NO.find(&beginning).map(|word| word.as_str().eq_ignore_ascii_case("yes"))
}

/// The pieces of 40 letters and digits of a text, one every `step`.
pub(super) fn shingles(text: &str, step: usize) -> HashSet<String> {
    const LENGTH: usize = 40;
    let letters: Vec<char> = plain(text).chars().collect();
    if letters.is_empty() {
        return HashSet::new();
    }
    (0..(letters.len() + 1).saturating_sub(LENGTH).max(1))
        .step_by(step)
        .map(|at| letters[at..(at + LENGTH).min(letters.len())].iter().collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_compared_as_the_scorer_does() {
        assert_eq!(plain("The ﬁrst—No. 4"), "thefirstno4");
        assert_eq!(tokens("The end of a Term: 2.5%"), ["end", "of", "term", "2", "5"]);
        assert!((token_f1("term of two years", "the term is two years") - 6.0 / 8.0).abs() < 1e-9);
        assert!((token_f1("", "") - 1.0).abs() < 1e-9);
        assert!(token_f1("a b", "c").abs() < 1e-9);
        assert_eq!(shingles(&"x".repeat(55), 10).len(), 1);
        assert_eq!(shingles("", 10).len(), 0);
        assert_eq!(shingles("short", 1), HashSet::from(["short".to_owned()]));
    }

    #[test]
    fn a_number_is_right_up_to_its_unit() {
        for (answer, right, expected) in [
            ("It is $1,500.", "1500", Some(true)),
            ("about 2 million dollars", "2,000,000", Some(true)),
            ("15", "15 years", Some(true)),
            ("16", "15 years", Some(false)),
            ("2,000", "2", Some(false)),
            ("5", "five", None),
        ] {
            assert_eq!(has_number(answer, right), expected, "{answer} / {right}");
        }
        assert_eq!(numbers("(12) and -3 k"), [(-12.0, String::new()), (-3.0, "k".to_owned())]);
    }

    #[test]
    fn yes_no_and_refusals_are_read() {
        for (answer, expected) in [
            ("**Yes**, it does", Some(true)),
            ("No.", Some(false)),
            ("True", Some(true)),
            ("The lease says no such thing", Some(false)),
            ("Nothing", None),
        ] {
            assert_eq!(yes_or_no(answer), expected, "{answer}");
        }
        for answer in ["", "The agreement does not mention it.", "It cannot be determined"] {
            assert!(reads_as_refusal(answer), "{answer}");
        }
        assert!(!reads_as_refusal("The term is two years"));
    }
}
