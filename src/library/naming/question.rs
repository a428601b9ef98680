//! A question as words, some of which name documents, and the question without those.

use std::{collections::HashSet, ops::Range, sync::LazyLock};

use crate::sparse;

/// What a word of a question does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Says which document is meant.
    Naming,
    /// Does so as a part of its file name, however long that is.
    File,
    /// Is in the names of the document too, but in many others as well: agreement, lease, the.
    Theirs,
    /// Is among the commonest words.
    Common,
    /// Leads to a name: "according to", "in the file titled".
    Leading,
    /// Belongs to what is asked.
    Other,
}

/// Words that lead to a name, as terms.
static LEADING: LazyLock<HashSet<String>> = LazyLock::new(|| {
    const WORDS: &str = "according attached attachment called concerning copy document entitled file following look \
        named pdf per read regarding respect scan text titled under version within";
    sparse::terms(WORDS).collect()
});

/// Marks that part clauses; some others do where a blank follows.
const PARTING: [char; 7] = [';', ':', '?', '!', '\n', '–', '—'];

/// A question's words with their terms and places.
pub(super) struct Words<'a> {
    text: &'a str,
    words: Vec<(Range<usize>, Option<String>)>,
}

impl<'a> Words<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self { text, words: sparse::words_with_terms(text) }
    }

    /// The term of a word; nothing for the commonest words.
    pub(super) fn term(&self, at: usize) -> Option<&str> {
        self.words[at].1.as_deref()
    }

    /// The different terms that can name something: not the commonest words, letters and short numbers.
    pub(super) fn terms(&self) -> impl Iterator<Item = &str> {
        let mut seen = HashSet::new();
        self.words
            .iter()
            .filter_map(|(_, term)| term.as_deref())
            .filter(move |term| can_name(term) && seen.insert(*term))
    }

    /// What a word does that is in the name of no document that is meant.
    pub(super) fn unnamed(&self, at: usize) -> Kind {
        match self.term(at) {
            None => Kind::Common,
            Some(term) if LEADING.contains(term) => Kind::Leading,
            Some(_) => Kind::Other,
        }
    }

    /// Runs of letters or digits in lower case, with the word that each is of: `a_1.PDF` is `a`, `1`, `pdf`.
    pub(super) fn pieces(&self) -> Vec<(usize, String)> {
        self.words
            .iter()
            .enumerate()
            .flat_map(|(at, (range, _))| pieces(&self.text[range.clone()]).into_iter().map(move |piece| (at, piece)))
            .collect()
    }

    /// The question without its naming words. A clause that mostly names goes whole when others ask something;
    /// elsewhere a run of words of the name goes, and what stays of it says what kind of document it is ("the Acme
    /// lease" becomes "the lease"), if `runs_too` may. When nothing of substance stays, the whole question.
    pub(super) fn without(&self, kind: impl Fn(usize) -> Kind, runs_too: bool) -> String {
        let kinds: Vec<Kind> = (0..self.words.len()).map(kind).collect();
        let clauses = self.clauses();
        let asks = |kept: &[bool]| kinds.iter().zip(kept).any(|(kind, kept)| *kept && *kind == Kind::Other);
        for whole_clauses in [true, false] {
            let mut kept = vec![true; kinds.len()];
            let mut before_went = false;
            for clause in &clauses {
                let count = |wanted: Kind| kinds[clause.clone()].iter().filter(|kind| **kind == wanted).count();
                let naming = count(Kind::Naming) + count(Kind::File).min(1);
                let (theirs, other) = (count(Kind::Theirs), count(Kind::Other));
                // "…, Inc; what is": the rest of a name that a comma parted goes with it.
                before_went = !self.asks(clause)
                    && ((naming > 0 && naming + theirs > other) || (before_went && naming + other == 0));
                if before_went && whole_clauses {
                    kept[clause.clone()].fill(false);
                } else if runs_too {
                    for run in naming_runs(&kinds, clause.clone()) {
                        kept[run].fill(false);
                    }
                }
            }
            if asks(&kept) {
                return self.joined(&clauses, &kept);
            }
        }
        self.text.to_owned()
    }

    /// Whether a clause asks something by itself.
    fn asks(&self, clause: &Range<usize>) -> bool {
        const ASKING: [&str; 9] = ["how", "what", "when", "where", "which", "who", "whom", "whose", "why"];
        let mut words = clause.clone().map(|at| self.text[self.words[at].0.clone()].to_lowercase());
        words.any(|word| ASKING.contains(&word.as_str()))
    }

    /// The kept stretches of the text, with the marks that follow them.
    fn joined(&self, clauses: &[Range<usize>], kept: &[bool]) -> String {
        let mut rest = String::new();
        for clause in clauses {
            for at in clause.clone().filter(|at| kept[*at]) {
                let end = self.words.get(at + 1).map_or(self.text.len(), |(next, _)| next.start);
                let stretch = &self.text[self.words[at].0.start..end];
                // The marks at the end of a clause stay when the next one goes.
                if at + 1 == clause.end || kept[at + 1] {
                    rest.push_str(stretch);
                } else {
                    rest.push_str(&self.text[self.words[at].0.clone()]);
                    rest.push(' ');
                }
            }
            // "Under section 5 of 183.pdf, does": the mark stays where the last word goes.
            if let Some((last, next)) = clause.clone().last().zip(self.words.get(clause.end))
                && !kept[last]
                && kept[clause.clone()].contains(&true)
            {
                let between = &self.text[self.words[last].0.end..next.0.start];
                rest.truncate(rest.trim_end().len());
                rest.extend(between.chars().find(|c| PARTING.contains(c) || [',', '.'].contains(c)));
                rest.push(' ');
            }
        }
        let rest = rest.trim_end_matches([' ', ',', ';', ':']);
        let mark = if self.text.trim_end().ends_with('?') && !rest.ends_with('?') { "?" } else { "" };
        format!("{rest}{mark}")
    }

    /// Words between the marks that part clauses. A full stop does where a blank follows; inside "Inc. and" that does
    /// no harm, because both sides name.
    fn clauses(&self) -> Vec<Range<usize>> {
        let mut clauses = Vec::new();
        let mut start = 0;
        for at in 1..self.words.len() {
            let between = &self.text[self.words[at - 1].0.end..self.words[at].0.start];
            let parts = between.contains(PARTING)
                || between.contains(", ")
                || between.contains(". ")
                || between.contains(" - ");
            if parts {
                clauses.push(start..at);
                start = at;
            }
        }
        clauses.push(start..self.words.len());
        clauses
    }
}

/// Within a clause: from a naming word to the last one that only words of the names lie before. With several naming
/// words the other words of the names around them go too ("Acme Holdings Inc"); with one, what is left of them says
/// what kind of document it is.
fn naming_runs(kinds: &[Kind], clause: Range<usize>) -> Vec<Range<usize>> {
    let mut start = clause.start;
    kinds[clause]
        .split(|kind| matches!(kind, Kind::Other | Kind::Leading))
        .filter_map(|stretch| {
            let from = start;
            start += stretch.len() + 1;
            let names = |at: &usize| matches!(stretch[*at], Kind::Naming | Kind::File);
            let naming: Vec<usize> = (0..stretch.len()).filter(names).collect();
            let (first, last) = (*naming.first()?, *naming.last()?);
            if naming.len() == 1 {
                return Some(from + first..from + last + 1);
            }
            let theirs: Vec<usize> = (0..stretch.len()).filter(|at| stretch[*at] != Kind::Common).collect();
            Some(from + theirs.first()?..from + theirs.last()? + 1)
        })
        .collect()
}

/// Whether a term can name a document: a letter or a number of one or two digits is in every list.
pub(super) fn can_name(term: &str) -> bool {
    let digits = term.chars().all(|c| c.is_ascii_digit());
    term.chars().count() > if digits { 2 } else { 1 }
}

/// Runs of letters or of digits, in lower case.
pub(super) fn pieces(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|piece| !piece.is_empty()).map(str::to_lowercase).collect()
}
