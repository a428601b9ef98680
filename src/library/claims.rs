//! What a sentence of an answer claims, and what of it must stand in its evidence word for word: numbers, dates, sums of
//! money, names and denials.

use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

use chrono::NaiveDate;
use premise_ingest::dates;
use regex::Regex;

use super::evidence::{Rarity, distinct, has_digit};
use crate::sparse;

/// A sentence of an answer.
#[derive(Debug)]
pub(super) struct Claim {
    /// Its distinct terms with their weights; for a short one ("Yes.") the question's terms are added.
    terms: Vec<(String, f32)>,
    /// Those of them that the question does not have.
    new: HashSet<String>,
    total: f32,
    must: Musts,
}

/// What must stand in the evidence.
#[derive(Debug, Default)]
struct Musts {
    numbers: Vec<String>,
    days: Vec<NaiveDate>,
    currencies: Vec<usize>,
    names: Vec<String>,
    /// It denies something. That a passage does not speak of a thing is no proof against it.
    denies: bool,
    /// It says under which condition: what a passage forbids but for that condition is no contradiction.
    has_condition: bool,
}

impl Claim {
    /// The claim of a sentence that answers a question of those terms; `named` are words that need no evidence, because
    /// the person who asks used them.
    pub(super) fn of(sentence: &str, asked: &[String], named: &HashSet<String>, rarity: &Rarity) -> Self {
        let own = distinct(sparse::terms(sentence));
        let mut terms: Vec<_> =
            own.into_iter().map(|term| (rarity.of_term(&term), term)).map(|(w, t)| (t, w)).collect();
        if (terms.len() < 4 && !terms.is_empty()) || is_yes_or_no(sentence) {
            for term in asked {
                if terms.iter().all(|(known, _)| known != term) {
                    terms.push((term.clone(), rarity.of_term(term) * 0.5));
                }
            }
        }
        let total = terms.iter().map(|(_, weight)| weight).sum();
        let new = terms.iter().map(|(term, _)| term).filter(|term| !named.contains(*term) && !asked.contains(term));
        let new = new.cloned().collect();
        Self { terms, new, total, must: Musts::of(sentence, named) }
    }

    /// Whether it says nothing that could be looked for.
    pub(super) fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Its terms.
    pub(super) fn terms(&self) -> Vec<String> {
        self.terms.iter().map(|(term, _)| term.clone()).collect()
    }

    /// The share of its weight that those terms hold.
    pub(super) fn held_by(&self, has: impl Fn(&str) -> bool) -> f32 {
        if self.total <= 0.0 {
            return 0.0;
        }
        self.terms.iter().filter(|(term, _)| has(term)).map(|(_, weight)| weight).sum::<f32>() / self.total
    }

    /// The same of the terms that the question does not have: what the sentence tells that was not known.
    pub(super) fn told_by(&self, has: impl Fn(&str) -> bool) -> f32 {
        self.held_by(|term| self.new.contains(term) && has(term))
    }

    /// Whether all that must stand in the evidence stands in those sentences.
    pub(super) fn agrees_with(&self, sentences: &[&str]) -> bool {
        let all = sentences.join("\n");
        let terms: HashSet<String> = sparse::terms(&all).collect();
        let numbers = numbers_in_words(&all);
        let has_number = |number: &String| {
            terms.contains(number) || numbers.contains(number) || number.chars().all(|c| c == '0' || c == '.')
        };
        self.must.numbers.iter().all(has_number)
            && (self.must.days.is_empty() || {
                let days: Vec<NaiveDate> = dates(&all).into_iter().map(|date| date.day).collect();
                self.must.days.iter().all(|day| days.contains(day))
            })
            && self.must.currencies.iter().all(|currency| has_currency(&all, *currency))
            && self.must.names.iter().all(|name| terms.contains(name))
            && (!self.must.denies || sentences.iter().any(|sentence| denies(sentence)))
            && (self.must.denies || self.must.has_condition || !sentences.iter().all(|all| self.is_denied_by(all)))
    }

    /// Whether most of what the sentence holds of the claim stands where it says what is not so, or not to be.
    fn is_denied_by(&self, sentence: &str) -> bool {
        let (denied, rest) = split_at_denials(sentence);
        let (denied, rest): (HashSet<_>, HashSet<_>) =
            (sparse::terms(&denied).collect(), sparse::terms(&rest).collect());
        let held = self.held_by(|term| denied.contains(term) || rest.contains(term));
        let only_denied = self.held_by(|term| denied.contains(term) && !rest.contains(term));
        only_denied > 0.0 && only_denied >= held * 0.5
    }
}

impl Musts {
    fn of(sentence: &str, named: &HashSet<String>) -> Self {
        let found = dates(sentence);
        let days = found.iter().map(|date| date.day).collect();
        // A date may be written otherwise in the evidence, so its figures are not looked for one by one.
        let mut rest = String::with_capacity(sentence.len());
        let mut copied = 0;
        for date in &found {
            rest.push_str(&sentence[copied..date.range.start]);
            copied = date.range.end.max(copied);
        }
        rest.push_str(&sentence[copied..]);
        let in_figures = sparse::terms(&rest).filter(|term| has_digit(term) && !named.contains(term));
        Self {
            numbers: distinct(in_figures.chain(measured_in_words(&rest, named))),
            days,
            currencies: (0..CURRENCIES.len()).filter(|at| has_currency(sentence, *at)).collect(),
            names: names(&rest, named),
            // A no by itself is as good as the denial that it stands for.
            denies: denies(if is_yes_or_no(sentence) { sentence } else { without_verdict(sentence) }),
            has_condition: has_condition(sentence),
        }
    }
}

/// Numbers in words that measure something, as figures, without those of the question. "One" is often left out.
fn measured_in_words(sentence: &str, named: &HashSet<String>) -> Vec<String> {
    let measured: HashSet<String> = Figures::of(sentence).by_unit.into_values().flatten().collect();
    let new = NUMBER_IN_WORDS.find_iter(sentence).map(|found| found.as_str());
    let new = new.filter(|words| !sparse::terms(words).all(|term| named.contains(&term)));
    let numbers = new.filter_map(number_in_words).filter(|number| *number != 1).map(|number| number.to_string());
    numbers.filter(|number| measured.contains(number)).collect()
}

/// Signs and words of currencies.
const CURRENCIES: [&[&str]; 3] = [&["$", "usd", "dollar"], &["€", "eur", "euro"], &["£", "gbp", "pound"]];

fn has_currency(text: &str, currency: usize) -> bool {
    let lower = text.to_lowercase();
    let stands_alone = |at: usize| !lower[..at].ends_with(char::is_alphanumeric);
    CURRENCIES[currency].iter().any(|sign| lower.match_indices(sign).any(|(at, _)| stands_alone(at)))
}

/// The measured things that a sentence states: days, sums, spans of time, shares, doses.
#[derive(Debug, Default)]
pub(super) struct Figures {
    /// By what they measure.
    by_unit: HashMap<&'static str, HashSet<String>>,
}

impl Figures {
    pub(super) fn of(sentence: &str) -> Self {
        static MEASURED: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(&format!(
                r"(?ix) (?P<sign>[$€£]) \s? (?P<sum>\d[\d,.]*)
                | (?P<number>\d[\d,.]*|{}) \)? [\s-]* (?:business\s|calendar\s|working\s)?
                  (?P<unit>%|(?:percent|dollars?|euros?|pounds?|minutes?|hours?|days?|weeks?|months?|years?|mg|mcg|ml|kg|mmhg)\b)",
                in_words()
            ))
            .expect("the pattern is right")
        });
        let mut figures = Self::default();
        for date in dates(sentence) {
            figures.by_unit.entry("date").or_default().insert(date.day.to_string());
        }
        for found in MEASURED.captures_iter(sentence) {
            let (unit, number) = match (found.name("sign"), found.name("sum")) {
                (Some(sign), Some(sum)) => (sign.as_str(), sum),
                _ => (&found["unit"], found.name("number").expect("the pattern has one of both")),
            };
            let number = match number_in_words(number.as_str()) {
                Some(number) => number.to_string(),
                None => number.as_str().replace(',', "").trim_end_matches('.').trim_end_matches(".00").to_owned(),
            };
            figures.by_unit.entry(measure(unit)).or_default().insert(number);
        }
        figures
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_unit.is_empty()
    }

    /// Whether both state something of one kind, and nothing of it is the same.
    pub(super) fn contradicts(&self, other: &Self) -> bool {
        self.by_unit.iter().any(|(unit, mine)| other.by_unit.get(unit).is_some_and(|theirs| mine.is_disjoint(theirs)))
    }
}

/// A unit under one name.
fn measure(unit: &str) -> &'static str {
    const UNITS: [(&str, &str); 19] = [
        ("$", "$"),
        ("dollar", "$"),
        ("€", "€"),
        ("euro", "€"),
        ("£", "£"),
        ("pound", "£"),
        ("%", "%"),
        ("percent", "%"),
        ("minute", "minutes"),
        ("hour", "hours"),
        ("day", "days"),
        ("week", "weeks"),
        ("month", "months"),
        ("year", "years"),
        ("mg", "mg"),
        ("mcg", "mcg"),
        ("ml", "ml"),
        ("kg", "kg"),
        ("mmhg", "mmHg"),
    ];
    let unit = unit.to_lowercase();
    let known = UNITS.iter().find(|(beginning, _)| unit.starts_with(beginning));
    known.map(|(_, name)| *name).expect("the pattern finds no others")
}

/// Stems of the words with a capital within the sentence: names of people, companies and places, and defined terms.
fn names(sentence: &str, named: &HashSet<String>) -> Vec<String> {
    let sentence = without_verdict(sentence);
    let mut words = sentence.split(|c: char| c.is_whitespace() || matches!(c, '/' | '(' | '"' | '“')).peekable();
    // The first word has its capital from its place.
    while words.next_if(|word| word.is_empty()).is_some() {}
    words.next();
    let capital = |word: &&str| word.chars().next().is_some_and(char::is_uppercase);
    distinct(words.filter(capital).flat_map(sparse::terms).filter(|term| !named.contains(term) && !has_digit(term)))
}

const WORDS: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 8] = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];

/// A number below a hundred that is written in words.
static NUMBER_IN_WORDS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(&format!("(?i){}", in_words())).expect("the pattern is right"));

/// Its pattern.
fn in_words() -> String {
    let (tens, ones, words) = (TENS.join("|"), WORDS[1..10].join("|"), WORDS[1..].join("|"));
    format!(r"\b(?:(?:{tens})(?:[\s-](?:{ones}))?|{words})\b")
}

/// The number that is written in words: "twenty-five" is 25.
fn number_in_words(words: &str) -> Option<usize> {
    let value = |word: &str| {
        let ten = TENS.iter().position(|known| known.eq_ignore_ascii_case(word)).map(|at| (at + 2) * 10);
        WORDS.iter().position(|known| known.eq_ignore_ascii_case(word)).or(ten)
    };
    words.split(|c: char| c == '-' || c.is_whitespace()).map(value).sum()
}

/// Whether a word is a number.
pub(super) fn is_number_in_words(word: &str) -> bool {
    number_in_words(word).is_some()
}

/// All numbers that are written in words, as figures.
fn numbers_in_words(text: &str) -> HashSet<String> {
    let found = NUMBER_IN_WORDS.find_iter(text).filter_map(|found| number_in_words(found.as_str()));
    let mut numbers: HashSet<String> = found.map(|number| number.to_string()).collect();
    if text.to_lowercase().contains("hundred") {
        numbers.insert("100".to_owned());
    }
    numbers
}

/// Whether a sentence says that something is not so, or forbids it.
pub(super) fn denies(sentence: &str) -> bool {
    const WORDS: &[&str] = &["cannot", "neither", "never", "no", "none", "nor", "not", "nothing", "without"];
    const BEGINNINGS: &[&str] = &["exclu", "exempt", "forbid", "prohibit", "waive"];
    sentence.split(|c: char| !c.is_alphanumeric() && c != '\'' && c != '’').any(|word| {
        let word = word.to_lowercase();
        WORDS.contains(&word.as_str())
            || word.ends_with("n't")
            || word.ends_with("n’t")
            || BEGINNINGS.iter().any(|beginning| word.starts_with(beginning))
    })
}

/// Cuts a sentence into what follows a denial, up to the end of its clause, and the rest: "shall not, without consent,
/// assign this lease" denies to assign. Only words that deny by themselves count, not "waives" and its like, nor "not
/// later than".
fn split_at_denials(sentence: &str) -> (String, String) {
    static DENIED: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?i)\b(?:not|never|cannot|neither|no)\b(?:\s*,[^,.;]*,)?:?\s*(?P<denied>[^,.;:]*)")
            .expect("the pattern is right")
    });
    const LIMITS: [&str; 9] = ["later", "less", "more", "exceed", "only", "limited", "fewer", "earlier", "longer"];
    const TURNS: [&str; 5] = [" but ", " and shall ", " and may ", " and must ", " and will "];
    let (mut denied, mut rest, mut end) = (String::new(), String::new(), 0);
    for found in DENIED.captures_iter(sentence) {
        let part = found.name("denied").expect("it is in every match");
        if LIMITS.iter().any(|word| part.as_str().starts_with(word)) {
            continue;
        }
        let length = TURNS.iter().filter_map(|turn| part.as_str().find(turn)).min().unwrap_or(part.len());
        rest.push_str(&sentence[end..part.start()]);
        denied.push_str(&part.as_str()[..length]);
        denied.push(' ');
        end = part.start() + length;
    }
    rest.push_str(&sentence[end..]);
    (denied, rest)
}

/// Whether a sentence says under which condition something is so.
fn has_condition(sentence: &str) -> bool {
    const WORDS: &[&str] = &[
        "after",
        "approval",
        "approved",
        "before",
        "consent",
        "except",
        "if",
        "only",
        "permission",
        "prior",
        "provided",
        "subject",
        "unless",
        "until",
        "upon",
        "when",
        "without",
    ];
    let mut words = sentence.split(|c: char| !c.is_alphanumeric());
    words.any(|word| WORDS.contains(&word.to_lowercase().as_str()) || word.to_lowercase().starts_with("requir"))
}

/// Whether a sentence is a yes or a no and nothing else.
pub(super) fn is_yes_or_no(sentence: &str) -> bool {
    let word = sentence.trim_matches(|c: char| !c.is_alphanumeric());
    word.eq_ignore_ascii_case("yes") || word.eq_ignore_ascii_case("no")
}

/// The sentence without the yes or no that it begins with: that is the answer, and what follows is what is claimed.
fn without_verdict(sentence: &str) -> &str {
    let rest = sentence.trim_start_matches(|c: char| !c.is_alphanumeric());
    let word = rest.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    if is_yes_or_no(word) { rest[word.len()..].trim_start_matches([',', '.', ':', ';', ' ', '*']) } else { sentence }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::evidence::tests::page;

    fn check(claim: &str, evidence: &str, agrees: bool) {
        let named = ["tenant", "rent"].map(str::to_owned).into();
        let claim = Claim::of(claim, &[], &named, &page(evidence).rarity);
        assert_eq!(claim.agrees_with(&[evidence]), agrees, "{claim:?} / {evidence}");
    }

    #[test]
    fn what_can_be_checked_word_for_word_must_stand_in_the_evidence() {
        check("The term is 2 years.", "The term is two (2) years.", true);
        check("The term is 2 years.", "The term is two years.", true);
        check("The term is 3 years.", "The term is two years.", false);
        check("It ends on February 29, 2028.", "It ends on 29 February 2028.", true);
        check("It ends on February 28, 2028.", "It ends on 29 February 2028.", false);
        check("The fee is $500.", "The fee is 500 dollars.", true);
        check("The fee is €500.", "The fee is $500.", false);
        check("It is governed by the law of Texas.", "The laws of the State of Texas govern.", true);
        check("It is governed by the law of Ohio.", "The laws of the State of Texas govern.", false);
        check("He pays the Tenant the Rent.", "what is due is paid", true);
        check("Late rent bears no interest.", "Late rent bears interest.", false);
        check("Late rent bears no interest.", "Late rent does not bear interest.", true);
        check("The notice period is ninety days.", "The notice period is sixty days.", false);
        check("The notice period is ninety days.", "Notice is given 90 days before.", true);
        check("Both of the two parties sign.", "The parties sign.", true);
        check("No.", "Late rent bears interest.", false);
        check("No.", "Late rent bears no interest.", true);
    }

    #[test]
    fn what_is_forbidden_supports_no_sentence_that_it_is_so() {
        let forbidden = "The Tenant may not sublet the Premises or keep animals in them.";
        check("The Tenant may sublet the Premises.", forbidden, false);
        check("The Tenant may not sublet the Premises.", forbidden, true);
        let but_for = "The Tenant shall not, without the consent of the Landlord, assign this Lease.";
        check("The Tenant may assign this Lease.", but_for, false);
        check("The Tenant may assign this Lease with the Landlord's consent.", but_for, true);
        check("The Tenant may sublet.", "The Tenant shall not: (b) sublet the Premises;", false);
        let both = "The Tenant pays the Rent on the first day and shall not deduct any sum.";
        check("The Tenant pays the Rent on the first day.", both, true);
        check("Payment is due within 30 days.", "Payment is due not later than 30 days after the invoice.", true);
        check("It may be assigned.", "It may not be sold but may be assigned.", true);
    }

    #[test]
    fn figures_of_one_kind_are_compared() {
        let contradict = |a: &str, b: &str| Figures::of(a).contradicts(&Figures::of(b));
        assert!(contradict("The rent is $4,500.", "From May the rent is 5,200 dollars."));
        assert!(contradict("thirty (30) days' notice", "a notice of 60 days"));
        assert!(contradict("It ends on May 1, 2025.", "It ends on 31 December 2026."));
        assert!(!contradict("The rent is $4,500.00.", "The rent of $4,500 is due in 5 days."));
        assert!(!contradict("Section 4 says so.", "Section 5 says so."));
        assert!(!contradict("ten days", "The fee is $10."));
        assert!(contradict("5 mg of amlodipine", "10 mg of amlodipine, 70 kg"));
        assert!(!contradict("5 mg of amlodipine", "70 kg, 10 daylight lamps"));
        assert!(contradict("within thirty days", "within ninety days"));
        assert!(!contradict("within twenty-five days", "25 days"));
        assert!(contradict("within twenty-five days", "within twenty days"));
    }

    #[test]
    fn a_no_before_the_claim_is_the_answer_and_no_denial() {
        check("No, assignment needs consent.", "An assignment needs written consent.", true);
        check("No, it is not assignable.", "It is assignable.", false);
    }
}
