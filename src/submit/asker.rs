//! The asker: puts queries to accounts, page by page, within a budget that is
//! theirs alone. Whatever goes wrong leaves the last good answer in force.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinSet;

use super::clock::Clock;
use super::courier::{Courier, Delivery};
use super::histories::Rounds;
use crate::batch::backoff;
use crate::batch::rate::{Budget, Class};
use crate::batch::verdict::{Reason, Verdict};
use crate::digest::Digest;
use crate::lookup::{Failure, Gathering, Good, Known, Next, Query, Recorded, due_ms, table};
use crate::manifest::RateLimit;
use crate::provider::{Heard, LookUp, Provider};
use crate::state::{Asking, LookUps, StateError};

/// A target that stopped is asked again after this long.
const HALT_MS: i64 = 15 * 60 * 1000;

/// Asks accounts.
pub struct Asker {
    courier: Arc<Courier>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) look_ups: LookUps,
    pub(super) known: Arc<Known>,
    halts: Mutex<BTreeMap<String, Halted>>,
    /// Assets that are being asked about one by one.
    pub(super) rounds: Rounds,
}

/// A target that is left alone, because repeating does not help.
#[derive(Clone, Copy)]
pub(super) struct Halted {
    since_ms: i64,
    /// Of its secrets: others are tried at once.
    secrets: Option<Digest>,
}

/// What came of asking, apart from a table.
pub(super) struct Trouble {
    pub(super) message: String,
    /// Until when its target is to be left alone.
    pub(super) wait: Wait,
}

pub(super) enum Wait {
    /// Until the next regular time.
    Poll,
    /// For as long as it said, where it did.
    Throttled(Option<u64>),
    /// Longer with every failure.
    BackOff,
    /// Until somebody acts.
    Halt,
}

impl Asker {
    /// An asker that writes into `look_ups` and tells `known`.
    pub fn new(
        courier: Arc<Courier>,
        clock: Arc<dyn Clock>,
        (look_ups, known): (LookUps, Arc<Known>),
    ) -> Self {
        Self {
            courier,
            clock,
            look_ups,
            known,
            halts: Mutex::default(),
            rounds: Rounds::default(),
        }
    }

    /// When `look_up` is to be asked, milliseconds since the epoch; now or
    /// earlier means at once.
    pub fn due_ms(&self, look_up: &LookUp) -> Result<i64, StateError> {
        let now_ms = self.clock.now_ms();
        let target = look_up.provider.target();
        if let Some(halted) = self.halted(&*look_up.provider, now_ms) {
            return Ok(halted.since_ms + HALT_MS);
        }
        let asking = self.look_ups.asking(target)?;
        // A longer wait than this is one of a clock that was set back since.
        let latest_ms = now_ms.saturating_add_unsigned(backoff::LONGEST_TOLD_MS);
        let retry_at_ms = asking.retry_at_ms.filter(|at_ms| *at_ms <= latest_ms);
        if let Some(at_ms) = self.round_due_ms(look_up, &asking) {
            return Ok(at_ms.max(retry_at_ms.unwrap_or(at_ms)));
        }
        let view = self.known.view();
        let recorded = view.find(target, look_up.query.digest());
        Ok(due_ms(look_up.poll_ms, recorded, retry_at_ms, now_ms))
    }

    /// Asks, once, to the end; or, where assets are asked about one by one, as
    /// far as the budget goes at once. Whether what sets are expanded from is
    /// another now.
    pub async fn ask(&self, look_up: &LookUp) -> Result<bool, StateError> {
        if look_up.query.wants_histories() {
            return self.ask_histories(look_up).await;
        }
        let gathered = self.gather(look_up).await?;
        let now_ms = self.clock.now_ms();
        match gathered {
            Ok((bytes, _)) => self.record(look_up, now_ms, (Some(bytes), None)),
            Err(trouble) => self.record(look_up, now_ms, (None, Some(trouble.into()))),
        }
    }

    /// Takes down what has come of a query at `asked_ms`; whether it is news.
    /// Without a table the last good one stays in force.
    pub(super) fn record(
        &self,
        look_up: &LookUp,
        asked_ms: i64,
        (bytes, failure): (Option<Vec<u8>>, Option<Failure>),
    ) -> Result<bool, StateError> {
        let target = look_up.provider.target();
        let query = look_up.query.digest();
        let before = self.known.view().find(target, query).cloned();
        let good = bytes.map(|bytes| Good {
            digest: Digest::of(&bytes),
            rows: table::count(&bytes),
            bytes: bytes.into(),
            answered_ms: asked_ms,
        });
        let recorded = Recorded {
            target: target.to_owned(),
            query,
            about: look_up.query.about(),
            good: good.or_else(|| before.as_ref()?.good.clone()),
            asked_ms,
            failure,
        };
        self.look_ups.record(&recorded)?;
        let is_news = before.is_none_or(|before| before.digest() != recorded.digest());
        self.known.update(recorded);
        Ok(is_news)
    }

    /// Forgets what was listed for others than these, once it is old.
    pub fn forget_others(&self, look_ups: &[LookUp]) -> Result<(), StateError> {
        let wanted = look_ups.iter().map(|look_up| look_up.query.digest());
        let now_ms = self.clock.now_ms();
        self.look_ups.forget_unwanted(&wanted.collect(), now_ms)
    }

    /// All pages of the answer, and how many calls they took.
    pub(super) async fn gather(
        &self,
        look_up: &LookUp,
    ) -> Result<Result<(Vec<u8>, u64), Trouble>, StateError> {
        let mut asking = self.look_ups.asking(look_up.provider.target())?;
        let mut gathering = Gathering::of(&look_up.query);
        let (mut page, mut calls) = (1, 0);
        loop {
            self.spend(look_up, &mut asking).await?;
            calls += 1;
            let next = match self.hear(look_up, &asking, (&look_up.query, page)).await {
                Ok(Heard::Page(heard)) => gathering.take(heard),
                Ok(Heard::Other(Verdict::Learned(facts))) if !facts.is_empty() => {
                    asking.facts.extend(facts);
                    Next::Ask(page)
                }
                Ok(Heard::Other(verdict)) => {
                    return self.stand_down(look_up, asking, judge(verdict)).map(Err);
                }
                Err(delivery) => {
                    return self.stand_down(look_up, asking, missed(delivery)).map(Err);
                }
            };
            match next {
                Next::Ask(number) => page = number,
                // Where assets are asked about next, all is well after that.
                Next::Done(bytes) if look_up.query.wants_histories() => {
                    self.look_ups.stand(look_up.provider.target(), &asking)?;
                    return Ok(Ok((bytes, calls)));
                }
                Next::Done(bytes) => {
                    self.stand_up(look_up, asking)?;
                    return Ok(Ok((bytes, calls)));
                }
                Next::Failed(message) => {
                    let wait = Wait::Poll;
                    let trouble = Trouble { message, wait };
                    return self.stand_down(look_up, asking, trouble).map(Err);
                }
            }
        }
    }

    /// Waits for the budget, and debits it before anything is sent.
    async fn spend(&self, look_up: &LookUp, asking: &mut Asking) -> Result<(), StateError> {
        loop {
            match self.spend_at_once(look_up, asking, Class::Forced)? {
                None => return Ok(()),
                Some(at_ms) => self.clock.sleep_until(at_ms, false).await,
            }
        }
    }

    /// Debits the budget before anything is sent; else when that can be done.
    pub(super) fn spend_at_once(
        &self,
        look_up: &LookUp,
        asking: &mut Asking,
        class: Class,
    ) -> Result<Option<i64>, StateError> {
        let now_ms = self.clock.now_ms();
        let mut budget = budget(look_up, asking, now_ms);
        let at_ms = budget.earliest_ms(class, 0, now_ms);
        if at_ms > now_ms {
            return Ok(Some(at_ms));
        }
        budget.debit(0, now_ms);
        asking.tats = budget.arrivals();
        self.look_ups.stand(look_up.provider.target(), asking)?;
        Ok(None)
    }

    pub(super) async fn hear(
        &self,
        look_up: &LookUp,
        asking: &Asking,
        asked: (&Query, u32),
    ) -> Result<Heard, Delivery> {
        let provider = &*look_up.provider;
        let Some(library) = provider.as_library() else {
            return Err(Delivery::Lost("the CDN lists no assets".to_owned()));
        };
        self.courier
            .ask(provider, library, &asking.facts, asked)
            .await
    }

    /// Takes down that all is well with the target.
    pub(super) fn stand_up(&self, look_up: &LookUp, mut asking: Asking) -> Result<(), StateError> {
        asking.retry_at_ms = None;
        asking.attempts = 0;
        self.look_ups.stand(look_up.provider.target(), &asking)
    }

    /// Takes down until when the target is to be left alone.
    pub(super) fn stand_down(
        &self,
        look_up: &LookUp,
        mut asking: Asking,
        trouble: Trouble,
    ) -> Result<Trouble, StateError> {
        let now_ms = self.clock.now_ms();
        let wait_ms = match trouble.wait {
            Wait::Poll => None,
            Wait::Throttled(told_ms) => Some(backoff::throttle_ms(told_ms)),
            Wait::BackOff => {
                asking.attempts = asking.attempts.saturating_add(1);
                Some(backoff::delay_ms(asking.attempts, self.clock.random()))
            }
            Wait::Halt => {
                let halted = Halted {
                    since_ms: now_ms,
                    secrets: self.courier.fingerprint(&*look_up.provider),
                };
                let mut halts = self.halts.lock().unwrap_or_else(PoisonError::into_inner);
                halts.insert(look_up.provider.target().to_owned(), halted);
                None
            }
        };
        asking.retry_at_ms = wait_ms.map(|wait_ms| now_ms.saturating_add_unsigned(wait_ms));
        self.look_ups.stand(look_up.provider.target(), &asking)?;
        Ok(trouble)
    }

    /// Whether the target is left alone; with other secrets it no longer is.
    pub(super) fn halted(&self, provider: &dyn Provider, now_ms: i64) -> Option<Halted> {
        let mut halts = self.halts.lock().unwrap_or_else(PoisonError::into_inner);
        let halted = *halts.get(provider.target())?;
        let is_over = !(0..HALT_MS).contains(&(now_ms - halted.since_ms));
        if is_over || self.courier.fingerprint(provider) != halted.secrets {
            halts.remove(provider.target());
            return None;
        }
        Some(halted)
    }
}

/// Asks what is due, each account by itself; whether anything is news.
pub async fn ask_due(asker: &Arc<Asker>, look_ups: &[LookUp]) -> Result<bool, StateError> {
    let mut by_target: BTreeMap<&str, Vec<LookUp>> = BTreeMap::new();
    for look_up in look_ups {
        let target = look_up.provider.target();
        by_target.entry(target).or_default().push(look_up.clone());
    }
    let mut tasks = JoinSet::new();
    for look_ups in by_target.into_values() {
        let asker = Arc::clone(asker);
        tasks.spawn(async move {
            let mut is_news = false;
            for look_up in &look_ups {
                if asker.due_ms(look_up)? <= asker.clock.now_ms() {
                    is_news |= asker.ask(look_up).await?;
                }
            }
            for look_up in &look_ups {
                is_news |= asker.finish_round(look_up).await?;
            }
            Ok::<bool, StateError>(is_news)
        });
    }
    let mut is_news = false;
    while let Some(done) = tasks.join_next().await {
        is_news |= done.unwrap_or(Ok(false))?;
    }
    asker.forget_others(look_ups)?;
    Ok(is_news)
}

/// What is left to ask with.
pub(super) fn budget(look_up: &LookUp, asking: &Asking, now_ms: i64) -> Budget {
    let rate = RateLimit {
        requests: look_up.rate.clone(),
        urls: Vec::new(),
    };
    Budget::new(&rate, &asking.tats, now_ms)
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        Self {
            may_pass: !matches!(trouble.wait, Wait::Poll),
            message: trouble.message,
        }
    }
}

/// What a verdict that is no page means for asking.
pub(super) fn judge(verdict: Verdict) -> Trouble {
    let (reason, wait) = match verdict {
        Verdict::Throttled { after_ms, reason } => (reason, Wait::Throttled(after_ms)),
        Verdict::Transient(reason) => (reason, Wait::BackOff),
        Verdict::Unauthorized(reason) | Verdict::Misconfigured(reason) => (reason, Wait::Halt),
        Verdict::Refused { reason, .. }
        | Verdict::TooLarge(reason)
        | Verdict::NotUnderstood(reason) => (reason, Wait::Poll),
        Verdict::Learned(_) | Verdict::Accepted { .. } => {
            let reason = Reason {
                code: "no list".to_owned(),
                message: "the answer is one to another question".to_owned(),
            };
            (reason, Wait::Poll)
        }
    };
    let message = reason.to_string();
    Trouble { message, wait }
}

/// What a call without an answer means for asking; it can be made again.
pub(super) fn missed(delivery: Delivery) -> Trouble {
    let (message, wait) = match delivery {
        Delivery::Verdict(verdict) => return judge(verdict),
        Delivery::Lost(message) => (message, Wait::BackOff),
        Delivery::Unsent(reason) => (reason.to_string(), Wait::BackOff),
        Delivery::Halted(_, reason) => (reason.to_string(), Wait::Halt),
    };
    Trouble { message, wait }
}
