//! One run: recovery, then passes of planning and submitting, then the record
//! of what is settled.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::inbox::{self, Inbox};
use super::planning::{self, Planned};
use super::{Error, Options, Outcome, Tools};
use crate::batch::journal::OpenBatch;
use crate::declare::Declared;
use crate::digest::Digest;
use crate::plan::recorded::{LedgerId, TargetId};
use crate::plan::{SetPlan, TargetPlan};
use crate::state::{Observation, Seen, Store};
use crate::submit::engine::{Outbound, Submitter};

/// How often requests and signals are looked for while a tier settles.
const TICK_MS: i64 = 500;

pub(super) struct Run<'a> {
    pub(super) declared: &'a Declared,
    pub(super) store: &'a mut Store,
    pub(super) options: &'a Options,
    pub(super) tools: Tools<'a>,
    pub(super) outcome: Outcome,
    deadline_ms: i64,
    /// A run over a part of what is declared must not end the caution that a
    /// state without a past calls for.
    may_observe: bool,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        declared: &'a Declared,
        store: &'a mut Store,
        options: &'a Options,
        tools: Tools<'a>,
    ) -> Result<Self, Error> {
        let deadline_ms = tools.clock.now_ms().saturating_add(options.max_time_ms);
        let is_partial = options.planning.only.is_some() || options.planning.only_forced;
        let may_observe = !is_partial || !store.is_new()?;
        let outcome = Outcome::default();
        store.declared_at(declared.commit.clone());
        Ok(Self {
            declared,
            store,
            options,
            tools,
            outcome,
            deadline_ms,
            may_observe,
        })
    }

    pub(super) async fn finish(mut self) -> Result<Outcome, Error> {
        self.check_saved()?;
        self.answer()?;
        self.passes().await?;
        Ok(self.outcome)
    }

    /// A stale plan is refused before anything is sent or answered.
    fn check_saved(&self) -> Result<(), Error> {
        if let Some(saved) = &self.options.saved {
            saved.check(&self.plan()?.plan, Some(self.store.lineage()))?;
        }
        Ok(())
    }

    fn answer(&mut self) -> Result<bool, Error> {
        let now_ms = self.tools.clock.now_ms();
        Ok(inbox::answer_requests(self.declared, self.store, now_ms)? > 0)
    }

    /// What this run or one before it left open: batches that were never sent
    /// dissolve, one of unknown outcome is sent once more under its number.
    async fn recover(&mut self) -> Result<(), Error> {
        let now_ms = self.tools.clock.now_ms();
        let (replays, dissolved) = inbox::sort_open(self.declared, self.store)?;
        if !dissolved.close.is_empty() {
            self.store.step(dissolved, now_ms)?;
        }
        if replays.is_empty() {
            return Ok(());
        }
        let targets: BTreeSet<TargetId> = replays.iter().map(|open| open.batch.target).collect();
        let outbound = self
            .outbound()?
            .into_iter()
            .filter(|outbound| targets.contains(&outbound.target));
        self.submit(outbound.collect(), replays).await
    }

    async fn passes(&mut self) -> Result<(), Error> {
        self.recover().await?;
        let mut planned = self.plan()?;
        self.outcome.plan = planned.plan.clone();
        if planned.plan.bootstrap.is_some() {
            self.keep(planned);
            return Ok(());
        }
        self.observe(&planned)?;
        loop {
            let outbound = self.begin(&mut planned)?;
            let gate_ms = self.next_gate(&planned)?;
            let has_work = outbound.iter().any(|outbound| outbound.lane.left() > 0);
            self.keep(planned);
            let before = self.done();
            if has_work {
                self.submit(outbound, Vec::new()).await?;
            }
            let has_moved = self.answer()? || self.done() > before;
            if !has_moved && !self.sleep_until(gate_ms).await? {
                self.outcome.is_cut_short = has_work;
                break;
            }
            self.recover().await?;
            planned = self.plan()?;
            if self.is_over() {
                self.outcome.is_cut_short = planned.plan.is_unfinished();
                self.keep(planned);
                break;
            }
        }
        self.settle()
    }

    /// Waits for the next tier's turn, unless somebody asks for something
    /// first; whether there is a reason to look again.
    async fn sleep_until(&self, gate_ms: Option<i64>) -> Result<bool, Error> {
        let Some(gate_ms) = gate_ms.filter(|gate_ms| *gate_ms < self.deadline_ms) else {
            return Ok(false);
        };
        while self.tools.clock.now_ms() < gate_ms && !self.options.stop.is_asked() {
            if inbox::is_plan_outdated(self.store)? {
                return Ok(true);
            }
            let tick_ms = self.tools.clock.now_ms() + TICK_MS;
            self.tools
                .clock
                .sleep_until(gate_ms.min(tick_ms), false)
                .await;
        }
        Ok(true)
    }

    /// Items accepted or refused so far.
    fn done(&self) -> u64 {
        let tallies = self.outcome.targets.values().map(|target| target.tally);
        tallies.map(|tally| tally.accepted + tally.refused).sum()
    }

    fn plan(&self) -> Result<Planned, Error> {
        let now_ms = self.tools.clock.now_ms();
        let options = planning::Options {
            now_ms,
            ..self.options.planning.clone()
        };
        Ok(planning::plan(self.declared, Some(self.store), &options)?)
    }

    fn is_over(&self) -> bool {
        self.options.stop.is_asked() || self.tools.clock.now_ms() >= self.deadline_ms
    }

    /// What is declared now, so that names, departures and absences are known
    /// before anything is recorded under them. Inputs are recorded only once
    /// a set is settled: recorded earlier, a crash would make it look done.
    fn observe(&mut self, planned: &Planned) -> Result<(), Error> {
        let unloaded = planned.failed.union(&planned.partial);
        self.record_observation(|name| planned.unchanged.contains(name), unloaded)
    }

    fn record_observation<'n>(
        &mut self,
        is_settled: impl Fn(&str) -> bool,
        unloaded: impl Iterator<Item = &'n String>,
    ) -> Result<(), Error> {
        if !self.may_observe {
            return Ok(());
        }
        let recorded = self.store.sets()?.into_iter();
        let recorded: BTreeMap<String, Option<Digest>> =
            recorded.map(|set| (set.name, set.inputs)).collect();
        let only = self.options.planning.only.as_deref();
        let unloaded: BTreeSet<String> = unloaded.cloned().collect();
        let declared = self.declared.sets.iter().map(|(name, set)| Seen {
            name: name.clone(),
            formerly: set.formerly.clone(),
            inputs: if only.is_some_and(|only| only != name) {
                recorded.get(name).copied().flatten()
            } else {
                is_settled(name).then_some(set.inputs)
            },
            is_loaded: !unloaded.contains(name),
        });
        let broken = self.declared.broken.iter().map(|name| Seen {
            name: name.clone(),
            formerly: Vec::new(),
            inputs: None,
            is_loaded: false,
        });
        let observation = Observation {
            present: declared.chain(broken).collect(),
            frozen: self.declared.is_frozen(),
        };
        self.store
            .observe(&observation, self.tools.clock.now_ms())?;
        Ok(())
    }

    /// From now on the state has a past: what it does not hold is new.
    pub(super) fn let_through(&mut self) -> Result<(), Error> {
        if self.may_observe {
            self.store.let_through()?;
        }
        Ok(())
    }

    async fn submit(
        &mut self,
        outbound: Vec<Outbound>,
        replays: Vec<OpenBatch>,
    ) -> Result<(), Error> {
        let mut inbox = Inbox::new(&mut *self.tools.progress);
        let limits = (self.deadline_ms, self.options.stop.clone());
        let courier = Arc::clone(&self.tools.courier);
        let mut submitter = Submitter::new(
            self.store,
            courier,
            self.tools.clock,
            &mut inbox,
            outbound,
            limits,
        );
        submitter.replay(replays);
        for outbound in submitter.run().await? {
            let outcome = self.outcome.targets.entry(outbound.cdn).or_default();
            let tally = outbound.lane.tally();
            outcome.tally.calls += tally.calls;
            outcome.tally.batches += tally.batches;
            outcome.tally.accepted += tally.accepted;
            outcome.tally.refused += tally.refused;
            outcome.halt = outcome
                .halt
                .take()
                .or_else(|| outbound.lane.halt().cloned());
            outcome.retry_at_ms = outbound.lane.retry().0;
        }
        Ok(())
    }

    pub(super) fn is_halted(&self, cdn: &str) -> bool {
        self.outcome
            .targets
            .get(cdn)
            .is_some_and(|target| target.halt.is_some())
    }

    fn keep(&mut self, planned: Planned) {
        self.outcome.left = planned.plan;
        self.outcome.problems = planned.problems;
        self.outcome.failed = planned.failed;
        self.outcome.partial = planned.partial;
    }

    /// Sets whose ledgers hold all that is desired need not be looked into
    /// again until their inputs change.
    fn settle(&mut self) -> Result<(), Error> {
        inbox::finish_adhoc(
            self.declared,
            self.store,
            &self.outcome.left,
            self.tools.clock.now_ms(),
        )?;
        // A run over what was asked for has not looked at the rest.
        if self.options.planning.only_forced {
            return Ok(());
        }
        let is_settled = |set: &&SetPlan| {
            let is_done =
                |target: &TargetPlan| target.is_fresh() && target.refused == 0 && target.held == 0;
            !self.outcome.partial.contains(&set.set) && set.targets.iter().all(is_done)
        };
        let settled: Vec<&SetPlan> = self.outcome.left.sets.iter().filter(is_settled).collect();
        let names: BTreeSet<String> = settled.iter().map(|set| set.set.clone()).collect();
        let targets = settled.iter().flat_map(|set| &set.targets);
        let ledgers: Vec<LedgerId> = targets.filter_map(|target| target.ledger).collect();
        let unloaded: BTreeSet<String> = self
            .outcome
            .failed
            .union(&self.outcome.partial)
            .cloned()
            .collect();
        // In this order: inputs that change unsettle what they change.
        self.record_observation(|name| names.contains(name), unloaded.iter())?;
        self.store.settle(&ledgers)?;
        let sent = self
            .outcome
            .left
            .targets()
            .filter(|target| target.is_fresh());
        let sent: Vec<LedgerId> = sent.filter_map(|target| target.ledger).collect();
        self.store.sent_all(&sent)?;
        Ok(())
    }
}
