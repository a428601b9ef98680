//! Word boxes as they are stored: 24 bytes a word, little-endian, LZ4 with the length in front.

use premise_ingest::Word;

const SIZE: usize = 24;

pub(super) fn pack(words: &[Word]) -> Vec<u8> {
    if words.is_empty() {
        return Vec::new();
    }
    let mut bytes = Vec::with_capacity(words.len() * SIZE);
    for word in words {
        bytes.extend_from_slice(&word.start.to_le_bytes());
        bytes.extend_from_slice(&word.end.to_le_bytes());
        for side in word.bbox {
            bytes.extend_from_slice(&side.to_le_bytes());
        }
    }
    lz4_flex::compress_prepend_size(&bytes)
}

/// The words again; none when the bytes are damaged, since boxes only help to show a quote.
pub(super) fn unpack(packed: &[u8]) -> Vec<Word> {
    if packed.is_empty() {
        return Vec::new();
    }
    let bytes = lz4_flex::decompress_size_prepended(packed).unwrap_or_default();
    let field = |word: &[u8], at: usize| [word[at], word[at + 1], word[at + 2], word[at + 3]];
    bytes
        .chunks_exact(SIZE)
        .map(|word| Word {
            start: u32::from_le_bytes(field(word, 0)),
            end: u32::from_le_bytes(field(word, 4)),
            bbox: [8, 12, 16, 20].map(|at| f32::from_le_bytes(field(word, at))),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back_as_they_went_in() {
        let words =
            [Word { start: 0, end: 5, bbox: [1.5, 2.0, 30.25, 12.0] }, Word { start: 6, end: 9, bbox: [0.0; 4] }];
        let back = unpack(&pack(&words));
        assert_eq!(back.len(), 2);
        assert_eq!((back[0].start, back[0].end, back[0].bbox), (0, 5, [1.5, 2.0, 30.25, 12.0]));
        assert!(unpack(b"not lz4").is_empty());
    }
}
