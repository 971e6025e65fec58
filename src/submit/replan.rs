//! What calls for a new plan while the submitter runs.

use std::collections::BTreeSet;

use super::engine::{INBOX_MS, Submitter};
use super::limits::Limits;
use super::observer::Observer;
use super::outbound::Outbound;
use crate::plan::recorded::LedgerId;
use crate::state::{StateError, Store};

impl Submitter {
    /// Whether requests, time or a lane that has made room call for a new plan.
    pub(super) fn calls_for_a_plan(
        &mut self,
        store: &mut Store,
        observer: &mut dyn Observer,
        limits: &mut Limits,
        now_ms: i64,
    ) -> Result<bool, StateError> {
        if !limits.may_begin(now_ms) {
            return Ok(false);
        }
        let is_idle = |outbound: &Outbound| !outbound.lane.is_recovering();
        let has_room = self
            .outbound
            .iter()
            .any(|outbound| self.outdated.contains(&outbound.target) && is_idle(outbound));
        let is_due = |at_ms: Option<i64>| at_ms.is_some_and(|at_ms| at_ms <= now_ms);
        let is_news = self.is_to_be_sent_again() | self.has_shown();
        if is_news || has_room || is_due(limits.gate_ms) || is_due(limits.due_ms) {
            return Ok(true);
        }
        if now_ms < self.inbox_due_ms {
            return Ok(false);
        }
        self.inbox_due_ms = now_ms + INBOX_MS;
        self.open_tiers(store, limits)?;
        if Self::is_verified(store, limits)? {
            return Ok(true);
        }
        Ok(self.forgive_new_secrets() || observer.is_plan_outdated(store)?)
    }

    /// Whether a tier that waited to see the one inside it verified waits no more.
    fn is_verified(store: &Store, limits: &Limits) -> Result<bool, StateError> {
        for ledger in &limits.unverified {
            if !store.unverified(*ledger, i64::MAX)?.is_open {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Tiers that have been told in full give the next one a time.
    fn open_tiers(&self, store: &Store, limits: &mut Limits) -> Result<(), StateError> {
        if limits.tiers.is_empty() {
            return Ok(());
        }
        let wanted: BTreeSet<LedgerId> = self
            .outbound
            .iter()
            .flat_map(|outbound| outbound.lane.ledgers())
            .collect();
        let is_told = |tier: &mut Vec<LedgerId>| tier.iter().all(|it| !wanted.contains(it));
        let told: Vec<Vec<LedgerId>> = limits.tiers.extract_if(.., is_told).collect();
        for ledger in told.into_iter().flatten() {
            let gate_ms = store.gate_ms(ledger)?.unwrap_or(0);
            limits.gate_ms = Some(limits.gate_ms.map_or(gate_ms, |other| other.min(gate_ms)));
        }
        Ok(())
    }
}
