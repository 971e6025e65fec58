//! From what is declared and what is recorded to a plan; offline, and the
//! same for `plan`, `reconcile` and everything that shows either.

mod adhoc;
mod ahead;
mod compare;
mod elsewhere;
mod keeping;
mod leaving;
mod suspended;
mod target;
mod vanished;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use super::asks::ADHOC;
use crate::declare::{Cdn, Declared, DeclaredSet};
use crate::digest::{Digest, Entry, Key};
use crate::expand::Expansion;
use crate::manifest::{OnRemove, Problem};
use crate::plan::policy;
use crate::plan::recorded::{RecordedSet, SetId};
use crate::plan::{self, Bootstrap, Plan, SetPlan, TargetPlan};
use crate::state::{Keep, KeptInputs, Records, Request, StateError, Suspension, TargetRecord};
use crate::wire::Wire;
use ahead::Ready;
use compare::{Terms, Wanted};
use leaving::Leaving;
use suspended::former_names;

pub use keeping::keep_all;

pub use suspended::{hold, suspensions};

/// Items that a state without a past lets go unasked.
pub const BOOTSTRAP_LIMIT: u64 = 10_000;

/// A refusal is tried again after this long.
const REFUSAL_MS: i64 = 24 * 60 * 60 * 1000;

/// When the oldest refusal has lasted its time.
pub fn refusals_lift_at_ms(records: &Records) -> Result<Option<i64>, StateError> {
    let mut lift_at_ms = None;
    for target in records.targets()? {
        let refused = records.refusals(target.id)?.into_iter();
        let at_ms = refused.map(|refusal| refusal.at_ms + REFUSAL_MS);
        lift_at_ms = at_ms.chain(lift_at_ms).min();
    }
    Ok(lift_at_ms)
}

/// What `--bootstrap` says about a state without a past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootstrapChoice {
    /// Send, under the limits of each set.
    Invalidate,
    /// Record everything as already fresh.
    Adopt,
    /// Send nothing.
    Fail,
}

/// How to plan.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only this set.
    pub only: Option<String>,
    /// Ids of plans that are approved, or their beginnings.
    pub approve: Vec<String>,
    /// What a state without a past means.
    pub bootstrap: Option<BootstrapChoice>,
    /// Only what somebody asked for with `invalidate`.
    pub only_forced: bool,
    /// Milliseconds since the epoch.
    pub now_ms: i64,
}

/// A plan, and what is needed to carry it out.
#[derive(Debug, Default)]
pub struct Planned {
    /// What is to be sent.
    pub plan: Plan,
    /// Findings of the expansion.
    pub problems: Vec<Problem>,
    /// By set: where the items come from.
    pub expansions: BTreeMap<String, Arc<Expansion>>,
    /// Sets that could not be expanded: they keep their last good state.
    pub failed: BTreeSet<String>,
    /// Sets of which some rows were skipped.
    pub partial: BTreeSet<String>,
    /// Sets that were not even looked into: same inputs, nothing open.
    pub unchanged: BTreeSet<String>,
    /// Items of the built-in set, which no expansion yields.
    pub adhoc: BTreeMap<Key, Box<str>>,
    /// By set: where the items come from that have left it and are to be sent.
    pub leaving: BTreeMap<String, Arc<Expansion>>,
    /// By set: what is kept of its inputs from this plan on.
    pub keeps: BTreeMap<String, Keep>,
}

/// Plans every set.
pub fn plan(
    declared: &Declared,
    records: Option<&Records>,
    options: &Options,
) -> Result<Planned, StateError> {
    Planner::new(declared, records, options)?.run()
}

struct Planner<'a> {
    declared: &'a Declared,
    records: Option<&'a Records>,
    options: &'a Options,
    /// By name.
    sets: Rc<BTreeMap<String, RecordedSet>>,
    /// By identity.
    targets: BTreeMap<String, TargetRecord>,
    suspended: Vec<Suspension>,
    /// Asked for and not answered yet.
    requests: Vec<Request>,
    /// By target: what it refused.
    refusals: BTreeMap<String, Rc<Vec<Entry>>>,
    /// By target: what sets have lost there, in this plan or before.
    elsewhere: BTreeMap<String, Rc<Vec<Entry>>>,
    /// By target: what sets lose there in this plan.
    departing: BTreeMap<String, Vec<Entry>>,
    /// By set: findings of the expansion.
    problems: BTreeMap<String, Vec<Problem>>,
    /// By set: what is recorded with its inputs, where they are kept.
    kept: BTreeMap<SetId, KeptInputs>,
    /// By set: what has left it.
    leaving: BTreeMap<String, Leaving>,
    /// By set: expanded before it is planned.
    ready: BTreeMap<String, Ready>,
    /// What the set that is being planned has still to send of what has left it.
    awaited: Vec<(Wire, Vec<Key>)>,
    planned: Planned,
}

impl<'a> Planner<'a> {
    fn new(
        declared: &'a Declared,
        records: Option<&'a Records>,
        options: &'a Options,
    ) -> Result<Self, StateError> {
        let (sets, targets, suspended, requests, kept) = match records {
            None => Default::default(),
            Some(records) => (
                records.sets()?,
                records.targets()?,
                suspensions(declared, records)?,
                records.requests(true)?,
                records.kept()?,
            ),
        };
        let by_name = sets.into_iter().map(|set| (set.name.clone(), set));
        Ok(Self {
            declared,
            records,
            options,
            sets: Rc::new(by_name.collect()),
            targets: targets
                .into_iter()
                .map(|target| (target.identity.clone(), target))
                .collect(),
            suspended,
            requests,
            refusals: BTreeMap::new(),
            elsewhere: BTreeMap::new(),
            departing: BTreeMap::new(),
            problems: BTreeMap::new(),
            kept,
            leaving: BTreeMap::new(),
            ready: BTreeMap::new(),
            awaited: Vec::new(),
            planned: Planned::default(),
        })
    }

    fn run(mut self) -> Result<Planned, StateError> {
        let declared = self.declared;
        let sets = Rc::clone(&self.sets);
        let only = self.options.only.as_ref();
        let wanted = declared.sets.values();
        let wanted = wanted.filter(|set| only.is_none_or(|only| *only == set.name));
        let wanted: Vec<&DeclaredSet> = wanted.collect();
        self.find_leaving(&wanted)?;
        // A new set may take over what another one loses, which is known only then.
        let (known, new): (Vec<_>, Vec<_>) = wanted
            .into_iter()
            .partition(|set| self.is_known(set, recorded_as(set, declared, &sets)));
        let mut changed = Vec::new();
        for set in known.into_iter().chain(new) {
            if !self.plan_unchanged(set, recorded_as(set, declared, &sets)) {
                changed.push(set);
            }
        }
        for group in Self::groups(&changed) {
            self.expand_ahead(group);
            for set in group {
                self.plan_set(set, recorded_as(set, declared, &sets))?;
            }
        }
        self.plan_vanished()?;
        let planned = &mut self.planned;
        planned.plan.sets.sort_by(|a, b| a.set.cmp(&b.set));
        let problems = std::mem::take(&mut self.problems).into_values();
        planned.problems = problems.flatten().collect();
        self.plan_adhoc(sets.get(ADHOC))?;
        self.planned.plan.bootstrap = self.bootstrap()?;
        if let Some(bootstrap) = self.planned.plan.bootstrap {
            self.block_unapproved(bootstrap.limit)?;
        }
        Ok(self.planned)
    }

    /// Whether something is recorded of the set at each of its targets.
    fn is_known(&self, set: &DeclaredSet, recorded: Option<&RecordedSet>) -> bool {
        let is_known_at = |cdn: &Cdn| {
            let ledger = recorded?.ledger(cdn.provider.target())?;
            Some(ledger.count > 0)
        };
        self.tiers(set)
            .all(|(_, cdn)| is_known_at(cdn) == Some(true))
    }

    /// Plans a set if it need not be looked into; whether it did.
    fn plan_unchanged(&mut self, set: &'a DeclaredSet, recorded: Option<&RecordedSet>) -> bool {
        if set.is_stale() {
            self.planned.partial.insert(set.name.clone());
        }
        let unchanged = recorded.and_then(|recorded| self.unchanged(set, recorded));
        let is_unchanged = unchanged.is_some();
        if is_unchanged {
            self.planned.unchanged.insert(set.name.clone());
        }
        self.planned.plan.sets.extend(unchanged);
        is_unchanged
    }

    fn plan_set(
        &mut self,
        set: &'a DeclaredSet,
        recorded: Option<&RecordedSet>,
    ) -> Result<(), StateError> {
        let ready = self.ready.remove(&set.name);
        let mut ready = ready.unwrap_or_else(|| Ready::new(set.expand()));
        let desired = ready.desired(&self.wires(set));
        self.problems.insert(set.name.clone(), ready.problems);
        let Some(expansion) = ready.expansion else {
            self.planned.failed.insert(set.name.clone());
            return Ok(());
        };
        if ready.partial {
            self.planned.partial.insert(set.name.clone());
        }
        let mut wanted = Vec::new();
        for ((tier, cdn), (entries, digest)) in self.tiers(set).zip(desired) {
            let ledger = recorded.and_then(|recorded| recorded.ledger(cdn.provider.target()));
            wanted.push(Wanted {
                cdn,
                tier,
                ledger,
                entries,
                digest,
            });
        }
        let set_plan = self.compare(&Terms::of(set), recorded, wanted, Some(&expansion))?;
        self.keep(set, recorded, &expansion);
        if set_plan.targets.iter().any(|target| !target.is_fresh()) {
            self.planned.expansions.insert(set.name.clone(), expansion);
        }
        self.planned.plan.sets.push(set_plan);
        Ok(())
    }

    fn tiers<'s>(
        &self,
        set: &'s DeclaredSet,
    ) -> impl Iterator<Item = (usize, &'a Cdn)> + use<'a, 's> {
        let cdns = &self.declared.cdns;
        let tiers = set.tiers.iter().enumerate();
        tiers.flat_map(move |(tier, names)| {
            names
                .iter()
                .filter_map(move |name| Some((tier, cdns.get(name)?)))
        })
    }

    /// The plan of a set whose inputs are those it was last settled with.
    fn unchanged(&self, set: &'a DeclaredSet, recorded: &RecordedSet) -> Option<SetPlan> {
        // Restored after it was gone, its inputs are to be kept once more.
        let is_kept = set.on_remove == OnRemove::Ignore || self.kept.contains_key(&recorded.id);
        if recorded.inputs != Some(set.inputs) || !is_kept {
            return None;
        }
        // Of exactly that many, since each is large and most sets are unchanged.
        let mut targets = Vec::with_capacity(self.tiers(set).count());
        for (tier, cdn) in self.tiers(set) {
            let ledger = recorded.ledger(cdn.provider.target())?;
            if !ledger.is_settled || ledger.wire != cdn.wire.digest() {
                return None;
            }
            let plan = TargetPlan::fresh(
                &cdn.name,
                cdn.provider.target(),
                tier,
                ledger,
                ledger.desired?,
            );
            targets.push(plan);
        }
        let desired: Vec<_> = targets
            .iter()
            .map(|target| (target.target.as_str(), target.desired))
            .collect();
        let content = plan::content(&set.name, recorded.serial, set.limits, &desired);
        Some(SetPlan {
            set: set.name.clone(),
            id: self.id(content),
            content,
            place: Some(set.place.clone()),
            targets,
        })
    }

    /// What an approval of the plan with that content names.
    fn id(&self, content: Digest) -> Digest {
        plan::id(content, self.records.and_then(Records::lasting_lineage))
    }

    /// Whether nobody knows what the CDNs have been told.
    fn is_new(&self) -> Result<bool, StateError> {
        self.records.map_or(Ok(true), Records::is_new)
    }

    /// A state without a past must not make everything look new without a
    /// word. It is judged over all sets, also where a part of them is meant.
    fn bootstrap(&self) -> Result<Option<Bootstrap>, StateError> {
        let limit = match self.options.bootstrap {
            Some(BootstrapChoice::Invalidate | BootstrapChoice::Adopt) => return Ok(None),
            Some(BootstrapChoice::Fail) => 0,
            None => BOOTSTRAP_LIMIT,
        };
        if !self.is_new()? {
            return Ok(None);
        }
        if self.options.only.is_some() {
            let all = Options {
                only: None,
                ..self.options.clone()
            };
            let all = plan(self.declared, self.records, &all)?;
            return Ok(all.plan.bootstrap);
        }
        let targets = self.planned.plan.targets();
        let waiting =
            |target: &TargetPlan| target.unapproved + target.block.map_or(0, |block| block.items);
        let items = targets.map(waiting).sum();
        Ok((items > limit).then_some(Bootstrap { items, limit }))
    }

    /// Leaves of every plan what somebody has approved.
    fn block_unapproved(&mut self, limit: u64) -> Result<(), StateError> {
        let mut sets = std::mem::take(&mut self.planned.plan.sets);
        for target in sets.iter_mut().flat_map(|set| &mut set.targets) {
            let approved = match self.records.zip(target.ledger) {
                Some((records, ledger)) if target.unapproved > 0 => {
                    records.contents(ledger, self.options.now_ms)?.approved
                }
                _ => Vec::new(),
            };
            policy::restrict_first_run(target, &approved, limit);
        }
        self.planned.plan.sets = sets;
        Ok(())
    }
}

/// The recorded set that `set` carries on: its own, or the one it was renamed from.
fn recorded_as<'s>(
    set: &DeclaredSet,
    declared: &Declared,
    sets: &'s BTreeMap<String, RecordedSet>,
) -> Option<&'s RecordedSet> {
    let former = || former_names(set, declared).find_map(|name| sets.get(name));
    sets.get(&set.name).or_else(former)
}
