//! Bisection: a batch taken apart, and the order in which its parts are tried.

use std::ops::Range;

use super::journal::{Cause, Outcome};
use super::lane::{HaltKind, Lane, Settled, closed};
use super::parcel::{Family, FamilyId, Parcel, Ticket};
use super::settle::{PROBE_AFTER, failed, too_many};
use super::verdict::Reason;

/// A batch of fewer items would have a single URL in its first halves, and the
/// one that is held back could be to blame instead of it.
const HOLD_BACK_FROM: usize = 5;

impl Lane {
    /// Takes a parcel apart on a fault that may pass, to find out which of its
    /// URLs brings the fault about. Of a whole batch one is held back: should
    /// it be accepted at the end, what failed before and fails after is to blame.
    pub(super) fn probe(&mut self, parcel: &Parcel, reason: &Reason) -> Settled {
        let holds_back = parcel.family.is_none() && parcel.len() >= HOLD_BACK_FROM;
        let kept = parcel.len() - usize::from(holds_back);
        let id = parcel.family.unwrap_or_else(|| {
            self.families.push(Family::of_faulty(parcel.len()));
            FamilyId(self.families.len() - 1)
        });
        let part = |positions: Range<usize>| Parcel {
            family: Some(id),
            ..parcel.part(positions)
        };
        let family = &mut self.families[id.0];
        if holds_back {
            family.parked.push(part(kept..parcel.len()));
        }
        let pair = Some(family.new_pair());
        let middle = kept.div_ceil(2);
        let halves = [0..middle, middle..kept].map(|positions| Parcel {
            pair,
            ..part(positions)
        });
        self.divided(parcel, halves.into(), reason, false)
    }

    /// Sends the same items again, after everything else.
    pub(super) fn step_back(&mut self, mut parcel: Parcel, reason: &Reason) -> Settled {
        let close = failed(&parcel, reason);
        parcel.no = None;
        parcel.sends = 0;
        if let Some(FamilyId(id)) = parcel.family.filter(|_| parcel.needs_witness()) {
            for held_back in std::mem::take(&mut self.families[id].parked) {
                self.queue_last(held_back);
            }
        }
        self.queue_last(parcel);
        Settled {
            close,
            open: Vec::new(),
        }
    }

    /// Sends what was held back of batches of which nothing else is left.
    pub(super) fn release(&mut self) {
        for id in 0..self.families.len() {
            let is_part = |parcel: &Parcel| parcel.family == Some(FamilyId(id));
            if !self.families[id].parked.is_empty() && !self.parcels.values().any(is_part) {
                for held_back in std::mem::take(&mut self.families[id].parked) {
                    self.queue_last(held_back);
                }
            }
        }
    }

    fn queue_last(&mut self, mut parcel: Parcel) {
        // Whoever asked for it goes first, but not with what fails again and again.
        if parcel.is_forced() && parcel.suspicion.faults >= PROBE_AFTER {
            parcel.batch.cause = Cause::Plan;
        }
        let ticket = self.ticket();
        self.parcels.insert(ticket, parcel);
        self.halves.push_back(ticket);
    }

    /// The target has accepted a call: it works, or did when the call arrived.
    pub(super) fn bear_witness(&mut self, ticket: Ticket) {
        let in_flight = &self.in_flight;
        let waiting = self.parcels.iter_mut();
        for (_, parcel) in waiting.filter(|(other, _)| !in_flight.contains(other)) {
            parcel.suspicion.witness(ticket);
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
