//! Follow-up questions: "and for the landlord?", "who signed it?" are understood with what was asked before. Only the
//! questions of this conversation count, which the caller sends along: the service itself remembers nobody.

use serde::{Deserialize, Serialize};

use super::naming::Named;
use crate::{sparse, store::DocumentId};

/// A question that was asked before, and what was answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// The question.
    pub question: String,
    /// The answer; may be left out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub answer: String,
}

/// A question as it is searched for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Understood {
    /// What is asked, without what only names documents.
    pub question: String,
    /// The documents that are meant, by this question or by an earlier one.
    pub named: Option<Named>,
    /// Whether an earlier question was needed for it.
    pub carried: bool,
}

/// Turns that are looked back at, the last ones.
const MOST_TURNS: usize = 6;

/// Understands a question with the conversation before it. `name` tells what a text names among the documents that may
/// be read, and `hold` whether all of some words stand in documents. A question that names its documents and asks something is taken as it stands.
pub(super) fn understand<E>(
    question: &str,
    conversation: &[Turn],
    name: impl Fn(&str) -> Result<Option<Named>, E>,
    hold: impl Fn(&[DocumentId], &[String]) -> Result<bool, E>,
) -> Result<Understood, E> {
    let mut named = name(question)?;
    let before = last_named(conversation, &name)?;
    // Words that name another document only perhaps, and that stand in the one that was spoken of, ask about that one.
    if let (Some(perhaps), Some(before)) = (&named, &before)
        && !perhaps.is_sure
        && let taken = taken_words(question, &perhaps.question)
        && !taken.is_empty()
        && hold(&before.documents, &taken)?
    {
        named = None;
    }
    if let Some(named) = &mut named {
        named.is_sure &= !asks_of_others(question);
    }
    let own = named.as_ref().map_or(question, |named| named.question.as_str()).to_owned();
    let turns = last_turns(conversation);
    if turns.is_empty() {
        return Ok(Understood { question: own, named, carried: false });
    }
    let leans = leans(question);
    let asks_nothing = is_fragment(question, &own);
    if named.is_some() && !asks_nothing {
        return Ok(Understood { question: own, named, carried: false });
    }
    // The last thing that was asked, without its names: a chain of "and …?" goes back to its start.
    let asked_before = || -> Result<Option<String>, E> {
        for turn in turns.iter().rev() {
            let asked = name(&turn.question)?.map_or_else(|| turn.question.clone(), |named| named.question);
            if !is_fragment(&turn.question, &asked) {
                return Ok(Some(asked));
            }
        }
        Ok(None)
    };
    let asked = if asks_nothing {
        match asked_before()? {
            Some(before) if named.is_some() => before,
            Some(before) => format!("{} {own}", beginning(&before)),
            None => own,
        }
    } else {
        own
    };
    if named.is_some() {
        return Ok(Understood { question: asked, named, carried: true });
    }
    let Some(mut before) = before else {
        return Ok(Understood { carried: asked != question, question: asked, named: None });
    };
    // "It" can only be what was spoken of; a whole question may as well be about everything, and one of many files is.
    before.is_sure &= (leans || asks_nothing) && !asks_of_others(question);
    before.question.clone_from(&asked);
    Ok(Understood { question: asked, named: Some(before), carried: true })
}

/// A question that went on from another one, as one that begins.
fn beginning(question: &str) -> String {
    let question = question.trim_start();
    let rest = match question.get(..4) {
        Some(start) if ["and ", "but "].iter().any(|word| start.eq_ignore_ascii_case(word)) => {
            question[4..].trim_start()
        }
        _ => question,
    };
    let mut chars = rest.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

fn last_turns(conversation: &[Turn]) -> &[Turn] {
    &conversation[conversation.len().saturating_sub(MOST_TURNS)..]
}

/// What the last question of a conversation that names documents names.
fn last_named<E>(conversation: &[Turn], name: impl Fn(&str) -> Result<Option<Named>, E>) -> Result<Option<Named>, E> {
    for turn in last_turns(conversation).iter().rev() {
        if let Some(named) = name(&turn.question)? {
            return Ok(Some(named));
        }
    }
    Ok(None)
}

/// The terms of a question that are not in what is left of it.
fn taken_words(question: &str, left: &str) -> Vec<String> {
    let left: Vec<String> = sparse::terms(left).collect();
    sparse::terms(question).filter(|term| !left.contains(term)).collect()
}

/// Words that point back wherever they stand.
const POINTING: [&str; 12] = ["it", "its", "they", "them", "their", "those", "he", "she", "his", "her", "him", "same"];

/// What people call their files by, when they speak of many.
const FILES: [&str; 12] = [
    "agreements",
    "clients",
    "contracts",
    "deeds",
    "documents",
    "emails",
    "files",
    "leases",
    "letters",
    "mails",
    "patients",
    "policies",
];

/// Whether a question points back: with a pronoun, or with a beginning that only goes on.
fn leans(question: &str) -> bool {
    let words = plain_words(question);
    goes_on(question) || (0..words.len()).any(|at| points(&words, at))
}

/// Whether a word of a question points back.
fn points(words: &[String], at: usize) -> bool {
    const BEING: [&str; 4] = ["is", "are", "was", "were"];
    const PERIODS: [&str; 15] = [
        "year", "years", "month", "months", "week", "weeks", "weekend", "day", "days", "quarter", "morning", "spring",
        "summer", "autumn", "winter",
    ];
    const OF_PERIODS: [&str; 8] = ["calendar", "coming", "current", "financial", "fiscal", "next", "past", "tax"];
    let word = |at: usize| words.get(at).map_or("", String::as_str);
    let (before, after) = (at.checked_sub(1).map_or("", word), word(at + 1));
    match word(at) {
        // "Is there a cap?", "isn't there one?", "if there's one", "will there be one?"
        "there" => {
            let is_there = BEING.contains(&before) || before == "t";
            !is_there && !BEING.contains(&after) && !["be", "been", "s"].contains(&after)
        }
        "that" => !joins(before, after),
        // "This year", "this calendar year".
        "this" | "these" => {
            let period = if OF_PERIODS.contains(&after) { word(at + 2) } else { after };
            !PERIODS.contains(&period)
        }
        word => POINTING.contains(&word),
    }
}

/// Whether "that" between two words only joins what they belong to: "say that the tenant pays", "a lease that renews".
fn joins(before: &str, after: &str) -> bool {
    // The beginnings of verbs, and of their nouns: "requires", "a requirement".
    const SAYING: [&str; 14] = [
        "agree", "confirm", "guarant", "indicat", "mean", "mention", "provid", "requir", "said", "say", "show",
        "specif", "state", "stipulat",
    ];
    const THINGS: [&str; 6] = ["anything", "clause", "clauses", "one", "policy", "something"];
    const SUBJECTS: [&str; 12] = ["a", "an", "any", "each", "every", "i", "my", "no", "our", "the", "we", "you"];
    const DEMONSTRATED: [&str; 5] = ["", "is", "are", "was", "were"];
    let is_file = FILES.iter().any(|files| *files == before || files.strip_suffix('s') == Some(before));
    let is_said = SAYING.iter().any(|saying| before.starts_with(saying));
    // "Where does the lease say that?" points, and so does "Is that the rent?"
    !after.is_empty()
        && (is_said
            || is_file
            || THINGS.contains(&before)
            || (SUBJECTS.contains(&after) && !DEMONSTRATED.contains(&before)))
}

/// Whether a question asks of other files than those that it names: of many, or how one compares.
fn asks_of_others(question: &str) -> bool {
    const COMPARING: [&str; 10] = [
        "compare",
        "compared",
        "compares",
        "comparison",
        "differ",
        "difference",
        "differences",
        "differs",
        "unlike",
        "versus",
    ];
    const COMPARED: [&str; 6] = ["in", "our", "that", "the", "those", "under"];
    let words = plain_words(question);
    let compares = |at: usize| {
        let after = words.get(at + 1).map_or("", String::as_str);
        match words[at].as_str() {
            "than" => COMPARED.contains(&after),
            "another" | "other" => FILES.iter().any(|files| *files == after || files.strip_suffix('s') == Some(after)),
            word => COMPARING.contains(&word),
        }
    };
    asks_of_many(question) || (0..words.len()).any(compares)
}

/// Whether a question asks of many files: "which leases", "any of our contracts", but not "which of these leases".
fn asks_of_many(question: &str) -> bool {
    const CHOOSING: [&str; 5] = ["which", "any", "all", "each", "every"];
    let words = plain_words(question);
    let chosen = |at: usize| {
        let near = words[at + 1..].iter().map(String::as_str).take(4);
        near.take_while(|word| *word != "these" && !POINTING.contains(word)).any(|word| FILES.contains(&word))
    };
    (0..words.len()).any(|at| CHOOSING.contains(&words[at].as_str()) && chosen(at))
}

/// Whether a question is only the end of one: "and the landlord?", "what about the Bolt lease?". `own` is what it asks
/// without names.
fn is_fragment(question: &str, own: &str) -> bool {
    const ASKING: [&str; 32] = [
        "who", "whose", "whom", "what", "when", "where", "which", "why", "how", "is", "are", "was", "were", "do",
        "does", "did", "can", "could", "may", "might", "must", "shall", "should", "will", "would", "has", "have",
        "had", "list", "show", "name", "explain",
    ];
    let says_something = sparse::words_with_terms(own).iter().any(|(_, term)| term.is_some());
    let words = plain_words(question);
    let asks = !question_about(question) && words.iter().any(|word| ASKING.contains(&word.as_str()));
    // Search words without a verb are a question too when there are enough of them.
    !says_something || (!asks && (goes_on(question) || words.len() < 3))
}

/// "And …", "what about …".
fn goes_on(question: &str) -> bool {
    const GOING_ON: [&str; 4] = ["and ", "or ", "but ", "also "];
    let lower = question.trim_start().to_lowercase();
    GOING_ON.iter().any(|start| lower.starts_with(start)) || question_about(question)
}

fn question_about(question: &str) -> bool {
    let lower = question.trim_start().to_lowercase();
    ["what about ", "how about ", "and what about ", "and how about "].iter().any(|start| lower.starts_with(start))
}

fn plain_words(text: &str) -> Vec<String> {
    text.to_lowercase()
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use uuid::Uuid;

    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "it stands in for a look-up that may fail")]
    /// Two leases, named by "Acme" and "Bolt", and perhaps a third one by "deposit".
    fn name(text: &str) -> Result<Option<Named>, Infallible> {
        let named = |number, word: &str| Named {
            documents: vec![DocumentId(Uuid::from_u128(number))],
            question: text.replace(&format!("{word} "), ""),
            is_sure: word != "deposit",
        };
        let word = ["Acme", "Bolt", "deposit"].into_iter().zip(1..).find(|(word, _)| text.contains(word));
        Ok(word.map(|(word, number)| named(number, word)))
    }

    #[expect(clippy::unnecessary_wraps, reason = "it stands in for a look-up that may fail")]
    /// The Acme lease speaks of a deposit.
    fn hold(documents: &[DocumentId], words: &[String]) -> Result<bool, Infallible> {
        Ok(documents[0].0.as_u128() == 1 && words == ["deposit"])
    }

    /// The number of the document that is meant (0: none), whether surely, and what is asked.
    fn check(before: &[&str], question: &str, document: u128, is_sure: bool, asked: &str) {
        let turns: Vec<Turn> =
            before.iter().map(|question| Turn { question: (*question).to_owned(), answer: String::new() }).collect();
        let Ok(understood) = understand(question, &turns, name, hold);
        let named = understood.named.as_ref();
        assert_eq!(named.map_or(0, |named| named.documents[0].0.as_u128()), document, "{question}");
        assert_eq!(named.is_some_and(|named| named.is_sure), is_sure, "{question}");
        assert_eq!(understood.question, asked, "{question}");
    }

    #[test]
    fn a_question_that_stands_alone_is_left_alone() {
        check(&[], "Who pays the rent of the Acme lease?", 1, true, "Who pays the rent of the lease?");
        check(
            &["Who repairs the roof of the Acme lease?"],
            "Which notice periods do the leases have?",
            1,
            false,
            "Which notice periods do the leases have?",
        );
        check(
            &["Who repairs the roof?"],
            "Which notice periods do the leases have?",
            0,
            false,
            "Which notice periods do the leases have?",
        );
        check(
            &["Who repairs the roof of the Acme lease?"],
            "Who pays the rent of the Bolt lease?",
            2,
            true,
            "Who pays the rent of the lease?",
        );
    }

    #[test]
    fn what_a_follow_up_leaves_out_comes_from_before() {
        let before = ["What is the notice period of the Acme lease?"];
        check(&before, "Who signed it?", 1, true, "Who signed it?");
        check(&before, "And the landlord?", 1, true, "What is the notice period of the lease? And the landlord?");
        check(&before, "What about the Bolt lease?", 2, true, "What is the notice period of the lease?");
        check(&before, "And who must repair the roof there?", 1, true, "And who must repair the roof there?");
        check(&[before[0], "And who signed it?"], "And when?", 1, true, "Who signed it? And when?");
        check(&before, "And in the Bolt lease?", 2, true, "What is the notice period of the lease?");
        check(
            &[before[0], "And in the Bolt lease?"],
            "Does the tenant pay rent under it?",
            2,
            true,
            "Does the tenant pay rent under it?",
        );
    }

    #[test]
    fn only_what_points_back_is_asked_of_one_document() {
        let before = ["What is the rent of the Acme lease?"];
        let check_all = |is_sure, questions: &[&str]| {
            for question in questions {
                check(&before, question, 1, is_sure, question);
            }
        };
        check_all(
            false,
            &[
                "Is there a break clause in any of our leases?",
                "Is there a break clause?",
                "Isn't there a limit to the fee?",
                "Which contracts end this year?",
                "What ends this calendar year?",
                "Which leases say that the tenant pays heating?",
                "Who has a lease that allows pets?",
                "Is a notice void on the ground that the rent was late?",
                "And which contracts renew?",
                "Do they renew in all of our other leases?",
                "Which of our files mention the same landlord?",
            ],
        );
        check_all(
            true,
            &[
                "Is there a cap there?",
                "What does that cost?",
                "Does this lease renew?",
                "Is that the whole rent?",
                "Where does the text say that?",
                "Which of these leases renew?",
                "Is there a cap on it?",
                "When does that contract end?",
            ],
        );
        let asked = "What is the rent of the lease? And in all our other leases?";
        check(&before, "And in all our other leases?", 1, false, asked);
    }

    #[test]
    fn a_word_that_stands_in_what_was_spoken_of_names_nothing_else() {
        let question = "How large is the deposit of the tenant?";
        check(&[], question, 3, false, "How large is the of the tenant?");
        check(&["What is the notice period of the Acme lease?"], question, 1, false, question);
        let bolt = ["What is the notice period of the Bolt lease?"];
        check(&bolt, question, 3, false, "How large is the of the tenant?");
    }
}
