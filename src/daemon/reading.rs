//! One reading of the manifests, told from those before it.

use std::sync::Arc;

use crate::declare::{Declared, Options, declare};
use crate::load::{self, Contents, LoadError, Visited};

/// What the manifests held, and what it declares.
pub(super) struct Content {
    pub(super) contents: Contents,
    pub(super) declared: Arc<Declared>,
}

/// What a scan found, and where it has been.
pub(super) struct Reading {
    pub(super) content: Arc<Content>,
    /// It was none of those known before, so the manifests were parsed.
    pub(super) is_new: bool,
    pub(super) visited: Visited,
}

/// Reads the manifests. What reads as one of `known` is that, unparsed.
pub(super) fn read(options: &Options, known: &[Arc<Content>]) -> Result<Reading, LoadError> {
    load::scan(&options.manifests, |tree| {
        let same = known.iter().find(|content| tree.holds(&content.contents));
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
        }
    })
}
