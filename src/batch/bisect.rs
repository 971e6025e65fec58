//! Bisection: a refused batch in parts, and parts that become one again.

use super::journal::Outcome;
use super::lane::{HaltKind, Lane, Settled, closed};
use super::parcel::{Family, FamilyId, Parcel};
use super::settle::{failed, too_many};
use super::verdict::Reason;

impl Lane {
    /// Both halves of a probe meeting the fault again says that the target is
    /// at fault, so they become one batch again.
    pub(super) fn park(&mut self, mut parcel: Parcel, id: FamilyId, reason: &Reason) -> Settled {
        let close = failed(&parcel, reason);
        parcel.no = None;
        match self.families[id.0].parked.pop() {
            None => self.families[id.0].parked.push(parcel),
            Some(other) => {
                let ticket = self.ticket();
                self.parcels.insert(ticket, other.merged(parcel));
                self.ready.push_back(ticket);
            }
        }
        Settled {
            close,
            open: Vec::new(),
        }
    }

    pub(super) fn release(&mut self, id: FamilyId) {
        for parcel in std::mem::take(&mut self.families[id.0].parked) {
            let ticket = self.ticket();
            self.parcels.insert(ticket, parcel);
            self.halves.push_front(ticket);
        }
    }

    pub(super) fn split(
        &mut self,
        parcel: &Parcel,
        family: Option<FamilyId>,
        reason: &Reason,
        is_last: bool,
    ) -> Settled {
        let halves = parcel.halves().map(|half| Parcel { family, ..half });
        self.divided(parcel, halves.into(), reason, is_last)
    }

    /// Closes a parcel and opens its parts, in one transaction.
    pub(super) fn divided(
        &mut self,
        parcel: &Parcel,
        parts: Vec<Parcel>,
        reason: &Reason,
        is_last: bool,
    ) -> Settled {
        let close = parcel.no.map(|no| {
            closed(
                no,
                Outcome::Split {
                    message: reason.to_string(),
                },
            )
        });
        let mut open = Vec::new();
        for part in parts.into_iter().rev() {
            let ticket = self.ticket();
            open.push((ticket, part.batch.clone()));
            self.parcels.insert(ticket, part);
            if is_last {
                self.halves.push_back(ticket);
            } else {
                self.halves.push_front(ticket);
            }
        }
        Settled { close, open }
    }

    pub(super) fn suspicious(&mut self, parcel: &Parcel, reason: &Reason) -> Settled {
        self.stop(HaltKind::Misconfigured, too_many(reason));
        self.again(parcel.clone(), reason)
    }

    pub(super) fn family_of(&mut self, parcel: &Parcel) -> FamilyId {
        parcel.family.unwrap_or_else(|| {
            self.families.push(Family::default());
            FamilyId(self.families.len() - 1)
        })
    }
}
