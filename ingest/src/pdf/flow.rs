//! How one line follows on another: in the same paragraph, on a line of its own, or after a
//! paragraph's end. Decided by geometry and by how the lines begin and end.

use super::lines::{Line, LineWord};

/// What stands between two lines of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Break {
    /// A wrap within a paragraph: a space.
    Wrap,
    /// Cells of one row, drawn apart.
    Cell,
    /// A line of its own: list item, heading, table row.
    Line,
    /// A paragraph's end: a blank line.
    Paragraph,
}

/// The break after each line but the last.
pub(super) fn breaks(lines: &[Line], page_width: f32) -> Vec<Break> {
    let measures = Measures::of(lines, page_width);
    let mut breaks = Vec::with_capacity(lines.len().saturating_sub(1));
    for at in 1..lines.len() {
        let after_wrap = breaks.last() == Some(&Break::Wrap);
        breaks.push(measures.break_before(lines, at, after_wrap));
    }
    breaks
}

/// What is usual on this page: where lines end, and how far apart they are.
struct Measures {
    /// For each line, the right edge that its paragraph runs to.
    right: Vec<f32>,
    /// For each line, the usual distance to the next baseline.
    pitch: Vec<f32>,
    page_width: f32,
}

impl Measures {
    fn of(lines: &[Line], page_width: f32) -> Self {
        let page_pitch = page_pitch(lines);
        let mut measures =
            Self { right: Vec::with_capacity(lines.len()), pitch: Vec::with_capacity(lines.len()), page_width };
        let mut start = 0;
        while start < lines.len() {
            let mut end = start + 1;
            while end < lines.len() && is_same_block(&lines[end - 1], &lines[end]) {
                end += 1;
            }
            measures.push_block(lines, start..end, page_pitch);
            start = end;
        }
        measures
    }

    fn push_block(&mut self, lines: &[Line], block: std::ops::Range<usize>, page_pitch: Option<f32>) {
        let block_lines = &lines[block];
        let mut steps: Vec<f32> = block_lines.windows(2).map(|pair| pair[0].baseline - pair[1].baseline).collect();
        steps.sort_by(f32::total_cmp);
        let edge = block_lines.iter().map(|line| line.bbox[2]).fold(f32::MIN, f32::max);
        let full = block_lines.windows(2).filter(|pair| fills(&pair[0], &pair[1], edge)).count();
        let is_running_text = block_lines.len() >= 3 && full * 10 >= (block_lines.len() - 1) * 6;
        for line in block_lines {
            self.right.push(if is_running_text { edge } else { edge.max(column_edge(lines, line)) });
            self.pitch.push(match (steps.len(), page_pitch) {
                (3.., _) => steps[steps.len() / 4],
                (_, Some(pitch)) => pitch,
                _ => 1.25 * line.size,
            });
        }
    }

    fn break_before(&self, lines: &[Line], at: usize, after_wrap: bool) -> Break {
        let (above, below) = (&lines[at - 1], &lines[at]);
        if !above.level || !below.level {
            return Break::Line;
        }
        let size = above.size.max(below.size);
        let down = above.baseline - below.baseline;
        let open = !ends_sentence(above);
        let full = above.width() >= 0.25 * self.page_width && fills(above, below, self.right[at - 1]);
        if down.abs() < 0.3 * size {
            return if below.bbox[0] > above.bbox[2] - size { Break::Cell } else { Break::Line };
        }
        let starts_lower = first_letter(below).is_some_and(char::is_lowercase);
        if down < 0.0 || above.overlap(below) <= 0.0 {
            // The next column goes on in mid-sentence, or something else begins.
            return if full && open && starts_lower { Break::Wrap } else { Break::Paragraph };
        }
        let pitch = self.pitch[at - 1];
        let far = down > 1.3 * pitch;
        if far && !(full && open && starts_lower && down <= 2.2 * pitch) {
            return Break::Paragraph;
        }
        let sizes_differ = (above.size - below.size).abs() > 0.2 * size;
        if sizes_differ || is_row(lines, at - 1) || is_row(lines, at) || has_leader(above) {
            return Break::Line;
        }
        if starts_item(below) && (!full || may_precede_item(above)) {
            return Break::Line;
        }
        if full || (is_hyphenated(last_word(above)) && starts_lower) {
            let indented = below.bbox[0] > above.bbox[0] + size && !starts_item(above);
            return if indented && !open { Break::Paragraph } else { Break::Wrap };
        }
        if after_wrap && !open { Break::Paragraph } else { Break::Line }
    }
}

fn last_word(line: &Line) -> &str {
    line.words.last().map_or("", |word| &word.text)
}

/// Ends a sentence, or a clause before a list.
fn ends_sentence(line: &Line) -> bool {
    bare_end(line).ends_with(['.', '!', '?', ':', ';'])
}

/// A list's next item may follow.
fn may_precede_item(line: &Line) -> bool {
    bare_end(line).ends_with(['.', '!', '?', ':', ';', ',']) || matches!(last_word(line), "and" | "or" | "and/or")
}

/// The last word without closing quotes and brackets.
fn bare_end(line: &Line) -> &str {
    last_word(line).trim_end_matches(['"', '\'', ')', ']', '”', '’'])
}

/// Dots that lead to a page number, as in a table of contents.
fn has_leader(line: &Line) -> bool {
    let lone_dots = line.words.iter().filter(|word| word.text == ".").count();
    lone_dots >= 4 || line.words.iter().any(|word| word.text.contains("...."))
}

/// Ends in a lower-case letter and a hyphen.
pub(super) fn is_hyphenated(word: &str) -> bool {
    word.strip_suffix('-').and_then(|stem| stem.chars().next_back()).is_some_and(char::is_lowercase)
}

fn first_letter(line: &Line) -> Option<char> {
    line.words.first()?.text.chars().find(|c| !matches!(c, '(' | '"' | '“' | '‘'))
}

/// Whether the line above wrapped: the first word below would not have fitted beside it.
fn fills(above: &Line, below: &Line, right: f32) -> bool {
    let first = &below.words[0].bbox;
    above.bbox[2] + (first[2] - first[0]) + 0.25 * above.size > right - 0.5 * above.size
}

/// The right edge of the text above and below a line: what nine of ten lines stay within.
fn column_edge(lines: &[Line], line: &Line) -> f32 {
    let mut edges: Vec<f32> = lines
        .iter()
        .filter(|other| other.level && (other.size - line.size).abs() < 0.25 * line.size && other.overlap(line) > 0.5)
        .map(|other| other.bbox[2])
        .collect();
    edges.sort_by(f32::total_cmp);
    edges.get((edges.len() * 9).div_ceil(10).saturating_sub(1)).copied().unwrap_or(line.bbox[2])
}

fn is_same_block(above: &Line, below: &Line) -> bool {
    let size = above.size.max(below.size);
    let down = above.baseline - below.baseline;
    above.level
        && below.level
        && (0.5 * size..2.6 * size).contains(&down)
        && (above.size - below.size).abs() < 0.15 * size
        && above.overlap(below) > 0.0
}

/// The most frequent distance between lines, to half a point.
fn page_pitch(lines: &[Line]) -> Option<f32> {
    let mut steps = std::collections::BTreeMap::new();
    for pair in lines.windows(2) {
        if is_same_block(&pair[0], &pair[1]) {
            let half_points = ((pair[0].baseline - pair[1].baseline) * 2.0).round() as i32;
            *steps.entry(half_points).or_insert(0_u32) += 1;
        }
    }
    let most = steps.into_iter().max_by_key(|&(half_points, count)| (count, -half_points))?;
    (most.1 >= 3).then_some(most.0 as f32 / 2.0)
}

/// Cells side by side: few words to a cell, or cells that stand under those of a line nearby. A
/// list marker before its text is no cell, nor is a blank left in running text.
fn is_row(lines: &[Line], at: usize) -> bool {
    let line = &lines[at];
    let cells: Vec<&LineWord> = cells(line).collect();
    if cells.is_empty() {
        return false;
    }
    let near = 0.5 * line.size;
    line.words.len() <= 3 * (cells.len() + 1)
        || (at.saturating_sub(2)..lines.len().min(at + 3))
            .filter(|&other| other != at)
            .flat_map(|other| self::cells(&lines[other]))
            .any(|other| cells.iter().any(|cell| (cell.bbox[0] - other.bbox[0]).abs() < near))
}

/// The words that begin a cell, but for the first.
fn cells(line: &Line) -> impl Iterator<Item = &LineWord> {
    let after_marker = is_marker(&line.words[0].text);
    line.words
        .iter()
        .enumerate()
        .filter(move |(at, word)| word.after_gap && !(after_marker && *at <= 2))
        .map(|(_, word)| word)
}

/// Whether a line begins a list item, a numbered clause or a named part of a contract.
fn starts_item(line: &Line) -> bool {
    let first = line.words[0].text.as_str();
    if is_marker(first) {
        return true;
    }
    let second = line.words.get(1).map_or("", |word| word.text.as_str());
    let numbered = second.starts_with(|c: char| c.is_ascii_digit() || matches!(c, 'I' | 'V' | 'X'));
    match first {
        "ARTICLE" | "SECTION" | "Section" | "Article" | "EXHIBIT" | "Exhibit" | "SCHEDULE" | "Schedule" | "ANNEX"
        | "Annex" | "APPENDIX" | "Appendix" | "PART" | "Chapter" => numbered || second.len() == 1,
        "WHEREAS" | "WHEREAS," | "WHEREAS:" | "RECITALS" | "WITNESSETH:" => true,
        "NOW," | "NOW" => second.starts_with("THEREFORE"),
        "IN" => second == "WITNESS",
        _ => false,
    }
}

/// `(a)`, `iv)`, `1.`, `12.3`, `A.`, a bullet or a dash.
fn is_marker(word: &str) -> bool {
    if matches!(word, "•" | "·" | "▪" | "■" | "●" | "○" | "◦" | "o" | "➢" | "✓" | "-" | "–" | "—" | "*" | "§")
    {
        return true;
    }
    let open = word.strip_prefix('(');
    let Some(inner) = open.unwrap_or(word).strip_suffix([')', '.', ':']) else {
        // `12.3` without an end, but not a plain number.
        return word.contains('.')
            && word.len() <= 8
            && word.starts_with(|c: char| c.is_ascii_digit())
            && word
                .split('.')
                .all(|part| !part.is_empty() && part.len() <= 2 && part.bytes().all(|b| b.is_ascii_digit()));
    };
    let digits = inner
        .split('.')
        .all(|part| !part.is_empty() && part.len() <= 3 && part.bytes().all(|byte| byte.is_ascii_digit()));
    let roman = inner.len() <= 5 && !inner.is_empty() && inner.bytes().all(|byte| b"ivxIVX".contains(&byte));
    let letter = inner.chars().count() == 1 && inner.chars().all(char::is_alphabetic);
    let double = open.is_some() && inner.len() == 2 && inner.bytes().all(|byte| byte.is_ascii_lowercase());
    digits || roman || letter || double
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_markers_are_told_from_words_and_numbers() {
        for marker in ["(a)", "1.", "12.3", "12.3.4.", "iv)", "(iv)", "A.", "•", "(aa)", "2)", "–"] {
            assert!(is_marker(marker), "{marker}");
        }
        for word in ["Section", "the", "1997", "Inc.", "(the", "No.", "12.50%", "3.141592", "(as)n"] {
            assert!(!is_marker(word), "{word}");
        }
    }
}
