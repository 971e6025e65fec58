//! Sets of which none keeps all cores busy: they are expanded several at once,
//! before they are planned one after the other.

use std::sync::Arc;

use rayon::prelude::*;

use super::Planner;
use crate::declare::DeclaredSet;
use crate::digest::{Digest, Entry};
use crate::expand::{Compiled, Expansion};
use crate::manifest::Problem;
use crate::wire::Wire;

/// Sets that are expanded before any of them is planned: for each core, and in all,
/// so that what they are expanded to takes a hundred megabytes at most.
const AT_ONCE: usize = 8;
const AT_MOST: usize = 100;

/// A set with larger files, in bytes, is expanded when its turn comes.
const SMALL_FILES: usize = 1 << 20;

/// A set of more URLs is cut into pieces for all cores when its turn comes.
const SMALL_SET: u64 = 64 * 1024;

/// What a set wants at a target: its entries, and their digest.
type Desired = (Vec<Entry>, Digest);

/// A set, expanded.
pub(super) struct Ready {
    pub(super) expansion: Option<Arc<Expansion>>,
    pub(super) problems: Vec<Problem>,
    pub(super) partial: bool,
    /// In the order of its targets, where that was worked out ahead.
    desired: Vec<Desired>,
}

impl Ready {
    pub(super) fn new(compiled: Compiled) -> Self {
        Self {
            expansion: compiled.expansion.map(Arc::new),
            problems: compiled.problems,
            partial: compiled.partial,
            desired: Vec::new(),
        }
    }

    fn ahead(set: &DeclaredSet, wires: &[&Wire]) -> Self {
        let mut ready = Self::new(set.expand());
        let small = ready.expansion.as_deref();
        if let Some(expansion) = small.filter(|expansion| expansion.count() <= SMALL_SET) {
            let wires = wires.iter();
            ready.desired = wires.map(|wire| desired(expansion, wire)).collect();
        }
        ready
    }

    /// What is desired at each of the targets with these `wires`, in order.
    pub(super) fn desired(&mut self, wires: &[&Wire]) -> Vec<Desired> {
        if !self.desired.is_empty() {
            return std::mem::take(&mut self.desired);
        }
        let each = |expansion: &Expansion| {
            let wires = wires.iter();
            wires.map(|wire| desired(expansion, wire)).collect()
        };
        self.expansion.as_deref().map_or_else(Vec::new, each)
    }
}

fn desired(expansion: &Expansion, wire: &Wire) -> Desired {
    let entries = expansion.entries(wire);
    let digest = Digest::of_entries(&entries);
    (entries, digest)
}

impl<'a> Planner<'a> {
    /// Cuts `sets` into groups that are expanded together.
    pub(super) fn groups<'s>(
        sets: &'s [&'a DeclaredSet],
    ) -> impl Iterator<Item = &'s [&'a DeclaredSet]> {
        sets.chunks(AT_MOST.min(AT_ONCE * rayon::current_num_threads()))
    }

    /// Expands those of a group that are small.
    pub(super) fn expand_ahead(&mut self, group: &[&'a DeclaredSet]) {
        let is_due = |set: &&&DeclaredSet| {
            set.file_bytes() <= SMALL_FILES && !self.ready.contains_key(&set.name)
        };
        let small = group.iter().filter(is_due);
        let small: Vec<(&DeclaredSet, Vec<&Wire>)> =
            small.map(|set| (*set, self.wires(set))).collect();
        let ready = small
            .into_par_iter()
            .map(|(set, wires)| (set.name.clone(), Ready::ahead(set, &wires)));
        let ready: Vec<(String, Ready)> = ready.collect();
        self.ready.extend(ready);
    }

    /// How URLs become items at each target of `set`.
    pub(super) fn wires(&self, set: &DeclaredSet) -> Vec<&'a Wire> {
        self.tiers(set).map(|(_, cdn)| &cdn.wire).collect()
    }
}
