//! A model answering, one step at a time: a block of prompts and the next tokens of all who have read theirs
//! go through the network together. What it holds of earlier conversations is kept, and a prompt that begins like one
//! of them is read from where it differs, unless only a state was wanted of that one.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use super::buffers::Buffer;
use super::cache::Memory;
use super::draft;
use super::language::Language;
use super::pieces::Pieces;
use super::sample::{Sampler, log_probability};
use super::{
    Finish, GenerateError, GenerateOptions, Generated, Generator, Message, ModelIdentity, Progress, Scored, Wanted,
};

/// A forward pass. What it has read is in the memories that it is given.
pub(super) trait Network: Send {
    /// An empty memory for one conversation.
    fn memory(&self) -> Memory;

    /// Reads tokens of one or several conversations; the scores for the token after each that is to be scored.
    fn read(&mut self, parts: &mut [Part<'_>]) -> Result<Buffer, GenerateError>;

    /// Forgets all but the first `tokens` tokens of a memory, or more where that is not possible.
    fn truncate(&mut self, memory: &mut Memory, tokens: usize) {
        memory.truncate(tokens);
    }

    /// Most tokens to read at once; between two blocks a reader may break off.
    fn block_tokens(&self) -> usize;

    /// How many memories may be in use at the same time.
    fn conversations(&self) -> usize;
}

/// Tokens of one conversation that follow those in its memory.
pub(super) struct Part<'a> {
    pub(super) memory: &'a mut Memory,
    pub(super) tokens: &'a [u32],
    /// How many of the last ones are to be scored.
    pub(super) scored: usize,
    /// Where the last token's hidden state goes, if it is wanted; candle's forward pass leaves it empty.
    pub(super) state: Option<Vec<f32>>,
    /// Whether nothing else of it is wanted, now or later: then the layers after the one that states come from may be
    /// left out. Such a part has nothing scored.
    pub(super) only_state: bool,
}

/// Answers that are written at once: as many rows as a kernel takes together with the weights read once.
pub(super) const PLACES: usize = 4;
/// Conversations that are held: those that are being answered, and as many that may be gone on with. A forgotten one is
/// read again. With the 1.5B model, one of 2,000 tokens takes 57 MB.
const SLOTS: usize = 2 * PLACES;
/// Tokens of a prompt between two tokens of those who are being answered: 2 to 3 steps a second for them with a 1.5B
/// model, at nearly the speed of whole blocks.
const SHARED_BLOCK_TOKENS: usize = 64;
/// Rows of scores that are held at once when a text is scored: 40 MB with a vocabulary of 150,000.
const SCORED_ROWS: usize = 64;

/// A model with everything it needs to answer.
pub(super) struct Session {
    identity: ModelIdentity,
    language: Arc<Language>,
    network: Box<dyn Network>,
    slots: Vec<Slot>,
    /// Counts uses, to know the slot that was left alone longest.
    clock: u64,
    drafts: bool,
}

/// A conversation that the network remembers.
struct Slot {
    memory: Memory,
    /// Tokens that the memory holds.
    held: Vec<u32>,
    /// Whether it may hold them in the layers up to that of the state only.
    shallow: bool,
    used: u64,
    busy: bool,
}

/// An answer on its way.
pub(super) struct Writing {
    slot: usize,
    prompt: Vec<u32>,
    options: GenerateOptions,
    sampler: Sampler,
    pieces: Pieces,
    /// Tokens to be read next: the last that was chosen, then guesses at those after it.
    pending: Vec<u32>,
    generated: Generated,
    started: Instant,
    first_token: Option<Instant>,
    is_over: bool,
}

impl Writing {
    /// Whether nothing more will come.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    fn end(&mut self, finish: Finish) {
        self.generated.finish = finish;
        self.is_over = true;
        let now = Instant::now();
        let first = self.first_token.unwrap_or(now);
        self.generated.prefill_ms = (first - self.started).as_millis() as u64;
        self.generated.decode_ms = (now - first).as_millis() as u64;
    }
}

/// Where the steps of several answers are told: which answer, and what happened.
pub(super) type Tell<'a> = &'a mut dyn FnMut(usize, Progress<'_>) -> ControlFlow<()>;

impl Session {
    /// A session that holds nothing yet. `drafts`: whether answers may be guessed ahead from the prompt.
    pub(super) fn new(identity: ModelIdentity, language: Language, network: Box<dyn Network>, drafts: bool) -> Self {
        let drafts = drafts && network.conversations() > 1;
        Self { identity, language: Arc::new(language), network, slots: Vec::new(), clock: 0, drafts }
    }

    /// The model's tokens and template.
    pub(super) fn language(&self) -> Arc<Language> {
        self.language.clone()
    }

    /// How many answers can be on their way at once.
    pub(super) fn places(&self) -> usize {
        PLACES.min(self.network.conversations())
    }

    /// Begins an answer. There must be a place for it, and it must be given back to [`Self::finish`].
    pub(super) fn begin(&mut self, messages: &[Message], options: &GenerateOptions) -> Result<Writing, GenerateError> {
        let prompt = self.language.prompt(messages)?;
        let context_tokens = self.identity.context_tokens;
        if prompt.len() >= context_tokens {
            return Err(GenerateError::PromptTooLong { tokens: prompt.len(), context_tokens });
        }
        let slot = self.slot_for(&prompt, options.wanted == Wanted::State);
        self.slots[slot].busy = true;
        let generated = Generated {
            text: String::new(),
            state: None,
            prompt_tokens: prompt.len(),
            reused_tokens: self.slots[slot].held.len(),
            tokens: 0,
            drafted_tokens: 0,
            prefill_ms: 0,
            decode_ms: 0,
            finish: Finish::Cancelled,
        };
        Ok(Writing {
            slot,
            prompt,
            sampler: Sampler::new(options),
            pieces: Pieces::new(options.stop.clone()),
            options: options.clone(),
            pending: Vec::new(),
            generated,
            started: Instant::now(),
            first_token: None,
            is_over: false,
        })
    }

    /// Takes all answers one step further: a block of the first prompts that are not read yet, and the next tokens of
    /// those whose prompt is. After an error nothing is held of any of them.
    pub(super) fn step(&mut self, writings: &mut [Writing], tell: Tell<'_>) -> Result<(), GenerateError> {
        let writes = writings.iter().any(|writing| !writing.is_over && !writing.pending.is_empty());
        let mut block = if writes { SHARED_BLOCK_TOKENS } else { usize::MAX }.min(self.network.block_tokens());
        // What each reads in this step; nothing when others come first.
        let mut turns: Vec<Vec<u32>> = vec![Vec::new(); writings.len()];
        for (at, writing) in writings.iter_mut().enumerate().filter(|(_, writing)| !writing.is_over) {
            let done = self.slots[writing.slot].held.len();
            let total = writing.prompt.len();
            if !writing.pending.is_empty() {
                turns[at].clone_from(&writing.pending);
            } else if tell(at, Progress::Reading { done, total }).is_break() {
                writing.end(Finish::Cancelled);
            } else {
                let end = total.min(done.saturating_add(block));
                block -= end - done;
                turns[at] = writing.prompt[done..end].to_vec();
            }
        }
        let mut parts = Vec::new();
        let mut order = Vec::new();
        for (slot, it) in self.slots.iter_mut().enumerate() {
            let turn = turns.iter().enumerate().find(|(at, turn)| writings[*at].slot == slot && !turn.is_empty());
            let Some((at, turn)) = turn else { continue };
            let writing = &writings[at];
            let wanted = writing.options.wanted;
            let only_state = wanted == Wanted::State;
            let is_prompt = writing.pending.is_empty();
            let is_read = is_prompt && it.held.len() + turn.len() == writing.prompt.len();
            let scored = if is_prompt { usize::from(is_read && !only_state) } else { turn.len() };
            let state = (is_read && wanted != Wanted::Words).then(Vec::new);
            order.push((at, scored));
            parts.push(Part { memory: &mut it.memory, tokens: turn, scored, state, only_state });
        }
        if parts.is_empty() {
            return Ok(());
        }
        let scores = match self.network.read(&mut parts) {
            Ok(scores) => scores,
            Err(error) => {
                // The network may be half-way through any of them.
                for (at, _) in order {
                    self.forget(writings[at].slot, 0);
                }
                return Err(error);
            }
        };
        for ((at, _), part) in order.iter().zip(parts) {
            if let Some(state) = part.state.filter(|state| !state.is_empty()) {
                writings[*at].generated.state = Some(state);
            }
        }
        let rows: usize = order.iter().map(|(_, scored)| scored).sum();
        let mut rows_left = scores.chunks_exact(scores.len().checked_div(rows).unwrap_or(1).max(1));
        for (at, scored) in order {
            let own: Vec<&[f32]> = rows_left.by_ref().take(scored).collect();
            let writing = &mut writings[at];
            let held = &mut self.slots[writing.slot].held;
            held.extend_from_slice(&turns[at]);
            if !own.is_empty() {
                self.write(writing, &own, &mut |progress| tell(at, progress));
            } else if writing.options.wanted == Wanted::State && held.len() == writing.prompt.len() {
                writing.end(Finish::Length);
            }
        }
        Ok(())
    }

    /// Ends an answer, finished or not, and gives its place back.
    pub(super) fn finish(&mut self, mut writing: Writing) -> Generated {
        if !writing.is_over {
            writing.end(Finish::Cancelled);
        }
        let slot = &mut self.slots[writing.slot];
        slot.busy = false;
        if writing.options.wanted == Wanted::State {
            // Forgotten first.
            slot.used = 0;
        }
        // The last guesses may not have been part of the answer.
        writing.generated.text = writing.pieces.into_text();
        writing.generated
    }

    /// Chooses tokens by rows of scores: the first follows what was read for sure, the others follow guesses, and count
    /// as long as those were right.
    fn write(
        &mut self,
        writing: &mut Writing,
        scores: &[&[f32]],
        on_progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    ) {
        writing.first_token.get_or_insert_with(Instant::now);
        let guesses: Vec<u32> = writing.pending.get(1..).unwrap_or_default().to_vec();
        let mut right = 0;
        let mut last = None;
        for scores in scores {
            let finish =
                if writing.generated.tokens == writing.options.max_tokens { Some(Finish::Length) } else { None };
            let token = writing.sampler.next(scores);
            let may_end = writing.generated.tokens >= writing.options.min_tokens;
            let ends = may_end && self.language.vocabulary.is_end(token);
            let finish = finish.or(ends.then_some(Finish::Stop)).or_else(|| {
                writing.generated.tokens += 1;
                writing.pieces.push(self.language.vocabulary.piece(token)).then_some(Finish::Stop)
            });
            let piece = writing.pieces.ready();
            if !piece.is_empty() && on_progress(Progress::Piece(piece)).is_break() {
                writing.end(Finish::Cancelled);
                last = None;
                break;
            }
            if let Some(finish) = finish {
                let rest = writing.pieces.rest();
                if !rest.is_empty() {
                    // The answer is complete: whether the reader still wants more no longer matters.
                    let _ = on_progress(Progress::Piece(rest));
                }
                writing.end(finish);
                last = None;
                break;
            }
            last = Some(token);
            if guesses.get(right) != Some(&token) {
                break;
            }
            right += 1;
        }
        writing.generated.drafted_tokens += right.min(guesses.len());
        let kept = self.slots[writing.slot].held.len() - (guesses.len() - right.min(guesses.len()));
        self.forget(writing.slot, kept);
        let Some(token) = last else { return };

        let room = (self.identity.context_tokens - kept).min(writing.options.max_tokens - writing.generated.tokens);
        if room == 0 {
            let rest = writing.pieces.rest();
            if !rest.is_empty() {
                let _ = on_progress(Progress::Piece(rest));
            }
            writing.end(Finish::Length);
            return;
        }
        writing.pending = vec![token];
        if self.drafts && writing.options.temperature <= 0.0 {
            let held = &self.slots[writing.slot].held;
            writing.pending.extend(draft::guess(held, token, room - 1));
        }
    }

    /// Holds nothing any more.
    pub(super) fn forget_all(&mut self) {
        (0..self.slots.len()).for_each(|slot| self.forget(slot, 0));
    }

    /// The slot that a prompt is read in, holding what it begins with; the prompt's last token is always read anew, for
    /// its scores. `shallow`: it need not be held in all layers.
    fn slot_for(&mut self, prompt: &[u32], shallow: bool) -> usize {
        self.clock += 1;
        let common = |slot: &Slot| {
            let serves = shallow || !slot.shallow;
            let same = slot.held.iter().zip(prompt).take_while(|(held, token)| serves && held == token);
            let common = same.count();
            common.min(prompt.len().saturating_sub(1))
        };
        if self.slots.len() < SLOTS.min(self.network.conversations()) {
            let memory = self.network.memory();
            self.slots.push(Slot { memory, held: Vec::new(), shallow: false, used: 0, busy: false });
        }
        let best = (0..self.slots.len()).max_by_key(|at| (common(&self.slots[*at]), *at)).expect("there is a slot");
        let kept = common(&self.slots[best]);
        // Another conversation that only begins alike is left as it is, and its beginning is copied.
        let is_like = kept * 2 >= self.slots[best].held.len() && shallow == self.slots[best].shallow;
        let goes_on = !self.slots[best].busy && is_like;
        let free = (0..self.slots.len()).filter(|at| !self.slots[*at].busy);
        // The one that is copied from stays, if another is free.
        let oldest = free.min_by_key(|at| (kept > 0 && *at == best, self.slots[*at].used));
        let chosen = if goes_on { best } else { oldest.expect("the caller has asked for a place") };
        if chosen == best {
            self.forget(best, kept);
        } else {
            let [from, into] = self.slots.get_disjoint_mut([best, chosen]).expect("two different slots");
            into.memory.copy_start(&from.memory, kept);
            into.held = from.held[..kept].to_vec();
        }
        self.slots[chosen].used = self.clock;
        self.slots[chosen].shallow = shallow;
        chosen
    }

    /// Keeps the first `length` tokens of a slot, or fewer where the network cannot.
    fn forget(&mut self, slot: usize, length: usize) {
        let slot = &mut self.slots[slot];
        self.network.truncate(&mut slot.memory, length);
        slot.held.truncate(slot.memory.tokens());
    }

    /// Calls `seen` with the scores that follow each token of `tokens`.
    fn score_tokens(&mut self, tokens: &[u32], seen: &mut dyn FnMut(usize, &[f32])) -> Result<(), GenerateError> {
        if tokens.len() > self.identity.context_tokens {
            let context_tokens = self.identity.context_tokens;
            return Err(GenerateError::PromptTooLong { tokens: tokens.len(), context_tokens });
        }
        // What is scored is read anew.
        let slot = self.slot_for(&tokens[..1], false);
        while self.slots[slot].held.len() < tokens.len() {
            let done = self.slots[slot].held.len();
            let end = tokens.len().min(done + SCORED_ROWS);
            let held = &mut self.slots[slot];
            let (tokens, scored) = (&tokens[done..end], end - done);
            let part = Part { memory: &mut held.memory, tokens, scored, state: None, only_state: false };
            let rows = match self.network.read(&mut [part]) {
                Ok(rows) => rows,
                Err(error) => {
                    self.forget(slot, 0);
                    return Err(error);
                }
            };
            held.held.extend_from_slice(tokens);
            for (at, row) in (done..).zip(rows.chunks_exact(rows.len() / (end - done))) {
                seen(at, row);
            }
        }
        Ok(())
    }
}

impl Generator for Session {
    fn identity(&self) -> &ModelIdentity {
        &self.identity
    }

    fn tokens(&self, text: &str) -> Result<Vec<u32>, GenerateError> {
        self.language.vocabulary.encode(text)
    }

    fn render(&self, messages: &[Message]) -> Result<String, GenerateError> {
        self.language.render(messages)
    }

    fn prompt_tokens(&self, messages: &[Message]) -> Result<usize, GenerateError> {
        Ok(self.language.prompt(messages)?.len())
    }

    fn generate(
        &mut self,
        messages: &[Message],
        options: &GenerateOptions,
        on_progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<Generated, GenerateError> {
        let mut writings = [self.begin(messages, options)?];
        let mut stepped = Ok(());
        while stepped.is_ok() && !writings[0].is_over() {
            stepped = self.step(&mut writings, &mut |_, progress| on_progress(progress));
        }
        let [writing] = writings;
        let generated = self.finish(writing);
        stepped.map(|()| generated)
    }

    fn score_text(&mut self, text: &str) -> Result<Scored, GenerateError> {
        let tokens = self.language.vocabulary.encode(text)?;
        let mut sum = 0.0;
        let Some(count) = tokens.len().checked_sub(1).filter(|count| *count > 0) else {
            return Ok(Scored { mean_log_probability: 0.0, tokens: 0 });
        };
        self.score_tokens(&tokens[..count], &mut |at, scores| sum += log_probability(scores, tokens[at + 1]))?;
        Ok(Scored { mean_log_probability: (sum / count as f64) as f32, tokens: count })
    }
}
