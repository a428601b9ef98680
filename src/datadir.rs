//! The data folder: one process owns it, by a lock file that is taken before anything in it is opened. A server
//! leaves its address there, so that command-line verbs find it.

use std::{
    fs::{File, TryLockError},
    io::Write,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};

/// A data folder that this process owns until the value is dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    // The operating system lets go of the lock when the process ends, however it ends.
    _lock: File,
}

/// How to reach the server that owns a data folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// Its base address, such as `http://127.0.0.1:7878`.
    pub url: String,
    /// A secret that only accounts which can read the data folder know: it allows what the page may not do.
    pub token: String,
}

/// Who has the data folder.
#[derive(Debug)]
pub enum Owner {
    /// This process, now.
    Us(DataDir),
    /// A server, which takes requests.
    Server(Contact),
}

const LOCK: &str = "lock";
const CONTACT: &str = "server.json";

/// Takes the data folder, making it when it is not there, or finds the server that has it.
pub fn open(path: &Path) -> Result<Owner> {
    std::fs::create_dir_all(path)
        .map_err(|error| Error::io(format_args!("make the data folder {}", path.display()), &error))?;
    keep_private(path)?;
    let lock_path = path.join(LOCK);
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&lock_path)
        .map_err(|error| Error::io(format_args!("open {}", lock_path.display()), &error))?;
    match lock.try_lock() {
        Ok(()) => {
            // Left by a server that was killed.
            let _ = std::fs::remove_file(path.join(CONTACT));
            Ok(Owner::Us(DataDir { path: path.to_owned(), _lock: lock }))
        }
        Err(TryLockError::WouldBlock) => contact(path).map(Owner::Server).ok_or_else(|| in_use(path)),
        Err(TryLockError::Error(error)) => Err(Error::io(format_args!("lock {}", lock_path.display()), &error)),
    }
}

/// The error for a folder that another process has.
pub fn in_use(path: &Path) -> Error {
    Error::new(
        Kind::Conflict,
        "data_folder_in_use",
        format!("another premise process is using {}", path.display()),
        "Wait until it has ended, or use another folder with --data-dir",
    )
}

impl DataDir {
    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves word of how this server is reached; only this account can read it.
    pub fn leave_contact(&self, contact: &Contact) -> Result<()> {
        let write = || {
            let mut file = tempfile::NamedTempFile::new_in(&self.path)?;
            file.write_all(serde_json::to_string(contact)?.as_bytes())?;
            file.persist(self.path.join(CONTACT)).map_err(|error| error.error)?;
            Ok(())
        };
        write().map_err(|error| Error::io("leave the server's address in the data folder", &error))
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.path.join(CONTACT));
    }
}

fn contact(path: &Path) -> Option<Contact> {
    serde_json::from_slice(&std::fs::read(path.join(CONTACT)).ok()?).ok()
}

/// Files of a law office or a clinic: nobody but this account reads the folder.
fn keep_private(path: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // Only before anything about files is in it: an administrator may widen the rights later.
        if !path.join(LOCK).exists() {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))
                .map_err(|error| Error::io(format_args!("make {} private", path.display()), &error))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_has_the_folder_and_a_server_is_found_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let Owner::Us(owned) = open(folder.path()).expect("opens") else { panic!("nobody else has it") };
        assert_eq!(open(folder.path()).expect_err("is taken").code, "data_folder_in_use");
        let contact = Contact { url: "http://127.0.0.1:1".to_owned(), token: "secret".to_owned() };
        owned.leave_contact(&contact).expect("writes");
        let Owner::Server(found) = open(folder.path()).expect("finds it") else { panic!("a server has it") };
        assert_eq!(found, contact);
        drop(owned);
        assert!(matches!(open(folder.path()).expect("opens again"), Owner::Us(_)));
    }
}
