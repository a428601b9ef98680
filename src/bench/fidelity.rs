//! Whether our engine computes what the model file says: the same greedy answers as llama.cpp's on real prompts, and the
//! perplexity of real text with packed weights beside that with the weights as they are in the file.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use serde::Serialize;
use unicode_normalization::UnicodeNormalization as _;

use super::{Noise, llama_cpp::LlamaCpp};
use crate::{
    error::{Error, Result},
    generate::{self, EngineSettings, GenerateOptions, Generator, Message, Role},
};

/// What is compared.
pub struct Plan {
    /// The GGUF file.
    pub model: PathBuf,
    /// Its SHA-256, if it is known to be right.
    pub sha256: Option<String>,
    /// Plain text that prompts are cut from, and whose perplexity is measured.
    pub text: PathBuf,
    /// How many prompts.
    pub prompts: usize,
    /// Tokens of each prompt's text.
    pub prompt_tokens: usize,
    /// Tokens of each answer.
    pub answer: usize,
    /// Tokens of text whose perplexity is measured; none when 0.
    pub scored: usize,
    /// The folder with llama.cpp's package.
    pub peer: Option<PathBuf>,
}

/// What was found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The model file's name.
    pub model: String,
    /// Texts that both engines cut into tokens: lines of the text, and made-up ones of many scripts and signs.
    pub strings: usize,
    /// Those that are cut otherwise; the first few.
    pub other_tokens: Vec<String>,
    /// Prompts that both engines answered.
    pub prompts: usize,
    /// Those with as many tokens for llama.cpp as for us.
    pub same_prompt_tokens: usize,
    /// Those with the same answer.
    pub same_answers: usize,
    /// For each other one, how many characters of the answer are the same.
    pub differ_after: Vec<usize>,
    /// Tokens of text that were scored.
    pub scored: usize,
    /// Perplexity with packed weights.
    pub packed_perplexity: f64,
    /// Perplexity with the weights as they are in the file.
    pub plain_perplexity: f64,
}

/// Tokens that are scored at once.
const WINDOW: usize = 2000;

/// Compares, and tells `note` what is being done.
pub fn run(plan: &Plan, note: &dyn Fn(&str)) -> Result<Report> {
    let text = std::fs::read_to_string(&plan.text)
        .map_err(|error| Error::io(format_args!("read {}", plan.text.display()), &error))?;
    // The publishers of some models compose characters before they cut a text into tokens. So do we; llama.cpp does not.
    let text: String = text.nfc().collect();
    let settings =
        |packed| EngineSettings { sha256: plan.sha256.clone(), packed: Some(packed), ..EngineSettings::default() };
    note("opening the model");
    let mut model = generate::open(&plan.model, &settings(true))?;
    let mut report = Report {
        model: plan.model.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        strings: 0,
        other_tokens: Vec::new(),
        prompts: 0,
        same_prompt_tokens: 0,
        same_answers: 0,
        differ_after: Vec::new(),
        scored: 0,
        packed_perplexity: f64::NAN,
        plain_perplexity: f64::NAN,
    };
    if let Some(peer) = &plan.peer {
        compare(&mut *model, plan, peer, &text, &mut report, note)?;
    }
    if plan.scored > 0 {
        let windows: Vec<String> =
            pieces(&*model, &text, WINDOW).take(plan.scored.div_ceil(WINDOW)).map(str::to_owned).collect();
        (report.packed_perplexity, report.scored) = perplexity(&mut *model, &windows, "packed", note)?;
        drop(model);
        note("opening the model as it is in the file");
        let mut model = generate::open(&plan.model, &settings(false))?;
        (report.plain_perplexity, _) = perplexity(&mut *model, &windows, "as it is", note)?;
    }
    Ok(report)
}

fn compare(
    model: &mut dyn Generator,
    plan: &Plan,
    peer: &Path,
    text: &str,
    report: &mut Report,
    note: &dyn Fn(&str),
) -> Result<()> {
    let mut peer = LlamaCpp::start(peer, &plan.model, 1)?;
    note("cutting texts into tokens");
    let strings: Vec<String> =
        text.lines().filter(|line| !line.is_empty()).take(2000).map(str::to_owned).chain(varied(2000)).collect();
    report.strings = strings.len();
    for strings in strings.chunks(100) {
        let cut = peer.tokenize(strings)?;
        for (string, theirs) in strings.iter().zip(cut) {
            if model.tokens(string)? != theirs {
                report.other_tokens.push(string.clone());
            }
        }
    }
    let pieces: Vec<String> = pieces(model, text, plan.prompt_tokens).take(plan.prompts).map(str::to_owned).collect();
    for (at, piece) in pieces.iter().enumerate() {
        note(&format!("prompt {} of {}", at + 1, pieces.len()));
        let question = format!("{piece}\n\nWhat does this part of the document say? Answer in two sentences.");
        let messages = [Message::new(Role::User, &question)];
        let options = GenerateOptions { max_tokens: plan.answer, ..GenerateOptions::default() };
        let ours = model.generate(&messages, &options, &mut |_| ControlFlow::Continue(()))?;
        let theirs = peer.answer_greedily(&model.render(&messages)?, plan.answer)?;
        report.prompts += 1;
        report.same_prompt_tokens += usize::from(ours.prompt_tokens == theirs.prompt_tokens);
        if ours.text.trim() == theirs.text.trim() {
            report.same_answers += 1;
        } else {
            let same = ours.text.chars().zip(theirs.text.chars()).take_while(|(a, b)| a == b).count();
            report.differ_after.push(same);
        }
    }
    Ok(())
}

fn perplexity(model: &mut dyn Generator, windows: &[String], name: &str, note: &dyn Fn(&str)) -> Result<(f64, usize)> {
    let (mut sum, mut tokens) = (0.0, 0);
    for (at, window) in windows.iter().enumerate() {
        note(&format!("text {} of {}, {name}", at + 1, windows.len()));
        let scored = model.score_text(window)?;
        sum += f64::from(scored.mean_log_probability) * scored.tokens as f64;
        tokens += scored.tokens;
    }
    Ok(((-sum / tokens.max(1) as f64).exp(), tokens))
}

/// Pieces of whole lines that have about so many tokens each.
fn pieces<'a>(model: &dyn Generator, text: &'a str, tokens: usize) -> impl Iterator<Item = &'a str> {
    let (mut ends, mut held) = (vec![0], 0);
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        at += line.len();
        held += model.count_tokens(line);
        if held >= tokens {
            ends.push(at);
            held = 0;
        }
    }
    let pairs: Vec<(usize, usize)> = ends.windows(2).map(|pair| (pair[0], pair[1])).collect();
    pairs.into_iter().map(|(from, to)| &text[from..to])
}

/// Made-up texts of words, numbers, signs and white space in many scripts.
fn varied(count: usize) -> impl Iterator<Item = String> {
    const PARTS: [&str; 48] = [
        "The",
        " lease",
        "LESSEE",
        " don't",
        "We'LL",
        "’s",
        "\u{201c}term\u{201d}",
        " §",
        " 12",
        "3456789",
        "1,000.50",
        "$",
        " €",
        "%",
        "(a)",
        "[ii]",
        "{}",
        "<b>",
        "<|x|>",
        "http://a.b/c?d=1",
        "@",
        "#",
        "--",
        "…",
        "\u{a0}",
        " ",
        "  ",
        "    ",
        "\t",
        "\n",
        "\n\n",
        "\r\n",
        " \n",
        "ÄÖÜ",
        "straße",
        "naïve",
        "q\u{301}",
        "Ω≈ç",
        "Договор",
        " аренды",
        "契約",
        "東京都",
        "계약",
        "عقد",
        "שלום",
        "अनुबंध",
        "🙂",
        "👩‍⚖️",
    ];
    let mut noise = Noise(1);
    (0..count).map(move |_| (0..=noise.below(8)).map(|_| PARTS[noise.below(PARTS.len())]).collect())
}
