//! `validate`: every problem of every file.

use super::args::Global;
use super::exit::{Exit, Failure};
use super::output::Output;
use super::workspace;
use crate::inspect::validate::validate;

/// Reads, declares and expands everything.
pub(super) fn run(global: &Global, output: Output) -> Result<Exit, Failure> {
    let declared = workspace::declared(global)?;
    let report = validate(&declared);
    output.any_report(&report, None)?;
    Ok(Exit::first([
        (report.wire.errors > 0, Exit::Failed),
        (report.wire.partial > 0, Exit::Failed),
        (!declared.empty_roots.is_empty(), Exit::Blocked),
    ]))
}
