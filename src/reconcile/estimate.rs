//! What a plan costs: calls, and time at the declared rate.

use std::collections::BTreeMap;

use crate::batch::rate::{Budget, Class, Left};
use crate::declare::{Cdn, Declared};
use crate::plan::Plan;
use crate::state::{Records, StateError, TargetRecord};

/// The cost at one target; sets share calls, so it is told by target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// Items sent now.
    pub items: u64,
    /// Calls for them, if none is refused.
    pub calls: u64,
    /// Milliseconds for them at the declared rate, after what it has let go
    /// already, and without the CDN's own time.
    pub duration_ms: u64,
    /// Items that wait for approval.
    pub blocked_items: u64,
    /// Calls for everything, once it is approved.
    pub blocked_calls: u64,
    /// Milliseconds for everything, once it is approved.
    pub blocked_duration_ms: u64,
    /// Items of one call, at most.
    pub batch: u64,
    /// What is left of the declared rate.
    pub budget: Vec<Left>,
}

/// The cost of `plan` by Cdn, for those with anything to send.
pub fn by_cdn(
    declared: &Declared,
    records: Option<&Records>,
    plan: &Plan,
    now_ms: i64,
) -> Result<BTreeMap<String, Estimate>, StateError> {
    let recorded = by_identity(records)?;
    Ok(estimates(declared, &recorded, plan, now_ms))
}

fn estimates(
    declared: &Declared,
    recorded: &BTreeMap<String, TargetRecord>,
    plan: &Plan,
    now_ms: i64,
) -> BTreeMap<String, Estimate> {
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
        let budget = budget(cdn, recorded, now_ms);
        let burst = budget.max_items(Class::Planned);
        estimate.batch = u64::from(cdn.max_batch).min(burst).max(1);
        let cost = |items: u64| {
            let calls = items.div_ceil(estimate.batch);
            let last_ms = budget.last_ms(calls, items, now_ms);
            (calls, last_ms.saturating_sub(now_ms).max(0).unsigned_abs())
        };
        (estimate.calls, estimate.duration_ms) = cost(estimate.items);
        (estimate.blocked_calls, estimate.blocked_duration_ms) =
            cost(estimate.items + estimate.blocked_items);
        estimate.budget = budget.remaining(now_ms);
    }
    estimates
}

fn by_identity(records: Option<&Records>) -> Result<BTreeMap<String, TargetRecord>, StateError> {
    let targets = records.map_or_else(|| Ok(Vec::new()), Records::targets)?;
    let by_identity = targets.into_iter();
    Ok(by_identity
        .map(|target| (target.identity.clone(), target))
        .collect())
}

fn budget(cdn: &Cdn, recorded: &BTreeMap<String, TargetRecord>, now_ms: i64) -> Budget {
    let recorded = recorded.get(cdn.provider.target());
    let tats = recorded.map(|target| &target.tats);
    Budget::new(&cdn.rate, tats.unwrap_or(&BTreeMap::new()), now_ms)
}

/// When what is left for a target may go at the declared rate, given what went
/// before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prospect {
    /// When its next call may go, in milliseconds since the epoch, where that
    /// is not at once.
    pub next_ms: Option<i64>,
    /// When its last call may go, in milliseconds since the epoch.
    pub last_ms: i64,
}

/// By Cdn: when what is left of `plan` may go, for those with anything to send.
pub fn prospects(
    declared: &Declared,
    records: &Records,
    plan: &Plan,
    now_ms: i64,
) -> Result<BTreeMap<String, Prospect>, StateError> {
    let recorded = by_identity(Some(records))?;
    let mut prospects = BTreeMap::new();
    for (name, estimate) in estimates(declared, &recorded, plan, now_ms) {
        let Some(cdn) = declared.cdns.get(&name).filter(|_| estimate.items > 0) else {
            continue;
        };
        let budget = budget(cdn, &recorded, now_ms);
        let retry_ms = recorded.get(cdn.provider.target());
        let retry_ms = retry_ms.and_then(|target| target.retry_at_ms);
        let first = estimate.items.div_ceil(estimate.calls.max(1));
        let next_ms = budget.earliest_ms(Class::Planned, first, now_ms);
        let next_ms = next_ms.max(retry_ms.unwrap_or(now_ms)).max(now_ms);
        let last_ms = budget.last_ms(estimate.calls, estimate.items, now_ms);
        prospects.insert(
            name,
            Prospect {
                next_ms: (next_ms > now_ms).then_some(next_ms),
                last_ms: last_ms.max(next_ms),
            },
        );
    }
    Ok(prospects)
}
