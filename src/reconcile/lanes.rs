//! The lanes of a run: what is recorded before anything is sent, and what may
//! be sent now.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use super::Error;
use super::planning::Planned;
use super::run::Run;
use super::waits::sample_size;
use crate::batch::backoff;
use crate::batch::lane::{Lane, Settings};
use crate::batch::origin::AtOrigin;
use crate::batch::pending::Pending;
use crate::batch::queue::{ItemSource, ListSource, Work};
use crate::batch::rate::{Budget, Class};
use crate::declare::Cdn;
use crate::digest::{Digest, Entry};
use crate::expand::{Expansion, Found};
use crate::plan::recorded::{LedgerId, TargetId};
use crate::plan::{SetPlan, TargetPlan};
use crate::state::{Approval, Begin, Keep};
use crate::submit::outbound::Outbound;
use crate::wire::Wire;

/// An approval that nobody used is forgotten after this long.
pub(super) const APPROVAL_MS: i64 = 7 * 24 * 60 * 60 * 1000;

impl Run<'_> {
    /// Makes durable what a plan changes before anything of it is sent, and
    /// loads the lanes with what may go now.
    pub(super) fn begin(&mut self, planned: &mut Planned) -> Result<(), Error> {
        let now_ms = self.tools.clock.now_ms();
        let rows = self.target_rows()?;
        let begins_past = self.begins_past(&planned.plan);
        let keeps: Vec<Keep> = std::mem::take(&mut planned.keeps).into_values().collect();
        self.depart(planned, now_ms)?;
        self.begin_waits(planned, now_ms)?;
        let mut begins = Vec::new();
        let mut begun = Vec::new();
        for set in &mut planned.plan.sets {
            let is_unchanged = planned.unchanged.contains(&set.set);
            for target in set
                .targets
                .iter_mut()
                .filter(|target| !is_unchanged && target.is_begun())
            {
                let row = rows[&target.target];
                begins.push(begin_of(&set.set, set.id, target, row, now_ms));
                begun.push(target);
            }
        }
        let ledgers = self.store.begin_keeping(&begins, &keeps, now_ms)?;
        if begins_past {
            self.store.let_through()?;
        }
        for (target, (begin, ledger)) in begun.into_iter().zip(begins.into_iter().zip(ledgers)) {
            give_back(target, begin);
            target.ledger = Some(ledger);
        }
        self.end_waits(planned, now_ms)?;
        let lanes = self.load_lanes(planned, now_ms)?;
        self.tools.submitter.load(lanes, now_ms);
        Ok(())
    }

    /// What a blocked plan finds gone is forgotten in the end, like all else.
    fn depart(&mut self, planned: &Planned, now_ms: i64) -> Result<(), Error> {
        let is_waiting = |target: &&TargetPlan| {
            let is_blocked = target.block.is_some_and(|block| block.removed > 0);
            is_blocked && target.hold.is_none() && !target.is_begun()
        };
        let targets = planned.plan.targets().filter(is_waiting);
        let departed = targets.filter_map(|target| Some((target.ledger?, target.departed.clone())));
        let departed: Vec<_> = departed.collect();
        if !departed.is_empty() {
            self.store.depart(&departed, now_ms)?;
        }
        Ok(())
    }

    fn load_lanes(&mut self, planned: &Planned, now_ms: i64) -> Result<Vec<Outbound>, Error> {
        let gates = self.gates(planned)?;
        let mut outbound = self.outbound()?;
        for set in &planned.plan.sets {
            let turn = gates.turn(set, now_ms);
            if turn.from_ms.is_some() {
                continue;
            }
            for target in turn.targets {
                self.note_unverified(set, target, now_ms)?;
                let ledger = target.ledger;
                let ledger = ledger.expect("what is to be sent has begun, and so has a ledger");
                let mut lanes = outbound.iter_mut();
                let lane = lanes.find(|outbound| outbound.provider.target() == target.target);
                if let Some(outbound) = lane {
                    let cdn = &self.declared.cdns[&target.cdn];
                    let work = (target, turn.is_only_forced, ledger);
                    load(&mut outbound.lane, set, work, (planned, cdn));
                }
            }
        }
        Ok(outbound)
    }

    /// A lane for every target declared, none with work.
    pub(super) fn outbound(&mut self) -> Result<Vec<Outbound>, Error> {
        let now_ms = self.tools.clock.now_ms();
        let mut all: Vec<Outbound> = Vec::new();
        for cdn in self.declared.cdns.values() {
            if all
                .iter()
                .any(|outbound| outbound.provider.target() == cdn.provider.target())
            {
                continue;
            }
            let row = self.store.target(cdn.provider.target())?;
            let settings = Settings {
                target: row.id,
                max_items: cdn.max_batch as usize,
                concurrency: cdn.concurrency as usize,
                settle_ms: cdn.settle_ms,
                cdn: cdn.digest,
            };
            // A clock that was set back must not make a wait of years.
            let latest_ms = now_ms.saturating_add_unsigned(backoff::LONGEST_TOLD_MS);
            let lane = Lane::new(
                settings,
                Budget::new(&cdn.rate, &row.tats, now_ms),
                row.retry_at_ms.map(|at_ms| at_ms.min(latest_ms)),
                row.attempts,
            );
            let provider = Arc::clone(&cdn.provider);
            // Of several Cdns with this target, any may say how it is looked at.
            let is_same = |other: &&Cdn| other.provider.target() == cdn.provider.target();
            let same = || self.declared.cdns.values().filter(is_same);
            all.push(Outbound {
                target: row.id,
                cdn: cdn.name.clone(),
                provider,
                facts: row.facts,
                lane,
                verify: same().find_map(|cdn| cdn.verify),
                origin: same().find_map(at_origin),
                repeat_ms: cdn.repeat_ms.clone(),
            });
        }
        Ok(all)
    }

    fn target_rows(&mut self) -> Result<BTreeMap<String, TargetId>, Error> {
        let mut rows = BTreeMap::new();
        for cdn in self.declared.cdns.values() {
            let target = cdn.provider.target();
            rows.insert(target.to_owned(), self.store.target(target)?.id);
        }
        Ok(rows)
    }
}

/// What is recorded before anything of a target's plan is sent. The entries to
/// send are lent to it, since there may be ten million of them.
fn begin_of(set: &str, id: Digest, target: &mut TargetPlan, row: TargetId, now_ms: i64) -> Begin {
    let approve = std::mem::take(&mut target.approve);
    let approval = (!approve.is_empty()).then(|| Approval {
        plan: id,
        request: 0,
        entries: approve,
        expires_ms: now_ms.saturating_add(APPROVAL_MS),
    });
    let is_held = target.hold.is_some();
    let mut owe = if is_held {
        Vec::new()
    } else {
        std::mem::take(&mut target.send)
    };
    // While an outer tier waits the inner ones may be told another revision.
    let waiting = if target.tier > 0 {
        &target.waiting.entries[..]
    } else {
        &[]
    };
    let more = [&target.forced[..], &target.removed, waiting];
    if !is_held && more.iter().any(|more| !more.is_empty()) {
        owe.extend(more.into_iter().flatten());
        owe.sort_unstable();
    }
    Begin {
        set: set.to_owned(),
        target: row,
        wire: target.wire,
        desired: target.desired,
        owe,
        record: std::mem::take(&mut target.record),
        departed: std::mem::take(&mut target.departed),
        forget: Vec::new(),
        approve: approval,
    }
}

/// The inverse of the lending in [`begin_of`].
fn give_back(target: &mut TargetPlan, begin: Begin) {
    if target.hold.is_some() {
        return;
    }
    target.send = begin.owe;
    target.send.retain(|entry| !entry.mark().is_removed());
    for other in [&target.forced, &target.waiting.entries] {
        let is_other = |entry: &Entry| other.binary_search(entry).is_ok();
        target
            .send
            .retain(|entry| other.is_empty() || !is_other(entry));
    }
}

fn load(
    lane: &mut Lane,
    set: &SetPlan,
    (target, is_only_forced, ledger): (&TargetPlan, bool, LedgerId),
    (planned, cdn): (&Planned, &Cdn),
) {
    let declared = planned.expansions.get(&set.set);
    let left = planned.leaving.get(&set.set);
    let (send, removed) = if is_only_forced {
        (&[][..], &[][..])
    } else {
        (&target.send[..], &target.removed[..])
    };
    let parts = [
        (Class::Forced, &target.forced[..], declared),
        (Class::Removed, removed, left),
        (Class::Planned, send, declared),
    ];
    let parts = parts.into_iter();
    for (class, entries, expansion) in parts.filter(|(_, entries, _)| !entries.is_empty()) {
        let source: Box<dyn ItemSource> = match expansion {
            Some(expansion) => Box::new(ExpansionSource::new(expansion, &cdn.wire)),
            None => Box::new(adhoc(planned, entries)),
        };
        lane.add(Work::new(&set.set, ledger, class, entries.to_vec(), source));
    }
}

fn adhoc(planned: &Planned, entries: &[Entry]) -> ListSource {
    let item = |entry: &Entry| Some((entry.key(), planned.adhoc.get(&entry.key())?.clone()));
    ListSource::new(entries.iter().filter_map(item))
}

/// Where new bytes are looked for, if anything waits for them.
fn at_origin(cdn: &Cdn) -> Option<AtOrigin> {
    cdn.wait_for_origin_ms?;
    Some(AtOrigin {
        server: cdn.origin.clone()?,
        sample: sample_size(cdn),
    })
}

/// A cursor into a set's expansion: URLs come into being batch by batch, the next
/// ones while those before them are sent.
#[derive(Debug)]
struct ExpansionSource {
    expansion: Arc<Expansion>,
    wire: Wire,
    next: Option<u64>,
    /// Items so far: once there are as many as are wanted, none are left to be found.
    found: usize,
    /// What is found from `next` on, once that has been looked for.
    ahead: Option<Receiver<Found<usize>>>,
}

impl ExpansionSource {
    fn new(expansion: &Arc<Expansion>, wire: &Wire) -> Self {
        Self {
            expansion: Arc::clone(expansion),
            wire: wire.clone(),
            next: Some(0),
            found: 0,
            ahead: None,
        }
    }

    /// Has what follows looked for on another thread.
    fn look_ahead(&mut self, wanted: &Arc<Pending>, at_most: usize) {
        let Some(from) = self.next else { return };
        let (found, ahead) = sync_channel(1);
        let (expansion, wire) = (Arc::clone(&self.expansion), self.wire.clone());
        let wanted = Arc::clone(wanted);
        rayon::spawn(move || {
            let wanted = |key| wanted.position(key);
            let find = || expansion.find(&wire, from, &wanted, at_most);
            // A defect of ours shows where this is waited for, instead of ending the
            // process; and whoever waited may be gone.
            if let Ok(ahead) = catch_unwind(AssertUnwindSafe(find)) {
                _ = found.send(ahead);
            }
        });
        self.ahead = Some(ahead);
    }
}

impl ItemSource for ExpansionSource {
    fn read(&mut self, wanted: &Arc<Pending>, at_most: usize) -> Vec<(usize, Box<str>)> {
        while let Some(from) = self.next {
            let ahead = self.ahead.take().and_then(|ahead| ahead.recv().ok());
            let found = ahead.unwrap_or_else(|| {
                let wanted = |key| wanted.position(key);
                self.expansion.find(&self.wire, from, &wanted, at_most)
            });
            self.next = found.next;
            if !found.items.is_empty() {
                self.found += found.items.len();
                if self.found < wanted.len() {
                    self.look_ahead(wanted, at_most);
                }
                return found.items;
            }
        }
        Vec::new()
    }
}
