//! A batch on its way, and how it is taken apart when it is refused.

use std::collections::BTreeSet;

use super::journal::{BatchNo, Cause, Claim, NewBatch};
use super::verdict::Reason;
use crate::digest::{Digest, ItemKind, Key};
use crate::plan::recorded::Refusal;

/// Names a parcel within its lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Names a bisection within its lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct FamilyId(pub(super) usize);

/// A batch on its way.
#[derive(Clone, Debug)]
pub(super) struct Parcel {
    pub(super) batch: NewBatch,
    /// Its number while the journal holds it.
    pub(super) no: Option<BatchNo>,
    /// The bisection it is part of.
    pub(super) family: Option<FamilyId>,
    /// Items of the part it came from; the whole has none.
    pub(super) parent_len: Option<usize>,
    /// Passing faults in a row.
    pub(super) faults: u32,
    /// Sends under its present number.
    pub(super) sends: u32,
}

impl Parcel {
    pub(super) fn new(batch: NewBatch) -> Self {
        Self {
            batch,
            no: None,
            family: None,
            parent_len: None,
            faults: 0,
            sends: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.batch.items.len()
    }

    pub(super) fn is_forced(&self) -> bool {
        self.batch.cause == Cause::Forced
    }

    /// The part with the items at `positions`, a child of this parcel.
    pub(super) fn part(&self, positions: impl Iterator<Item = usize>) -> Self {
        let items: Vec<Box<str>> = positions
            .map(|position| self.batch.items[position].clone())
            .collect();
        let keys: BTreeSet<Key> = items.iter().map(|item| key(item)).collect();
        let claims = self.batch.claims.iter().filter_map(|claim| {
            let entries: Vec<_> = claim
                .entries
                .iter()
                .copied()
                .filter(|entry| keys.contains(&entry.key()))
                .collect();
            (!entries.is_empty()).then_some(Claim {
                ledger: claim.ledger,
                entries,
            })
        });
        let batch = NewBatch {
            target: self.batch.target,
            parent: self.no,
            cause: if self.is_forced() {
                Cause::Forced
            } else {
                Cause::Bisect
            },
            claims: claims.collect(),
            items,
        };
        Self {
            no: None,
            sends: 0,
            parent_len: Some(self.len()),
            batch,
            ..*self
        }
    }

    /// Both halves.
    pub(super) fn halves(&self) -> [Self; 2] {
        let middle = self.len().div_ceil(2);
        [self.part(0..middle), self.part(middle..self.len())]
    }

    /// The two parcels as the one they were.
    pub(super) fn merged(mut self, other: Self) -> Self {
        self.batch.items.extend(other.batch.items);
        for claim in other.batch.claims {
            match self
                .batch
                .claims
                .iter_mut()
                .find(|mine| mine.ledger == claim.ledger)
            {
                Some(mine) => mine.entries.extend(claim.entries),
                None => self.batch.claims.push(claim),
            }
        }
        for claim in &mut self.batch.claims {
            claim.entries.sort_unstable();
        }
        Self {
            no: None,
            family: None,
            parent_len: None,
            faults: 0,
            sends: 0,
            ..self
        }
    }

    /// What is to be recorded when the items at `positions` are refused.
    pub(super) fn refusals(
        &self,
        positions: &[usize],
        reason: &Reason,
        cdn: Digest,
        now_ms: i64,
    ) -> Vec<Refusal> {
        let mut refusals: Vec<Refusal> = Vec::new();
        for item in positions
            .iter()
            .map(|&position| &self.batch.items[position])
        {
            let key = key(item);
            let entries = self.batch.claims.iter().filter_map(|claim| {
                let found = claim
                    .entries
                    .binary_search_by_key(&key, |entry| entry.key())
                    .ok()?;
                Some(claim.entries[found])
            });
            let mut entries: Vec<_> = entries.collect();
            entries.sort_unstable();
            entries.dedup();
            refusals.extend(entries.into_iter().map(|entry| Refusal {
                entry,
                item: item.to_string(),
                code: reason.code.clone(),
                message: reason.message.clone(),
                cdn,
                at_ms: now_ms,
            }));
        }
        refusals
    }
}

fn key(item: &str) -> Key {
    Key::of(ItemKind::Url, item.as_bytes())
}

/// What is known about the parts of one refused batch.
#[derive(Clone, Debug, Default)]
pub(super) struct Family {
    /// Some part was accepted: the target works, so what fails is to blame.
    pub(super) is_accepted: bool,
    /// Single URLs refused.
    pub(super) refused: usize,
    /// Disjoint parts of few URLs refused while nothing was accepted.
    pub(super) dead_ends: usize,
    /// Split on a fault that may pass, to find out whether it does.
    pub(super) is_probe: bool,
    /// Halves of a probe that met the fault again.
    pub(super) parked: Vec<Parcel>,
}
