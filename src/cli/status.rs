//! `status`: what is recorded, and what stands in the way.

use super::args::{Global, OneSet};
use super::exit::{Exit, Failure};
use super::output::Output;
use super::workspace::{self, failed_on_state};
use crate::batch::verify::Finding;
use crate::inspect::status;
use crate::report::status::report;

/// Reads the state beside whoever writes it.
pub(super) fn run(arguments: &OneSet, global: &Global, output: Output) -> Result<Exit, Failure> {
    let declared = workspace::declared(global)?;
    let reader = workspace::recorded(global)?;
    let moment = workspace::moment(global);
    let recorded = status::read(&declared, &reader, arguments.set.as_deref(), &moment)
        .map_err(failed_on_state)?;
    let mut targets = recorded.targets.iter();
    let has_trouble =
        targets.any(|bears| bears.target.halted.is_some() || !bears.refusals.is_empty());
    let mut probes = recorded.probes.values().flatten();
    let is_stale = probes.any(|probe| probe.finding == Some(Finding::Stale));
    output.report(&report(&recorded), None)?;
    Ok(Exit::first([
        (workspace::has_errors(&recorded.problems), Exit::Failed),
        (is_stale, Exit::Failed),
        (has_trouble || !recorded.broken.is_empty(), Exit::Failed),
        (recorded.plan.is_blocked(), Exit::Blocked),
        (!declared.empty_roots.is_empty(), Exit::Blocked),
    ]))
}
