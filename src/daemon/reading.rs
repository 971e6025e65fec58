//! One reading of the manifests, told from those before it.

use std::sync::Arc;

use crate::declare::{Declared, Options, declare};
use crate::digest::Digest;
use crate::load::{self, Contents, Index, LoadError, Visited};

/// What the manifests held, and what it declares.
pub(super) struct Content {
    contents: Contents,
    pub(super) declared: Arc<Declared>,
}

impl Content {
    /// Of all that was read, answers included.
    pub(super) fn digest(&self) -> Digest {
        let digests = [&self.contents.digest, &self.declared.answered];
        Digest::of_parts(digests.map(|digest| &digest.0[..]))
    }
}

/// What a scan found, and where it has been.
pub(super) struct Reading {
    pub(super) content: Arc<Content>,
    /// It was none of those known before, so the manifests were parsed.
    pub(super) is_new: bool,
    pub(super) visited: Visited,
    /// Files that were hashed because the index did not know them.
    pub(super) hashed: u64,
}

/// Reads the manifests, at `now_ms` or later. What reads as one of `known` is
/// that, unparsed.
pub(super) fn read(
    options: &Options,
    (index, now_ms): (&Arc<Index>, i64),
    known: &[Arc<Content>],
) -> Result<Reading, LoadError> {
    index.begin(now_ms);
    let mut reading = load::scan_with(index, &options.manifests, |tree| {
        let same = known.iter().find(|content| {
            content.declared.is_answered_as(&options.known) && tree.holds(&content.contents)
        });
        let content = same.map_or_else(
            || {
                let declared = Arc::new(declare(tree, options));
                let contents = tree.contents();
                Arc::new(Content { contents, declared })
            },
            Arc::clone,
        );
        Reading {
            is_new: same.is_none(),
            visited: tree.visited(&content.contents),
            content,
            hashed: 0,
        }
    })?;
    reading.hashed = index.files_read();
    // Sets that are broken now will want the files that they had before.
    if !reading.content.declared.is_frozen() {
        index.forget_unused();
    }
    Ok(reading)
}
