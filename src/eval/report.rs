//! Figures as people read them.

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::stats::{Difference, Estimate, estimate};

/// A progress bar on the terminal, unless the output is for a program.
pub(super) fn bar(length: usize, quiet: bool, doing: &'static str) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg} {bar:30} {pos}/{len} {eta} left").expect("a test shows it");
    ProgressBar::new(length as u64).with_style(style).with_message(doing)
}

/// Means of named values in rows and columns.
pub(super) struct Table {
    head: &'static str,
    columns: &'static [&'static str],
    rows: Vec<(String, Vec<Vec<f64>>)>,
}

/// A row as JSON.
#[derive(Serialize)]
pub(super) struct Row {
    name: String,
    figures: Vec<(&'static str, Estimate)>,
}

impl Row {
    pub(super) fn print_with_intervals(&self) {
        for (_, figure) in &self.figures {
            let interval =
                if figure.n > 1 { format!("[{:.4}, {:.4}]", figure.low, figure.high) } else { String::new() };
            println!("  {:16} {:.4} {interval}", self.name, figure.mean);
        }
    }
}

/// One line of a comparison; a star where chance is below one in twenty.
pub(super) fn print_difference(name: &str, difference: Difference) {
    let star = if difference.p < 0.05 { "*" } else { "" };
    println!("  {name:12} {:+.4} against that run, p = {:.4} {star}", difference.mean, difference.p);
}

impl Table {
    pub(super) fn new(head: &'static str, columns: &'static [&'static str]) -> Self {
        Self { head, columns, rows: Vec::new() }
    }

    /// Adds a value to the cell of that row and column; columns that the table does not have are passed over.
    pub(super) fn add(&mut self, row: &str, column: &str, value: f64) {
        let Some(column) = self.columns.iter().position(|name| *name == column) else { return };
        let at = self.rows.iter().position(|(name, _)| name == row).unwrap_or_else(|| {
            self.rows.push((row.to_owned(), vec![Vec::new(); self.columns.len()]));
            self.rows.len() - 1
        });
        self.rows[at].1[column].push(value);
    }

    pub(super) fn rows(&self) -> Vec<Row> {
        self.rows
            .iter()
            .map(|(name, cells)| Row {
                name: name.clone(),
                figures: self
                    .columns
                    .iter()
                    .zip(cells)
                    .filter_map(|(column, values)| Some((*column, estimate(values)?)))
                    .collect(),
            })
            .collect()
    }

    pub(super) fn print(&self) {
        println!(
            "  {:16} {:>5} {}",
            self.head,
            "n",
            self.columns.iter().map(|column| format!("{column:>12}")).collect::<String>()
        );
        for (name, cells) in &self.rows {
            let n = cells.iter().map(Vec::len).max().unwrap_or(0);
            let cell =
                |values: &Vec<f64>| estimate(values).map_or_else(|| "-".to_owned(), |e| format!("{:.3}", e.mean));
            let cells: String = cells.iter().map(|values| format!("{:>12}", cell(values))).collect();
            println!("  {name:16} {n:>5} {cells}");
        }
    }
}
