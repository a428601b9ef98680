//! Sentences of running text, as exact byte ranges. Made for contracts and notes: a line break that the reader kept
//! ends a sentence, and "Inc.", "No. 4" or "e.g." do not.

use std::ops::Range;

/// The sentences of `text` in order, without the blanks around them. Nothing but blanks lies between them.
pub fn sentences(text: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut start = 0;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|(_, c)| *c);
        let end = at + c.len_utf8();
        let ends = match c {
            '\n' => true,
            '.' => {
                next.is_none_or(char::is_whitespace)
                    && !is_abbreviation(&text[start..at])
                    && !is_list_number(&text[start..at])
                    && starts_anew(&text[end..])
            }
            '?' | '!' | ';' => next.is_none_or(char::is_whitespace),
            _ => false,
        };
        if ends {
            push(text, start..end, &mut ranges);
            start = end;
        }
    }
    push(text, start..text.len(), &mut ranges);
    ranges
}

fn push(text: &str, range: Range<usize>, ranges: &mut Vec<Range<usize>>) {
    let part = &text[range.clone()];
    let trimmed = part.trim();
    if !trimmed.is_empty() {
        let start = range.start + part.len() - part.trim_start().len();
        ranges.push(start..start + trimmed.len());
    }
}

/// A new sentence begins with a capital, a digit, a bracket or a quotation mark.
fn starts_anew(rest: &str) -> bool {
    rest.trim_start().chars().next().is_none_or(|c| !c.is_lowercase() && !matches!(c, ',' | ';' | ')'))
}

/// "2." before an item belongs to the item.
fn is_list_number(before: &str) -> bool {
    let word = before.trim();
    (1..=3).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_abbreviation(before: &str) -> bool {
    const ABBREVIATIONS: &[&str] = &[
        "al", "art", "arts", "cf", "co", "corp", "dr", "ed", "eds", "eg", "e.g", "etc", "ex", "exh", "fig", "hon",
        "ie", "i.e", "inc", "jr", "llc", "ltd", "mr", "mrs", "ms", "no", "nos", "p", "para", "pp", "prof", "rev",
        "sec", "secs", "sect", "sr", "st", "v", "vol", "vs",
    ];
    let word = before.rsplit(|c: char| c.is_whitespace() || c == '(').next().unwrap_or_default();
    let single = word.chars().count() == 1 && word.chars().all(char::is_uppercase);
    let dotted = word.contains('.') && word.split('.').all(|part| part.chars().count() <= 1);
    single || dotted || ABBREVIATIONS.contains(&word.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let found: Vec<_> = sentences(text).into_iter().map(|range| &text[range]).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn sentences_end_where_a_reader_would_say() {
        check("The term is two years. It renews.", &["The term is two years.", "It renews."]);
        check("Acme Inc. shall pay. See No. 4 of U.S. law.", &["Acme Inc. shall pay.", "See No. 4 of U.S. law."]);
        check("ARTICLE 1\nTerm is 1.5 years.", &["ARTICLE 1", "Term is 1.5 years."]);
        check("Is it so? Yes; it is", &["Is it so?", "Yes;", "it is"]);
        check("e.g. this one. (a) Next", &["e.g. this one.", "(a) Next"]);
        check("1. Rent is due. 2. It is late.", &["1. Rent is due.", "2. It is late."]);
        check("  \n ", &[]);
        check("§ 5. Größe über 3. Ende", &["§ 5.", "Größe über 3.", "Ende"]);
    }
}
