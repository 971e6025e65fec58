//! What files held, so that a file which is still the same is not parsed again.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use rayon::prelude::*;

use super::reading::{Reading, Shapes, read_file};
use super::source::SourceFile;
use crate::digest::Digest;

/// What each file held, in the order of the files.
#[derive(Default)]
pub struct Readings(Vec<Arc<Known>>);

/// A file, by all that its reading comes from.
struct Known {
    root: usize,
    path: String,
    name: Arc<str>,
    digest: Digest,
    reading: Reading,
}

impl Readings {
    /// Reads `files`, but for those that held the same in one of `before`. Most of
    /// a large tree is as it was whenever one of its files changes, and what is not
    /// made anew leaves no holes in a daemon's memory.
    pub(super) fn of(files: &[SourceFile], shapes: &Shapes, before: &[&Self]) -> Self {
        let before = before.iter().flat_map(|readings| &readings.0);
        let before: HashMap<_, _> = before
            .map(|known| ((known.root, known.path.as_str(), known.digest), known))
            .collect();
        let read = |file: &SourceFile| {
            let known = before.get(&(file.root, file.path.as_str(), file.digest));
            let known = known.filter(|known| known.name == file.name);
            known.map_or_else(
                || Arc::new(Known::read(file, shapes)),
                |&known| known.clone(),
            )
        };
        Self(files.par_iter().map(read).collect())
    }

    /// All of them, in the order of the files.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Reading> {
        self.0.iter().map(|known| &known.reading)
    }
}

impl Known {
    fn read(file: &SourceFile, shapes: &Shapes) -> Self {
        Self {
            root: file.root,
            path: file.path.clone(),
            name: Arc::clone(&file.name),
            digest: file.digest,
            reading: read_file(file, shapes),
        }
    }
}

/// Files may hold anything, so that none of it is shown.
impl fmt::Debug for Readings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readings")
            .field("files", &self.0.len())
            .finish_non_exhaustive()
    }
}
