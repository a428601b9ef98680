//! Evidence: the sentences and table rows of the passages that bear on a question, chosen before a model has written a
//! word. Everything that is quoted comes from here: exact spans of stored pages, with their boxes.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
    sync::Arc,
};

use futures::future::try_join_all;
use premise_ingest::Word;
use serde::{Deserialize, Serialize};

use super::{
    Library, Passage,
    leads::{Lead, said, take_leads},
};
use crate::{
    embed::{EmbedError, Embedder},
    error::Result,
    orders,
    prompt::Form,
    sparse,
    store::DocumentId,
    text,
};

/// A sentence or row that bears on the question, as it stands on its page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quote {
    /// Number of the passage that it is part of.
    pub n: usize,
    /// The document.
    pub document: DocumentId,
    /// Its file.
    pub file: String,
    /// The page.
    pub page: u32,
    /// First byte in the page's text.
    pub start: u32,
    /// Byte after the last in the page's text.
    pub end: u32,
    /// The text between them.
    pub quote: String,
    /// Where it stands on the page, a box a line: `x0, y0, x1, y1` in points from the lower left corner. None where the
    /// format has no positions.
    pub boxes: Vec<[f32; 4]>,
    /// How much it bears on the question by itself: cosine in meaning, more for the question's words.
    pub score: f32,
}

/// A stretch of a stored page that a passage shows.
#[derive(Debug, Clone)]
pub(super) struct Stretch {
    /// Number of the passage.
    pub n: usize,
    pub document: DocumentId,
    pub file: String,
    pub page: u32,
    /// The page's whole text.
    pub text: String,
    pub words: Vec<Word>,
    /// The part of it that the passage shows.
    pub span: Range<usize>,
}

/// A sentence or row of a stretch.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// Which stretch, in the order of the passages.
    pub stretch: usize,
    /// Bytes in the page's text.
    pub range: Range<usize>,
    pub terms: Vec<String>,
    /// What governs it from elsewhere.
    pub lead: Option<Lead>,
}

/// What the passages say, sentence by sentence, and how much each bears on the question.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    pub stretches: Vec<Stretch>,
    pub lines: Vec<Line>,
    /// How much each line bears on the question; nothing for one that was not compared with it.
    pub scores: Vec<Option<f32>>,
    /// Log-odds that a line answers the question, for those that the model was asked about.
    pub sure: Vec<Option<f32>>,
    pub rarity: Rarity,
    pub signals: Signals,
}

/// What tells whether the passages hold an answer, before a model has read them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Signals {
    /// Cosine of the question and the nearest sentence.
    pub nearest: f32,
    /// The same of the third nearest sentence: several that are near say more than one.
    pub third: f32,
    /// How far the nearest lies above the mean of all sentences.
    pub above_mean: f32,
    /// Share of the question's weight in words that the best sentence holds.
    pub words: f32,
    /// The same of all passages together.
    pub words_anywhere: f32,
    /// Cosine of the question, with what its terms mean, and the nearest passage.
    pub passage: f32,
    /// Whether yes or no is asked for.
    pub yes_no: bool,
    /// Log-odds by the model's hidden state that the passages hold the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_holds: Option<f32>,
    /// Log-odds by the model's hidden state that the surest of the sentences answers the question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub surest: Option<f32>,
    /// Log-odds by the model's hidden state that the answer is yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_yes: Option<f32>,
}

/// Most sentences that are compared with the question by meaning: the passages' first ones.
const MOST_LINES: usize = 160;
/// What holding all of the question's words adds to the cosine. docs/answers.md has what other values give.
const LEXICAL: f32 = 0.6;
/// What being in the best passage adds; in the second one it is half of it, and so on.
const OF_BEST_PASSAGE: f32 = 0.08;
/// What each natural logarithm of its bytes adds: next to a short question, long sentences seem farther than they are.
const LENGTH: f32 = 0.04;
/// Lines that are shown before the model writes.
const SHOWN_LINES: usize = 3;
/// Shorter lines are mostly headings and numbers: they say what follows, but nothing of their own.
const LEAST_BYTES: usize = 25;
/// But a sentence of so many words says something.
const LEAST_WORDS: usize = 3;
/// Longest quote in bytes; a longer sentence is cut to the part that matches best.
pub(super) const QUOTE_BYTES: usize = 600;

impl Library {
    /// The sentences of the passages with how much they bear on the question.
    pub(super) async fn evidence(
        self: &Arc<Self>,
        asked: &str,
        explained: &str,
        passages: &[Passage],
    ) -> Result<Evidence> {
        let shown = passages.to_vec();
        let stretches = self.blocking(move |library| library.stretches(&shown)).await?;
        let lines = lines(&stretches);
        let compared: Vec<usize> = lines
            .iter()
            .enumerate()
            .filter(|(_, line)| says_something(&stretches[line.stretch].text[line.range.clone()]))
            .map(|(at, _)| at)
            .take(MOST_LINES)
            .collect();
        let texts: Vec<String> = compared.iter().map(|at| said(&stretches, &lines[*at])).collect();
        let cosines = self.cosines([asked, explained].map(str::to_owned), texts).await?;
        Ok(weighed([asked, explained], passages, stretches, lines, &compared, &cosines))
    }

    /// How near each text is to the questions; the embedders share the texts out among themselves.
    async fn cosines(&self, questions: [String; 2], texts: Vec<String>) -> Result<Vec<Cosines>> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let embed_questions = move |embedder: &mut Box<dyn Embedder>| {
            let [asked, explained] = questions;
            let vector = embedder.embed_question(&asked)?;
            let of_explained = if explained == asked { vector.clone() } else { embedder.embed_question(&explained)? };
            Ok::<_, EmbedError>([vector, of_explained])
        };
        let questions = Arc::new(self.questions.run(embed_questions).await??);
        let hands = self.questions.threads().min(texts.len());
        let mut dealt = vec![Vec::new(); hands];
        for (at, text) in texts.iter().enumerate() {
            dealt[at % hands].push(text.clone());
        }
        let near = dealt.into_iter().map(|texts| {
            let questions = questions.clone();
            self.questions.run(move |embedder| {
                let near = |text: &String| {
                    let vector = embedder.embed_passage(text)?;
                    let cosine = |to: &[f32]| to.iter().zip(&vector).map(|(a, b)| a * b).sum();
                    let [asked, explained] = &*questions;
                    Ok::<_, EmbedError>(Cosines { asked: cosine(asked), explained: cosine(explained) })
                };
                texts.iter().map(near).collect::<std::result::Result<Vec<_>, _>>()
            })
        });
        let near = try_join_all(near).await?.into_iter().collect::<std::result::Result<Vec<_>, _>>()?;
        Ok((0..texts.len()).map(|at| near[at % hands][at / hands]).collect())
    }

    /// The stored pages that the passages show. Blocks.
    fn stretches(&self, passages: &[Passage]) -> Result<Vec<Stretch>> {
        let mut stretches = Vec::new();
        for passage in passages {
            for span in &passage.spans {
                let Some(page) = self.db.page(passage.document, span.page)? else { continue };
                stretches.push(Stretch {
                    n: passage.n,
                    document: passage.document,
                    file: passage.file.clone(),
                    page: page.number,
                    span: span.start as usize..(span.end as usize).min(page.text.len()),
                    text: page.text,
                    words: page.words,
                });
            }
        }
        Ok(stretches)
    }
}

/// How near a line is in meaning to the question as it was asked, and with what its terms mean.
#[derive(Clone, Copy)]
struct Cosines {
    asked: f32,
    explained: f32,
}

/// The question's words, as far as they weigh anything.
struct Wanted<'a> {
    terms: Vec<String>,
    rarity: &'a Rarity,
    /// The weight of all.
    total: f32,
}

impl<'a> Wanted<'a> {
    fn of(question: &str, rarity: &'a Rarity) -> Self {
        let terms = distinct(sparse::terms(question));
        let total = terms.iter().map(|term| rarity.of_term(term)).sum();
        Self { terms, rarity, total }
    }

    /// The share of their weight that is held.
    fn share(&self, has: impl Fn(&str) -> bool) -> f32 {
        let held: f32 = self.terms.iter().filter(|term| has(term)).map(|term| self.rarity.of_term(term)).sum();
        if self.total > 0.0 { held / self.total } else { 0.0 }
    }
}

/// Scores by the question with what its terms mean, and signals by the question as it was asked.
fn weighed(
    [asked, explained]: [&str; 2],
    passages: &[Passage],
    stretches: Vec<Stretch>,
    lines: Vec<Line>,
    compared: &[usize],
    cosines: &[Cosines],
) -> Evidence {
    let rarity = Rarity::of(&lines);
    let (wanted, meant) = (Wanted::of(asked, &rarity), Wanted::of(explained, &rarity));
    let mut scores = vec![None; lines.len()];
    // Of the sentence that is nearest to the question as it was asked, the share of its words.
    let mut best = (f32::MIN, 0.0);
    for (at, cosines) in compared.iter().zip(cosines) {
        let line = &lines[*at];
        let holds = |term: &str| line.terms.iter().any(|known| known == term);
        let of_line = OF_BEST_PASSAGE / stretches[line.stretch].n as f32 + LENGTH * (line.range.len() as f32).ln();
        let words = wanted.share(holds);
        scores[*at] = Some(cosines.explained + LEXICAL * meant.share(holds) + of_line);
        let as_asked = cosines.asked + LEXICAL * words + of_line;
        if as_asked > best.0 {
            best = (as_asked, words);
        }
    }
    let mut sorted: Vec<f32> = cosines.iter().map(|cosines| cosines.asked).collect();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let anywhere: HashSet<&str> = lines.iter().flat_map(|line| &line.terms).map(String::as_str).collect();
    let mean = if sorted.is_empty() { 0.0 } else { sorted.iter().sum::<f32>() / sorted.len() as f32 };
    let nearest = sorted.first().copied().unwrap_or(0.0);
    let signals = Signals {
        nearest,
        third: sorted.get(2).or(sorted.last()).copied().unwrap_or(0.0),
        above_mean: nearest - mean,
        words: best.1,
        words_anywhere: wanted.share(|term| anywhere.contains(term)),
        passage: passages.iter().filter_map(|passage| passage.similarity).fold(0.0, f32::max),
        yes_no: Form::of(asked) == Form::YesNo,
        ..Signals::default()
    };
    Evidence { sure: vec![None; lines.len()], stretches, lines, scores, rarity, signals }
}

impl Evidence {
    /// Quotes of the best lines, best first, those that the model was asked about before the others: sentences that stand
    /// at several places once.
    pub(super) fn quotes(&self, asked: &str) -> Vec<Quote> {
        self.nearest(asked, SHOWN_LINES).into_iter().flatten().collect()
    }

    /// The same line by line: a line may take two quotes to say what it says.
    pub(super) fn nearest(&self, asked: &str, most: usize) -> Vec<Vec<Quote>> {
        let scores = self.scores.iter().enumerate();
        let mut ranked: Vec<(usize, f32)> = scores.filter_map(|(at, score)| Some((at, (*score)?))).collect();
        let sure = |at: usize| self.sure[at].unwrap_or(f32::NEG_INFINITY);
        ranked.sort_by(|(a, x), (b, y)| sure(*b).total_cmp(&sure(*a)).then(y.total_cmp(x)).then(a.cmp(b)));
        let wanted = distinct(sparse::terms(asked));
        let mut shown: Vec<Vec<Quote>> = Vec::new();
        for (at, score) in ranked {
            if shown.len() == most {
                break;
            }
            let new = self.quotes_of(&self.lines[at], &wanted, score);
            let words = |quotes: &[Quote]| quotes.last().map(|quote| quote.quote.clone());
            if shown.iter().all(|known| words(known) != words(&new)) {
                shown.push(new);
            }
        }
        shown
    }

    /// The text of a line.
    pub(super) fn text(&self, line: &Line) -> &str {
        &self.stretches[line.stretch].text[line.range.clone()]
    }

    /// What a line says, after what governs it.
    pub(super) fn said(&self, line: &Line) -> String {
        said(&self.stretches, line)
    }

    /// A line as a quote with what governs it: in one piece, or in two where too much lies between.
    pub(super) fn quotes_of(&self, line: &Line, terms: &[String], score: f32) -> Vec<Quote> {
        let stretch = &self.stretches[line.stretch];
        let Some(lead) = &line.lead else { return vec![stretch.quote(self.window(line, terms), score)] };
        let both = lead.range.start..line.range.end;
        if lead.stretch == line.stretch && both.len() <= QUOTE_BYTES && !touch(&orders::stretches(&stretch.text), &both)
        {
            return vec![stretch.quote(both, score)];
        }
        let lead = self.stretches[lead.stretch].quote(lead.range.clone(), score);
        vec![lead, stretch.quote(self.window(line, terms), score)]
    }

    /// The line's bytes or, when it is very long, those of the stretch of it that holds most of the terms.
    pub(super) fn window(&self, line: &Line, terms: &[String]) -> Range<usize> {
        let whole = self.text(line);
        let part = window(whole, terms, &self.rarity);
        line.range.start + part.start..line.range.start + part.end
    }
}

impl Stretch {
    /// Those bytes of the page as a quote.
    pub(super) fn quote(&self, range: Range<usize>, score: f32) -> Quote {
        Quote {
            n: self.n,
            document: self.document,
            file: self.file.clone(),
            page: self.page,
            start: range.start as u32,
            end: range.end as u32,
            quote: self.text[range.clone()].to_owned(),
            boxes: boxes(&self.words, &range),
            score,
        }
    }
}

/// Whether a line is worth comparing: it is not short, or it gives a name and its value ("Allergies: latex"), or is a
/// short sentence ("Warfarin 5 mg daily.") and not the end of one.
fn says_something(line: &str) -> bool {
    let line = line.trim();
    let is_sentence = line.starts_with(char::is_uppercase)
        && line.ends_with(['.', '!'])
        && line.split_whitespace().filter(|word| word.chars().any(char::is_alphanumeric)).count() >= LEAST_WORDS;
    let has_value = line.split_once(": ").is_some_and(|(_, value)| !value.trim().is_empty());
    line.len() >= LEAST_BYTES || has_value || is_sentence
}

fn lines(stretches: &[Stretch]) -> Vec<Line> {
    let mut lines: Vec<Line> = stretches.iter().enumerate().flat_map(|(at, stretch)| lines_of(at, stretch)).collect();
    take_leads(stretches, &mut lines);
    lines
}

/// Whether any of the orders has a part in those bytes.
fn touch(orders: &[Range<usize>], range: &Range<usize>) -> bool {
    orders.iter().any(|order| range.start < order.end && order.start < range.end)
}

fn lines_of(at: usize, stretch: &Stretch) -> impl Iterator<Item = Line> {
    let shown = &stretch.text[stretch.span.clone()];
    let offset = stretch.span.start;
    // What gives orders to a model is no evidence, whatever it says.
    let orders = orders::stretches(&stretch.text);
    text::sentences(shown)
        .into_iter()
        .map(move |range| Line {
            stretch: at,
            terms: sparse::terms(&shown[range.clone()]).collect(),
            range: range.start + offset..range.end + offset,
            lead: None,
        })
        .filter(move |line| !line.terms.is_empty() && !touch(&orders, &line.range))
}

/// One box a line of print around the words of those bytes.
fn boxes(words: &[Word], range: &Range<usize>) -> Vec<[f32; 4]> {
    let mut boxes: Vec<[f32; 4]> = Vec::new();
    for word in words.iter().filter(|word| (word.start as usize) < range.end && (word.end as usize) > range.start) {
        let [x0, y0, x1, y1] = word.bbox;
        match boxes.last_mut() {
            // On the same line: their middles lie within each other, and it goes on to the right.
            Some(line) if f32::midpoint(y0, y1) > line[1] && f32::midpoint(y0, y1) < line[3] && x0 >= line[0] => {
                *line = [line[0].min(x0), line[1].min(y0), line[2].max(x1), line[3].max(y1)];
            }
            _ => boxes.push(word.bbox),
        }
    }
    boxes
}

/// How much a term says: those that few sentences of the passages hold say more, and those with digits twice that.
#[derive(Debug, Default)]
pub(super) struct Rarity {
    weights: HashMap<String, f32>,
    unseen: f32,
}

impl Rarity {
    pub(super) fn of(lines: &[Line]) -> Self {
        let mut seen: HashMap<&str, f32> = HashMap::new();
        for line in lines {
            for term in line.terms.iter().collect::<HashSet<_>>() {
                *seen.entry(term).or_default() += 1.0;
            }
        }
        let all = lines.len() as f32;
        let weigh = |n: f32| (1.0 + (all - n + 0.5) / (n + 0.5)).ln();
        let weights = seen.into_iter().map(|(term, n)| (term.to_owned(), weigh(n))).collect();
        Self { weights, unseen: weigh(0.0) }
    }

    pub(super) fn of_term(&self, term: &str) -> f32 {
        let rarity = self.weights.get(term).copied().unwrap_or(self.unseen);
        if has_digit(term) { rarity * 2.0 } else { rarity }
    }
}

pub(super) fn has_digit(term: &str) -> bool {
    term.bytes().any(|byte| byte.is_ascii_digit())
}

pub(super) fn distinct(terms: impl Iterator<Item = String>) -> Vec<String> {
    let mut terms: Vec<String> = terms.collect();
    terms.sort();
    terms.dedup();
    terms
}

/// The bytes of a long sentence that hold most of the weight of the terms, cut at blanks.
fn window(whole: &str, terms: &[String], rarity: &Rarity) -> Range<usize> {
    if whole.len() <= QUOTE_BYTES {
        return 0..whole.len();
    }
    let cut = |start: usize| {
        let end = whole.floor_char_boundary((start + QUOTE_BYTES).min(whole.len()));
        let end = if end == whole.len() { end } else { whole[start..end].rfind(' ').map_or(end, |at| start + at) };
        start..end
    };
    let held = |range: &Range<usize>| {
        let found: HashSet<String> = sparse::terms(&whole[range.clone()]).collect();
        terms.iter().filter(|term| found.contains(*term)).map(|term| rarity.of_term(term)).sum::<f32>()
    };
    std::iter::once(0)
        .chain(whole.match_indices(' ').map(|(at, _)| at + 1))
        .filter(|at| whole.len() - at > QUOTE_BYTES / 2)
        .step_by(8)
        .map(|start| (cut(start), held(&cut(start))))
        .reduce(|best, other| if other.1 > best.1 { other } else { best })
        .map_or(0..whole.len(), |(range, _)| {
            let part = &whole[range.clone()];
            let start = range.start + part.len() - part.trim_start().len();
            start..start + part.trim().len()
        })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A page as the only evidence, with no scores.
    pub(in crate::library) fn page(text: &str) -> Evidence {
        let evidence = pages(&[text]);
        Evidence { scores: vec![None; evidence.lines.len()], ..evidence }
    }

    /// Pages of as many documents, each line as near to the question as any.
    pub(in crate::library) fn pages(texts: &[&str]) -> Evidence {
        let stretch = |(at, text): (usize, &&str)| Stretch {
            n: 3 + at,
            document: DocumentId(uuid::Uuid::from_u128(at as u128)),
            file: "lease.pdf".to_owned(),
            page: 7,
            text: (*text).to_owned(),
            words: Vec::new(),
            span: 0..text.len(),
        };
        of(texts.iter().enumerate().map(stretch).collect())
    }

    /// The pages of one document that a passage goes over.
    pub(in crate::library) fn on_pages(texts: &[&str]) -> Evidence {
        let mut stretches = pages(texts).stretches;
        for (at, stretch) in stretches.iter_mut().enumerate() {
            (stretch.n, stretch.document, stretch.page) = (3, DocumentId(uuid::Uuid::nil()), 7 + at as u32);
        }
        of(stretches)
    }

    fn of(stretches: Vec<Stretch>) -> Evidence {
        let lines = lines(&stretches);
        let rarity = Rarity::of(&lines);
        let (scores, sure) = (vec![Some(0.5); lines.len()], vec![None; lines.len()]);
        Evidence { scores, sure, stretches, lines, rarity, signals: Signals::default() }
    }

    #[test]
    fn the_sentence_that_is_near_and_holds_the_words_comes_first() {
        let evidence = page("The lease ends in May. The rent is due on the first day. Pets are welcome in the house.");
        let compared: Vec<usize> =
            (0..evidence.lines.len()).filter(|at| evidence.lines[*at].range.len() >= LEAST_BYTES).collect();
        let cosines = compared.iter().map(|at| if *at == 1 { 0.5 } else { 0.4 });
        let cosines: Vec<Cosines> = cosines.map(|near| Cosines { asked: near, explained: near }).collect();
        let question = "When is the rent due?";
        let evidence = weighed([question; 2], &[], evidence.stretches, evidence.lines, &compared, &cosines);
        let quotes = evidence.quotes(question);
        assert_eq!(quotes[0].quote, "The rent is due on the first day.");
        let page = &evidence.stretches[0].text;
        assert!(quotes.iter().all(|quote| page[quote.start as usize..quote.end as usize] == quote.quote));
        assert!((evidence.signals.words - 1.0).abs() < 1e-6 && evidence.signals.nearest > 0.49);
    }

    #[test]
    fn a_short_line_is_compared_when_it_says_something() {
        for line in ["Allergies: latex", "Warfarin 5 mg daily.", "Allergic to latex.", "Payment is due in thirty days"]
        {
            assert!(says_something(line), "{line}");
        }
        for line in ["5. Fees", "Page 3 of 7", "to the Tenant.", "Exhibit A.", "Allergies:", "Article 5 ."] {
            assert!(!says_something(line), "{line}");
        }
    }

    #[test]
    fn a_sentence_that_says_what_a_term_means_comes_before_one_that_has_it() {
        let text = "Pets have no minimum commitment. The buyer shall order no less than 500 units.";
        let cosines = [Cosines { asked: 0.4, explained: 0.2 }, Cosines { asked: 0.1, explained: 0.3 }];
        let asked = "Is there a minimum commitment?";
        let first = |explained: &str| {
            let Evidence { stretches, lines, .. } = page(text);
            let weighed = weighed([asked, explained], &[], stretches, lines, &[0, 1], &cosines);
            let Signals { nearest, words, .. } = weighed.signals;
            assert!((nearest - 0.4).abs() < 1e-6 && words > 0.9, "those of the question itself: {nearest}, {words}");
            weighed.quotes(asked).swap_remove(0).quote
        };
        assert!(first(asked).starts_with("Pets"));
        let explained = "One must buy or order no less than a number of units a year. Is there a minimum commitment?";
        assert!(first(explained).starts_with("The buyer"));
    }

    #[test]
    fn words_on_one_line_of_print_share_a_box() {
        let word = |start, end, bbox| Word { start, end, bbox };
        let words = [
            word(0, 3, [10.0, 700.0, 30.0, 712.0]),
            word(4, 8, [34.0, 700.0, 60.0, 712.0]),
            word(9, 12, [10.0, 686.0, 30.0, 698.0]),
            word(13, 20, [34.0, 686.0, 60.0, 698.0]),
        ];
        assert_eq!(boxes(&words, &(0..12)), [[10.0, 700.0, 60.0, 712.0], [10.0, 686.0, 30.0, 698.0]]);
        assert!(boxes(&words, &(3..4)).is_empty());
    }

    #[test]
    fn a_very_long_sentence_is_cut_to_the_part_that_is_asked_for() {
        let long =
            format!("{} the deposit is refunded within thirty days {}", "word ".repeat(200), "more ".repeat(200));
        let evidence = page(&long);
        let part = evidence.window(&evidence.lines[0], &distinct(sparse::terms("deposit refunded thirty days")));
        let part = &long[part];
        assert!(part.len() <= QUOTE_BYTES && part.contains("the deposit is refunded within thirty days"), "{part}");
    }
}
