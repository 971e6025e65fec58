//! What sending costs, in calls and hours.

use std::collections::BTreeMap;

use super::number::{counted, duration};
use crate::reconcile::estimate::Estimate;

/// The cost of a plan over all Cdns; they are called side by side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Calls for what is sent now.
    pub calls: u64,
    /// Seconds for it at the declared rates.
    pub seconds: u64,
    /// Calls for everything, once it is approved.
    pub approved_calls: u64,
    /// Seconds for everything, once it is approved.
    pub approved_seconds: u64,
}

impl Cost {
    /// Adds up calls; the slowest Cdn sets the time.
    pub fn of(estimates: &BTreeMap<String, Estimate>) -> Self {
        let mut cost = Self::default();
        for estimate in estimates.values() {
            cost.calls += estimate.calls;
            cost.seconds = cost.seconds.max(estimate.duration_ms.div_ceil(1000));
            cost.approved_calls += estimate.blocked_calls;
            let approved = estimate.blocked_duration_ms.div_ceil(1000);
            cost.approved_seconds = cost.approved_seconds.max(approved);
        }
        cost
    }

    /// What sending now takes.
    pub(super) fn now(&self) -> String {
        words(self.calls, self.seconds)
    }

    /// What sending takes once everything is approved.
    pub(super) fn approved(&self) -> String {
        words(self.approved_calls, self.approved_seconds)
    }
}

fn words(calls: u64, seconds: u64) -> String {
    let time = match seconds {
        0 => "at once".to_owned(),
        seconds => format!("about {}", duration(seconds)),
    };
    format!("{}, {time} at the declared rate", counted(calls, "call"))
}
