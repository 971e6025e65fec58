//! What would be sent, and why.

use std::collections::BTreeMap;

use crate::declare::Declared;
use crate::digest::{Entry, Key};
use crate::plan::{Plan, SetPlan, TargetPlan};
use crate::reconcile::estimate;
use crate::reconcile::planning::{self, Planned};
use crate::report::Report;
use crate::report::cost::Cost;
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
    let context = Context {
        cost: Cost::of(&estimate::by_cdn(declared, &shown.plan)),
        urls: urls(declared, records, options, &shown)?,
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

/// Some of the URLs of each set at each Cdn. What waits for an approval is
/// shown as if all of it were approved.
fn urls(
    declared: &Declared,
    records: Option<&Records>,
    options: &Options,
    shown: &Planned,
) -> Result<BTreeMap<(String, String), Vec<String>>, StateError> {
    if options.urls == 0 {
        return Ok(BTreeMap::new());
    }
    let is_blocked = shown.plan.targets().any(|target| target.block.is_some());
    let in_full = if is_blocked {
        let sets = shown.plan.sets.iter();
        let approve = sets.map(|set| set.id.to_string()).collect();
        Some(planned(declared, records, options, approve)?)
    } else {
        None
    };
    let planned = in_full.as_ref().unwrap_or(shown);
    let sent = targets(&planned.plan).filter(|(_, target)| target.items() > 0);
    Ok(sent
        .map(|(set, target)| {
            let items = items(declared, planned, (set, target), options.urls);
            ((set.set.clone(), target.cdn.clone()), items)
        })
        .collect())
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
    let is_sent = |key: Key| {
        let at = |entries: &[Entry]| {
            entries
                .binary_search_by_key(&key, |entry| entry.key())
                .is_ok()
        };
        at(&target.forced) || at(&target.removed) || at(&target.send)
    };
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
    let mut found: BTreeMap<Key, String> = BTreeMap::new();
    for expansion in declared_by.into_iter().chain(left) {
        let mut from = Some(0);
        while let Some(cursor) = from.filter(|_| found.len() < at_most) {
            let hits = expansion.find(&cdn.wire, cursor, &is_sent, at_most.min(100_000));
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
