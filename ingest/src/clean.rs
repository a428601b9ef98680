//! The one place that decides which characters of a file reach a page's text.

use unicode_normalization::UnicodeNormalization;

/// Appends `raw` without control characters and soft hyphens, with ligatures spelt out and every
/// kind of blank as a space. Line feeds and tabs are blanks too: the caller sets line ends.
pub(crate) fn push_clean(out: &mut String, raw: &str) {
    for character in raw.chars() {
        match character {
            ' '..='~' => out.push(character),
            '\t' | '\n' | '\r' | '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{3000}' => {
                out.push(' ');
            }
            '\u{2028}' | '\u{2029}' | '\u{85}' | '\u{f020}' => out.push(' '),
            '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{fffd}'..='\u{ffff}' => {}
            '\u{2010}' | '\u{2011}' => out.push('-'),
            '\u{fb00}' => out.push_str("ff"),
            '\u{fb01}' => out.push_str("fi"),
            '\u{fb02}' => out.push_str("fl"),
            '\u{fb03}' => out.push_str("ffi"),
            '\u{fb04}' => out.push_str("ffl"),
            '\u{fb05}' | '\u{fb06}' => out.push_str("st"),
            // Arabic letters in the shapes that they take within a word, and Hebrew with points.
            '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}' => {
                let mut utf8 = [0; 4];
                out.extend((&*character.encode_utf8(&mut utf8)).nfkc());
            }
            '\u{f0b7}' => out.push('•'),
            '\u{f0a7}' | '\u{f06e}' => out.push('▪'),
            '\u{f0d8}' => out.push('➢'),
            '\u{f0fc}' => out.push('✓'),
            _ if character.is_control() => {}
            _ => out.push(character),
        }
    }
}

/// `lines` joined with line feeds: blanks at line ends and at both ends of the page are cut, and
/// more than one blank line becomes one.
pub(crate) fn tidy_lines<'a>(lines: impl IntoIterator<Item = &'a str>) -> String {
    let mut page = String::new();
    let mut blank_lines = 0;
    for line in lines {
        let line = line.trim_end();
        if line.is_empty() {
            blank_lines += 1;
            continue;
        }
        if !page.is_empty() {
            page.push_str(if blank_lines > 0 { "\n\n" } else { "\n" });
        }
        blank_lines = 0;
        page.push_str(line);
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ligatures_are_spelt_out_and_control_characters_dropped() {
        let mut out = String::new();
        push_clean(&mut out, "of\u{fb01}ce\u{0}\u{a0}re\u{ad}lease\u{7}");
        assert_eq!(out, "office release");
    }

    #[test]
    fn many_blank_lines_become_one() {
        assert_eq!(tidy_lines(["", " a ", "", " ", "b", "c", ""]), " a\n\nb\nc");
    }
}
