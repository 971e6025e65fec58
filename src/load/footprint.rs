//! What a scan has looked at, as it is kept for other processes: by looking, and
//! without reading anything, they can tell that all of it is still the same.
#![expect(
    clippy::disallowed_methods,
    reason = "looks again at what a scan has looked at"
)]

use std::path::PathBuf;

use rayon::prelude::*;

use super::stamp::Stamp;
use super::tree::PathInRoot;
use crate::digest::Digest;

/// Every path that a scan has looked at, with what it looked like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// Folders entered, manifests, and what these name; sorted. Whatever comes
    /// to a folder or leaves it shows in how the folder itself looks.
    pub paths: Vec<PathInRoot>,
    /// Of the paths, and of what each looked like.
    pub digest: Digest,
}

impl Footprint {
    /// Of how each path looked; `None` is nothing there.
    pub(super) fn new(mut seen: Vec<(PathInRoot, Option<Stamp>)>) -> Self {
        seen.sort_unstable();
        let (paths, stamps): (Vec<_>, Vec<_>) = seen.into_iter().unzip();
        Self {
            digest: digest(&paths, &stamps),
            paths,
        }
    }

    /// Whether everything looks as it did, seen from `roots`.
    pub fn is_still(&self, roots: &[PathBuf]) -> bool {
        let look = |(root, path): &PathInRoot| {
            let found = std::fs::metadata(roots.get(*root)?.join(path)).ok()?;
            Some(Stamp::from(&found))
        };
        let stamps: Vec<Option<Stamp>> = self.paths.par_iter().map(look).collect();
        digest(&self.paths, &stamps) == self.digest
    }
}

fn digest(paths: &[PathInRoot], stamps: &[Option<Stamp>]) -> Digest {
    let seen: Vec<_> = paths
        .iter()
        .zip(stamps)
        .map(|((root, path), stamp)| {
            let root = (*root as u64).to_be_bytes();
            (root, path, stamp.map(|stamp| stamp.bytes()))
        })
        .collect();
    Digest::of_parts(seen.iter().flat_map(|(root, path, stamp)| {
        let stamp = stamp.as_ref().map_or(&[][..], |stamp| &stamp[..]);
        [&root[..], path.as_bytes(), stamp]
    }))
}
