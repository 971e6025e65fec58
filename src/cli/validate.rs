//! `validate`: every problem of every file.

use std::sync::Arc;

use super::args::Global;
use super::exit::{Exit, Failure};
use super::output::Output;
use super::{looking, workspace};
use crate::inspect::validate::validate;
use crate::lookup::Missing;

/// Reads, declares and expands everything. It needs neither network nor state:
/// sets that only an account can fill are left out where no list is here.
pub(super) fn run(global: &Global, output: Output) -> Result<Exit, Failure> {
    let known = workspace::known(global, Missing::LeavesOut);
    let index = Arc::new(workspace::index(global));
    let declared = workspace::declared_with(global, &index, &known)?;
    looking::tell(&declared, &known);
    let report = validate(&declared);
    output.any_report(&report, None)?;
    Ok(Exit::first([
        (report.wire.errors > 0, Exit::Failed),
        (report.wire.partial > 0, Exit::Failed),
        (!declared.empty_roots.is_empty(), Exit::Blocked),
    ]))
}
