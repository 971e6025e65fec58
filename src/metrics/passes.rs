//! How passes end.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::series::Series;
use super::{BOUNDS, Fraction, Metrics, names, seconds};
use crate::reconcile::Outcome;

/// What came of a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassResult {
    /// There was nothing to send, and nothing wrong.
    Noop,
    /// Everything that could be sent was.
    Done,
    /// Something that could have been sent was not.
    Unfinished,
    /// There was no pass to speak of: the state failed.
    Failed,
}

impl PassResult {
    /// What `outcome` is. What waits for a person (blocked, refused, suspended,
    /// a broken manifest) has metrics of its own, and would hide here whether
    /// freshen itself still works.
    pub fn of(outcome: &Outcome) -> Self {
        let left = &outcome.left;
        let is_halted = outcome.targets.values().any(|target| target.halt.is_some());
        let is_unfinished = left.bootstrap.is_none() && left.is_unfinished();
        let calls: u64 = (outcome.targets.values())
            .map(|target| target.tally.calls)
            .sum();
        if is_halted || is_unfinished || outcome.is_cut_short {
            Self::Unfinished
        } else if calls > 0 {
            Self::Done
        } else {
            Self::Noop
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Noop => "noop",
            Self::Done => "done",
            Self::Unfinished => "unfinished",
            Self::Failed => "failed",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, EncodeLabelSet)]
struct ByPassResult {
    result: &'static str,
}

#[derive(Debug)]
pub(super) struct Passes {
    last: Fraction,
    last_success: Fraction,
    duration: Series<ByPassResult, Histogram>,
    noops: Counter,
}

impl Passes {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let passes = Self {
            last: Fraction::default(),
            last_success: Fraction::default(),
            duration: Series::default(),
            noops: Counter::default(),
        };
        names::LAST_RECONCILE.register(registry, passes.last.clone());
        names::LAST_SUCCESS.register(registry, passes.last_success.clone());
        names::RECONCILE_DURATION.register(registry, passes.duration.clone());
        names::NOOP_RUNS.register(registry, passes.noops.clone());
        passes
    }
}

impl Metrics {
    /// A pass ended at `now_ms` since the epoch, after `duration_seconds`.
    pub fn reconciled(&self, result: PassResult, duration_seconds: f64, now_ms: i64) {
        self.passes.last.set(seconds(now_ms));
        if matches!(result, PassResult::Noop | PassResult::Done) {
            self.passes.last_success.set(seconds(now_ms));
        }
        if result == PassResult::Noop {
            self.passes.noops.inc();
        }
        let result = result.as_str();
        self.passes
            .duration
            .observe(ByPassResult { result }, duration_seconds, &BOUNDS);
    }
}
