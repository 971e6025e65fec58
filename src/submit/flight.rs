//! Calls under way: how they leave, and what their answers change.

use std::sync::Arc;

use tokio::task::{self, JoinError};

use super::clock::Clock;
use super::courier::{Delivery, Errand};
use super::engine::Submitter;
use super::observer::{CallEnd, Observer};
use super::outbound::Outbound;
use crate::batch::Ticket;
use crate::batch::journal::Outcome;
use crate::batch::lane::{HaltKind, Settled};
use crate::batch::verdict::{Reason, Verdict};
use crate::batch::verify::Sight;
use crate::digest::Digest;
use crate::plan::recorded::TargetId;

/// What a task comes back with.
#[derive(Debug)]
pub(super) enum Arrival {
    /// An answer to a call.
    Delivery(Delivery),
    /// What edges serve, in the order of the URLs.
    Sights(Vec<Result<Sight, String>>),
}

/// A call under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flight {
    pub(super) target: TargetId,
    pub(super) errand: Errand,
    items: usize,
    departed_ms: i64,
}

impl Submitter {
    /// Sends what has been journalled.
    pub(super) fn depart(&mut self, target: TargetId, errand: Errand, now_ms: i64) {
        let Some(outbound) = self.lane_of(target) else {
            return;
        };
        let (items, id) = match errand {
            Errand::LookUp => (Arc::default(), None),
            Errand::Batch(ticket) | Errand::Replay(ticket, _) => {
                let no = outbound.lane.number(ticket);
                let id = no.and_then(|no| self.ids.get(&no));
                (Arc::clone(outbound.lane.items(ticket)), id.copied())
            }
        };
        let id = id.unwrap_or(Digest([0; 32]));
        let (courier, provider) = (Arc::clone(&self.courier), Arc::clone(&outbound.provider));
        let facts = outbound.facts.clone();
        let flight = Flight {
            target,
            errand,
            items: items.len(),
            departed_ms: now_ms,
        };
        let task = self.tasks.spawn(async move {
            let delivery = courier.deliver(&*provider, &facts, errand, &id, &items);
            Arrival::Delivery(delivery.await)
        });
        self.flights.insert(task.id(), flight);
    }

    /// Takes an answer in; what it changes is journalled with the next turn.
    pub(super) fn arrive(
        &mut self,
        joined: Result<(task::Id, Arrival), JoinError>,
        clock: &dyn Clock,
        observer: &mut dyn Observer,
    ) {
        let (id, arrival) = match joined {
            Ok((id, arrival)) => (id, Some(arrival)),
            Err(error) => (error.id(), None),
        };
        let now_ms = clock.now_ms();
        let Some(flight) = self.flights.remove(&id) else {
            return self.looked(id, arrival, now_ms);
        };
        let delivery = match arrival {
            Some(Arrival::Delivery(delivery)) => Some(delivery),
            _ => None,
        };
        let random = clock.random();
        let Some(outbound) = self.lane_of_mut(flight.target) else {
            return;
        };
        let took_ms = now_ms - flight.departed_ms;
        observer.ended(&CallEnd {
            cdn: &outbound.cdn,
            delivery: delivery.as_ref(),
            items: flight.items,
            took_ms: u64::try_from(took_ms).unwrap_or(0),
        });
        // A defect of ours stops this target and no other; its batch stays open.
        let delivery = delivery.unwrap_or_else(|| {
            outbound.lane.stop(HaltKind::NotUnderstood, defect());
            Delivery::Lost(defect().message)
        });
        if let Delivery::Verdict(Verdict::Accepted { .. } | Verdict::Refused { .. }) = delivery {
            self.count_done(flight.items as u64);
        }
        self.settle(flight, delivery, now_ms, random);
    }

    fn looked(&mut self, id: task::Id, arrival: Option<Arrival>, now_ms: i64) {
        let sights = match arrival {
            Some(Arrival::Sights(sights)) => sights,
            _ => Vec::new(),
        };
        if self.is_look_at_origin(id) {
            self.origin_seen(id, sights, now_ms);
        } else {
            self.seen(id, sights, now_ms);
        }
    }

    fn settle(&mut self, flight: Flight, delivery: Delivery, now_ms: i64, random: f64) {
        let target = flight.target;
        match fault(&delivery) {
            Some(reason) => self.faults.insert(target, reason),
            None => self.faults.remove(&target),
        };
        let Some(outbound) = self.lane_of_mut(target) else {
            return;
        };
        let settled = match flight.errand {
            Errand::LookUp => {
                outbound.looked_up(delivery, now_ms, random);
                Settled::default()
            }
            Errand::Batch(ticket) | Errand::Replay(ticket, _) => {
                outbound.delivered(ticket, delivery, now_ms, random)
            }
        };
        let accepted = settled.close.as_ref();
        let accepted = accepted.filter(|close| matches!(close.outcome, Outcome::Accepted { .. }));
        if let Some(close) = accepted.filter(|_| !outbound.repeat_ms.is_empty()) {
            let delays = outbound.repeat_ms.iter();
            let due_ms = delays.map(|delay_ms| now_ms.saturating_add_unsigned(*delay_ms));
            let due_ms = due_ms.collect();
            self.step.repeat_ms.insert(close.no, due_ms);
        }
        self.step.close.extend(settled.close);
        if self.outdated.contains(&target) {
            // Whether its parts are still wanted is for the next plan to say.
            self.make_room(target);
        } else {
            for (ticket, batch) in settled.open {
                self.step.open.push((batch, false));
                self.opening.push((target, ticket));
            }
        }
        self.touch(&[target].into(), now_ms);
    }
}

impl Outbound {
    fn looked_up(&mut self, delivery: Delivery, now_ms: i64, random: f64) {
        match delivery {
            Delivery::Verdict(verdict) => {
                if let Verdict::Learned(facts) = &verdict {
                    self.facts.extend(facts.clone());
                }
                self.lane.look_up_answered(verdict, now_ms, random);
            }
            Delivery::Lost(_) => self.lane.look_up_lost(now_ms, random),
            Delivery::Halted(kind, reason) => {
                self.lane.stop(kind, reason);
                self.lane.look_up_lost(now_ms, random);
            }
            Delivery::Unsent(reason) => {
                let verdict = Verdict::Transient(reason);
                self.lane.look_up_answered(verdict, now_ms, random);
            }
        }
    }

    fn delivered(
        &mut self,
        ticket: Ticket,
        delivery: Delivery,
        now_ms: i64,
        random: f64,
    ) -> Settled {
        if let Delivery::Verdict(Verdict::Misconfigured(_)) = &delivery {
            // What was looked up may be what is wrong: it is looked up anew.
            self.facts.clear();
        }
        match delivery {
            Delivery::Verdict(verdict) => self.lane.answered(ticket, verdict, now_ms, random),
            Delivery::Lost(message) => self.lane.lost(ticket, &message, now_ms, random),
            Delivery::Unsent(reason) => self.lane.unsent(ticket, &reason, now_ms, random),
            Delivery::Halted(kind, reason) => {
                self.lane.stop(kind, reason.clone());
                self.lane.unsent(ticket, &reason, now_ms, random)
            }
        }
    }
}

fn defect() -> Reason {
    Reason {
        code: "internal error".to_owned(),
        message: "freshen failed while it read the answer; this is a defect, please report it"
            .to_owned(),
    }
}

/// What went wrong, where something did; being refused is an answer.
fn fault(delivery: &Delivery) -> Option<Reason> {
    match delivery {
        Delivery::Verdict(verdict) => match verdict {
            Verdict::Learned(_)
            | Verdict::Accepted { .. }
            | Verdict::Refused { .. }
            | Verdict::TooLarge(_) => None,
            Verdict::Throttled { reason, .. }
            | Verdict::Transient(reason)
            | Verdict::Unauthorized(reason)
            | Verdict::Misconfigured(reason)
            | Verdict::NotUnderstood(reason) => Some(reason.clone()),
        },
        Delivery::Lost(message) => Some(Reason {
            code: "no answer".to_owned(),
            message: message.clone(),
        }),
        Delivery::Unsent(reason) | Delivery::Halted(_, reason) => Some(reason.clone()),
    }
}
