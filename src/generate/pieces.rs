//! Tokens' bytes to pieces of an answer: whole characters only, and nothing that may turn out to be a stop string.

/// An answer as it grows.
pub(super) struct Pieces {
    text: String,
    /// Bytes of a character that is not complete yet.
    partial: Vec<u8>,
    /// Bytes of `text` that the reader has.
    told: usize,
    stops: Vec<String>,
}

impl Pieces {
    /// An empty answer that ends before any of `stops`.
    pub(super) fn new(stops: Vec<String>) -> Self {
        Self { text: String::new(), partial: Vec::new(), told: 0, stops }
    }

    /// Adds a token's bytes; `true` when a stop string ended the answer.
    pub(super) fn push(&mut self, bytes: &[u8]) -> bool {
        self.partial.extend_from_slice(bytes);
        // A stop string may have begun in what was there before.
        let longest = self.stops.iter().map(String::len).max().unwrap_or(0);
        let from = self.text.floor_char_boundary(self.text.len().saturating_sub(longest));
        let complete = complete_length(&self.partial);
        let complete: Vec<u8> = self.partial.drain(..complete).collect();
        self.text.push_str(&String::from_utf8_lossy(&complete));
        let stops = self.stops.iter().filter(|stop| !stop.is_empty());
        let Some(at) = stops.filter_map(|stop| self.text[from..].find(stop.as_str())).min() else {
            return false;
        };
        self.text.truncate(from + at);
        self.partial.clear();
        true
    }

    /// What the reader may have now and did not have yet; perhaps nothing.
    pub(super) fn ready(&mut self) -> &str {
        let held = self.stops.iter().map(|stop| overlap(&self.text, stop)).max().unwrap_or(0);
        self.tell(self.text.len() - held)
    }

    /// What is left when no more tokens come.
    pub(super) fn rest(&mut self) -> &str {
        let partial = std::mem::take(&mut self.partial);
        self.text.push_str(&String::from_utf8_lossy(&partial));
        self.tell(self.text.len())
    }

    /// The whole answer.
    pub(super) fn into_text(self) -> String {
        self.text
    }

    fn tell(&mut self, to: usize) -> &str {
        let from = self.told;
        self.told = to.max(from);
        &self.text[from..self.told]
    }
}

/// Bytes up to the last character boundary; broken bytes count as characters of their own.
fn complete_length(bytes: &[u8]) -> usize {
    let mut at = 0;
    loop {
        match std::str::from_utf8(&bytes[at..]) {
            Ok(_) => return bytes.len(),
            Err(error) => match error.error_len() {
                Some(broken) => at += error.valid_up_to() + broken,
                None => return at + error.valid_up_to(),
            },
        }
    }
}

/// Bytes at the end of `text` that a stop string could begin with.
fn overlap(text: &str, stop: &str) -> usize {
    (1..stop.len()).rev().find(|n| stop.is_char_boundary(*n) && text.ends_with(&stop[..*n])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces_of(tokens: &[&[u8]], stops: &[&str]) -> (Vec<String>, bool) {
        let stops: Vec<String> = stops.iter().map(|stop| (*stop).to_owned()).collect();
        let mut pieces = Pieces::new(stops);
        let mut told = Vec::new();
        let mut stopped = false;
        for token in tokens {
            stopped = pieces.push(token);
            told.push(if stopped { pieces.rest() } else { pieces.ready() }.to_owned());
            if stopped {
                break;
            }
        }
        told.push(pieces.rest().to_owned());
        assert_eq!(told.concat(), pieces.into_text());
        told.retain(|piece| !piece.is_empty());
        (told, stopped)
    }

    #[test]
    fn a_character_split_over_tokens_comes_whole() {
        let euro = "€".as_bytes();
        let (told, _) = pieces_of(&[b"5 ", &euro[..1], &euro[1..], b"!"], &[]);
        assert_eq!(told, ["5 ", "€", "!"]);
    }

    #[test]
    fn a_broken_character_does_not_hold_up_the_rest() {
        let (told, _) = pieces_of(&[b"a", b"\xE2", b"b", b"\xF0\x9F"], &[]);
        assert_eq!(told.concat(), "a\u{FFFD}b\u{FFFD}");
    }

    #[test]
    fn a_stop_string_over_several_tokens_is_never_shown() {
        let (told, stopped) = pieces_of(&[b"Yes.", b"\nQues", b"tion", b": and"], &["\nQuestion:"]);
        assert!(stopped);
        assert_eq!(told, ["Yes."]);
    }

    #[test]
    fn what_only_looked_like_a_stop_string_is_shown() {
        let (told, stopped) = pieces_of(&[b"Yes.", b"\nQues", b"ts"], &["\nQuestion:"]);
        assert!(!stopped);
        assert_eq!(told, ["Yes.", "\nQuests"]);
    }

    #[test]
    fn the_earliest_of_two_stop_strings_counts() {
        let (told, stopped) = pieces_of(&[b"one two three"], &["three", "two"]);
        assert!(stopped);
        assert_eq!(told, ["one "]);
    }
}
