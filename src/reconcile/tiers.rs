//! Tiers: which targets of a set may be sent to now, and when the next may.
//!
//! What waits for its origin holds up the tiers outside of it, but for what
//! somebody asked for there.

use std::collections::BTreeMap;

use super::Error;
use super::asks::ADHOC;
use super::planning::Planned;
use super::run::Run;
use crate::batch::settle::LONGEST_ESTIMATE_MS;
use crate::manifest::After;
use crate::plan::recorded::LedgerId;
use crate::plan::{SetPlan, TargetPlan};
use crate::state::{Lapse, UNVERIFIED};

/// Until when tiers are held by those inside them.
#[derive(Debug, Default)]
pub(super) struct Gates {
    /// By ledger: when the next tier may begin, in milliseconds since the epoch.
    at_ms: BTreeMap<LedgerId, i64>,
    /// Ledgers that are still looked at, and that a tier waits for.
    pub(super) unverified: Vec<LedgerId>,
}

/// The tier of a set that is to be told next.
#[derive(Debug, Default)]
pub(super) struct Turn<'p> {
    /// Those of its targets that have something to send.
    pub(super) targets: Vec<&'p TargetPlan>,
    /// Only what was asked for may go: the rest waits for a tier inside.
    pub(super) is_only_forced: bool,
    /// When it may begin, in milliseconds since the epoch, where it has to wait.
    pub(super) from_ms: Option<i64>,
}

impl Gates {
    /// What of `set` is to be told next, seen at `now_ms`.
    pub(super) fn turn<'p>(&self, set: &'p SetPlan, now_ms: i64) -> Turn<'p> {
        let mut is_inner_waiting = false;
        for tier in set.targets.chunk_by(|one, other| one.tier == other.tier) {
            let is_busy = |target: &TargetPlan| {
                if is_inner_waiting {
                    !target.forced.is_empty() || target.open > 0
                } else {
                    target.is_busy()
                }
            };
            if !tier.iter().any(is_busy) {
                is_inner_waiting |= tier.iter().any(TargetPlan::is_waiting);
                continue;
            }
            let has_work = |target: &&TargetPlan| {
                let is_wanted = !is_inner_waiting || !target.forced.is_empty();
                target.items() > 0 && is_wanted && target.hold.is_none()
            };
            let gate_ms = self.before(set, tier[0].tier);
            return Turn {
                targets: tier.iter().filter(has_work).collect(),
                is_only_forced: is_inner_waiting,
                from_ms: gate_ms.filter(|gate_ms| *gate_ms > now_ms),
            };
        }
        Turn::default()
    }

    fn before(&self, set: &SetPlan, tier: usize) -> Option<i64> {
        let inner = set.targets.iter().filter(|target| target.tier < tier);
        inner
            .filter_map(|target| self.at_ms.get(&target.ledger?).copied())
            .max()
    }
}

impl Run<'_> {
    /// Until when the tiers of `planned` are held.
    pub(super) fn gates(&self, planned: &Planned) -> Result<Gates, Error> {
        // A clock that was set back must not make a wait of years.
        let settles = self.declared.cdns.values().map(|cdn| cdn.settle_ms);
        let longest_ms = settles.max().unwrap_or(0).max(LONGEST_ESTIMATE_MS);
        let now_ms = self.tools.clock.now_ms();
        let latest_ms = now_ms.saturating_add_unsigned(longest_ms);
        let mut gates = Gates {
            at_ms: self.store.gates()?,
            unverified: Vec::new(),
        };
        for gate_ms in gates.at_ms.values_mut() {
            *gate_ms = latest_ms.min(*gate_ms);
        }
        for (ledger, timeout_ms) in self.verified_tiers(planned) {
            if let Some(gate_ms) = gates.at_ms.get_mut(&ledger)
                && self.store.unverified(ledger, i64::MAX)?.is_open
            {
                *gate_ms = gate_ms.saturating_add_unsigned(timeout_ms);
                gates.unverified.push(ledger);
            }
        }
        gates
            .unverified
            .retain(|ledger| gates.at_ms[ledger] > now_ms);
        Ok(gates)
    }

    /// Ledgers that an outer tier with anything to send waits to see verified,
    /// and for how many milliseconds at most.
    fn verified_tiers<'p>(
        &'p self,
        planned: &'p Planned,
    ) -> impl Iterator<Item = (LedgerId, u64)> + 'p {
        let sets = planned.plan.sets.iter();
        let sets = sets.filter(|set| self.is_after_verified(&set.set));
        sets.flat_map(move |set| {
            let outer = set.targets.iter().filter(|target| !target.is_fresh());
            let outermost = outer.map(|target| target.tier).max().unwrap_or(0);
            let inner = set.targets.iter();
            let inner = inner.filter(move |target| target.tier < outermost);
            inner.filter_map(|target| {
                let verify = self.declared.cdns.get(&target.cdn)?.verify?;
                Some((target.ledger?, verify.timeout_ms))
            })
        })
    }

    fn is_after_verified(&self, set: &str) -> bool {
        let set = self.declared.sets.get(set);
        set.is_some_and(|set| set.after == After::Verified)
    }

    /// Says once that a tier begins although what is inside it was not seen to
    /// have taken effect.
    pub(super) fn note_unverified(
        &mut self,
        set: &SetPlan,
        target: &TargetPlan,
        now_ms: i64,
    ) -> Result<(), Error> {
        let Some(ledger) = target.ledger.filter(|_| target.tier > 0) else {
            return Ok(());
        };
        if !self.is_after_verified(&set.set) {
            return Ok(());
        }
        let since_ms = self.store.owed_since_ms(ledger)?.unwrap_or(now_ms);
        let (mut items, mut gate_ms) = (0, since_ms);
        for inner in set.targets.iter().filter(|inner| inner.tier < target.tier) {
            if let Some(ledger) = inner.ledger {
                items += self.store.unverified(ledger, since_ms)?.items;
                gate_ms = gate_ms.max(self.store.gate_ms(ledger)?.unwrap_or(gate_ms));
            }
        }
        if items == 0 {
            return Ok(());
        }
        let lapse = Lapse {
            at_ms: now_ms,
            set: set.set.clone(),
            detail: format!(
                "the tier of {} begins although {items} of the URLs looked at inside it were not \
                 seen to have changed: `verify.timeout` was over",
                target.cdn
            ),
        };
        if self.store.lapsed(UNVERIFIED, &lapse, gate_ms)? {
            self.note(lapse);
        }
        Ok(())
    }

    /// When the first outer tier that has something to send may start.
    pub(super) fn next_gate(&self, planned: &Planned, gates: &Gates) -> Option<i64> {
        let now_ms = self.tools.clock.now_ms();
        let waiting = planned.plan.sets.iter().filter_map(|set| {
            let turn = gates.turn(set, now_ms);
            let is_free = |target: &&TargetPlan| !self.is_halted(&target.cdn);
            turn.from_ms.filter(|_| turn.targets.iter().any(is_free))
        });
        waiting.min()
    }

    /// The ledgers of every tier that is being told while somebody waits for
    /// it: an outer tier, or who asked for URLs that nobody declares.
    pub(super) fn open_tiers(&self, planned: &Planned, gates: &Gates) -> Vec<Vec<LedgerId>> {
        let now_ms = self.tools.clock.now_ms();
        let tiers = planned.plan.sets.iter().filter_map(|set| {
            let turn = gates.turn(set, now_ms);
            if turn.from_ms.is_some() || turn.is_only_forced {
                // It is in no lane, and so not told either.
                return None;
            }
            let mut targets = set.targets.iter();
            let tier = targets.find(|target| target.is_busy())?.tier;
            let is_outer = |target: &TargetPlan| target.tier > tier && !target.is_fresh();
            let is_going = |target: &TargetPlan| target.hold.is_none() && target.block.is_none();
            let inner = || set.targets.iter().filter(|target| target.tier == tier);
            if !set.targets.iter().any(is_outer) || !inner().all(is_going) {
                return None;
            }
            Some(inner().filter_map(|target| target.ledger).collect())
        });
        let adhoc = planned.plan.sets.iter().filter(|set| set.set == ADHOC);
        let adhoc = adhoc.flat_map(|set| &set.targets);
        let asked = adhoc.filter(|target| target.items() > 0 && target.hold.is_none());
        let asked = asked.filter_map(|target| Some(vec![target.ledger?]));
        tiers.chain(asked).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{Digest, Entry, ItemKind, Key, Mark};

    /// A target of its tier, with so much to send, asked for and waiting.
    fn target(tier: u8, send: u8, forced: u8, waiting: u8) -> TargetPlan {
        let entries = |count: u8| {
            let entry = |n: u8| Entry::new(Key::of(ItemKind::Url, &[n]), Mark::of(&[]));
            (0..count).map(entry).collect::<Vec<_>>()
        };
        let ledger = crate::plan::recorded::RecordedLedger {
            id: LedgerId(tier.into()),
            algorithm: String::new(),
            wire: Digest::of(b""),
            desired: None,
            is_settled: true,
            count: 0,
            declared: 0,
            gate_ms: None,
            owed_since_ms: None,
        };
        let mut plan = TargetPlan::fresh("cdn", "cdn", tier.into(), &ledger, Digest::of(b""));
        (plan.send, plan.forced) = (entries(send), entries(forced));
        plan.waiting.entries = entries(waiting);
        plan
    }

    /// Seen at 50, where what is inside of every tier has settled at 100 times its
    /// number: which tier is next, from when, and with how much of it.
    fn check(targets: Vec<TargetPlan>, expected: Option<(usize, Option<i64>, bool)>) {
        let gates = Gates {
            at_ms: (0..3).map(|tier| (LedgerId(tier), tier * 100)).collect(),
            unverified: Vec::new(),
        };
        let set = SetPlan {
            set: "set".to_owned(),
            id: Digest::of(b""),
            content: Digest::of(b""),
            place: None,
            targets,
        };
        let turn = gates.turn(&set, 50);
        let tier = turn.targets.first().map(|target| target.tier);
        let found = tier.map(|tier| (tier, turn.from_ms, turn.is_only_forced));
        assert_eq!(found, expected);
    }

    #[test]
    fn the_innermost_tier_with_anything_to_send_is_next() {
        let fresh = |tier| target(tier, 0, 0, 0);
        check(vec![fresh(0), fresh(1)], None);
        check(
            vec![target(0, 1, 0, 0), target(1, 1, 0, 0)],
            Some((0, None, false)),
        );
        check(vec![fresh(0), target(1, 1, 0, 0)], Some((1, None, false)));
        let all = vec![fresh(0), fresh(1), target(2, 1, 0, 0)];
        check(all, Some((2, Some(100), false)));
    }

    #[test]
    fn what_waits_for_its_origin_lets_only_what_was_asked_for_pass() {
        let waits = || target(0, 0, 0, 1);
        check(vec![waits(), target(1, 1, 0, 0)], None);
        check(vec![waits(), target(1, 1, 1, 0)], Some((1, None, true)));
        check(
            vec![target(0, 0, 1, 1), target(1, 0, 1, 0)],
            Some((0, None, false)),
        );
        let all = vec![waits(), target(1, 1, 0, 0), target(2, 0, 1, 0)];
        check(all, Some((2, Some(100), true)));
    }
}
