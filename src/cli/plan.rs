//! `plan`: what would be sent, and why.
#![expect(
    clippy::disallowed_methods,
    reason = "writes the plan where it is told to"
)]

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;

use super::args::{Global, Plan as Arguments};
use super::exit::{Exit, Failure};
use super::output::Output;
use super::workspace::{self, failed_on_state};
use crate::declare::Declared;
use crate::digest::Key;
use crate::manifest::Problem;
use crate::plan::saved::SavedPlan;
use crate::plan::{Plan, SetPlan, TargetPlan};
use crate::reconcile::planning::{self, Planned};
use crate::reconcile::{estimate, since};
use crate::report::cost::Cost;
use crate::report::plan::{Context, report};
use crate::state::{Records, Store};

/// URLs shown with `-v`.
const SHOWN: usize = 20;

/// Plans, offline, against the state or a commit; writes nothing but `--save`.
pub(super) fn run(arguments: &Arguments, global: &Global, output: Output) -> Result<Exit, Failure> {
    let mut declared = workspace::declared(global)?;
    let (planned, mut problems, lineage) = match &arguments.since {
        None => {
            let reader = workspace::reader(global)?;
            let records = reader.as_deref();
            let lineage = records.map(|records| records.lineage().to_owned());
            let planned = plan(&declared, records, arguments.verbose)?;
            (planned, declared.problems.clone(), lineage)
        }
        Some(reference) => {
            let store = since_commit(&mut declared, global, reference)?;
            let planned = plan(&declared, Some(&store), arguments.verbose)?;
            (planned, declared.problems.clone(), None)
        }
    };
    problems.extend(planned.shown.problems.iter().cloned());
    if let Some(path) = &arguments.save {
        save(
            &SavedPlan::of(&planned.shown.plan, lineage.as_deref()),
            path,
        )?;
    }
    let exit = exit(arguments, &declared, &planned.shown, &problems);
    let context = context(&declared, &planned, arguments.verbose, problems);
    let has_changes = planned.shown.plan.has_changes();
    output.report(&report(&planned.shown.plan, context), Some(has_changes))?;
    Ok(exit)
}

/// A plan, and the same one as if all of it were approved: what waits for an
/// approval is shown in full.
struct Shown {
    shown: Planned,
    in_full: Option<Planned>,
}

fn plan(declared: &Declared, records: Option<&Records>, verbose: u8) -> Result<Shown, Failure> {
    let options = planning::Options {
        now_ms: workspace::now_ms(),
        ..planning::Options::default()
    };
    let shown = planning::plan(declared, records, &options).map_err(failed_on_state)?;
    let is_blocked = shown.plan.targets().any(|target| target.block.is_some());
    let in_full = if verbose > 0 && is_blocked {
        let approve = shown
            .plan
            .sets
            .iter()
            .map(|set| set.id.to_string())
            .collect();
        let options = planning::Options { approve, ..options };
        Some(planning::plan(declared, records, &options).map_err(failed_on_state)?)
    } else {
        None
    };
    Ok(Shown { shown, in_full })
}

/// A state in memory that holds what was declared at a commit. Sets that could
/// not be read there are taken out: nobody knows what changed in them.
pub(super) fn since_commit(
    declared: &mut Declared,
    global: &Global,
    reference: &str,
) -> Result<Store, Failure> {
    let now_ms = workspace::now_ms();
    let base = workspace::declared_at(global, reference)?;
    let mut store = Store::in_memory(now_ms).map_err(failed_on_state)?;
    let unknown = since::record(&base, &mut store, now_ms)?;
    if !base.sets.is_empty() {
        store.let_through().map_err(failed_on_state)?;
    }
    for name in unknown.sets {
        if let Some(set) = declared.sets.remove(&name) {
            let message = format!(
                "what changed in the set `{name}` since {reference} is not known: it could not be read there"
            );
            declared.problems.push(
                Problem::error("unknown-since", Some(set.place), message)
                    .hint("compare with a commit at which its manifests are valid"),
            );
            declared.broken.push(name);
        }
    }
    Ok(store)
}

fn save(plan: &SavedPlan, path: &Path) -> Result<(), Failure> {
    std::fs::write(path, crate::report::json::document(plan))
        .with_context(|| format!("failed to save the plan to {}", path.display()))?;
    Ok(())
}

fn exit(
    arguments: &Arguments,
    declared: &Declared,
    planned: &Planned,
    problems: &[Problem],
) -> Exit {
    let is_invalid = workspace::has_errors(problems) || !planned.partial.is_empty();
    let is_blocked = planned.plan.is_blocked() || !declared.empty_roots.is_empty();
    let has_changes = arguments.detailed_exitcode && planned.plan.has_changes();
    Exit::first([
        (is_invalid, Exit::Failed),
        (is_blocked, Exit::Blocked),
        (has_changes, Exit::Changes),
    ])
}

fn context(declared: &Declared, planned: &Shown, verbose: u8, problems: Vec<Problem>) -> Context {
    Context {
        cost: Cost::of(&estimate::by_cdn(declared, &planned.shown.plan)),
        urls: match verbose {
            0 => BTreeMap::new(),
            1 => urls(declared, planned, SHOWN),
            _ => urls(declared, planned, usize::MAX),
        },
        problems,
    }
}

fn urls(
    declared: &Declared,
    planned: &Shown,
    at_most: usize,
) -> BTreeMap<(String, String), Vec<String>> {
    let planned = planned.in_full.as_ref().unwrap_or(&planned.shown);
    let mut urls = BTreeMap::new();
    for (set, target) in targets(&planned.plan).filter(|(_, target)| target.items() > 0) {
        let items = items(declared, planned, (set, target), at_most);
        urls.insert((set.set.clone(), target.cdn.clone()), items);
    }
    urls
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
        let at = |entries: &[crate::digest::Entry]| {
            entries
                .binary_search_by_key(&key, |entry| entry.key())
                .is_ok()
        };
        at(&target.forced) || at(&target.send)
    };
    let mut found: BTreeMap<Key, String> = BTreeMap::new();
    let Some(expansion) = planned.expansions.get(&set.set) else {
        let adhoc = planned.adhoc.iter().filter(|(key, _)| is_sent(**key));
        return adhoc
            .map(|(_, item)| item.to_string())
            .take(at_most)
            .collect();
    };
    let Some(cdn) = declared.cdns.get(&target.cdn) else {
        return Vec::new();
    };
    let mut from = Some(0);
    while let Some(cursor) = from.filter(|_| found.len() < at_most) {
        let hits = expansion.find(&cdn.wire, cursor, &is_sent, at_most.min(100_000));
        found.extend(
            hits.items
                .into_iter()
                .map(|(key, item)| (key, item.into_string())),
        );
        from = hits.next;
    }
    let mut items: Vec<String> = found.into_values().collect();
    items.sort_unstable();
    items.truncate(at_most);
    items
}
