//! A look at this machine and these settings: what is in order, what is missing, and what to do about it. Changes
//! nothing, and works beside a running server.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use serde::Serialize;

use crate::{
    app,
    config::{self, Settings},
    egress::{self, Egress},
    error::{Error, Result},
    library::passwords,
    models,
    reader::{Landlock, NoRecogniser, Reader, Recogniser},
};

/// Below this, a few large files or a new index may fill the disk.
const LITTLE_DISK: u64 = 2 << 30;

/// How something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Good,
    /// It works, but less well or less safely.
    Warning,
    /// Something will not work.
    Bad,
}

#[derive(Debug, Serialize)]
struct Finding {
    /// What was looked at.
    about: &'static str,
    state: State,
    /// What was found.
    message: String,
    /// What to do; nothing when it is good.
    hint: Option<String>,
}

#[expect(clippy::unnecessary_wraps, reason = "every verb ends like this")]
pub(super) fn run(data_dir: &Path, json: bool) -> Result<ExitCode> {
    let findings = findings(data_dir);
    let is_bad = findings.iter().any(|finding| finding.state == State::Bad);
    if json {
        println!("{}", serde_json::json!({ "healthy": !is_bad, "findings": findings }));
    } else {
        for finding in &findings {
            let mark = match finding.state {
                State::Good => "good   ",
                State::Warning => "WARNING",
                State::Bad => "BAD    ",
            };
            println!("{mark}  {:10} {}", finding.about, finding.message);
            if let Some(hint) = &finding.hint {
                println!("                    {}.", hint.trim_end_matches('.'));
            }
        }
    }
    Ok(if is_bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn findings(data_dir: &Path) -> Vec<Finding> {
    let (settings, mut findings) = match config::load(data_dir) {
        Ok(settings) => (settings, vec![good("settings", "can be read")]),
        // The rest is looked at all the same, as if there were no settings.
        Err(error) => (Settings::default(), vec![bad("settings", &error)]),
    };
    findings.extend(folders(&settings));
    findings.push(disk(data_dir));
    findings.extend(models(&settings));
    findings.push(processor());
    findings.extend(reader(&settings));
    findings.extend(recognition(&settings));
    findings.extend(passwords(&settings));
    findings.push(way_out(&settings));
    findings
}

/// Takes the way out from this process, as from each that has the files. The last thing to look at.
fn way_out(settings: &Settings) -> Finding {
    match egress::shut(&settings.store) {
        Egress::Shut => good("network", "the kernel keeps the program from making connections"),
        Egress::ToServer(url) => warning(
            "network",
            format!("connections stay possible, for the index is on {url}"),
            "Let the firewall allow the account of premise that address alone",
        ),
        Egress::Open(reason) => warning(
            "network",
            format!("the kernel does not keep processes from making connections: {reason}"),
            "Use a kernel that is built with seccomp filters, or a firewall that lets nothing out",
        ),
    }
}

/// The folders that are read by the clock: is each there?
fn folders(settings: &Settings) -> Vec<Finding> {
    let missing = settings.sync.folders.iter().filter_map(|folder| {
        let error = std::fs::read_dir(&folder.path).err()?;
        Some(bad("folders", &Error::io(format_args!("read {}", folder.path.display()), &error)))
    });
    missing.collect()
}

fn disk(data_dir: &Path) -> Finding {
    // The folder may not be there yet: its disk is the one of what lies above it.
    let there = data_dir.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    match fs4::available_space(there) {
        Ok(free) if free < LITTLE_DISK => warning(
            "disk",
            format!("{} MB are free for {}", free >> 20, data_dir.display()),
            "Make room: text, copies of added files and the index go there",
        ),
        Ok(free) => good("disk", format!("{} GB are free for {}", free >> 30, data_dir.display())),
        Err(error) => bad("disk", &Error::io(format_args!("look at the disk of {}", data_dir.display()), &error)),
    }
}

fn models(settings: &Settings) -> Vec<Finding> {
    let wanted = match app::wanted(settings) {
        Ok(wanted) => wanted,
        Err(error) => return vec![bad("models", &error)],
    };
    let mut findings: Vec<Finding> = [Some(wanted.runtime), wanted.embedder, wanted.reranker, wanted.generator]
        .into_iter()
        .flatten()
        .map(|entry| match models::locate(&settings.models.folder, entry) {
            Ok(_) => good("models", format!("{} is installed", entry.name)),
            Err(error) => bad("models", &Error::from(error)),
        })
        .collect();
    if wanted.generator.is_none() {
        let path = PathBuf::from(&settings.models.generator);
        findings.push(match std::fs::metadata(&path) {
            Ok(_) => good("models", format!("{} is there", path.display())),
            Err(error) => bad("models", &Error::io(format_args!("open the model {}", path.display()), &error)),
        });
    }
    findings
}

/// The arithmetic of the model that answers takes the best instructions there are (`generate/kernel/`, `math.rs`).
fn processor() -> Finding {
    #[cfg(target_arch = "x86_64")]
    {
        let all = |present: &[bool]| present.iter().all(|&present| present);
        let avx512 = [
            is_x86_feature_detected!("avx512f"),
            is_x86_feature_detected!("avx512bw"),
            is_x86_feature_detected!("avx512vnni"),
        ];
        let avx2 = [is_x86_feature_detected!("avx2"), is_x86_feature_detected!("fma")];
        if all(&avx512) {
            return good("processor", "has AVX-512 with VNNI: models run at their best");
        }
        if all(&avx2) {
            let hint = "Nothing needs to be done; on a processor with AVX-512 VNNI answers begin about twice as fast";
            return warning("processor", "has AVX2, but not AVX-512 with VNNI", hint);
        }
    }
    warning(
        "processor",
        "has neither AVX-512 with VNNI nor AVX2",
        "Answers take long here: use a smaller model or a newer machine",
    )
}

/// Starts the process that reads files, which says what holds it in.
fn reader(settings: &Settings) -> Vec<Finding> {
    let confinement = match Reader::new(&settings.reading, &premise_ingest::Limits::default(), None).confinement() {
        Ok(confinement) => confinement,
        Err(error) => return vec![bad("reader", &error)],
    };
    let reading = &settings.reading;
    let limits = if confinement.limits {
        good("reader", format!("a file gets {} s of CPU time and {} MB of memory", reading.seconds, reading.memory_mb))
    } else {
        let hint = "Start the program without limits of its own (`ulimit`), so that it can set narrower ones";
        warning("reader", "not every limit on memory and files could be set", hint)
    };
    let landlock = match confinement.landlock {
        Landlock::Full => good("landlock", "the reader can open no file and make no connection"),
        Landlock::Part => warning(
            "landlock",
            "this kernel's Landlock covers files, but not all of the network",
            "A kernel of 6.12 or later covers both; the other walls still stand",
        ),
        Landlock::None => warning(
            "landlock",
            "this kernel has no Landlock",
            "Use a kernel of 5.13 or later that is started with landlock among its `lsm`; the other walls still stand",
        ),
    };
    let seccomp = if confinement.seccomp {
        good("seccomp", "the reader can compute and answer, and nothing else")
    } else {
        warning("seccomp", "this kernel filters no calls", "Use a kernel that is built with seccomp filters")
    };
    let mut findings = vec![limits, landlock, seccomp];
    if !confinement.tried {
        let hint = "Take in only files that you trust, until this machine has Landlock or seccomp";
        findings.push(warning("reader", "nothing keeps the reader from opening files or connections", hint));
    }
    findings
}

/// Is there someone who reads pictures, and does it work within its walls?
fn recognition(settings: &Settings) -> Vec<Finding> {
    let recogniser = match Recogniser::find(&settings.ocr, &settings.reading) {
        Ok(recogniser) => recogniser,
        Err(missing @ NoRecogniser::Off) => return vec![good("tesseract", missing.to_string())],
        Err(missing) => {
            let message = format!("{missing}: the text of scans and pictures cannot be read");
            return vec![warning("tesseract", message, &missing.hint())];
        }
    };
    let others: Vec<&str> =
        recogniser.known_languages().iter().map(String::as_str).filter(|name| *name != "osd").collect();
    match recogniser.try_out() {
        Ok(()) => {
            let message =
                format!("{} reads scans and pictures; there is data of {}", recogniser.describe(), others.join(", "));
            vec![good("tesseract", message)]
        }
        Err(reason) => {
            let hint =
                "Look whether `tesseract` works by itself; if it does, report this message with the system's name";
            vec![warning("tesseract", format!("{} does not work: {reason}", recogniser.describe()), hint)]
        }
    }
}

/// The files of passwords: is each there, and for this account alone?
fn passwords(settings: &Settings) -> Vec<Finding> {
    let look = |(collection, file): (&String, &PathBuf)| match std::fs::metadata(file) {
        Ok(metadata) if passwords::is_open_to_others(&metadata) => {
            let message = format!("{} (of {collection}) can be read by other accounts", file.display());
            warning("passwords", message, "Run `chmod 600` on it")
        }
        Ok(_) => good("passwords", format!("{} (of {collection}) is there", file.display())),
        Err(error) => bad("passwords", &Error::io(format_args!("open {}", file.display()), &error)),
    };
    settings.passwords.iter().map(look).collect()
}

fn good(about: &'static str, message: impl Into<String>) -> Finding {
    Finding { about, state: State::Good, message: message.into(), hint: None }
}

fn warning(about: &'static str, message: impl Into<String>, hint: &str) -> Finding {
    Finding { about, state: State::Warning, message: message.into(), hint: Some(hint.to_owned()) }
}

fn bad(about: &'static str, error: &Error) -> Finding {
    Finding { about, state: State::Bad, message: error.message.clone(), hint: Some(error.hint.clone()) }
}
