//! Guesses at what an answer says next (prompt lookup: Saxena 2023): answers quote their passages, so where the last
//! words stood before, what followed them there may follow again. Several guesses are checked in one step of the
//! network, which on a CPU waits for the weights and not for arithmetic; a wrong guess costs little and changes nothing.

/// Most tokens guessed at once: with the last sure one, as many rows as a kernel takes at a time.
const GUESSES: usize = 5;
/// Tokens that must have stood together before, longest first.
const MATCH_TOKENS: [usize; 2] = [4, 3];

/// What may follow `held` and then `token`: at most `room` tokens, none where nothing like it stood before.
pub(super) fn guess(held: &[u32], token: u32, room: usize) -> impl Iterator<Item = u32> {
    let most = GUESSES.min(room);
    let found = MATCH_TOKENS.iter().find_map(|length| {
        let before = length - 1;
        let ending = held.get(held.len().checked_sub(before)?..)?;
        // The latest place counts: an answer that goes through a passage finds itself there.
        let ends = (before..held.len()).rev();
        let place = ends.into_iter().find(|at| held[*at] == token && held[at - before..*at] == *ending)?;
        let next = &held[place + 1..];
        (!next.is_empty()).then(|| next[..next.len().min(most)].to_vec())
    });
    found.unwrap_or_default().into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guessed(held: &[u32], token: u32, room: usize) -> Vec<u32> {
        guess(held, token, room).collect()
    }

    #[test]
    fn what_followed_before_is_guessed_again() {
        let held = [1, 2, 3, 4, 5, 6, 7, 8, 9, 2, 3];
        assert_eq!(guessed(&held, 4, 10), [5, 6, 7, 8, 9]);
        assert_eq!(guessed(&held, 4, 2), [5, 6]);
        assert_eq!(guessed(&held, 4, 0), [0u32; 0]);
    }

    #[test]
    fn nothing_is_guessed_after_words_that_are_new() {
        assert!(guessed(&[1, 2, 3, 4, 5, 2, 3], 9, 10).is_empty());
        assert!(guessed(&[1, 2, 3, 4, 5, 9, 3], 4, 10).is_empty(), "two tokens are no match");
        assert!(guessed(&[], 4, 10).is_empty());
        assert!(guessed(&[4], 4, 10).is_empty());
    }

    #[test]
    fn the_latest_and_longest_match_counts() {
        assert_eq!(guessed(&[7, 1, 2, 3, 50, 8, 1, 2, 3, 60, 7, 1, 2], 3, 1), [50]);
        assert_eq!(guessed(&[1, 2, 3, 50, 1, 2, 3, 60, 1, 2], 3, 1), [60]);
    }
}
