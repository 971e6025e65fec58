//! `history`: the batches that were sent.

use super::args::{Global, History};
use super::exit::{Exit, Failure};
use super::output::Output;
use super::workspace::{self, failed_on_state};
use crate::report::history::report;
use crate::state::HistoryFilter;

/// Reads the journal beside whoever writes it.
pub(super) fn run(arguments: &History, global: &Global, output: Output) -> Result<Exit, Failure> {
    let reader = workspace::recorded(global)?;
    let filter = HistoryFilter {
        set: arguments.set.clone(),
        before: None,
        at_most: arguments.last,
    };
    let batches = reader.history(&filter).map_err(failed_on_state)?;
    output.report(&report(&batches), None)?;
    Ok(Exit::Fine)
}
