//! Words as sparse vectors for BM25: the same for every store, and with the identifiers of law and medicine kept whole.
//! The store adds the rarity of each word (IDF), because it changes with what a person may read.

use std::{collections::BTreeMap, ops::Range};

use rust_stemmers::{Algorithm, Stemmer};

use crate::store::SparseVector;

/// How soon repeating a word stops to count, and how much long passages are held back: Robertson and Zaragoza, "The
/// Probabilistic Relevance Framework: BM25 and Beyond" (2009), section 3.3.
const K1: f32 = 1.2;
const B: f32 = 0.75;

/// Terms in a usual passage. Fixed, so that a passage's vector does not change with its neighbours. Chunks of
/// 254 word pieces had 120 (CUAD contracts), 111 (NDAs) and 128 (NIH answers) on average.
const AVG_TERMS: f32 = 120.0;

/// A passage's terms, weighted by `tf * (K1 + 1) / (tf + K1 * (1 - B + B * terms / AVG_TERMS))`.
pub fn embed_passage(text: &str) -> SparseVector {
    let mut counts: BTreeMap<u32, f32> = BTreeMap::new();
    let mut total = 0.0;
    for term in terms(text) {
        *counts.entry(number(&term)).or_default() += 1.0;
        total += 1.0;
    }
    let norm = K1 * (1.0 - B + B * total / AVG_TERMS);
    let (indices, values) = counts.into_iter().map(|(index, tf)| (index, tf * (K1 + 1.0) / (tf + norm))).unzip();
    SparseVector { indices, values }
}

/// A question's terms, each with weight 1.
pub fn embed_question(text: &str) -> SparseVector {
    let counts: BTreeMap<u32, f32> = terms(text).map(|term| (number(&term), 1.0)).collect();
    let (indices, values) = counts.into_iter().unzip();
    SparseVector { indices, values }
}

/// The terms of a text in their order, repeated as often as there: words in lower case, without the commonest ones, cut
/// to their English stem; and after the words of an identifier (`E11.9`, `12(b)`, `§ 12`) the whole of it.
pub fn terms(text: &str) -> impl Iterator<Item = String> + use<> {
    let stemmer = Stemmer::create(Algorithm::English);
    let words = words(text);
    let mut found = Vec::with_capacity(words.len());
    let mut identifier_end = 0;
    for (at, word) in words.iter().enumerate() {
        if at >= identifier_end {
            let parts = identifier(text, &words[at..], &mut found);
            identifier_end = at + parts;
        }
        let word = normal(word.of(text));
        if STOP_WORDS.binary_search(&word.as_str()).is_err() {
            found.push(stemmer.stem(&word).into_owned());
        }
    }
    found.into_iter()
}

/// The identifiers of a text in their order, as [`terms`] has them.
pub fn identifiers(text: &str) -> Vec<String> {
    let words = words(text);
    let mut found = Vec::new();
    let mut at = 0;
    while at < words.len() {
        at += identifier(text, &words[at..], &mut found);
    }
    found
}

/// The words of a text with the bytes they take; the commonest ones without a term.
pub fn words_with_terms(text: &str) -> Vec<(Range<usize>, Option<String>)> {
    let stemmer = Stemmer::create(Algorithm::English);
    words(text)
        .into_iter()
        .map(|word| {
            let plain = normal(word.of(text));
            let common = STOP_WORDS.binary_search(&plain.as_str()).is_ok();
            (word.start..word.end, (!common).then(|| stemmer.stem(&plain).into_owned()))
        })
        .collect()
}

/// Too common in English to tell passages apart. Sorted. `no` and `not` are kept: they turn a clause round.
const STOP_WORDS: [&str; 58] = [
    "a", "about", "an", "and", "any", "are", "as", "at", "be", "been", "but", "by", "can", "could", "did", "do",
    "does", "for", "from", "had", "has", "have", "he", "her", "his", "how", "i", "if", "in", "into", "is", "it", "its",
    "of", "on", "or", "she", "so", "such", "that", "the", "their", "then", "there", "these", "they", "this", "to",
    "was", "were", "what", "when", "where", "which", "who", "why", "will", "with",
];

/// Bytes of a word in its text.
#[derive(Clone, Copy)]
struct Word {
    start: usize,
    end: usize,
}

impl Word {
    fn of(self, text: &str) -> &str {
        &text[self.start..self.end]
    }
}

/// Runs of letters, digits and their accents, with single apostrophes and soft hyphens inside them.
fn words(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut open: Option<Word> = None;
    for (at, c) in text.char_indices() {
        let end = at + c.len_utf8();
        let adjacent = open.is_some_and(|word| word.end == at);
        if c.is_alphanumeric() {
            open.get_or_insert(Word { start: at, end }).end = end;
        } else if is_accent(c) && adjacent {
            open = open.map(|word| Word { end, ..word });
        } else if !(matches!(c, '\'' | '’' | '\u{ad}') && adjacent) {
            words.extend(open.take());
        }
    }
    words.extend(open);
    words
}

/// An accent that stands as a character of its own after its letter.
fn is_accent(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}')
}

/// Lower case, a plain apostrophe (which the stemmer knows), a plain hyphen, no soft hyphens.
fn normal(text: &str) -> String {
    let plain = text.chars().filter(|c| *c != '\u{ad}').map(|c| match c {
        '’' => '\'',
        c if is_hyphen(c) => '-',
        c => c,
    });
    plain.flat_map(char::to_lowercase).collect()
}

fn is_hyphen(c: char) -> bool {
    matches!(c, '-' | '\u{2010}'..='\u{2013}')
}

/// More parts than that are no identifier but a table's dots or a long number.
const MAX_PARTS: usize = 8;

/// Adds the identifier that starts with the first of these words, if one does, and gives the number of words looked
/// at. An identifier has a digit and is of several words joined without spaces (`ICD-10`, `2.1(a)(ii)`); after a
/// paragraph sign it is added with the sign as well, and may be a single word (`§ 12`).
fn identifier(text: &str, words: &[Word], found: &mut Vec<String>) -> usize {
    let first = words[0];
    let mut end = first.end;
    let mut parts = 1;
    while parts < MAX_PARTS
        && let Some(next) = words.get(parts)
        && let Some(joined_end) = join(text, words[parts - 1], end, *next)
    {
        end = joined_end;
        parts += 1;
    }
    let whole = &text[first.start..end];
    if whole.contains(|c: char| c.is_ascii_digit()) {
        let whole = normal(whole);
        if text[..first.start].trim_end().ends_with('§') {
            found.push(format!("§{whole}"));
        }
        if parts > 1 {
            found.push(whole);
        }
    }
    parts
}

/// Where the identifier ends if the word `next` belongs to it: one joining character lies between it and `end`, and a
/// bracket that opens before it also closes after it.
fn join(text: &str, last: Word, end: usize, next: Word) -> Option<usize> {
    let mut between = text.get(end..next.start)?.chars();
    let (joiner, None) = (between.next()?, between.next()) else {
        return None;
    };
    let are_digits = |word: Word| word.of(text).chars().all(|c| c.is_ascii_digit());
    match joiner {
        '(' if text[next.end..].starts_with(')') => Some(next.end + 1),
        '.' | '/' | ':' | '_' | '&' => Some(next.end),
        ',' if are_digits(last) && are_digits(next) => Some(next.end),
        c if is_hyphen(c) => Some(next.end),
        _ => None,
    }
}

/// FNV-1a, 32 bits (Fowler, Noll, Vo; RFC 9923), of the term's UTF-8: fixed for ever, since stores keep its values. Of
/// 100,000 different terms about one pair shares a number.
fn number(term: &str) -> u32 {
    term.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        assert_eq!(terms(text).collect::<Vec<_>>(), expected, "{text}");
    }

    #[test]
    fn words_lose_their_endings_and_the_commonest_ones_go() {
        check("", &[]);
        check("The tenants shall terminate the leases.", &["tenant", "shall", "termin", "leas"]);
        check("the Party’s obligations", &["parti", "oblig"]);
        check("'quoted' words'", &["quot", "word"]);
        check("Müller naïve nai\u{308}ve re\u{ad}port", &["müller", "naïv", "nai\u{308}v", "report"]);
    }

    #[test]
    fn identifiers_are_kept_whole_beside_their_parts() {
        check("ICD-10 E11.9", &["icd-10", "icd", "10", "e11.9", "e11", "9"]);
        check("Section 12(b).", &["section", "12(b)", "12", "b"]);
        check("§ 12", &["§12", "12"]);
        check("§§ 2.1(a)(ii), 3", &["§2.1(a)(ii)", "2.1(a)(ii)", "2", "1", "ii", "3"]);
        check("$1,000.50 or 10–15 mg", &["1,000.50", "1", "000", "50", "10-15", "10", "15", "mg"]);
        check("and/or non-compete", &["non", "compet"]);
        check("Page 1 ..... 5 (6", &["page", "1", "5", "6"]);
    }

    #[test]
    fn the_stop_words_are_sorted_and_numbers_never_change() {
        assert!(STOP_WORDS.is_sorted());
        assert_eq!([number(""), number("a"), number("foobar")], [0x811c_9dc5, 0xe40c_292c, 0xbf9c_f968]);
    }

    #[test]
    fn a_repeated_word_weighs_more_but_not_as_often_more() {
        let weight = |text: &str| {
            let passage = embed_passage(text);
            passage.values[passage.indices.binary_search(&number("leas")).unwrap()]
        };
        let (once, twice) = (weight("lease"), weight("lease lease"));
        assert!(once < twice && twice < 2.0 * once, "{once} {twice}");
        assert!(weight("lease of the premises in a long passage") < once, "longer passages are held back");
        assert_eq!(embed_question("lease leases Lease").values, [1.0]);
    }

    #[test]
    fn any_text_gives_ascending_terms() {
        for text in ["", "§", "((((1)", "a.b.c.1.2.3.4.5.6.7.8.9", "\u{301}\u{ad}'’1", "日本語 § 5 テスト", "1’’2"]
        {
            let passage = embed_passage(text);
            assert!(passage.indices.is_sorted_by(|a, b| a < b), "{text}");
            assert_eq!(passage.indices, embed_question(text).indices);
        }
    }
}
