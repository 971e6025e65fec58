//! How a lane makes room for another plan, and what it still has to do.

use std::collections::BTreeSet;

use super::journal::{BatchNo, Close, Outcome};
use super::lane::{Lane, LookUp, closed};
use super::parcel::{Parcel, Ticket};
use super::queue::Queue;
use super::rate::Class;
use crate::plan::recorded::LedgerId;

impl Lane {
    /// Drops everything but the calls under way: what was journalled and never
    /// sent is to be closed as `why` says; a batch of unknown outcome stays
    /// open in the journal, for whoever recovers.
    pub fn vacate(&mut self, why: &str) -> Vec<Close> {
        self.queue = Queue::default();
        self.ready.clear();
        self.halves.clear();
        for family in &mut self.families {
            family.parked.clear();
        }
        let in_flight = &self.in_flight;
        let left = self
            .parcels
            .extract_if(.., |ticket, _| !in_flight.contains(ticket));
        let unsent = left.filter(|(_, parcel)| parcel.sends == 0);
        let close = |(_, parcel): (Ticket, Parcel)| {
            Some(closed(
                parcel.no?,
                Outcome::Abandoned {
                    message: why.to_owned(),
                },
            ))
        };
        unsent.filter_map(close).collect()
    }

    /// Whether a call is under way.
    pub fn is_busy(&self) -> bool {
        !self.in_flight.is_empty() || self.look_up == LookUp::UnderWay
    }

    /// Whether a call is under way, or something is first in line to be sent
    /// again, such as a batch of unknown outcome.
    pub fn is_recovering(&self) -> bool {
        self.is_busy() || (!self.ready.is_empty() && self.halt.is_none())
    }

    /// Calls that may begin beside those under way.
    pub fn free(&self) -> usize {
        let under_way = self.in_flight.len();
        self.settings.concurrency.saturating_sub(under_way)
    }

    /// The number of a parcel, once the journal has given it one.
    pub fn number(&self, ticket: Ticket) -> Option<BatchNo> {
        self.parcels.get(&ticket)?.no
    }

    /// Whether a parcel under way is about nothing but items that nobody
    /// declares any more.
    pub fn is_removal(&self, ticket: Ticket) -> bool {
        let claims = self.parcels[&ticket].batch.claims.iter();
        let mut entries = claims.flat_map(|claim| &claim.entries);
        entries.all(|entry| entry.mark().is_removed())
    }

    /// Whether this open batch is one of the lane's.
    pub fn has(&self, no: BatchNo) -> bool {
        self.parcels.values().any(|parcel| parcel.no == Some(no))
    }

    /// Items that no open batch holds: what a plan made now would send.
    pub fn unopened(&self) -> usize {
        let parked = self.families.iter().flat_map(|family| &family.parked);
        let parcels = self.parcels.values().chain(parked);
        let unopened = parcels.filter(|parcel| parcel.no.is_none());
        unopened.map(Parcel::len).sum::<usize>()
            + self.queue.left(Class::Planned)
            + self.queue.left(Class::Removed)
            + self.queue.left(Class::Forced)
    }

    /// The ledgers for which anything is to be sent, or under way.
    pub fn ledgers(&self) -> BTreeSet<LedgerId> {
        let parked = self.families.iter().flat_map(|family| &family.parked);
        let parcels = self.parcels.values().chain(parked);
        let claims = parcels.flat_map(|parcel| &parcel.batch.claims);
        let claimed = claims.map(|claim| claim.ledger);
        claimed.chain(self.queue.ledgers()).collect()
    }
}
