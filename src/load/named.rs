//! A file that manifests name, and where it is.

use std::sync::Arc;

use super::store::ReadProblem;
use super::walk::join;
use crate::digest::Digest;
use crate::manifest::Document;

/// A file that manifests name: its bytes, and what they hash to. Many sets may
/// share one, so it is hashed when it is read and not where it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hashed {
    /// The whole of it.
    pub bytes: Arc<[u8]>,
    /// Of these bytes.
    pub digest: Digest,
}

impl From<Vec<u8>> for Hashed {
    fn from(bytes: Vec<u8>) -> Self {
        Self {
            digest: Digest::of(&bytes),
            bytes: bytes.into(),
        }
    }
}

/// A file that may be larger than memory.
#[derive(Clone)]
pub(super) struct HashedOnly {
    pub(super) found: Result<Digest, ReadProblem>,
    /// Not merely looked at because another scan had it.
    pub(super) is_named: bool,
}

/// Read twice means the same bytes twice.
pub(super) type Remembered = Result<Hashed, ReadProblem>;

/// The path inside the root of a file that a manifest names.
pub(super) fn beside(document: &Document, file: &str) -> Result<String, ReadProblem> {
    if file.starts_with('/') {
        return Err(ReadProblem::Outside);
    }
    Ok(join(&document.folder, file))
}

/// The path without `.` and `..`; `None` where it leaves the root.
pub(super) fn normal(path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            _ => parts.push(part),
        }
    }
    Some(parts.join("/"))
}
