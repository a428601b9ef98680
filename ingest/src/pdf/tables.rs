//! Tables: rows of cells that stand in the same columns, one row under another. In the page's text
//! they are Markdown tables, so that a row keeps its cells together and a chunk can repeat the header.

use std::ops::Range;

use super::flow::Break;
use super::lines::{Line, LineWord};

/// Fewer rows than this are as likely a list, or a signature block.
const MIN_ROWS: usize = 3;
const MIN_COLUMNS: usize = 2;
const MAX_COLUMNS: usize = 40;
/// A cell of more words is running text in a column of the page.
const MAX_CELL_WORDS: usize = 30;

/// A row of a table: for each column the words in it, by line and position in the line.
pub(super) type Row = Vec<Vec<(usize, usize)>>;

/// A table and the lines that it is made of.
pub(super) struct Table {
    pub(super) lines: Range<usize>,
    pub(super) rows: Vec<Row>,
}

/// The tables among a page's lines, in order.
pub(super) fn find(lines: &[Line], breaks: &[Break]) -> Vec<Table> {
    let rows = drawn_rows(lines, breaks);
    let mut tables = Vec::new();
    let mut start = 0;
    while start < rows.len() {
        let mut end = start;
        while end < rows.len()
            && rows[end].cells.len() >= MIN_COLUMNS
            && (end == start || follows(&rows[end - 1], &rows[end], lines))
        {
            end += 1;
        }
        if end - start >= MIN_ROWS
            && let Some(table) = table(&rows[start..end], lines)
        {
            tables.push(table);
        }
        start = end.max(start + 1);
    }
    tables
}

/// A row as it is drawn.
struct DrawnRow {
    lines: Range<usize>,
    cells: Vec<Cell>,
}

struct Cell {
    left: f32,
    right: f32,
    words: Vec<(usize, usize)>,
}

fn drawn_rows(lines: &[Line], breaks: &[Break]) -> Vec<DrawnRow> {
    let mut rows: Vec<DrawnRow> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let goes_on = at > 0 && breaks[at - 1] == Break::Cell;
        match rows.last_mut() {
            Some(row) if goes_on => {
                row.lines.end = at + 1;
                push_cells(&mut row.cells, line, at);
            }
            _ => {
                let mut cells = Vec::new();
                push_cells(&mut cells, line, at);
                rows.push(DrawnRow { lines: at..at + 1, cells });
            }
        }
    }
    rows
}

fn push_cells(cells: &mut Vec<Cell>, line: &Line, line_at: usize) {
    for (at, word) in line.words.iter().enumerate() {
        match cells.last_mut() {
            Some(cell) if at > 0 && !word.after_gap => {
                cell.right = cell.right.max(word.bbox[2]);
                cell.left = cell.left.min(word.bbox[0]);
                cell.words.push((line_at, at));
            }
            _ => cells.push(Cell { left: word.bbox[0], right: word.bbox[2], words: vec![(line_at, at)] }),
        }
    }
}

/// Whether a row goes on with the columns of the one above it, a short way below.
fn follows(above: &DrawnRow, below: &DrawnRow, lines: &[Line]) -> bool {
    const MAX_STEP: f32 = 3.5;
    let (upper, lower) = (&lines[above.lines.start], &lines[below.lines.start]);
    let step = upper.baseline - lower.baseline;
    let near = step > 0.0 && step < MAX_STEP * upper.size.max(lower.size);
    let shared = below.cells.iter().filter(|cell| above.cells.iter().any(|other| overlap(cell, other) > 0.0)).count();
    let fewer = above.cells.len().min(below.cells.len());
    near && upper.level && lower.level && shared >= MIN_COLUMNS && shared * 2 >= fewer
}

fn overlap(a: &Cell, b: &Cell) -> f32 {
    a.right.min(b.right) - a.left.max(b.left)
}

/// Sorts the cells of rows into columns; none when they do not make a table.
fn table(rows: &[DrawnRow], lines: &[Line]) -> Option<Table> {
    let cells = || rows.iter().flat_map(|row| &row.cells);
    if cells().any(|cell| cell.words.len() > MAX_CELL_WORDS) || !is_tabular(rows, lines) {
        return None;
    }
    let columns = columns(rows);
    if !(MIN_COLUMNS..=MAX_COLUMNS).contains(&columns.len()) {
        return None;
    }
    let sort = |row: &DrawnRow| {
        let mut sorted: Row = vec![Vec::new(); columns.len()];
        for cell in &row.cells {
            let share = |&(left, right): &(f32, f32)| {
                let column = Cell { left, right, words: Vec::new() };
                overlap(cell, &column)
            };
            let best = (0..columns.len()).max_by(|&a, &b| share(&columns[a]).total_cmp(&share(&columns[b])));
            sorted[best.unwrap_or(0)].extend(&cell.words);
        }
        sorted
    };
    let rows_sorted = rows.iter().map(sort).collect();
    Some(Table { lines: rows.first()?.lines.start..rows.last()?.lines.end, rows: rows_sorted })
}

/// Figures, or short cells throughout: a contents page and columns of prose have neither.
fn is_tabular(rows: &[DrawnRow], lines: &[Line]) -> bool {
    let text = |cell: &Cell| -> String {
        cell.words.iter().map(|&(line, word)| lines[line].words[word].text.as_str()).collect::<Vec<_>>().join(" ")
    };
    let has_leader =
        |row: &DrawnRow| row.cells.iter().any(|cell| text(cell).contains(". . .") || text(cell).contains("...."));
    if rows.iter().any(has_leader) {
        return false;
    }
    let words: usize = rows.iter().flat_map(|row| &row.cells).map(|cell| cell.words.len()).sum();
    let count: usize = rows.iter().map(|row| row.cells.len()).sum();
    // Two columns of which one is a list marker are a list.
    let markers = rows.iter().filter(|row| text(&row.cells[0]).chars().count() <= 3 && row.cells.len() == 2).count();
    let mean = words as f32 / count as f32;
    markers * 2 < rows.len() && (mean <= 4.0 || (mean <= 9.0 && rows.iter().all(|row| row.cells.len() >= 3)))
}

/// The columns: what the cells of the rows cover from left to right, where no row bridges two.
fn columns(rows: &[DrawnRow]) -> Vec<(f32, f32)> {
    let most = rows.iter().map(|row| row.cells.len()).max().unwrap_or(0);
    // A heading over several columns must not join them: the fullest rows say where columns are.
    let full = rows.iter().filter(|row| row.cells.len() * 4 >= most * 3);
    let mut spans: Vec<(f32, f32)> = full.flat_map(|row| &row.cells).map(|cell| (cell.left, cell.right)).collect();
    spans.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut columns: Vec<(f32, f32)> = Vec::new();
    for (left, right) in spans {
        match columns.last_mut() {
            Some(column) if left < column.1 => column.1 = column.1.max(right),
            _ => columns.push((left, right)),
        }
    }
    columns
}

/// A word of a table that would end its cell or row.
pub(super) fn escaped(word: &LineWord) -> String {
    word.text.replace('|', "\\|")
}
