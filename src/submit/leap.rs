//! A clock that is set back while lanes wait: no wait grows by it.

use std::collections::BTreeSet;

use super::engine::Submitter;
use crate::plan::recorded::TargetId;

/// A clock set back by less costs no more than that.
const LEAP_MS: i64 = 1_000;

/// Whether the clock was set back since it showed `seen_ms`.
pub fn is_back(seen_ms: i64, now_ms: i64) -> bool {
    seen_ms.saturating_sub(now_ms) > LEAP_MS
}

impl Submitter {
    /// Whether the clock, which shows `now_ms`, was set back since this was last
    /// called. All waits are moved with it; what else has a time, such as a
    /// tier, is for a new plan to say.
    pub(super) fn is_set_back(&mut self, now_ms: i64) -> bool {
        let before_ms = std::mem::replace(&mut self.seen_ms, now_ms);
        if !is_back(before_ms, now_ms) {
            return false;
        }
        for outbound in &mut self.outbound {
            outbound
                .lane
                .clock_set_back(before_ms.saturating_sub(now_ms));
        }
        self.inbox_due_ms = now_ms;
        let all: BTreeSet<TargetId> = self.outbound.iter().map(|it| it.target).collect();
        self.touch(&all, now_ms);
        true
    }
}
