//! Is a bundle what it says it is? Each check looks at the bundle alone; with the original files at hand, also at them.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{
    Bundle, FORMAT, MANIFEST, PAGE, Quoted, RECORD, Record, Source, Unpacked, archive::Manifest, page, page_entry,
    unpack,
};

/// What came of a bundle's checks.
#[derive(Debug, Serialize)]
pub struct Verdict {
    /// Whether nothing failed.
    pub good: bool,
    /// What was looked at, in order.
    pub checks: Vec<Check>,
    /// The question that the bundle answers, where it can be read.
    pub question: Option<String>,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub struct Check {
    /// What came of it.
    pub outcome: Outcome,
    /// A sentence, lower case, without a full stop.
    pub message: String,
}

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is as it should be.
    Good,
    /// It is not.
    Bad,
    /// It could not be looked at.
    NotChecked,
}

/// Reads the text of a file's pages, as the program that made the bundle did; a sentence when it cannot.
pub type ReadPages<'a> = &'a mut dyn FnMut(&str, &[u8]) -> Result<Vec<String>, String>;

/// Checks a bundle; `files` is a folder with the originals, and `read` reads them again.
pub fn verify(bytes: &[u8], files: Option<&Path>, read: ReadPages) -> Verdict {
    let mut checks = Checks::default();
    let question = checks.all(bytes, files, read).map(|record| record.question);
    let good = checks.0.iter().all(|check| check.outcome != Outcome::Bad);
    Verdict { good, checks: checks.0, question }
}

#[derive(Default)]
struct Checks(Vec<Check>);

impl Checks {
    fn note(&mut self, outcome: Outcome, message: impl Into<String>) {
        self.0.push(Check { outcome, message: message.into() });
    }

    /// Good when there are no faults, else each of them.
    fn judge(&mut self, faults: Vec<String>, good: impl Into<String>) {
        if faults.is_empty() {
            self.note(Outcome::Good, good);
        }
        for fault in faults {
            self.note(Outcome::Bad, fault);
        }
    }

    fn all(&mut self, bytes: &[u8], files: Option<&Path>, read: ReadPages) -> Option<Record> {
        let unpacked = match unpack(bytes) {
            Ok(unpacked) => unpacked,
            Err(fault) => {
                self.note(Outcome::Bad, format!("the file is no bundle: {fault}"));
                return None;
            }
        };
        self.entries(&unpacked);
        let bundle = match bundle(&unpacked) {
            Ok(bundle) => bundle,
            Err(fault) => {
                self.note(Outcome::Bad, fault);
                return None;
            }
        };
        self.quotes(&bundle);
        self.marks(&bundle.record);
        let same = unpacked.get(PAGE).is_some_and(|shown| *shown == page::html(&bundle).into_bytes());
        let fault = format!("{PAGE} does not say what {RECORD} says");
        self.judge(if same { Vec::new() } else { vec![fault] }, format!("{PAGE} says what {RECORD} says"));
        match files {
            Some(folder) => self.originals(&bundle, folder, read),
            None => self.note(Outcome::NotChecked, "the original files: give their folder with --files"),
        }
        Some(bundle.record)
    }

    /// Each entry is in the manifest and as it says, and none is missing.
    fn entries(&mut self, unpacked: &Unpacked) {
        let manifest = unpacked.get(MANIFEST).and_then(|bytes| serde_json::from_slice::<Manifest>(bytes).ok());
        let Some(manifest) = manifest.filter(|manifest| manifest.format == FORMAT) else {
            return self.note(Outcome::Bad, format!("there is no {MANIFEST} of the form {FORMAT:?}"));
        };
        let mut faults = Vec::new();
        let mut listed = BTreeSet::from([MANIFEST]);
        for entry in &manifest.entries {
            let is_new = listed.insert(&entry.name);
            match unpacked.get(&entry.name) {
                None => faults.push(format!("{} is missing", entry.name)),
                Some(bytes)
                    if !is_new
                        || bytes.len() as u64 != entry.size_bytes
                        || premise_ingest::hash_bytes(bytes) != entry.sha256 =>
                {
                    faults.push(format!("{} was changed: its SHA-256 is not the one in the manifest", entry.name));
                }
                Some(_) => {}
            }
        }
        let more = unpacked.keys().filter(|name| !listed.contains(name.as_str()));
        faults.extend(more.map(|name| format!("{name} is not in the manifest")));
        self.judge(faults, format!("{} entries are as the manifest lists them", manifest.entries.len()));
    }

    /// Each quote stands word for word at its place, on a page of a file that is named.
    fn quotes(&mut self, bundle: &Bundle) {
        let record = &bundle.record;
        let sources: HashSet<(&str, &str)> =
            record.sources.iter().map(|source| (source.file.as_str(), source.sha256.as_str())).collect();
        let all: Vec<&Quoted> = record.citations.iter().chain(&record.evidence).collect();
        let mut faults = Vec::new();
        for quoted in &all {
            let Quoted { n, file, page, sha256, start, end, .. } = quoted;
            let place = format!("the quote [{n}] of {file}, page {page}");
            if !sources.contains(&(file.as_str(), sha256.as_str())) || quoted.text != page_entry(sha256, *page) {
                faults.push(format!("{place} is of a file that the bundle does not name"));
                continue;
            }
            match bundle.pages.get(&quoted.text) {
                None => faults.push(format!("{place}: the page is not in the bundle")),
                Some(text) if text.get(*start as usize..*end as usize) != Some(quoted.quote.as_str()) => {
                    faults.push(format!("{place} does not stand at its place on the page"));
                }
                Some(_) if quoted.quote.trim().is_empty() => faults.push(format!("{place} is empty")),
                Some(_) => {}
            }
        }
        let quoted: HashSet<&str> = all.iter().map(|quoted| quoted.text.as_str()).collect();
        faults.extend(
            bundle
                .pages
                .keys()
                .filter(|page| !quoted.contains(page.as_str()))
                .map(|page| format!("nothing quotes {page}")),
        );
        let good = format!("{} quotes stand word for word at their places on {} pages", all.len(), bundle.pages.len());
        self.judge(faults, good);
    }

    /// The marks of the answer are those of the citations, in order; a refusal has none.
    fn marks(&mut self, record: &Record) {
        let marks = marks(&record.answer);
        let cited: Vec<usize> = record.citations.iter().map(|quoted| quoted.n).collect();
        let mut faults = Vec::new();
        if marks != cited {
            faults.push("the marks of the answer are not those of its quotes".to_owned());
        }
        if record.refused != cited.is_empty() {
            faults.push("an answer has quotes and a refusal has none, and here it is not so".to_owned());
        }
        self.judge(faults, "each mark of the answer has its quote");
    }

    /// The originals have the hashes that the bundle names and, read again, the pages that it holds.
    fn originals(&mut self, bundle: &Bundle, folder: &Path, read: ReadPages) {
        let by_name = files_by_name(folder);
        for source in &bundle.record.sources {
            let file = &source.file;
            let candidates = by_name.get(last_part(file)).map(Vec::as_slice).unwrap_or_default();
            let found = candidates.iter().find_map(|path| {
                let bytes = std::fs::read(path).ok()?;
                (premise_ingest::hash_bytes(&bytes) == source.sha256).then_some(bytes)
            });
            match found {
                Some(bytes) => {
                    self.note(Outcome::Good, format!("{file} has the SHA-256 that the bundle names"));
                    self.pages(bundle, source, &bytes, read);
                }
                None if candidates.is_empty() && is_carried(file) => {
                    self.note(
                        Outcome::NotChecked,
                        format!("{file} is carried by a mail: save it into the folder first"),
                    );
                }
                None if candidates.is_empty() => {
                    self.note(Outcome::Bad, format!("{file} is not in {}", folder.display()));
                }
                None => self.note(Outcome::Bad, format!("{file} has another SHA-256 than the bundle names")),
            }
        }
    }

    fn pages(&mut self, bundle: &Bundle, source: &Source, bytes: &[u8], read: ReadPages) {
        let file = &source.file;
        if bundle.record.made_by.reader != premise_ingest::REVISION {
            let message = format!("the pages of {file}: another revision of the reader made the bundle");
            return self.note(Outcome::NotChecked, message);
        }
        let pages = match read(last_part(file), bytes) {
            Ok(pages) => pages,
            Err(reason) => return self.note(Outcome::NotChecked, format!("the pages of {file}: {reason}")),
        };
        let all = bundle.record.citations.iter().chain(&bundle.record.evidence);
        let numbers: BTreeSet<u32> = all.filter(|quoted| quoted.sha256 == source.sha256).map(|one| one.page).collect();
        let differs = |number: &&u32| {
            let text = bundle.pages.get(&page_entry(&source.sha256, **number));
            pages.get(**number as usize - 1) != text
        };
        let faults = numbers.iter().filter(differs).map(|number| {
            format!("page {number} of {file}, read again, has another text (unless a scan was recognised otherwise)")
        });
        self.judge(faults.collect(), format!("{file}, read again, has the pages that the bundle holds"));
    }
}

fn bundle(unpacked: &Unpacked) -> Result<Bundle, String> {
    let record = unpacked.get(RECORD).ok_or_else(|| format!("{RECORD} is missing"))?;
    let record: Record =
        serde_json::from_slice(record).map_err(|error| format!("{RECORD} is not what is expected: {error}"))?;
    if record.format != FORMAT {
        return Err(format!("{RECORD} is of the form {:?}, and this program knows {FORMAT:?}", record.format));
    }
    let quoted = record.citations.iter().chain(&record.evidence);
    if quoted.clone().any(|quoted| quoted.page == 0) {
        return Err("pages are counted from 1".to_owned());
    }
    let pages = unpacked.iter().filter(|(name, _)| name.starts_with("pages/"));
    let pages = pages.map(|(name, bytes)| {
        let text = String::from_utf8(bytes.clone()).map_err(|_| format!("{name} is no text"))?;
        Ok((name.clone(), text))
    });
    Ok(Bundle { record, pages: pages.collect::<Result<_, String>>()? })
}

/// Numbers in marks such as `[2]`.
fn marks(answer: &str) -> Vec<usize> {
    answer.split('[').skip(1).filter_map(|rest| rest.split_once(']')?.0.parse().ok()).collect()
}

fn last_part(file: &str) -> &str {
    file.rsplit('/').next().unwrap_or(file)
}

fn is_carried(file: &str) -> bool {
    file.rsplit_once('/').is_some_and(|(above, _)| {
        let carrier = premise_ingest::MediaType::from_name(last_part(above));
        carrier.is_some_and(premise_ingest::MediaType::carries_files)
    })
}

/// The files below a folder by their names. What cannot be listed is as if it were not there.
fn files_by_name(folder: &Path) -> HashMap<String, Vec<PathBuf>> {
    let mut by_name: HashMap<String, Vec<PathBuf>> = HashMap::new();
    let files = premise_ingest::scan(folder).map(|scan| scan.files).unwrap_or_default();
    for file in files {
        let name = file.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        by_name.entry(name).or_default().push(file.path);
    }
    by_name
}
