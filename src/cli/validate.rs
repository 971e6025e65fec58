//! `validate`: every problem of every file.

use super::args::Global;
use super::exit::{Exit, Failure};
use super::output::Output;
use super::workspace;
use crate::report::validate::{self, Read};

/// Reads, declares and expands everything.
pub(super) fn run(global: &Global, output: Output) -> Result<Exit, Failure> {
    let declared = workspace::declared(global)?;
    let mut problems = declared.problems.clone();
    let mut read = Read {
        cdns: declared.cdns.len() as u64,
        sets: declared.sets.len() as u64,
        urls: 0,
    };
    for set in declared.sets.values() {
        let compiled = set.expand();
        problems.extend(compiled.problems);
        read.urls += compiled.expansion.map_or(0, |expansion| expansion.count());
    }
    let is_invalid = workspace::has_errors(&problems);
    output.any_report(&validate::report(read, problems), None)?;
    Ok(Exit::first([
        (is_invalid, Exit::Failed),
        (!declared.empty_roots.is_empty(), Exit::Blocked),
    ]))
}
