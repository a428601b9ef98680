use premise_ingest::{Chunk, ChunkRules, Document, Limits, TokenCounter, chunk, read};
use proptest::prelude::*;

use crate::make::letter_counter;

/// A text file whose form feeds make pages.
fn document(pages: &[String]) -> Document {
    read("a.txt", pages.join("\u{c}").as_bytes(), &Limits::default()).unwrap()
}

fn chunks(pages: &[&str], max_tokens: usize) -> Vec<Chunk> {
    let pages: Vec<String> = pages.iter().map(|page| (*page).to_owned()).collect();
    let rules = ChunkRules { max_tokens, overlap_tokens: 0 };
    chunk(&document(&pages), &letter_counter(), &rules)
}

fn check(pages: &[&str], max_tokens: usize, expected: &[&str]) {
    let chunks = chunks(pages, max_tokens);
    let texts: Vec<&str> = chunks.iter().map(|chunk| chunk.text.as_str()).collect();
    assert_eq!(texts, expected);
}

#[test]
fn chunks_break_at_paragraphs_then_sentences_then_words() {
    check(&["aaa bbb\n\nccc ddd"], 6, &["aaa bbb", "ccc ddd"]);
    check(&["Aaa bbb. Ccc ddd."], 8, &["Aaa bbb.", "Ccc ddd."]);
    check(&["aaa bbb ccc"], 6, &["aaa bbb", "ccc"]);
    check(&["abcdefgh"], 3, &["abc", "def", "gh"]);
}

#[test]
fn a_heading_goes_with_the_text_below_it() {
    let clause = "the tenant pays the rent on the first day of each month without any deduction at all.";
    let page = format!("Aaa bbb.\n\n2. Rent\nPayment\n{clause}");
    let heading = format!("2. Rent\nPayment\n{clause}");
    check(&[&page], 85, &["Aaa bbb.", &heading]);
}

#[test]
fn a_sentence_goes_on_overleaf_and_a_chunk_tells_both_places() {
    let chunks = chunks(&["The tenant shall", "pay rent."], 100);
    assert_eq!(chunks[0].text, "The tenant shall pay rent.");
    assert_eq!((chunks[0].page_start, chunks[0].page_end), (1, 2));
    assert_eq!(chunks[0].spans.len(), 2);
    check(&["End.", "New page."], 100, &["End.\n\nNew page."]);
}

#[test]
fn rows_of_a_table_keep_the_header_that_names_their_columns() {
    let units = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
    let rows: Vec<String> = units.iter().map(|unit| format!("| {unit} | 500 |")).collect();
    let table = format!("| Unit | Rent |\n|---|---|\n{}", rows.join("\n"));
    let chunks = chunks(&[&table], 90);
    let rows: Vec<&Chunk> = chunks.iter().filter(|chunk| chunk.text.contains("00 |")).collect();
    assert!(rows.len() > 1, "the table takes several chunks");
    for chunk in rows {
        assert!(chunk.text.starts_with("| Unit | Rent |\n|---|---|\n|"), "{}", chunk.text);
        let spans = chunk.spans.iter().map(|span| &table[span.start as usize..span.end as usize]);
        assert_eq!(chunk.text, spans.collect::<Vec<_>>().join("\n"));
        assert!(letter_counter().count(&chunk.text) <= 90);
    }
}

#[test]
fn a_chunk_knows_its_headings_and_whether_it_begins_within_a_paragraph() {
    let page = "2. Rent\n\nThe tenant pays. The landlord gives a receipt for it.\n\n3. Term\n\nOne year.";
    let chunks = chunks(&[page], 30);
    let described: Vec<_> = chunks.iter().map(|chunk| (chunk.section.join(" "), chunk.continues)).collect();
    let expected = [("2 Rent", false), ("2 Rent", false), ("2 Rent", true), ("3 Term", false)];
    assert_eq!(described, expected.map(|(section, continues)| (section.to_owned(), continues)));
}

#[test]
fn nothing_without_a_letter_or_digit_is_a_chunk() {
    check(&["***\n\n---", "", "aa"], 2, &["aa"]);
}

#[test]
fn page_numbers_do_not_break_a_sentence() {
    let chunks = chunks(&["The tenant shall\n\n1", "pay rent.\n\n2"], 100);
    assert_eq!(chunks[0].text, "The tenant shall pay rent.");
    assert_eq!(chunks[0].spans[1].end, 9);
}

#[test]
fn truncation_and_padding_are_switched_off() {
    assert_eq!(letter_counter().count("abcdefghijkl"), 12);
    assert_eq!(letter_counter().count("a"), 1);
    assert!(TokenCounter::from_bytes(b"{}").is_err());
}

#[test]
fn one_endless_word_is_cut_into_bounded_chunks() {
    let chunks = chunks(&[&"x".repeat(100_000)], 254);
    assert_eq!(chunks.iter().map(|chunk| chunk.text.len()).sum::<usize>(), 100_000);
    assert!(chunks.iter().all(|chunk| chunk.text.len() <= 254 * 17));
}

/// The laws of every chunk of every document.
fn assert_lawful(document: &Document, chunks: &[Chunk], max_tokens: usize) {
    let counter = letter_counter();
    let mut covered: Vec<Vec<bool>> = document.pages.iter().map(|page| vec![false; page.text.len()]).collect();
    for (number, chunk) in chunks.iter().enumerate() {
        assert_eq!(chunk.number as usize, number);
        assert!(counter.count(&chunk.text) <= max_tokens, "{}", chunk.text);
        assert!(chunk.text.contains(char::is_alphanumeric));
        assert_eq!(chunk.text, chunk.text.trim());
        let mut rest = chunk.text.as_str();
        for (at, span) in chunk.spans.iter().enumerate() {
            let page = &document.pages[span.page as usize - 1];
            if at > 0 {
                rest = rest.strip_prefix("\n\n").or_else(|| rest.strip_prefix(' ')).unwrap();
            }
            rest = rest.strip_prefix(&page.text[span.start as usize..span.end as usize]).unwrap();
            covered[span.page as usize - 1][span.start as usize..span.end as usize].fill(true);
        }
        assert_eq!(rest, "");
        assert_eq!(chunk.page_start, chunk.spans[0].page);
        assert_eq!(chunk.page_end, chunk.spans.last().unwrap().page);
    }
    for (page, covered) in document.pages.iter().zip(covered) {
        for (at, character) in page.text.char_indices() {
            assert!(covered[at] || !character.is_alphanumeric(), "{character} at {at}");
        }
    }
}

proptest! {
    #[test]
    fn chunks_cover_all_text_within_the_limit_at_exact_places(
        pages in prop::collection::vec("([a-z]{1,9}[ .,\n-]|[A-ZäßЖ語😀]{1,3} |\\*\\* |[a-z]{60}){0,40}", 1..5),
        max_tokens in 1_usize..40,
        overlap_tokens in 0_usize..5,
    ) {
        prop_assume!(pages.iter().any(|page| !page.trim().is_empty()));
        let document = document(&pages);
        let rules = ChunkRules { max_tokens, overlap_tokens };
        let counter = letter_counter();
        let chunks = chunk(&document, &counter, &rules);
        assert_lawful(&document, &chunks, max_tokens);
        prop_assert_eq!(chunks, chunk(&document, &counter, &rules));
    }
}
