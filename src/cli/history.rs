//! `history`: the batches that were sent.

use std::collections::BTreeMap;

use super::args::{Global, History};
use super::exit::{Exit, Failure};
use super::output::Output;
use super::workspace::{self, failed_on_state};
use crate::inspect::history::history;

/// Reads the journal beside whoever writes it.
pub(super) fn run(arguments: &History, global: &Global, output: Output) -> Result<Exit, Failure> {
    let reader = workspace::recorded(global)?;
    // What was sent can be told without manifests, then without names.
    let declared = workspace::declared(global);
    let names = declared.map_or_else(|_| BTreeMap::new(), |declared| declared.names_of_targets());
    let set = arguments.set.as_deref();
    let report = history(&reader, &names, set, arguments.last).map_err(failed_on_state)?;
    output.report(&report, None)?;
    Ok(Exit::Fine)
}
