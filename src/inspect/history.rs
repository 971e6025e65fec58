//! The batches that were sent.

use std::collections::BTreeMap;

use crate::report::Report;
use crate::report::history::{HistoryDocument, report};
use crate::state::{HistoryFilter, Records, StateError};

/// The latest batches, at most so many; only those with a share of `set`,
/// where one is named. Targets go by their `names`.
pub fn history(
    records: &Records,
    names: &BTreeMap<String, String>,
    set: Option<&str>,
    at_most: u32,
) -> Result<Report<HistoryDocument>, StateError> {
    let filter = HistoryFilter {
        set: set.map(str::to_owned),
        before: None,
        at_most,
    };
    Ok(report(&records.history(&filter)?, names))
}
