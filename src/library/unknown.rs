//! Names in a question that stand in none of the files. Whoever asks of "Mr. Miller" must hear that no file has that name,
//! and must not get another's facts under it.

use std::{collections::HashSet, sync::Arc};

use super::{Library, Passage};
use crate::{
    error::Result,
    sparse,
    store::{Filter, HybridQuery, Scope},
};

/// More are looked for only where a question names everything.
const MOST_NAMES: usize = 4;

impl Library {
    /// The question's names that stand nowhere in what is searched: in no passage, file name, title or text.
    pub(super) async fn unknown_names(
        self: &Arc<Self>,
        question: &str,
        searched: Option<&(Scope, Filter)>,
        passages: &[Passage],
    ) -> Result<Vec<String>> {
        let Some((scope, filter)) = searched else { return Ok(Vec::new()) };
        let mut names = names(question);
        if names.is_empty() {
            return Ok(names);
        }
        let shown: HashSet<String> = passages.iter().flat_map(|passage| sparse::terms(&passage.text)).collect();
        names.retain(|name| !sparse::terms(name).all(|term| shown.contains(&term)));
        if names.is_empty() {
            return Ok(names);
        }
        let identities = self.blocking(Self::identities).await?;
        let mut unknown = Vec::new();
        for name in names {
            let within = filter.documents.as_deref();
            if sparse::terms(&name).all(|term| identities.knows(&term, scope, within)) {
                continue;
            }
            let query = HybridQuery {
                sparse: Some(sparse::embed_question(&name)),
                filter: filter.clone(),
                candidates: 1,
                limit: 1,
                ..HybridQuery::default()
            };
            if self.store().hybrid(scope, query).await?.is_empty() {
                unknown.push(name);
            }
        }
        Ok(unknown)
    }
}

/// Words with a capital where a sentence would have none: people, companies, places. None of a question in capitals.
fn names(question: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let (mut words, mut capitals) = (0, 0);
    // The first word has its capital from its place, and so has one after such a mark.
    let mut is_first = true;
    for part in question.split_whitespace() {
        let word = part.trim_matches(|c: char| !c.is_alphanumeric());
        let word = word.strip_suffix("'s").or(word.strip_suffix("’s")).unwrap_or(word);
        let mut letters = word.chars();
        let is_name = letters.next().is_some_and(char::is_uppercase)
            && letters.next().is_some_and(|c| c.is_lowercase() || is_within_names(c))
            && letters.next().is_some()
            && letters.all(|c| c.is_alphabetic() || is_within_names(c));
        words += 1;
        capitals += usize::from(is_name && !is_first);
        if is_name && !is_first && !is_of_the_calendar(word) && sparse::terms(word).next().is_some() {
            names.push(word.to_owned());
        }
        is_first = part.ends_with(['.', '?', '!', ':', ';']) && !TITLES.contains(&part);
    }
    names.dedup();
    if capitals * 2 > words || names.len() > MOST_NAMES { Vec::new() } else { names }
}

fn is_within_names(c: char) -> bool {
    matches!(c, '-' | '\'' | '’')
}

/// What ends with a full stop and ends no sentence.
const TITLES: [&str; 5] = ["Mr.", "Mrs.", "Ms.", "Dr.", "Prof."];

/// Days may stand in the files in figures.
fn is_of_the_calendar(word: &str) -> bool {
    const NAMES: [&str; 19] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
        "Monday",
        "Tuesday",
        "Wednesday",
        "Thursday",
        "Friday",
        "Saturday",
        "Sunday",
    ];
    NAMES.contains(&word)
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn names_have_a_capital_within_the_sentence() {
        let check = |question: &str, expected: &[&str]| assert_eq!(names(question), expected, "{question}");
        check("What dose of warfarin does Mr. Miller take?", &["Miller"]);
        check("What did O'Brien and Macdonald sign?", &["O'Brien", "Macdonald"]);
        check("Does Anna Schmidt-Weber's lease end in May?", &["Anna", "Schmidt-Weber"]);
        check("When does the lease end? Is the NDA signed?", &[]);
        check("In the lease: Is there a cap?", &[]);
        check("WHO PAYS THE RENT?", &[]);
        check("What Is The Notice Period Of The Lease?", &[]);
    }
}
