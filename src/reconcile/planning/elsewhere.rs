//! What was told of items that have left other sets: renamed and split sets
//! send nothing again.

use std::rc::Rc;

use super::Planner;
use crate::digest::Entry;
use crate::plan::TargetPlan;
use crate::plan::recorded::{LedgerContents, RecordedLedger};
use crate::state::{Records, StateError};

impl Planner<'_> {
    /// What other sets have lost at this target: what departs in this plan or
    /// has departed before, and all of a set that is no longer declared.
    pub(super) fn elsewhere(&mut self, target: &str) -> Result<Rc<Vec<Entry>>, StateError> {
        let Some(records) = self.records else {
            return Ok(Rc::default());
        };
        if let Some(known) = self.elsewhere.get(target) {
            return Ok(Rc::clone(known));
        }
        let mut entries = self.departing.get(target).cloned().unwrap_or_default();
        for (name, set) in &*self.sets {
            if let Some(ledger) = set.ledger(target) {
                let is_gone =
                    !self.declared.sets.contains_key(name) && !self.declared.broken.contains(name);
                entries.extend(self.lost(records, ledger, is_gone)?);
            }
        }
        entries.retain(|entry| !entry.mark().is_owed());
        entries.sort_unstable();
        let entries = Rc::new(entries);
        self.elsewhere
            .insert(target.to_owned(), Rc::clone(&entries));
        Ok(entries)
    }

    fn lost(
        &self,
        records: &Records,
        ledger: &RecordedLedger,
        is_gone: bool,
    ) -> Result<Vec<Entry>, StateError> {
        if !is_gone && records.departed(ledger.id)?.is_empty() {
            return Ok(Vec::new());
        }
        let LedgerContents {
            mut entries,
            departed,
            ..
        } = records.contents(ledger.id, self.options.now_ms)?;
        entries.retain(|entry| is_gone || departed.binary_search(&entry.key()).is_ok());
        Ok(entries)
    }

    /// What a plan loses counts as told only where it is also recorded as
    /// lost: it could come back to the set at a mark that is out of date.
    pub(super) fn note_departures(&mut self, plan: &TargetPlan, contents: &LedgerContents) {
        if plan.departed.is_empty() || !plan.is_begun() {
            return;
        }
        let departs = |entry: &&Entry| plan.departed.binary_search(&entry.key()).is_ok();
        let departing = contents.entries.iter().filter(departs);
        let known = self.departing.entry(plan.target.clone()).or_default();
        known.extend(departing);
        self.elsewhere.remove(&plan.target);
    }
}
