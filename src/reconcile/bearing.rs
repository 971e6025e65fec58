//! What CDNs said earlier that still bears on a plan: what they refused, why
//! they are not called, and when they may be.

use std::collections::BTreeMap;

use super::estimate::{self, Prospect};
use crate::declare::{Cdn, Declared};
use crate::digest::Entry;
use crate::plan::recorded::Refusal;
use crate::plan::{Plan, TargetPlan};
use crate::state::{Records, StateError, TargetRecord};

/// What bears on a target.
#[derive(Clone, Debug)]
pub struct Bearing {
    /// Its row; a halt or a wait that stands in nothing's way is left out.
    pub target: TargetRecord,
    /// What it refused of what is declared, at the marks that are declared.
    pub refusals: Vec<Refusal>,
    /// When it may be called, where something waits for that.
    pub prospect: Option<Prospect>,
}

/// What bears on each target, by its number.
pub fn on_targets(
    declared: &Declared,
    records: &Records,
    plan: &Plan,
    now_ms: i64,
) -> Result<Vec<Bearing>, StateError> {
    let prospects = estimate::prospects(declared, records, plan, now_ms)?;
    let mut bearings = Vec::new();
    for mut target in records.targets()? {
        let here = |plan: &&TargetPlan| plan.target == target.identity;
        // Cdns with one target share its lane, which goes by the first of them.
        let mut cdns = declared.cdns.values();
        let cdn = cdns.find(|cdn| cdn.provider.target() == target.identity);
        let is_waiting = plan.targets().filter(here).any(is_waiting);
        let refused: Vec<Entry> = plan
            .targets()
            .filter(here)
            .flat_map(|plan| &plan.refusals)
            .copied()
            .collect();
        let refusals = standing(records, &target, &refused)?;
        let is_halt = |cdn: &Cdn, target: &TargetRecord| {
            let halt = target.halted.as_ref();
            halt.is_some_and(|halt| halt.fingerprint == cdn.digest)
        };
        if !is_waiting || !cdn.is_some_and(|cdn| is_halt(cdn, &target)) {
            target.halted = None;
        }
        target.retry_at_ms = target
            .retry_at_ms
            .filter(|at_ms| is_waiting && *at_ms > now_ms);
        let is_called = is_waiting && target.halted.is_none();
        let prospect = cdn.filter(|_| is_called);
        let prospect = prospect.and_then(|cdn| prospects.get(&cdn.name));
        bearings.push(Bearing {
            prospect: prospect.copied(),
            target,
            refusals,
        });
    }
    Ok(bearings)
}

/// A URL of a set that a Cdn refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The set's name.
    pub set: String,
    /// The Cdn's name.
    pub cdn: String,
    /// What it refused, and in which words.
    pub refusal: Refusal,
}

/// Every refusal that keeps something of `plan` from being sent, in the order
/// of its sets and tiers.
pub fn refusals(records: &Records, plan: &Plan) -> Result<Vec<Refused>, StateError> {
    let mut by_target = BTreeMap::new();
    for target in records.targets()? {
        by_target.insert(target.identity.clone(), target);
    }
    let mut refusals = Vec::new();
    for set in &plan.sets {
        for planned in set.targets.iter().filter(|planned| planned.hold.is_none()) {
            let Some(target) = by_target.get(&planned.target) else {
                continue;
            };
            let found = standing(records, target, &planned.refusals)?;
            refusals.extend(found.into_iter().map(|refusal| Refused {
                set: set.set.clone(),
                cdn: planned.cdn.clone(),
                refusal,
            }));
        }
    }
    Ok(refusals)
}

fn is_waiting(plan: &TargetPlan) -> bool {
    plan.hold.is_none() && (plan.items() > 0 || plan.open > 0)
}

/// What is recorded of the entries `refused`, by URL.
fn standing(
    records: &Records,
    target: &TargetRecord,
    refused: &[Entry],
) -> Result<Vec<Refusal>, StateError> {
    if refused.is_empty() {
        return Ok(Vec::new());
    }
    let mut refusals = records.refusals(target.id)?;
    refusals.retain(|refusal| refused.contains(&refusal.entry));
    refusals.sort_by(|a, b| a.item.cmp(&b.item));
    Ok(refusals)
}
