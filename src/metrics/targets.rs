//! Cdns: calls, trouble, rates.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::series::Series;
use super::{BOUNDS, Metrics, names, seconds_between};
use crate::batch::lane::HaltKind;
use crate::batch::rate::Budget;
use crate::batch::verdict::Verdict;
use crate::batch::verify::Finding;
use crate::declare::{Cdn, Declared};
use crate::state::{Records, StateError, TargetRecord};
use crate::submit::courier::Delivery;
use crate::submit::observer::CallEnd;

/// What a call came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallResult {
    /// The Cdn took every item.
    Accepted,
    /// A look-up's answer.
    Learned,
    /// It took nothing because of some items.
    Refused,
    /// Too much at once.
    TooLarge,
    /// Not now.
    Throttled,
    /// A fault that may pass.
    Transient,
    /// The credentials were not accepted, or cannot be read.
    Unauthorized,
    /// The account, the endpoint or the manifest is wrong.
    Misconfigured,
    /// The answer makes no sense to us.
    NotUnderstood,
    /// Sent, and no answer came.
    Lost,
    /// Nothing could be sent.
    Unsent,
}

impl CallResult {
    const ALL: [Self; 11] = [
        Self::Accepted,
        Self::Learned,
        Self::Refused,
        Self::TooLarge,
        Self::Throttled,
        Self::Transient,
        Self::Unauthorized,
        Self::Misconfigured,
        Self::NotUnderstood,
        Self::Lost,
        Self::Unsent,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Learned => "learned",
            Self::Refused => "refused",
            Self::TooLarge => "too_large",
            Self::Throttled => "throttled",
            Self::Transient => "transient",
            Self::Unauthorized => "unauthorized",
            Self::Misconfigured => "misconfigured",
            Self::NotUnderstood => "not_understood",
            Self::Lost => "lost",
            Self::Unsent => "unsent",
        }
    }
}

impl From<&Delivery> for CallResult {
    fn from(delivery: &Delivery) -> Self {
        match delivery {
            Delivery::Lost(_) => Self::Lost,
            Delivery::Unsent(_) => Self::Unsent,
            Delivery::Halted(HaltKind::Unauthorized, _)
            | Delivery::Verdict(Verdict::Unauthorized(_)) => Self::Unauthorized,
            Delivery::Halted(HaltKind::Misconfigured, _)
            | Delivery::Verdict(Verdict::Misconfigured(_)) => Self::Misconfigured,
            Delivery::Halted(HaltKind::NotUnderstood, _)
            | Delivery::Verdict(Verdict::NotUnderstood(_)) => Self::NotUnderstood,
            Delivery::Verdict(Verdict::Learned(_)) => Self::Learned,
            Delivery::Verdict(Verdict::Accepted { .. }) => Self::Accepted,
            Delivery::Verdict(Verdict::Refused { .. }) => Self::Refused,
            Delivery::Verdict(Verdict::TooLarge(_)) => Self::TooLarge,
            Delivery::Verdict(Verdict::Throttled { .. }) => Self::Throttled,
            Delivery::Verdict(Verdict::Transient(_)) => Self::Transient,
        }
    }
}

/// How a Cdn stands.
#[derive(Clone, Debug)]
pub struct Reading {
    /// What its rate has left.
    pub budget: Budget,
    /// Transient failures in a row.
    pub attempts: u32,
    /// Not to be called before this, milliseconds since the epoch.
    pub retry_at_ms: Option<i64>,
    /// Why nothing is sent until somebody acts.
    pub halted: Option<HaltKind>,
}

impl Reading {
    fn of(cdn: &Cdn, target: &TargetRecord, now_ms: i64) -> Self {
        let halt = target.halted.as_ref();
        Self {
            budget: Budget::new(&cdn.rate, &target.tats, now_ms),
            attempts: target.attempts,
            retry_at_ms: target.retry_at_ms,
            halted: halt.and_then(|halt| HaltKind::named(&halt.kind)),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, EncodeLabelSet)]
struct ByCdn {
    cdn: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, EncodeLabelSet)]
struct ByCall {
    cdn: String,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, EncodeLabelSet)]
struct ByHalt {
    cdn: String,
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, EncodeLabelSet)]
struct ByBucket {
    cdn: String,
    bucket: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, EncodeLabelSet)]
struct ByFinding {
    cdn: String,
    finding: &'static str,
}

#[derive(Debug)]
pub(super) struct Targets {
    calls: Series<ByCall, u64>,
    call_duration: Series<ByCdn, Histogram>,
    items_invalidated: Series<ByCdn, u64>,
    consecutive_failures: Series<ByCdn, f64>,
    retry_after: Series<ByCdn, f64>,
    halted: Series<ByHalt, f64>,
    budget_remaining: Series<ByBucket, f64>,
    verified_items: Series<ByFinding, f64>,
    /// By Cdn, for what changes with time alone.
    readings: Mutex<BTreeMap<String, Reading>>,
}

impl Targets {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let targets = Self {
            calls: Series::default(),
            call_duration: Series::default(),
            items_invalidated: Series::default(),
            consecutive_failures: Series::default(),
            retry_after: Series::default(),
            halted: Series::default(),
            budget_remaining: Series::default(),
            verified_items: Series::default(),
            readings: Mutex::default(),
        };
        names::CALLS.register(registry, targets.calls.clone());
        names::CALL_DURATION.register(registry, targets.call_duration.clone());
        names::ITEMS_INVALIDATED.register(registry, targets.items_invalidated.clone());
        names::CONSECUTIVE_FAILURES.register(registry, targets.consecutive_failures.clone());
        names::RETRY_AFTER.register(registry, targets.retry_after.clone());
        names::HALTED.register(registry, targets.halted.clone());
        names::BUDGET_REMAINING.register(registry, targets.budget_remaining.clone());
        names::VERIFIED_ITEMS.register(registry, targets.verified_items.clone());
        targets
    }

    /// Forgets every Cdn that `is_kept` does not name.
    pub(super) fn retain(&self, is_kept: impl Fn(&str) -> bool) {
        self.calls.retain(|by| is_kept(&by.cdn));
        self.call_duration.retain(|by| is_kept(&by.cdn));
        self.items_invalidated.retain(|by| is_kept(&by.cdn));
        self.consecutive_failures.retain(|by| is_kept(&by.cdn));
        self.halted.retain(|by| is_kept(&by.cdn));
        self.verified_items.retain(|by| is_kept(&by.cdn));
        self.readings().retain(|cdn, _| is_kept(cdn));
    }

    /// Brings what changes with time up to `now_ms`.
    pub(super) fn age(&self, now_ms: i64) {
        let mut waits = BTreeMap::new();
        let mut left = BTreeMap::new();
        for (cdn, reading) in &*self.readings() {
            let wait = (reading.retry_at_ms).map_or(0.0, |at_ms| seconds_between(now_ms, at_ms));
            waits.insert(ByCdn { cdn: cdn.clone() }, wait);
            for bucket in reading.budget.remaining(now_ms) {
                let by = ByBucket {
                    cdn: cdn.clone(),
                    bucket: bucket.name,
                };
                left.insert(by, bucket.tokens as f64);
            }
        }
        self.retry_after.replace(waits, |_| false);
        self.budget_remaining.replace(left, |_| false);
    }

    fn readings(&self) -> MutexGuard<'_, BTreeMap<String, Reading>> {
        self.readings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Metrics {
    /// A call ended after `duration_seconds`; so many items were accepted.
    pub fn call_ended(&self, cdn: &str, result: CallResult, items: u64, duration_seconds: f64) {
        let cdn = || cdn.to_owned();
        let result = result.as_str();
        self.targets.calls.add(ByCall { cdn: cdn(), result }, 1);
        let by = ByCdn { cdn: cdn() };
        self.targets.items_invalidated.add(by.clone(), items);
        self.targets
            .call_duration
            .observe(by, duration_seconds, &BOUNDS);
    }

    /// A call of the submitter ended; one that a defect ended is not counted.
    pub fn call(&self, call: &CallEnd<'_>) {
        let Some(delivery) = call.delivery else {
            return;
        };
        let result = CallResult::from(delivery);
        let is_accepted = result == CallResult::Accepted;
        let items = if is_accepted { call.items as u64 } else { 0 };
        let took = Duration::from_millis(call.took_ms).as_secs_f64();
        self.call_ended(call.cdn, result, items, took);
    }

    /// How every declared Cdn stands, by what is recorded of its target.
    pub fn targets(&self, declared: &Declared, recorded: &[TargetRecord], now_ms: i64) {
        for (name, cdn) in &declared.cdns {
            let identity = cdn.provider.target();
            if let Some(target) = recorded.iter().find(|row| row.identity == identity) {
                self.target(name, Reading::of(cdn, target, now_ms));
            }
        }
    }

    /// So many items of a Cdn were last found like this at its edge.
    pub fn verified(&self, cdn: &str, counts: &BTreeMap<Finding, u64>) {
        for finding in Finding::ALL {
            let count = counts.get(&finding).copied().unwrap_or(0);
            let by = ByFinding {
                cdn: cdn.to_owned(),
                finding: finding.as_str(),
            };
            self.targets.verified_items.set(by, count as f64);
        }
    }

    /// What was last found at the edges of the Cdns that are looked at.
    pub fn verifications(&self, declared: &Declared, records: &Records) -> Result<(), StateError> {
        let targets = records.targets()?;
        for (name, cdn) in &declared.cdns {
            let identity = cdn.provider.target();
            let target = targets.iter().find(|target| target.identity == identity);
            if let Some(target) = target.filter(|_| cdn.verify.is_some()) {
                self.verified(name, &records.findings(target.id)?);
            }
        }
        Ok(())
    }

    /// A Cdn stands like this from now on.
    pub fn target(&self, cdn: &str, reading: Reading) {
        let by = || ByCdn {
            cdn: cdn.to_owned(),
        };
        let failures = f64::from(reading.attempts);
        self.targets.consecutive_failures.set(by(), failures);
        for (kind, name) in [
            (HaltKind::Unauthorized, CallResult::Unauthorized),
            (HaltKind::Misconfigured, CallResult::Misconfigured),
            (HaltKind::NotUnderstood, CallResult::NotUnderstood),
        ] {
            let by = ByHalt {
                cdn: cdn.to_owned(),
                kind: name.as_str(),
            };
            let is_so = reading.halted == Some(kind);
            self.targets.halted.set(by, f64::from(u8::from(is_so)));
        }
        // Known from the start, so that the first of a kind is an increase.
        for result in CallResult::ALL {
            let by = ByCall {
                cdn: cdn.to_owned(),
                result: result.as_str(),
            };
            self.targets.calls.add(by, 0);
        }
        self.targets.readings().insert(cdn.to_owned(), reading);
    }
}
