//! The batches that were sent, and what somebody asked for.

use std::collections::BTreeMap;

use super::wanted::{self, Refused};
use crate::declare::Declared;
use crate::reconcile::asks::Ask;
use crate::report::Report;
use crate::report::history::{HistoryDocument, report};
use crate::state::{HistoryFilter, Records, Request, StateError};

/// The latest batches, at most so many, and the requests of that time; only
/// those that concern `set`, where one is named. Targets go by their `names`.
pub fn history(
    records: &Records,
    names: &BTreeMap<String, String>,
    set: Option<&str>,
    at_most: u32,
) -> Result<Report<HistoryDocument>, StateError> {
    let filter = HistoryFilter {
        set: set.map(str::to_owned),
        before: None,
        // One more tells whether there are older ones.
        at_most: at_most.saturating_add(1),
    };
    let mut batches = records.history(&filter)?;
    let is_cut = batches.len() as u64 > u64::from(at_most);
    batches.truncate(at_most as usize);
    let oldest = batches.last().filter(|_| is_cut);
    let since_ms = oldest.map_or(i64::MIN, |oldest| oldest.opened_ms);
    let requests = requests(records, set, since_ms, at_most)?;
    let mut lapses = records.lapses(since_ms)?;
    lapses.retain(|lapse| set.is_none_or(|set| lapse.set == set));
    lapses.reverse();
    let mut probes = BTreeMap::new();
    for batch in &batches {
        probes.insert(batch.no, records.probes_of(batch.no)?);
    }
    Ok(report(
        (&batches, is_cut),
        (&requests, &lapses),
        names,
        &probes,
    ))
}

/// Whether anything is known of a set called `name`.
pub fn is_known(declared: &Declared, records: &Records, name: &str) -> Result<(), Refused> {
    if records.sets()?.iter().any(|set| set.name == name) {
        return Ok(());
    }
    wanted::set(declared, Some(name))
}

fn requests(
    records: &Records,
    set: Option<&str>,
    since_ms: i64,
    at_most: u32,
) -> Result<Vec<Request>, StateError> {
    let mut requests = records.requests(false)?;
    requests.retain(|request| request.at_ms >= since_ms && concerns(request, set));
    requests.reverse();
    requests.truncate(at_most as usize);
    Ok(requests)
}

fn concerns(request: &Request, set: Option<&str>) -> bool {
    match Ask::of(request) {
        // Its URLs are part of the `invalidate` that it came from.
        Ok(Ask::Adhoc { .. }) => false,
        Ok(ask) => match (set, ask.set()) {
            (None, _) => true,
            (Some(set), Some(named)) => set == named,
            // Without a name it may mean any set.
            (Some(_), None) => matches!(ask, Ask::Invalidate(_)),
        },
        Err(_) => set.is_none(),
    }
}
