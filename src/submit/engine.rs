//! The submitter: drives the lanes of all targets until they have nothing
//! left, journalling every turn before it acts on it.
//!
//! It outlives a plan. A new plan takes the place of whatever was not sent yet,
//! and never waits for calls under way: a lane that has any finishes them by
//! itself, and is loaded again by the plan that is made once it has.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use tokio::task::{self, JoinSet};

use super::awaiting::Awaiting;
use super::clock::Clock;
use super::courier::{Courier, Errand};
use super::flight::{Arrival, Flight};
use super::halts::Halted;
use super::limits::{Limits, Pause};
use super::observer::{Observer, Progress};
use super::outbound::{LaneReport, Outbound};
use super::stop::Stop;
use super::verifying::Verifying;
use crate::batch::Ticket;
use crate::batch::journal::{BatchNo, OpenBatch};
use crate::batch::lane::Next;
use crate::batch::verdict::Reason;
use crate::batch::verify::Finding;
use crate::digest::Digest;
use crate::plan::recorded::TargetId;
use crate::state::{StateError, Step, Store};

/// How often requests of other processes are looked for.
pub(super) const INBOX_MS: i64 = 500;

/// One in so many of a lane's free calls begins with a transaction, and no more than so
/// many: the first are on their way while the next are cut, and a call that is free
/// alone waits for no others.
const FILLED_IN: usize = 4;

/// Drives lanes.
#[derive(Debug)]
pub struct Submitter {
    pub(super) courier: Arc<Courier>,
    pub(super) outbound: Vec<Outbound>,
    /// Targets whose lanes hold an earlier plan's work: they finish what is
    /// under way and take nothing new.
    pub(super) outdated: BTreeSet<TargetId>,
    pub(super) tasks: JoinSet<Arrival>,
    pub(super) flights: HashMap<task::Id, Flight>,
    pub(super) ids: HashMap<BatchNo, Digest>,
    pub(super) step: Step,
    /// Whose batches `step.open` holds, in its order.
    pub(super) opening: Vec<(TargetId, Ticket)>,
    pub(super) halts: BTreeMap<TargetId, Halted>,
    /// What went wrong with the last call to each target, where something did.
    pub(super) faults: BTreeMap<TargetId, Reason>,
    pub(super) verifying: Verifying,
    pub(super) awaiting: Awaiting,
    /// By target and item: what looking has shown since the last report.
    pub(super) findings: BTreeMap<TargetId, BTreeMap<String, Finding>>,
    pub(super) inbox_due_ms: i64,
    /// What the clock showed when it was last looked at.
    pub(super) seen_ms: i64,
    done: u64,
}

impl Submitter {
    /// A submitter with nothing to do.
    pub fn new(courier: Arc<Courier>) -> Self {
        Self {
            courier,
            outbound: Vec::new(),
            outdated: BTreeSet::new(),
            tasks: JoinSet::new(),
            flights: HashMap::new(),
            ids: HashMap::new(),
            step: Step::default(),
            opening: Vec::new(),
            halts: BTreeMap::new(),
            faults: BTreeMap::new(),
            verifying: Verifying::default(),
            awaiting: Awaiting::default(),
            findings: BTreeMap::new(),
            inbox_due_ms: 0,
            seen_ms: i64::MIN,
            done: 0,
        }
    }

    /// Takes back whatever was not sent: of all targets where `is_changed`, the
    /// manifests or what was asked for; else of those that stopped long enough
    /// ago. Batches of unknown outcome stay open in the journal.
    pub fn clear(
        &mut self,
        store: &mut Store,
        now_ms: i64,
        is_changed: bool,
    ) -> Result<(), StateError> {
        self.forgive_old(now_ms);
        for outbound in &self.outbound {
            let is_forgiven =
                outbound.lane.halt().is_some() && !self.halts.contains_key(&outbound.target);
            if is_changed || is_forgiven {
                self.outdated.insert(outbound.target);
            }
        }
        for target in self.outdated.clone() {
            self.make_room(target);
        }
        self.journal(store, now_ms)
    }

    /// Whether a lane has this open batch: under way, or about to be sent.
    pub fn has(&self, no: BatchNo) -> bool {
        self.outbound.iter().any(|outbound| outbound.lane.has(no))
    }

    /// Sends these batches of unknown outcome once more, each through an empty
    /// lane of `idle`, before their targets are loaded again.
    pub fn replay(&mut self, mut idle: Vec<Outbound>, batches: Vec<OpenBatch>, now_ms: i64) {
        let mut targets = BTreeSet::new();
        for batch in batches {
            self.ids.insert(batch.no, batch.id);
            let target = batch.batch.target;
            if let Some(at) = idle.iter().position(|outbound| outbound.target == target)
                && self.lane_of(target).is_none()
            {
                self.outbound.push(idle.swap_remove(at));
            }
            if targets.insert(target) {
                self.make_room(target);
            }
            if let Some(outbound) = self.lane_of_mut(target) {
                outbound.lane.replay(batch);
            }
        }
        self.prepare(&targets, now_ms);
    }

    /// Loads the lanes of a new plan. One with calls under way goes on with
    /// them; it keeps its work if the plan has the same, and else makes room
    /// once they are back.
    pub fn load(&mut self, lanes: Vec<Outbound>, now_ms: i64) {
        let mut loaded = BTreeSet::new();
        for lane in lanes {
            let target = lane.target;
            let Some(at) = self
                .outbound
                .iter()
                .position(|other| other.target == target)
            else {
                loaded.insert(target);
                self.outbound.push(lane);
                continue;
            };
            let old = &mut self.outbound[at];
            if !old.lane.is_recovering() {
                self.step.close.extend(old.lane.vacate(SUPERSEDED));
                *old = lane;
                self.outdated.remove(&target);
                loaded.insert(target);
            } else if !self.outdated.contains(&target)
                && lane.lane.unopened() != old.lane.unopened()
            {
                self.make_room(target);
            }
        }
        self.drop_idle();
        self.watch_anew();
        self.await_anew();
        self.prepare(&loaded, now_ms);
    }

    /// Runs until nothing is left that may be sent, or a new plan is called for.
    pub async fn run(
        &mut self,
        store: &mut Store,
        clock: &dyn Clock,
        observer: &mut dyn Observer,
        mut limits: Limits,
    ) -> Result<Pause, StateError> {
        loop {
            let now_ms = clock.now_ms();
            if self.is_set_back(now_ms) {
                self.journal(store, now_ms)?;
                return Ok(Pause::Replan);
            }
            if limits.stop.is_making_way() && !limits.stop.is_asked() {
                self.journal(store, now_ms)?;
                return Ok(Pause::MakeWay);
            }
            let wake_ms = self.turn(store, now_ms, &limits)?;
            // Where nothing may be sent for now, what the plan began must last as well.
            store.keep_notes()?;
            self.report_progress(store, observer, wake_ms);
            if self.calls_for_a_plan(store, observer, &mut limits, now_ms)? {
                self.journal(store, now_ms)?;
                return Ok(Pause::Replan);
            }
            let next_ms = [wake_ms, limits.gate_ms].into_iter().flatten().min();
            let in_time_ms = next_ms.filter(|at_ms| limits.may_begin(*at_ms));
            if self.tasks.is_empty() && in_time_ms.is_none() {
                self.clear(store, now_ms, true)?;
                return Ok(next_ms.map_or(Pause::Done, |_| Pause::OutOfTime));
            }
            let until_ms = in_time_ms.into_iter().chain(limits.due_ms).min();
            self.wait(clock, observer, &limits.stop, until_ms).await;
        }
    }

    /// What every lane has done since this was last called.
    pub fn reports(&mut self) -> Vec<LaneReport> {
        let faults = &self.faults;
        let findings = &mut self.findings;
        let outbound = self.outbound.iter_mut();
        outbound
            .map(|outbound| {
                let findings = findings.remove(&outbound.target).unwrap_or_default();
                outbound.report(faults.get(&outbound.target), findings)
            })
            .collect()
    }

    /// Asks every lane what goes next, journals it in one transaction, and
    /// sends it. Returns when to ask again if no answer comes before.
    fn turn(
        &mut self,
        store: &mut Store,
        now_ms: i64,
        limits: &Limits,
    ) -> Result<Option<i64>, StateError> {
        // A part of a refused batch that had no number yet would be opened a second time.
        if !self.opening.is_empty() {
            self.journal(store, now_ms)?;
        }
        let mut wake_ms: Option<i64> = None;
        let mut departing = Vec::new();
        if limits.may_begin(now_ms) {
            for at in 0..self.outbound.len() {
                if let Some(until_ms) = self.ask_lane(at, now_ms, &mut departing) {
                    wake_ms = Some(wake_ms.map_or(until_ms, |wake_ms| wake_ms.min(until_ms)));
                }
            }
        }
        let targets: BTreeSet<TargetId> = departing.iter().map(|(target, _)| *target).collect();
        self.touch(&targets, now_ms);
        self.journal(store, now_ms)?;
        self.leave(store, departing, now_ms)?;
        let look_ms = self.look_after(store, limits, now_ms)?;
        let origin_ms = self.look_at_origins(store, limits, now_ms)?;
        Ok([wake_ms, look_ms, origin_ms].into_iter().flatten().min())
    }

    /// What a lane sends next; when to ask it again.
    fn ask_lane(
        &mut self,
        at: usize,
        now_ms: i64,
        departing: &mut Vec<(TargetId, Errand)>,
    ) -> Option<i64> {
        let outbound = &mut self.outbound[at];
        let target = outbound.target;
        let free = outbound.lane.free();
        let at_once = free.div_ceil(FILLED_IN).clamp(1, FILLED_IN);
        for _ in 0..at_once {
            match outbound.lane.next(now_ms) {
                Next::LookUp => departing.push((target, Errand::LookUp)),
                Next::Open(ticket, batch) => {
                    self.step.open.push((batch, true));
                    self.opening.push((target, ticket));
                    departing.push((target, Errand::Batch(ticket)));
                }
                Next::Send(ticket, no) => {
                    self.step.send.push(no);
                    departing.push((target, Errand::Replay(ticket, no)));
                }
                Next::Wait(until_ms) => return Some(until_ms),
                Next::Busy | Next::Done => return None,
            }
        }
        Some(now_ms)
    }

    /// One durable transaction: what ended, what begins, what it cost.
    fn journal(&mut self, store: &mut Store, now_ms: i64) -> Result<(), StateError> {
        let step = std::mem::take(&mut self.step);
        let opening = std::mem::take(&mut self.opening);
        if step.is_empty() {
            return Ok(());
        }
        for close in &step.close {
            self.ids.remove(&close.no);
        }
        if !step.close.is_empty() {
            self.watch_anew();
        }
        let opened = store.step(step, now_ms)?;
        for ((target, ticket), batch) in opening.into_iter().zip(opened) {
            self.ids.insert(batch.no, batch.id);
            if let Some(outbound) = self.lane_of_mut(target) {
                outbound.lane.journalled(ticket, batch.no);
            }
        }
        Ok(())
    }

    async fn wait(
        &mut self,
        clock: &dyn Clock,
        observer: &mut dyn Observer,
        stop: &Stop,
        wake_ms: Option<i64>,
    ) {
        let tick_ms = clock.now_ms() + INBOX_MS;
        let until_ms = wake_ms.map_or(tick_ms, |wake_ms| wake_ms.min(tick_ms));
        let is_busy = !self.tasks.is_empty();
        let is_due = until_ms <= clock.now_ms();
        let arrived = tokio::select! {
            biased;
            Some(joined) = self.tasks.join_next_with_id(), if is_busy => Some(joined),
            () = stop.rings() => None,
            // A timer would wait for its next tick.
            () = tokio::task::yield_now(), if is_due => None,
            () = clock.sleep_until(until_ms, is_busy) => None,
        };
        let more = std::iter::from_fn(|| self.tasks.try_join_next_with_id());
        let arrived: Vec<_> = arrived.into_iter().chain(more).collect();
        for joined in arrived {
            self.arrive(joined, clock, observer);
        }
    }

    /// The lane of an earlier plan keeps what is under way, and nothing else.
    pub(super) fn make_room(&mut self, target: TargetId) {
        self.outdated.insert(target);
        if let Some(outbound) = self.lane_of_mut(target) {
            let unsent = outbound.lane.vacate(SUPERSEDED);
            self.step.close.extend(unsent);
        }
    }

    fn drop_idle(&mut self) {
        let outdated = &self.outdated;
        self.outbound.retain(|outbound| {
            !outdated.contains(&outbound.target) || outbound.lane.is_recovering()
        });
        let left: BTreeSet<TargetId> = self.outbound.iter().map(|it| it.target).collect();
        self.outdated.retain(|target| left.contains(target));
    }

    pub(super) fn lane_of(&self, target: TargetId) -> Option<&Outbound> {
        self.outbound.iter().find(|other| other.target == target)
    }

    pub(super) fn lane_of_mut(&mut self, target: TargetId) -> Option<&mut Outbound> {
        self.outbound
            .iter_mut()
            .find(|other| other.target == target)
    }

    pub(super) fn count_done(&mut self, items: u64) {
        self.done += items;
    }

    fn report_progress(
        &mut self,
        store: &Store,
        observer: &mut dyn Observer,
        wake_ms: Option<i64>,
    ) {
        let lanes = self.outbound.iter().map(|outbound| &outbound.lane);
        let progress = Progress {
            done: self.done,
            left: lanes.map(|lane| lane.left() as u64).sum(),
            waits_until_ms: wake_ms.filter(|_| self.tasks.is_empty()),
        };
        observer.progress(progress, store);
    }
}

/// Why a batch that was never sent is closed.
const SUPERSEDED: &str = "a new plan took its place before it was sent";
