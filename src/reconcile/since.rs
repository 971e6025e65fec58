//! Reconciling without a state: what was declared at a commit stands in for
//! what the CDNs have been told.

use std::collections::BTreeSet;

use super::{Error, planning};
use crate::declare::Declared;
use crate::digest::Digest;
use crate::manifest::Problem;
use crate::state::{Begin, Store};

/// What could not be taken over from the commit.
#[derive(Debug, Default)]
pub struct Unknown {
    /// Sets that cannot be expanded as they stood at the commit: nothing can
    /// be said about what changed in them.
    pub sets: BTreeSet<String>,
    /// Why.
    pub problems: Vec<Problem>,
}

/// Records in `store`, which is empty, that the CDNs have everything that
/// `base` declares.
pub fn record(base: &Declared, store: &mut Store, now_ms: i64) -> Result<Unknown, Error> {
    let mut unknown = Unknown {
        sets: base.broken.iter().chain(&base.left_out).cloned().collect(),
        problems: base.problems.clone(),
    };
    let (mut begins, mut keeps) = (Vec::new(), Vec::new());
    for set in base.sets.values() {
        let compiled = set.expand();
        let Some(expansion) = compiled.expansion else {
            unknown.sets.insert(set.name.clone());
            unknown.problems.extend(compiled.problems);
            continue;
        };
        keeps.push(planning::keep_all(base, set, &expansion));
        for cdn in set
            .tiers
            .iter()
            .flatten()
            .filter_map(|name| base.cdns.get(name))
        {
            let entries = expansion.entries(&cdn.wire);
            begins.push(Begin {
                set: set.name.clone(),
                target: store.target(cdn.provider.target())?.id,
                wire: cdn.wire.digest(),
                desired: Digest::of_entries(&entries),
                owe: Vec::new(),
                record: entries,
                departed: Vec::new(),
                forget: Vec::new(),
                approve: None,
            });
        }
    }
    store.begin_keeping(&begins, &keeps, now_ms)?;
    Ok(unknown)
}
