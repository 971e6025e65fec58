//! Reconciling: plan, submit, record, until nothing is left that may be sent.

pub mod asks;
pub mod estimate;
pub mod forcing;
pub mod inbox;
mod lanes;
pub mod planning;
mod run;
pub mod since;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::batch::lane::{Halt, Tally};
use crate::declare::Declared;
use crate::manifest::Problem;
use crate::plan::Plan;
use crate::plan::saved::{SavedPlan, Stale};
use crate::state::{StateError, Store};
use crate::submit::clock::Clock;
use crate::submit::courier::Courier;
use crate::submit::engine::{Progress, Stop};

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
    /// What was planned at first.
    pub plan: Plan,
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
    /// The time allowed ran out, or somebody asked to stop.
    pub is_cut_short: bool,
}

/// What was done at one target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetOutcome {
    /// Calls, batches, items.
    pub tally: Tally,
    /// Why it stopped, if it did.
    pub halt: Option<Halt>,
    /// When it may go on, milliseconds since the epoch, where it has to wait.
    pub retry_at_ms: Option<i64>,
}

/// What a reconcile runs with.
pub struct Tools<'a> {
    /// Makes the calls.
    pub courier: Arc<Courier>,
    /// Time and chance.
    pub clock: &'a dyn Clock,
    /// Told how far it is.
    pub progress: &'a mut dyn FnMut(Progress),
}

/// Reconciles once.
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
