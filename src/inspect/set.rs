//! One set, from every side.

use super::Moment;
use super::history::history;
use super::plan::{Options, plan};
use super::status;
use crate::declare::Declared;
use crate::report::set::{OneSet, document};
use crate::report::status::report;
use crate::state::{Records, StateError};

/// URLs shown at each Cdn.
const SHOWN: usize = 20;

/// Batches shown.
const BATCHES: u32 = 20;

/// How the set called `name` stands, what would be sent for it, and what was.
/// It must be known to the state or the manifests.
pub fn set(
    declared: &Declared,
    records: &Records,
    name: &str,
    moment: &Moment,
) -> Result<OneSet, StateError> {
    let options = Options {
        only: Some(name.to_owned()),
        urls: SHOWN,
        now_ms: moment.now_ms,
        ..Options::default()
    };
    let found = plan(declared, Some(records), &options)?;
    let recorded = status::beside(found.planned, declared, records, (Some(name), moment))?;
    let sides = (
        report(&recorded).wire,
        found.report.wire,
        history(records, &declared.names_of_targets(), Some(name), BATCHES)?.wire,
    );
    Ok(document(name, !recorded.broken.is_empty(), sides))
}
