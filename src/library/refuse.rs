//! When to say that the files do not hold an answer: a logistic regression over what is known before the model writes,
//! fitted on questions with known answers (tools/fit-refusal.py) for an embedder and a model. docs/answers.md has how
//! well it does.

use std::{collections::BTreeMap, sync::LazyLock};

use serde::{Deserialize, Serialize};

use super::evidence::Signals;
use crate::{
    generate::{Alternative, GenerateError, Generator},
    prompt::Fitted,
};

/// Whether the files hold the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// They do.
    Answered,
    /// They do in part, or it is not sure that they do.
    Partly,
    /// They do not; what is shown is only what comes closest.
    NotInFiles,
}

/// A fitted decision.
#[derive(Debug, Deserialize)]
pub(super) struct Refusal {
    embedder: String,
    /// The catalogue's name of the model; nothing for a decision without one.
    generator: Option<String>,
    intercept: f32,
    /// By name of the signal.
    weights: BTreeMap<String, f32>,
    /// Below this probability of an answer the question is refused.
    refuse_below: f32,
    /// Below this one it is answered as far as it goes.
    partly_below: f32,
}

static FITTED: LazyLock<Vec<Refusal>> =
    LazyLock::new(|| serde_json::from_str(include_str!("refusal.json")).expect("a test reads the file"));

/// Nothing was fitted for these: every answer with a quote is shown.
static OPEN: Refusal = Refusal {
    embedder: String::new(),
    generator: None,
    intercept: 0.0,
    weights: BTreeMap::new(),
    refuse_below: 0.0,
    partly_below: 0.0,
};

/// The decision for that embedder and model; where none was fitted for the model, that of the embedder alone.
pub(super) fn fitted(embedder: &str, generator: &str) -> &'static Refusal {
    let of =
        |wanted: Option<&str>| FITTED.iter().find(|one| one.embedder == embedder && one.generator.as_deref() == wanted);
    of(Some(generator)).or_else(|| of(None)).unwrap_or(&OPEN)
}

impl Refusal {
    /// Whether there is a decision for the embedder and model in use.
    pub(super) fn is_fitted(&self) -> bool {
        !self.weights.is_empty()
    }

    /// How likely it is that the passages hold an answer.
    pub(super) fn probability(&self, signals: &Signals) -> f32 {
        let sum: f32 =
            features(signals).iter().filter_map(|(name, value)| Some(self.weights.get(*name)? * value)).sum();
        1.0 / (1.0 + (-(self.intercept + sum)).exp())
    }

    pub(super) fn grade(&self, signals: &Signals) -> Grade {
        let probability = self.probability(signals);
        if probability < self.refuse_below {
            Grade::NotInFiles
        } else if probability < self.partly_below {
            Grade::Partly
        } else {
            Grade::Answered
        }
    }
}

/// The signals as numbers, by the names that the fitted weights have.
fn features(signals: &Signals) -> [(&'static str, f32); 9] {
    let odds = |p: Option<f32>| p.map_or(0.0, |p| (p.clamp(1e-4, 1.0 - 1e-4) / (1.0 - p.clamp(1e-4, 1.0 - 1e-4))).ln());
    [
        ("nearest", signals.nearest),
        ("third", signals.third),
        ("above_mean", signals.above_mean),
        ("words", signals.words),
        ("words_anywhere", signals.words_anywhere),
        ("passage", signals.passage),
        ("yes_no", f32::from(u8::from(signals.yes_no))),
        ("model_holds", odds(signals.model_holds)),
        ("model_yes", odds(signals.model_yes)),
    ]
}

/// Beginnings of an answer that are looked at for a yes or a no.
const BEGINNINGS: usize = 20;

/// Has the model say whether the passages hold an answer and, where yes or no is asked for, which.
pub(super) fn ask_model(
    fitted: &Fitted,
    model: &mut dyn Generator,
    signals: &mut Signals,
) -> Result<(), GenerateError> {
    signals.model_holds = yes_of(&model.first_tokens(&fitted.check, BEGINNINGS)?);
    if signals.yes_no {
        signals.model_yes = yes_of(&model.first_tokens(&fitted.answer, BEGINNINGS)?);
    }
    Ok(())
}

/// The share of the beginnings with yes in those with yes or no; nothing when there are none.
fn yes_of(beginnings: &[Alternative]) -> Option<f32> {
    let of = |wanted: &str| -> f32 {
        let is = |text: &str| text.trim().eq_ignore_ascii_case(wanted);
        beginnings.iter().filter(|one| is(&one.text)).map(|one| one.probability).sum()
    };
    let (yes, no) = (of("yes"), of("no"));
    (yes + no > 0.0).then(|| yes / (yes + no))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fitted_decisions_are_read_and_name_signals_that_exist() {
        let known = features(&Signals::default()).map(|(name, _)| name);
        for one in FITTED.iter() {
            assert!(one.weights.keys().all(|name| known.contains(&name.as_str())), "{one:?}");
            assert!(one.refuse_below <= one.partly_below && one.partly_below <= 1.0, "{one:?}");
        }
        assert_eq!(fitted("another embedder", "another model").grade(&Signals::default()), Grade::Answered);
    }

    #[test]
    fn what_is_unlikely_is_refused_and_what_is_doubtful_answered_in_part() {
        let refusal = Refusal {
            embedder: String::new(),
            generator: None,
            intercept: -2.0,
            weights: BTreeMap::from([("nearest".to_owned(), 4.0)]),
            refuse_below: 0.3,
            partly_below: 0.6,
        };
        let grade = |nearest| refusal.grade(&Signals { nearest, ..Signals::default() });
        assert_eq!([grade(0.1), grade(0.5), grade(0.9)], [Grade::NotInFiles, Grade::Partly, Grade::Answered]);
    }

    #[test]
    fn a_yes_is_weighed_against_a_no() {
        let one = |text: &str, probability| Alternative { text: text.to_owned(), probability };
        assert_eq!(yes_of(&[one("Yes", 0.3), one(" yes", 0.3), one("No", 0.2), one("The", 0.2)]), Some(0.75));
        assert_eq!(yes_of(&[one("The", 0.9)]), None);
    }
}
