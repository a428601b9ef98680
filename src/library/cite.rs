//! Citations: each sentence of an answer is matched to the evidence that supports it. A quote is cut out of the stored
//! page, never taken from the model, so it is verbatim by construction; a sentence without support is never shown as if
//! it had some.

use std::fmt::Write as _;
use std::{collections::HashSet, ops::Range};

use super::{
    claims::{Claim, is_yes_or_no},
    evidence::{Evidence, Line, Quote, distinct},
};
use crate::{config::Unsupported, sparse, text};

/// An answer with a mark such as `[2]` after each sentence that is supported, and a quote for each mark, in order.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Cited {
    pub answer: String,
    pub quotes: Vec<Quote>,
    /// Sentences that something in the passages supports.
    pub supported: usize,
    /// Sentences that nothing does: left out or marked.
    pub unsupported: usize,
}

/// A sentence is supported when the quote holds this share of the weight of its terms. Chosen by reading some thirty
/// answers of the 1.5B model, not fitted.
const ENOUGH: f32 = 0.5;
/// Above this a sentence needs no second quote.
const PLENTY: f32 = 0.85;
/// A second quote must add this much, and beside one that is enough by itself this much of what the question does not
/// say already: else a cover with the parties' names, or any clause with a word of the question, would be quoted.
const WORTH_A_SECOND: f32 = 0.2;
/// How much of a line's nearness to the question counts when several hold as much of a sentence.
const NEARNESS: f32 = 0.2;
/// What follows a sentence that is shown without support.
pub(super) const NOT_SUPPORTED: &str = "(not supported by the files)";

/// What an answer is to.
pub(super) struct Question {
    /// As it was asked, with the names of documents.
    pub asked: String,
    /// The same without.
    pub unnamed: String,
    /// Names in it that stand in none of the files.
    pub unknown: Vec<String>,
}

/// Matches the sentences of `answer`.
pub(super) fn cite(answer: &str, question: &Question, evidence: &Evidence, unsupported: Unsupported) -> Cited {
    let answer = without_marks(answer, evidence);
    let mut named: HashSet<String> = sparse::terms(&question.asked).collect();
    // Who asks of somebody that no file names must not get another's facts under that name.
    for term in question.unknown.iter().flat_map(|name| sparse::terms(name)) {
        named.remove(&term);
    }
    let asked = distinct(sparse::terms(&question.unnamed));
    let mut cited = Cited::default();
    let mut told = Told::default();
    let mut end = 0;
    for range in units(&answer) {
        let sentence = &answer[range.clone()];
        let claim = Claim::of(sentence, &asked, &named, &evidence.rarity);
        // A list keeps its lines.
        let gap = if answer[end..range.start].contains('\n') { '\n' } else { ' ' };
        if claim.is_empty() {
            continue;
        }
        let lines = support(&claim, evidence);
        if told.again(sentence, gap, !lines.is_empty()) {
            continue;
        }
        if lines.is_empty() {
            cited.unsupported += 1;
            if unsupported == Unsupported::Mark {
                end = range.end;
                cited.push(gap, sentence);
                cited.answer.push(' ');
                cited.answer.push_str(NOT_SUPPORTED);
            }
            continue;
        }
        end = range.end;
        cited.supported += 1;
        cited.push(gap, sentence);
        let terms = claim.terms();
        for (line, score) in lines {
            for quote in evidence.quotes_of(line, &terms, score) {
                let _ = write!(cited.answer, " [{}]", quote.n);
                cited.quotes.push(quote);
            }
        }
    }
    cited
}

impl Cited {
    fn push(&mut self, gap: char, sentence: &str) {
        if !self.answer.is_empty() {
            self.answer.push(gap);
        }
        self.answer.push_str(&in_round_brackets(sentence));
    }
}

/// Words for an answer, where square brackets around a number are marks: a file's own, such as `[14]`, become round.
pub(super) fn in_round_brackets(words: &str) -> String {
    let mut round = String::with_capacity(words.len());
    let mut rest = words;
    while let Some((before, number, after)) = next_mark(rest) {
        let _ = write!(round, "{before}({number})");
        rest = after;
    }
    round.push_str(rest);
    round
}

/// What an answer has said: small models begin over.
#[derive(Default)]
struct Told {
    /// The words of each sentence, and whether it has support.
    sentences: Vec<(Vec<String>, bool)>,
}

impl Told {
    /// Whether a sentence says over what one before it said, all of it or, if it has more than a few words, part of it;
    /// if not, it is noted. One without support stands for no other that has some. On a line of its own it is compared
    /// with the line before it only: the same item may stand under two headings.
    fn again(&mut self, sentence: &str, gap: char, is_supported: bool) -> bool {
        const FEW: usize = 4;
        let words = words(sentence);
        let repeats = |told: &[String]| {
            words == told || (words.len() > FEW && told.windows(words.len()).any(|part| part == words))
        };
        let looked_at = if gap == '\n' { 1 } else { usize::MAX };
        let mut before = self.sentences.iter().rev().take(looked_at);
        if before.any(|(told, has_support)| (*has_support || !is_supported) && repeats(told)) {
            return true;
        }
        self.sentences.push((words, is_supported));
        false
    }
}

/// The words of a sentence with all that tells them apart ("$5", "5%", "A+", ".5"), without punctuation around them and
/// without the mark of a list.
fn words(sentence: &str) -> Vec<String> {
    const BEFORE: &[char] = &['"', '\u{201c}', '*'];
    const AFTER: &[char] = &['.', ',', ';', ':', '!', '?', '"', '\u{201d}', '*'];
    let (first, rest) = sentence.split_once(' ').unwrap_or((sentence, ""));
    let is_number = first.strip_suffix(['.', ')']).is_some_and(|digits| digits.chars().all(|c| c.is_ascii_digit()));
    let sentence = if is_number || ["-", "*", "\u{2022}"].contains(&first) { rest } else { sentence };
    let word = |word: &str| word.trim_start_matches(BEFORE).trim_end_matches(AFTER).to_lowercase();
    sentence.split_whitespace().map(word).filter(|word| !word.is_empty()).collect()
}

/// The sentences of an answer; a yes or no belongs to the sentence after it, which is its reason.
fn units(answer: &str) -> Vec<Range<usize>> {
    let mut units = Vec::new();
    let mut verdict: Option<Range<usize>> = None;
    for range in text::sentences(answer) {
        if verdict.is_none() && is_yes_or_no(&answer[range.clone()]) {
            verdict = Some(range);
            continue;
        }
        let start = verdict.take().map_or(range.start, |verdict| verdict.start);
        units.push(start..range.end);
    }
    units.extend(verdict);
    units
}

/// The one or two lines that support a claim, with how near they are to the question; none when they do not hold enough
/// of it, or not all that must stand there.
fn support<'e>(claim: &Claim, evidence: &'e Evidence) -> Vec<(&'e Line, f32)> {
    let holds = |line: &Line, term: &str| line.terms.iter().any(|known| known == term);
    let nearness = |at: usize| evidence.scores[at].unwrap_or(0.0);
    let shares: Vec<f32> = evidence.lines.iter().map(|line| claim.held_by(|term| holds(line, term))).collect();
    let mut ranked: Vec<usize> = (0..shares.len()).filter(|at| shares[*at] > 0.0).collect();
    let value = |at: usize| shares[at] + NEARNESS * nearness(at);
    ranked.sort_by(|a, b| value(*b).total_cmp(&value(*a)).then(a.cmp(b)));
    // The best line may lack a figure that one of the next has.
    for &best in ranked.iter().take(4) {
        let line = &evidence.lines[best];
        let alone = shares[best] >= ENOUGH && claim.agrees_with(&[&evidence.said(line)]);
        if alone && shares[best] >= PLENTY {
            return vec![(line, nearness(best))];
        }
        let with = |other: &Line| claim.held_by(|term| holds(line, term) || holds(other, term));
        let told = claim.told_by(|term| holds(line, term));
        let tells_more = |at: usize| {
            let both = claim.told_by(|term| holds(line, term) || holds(&evidence.lines[at], term));
            both >= told + WORTH_A_SECOND
        };
        let second = ranked
            .iter()
            .filter(|at| **at != best && (!alone || tells_more(**at)))
            .map(|at| (*at, with(&evidence.lines[*at])))
            .max_by(|(a, x), (b, y)| x.total_cmp(y).then(value(*a).total_cmp(&value(*b))))
            .filter(|(_, both)| *both >= shares[best] + WORTH_A_SECOND && *both >= ENOUGH);
        if let Some((second, _)) = second {
            let other = &evidence.lines[second];
            if claim.agrees_with(&[&evidence.said(line), &evidence.said(other)]) {
                return vec![(line, nearness(best)), (other, nearness(second))];
            }
        }
        if alone {
            return vec![(line, nearness(best))];
        }
    }
    Vec::new()
}

/// Marks that the model itself wrote are dropped: where a sentence stands is found out here, not believed. A number in
/// brackets that the files have beside the same word is of their words (`Smith v Jones [2019] EWCA Civ 12`) and stays.
fn without_marks(answer: &str, evidence: &Evidence) -> String {
    let mut clean = String::with_capacity(answer.len());
    let mut rest = answer;
    while let Some((before, number, after)) = next_mark(rest) {
        clean.push_str(before);
        if is_of_the_files(&clean, number, after, evidence) {
            let _ = write!(clean, "[{number}]");
        } else {
            clean.truncate(clean.trim_end_matches(' ').len());
        }
        rest = after;
    }
    clean.push_str(rest);
    clean.trim().to_owned()
}

/// Whether a number stands in brackets in the evidence too, after the word before it or, where there is none, before the
/// word after it.
fn is_of_the_files(before: &str, number: &str, after: &str, evidence: &Evidence) -> bool {
    let without_blanks = |text: &str| text.split_whitespace().collect::<String>();
    let stands = |words: &str| {
        let wanted = without_blanks(words);
        evidence.lines.iter().any(|line| without_blanks(evidence.text(line)).contains(&wanted))
    };
    let is_word = |word: &&str| word.contains(char::is_alphanumeric);
    let last = before.split_whitespace().next_back().filter(is_word);
    let next = after.split_whitespace().next().filter(is_word);
    match (last, next) {
        (Some(last), _) => stands(&format!("{last}[{number}]")),
        (None, Some(next)) => stands(&format!("[{number}]{next}")),
        (None, None) => false,
    }
}

/// The first number, or numbers, in square brackets: what stands before them, they, and what stands after them.
fn next_mark(text: &str) -> Option<(&str, &str, &str)> {
    text.match_indices('[').find_map(|(open, _)| {
        let (inner, after) = text[open + 1..].split_once(']')?;
        let is_mark = inner.contains(|c: char| c.is_ascii_digit())
            && inner.chars().all(|c| c.is_ascii_digit() || matches!(c, ',' | ' ' | '-' | '+'));
        is_mark.then_some((&text[..open], inner, after))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::evidence::tests::page;

    const PAGE: &str = "4. Term. This Agreement starts on March 1, 2024 and ends on February 29, 2028.\n\
        5. Fees. The Tenant pays $4,500 a month, due on the first day. Late payments bear interest of 2 % a month.";

    fn asked(question: &str) -> Question {
        Question { asked: question.to_owned(), unnamed: question.to_owned(), unknown: Vec::new() }
    }

    fn check_as(unsupported: Unsupported, answer: &str, question: &str, expected: &str, quotes: &[&str]) {
        let cited = cite(answer, &asked(question), &page(PAGE), unsupported);
        assert_eq!(cited.answer, expected);
        assert_eq!(cited.quotes.iter().map(|quote| quote.quote.as_str()).collect::<Vec<_>>(), quotes);
        let is_exact = |quote: &Quote| PAGE[quote.start as usize..quote.end as usize] == quote.quote;
        assert!(cited.quotes.iter().all(|quote| quote.page == 7 && is_exact(quote)));
    }

    fn check(answer: &str, question: &str, expected: &str, quotes: &[&str]) {
        check_as(Unsupported::Drop, answer, question, expected, quotes);
    }

    #[test]
    fn a_sentence_is_cited_with_the_words_of_the_page() {
        check(
            "The agreement ends on February 29, 2028.",
            "When does it end?",
            "The agreement ends on February 29, 2028. [3]",
            &["This Agreement starts on March 1, 2024 and ends on February 29, 2028."],
        );
    }

    #[test]
    fn a_number_that_is_not_in_the_passage_is_not_shown() {
        check("The Tenant pays $5,500 a month.", "What is the rent?", "", &[]);
        check(
            "The Tenant pays $4,500 a month. The deposit is three rents.",
            "What is the rent?",
            "The Tenant pays $4,500 a month. [3]",
            &["The Tenant pays $4,500 a month, due on the first day."],
        );
    }

    #[test]
    fn a_sentence_without_support_can_be_shown_as_such() {
        check_as(
            Unsupported::Mark,
            "The Tenant pays $5,500 a month.",
            "What is the rent?",
            "The Tenant pays $5,500 a month. (not supported by the files)",
            &[],
        );
    }

    #[test]
    fn what_a_passage_does_not_speak_of_is_not_denied_by_it() {
        check("No, late payments do not bear interest of 2 % a month.", "Do late payments bear interest?", "", &[]);
    }

    #[test]
    fn what_was_said_is_not_said_again() {
        let ends = "This Agreement starts on March 1, 2024 and ends on February 29, 2028.";
        let once = format!("{ends} [3]");
        let asks = "When does it end?";
        check(&format!("{ends} {ends}"), asks, &once, &[ends]);
        check(&format!("{ends}\n{ends}"), asks, &once, &[ends]);
        check(&format!("{ends}\nThis Agreement starts on March 1, 2024."), asks, &once, &[ends]);
        let short = format!("February 29, 2028. {ends}");
        check(&short, asks, &format!("February 29, 2028. [3] {ends} [3]"), &[ends, ends]);
        let pays = "The Tenant pays $4,500 a month, due on the first day.";
        let both = "The Tenant pays $4,500 a month, and the deposit is $5,500.";
        let marked = |answer: &str, expected: &str, quotes: &[&str]| {
            check_as(Unsupported::Mark, answer, "What does he pay?", expected, quotes);
        };
        marked(&format!("{both} {both}"), &format!("{both} (not supported by the files)"), &[]);
        marked(
            &format!("{both} The Tenant pays $4,500 a month."),
            &format!("{both} (not supported by the files) The Tenant pays $4,500 a month. [3]"),
            &[pays],
        );
        let left_out = cite(&format!("{both} {both}"), &asked(asks), &page(PAGE), Unsupported::Drop).unsupported;
        assert_eq!(left_out, 1);
    }

    #[test]
    fn only_the_same_words_are_the_same() {
        let check = |sentences: &[(&str, char)], again: &[bool]| {
            let mut told = Told::default();
            let found: Vec<bool> = sentences.iter().map(|(words, gap)| told.again(words, *gap, true)).collect();
            assert_eq!(found, again, "{sentences:?}");
        };
        check(&[("The late fee is $5.", ' '), ("The late fee is 5 %.", ' ')], &[false; 2]);
        let dose = "5 mg of lorazepam in the evening";
        check(&[(&format!("1.{dose}"), ' '), (dose, ' ')], &[false; 2]);
        check(&[("Her blood group is A+.", ' '), ("Her blood group is A-.", ' ')], &[false; 2]);
        check(&[("-5 degrees", ' '), ("5 degrees", ' ')], &[false; 2]);
        check(&[("She takes .5 mg daily.", ' '), ("She takes 5 mg daily.", ' ')], &[false; 2]);
        let item = "Aspirin 100 mg";
        check(&[("Morning:", ' '), (item, '\n'), ("Evening:", '\n'), (item, '\n')], &[false; 4]);
        check(&[("1. The roof", ' '), ("2. The roof", '\n'), ("- the roof", '\n')], &[false, true, true]);
    }

    #[test]
    fn marks_of_the_model_are_not_believed() {
        check(
            "Late payments bear interest of 2 % a month [1].",
            "What happens when rent is late?",
            "Late payments bear interest of 2 % a month. [3]",
            &["Late payments bear interest of 2 % a month."],
        );
    }

    #[test]
    fn facts_of_another_are_not_told_under_a_name_that_no_file_has() {
        let (question, answer) =
            ("What dose of warfarin does Mr. Miller take?", "Mr. Miller takes 5 mg of warfarin daily.");
        let evidence = page("Mr. Schmidt takes 5 mg of warfarin daily.");
        let supported = |unknown: &[&str]| {
            let unknown = unknown.iter().map(ToString::to_string).collect();
            cite(answer, &Question { unknown, ..asked(question) }, &evidence, Unsupported::Drop).supported
        };
        assert_eq!((supported(&[]), supported(&["Miller"])), (1, 0));
    }

    #[test]
    fn a_number_in_brackets_that_the_page_has_is_no_mark() {
        let text = "Aspirin is recommended after myocardial infarction [14]. It was held in Smith v Jones [2019] EWCA Civ \
            12. Beta blockers[7][+8] are given too.";
        let check = |answer: &str, expected: &str, quotes: &[&str]| {
            let evidence = crate::library::evidence::tests::page(text);
            let cited = cite(answer, &asked(""), &evidence, Unsupported::Drop);
            assert_eq!(cited.answer, expected);
            assert_eq!(cited.quotes.iter().map(|quote| quote.quote.as_str()).collect::<Vec<_>>(), quotes);
        };
        let aspirin = "Aspirin is recommended after myocardial infarction [14].";
        let beta = "Beta blockers[7][+8] are given too.";
        check(
            "Aspirin is recommended after myocardial infarction [14] [1].",
            "Aspirin is recommended after myocardial infarction (14). [3]",
            &[aspirin],
        );
        check(
            "Aspirin is recommended after myocardial infarction [1].",
            "Aspirin is recommended after myocardial infarction. [3]",
            &[aspirin],
        );
        check(
            "It was held in Smith v Jones [2019] EWCA Civ 12.",
            "It was held in Smith v Jones (2019) EWCA Civ 12. [3]",
            &["It was held in Smith v Jones [2019] EWCA Civ 12."],
        );
        check("[12] Beta blockers are given too.", "Beta blockers are given too. [3]", &[beta]);
        check("Beta blockers[7][+8] are given too.", "Beta blockers(7)(+8) are given too. [3]", &[beta]);
    }

    #[test]
    fn no_words_of_a_file_become_a_mark() {
        let check = |words: &str, expected: &str| assert_eq!(in_round_brackets(words), expected);
        check("[14] and [1, 2] or [3-5]", "(14) and (1, 2) or (3-5)");
        check("[1[2]] [[3]]", "[1(2)] [(3)]");
        check("It is [sic] [ ] or [x], [a] 1] [", "It is [sic] [ ] or [x], [a] 1] [");
    }

    #[test]
    fn a_second_quote_tells_what_the_question_does_not() {
        let question = "When does the Fernhill tenancy agreement end and is notice of it given?";
        let page =
            "The notice of the Fernhill tenancy is given in writing. It all ends on 3 May 2026. The rent is $40.";
        let cited = |answer: &str| {
            let cited = cite(answer, &asked(question), &crate::library::evidence::tests::page(page), Unsupported::Drop);
            cited.quotes.into_iter().map(|quote| quote.quote).collect::<Vec<_>>()
        };
        let ends = "It all ends on 3 May 2026.";
        assert_eq!(cited("The Fernhill tenancy ends on 3 May 2026."), [ends]);
        let both = cited("It ends on 3 May 2026, and the rent is $40.");
        assert_eq!(both, [ends, "The rent is $40."]);
    }

    #[test]
    fn a_yes_stands_and_falls_with_its_reason() {
        let interest = "Late payments bear interest of 2 % a month.";
        check("Yes.", "Do late payments bear interest?", "Yes. [3]", &[interest]);
        check(
            "Yes. Late payments bear interest.",
            "Do late payments bear interest?",
            "Yes. Late payments bear interest. [3]",
            &[interest],
        );
        check("Yes. The landlord may keep a dog in the yard.", "May the landlord keep a dog?", "", &[]);
    }
}
