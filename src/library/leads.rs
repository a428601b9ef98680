//! What a line leaves to the words before it. "(b) sublet the Premises;" says the opposite of what it seems to under
//! "The Tenant shall not:", and so does the rest of a sentence whose denial stands on the page before. Such a line takes
//! its lead-in along, whether it is compared, read, quoted or checked.

use std::{ops::Range, sync::LazyLock};

use regex::Regex;

use super::{
    claims::denies,
    evidence::{Line, Stretch},
};
use crate::{sparse, text};

/// Words that govern a line from further off, or from the page before.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lead {
    /// Which stretch they stand in.
    pub stretch: usize,
    /// Bytes in the page's text.
    pub range: Range<usize>,
}

impl Lead {
    pub(super) fn text<'s>(&self, stretches: &'s [Stretch]) -> &'s str {
        &stretches[self.stretch].text[self.range.clone()]
    }
}

/// What a sentence ends with that leaves nothing open.
const ENDS: [char; 4] = ['.', '?', '!', ':'];

/// Looks for the lead-in of each line; only one that denies something is taken, since nothing else turns a line over.
pub(super) fn take_leads(stretches: &[Stretch], lines: &mut [Line]) {
    let text = |line: &Line| &stretches[line.stretch].text[line.range.clone()];
    // Of the list that the lines are in, and of the sentence that the line before left open.
    let (mut of_list, mut open): (Option<Lead>, Option<Lead>) = (None, None);
    let mut before: Option<(usize, bool)> = None;
    for line in lines {
        let stretch = &stretches[line.stretch];
        let own = text(line).to_owned();
        let (last, is_open) = before.unwrap_or((line.stretch, false));
        if last != line.stretch && !follows(&stretches[last], stretch) {
            (of_list, open) = (None, None);
        }
        let is_item = ITEM.is_match(&own);
        let lead = if is_item {
            of_list.clone()
        } else {
            of_list = None;
            open.take().filter(|_| is_open && own.starts_with(char::is_lowercase) && !STATES.is_match(&own))
        };
        // What begins here governs what comes after it.
        let at = |range: Range<usize>| Lead {
            stretch: line.stretch,
            range: line.range.start + range.start..line.range.start + range.end,
        };
        if let Some(colon) = opens_list(&own) {
            of_list = denies(&own[..colon]).then(|| at(0..colon)).or(lead.clone());
        }
        let denial = DENIAL.find(&own).map(|denial| at(0..denial.end()));
        open = denial.or(lead.clone());
        before = Some((line.stretch, !own.ends_with(ENDS)));
        if let Some(lead) = &lead {
            line.terms.extend(sparse::terms(lead.text(stretches)));
        }
        line.lead = lead;
    }
}

/// What a line says, after what governs it.
pub(super) fn said(stretches: &[Stretch], line: &Line) -> String {
    let own = &stretches[line.stretch].text[line.range.clone()];
    line.lead.as_ref().map_or_else(|| own.to_owned(), |lead| format!("{} {own}", lead.text(stretches)))
}

/// Whether a page leaves a sentence open that denies something, and the next one goes on with it.
pub(super) fn runs_on(page: &str, next: &str) -> bool {
    let last = text::sentences(page).pop().map(|range| &page[range]).unwrap_or_default();
    !last.ends_with(ENDS) && DENIAL.is_match(last) && next.trim_start().starts_with(char::is_lowercase)
}

/// Whether the second goes on where the first ends.
fn follows(first: &Stretch, second: &Stretch) -> bool {
    first.document == second.document && first.page + 1 == second.page && first.n == second.n
}

/// Where a line says that a list comes: after its colon.
fn opens_list(line: &str) -> Option<usize> {
    if line.ends_with(':') {
        return Some(line.len());
    }
    LIST.find(line).map(|found| found.start() + 1)
}

static ITEM: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^(?:(?:and|or)\s+)?(?:\(?[a-zA-Z]{1,4}\)|\(?\d{1,2}[.)]|[-•–])\s"));
static LIST: LazyLock<Regex> = LazyLock::new(|| pattern(r":\s+(?:\(?[a-zA-Z]{1,4}\)|\(?\d{1,2}[.)])\s"));
static DENIAL: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(?i)\b(?:(?:shall|may|must|will|can|should|do|does|is|are|was|were)\s+not|cannot|never)\b")
});
/// A part with a verb of its own stands for itself.
static STATES: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i)\b(?:shall|may|must|will|can|should|do|does|is|are|was|were|has|have)\b"));

fn pattern(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is right")
}

#[cfg(test)]
mod tests {
    use crate::library::evidence::tests::{on_pages, page};

    use super::said;

    fn check(pages: &[&str], expected: &[&str]) {
        let evidence = on_pages(pages);
        let lines: Vec<String> = evidence.lines.iter().map(|line| said(&evidence.stretches, line)).collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn an_item_of_what_is_forbidden_takes_along_that_it_is() {
        check(
            &["The Tenant shall not: (a) assign this Lease; (b) sublet it; or (c) keep animals. He pays the rent."],
            &[
                "The Tenant shall not: (a) assign this Lease;",
                "The Tenant shall not: (b) sublet it;",
                "The Tenant shall not: or (c) keep animals.",
                "He pays the rent.",
            ],
        );
        check(
            &["The Tenant shall: (a) insure the Premises; (b) pay the rent."],
            &["The Tenant shall: (a) insure the Premises;", "(b) pay the rent."],
        );
        check(
            &["The Tenant shall not assign this Lease; sublet the Premises; the Landlord may enter."],
            &[
                "The Tenant shall not assign this Lease;",
                "The Tenant shall not sublet the Premises;",
                "the Landlord may enter.",
            ],
        );
    }

    #[test]
    fn a_sentence_goes_on_overleaf() {
        let open = "The Tenant shall not, without consent,";
        check(
            &[open, "assign this Lease or sublet the Premises. He may paint."],
            &[open, "The Tenant shall not assign this Lease or sublet the Premises.", "He may paint."],
        );
        check(
            &["The Tenant shall not paint.", "assign this Lease"],
            &["The Tenant shall not paint.", "assign this Lease"],
        );
    }

    #[test]
    fn a_quote_has_what_governs_it() {
        let quotes = |text: &str| -> Vec<String> {
            let evidence = page(text);
            let last = evidence.lines.last().expect("there are lines");
            evidence.quotes_of(last, &[], 0.0).into_iter().map(|quote| quote.quote).collect()
        };
        let near = "The Tenant shall not: (a) assign this Lease; (b) sublet the Premises.";
        assert_eq!(quotes(near), [near]);
        let far = near.replace("this Lease", &"this Lease ".repeat(60));
        assert_eq!(quotes(&far), ["The Tenant shall not:", "(b) sublet the Premises."]);
    }
}
