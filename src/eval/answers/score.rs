//! One question's answer against what is right: the answer, citation, abstention and combined measures of the sets'
//! scorer (score.py), under its names and by its definitions, so that both give the same figures.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use serde_json::Value;

use super::words::{has_number, plain, reads_as_refusal, shingles, token_f1, tokens, yes_or_no};
use crate::eval::set::Query;

/// A line of a run.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Given {
    pub id: String,
    #[serde(default)]
    pub answer: Option<String>,
    #[serde(default)]
    pub citations: Option<Vec<Cited>>,
    #[serde(default)]
    pub abstained: Option<bool>,
    #[serde(default)]
    pub latency_ms: Option<f64>,
    #[serde(default)]
    pub error: Option<Value>,
}

/// A citation of a run: a page, some pages or a range of them.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Cited {
    #[serde(default)]
    pub file: String,
    #[serde(default)]
    pub page: Option<u32>,
    #[serde(default)]
    pub pages: Vec<u32>,
    #[serde(default)]
    pub page_start: Option<u32>,
    #[serde(default)]
    pub page_end: Option<u32>,
    #[serde(default)]
    pub quote: Option<String>,
}

impl Cited {
    fn on_pages(&self) -> Vec<Option<u32>> {
        if !self.pages.is_empty() {
            return self.pages.iter().copied().map(Some).collect();
        }
        let Some(first) = self.page_start.or(self.page) else { return vec![None] };
        let pages: Vec<_> = (first..=self.page_end.unwrap_or(first)).map(Some).collect();
        if pages.is_empty() { vec![None] } else { pages }
    }
}

/// The text of each page by file and number, as [`plain`] has it.
pub(super) type Pages = HashMap<(String, u32), String>;

/// A question's figures.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub kind: String,
    pub answerable: bool,
    pub abstained: bool,
    pub figures: Vec<(String, f64)>,
}

impl Row {
    fn set(&mut self, name: &str, value: f64) {
        self.figures.push((name.to_owned(), value));
    }

    fn set_flag(&mut self, name: &str, value: bool) {
        self.set(name, f64::from(u8::from(value)));
    }

    pub(super) fn get(&self, name: &str) -> Option<f64> {
        self.figures.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }
}

/// Scores one line; a question without a line counts as failed.
pub(super) fn score(query: &Query, line: Option<&Given>, pages: &Pages) -> Row {
    let nothing = Given::default();
    let given = line.unwrap_or(&nothing);
    let failed = line.is_none() || given.error.as_ref().is_some_and(|error| !is_nothing(error));
    let answer = given.answer.as_deref().unwrap_or_default();
    let abstained = given.abstained.unwrap_or_else(|| reads_as_refusal(answer)) && !failed;
    let cited: Vec<Quoted> = given.citations.iter().flatten().flat_map(quoted).collect();
    let mut row = Row {
        kind: query.kind(),
        answerable: query.answerable,
        abstained,
        figures: vec![("n_citations".to_owned(), cited.len() as f64)],
    };
    if query.answerable {
        answerable(&mut row, query, answer, &cited);
    } else {
        row.abstained |= query.accept_no && yes_or_no(answer) == Some(false);
        let abstained = row.abstained;
        row.set_flag("answered_unanswerable", !abstained);
        row.set_flag("grounded_correct", abstained);
        row.set("cost_score", if abstained { 1.0 } else { -1.0 });
    }
    // As in score.py: whether a plain No was accepted does not matter here for answerable questions, and does for others.
    if !cited.is_empty() && !row.abstained {
        let exists = |one: &Quoted| one.page.is_some_and(|page| pages.contains_key(&(one.file.to_owned(), page)));
        row.set_flag("phantom_citation", cited.iter().any(|one| !exists(one)));
        let checked: Vec<bool> = cited
            .iter()
            .map(|one| (plain(one.quote), one))
            .filter(|(quote, _)| quote.chars().count() >= 8)
            .map(|(quote, one)| stands(&quote, one, pages))
            .collect();
        if !checked.is_empty() {
            row.set("quote_verbatim", share(&checked));
        }
    }
    row.figures.extend(given.latency_ms.map(|ms| ("latency_ms".to_owned(), ms)));
    row
}

/// A quote on one page.
struct Quoted<'a> {
    file: &'a str,
    page: Option<u32>,
    quote: &'a str,
}

fn quoted(cited: &Cited) -> impl Iterator<Item = Quoted<'_>> {
    let file = cited.file.rsplit('/').next().unwrap_or_default();
    let quote = cited.quote.as_deref().unwrap_or_default();
    cited.on_pages().into_iter().map(move |page| Quoted { file, page, quote })
}

fn answerable(row: &mut Row, query: &Query, answer: &str, cited: &[Quoted]) {
    let abstained = row.abstained;
    let kind = query.answer_type.as_str();
    let mut right = None;
    if abstained {
        right = Some(false);
    } else if !query.answers.is_empty() {
        right = is_right(row, kind, answer, &query.answers);
    }
    row.set_flag("correct_auto", right == Some(true));
    row.set_flag("needs_judge", right.is_none() && !abstained);
    row.set_flag("false_abstain", abstained);
    row.set_flag(&format!("correct_auto:{kind}"), right == Some(true));
    let mut grounded = false;
    if !abstained && kind != "verify" {
        let gold = query.right_pages();
        let hits: Vec<bool> =
            cited.iter().map(|one| one.page.is_some_and(|page| gold.contains(&(one.file, page)))).collect();
        let pages: HashSet<_> = cited.iter().filter_map(|one| Some((one.file, one.page?))).collect();
        row.set_flag("cite_any", !cited.is_empty());
        row.set("cite_page_precision", share(&hits));
        row.set("cite_page_recall", gold.intersection(&pages).count() as f64 / gold.len().max(1) as f64);
        row.set_flag("cite_gold_page", hits.contains(&true));
        if query.evidence.iter().any(|evidence| evidence.text.as_ref().is_some_and(|text| !text.is_empty())) {
            row.set_flag("quote_supported", cited.iter().any(|one| holds_evidence(query, one)));
        }
        grounded = right == Some(true) && hits.contains(&true);
    }
    row.set_flag("grounded_correct", grounded);
    row.set(
        "cost_score",
        if grounded {
            1.0
        } else if abstained {
            0.0
        } else {
            -1.0
        },
    );
}

/// Whether the answer is right by the strict rule of its type; nothing when only a reader can tell.
fn is_right(row: &mut Row, kind: &str, answer: &str, answers: &[String]) -> Option<bool> {
    let own = tokens(answer);
    let letters = plain(answer);
    let f1 = answers.iter().map(|right| token_f1(answer, right)).fold(0.0, f64::max);
    let contains = answers.iter().map(|right| plain(right)).any(|right| !right.is_empty() && letters.contains(&right));
    row.set("token_f1", f1);
    row.set_flag("em", answers.iter().any(|right| tokens(right) == own));
    row.set_flag("contains", contains);
    let words: HashSet<&String> = own.iter().collect();
    match kind {
        "yesno" if answers.iter().any(|right| yes_or_no(right).is_some()) => {
            Some(answers.iter().any(|right| yes_or_no(right) == yes_or_no(answer)))
        }
        "numeric" => {
            let judged: Vec<_> = answers.iter().map(|right| has_number(answer, right)).collect();
            if judged.contains(&Some(true)) { Some(true) } else { judged.contains(&Some(false)).then_some(false) }
        }
        "span" | "extract" => {
            let held = |right: &String| {
                let wanted: HashSet<String> = tokens(right).into_iter().collect();
                let known = wanted.iter().filter(|word| words.contains(word)).count();
                !wanted.is_empty() && known as f64 / wanted.len() as f64 >= 0.8
            };
            Some(contains || f1 >= 0.6 || answers.iter().any(held))
        }
        "clause" => {
            let clause: HashSet<String> = answers.iter().flat_map(|right| tokens(right)).collect();
            let known = words.iter().filter(|word| clause.contains(**word)).count();
            let precision = known as f64 / words.len().max(1) as f64;
            row.set("clause_precision", precision);
            (known >= 5 && precision >= 0.6).then_some(true)
        }
        "verify" => None,
        _ => (contains || f1 >= 0.7).then_some(true),
    }
}

/// Whether the quote holds a piece of the evidence or is one.
fn holds_evidence(query: &Query, one: &Quoted) -> bool {
    if one.quote.is_empty() {
        return false;
    }
    let (quote, pieces) = (plain(one.quote), shingles(one.quote, 1));
    query.evidence.iter().filter(|evidence| evidence.file == one.file).any(|evidence| {
        let Some(text) = evidence.text.as_ref().filter(|text| !text.is_empty()) else { return false };
        !shingles(text, 10).is_disjoint(&pieces) || (quote.chars().count() >= 12 && plain(text).contains(&quote))
    })
}

/// Whether the quote stands on its page, or runs on to the next.
fn stands(quote: &str, one: &Quoted, pages: &Pages) -> bool {
    let text =
        |page: Option<u32>| page.and_then(|page| pages.get(&(one.file.to_owned(), page))).map_or("", String::as_str);
    let both = [text(one.page), text(Some(one.page.unwrap_or(0) + 1))].concat();
    both.contains(quote)
}

fn share(flags: &[bool]) -> f64 {
    if flags.is_empty() { 0.0 } else { flags.iter().filter(|flag| **flag).count() as f64 / flags.len() as f64 }
}

fn is_nothing(error: &Value) -> bool {
    match error {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}
