//! A batch on its way, and how it is taken apart when it is refused.

use std::collections::BTreeSet;
use std::sync::Arc;

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

/// Names a split on a passing fault within its family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PairId(usize);

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
    /// The split on a passing fault that it is a half of, in its family.
    pub(super) pair: Option<PairId>,
    /// Whether passing faults are its own.
    pub(super) suspicion: Suspicion,
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
            pair: None,
            suspicion: Suspicion::default(),
            sends: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.batch.items.len()
    }

    pub(super) fn is_forced(&self) -> bool {
        self.batch.cause == Cause::Forced
    }

    /// Whether it is a single URL that would be blamed if only the target were
    /// known to work.
    pub(super) fn needs_witness(&self) -> bool {
        self.len() == 1 && self.suspicion.faults > 1 && !self.suspicion.is_suspect
    }

    /// The part with the items at `positions`, a child of this parcel.
    pub(super) fn part(&self, positions: impl Iterator<Item = usize>) -> Self {
        let items: Arc<[Box<str>]> = positions
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
            family: self.family,
            parent_len: Some(self.len()),
            ..Self::new(batch)
        }
    }

    /// Both halves.
    pub(super) fn halves(&self) -> [Self; 2] {
        let middle = self.len().div_ceil(2);
        [self.part(0..middle), self.part(middle..self.len())]
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

/// What passing faults say about a parcel, as it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Suspicion {
    /// Faults that it has met.
    pub(super) faults: u32,
    /// It met one although the target worked.
    pub(super) is_suspect: bool,
    /// Calls that were under way at its last fault: the target may have taken
    /// them before it failed.
    under_way: BTreeSet<Ticket>,
    /// Something that was sent after its last fault was accepted.
    has_witness: bool,
}

impl Suspicion {
    /// Another fault, with these calls under way.
    pub(super) fn fault(&mut self, is_left_alone: bool, under_way: &BTreeSet<Ticket>) {
        self.is_suspect |= self.has_witness || is_left_alone;
        self.faults += 1;
        self.under_way.clone_from(under_way);
        self.has_witness = false;
    }

    /// The target has accepted the call `ticket`.
    pub(super) fn witness(&mut self, ticket: Ticket) {
        self.has_witness |= self.faults > 0 && !self.under_way.contains(&ticket);
    }
}

/// What is known about the parts of one batch that was taken apart.
#[derive(Clone, Debug, Default)]
pub(super) struct Family {
    /// Some part was accepted: the target works, so what fails is to blame.
    pub(super) is_accepted: bool,
    /// Single URLs refused.
    pub(super) refused: usize,
    /// Disjoint parts of few URLs refused while nothing was accepted.
    pub(super) dead_ends: usize,
    /// Held back as long as other parts are left to be tried.
    pub(super) parked: Vec<Parcel>,
    /// Items not accepted yet, where the whole batch met passing faults.
    left: Option<usize>,
    /// By pair: whether one half was accepted, so that the fault that led to
    /// the split came from the other.
    pairs: Vec<bool>,
}

impl Family {
    /// The parts of a batch of so many items that met passing faults.
    pub(super) fn of_faulty(items: usize) -> Self {
        Self {
            left: Some(items),
            ..Self::default()
        }
    }

    /// The two halves of a part that met passing faults.
    pub(super) fn new_pair(&mut self) -> PairId {
        self.pairs.push(false);
        PairId(self.pairs.len() - 1)
    }

    /// A part was accepted.
    pub(super) fn accept(&mut self, part: &Parcel) {
        self.is_accepted = true;
        self.left = self.left.map(|left| left - part.len());
        if let Some(PairId(pair)) = part.pair {
            self.pairs[pair] = true;
        }
    }

    /// Whether whatever shared an earlier fault with `part` was accepted.
    pub(super) fn leaves_only(&self, part: &Parcel) -> bool {
        let is_last = self.left == Some(part.len());
        is_last || part.pair.is_some_and(|PairId(pair)| self.pairs[pair])
    }
}
