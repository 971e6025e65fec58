//! What the state holds of the sets concerned, and what is planned for them.

use std::collections::BTreeMap;

use super::obstacle::{self, Circumstances};
use super::search::cdns;
use crate::declare::{Cdn, Declared, DeclaredSet};
use crate::digest::{Entry, ItemKind, Key};
use crate::expand::Expansion;
use crate::plan::recorded::{LedgerContents, Refusal};
use crate::plan::{Plan, TargetPlan};
use crate::reconcile::planning;
use crate::report::explain::{State, UrlDocument};
use crate::report::history::{outcome, short};
use crate::report::number::instant;
use crate::report::{place, verification};
use crate::state::{ADOPTED, Records, StateError, Suspension, TargetRecord};

/// Batches looked at for the last one to a target.
const LOOKED_AT: usize = 20;

/// What is known besides the manifests.
pub(super) struct Past<'a> {
    declared: &'a Declared,
    records: Option<&'a Records>,
    plan: Plan,
    targets: BTreeMap<String, (TargetRecord, Vec<Refusal>)>,
    suspensions: Vec<Suspension>,
    /// By set: when something of it was last recorded without being sent.
    adopted_ms: BTreeMap<String, i64>,
    now_ms: i64,
}

/// A set at one of its Cdns.
struct At<'a> {
    cdn: &'a Cdn,
    target: &'a TargetPlan,
    contents: LedgerContents,
    desired: Vec<Entry>,
}

impl<'a> Past<'a> {
    /// Reads what is recorded, and plans the sets called `names`.
    pub(super) fn read<'n>(
        declared: &'a Declared,
        records: Option<&'a Records>,
        names: impl Iterator<Item = &'n str>,
        now_ms: i64,
    ) -> Result<Self, StateError> {
        let mut past = Self {
            declared,
            records,
            plan: plan(declared, records, names, now_ms)?,
            targets: BTreeMap::new(),
            suspensions: Vec::new(),
            adopted_ms: BTreeMap::new(),
            now_ms,
        };
        if let Some(records) = records {
            past.suspensions = planning::suspensions(declared, records)?;
            for event in records.events()? {
                if let Some(set) = event.set.filter(|_| event.kind == ADOPTED) {
                    past.adopted_ms.insert(set, event.at_ms);
                }
            }
            for target in records.targets()? {
                let refusals = records.refusals(target.id)?;
                let identity = target.identity.clone();
                past.targets.insert(identity, (target, refusals));
            }
        }
        Ok(past)
    }

    /// Each of `urls` at each Cdn of the set that yields them.
    pub(super) fn explain(
        &self,
        set: &DeclaredSet,
        expansion: &Expansion,
        urls: &[String],
    ) -> Result<Vec<UrlDocument>, StateError> {
        let mut documents = Vec::new();
        let Some(planned) = self.plan.sets.iter().find(|plan| plan.set == set.name) else {
            return Ok(documents);
        };
        let mut refused_inside: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
        for cdn in cdns(self.declared, set) {
            let mut targets = planned.targets.iter();
            let Some(target) = targets.find(|target| target.cdn == cdn.name) else {
                continue;
            };
            let at = At {
                cdn,
                target,
                contents: self.contents(target)?,
                desired: expansion.entries(&cdn.wire),
            };
            for url in urls {
                let mut document = self.document(url, set, &at)?;
                let inside = refused_inside.get(url.as_str()).copied();
                if document.state.is_pending() {
                    document.obstacles = obstacle::all(&Circumstances {
                        url,
                        set,
                        cdn,
                        plan: planned,
                        target,
                        is_sent: is_sent(target, key(cdn, url)),
                        refused_by: inside
                            .filter(|(tier, _)| *tier < target.tier)
                            .map(|(_, cdn)| cdn),
                        bootstrap: self.plan.bootstrap,
                        recorded: self.targets.get(&target.target).map(|(target, _)| target),
                        suspensions: &self.suspensions,
                        now_ms: self.now_ms,
                    });
                }
                if document.state == State::Refused {
                    refused_inside
                        .entry(url)
                        .or_insert((target.tier, &cdn.name));
                }
                documents.push(document);
            }
        }
        Ok(documents)
    }

    fn contents(&self, target: &TargetPlan) -> Result<LedgerContents, StateError> {
        match self.records.zip(target.ledger) {
            Some((records, ledger)) => records.contents(ledger, self.now_ms),
            None => Ok(LedgerContents::default()),
        }
    }

    fn document(
        &self,
        url: &str,
        set: &DeclaredSet,
        at: &At<'_>,
    ) -> Result<UrlDocument, StateError> {
        let key = key(at.cdn, url);
        let item = at.cdn.wire.item(url.as_bytes());
        let item = String::from_utf8_lossy(item).into_owned();
        let refusals = self.targets.get(&at.target.target);
        let mut refusals = refusals.iter().flat_map(|(_, refusals)| refusals);
        let refusal = refusals.find(|refusal| refusal.entry.key() == key);
        let last_sent = self.last_sent(key, &at.target.target)?;
        let state = at.state(key, refusal);
        // What was sent so long ago that the history has lost it is told all the same.
        let adopted_ms = self.adopted_ms.get(&set.name);
        let adopted_ms = adopted_ms.filter(|_| last_sent.is_none() && state == State::Told);
        Ok(UrlDocument {
            url: url.to_owned(),
            item: (item != url).then_some(item),
            set: set.name.clone(),
            place: place(&set.place),
            cdn: at.cdn.name.clone(),
            state: adopted_ms.map_or(state, |_| State::Adopted),
            refusal: refusal.map(|refusal| {
                let at = instant(refusal.at_ms);
                format!("{}: {} ({at})", refusal.code, refusal.message)
            }),
            last_sent,
            verification: self.seen(key, &at.target.target)?,
            adopted: adopted_ms.map(|at_ms| instant(*at_ms)),
            obstacles: Vec::new(),
        })
    }

    /// When a URL that nothing yields was last sent all the same, Cdn by Cdn.
    pub(super) fn sent_on_request(&self, url: &str) -> Result<Vec<String>, StateError> {
        let mut sent = Vec::new();
        for cdn in self.declared.cdns.values() {
            let last = self.last_sent(key(cdn, url), cdn.provider.target())?;
            sent.extend(last.map(|last| format!("to {} {last}", cdn.name)));
        }
        Ok(sent)
    }

    /// What looking at what the edge serves has shown last.
    fn seen(&self, key: Key, target: &str) -> Result<Option<String>, StateError> {
        let Some((records, (target, _))) = self.records.zip(self.targets.get(target)) else {
            return Ok(None);
        };
        let seen = records.last_probe(target.id, key)?;
        Ok(seen.as_ref().map(verification::sentence))
    }

    /// When the item last went out, in which batch, and what came of it.
    fn last_sent(&self, key: Key, target: &str) -> Result<Option<String>, StateError> {
        let Some(records) = self.records else {
            return Ok(None);
        };
        let batches = records.last_batches_with(key, LOOKED_AT)?;
        let here = batches
            .into_iter()
            .find(|(batch, _)| batch.target == target);
        Ok(here.map(|(batch, _)| {
            let at = instant(batch.closed_ms.unwrap_or(batch.opened_ms));
            let outcome = outcome(batch.outcome.as_ref());
            let commit = batch.commit.as_deref();
            let from = commit.map_or_else(String::new, |commit| {
                format!(" from commit {}", short(commit))
            });
            format!("{at} in batch {}{from}: {outcome}", batch.no.0)
        }))
    }
}

impl At<'_> {
    fn state(&self, key: Key, refusal: Option<&Refusal>) -> State {
        let recorded = find(&self.contents.entries, key);
        let desired = find(&self.desired, key);
        let is_sent = is_sent(self.target, key);
        // The plan knows which refusals still count.
        let is_refused = self.target.refused > 0
            && !is_sent
            && refusal.is_some_and(|refusal| desired == Some(refusal.entry));
        if self.contents.open.binary_search(&key).is_ok() {
            State::UnderWay
        } else if self.contents.forced.binary_search(&key).is_ok() {
            State::Forced
        } else if find(&self.target.waiting.entries, key).is_some() {
            State::Revised
        } else if recorded.is_some() && recorded == desired {
            State::Told
        } else if is_refused {
            State::Refused
        } else if find(&self.target.record, key).is_some() {
            State::Recorded
        } else {
            match recorded {
                None => State::New,
                Some(entry) if entry.mark().is_owed() => State::Owed,
                Some(_) => State::Revised,
            }
        }
    }
}

/// A plan of the sets called `names`, or of all where nothing is recorded yet:
/// a first run is judged by all sets together.
fn plan<'n>(
    declared: &Declared,
    records: Option<&Records>,
    names: impl Iterator<Item = &'n str>,
    now_ms: i64,
) -> Result<Plan, StateError> {
    let is_new = records.map_or(Ok(true), Records::is_new)?;
    let parts: Vec<Option<String>> = if is_new {
        vec![None]
    } else {
        names.map(|name| Some(name.to_owned())).collect()
    };
    let mut plan = Plan::default();
    for only in parts {
        let options = planning::Options {
            only,
            now_ms,
            ..planning::Options::default()
        };
        let part = planning::plan(declared, records, &options)?.plan;
        plan.bootstrap = plan.bootstrap.or(part.bootstrap);
        plan.sets.extend(part.sets);
    }
    Ok(plan)
}

fn key(cdn: &Cdn, url: &str) -> Key {
    Key::of(ItemKind::Url, cdn.wire.item(url.as_bytes()))
}

fn find(entries: &[Entry], key: Key) -> Option<Entry> {
    let at = entries.binary_search_by_key(&key, |entry| entry.key());
    at.ok().map(|at| entries[at])
}

fn is_sent(target: &TargetPlan, key: Key) -> bool {
    find(&target.send, key).is_some() || find(&target.forced, key).is_some()
}
