//! Revisions that wait for their origin: what is recorded of them with a plan.

use super::Error;
use super::lanes::ExpansionSource;
use super::planning::Planned;
use super::run::Run;
use crate::batch::origin::{SAMPLE, Sampled, choose};
use crate::batch::queue::ItemSource as _;
use crate::declare::Cdn;
use crate::digest::{Entry, Key};
use crate::plan::recorded::{LedgerId, OriginWait};
use crate::plan::{SetPlan, TargetPlan};
use crate::state::{Lapse, Waits};

impl Run<'_> {
    /// Makes durable which revisions begin to wait with a plan, and which have
    /// waited long enough; those are owed already.
    pub(super) fn record_waits(&mut self, planned: &Planned, now_ms: i64) -> Result<(), Error> {
        let mut all = Vec::new();
        for set in &planned.plan.sets {
            for target in &set.targets {
                let Some(ledger) = target.ledger else {
                    continue;
                };
                if target.waiting.is_to_be_recorded() {
                    all.push(self.waits_of(planned, (set, target), ledger, now_ms)?);
                }
            }
        }
        self.store.wait_for_origins(&all, now_ms)?;
        let lapses = all.into_iter().filter_map(|waits| waits.lapse);
        self.outcome.lapses.extend(lapses);
        Ok(())
    }

    fn waits_of(
        &self,
        planned: &Planned,
        (set, target): (&SetPlan, &TargetPlan),
        ledger: LedgerId,
        now_ms: i64,
    ) -> Result<Waits, Error> {
        let waiting = &target.waiting;
        let cdn = &self.declared.cdns[&target.cdn];
        let mut waits = Waits {
            ledger,
            go_on: waiting.recorded.clone(),
            begin: waiting.begin.clone(),
            sample: Vec::new(),
            over: Vec::new(),
            lapse: None,
        };
        let (mut unseen, mut told) = (0, None);
        for wait in &waiting.ended {
            let is_sent = |entry: &Entry| {
                let has = |entries: &[Entry]| entries.binary_search(entry).is_ok();
                has(&target.send) || has(&target.forced)
            };
            let (over, left): (Vec<Entry>, _) = wait.entries.iter().copied().partition(is_sent);
            if !wait.is_shown {
                unseen += over.len();
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
            detail: format!(
                "{unseen} URLs were sent to {} before the origin was seen to have new bytes: \
                 `waitForOrigin` was over, and {}",
                target.cdn,
                told.unwrap_or("nobody had looked")
            ),
        });
        if !waits.begin.is_empty() {
            waits.sample = self.sample(planned, (set, cdn), &waits.begin)?;
        }
        Ok(waits)
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
        let mut source = ExpansionSource::new(expansion, &cdn.wire);
        let mut sample = Vec::new();
        while !keys.is_empty() {
            let wanted = |key: Key| keys.binary_search(&key).is_ok();
            let found = source.read(&wanted, keys.len());
            if found.is_empty() {
                break;
            }
            for (key, item) in found {
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

/// URLs that are looked at together.
pub(super) fn sample_size(cdn: &Cdn) -> usize {
    cdn.verify.map_or(SAMPLE, |verify| verify.sample)
}
