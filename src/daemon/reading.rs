//! One reading of the manifests, told from those before it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::declare::{Declared, Options, declare_again};
use crate::digest::Digest;
use crate::load::{self, Contents, Index, LoadError, Looks, Tree, Visited};

/// What the manifests held, and what it declares.
pub(super) struct Content {
    contents: Contents,
    seen: Mutex<Seen>,
    pub(super) declared: Arc<Declared>,
}

/// Where the last scan that read this has been, and how everything looked.
struct Seen {
    visited: Visited,
    looks: Option<Looks>,
}

impl Seen {
    fn by(tree: &Tree, contents: &Contents) -> Self {
        Self {
            visited: tree.visited(contents),
            looks: tree.looks(),
        }
    }
}

impl Content {
    /// Of all that was read, answers included.
    pub(super) fn digest(&self) -> Digest {
        let digests = [&self.contents.digest, &self.declared.answered];
        Digest::of_parts(digests.map(|digest| &digest.0[..]))
    }

    /// Where this was last read, if everything looks as it did then.
    fn is_still(&self, options: &Options, now_ms: i64) -> Option<Visited> {
        let mut seen = self.seen();
        let looks = seen.looks.as_mut()?;
        let is_still = self.declared.is_answered_as(&options.known)
            && looks.are_still(&options.manifests, now_ms);
        is_still.then(|| seen.visited.clone())
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a scan found, and where it has been.
pub(super) struct Reading {
    pub(super) content: Arc<Content>,
    /// It was none of those known before, so what differs from them was parsed.
    pub(super) is_new: bool,
    pub(super) visited: Visited,
    /// Files that were hashed because the index did not know them.
    pub(super) hashed: u64,
}

/// Reads the manifests, at `now_ms` or later. What looks as one of `known` is
/// that, unread; and what reads as one, unparsed.
pub(super) fn read(
    options: &Options,
    (index, now_ms): (&Arc<Index>, i64),
    known: &[Arc<Content>],
) -> Result<Reading, LoadError> {
    let still = known
        .iter()
        .find_map(|content| Some((content, content.is_still(options, now_ms)?)));
    if let Some((content, visited)) = still {
        return Ok(Reading {
            content: Arc::clone(content),
            is_new: false,
            visited,
            hashed: 0,
        });
    }
    index.begin(now_ms);
    let (mut reading, seen) = load::scan_with(index, &options.manifests, |tree| {
        let same = known.iter().find(|content| {
            content.declared.is_answered_as(&options.known) && tree.holds(&content.contents)
        });
        let seen = same.map(|content| Seen::by(tree, &content.contents));
        let content = same.map_or_else(|| content_of(tree, options, known), Arc::clone);
        let reading = Reading {
            is_new: same.is_none(),
            visited: tree.visited(&content.contents),
            content,
            hashed: 0,
        };
        (reading, seen)
    })?;
    if let Some(seen) = seen {
        *reading.content.seen() = seen;
    }
    reading.hashed = index.files_read();
    // Sets that are broken now will want the files that they had before.
    if !reading.content.declared.is_frozen() {
        index.forget_unused();
    }
    Ok(reading)
}

fn content_of(tree: &Tree, options: &Options, known: &[Arc<Content>]) -> Arc<Content> {
    let known: Vec<&Declared> = known.iter().map(|content| &*content.declared).collect();
    let declared = Arc::new(declare_again(tree, options, &known));
    let contents = tree.contents();
    Arc::new(Content {
        seen: Mutex::new(Seen::by(tree, &contents)),
        contents,
        declared,
    })
}
