//! Figures of a run over its questions: means by name, abstention as precision, recall and F1, and how sure they are.

use serde::Serialize;

use super::score::Row;
use crate::eval::stats::{Estimate, interval};

/// The figures of all rows by name, each with its interval over resampled questions.
pub(super) fn figures(rows: &[Row]) -> Vec<(String, Estimate)> {
    let all: Vec<usize> = (0..rows.len()).collect();
    let mut names: Vec<&str> = Vec::new();
    for row in rows {
        for (name, _) in &row.figures {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
    }
    let mut figures: Vec<(String, Estimate)> = names
        .into_iter()
        .map(|name| {
            let values: Vec<Option<f64>> = rows.iter().map(|row| row.get(name)).collect();
            let n = values.iter().flatten().count();
            (name.to_owned(), sure(rows.len(), n, &all, |sample| mean(&values, sample)))
        })
        .collect();
    if rows.iter().any(|row| !row.answerable) {
        for (name, of) in [
            ("abstain_precision", (|a: &Abstention| a.precision()) as fn(&Abstention) -> f64),
            ("abstain_recall", Abstention::recall),
            ("abstain_f1", Abstention::f1),
        ] {
            let figure = |sample: &[usize]| of(&Abstention::of(sample.iter().map(|at| &rows[*at])));
            figures.push((name.to_owned(), sure(rows.len(), rows.len(), &all, figure)));
        }
    }
    figures
}

fn sure(questions: usize, n: usize, all: &[usize], figure: impl Fn(&[usize]) -> f64) -> Estimate {
    let (low, high) = interval(questions, &figure);
    Estimate { mean: figure(all), low, high, n }
}

fn mean(values: &[Option<f64>], sample: &[usize]) -> f64 {
    let (sum, count) =
        sample.iter().filter_map(|at| values[*at]).fold((0.0, 0), |(sum, n), value| (sum + value, n + 1));
    if count == 0 { 0.0 } else { sum / f64::from(count) }
}

/// Refusals, with unanswerable questions as what they are to find.
#[derive(Debug, Default)]
struct Abstention {
    right: f64,
    wrong: f64,
    missed: f64,
}

impl Abstention {
    fn of<'a>(rows: impl Iterator<Item = &'a Row>) -> Self {
        let mut counts = Self::default();
        for row in rows {
            match (row.abstained, row.answerable) {
                (true, false) => counts.right += 1.0,
                (true, true) => counts.wrong += 1.0,
                (false, false) => counts.missed += 1.0,
                (false, true) => {}
            }
        }
        counts
    }

    fn precision(&self) -> f64 {
        self.right / (self.right + self.wrong).max(1.0)
    }

    fn recall(&self) -> f64 {
        self.right / (self.right + self.missed).max(1.0)
    }

    fn f1(&self) -> f64 {
        let (precision, recall) = (self.precision(), self.recall());
        2.0 * precision * recall / (precision + recall).max(1e-9)
    }
}

/// The figures of one kind of question.
#[derive(Debug, Serialize)]
pub(super) struct Kind {
    pub name: String,
    pub n: usize,
    pub figures: Vec<(&'static str, f64)>,
}

/// What is shown by kind of question.
pub(super) const BY_KIND: [&str; 6] =
    ["abstained", "correct_auto", "cite_page_precision", "quote_supported", "grounded_correct", "cost_score"];

/// Means by kind, so that no figure mixes questions that "always yes" or "always refuse" would win with others.
pub(super) fn by_kind(rows: &[Row]) -> Vec<Kind> {
    let mut names: Vec<&str> = rows.iter().map(|row| row.kind.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let kind = |name: &str| {
        let of_kind: Vec<&Row> = rows.iter().filter(|row| row.kind == name).collect();
        let value = |row: &Row, figure: &str| {
            if figure == "abstained" { Some(f64::from(u8::from(row.abstained))) } else { row.get(figure) }
        };
        let figures = BY_KIND
            .iter()
            .filter_map(|figure| {
                let values: Vec<f64> = of_kind.iter().filter_map(|row| value(row, figure)).collect();
                (!values.is_empty()).then(|| (*figure, values.iter().sum::<f64>() / values.len() as f64))
            })
            .collect();
        Kind { name: name.to_owned(), n: of_kind.len(), figures }
    };
    names.into_iter().map(kind).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(answerable: bool, abstained: bool) -> Row {
        let figures = vec![("cost_score".to_owned(), if answerable == abstained { -1.0 } else { 1.0 })];
        Row { kind: "k".to_owned(), answerable, abstained, figures }
    }

    #[test]
    fn abstention_is_judged_on_unanswerable_questions() {
        let rows = [row(true, false), row(true, true), row(false, true), row(false, true), row(false, false)];
        let figures = figures(&rows);
        let value = |name: &str| figures.iter().find(|(known, _)| known == name).expect("a figure").1;
        assert!((value("abstain_precision").mean - 2.0 / 3.0).abs() < 1e-9);
        assert!((value("abstain_recall").mean - 2.0 / 3.0).abs() < 1e-9);
        assert!((value("cost_score").mean - 0.2).abs() < 1e-9);
        assert!(value("abstain_f1").low < value("abstain_f1").high);
    }
}
