//! Tokens as the embedder counts them. Only this file names tokenizers.

use tokenizers::Tokenizer;

/// The tokenizer sees a text in pieces of at most so many bytes: its normaliser slows down on
/// long strings.
const MAX_PIECE_BYTES: usize = 4096;

/// Counts tokens as the embedder's tokenizer makes them, without its special ones.
pub struct TokenCounter {
    tokenizer: Tokenizer,
}

/// A tokenizer file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the tokenizer: {0}")]
pub struct TokenizerError(String);

impl TokenCounter {
    /// From the bytes of a `tokenizer.json`. Its truncation and padding are switched off: they
    /// would make every text as long as the model's limit.
    pub fn from_bytes(tokenizer_json: &[u8]) -> Result<Self, TokenizerError> {
        let failed = |error: tokenizers::Error| TokenizerError(error.to_string());
        let mut tokenizer = Tokenizer::from_bytes(tokenizer_json).map_err(failed)?;
        tokenizer.with_truncation(None).map_err(failed)?;
        tokenizer.with_padding(None);
        Ok(Self { tokenizer })
    }

    /// How many tokens a text has.
    pub fn count(&self, text: &str) -> usize {
        pieces(text)
            .map(|piece| self.tokenizer.encode_fast(piece, false).map_or(piece.len(), |found| found.len()))
            .sum()
    }

    /// Byte offset of each token's start, in order.
    pub(crate) fn starts(&self, text: &str) -> Vec<u32> {
        let mut starts = Vec::with_capacity(text.len() / 4);
        let mut at = 0;
        for piece in pieces(text) {
            match self.tokenizer.encode(piece, false) {
                Ok(encoding) => {
                    let offsets = encoding.get_offsets().iter();
                    starts.extend(offsets.map(|&(start, _)| (at + start) as u32));
                }
                // Counts as one token a byte, so that no chunk gets too long.
                Err(_) => starts.extend(at as u32..(at + piece.len()) as u32),
            }
            at += piece.len();
        }
        starts.sort_unstable();
        starts
    }
}

/// The text in consecutive pieces: lines, and of long lines at most so many bytes, cut at blanks
/// where there are any.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive('\n').flat_map(|line| {
        let mut rest = line;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let mut cut = rest.len();
            if cut > MAX_PIECE_BYTES {
                let limit = rest.floor_char_boundary(MAX_PIECE_BYTES);
                let blank = rest[..limit].rfind(' ').filter(|&blank| blank > 0);
                cut = blank.unwrap_or(limit);
            }
            let (piece, after) = rest.split_at(cut);
            rest = after;
            Some(piece)
        })
    })
}
