//! What is kept of the inputs of sets that have what leaves them invalidated,
//! so that it can be told what has left: what they yield now, and beside it
//! what has left and is still to be sent.

use super::Planner;
use super::leaving::Leaving;
use crate::declare::{Declared, DeclaredSet};
use crate::digest::{Digest, ItemKind, Key};
use crate::expand::{Expansion, Kept};
use crate::manifest::OnRemove;
use crate::plan::recorded::RecordedSet;
use crate::state::{Keep, KeptInputs};

/// What is kept of a set that has nothing left to send.
pub fn keep_all(declared: &Declared, set: &DeclaredSet, expansion: &Expansion) -> Keep {
    if set.on_remove == OnRemove::Ignore {
        return nothing(&set.name);
    }
    let terms = terms_of(declared, set, Some(set.inputs));
    keep(&set.name, &Kept::of(expansion), terms, None)
}

pub(super) fn nothing(set: &str) -> Keep {
    Keep {
        set: set.to_owned(),
        inputs: None,
        bytes: None,
    }
}

/// Keeps `kept` on these terms; what is recorded `before` is not written again.
pub(super) fn keep(set: &str, kept: &Kept, terms: KeptInputs, before: Option<&KeptInputs>) -> Keep {
    let bytes = kept.to_bytes();
    let digest = Digest::of(&bytes);
    let is_known = before.is_some_and(|before| before.digest == digest);
    Keep {
        set: set.to_owned(),
        inputs: Some(KeptInputs { digest, ..terms }),
        bytes: (!is_known).then_some(bytes),
    }
}

/// What is recorded beside a set's inputs; their own digest is still to come.
fn terms_of(declared: &Declared, set: &DeclaredSet, whole: Option<Digest>) -> KeptInputs {
    let identity = |name: &String| Some(declared.cdns.get(name)?.provider.target().to_owned());
    let tiers = set.tiers.iter();
    KeptInputs {
        digest: Digest([0; 32]),
        whole,
        limits: set.limits,
        tiers: tiers
            .map(|names| names.iter().filter_map(identity).collect())
            .collect(),
    }
}

impl Planner<'_> {
    /// Notes what is kept of a set that was planned, from now on.
    pub(super) fn keep(
        &mut self,
        set: &DeclaredSet,
        recorded: Option<&RecordedSet>,
        expansion: &Expansion,
    ) {
        let before = recorded.and_then(|recorded| self.kept.get(&recorded.id));
        if set.on_remove == OnRemove::Ignore {
            if before.is_some() {
                let keep = nothing(&set.name);
                self.planned.keeps.insert(set.name.clone(), keep);
            }
            return;
        }
        let all = terms_of(self.declared, set, Some(set.inputs));
        if before.is_some_and(|before| {
            all == KeptInputs {
                digest: all.digest,
                ..before.clone()
            }
        }) {
            return;
        }
        let left = self.leaving.get(&set.name);
        let left = left.map_or_else(Kept::default, |leaving| self.needed(leaving));
        let whole = left.is_empty().then_some(set.inputs);
        let kept = Kept::of(expansion).and(left);
        let keep = keep(&set.name, &kept, KeptInputs { whole, ..all }, before);
        self.planned.keeps.insert(set.name.clone(), keep);
    }

    /// The part of what has left the set that was just planned from which it
    /// has still something to send.
    pub(super) fn needed(&self, leaving: &Leaving) -> Kept {
        let is_awaited = |url: &str| {
            self.awaited.iter().any(|(wire, keys)| {
                let key = Key::of(ItemKind::Url, wire.item(url.as_bytes()));
                keys.binary_search(&key).is_ok()
            })
        };
        if self.awaited.iter().all(|(_, keys)| keys.is_empty()) {
            return Kept::default();
        }
        leaving.gone.clone().only(is_awaited)
    }
}
