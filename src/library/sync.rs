//! Sync: a collection follows a folder. What is new or changed is read, what was moved is noted, what is gone is
//! taken out, and everything else is left alone, all decided by content.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::{PoisonError, TryLockError, atomic::AtomicBool},
};

use chrono::{DateTime, Utc};
use premise_ingest::{FoundFile, KnownFile, Plan};
use serde::{Deserialize, Serialize};
use tracing::info;

use super::{
    Library, OnProgress, carried,
    documents::{checked_name, is_stopped, unreadable},
    ingest::{Cautioned, Ingested, Source},
};
use crate::{
    db::{Awaits, Failure, FileRow, Origin, PartlyRead, Place},
    error::{Error, Kind, Result},
    store::CollectionId,
};

/// What a sync found and did.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SyncReport {
    /// The folder.
    pub folder: PathBuf,
    /// The collection that follows it.
    pub collection: String,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    /// New files.
    pub added: Vec<String>,
    /// Files whose content changed.
    pub changed: Vec<String>,
    /// Files that lie elsewhere now.
    pub moved: Vec<MovedFile>,
    /// Files that are gone.
    pub deleted: Vec<String>,
    /// How many files are as they were.
    pub unchanged: usize,
    /// Files that could not be read, each with its reason, also those of earlier runs that are still so.
    pub failed: Vec<Failure>,
    /// Files that are in, but not all of them: those read now, and all with pictures that nobody was there to read.
    #[serde(default)]
    pub partly: Vec<PartlyRead>,
    /// Files of kinds that are not read.
    pub unsupported: Vec<String>,
    /// Files that were read now and are to be taken with care.
    #[serde(default)]
    pub cautioned: Vec<Cautioned>,
    /// Pages that were read.
    pub pages: u64,
    /// Chunks that were embedded.
    pub chunks: u64,
    /// How long reading took.
    pub seconds: f64,
    /// Share of that time in which the embedders worked, 0 to 1.
    pub embedder_busy: f64,
    /// True when it was stopped before the end; the next run goes on.
    pub interrupted: bool,
}

/// A file that lies elsewhere now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovedFile {
    /// Where it lay.
    pub from: String,
    /// Where it lies.
    pub to: String,
}

impl Library {
    /// Brings a collection up to date with a folder. Blocks. One sync runs at a time.
    pub fn sync(
        &self,
        collection: &str,
        folder: &Path,
        stop: &AtomicBool,
        on_progress: OnProgress,
    ) -> Result<SyncReport> {
        let _one = match self.syncing.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(guard)) => PoisonError::into_inner(guard),
            Err(TryLockError::WouldBlock) => {
                return Err(Error::new(
                    Kind::Conflict,
                    "sync_running",
                    "another sync is under way",
                    "Wait until it has ended; `premise status` shows how far it is",
                ));
            }
        };
        let started_at = Utc::now();
        let _running = self.running.begin(&format!("reading {}", folder.display()));
        let folder = folder
            .canonicalize()
            .map_err(|error| Error::io(format_args!("open the folder {}", folder.display()), &error))?;
        if !folder.is_dir() {
            return Err(Error::new(
                Kind::BadInput,
                "not_a_folder",
                format!("{} is not a folder", folder.display()),
                "Use `premise add` for a single file",
            ));
        }
        let name = checked_name(collection)?;
        let collection = self.db.ensure_collection(name)?;
        let scan = premise_ingest::scan(&folder)
            .map_err(|error| Error::io(format_args!("read the folder {}", folder.display()), &error))?;
        let (known, carried) = carried::part(&folder, self.db.files_of_folder(collection, &folder)?);
        if scan.files.is_empty() && !known.is_empty() {
            return Err(Error::new(
                Kind::Conflict,
                "empty_folder",
                format!("{} is empty now, and {} of its files are in", folder.display(), known.len()),
                "Check that the drive is there. If the files are really gone, delete them on the page",
            ));
        }

        let Failures { retry, failed_paths, still_failed, again } =
            self.without_known_failures(collection, &folder, scan.files)?;
        let names = Names::new(&folder, &known, self.db.other_files(collection, &folder)?);
        let rows = Rows { known: &known, carried: &carried };
        let plan = make_plan(&rows, &retry, &failed_paths, &again, self.recognised_languages());
        let mut report = SyncReport {
            folder: folder.clone(),
            collection: name.to_owned(),
            started_at,
            finished_at: started_at,
            added: Vec::new(),
            changed: Vec::new(),
            moved: Vec::new(),
            deleted: Vec::new(),
            unchanged: plan.unchanged.len(),
            failed: still_failed,
            partly: Vec::new(),
            unsupported: scan.unsupported.iter().map(|path| names.of(path)).collect(),
            cautioned: Vec::new(),
            pages: 0,
            chunks: 0,
            seconds: 0.0,
            embedder_busy: 0.0,
            interrupted: false,
        };
        report.failed.extend(scan.problems.iter().map(|(path, reason)| unreadable(path, reason)));
        report.failed.extend(
            plan.unreadable.iter().map(|(path, reason)| Failure { file: names.of(path), ..unreadable(path, reason) }),
        );
        self.note_moves(collection, &folder, &names, &rows, &plan, &mut report)?;
        self.take_out_deleted(collection, &folder, &names, &carried, &plan, &scan.problems, &mut report)?;
        self.read_new(collection, &folder, &names, &carried, plan, stop, on_progress, &mut report)?;

        let told: HashSet<String> = report.partly.iter().map(|partly| partly.file.clone()).collect();
        let waiting = self.db.awaiting_recognition(Some((collection, &folder)))?;
        report.partly.extend(waiting.into_iter().filter(|waiting| !told.contains(&waiting.file)));
        report.finished_at = Utc::now();
        report.interrupted |= is_stopped(stop);
        self.db.keep_report(&serde_json::to_string(&report).unwrap_or_default())?;
        info!(
            added = report.added.len(),
            changed = report.changed.len(),
            moved = report.moved.len(),
            deleted = report.deleted.len(),
            failed = report.failed.len(),
            "synced a folder"
        );
        Ok(report)
    }

    /// Returns when no sync is under way. Blocks.
    pub fn wait_for_sync(&self) {
        drop(self.syncing.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Files that failed before and have not changed since are not tried again; they stay in the report. Unless what they
    /// waited for may be there now.
    fn without_known_failures(
        &self,
        collection: CollectionId,
        folder: &Path,
        found: Vec<FoundFile>,
    ) -> Result<Failures> {
        let has_passwords = !self.passwords(collection)?.is_empty();
        let may_be_read = |failure: &Failure| match failure.awaits {
            Some(Awaits::Recognition) => self.recogniser().is_ok(),
            Some(Awaits::Password) => has_passwords,
            None => false,
        };
        let mut failures: HashMap<String, Failure> = self
            .db
            .failures_of_folder(collection, folder)?
            .into_iter()
            .map(|failure| (failure.file.clone(), failure))
            .collect();
        let mut still = Vec::new();
        let mut paths = HashSet::new();
        let mut rest = Vec::new();
        let mut again = HashSet::new();
        let names: Vec<String> = found.iter().map(|file| relative(folder, &file.path)).collect();
        for (file, name) in found.into_iter().zip(&names) {
            let is_same =
                |failure: &Failure| failure.size_bytes == file.size_bytes && failure.modified_ms == file.modified_ms;
            if failures.values().any(|failure| carried::is_carried_name(&failure.file, name) && may_be_read(failure)) {
                again.insert(file.path.clone());
            }
            match failures.remove(name) {
                Some(failure) if is_same(&failure) && !may_be_read(&failure) => {
                    still.push(failure);
                    paths.insert(file.path);
                }
                _ => rest.push(file),
            }
        }
        // What is left failed once and is gone now, or will be tried again; or its mail is there still.
        for (name, failure) in failures {
            if names.iter().any(|carrier| carried::is_carried_name(&name, carrier)) {
                still.push(failure);
            } else {
                self.db.clear_failure(collection, &name)?;
            }
        }
        Ok(Failures { retry: rest, failed_paths: paths, still_failed: still, again })
    }

    fn note_moves(
        &self,
        collection: CollectionId,
        folder: &Path,
        names: &Names,
        rows: &Rows,
        plan: &Plan,
        report: &mut SyncReport,
    ) -> Result<()> {
        let by_path: HashMap<&Path, &FileRow> = rows.known.iter().map(|row| (row.path.as_path(), row)).collect();
        for (from, file, _) in &plan.moved {
            let Some(row) = by_path.get(from.as_path()) else { continue };
            let place = names.place(folder, file);
            let moved = MovedFile { from: row.file.clone(), to: place.file.clone() };
            for row in carried::carried_by(rows.carried, from) {
                if let Some(place) = carried::moved_place(row, from, &place) {
                    self.db.add_place(collection, row.document, &place)?;
                    self.db.remove_file(collection, &row.file)?;
                }
            }
            self.db.add_place(collection, row.document, &place)?;
            self.db.remove_file(collection, &row.file)?;
            report.moved.push(moved);
        }
        for (file, _) in &plan.touched {
            if let Some(row) = by_path.get(file.path.as_path()) {
                self.db.add_place(collection, row.document, &names.place(folder, file))?;
                report.unchanged += 1;
            }
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "each is one thing that the step needs, and it has one caller")]
    fn take_out_deleted(
        &self,
        collection: CollectionId,
        folder: &Path,
        names: &Names,
        carried: &[FileRow],
        plan: &Plan,
        problems: &[(PathBuf, String)],
        report: &mut SyncReport,
    ) -> Result<()> {
        for path in &plan.deleted {
            // A sub-folder that cannot be read says nothing about its files: they stay.
            if problems.iter().any(|(unread, _)| unread != folder && path.starts_with(unread)) {
                report.unchanged += 1;
                continue;
            }
            for row in carried::carried_by(carried, path) {
                self.db.remove_file(collection, &row.file)?;
            }
            let file = names.of(path);
            self.db.remove_file(collection, &file)?;
            report.deleted.push(file);
        }
        self.finish_removals()
    }

    #[expect(clippy::too_many_arguments, reason = "each is one thing that the step needs, and it has one caller")]
    fn read_new(
        &self,
        collection: CollectionId,
        folder: &Path,
        names: &Names,
        carried: &[FileRow],
        plan: Plan,
        stop: &AtomicBool,
        on_progress: OnProgress,
        report: &mut SyncReport,
    ) -> Result<()> {
        let changed: Vec<String> = plan.changed.iter().map(|(file, _)| names.of(&file.path)).collect();
        let changed_paths: Vec<PathBuf> = plan.changed.iter().map(|(file, _)| file.path.clone()).collect();
        let sources: Vec<Source> = plan
            .added
            .into_iter()
            .chain(plan.changed)
            .map(|(file, _)| Source { place: names.place(folder, &file), path: file.path })
            .collect();
        // Failures of what these files carried are told anew.
        let is_read_again =
            |file: &str| sources.iter().any(|source| carried::is_carried_name(file, &source.place.file));
        for failure in report.failed.extract_if(.., |failure| is_read_again(&failure.file)) {
            self.db.clear_failure(collection, &failure.file)?;
        }
        let ingested = self.ingest(collection, &sources, &[], stop, &|progress| {
            self.running.note(&progress);
            on_progress(progress);
        })?;
        self.take_out_dropped(collection, carried, &changed_paths, names, &ingested)?;
        for (_, file) in ingested.documents {
            let is_changed = changed.iter().any(|name| *name == file || carried::is_carried_name(&file, name));
            if is_changed { report.changed.push(file) } else { report.added.push(file) }
        }
        report.failed.extend(ingested.failed);
        report.partly.extend(ingested.partly);
        report.unsupported.extend(ingested.unsupported);
        report.cautioned = ingested.cautioned;
        report.pages = ingested.pages;
        report.chunks = ingested.throughput.chunks;
        report.seconds = ingested.throughput.seconds;
        report.embedder_busy = ingested.throughput.embedder_busy;
        report.interrupted = ingested.interrupted;
        Ok(())
    }

    /// What a changed mail does not carry any more.
    fn take_out_dropped(
        &self,
        collection: CollectionId,
        carried: &[FileRow],
        changed: &[PathBuf],
        names: &Names,
        ingested: &Ingested,
    ) -> Result<()> {
        let is_in = |file: &str| ingested.documents.iter().any(|(_, name)| name == file);
        for mail in changed.iter().filter(|path| is_in(&names.of(path))) {
            for row in carried::carried_by(carried, mail).filter(|row| !is_in(&row.file)) {
                self.db.remove_file(collection, &row.file)?;
            }
        }
        self.finish_removals()
    }
}

/// Files of a folder by what became of them before.
struct Failures {
    /// To be looked at.
    retry: Vec<FoundFile>,
    /// Those that failed and would fail again.
    failed_paths: HashSet<PathBuf>,
    still_failed: Vec<Failure>,
    /// Those that carry a file which failed and may be read now.
    again: HashSet<PathBuf>,
}

/// What the ledger has of a folder.
struct Rows<'a> {
    /// Files that lie there.
    known: &'a [FileRow],
    /// Files that these carry.
    carried: &'a [FileRow],
}

/// A document that an older reader read, or whose pictures can be read now, is read again, as if its file had changed.
/// A file that was damaged after it had been read is there still: what was read of it stays.
fn make_plan(
    rows: &Rows,
    found: &[FoundFile],
    failed: &HashSet<PathBuf>,
    again: &HashSet<PathBuf>,
    languages: Option<&str>,
) -> Plan {
    let is_current = |row: &FileRow| {
        let carried_are = carried::carried_by(rows.carried, &row.path).all(|carried| carried.is_current(languages));
        row.is_current(languages) && carried_are && !again.contains(&row.path)
    };
    let known = rows.known.iter().filter(|row| !failed.contains(&row.path)).map(|row| {
        let is_current = is_current(row);
        KnownFile {
            path: row.path.clone(),
            sha256: if is_current { row.sha256.clone() } else { String::new() },
            size_bytes: if is_current { row.size_bytes } else { u64::MAX },
            modified_ms: row.modified_ms,
        }
    });
    premise_ingest::plan(&known.collect::<Vec<_>>(), found, premise_ingest::hash_file)
}

/// What files are called in the collection: their path within the folder, with the folder's own name before it when
/// another folder, or an upload, already has that name.
struct Names {
    folder: PathBuf,
    known: HashMap<PathBuf, String>,
    taken: Vec<String>,
}

impl Names {
    fn new(folder: &Path, known: &[FileRow], taken: Vec<String>) -> Self {
        let known = known.iter().map(|row| (row.path.clone(), row.file.clone())).collect();
        Self { folder: folder.to_owned(), known, taken }
    }

    fn of(&self, path: &Path) -> String {
        if let Some(name) = self.known.get(path) {
            return name.clone();
        }
        let name = relative(&self.folder, path);
        if self.taken.contains(&name) {
            let own = self.folder.file_name().map(|own| own.to_string_lossy().into_owned()).unwrap_or_default();
            return format!("{own}/{name}");
        }
        name
    }

    fn place(&self, folder: &Path, file: &FoundFile) -> Place {
        Place {
            file: self.of(&file.path),
            origin: Origin::Folder { folder: folder.to_owned(), path: file.path.clone() },
            size_bytes: file.size_bytes,
            modified_ms: file.modified_ms,
        }
    }
}

fn relative(folder: &Path, path: &Path) -> String {
    path.strip_prefix(folder).unwrap_or(path).to_string_lossy().into_owned()
}
