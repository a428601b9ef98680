//! `premise bench`: how fast this machine is, with a limit or a peer measured in the same run.

mod search;

use std::{process::ExitCode, sync::Arc, sync::atomic::AtomicBool};

use clap::Subcommand;

use crate::{config::Settings, error::Result};

/// What to measure.
#[derive(Subcommand)]
pub enum Bench {
    /// Time questions against indexes of several sizes, beside exact search
    Search(search::SearchArgs),
}

impl Bench {
    /// Whether the figures are for a program.
    pub fn wants_json(&self) -> bool {
        match self {
            Self::Search(args) => args.json,
        }
    }
}

/// Measures and prints.
pub async fn run(bench: Bench, settings: Settings, stop: Arc<AtomicBool>) -> Result<ExitCode> {
    match bench {
        Bench::Search(args) => search::run(args, settings, stop).await,
    }
}
