//! Citations: each sentence of an answer is matched to the sentence of a passage that supports it. A quote is cut
//! out of the stored page, never taken from the model, so it is verbatim by construction.

use std::{collections::HashMap, ops::Range};

use serde::{Deserialize, Serialize};

use crate::{sparse, store::DocumentId, text};

/// Where a sentence of an answer stands in the files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Citation {
    /// Number of the passage, as the marks in the answer have it.
    pub n: usize,
    /// The document.
    pub document: DocumentId,
    /// Its file.
    pub file: String,
    /// The page that the quote stands on.
    pub page: u32,
    /// An exact span of the stored page.
    pub quote: String,
}

/// A stretch of a stored page that a passage shows.
pub(super) struct Evidence<'a> {
    /// Number of the passage.
    pub n: usize,
    pub document: DocumentId,
    pub file: &'a str,
    pub page: u32,
    /// The page's whole text.
    pub page_text: &'a str,
    /// The part of it that the passage shows.
    pub span: Range<usize>,
}

/// An answer with a mark such as `[2]` after each sentence that is supported, and a citation for each mark, in order.
#[derive(Debug, PartialEq)]
pub(super) struct Cited {
    pub answer: String,
    pub citations: Vec<Citation>,
    /// Sentences of the answer that nothing in the passages supports.
    pub unsupported: usize,
}

/// A sentence is supported when the quote holds this share of the weight of its terms. Chosen by reading some thirty
/// answers of the 1.5B model, not fitted.
const ENOUGH: f32 = 0.5;
/// Above this a sentence needs no second quote.
const PLENTY: f32 = 0.85;
/// A second quote must add this much.
const WORTH_A_SECOND: f32 = 0.2;
/// Longest quote in bytes; a longer sentence is cut to the part that matches best.
const QUOTE_BYTES: usize = 600;

pub(super) fn cite(answer: &str, question: &str, evidence: &[Evidence]) -> Cited {
    let answer = without_marks(answer);
    let candidates: Vec<Candidate> = evidence.iter().flat_map(candidates).collect();
    let weights = Weights::of(&candidates);
    let asked: Vec<_> = sparse::terms(question).collect();
    let mut cited = Cited { answer: String::with_capacity(answer.len() + 16), citations: Vec::new(), unsupported: 0 };
    let mut copied = 0;
    for range in text::sentences(&answer) {
        cited.answer.push_str(&answer[copied..range.end]);
        copied = range.end;
        let sentence = &answer[range];
        let claim = Claim::of(sentence, &asked, &weights);
        let chosen = claim.support(&candidates);
        if chosen.is_empty() {
            cited.unsupported += usize::from(!claim.terms.is_empty());
        }
        for candidate in chosen {
            let evidence = candidate.evidence;
            let quote = claim.quote(candidate, &weights);
            cited.answer.push_str(" [");
            cited.answer.push_str(&evidence.n.to_string());
            cited.answer.push(']');
            cited.citations.push(Citation {
                n: evidence.n,
                document: evidence.document,
                file: evidence.file.to_owned(),
                page: evidence.page,
                quote: quote.to_owned(),
            });
        }
    }
    cited.answer.push_str(&answer[copied..]);
    cited
}

/// A sentence of a passage.
struct Candidate<'a> {
    evidence: &'a Evidence<'a>,
    range: Range<usize>,
    terms: Vec<String>,
}

impl<'a> Candidate<'a> {
    fn text(&self) -> &'a str {
        &self.evidence.page_text[self.range.clone()]
    }
}

fn candidates<'a>(evidence: &'a Evidence<'a>) -> Vec<Candidate<'a>> {
    let shown = &evidence.page_text[evidence.span.clone()];
    text::sentences(shown)
        .into_iter()
        .map(|range| {
            let terms = sparse::terms(&shown[range.clone()]).collect();
            let offset = evidence.span.start;
            Candidate { evidence, range: range.start + offset..range.end + offset, terms }
        })
        .filter(|candidate| !candidate.terms.is_empty())
        .collect()
}

/// How much a term says: rare ones among the candidates, and those with digits, say more.
struct Weights(HashMap<String, f32>, f32);

impl Weights {
    fn of(candidates: &[Candidate]) -> Self {
        let mut seen: HashMap<String, f32> = HashMap::new();
        for candidate in candidates {
            let mut terms: Vec<_> = candidate.terms.clone();
            terms.sort();
            terms.dedup();
            for term in terms {
                *seen.entry(term).or_default() += 1.0;
            }
        }
        let all = candidates.len() as f32;
        let weigh = |n: f32| (1.0 + (all - n + 0.5) / (n + 0.5)).ln();
        Self(seen.into_iter().map(|(term, n)| (term, weigh(n))).collect(), weigh(0.0))
    }

    fn of_term(&self, term: &str) -> f32 {
        let rarity = self.0.get(term).copied().unwrap_or(self.1);
        if has_digit(term) { rarity * 2.0 } else { rarity }
    }
}

/// What a sentence of the answer says.
struct Claim {
    /// Its distinct terms with their weights; for a short one ("Yes.") the question's terms are added.
    terms: Vec<(String, f32)>,
    total: f32,
    /// Terms with digits, which its evidence must hold.
    numbers: Vec<String>,
    /// It denies something: so must a quote that alone holds enough. That a passage does not speak of a thing is no proof against it.
    denies: bool,
}

impl Claim {
    fn of(sentence: &str, asked: &[String], weights: &Weights) -> Self {
        let mut own: Vec<_> = sparse::terms(sentence).collect();
        own.sort();
        own.dedup();
        let numbers: Vec<String> = own.iter().filter(|term| has_digit(term)).cloned().collect();
        let mut terms: Vec<_> =
            own.into_iter().map(|term| (weights.of_term(&term), term)).map(|(w, t)| (t, w)).collect();
        if terms.len() < 4 && !terms.is_empty() || is_yes_or_no(sentence) {
            for term in asked {
                if terms.iter().all(|(known, _)| known != term) {
                    terms.push((term.clone(), weights.of_term(term) * 0.5));
                }
            }
        }
        let total = terms.iter().map(|(_, weight)| weight).sum();
        Self { terms, total, numbers, denies: denies(sentence) }
    }

    /// The share of the claim's weight that those terms hold.
    fn held_by(&self, has: impl Fn(&str) -> bool) -> f32 {
        if self.total <= 0.0 {
            return 0.0;
        }
        self.terms.iter().filter(|(term, _)| has(term)).map(|(_, weight)| weight).sum::<f32>() / self.total
    }

    /// The one or two sentences that support the claim; none when they do not hold enough of it, or not its numbers.
    fn support<'c, 'e>(&self, candidates: &'c [Candidate<'e>]) -> Vec<&'c Candidate<'e>> {
        let score = |candidate: &Candidate| self.held_by(|term| candidate.terms.iter().any(|known| known == term));
        let Some((best, share)) =
            candidates.iter().map(|candidate| (candidate, score(candidate))).max_by(|(a, x), (b, y)| {
                x.total_cmp(y).then(b.terms.len().cmp(&a.terms.len())).then(b.evidence.n.cmp(&a.evidence.n))
            })
        else {
            return Vec::new();
        };
        let mut chosen = vec![best];
        let mut held = share;
        if share < PLENTY {
            let with = |candidate: &Candidate| {
                self.held_by(|term| {
                    best.terms.iter().any(|known| known == term) || candidate.terms.iter().any(|known| known == term)
                })
            };
            if let Some((second, both)) =
                candidates.iter().map(|candidate| (candidate, with(candidate))).max_by(|(_, x), (_, y)| x.total_cmp(y))
                && both >= share + WORTH_A_SECOND
            {
                chosen.push(second);
                held = both;
            }
        }
        let has_numbers = self
            .numbers
            .iter()
            .all(|number| chosen.iter().any(|candidate| candidate.terms.iter().any(|term| term == number)));
        let denied = !self.denies || chosen.iter().any(|one| denies(one.text()) && score(one) >= ENOUGH);
        if held >= ENOUGH && has_numbers && denied { chosen } else { Vec::new() }
    }

    /// The candidate's sentence, or when it is very long the window of it that holds most of the claim.
    fn quote<'e>(&self, candidate: &Candidate<'e>, weights: &Weights) -> &'e str {
        let whole = candidate.text();
        if whole.len() <= QUOTE_BYTES {
            return whole;
        }
        let starts: Vec<usize> = std::iter::once(0)
            .chain(whole.match_indices(' ').map(|(at, _)| at + 1))
            .filter(|at| whole.len() - at > QUOTE_BYTES / 2)
            .step_by(8)
            .collect();
        let window = |start: usize| {
            let mut end = (start + QUOTE_BYTES).min(whole.len());
            while !whole.is_char_boundary(end) {
                end -= 1;
            }
            let cut = &whole[start..end];
            if end == whole.len() { cut } else { cut.rfind(' ').map_or(cut, |space| &cut[..space]) }
        };
        let held = |part: &str| {
            let terms: Vec<_> = sparse::terms(part).collect();
            self.terms
                .iter()
                .filter(|(term, _)| terms.contains(term))
                .map(|(term, _)| weights.of_term(term))
                .sum::<f32>()
        };
        starts
            .into_iter()
            .map(|start| (window(start).trim(), held(window(start))))
            .max_by(|(_, a), (_, b)| a.total_cmp(b))
            .map_or(whole, |(part, _)| part)
    }
}

/// Whether a sentence says that something is not so, or forbids it.
fn denies(sentence: &str) -> bool {
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

fn has_digit(term: &str) -> bool {
    term.bytes().any(|byte| byte.is_ascii_digit())
}

fn is_yes_or_no(sentence: &str) -> bool {
    let word = sentence.trim_matches(|c: char| !c.is_alphanumeric());
    word.eq_ignore_ascii_case("yes") || word.eq_ignore_ascii_case("no")
}

/// Marks that the model itself wrote are dropped: where a sentence stands is found out here, not believed.
fn without_marks(answer: &str) -> String {
    let mut clean = String::with_capacity(answer.len());
    let mut rest = answer;
    while let Some(open) = rest.find('[') {
        let mark = rest[open + 1..].find(']').map(|close| open + 1 + close).filter(|close| {
            let inner = &rest[open + 1..*close];
            !inner.is_empty() && inner.chars().all(|c| c.is_ascii_digit() || matches!(c, ',' | ' ' | '-'))
        });
        if let Some(close) = mark {
            clean.push_str(rest[..open].trim_end_matches(' '));
            rest = &rest[close + 1..];
        } else {
            clean.push_str(&rest[..=open]);
            rest = &rest[open + 1..];
        }
    }
    clean.push_str(rest);
    clean.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "4. Term. This Agreement starts on March 1, 2024 and ends on February 29, 2028.\n\
        5. Fees. The Tenant pays $4,500 a month, due on the first day. Late payments bear interest of 2 % a month.";

    fn check(answer: &str, question: &str, expected: &str, quotes: &[&str]) {
        let evidence = [Evidence {
            n: 3,
            document: DocumentId(uuid::Uuid::nil()),
            file: "lease.pdf",
            page: 7,
            page_text: PAGE,
            span: 0..PAGE.len(),
        }];
        let cited = cite(answer, question, &evidence);
        assert_eq!(cited.answer, expected);
        assert_eq!(cited.citations.iter().map(|c| c.quote.as_str()).collect::<Vec<_>>(), quotes);
        assert!(cited.citations.iter().all(|c| c.page == 7 && PAGE.contains(&c.quote)));
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
    fn a_number_that_is_not_in_the_passage_gets_no_citation() {
        check("The Tenant pays $5,500 a month.", "What is the rent?", "The Tenant pays $5,500 a month.", &[]);
    }

    #[test]
    fn what_a_passage_does_not_speak_of_is_not_denied_by_it() {
        check(
            "No, late payments do not bear interest of 2 % a month.",
            "Do late payments bear interest?",
            "No, late payments do not bear interest of 2 % a month.",
            &[],
        );
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
    fn a_bare_yes_is_cited_by_what_was_asked() {
        check("Yes.", "Do late payments bear interest?", "Yes. [3]", &["Late payments bear interest of 2 % a month."]);
    }
}
