//! Text to tokens and back, from the vocabulary in the model file.
//! Special tokens are ours to find: they count in what the chat template writes, and never in what people or documents
//! say, so that a document cannot end its own message and speak as the system.

use std::collections::{HashMap, HashSet};

use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::unicode::NFC;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::tokenizer::SplitDelimiterBehavior;

use super::GenerateError;
use super::gguf::GgufFile;
use super::spm::SentencePiece;

/// Put after the first character of anything in a message that could begin a special token, and taken out again before
/// the text is encoded. A noncharacter: Unicode keeps it out of interchanged text.
const GUARD: char = '\u{FDD0}';

/// The tokens of a model.
pub(super) struct Vocabulary {
    words: Words,
    /// What each token writes; special tokens write nothing.
    pieces: Vec<Box<[u8]>>,
    /// Tokens that only a template may write, longest first.
    special: Vec<(String, u32)>,
    /// Tokens that any text may hold and that are found before words are split, longest first.
    fixed: Vec<(String, u32)>,
    ends: HashSet<u32>,
    /// The beginning-of-text token, when prompts must start with it.
    leading: Option<u32>,
    bos: String,
    eos: String,
}

enum Words {
    /// Byte-level pair encoding by merge ranks: GPT-2, Llama 3, Qwen.
    Bytes(Box<tokenizers::Tokenizer>),
    /// Merging by score with byte fallback: Llama 2, Mistral, Gemma, Phi-3.
    Scores(SentencePiece),
}

/// `llama_token_type` of llama.cpp.
mod kind {
    pub(super) const UNKNOWN: i64 = 2;
    pub(super) const CONTROL: i64 = 3;
    pub(super) const USER_DEFINED: i64 = 4;
    pub(super) const UNUSED: i64 = 5;
}

/// Tokens that end a turn, by the names that models give them.
const ENDS: [&str; 9] = [
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<end_of_turn>",
    "</s>",
    "<|end_of_sentence|>",
];

impl Vocabulary {
    /// Builds the tokenizer that the file describes.
    pub(super) fn from_gguf(file: &GgufFile) -> Result<Self, GenerateError> {
        let wrong = |problem: &str| GenerateError::Tokenizer { problem: problem.to_owned() };
        let tokens: Vec<&str> = file
            .array("tokenizer.ggml.tokens")
            .iter()
            .filter_map(|token| token.to_string().ok().map(String::as_str))
            .collect();
        if tokens.is_empty() {
            return Err(wrong("the file holds no tokens"));
        }
        let mut kinds: Vec<i64> = file.array("tokenizer.ggml.token_type").iter().map(integer).collect();
        kinds.resize(tokens.len(), 1);

        let model = file.text("tokenizer.ggml.model").unwrap_or_default();
        let words = match model {
            "gpt2" => Words::Bytes(Box::new(byte_pairs(file, &tokens, &kinds)?)),
            "llama" => Words::Scores(SentencePiece::from_gguf(file, &tokens, &kinds)),
            other => return Err(wrong(&format!("kind `{other}` is not known"))),
        };
        let pieces = tokens.iter().zip(&kinds).map(|(token, kind)| match (&words, *kind) {
            (_, kind::UNKNOWN | kind::CONTROL | kind::UNUSED) => Box::default(),
            (_, kind::USER_DEFINED) => token.replace('▁', " ").into_bytes().into(),
            (Words::Bytes(_), _) => bytes_of(token),
            (Words::Scores(_), _) => SentencePiece::bytes_of(token),
        });

        let mut special = Vec::new();
        let mut fixed = Vec::new();
        for (id, (token, kind)) in (0..).zip(tokens.iter().zip(&kinds)) {
            match *kind {
                kind::UNKNOWN | kind::CONTROL if !token.is_empty() => {
                    special.push(((*token).to_owned(), id));
                }
                // Some files call their turn markers user-defined; those must not be written by a document either.
                kind::USER_DEFINED if token.starts_with(['<', '[']) => {
                    special.push(((*token).to_owned(), id));
                }
                kind::USER_DEFINED if !token.is_empty() => {
                    fixed.push((token.replace('▁', " "), id));
                }
                _ => {}
            }
        }
        special.sort_by_key(|(token, _)| std::cmp::Reverse(token.len()));
        fixed.sort_by_key(|(token, _)| std::cmp::Reverse(token.len()));

        let id = |key: &str| file.number(&format!("tokenizer.ggml.{key}")).and_then(|id| u32::try_from(id).ok());
        let name = |id: Option<u32>| id.and_then(|id| tokens.get(id as usize)).map_or("", |token| token);
        let (bos, eos) = (id("bos_token_id"), id("eos_token_id"));
        let named = special.iter().filter(|(token, _)| ENDS.contains(&token.as_str())).map(|(_, id)| *id);
        let ends = named.chain([eos, id("eot_token_id"), id("eom_token_id")].into_iter().flatten()).collect();
        let add_bos = file.flag("tokenizer.ggml.add_bos_token").unwrap_or_else(|| {
            model == "llama" || matches!(file.text("tokenizer.ggml.pre"), Some("llama-bpe" | "llama3" | "llama-v3"))
        });
        Ok(Self {
            pieces: pieces.collect(),
            special,
            fixed,
            ends,
            leading: bos.filter(|_| add_bos),
            bos: name(bos).to_owned(),
            eos: name(eos).to_owned(),
            words,
        })
    }

    /// Tokens of plain text.
    pub(super) fn encode(&self, text: &str) -> Result<Vec<u32>, GenerateError> {
        let mut ids = Vec::new();
        self.encode_plain(text, true, &mut ids)?;
        Ok(ids)
    }

    /// Tokens of a rendered prompt in which message contents went through [`Self::guard`].
    pub(super) fn encode_prompt(&self, prompt: &str) -> Result<Vec<u32>, GenerateError> {
        let mut ids = Vec::new();
        let mut after_special = true;
        for part in split(prompt, &self.special) {
            match part {
                Part::Token(id) => ids.push(id),
                Part::Text(text) => self.encode_plain(&unguard(text), after_special, &mut ids)?,
            }
            after_special = matches!(part, Part::Token(_));
        }
        if let Some(bos) = self.leading
            && ids.first() != Some(&bos)
        {
            ids.insert(0, bos);
        }
        Ok(ids)
    }

    /// `content` in a form in which no special token can begin; [`Self::encode_prompt`] and [`unguard`] undo it.
    pub(super) fn guard(&self, content: &str) -> String {
        let heads: HashSet<char> = self.special.iter().filter_map(|(token, _)| token.chars().next()).collect();
        let mut guarded = String::with_capacity(content.len() + 16);
        for c in content.chars().filter(|c| *c != GUARD) {
            guarded.push(c);
            if heads.contains(&c) {
                guarded.push(GUARD);
            }
        }
        guarded
    }

    /// What a token writes; perhaps a part of a character.
    pub(super) fn piece(&self, id: u32) -> &[u8] {
        self.pieces.get(id as usize).map_or(&[], |piece| piece)
    }

    /// Whether a token ends the answer.
    pub(super) fn is_end(&self, id: u32) -> bool {
        self.ends.contains(&id)
    }

    /// The beginning-of-text and end-of-text tokens as templates write them.
    pub(super) fn bos_and_eos(&self) -> (&str, &str) {
        (&self.bos, &self.eos)
    }

    fn encode_plain(&self, text: &str, after_special: bool, ids: &mut Vec<u32>) -> Result<(), GenerateError> {
        let mut first = after_special;
        for part in split(text, &self.fixed) {
            match (part, &self.words) {
                (Part::Token(id), _) => ids.push(id),
                (Part::Text(text), Words::Scores(words)) => words.encode(text, first, ids),
                (Part::Text(text), Words::Bytes(words)) => {
                    let encoding = words.encode_fast(text, false);
                    ids.extend(encoding.map_err(|error| wrong(&*error))?.get_ids());
                }
            }
            first = false;
        }
        Ok(())
    }
}

/// A rendered prompt as people may read it.
pub(super) fn unguard(text: &str) -> String {
    text.replace(GUARD, "")
}

enum Part<'a> {
    Text(&'a str),
    Token(u32),
}

/// Cuts `text` at every token of `tokens`: the leftmost first, and of several there the longest.
fn split<'a>(text: &'a str, tokens: &[(String, u32)]) -> Vec<Part<'a>> {
    let mut by_head: HashMap<u8, Vec<(&str, u32)>> = HashMap::new();
    for (token, id) in tokens {
        by_head.entry(token.as_bytes()[0]).or_default().push((token, *id));
    }
    let (mut parts, mut from, mut at) = (Vec::new(), 0, 0);
    while let Some(byte) = text.as_bytes().get(at) {
        let found = by_head
            .get(byte)
            .and_then(|tokens| tokens.iter().find(|(token, _)| text.as_bytes()[at..].starts_with(token.as_bytes())));
        let Some((token, id)) = found else {
            at += 1;
            continue;
        };
        if from < at {
            parts.push(Part::Text(&text[from..at]));
        }
        parts.push(Part::Token(*id));
        at += token.len();
        from = at;
    }
    if from < text.len() {
        parts.push(Part::Text(&text[from..]));
    }
    parts
}

fn byte_pairs(file: &GgufFile, tokens: &[&str], kinds: &[i64]) -> Result<tokenizers::Tokenizer, GenerateError> {
    // Special tokens stay out, so that no merge can make one.
    let vocabulary: Vocab = (0..)
        .zip(tokens.iter().zip(kinds))
        .filter(|(_, (_, kind))| !matches!(**kind, kind::UNKNOWN | kind::CONTROL | kind::USER_DEFINED | kind::UNUSED))
        .map(|(id, (token, _))| ((*token).to_owned(), id))
        .collect();
    let merges = file.array("tokenizer.ggml.merges").iter().filter_map(|merge| {
        let (left, right) = merge.to_string().ok()?.split_once(' ')?;
        Some((left.to_owned(), right.to_owned()))
    });
    let pre = file.text("tokenizer.ggml.pre").unwrap_or("gpt-2");
    let (split, whole_words) = pre_tokenizer(pre).map_err(|error| wrong(&*error))?;
    let model = BPE::builder()
        .vocab_and_merges(vocabulary, merges.collect())
        .ignore_merges(whole_words)
        .build()
        .map_err(|error| wrong(&*error))?;
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    tokenizer.with_pre_tokenizer(Some(split));
    if pre == "qwen2" {
        tokenizer.with_normalizer(Some(NFC)).map_err(|error| wrong(&*error))?;
    }
    Ok(tokenizer)
}

/// How text is cut into words before pairs are merged, by the names of llama.cpp; and whether a word that is itself a
/// token is taken whole. The patterns are those of the publishers' tokenizer.json files.
fn pre_tokenizer(name: &str) -> Result<(PreTokenizerWrapper, bool), tokenizers::Error> {
    const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    let pattern = |pattern: &str| -> Result<PreTokenizerWrapper, tokenizers::Error> {
        let pattern = SplitPattern::Regex(pattern.to_owned());
        let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false)?;
        Ok(Sequence::new(vec![split.into(), ByteLevel::new(false, true, false).into()]).into())
    };
    let gpt2 = || ByteLevel::new(false, true, true);
    Ok(match name {
        "qwen2" | "deepseek-r1-qwen" => (pattern(QWEN2)?, false),
        "llama-bpe" | "llama3" | "llama-v3" => (pattern(LLAMA3)?, true),
        "smaug-bpe" | "lfm2" => (pattern(LLAMA3)?, false),
        "smollm" | "starcoder" | "refact" | "command-r" | "codeshell" => {
            (Sequence::new(vec![Digits::new(true).into(), gpt2().into()]).into(), false)
        }
        "gpt-2" | "gpt2" | "default" => (gpt2().into(), false),
        other => {
            tracing::warn!(pre_tokenizer = other, "unknown pre-tokenizer: words are split as GPT-2 does");
            (gpt2().into(), false)
        }
    })
}

/// The bytes behind a byte-level token, by GPT-2's table: printable Latin-1 stands for itself, the other bytes are
/// numbered upwards from U+0100.
pub(super) fn bytes_of(token: &str) -> Box<[u8]> {
    let stands_for_itself = |c: u32| matches!(c, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
    let others = (0..=255u8).filter(|byte| !stands_for_itself(u32::from(*byte)));
    token
        .chars()
        .flat_map(|c| match u32::from(c) {
            code if stands_for_itself(code) => vec![code as u8],
            code @ 0x100..0x144 => others.clone().nth(code as usize - 0x100).into_iter().collect(),
            _ => c.to_string().into_bytes(),
        })
        .collect()
}

fn integer(value: &candle_core::quantized::gguf_file::Value) -> i64 {
    value.to_i32().map(i64::from).or_else(|_| value.to_i64()).unwrap_or(1)
}

fn wrong(error: &(dyn std::error::Error + 'static)) -> GenerateError {
    GenerateError::Tokenizer { problem: error.to_string() }
}

#[cfg(test)]
mod tests {
    use tokenizers::tokenizer::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer as _};

    use super::*;

    fn check_words(pre: &str, words: &[&str]) {
        let mut text = PreTokenizedString::from("Hello'Ve world 12345\n\n  foo");
        pre_tokenizer(pre).unwrap().0.pre_tokenize(&mut text).unwrap();
        let found: Vec<String> = text
            .get_splits(OffsetReferential::Original, OffsetType::Byte)
            .into_iter()
            .map(|(word, ..)| String::from_utf8(bytes_of(word).into()).unwrap())
            .collect();
        assert_eq!(found, words, "{pre}");
    }

    #[test]
    fn words_are_split_as_each_family_does() {
        check_words("qwen2", &["Hello", "'Ve", " world", " ", "1", "2", "3", "4", "5", "\n\n", " ", " foo"]);
        check_words("llama-bpe", &["Hello", "'Ve", " world", " ", "123", "45", "\n\n", " ", " foo"]);
        check_words("smollm", &["Hello", "'", "Ve", " world", " ", "1", "2", "3", "4", "5", "\n\n ", " foo"]);
        check_words("gpt-2", &["Hello", "'", "Ve", " world", " 12345", "\n\n ", " foo"]);
    }

    #[test]
    fn every_byte_has_a_letter() {
        for letter in ByteLevel::alphabet() {
            assert_eq!(bytes_of(&letter.to_string()).len(), 1, "{letter}");
        }
        assert_eq!(*bytes_of("ĠrentĊ"), *b" rent\n");
    }

    #[test]
    fn special_tokens_are_found_longest_first() {
        let tokens = [("<end_of_turn>".to_owned(), 2), ("<end>".to_owned(), 1), ("<e".to_owned(), 0)];
        let parts: Vec<String> = split("a<end_of_turn><end><ex", &tokens)
            .into_iter()
            .map(|part| match part {
                Part::Text(text) => text.to_owned(),
                Part::Token(id) => id.to_string(),
            })
            .collect();
        assert_eq!(parts, ["a", "2", "1", "0", "x"]);
    }
}
