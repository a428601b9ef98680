//! A model's tokens and its chat template: all that is needed to know what a conversation is to the network.

use super::template::ChatTemplate;
use super::tokenizer::{Vocabulary, unguard};
use super::{GenerateError, Message};

/// How a model reads and writes.
pub(super) struct Language {
    pub(super) vocabulary: Vocabulary,
    pub(super) template: ChatTemplate,
}

impl Language {
    /// A conversation as people may read it.
    pub(super) fn render(&self, messages: &[Message]) -> Result<String, GenerateError> {
        Ok(unguard(&self.guarded(messages)?))
    }

    /// A conversation as the network reads it.
    pub(super) fn prompt(&self, messages: &[Message]) -> Result<Vec<u32>, GenerateError> {
        self.vocabulary.encode_prompt(&self.guarded(messages)?)
    }

    fn guarded(&self, messages: &[Message]) -> Result<String, GenerateError> {
        let guard = |message: &Message| Message::new(message.role, self.vocabulary.guard(&message.content));
        self.template.render(&messages.iter().map(guard).collect::<Vec<_>>())
    }
}
