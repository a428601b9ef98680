//! Workbooks: each sheet is a page, each row a line, the cells parted by ` | `. Only this file names calamine.

use std::fmt::Display;
use std::io::Cursor;

use calamine::{Data, DataRef, ExcelDateTime, Ods, OdsError, Reader, Sheets, Xls, XlsError, Xlsb, Xlsx, XlsxError};

use crate::flow::Flow;
use crate::{Document, Limits, MediaType, Problem, ReadError, archive};

type Bytes<'a> = Cursor<&'a [u8]>;

pub(crate) fn read(bytes: &[u8], media_type: MediaType, limits: &Limits) -> Result<Document, ReadError> {
    let mut book = open(bytes, media_type, limits)?;
    let mut flow = Flow::default();
    let mut problems = Vec::new();
    for (number, name) in (1..).zip(book.sheet_names()) {
        if number > 1 {
            flow.end_counted_page();
        }
        flow.push(&name);
        flow.end_heading(1);
        if let Err(error) = sheet(&mut book, &name, &mut flow, limits)? {
            problems.push(Problem::on_page(number, format!("sheet '{name}' cannot be read: {error}")));
        }
    }
    Ok(Document { problems, ..flow.document(media_type, limits)? })
}

fn open<'a>(bytes: &'a [u8], media_type: MediaType, limits: &Limits) -> Result<Sheets<Bytes<'a>>, ReadError> {
    let cursor = Cursor::new(bytes);
    if bytes.starts_with(&archive::OLE) {
        // The old format, or a new one in a locked envelope.
        return match Xls::new(cursor) {
            Ok(book) => Ok(Sheets::Xls(book)),
            Err(XlsError::Password) => Err(ReadError::Locked),
            Err(_) if matches!(Xlsx::new(Cursor::new(bytes)), Err(XlsxError::Password)) => Err(ReadError::Locked),
            Err(error) => Err(damaged(error)),
        };
    }
    let parts = archive::Archive::open(bytes, media_type, limits)?;
    parts.check_declared()?;
    if parts.has("xl/workbook.bin") {
        return Ok(Sheets::Xlsb(Xlsb::new(cursor).map_err(damaged)?));
    }
    if parts.has("xl/workbook.xml") {
        return Ok(Sheets::Xlsx(Xlsx::new(cursor).map_err(damaged)?));
    }
    match Ods::new(cursor) {
        Ok(book) => Ok(Sheets::Ods(book)),
        Err(OdsError::Password) => Err(ReadError::Locked),
        Err(_) if !parts.has("content.xml") => Err(ReadError::NotWhatItSays { named: media_type.name() }),
        Err(error) => Err(damaged(error)),
    }
}

/// Adds a sheet's rows. The inner error is this sheet's, the outer one the whole file's.
fn sheet(
    book: &mut Sheets<Bytes<'_>>,
    name: &str,
    flow: &mut Flow,
    limits: &Limits,
) -> Result<Result<(), String>, ReadError> {
    let mut rows = Rows { flow, row: None, next_column: 0 };
    // Cell by cell where it is possible: a single cell in the last corner makes a range of billions.
    if let Sheets::Xlsx(book) = book {
        let mut cells = match book.worksheet_cells_reader(name) {
            Ok(cells) => cells,
            Err(error) => return Ok(Err(error.to_string())),
        };
        loop {
            match cells.next_cell() {
                Ok(Some(cell)) => {
                    let (row, column) = cell.get_position();
                    rows.cell(row, column, &shown_ref(cell.get_value()));
                    rows.flow.check(limits)?;
                }
                Ok(None) => break,
                Err(error) => return Ok(Err(error.to_string())),
            }
        }
    } else {
        let range = match book.worksheet_range(name) {
            Ok(range) => range,
            Err(error) => return Ok(Err(error.to_string())),
        };
        for (row, column, value) in range.used_cells() {
            rows.cell(row as u32, column as u32, &shown(value));
            rows.flow.check(limits)?;
        }
    }
    rows.end();
    Ok(Ok(()))
}

/// Cells, in order, to lines.
struct Rows<'a> {
    flow: &'a mut Flow,
    row: Option<u32>,
    next_column: u32,
}

impl Rows<'_> {
    /// Gaps between filled cells are kept so that columns can be told, but not the emptiness before a far one.
    fn cell(&mut self, row: u32, column: u32, text: &str) {
        const MAX_GAP: u32 = 32;
        if text.is_empty() {
            return;
        }
        if self.row != Some(row) {
            if self.row.is_some() {
                self.flow.end_row();
            }
            // An empty row parts two tables.
            if self.row.is_some_and(|before| row > before + 1) {
                self.flow.part();
            }
            self.row = Some(row);
            self.next_column = 0;
            self.flow.start_row();
        }
        for _ in 0..column.saturating_sub(self.next_column).min(MAX_GAP) {
            self.flow.start_cell();
        }
        self.next_column = column + 1;
        self.flow.start_cell();
        for line in text.lines() {
            self.flow.push(line);
            self.flow.end_line();
        }
    }

    fn end(&mut self) {
        if self.row.is_some() {
            self.flow.end_row();
        }
    }
}

fn shown(value: &Data) -> String {
    match value {
        Data::Float(number) => shown_number(*number),
        Data::DateTime(time) => shown_time(time),
        Data::Bool(truth) => shown_truth(*truth),
        Data::Empty => String::new(),
        other => other.to_string(),
    }
}

fn shown_ref(value: &DataRef<'_>) -> String {
    match value {
        DataRef::SharedString(text) => (*text).to_owned(),
        DataRef::String(text) => text.clone(),
        other => shown(&Data::from(other.clone())),
    }
}

fn shown_truth(truth: bool) -> String {
    if truth { "TRUE".to_owned() } else { "FALSE".to_owned() }
}

/// 15 significant digits, as spreadsheets show: the rest is noise of binary fractions.
fn shown_number(number: f64) -> String {
    let rounded = format!("{number:.14e}").parse::<f64>().unwrap_or(number);
    rounded.to_string()
}

/// A date, a time of day, or both, of ISO 8601.
fn shown_time(time: &ExcelDateTime) -> String {
    if time.is_duration() {
        let minutes = (time.as_f64() * 24.0 * 60.0).round() as i64;
        return format!("{}:{:02}", minutes / 60, minutes % 60);
    }
    let (year, month, day, hour, minute, second, _) = time.to_ymd_hms_milli();
    let clock =
        if second == 0 { format!("{hour:02}:{minute:02}") } else { format!("{hour:02}:{minute:02}:{second:02}") };
    match (time.as_f64() < 1.0, time.as_f64().fract() == 0.0) {
        (true, _) => clock,
        (false, true) => format!("{year:04}-{month:02}-{day:02}"),
        (false, false) => format!("{year:04}-{month:02}-{day:02} {clock}"),
    }
}

fn damaged(error: impl Display) -> ReadError {
    ReadError::Damaged(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_without_noise() {
        for (number, text) in [(0.1 + 0.2, "0.3"), (1234.5, "1234.5"), (45_000_000.0, "45000000"), (-2.0, "-2")] {
            assert_eq!(shown_number(number), text);
        }
    }
}
