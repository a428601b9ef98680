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
            other: read("form.other.txt", include_str!("../prompts/form.other.txt"))?,
            check: read("check.txt", include_str!("../prompts/check.txt"))?,
        })
    }

    fn messages(&self, passages: &str, question: &str) -> Vec<Message> {
        let form = if wants_yes_or_no(question) { &self.yes_no } else { &self.other };
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

/// Whether a question, or the last sentence of it, begins as one that is answered by yes or no.
pub(crate) fn wants_yes_or_no(question: &str) -> bool {
    const BEGINNINGS: &[&str] = &[
        "am", "are", "can", "could", "did", "do", "does", "had", "has", "have", "is", "may", "might", "must", "shall",
        "should", "was", "were", "will", "would",
    ];
    let asks = |part: &str| {
        let first = part.split_whitespace().next().unwrap_or_default().to_lowercase();
        BEGINNINGS.contains(&first.as_str())
    };
    // "In the lease: may the tenant assign?" asks after the colon.
    let last = text::sentences(question).last().map_or(question, |range| &question[range.clone()]);
    asks(last) || last.rsplit([':', ',']).next().is_some_and(asks)
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
    fn yes_or_no_questions_are_told_from_others() {
        for question in
            ["Is there a cap?", "In the lease: may the tenant assign?", "Consider the lease; Does it renew?"]
        {
            assert!(wants_yes_or_no(question), "{question}");
        }
        for question in ["When does it end?", "How can it be terminated?", "Which law governs the lease?"] {
            assert!(!wants_yes_or_no(question), "{question}");
        }
    }

    #[test]
    fn what_stands_in_a_passage_is_not_filled_in() {
        let prompts = Prompts::load(Path::new("no such folder")).expect("the built-in ones");
        let messages = prompts.messages("see {question} and {form}", "What?");
        assert!(messages[1].content.contains("see {question} and {form}"));
        assert!(messages[1].content.contains("Question: What?"));
    }
}
