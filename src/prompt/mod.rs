//! What the model is given, within its window. The wording is in `prompts/`; a file of the same name in the data
//! folder's `prompts/` takes its place.

use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
};

use crate::{
    generate::{GenerateError, Generator, Message, Role},
    library::Excerpt,
};

mod form;

pub(crate) use form::Form;

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
    /// Asks whether the passages, or one of them, hold an answer, in place of the form.
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
            system: read("answer.system.txt", include_str!("../../prompts/answer.system.txt"))?,
            user: read("answer.user.txt", include_str!("../../prompts/answer.user.txt"))?,
            yes_no: read("form.yes_no.txt", include_str!("../../prompts/form.yes_no.txt"))?,
            value: read("form.value.txt", include_str!("../../prompts/form.value.txt"))?,
            list: read("form.list.txt", include_str!("../../prompts/form.list.txt"))?,
            other: read("form.other.txt", include_str!("../../prompts/form.other.txt"))?,
            check: read("check.txt", include_str!("../../prompts/check.txt"))?,
        })
    }

    /// Asks for the answer to a question.
    fn messages(&self, passages: &str, question: &str) -> Vec<Message> {
        let form = match Form::of(question) {
            Form::YesNo => &self.yes_no,
            Form::Value => &self.value,
            Form::List => &self.list,
            Form::Other => &self.other,
        };
        vec![self.instructions(), self.asked(passages, question, form)]
    }

    /// Asks whether an excerpt answers a question.
    pub(crate) fn sift(&self, question: &str, excerpt: &Excerpt) -> Vec<Message> {
        let text = &excerpt.text[..excerpt.text.floor_char_boundary(SIFTED_BYTES)];
        vec![self.instructions(), self.asked(&(heading(excerpt) + text), question, &self.check)]
    }

    fn instructions(&self) -> Message {
        Message::new(Role::System, self.system.trim())
    }

    fn asked(&self, passages: &str, question: &str, form: &str) -> Message {
        let places = [("{passages}", passages), ("{question}", question), ("{form}", form.trim())];
        Message::new(Role::User, fill(&self.user, &places))
    }
}

/// A template with its places filled in: in one pass, so that nothing in a passage or a question is taken for a place.
fn fill(template: &str, places: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(template.len() + places.iter().map(|(_, text)| text.len()).sum::<usize>());
    let mut rest = template.trim();
    while let Some(open) = rest.find('{') {
        filled.push_str(&rest[..open]);
        rest = &rest[open..];
        if let Some((place, text)) = places.iter().find(|(place, _)| rest.starts_with(place)) {
            filled.push_str(text);
            rest = &rest[place.len()..];
        } else {
            filled.push('{');
            rest = &rest[1..];
        }
    }
    filled.push_str(rest);
    filled
}

/// Of a longer excerpt the beginning is asked about.
const SIFTED_BYTES: usize = 900;

/// How much may go in.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Most tokens of passages.
    pub context_tokens: usize,
    /// Tokens kept free for the answer.
    pub answer_tokens: usize,
}

/// What is left is not worth looking for a shorter sentence that fits.
const LEAST_TOKENS: usize = 16;

/// What the model is given.
#[derive(Debug, Clone)]
pub(crate) struct Fitted {
    /// Asks for the answer.
    pub answer: Vec<Message>,
    /// Asks whether the passages hold one; begins like the other, so that the passages are read once for both.
    pub check: Vec<Message>,
}

/// The messages for a question with as many of the excerpts as fit, those that bear most on it: counted with the
/// model's own tokenizer. They stand in the order in which they are given.
pub(crate) fn fit(
    prompts: &Prompts,
    model: &dyn Generator,
    question: &str,
    excerpts: &[Excerpt],
    budget: Budget,
) -> Result<Fitted, GenerateError> {
    let frame = model.count_tokens(&model.render(&prompts.messages("", question))?);
    let window = model.identity().context_tokens.saturating_sub(frame + budget.answer_tokens);
    let mut left = budget.context_tokens.min(window);
    let mut order: Vec<usize> = (0..excerpts.len()).collect();
    let score = |at: usize| excerpts[at].score.unwrap_or_default();
    order.sort_by(|a, b| score(*b).total_cmp(&score(*a)));
    let mut chosen: BTreeMap<usize, &str> = BTreeMap::new();
    let mut headed = HashSet::new();
    for at in order {
        if left < LEAST_TOKENS {
            break;
        }
        let excerpt = &excerpts[at];
        let place = (excerpt.n, excerpt.page);
        // Two more for what separates it from others.
        let head = if headed.contains(&place) { 2 } else { model.count_tokens(&heading(excerpt)) + 2 };
        let tokens = head + model.count_tokens(&excerpt.text);
        if tokens <= left {
            left -= tokens;
            chosen.insert(at, &excerpt.text);
            headed.insert(place);
        } else if chosen.is_empty() && head < left {
            chosen.insert(at, beginning(&excerpt.text, left - head, model));
            break;
        }
    }
    let passages = written(excerpts, &chosen);
    let check = vec![prompts.instructions(), prompts.asked(&passages, question, &prompts.check)];
    Ok(Fitted { answer: prompts.messages(&passages, question), check })
}

/// The chosen excerpts under the places where they stand, with a mark where something was left out.
fn written(excerpts: &[Excerpt], chosen: &BTreeMap<usize, &str>) -> String {
    let mut shown = String::new();
    let mut before: Option<usize> = None;
    for (at, text) in chosen {
        let excerpt = &excerpts[*at];
        let same_place = |before: &usize| (excerpts[*before].n, excerpts[*before].page) == (excerpt.n, excerpt.page);
        if before.is_some_and(|before| same_place(&before)) {
            match excerpt.gap.filter(|_| before == at.checked_sub(1)) {
                Some(gap) => shown.push(gap),
                None => shown.push_str(" … "),
            }
        } else {
            if before.is_some() {
                shown.push_str("\n\n");
            }
            shown.push_str(&heading(excerpt));
        }
        shown.push_str(text);
        before = Some(*at);
    }
    shown
}

fn heading(excerpt: &Excerpt) -> String {
    format!("[{}] {}, page {}\n", excerpt.n, excerpt.file, excerpt.page)
}

/// The first words of a text that have at most that many tokens.
fn beginning<'a>(text: &'a str, max_tokens: usize, model: &dyn Generator) -> &'a str {
    let ends: Vec<usize> = text.match_indices(char::is_whitespace).map(|(at, _)| at).collect();
    let fitting = ends.partition_point(|end| model.count_tokens(&text[..*end]) <= max_tokens);
    &text[..fitting.checked_sub(1).map_or(0, |last| ends[last])]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excerpt(page: u32, text: &str, gap: Option<char>) -> Excerpt {
        Excerpt {
            line: 0,
            n: 1,
            document: crate::store::DocumentId(uuid::Uuid::nil()),
            file: "lease.pdf".to_owned(),
            page,
            text: text.to_owned(),
            score: None,
            gap,
        }
    }

    #[test]
    fn what_was_left_out_between_excerpts_is_marked() {
        let excerpts = [
            excerpt(1, "The rent is $40.", None),
            excerpt(1, "It is due in May.", Some(' ')),
            excerpt(1, "Pets may stay.", Some('\n')),
            excerpt(2, "Signed.", None),
        ];
        let check = |chosen: &[usize], expected: &str| {
            let chosen = chosen.iter().map(|at| (*at, excerpts[*at].text.as_str())).collect();
            assert_eq!(written(&excerpts, &chosen), expected);
        };
        check(&[0, 1, 2], "[1] lease.pdf, page 1\nThe rent is $40. It is due in May.\nPets may stay.");
        check(&[0, 2, 3], "[1] lease.pdf, page 1\nThe rent is $40. … Pets may stay.\n\n[1] lease.pdf, page 2\nSigned.");
    }

    #[test]
    fn a_sentence_is_asked_about_under_its_place() {
        let prompts = Prompts::load(Path::new("no such folder")).expect("the built-in ones");
        let messages = prompts.sift("What is the rent?", &excerpt(4, "The rent is $40.", None));
        let asked = "[1] lease.pdf, page 4\nThe rent is $40.\n\nQuestion: What is the rent?\n\
            Do the passages above say anything that answers this question? Reply Yes or No.";
        assert_eq!(messages, [prompts.instructions(), Message::new(Role::User, asked)]);
    }

    #[test]
    fn what_stands_in_a_passage_is_not_filled_in() {
        let prompts = Prompts::load(Path::new("no such folder")).expect("the built-in ones");
        let messages = prompts.messages("see {question} and {form}", "What?");
        assert!(messages[1].content.contains("see {question} and {form}"));
        assert!(messages[1].content.contains("Question: What?"));
    }
}
