//! A chunk that goes on overleaf: a page that holds only an end of it, or nothing of what is asked, is left off, so that
//! a passage opens on the page that bears on the question.

use std::ops::Range;

use premise_ingest::PageSpan;

use super::{leads::runs_on, lexical::Asked};
use crate::db::ChunkRow;

/// A page with less than this share of the chunk holds an end of it.
const LEAST_SHARE: f32 = 0.15;
/// A page with less than this share of the words that the best page holds bears less on the question.
const LEAST_COVERED: f32 = 0.5;

/// Cuts a chunk to the pages that bear on the question: from the first such page to the last.
pub(super) fn trim(row: &mut ChunkRow, asked: &Asked) {
    let Some(parts) = parts(&row.text, &row.spans) else { return };
    let all: usize = parts.iter().map(ExactSizeIterator::len).sum();
    let covered: Vec<usize> = parts.iter().map(|part| asked.covered(&row.text[part.clone()])).collect();
    let most = covered.iter().copied().max().unwrap_or(0) as f32;
    let bears =
        |at: &usize| covered[*at] as f32 >= LEAST_COVERED * most && parts[*at].len() as f32 >= LEAST_SHARE * all as f32;
    let (Some(first), Some(last)) = ((0..parts.len()).find(bears), (0..parts.len()).rfind(bears)) else { return };
    // The rest of a sentence that denies something is nothing without its beginning.
    let runs_on = first > 0 && runs_on(&row.text[parts[first - 1].clone()], &row.text[parts[first].clone()]);
    let first = if runs_on { first - 1 } else { first };
    row.text = row.text[parts[first].start..parts[last].end].to_owned();
    row.spans = row.spans[first..=last].to_vec();
    row.page_start = row.spans[0].page;
    row.page_end = row.spans[last - first].page;
    row.continues |= first > 0;
}

/// The part of a chunk's text that each of its spans is; nothing for a chunk of one page, or with the header of a table.
fn parts(text: &str, spans: &[PageSpan]) -> Option<Vec<Range<usize>>> {
    if spans.len() < 2 || !spans.is_sorted_by(|a, b| a.page < b.page) {
        return None;
    }
    let mut at = 0;
    let mut parts = Vec::with_capacity(spans.len());
    for span in spans {
        if at > 0 {
            at += if text.get(at..)?.starts_with("\n\n") { 2 } else { 1 };
        }
        let end = at + (span.end - span.start) as usize;
        text.get(at..end)?;
        parts.push(at..end);
        at = end;
    }
    (at == text.len()).then_some(parts)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::store::DocumentId;

    fn check(pages: &[&str], question: &str, expected: &str, first: u32, last: u32) {
        let spans = (1..).zip(pages).map(|(page, text)| PageSpan { page, start: 0, end: text.len() as u32 }).collect();
        let mut row = ChunkRow {
            id: Uuid::nil(),
            document: DocumentId(Uuid::nil()),
            collection: String::new(),
            file: String::new(),
            title: None,
            dated: None,
            number: 0,
            page_start: 1,
            page_end: pages.len() as u32,
            spans,
            text: pages.join("\n\n"),
            section: Vec::new(),
            continues: false,
            cautions: Vec::new(),
            recognised: None,
        };
        trim(&mut row, &Asked::of(question));
        assert_eq!((row.text.as_str(), row.page_start, row.page_end), (expected, first, last), "{question}");
        assert_eq!(row.spans.len() as u32, last - first + 1);
    }

    #[test]
    fn a_passage_opens_on_the_page_that_bears_on_the_question() {
        let (rent, term) = ("The tenant pays the rent each month.", "The term of the lease ends in May.");
        check(&[rent, term], "When does the term end?", term, 2, 2);
        check(&[rent, term], "Who pays the rent?", rent, 1, 1);
        check(&[rent, term], "Is there a garden?", &format!("{rent}\n\n{term}"), 1, 2);
        check(
            &["of it.", rent, term],
            "Who pays the rent, and when does the term end?",
            &format!("{rent}\n\n{term}"),
            2,
            3,
        );
        check(&[rent], "When does the term end?", rent, 1, 1);
        let (denial, remainder) =
            ("The tenant shall not, without being allowed to,", "assign this lease or sublet the house.");
        check(&[denial, remainder], "Assign or sublet the lease?", &format!("{denial}\n\n{remainder}"), 1, 2);
        check(&["The tenant pays, when asked to,", remainder], "Assign or sublet the lease?", remainder, 2, 2);
    }
}
