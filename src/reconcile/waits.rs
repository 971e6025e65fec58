//! Revisions that wait for their origin: what is recorded of them with a plan.

use super::Error;
use super::planning::Planned;
use super::run::Run;
use crate::batch::origin::{SAMPLE, Sampled, choose};
use crate::declare::Cdn;
use crate::digest::{Entry, Key};
use crate::plan::recorded::{LedgerId, OriginWait};
use crate::plan::{SetPlan, TargetPlan};
use crate::state::{Lapse, Waits};

impl Run<'_> {
    /// Makes durable which revisions begin to wait with a plan, before anything
    /// of it is owed: what is owed and does not wait is sent.
    pub(super) fn begin_waits(&mut self, planned: &Planned, now_ms: i64) -> Result<(), Error> {
        let mut all = Vec::new();
        for (set, target, ledger) in waiting(planned) {
            let waiting = &target.waiting;
            if waiting.begin.is_empty() && !waiting.is_outdated {
                continue;
            }
            let cdn = &self.declared.cdns[&target.cdn];
            all.push(Waits {
                go_on: waiting.recorded.clone(),
                begin: waiting.begin.clone(),
                sample: self.sample(planned, (set, cdn), &waiting.begin)?,
                ..Waits::of(ledger)
            });
        }
        Ok(self.store.wait_for_origins(&all, now_ms)?)
    }

    /// Makes durable what has waited long enough, once it is owed.
    pub(super) fn end_waits(&mut self, planned: &Planned, now_ms: i64) -> Result<(), Error> {
        let mut all = Vec::new();
        for (set, target, ledger) in waiting(planned) {
            let mut waits = Waits::of(ledger);
            let (mut unseen, mut told) = (0, None);
            for wait in &target.waiting.ended {
                let is_sent = |entry: &Entry| {
                    let has = |entries: &[Entry]| entries.binary_search(entry).is_ok();
                    has(&target.send) || has(&target.forced)
                };
                let (over, left): (Vec<Entry>, _) = wait.entries.iter().copied().partition(is_sent);
                if !wait.is_shown {
                    unseen += over.len() as u64;
                    told = told.or(wait.told.as_deref());
                }
                waits.over.extend(over);
                waits.go_on.push(OriginWait {
                    entries: left,
                    ..wait.clone()
                });
            }
            waits.over.sort_unstable();
            waits.lapse = (unseen > 0).then(|| Lapse {
                at_ms: now_ms,
                set: set.set.clone(),
                detail: unseen_at(target, unseen, told),
            });
            if !waits.over.is_empty() {
                all.push(waits);
            }
        }
        self.store.wait_for_origins(&all, now_ms)?;
        for lapse in all.into_iter().filter_map(|waits| waits.lapse) {
            self.note(lapse);
        }
        Ok(())
    }

    /// Tells that a wait was over before what it waited for was seen.
    pub(super) fn note(&mut self, lapse: Lapse) {
        self.tools.events.lapsed(&lapse);
        self.outcome.lapses.push(lapse);
    }

    /// Some of `entries`, with what their origin showed when they were last sent.
    fn sample(
        &self,
        planned: &Planned,
        (set, cdn): (&SetPlan, &Cdn),
        entries: &[Entry],
    ) -> Result<Vec<Sampled>, Error> {
        let target = self.store.target_id(cdn.provider.target())?;
        let Some((expansion, target)) = planned.expansions.get(&set.set).zip(target) else {
            return Ok(Vec::new());
        };
        let known = self.store.known_at_origin(target)?;
        let keys = entries.iter().map(|entry| entry.key());
        let mut keys = choose(keys, sample_size(cdn), &known);
        keys.sort_unstable();
        let mut sample = Vec::new();
        let mut from = Some(0);
        while let Some(cursor) = from.filter(|_| !keys.is_empty()) {
            let wanted = |key: Key| keys.binary_search(&key).is_ok().then_some(key);
            let found = expansion.find(&cdn.wire, cursor, &wanted, keys.len());
            from = found.next;
            for (key, item) in found.items {
                if let Ok(at) = keys.binary_search(&key) {
                    keys.remove(at);
                    let before = self.store.shown_at_last_purge(target, key)?;
                    sample.push(Sampled {
                        item: item.into(),
                        is_from_last_purge: before.is_some(),
                        before,
                    });
                }
            }
        }
        Ok(sample)
    }
}

/// Targets of which something waits, or has.
fn waiting(planned: &Planned) -> impl Iterator<Item = (&SetPlan, &TargetPlan, LedgerId)> {
    planned.plan.sets.iter().flat_map(|set| {
        let targets = set.targets.iter();
        let targets = targets.filter(|target| target.waiting.is_to_be_recorded());
        targets.filter_map(move |target| Some((set, target, target.ledger?)))
    })
}

fn unseen_at(target: &TargetPlan, items: u64, told: Option<&str>) -> String {
    format!(
        "{items} of its URLs go to {} although the origin was not seen to have new bytes: \
         `waitForOrigin` was over, and {}",
        target.cdn,
        told.unwrap_or("nobody had looked")
    )
}

/// URLs that are looked at together.
pub(super) fn sample_size(cdn: &Cdn) -> usize {
    cdn.verify.map_or(SAMPLE, |verify| verify.sample)
}
