//! The search index built anew, with another embedder if asked, taken back or cleared away.

use std::{process::ExitCode, sync::atomic::AtomicBool};

use clap::Args;

use super::{Form, progress::Bar, show};
use crate::{app, config::Settings, datadir::DataDir, error::Result, models::Precision};

#[derive(Args)]
pub(super) struct ReindexArgs {
    /// The embedder: a name of `premise setup --list`, or the path of a folder [default: the one in use]
    #[arg(long, value_name = "NAME")]
    embedder: Option<String>,
    /// What it computes with: fp32, fp16, int8 or int4 [default: what is in use, where the embedder has it]
    #[arg(long, value_name = "P")]
    precision: Option<Precision>,
    /// Go back to the index that was in use before the last rebuild
    #[arg(long, conflicts_with_all = ["embedder", "precision", "drop_old"])]
    back: bool,
    /// Remove the index that was in use before the last rebuild: it cannot be taken back then
    #[arg(long, conflicts_with_all = ["embedder", "precision"])]
    drop_old: bool,
    #[command(flatten)]
    pub(super) form: Form,
}

pub(super) fn run(args: &ReindexArgs, owned: &DataDir, settings: &Settings, stop: &AtomicBool) -> Result<ExitCode> {
    let json = args.form.json;
    if args.drop_old {
        let removed = app::drop_old_indexes(owned.path(), settings)?;
        show::dropped_indexes(removed, json);
        return Ok(ExitCode::SUCCESS);
    }
    let library = if args.back {
        app::open_library_as_before(owned.path(), settings)?
    } else {
        app::open_library_for_reindex(owned.path(), settings, args.embedder.as_deref(), args.precision)?
    };
    let bar = Bar::new(json);
    let documents = library.reindex(stop, &|progress| bar.note(progress))?;
    bar.finish();
    show::reindexed(documents, library.embedder(), args.back, json);
    Ok(ExitCode::SUCCESS)
}
