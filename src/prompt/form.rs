//! What form of answer a question asks for, by the words that it begins with.

use crate::text;

/// What the answer to a question begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Yes or no.
    YesNo,
    /// A date, an amount, a time, a name or a place.
    Value,
    /// Several things.
    List,
    /// Sentences.
    Other,
}

/// Verbs that begin a question for yes or no.
const VERBS: &[&str] = &[
    "am", "are", "can", "could", "did", "do", "does", "had", "has", "have", "is", "may", "might", "must", "shall",
    "should", "was", "were", "will", "would",
];
/// What such a verb asks about, and what stands before it where nothing is asked ("what the tenant must pay").
const SUBJECTS: &[&str] =
    &["a", "an", "he", "i", "it", "my", "our", "she", "that", "the", "there", "they", "this", "we", "you"];
/// What may stand before "what" or "which": "under what conditions", "to which court".
const LEADS: &[&str] = &[
    "against", "at", "between", "by", "during", "for", "from", "in", "into", "of", "on", "out", "over", "through",
    "to", "under", "until", "up", "upon", "with", "within",
];

impl Form {
    /// The form that a question, or the last sentence of it, asks for.
    pub(crate) fn of(question: &str) -> Self {
        // "In the lease: may the tenant assign, sublet or part with it?" asks after the colon.
        let last = text::sentences(question).last().map_or(question, |range| &question[range.clone()]);
        let openings = std::iter::once(0).chain(last.match_indices([':', ',', ';']).map(|(at, _)| at + 1));
        for at in openings {
            let spelt = last[at..].split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
            let spelt: Vec<&str> = spelt.collect();
            let words: Vec<String> = spelt.iter().map(|word| word.to_lowercase()).collect();
            let form = Self::of_part(&words, &spelt);
            // "To what extent, if any, is the tenant liable?" has asked before it comes to "is".
            if form != Self::Other || asks(&words, at == 0) {
                return form;
            }
        }
        Self::Other
    }

    /// `words` are in lower case, and `spelt` as they were written.
    fn of_part(words: &[String], spelt: &[&str]) -> Self {
        const NUMBERS: &[&str] = &[
            "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "twelve", "thirty", "sixty",
        ];
        const PLACES: &[&str] = &["article", "clause", "page", "paragraph", "section"];
        const TAGS: &[&str] = &["allowed", "correct", "ok", "okay", "possible", "right", "true"];
        const AMOUNTS: &[&str] = &["much", "many", "long", "often", "old", "high", "large", "far", "soon", "late"];
        const VALUES: &[&str] = &[
            "address",
            "age",
            "amount",
            "cost",
            "date",
            "day",
            "deadline",
            "dose",
            "duration",
            "fee",
            "length",
            "name",
            "number",
            "percentage",
            "period",
            "price",
            "rate",
            "rent",
            "salary",
            "sum",
            "term",
            "total",
            "year",
        ];
        let word = |at: usize| words.get(at).map_or("", String::as_str);
        let is_number = |at: usize| word(at).starts_with(|c: char| c.is_ascii_digit()) || NUMBERS.contains(&word(at));
        let either = (1..words.len()).filter(|at| word(*at) == "or").any(|or| {
            let clause = VERBS.contains(&word(or + 1)) && SUBJECTS.contains(&word(or + 2));
            let counted = PLACES.iter().any(|place| word(or.saturating_sub(2)).starts_with(place));
            clause || (is_number(or - 1) && is_number(or + 1) && !counted)
        });
        let after = |at: usize| words.iter().skip(at).take(6).any(|word| VALUES.contains(&word.as_str()));
        match word(0) {
            // "We want to assign it. OK?"
            first if TAGS.contains(&first) && words.len() == 1 => Self::YesNo,
            // "Can we leave now or do we have to wait?", "Is it 30 or 60 days?" ask for one of two.
            first if VERBS.contains(&first) && (either || between_names(spelt)) => Self::Other,
            first if VERBS.contains(&first) && asks_twice(words) => Self::Other,
            first if VERBS.contains(&first) => Self::YesNo,
            "when" | "who" | "whom" | "whose" | "where" => Self::Value,
            "how" if AMOUNTS.contains(&word(1)) => Self::Value,
            "list" | "name" | "enumerate" => Self::List,
            "what" | "which" if ["are", "were"].contains(&word(1)) => Self::List,
            "which" if word(1).ends_with('s') && !VERBS.contains(&word(1)) => Self::List,
            "what" | "which" if after(1) => Self::Value,
            _ => Self::Other,
        }
    }
}

/// Whether a part of a question asks: "may he", "to what extent", "which party". Later parts only go on with it.
fn asks(words: &[String], is_first: bool) -> bool {
    let word = |at: usize| words.get(at).map_or("", String::as_str);
    let leads = |word: &&str| LEADS.contains(word) || ["and", "but"].contains(word);
    let led = words.iter().map(String::as_str).take_while(leads).count();
    let next = word(led + 1);
    // "From what was said, may he leave?"
    let tells = led > 0 && VERBS.contains(&next);
    match word(led) {
        _ if VERBS.contains(&word(0)) => true,
        // "What I want to know: may he leave?", "What about pets, are they allowed?"
        "how" | "what" | "why" => !tells && next != "about" && !SUBJECTS.contains(&next),
        // "She is four, which is young, may she have it?"
        "which" => !VERBS.contains(&next),
        // "My aunt, with whom I live, may she stay?"
        "when" | "where" | "who" | "whom" | "whose" => is_first && !tells,
        _ => false,
    }
}

/// "May he sublet, and what notice must he give?" A yes would leave out half of the answer. Not so with "…, and under
/// what conditions?", which the sentence beside the yes tells, and "Does it say who repairs and who pays?" asks once.
fn asks_twice(words: &[String]) -> bool {
    const ASKING: &[&str] = &["how", "what", "when", "where", "which", "who", "whom", "whose", "why"];
    let Some(asking) = (1..words.len()).find(|at| ASKING.contains(&words[*at].as_str())) else { return false };
    let led = words[..asking].iter().rev().take_while(|word| LEADS.contains(&word.as_str())).count();
    let mut before = &words[..asking - led];
    // "…, and if so, what is it?"
    if let [rest @ .., first, second] = before
        && first == "if"
        && ["not", "so", "yes"].contains(&second.as_str())
    {
        before = rest;
    }
    // Not "Does it say whether and how it is paid?"
    let goes_on = matches!(before, [.., first, second]
        if ["and", "but"].contains(&second.as_str()) && !["as", "if", "whether"].contains(&first.as_str()));
    let after = &words[asking + 1..];
    // Told, not asked: "Does it state the rent and when it is due?"
    let tells = after.first().is_some_and(|word| SUBJECTS.contains(&word.as_str()));
    let has_verb = after.iter().take(4).any(|word| VERBS.contains(&word.as_str()));
    // "And who pays?", "and what conditions apply?"
    let has_subject = led == 0 && !after.is_empty() && ["what", "which", "who"].contains(&words[asking].as_str());
    goes_on && !tells && (has_verb || has_subject)
}

/// "Is it governed by the law of New York or Delaware?" asks for one of two names, which are what it ends with.
fn between_names(words: &[&str]) -> bool {
    const SMALL: &[&str] = &["by", "in", "law", "laws", "of", "on", "that", "the"];
    // Not "HIV", nor the letters of "hepatitis A or B".
    let is_name = |word: &str| {
        let mut chars = word.chars();
        chars.next().is_some_and(char::is_uppercase) && chars.next().is_some_and(char::is_lowercase)
    };
    let is_being =
        words.first().is_some_and(|word| ["are", "is", "was", "were"].contains(&word.to_lowercase().as_str()));
    let mut ors = (1..words.len()).filter(|at| words[*at] == "or");
    is_being
        && ors.any(|or| {
            let before = words[..or].iter().rev().find(|word| **word != "law");
            let after = &words[or + 1..];
            before.is_some_and(|word| is_name(word))
                && after.iter().any(|word| is_name(word))
                && after.iter().all(|word| is_name(word) || SMALL.contains(word))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(form: Form, questions: &[&str]) {
        for question in questions {
            assert_eq!(Form::of(question), form, "{question}");
        }
    }

    #[test]
    fn the_form_of_an_answer_follows_from_the_question() {
        check(
            Form::YesNo,
            &[
                "Is there a cap?",
                "In the lease: may the tenant assign?",
                "Consider the lease; Does it renew?",
                "We would like to sublet. OK?",
                "In \"a, b.pdf\": Must it tell the other party if it is required by law, order, or regulation?",
            ],
        );
        check(
            Form::Value,
            &["When does it end?", "How much is the rent?", "What is the expiration date?", "In the lease, who signs?"],
        );
        check(
            Form::List,
            &["What are the duties of the tenant?", "Which medicines does he take?", "List the parties."],
        );
        check(
            Form::Other,
            &[
                "Can we leave now, or do we have to wait?",
                "Is it 30 or 60 days?",
                "Is it the usual three or five years?",
            ],
        );
        check(
            Form::YesNo,
            &[
                "Can she sublet or assign it?",
                "Is it over or not?",
                "Did she leave a trust or will?",
                "Do clauses 3 or 4 mention rent?",
            ],
        );
        check(Form::Other, &["How can it be terminated?", "Which law governs the lease?", "Why was it ended?"]);
    }

    #[test]
    fn only_what_a_yes_would_answer_is_a_yes_or_no_question() {
        // They ask before they come to a verb.
        check(
            Form::Other,
            &[
                "In what circumstances, if any, may the tenant terminate the lease?",
                "Which party, the landlord or the tenant, is responsible for repairs?",
                "To what extent, if any, is the landlord liable?",
                "What, if anything, must the tenant pay on termination?",
                "Why, in the doctor's view, was the dose reduced?",
                "And why, in short, was it reduced?",
                "How, if at all, may the lease be ended?",
                "In the Acme lease, which party, Acme or Bolt, is to insure?",
                "To whom, if anyone, may the tenant assign it?",
            ],
        );
        check(
            Form::YesNo,
            &[
                "In the lease: Is there a cap on liability?",
                "Under the agreement, may the tenant sublet?",
                "What I want to know: may the tenant sublet?",
                "What about pets, are they allowed?",
                "From what was said, may the tenant sublet?",
                "My aunt has what they call a stent, may she fly?",
                "She is four, which is young, may she have it?",
            ],
        );
        // One of two names.
        check(
            Form::Other,
            &[
                "Is the lease governed by the law of New York or Delaware?",
                "Is it governed by New York law or the law of Delaware?",
                "Is that treated as delivered Friday or Monday?",
            ],
        );
        check(
            Form::YesNo,
            &[
                "Is there a cap or limit on liability?",
                "May the tenant assign or sublet?",
                "Is disclosure to Affiliates or Representatives allowed?",
                "Is she immune to Hepatitis A or B?",
                "IS THE LEASE ASSIGNED OR SUBLET?",
            ],
        );
        // Two questions.
        check(
            Form::Other,
            &[
                "May the tenant sublet, and what notice must he give?",
                "Is there a cap and how much is it?",
                "May he sublet, and if so, what is the fee?",
                "May he sublet, and who pays the fee?",
                "Are the two diseases alike and where can one be tested?",
            ],
        );
        check(
            Form::YesNo,
            &[
                "Can it be ended early, and under what conditions?",
                "Does it say whether and how the rent is raised?",
                "Does it say who repairs and who pays?",
                "Does it state the rent and when it is due?",
            ],
        );
    }
}
