//! A scan: pin, read, work, look again; from the start if anything changed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use super::disk::Disk;
use super::index::Index;
use super::store::Store;
use super::tree::{Root, Tree};

/// A swap of links is over in far less.
const ATTEMPTS: usize = 6;

/// Why there is no result of a scan.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum LoadError {
    /// Files changed under every attempt.
    #[error("the manifests change faster than they can be read")]
    Unstable,
}

/// Reads the manifests of all roots and lets `work` make something of them.
/// Where anything changed before `work` was done, all of it is done again.
pub fn scan<T>(roots: &[PathBuf], work: impl FnMut(&Tree) -> T) -> Result<T, LoadError> {
    scan_with(&Arc::default(), roots, work)
}

/// The same, where `index` knows some of the files and learns of others.
pub fn scan_with<T>(
    index: &Arc<Index>,
    roots: &[PathBuf],
    mut work: impl FnMut(&Tree) -> T,
) -> Result<T, LoadError> {
    for _ in 0..ATTEMPTS {
        let tree = Tree::gather(roots.iter().map(|path| pin(path, index)).collect());
        if tree.is_disturbed() {
            continue;
        }
        let result = work(&tree);
        if tree.is_unchanged() {
            return Ok(result);
        }
    }
    Err(LoadError::Unstable)
}

fn pin(path: &Path, index: &Arc<Index>) -> Root {
    Root {
        name: path.display().to_string(),
        store: Disk::open(path, index).map(|disk| Box::new(disk) as Box<dyn Store>),
    }
}
