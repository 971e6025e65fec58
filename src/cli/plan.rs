//! `plan`: what would be sent, and why.
#![expect(
    clippy::disallowed_methods,
    reason = "writes the plan where it is told to"
)]

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;

use super::args::{Global, Plan as Arguments};
use super::exit::{Exit, Failure};
use super::output::{self, Output};
use super::workspace::{self, failed_on_state};
use super::{converged, looking};
use crate::declare::Declared;
use crate::inspect::plan::{Found, Options, plan};
use crate::load::Index;
use crate::lookup::{Known, Missing};
use crate::manifest::Problem;
use crate::plan::saved::SavedPlan;
use crate::reconcile::since;
use crate::report::cure::Cure;
use crate::report::plan::unchanged;
use crate::state::Store;

/// URLs shown with `-v`.
const SHOWN: usize = 20;

/// URLs shown with `-vv`: as many as can be held and read; `expand` streams.
const SHOWN_AT_MOST: usize = 100_000;

/// Plans, offline, against the state or a commit; writes nothing but `--save`.
pub(super) fn run(arguments: &Arguments, global: &Global, output: Output) -> Result<Exit, Failure> {
    if arguments.since.is_none() && arguments.save.is_none() {
        let reader = workspace::reader(global).ok().flatten();
        let still = reader.and_then(|reader| converged::still(global, &reader));
        if let Some(converged) = still
            && output.body(&unchanged(converged.sets), false)?
        {
            return Ok(Exit::Fine);
        }
    }
    let (index, known) = remembered(arguments.since.as_deref(), global);
    let mut declared = workspace::declared_with(global, &index, &known)?;
    looking::tell(&declared, &known);
    let options = Options {
        urls: match arguments.verbose {
            0 => 0,
            1 => SHOWN,
            _ => SHOWN_AT_MOST,
        },
        now_ms: workspace::now_ms(),
        cure: cure(arguments.since.as_deref()),
        ..Options::default()
    };
    let (found, lineage) = match &arguments.since {
        None => {
            workspace::check_location(global)?;
            let reader = workspace::reader(global)?;
            if reader.is_none() {
                let state = global.state.display();
                output::note(&format!("no state at {state}: everything looks new"));
            }
            let records = reader.as_deref();
            let lineage = records.map(|records| records.lineage().to_owned());
            (plan(&declared, records, &options), lineage)
        }
        Some(reference) => {
            let store = since_commit(&mut declared, global, reference)?;
            (plan(&declared, Some(&store), &options), None)
        }
    };
    let found = found.map_err(failed_on_state)?;
    if let Some(path) = &arguments.save {
        save(
            &SavedPlan::of(&found.planned.plan, lineage.as_deref()),
            path,
        )?;
    }
    let has_changes = found.planned.plan.has_changes();
    output.report(&found.report, Some(has_changes))?;
    Ok(exit(arguments, &declared, &found))
}

/// What the state remembers of files and accounts: nothing, where none is read.
pub(super) fn remembered(since: Option<&str>, global: &Global) -> (Arc<Index>, Arc<Known>) {
    match since {
        Some(_) => (Arc::default(), Arc::default()),
        None => (
            Arc::new(workspace::index(global)),
            workspace::known(global, Missing::Fails),
        ),
    }
}

/// How a plan against `since`, or against the state, is let through.
pub(super) fn cure(since: Option<&str>) -> Cure {
    since.map_or(Cure::Approve, |reference| Cure::Since(reference.to_owned()))
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
    // Nobody is left in the end to send what waits.
    for cdn in declared.cdns.values_mut() {
        cdn.wait_for_origin_ms = None;
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

fn exit(arguments: &Arguments, declared: &Declared, found: &Found) -> Exit {
    let Found { planned, report } = found;
    let is_invalid = workspace::has_errors(&report.body.problems) || !planned.partial.is_empty();
    let is_blocked = planned.plan.is_blocked() || !declared.empty_roots.is_empty();
    let is_refused = planned.plan.refused() + planned.plan.held_back() > 0;
    let has_changes = arguments.detailed_exitcode && planned.plan.has_changes();
    Exit::first([
        (is_invalid || is_refused, Exit::Failed),
        (is_blocked, Exit::Blocked),
        (has_changes, Exit::Changes),
    ])
}
