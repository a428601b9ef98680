//! `SentencePiece` vocabularies as llama.cpp runs them: neighbours are merged, the best-scored pair first, and what is
//! left without a token is written as bytes.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

use super::gguf::GgufFile;

/// A vocabulary with a score for each piece.
pub(super) struct SentencePiece {
    pieces: HashMap<String, (u32, f32)>,
    bytes: Vec<Option<u32>>,
    unknown: u32,
    space_prefix: bool,
}

impl SentencePiece {
    /// Takes the normal pieces and the byte pieces of the file.
    pub(super) fn from_gguf(file: &GgufFile, tokens: &[&str], kinds: &[i64]) -> Self {
        const NORMAL: i64 = 1;
        let scores = file.array("tokenizer.ggml.scores");
        let score = |at: usize| scores.get(at).and_then(|score| score.to_f32().ok()).unwrap_or(0.0);
        let normal = tokens.iter().zip(kinds).enumerate().filter(|(_, (_, kind))| **kind == NORMAL);
        let id = |byte: u8| tokens.iter().position(|token| *token == format!("<0x{byte:02X}>")).map(|id| id as u32);
        Self {
            pieces: normal.map(|(at, (token, _))| ((*token).to_owned(), (at as u32, score(at)))).collect(),
            bytes: (0..=255).map(id).collect(),
            unknown: file.number("tokenizer.ggml.unknown_token_id").unwrap_or(0) as u32,
            space_prefix: file.flag("tokenizer.ggml.add_space_prefix").unwrap_or(true),
        }
    }

    /// The text behind a piece.
    pub(super) fn bytes_of(token: &str) -> Box<[u8]> {
        let byte = token.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
        match byte.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => Box::new([byte]),
            None => token.replace('▁', " ").into_bytes().into(),
        }
    }

    /// Appends the tokens of `text`; `first` when it starts the text or follows a special token.
    pub(super) fn encode(&self, text: &str, first: bool, ids: &mut Vec<u32>) {
        let prefix = if first && self.space_prefix && !text.is_empty() { "▁" } else { "" };
        let text = format!("{prefix}{}", text.replace(' ', "▁"));
        let mut symbols: Vec<Symbol> = text
            .char_indices()
            .enumerate()
            .map(|(at, (from, c))| Symbol { from, to: from + c.len_utf8(), next: at + 1, previous: at.wrapping_sub(1) })
            .collect();
        let mut queue = BinaryHeap::new();
        for at in 1..symbols.len() {
            self.offer(&text, &symbols, at - 1, at, &mut queue);
        }
        while let Some(pair) = queue.pop() {
            let (left, right) = (symbols[pair.left], symbols[pair.right]);
            // Stale: one of the two has been merged with another since.
            if left.from == left.to || right.from == right.to || right.to - left.from != pair.length {
                continue;
            }
            symbols[pair.left] = Symbol { to: right.to, next: right.next, ..left };
            symbols[pair.right].to = right.from;
            if let Some(after) = symbols.get_mut(right.next) {
                after.previous = pair.left;
                self.offer(&text, &symbols, pair.left, right.next, &mut queue);
            }
            if left.previous < symbols.len() {
                self.offer(&text, &symbols, left.previous, pair.left, &mut queue);
            }
        }
        for symbol in symbols.iter().filter(|symbol| symbol.from < symbol.to) {
            let piece = &text[symbol.from..symbol.to];
            match self.pieces.get(piece) {
                Some((id, _)) => ids.push(*id),
                None => ids.extend(piece.bytes().map(|byte| self.bytes[usize::from(byte)].unwrap_or(self.unknown))),
            }
        }
    }

    fn offer(&self, text: &str, symbols: &[Symbol], left: usize, right: usize, queue: &mut BinaryHeap<Pair>) {
        let (from, to) = (symbols[left].from, symbols[right].to);
        if let Some((_, score)) = self.pieces.get(&text[from..to]) {
            queue.push(Pair { score: *score, left, right, length: to - from });
        }
    }
}

/// A run of the text; empty once it is merged into the one before.
#[derive(Clone, Copy)]
struct Symbol {
    from: usize,
    to: usize,
    next: usize,
    previous: usize,
}

struct Pair {
    score: f32,
    left: usize,
    right: usize,
    length: usize,
}

impl Ord for Pair {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(other.left.cmp(&self.left))
    }
}

impl PartialOrd for Pair {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Pair {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Pair {}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(text: &str) -> Vec<u32> {
        let pieces = [
            ("▁", -9.0),
            ("a", -9.0),
            ("b", -9.0),
            ("c", -9.0),
            ("ab", -2.0),
            ("bc", -1.0),
            ("▁ab", -3.0),
            ("abc", -4.0),
        ];
        let words = SentencePiece {
            pieces: (0..).zip(pieces).map(|(id, (piece, score))| (piece.to_owned(), (id, score))).collect(),
            bytes: (0..=255).map(|byte| (byte != 0xFF).then_some(1000 + byte)).collect(),
            unknown: 999,
            space_prefix: true,
        };
        let mut ids = Vec::new();
        words.encode(text, true, &mut ids);
        ids
    }

    #[test]
    fn the_best_scored_pair_is_merged_first() {
        assert_eq!(encode("ab"), [6], "space and ab");
        assert_eq!(encode("abc"), [0, 7], "b and c first, then a");
        assert_eq!(encode("a bc"), [0, 1, 0, 5]);
        assert_eq!(encode(""), [0u32; 0]);
    }

    #[test]
    fn what_has_no_piece_is_written_in_bytes() {
        assert_eq!(encode("é"), [0, 1000 + 0xC3, 1000 + 0xA9]);
        assert_eq!(*SentencePiece::bytes_of("<0xC3>"), [0xC3]);
        assert_eq!(*SentencePiece::bytes_of("▁the"), *b" the");
    }
}
