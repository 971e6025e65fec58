//! Where files come from: a folder on disk, or a commit.

use std::ffi::OsString;
use std::io;

use thiserror::Error;

use super::looks::Look;
use crate::digest::Digest;

/// One root, pinned. Paths are inside it, with `/`, the root itself is empty.
pub(super) trait Store: Send + Sync {
    /// What a folder holds, in any order.
    fn list(&self, folder: &str) -> Result<Vec<Listed>, ReadProblem>;

    /// What is at `path`, following links that stay inside the root.
    fn look(&self, path: &str) -> Result<Seen, ReadProblem>;

    /// The whole content of a regular file of at most `cap` bytes.
    fn read(&self, path: &str, cap: u64) -> Result<Vec<u8>, ReadProblem>;

    /// The digest of that content, which is not kept.
    fn digest(&self, path: &str, cap: u64) -> Result<Digest, ReadProblem> {
        self.read(path, cap).map(|bytes| Digest::of(&bytes))
    }

    /// The digest of what a regular file of any size holds; how it got here
    /// does not matter (see [`super::content`]).
    fn content(&self, path: &str) -> Result<Digest, ReadProblem>;

    /// Every path that was looked at, and how it looked; `None` where looks do not
    /// tell all, or there are more than `at_most`.
    fn looked_at(&self, at_most: usize) -> Option<Vec<(String, Look)>>;

    /// Whether everything that was looked at is still as it was.
    fn is_unchanged(&self) -> bool;
}

/// An entry of a folder.
pub(super) struct Listed {
    pub(super) name: OsString,
    pub(super) kind: Kind,
}

/// What an entry is, without following it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
    Link,
    Other,
}

impl From<std::fs::FileType> for Kind {
    fn from(kind: std::fs::FileType) -> Self {
        if kind.is_file() {
            Self::File
        } else if kind.is_dir() {
            Self::Folder
        } else if kind.is_symlink() {
            Self::Link
        } else {
            Self::Other
        }
    }
}

/// What a path leads to.
pub(super) struct Seen {
    pub(super) kind: Kind,
    /// Equal for two paths that lead to the same thing.
    pub(super) identity: (u64, u64),
}

/// Why a file cannot be read: completes "cannot read `x`: ...".
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ReadProblem {
    /// Nothing is there.
    #[error("it does not exist")]
    Missing,
    /// The path, or a link on it, leaves the manifest root.
    #[error("it lies outside the manifest root")]
    Outside,
    /// A folder, a pipe, a socket or a device.
    #[error("it is not a regular file")]
    NotRegular,
    /// More bytes than are ever read.
    #[error("it is larger than {} MiB", .cap >> 20)]
    TooLarge {
        /// The limit, in bytes.
        cap: u64,
    },
    /// The operating system said no.
    #[error("permission denied")]
    Denied,
    /// Anything else, in the words of the operating system or of git.
    #[error("{0}")]
    Failed(String),
}

impl From<io::Error> for ReadProblem {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing,
            // A refused escape never reaches the kernel's own error numbers.
            io::ErrorKind::PermissionDenied if error.raw_os_error().is_none() => Self::Outside,
            io::ErrorKind::PermissionDenied => Self::Denied,
            io::ErrorKind::IsADirectory => Self::NotRegular,
            _ => Self::Failed(error.to_string()),
        }
    }
}
