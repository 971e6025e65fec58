//! How long a run of the submitter goes on, and why it came back.

use std::collections::BTreeSet;

use super::stop::Stop;
use crate::plan::recorded::LedgerId;

/// Until when a run goes on, and what calls for a new plan before that.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Nothing is begun later, in milliseconds since the epoch.
    pub deadline_ms: i64,
    /// When a tier's turn comes, or a wait for an origin is over, whether or not
    /// anything else is to be done.
    pub gate_ms: Option<i64>,
    /// When something else may be sent, such as what has a `notBefore`; no
    /// reason to wait where nothing is left.
    pub due_ms: Option<i64>,
    /// Ledgers of which something waits for its origin.
    pub waiting: BTreeSet<LedgerId>,
    /// Ledgers that are looked at while a tier waits for what comes of it.
    pub unverified: Vec<LedgerId>,
    /// Sets whose next tier waits for these ledgers to be told.
    pub tiers: Vec<Vec<LedgerId>>,
    /// Asked to stop, or to make way.
    pub stop: Stop,
}

/// Why a run came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// Nothing is left that may be sent, and nothing is under way.
    Done,
    /// Nothing is left that may be sent before the deadline.
    OutOfTime,
    /// Something was asked for, has come due, or a lane is ready for a new
    /// plan; calls may be under way.
    Replan,
    /// Asked to make way; calls may be under way.
    MakeWay,
}

impl Limits {
    /// Whether anything may still be begun at `now_ms`.
    pub(super) fn may_begin(&self, now_ms: i64) -> bool {
        !self.stop.is_asked() && now_ms < self.deadline_ms
    }
}
