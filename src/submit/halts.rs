//! Targets that are left alone for a while, because repeating does not help.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::engine::Submitter;
use crate::batch::lane::Halt;
use crate::digest::Digest;
use crate::plan::recorded::TargetId;
use crate::provider::Provider;

/// A target that stopped is tried again after this long.
const HALT_MS: i64 = 15 * 60 * 1000;

/// A target that is left alone for a while.
#[derive(Clone, Debug)]
pub(super) struct Halted {
    pub(super) halt: Halt,
    /// Of the Cdn manifest: another one is tried at once.
    pub(super) cdn: Digest,
    /// Of its secrets: others are tried at once.
    pub(super) secrets: Option<Digest>,
    pub(super) provider: Arc<dyn Provider>,
    pub(super) since_ms: i64,
}

impl Submitter {
    /// Targets that stopped are tried again with the next plan.
    pub fn forgive(&mut self) {
        self.halts.clear();
    }

    /// When the first of the targets that stopped is tried again.
    pub fn forgives_at_ms(&self) -> Option<i64> {
        let halts = self.halts.values();
        halts.map(|halted| halted.since_ms + HALT_MS).min()
    }

    /// Targets whose secrets have changed since they stopped are tried again
    /// with the next plan; whether there are any.
    pub fn forgive_new_secrets(&mut self) -> bool {
        let before = self.halts.len();
        let courier = &self.courier;
        self.halts
            .retain(|_, halted| courier.fingerprint(&*halted.provider) == halted.secrets);
        self.halts.len() < before
    }

    /// Targets that stopped long enough ago are tried again with the next plan.
    pub(super) fn forgive_old(&mut self, now_ms: i64) {
        self.halts
            .retain(|_, halted| (0..HALT_MS).contains(&(now_ms - halted.since_ms)));
    }

    /// Finds out before anything is journalled whether these may be called.
    pub(super) fn prepare(&mut self, targets: &BTreeSet<TargetId>, now_ms: i64) {
        let mut stopped = BTreeSet::new();
        let outbound = self.outbound.iter_mut();
        for outbound in outbound.filter(|outbound| targets.contains(&outbound.target)) {
            if outbound.lane.left() == 0 {
                continue;
            }
            let halted = self.halts.get(&outbound.target);
            if let Some(halted) = halted.filter(|halted| halted.cdn == outbound.lane.cdn()) {
                let halt = halted.halt.clone();
                outbound.lane.stop(halt.kind, halt.reason);
                continue;
            }
            self.halts.remove(&outbound.target);
            match self.courier.preflight(&*outbound.provider) {
                Err((kind, reason)) => {
                    outbound.lane.stop(kind, reason);
                    stopped.insert(outbound.target);
                }
                Ok(credentials) => {
                    let look_up = outbound.provider.look_up(&outbound.facts, &credentials);
                    if look_up.is_some() {
                        outbound.lane.require_look_up();
                    }
                }
            }
        }
        self.touch(&stopped, now_ms);
    }

    /// Budgets and waits of these targets go into the next transaction.
    pub(super) fn touch(&mut self, targets: &BTreeSet<TargetId>, now_ms: i64) {
        for outbound in &self.outbound {
            if !targets.contains(&outbound.target) {
                continue;
            }
            if let Some(halt) = outbound.lane.halt() {
                let courier = &self.courier;
                self.halts.entry(outbound.target).or_insert_with(|| Halted {
                    halt: halt.clone(),
                    cdn: outbound.lane.cdn(),
                    secrets: courier.fingerprint(&*outbound.provider),
                    provider: Arc::clone(&outbound.provider),
                    since_ms: now_ms,
                });
            }
            self.step
                .targets
                .retain(|other| other.id != outbound.target);
            self.step.targets.push(outbound.record(now_ms));
        }
    }
}
