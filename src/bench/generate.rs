//! How fast a model answers here: prompts and answers at several depths, alone and with several people, start and
//! memory; and the same by llama.cpp from its package, in turns.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::Instant,
};

use serde::{Deserialize, Serialize};

use super::{Noise, llama_cpp::LlamaCpp};
use crate::{
    error::{Error, Result},
    generate::{self, EngineSettings, GenerateOptions, Generator, Message, Role, Shared},
};

/// What is measured.
pub struct Plan {
    /// The GGUF file.
    pub model: PathBuf,
    /// Its SHA-256, if it is known to be right.
    pub sha256: Option<String>,
    /// Lengths of prompts.
    pub prompts: Vec<usize>,
    /// Tokens of each answer.
    pub answer: usize,
    /// How often everything is measured; medians are told.
    pub rounds: usize,
    /// People who ask at the same time; fewer than two measure nothing more.
    pub people: usize,
    /// The folder with llama.cpp's package.
    pub peer: Option<PathBuf>,
}

/// One engine's speed with one length of prompt, medians over all rounds.
#[derive(Debug, Clone, Serialize)]
pub struct Speed {
    /// `premise` or `llama.cpp`.
    pub engine: &'static str,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// People who asked at the same time.
    pub people: usize,
    /// Tokens of the prompts read in a second, until the last person had the first token.
    pub prefill: f64,
    /// Tokens written in a second after the first one, of all people together.
    pub decode: f64,
    /// Seconds until the first token, of the first person and of the last.
    pub first_token_s: (f64, f64),
}

/// All that was measured.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The model file's name.
    pub model: String,
    /// Seconds to open the model: the first time, when its weights may have to be packed, and again.
    pub load_s: (f64, f64),
    /// Seconds that llama.cpp took.
    pub peer_load_s: Option<f64>,
    /// Most megabytes that this process has had in memory; where the system tells.
    pub peak_mb: Option<u64>,
    /// The same of llama.cpp's process.
    pub peer_peak_mb: Option<u64>,
    /// Megabytes of the model file.
    pub file_mb: u64,
    /// Speeds, ours before the peer's.
    pub speeds: Vec<Speed>,
}

/// Measures, and tells `note` what is being done.
pub fn run(plan: &Plan, note: &dyn Fn(&str)) -> Result<Report> {
    let settings = EngineSettings { sha256: plan.sha256.clone(), drafts: Some(false), ..EngineSettings::default() };
    note("opening the model");
    let open = || -> Result<(Shared, f64)> {
        let started = Instant::now();
        Ok((generate::open_shared(&plan.model, &settings)?, started.elapsed().as_secs_f64()))
    };
    let (_, first_s) = open()?;
    let (model, again_s) = open()?;
    let mut peer = plan.peer.as_deref().map(|folder| LlamaCpp::start(folder, &plan.model, plan.people)).transpose()?;

    let mut cases: Vec<(usize, usize)> = plan.prompts.iter().map(|prompt| (*prompt, 1)).collect();
    if plan.people > 1 {
        cases.extend(plan.prompts.iter().map(|prompt| (*prompt, plan.people)));
    }
    let mut speeds = Vec::new();
    for (at, (prompt, people)) in cases.into_iter().enumerate() {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        // As long as our questions come out, for words are not tokens; the peer gets as many.
        let prompt = model.prompt_tokens(&question(&model, prompt, 0))?;
        for round in 0..plan.rounds.max(1) {
            note(&format!("round {}, {people} x {prompt} tokens", round + 1));
            let seed = (at * 100 + round) * 10;
            ours.push(answer_all(&model, prompt, people, plan.answer, seed)?);
            if let Some(peer) = &mut peer {
                theirs.push(peer.answer_all(prompt, people, plan.answer, seed)?);
            }
        }
        speeds.push(speed("premise", prompt, people, plan.answer, &ours));
        if !theirs.is_empty() {
            speeds.push(speed("llama.cpp", prompt, people, plan.answer, &theirs));
        }
    }
    let size = std::fs::metadata(&plan.model).map_or(0, |file| file.len());
    Ok(Report {
        model: plan.model.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        load_s: (first_s, again_s),
        peer_load_s: peer.as_ref().map(|peer| peer.load_s),
        peak_mb: peak_mb("self"),
        peer_peak_mb: peer.as_ref().and_then(|peer| peak_mb(&peer.process_id().to_string())),
        file_mb: size / 1_000_000,
        speeds,
    })
}

/// When one person got the first token and the last, in seconds.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Times {
    pub(super) first_s: f64,
    pub(super) last_s: f64,
}

fn answer_all(model: &Shared, prompt: usize, people: usize, answer: usize, seed: usize) -> Result<Vec<Times>> {
    let questions: Vec<Vec<Message>> = (0..people).map(|person| question(model, prompt, seed + person)).collect();
    let started = Instant::now();
    std::thread::scope(|scope| {
        let asked: Vec<_> = questions
            .iter()
            .map(|messages| {
                let mut model = model.clone();
                scope.spawn(move || {
                    let options =
                        GenerateOptions { max_tokens: answer, min_tokens: answer, ..GenerateOptions::default() };
                    let mut prefilled = None;
                    model.generate(messages, &options, &mut |progress| {
                        if matches!(progress, generate::Progress::Piece(_)) {
                            prefilled.get_or_insert_with(|| started.elapsed().as_secs_f64());
                        }
                        ControlFlow::Continue(())
                    })?;
                    let last_s = started.elapsed().as_secs_f64();
                    Ok(Times { first_s: prefilled.unwrap_or(last_s), last_s })
                })
            })
            .collect();
        asked.into_iter().map(|asked| asked.join().map_err(|_| Error::internal("a reader panicked"))?).collect()
    })
}

/// A question of about `tokens` tokens that begins like no other: what was read of one is of no use for the next.
fn question(model: &dyn Generator, tokens: usize, seed: usize) -> Vec<Message> {
    const WORDS: [&str; 8] = ["rent", "tenant", "lease", "court", "clause", "month", "notice", "party"];
    let mut text = String::new();
    let mut noise = Noise(seed as u64 + 1);
    let mut messages = vec![Message::new(Role::System, ""), Message::new(Role::User, "rent")];
    if model.prompt_tokens(&messages).is_err() {
        // A template without a place for instructions.
        messages.remove(0);
    }
    while model.prompt_tokens(&messages).is_ok_and(|now| now < tokens) {
        for _ in 0..(tokens / 32).max(1) {
            text.push_str(WORDS[noise.below(WORDS.len())]);
            text.push(' ');
        }
        messages[0].content.clone_from(&text);
    }
    messages
}

fn speed(engine: &'static str, prompt_tokens: usize, people: usize, answer: usize, rounds: &[Vec<Times>]) -> Speed {
    let of = |each: &dyn Fn(&[Times]) -> f64| median(rounds.iter().map(|times| each(times)).collect());
    let earliest = |times: &[Times]| times.iter().map(|times| times.first_s).fold(f64::INFINITY, f64::min);
    let latest = |times: &[Times]| times.iter().map(|times| times.first_s).fold(0.0, f64::max);
    let last = |times: &[Times]| times.iter().map(|times| times.last_s).fold(0.0, f64::max);
    // With several people, answers are written while others' prompts are read: then all tokens count over all time.
    let decode = |times: &[Times]| match times {
        [one] => (answer.saturating_sub(1)) as f64 / (one.last_s - one.first_s),
        _ => (answer * times.len()) as f64 / last(times),
    };
    Speed {
        engine,
        prompt_tokens,
        people,
        prefill: of(&|times| (prompt_tokens * times.len()) as f64 / latest(times)),
        decode: of(&decode),
        first_token_s: (of(&earliest), of(&latest)),
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Most megabytes that a process has had in memory; Linux tells.
fn peak_mb(process: &str) -> Option<u64> {
    let status = std::fs::read_to_string(Path::new("/proc").join(process).join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_medians_over_rounds() {
        let round = |first_s, last_s| vec![Times { first_s, last_s }];
        let found = speed("premise", 100, 1, 11, &[round(1.0, 2.0), round(2.0, 7.0), round(4.0, 6.0)]);
        assert_eq!((found.prefill, found.decode, found.first_token_s), (50.0, 5.0, (2.0, 2.0)));
        let two = [vec![Times { first_s: 1.0, last_s: 4.0 }, Times { first_s: 2.0, last_s: 5.0 }]];
        let found = speed("premise", 100, 2, 10, &two);
        assert_eq!((found.prefill, found.decode, found.first_token_s), (100.0, 4.0, (1.0, 2.0)));
    }
}
