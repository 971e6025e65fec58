//! The one line that a pass leaves in the log.

use std::time::Duration;

use tracing::info;

use crate::declare::Declared;
use crate::metrics::PassResult;
use crate::reconcile::Outcome;

/// What a pass came to, in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassLine {
    /// Sets that are declared and can be used.
    pub sets: usize,
    /// Sets that have errors.
    pub invalid: usize,
    /// Calls made.
    pub calls: u64,
    /// Items accepted.
    pub accepted: u64,
    /// Items refused in this pass.
    pub refused: u64,
    /// Items left that could have been sent.
    pub left: u64,
    /// Items that wait for an approval.
    pub blocked: u64,
    /// Items that are suspended or before their time.
    pub held: u64,
    /// Whether anything that could have been sent was not.
    pub is_unfinished: bool,
}

impl PassLine {
    /// The numbers of `outcome`.
    pub fn of(declared: &Declared, outcome: &Outcome) -> Self {
        let left = &outcome.left;
        let tallies = || outcome.targets.values().map(|target| target.tally);
        let blocked = left.targets().filter_map(|target| target.block);
        let (items, unlimited) = match left.bootstrap {
            None => (left.items(), 0),
            // A first run that is too large sends nothing at all.
            Some(_) => (0, left.items()),
        };
        Self {
            sets: declared.sets.len() - outcome.failed.len(),
            invalid: declared.broken.len() + outcome.failed.len(),
            calls: tallies().map(|tally| tally.calls).sum(),
            accepted: tallies().map(|tally| tally.accepted).sum(),
            refused: tallies().map(|tally| tally.refused).sum(),
            left: items,
            blocked: blocked.map(|block| block.items).sum::<u64>() + unlimited,
            held: left.held(),
            is_unfinished: PassResult::of(outcome) == PassResult::Unfinished,
        }
    }

    /// Writes it: what the pass came to, and how long reading and reconciling took.
    pub fn log(&self, scan: Duration, reconcile: Duration) {
        info!(
            sets = self.sets,
            invalid = self.invalid,
            calls = self.calls,
            accepted = self.accepted,
            refused = self.refused,
            left = self.left,
            blocked = self.blocked,
            held = self.held,
            unfinished = self.is_unfinished,
            scan_ms = scan.as_millis() as u64,
            reconcile_ms = reconcile.as_millis() as u64,
            "pass"
        );
    }
}
