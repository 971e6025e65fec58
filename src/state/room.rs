//! How much room there is for a state.
#![expect(
    clippy::disallowed_methods,
    reason = "looks at the state file and at its disk"
)]

use std::fs;
use std::path::Path;

use super::{Result, StateError, store};

/// Room on the disk of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// What the state takes now; nothing where there is none.
    pub state_bytes: u64,
    /// What this user may still write beside it.
    pub free_bytes: u64,
}

/// The room for the state at `path`; `None` where the system does not tell. A
/// folder that is not there is an error: nothing creates it.
pub fn room(path: &Path) -> Result<Option<Room>> {
    let path = store::resolved(path);
    let folder = store::folder_of(&path);
    fs::metadata(folder).map_err(StateError::io("read", folder))?;
    let Ok(disk) = rustix::fs::statvfs(folder) else {
        return Ok(None);
    };
    Ok(Some(Room {
        state_bytes: fs::metadata(&path).map_or(0, |file| file.len()),
        free_bytes: disk.f_bavail.saturating_mul(disk.f_frsize),
    }))
}
