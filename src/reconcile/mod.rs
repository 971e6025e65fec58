//! Reconciling: plan, submit, record, until nothing is left that may be sent.

mod adopting;
pub mod asks;
pub mod bearing;
pub mod estimate;
pub mod forcing;
mod holding;
pub mod inbox;
mod lanes;
pub mod planning;
mod run;
pub mod since;
mod tiers;
mod waits;

use std::collections::{BTreeMap, BTreeSet};

use crate::batch::lane::{Halt, Tally};
use crate::batch::verdict::Reason;
use crate::batch::verify::Finding;
use crate::declare::Declared;
use crate::manifest::Problem;
use crate::plan::saved::{SavedPlan, Stale};
use crate::plan::{Plan, TargetPlan};
use crate::state::{Lapse, StateError, Store};
use crate::submit::clock::Clock;
use crate::submit::engine::Submitter;
use crate::submit::observer::{CallEnd, Progress};
use crate::submit::stop::Stop;
use planning::Planned;

/// What a reconcile is told.
#[derive(Debug)]
pub struct Options {
    /// How to plan.
    pub planning: planning::Options,
    /// A plan that must still be the plan.
    pub saved: Option<SavedPlan>,
    /// Nothing is begun later than this many milliseconds from the start.
    pub max_time_ms: i64,
    /// Asked to stop.
    pub stop: Stop,
}

/// Why nothing at all was done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The state failed us; what was recorded stays recorded.
    #[error(transparent)]
    State(#[from] StateError),
    /// The saved plan is no longer the plan.
    #[error(transparent)]
    Stale(#[from] Stale),
}

/// What a reconcile came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What was to be sent at first.
    pub planned: Vec<PlannedTarget>,
    /// Approvals that were given for this run and name no plan that waits.
    pub vain_approvals: Vec<String>,
    /// What is left: the plan made once everything was recorded.
    pub left: Plan,
    /// Findings.
    pub problems: Vec<Problem>,
    /// Sets that could not be expanded.
    pub failed: BTreeSet<String>,
    /// Sets of which some rows were skipped.
    pub partial: BTreeSet<String>,
    /// By Cdn: what was done.
    pub targets: BTreeMap<String, TargetOutcome>,
    /// The time allowed ran out, or somebody asked to stop or to make way.
    pub is_cut_short: bool,
    /// Waits that were over before what they waited for was seen.
    pub lapses: Vec<Lapse>,
    /// When more may be sent, if nothing else changes: milliseconds since the
    /// epoch.
    pub due_ms: Option<i64>,
}

/// A set at a target with something to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedTarget {
    /// The set's name.
    pub set: String,
    /// The Cdn's name.
    pub cdn: String,
    /// Items to be sent, now or once their origin shows new bytes.
    pub items: u64,
}

impl PlannedTarget {
    fn all(plan: &Plan) -> Vec<Self> {
        let targets = plan
            .sets
            .iter()
            .flat_map(|set| set.targets.iter().map(move |target| (set, target)));
        let is_changed = |target: &TargetPlan| !target.is_fresh() && target.hold.is_none();
        targets
            .filter(|(_, target)| is_changed(target))
            .map(|(set, target)| Self {
                set: set.set.clone(),
                cdn: target.cdn.clone(),
                items: target.items() + target.waiting.entries.len() as u64,
            })
            .collect()
    }
}

/// What was done at one target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetOutcome {
    /// Calls, batches, items.
    pub tally: Tally,
    /// Why it stopped, if it did.
    pub halt: Option<Halt>,
    /// What went wrong with its last call, where something did.
    pub fault: Option<Reason>,
    /// When it may go on, milliseconds since the epoch, where it has to wait.
    pub retry_at_ms: Option<i64>,
    /// By item: what looking at what it serves has shown.
    pub findings: BTreeMap<String, Finding>,
}

impl TargetOutcome {
    /// Whether the edge still serves something that it was told twice to drop.
    pub fn is_stale(&self) -> bool {
        let mut findings = self.findings.values();
        findings.any(|found| *found == Finding::Stale)
    }
}

/// What happens during a reconcile, seen from outside.
pub trait Events {
    /// How far the submitter is.
    fn progress(&mut self, progress: Progress, store: &Store) {
        _ = (progress, store);
    }

    /// A call has ended.
    fn ended(&mut self, call: &CallEnd<'_>) {
        _ = call;
    }

    /// A wait was over before what it waited for was seen.
    fn lapsed(&mut self, lapse: &Lapse) {
        _ = lapse;
    }

    /// A plan was made; it is what is sent from now on.
    fn planned(&mut self, planned: &Planned, store: &Store) {
        _ = (planned, store);
    }
}

/// Nobody looks.
impl Events for () {}

/// What a reconcile runs with.
pub struct Tools<'a> {
    /// Makes the calls; may have some under way from before.
    pub submitter: &'a mut Submitter,
    /// Time and chance.
    pub clock: &'a dyn Clock,
    /// Told what happens.
    pub events: &'a mut dyn Events,
}

/// Reconciles once: until nothing is left that may be sent, the time is up,
/// or it is asked to stop or to make way.
pub async fn once<'a>(
    declared: &'a Declared,
    store: &'a mut Store,
    options: &'a Options,
    tools: Tools<'a>,
) -> Result<Outcome, Error> {
    run::Run::new(declared, store, options, tools)?
        .finish()
        .await
}
