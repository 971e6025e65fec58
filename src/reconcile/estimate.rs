//! What a plan costs: calls, and time at the declared rate.

use std::collections::BTreeMap;

use crate::batch::rate::{Budget, Class};
use crate::declare::Declared;
use crate::plan::Plan;

/// The cost at one target; sets share calls, so it is told by target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// Items sent now.
    pub items: u64,
    /// Calls for them, if none is refused.
    pub calls: u64,
    /// Milliseconds for them, from full buckets and without the CDN's own time.
    pub duration_ms: u64,
    /// Items that wait for approval.
    pub blocked_items: u64,
    /// Calls for everything, once it is approved.
    pub blocked_calls: u64,
    /// Milliseconds for everything, once it is approved.
    pub blocked_duration_ms: u64,
}

/// The cost of `plan` by Cdn, for those with anything to send.
pub fn by_cdn(declared: &Declared, plan: &Plan) -> BTreeMap<String, Estimate> {
    let mut estimates: BTreeMap<String, Estimate> = BTreeMap::new();
    for target in plan
        .targets()
        .filter(|target| target.hold.is_none() && !target.is_fresh())
    {
        let estimate = estimates.entry(target.cdn.clone()).or_default();
        estimate.items += target.items();
        estimate.blocked_items += target.block.map_or(0, |block| block.items);
    }
    for (name, estimate) in &mut estimates {
        let Some(cdn) = declared.cdns.get(name) else {
            continue;
        };
        let cost = |items: u64| {
            let budget = Budget::full(&cdn.rate);
            let burst = budget.max_items(Class::Planned);
            let calls = items.div_ceil(u64::from(cdn.max_batch).min(burst).max(1));
            let duration_ms = budget.last_ms(calls, items, 0).max(0);
            (calls, duration_ms.unsigned_abs())
        };
        (estimate.calls, estimate.duration_ms) = cost(estimate.items);
        (estimate.blocked_calls, estimate.blocked_duration_ms) =
            cost(estimate.items + estimate.blocked_items);
    }
    estimates
}
