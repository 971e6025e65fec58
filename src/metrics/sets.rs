//! Sets: what is declared, and what of it stands in the way.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::series::Series;
use super::{Fraction, Metrics, names, seconds, seconds_between};
use crate::declare::Declared;
use crate::manifest::Problem;
use crate::plan::recorded::RecordedSet;
use crate::plan::{Hold, Plan, SetPlan, TargetPlan};
use crate::report::condition::Standing;

/// What a pass saw and left.
#[derive(Clone, Copy, Debug)]
pub struct Pass<'a> {
    /// What the manifests say.
    pub declared: &'a Declared,
    /// What is left to be sent.
    pub plan: &'a Plan,
    /// Findings of the expansion.
    pub problems: &'a [Problem],
    /// Sets that could not be expanded.
    pub failed: &'a BTreeSet<String>,
    /// Sets of which some rows were skipped.
    pub partial: &'a BTreeSet<String>,
    /// What is recorded of them.
    pub recorded: &'a [RecordedSet],
    /// Milliseconds since the epoch.
    pub now_ms: i64,
}

/// A set's share of a Cdn; the texts are there once for all series of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Share(Arc<ByShare>);

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, EncodeLabelSet)]
struct ByShare {
    set: String,
    cdn: String,
}

impl EncodeLabelSet for Share {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        self.0.encode(encoder)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, EncodeLabelSet)]
struct ByState {
    state: &'static str,
}

#[derive(Debug)]
pub(super) struct Sets {
    states: Series<ByState, f64>,
    reload_successful: Gauge,
    reload_success: Fraction,
    urls: Series<Share, f64>,
    pending: Series<Share, f64>,
    blocked: Series<Share, f64>,
    waiting: Series<Share, f64>,
    refused: Series<Share, f64>,
    oldest_unsent: Series<Share, f64>,
    suspended: Series<Share, f64>,
    /// Since when each owes, where it does: milliseconds since the epoch.
    owed_since: Mutex<BTreeMap<Share, Option<i64>>>,
}

impl Sets {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let sets = Self {
            states: Series::default(),
            reload_successful: Gauge::default(),
            reload_success: Fraction::default(),
            urls: Series::default(),
            pending: Series::default(),
            blocked: Series::default(),
            waiting: Series::default(),
            refused: Series::default(),
            oldest_unsent: Series::default(),
            suspended: Series::default(),
            owed_since: Mutex::default(),
        };
        names::SETS.register(registry, sets.states.clone());
        names::RELOAD_SUCCESSFUL.register(registry, sets.reload_successful.clone());
        names::RELOAD_SUCCESS.register(registry, sets.reload_success.clone());
        names::URLS.register(registry, sets.urls.clone());
        names::PENDING_ITEMS.register(registry, sets.pending.clone());
        names::BLOCKED_ITEMS.register(registry, sets.blocked.clone());
        names::WAITING_ITEMS.register(registry, sets.waiting.clone());
        names::REFUSED_ITEMS.register(registry, sets.refused.clone());
        names::OLDEST_UNSENT.register(registry, sets.oldest_unsent.clone());
        names::SUSPENDED.register(registry, sets.suspended.clone());
        sets
    }

    /// Brings what changes with time up to `now_ms`.
    pub(super) fn age(&self, now_ms: i64) {
        let age = |since: &Option<i64>| since.map_or(0.0, |since| seconds_between(since, now_ms));
        let ages = self
            .owed_since()
            .iter()
            .map(|(share, since)| (share.clone(), age(since)))
            .collect();
        self.oldest_unsent.replace(ages, |_| false);
    }

    fn owed_since(&self) -> MutexGuard<'_, BTreeMap<Share, Option<i64>>> {
        self.owed_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn load(&self, pass: &Pass<'_>) {
        let invalid = pass.declared.broken.len() + pass.failed.len();
        let partial = pass.partial.difference(pass.failed).count();
        let whole = pass.declared.sets.len() - pass.failed.len() - partial;
        for (state, count) in [("invalid", invalid), ("partial", partial), ("whole", whole)] {
            self.states.set(ByState { state }, count as f64);
        }
        let mut problems = pass.declared.problems.iter().chain(pass.problems);
        let is_whole = !pass.declared.is_frozen() && !problems.any(Problem::is_error);
        self.reload_successful.set(i64::from(is_whole));
        if is_whole {
            self.reload_success.set(seconds(pass.now_ms));
        }
    }

    /// Replaces the series of every set that was looked into or is gone. Those
    /// of a set that could not be looked into stay, as its last good state does.
    fn plan(&self, pass: &Pass<'_>) {
        let planned: BTreeSet<&str> = pass.plan.sets.iter().map(|set| set.set.as_str()).collect();
        let broken: BTreeSet<&str> = pass.declared.broken.iter().map(String::as_str).collect();
        let is_kept = |share: &Share| {
            let set = share.0.set.as_str();
            let is_declared = pass.declared.sets.contains_key(set) || broken.contains(set);
            is_declared && !planned.contains(set)
        };
        let standings: Vec<(Share, &TargetPlan, Standing)> = standings(pass.plan).collect();
        let column = |value: &dyn Fn(&TargetPlan, &Standing) -> u64| {
            let value = |(share, target, standing): &(Share, &TargetPlan, Standing)| {
                (share.clone(), value(target, standing) as f64)
            };
            standings.iter().map(value).collect::<BTreeMap<_, _>>()
        };
        let is_suspended = |target: &TargetPlan| target.hold == Some(Hold::Suspended);
        self.urls
            .replace(column(&|target, _| target.total), is_kept);
        (self.pending).replace(column(&|_, standing| standing.pending), is_kept);
        (self.blocked).replace(column(&|_, standing| standing.blocked), is_kept);
        (self.waiting).replace(column(&|_, standing| standing.waiting), is_kept);
        (self.refused).replace(column(&|_, standing| standing.refused), is_kept);
        (self.suspended).replace(column(&|target, _| is_suspended(target).into()), is_kept);
        let since = owed_since(pass.recorded);
        let since = standings.iter().map(|(share, target, _)| {
            let key = (share.0.set.as_str(), target.target.as_str());
            (share.clone(), since.get(&key).copied())
        });
        let mut since = since.collect();
        let mut owed_since = self.owed_since();
        owed_since.retain(|share, _| is_kept(share));
        owed_since.append(&mut since);
    }
}

fn standings(plan: &Plan) -> impl Iterator<Item = (Share, &TargetPlan, Standing)> {
    plan.sets.iter().flat_map(move |set: &SetPlan| {
        set.targets.iter().map(move |target| {
            let share = Share(Arc::new(ByShare {
                set: set.set.clone(),
                cdn: target.cdn.clone(),
            }));
            let standing = Standing::of(set, target, target.open);
            (share, target, standing)
        })
    })
}

/// By set and target: since when something is owed.
fn owed_since(recorded: &[RecordedSet]) -> BTreeMap<(&str, &str), i64> {
    let ledgers = recorded.iter().flat_map(|set| {
        let ledgers = set.ledgers.iter();
        ledgers.map(|(target, ledger)| ((set.name.as_str(), target.as_str()), ledger))
    });
    ledgers
        .filter_map(|(at, ledger)| Some((at, ledger.owed_since_ms?)))
        .collect()
}

impl Metrics {
    /// A pass looked at everything that is declared. Whatever is not declared
    /// any more loses its series.
    pub fn planned(&self, pass: &Pass<'_>) {
        self.sets.load(pass);
        self.sets.plan(pass);
        // A Cdn that cannot be read for now is not gone.
        if !pass.declared.is_frozen() {
            let cdns = &pass.declared.cdns;
            self.targets.retain(|cdn| cdns.contains_key(cdn));
        }
    }
}
