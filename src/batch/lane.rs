//! The lane of one target: what goes next, and what an answer changes.
//!
//! A pure state machine: the submitter journals what it returns, sends, and
//! tells it the verdicts. Every batch that leaves is numbered by the journal
//! first; every known outcome closes its number.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::journal::{BatchNo, Cause, Close, NewBatch, OpenBatch, Outcome};
use super::parcel::{Family, Parcel, Ticket};
use super::queue::{Queue, Work};
use super::rate::{Budget, Class};
use super::verdict::Reason;
use crate::digest::Digest;
use crate::plan::recorded::TargetId;

/// What a lane is told about its Cdn.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where everything in it goes.
    pub target: TargetId,
    /// Items a batch may hold.
    pub max_items: usize,
    /// Calls under way at once.
    pub concurrency: usize,
    /// Milliseconds from an acceptance to the next tier.
    pub settle_ms: u64,
    /// Digest of the Cdn manifest, kept with refusals.
    pub cdn: Digest,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Make the look-up that batches depend on.
    LookUp,
    /// Journal this batch as sent, then send it.
    Open(Ticket, NewBatch),
    /// Journal that this open batch is sent, then send it.
    Send(Ticket, BatchNo),
    /// Nothing before this time, milliseconds since the epoch.
    Wait(i64),
    /// Nothing before an answer arrives.
    Busy,
    /// Nothing left, or nothing that may be sent.
    Done,
}

/// Why a target is not asked again in this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Halt {
    /// What kind of trouble.
    pub kind: HaltKind,
    /// In the CDN's words, or ours.
    pub reason: Reason,
}

/// Kinds of trouble that repeating does not cure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HaltKind {
    /// Credentials.
    Unauthorized,
    /// Account, root, endpoint.
    Misconfigured,
    /// An answer that makes no sense to us.
    NotUnderstood,
}

impl HaltKind {
    /// The inverse of [`HaltKind::as_str`].
    pub fn named(name: &str) -> Option<Self> {
        [Self::Unauthorized, Self::Misconfigured, Self::NotUnderstood]
            .into_iter()
            .find(|kind| kind.as_str() == name)
    }

    /// As it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::Misconfigured => "misconfigured",
            Self::NotUnderstood => "not understood",
        }
    }
}

/// What an answer changes, to be journalled in one transaction.
#[derive(Debug, Default)]
pub struct Settled {
    /// The batch's end.
    pub close: Option<Close>,
    /// Its parts, opened unsent.
    pub open: Vec<(Ticket, NewBatch)>,
}

/// What a lane has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Calls with items made.
    pub calls: u64,
    /// Batches accepted.
    pub batches: u64,
    /// Items accepted.
    pub accepted: u64,
    /// Items refused.
    pub refused: u64,
}

impl Tally {
    /// Adds what was done later.
    pub fn add(&mut self, later: Self) {
        self.calls += later.calls;
        self.batches += later.batches;
        self.accepted += later.accepted;
        self.refused += later.refused;
    }
}

/// The lane of one target.
#[derive(Debug)]
pub struct Lane {
    pub(super) settings: Settings,
    pub(super) budget: Budget,
    pub(super) queue: Queue,
    pub(super) parcels: BTreeMap<Ticket, Parcel>,
    /// To be sent again whole, first in line.
    pub(super) ready: VecDeque<Ticket>,
    /// Parts of refused batches: last in line, the newest first.
    pub(super) halves: VecDeque<Ticket>,
    pub(super) in_flight: BTreeSet<Ticket>,
    pub(super) families: Vec<Family>,
    pub(super) look_up: LookUp,
    pub(super) retry_at_ms: Option<i64>,
    pub(super) attempts: u32,
    pub(super) rejected_logins: u32,
    pub(super) halt: Option<Halt>,
    last_ticket: u64,
    pub(super) tally: Tally,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LookUp {
    Needed,
    UnderWay,
    Answered,
}

impl Lane {
    /// An empty lane; `retry_at_ms` and `attempts` are as stored.
    pub fn new(
        settings: Settings,
        budget: Budget,
        retry_at_ms: Option<i64>,
        attempts: u32,
    ) -> Self {
        Self {
            settings,
            budget,
            queue: Queue::default(),
            parcels: BTreeMap::new(),
            ready: VecDeque::new(),
            halves: VecDeque::new(),
            in_flight: BTreeSet::new(),
            families: Vec::new(),
            look_up: LookUp::Answered,
            retry_at_ms,
            attempts,
            rejected_logins: 0,
            halt: None,
            last_ticket: 0,
            tally: Tally::default(),
        }
    }

    /// Batches wait for a look-up.
    pub fn require_look_up(&mut self) {
        self.look_up = LookUp::Needed;
    }

    /// Adds what a set wants sent.
    pub fn add(&mut self, work: Work) {
        self.queue.add(work);
    }

    /// Sends a batch of unknown outcome once more, under its number.
    pub fn replay(&mut self, open: OpenBatch) {
        let ticket = self.ticket();
        let parcel = Parcel {
            no: Some(open.no),
            sends: open.attempts,
            ..Parcel::new(open.batch)
        };
        self.parcels.insert(ticket, parcel);
        self.ready.push_back(ticket);
    }

    /// What to do next. A batch returned here is debited and under way.
    pub fn next(&mut self, now_ms: i64) -> Next {
        let idle = if self.in_flight.is_empty() && self.look_up != LookUp::UnderWay {
            Next::Done
        } else {
            Next::Busy
        };
        if self.halt.is_some() || self.look_up == LookUp::UnderWay {
            return idle;
        }
        let Some(choice) = self.choose() else {
            return idle;
        };
        if self.in_flight.len() >= self.settings.concurrency {
            return Next::Busy;
        }
        if let Some(at) = self.retry_at_ms.filter(|&at| at > now_ms) {
            return Next::Wait(at);
        }
        let (class, items) = self.size(&choice);
        let items = if self.look_up == LookUp::Needed {
            0
        } else {
            items
        };
        let earliest_ms = self.budget.earliest_ms(class, items as u64, now_ms);
        if earliest_ms > now_ms {
            return Next::Wait(earliest_ms);
        }
        self.budget.debit(items as u64, now_ms);
        if self.look_up == LookUp::Needed {
            self.look_up = LookUp::UnderWay;
            return Next::LookUp;
        }
        self.depart(&choice, items)
    }

    /// The journal has given a parcel its number.
    pub fn journalled(&mut self, ticket: Ticket, no: BatchNo) {
        if let Some(parcel) = self.parcels.get_mut(&ticket) {
            parcel.no = Some(no);
        }
    }

    /// The items of a parcel under way, in the order they are sent.
    pub fn items(&self, ticket: Ticket) -> &Arc<[Box<str>]> {
        &self.parcels[&ticket].batch.items
    }

    /// Items that are not accepted or refused yet.
    pub fn left(&self) -> usize {
        let opened = self.parcels.values().filter(|parcel| parcel.no.is_some());
        opened.map(Parcel::len).sum::<usize>() + self.unopened()
    }

    /// Digest of the Cdn manifest.
    pub fn cdn(&self) -> Digest {
        self.settings.cdn
    }

    /// Why it stopped, if it did.
    pub fn halt(&self) -> Option<&Halt> {
        self.halt.as_ref()
    }

    /// What it has done since this was last called.
    pub fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    /// What is to be stored of its budget.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// When it may go on after a fault, and how many there were in a row.
    pub fn retry(&self) -> (Option<i64>, u32) {
        (self.retry_at_ms, self.attempts)
    }

    /// The clock was set back by so much: what waits does so for no longer.
    pub fn clock_set_back(&mut self, by_ms: i64) {
        self.retry_at_ms = self.retry_at_ms.map(|at_ms| at_ms.saturating_sub(by_ms));
        self.budget.clock_set_back(by_ms);
    }

    pub(super) fn ticket(&mut self) -> Ticket {
        self.last_ticket += 1;
        Ticket(self.last_ticket)
    }

    fn choose(&self) -> Option<Choice> {
        let is_forced = |ticket: &&Ticket| self.parcels[ticket].is_forced();
        let parcel = |ticket: &Ticket| Choice::Parcel(*ticket);
        let forced = || {
            self.ready
                .iter()
                .chain(&self.halves)
                .find(is_forced)
                .map(parcel)
        };
        let cut = |class| (self.queue.left(class) > 0).then_some(Choice::Cut(class));
        forced()
            .or_else(|| cut(Class::Forced))
            .or_else(|| self.ready.front().map(parcel))
            .or_else(|| cut(Class::Removed))
            .or_else(|| cut(Class::Planned))
            .or_else(|| self.halves.front().map(parcel))
    }

    fn size(&self, choice: &Choice) -> (Class, usize) {
        match choice {
            Choice::Parcel(ticket) => {
                let parcel = &self.parcels[ticket];
                (
                    if parcel.is_forced() {
                        Class::Forced
                    } else {
                        Class::Planned
                    },
                    parcel.len(),
                )
            }
            Choice::Cut(class) => {
                let burst = usize::try_from(self.budget.max_items(*class)).unwrap_or(usize::MAX);
                (
                    *class,
                    self.queue
                        .left(*class)
                        .min(self.settings.max_items)
                        .min(burst.max(1)),
                )
            }
        }
    }

    fn depart(&mut self, choice: &Choice, items: usize) -> Next {
        self.tally.calls += 1;
        match *choice {
            Choice::Parcel(ticket) => {
                self.ready.retain(|other| *other != ticket);
                self.halves.retain(|other| *other != ticket);
                self.in_flight.insert(ticket);
                let parcel = self
                    .parcels
                    .get_mut(&ticket)
                    .expect("a queued ticket names a parcel");
                parcel.sends += 1;
                match parcel.no {
                    Some(no) => Next::Send(ticket, no),
                    None => Next::Open(ticket, parcel.batch.clone()),
                }
            }
            Choice::Cut(class) => {
                let Some((items, claims)) = self.queue.cut(class, items) else {
                    self.tally.calls -= 1;
                    return Next::Wait(0);
                };
                let cause = match class {
                    Class::Forced => Cause::Forced,
                    Class::Removed => Cause::Removed,
                    Class::Planned => Cause::Plan,
                };
                let batch = NewBatch {
                    target: self.settings.target,
                    parent: None,
                    cause,
                    items: items.into(),
                    claims,
                };
                let ticket = self.ticket();
                self.parcels.insert(
                    ticket,
                    Parcel {
                        sends: 1,
                        ..Parcel::new(batch.clone())
                    },
                );
                self.in_flight.insert(ticket);
                Next::Open(ticket, batch)
            }
        }
    }
}

enum Choice {
    Parcel(Ticket),
    Cut(Class),
}

pub(super) fn closed(no: BatchNo, outcome: Outcome) -> Close {
    Close {
        no,
        outcome,
        refusals: Vec::new(),
        gate_ms: None,
    }
}
