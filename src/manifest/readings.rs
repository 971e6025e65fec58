//! What files held, so that a file which is still the same is not parsed again.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;

use super::reading::{Reading, Shapes, read_file};
use super::source::SourceFile;
use crate::digest::Digest;

/// What each file held, by root and name.
#[derive(Debug, Default)]
pub struct Readings(BTreeMap<(usize, Arc<str>), Known>);

#[derive(Clone, Debug)]
struct Known {
    digest: Digest,
    reading: Arc<Reading>,
}

impl Readings {
    /// Reads `files`, but for those that hold what they held `before`. Most of a
    /// large tree is as it was whenever one of its files changes, and what is not
    /// made anew leaves no holes in a daemon's memory.
    pub(super) fn of(files: &[SourceFile], shapes: &Shapes, before: &Self) -> Self {
        let read = |file: &SourceFile| {
            let id = (file.root, Arc::clone(&file.name));
            let known = before.0.get(&id);
            let known = known.filter(|known| known.digest == file.digest).cloned();
            let known = known.unwrap_or_else(|| Known {
                digest: file.digest,
                reading: Arc::new(read_file(file, shapes)),
            });
            (id, known)
        };
        let readings: Vec<_> = files.par_iter().map(read).collect();
        Self(readings.into_iter().collect())
    }

    /// All of them, by root and name.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Reading> {
        self.0.values().map(|known| &*known.reading)
    }
}
