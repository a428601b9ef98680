//! Is a file on disk the one it should be? A file is hashed once; beside it lies a seal with its size, time and
//! hash, so that a later start compares those three and does not read a gigabyte again.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::ModelError;
use super::catalogue::ModelFile;

/// How closely to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// Trust the seal of a file whose size and time are unchanged.
    Quick,
    /// Hash every file: about a second a gigabyte.
    Full,
}

/// A file that is what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedFile {
    /// Where it lies.
    pub path: PathBuf,
    /// Its SHA-256.
    pub sha256: String,
}

/// What was true when a file was last hashed.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Seal {
    size_bytes: u64,
    modified_ns: u64,
    sha256: String,
}

/// Checks one file of model `name`. Without a pinned hash, the recorded one of its first fetch counts.
pub(super) fn verify_file(
    name: &str,
    folder: &Path,
    file: &ModelFile,
    check: Check,
) -> Result<VerifiedFile, ModelError> {
    let path = folder.join(&file.name);
    let now = match Stamp::of(&path) {
        Ok(stamp) => stamp,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(ModelError::NotInstalled { name: name.to_owned(), path });
        }
        Err(error) => return Err(ModelError::io("read", &path, error)),
    };
    if let Some(size_bytes) = file.size_bytes
        && size_bytes != now.size_bytes
    {
        return Err(ModelError::Altered {
            path,
            expected: file.sha256.clone().unwrap_or_else(|| "another".to_owned()),
            found: format!("that of a file of {} bytes instead of {size_bytes}", now.size_bytes),
        });
    }
    let seal = read_seal(&path);
    let expected = expected_hash(file, seal.as_ref());
    if check == Check::Quick
        && let Some(seal) = &seal
        && (seal.size_bytes, seal.modified_ns) == (now.size_bytes, now.modified_ns)
        && expected.as_deref() == Some(&seal.sha256)
    {
        return Ok(VerifiedFile { path, sha256: seal.sha256.clone() });
    }
    let found = hash_file(&path)?;
    if let Some(expected) = expected
        && expected != found
    {
        return Err(ModelError::Altered { path, expected, found });
    }
    write_seal(&path, &now, &found);
    Ok(VerifiedFile { path, sha256: found })
}

/// Makes a finished download the file: hashed, flushed, renamed and sealed. A wrong one is set aside as
/// `….rejected` and never gets the name.
pub(super) fn settle(part: &Path, folder: &Path, file: &ModelFile, origin: &str) -> Result<VerifiedFile, ModelError> {
    let path = folder.join(&file.name);
    let found = hash_file(part)?;
    if let Some(expected) = expected_hash(file, read_seal(&path).as_ref())
        && expected != found
    {
        let kept = beside(&path, "rejected");
        fs::rename(part, &kept).map_err(|error| ModelError::io("set aside", part, error))?;
        let (file, origin) = (file.name.clone(), origin.to_owned());
        return Err(ModelError::Mismatch { file, origin, expected, found, kept });
    }
    File::open(part)
        .and_then(|part| part.sync_all())
        .and_then(|()| fs::rename(part, &path))
        .and_then(|()| File::open(folder)?.sync_all())
        .map_err(|error| ModelError::io("put in place", &path, error))?;
    if file.sha256.is_none() {
        tracing::warn!(file = %file.name, sha256 = %found, "no pinned hash: recorded the one of this first fetch");
    }
    let stamp = Stamp::of(&path).map_err(|error| ModelError::io("read", &path, error))?;
    write_seal(&path, &stamp, &found);
    Ok(VerifiedFile { path, sha256: found })
}

/// SHA-256 of a file that may be any: nothing is expected of it, and a seal only saves reading it again.
pub(super) fn sealed_hash(path: &Path) -> Result<String, ModelError> {
    let now = Stamp::of(path).map_err(|error| ModelError::io("read", path, error))?;
    if let Some(seal) = read_seal(path)
        && (seal.size_bytes, seal.modified_ns) == (now.size_bytes, now.modified_ns)
    {
        return Ok(seal.sha256);
    }
    let found = hash_file(path)?;
    write_seal(path, &now, &found);
    Ok(found)
}

/// SHA-256 of a file, in hexadecimal.
pub(super) fn hash_file(path: &Path) -> Result<String, ModelError> {
    let failed = |error| ModelError::io("read", path, error);
    let mut file = File::open(path).map_err(failed)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer).map_err(failed)?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
    }
    Ok(hex(&hash.finalize()))
}

/// The name of a file beside this one, with one more extension.
pub(super) fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    PathBuf::from(name)
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn expected_hash(file: &ModelFile, seal: Option<&Seal>) -> Option<String> {
    file.sha256.clone().or_else(|| seal.map(|seal| seal.sha256.clone()))
}

fn read_seal(path: &Path) -> Option<Seal> {
    toml::from_str(&fs::read_to_string(beside(path, "verified")).ok()?).ok()
}

/// A models folder that may not be written costs a hash at each start, and nothing else.
fn write_seal(path: &Path, stamp: &Stamp, sha256: &str) {
    let seal = Seal { size_bytes: stamp.size_bytes, modified_ns: stamp.modified_ns, sha256: sha256.to_owned() };
    let text = toml::to_string(&seal).expect("three plain fields");
    if let Err(error) = fs::write(beside(path, "verified"), text) {
        tracing::debug!(path = %path.display(), %error, "cannot record a verified model file");
    }
}

struct Stamp {
    size_bytes: u64,
    modified_ns: u64,
}

impl Stamp {
    fn of(path: &Path) -> std::io::Result<Self> {
        let metadata = fs::metadata(path)?;
        let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        let modified_ns = u64::try_from(modified.as_nanos()).unwrap_or(u64::MAX);
        Ok(Self { size_bytes: metadata.len(), modified_ns })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn file(sha256: Option<&str>) -> ModelFile {
        ModelFile { name: "m.gguf".into(), size_bytes: Some(3), sha256: sha256.map(str::to_owned) }
    }

    fn check(folder: &Path, sha256: Option<&str>, check: Check) -> Result<String, ModelError> {
        verify_file("m", folder, &file(sha256), check).map(|file| file.sha256)
    }

    /// Writes other bytes and puts the old time back: only a full check can see it.
    fn alter_behind_the_seal(path: &Path) {
        let modified = fs::metadata(path).unwrap().modified().unwrap();
        fs::write(path, "abd").unwrap();
        File::options().write(true).open(path).unwrap().set_modified(modified).unwrap();
    }

    #[test]
    fn a_file_is_hashed_once_and_a_full_check_hashes_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.gguf");
        fs::write(&path, "abc").unwrap();
        assert_eq!(check(folder.path(), Some(ABC), Check::Quick).unwrap(), ABC);
        alter_behind_the_seal(&path);
        assert_eq!(check(folder.path(), Some(ABC), Check::Quick).unwrap(), ABC);
        let error = check(folder.path(), Some(ABC), Check::Full).unwrap_err();
        assert!(matches!(error, ModelError::Altered { .. }), "{error}");
    }

    #[test]
    fn an_altered_file_is_told_with_both_hashes() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("m.gguf"), "abd").unwrap();
        let error = check(folder.path(), Some(ABC), Check::Quick).unwrap_err();
        assert!(error.to_string().contains(ABC) && error.hint().unwrap().contains("setup"), "{error}");
        fs::write(folder.path().join("m.gguf"), "abcd").unwrap();
        let error = check(folder.path(), Some(ABC), Check::Quick).unwrap_err();
        assert!(error.to_string().contains("4 bytes instead of 3"), "{error}");
    }

    #[test]
    fn a_missing_file_asks_for_setup() {
        let folder = tempfile::tempdir().unwrap();
        let error = check(folder.path(), Some(ABC), Check::Quick).unwrap_err();
        assert_eq!(error.hint().unwrap(), "run `premise setup`");
    }

    #[test]
    fn without_a_pinned_hash_the_first_one_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.gguf");
        fs::write(&path, "abc").unwrap();
        assert_eq!(check(folder.path(), None, Check::Quick).unwrap(), ABC);
        alter_behind_the_seal(&path);
        assert!(matches!(check(folder.path(), None, Check::Full), Err(ModelError::Altered { .. })));
    }

    #[test]
    fn a_wrong_download_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let part = folder.path().join("m.gguf.part");
        fs::write(&part, "abd").unwrap();
        let error = settle(&part, folder.path(), &file(Some(ABC)), "here").unwrap_err();
        assert!(matches!(error, ModelError::Mismatch { .. }), "{error}");
        assert!(folder.path().join("m.gguf.rejected").exists() && !folder.path().join("m.gguf").exists());
    }
}
