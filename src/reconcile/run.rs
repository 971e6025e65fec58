//! One run: recovery, then passes of planning and submitting, then the record
//! of what is settled.

use std::collections::{BTreeMap, BTreeSet};

use super::inbox::{self, Inbox};
use super::planning::{self, BootstrapChoice, Planned};
use super::{Error, Options, Outcome, PlannedTarget, Tools};
use crate::batch::journal::OpenBatch;
use crate::declare::Declared;
use crate::digest::Digest;
use crate::plan::recorded::{LedgerId, TargetId};
use crate::plan::{Hold, Plan, SetPlan, TargetPlan};
use crate::state::{Observation, Seen, Store};
use crate::submit::limits::{Limits, Pause};

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
        store.begins_past(may_observe);
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
        self.answer()?;
        self.check_saved()?;
        self.passes().await?;
        self.store.keep_notes()?;
        Ok(self.outcome)
    }

    /// A stale plan is refused before anything is sent.
    fn check_saved(&self) -> Result<(), Error> {
        if let Some(saved) = &self.options.saved {
            saved.check(&self.plan()?.plan, Some(self.store.lineage()))?;
        }
        Ok(())
    }

    fn answer(&mut self) -> Result<bool, Error> {
        let now_ms = self.tools.clock.now_ms();
        let has_answered = inbox::answer_requests(self.declared, self.store, now_ms)? > 0;
        let repeating = self.repeating()?;
        Ok(self.store.begin_repeats(&repeating, now_ms)? || has_answered)
    }

    /// Targets whose Cdns declare `repeat`.
    fn repeating(&self) -> Result<Vec<TargetId>, Error> {
        let mut targets = Vec::new();
        let cdns = self.declared.cdns.values();
        for cdn in cdns.filter(|cdn| !cdn.repeat_ms.is_empty()) {
            targets.extend(self.store.target_id(cdn.provider.target())?);
        }
        Ok(targets)
    }

    /// When the first of what is to be sent again is due.
    fn repeats_at_ms(&self) -> Result<Option<i64>, Error> {
        let repeating = self.repeating()?;
        if repeating.is_empty() {
            return Ok(None);
        }
        let repeats = self.store.repeats()?.into_iter();
        let declared = repeats.filter(|repeats| repeating.contains(&repeats.target));
        Ok(declared.map(|repeats| repeats.next_ms).min())
    }

    /// Passes of planning and submitting, until one changes nothing.
    async fn passes(&mut self) -> Result<(), Error> {
        let mut planned = self.next_plan(true)?;
        self.outcome.planned = PlannedTarget::all(&planned.plan);
        self.outcome.vain_approvals = self.vain_approvals(&planned.plan)?;
        if planned.plan.bootstrap.is_some() {
            // What is approved goes; it must not make the rest look let through.
            self.may_observe = false;
            self.store.begins_past(false);
        }
        self.observe(&planned)?;
        loop {
            self.begin(&mut planned)?;
            let limits = self.limits(&planned)?;
            let before = self.done();
            let pause = self.submit(&planned, limits).await?;
            self.keep(planned);
            if pause == Pause::MakeWay {
                // What is left is for the new manifests to say; and so is what
                // is asked for now, which this plan knows nothing of.
                self.outcome.is_cut_short = true;
                break;
            }
            let has_answered = self.answer()?;
            let has_moved = has_answered || self.done() > before || pause == Pause::Replan;
            if self.is_over() || pause == Pause::OutOfTime {
                let left = self.plan()?;
                self.outcome.is_cut_short = left.plan.is_unfinished();
                self.keep(left);
                break;
            }
            // Whoever asks while the last answers are recorded is not left waiting.
            let has_answered = has_answered || (!has_moved && self.answer()?);
            if !has_moved && !has_answered {
                break;
            }
            planned = self.next_plan(has_answered)?;
            self.finish_adhoc(&planned.plan)?;
        }
        if self.outcome.left.is_blocked() {
            // What was recorded may have given a plan that waits another name.
            let left = self.plan()?;
            self.keep(left);
        }
        self.settle()
    }

    /// A plan of what is still to be sent, given what is under way. Whatever an
    /// earlier plan had not sent is taken back where `is_changed`; batches that
    /// a run before this one left open dissolve if they were never sent, and
    /// go once more under their number if their outcome is unknown.
    fn next_plan(&mut self, is_changed: bool) -> Result<Planned, Error> {
        let now_ms = self.tools.clock.now_ms();
        self.tools.submitter.clear(self.store, now_ms, is_changed)?;
        let submitter = &self.tools.submitter;
        let is_known = |open: &OpenBatch| submitter.has(open.no);
        let (replays, dissolved) = inbox::sort_open(self.declared, self.store, is_known)?;
        if !dissolved.close.is_empty() {
            self.store.step(dissolved, now_ms)?;
        }
        if !replays.is_empty() {
            let idle = self.outbound()?;
            self.tools.submitter.replay(idle, replays, now_ms);
        }
        self.plan()
    }

    /// Until when this plan's work goes on before there is a reason to plan again.
    fn limits(&self, planned: &Planned) -> Result<Limits, Error> {
        let gates = self.gates(planned)?;
        let is_waiting = |target: &&TargetPlan| target.is_waiting();
        let waiting = || planned.plan.targets().filter(is_waiting);
        let gate_ms = self.next_gate(planned, &gates);
        let until_ms = waiting().filter_map(|target| target.waiting.until_ms);
        Ok(Limits {
            deadline_ms: self.deadline_ms,
            gate_ms: gate_ms.into_iter().chain(until_ms).min(),
            waiting: waiting().filter_map(|target| target.ledger).collect(),
            tiers: self.open_tiers(planned, &gates),
            unverified: gates.unverified,
            due_ms: self.due_ms(&planned.plan)?,
            stop: self.options.stop.clone(),
        })
    }

    /// When more may be sent although nothing is asked for: a `notBefore` is
    /// over, a refusal has lasted a day, a target that stopped is tried again.
    fn due_ms(&self, plan: &Plan) -> Result<Option<i64>, Error> {
        let held = plan.targets().filter_map(|target| match target.hold {
            Some(Hold::NotBefore(at_ms)) => Some(at_ms),
            _ => None,
        });
        let refused = if plan.targets().any(|target| target.refused > 0) {
            planning::refusals_lift_at_ms(self.store)?
        } else {
            None
        };
        let forgiven = self.tools.submitter.forgives_at_ms();
        let now_ms = self.tools.clock.now_ms();
        let repeats = self.repeats_at_ms()?;
        let all = held.chain(refused).chain(forgiven).chain(repeats);
        Ok(all.filter(|at_ms| *at_ms > now_ms).min())
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

    /// Approvals of this run that let nothing of `plan` through, now or, where
    /// a run before this one was cut short, until it is sent.
    fn vain_approvals(&self, plan: &Plan) -> Result<Vec<String>, Error> {
        let given = self.options.planning.approve.iter();
        let mut vain: BTreeSet<String> = given.cloned().collect();
        if vain.is_empty() {
            return Ok(Vec::new());
        }
        let is_let_through = |set: &&SetPlan| {
            let mut targets = set.targets.iter();
            targets.any(|target| !target.approve.is_empty())
        };
        let now = plan.sets.iter().filter(is_let_through);
        let mut ids: Vec<String> = now.map(|set| set.id.to_string()).collect();
        let earlier = self.store.approved_plans(self.tools.clock.now_ms())?;
        ids.extend(earlier.iter().map(ToString::to_string));
        vain.retain(|given| !ids.iter().any(|id| id.starts_with(given.as_str())));
        Ok(vain.into_iter().collect())
    }

    fn is_over(&self) -> bool {
        self.options.stop.is_asked() || self.tools.clock.now_ms() >= self.deadline_ms
    }

    /// What is declared now, so that names, departures and absences are known
    /// before anything is recorded under them. Inputs are recorded only once
    /// a set is settled: recorded earlier, a crash would make it look done.
    fn observe(&mut self, planned: &Planned) -> Result<(), Error> {
        let is_unchanged = |name: &str| planned.unchanged.contains(name);
        self.record_observation(is_unchanged, &planned.failed, &planned.partial)
    }

    fn record_observation(
        &mut self,
        is_settled: impl Fn(&str) -> bool,
        failed: &BTreeSet<String>,
        partial: &BTreeSet<String>,
    ) -> Result<(), Error> {
        if !self.may_observe {
            return Ok(());
        }
        let only = self.options.planning.only.as_deref();
        let recorded: BTreeMap<String, Option<Digest>> = match only {
            Some(_) => {
                let recorded = self.store.sets()?.into_iter();
                recorded.map(|set| (set.name, set.inputs)).collect()
            }
            None => BTreeMap::new(),
        };
        let declared = self.declared.sets.iter().map(|(name, set)| Seen {
            name: name.clone(),
            formerly: set.formerly.clone(),
            inputs: if only.is_some_and(|only| only != name) {
                recorded.get(name).copied().flatten()
            } else {
                is_settled(name).then_some(set.inputs)
            },
            is_loaded: !failed.contains(name) && !partial.contains(name),
        });
        let broken = self.declared.broken.iter().map(|name| Seen {
            name: name.clone(),
            formerly: Vec::new(),
            inputs: None,
            is_loaded: false,
        });
        let observation = Observation {
            present: declared.chain(broken).collect(),
            frozen: self.declared.is_frozen() || !failed.is_empty(),
        };
        self.store
            .observe(&observation, self.tools.clock.now_ms())?;
        Ok(())
    }

    /// The state has a past once a CDN is known to have been told anything, or
    /// once somebody has said to begin without.
    pub(super) fn begins_past(&self, plan: &Plan) -> bool {
        let choice = self.options.planning.bootstrap;
        let is_decided = choice == Some(BootstrapChoice::Invalidate);
        let mut targets = plan.targets();
        self.may_observe && (is_decided || targets.any(|target| target.told() > 0))
    }

    async fn submit(&mut self, planned: &Planned, limits: Limits) -> Result<Pause, Error> {
        let mut inbox = Inbox::new(&mut *self.tools.events, planned);
        let submitter = &mut *self.tools.submitter;
        let clock = self.tools.clock;
        let pause = submitter.run(self.store, clock, &mut inbox, limits).await?;
        for report in submitter.reports() {
            let outcome = self.outcome.targets.entry(report.cdn).or_default();
            outcome.tally.add(report.tally);
            outcome.halt = report.halt;
            outcome.fault = report.fault;
            outcome.retry_at_ms = report.retry_at_ms;
            outcome.findings.extend(report.findings);
        }
        Ok(pause)
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

    /// Answers who asked for undeclared URLs of which `plan` has none left.
    fn finish_adhoc(&mut self, plan: &Plan) -> Result<(), Error> {
        let now_ms = self.tools.clock.now_ms();
        inbox::finish_adhoc(self.declared, self.store, plan, now_ms)
    }

    /// Sets whose ledgers hold all that is desired need not be looked into
    /// again until their inputs change.
    fn settle(&mut self) -> Result<(), Error> {
        let left = std::mem::take(&mut self.outcome.left);
        self.finish_adhoc(&left)?;
        self.outcome.left = left;
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
        let failed = std::mem::take(&mut self.outcome.failed);
        let partial = std::mem::take(&mut self.outcome.partial);
        // In this order: inputs that change unsettle what they change.
        self.record_observation(|name| names.contains(name), &failed, &partial)?;
        (self.outcome.failed, self.outcome.partial) = (failed, partial);
        self.store.settle(&ledgers)?;
        let sent = self
            .outcome
            .left
            .targets()
            .filter(|target| target.is_fresh());
        let sent: Vec<LedgerId> = sent.filter_map(|target| target.ledger).collect();
        self.store.sent_all(&sent)?;
        self.outcome.due_ms = self.due_ms(&self.outcome.left)?;
        Ok(())
    }
}
