//! Text as it builds up from formats that flow: paragraphs, headings, list items, table rows, pages. The readers of
//! Word files, web pages, slides and the like say what comes; how it is laid out is decided here, once.

use crate::caution::Unseen;
use crate::clean::push_clean;
use crate::text::plain_page;
use crate::{Document, Heading, Limits, MediaType, Page, ReadError};

/// Text in the making. A table row becomes one line, its cells parted by ` | `.
#[derive(Default)]
pub(crate) struct Flow {
    pages: Vec<Vec<Line>>,
    /// Finished lines of the current page; an empty one parts paragraphs.
    lines: Vec<Line>,
    line: String,
    /// The rows of the tables that are open, outermost first.
    rows: Vec<Vec<Cell>>,
    /// How many rows were open where each open table started.
    tables: Vec<usize>,
    /// Tables that lie too deep to be told apart from the one around them.
    too_deep: usize,
    /// All text so far.
    bytes: usize,
    /// What the file hides from its readers.
    unseen: Unseen,
}

type Cell = Vec<Line>;

/// Text that lies deeper moves through so many rows; mails that lay themselves out with tables have about six.
const MAX_TABLES: usize = 16;

#[derive(Clone, Default)]
struct Line {
    text: String,
    heading: Option<u8>,
}

impl Flow {
    /// More of the current line, cleaned.
    pub(crate) fn push(&mut self, text: &str) {
        let before = self.line.len();
        push_clean(&mut self.line, text);
        self.bytes += self.line.len() - before;
    }

    /// The same, with any run of blanks as one, as web pages mean it.
    pub(crate) fn push_collapsed(&mut self, text: &str) {
        let is_blank = |c: char| c.is_ascii_whitespace();
        if text.starts_with(is_blank) {
            self.push_blank();
        }
        for (at, word) in text.split(is_blank).filter(|word| !word.is_empty()).enumerate() {
            if at > 0 {
                self.push_blank();
            }
            self.push(word);
        }
        if text.ends_with(is_blank) {
            self.push_blank();
        }
    }

    /// Text that the file hides from its readers: it is told of, and left out.
    pub(crate) fn push_unseen(&mut self, how: &'static str, text: &str) {
        self.unseen.push(how, text);
    }

    fn push_blank(&mut self) {
        if !self.line.is_empty() && !self.line.ends_with(' ') {
            self.line.push(' ');
        }
    }

    /// A gap within a line.
    pub(crate) fn tab(&mut self) {
        if !self.line.is_empty() {
            self.line.push_str("  ");
        }
    }

    /// The text of the line that is not ended yet.
    pub(crate) fn current_line(&self) -> &str {
        self.line.trim()
    }

    pub(crate) fn end_line(&mut self) {
        self.end_line_as(None);
    }

    /// Ends the line, and with it a paragraph.
    pub(crate) fn end_paragraph(&mut self) {
        self.end_line_as(None);
        self.part();
    }

    /// Ends the line, which is a heading; 1 is the highest level.
    pub(crate) fn end_heading(&mut self, level: u8) {
        self.end_line_as(Some(level));
        self.part();
    }

    /// Ends the line if there is anything on it: where tables begin and end, there is no empty line.
    fn end_open_line(&mut self) {
        if self.line.trim().is_empty() {
            self.line.clear();
        } else {
            self.end_line();
        }
    }

    fn end_line_as(&mut self, heading: Option<u8>) {
        let line = std::mem::take(&mut self.line);
        let text = line.trim().to_owned();
        let cell = self.rows.last_mut().and_then(|row| row.last_mut());
        match cell {
            Some(_) if text.is_empty() => {}
            Some(cell) => cell.push(Line { text, heading }),
            None => self.lines.push(Line { text, heading }),
        }
    }

    /// What follows stands apart from what came before.
    pub(crate) fn part(&mut self) {
        if self.rows.is_empty() {
            self.lines.push(Line::default());
        }
    }

    pub(crate) fn in_table(&self) -> bool {
        !self.rows.is_empty()
    }

    /// Formats that say where a table starts may leave out the ends of its rows.
    pub(crate) fn start_table(&mut self) {
        if self.rows.is_empty() {
            self.end_paragraph();
        } else {
            self.end_line();
        }
        if self.tables.len() < MAX_TABLES { self.tables.push(self.rows.len()) } else { self.too_deep += 1 }
    }

    pub(crate) fn end_table(&mut self) {
        self.end_open_line();
        if self.too_deep > 0 {
            self.too_deep -= 1;
            return;
        }
        while self.row_is_open() {
            self.end_row();
        }
        self.tables.pop();
        self.part();
    }

    /// A row of the innermost table, not of one around it.
    fn row_is_open(&self) -> bool {
        self.rows.len() > self.tables.last().copied().unwrap_or_default()
    }

    pub(crate) fn start_row(&mut self) {
        self.end_open_line();
        if self.too_deep > 0 {
            return;
        }
        while self.row_is_open() {
            self.end_row();
        }
        self.rows.push(Vec::new());
    }

    pub(crate) fn start_cell(&mut self) {
        self.end_open_line();
        if self.too_deep > 0 {
            return;
        }
        if !self.row_is_open() {
            self.start_row();
        }
        self.rows.last_mut().expect("a row is open").push(Cell::new());
    }

    /// A row with one filled cell may be layout, not a table: its lines stay lines.
    pub(crate) fn end_row(&mut self) {
        self.end_open_line();
        if self.too_deep > 0 || !self.row_is_open() {
            return;
        }
        let cells = self.rows.pop().unwrap_or_default();
        let filled = cells.iter().filter(|cell| !cell.is_empty()).count();
        let lines = match filled {
            0 => return,
            1 => cells.into_iter().flatten().collect(),
            _ => vec![Line { text: row_text(&cells), heading: None }],
        };
        match self.rows.last_mut().and_then(|row| row.last_mut()) {
            Some(cell) => cell.extend(lines),
            None => self.lines.extend(lines),
        }
    }

    /// The next text is on a new page. Within a table, rows stay whole; a page without text before it is none.
    pub(crate) fn end_page(&mut self) {
        let blank = self.line.trim().is_empty() && self.lines.iter().all(|line| line.text.is_empty());
        if self.rows.is_empty() && !blank {
            self.end_line();
            self.pages.push(std::mem::take(&mut self.lines));
        }
    }

    /// The next text is on a new page, even if nothing stands on this one: slides and sheets are counted.
    pub(crate) fn end_counted_page(&mut self) {
        self.too_deep = 0;
        self.tables.clear();
        while !self.rows.is_empty() {
            self.end_row();
        }
        self.end_line();
        self.pages.push(std::mem::take(&mut self.lines));
    }

    /// An error once the text is larger than a file may be: a small file can say the same thing very often.
    pub(crate) fn check(&self, limits: &Limits) -> Result<(), ReadError> {
        Limits::check("bytes of text", self.bytes, limits.max_bytes)
    }

    /// The pages as a document, with what is to be told of hidden text.
    pub(crate) fn document(self, media_type: MediaType, limits: &Limits) -> Result<Document, ReadError> {
        let cautions = self.unseen.cautions(None).collect();
        Ok(Document { cautions, ..Document::of(media_type, self.finish(limits)?) })
    }

    /// The pages; an error when there is no text at all, or too much.
    pub(crate) fn finish(mut self, limits: &Limits) -> Result<Vec<Page>, ReadError> {
        self.end_counted_page();
        if self.pages.len() > 1 && self.pages.last().is_some_and(|page| page.iter().all(|line| line.text.is_empty())) {
            self.pages.pop();
        }
        self.check(limits)?;
        Limits::check("pages", self.pages.len(), limits.max_pages)?;
        let pages: Vec<Page> = (1..).zip(self.pages).map(|(number, lines)| page(number, lines)).collect();
        if pages.iter().all(|page| page.text.is_empty()) { Err(ReadError::Empty) } else { Ok(pages) }
    }
}

/// The cells of a row, each on one line.
fn row_text(cells: &[Cell]) -> String {
    let text = |cell: &Cell| cell.iter().map(|line| line.text.as_str()).collect::<Vec<_>>().join(" ");
    let filled = cells.iter().rposition(|cell| !cell.is_empty()).map_or(0, |last| last + 1);
    cells[..filled].iter().map(text).collect::<Vec<_>>().join(" | ")
}

/// Lines to a page's text; more than one blank line becomes one.
fn page(number: u32, lines: Vec<Line>) -> Page {
    let mut text = String::new();
    let mut headings = Vec::new();
    let mut parted = false;
    for line in lines {
        let line_text = line.text.trim_end();
        if line_text.is_empty() {
            parted = true;
            continue;
        }
        if !text.is_empty() {
            text.push_str(if parted { "\n\n" } else { "\n" });
        }
        parted = false;
        let start = text.len() as u32;
        text.push_str(line_text);
        headings.extend(line.heading.map(|level| Heading { start, end: text.len() as u32, level }));
    }
    Page { headings, ..plain_page(number, text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_know_their_place_and_rows_are_lines() {
        let mut flow = Flow::default();
        flow.push("Über uns ");
        flow.end_heading(2);
        for cells in [["Item", "Price"], ["Desk", ""]] {
            flow.start_row();
            for cell in cells {
                flow.start_cell();
                flow.push(cell);
                flow.end_paragraph();
            }
            flow.end_row();
        }
        flow.part();
        flow.push_collapsed("  the \n end ");
        let pages = flow.finish(&Limits::default()).expect("it has text");
        assert_eq!(pages[0].text, "Über uns\n\nItem | Price\nDesk\n\nthe end");
        assert_eq!(pages[0].headings, [Heading { start: 0, end: 9, level: 2 }]);
    }
}
