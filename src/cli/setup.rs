//! Set-up: fetch what the settings ask for and check it. The only verb that may open a connection to elsewhere.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
};

use clap::Args;

use super::progress::Bar;
use crate::{
    app,
    config::Settings,
    error::{self, Error, Result},
    models::{self, Check, Entry, Kind, Origins, Precision},
};

#[derive(Args)]
pub(super) struct SetupArgs {
    /// Fetch this model too: a name from `premise setup --list`
    #[arg(long, value_name = "NAME")]
    model: Vec<String>,
    /// What such an embedder computes with: fp32, fp16, int8 or int4 [default: the settings', where it has that]
    #[arg(long, value_name = "P", requires = "model")]
    precision: Option<Precision>,
    /// Take the file of the one --model from here, or its files from this folder, and fetch nothing
    #[arg(long, value_name = "FILE", requires = "model")]
    from: Option<PathBuf>,
    /// Read every model file again and compare its hash, not only its size and date
    #[arg(long)]
    full: bool,
    /// Show the models that are known, and fetch nothing
    #[arg(long)]
    list: bool,
    /// Print JSON instead of text
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn run(args: &SetupArgs, settings: &Settings, stop: &AtomicBool) -> Result<ExitCode> {
    if args.list {
        return Ok(list(args.json, settings));
    }
    let mut entries = needed(settings)?;
    if let Some(from) = &args.from {
        return bring_in(from, &entries, args, settings, stop);
    }
    for name in &args.model {
        let entry = named(name, args.precision, settings)?;
        if !entries.contains(&entry) {
            entries.push(entry);
        }
    }
    for entry in &entries {
        install(entry, None, settings, args.json, stop)?;
        if args.full {
            models::verify(&settings.models.folder, entry, Check::Full)?;
        }
    }
    if args.json {
        let names: Vec<_> = entries.iter().map(|entry| &entry.name).collect();
        println!("{}", serde_json::json!({ "folder": settings.models.folder, "models": names }));
    } else {
        println!("All models are there and verified, in {}", settings.models.folder.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Takes one model from the user, then tells what else the settings need. Nothing is fetched: who brings a file may have
/// no network.
fn bring_in(
    from: &Path,
    needed: &[&Entry],
    args: &SetupArgs,
    settings: &Settings,
    stop: &AtomicBool,
) -> Result<ExitCode> {
    let [name] = args.model.as_slice() else {
        return Err(Error::new(
            error::Kind::BadInput,
            "several_models",
            "--from brings in one model",
            "Name one --model, and run the command again for the next",
        ));
    };
    let brought = named(name, args.precision, settings)?;
    install(brought, Some(from), settings, args.json, stop)?;
    let folder = &settings.models.folder;
    let check = if args.full { Check::Full } else { Check::Quick };
    models::verify(folder, brought, check)?;
    let missing: Vec<&Entry> =
        needed.iter().copied().filter(|entry| models::verify(folder, entry, check).is_err()).collect();
    if args.json {
        let missing: Vec<_> = missing.iter().map(|entry| &entry.name).collect();
        println!("{}", serde_json::json!({ "folder": folder, "models": [name], "missing": missing }));
        return Ok(ExitCode::SUCCESS);
    }
    println!("{name} is there and verified, in {}", folder.display());
    if !missing.is_empty() {
        println!("The settings also need what follows; `premise setup` fetches it, or bring it in:");
    }
    for entry in missing {
        let names: Vec<&str> = entry.files.iter().map(|file| file.name.as_str()).collect();
        let what = if names.len() == 1 { "FILE" } else { "FOLDER" };
        println!("  premise setup --model {} --from {what}    {}", entry.name, names.join(", "));
    }
    Ok(ExitCode::SUCCESS)
}

/// What the settings ask for.
pub(super) fn needed(settings: &Settings) -> Result<Vec<&'static Entry>> {
    let wanted = app::wanted(settings)?;
    Ok([Some(wanted.runtime), wanted.embedder, wanted.reranker, wanted.generator].into_iter().flatten().collect())
}

/// A model by name; an embedder in the precision that was given, or in that of the settings if it has it.
fn named(name: &str, precision: Option<Precision>, settings: &Settings) -> Result<&'static Entry> {
    let entry = models::find(name)?;
    if entry.kind != Kind::Embedder {
        return Ok(entry);
    }
    Ok(match precision {
        Some(precision) => models::find_embedder(name, precision)?,
        None => models::find_embedder(name, settings.models.precision).unwrap_or(entry),
    })
}

pub(super) fn install(
    entry: &Entry,
    from: Option<&Path>,
    settings: &Settings,
    quiet: bool,
    stop: &AtomicBool,
) -> Result<()> {
    let folder = &settings.models.folder;
    std::fs::create_dir_all(folder)
        .map_err(|error| Error::io(format_args!("make the models folder {}", folder.display()), &error))?;
    let bar = Bar::fetching(quiet);
    let mut last = String::new();
    let mut progress = |progress: models::Progress| {
        // Whatever is cut off here is a temporary file, which the next set-up goes on with or makes anew.
        if stop.load(Ordering::Relaxed) {
            std::process::exit(130);
        }
        // Without a terminal, each step is one line.
        if !quiet && !std::io::IsTerminal::is_terminal(&std::io::stderr()) && progress.message != last {
            eprintln!("{}: {}", progress.model, progress.message);
            last.clone_from(&progress.message);
        }
        bar.fetched(&format!("{}: {}", progress.model, progress.message), progress.done_bytes, progress.total_bytes);
    };
    let installed = match from {
        Some(from) => models::import(folder, entry, from, &mut progress)?,
        None => models::ensure(folder, entry, &Origins::from_env(), &mut progress)?,
    };
    bar.finish();
    if !quiet && !entry.is_pinned() {
        for file in &installed.files {
            println!(
                "{}: no hash was published with this program; from now on the file must stay {}",
                entry.name, file.sha256
            );
        }
    }
    Ok(())
}

fn list(json: bool, settings: &Settings) -> ExitCode {
    let lines: Vec<_> = models::entries()
        .map(|entry| {
            let there = models::locate(&settings.models.folder, entry).is_ok();
            serde_json::json!({
                "name": entry.name,
                "size_bytes": entry.size_bytes(),
                "licence": entry.licence,
                "description": entry.description,
                "installed": there,
            })
        })
        .collect();
    if json {
        println!("{}", serde_json::json!({ "models": lines }));
        return ExitCode::SUCCESS;
    }
    for line in lines {
        let there = if line["installed"] == true { "here" } else { "    " };
        let size = line["size_bytes"].as_u64().unwrap_or_default() / 1_000_000;
        let size = if size == 0 { String::new() } else { format!("{size} MB") };
        let text = |field: &str| line[field].as_str().unwrap_or_default().to_owned();
        println!("{there}  {:38} {size:>8}  {} ({})", text("name"), text("description"), text("licence"));
    }
    ExitCode::SUCCESS
}
