//! Dates as people write them, and the day that a document bears.

use std::ops::Range;
use std::sync::LazyLock;

use chrono::{Datelike, NaiveDate};
use regex::{Captures, Regex};

use crate::Document;

/// A date in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DateFound {
    /// Its bytes.
    pub range: Range<usize>,
    /// The day.
    pub day: NaiveDate,
}

/// The dates with day, month and year that a text writes out, in text order. `3/4/2019` is read as March 4, unless only
/// the other order gives a day; `3.4.2019` is read as April 3.
pub fn dates(text: &str) -> Vec<DateFound> {
    let mut found: Vec<DateFound> = FORMS
        .iter()
        .flat_map(|form| {
            form.pattern.captures_iter(text).filter_map(|captures| {
                let range = captures.get(0)?.range();
                Some(DateFound { range, day: (form.day)(&captures)? })
            })
        })
        .collect();
    found.sort_by_key(|date| (date.range.start, std::cmp::Reverse(date.range.end)));
    found.dedup_by(|later, earlier| later.range.start < earlier.range.end);
    found
}

/// The day that a document bears: the one that its first page is dated with, or its file name, or its properties.
pub fn dated(document: &Document, file_name: &str) -> Option<NaiveDate> {
    /// A contract's first sentence and a letter's head lie within.
    const HEAD_BYTES: usize = 3_000;
    let first = document.pages.iter().find(|page| !page.text.is_empty());
    let head = first.map_or("", |page| &page.text[..page.text.floor_char_boundary(HEAD_BYTES)]);
    let dates = dates(head);
    let is_stated = |date: &&DateFound| {
        let before = &head[head.floor_char_boundary(date.range.start.saturating_sub(60))..date.range.start];
        DATED.is_match(before)
    };
    let plausible = |day: &NaiveDate| (1800..2200).contains(&day.year());
    let written =
        || document.written.as_deref().and_then(|day| NaiveDate::parse_from_str(day.get(..10)?, "%Y-%m-%d").ok());
    dates
        .iter()
        .find(is_stated)
        .or_else(|| dates.first())
        .map(|date| date.day)
        .filter(plausible)
        .or_else(|| in_file_name(file_name).filter(plausible))
        .or_else(|| written().filter(plausible))
}

/// What comes before the date that a document bears.
static DATED: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i)\b(dated|date|as of|effective|entered into|made)\b[^.]{0,40}$"));

struct Form {
    pattern: Regex,
    day: fn(&Captures) -> Option<NaiveDate>,
}

const MONTH: &str = "(?P<m>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)";

static FORMS: LazyLock<Vec<Form>> = LazyLock::new(|| {
    let form = |text: &str, day| Form { pattern: pattern(text), day };
    vec![
        form(&format!(r"(?i)\b{MONTH}\.?\s+(?P<d>\d{{1,2}})(?:st|nd|rd|th)?\s*,?\s+(?P<y>\d{{4}})\b"), named),
        form(
            &format!(r"(?i)\b(?P<d>\d{{1,2}})(?:st|nd|rd|th)?\s+(?:day\s+of\s+)?{MONTH}\.?\s*,?\s+(?P<y>\d{{4}})\b"),
            named,
        ),
        form(r"\b(?P<y>\d{4})-(?P<m>\d{2})-(?P<d>\d{2})\b", |c| day(number(c, "y")?, number(c, "m")?, number(c, "d")?)),
        form(r"\b(?P<m>\d{1,2})/(?P<d>\d{1,2})/(?P<y>\d{4})\b", |c| {
            let (year, first, second) = (number(c, "y")?, number(c, "m")?, number(c, "d")?);
            day(year, first, second).or_else(|| day(year, second, first))
        }),
        form(r"\b(?P<d>\d{1,2})\.(?P<m>\d{1,2})\.(?P<y>\d{4})\b", |c| {
            day(number(c, "y")?, number(c, "m")?, number(c, "d")?)
        }),
    ]
});

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a test uses every pattern")
}

fn named(captures: &Captures) -> Option<NaiveDate> {
    const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let month = captures.name("m")?.as_str().get(..3)?.to_ascii_lowercase();
    let month = MONTHS.iter().position(|name| *name == month)? as u32 + 1;
    day(number(captures, "y")?, month, number(captures, "d")?)
}

fn number(captures: &Captures, name: &str) -> Option<u32> {
    captures.name(name)?.as_str().parse().ok()
}

fn day(year: u32, month: u32, day: u32) -> Option<NaiveDate> {
    NaiveDate::from_ymd_opt(year as i32, month, day)
}

/// `Lease_20180417.pdf`, `2018-04-17 lease.pdf`, `ACME_04_17_2018-EX.pdf`.
fn in_file_name(name: &str) -> Option<NaiveDate> {
    static YEAR_FIRST: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"(?:^|\D)((?:19|20)\d{2})[-_. ]?(\d{2})[-_. ]?(\d{2})(?:\D|$)"));
    static YEAR_LAST: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"(?:^|\D)(\d{2})[-_. ](\d{2})[-_. ]((?:19|20)\d{2})(?:\D|$)"));
    let parts = |pattern: &Regex, order: [usize; 3]| {
        let captures = pattern.captures(name)?;
        let [year, month, of_month] = order.map(|at| captures[at].parse().ok());
        day(year?, month?, of_month?)
    };
    parts(&YEAR_FIRST, [1, 2, 3]).or_else(|| parts(&YEAR_LAST, [3, 1, 2])).or_else(|| parts(&YEAR_LAST, [3, 2, 1]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MediaType;
    use crate::text::plain_page;

    fn check(text: &str, expected: &[&str]) {
        let found: Vec<String> = dates(text).iter().map(|date| date.day.to_string()).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn dates_are_read_as_people_write_them() {
        check("on April 30, 2018 and Feb. 3rd 2020", &["2018-04-30", "2020-02-03"]);
        check("this 7th day of February, 2000; 1 June 2021", &["2000-02-07", "2021-06-01"]);
        check("2019-03-21 3/21/2019 21/3/2019 21.3.2019", &["2019-03-21"; 4]);
        check("February 30, 2019; 13/13/2019; May 2019; version 1.2.2019a", &[]);
    }

    #[test]
    fn a_document_bears_the_day_that_it_is_dated_with() {
        let check = |text: &str, name: &str, written: Option<&str>, expected: Option<&str>| {
            let pages = vec![plain_page(1, text.to_owned())];
            let document = Document { written: written.map(str::to_owned), ..Document::of(MediaType::Text, pages) };
            assert_eq!(dated(&document, name).map(|day| day.to_string()).as_deref(), expected, "{text} {name}");
        };
        check("Filed May 1, 2020. LEASE dated as of April 30, 2018 between", "a.pdf", None, Some("2018-04-30"));
        check("Dr. Reed\n3/21/2019\nDear", "a.pdf", None, Some("2019-03-21"));
        check("no date", "ACME_20180417_EX-10.pdf", None, Some("2018-04-17"));
        check("no date", "ACME_07_20_2000-EX.pdf", None, Some("2000-07-20"));
        check("no date", "scan 12345678.pdf", Some("2016-01-02T10:00:00Z"), Some("2016-01-02"));
        check("no date", "a.pdf", None, None);
    }
}
