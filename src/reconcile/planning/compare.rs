//! The plan of one set: its terms, what it desires, and what is in its way.

use std::rc::Rc;

use super::target::Kept;
use super::{BOOTSTRAP_LIMIT, Planner, REFUSAL_MS};
use crate::declare::{Cdn, DeclaredSet};
use crate::digest::{Digest, Entry, ItemKind, Key};
use crate::expand::Expansion;
use crate::manifest::{LimitsSpec, OnCreate, Place};
use crate::plan::recorded::{RecordedLedger, RecordedSet};
use crate::plan::{self, SetPlan, TargetPlan};
use crate::reconcile::asks::{ADHOC, Ask};
use crate::state::StateError;

/// What holds for a set besides what it desires.
pub(super) struct Terms<'a> {
    pub(super) set: &'a str,
    place: Option<&'a Place>,
    pub(super) limits: LimitsSpec,
    pub(super) on_create: OnCreate,
    approved: Option<&'a str>,
    /// All of it was asked for with `invalidate`.
    pub(super) is_forced: bool,
}

impl<'a> Terms<'a> {
    pub(super) fn of(set: &'a DeclaredSet) -> Self {
        Self {
            set: &set.name,
            place: Some(&set.place),
            limits: set.limits,
            on_create: set.on_create,
            approved: set.approve.as_deref(),
            is_forced: false,
        }
    }

    /// Those of a set that no manifest declares any more.
    pub(super) fn vanished(set: &'a str, limits: LimitsSpec) -> Self {
        Self {
            set,
            place: None,
            limits,
            on_create: OnCreate::Invalidate,
            approved: None,
            is_forced: false,
        }
    }

    pub(super) fn adhoc() -> Self {
        Self {
            set: ADHOC,
            place: None,
            limits: LimitsSpec {
                max_urls: BOOTSTRAP_LIMIT,
                max_share_percent: None,
            },
            on_create: OnCreate::Invalidate,
            approved: None,
            is_forced: true,
        }
    }
}

/// The desired entries of a set at one of its targets.
pub(super) struct Wanted<'a> {
    pub(super) cdn: &'a Cdn,
    pub(super) tier: usize,
    pub(super) ledger: Option<&'a RecordedLedger>,
    pub(super) entries: Vec<Entry>,
    pub(super) digest: Digest,
}

/// A target that was planned before, and what it refused.
struct Inner<'a> {
    cdn: &'a Cdn,
    refused: Rc<Vec<Entry>>,
}

impl Planner<'_> {
    pub(super) fn compare(
        &mut self,
        terms: &Terms<'_>,
        recorded: Option<&RecordedSet>,
        wanted: Vec<Wanted<'_>>,
        expansion: Option<&Expansion>,
    ) -> Result<SetPlan, StateError> {
        let desired: Vec<_> = wanted
            .iter()
            .map(|wanted| {
                let target = wanted.cdn.provider.target();
                let leaving = self.leaving.get(terms.set);
                let digest = leaving.map(|leaving| leaving.with(wanted.digest, target));
                (target, digest.unwrap_or(wanted.digest))
            })
            .collect();
        let serial = recorded.map_or(0, |recorded| recorded.serial);
        let content = plan::content(terms.set, serial, terms.limits, &desired);
        let is_approved = self.is_approved(terms, content)?;
        self.awaited.clear();
        let mut targets = Vec::new();
        let mut inner: Vec<Inner<'_>> = Vec::new();
        for wanted in wanted {
            let leaving = self.leaving.get(terms.set);
            let leaving = leaving.map(|leaving| &*leaving.expansion);
            let expansions = expansion.into_iter().chain(leaving);
            let held = held_back(expansions, &wanted, &inner, &targets);
            let (cdn, refused) = (wanted.cdn, self.refused(wanted.cdn)?);
            let kept = Kept {
                refused: &refused,
                held: &held,
            };
            targets.push(self.plan_target(terms, is_approved, wanted, kept)?);
            inner.push(Inner { cdn, refused });
        }
        self.note_source(terms.set, &targets);
        Ok(SetPlan {
            set: terms.set.to_owned(),
            id: self.id(content),
            content,
            place: terms.place.cloned(),
            targets,
        })
    }

    /// Entries that this Cdn refused, as it is declared now, within a day.
    fn refused(&mut self, cdn: &Cdn) -> Result<Rc<Vec<Entry>>, StateError> {
        let identity = cdn.provider.target();
        let Some((records, target)) = self.records.zip(self.targets.get(identity)) else {
            return Ok(Rc::default());
        };
        if let Some(known) = self.refusals.get(identity) {
            return Ok(Rc::clone(known));
        }
        // Cdns with one target share its lane, which goes by the first of them.
        let mut cdns = self.declared.cdns.values();
        let cdn = cdns
            .find(|other| other.provider.target() == identity)
            .unwrap_or(cdn);
        let since_ms = self.options.now_ms - REFUSAL_MS;
        let refusals = records.refusals(target.id)?.into_iter();
        let lasting =
            refusals.filter(|refusal| refusal.cdn == cdn.digest && refusal.at_ms > since_ms);
        let mut entries: Vec<Entry> = lasting.map(|refusal| refusal.entry).collect();
        entries.sort_unstable();
        let entries = Rc::new(entries);
        self.refusals
            .insert(identity.to_owned(), Rc::clone(&entries));
        Ok(entries)
    }

    /// Whether somebody has approved the plan with that content.
    ///
    /// A plan that was shown before there was a state is not bound to one, so
    /// it may be from before this state's predecessor was lost. It is approved
    /// only by a request, which somebody left in this very state.
    fn is_approved(&self, terms: &Terms<'_>, content: Digest) -> Result<bool, StateError> {
        let bound = self.id(content).to_string();
        let names = |id: &str, approval: &str| approval.len() >= 12 && id.starts_with(approval);
        let by_manifest = terms.approved.filter(|_| self.records.is_some());
        let given = self.options.approve.iter().map(String::as_str);
        if given.chain(by_manifest).any(|given| names(&bound, given)) {
            return Ok(true);
        }
        let content = content.to_string();
        let is_new = self.is_new()?;
        Ok(self.requests.iter().any(|request| match Ask::of(request) {
            Ok(Ask::Approve { plan }) => names(&bound, &plan) || (is_new && names(&content, &plan)),
            _ => false,
        }))
    }
}

/// Items of an outer tier whose URLs an inner tier refused.
fn held_back<'e>(
    expansions: impl Iterator<Item = &'e Expansion>,
    wanted: &Wanted<'_>,
    inner: &[Inner<'_>],
    planned: &[TargetPlan],
) -> Vec<Key> {
    let refusing: Vec<_> = inner
        .iter()
        .zip(planned)
        .filter(|(inner, plan)| {
            plan.tier < wanted.tier && plan.refused > 0 && !inner.refused.is_empty()
        })
        .map(|(inner, _)| inner)
        .collect();
    let mut held = Vec::new();
    if refusing.is_empty() {
        return held;
    }
    let mut judge = |url: &str| {
        let is_refused = refusing.iter().any(|Inner { cdn, refused }| {
            let key = Key::of(ItemKind::Url, cdn.wire.item(url.as_bytes()));
            refused
                .binary_search_by_key(&key, |entry| entry.key())
                .is_ok()
        });
        if is_refused {
            held.push(Key::of(ItemKind::Url, wanted.cdn.wire.item(url.as_bytes())));
        }
    };
    for expansion in expansions {
        expansion.for_each(|url, _| judge(url));
    }
    held.sort_unstable();
    held.dedup();
    held
}
