//! The chat template that the model file brings: messages to the text that the model was trained on.

use std::fmt::Write as _;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, Value, context};

use super::gguf::GgufFile;
use super::tokenizer::Vocabulary;
use super::{GenerateError, Message, Role};

/// `ChatML`, which most models without a template of their own were tuned on.
const CHATML: &str = "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}{{ '<|im_start|>assistant\n' }}";

/// A compiled template.
pub(super) struct ChatTemplate {
    environment: Environment<'static>,
    bos: String,
    eos: String,
}

impl ChatTemplate {
    /// Compiles the file's template, or `ChatML` when it has none.
    pub(super) fn from_gguf(file: &GgufFile, vocabulary: &Vocabulary) -> Result<Self, GenerateError> {
        let source = file.text("tokenizer.chat_template").unwrap_or(CHATML);
        let (bos, eos) = vocabulary.bos_and_eos();
        Self::new(source, bos, eos)
    }

    /// Compiles `source` the way Hugging Face does: Python's string methods, blocks that leave no blank lines.
    pub(super) fn new(source: &str, bos: &str, eos: &str) -> Result<Self, GenerateError> {
        let mut environment = Environment::new();
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|error| failed(&error))?);
        environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        });
        environment.add_function("strftime_now", |format: &str| -> Result<String, Error> {
            let mut now = String::new();
            write!(now, "{}", chrono::Local::now().format(format))
                .map_err(|_| Error::new(ErrorKind::InvalidOperation, "unknown date format"))?;
            Ok(now)
        });
        // Training marks; they write nothing.
        let source = source.replace("{% generation %}", "").replace("{% endgeneration %}", "");
        environment.add_template_owned("chat", source).map_err(|error| failed(&error))?;
        Ok(Self { environment, bos: bos.to_owned(), eos: eos.to_owned() })
    }

    /// Writes the conversation up to where the answer begins.
    pub(super) fn render(&self, messages: &[Message]) -> Result<String, GenerateError> {
        match (self.try_render(messages), messages) {
            // Some models know no system role: its text then opens the first question.
            (Err(_), [system, user, rest @ ..]) if system.role == Role::System && user.role == Role::User => {
                let content = format!("{}\n\n{}", system.content, user.content);
                let joined = [&[Message::new(Role::User, content)], rest].concat();
                self.try_render(&joined)
            }
            (rendered, _) => rendered,
        }
    }

    fn try_render(&self, messages: &[Message]) -> Result<String, GenerateError> {
        let messages: Vec<Value> = messages
            .iter()
            .map(|message| context! { role => role_name(message.role), content => &message.content })
            .collect();
        let template = self.environment.get_template("chat").map_err(|error| failed(&error))?;
        let values = context! {
            messages, add_generation_prompt => true, bos_token => &self.bos, eos_token => &self.eos,
        };
        template.render(values).map_err(|error| failed(&error))
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    }
}

fn failed(error: &Error) -> GenerateError {
    GenerateError::Template { problem: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(source: &str, messages: &[Message]) -> Result<String, GenerateError> {
        ChatTemplate::new(source, "<s>", "</s>").and_then(|template| template.render(messages))
    }

    fn talk() -> Vec<Message> {
        vec![Message::new(Role::System, " Be brief. "), Message::new(Role::User, "Who pays?")]
    }

    #[test]
    fn python_methods_and_blocks_work_as_in_python() {
        let source = "{{ bos_token }}\n{% for message in messages %}\n    {% if message['role'] == 'user' %}\n\
                      {{ message.content.strip() | upper }}{{ eos_token }}\n    {% endif %}\n{% endfor %}\n";
        assert_eq!(render(source, &talk()).unwrap(), "<s>\nWHO PAYS?</s>\n");
    }

    #[test]
    fn a_model_without_a_system_role_reads_it_before_the_question() {
        let source = "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}\
                      {% for message in messages %}[{{ message.content }}]{% endfor %}";
        assert_eq!(render(source, &talk()).unwrap(), "[ Be brief. \n\nWho pays?]");
        let error = render(source, &talk()[..1]).unwrap_err();
        assert!(error.to_string().contains("no system role"), "{error}");
    }

    #[test]
    fn a_template_may_write_the_date() {
        let written = render("{{ strftime_now('%Y') }}", &talk()).unwrap();
        assert!(written.parse::<u32>().is_ok_and(|year| year >= 2024), "{written}");
        assert!(render("{{ strftime_now('%Q%!') }}", &talk()).is_err());
    }

    #[test]
    fn a_broken_template_is_an_error() {
        assert!(matches!(render("{% for %}", &talk()), Err(GenerateError::Template { .. })));
    }
}
