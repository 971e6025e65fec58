//! The submitter: drives the lanes of all targets until they have nothing
//! left, journalling every turn before it acts on it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinSet;

use super::clock::Clock;
use super::courier::{Courier, Delivery, Errand};
use crate::batch::Ticket;
use crate::batch::journal::{BatchNo, OpenBatch};
use crate::batch::lane::{Lane, Next, Settled, Tally};
use crate::batch::verdict::{Facts, Verdict};
use crate::digest::Digest;
use crate::plan::recorded::TargetId;
use crate::provider::Provider;
use crate::state::{Halt, StateError, Step, Store, TargetRecord};

/// How often requests of other processes are looked for while calls are under way.
const INBOX_MS: i64 = 500;

/// One target and its lane.
#[derive(Debug)]
pub struct Outbound {
    /// Its row.
    pub target: TargetId,
    /// The Cdn's name, for people.
    pub cdn: String,
    /// Its codec.
    pub provider: Arc<dyn Provider>,
    /// What it has taught us.
    pub facts: Facts,
    /// What is to be sent.
    pub lane: Lane,
}

/// Asked to stop: what is under way is finished and recorded, nothing is begun.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks for it.
    pub fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked for.
    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What happens while the submitter runs, seen from outside.
pub trait Observer {
    /// Whether other processes have asked for something that calls for a new
    /// plan: the submitter then finishes what is under way and returns.
    fn is_plan_outdated(&mut self, store: &mut Store) -> Result<bool, StateError>;

    /// A turn has been journalled.
    fn progress(&mut self, progress: Progress);
}

/// How far the submitter is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Items accepted or refused.
    pub done: u64,
    /// Items not yet.
    pub left: u64,
    /// When something can be sent again, if all lanes wait.
    pub waits_until_ms: Option<i64>,
}

/// Drives lanes.
pub struct Submitter<'a> {
    store: &'a mut Store,
    courier: Arc<Courier>,
    clock: &'a dyn Clock,
    observer: &'a mut dyn Observer,
    outbound: Vec<Outbound>,
    deadline_ms: i64,
    stop: Stop,
    tasks: JoinSet<(usize, Errand, Delivery)>,
    ids: HashMap<BatchNo, Digest>,
    step: Step,
    /// Whose batches `step.open` holds, in its order.
    opening: Vec<(usize, Ticket)>,
    inbox_due_ms: i64,
    /// A new plan is due, so nothing more of this one is begun.
    makes_way: bool,
}

impl<'a> Submitter<'a> {
    /// A submitter for `outbound`; nothing is begun after `deadline_ms`.
    pub fn new(
        store: &'a mut Store,
        courier: Arc<Courier>,
        clock: &'a dyn Clock,
        observer: &'a mut dyn Observer,
        outbound: Vec<Outbound>,
        limits: (i64, Stop),
    ) -> Self {
        let (deadline_ms, stop) = limits;
        Self {
            store,
            courier,
            clock,
            observer,
            outbound,
            deadline_ms,
            stop,
            tasks: JoinSet::new(),
            ids: HashMap::new(),
            step: Step::default(),
            opening: Vec::new(),
            inbox_due_ms: 0,
            makes_way: false,
        }
    }

    /// Sends these batches of unknown outcome once more before anything else.
    pub fn replay(&mut self, batches: Vec<OpenBatch>) {
        for batch in batches {
            self.ids.insert(batch.no, batch.id);
            if let Some(outbound) = self
                .outbound
                .iter_mut()
                .find(|outbound| outbound.target == batch.batch.target)
            {
                outbound.lane.replay(batch);
            }
        }
    }

    /// Runs until nothing is left that may be sent, and hands the lanes back.
    pub async fn run(mut self) -> Result<Vec<Outbound>, StateError> {
        self.preflight(self.clock.now_ms());
        loop {
            let now_ms = self.clock.now_ms();
            self.look_into_inbox(now_ms)?;
            let wake_ms = self.turn(now_ms)?;
            self.report(wake_ms);
            if self.tasks.is_empty() && wake_ms.is_none() {
                break;
            }
            self.wait(now_ms, wake_ms).await;
        }
        for outbound in &mut self.outbound {
            self.step
                .close
                .extend(outbound.lane.abandon("the run ended before it was sent"));
        }
        self.journal(self.clock.now_ms())?;
        Ok(self.outbound)
    }

    /// Finds out before anything is journalled whether a target may be called.
    fn preflight(&mut self, now_ms: i64) {
        let mut stopped = Vec::new();
        for (at, outbound) in self
            .outbound
            .iter_mut()
            .enumerate()
            .filter(|(_, outbound)| outbound.lane.left() > 0)
        {
            match self.courier.preflight(&*outbound.provider) {
                Err((kind, reason)) => {
                    outbound.lane.stop(kind, reason);
                    stopped.push(at);
                }
                Ok(credentials) => {
                    if outbound
                        .provider
                        .look_up(&outbound.facts, &credentials)
                        .is_some()
                    {
                        outbound.lane.require_look_up();
                    }
                }
            }
        }
        self.touch(stopped, now_ms);
    }

    fn look_into_inbox(&mut self, now_ms: i64) -> Result<(), StateError> {
        if now_ms < self.inbox_due_ms {
            return Ok(());
        }
        self.inbox_due_ms = now_ms + INBOX_MS;
        self.makes_way |= self.observer.is_plan_outdated(self.store)?;
        Ok(())
    }

    /// Asks every lane what goes next, journals it in one transaction, and
    /// sends it. Returns when to ask again if no answer comes before.
    fn turn(&mut self, now_ms: i64) -> Result<Option<i64>, StateError> {
        // A part of a refused batch that had no number yet would be opened a second time.
        if !self.opening.is_empty() {
            self.journal(now_ms)?;
        }
        let mut wake_ms: Option<i64> = None;
        let mut departing = Vec::new();
        let may_begin = !self.makes_way && !self.stop.is_asked() && now_ms < self.deadline_ms;
        for at in 0..self.outbound.len() {
            if !may_begin {
                break;
            }
            loop {
                match self.outbound[at].lane.next(now_ms) {
                    Next::LookUp => departing.push((at, Errand::LookUp)),
                    Next::Open(ticket, batch) => {
                        self.step.open.push((batch, true));
                        self.opening.push((at, ticket));
                        departing.push((at, Errand::Batch(ticket)));
                    }
                    Next::Send(ticket, no) => {
                        self.step.send.push(no);
                        departing.push((at, Errand::Replay(ticket, no)));
                    }
                    Next::Wait(until_ms) => {
                        wake_ms = Some(wake_ms.map_or(until_ms, |wake: i64| wake.min(until_ms)));
                        break;
                    }
                    Next::Busy | Next::Done => break,
                }
            }
        }
        self.touch(departing.iter().map(|(at, _)| *at).collect(), now_ms);
        let numbers = self.journal(now_ms)?;
        for (at, errand) in departing {
            self.depart(at, errand, &numbers);
        }
        // A lane that may go on only after the deadline has nothing to wait for.
        Ok(wake_ms.filter(|wake_ms| *wake_ms < self.deadline_ms))
    }

    /// Budgets and waits of these targets go into the next transaction.
    fn touch(&mut self, targets: Vec<usize>, now_ms: i64) {
        for at in targets {
            let outbound = &self.outbound[at];
            let (retry_at_ms, attempts) = outbound.lane.retry();
            let update = TargetRecord {
                id: outbound.target,
                identity: outbound.provider.target().to_owned(),
                tats: outbound.lane.budget().arrivals(),
                retry_at_ms,
                attempts,
                facts: outbound.facts.clone(),
                halted: outbound.lane.halt().map(|halt| Halt {
                    kind: halt.kind.as_str().to_owned(),
                    message: halt.reason.to_string(),
                    fingerprint: outbound.lane.cdn(),
                    at_ms: now_ms,
                }),
            };
            self.step.targets.retain(|other| other.id != update.id);
            self.step.targets.push(update);
        }
    }

    /// One durable transaction: what ended, what begins, what it cost.
    fn journal(&mut self, now_ms: i64) -> Result<HashMap<(usize, Ticket), BatchNo>, StateError> {
        let step = std::mem::take(&mut self.step);
        let opening = std::mem::take(&mut self.opening);
        let is_empty = step.close.is_empty()
            && step.open.is_empty()
            && step.send.is_empty()
            && step.targets.is_empty();
        if is_empty {
            return Ok(HashMap::new());
        }
        let opened = self.store.step(step, now_ms)?;
        let mut numbers = HashMap::new();
        for ((at, ticket), batch) in opening.into_iter().zip(opened) {
            self.ids.insert(batch.no, batch.id);
            self.outbound[at].lane.journalled(ticket, batch.no);
            numbers.insert((at, ticket), batch.no);
        }
        Ok(numbers)
    }

    fn depart(&mut self, at: usize, errand: Errand, numbers: &HashMap<(usize, Ticket), BatchNo>) {
        let outbound = &self.outbound[at];
        let (items, id) = match errand {
            Errand::LookUp => (Vec::new(), None),
            Errand::Batch(ticket) => {
                let id = numbers.get(&(at, ticket)).and_then(|no| self.ids.get(no));
                (outbound.lane.items(ticket).to_vec(), id)
            }
            Errand::Replay(ticket, no) => (outbound.lane.items(ticket).to_vec(), self.ids.get(&no)),
        };
        let id = id.copied().unwrap_or(Digest([0; 32]));
        let (courier, provider) = (Arc::clone(&self.courier), Arc::clone(&outbound.provider));
        let facts = outbound.facts.clone();
        self.tasks.spawn(async move {
            let delivery = courier
                .deliver(&*provider, &facts, errand, &id, &items)
                .await;
            (at, errand, delivery)
        });
    }

    async fn wait(&mut self, now_ms: i64, wake_ms: Option<i64>) {
        let tick_ms = now_ms + INBOX_MS;
        let until_ms = wake_ms.map_or(tick_ms, |wake_ms| wake_ms.min(tick_ms));
        let clock = self.clock;
        let is_busy = !self.tasks.is_empty();
        tokio::select! {
            biased;
            Some(joined) = self.tasks.join_next(), if is_busy => self.arrive(joined),
            () = clock.sleep_until(until_ms, is_busy) => {}
        }
        while let Some(joined) = self.tasks.try_join_next() {
            self.arrive(joined);
        }
    }

    fn arrive(&mut self, joined: Result<(usize, Errand, Delivery), tokio::task::JoinError>) {
        let (at, errand, delivery) = match joined {
            Ok(arrived) => arrived,
            // Its batch stays open: the next run sends it once more.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        let now_ms = self.clock.now_ms();
        let random = self.clock.random();
        let outbound = &mut self.outbound[at];
        let settled = match (errand, delivery) {
            (Errand::LookUp, Delivery::Verdict(verdict)) => {
                if let Verdict::Learned(facts) = &verdict {
                    outbound.facts.extend(facts.clone());
                }
                outbound.lane.look_up_answered(verdict, now_ms, random);
                Settled::default()
            }
            (Errand::LookUp, Delivery::Lost(_)) => {
                outbound.lane.look_up_lost(now_ms, random);
                Settled::default()
            }
            (Errand::LookUp, Delivery::Halted(kind, reason)) => {
                outbound.lane.stop(kind, reason);
                outbound.lane.look_up_lost(now_ms, random);
                Settled::default()
            }
            (Errand::LookUp, Delivery::Unsent(reason)) => {
                outbound
                    .lane
                    .look_up_answered(Verdict::Transient(reason), now_ms, random);
                Settled::default()
            }
            (Errand::Batch(ticket) | Errand::Replay(ticket, _), delivery) => match delivery {
                Delivery::Verdict(verdict) => {
                    outbound.lane.answered(ticket, verdict, now_ms, random)
                }
                Delivery::Lost(message) => outbound.lane.lost(ticket, &message, now_ms, random),
                Delivery::Unsent(reason) => outbound.lane.unsent(ticket, &reason, now_ms, random),
                Delivery::Halted(kind, reason) => {
                    outbound.lane.stop(kind, reason.clone());
                    outbound.lane.unsent(ticket, &reason, now_ms, random)
                }
            },
        };
        self.step.close.extend(settled.close);
        for (ticket, batch) in settled.open {
            self.step.open.push((batch, false));
            self.opening.push((at, ticket));
        }
        self.touch(vec![at], now_ms);
    }

    fn report(&mut self, wake_ms: Option<i64>) {
        let tallies = self.outbound.iter().map(|outbound| outbound.lane.tally());
        let done = tallies
            .map(
                |Tally {
                     accepted, refused, ..
                 }| accepted + refused,
            )
            .sum();
        let left = self
            .outbound
            .iter()
            .map(|outbound| outbound.lane.left() as u64)
            .sum();
        let waits_until_ms = wake_ms.filter(|_| self.tasks.is_empty());
        self.observer.progress(Progress {
            done,
            left,
            waits_until_ms,
        });
    }
}
