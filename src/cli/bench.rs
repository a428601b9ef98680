//! Bench: what this machine does, measured.

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool},
};

use clap::{Args, Subcommand};

use crate::{
    app,
    bench::{
        fidelity,
        generate::{self as generation, Plan, Report, Speed},
        search::{self, SearchArgs},
    },
    config::Settings,
    error::Result,
};

#[derive(Args)]
pub(super) struct BenchArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// How fast a model reads and writes, alone and for several people; with --peer in turns with llama.cpp
    Generate(GenerateArgs),
    /// Compare a model's answers with llama.cpp's, and the perplexity of a text with packed and with plain weights
    Fidelity(FidelityArgs),
    /// Time questions against indexes of several sizes, beside exact search
    Search(SearchArgs),
}

#[derive(Args)]
struct GenerateArgs {
    /// A GGUF file, or a model's name [default: the one of the settings]
    model: Option<String>,
    /// Lengths of the prompts in tokens
    #[arg(long, value_delimiter = ',', default_value = "16,512,2048")]
    prompts: Vec<usize>,
    /// Tokens of each answer
    #[arg(long, default_value_t = 64)]
    answer: usize,
    /// How often everything is measured; the median is shown
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Also measure so many people who ask at once
    #[arg(long, default_value_t = 4)]
    people: usize,
    /// Folder in which `npm install node-llama-cpp @node-llama-cpp/linux-x64` was run: llama.cpp is measured too
    #[arg(long, value_name = "DIR")]
    peer: Option<PathBuf>,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct FidelityArgs {
    /// A GGUF file, or a model's name [default: the one of the settings]
    model: Option<String>,
    /// Plain text that prompts are cut from, and whose perplexity is measured
    #[arg(long, value_name = "FILE")]
    text: PathBuf,
    /// How many prompts to compare
    #[arg(long, default_value_t = 10)]
    prompts: usize,
    /// Tokens of text in each
    #[arg(long, default_value_t = 860)]
    prompt_tokens: usize,
    /// Tokens of each answer
    #[arg(long, default_value_t = 32)]
    answer: usize,
    /// Tokens of text whose perplexity is measured; 0 for none
    #[arg(long, default_value_t = 20_000)]
    scored: usize,
    /// Folder in which `npm install node-llama-cpp @node-llama-cpp/linux-x64` was run; without it no answers are compared
    #[arg(long, value_name = "DIR")]
    peer: Option<PathBuf>,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

impl BenchArgs {
    pub(super) fn wants_json(&self) -> bool {
        match &self.what {
            What::Generate(args) => args.json,
            What::Fidelity(args) => args.json,
            What::Search(args) => args.json,
        }
    }
}

pub(super) async fn run(args: BenchArgs, settings: Settings, stop: Arc<AtomicBool>) -> Result<ExitCode> {
    match args.what {
        What::Generate(args) => super::blocking(move || generate(args, &settings)).await,
        What::Fidelity(args) => super::blocking(move || compare(args, &settings)).await,
        What::Search(args) => search::run(args, settings, stop).await,
    }
}

fn generate(args: GenerateArgs, settings: &Settings) -> Result<ExitCode> {
    let (model, sha256) = app::model_file(&settings.models, args.model.as_deref())?;
    let GenerateArgs { prompts, answer, rounds, people, peer, json, .. } = args;
    let plan = Plan { model, sha256, prompts, answer, rounds, people, peer };
    let report = generation::run(&plan, &|doing| {
        if !json {
            eprintln!("{doing}");
        }
    })?;
    if json {
        return print_json(&report);
    }
    show(&report);
    Ok(ExitCode::SUCCESS)
}

fn compare(args: FidelityArgs, settings: &Settings) -> Result<ExitCode> {
    let (model, sha256) = app::model_file(&settings.models, args.model.as_deref())?;
    let FidelityArgs { text, prompts, prompt_tokens, answer, scored, peer, json, .. } = args;
    let plan = fidelity::Plan { model, sha256, text, prompts, prompt_tokens, answer, scored, peer };
    let report = fidelity::run(&plan, &|doing| {
        if !json {
            eprintln!("{doing}");
        }
    })?;
    if json {
        return print_json(&report);
    }
    println!("{}", report.model);
    if report.strings > 0 {
        println!(
            "{} of {} texts are cut into other tokens than by llama.cpp",
            report.other_tokens.len(),
            report.strings
        );
        for text in report.other_tokens.iter().take(10) {
            println!("  {text:?}");
        }
    }
    if report.prompts > 0 {
        println!(
            "{} of {} greedy answers are llama.cpp's; {} prompts have as many tokens for it",
            report.same_answers, report.prompts, report.same_prompt_tokens
        );
        for characters in &report.differ_after {
            println!("another answer after {characters} characters");
        }
    }
    if report.scored > 0 {
        println!(
            "perplexity of {} tokens: {:.4} with packed weights, {:.4} as they are in the file, {:+.2} %",
            report.scored,
            report.packed_perplexity,
            report.plain_perplexity,
            (report.packed_perplexity / report.plain_perplexity - 1.0) * 100.0
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn print_json(report: &impl serde::Serialize) -> Result<ExitCode> {
    println!("{}", serde_json::to_string(report).map_err(crate::error::Error::internal)?);
    Ok(ExitCode::SUCCESS)
}

fn show(report: &Report) {
    println!("{} ({} MB)", report.model, report.file_mb);
    let megabytes = |mb: Option<u64>| mb.map_or_else(|| "unknown".to_owned(), |mb| format!("{mb} MB"));
    println!("start {:.2} s, again {:.2} s, peak {}", report.load_s.0, report.load_s.1, megabytes(report.peak_mb));
    if let Some(load_s) = report.peer_load_s {
        println!("llama.cpp: start {load_s:.2} s, peak {}", megabytes(report.peer_peak_mb));
    }
    println!("engine     people  prompt  prefill tok/s  decode tok/s  first token s");
    for speed in &report.speeds {
        let Speed { engine, people, prompt_tokens, prefill, decode, first_token_s: (first, last) } = speed;
        println!("{engine:10} {people:6} {prompt_tokens:7} {prefill:14.1} {decode:13.1}  {first:.2} to {last:.2}");
    }
    for pair in report.speeds.chunks_exact(2).filter(|pair| pair[0].engine != pair[1].engine) {
        let (ours, peer) = (&pair[0], &pair[1]);
        println!(
            "{} x {}: prefill {:.2} times llama.cpp's, decode {:.2} times",
            ours.people,
            ours.prompt_tokens,
            ours.prefill / peer.prefill,
            ours.decode / peer.decode
        );
    }
}
