//! What the child says of a file is believed only as far as it fits together: a file may have taken the child over.

use premise_ingest::{Page, Reading};

/// Whether pages are numbered without gaps and every span lies within its page, on the borders of characters.
pub(super) fn fits_together(reading: &Reading) -> bool {
    (1..).zip(&reading.document.pages).all(|(number, page)| page.number == number && spans_fit(page))
}

fn spans_fit(page: &Page) -> bool {
    let words = page.words.iter().map(|word| (word.start, word.end));
    let headings = page.headings.iter().map(|heading| (heading.start, heading.end));
    words.chain(headings).all(|(start, end)| page.text.get(start as usize..end as usize).is_some())
}

#[cfg(test)]
mod tests {
    use premise_ingest::{Heading, Limits, read_with_attachments};

    use super::*;

    #[test]
    fn spans_outside_their_page_are_not_believed() {
        let reading = || read_with_attachments("a.txt", "Käse".as_bytes(), &Limits::default()).expect("it is text");
        let with = |start, end| {
            let mut reading = reading();
            reading.document.pages[0].headings.push(Heading { start, end, level: 1 });
            fits_together(&reading)
        };
        assert!(fits_together(&reading()) && with(0, 5));
        assert!(!with(0, 6) && !with(3, 2) && !with(2, 5), "too far, backwards, within a character");
        let mut gap = reading();
        gap.document.pages[0].number = 2;
        assert!(!fits_together(&gap));
    }
}
