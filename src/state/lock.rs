//! The one lock on a state: an OS lock on `<state>.lock` for a process's life.
#![expect(
    clippy::disallowed_methods,
    reason = "opens the lock file, and waits out those who only look at it"
)]

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Result, StateError};

/// Somebody who only looks who holds the lock has it for an instant himself.
const TRIES: u32 = 20;
const BETWEEN_TRIES: Duration = Duration::from_millis(5);

/// A process that was killed while it started another one (git) leaves the lock
/// with that until it has begun: not long, but longer where there is much to do.
const TRIES_AFTER_A_DEATH: u32 = 400;

/// Who reconciles with a state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Process number on its host.
    pub pid: u32,
    /// The host's name.
    pub host: String,
    /// The command, such as `freshen run`.
    pub command: String,
    /// Milliseconds since the epoch.
    pub since_ms: i64,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = jiff::Timestamp::from_millisecond(self.since_ms).unwrap_or_default();
        let Self {
            pid, host, command, ..
        } = self;
        write!(f, "`{command}` (process {pid} on {host}, since {since:.0})")
    }
}

impl Holder {
    /// Whether it has ended, as far as `other`, a process that lives, can see.
    fn is_dead_beside(&self, other: &Self) -> bool {
        let is_there = |pid: u32| Path::new("/proc").join(pid.to_string()).exists();
        self.host == other.host && is_there(other.pid) && !is_there(self.pid)
    }
}

/// Who holds the state at `path` now, if anybody does.
pub fn holder(path: &Path) -> Option<Holder> {
    let mut file = File::open(lock_path(&super::store::resolved(path))).ok()?;
    let holder = read(&mut file)?;
    // The kernel frees the lock of a process that died; its name stays behind.
    match file.try_lock_shared() {
        Ok(()) => None,
        Err(_) => Some(holder),
    }
}

/// Held until dropped, or until the process ends, however it ends.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Lock {
    pub(super) fn take(state: &Path, holder: &Holder) -> Result<Self> {
        let path = lock_path(state);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(StateError::io("open", &path))?;
        for tries in 1.. {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(source)) => {
                    return Err(StateError::io("lock", &path)(source));
                }
            }
            let held_by = read(&mut file);
            let is_dead = held_by.as_ref().is_some_and(|it| it.is_dead_beside(holder));
            if tries >= if is_dead { TRIES_AFTER_A_DEATH } else { TRIES } {
                return Err(StateError::Held {
                    path: state.to_owned(),
                    holder: Box::new(held_by.unwrap_or_else(unnamed)),
                });
            }
            thread::sleep(BETWEEN_TRIES);
        }
        write(&mut file, Some(holder)).map_err(StateError::io("write", &path))?;
        Ok(Self(file))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Only tidiness: a name without a lock behind it is not believed.
        drop(write(&mut self.0, None));
    }
}

pub(super) fn lock_path(state: &Path) -> PathBuf {
    let mut path = state.as_os_str().to_owned();
    path.push(".lock");
    path.into()
}

fn read(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).ok()?;
    file.take(64 * 1024).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

fn write(file: &mut File, holder: Option<&Holder>) -> std::io::Result<()> {
    let text = match holder {
        Some(holder) => serde_json::to_string(holder)? + "\n",
        None => String::new(),
    };
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(text.as_bytes())
}

fn unnamed() -> Holder {
    Holder {
        pid: 0,
        host: "unknown".to_owned(),
        command: "another process".to_owned(),
        since_ms: 0,
    }
}
