//! A glossary: what people ask for by a name that files seldom write. "Is there a minimum commitment?" is answered by
//! "shall purchase no less than 500 units", which has none of its words. So what a term means is searched for, too.

use std::{ops::Range, path::Path};

use crate::{
    error::{Error, Kind, Result},
    text,
};

/// Terms and what they mean.
#[derive(Debug, Clone, Default)]
pub struct Glossary {
    /// In the order in which they are looked for.
    entries: Vec<Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    /// The words of each name.
    names: Vec<Vec<String>>,
    /// Nothing for names that are to mean nothing more than they say.
    meaning: String,
    /// Whether it comes with the program.
    is_built_in: bool,
}

/// A term in a question.
struct Term<'a> {
    /// Which of the question's words it is.
    words: Range<usize>,
    entry: &'a Entry,
}

/// The glossary that comes with the program.
const BUILT_IN: &str = include_str!("glossary.txt");

/// Terms of one question that are explained, so that the question itself still counts.
const MOST_TERMS: usize = 3;

impl Glossary {
    /// The glossary that comes with the program, and before it that in `file` where there is one.
    pub fn load(file: &Path) -> Result<Self> {
        let own = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Error::io(format_args!("read the glossary {}", file.display()), &error)),
        };
        let mut entries = parsed(&own, false).map_err(|line| bad_line(file, line))?;
        entries.extend(parsed(BUILT_IN, true).map_err(|line| bad_line(Path::new("glossary.txt"), line))?);
        Ok(Self { entries })
    }

    /// What the terms of a question mean; nothing when it has none.
    pub(super) fn meaning(&self, question: &str) -> Option<String> {
        let mut found: Vec<Term<'_>> = Vec::new();
        let mut before = 0;
        for sentence in text::sentences(question) {
            let asked = words(&question[sentence]);
            for entry in &self.entries {
                for name in &entry.names {
                    let places = asked.windows(name.len()).enumerate().filter(|(_, window)| window == name);
                    found.extend(places.map(|(at, _)| Term { words: before + at..before + at + name.len(), entry }));
                }
            }
            before += asked.len();
        }
        // An office's own terms go before the program's, and longer names before those in them, which mean something else.
        found.sort_by_key(|term| (term.entry.is_built_in, std::cmp::Reverse(term.words.len())));
        let mut known: Vec<Term<'_>> = Vec::new();
        for term in found {
            let is_apart =
                |other: &Term<'_>| term.words.end <= other.words.start || term.words.start >= other.words.end;
            let is_new = |other: &Term<'_>| !std::ptr::eq(other.entry, term.entry);
            if known.iter().all(|other| is_apart(other) && is_new(other)) {
                known.push(term);
            }
        }
        let meanings = known.into_iter().map(|term| term.entry.meaning.as_str()).filter(|meaning| !meaning.is_empty());
        let meanings: Vec<&str> = meanings.take(MOST_TERMS).collect();
        (!meanings.is_empty()).then(|| meanings.join(" "))
    }
}

/// The words of a text in small letters and in the singular.
fn words(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(|word| singular(&word.to_lowercase())).collect()
}

fn singular(word: &str) -> String {
    match (word.strip_suffix("ies"), word.strip_suffix('s')) {
        (Some(start), _) if start.len() > 1 => format!("{start}y"),
        (_, Some(start)) if start.len() > 2 && !start.ends_with('s') => start.to_owned(),
        _ => word.to_owned(),
    }
}

/// The entries of a glossary, or the number of the line that is none.
fn parsed(text: &str, is_built_in: bool) -> std::result::Result<Vec<Entry>, usize> {
    let mut entries = Vec::new();
    for (at, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (names, meaning) = line.split_once('=').ok_or(at + 1)?;
        let names: Vec<Vec<String>> = names.split(',').map(words).collect();
        if names.iter().any(Vec::is_empty) {
            return Err(at + 1);
        }
        entries.push(Entry { names, meaning: meaning.trim().to_owned(), is_built_in });
    }
    Ok(entries)
}

fn bad_line(file: &Path, line: usize) -> Error {
    Error::new(
        Kind::BadInput,
        "bad_glossary",
        format!("line {line} of the glossary {} cannot be understood", file.display()),
        "write each line as `name, other name = what is meant`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glossary(own: &str) -> Result<Glossary> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), own).expect("is written");
        Glossary::load(file.path())
    }

    #[test]
    fn a_term_is_found_and_the_longest_name_counts() {
        let glossary = glossary("").expect("the built-in one is well formed");
        let check = |question: &str, word: &str| {
            let meaning = glossary.meaning(question).unwrap_or_default();
            assert!(meaning.contains(word), "{question}: {meaning}");
        };
        check("Are there any minimum commitments?", "no less than");
        check("Who are the third-party beneficiaries?", "enforce");
        check("Does he have High Blood Pressure?", "Hypertension");
        check("Is there a non-solicitation of customers?", "the customers of the other");
        let both = glossary.meaning("Is there a mini-stroke, a heart attack or a mini-stroke?");
        assert_eq!(both.as_deref(), Some("Myocardial infarction. Transient ischemic attack."), "each once");
        let longest = glossary.meaning("Who has joint intellectual property ownership?").expect("is known");
        assert!(longest.contains("jointly") && !longest.contains("vest"), "{longest}");
    }

    #[test]
    fn words_that_only_look_like_a_term_are_none() {
        let glossary = glossary("").expect("the built-in one is well formed");
        for question in [
            "What colour is the door?",
            "How severe is her asthma, and are there several allergies?",
            "Is the settlement confidential?",
            "What are the exclusions in the auto policy?",
            "Who inherits the house, and who runs the business?",
            "Is Acme a limited liability company?",
            "Was the medication changed to control the seizures?",
            "Was his illness terminal? What was the cause?",
            "Did it begin with a heart. Attack is the word used?",
            "When was the second amendment signed?",
        ] {
            assert_eq!(glossary.meaning(question), None, "{question}");
        }
    }

    #[test]
    fn an_office_has_terms_of_its_own_which_go_first() {
        let own = "\u{feff}# ours\nthe Fernhill rule, compete = Nobody parks in the yard.\nheart attack =\n";
        let glossary = glossary(own).expect("is read");
        let meaning = |question| glossary.meaning(question);
        assert_eq!(meaning("Does the Fernhill rule hold?").as_deref(), Some("Nobody parks in the yard."));
        assert_eq!(meaning("Is there a non-compete?").as_deref(), Some("Nobody parks in the yard."), "though shorter");
        assert_eq!(meaning("Did he have a heart attack?"), None, "switched off");
    }

    #[test]
    fn no_more_than_three_terms_are_explained() {
        let glossary = glossary("a1 = one\nb1 = two\nc1 = three\nd1 = four\n").expect("is read");
        assert_eq!(glossary.meaning("d1 c1 b1 a1").as_deref(), Some("one two three"));
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        for (text, line) in [("\nrent", "line 2"), ("rent, = what is paid", "line 1"), ("= x", "line 1")] {
            let error = glossary(text).expect_err(text);
            assert!(error.to_string().contains(line), "{error}");
        }
        assert!(Glossary::load(Path::new("no such file")).is_ok());
    }
}
