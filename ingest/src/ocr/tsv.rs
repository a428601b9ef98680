//! Tesseract's table of what it has seen: a line an item, twelve columns with a tab between.

use super::SeenWord;

/// The level of a word in the table; below are page, block, paragraph and line.
const WORD_LEVEL: &str = "5";

/// The words of a table, in reading order.
pub(super) fn words(table: &str) -> Vec<SeenWord> {
    let mut words = Vec::new();
    let mut place = None;
    let mut line = 0;
    for row in table.lines() {
        let columns: Vec<&str> = row.splitn(12, '\t').collect();
        let [WORD_LEVEL, _, block, paragraph, line_number, _, left, top, width, height, confidence, text] =
            columns.as_slice()
        else {
            continue;
        };
        let number = |column: &str| column.parse::<f32>().unwrap_or(0.0);
        if text.trim().is_empty() {
            continue;
        }
        let here = ((*block).to_owned(), (*paragraph).to_owned(), (*line_number).to_owned());
        line += u32::from(place.as_ref().is_some_and(|place| *place != here));
        place = Some(here);
        let (x, y) = (number(left), number(top));
        words.push(SeenWord {
            text: text.trim().to_owned(),
            bbox: [x, y, x + number(width), y + number(height)],
            confidence: (number(confidence) / 100.0).clamp(0.0, 1.0),
            line,
        });
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_numbered_by_line() {
        let table = "level\tpage_num\n\
            1\t1\t0\t0\t0\t0\t0\t0\t100\t100\t-1\t\n\
            5\t1\t1\t1\t1\t1\t10\t20\t30\t8\t96.5\trent\n\
            5\t1\t1\t1\t1\t2\t45\t20\t20\t8\t90\tdue\n\
            5\t1\t1\t1\t2\t1\t10\t34\t20\t8\t-1\t \n\
            5\t1\t2\t1\t1\t1\t10\t50\t20\t8\t12\tnow\n";
        let found: Vec<(String, u32)> = words(table).into_iter().map(|word| (word.text, word.line)).collect();
        assert_eq!(found, [("rent".into(), 0), ("due".into(), 0), ("now".into(), 1)]);
        let bbox = words(table)[0].bbox.map(|value| value as i32);
        assert_eq!(bbox, [10, 20, 40, 28]);
    }
}
