//! Arabic and Hebrew: glyphs are placed from left to right as they are seen, text is stored in the
//! order in which it is read. Lines are made in the order of sight and turned here.

use super::content::{Glyph, PageGlyphs};
use super::lines::{Line, LineWord};

/// Whether a page has any letter that is written from right to left.
pub(super) fn has_right_to_left(text: &str) -> bool {
    // All of these have two or three bytes, the first from 0xd6 on; most pages end here.
    text.bytes().any(|byte| (0xd6..=0xdf).contains(&byte) || byte == 0xef || byte == 0xe0)
        && text.chars().any(is_right_to_left)
}

pub(super) fn is_right_to_left(character: char) -> bool {
    matches!(character, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{feff}')
        && !character.is_numeric()
}

/// Sorts glyphs that stand on one baseline from left to right where some are Arabic or Hebrew:
/// producers draw these in either order.
pub(super) fn sort_as_seen(page: &PageGlyphs) -> Vec<Glyph> {
    let mut sorted = page.glyphs.clone();
    let mut start = 0;
    while start < sorted.len() {
        let first = sorted[start];
        let size = first.up[1];
        let beside = |glyph: &Glyph| {
            let level = size > 0.0 && glyph.up[0].abs() < 0.1 * size && glyph.advance[0] >= glyph.origin[0];
            level && (glyph.origin[1] - first.origin[1]).abs() < 0.3 * size
        };
        let end = if start < page.fields_start { page.fields_start.min(sorted.len()) } else { sorted.len() };
        let count = sorted[start..end].iter().take_while(|glyph| beside(glyph)).count().max(1);
        let run = &mut sorted[start..start + count];
        let text = |glyph: &Glyph| &page.text[glyph.start as usize..glyph.end as usize];
        if run.iter().any(|glyph| text(glyph).contains(is_right_to_left)) {
            run.sort_by(|a, b| a.origin[0].total_cmp(&b.origin[0]));
        }
        start += count;
    }
    sorted
}

/// Turns a line's words, and their letters, from the order of sight to that of reading.
pub(super) fn to_reading_order(line: &mut Line) {
    let is_rtl = |word: &LineWord| word.text.contains(is_right_to_left);
    if !line.level || !line.words.iter().any(is_rtl) {
        return;
    }
    let letters =
        |of: fn(char) -> bool| line.words.iter().flat_map(|word| word.text.chars()).filter(|&c| of(c)).count();
    let leads_right = letters(is_right_to_left) * 2 >= letters(char::is_alphabetic);
    let gaps: Vec<bool> = line.words.iter().map(|word| word.after_gap).collect();
    // Runs of foreign words keep their order among themselves.
    let mut runs: Vec<(bool, Vec<LineWord>)> = Vec::new();
    for word in line.words.drain(..) {
        let neutral = !word.text.contains(char::is_alphabetic);
        let foreign = if neutral { runs.last().is_some_and(|run| run.0) } else { is_rtl(&word) != leads_right };
        match runs.last_mut() {
            Some((before, words)) if *before == foreign => words.push(word),
            _ => runs.push((foreign, vec![word])),
        }
    }
    if leads_right {
        runs.reverse();
    }
    for (foreign, mut words) in runs {
        if leads_right != foreign {
            words.reverse();
        }
        line.words.append(&mut words);
    }
    for word in line.words.iter_mut().filter(|word| is_rtl(word)) {
        word.text = turned(&word.text);
    }
    if leads_right {
        // A gap that stood before a word stands after it now.
        let count = gaps.len();
        for (at, word) in line.words.iter_mut().enumerate() {
            word.after_gap = at > 0 && gaps[count - at];
        }
    }
}

/// A word's letters from last to first; numbers and foreign letters in it stay as they are, and
/// brackets are mirrored.
fn turned(word: &str) -> String {
    let mut text = String::with_capacity(word.len());
    let mut upright = String::new();
    for character in word.chars().rev() {
        let keeps = character.is_numeric() || (character.is_alphabetic() && !is_right_to_left(character));
        if keeps || (!upright.is_empty() && matches!(character, '.' | ',' | ':' | '/')) {
            upright.push(character);
            continue;
        }
        flush(&mut upright, &mut text);
        text.push(match character {
            '(' => ')',
            ')' => '(',
            '[' => ']',
            ']' => '[',
            '{' => '}',
            '}' => '{',
            '«' => '»',
            '»' => '«',
            other => other,
        });
    }
    flush(&mut upright, &mut text);
    text
}

fn flush(upright: &mut String, text: &mut String) {
    text.extend(upright.drain(..).rev());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(seen: &[&str], read: &[&str]) {
        let word =
            |text: &&str| LineWord { text: (*text).to_owned(), bbox: [0.0; 4], after_gap: false, after_blank: false };
        let mut line = Line { words: seen.iter().map(word).collect(), level: true, ..Line::default() };
        to_reading_order(&mut line);
        let found: Vec<&str> = line.words.iter().map(|word| word.text.as_str()).collect();
        assert_eq!(found, read);
    }

    #[test]
    fn words_and_letters_are_turned_and_numbers_are_not() {
        check(&["םלוע", "םולש"], &["שלום", "עולם"]);
        check(&["Smith", "John", "תדבוע", "םולש"], &["שלום", "עובדת", "Smith", "John"]);
        check(&["the", "word", "םולש", "means", "peace"], &["the", "word", "שלום", "means", "peace"]);
        check(&["2024-ב"], &["ב-2024"]);
        check(&["rent", "due"], &["rent", "due"]);
    }
}
