//! Passages to a prompt within the model's window. The wording is in `prompts/`; a file of the same name in the data
//! folder's `prompts/` takes its place.

use std::path::Path;

use crate::{
    generate::{GenerateError, Generator, Message, Role},
    library::Passage,
    orders, text,
};

/// The prompt templates.
#[derive(Debug, Clone)]
pub struct Prompts {
    /// What the model is told to do.
    pub system: String,
    /// The passages and the question: `{passages}`, `{question}` and `{form}` are filled in.
    pub user: String,
    /// The form of the answer to a yes or no question.
    pub yes_no: String,
    /// To one that asks for a date, an amount, a time, a name or a place.
    pub value: String,
    /// To one that asks for several things.
    pub list: String,
    /// The form of any other answer.
    pub other: String,
    /// Asks whether the passages hold an answer, in place of the form.
    pub check: String,
}

impl Prompts {
    /// The templates that come with the program, or those in `folder` where it has them.
    pub fn load(folder: &Path) -> std::io::Result<Self> {
        let read = |name: &str, built_in: &str| match std::fs::read_to_string(folder.join(name)) {
            Ok(text) => Ok(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(built_in.to_owned()),
            Err(error) => Err(error),
        };
        Ok(Self {
            system: read("answer.system.txt", include_str!("../prompts/answer.system.txt"))?,
            user: read("answer.user.txt", include_str!("../prompts/answer.user.txt"))?,
            yes_no: read("form.yes_no.txt", include_str!("../prompts/form.yes_no.txt"))?,
            value: read("form.value.txt", include_str!("../prompts/form.value.txt"))?,
            list: read("form.list.txt", include_str!("../prompts/form.list.txt"))?,
            other: read("form.other.txt", include_str!("../prompts/form.other.txt"))?,
            check: read("check.txt", include_str!("../prompts/check.txt"))?,
        })
    }

    fn messages(&self, passages: &str, question: &str) -> Vec<Message> {
        let form = match Form::of(question) {
            Form::YesNo => &self.yes_no,
            Form::Value => &self.value,
            Form::List => &self.list,
            Form::Other => &self.other,
        };
        self.filled(passages, question, form)
    }

    fn filled(&self, passages: &str, question: &str, form: &str) -> Vec<Message> {
        // One pass over the template, so that nothing in a passage or a question is taken for a place to fill in.
        let places = [("{passages}", passages), ("{question}", question), ("{form}", form.trim())];
        let mut user = String::with_capacity(self.user.len() + passages.len() + question.len());
        let mut rest = self.user.trim();
        while let Some(open) = rest.find('{') {
            user.push_str(&rest[..open]);
            rest = &rest[open..];
            if let Some((place, text)) = places.iter().find(|(place, _)| rest.starts_with(place)) {
                user.push_str(text);
                rest = &rest[place.len()..];
            } else {
                user.push('{');
                rest = &rest[1..];
            }
        }
        user.push_str(rest);
        vec![
            Message { role: Role::System, content: self.system.trim().to_owned() },
            Message { role: Role::User, content: user },
        ]
    }
}

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

impl Form {
    /// The form that a question, or the last sentence of it, asks for.
    pub(crate) fn of(question: &str) -> Self {
        // "In the lease: may the tenant assign?" asks after the colon.
        let last = text::sentences(question).last().map_or(question, |range| &question[range.clone()]);
        let parts = [Some(last), last.rsplit([':', ',', ';']).next()];
        let mut forms = parts.into_iter().flatten().map(Self::of_part);
        forms.find(|form| *form != Self::Other).unwrap_or(Self::Other)
    }

    fn of_part(part: &str) -> Self {
        const VERBS: &[&str] = &[
            "am", "are", "can", "could", "did", "do", "does", "had", "has", "have", "is", "may", "might", "must",
            "shall", "should", "was", "were", "will", "would",
        ];
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
        let words: Vec<String> =
            part.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect();
        let word = |at: usize| words.get(at).map_or("", String::as_str);
        let after = |at: usize| words.iter().skip(at).take(6).any(|word| VALUES.contains(&word.as_str()));
        match word(0) {
            first if VERBS.contains(&first) => Self::YesNo,
            "when" | "who" | "whom" | "whose" | "where" => Self::Value,
            "how" if AMOUNTS.contains(&word(1)) => Self::Value,
            "list" | "name" | "enumerate" => Self::List,
            "what" | "which" if ["are", "were"].contains(&word(1)) => Self::List,
            "which" if word(1).ends_with('s') => Self::List,
            "what" | "which" if after(1) => Self::Value,
            _ => Self::Other,
        }
    }
}

/// How much may go in.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Most tokens of passages.
    pub context_tokens: usize,
    /// Tokens kept free for the answer.
    pub answer_tokens: usize,
}

/// A stretch of a passage shorter than this says too little to be worth its tokens.
const LEAST_TOKENS: usize = 48;

/// What the model is given.
#[derive(Debug, Clone)]
pub struct Fitted {
    /// Asks for the answer.
    pub answer: Vec<Message>,
    /// Asks whether the passages hold one; begins like the other, so that the passages are read once for both.
    pub check: Vec<Message>,
    /// How many of the passages went in.
    pub used: usize,
}

/// The messages for a question with as many of the passages, best first, as fit: counted with the model's own
/// tokenizer, the last one cut at a sentence.
pub fn fit(
    prompts: &Prompts,
    model: &dyn Generator,
    question: &str,
    passages: &[Passage],
    budget: Budget,
) -> Result<Fitted, GenerateError> {
    let frame = model.count_tokens(&model.render(&prompts.messages("", question))?);
    let window = model.identity().context_tokens.saturating_sub(frame + budget.answer_tokens);
    let mut left = budget.context_tokens.min(window);
    let mut shown = String::new();
    let mut used = 0;
    for passage in passages {
        let head = heading(passage);
        let text = orders::without(&passage.text);
        let head_tokens = model.count_tokens(&head) + 2;
        let tokens = head_tokens + model.count_tokens(&text);
        if tokens <= left {
            left -= tokens;
            push(&mut shown, &head, &text);
            used += 1;
            continue;
        }
        if left >= head_tokens + LEAST_TOKENS {
            let part = beginning(&text, left - head_tokens, model);
            if !part.is_empty() {
                push(&mut shown, &head, part);
                used += 1;
            }
        }
        break;
    }
    let check = prompts.filled(&shown, question, &prompts.check);
    Ok(Fitted { answer: prompts.messages(&shown, question), check, used })
}

fn heading(passage: &Passage) -> String {
    format!("[{}] {}, page {}\n", passage.n, passage.file, passage.page_start)
}

fn push(shown: &mut String, head: &str, text: &str) {
    if !shown.is_empty() {
        shown.push_str("\n\n");
    }
    shown.push_str(head);
    shown.push_str(text);
}

/// The first sentences of a text that have at most that many tokens.
fn beginning<'a>(text: &'a str, max_tokens: usize, model: &dyn Generator) -> &'a str {
    let mut end = 0;
    for sentence in text::sentences(text) {
        if model.count_tokens(&text[..sentence.end]) > max_tokens {
            break;
        }
        end = sentence.end;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_of_an_answer_follows_from_the_question() {
        let check = |form, questions: &[&str]| {
            for question in questions {
                assert_eq!(Form::of(question), form, "{question}");
            }
        };
        check(
            Form::YesNo,
            &["Is there a cap?", "In the lease: may the tenant assign?", "Consider the lease; Does it renew?"],
        );
        check(
            Form::Value,
            &["When does it end?", "How much is the rent?", "What is the expiration date?", "In the lease, who signs?"],
        );
        check(
            Form::List,
            &["What are the duties of the tenant?", "Which medicines does he take?", "List the parties."],
        );
        check(Form::Other, &["How can it be terminated?", "Which law governs the lease?", "Why was it ended?"]);
    }

    #[test]
    fn what_stands_in_a_passage_is_not_filled_in() {
        let prompts = Prompts::load(Path::new("no such folder")).expect("the built-in ones");
        let messages = prompts.messages("see {question} and {form}", "What?");
        assert!(messages[1].content.contains("see {question} and {form}"));
        assert!(messages[1].content.contains("Question: What?"));
    }
}
