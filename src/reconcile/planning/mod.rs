//! From what is declared and what is recorded to a plan; offline, and the
//! same for `plan`, `reconcile` and everything that shows either.

mod compare;
mod suspended;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use super::asks::{ADHOC, Ask};
use crate::declare::{Cdn, Declared, DeclaredSet};
use crate::digest::{Digest, Entry, ItemKind, Key, Mark};
use crate::expand::Expansion;
use crate::manifest::Problem;
use crate::plan::policy;
use crate::plan::recorded::RecordedSet;
use crate::plan::{self, Bootstrap, Plan, SetPlan, TargetPlan};
use crate::state::{Records, StateError, Suspension, TargetRecord};
use compare::{Terms, Wanted};
use suspended::former_names;

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
    sets: BTreeMap<String, RecordedSet>,
    targets: BTreeMap<String, TargetRecord>,
    suspended: Vec<Suspension>,
    /// By target: what it refused.
    refusals: BTreeMap<String, Rc<Vec<Entry>>>,
    /// By target: what sets have lost there.
    elsewhere: BTreeMap<String, Rc<Vec<Entry>>>,
    planned: Planned,
}

impl<'a> Planner<'a> {
    fn new(
        declared: &'a Declared,
        records: Option<&'a Records>,
        options: &'a Options,
    ) -> Result<Self, StateError> {
        let (sets, targets, suspended) = match records {
            None => Default::default(),
            Some(records) => {
                let suspended = suspensions(declared, records)?;
                (records.sets()?, records.targets()?, suspended)
            }
        };
        Ok(Self {
            declared,
            records,
            options,
            sets: sets
                .into_iter()
                .map(|set| (set.name.clone(), set))
                .collect(),
            targets: targets
                .into_iter()
                .map(|target| (target.identity.clone(), target))
                .collect(),
            suspended,
            refusals: BTreeMap::new(),
            elsewhere: BTreeMap::new(),
            planned: Planned::default(),
        })
    }

    fn run(mut self) -> Result<Planned, StateError> {
        let declared = self.declared;
        let sets = std::mem::take(&mut self.sets);
        for set in declared.sets.values() {
            if self
                .options
                .only
                .as_ref()
                .is_none_or(|only| *only == set.name)
            {
                self.plan_set(set, &sets)?;
            }
        }
        self.plan_adhoc(&sets)?;
        self.bootstrap()?;
        Ok(self.planned)
    }

    fn plan_set(
        &mut self,
        set: &'a DeclaredSet,
        sets: &BTreeMap<String, RecordedSet>,
    ) -> Result<(), StateError> {
        let recorded = recorded_as(set, self.declared, sets);
        if let Some(unchanged) = recorded.and_then(|recorded| self.unchanged(set, recorded)) {
            self.planned.unchanged.insert(set.name.clone());
            self.planned.plan.sets.push(unchanged);
            return Ok(());
        }
        let compiled = set.expand();
        self.planned.problems.extend(compiled.problems);
        let Some(expansion) = compiled.expansion else {
            self.planned.failed.insert(set.name.clone());
            return Ok(());
        };
        if compiled.partial {
            self.planned.partial.insert(set.name.clone());
        }
        let expansion = Arc::new(expansion);
        let mut wanted = Vec::new();
        for (tier, cdn) in self.tiers(set) {
            let ledger = recorded.and_then(|recorded| recorded.ledgers.get(cdn.provider.target()));
            let entries = expansion.entries(&cdn.wire);
            let digest = Digest::of_entries(&entries);
            wanted.push(Wanted {
                cdn,
                tier,
                ledger,
                entries,
                digest,
            });
        }
        let set_plan = self.compare(&Terms::of(set), recorded, wanted, Some(&expansion), sets)?;
        if set_plan.targets.iter().any(|target| !target.is_fresh()) {
            self.planned.expansions.insert(set.name.clone(), expansion);
        }
        self.planned.plan.sets.push(set_plan);
        Ok(())
    }

    /// The built-in set of URLs that somebody asked for and no manifest declares.
    fn plan_adhoc(&mut self, sets: &BTreeMap<String, RecordedSet>) -> Result<(), StateError> {
        let Some(records) = self.records else {
            return Ok(());
        };
        let mut marks: BTreeMap<&str, BTreeMap<Key, Vec<Mark>>> = BTreeMap::new();
        for request in records.requests(true)? {
            let Ok(Ask::Adhoc { cdn, urls }) = Ask::of(&request) else {
                continue;
            };
            let Some(cdn) = self.declared.cdns.get(&cdn) else {
                continue;
            };
            // Another request is another mark, so asking twice sends twice.
            let mark = Mark::of(&[Some(ADHOC), Some(&request.id.to_string())]);
            for url in urls {
                let item = String::from_utf8_lossy(cdn.wire.item(url.as_bytes())).into_owned();
                let key = Key::of(ItemKind::Url, item.as_bytes());
                marks
                    .entry(&cdn.name)
                    .or_default()
                    .entry(key)
                    .or_default()
                    .push(mark);
                self.planned.adhoc.insert(key, item.into());
            }
        }
        if marks.is_empty() {
            return Ok(());
        }
        let recorded = sets.get(ADHOC);
        let wanted = marks.into_iter().map(|(cdn, marks)| {
            let cdn = &self.declared.cdns[cdn];
            let ledger = recorded.and_then(|recorded| recorded.ledgers.get(cdn.provider.target()));
            let marks = marks.into_iter();
            let entries: Vec<Entry> = marks
                .map(|(key, mut marks)| Entry::new(key, Mark::combined(&mut marks)))
                .collect();
            Wanted {
                cdn,
                tier: 0,
                ledger,
                digest: Digest::of_entries(&entries),
                entries,
            }
        });
        let wanted = wanted.collect();
        let set_plan = self.compare(&Terms::adhoc(), recorded, wanted, None, sets)?;
        self.planned.plan.sets.push(set_plan);
        Ok(())
    }

    fn tiers(&self, set: &'a DeclaredSet) -> impl Iterator<Item = (usize, &'a Cdn)> + use<'a> {
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
        if recorded.inputs != Some(set.inputs) {
            return None;
        }
        let mut targets = Vec::new();
        for (tier, cdn) in self.tiers(set) {
            let ledger = recorded.ledgers.get(cdn.provider.target())?;
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
        let id = plan::id(&set.name, recorded.serial, set.limits, &desired);
        Some(SetPlan {
            set: set.name.clone(),
            id,
            place: Some(set.place.clone()),
            targets,
        })
    }

    /// Whether nobody knows what the CDNs have been told.
    fn is_new(&self) -> Result<bool, StateError> {
        self.records.map_or(Ok(true), Records::is_new)
    }

    /// A state without a past must not make everything look new without a word.
    fn bootstrap(&mut self) -> Result<(), StateError> {
        let is_new = self.is_new()?;
        let unapproved: u64 = self
            .planned
            .plan
            .targets()
            .map(|target| target.unapproved)
            .sum();
        let is_decided = matches!(
            self.options.bootstrap,
            Some(BootstrapChoice::Invalidate | BootstrapChoice::Adopt)
        );
        let blocked = self
            .planned
            .plan
            .targets()
            .filter_map(|target| target.block)
            .map(|block| block.items);
        let items = unapproved + blocked.sum::<u64>();
        let limit = match self.options.bootstrap {
            Some(BootstrapChoice::Fail) => 0,
            _ => BOOTSTRAP_LIMIT,
        };
        if is_new && !is_decided && items > limit {
            self.planned.plan.bootstrap = Some(Bootstrap { items, limit });
            self.block_unapproved(limit)?;
        }
        Ok(())
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
