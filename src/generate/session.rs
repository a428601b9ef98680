//! One model answering: read the prompt in blocks, then write token by token, and stop when asked.
//! What the model holds of the last prompt is kept, and a prompt that begins alike is read from where it differs.

use std::ops::ControlFlow;
use std::time::Instant;

use super::pieces::Pieces;
use super::sample::Sampler;
use super::template::ChatTemplate;
use super::tokenizer::{Vocabulary, unguard};
use super::{
    Alternative, Finish, GenerateError, GenerateOptions, Generated, Generator, Message, ModelIdentity, Progress,
};

/// A forward pass with its memory of the tokens it has read.
pub(super) trait Network: Send {
    /// Reads `tokens`, which follow the `position` tokens read before; the scores for the token after them when `score`.
    fn read(&mut self, tokens: &[u32], position: usize, score: bool) -> Result<Vec<f32>, GenerateError>;

    /// Forgets all but the first `length` tokens; answers how many it really kept.
    fn keep(&mut self, length: usize) -> usize;

    /// Most tokens to read at once; between two blocks the caller may break off.
    fn block_tokens(&self) -> usize;
}

/// A model with everything it needs to answer.
pub(super) struct Session {
    identity: ModelIdentity,
    vocabulary: Vocabulary,
    template: ChatTemplate,
    network: Box<dyn Network>,
    /// Tokens that the network holds.
    held: Vec<u32>,
}

impl Session {
    /// A session that holds nothing yet.
    pub(super) fn new(
        identity: ModelIdentity,
        vocabulary: Vocabulary,
        template: ChatTemplate,
        network: Box<dyn Network>,
    ) -> Self {
        Self { identity, vocabulary, template, network, held: Vec::new() }
    }
}

impl Generator for Session {
    fn identity(&self) -> &ModelIdentity {
        &self.identity
    }

    fn count_tokens(&self, text: &str) -> usize {
        // Encoding fails only inside the tokenizer library; a token a byte is then the safe side.
        self.vocabulary.encode(text).map_or(text.len(), |tokens| tokens.len())
    }

    fn render(&self, messages: &[Message]) -> Result<String, GenerateError> {
        Ok(unguard(&self.guarded(messages)?))
    }

    fn prompt_tokens(&self, messages: &[Message]) -> Result<usize, GenerateError> {
        Ok(self.prompt(messages)?.len())
    }

    fn generate(
        &mut self,
        messages: &[Message],
        options: &GenerateOptions,
        on_progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<Generated, GenerateError> {
        let prompt = self.prompt(messages)?;
        let context_tokens = self.identity.context_tokens;
        if prompt.len() >= context_tokens {
            return Err(GenerateError::PromptTooLong { tokens: prompt.len(), context_tokens });
        }
        let started = Instant::now();
        let reused_tokens = self.keep_common(&prompt);
        let mut generated = Generated {
            text: String::new(),
            prompt_tokens: prompt.len(),
            reused_tokens,
            tokens: 0,
            prefill_ms: 0,
            decode_ms: 0,
            finish: Finish::Cancelled,
        };
        let scores = self.read_prompt(&prompt, on_progress)?;
        generated.prefill_ms = milliseconds(started);
        if let Some(scores) = scores {
            let started = Instant::now();
            let written = self.write(scores, options, on_progress);
            // Only what was read in blocks is kept, so that an answer does not depend on how earlier ones were written.
            let kept = self.network.keep(prompt.len());
            self.held.truncate(kept);
            (generated.text, generated.tokens, generated.finish) = written?;
            generated.decode_ms = milliseconds(started);
        }
        Ok(generated)
    }

    fn first_tokens(&mut self, messages: &[Message], count: usize) -> Result<Vec<Alternative>, GenerateError> {
        let prompt = self.prompt(messages)?;
        let context_tokens = self.identity.context_tokens;
        if prompt.len() >= context_tokens {
            return Err(GenerateError::PromptTooLong { tokens: prompt.len(), context_tokens });
        }
        self.keep_common(&prompt);
        let scores = self.read_prompt(&prompt, &mut |_| ControlFlow::Continue(()))?.unwrap_or_default();
        let best = scores.iter().copied().fold(f32::MIN, f32::max);
        let total: f32 = scores.iter().map(|score| (score - best).exp()).sum();
        let mut ranked: Vec<(u32, f32)> = (0..).zip(scores).collect();
        ranked.sort_unstable_by(|a, b| b.1.total_cmp(&a.1));
        let alternative = |(token, score): (u32, f32)| Alternative {
            text: String::from_utf8_lossy(self.vocabulary.piece(token)).into_owned(),
            probability: (score - best).exp() / total,
        };
        Ok(ranked.into_iter().take(count).map(alternative).collect())
    }
}

impl Session {
    fn guarded(&self, messages: &[Message]) -> Result<String, GenerateError> {
        let guard = |message: &Message| Message::new(message.role, self.vocabulary.guard(&message.content));
        self.template.render(&messages.iter().map(guard).collect::<Vec<_>>())
    }

    fn prompt(&self, messages: &[Message]) -> Result<Vec<u32>, GenerateError> {
        self.vocabulary.encode_prompt(&self.guarded(messages)?)
    }

    /// Keeps what the last prompt and this one begin with; the last token is always read anew, for its scores.
    fn keep_common(&mut self, prompt: &[u32]) -> usize {
        let common = self.held.iter().zip(prompt).take_while(|(held, token)| held == token).count();
        let kept = self.network.keep(common.min(prompt.len().saturating_sub(1)));
        self.held.truncate(kept);
        kept
    }

    /// Reads the prompt from where it is not held; `None` when the caller broke off.
    fn read_prompt(
        &mut self,
        prompt: &[u32],
        on_progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<Option<Vec<f32>>, GenerateError> {
        let mut scores = Vec::new();
        while self.held.len() < prompt.len() {
            let done = self.held.len();
            if on_progress(Progress::Reading { done, total: prompt.len() }).is_break() {
                return Ok(None);
            }
            let end = prompt.len().min(done.saturating_add(self.network.block_tokens()));
            scores = self.read(&prompt[done..end], end == prompt.len())?;
        }
        Ok(Some(scores))
    }

    fn write(
        &mut self,
        mut scores: Vec<f32>,
        options: &GenerateOptions,
        on_progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<(String, usize, Finish), GenerateError> {
        let mut sampler = Sampler::new(options);
        let mut pieces = Pieces::new(&options.stop);
        let mut tokens = 0;
        let finish = loop {
            if tokens == options.max_tokens || self.held.len() == self.identity.context_tokens {
                break Finish::Length;
            }
            let token = sampler.next(&scores);
            if self.vocabulary.is_end(token) {
                break Finish::Stop;
            }
            tokens += 1;
            if pieces.push(self.vocabulary.piece(token)) {
                break Finish::Stop;
            }
            let piece = pieces.ready();
            if !piece.is_empty() && on_progress(Progress::Piece(piece)).is_break() {
                break Finish::Cancelled;
            }
            if tokens < options.max_tokens {
                scores = self.read(&[token], true)?;
            }
        };
        let rest = pieces.rest();
        if !rest.is_empty() && finish != Finish::Cancelled {
            // The answer is complete: whether the reader still wants more no longer matters.
            let _ = on_progress(Progress::Piece(rest));
        }
        Ok((pieces.into_text(), tokens, finish))
    }

    /// Reads tokens after those held. After an error nothing is held, for the network may be half-way.
    fn read(&mut self, tokens: &[u32], score: bool) -> Result<Vec<f32>, GenerateError> {
        let position = self.held.len();
        let result = self.network.read(tokens, position, score);
        if result.is_ok() {
            self.held.extend_from_slice(tokens);
        } else {
            self.network.keep(0);
            self.held.clear();
        }
        result
    }
}

fn milliseconds(started: Instant) -> u64 {
    started.elapsed().as_millis() as u64
}
