//! What of a page is its body: page numbers and running heads are left out of chunks, so that a
//! sentence goes on overleaf and no chunk ends in `13  Source: ACME, 10-K`. The page keeps them.

use std::collections::HashMap;
use std::ops::Range;

use crate::Page;

/// Running heads and feet have at most so many lines.
const MAX_LINES: usize = 3;
/// On so many pages, and on half of all, a line must stand to be a running head.
const MIN_PAGES: usize = 3;

/// The byte range of each page's body; empty where the page has no text.
pub(crate) fn bodies(pages: &[Page]) -> Vec<Range<usize>> {
    let mut counts: HashMap<Mark<'_>, usize> = HashMap::new();
    for page in pages {
        let lines = lines(&page.text);
        let edge = |at: usize| at < MAX_LINES || at + MAX_LINES >= lines.len();
        let mut marks: Vec<Mark<'_>> = lines
            .iter()
            .enumerate()
            .filter(|(at, _)| edge(*at))
            .flat_map(|(_, line)| Mark::both(&page.text[line.clone()], page.number))
            .collect();
        marks.sort_unstable();
        marks.dedup();
        for mark in marks {
            *counts.entry(mark).or_default() += 1;
        }
    }
    let with_text = pages.iter().filter(|page| !page.text.is_empty()).count();
    let least = MIN_PAGES.max(with_text.div_ceil(2));
    let repeats = |mark: &Mark<'_>| counts.get(mark).is_some_and(|&count| count >= least);
    pages.iter().map(|page| body(page, repeats)).collect()
}

fn body(page: &Page, repeats: impl Fn(&Mark<'_>) -> bool) -> Range<usize> {
    let lines = lines(&page.text);
    let is_extra = |line: &&Range<usize>| {
        let line = &page.text[(*line).clone()];
        page.label.as_deref() == Some(line)
            || Mark::both(line, page.number).iter().any(|mark| mark.is_own_number() || repeats(mark))
    };
    let whole = 0..page.text.len();
    let head = lines.iter().take(MAX_LINES).take_while(is_extra).count();
    let foot = lines.iter().rev().take(MAX_LINES).take_while(is_extra).count();
    if head + foot >= lines.len() {
        return whole;
    }
    let body = lines[head].start..lines[lines.len() - foot - 1].end;
    // A page of nothing but numbers and rules may be a table: better noise than a loss.
    if page.text[body.clone()].contains(char::is_alphabetic) { body } else { whole }
}

/// A line without its page number, and how far that number is from the page's own: the same on
/// every page for `Page 3 of 9`, and different for `Chapter 3`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Mark<'a> {
    rest: &'a str,
    offset: Option<i64>,
}

impl<'a> Mark<'a> {
    /// The line as it is, which may end in a date, and the line without its number.
    fn both(line: &'a str, page: u32) -> [Self; 2] {
        let whole = Self { rest: line, offset: None };
        [whole, Self::numbered(line, page).unwrap_or(whole)]
    }

    fn numbered(line: &'a str, page: u32) -> Option<Self> {
        const DRESSING: [char; 8] = [' ', '-', '–', '—', '|', '.', '[', ']'];
        let bare = line.trim_matches(DRESSING);
        let (bare, _) = bare.rsplit_once(" of ").filter(|(_, total)| is_number(total)).unwrap_or((bare, ""));
        let without_end = bare.trim_end_matches(|c: char| c.is_ascii_digit());
        let without_start = bare.trim_start_matches(|c: char| c.is_ascii_digit());
        let at_end = &bare[without_end.len()..];
        let at_start = &bare[..bare.len() - without_start.len()];
        let (number, rest) =
            [(at_end, without_end), (at_start, without_start)].into_iter().find(|(number, _)| is_number(number))?;
        Some(Self { rest: rest.trim_matches(DRESSING), offset: Some(number.parse::<i64>().ok()? - i64::from(page)) })
    }

    /// `7`, `- 7 -` or `Page 7 of 9` on page 7.
    fn is_own_number(&self) -> bool {
        self.offset == Some(0) && (self.rest.is_empty() || self.rest.eq_ignore_ascii_case("page"))
    }
}

fn is_number(text: &str) -> bool {
    (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The byte ranges of the lines that are not blank.
fn lines(text: &str) -> Vec<Range<usize>> {
    let mut start = 0;
    let mut lines = Vec::new();
    for line in text.split('\n') {
        if !line.trim().is_empty() {
            lines.push(start..start + line.len());
        }
        start += line.len() + 1;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::plain_page;

    fn check(pages: &[&str], expected: &[&str]) {
        let pages: Vec<Page> = (1..).zip(pages).map(|(number, text)| plain_page(number, (*text).to_owned())).collect();
        let found: Vec<&str> = bodies(&pages).into_iter().zip(&pages).map(|(body, page)| &page.text[body]).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn page_numbers_and_running_heads_are_left_out() {
        check(
            &[
                "ACME Lease\nThe tenant\n\n- 4 -\nSource: ACME, 10-K, 3/21/2019",
                "ACME Lease\npays\n\n- 5 -\nSource: ACME, 10-K, 3/21/2019",
                "ACME Lease\nrent.\n\n- 6 -\nSource: ACME, 10-K, 3/21/2019",
            ],
            &["The tenant", "pays", "rent."],
        );
        check(&["The tenant\n\n1", "pays\nPage 2 of 2"], &["The tenant", "pays"]);
    }

    #[test]
    fn text_that_only_looks_like_a_running_head_stays() {
        check(&["a1", "a2", "a3"], &["a1", "a2", "a3"]);
        check(&["Chapter 1\nx", "Chapter 5\ny", "Chapter 9\nz"], &["Chapter 1\nx", "Chapter 5\ny", "Chapter 9\nz"]);
        check(&["Rent: 1200\n2024", "", "3"], &["Rent: 1200\n2024", "", "3"]);
    }
}
