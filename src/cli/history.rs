//! `history`: the batches that were sent.

use std::collections::BTreeMap;

use super::args::{Global, History};
use super::exit::{Exit, Failure};
use super::output::Output;
use super::workspace::{self, failed_on_state, refused};
use crate::inspect::history::{history, is_known};

/// Reads the journal beside whoever writes it.
pub(super) fn run(arguments: &History, global: &Global, output: Output) -> Result<Exit, Failure> {
    let reader = workspace::recorded(global)?;
    let set = arguments.set.as_deref();
    // What was sent can be told without manifests, then without names.
    let declared = workspace::declared(global);
    let names = match &declared {
        Ok(declared) => declared.names_of_targets(),
        Err(_) => BTreeMap::new(),
    };
    let report = history(&reader, &names, set, arguments.last).map_err(failed_on_state)?;
    if let Some(name) = set.filter(|_| report.wire.batches.is_empty()) {
        is_known(&declared?, &reader, name).map_err(refused)?;
    }
    output.report(&report, None)?;
    Ok(Exit::Fine)
}
