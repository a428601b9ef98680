//! Passwords of locked files: a file of them for each collection, named in the settings, and what is given with a file.
//! They are read when they are needed and kept nowhere.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use secrecy::SecretString;
use tracing::warn;

use super::Library;
use crate::{
    error::{Error, Kind, Result},
    store::CollectionId,
};

/// A file of passwords is a few lines.
const MOST_BYTES: u64 = 1 << 16;

impl Library {
    /// The passwords of a collection's locked files.
    pub(super) fn passwords(&self, collection: CollectionId) -> Result<Vec<SecretString>> {
        if self.password_files.is_empty() {
            return Ok(Vec::new());
        }
        let name = self.db.collection_name(collection)?;
        name.and_then(|name| self.password_files.get(&name)).map_or(Ok(Vec::new()), |file| passwords_in(file))
    }
}

/// The passwords in a file, one a line, as they stand there. A warning goes to the log when others can read it.
pub fn passwords_in(file: &Path) -> Result<Vec<SecretString>> {
    let failed = |error: &std::io::Error| Error::io(format_args!("read the passwords in {}", file.display()), error);
    let metadata = fs::metadata(file).map_err(|error| failed(&error))?;
    if metadata.len() > MOST_BYTES {
        return Err(Error::new(
            Kind::BadInput,
            "bad_passwords",
            format!("{} is too long for a file of passwords", file.display()),
            "Write one password a line, and nothing else",
        ));
    }
    if is_open_to_others(&metadata) {
        warn!(file = %file.display(), "a file of passwords can be read by others: `chmod 600` it");
    }
    Ok(lines(&fs::read_to_string(file).map_err(|error| failed(&error))?))
}

/// The passwords of a text, one a line; a password may begin or end with spaces.
pub fn lines(text: &str) -> Vec<SecretString> {
    text.lines().filter(|line| !line.is_empty()).map(SecretString::from).collect()
}

/// Whether other accounts may read it.
pub(crate) fn is_open_to_others(metadata: &fs::Metadata) -> bool {
    metadata.permissions().mode() & 0o077 != 0
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_password_is_a_line_as_it_stands() {
        let passwords = lines("one\r\n\n two \nthree");
        let exposed: Vec<_> = passwords.iter().map(ExposeSecret::expose_secret).collect();
        assert_eq!(exposed, ["one", " two ", "three"]);
        assert!(!format!("{passwords:?}").contains("three"));
    }
}
