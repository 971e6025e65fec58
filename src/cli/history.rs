//! `history`: the batches that were sent.

use super::args::{Global, History};
use super::exit::{Exit, Failure};
use super::output::Output;
use super::workspace::{self, failed_on_state};
use crate::inspect::history::history;

/// Reads the journal beside whoever writes it.
pub(super) fn run(arguments: &History, global: &Global, output: Output) -> Result<Exit, Failure> {
    let reader = workspace::recorded(global)?;
    let report =
        history(&reader, arguments.set.as_deref(), arguments.last).map_err(failed_on_state)?;
    output.report(&report, None)?;
    Ok(Exit::Fine)
}
