//! What sending costs, in calls and hours, and what granularity saves of it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::number::{counted, duration, grouped};
use crate::batch::rate::{Left, Unit};
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

/// What sending costs at one Cdn.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CdnCost {
    /// Name of the Cdn.
    pub cdn: String,
    /// Items that would be sent now.
    pub items: u64,
    /// Items that wait for an approval.
    pub blocked: u64,
    /// Declared URLs that all these items stand for.
    pub urls: u64,
    /// Items that the Cdn's granularity saves.
    pub saved_items: u64,
    /// Calls that it saves.
    pub saved_calls: u64,
    /// What is left of its declared rate.
    pub budget: Vec<BudgetLeft>,
}

/// What is left of a rate.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BudgetLeft {
    /// What it counts: `requests` or `urls`.
    pub unit: &'static str,
    /// As many at once.
    pub burst: u64,
    /// Milliseconds until an empty one is full.
    pub period_ms: u64,
    /// What is left for now.
    pub left: u64,
}

impl CdnCost {
    /// The cost at `cdn`, where `urls` become the items.
    pub fn of(cdn: &str, estimate: &Estimate, urls: u64) -> Self {
        let items = estimate.items + estimate.blocked_items;
        let calls = urls.div_ceil(estimate.batch.max(1));
        Self {
            cdn: cdn.to_owned(),
            items: estimate.items,
            blocked: estimate.blocked_items,
            urls,
            saved_items: urls.saturating_sub(items),
            saved_calls: calls.saturating_sub(estimate.blocked_calls),
            budget: estimate.budget.iter().map(BudgetLeft::of).collect(),
        }
    }

    /// What is worth a line.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.saved_items > 0 {
            notes.push(format!(
                "{}: {} for {}; its granularity saves {} and {}",
                self.cdn,
                counted(self.items + self.blocked, "item"),
                counted(self.urls, "declared URL"),
                counted(self.saved_items, "item"),
                counted(self.saved_calls, "call"),
            ));
        }
        if self.budget.iter().any(|bucket| bucket.left < bucket.burst) {
            let left: Vec<String> = self.budget.iter().map(BudgetLeft::words).collect();
            notes.push(format!(
                "{}: left of its rate: {}",
                self.cdn,
                left.join(", ")
            ));
        }
        notes
    }
}

impl BudgetLeft {
    fn of(left: &Left) -> Self {
        Self {
            unit: match left.unit {
                Unit::Call => "requests",
                Unit::Item => "urls",
            },
            burst: left.bucket.burst,
            period_ms: left.bucket.period_ms,
            left: left.tokens,
        }
    }

    fn words(&self) -> String {
        let noun = if self.unit == "urls" { "URL" } else { "call" };
        format!(
            "{} of {} in {}",
            grouped(self.left),
            counted(self.burst, noun),
            duration(self.period_ms.div_ceil(1000)),
        )
    }
}
