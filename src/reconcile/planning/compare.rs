//! The comparison of one set with what is recorded of it, target by target.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::suspended::hold;
use super::{BOOTSTRAP_LIMIT, BootstrapChoice, Planner, REFUSAL_MS};
use crate::declare::{Cdn, DeclaredSet};
use crate::digest::{Digest, Entry, ItemKind, Key};
use crate::expand::Expansion;
use crate::manifest::{LimitsSpec, OnCreate, Place};
use crate::plan::diff::{Diff, Past, diff};
use crate::plan::policy;
use crate::plan::recorded::{LedgerContents, RecordedLedger, RecordedSet};
use crate::plan::{self, First, SetPlan, TargetPlan};
use crate::reconcile::asks::ADHOC;
use crate::state::StateError;

/// What holds for a set besides what it desires.
pub(super) struct Terms<'a> {
    set: &'a str,
    place: Option<&'a Place>,
    limits: LimitsSpec,
    on_create: OnCreate,
    approved: Option<&'a str>,
    /// All of it was asked for with `invalidate`.
    is_forced: bool,
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

impl Planner<'_> {
    pub(super) fn compare(
        &mut self,
        terms: &Terms<'_>,
        recorded: Option<&RecordedSet>,
        wanted: Vec<Wanted<'_>>,
        expansion: Option<&Expansion>,
        sets: &BTreeMap<String, RecordedSet>,
    ) -> Result<SetPlan, StateError> {
        let desired: Vec<_> = wanted
            .iter()
            .map(|wanted| (wanted.cdn.provider.target(), wanted.digest))
            .collect();
        let serial = recorded.map_or(0, |recorded| recorded.serial);
        let id = plan::id(terms.set, serial, terms.limits, &desired);
        let mut targets = Vec::new();
        let mut inner: Vec<(&Cdn, Rc<Vec<Entry>>)> = Vec::new();
        for wanted in wanted {
            let held = expansion.map_or_else(Vec::new, |expansion| {
                held_back(expansion, &wanted, &inner, &targets)
            });
            let refused = self.refused(wanted.cdn)?;
            let cdn = wanted.cdn;
            targets.push(self.plan_target(terms, id, wanted, (&refused, &held), sets)?);
            inner.push((cdn, refused));
        }
        Ok(SetPlan {
            set: terms.set.to_owned(),
            id,
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

    #[expect(
        clippy::too_many_lines,
        reason = "a third of it is the plan's list of fields"
    )]
    fn plan_target(
        &mut self,
        terms: &Terms<'_>,
        id: Digest,
        wanted: Wanted<'_>,
        (refused, held): (&[Entry], &[Key]),
        sets: &BTreeMap<String, RecordedSet>,
    ) -> Result<TargetPlan, StateError> {
        let Wanted {
            cdn,
            tier,
            ledger,
            entries,
            digest,
        } = wanted;
        let target = cdn.provider.target();
        let contents = self.contents(ledger)?;
        let is_unwritten = contents.entries.is_empty() && contents.open.is_empty();
        let elsewhere = if is_unwritten {
            self.elsewhere(target, sets)?
        } else {
            Rc::default()
        };
        let total = entries.len() as u64;
        let past = Past {
            contents: &contents,
            refused,
            held,
            elsewhere: &elsewhere,
        };
        let mut found = diff(entries, past);
        if self.is_adopted(terms, is_unwritten)? {
            adopt(&mut found, &contents);
        }
        if terms.is_forced {
            found.forced.append(&mut found.send);
            found.forced.sort_unstable();
        }
        if self.options.only_forced {
            found.send.clear();
        }
        let is_approved = self.is_approved(terms, id);
        let approve = if is_approved {
            approvable(&found)
        } else {
            Vec::new()
        };
        let approved = if is_approved {
            &approve
        } else {
            &contents.approved
        };
        let block = policy::restrict(
            &mut found,
            terms.limits,
            approved,
            contents.entries.len() as u64,
        );
        let unapproved = policy::unapproved(&found.send, approved);
        let wire = cdn.wire.digest();
        Ok(TargetPlan {
            cdn: cdn.name.clone(),
            target: target.to_owned(),
            tier,
            ledger: ledger.map(|ledger| ledger.id),
            wire,
            desired: digest,
            total,
            send: found.send,
            forced: found.forced,
            record: found.carried,
            departed: found.departed,
            unapproved,
            approve,
            refused: found.refused,
            held: found.held,
            open: found.open,
            reasons: found.reasons,
            first: first(ledger, wire),
            block,
            hold: hold(
                self.declared,
                &self.suspended,
                (terms.set, &cdn.name),
                self.options.now_ms,
            ),
        })
    }

    /// Whether what no ledger holds counts as told already.
    fn is_adopted(&self, terms: &Terms<'_>, is_unwritten: bool) -> Result<bool, StateError> {
        let is_new_set = is_unwritten && terms.on_create == OnCreate::Adopt;
        let is_bootstrap =
            self.options.bootstrap == Some(BootstrapChoice::Adopt) && self.is_new()?;
        Ok(is_new_set || is_bootstrap)
    }

    fn contents(&self, ledger: Option<&RecordedLedger>) -> Result<LedgerContents, StateError> {
        match self.records.zip(ledger) {
            Some((records, ledger)) => records.contents(ledger.id, self.options.now_ms),
            None => Ok(LedgerContents::default()),
        }
    }

    /// What other sets have lost at this target: their departed entries, and
    /// all of a set that is no longer declared.
    fn elsewhere(
        &mut self,
        target: &str,
        sets: &BTreeMap<String, RecordedSet>,
    ) -> Result<Rc<Vec<Entry>>, StateError> {
        let Some(records) = self.records else {
            return Ok(Rc::default());
        };
        if let Some(known) = self.elsewhere.get(target) {
            return Ok(Rc::clone(known));
        }
        let mut entries = Vec::new();
        for (name, set) in sets {
            let Some(ledger) = set.ledgers.get(target) else {
                continue;
            };
            let is_gone =
                !self.declared.sets.contains_key(name) && !self.declared.broken.contains(name);
            if !is_gone && records.departed(ledger.id)?.is_empty() {
                continue;
            }
            let contents = records.contents(ledger.id, self.options.now_ms)?;
            let departed = |entry: &Entry| contents.departed.binary_search(&entry.key()).is_ok();
            entries.extend(
                contents
                    .entries
                    .iter()
                    .copied()
                    .filter(|entry| is_gone || departed(entry)),
            );
        }
        entries.retain(|entry| !entry.mark().is_owed());
        entries.sort_unstable();
        let entries = Rc::new(entries);
        self.elsewhere
            .insert(target.to_owned(), Rc::clone(&entries));
        Ok(entries)
    }

    fn is_approved(&self, terms: &Terms<'_>, id: Digest) -> bool {
        let id = id.to_string();
        let mut given = self
            .options
            .approve
            .iter()
            .map(String::as_str)
            .chain(terms.approved);
        given.any(|approval| approval.len() >= 12 && id.starts_with(approval))
    }
}

fn first(ledger: Option<&RecordedLedger>, wire: Digest) -> Option<First> {
    match ledger {
        None => Some(First::NewSet),
        Some(ledger) if ledger.wire != wire => Some(First::WireChanged),
        Some(_) => None,
    }
}

/// Takes what the ledger has never held as told; what it owes stays owed.
fn adopt(found: &mut Diff, contents: &LedgerContents) {
    let holds = |entry: &Entry| {
        let found = contents
            .entries
            .binary_search_by_key(&entry.key(), |entry| entry.key());
        found.is_ok()
    };
    let (owed, new): (Vec<Entry>, Vec<Entry>) =
        std::mem::take(&mut found.send).into_iter().partition(holds);
    found.send = owed;
    found.carried.extend(new);
    found.carried.sort_unstable();
    found.reasons.new = 0;
}

fn approvable(found: &Diff) -> Vec<Entry> {
    let mut entries: Vec<Entry> = found.send.iter().chain(&found.forced).copied().collect();
    entries.sort_unstable();
    entries
}

/// Items of an outer tier whose URLs an inner tier refused.
fn held_back(
    expansion: &Expansion,
    wanted: &Wanted<'_>,
    inner: &[(&Cdn, Rc<Vec<Entry>>)],
    planned: &[TargetPlan],
) -> Vec<Key> {
    let refusing: Vec<_> = inner
        .iter()
        .zip(planned)
        .filter(|((_, refused), plan)| {
            plan.tier < wanted.tier && plan.refused > 0 && !refused.is_empty()
        })
        .map(|(inner, _)| inner)
        .collect();
    let mut held = Vec::new();
    if refusing.is_empty() {
        return held;
    }
    expansion.for_each(|url, _| {
        let is_refused = refusing.iter().any(|(cdn, refused)| {
            let key = Key::of(ItemKind::Url, cdn.wire.item(url.as_bytes()));
            refused
                .binary_search_by_key(&key, |entry| entry.key())
                .is_ok()
        });
        if is_refused {
            held.push(Key::of(ItemKind::Url, wanted.cdn.wire.item(url.as_bytes())));
        }
    });
    held.sort_unstable();
    held.dedup();
    held
}
