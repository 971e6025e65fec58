//! `status`: what is recorded, and what stands in the way.

use std::collections::{BTreeMap, BTreeSet};

use super::args::{Global, OneSet};
use super::exit::{Exit, Failure};
use super::output::Output;
use super::workspace::{self, failed_on_state};
use crate::declare::Declared;
use crate::plan::recorded::LedgerId;
use crate::reconcile::planning;
use crate::report::status::{Recorded, SetAt, report};
use crate::state::{self, BatchRecord, HistoryFilter, Records, StateError};

/// Batches looked at for the last one of a set at a target.
const LOOKED_AT: u32 = 20;

/// Reads the state beside whoever writes it.
pub(super) fn run(arguments: &OneSet, global: &Global, output: Output) -> Result<Exit, Failure> {
    let declared = workspace::declared(global)?;
    let reader = workspace::recorded(global)?;
    let only = arguments.set.as_deref();
    let mut recorded = read(&declared, &reader, only).map_err(failed_on_state)?;
    recorded.holder = state::holder(&global.state);
    if let Some(name) = only
        && recorded.sets.is_empty()
        && recorded.plan.sets.is_empty()
        && !recorded.broken.contains(name)
    {
        let (kind, name) = ("set", name.to_owned());
        return Err(failed_on_state(StateError::Unknown { kind, name }));
    }
    let mut targets = recorded.targets.iter();
    let has_trouble =
        targets.any(|(target, refusals)| target.halted.is_some() || !refusals.is_empty());
    output.report(&report(&recorded), None)?;
    Ok(Exit::first([
        (has_trouble || !recorded.broken.is_empty(), Exit::Failed),
        (recorded.plan.is_blocked(), Exit::Blocked),
    ]))
}

fn read(
    declared: &Declared,
    records: &Records,
    only: Option<&str>,
) -> Result<Recorded, StateError> {
    let options = planning::Options {
        now_ms: workspace::now_ms(),
        ..planning::Options::default()
    };
    let planned = planning::plan(declared, Some(records), &options)?;
    let is_meant = |name: &str| only.is_none_or(|only| only == name);
    let mut plan = planned.plan;
    plan.sets.retain(|set| is_meant(&set.set));
    let mut broken: BTreeSet<String> = planned.failed;
    broken.extend(declared.broken.iter().cloned());
    broken.retain(|name| is_meant(name));
    let mut sets = records.sets()?;
    sets.retain(|set| is_meant(&set.name));
    let mut targets = Vec::new();
    for target in records.targets()? {
        let refusals = records.refusals(target.id)?;
        targets.push((target, refusals));
    }
    let mut last = BTreeMap::new();
    for set in &sets {
        last.extend(last_batches(records, &set.name)?);
    }
    Ok(Recorded {
        plan,
        broken,
        under_way: under_way(records)?,
        last,
        serial: records.meta()?.serial,
        holder: None,
        sets,
        targets,
        suspensions: records.suspensions()?,
        requests: records.requests(true)?,
    })
}

/// The last batch of a set at each target.
fn last_batches(records: &Records, set: &str) -> Result<BTreeMap<SetAt, BatchRecord>, StateError> {
    let filter = HistoryFilter {
        set: Some(set.to_owned()),
        before: None,
        at_most: LOOKED_AT,
    };
    let mut last = BTreeMap::new();
    for batch in records.history(&filter)? {
        let at = (set.to_owned(), batch.target.clone());
        last.entry(at).or_insert(batch);
    }
    Ok(last)
}

/// Items in open batches, by the ledger that they are for.
fn under_way(records: &Records) -> Result<BTreeMap<LedgerId, u64>, StateError> {
    let mut items = BTreeMap::new();
    for open in records.open_batches()? {
        for claim in &open.batch.claims {
            *items.entry(claim.ledger).or_default() += claim.entries.len() as u64;
        }
    }
    Ok(items)
}
