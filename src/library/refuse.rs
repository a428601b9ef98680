//! When to say that the files do not hold an answer, and whether an answer begins with yes or no: logistic regressions
//! over what is known before the model writes, its hidden state among it. They are fitted on questions with known
//! answers (tools/fit-refusal.py) for an embedder and a model. docs/answers.md has how well they do.

use std::{collections::BTreeMap, ops::ControlFlow, path::Path};

use serde::{Deserialize, Serialize};

use super::{
    evidence::Signals,
    sift::{Reading, Sifted, sift},
};
use crate::{
    error::{Error, Kind, Result},
    generate::{GenerateError, Generator, Progress},
    prompt::{Fitted, Prompts},
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
#[derive(Debug, Clone, Default, Deserialize)]
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
    /// Whether the passages hold an answer, by the state in which the model is asked so.
    holds: Option<Probe>,
    /// Whether a sentence does, likewise.
    sentence: Option<Probe>,
    /// Whether the answer is yes, by the state in which it would begin it.
    yes: Option<Probe>,
    /// Log-odds of yes or of no from which the answer says so.
    #[serde(default)]
    sure_above: f32,
}

/// A linear probe (Alain, Bengio 2016): the log-odds of something by a hidden state of the model.
#[derive(Debug, Clone, Default, Deserialize)]
struct Probe {
    intercept: f32,
    weights: Vec<f32>,
}

impl Probe {
    /// Nothing for the state of another model.
    fn log_odds(&self, state: &[f32]) -> Option<f32> {
        let sum: f32 = self.weights.iter().zip(state).map(|(weight, value)| weight * value).sum();
        (self.weights.len() == state.len()).then_some(self.intercept + sum)
    }
}

/// A question that a sentence answers in its own words is not refused, whatever the probe says. All five such questions
/// of the public sets can be answered.
const SAYS_IT_WORDS: f32 = 0.7;
const SAYS_IT_COSINE: f32 = 0.5;

/// The decisions that come with the program.
const BUILT_IN: &str = include_str!("refusal.json");

impl Refusal {
    /// The decision for that embedder and model; where none was fitted for the model, that of the embedder alone; where
    /// there is none either, one that refuses nothing. `file` takes the place of those that come with the program.
    pub(super) fn load(file: Option<&Path>, embedder: &str, generator: &str) -> Result<Self> {
        let text = match file {
            Some(file) => std::fs::read_to_string(file).map_err(|error| bad_file(file, &error))?,
            None => BUILT_IN.to_owned(),
        };
        let shown = file.unwrap_or(Path::new("refusal.json"));
        let known: Vec<Self> = serde_json::from_str(&text).map_err(|error| bad_file(shown, &error))?;
        let lacks = |one: &&Self| one.generator.is_some() && (one.holds.is_none() || one.sentence.is_none());
        if let Some(Self { generator: Some(name), .. }) = known.iter().find(lacks) {
            return Err(bad_file(shown, &format!("what was fitted for {name} lacks the probe `holds` or `sentence`")));
        }
        let of = |wanted: Option<&str>| {
            known.iter().find(|one| one.embedder == embedder && one.generator.as_deref() == wanted).cloned()
        };
        Ok(of(Some(generator)).or_else(|| of(None)).unwrap_or_default())
    }

    /// Whether anything of it comes from the model, which costs reading the prompt before it is known.
    pub(super) fn asks_model(&self) -> bool {
        self.generator.is_some()
    }

    /// How likely it is that the passages hold an answer.
    pub(super) fn probability(&self, signals: &Signals) -> f32 {
        let sum: f32 =
            features(signals).iter().filter_map(|(name, value)| Some(self.weights.get(*name)? * value)).sum();
        1.0 / (1.0 + (-(self.intercept + sum)).exp())
    }

    pub(super) fn grade(&self, signals: &Signals) -> Grade {
        if self.holds.is_some() && signals.state_holds.is_none() {
            // A model that tells nothing of itself refuses in words.
            return Grade::Answered;
        }
        let probability = self.probability(signals);
        let says_it = signals.words >= SAYS_IT_WORDS && signals.nearest >= SAYS_IT_COSINE;
        if probability < self.refuse_below && !says_it {
            Grade::NotInFiles
        } else if probability < self.partly_below {
            Grade::Partly
        } else {
            Grade::Answered
        }
    }

    /// Has the model say of the sentences that bear most on the question which of them answer it, whether all together
    /// hold an answer and, where yes or no is asked for, which. The passages are read once for the latter two and the
    /// answer. `on_progress` may break off; what was not heard stays unknown.
    pub(super) fn ask_model(
        &self,
        prompts: &Prompts,
        model: &mut dyn Generator,
        reading: &Reading,
        fitted: &Fitted,
        signals: &mut Signals,
        on_progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> std::result::Result<Heard, GenerateError> {
        let log_odds = |probe: &Option<Probe>, state: &[f32]| probe.as_ref().and_then(|probe| probe.log_odds(state));
        // First, so that the passages are still in memory for the answer.
        let Some(sifted) = sift(prompts, model, reading, on_progress)? else { return Ok(Heard::default()) };
        // No answer is written where a probe tells yes from no: nothing goes on from what is read for it.
        let [holds, yes] = if signals.yes_no && self.yes.is_some() {
            let states = model.states(&[fitted.check.clone(), fitted.answer.clone()], on_progress)?;
            states.and_then(|states| states.try_into().ok()).unwrap_or_default()
        } else {
            let holds = model.state(&fitted.check, on_progress)?.unwrap_or_default();
            // Known to those who fit a probe of it.
            let yes = if signals.yes_no { model.state(&fitted.answer, on_progress)? } else { None };
            [holds, yes.unwrap_or_default()]
        };
        signals.state_holds = log_odds(&self.holds, &holds);
        signals.state_yes = log_odds(&self.yes, &yes);
        let sure = sifted.iter().filter_map(|one| Some((one.line, log_odds(&self.sentence, &one.state)?)));
        let sure: Vec<(usize, f32)> = sure.collect();
        signals.surest = sure.iter().map(|(_, log_odds)| *log_odds).reduce(f32::max);
        Ok(Heard { holds, yes, sifted, sure })
    }

    /// Whether the answer to a yes/no question is yes; nothing where the model must say so itself.
    pub(super) fn verdict(&self, signals: &Signals) -> Option<Verdict> {
        let log_odds = signals.state_yes?;
        Some(match log_odds >= 0.0 {
            _ if log_odds.abs() < self.sure_above => Verdict::Unsure,
            true => Verdict::Yes,
            false => Verdict::No,
        })
    }
}

/// What the model tells without words.
#[derive(Debug, Clone, Default)]
pub struct Heard {
    /// Its hidden state where it is asked whether the passages hold an answer.
    pub holds: Vec<f32>,
    /// That where it would begin the answer to a yes/no question.
    pub yes: Vec<f32>,
    /// The sentences that it was asked about.
    pub sifted: Vec<Sifted>,
    /// Log-odds that lines of the evidence answer the question.
    pub(crate) sure: Vec<(usize, f32)>,
}

/// Whether an answer is yes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is.
    Yes,
    /// It is no.
    No,
    /// It is one of both, and not sure enough which.
    Unsure,
}

impl Verdict {
    /// What the answer begins with.
    pub(super) fn opening(self) -> &'static str {
        match self {
            Self::Yes => "Yes.",
            Self::No => "No.",
            Self::Unsure => "",
        }
    }
}

/// Log-odds where there was no sentence to ask about, as tools/fit-refusal.py has it.
const NOTHING_FOUND: f32 = -8.0;

/// The signals as numbers, by the names that the fitted weights have.
fn features(signals: &Signals) -> [(&'static str, f32); 9] {
    [
        ("nearest", signals.nearest),
        ("third", signals.third),
        ("above_mean", signals.above_mean),
        ("words", signals.words),
        ("words_anywhere", signals.words_anywhere),
        ("passage", signals.passage),
        ("yes_no", f32::from(u8::from(signals.yes_no))),
        ("state_holds", signals.state_holds.unwrap_or_default()),
        ("surest", signals.surest.unwrap_or(NOTHING_FOUND)),
    ]
}

fn bad_file(file: &Path, reason: &dyn std::fmt::Display) -> Error {
    Error::new(
        Kind::BadInput,
        "bad_refusals",
        format!("cannot read the fitted refusals in {}: {reason}", file.display()),
        "`[answer] refusals` names a file that tools/fit-refusal.py has written; without it those of the program are used",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fitted_decisions_are_read_and_name_signals_that_exist() {
        let known = features(&Signals::default()).map(|(name, _)| name);
        let built_in: Vec<Refusal> = serde_json::from_str(BUILT_IN).expect("it is well formed");
        for one in &built_in {
            let name = (&one.embedder, &one.generator);
            assert!(one.weights.keys().all(|name| known.contains(&name.as_str())), "{name:?}");
            assert!(one.refuse_below <= one.partly_below && one.partly_below <= 1.0, "{name:?}");
            let asks = one.weights.contains_key("state_holds");
            let has = [one.holds.is_some(), one.sentence.is_some(), one.yes.is_some()];
            assert_eq!((asks, has), (one.generator.is_some(), [asks; 3]), "{name:?}");
            assert!(one.sure_above >= 0.0, "{name:?}");
        }
        let unknown = Refusal::load(None, "another embedder", "another model").expect("there is always one");
        assert_eq!(unknown.grade(&Signals::default()), Grade::Answered);
        assert!(!unknown.asks_model());
    }

    #[test]
    fn a_file_takes_the_place_of_the_built_in_decisions() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let load = || Refusal::load(Some(file.path()), "e", "g");
        std::fs::write(
            file.path(),
            r#"[{"embedder": "e", "generator": "g", "intercept": 0.5, "weights": {"state_holds": 1},
                 "refuse_below": 0.5, "partly_below": 0.6, "holds": {"intercept": 1, "weights": [1, -2]},
                 "sentence": {"intercept": 0, "weights": [0, 0]}}]"#,
        )
        .expect("is written");
        let refusal = load().expect("is read");
        let probe = refusal.holds.as_ref().expect("is there");
        assert_eq!((probe.log_odds(&[3.0, 1.0]), probe.log_odds(&[3.0])), (Some(2.0), None));
        let grade = |state| refusal.grade(&Signals { state_holds: Some(state), ..Signals::default() });
        assert_eq!([grade(-1.0), grade(-0.4), grade(2.0)], [Grade::NotInFiles, Grade::Partly, Grade::Answered]);
        assert_eq!(refusal.grade(&Signals::default()), Grade::Answered, "nothing was heard");
        std::fs::write(file.path(), r#"[{"embedder": "e", "generator": "g", "intercept": 0, "weights": {}, "refuse_below": 0, "partly_below": 0}]"#)
            .expect("is written");
        assert!(load().expect_err("an earlier program wrote it").to_string().contains("lacks the probe"));
        std::fs::write(file.path(), "[{").expect("is written");
        assert_eq!(load().expect_err("it is cut off").code, "bad_refusals");
    }

    #[test]
    fn what_is_unlikely_is_refused_and_what_is_doubtful_answered_in_part() {
        let refusal = Refusal {
            intercept: -2.0,
            weights: BTreeMap::from([("nearest".to_owned(), 4.0)]),
            refuse_below: 0.3,
            partly_below: 0.6,
            ..Refusal::default()
        };
        let grade = |nearest| refusal.grade(&Signals { nearest, ..Signals::default() });
        assert_eq!([grade(0.1), grade(0.5), grade(0.9)], [Grade::NotInFiles, Grade::Partly, Grade::Answered]);
    }

    #[test]
    fn a_question_in_the_words_of_a_sentence_is_not_refused() {
        let refusal = Refusal { intercept: -2.0, refuse_below: 0.5, partly_below: 0.6, ..Refusal::default() };
        let grade = |words, nearest| refusal.grade(&Signals { nearest, words, ..Signals::default() });
        assert_eq!(
            [grade(0.9, 0.6), grade(0.9, 0.4), grade(0.5, 0.6)].map(|it| it == Grade::NotInFiles),
            [false, true, true]
        );
    }

    #[test]
    fn the_likelier_verdict_begins_the_answer_if_it_is_sure_enough() {
        let refusal = Refusal { sure_above: 0.5, ..Refusal::default() };
        let check = |state_yes, expected| {
            let verdict = refusal.verdict(&Signals { state_yes, ..Signals::default() });
            assert_eq!(verdict, expected, "{state_yes:?}");
        };
        check(Some(0.6), Some(Verdict::Yes));
        check(Some(-0.6), Some(Verdict::No));
        check(Some(0.4), Some(Verdict::Unsure));
        check(Some(-0.4), Some(Verdict::Unsure));
        check(None, None);
    }
}
