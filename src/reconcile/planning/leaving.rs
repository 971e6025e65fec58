//! What has left sets that have it invalidated. It is found before they are
//! planned: what another set still declares for the same target has not left.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::ahead::Ready;
use super::{Planner, recorded_as};
use crate::declare::{Cdn, DeclaredSet};
use crate::digest::{Digest, Key};
use crate::expand::{Expansion, Kept};
use crate::manifest::OnRemove;
use crate::plan::recorded::{RecordedLedger, RecordedSet, SetId};
use crate::reconcile::asks::ADHOC;
use crate::state::StateError;

/// What has left a set since its inputs were recorded, or before that and is
/// still to be sent.
pub(super) struct Leaving {
    /// By target: sorted keys of items that no declared set yields there.
    keys: BTreeMap<String, Vec<Key>>,
    /// Where the items come from.
    pub(super) expansion: Arc<Expansion>,
    /// What that comes from.
    pub(super) gone: Kept,
    pub(super) fate: Fate,
}

/// What becomes of what has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is sent.
    Sent,
    /// Not all of the set could be read, so nothing counts as removed.
    Unknown,
    /// By now the set has what leaves it ignored.
    Dropped,
}

/// By set: sorted keys that may stand where it could not be read.
type Unread = Vec<(String, Vec<Key>)>;

impl Leaving {
    pub(super) fn at(&self, target: &str) -> &[Key] {
        self.keys.get(target).map_or(&[], Vec::as_slice)
    }

    /// The digest of what is desired at `target`, told apart by what is sent
    /// besides.
    pub(super) fn with(&self, desired: Digest, target: &str) -> Digest {
        let keys = self.at(target);
        if keys.is_empty() || self.fate != Fate::Sent {
            return desired;
        }
        let keys: Vec<u8> = keys.iter().flat_map(|key| key.to_bytes()).collect();
        Digest::of_parts([&desired.0[..], &keys])
    }
}

impl<'a> Planner<'a> {
    /// Finds what has left those of `sets` that changed.
    pub(super) fn find_leaving(&mut self, sets: &[&'a DeclaredSet]) -> Result<(), StateError> {
        let recorded = Rc::clone(&self.sets);
        for set in sets {
            let Some(recorded) = recorded_as(set, self.declared, &recorded) else {
                continue;
            };
            let Some(kept) = self.kept.get(&recorded.id) else {
                continue;
            };
            if kept.whole == Some(set.inputs) || self.unchanged(set, recorded).is_some() {
                continue;
            }
            let before = self.kept_of(recorded.id)?;
            let ready = Ready::new(set.expand());
            let now = ready.expansion.as_deref().map(Kept::of);
            let is_partial = ready.partial;
            self.ready.insert(set.name.clone(), ready);
            let Some(now) = now else { continue };
            let fate = match set.on_remove {
                OnRemove::Ignore => Fate::Dropped,
                OnRemove::Invalidate if is_partial => Fate::Unknown,
                OnRemove::Invalidate => Fate::Sent,
            };
            let (urls, assets) = set.excludes();
            let gone = before.without(&now).excluding(urls, assets);
            let cdns: Vec<&Cdn> = self.tiers(set).map(|(_, cdn)| cdn).collect();
            self.note_leaving(&set.name, (gone, fate), &cdns);
        }
        self.drop_declared()
    }

    /// The inputs that are kept of a set.
    pub(super) fn kept_of(&self, set: SetId) -> Result<Kept, StateError> {
        let records = self.records.map(|records| records.kept_inputs(set));
        records.unwrap_or_else(|| Ok(Kept::default()))
    }

    pub(super) fn note_leaving(&mut self, set: &str, (gone, fate): (Kept, Fate), cdns: &[&Cdn]) {
        if gone.is_empty() {
            return;
        }
        let expansion = gone.clone().into_expansion();
        let keys = cdns.iter().map(|cdn| {
            let keys = expansion.keys(&cdn.wire, &|_| true);
            (cdn.provider.target().to_owned(), keys)
        });
        let leaving = Leaving {
            keys: keys.collect(),
            expansion: Arc::new(expansion),
            gone,
            fate,
        };
        self.leaving.insert(set.to_owned(), leaving);
    }

    /// Takes out of what has left everything that some set still declares.
    pub(super) fn drop_declared(&mut self) -> Result<(), StateError> {
        let mut all: BTreeMap<String, Vec<Key>> = BTreeMap::new();
        for (target, keys) in self.leaving.values().flat_map(|leaving| &leaving.keys) {
            all.entry(target.clone()).or_default().extend(keys);
        }
        for (target, mut keys) in all {
            keys.sort_unstable();
            keys.dedup();
            let (declared, unread) = self.declared_of(&target, &keys)?;
            for (set, leaving) in &mut self.leaving {
                if let Some(keys) = leaving.keys.get_mut(&target) {
                    // What a set could not read of itself is its own fate to tell.
                    let others = || unread.iter().filter(|(other, _)| other != set);
                    let is_in = |keys: &[Key], key: &Key| keys.binary_search(key).is_ok();
                    keys.retain(|key| {
                        !is_in(&declared, key) && !others().any(|(_, keys)| is_in(keys, key))
                    });
                }
            }
        }
        Ok(())
    }

    /// Those of `keys` that some set declares at `target`, sorted, and by set those
    /// that are recorded of it and may stand where it could not be read. A set that
    /// cannot be read at all declares what is recorded of it.
    fn declared_of(
        &mut self,
        target: &str,
        keys: &[Key],
    ) -> Result<(Vec<Key>, Unread), StateError> {
        let (declared, sets) = (self.declared, Rc::clone(&self.sets));
        let (mut found, mut unread) = (Vec::new(), Unread::new());
        for set in declared.sets.values() {
            let mut cdns = self.tiers(set).map(|(_, cdn)| cdn);
            let Some(cdn) = cdns.find(|cdn| cdn.provider.target() == target) else {
                continue;
            };
            let recorded = recorded_as(set, declared, &sets);
            let is_changed = recorded.is_none_or(|known| self.unchanged(set, known).is_none());
            let expansion = is_changed.then(|| self.expansion_of(set)).flatten();
            if let Some(expansion) = &expansion {
                let is_wanted = |key| keys.binary_search(&key).is_ok();
                found.extend(expansion.keys(&cdn.wire, &is_wanted));
            }
            match (expansion, recorded) {
                (None, Some(recorded)) => found.extend(self.recorded_of(recorded, target, keys)?),
                (Some(_), Some(recorded)) if self.is_partial(set) => {
                    let keys = self.recorded_of(recorded, target, keys)?;
                    unread.push((set.name.clone(), keys));
                }
                _ => {}
            }
        }
        for recorded in sets.values() {
            if self.is_undeclared(recorded) && self.may_be_unread(recorded) {
                found.extend(self.recorded_of(recorded, target, keys)?);
            }
        }
        found.sort_unstable();
        found.dedup();
        Ok((found, unread))
    }

    /// Those of `keys` that are recorded of a set and have not left it.
    fn recorded_of(
        &self,
        set: &RecordedSet,
        target: &str,
        keys: &[Key],
    ) -> Result<Vec<Key>, StateError> {
        let ledger: Option<&RecordedLedger> = set.ledger(target);
        let Some((records, ledger)) = self.records.zip(ledger) else {
            return Ok(Vec::new());
        };
        let (entries, departed) = records.entries_of(ledger.id, keys)?;
        let recorded = entries.iter().map(|entry| entry.key());
        Ok(recorded
            .filter(|key| departed.binary_search(key).is_err())
            .collect())
    }

    /// The expansion of a set that changed, wherever there is one already.
    fn expansion_of(&mut self, set: &DeclaredSet) -> Option<Arc<Expansion>> {
        if let Some(known) = self.planned.expansions.get(&set.name) {
            return Some(Arc::clone(known));
        }
        let ready = self.ready.entry(set.name.clone());
        let ready = ready.or_insert_with(|| Ready::new(set.expand()));
        ready.expansion.clone()
    }

    fn is_partial(&self, set: &DeclaredSet) -> bool {
        let ready = self.ready.get(&set.name);
        ready.is_some_and(|ready| ready.partial) || self.planned.partial.contains(&set.name)
    }

    /// Whether no manifest declares a recorded set any more, by this or a later
    /// name; only where all manifests can be read.
    pub(super) fn has_vanished(&self, recorded: &RecordedSet) -> bool {
        self.is_undeclared(recorded) && !self.may_be_unread(recorded)
    }

    fn is_undeclared(&self, recorded: &RecordedSet) -> bool {
        let declared = self.declared;
        let is_carried_on = |set: &DeclaredSet| {
            let carried = recorded_as(set, declared, &self.sets);
            carried.is_some_and(|other| other.id == recorded.id)
        };
        recorded.name != ADHOC && !declared.sets.values().any(is_carried_on)
    }

    /// Whether it may be declared where it cannot be read.
    fn may_be_unread(&self, recorded: &RecordedSet) -> bool {
        let declared = self.declared;
        let mut known = declared.broken.iter().chain(&declared.left_out);
        declared.is_frozen() || known.any(|name| *name == recorded.name)
    }
}
