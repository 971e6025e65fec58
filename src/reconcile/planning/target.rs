//! The plan of one set at one target: what the ledger lacks, within the limits.

use std::rc::Rc;

use super::compare::{Terms, Wanted};
use super::leaving::Fate;
use super::suspended::hold;
use super::waiting::Waits;
use super::{BootstrapChoice, Planner};
use crate::declare::Cdn;
use crate::digest::{Digest, Entry, Key};
use crate::manifest::{LimitsSpec, OnCreate};
use crate::plan::diff::{Diff, Past, diff};
use crate::plan::policy::{self, Block};
use crate::plan::recorded::{LedgerContents, RecordedLedger};
use crate::plan::{First, TargetPlan, Waiting};
use crate::state::StateError;

/// What is kept from being sent.
#[derive(Clone, Copy)]
pub(super) struct Kept<'a> {
    /// Sorted entries that the target refused.
    pub(super) refused: &'a [Entry],
    /// Sorted keys that an inner tier refused.
    pub(super) held: &'a [Key],
}

/// What the limits leave of a comparison.
struct Limited {
    approve: Vec<Entry>,
    block: Option<Block>,
    unapproved: u64,
}

impl Planner<'_> {
    pub(super) fn plan_target(
        &mut self,
        terms: &Terms<'_>,
        is_approved: bool,
        mut wanted: Wanted<'_>,
        kept: Kept<'_>,
    ) -> Result<TargetPlan, StateError> {
        let (cdn, ledger) = (wanted.cdn, wanted.ledger);
        let contents = self.contents(ledger)?;
        let desired = std::mem::take(&mut wanted.entries);
        let total = desired.len() as u64;
        let now_ms = self.options.now_ms;
        let waits = Waits::of(&contents, &desired, cdn.wait_for_origin_ms, now_ms);
        let mut found = self.find(terms, cdn, desired, (kept, &waits), &contents)?;
        let limited = limit(&mut found, terms.limits, is_approved, &contents);
        let at = (terms.set, cdn.name.as_str());
        let hold = hold(self.declared, &self.suspended, at, now_ms);
        let recorded = std::mem::take(&mut found.waiting);
        let waiting = if self.options.only_forced {
            // Whoever asks for something does not sit out what others wait for.
            Waiting::default()
        } else if hold.is_none() {
            waits.begin(&mut found, recorded, &contents)
        } else {
            // What is held anyway waits for nothing else meanwhile.
            found.send.extend(recorded);
            found.send.sort_unstable();
            Waiting::default()
        };
        let wire = cdn.wire.digest();
        let plan = TargetPlan {
            cdn: cdn.name.clone(),
            target: cdn.provider.target().to_owned(),
            tier: wanted.tier,
            ledger: ledger.map(|ledger| ledger.id),
            wire,
            desired: wanted.digest,
            total,
            send: found.send,
            forced: found.forced,
            removed: found.removed,
            dropped: found.dropped,
            record: found.carried,
            departed: found.departed,
            unapproved: limited.unapproved,
            approve: limited.approve,
            refused: found.refused.len() as u64,
            refusals: found.refused,
            held: found.held,
            open: found.open,
            reasons: found.reasons,
            first: first(ledger, wire),
            block: limited.block,
            hold,
            waiting,
        };
        self.note_departures(&plan, &contents);
        Ok(plan)
    }

    /// The comparison of what is desired with what the ledger, or that of a
    /// set which lost it, holds.
    fn find(
        &mut self,
        terms: &Terms<'_>,
        cdn: &Cdn,
        desired: Vec<Entry>,
        (kept, waits): (Kept<'_>, &Waits),
        contents: &LedgerContents,
    ) -> Result<Diff, StateError> {
        let is_unwritten = contents.entries.is_empty() && contents.open.is_empty();
        let elsewhere = if is_unwritten {
            self.elsewhere(cdn.provider.target())?
        } else {
            Rc::default()
        };
        let past = Past {
            contents,
            refused: kept.refused,
            held: kept.held,
            waiting: &waits.held,
            due: &waits.due,
            elsewhere: &elsewhere,
        };
        let mut found = diff(desired, past);
        self.find_removed(terms, cdn, past, &mut found);
        if self.is_adopted(terms, is_unwritten)? {
            adopt(&mut found, contents);
        }
        if terms.is_forced {
            found.forced.append(&mut found.send);
            found.forced.sort_unstable();
        }
        if self.options.only_forced {
            found.send.clear();
            found.removed.clear();
        }
        Ok(found)
    }

    /// What of the departed is to be sent once more.
    fn find_removed(&mut self, terms: &Terms<'_>, cdn: &Cdn, past: Past<'_>, found: &mut Diff) {
        let Some(leaving) = self.leaving.get(terms.set) else {
            return;
        };
        let keys = leaving.at(cdn.provider.target());
        let awaited = match leaving.fate {
            Fate::Sent => found.remove(keys, past),
            Fate::Unknown => found.awaited(keys, past),
            Fate::Dropped => {
                found.dropped = found.awaited(keys, past).len() as u64;
                Vec::new()
            }
        };
        self.awaited.push((cdn.wire.clone(), awaited));
    }

    /// Whether what no ledger holds counts as told already.
    fn is_adopted(&self, terms: &Terms<'_>, is_unwritten: bool) -> Result<bool, StateError> {
        let is_new_set = is_unwritten && terms.on_create == OnCreate::Adopt;
        let is_bootstrap =
            self.options.bootstrap == Some(BootstrapChoice::Adopt) && self.is_new()?;
        Ok(is_new_set || is_bootstrap)
    }

    fn contents(&self, ledger: Option<&RecordedLedger>) -> Result<LedgerContents, StateError> {
        match self.records.zip(ledger) {
            Some((records, ledger)) => records.contents(ledger.id, self.options.now_ms),
            None => Ok(LedgerContents::default()),
        }
    }
}

/// Takes out what is over a limit and not approved; an approval of the plan as
/// it stands covers all of it.
fn limit(
    found: &mut Diff,
    limits: LimitsSpec,
    is_approved: bool,
    contents: &LedgerContents,
) -> Limited {
    let approve = if is_approved {
        approvable(found)
    } else {
        Vec::new()
    };
    let approved = if is_approved {
        &approve
    } else {
        &contents.approved
    };
    let block = policy::restrict(found, limits, approved, contents.entries.len() as u64);
    let unapproved =
        policy::unapproved(&found.send, approved) + policy::unapproved(&found.removed, approved);
    Limited {
        approve,
        block,
        unapproved,
    }
}

fn first(ledger: Option<&RecordedLedger>, wire: Digest) -> Option<First> {
    match ledger {
        None => Some(First::NewSet),
        Some(ledger) if ledger.wire != wire => Some(First::WireChanged),
        Some(_) => None,
    }
}

/// Takes what the ledger has never held as told; what it owes stays owed.
fn adopt(found: &mut Diff, contents: &LedgerContents) {
    let holds = |entry: &Entry| {
        let found = contents
            .entries
            .binary_search_by_key(&entry.key(), |entry| entry.key());
        found.is_ok()
    };
    let (owed, new): (Vec<Entry>, Vec<Entry>) =
        std::mem::take(&mut found.send).into_iter().partition(holds);
    found.send = owed;
    found.carried.extend(new);
    found.carried.sort_unstable();
    found.reasons.new = 0;
}

fn approvable(found: &Diff) -> Vec<Entry> {
    let mut entries: Vec<Entry> = found
        .send
        .iter()
        .chain(&found.forced)
        .chain(&found.removed)
        .copied()
        .collect();
    entries.sort_unstable();
    entries
}
