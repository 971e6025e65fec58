//! What is recorded, and what stands in the way.

use std::collections::{BTreeMap, BTreeSet};

use super::Moment;
use super::plan::{Options, planned};
use crate::declare::Declared;
use crate::manifest::Problem;
use crate::plan::recorded::LedgerId;
use crate::reconcile::bearing;
use crate::reconcile::planning::{self, Planned};
use crate::report::status::{Recorded, SetAt};
use crate::state::{BatchRecord, HistoryFilter, Lapse, Records, StateError};

/// Batches looked at for the last one of a set at a target.
const LOOKED_AT: u32 = 20;

/// For so long it is told that a wait was over too early.
const LAPSES_MS: i64 = 24 * 60 * 60 * 1000;

/// What is recorded of every set, or of the one called `only`, which must be
/// known to the state or the manifests.
pub fn read(
    declared: &Declared,
    records: &Records,
    only: Option<&str>,
    moment: &Moment,
) -> Result<Recorded, StateError> {
    let options = Options {
        only: only.map(str::to_owned),
        now_ms: moment.now_ms,
        ..Options::default()
    };
    let planned = planned(declared, Some(records), &options, Vec::new())?;
    beside(planned, declared, records, (only, moment))
}

/// The same, around a plan that is made already.
pub(super) fn beside(
    planned: Planned,
    declared: &Declared,
    records: &Records,
    (only, moment): (Option<&str>, &Moment),
) -> Result<Recorded, StateError> {
    let is_meant = |name: &str| only.is_none_or(|only| only == name);
    let problems = declared.problems.iter().chain(&planned.problems);
    let problems: Vec<Problem> = problems.cloned().collect();
    let mut broken: BTreeSet<String> = planned.failed;
    broken.extend(declared.broken.iter().cloned());
    broken.retain(|name| is_meant(name));
    let mut sets = records.sets()?;
    sets.retain(|set| is_meant(&set.name));
    if let Some(name) = only
        && sets.is_empty()
        && planned.plan.sets.is_empty()
        && broken.is_empty()
    {
        let (kind, name) = ("set", name.to_owned());
        return Err(StateError::Unknown { kind, name });
    }
    let targets = bearing::on_targets(declared, records, &planned.plan, moment.now_ms)?;
    let mut last = BTreeMap::new();
    for set in &sets {
        last.extend(last_batches(records, &set.name)?);
    }
    let mut probes = BTreeMap::new();
    for bearing in &targets {
        let seen = records.last_probes(bearing.target.id)?;
        probes.insert(bearing.target.identity.clone(), seen);
    }
    Ok(Recorded {
        probes,
        repeats: records.repeats()?,
        lapses: lapses(records, is_meant, moment.now_ms)?,
        plan: planned.plan,
        names: declared.names_of_targets(),
        broken,
        hides_sets: declared.hides_sets(),
        problems,
        under_way: under_way(records)?,
        last,
        serial: records.meta()?.serial,
        holder: moment.holder.clone(),
        sets,
        targets,
        suspensions: planning::suspensions(declared, records)?,
        requests: records.requests(true)?,
    })
}

/// What was sent in the last day although what it waited for was not seen.
fn lapses(
    records: &Records,
    is_meant: impl Fn(&str) -> bool,
    now_ms: i64,
) -> Result<Vec<Lapse>, StateError> {
    let mut lapses = records.lapses(now_ms - LAPSES_MS)?;
    lapses.retain(|lapse| is_meant(&lapse.set));
    Ok(lapses)
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
