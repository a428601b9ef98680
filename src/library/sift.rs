//! Sifting: the model is asked of the sentences that bear most on a question, one by one, whether they answer it. A linear
//! probe of its state there tells better than its words, and far better than the sentences' own words and vectors, which
//! one does, and whether any does (docs/answers.md). It is what a cross-encoder does, with a model that is there anyway.

use std::ops::ControlFlow;

use super::{Excerpt, evidence::Evidence};
use crate::{
    generate::{GenerateError, Generator, Progress},
    prompt::Prompts,
    store::DocumentId,
};

/// Sentences that are sifted. docs/answers.md has what other numbers give.
const MOST_SIFTED: usize = 6;

/// A sentence with the short lines that go with it, and the state in which the model is asked whether it answers.
#[derive(Debug, Clone)]
pub struct Sifted {
    /// Which of the excerpts it is.
    pub excerpt: usize,
    /// Which line of the evidence.
    pub(crate) line: usize,
    /// The model's hidden state.
    pub state: Vec<f32>,
}

impl Evidence {
    /// Takes into account how sure the model is of each line that it was asked about: their log-odds.
    pub(super) fn take_sifted(&mut self, sure: &[(usize, f32)]) {
        for (line, log_odds) in sure {
            if let Some(known) = self.sure.get_mut(*line) {
                *known = Some(*log_odds);
            }
        }
    }
}

/// What the model is given of what was found.
pub(super) struct Reading {
    /// The question without the names of documents.
    pub asked: String,
    /// The documents that it names: only they are asked about, if anything of them was found.
    pub about: Vec<DocumentId>,
    /// All that the passages say.
    pub excerpts: Vec<Excerpt>,
}

/// Asks the model of each of the excerpts that bear most on the question by their own words and vectors whether it
/// answers. Nothing of a model that does not tell its state, and where `on_progress` breaks off.
pub(super) fn sift(
    prompts: &Prompts,
    model: &mut dyn Generator,
    Reading { asked, about, excerpts }: &Reading,
    on_progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
) -> Result<Option<Vec<Sifted>>, GenerateError> {
    let is_about = |excerpt: &Excerpt| about.contains(&excerpt.document);
    let all = !excerpts.iter().any(is_about);
    let meant = excerpts.iter().enumerate().filter(|(_, excerpt)| all || is_about(excerpt));
    let compared = meant.filter_map(|(at, excerpt)| Some((at, excerpt.score?)));
    let mut nearest: Vec<(usize, f32)> = compared.collect();
    nearest.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let order: Vec<usize> = nearest.into_iter().take(MOST_SIFTED).map(|(at, _)| at).collect();
    let conversations: Vec<_> = order.iter().map(|at| prompts.sift(asked, &excerpts[*at])).collect();
    let Some(states) = model.states(&conversations, on_progress)? else { return Ok(None) };
    let sifted = |(excerpt, state): (usize, Vec<f32>)| Sifted { excerpt, line: excerpts[excerpt].line, state };
    Ok(Some(order.into_iter().zip(states).map(sifted).collect()))
}

#[cfg(test)]
mod tests {
    use crate::library::evidence::tests::page;

    #[test]
    fn a_line_that_the_model_is_sure_of_comes_first() {
        let mut evidence =
            page("The rent is due on the first day. Pets are welcome in the house. The garden is shared.");
        for (at, score) in evidence.scores.iter_mut().enumerate() {
            *score = Some(0.5 - at as f32 / 10.0);
        }
        let quotes = |evidence: &super::Evidence| -> Vec<String> {
            evidence.quotes("What?").into_iter().map(|quote| quote.quote).collect()
        };
        let [rent, pets, garden] =
            ["The rent is due on the first day.", "Pets are welcome in the house.", "The garden is shared."];
        assert_eq!(quotes(&evidence), [rent, pets, garden]);
        evidence.take_sifted(&[(1, -0.2), (0, -3.0), (99, 9.0)]);
        assert_eq!(quotes(&evidence), [pets, rent, garden], "one that was not asked about comes last");
    }
}
