//! Where a state lives while it is held, and what becomes of it when its file
//! is taken away.
#![expect(
    clippy::disallowed_methods,
    reason = "looks whether the file is still there"
)]

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::lock::{Holder, Lock, lock_path};
use super::records::Records;
use super::store::{open_records, publish, remove_if_there};
use super::{Result, StateError, Store, schema, transfer};

/// The file and the lock of a state that is held.
#[derive(Debug)]
pub(super) struct Home {
    path: PathBuf,
    file: Option<Identity>,
    lock_file: Option<Identity>,
    lock: Lock,
}

type Identity = (u64, u64);

impl Home {
    pub(super) fn new(path: PathBuf, lock: Lock) -> Result<Self> {
        Ok(Self {
            file: identity(&path)?,
            lock_file: identity(&lock_path(&path))?,
            path,
            lock,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// What stands where a state was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// That state.
    Here,
    /// Nothing.
    Gone,
    /// Another file.
    Replaced,
}

impl Store {
    /// What stands now where this state was opened.
    pub fn standing(&self) -> Result<Standing> {
        let Some(home) = &self.home else {
            return Ok(Standing::Here);
        };
        let now = identity(&home.path)?;
        Ok(match now {
            None => Standing::Gone,
            now if now == home.file => Standing::Here,
            Some(_) => Standing::Replaced,
        })
    }

    /// Writes a state whose file was taken away anew, from what this process
    /// still has open; lineage and serial go on.
    pub fn restore(&mut self, holder: &Holder) -> Result<()> {
        let Some(home) = &mut self.home else {
            return Ok(());
        };
        let path = home.path.clone();
        if identity(&lock_path(&path))? != home.lock_file {
            home.lock = Lock::take(&path, holder)?;
        }
        let mut saved = path.as_os_str().to_owned();
        saved.push(".restored");
        let saved = PathBuf::from(saved);
        remove_if_there(&saved)?;
        transfer::copy(self.connection(), &saved)?;
        // Closing the old file removes the log that goes by the same name.
        let held = open_records(&saved)?;
        drop(self.replace(held));
        drop(self.replace(nothing()?));
        for log in ["-wal", "-shm"] {
            let mut log_path = path.as_os_str().to_owned();
            log_path.push(log);
            remove_if_there(Path::new(&log_path))?;
        }
        publish(&saved, &path)?;
        drop(self.replace(open_records(&path)?));
        if let Some(home) = &mut self.home {
            home.file = identity(&path)?;
            home.lock_file = identity(&lock_path(&path))?;
        }
        Ok(())
    }
}

/// Stands in for records while their file is put in its place.
fn nothing() -> Result<Records> {
    let connection = Connection::open_in_memory()?;
    schema::create(&connection, 0)?;
    Records::in_memory(connection)
}

/// Which file is at `path`, if any.
fn identity(path: &Path) -> Result<Option<Identity>> {
    match fs::metadata(path) {
        Ok(found) => Ok(Some((found.dev(), found.ino()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StateError::io("read", path)(error)),
    }
}
