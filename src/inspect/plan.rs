//! What would be sent, and why.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::declare::{Cdn, Declared};
use crate::digest::{Entry, Key};
use crate::expand::Expansion;
use crate::plan::{Plan, SetPlan, TargetPlan};
use crate::reconcile::estimate;
use crate::reconcile::planning::{self, Planned};
use crate::report::Report;
use crate::report::cost::{CdnCost, Cost};
use crate::report::cure::Cure;
use crate::report::plan::{Context, PlanDocument, report};
use crate::state::{Records, StateError};

/// What to plan, and how much of it to show.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only this set.
    pub only: Option<String>,
    /// URLs shown for each set at each Cdn, at most.
    pub urls: usize,
    /// Milliseconds since the epoch.
    pub now_ms: i64,
    /// How what is blocked is let through.
    pub cure: Cure,
}

/// A plan, and what is said about it.
#[derive(Debug)]
pub struct Found {
    /// What would be sent.
    pub planned: Planned,
    /// The same for people and programs.
    pub report: Report<PlanDocument>,
}

/// Plans, offline.
pub fn plan(
    declared: &Declared,
    records: Option<&Records>,
    options: &Options,
) -> Result<Found, StateError> {
    let shown = planned(declared, records, options, Vec::new())?;
    let mut problems = declared.problems.clone();
    problems.extend(shown.problems.iter().cloned());
    let in_full = in_full(declared, records, options, &shown)?;
    let in_full = in_full.as_ref().unwrap_or(&shown);
    let estimates = estimate::by_cdn(declared, records, &shown.plan, options.now_ms)?;
    let costs = estimates.iter().map(|(name, estimate)| {
        let urls = declared.cdns.get(name).map(|cdn| behind(cdn, in_full));
        CdnCost::of(name, estimate, urls.unwrap_or(estimate.items))
    });
    let under_way = records.map(Records::items_under_way).transpose()?;
    let context = Context {
        cost: Cost::of(&estimates),
        under_way: under_way.unwrap_or(0),
        cdns: costs.collect(),
        urls: urls(declared, options, in_full),
        problems,
        cure: options.cure.clone(),
    };
    Ok(Found {
        report: report(&shown.plan, context),
        planned: shown,
    })
}

/// The plan of what `options` name, as if `approve` were approved.
pub(super) fn planned(
    declared: &Declared,
    records: Option<&Records>,
    options: &Options,
    approve: Vec<String>,
) -> Result<Planned, StateError> {
    // A first run is judged by all sets together.
    let is_new = records.map_or(Ok(true), Records::is_new)?;
    let mut planned = planning::plan(
        declared,
        records,
        &planning::Options {
            only: options.only.clone().filter(|_| !is_new),
            approve,
            now_ms: options.now_ms,
            ..planning::Options::default()
        },
    )?;
    if let Some(only) = &options.only {
        planned.plan.sets.retain(|set| set.set == *only);
        planned.failed.retain(|set| set == only);
        planned.partial.retain(|set| set == only);
    }
    Ok(planned)
}

/// The plan as if all that waits for an approval were approved, where anything
/// does and it matters.
fn in_full(
    declared: &Declared,
    records: Option<&Records>,
    options: &Options,
    shown: &Planned,
) -> Result<Option<Planned>, StateError> {
    let is_blocked = |target: &TargetPlan| target.block.is_some();
    let folds = |target: &TargetPlan| {
        let cdn = declared.cdns.get(&target.cdn);
        cdn.is_some_and(|cdn| !cdn.wire.is_plain())
    };
    let mut blocked = shown.plan.targets().filter(|target| is_blocked(target));
    if !blocked.any(|target| options.urls > 0 || folds(target)) {
        return Ok(None);
    }
    let sets = shown.plan.sets.iter();
    let approve = sets.map(|set| set.id.to_string()).collect();
    planned(declared, records, options, approve).map(Some)
}

/// How many declared URLs the items stand for that go to `cdn`.
fn behind(cdn: &Cdn, planned: &Planned) -> u64 {
    let is_here = |target: &TargetPlan| target.cdn == cdn.name && target.hold.is_none();
    let here = targets(&planned.plan).filter(|(_, target)| is_here(target));
    let counts = here.map(|(set, target)| {
        let declared = planned.expansions.get(&set.set);
        let left = planned.leaving.get(&set.set);
        let is_known = declared.or(left).is_some();
        if cdn.wire.is_plain() || target.items() == 0 || !is_known {
            return target.items() + target.block.map_or(0, |block| block.items);
        }
        let count = |source: Option<&Arc<Expansion>>, sent: &[&[Entry]]| {
            let is_sent = |key| sent.iter().any(|entries| holds(entries, key));
            source.map_or(0, |source| source.count_behind(&cdn.wire, &is_sent))
        };
        count(declared, &[&target.forced, &target.send]) + count(left, &[&target.removed])
    });
    counts.sum()
}

/// Some of the URLs of each set at each Cdn. What waits for an approval is
/// shown as if all of it were approved.
fn urls(
    declared: &Declared,
    options: &Options,
    planned: &Planned,
) -> BTreeMap<(String, String), Vec<String>> {
    if options.urls == 0 {
        return BTreeMap::new();
    }
    let sent = targets(&planned.plan).filter(|(_, target)| target.items() > 0);
    sent.map(|(set, target)| {
        let items = items(declared, planned, (set, target), options.urls);
        ((set.set.clone(), target.cdn.clone()), items)
    })
    .collect()
}

fn targets(plan: &Plan) -> impl Iterator<Item = (&SetPlan, &TargetPlan)> {
    let sets = plan.sets.iter();
    sets.flat_map(|set| set.targets.iter().map(move |target| (set, target)))
}

/// The first items of a target's plan, sorted.
fn items(
    declared: &Declared,
    planned: &Planned,
    (set, target): (&SetPlan, &TargetPlan),
    at_most: usize,
) -> Vec<String> {
    let all = [&target.forced, &target.removed, &target.send];
    let is_sent = |key| all.iter().any(|entries| holds(entries, key));
    let declared_by = planned.expansions.get(&set.set);
    let left = planned.leaving.get(&set.set);
    if declared_by.or(left).is_none() {
        let adhoc = planned.adhoc.iter().filter(|(key, _)| is_sent(**key));
        return adhoc
            .map(|(_, item)| item.to_string())
            .take(at_most)
            .collect();
    }
    let Some(cdn) = declared.cdns.get(&target.cdn) else {
        return Vec::new();
    };
    let wanted = |key| is_sent(key).then_some(key);
    let mut found: BTreeMap<Key, String> = BTreeMap::new();
    for expansion in declared_by.into_iter().chain(left) {
        let mut from = Some(0);
        while let Some(cursor) = from.filter(|_| found.len() < at_most) {
            let hits = expansion.find(&cdn.wire, cursor, &wanted, at_most.min(100_000));
            let hit = |(key, item): (Key, Box<str>)| (key, item.into_string());
            found.extend(hits.items.into_iter().map(hit));
            from = hits.next;
        }
    }
    let mut items: Vec<String> = found.into_values().collect();
    items.sort_unstable();
    items.truncate(at_most);
    items
}

fn holds(entries: &[Entry], key: Key) -> bool {
    let found = entries.binary_search_by_key(&key, |entry| entry.key());
    found.is_ok()
}
