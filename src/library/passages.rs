//! Chunks that were found become passages: the same words are shown once, neighbours together, clauses whole.

use std::{
    collections::{HashMap, HashSet, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
};

use premise_ingest::PageSpan;

use super::{
    Library, Passage, claims, overleaf,
    retrieve::{Candidate, Steps},
    search::{AlsoIn, Why},
};
use crate::{db::ChunkRow, error::Result, store::DocumentId};

/// Which of the passages are wanted.
#[derive(Clone, Copy)]
pub(super) struct Window {
    pub offset: usize,
    pub k: usize,
    pub explain: bool,
}

pub(super) struct Assembled {
    pub passages: Vec<Passage>,
    /// Whether others follow.
    pub more: bool,
}

/// Chunks of a passage at most: 750 tokens, more than which the model would not get to see of it.
const MOST_CHUNKS: usize = 3;
/// Two texts are the same form filled in alike when they share this much of their words and all of their figures and
/// denials.
const SAME_WORDS: f32 = 0.9;
/// Other places that are named with a passage; with more, the count says nothing new.
const MOST_ALSO: usize = 20;

/// Cautions of its document that a passage shows.
const MOST_CAUTIONS: usize = 3;

/// A passage as it is put together.
struct Draft {
    /// What was found, the best first.
    found: Vec<Candidate>,
    /// Neighbours that complete a clause.
    added: Vec<ChunkRow>,
    also: Vec<AlsoIn>,
    signature: Signature,
}

impl Library {
    /// Blocks.
    pub(super) fn to_passages(&self, candidates: Vec<Candidate>, steps: Steps, window: Window) -> Result<Assembled> {
        let mut drafts: Vec<Draft> = Vec::new();
        for mut candidate in candidates {
            // The passages are full: what follows only joins them or is one more.
            let are_full = drafts.len() > window.offset + window.k;
            if are_full && !(steps.merge && drafts.iter().any(|draft| draft.adjoins(&candidate.row))) {
                continue;
            }
            // Only now, since it cuts a text to its stems.
            if steps.overleaf {
                overleaf::trim(&mut candidate.row, &candidate.asked);
            }
            if steps.merge
                && let Some(neighbour) = drafts.iter_mut().find(|draft| draft.takes(&candidate.row))
            {
                neighbour.found.push(candidate);
                continue;
            }
            if are_full {
                continue;
            }
            let signature = Signature::of(&candidate.row.text);
            if steps.collapse
                && let Some(same) = drafts.iter_mut().find(|draft| draft.signature.is_like(&signature))
            {
                if same.also.len() < MOST_ALSO {
                    same.also.push(AlsoIn {
                        document: candidate.row.document,
                        file: candidate.row.file,
                        page: candidate.row.page_start,
                    });
                }
                continue;
            }
            drafts.push(Draft { found: vec![candidate], added: Vec::new(), also: Vec::new(), signature });
        }
        let more = drafts.len() > window.offset + window.k;
        let mut drafts: Vec<_> = drafts.into_iter().skip(window.offset).take(window.k).collect();
        if steps.merge {
            self.complete_clauses(&mut drafts)?;
        }
        let numbered = drafts.into_iter().zip(window.offset + 1..);
        Ok(Assembled { passages: numbered.map(|(draft, n)| draft.passage(n, window.explain)).collect(), more })
    }

    /// A passage that begins or ends within a paragraph gets the neighbours that the rest of it is in.
    fn complete_clauses(&self, drafts: &mut [Draft]) -> Result<()> {
        let mut taken: HashSet<(DocumentId, u32)> =
            drafts.iter().flat_map(|draft| draft.rows().map(|row| (row.document, row.number))).collect();
        let wanted: Vec<_> = drafts
            .iter()
            .flat_map(|draft| {
                let (first, last) = draft.ends();
                let before = first.continues.then(|| first.number.checked_sub(1)).flatten();
                before.into_iter().chain([last.number + 1]).map(|number| (first.document, number))
            })
            .filter(|place| !taken.contains(place))
            .collect();
        let mut neighbours: HashMap<_, _> =
            self.db.chunks_at(&wanted)?.into_iter().map(|row| ((row.document, row.number), row)).collect();
        for draft in drafts {
            let (first, last) = draft.ends();
            let document = first.document;
            let after = (document, last.number + 1);
            let before = first.number.checked_sub(1).filter(|_| first.continues).map(|number| (document, number));
            let goes_on = neighbours.get(&after).is_some_and(|row| row.continues);
            for place in goes_on.then_some(after).into_iter().chain(before) {
                if draft.rows().count() < MOST_CHUNKS
                    && neighbours.get(&place).is_some_and(|row| draft.is_on_its_pages(row))
                    && taken.insert(place)
                    && let Some(row) = neighbours.remove(&place)
                {
                    draft.added.push(row);
                }
            }
        }
        Ok(())
    }
}

impl Draft {
    fn rows(&self) -> impl Iterator<Item = &ChunkRow> {
        self.found.iter().map(|candidate| &candidate.row).chain(&self.added)
    }

    /// Its first and last chunk.
    fn ends(&self) -> (&ChunkRow, &ChunkRow) {
        let best = &self.found[0].row;
        self.rows().fold((best, best), |(first, last), row| {
            (if row.number < first.number { row } else { first }, if row.number > last.number { row } else { last })
        })
    }

    /// Whether a chunk lies directly before or after it and there is room for it.
    fn takes(&self, row: &ChunkRow) -> bool {
        self.adjoins(row) && self.found.len() < MOST_CHUNKS && self.is_on_its_pages(row)
    }

    /// Whether a chunk lies directly before or after it.
    fn adjoins(&self, row: &ChunkRow) -> bool {
        let (first, last) = self.ends();
        let adjacent = row.number + 1 == first.number || row.number == last.number + 1;
        row.document == first.document && adjacent
    }

    /// Whether a chunk stands on the pages of the passage: a passage shows where its best chunk is, and the pages around
    /// it would take the places of better ones.
    fn is_on_its_pages(&self, row: &ChunkRow) -> bool {
        let best = &self.found[0].row;
        best.page_start <= row.page_start && row.page_end <= best.page_end
    }

    fn passage(self, n: usize, explain: bool) -> Passage {
        let best = &self.found[0];
        let why = explain.then(|| Why {
            asked: best.asked.text.clone(),
            named: best.named,
            meaning_rank: best.hit.dense_rank,
            words_rank: best.hit.sparse_rank,
            words_score: best.hit.sparse_score,
            words: best.matches.words.clone(),
            exact: best.matches.exact.clone(),
            reranker_score: best.reranker_score,
            chunks: {
                let mut numbers: Vec<_> = self.rows().map(|row| row.number).collect();
                numbers.sort_unstable();
                numbers
            },
        });
        let (score, similarity) = (best.hit.score, best.hit.dense_score);
        let mut rows: Vec<ChunkRow> = self.found.into_iter().map(|candidate| candidate.row).chain(self.added).collect();
        rows.sort_by_key(|row| row.number);
        let mut rows = rows.into_iter();
        let first = rows.next().expect("a draft has what was found");
        let mut passage = Passage {
            n,
            document: first.document,
            file: first.file,
            collection: first.collection,
            title: first.title,
            dated: first.dated,
            section: first.section,
            page_start: first.page_start,
            page_end: first.page_end,
            text: first.text,
            recognised: first.recognised,
            score,
            similarity,
            also: self.also,
            why,
            cautions: first.cautions,
            spans: first.spans,
        };
        for row in rows {
            passage.append(&row);
        }
        passage.keep_nearest_cautions();
        passage
    }
}

impl Passage {
    fn keep_nearest_cautions(&mut self) {
        let pages = self.page_start..=self.page_end;
        self.cautions.sort_by_key(|caution| caution.page.is_some_and(|page| !pages.contains(&page)));
        self.cautions.truncate(MOST_CAUTIONS);
    }

    /// Adds the chunk that follows in the document.
    fn append(&mut self, row: &ChunkRow) {
        let end = self.spans.last().map_or((0, 0), |span| (span.page, span.end));
        // A table's rows have its header before them, which stands above already.
        let is_header = |span: &&PageSpan| (span.page, span.start) < end;
        let header: usize =
            row.spans.iter().take_while(is_header).map(|span| (span.end - span.start) as usize + 1).sum();
        let text = row.text.get(header..).unwrap_or_default();
        let own = &row.spans[row.spans.iter().take_while(is_header).count()..];
        let Some(next) = own.first() else { return };
        let gap = if next.page == end.0 { next.start.saturating_sub(end.1) } else { u32::MAX };
        self.text.push_str(match (row.continues, gap) {
            (true, _) => " ",
            (false, 0 | 1) => "\n",
            (false, _) => "\n\n",
        });
        self.text.push_str(text);
        for span in own {
            match self.spans.last_mut() {
                Some(last) if last.page == span.page => last.end = span.end,
                _ => self.spans.push(*span),
            }
        }
        self.page_end = self.page_end.max(row.page_end);
        self.recognised = [self.recognised, row.recognised].into_iter().flatten().reduce(f32::min);
    }
}

/// What makes a text the same as another.
struct Signature {
    /// Hashes of its words in lower case, ascending, each once.
    words: Vec<u64>,
    /// Hashes of the words with digits, in their order.
    figures: Vec<u64>,
}

/// Whether a text with this word says something else than one without it.
fn turns(word: &str) -> bool {
    // "t" is what "don't" and its like end with.
    const WORDS: [&str; 5] = ["except", "only", "t", "unless", "until"];
    claims::denies(word) || claims::is_number_in_words(word) || WORDS.iter().any(|turn| turn.eq_ignore_ascii_case(word))
}

impl Signature {
    fn of(text: &str) -> Self {
        let mut figures = Vec::new();
        let mut words: Vec<u64> = text
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .map(|word| {
                let mut hasher = DefaultHasher::new();
                word.chars().flat_map(char::to_lowercase).for_each(|c| c.hash(&mut hasher));
                let hash = hasher.finish();
                if word.contains(|c: char| c.is_ascii_digit()) || turns(word) {
                    figures.push(hash);
                }
                hash
            })
            .collect();
        words.sort_unstable();
        words.dedup();
        Self { words, figures }
    }

    /// The same form filled in alike: other figures, numbers in words or denials make another text.
    fn is_like(&self, other: &Self) -> bool {
        let (few, many) = (self.words.len().min(other.words.len()), self.words.len().max(other.words.len()));
        if many == 0 || (few as f32) < SAME_WORDS * many as f32 || self.figures != other.figures {
            return false;
        }
        let shared = self.words.iter().filter(|word| other.words.binary_search(word).is_ok()).count();
        shared as f32 >= SAME_WORDS * (few + many - shared) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(a: &str, b: &str, alike: bool) {
        assert_eq!(Signature::of(a).is_like(&Signature::of(b)), alike, "{a} / {b}");
    }

    #[test]
    fn a_form_filled_in_otherwise_is_another_text() {
        let form = "The tenant shall pay rent of $500 on the first day of each month to the landlord at his address";
        check(form, &form.to_uppercase(), true);
        check(form, &format!("{form} ."), true);
        check(form, &form.replace("500", "600"), false);
        check(form, &form.replace("shall pay", "shall not pay"), false);
        check(form, &form.replace("$500", "five hundred dollars"), false);
        let within = format!("{form} within ninety days");
        check(&within, &within.replace("ninety", "thirty"), false);
        check(form, "The tenant shall keep the premises insured against fire and flood for $500 at all times", false);
        check("", "", false);
    }
}
