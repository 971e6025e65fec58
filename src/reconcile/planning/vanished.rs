//! What sets leave behind that no manifest declares any more and that had what
//! leaves them invalidated.

use std::rc::Rc;
use std::sync::Arc;

use super::Planner;
use super::compare::{Terms, Wanted};
use super::keeping::{keep, nothing};
use super::leaving::Fate;
use crate::declare::Cdn;
use crate::digest::Digest;
use crate::manifest::Problem;
use crate::plan::TargetPlan;
use crate::plan::recorded::RecordedSet;
use crate::state::{KeptInputs, StateError};

impl<'a> Planner<'a> {
    /// Plans all of them; none where a part of what is declared is meant, or
    /// not all of it can be read.
    pub(super) fn plan_vanished(&mut self) -> Result<(), StateError> {
        let is_part = self.options.only.is_some() || self.options.only_forced;
        let is_whole = self.planned.failed.is_empty() && self.planned.partial.is_empty();
        if is_part || !is_whole {
            return Ok(());
        }
        let sets = Rc::clone(&self.sets);
        let mut vanished = Vec::new();
        for recorded in sets.values() {
            let kept = self.kept.get(&recorded.id).cloned();
            let Some(kept) = kept.filter(|_| self.has_vanished(recorded)) else {
                continue;
            };
            let gone = self.kept_of(recorded.id)?;
            let cdns: Vec<&Cdn> = self.tiers_of(&kept).map(|(_, cdn)| cdn).collect();
            self.note_leaving(&recorded.name, (gone, Fate::Sent), &cdns);
            vanished.push((recorded, kept));
        }
        if vanished.is_empty() {
            return Ok(());
        }
        self.drop_declared()?;
        for (recorded, kept) in vanished {
            self.plan_one_vanished(recorded, &kept)?;
        }
        Ok(())
    }

    fn plan_one_vanished(
        &mut self,
        recorded: &RecordedSet,
        kept: &KeptInputs,
    ) -> Result<(), StateError> {
        let name = &recorded.name;
        let wanted = self.tiers_of(kept).filter_map(|(tier, cdn)| {
            Some(Wanted {
                cdn,
                tier,
                ledger: Some(recorded.ledger(cdn.provider.target())?),
                entries: Vec::new(),
                digest: Digest::of_entries(&[]),
            })
        });
        let wanted = wanted.collect();
        let terms = Terms::vanished(name, kept.limits);
        let plan = self.compare(&terms, Some(recorded), wanted, None)?;
        let lost = self.lost_cdns(recorded, kept);
        if lost.is_empty() {
            let left = self.leaving.get(name).map(|leaving| self.needed(leaving));
            let left = left.filter(|left| !left.is_empty());
            let keep = left.map_or_else(
                || nothing(name),
                |left| {
                    let terms = KeptInputs {
                        whole: None,
                        ..kept.clone()
                    };
                    keep(name, &left, terms, Some(kept))
                },
            );
            self.planned.keeps.insert(name.clone(), keep);
        }
        self.problems.insert(name.clone(), lost);
        let is_done =
            |target: &TargetPlan| target.is_fresh() && target.refused == 0 && target.held == 0;
        if !plan.targets.iter().all(is_done) {
            self.planned.plan.sets.push(plan);
        }
        Ok(())
    }

    /// Where nothing can be sent, since the Cdn is gone as well.
    fn lost_cdns(&self, recorded: &RecordedSet, kept: &KeptInputs) -> Vec<Problem> {
        let is_lost = |identity: &&String| {
            self.cdn_at(identity).is_none() && recorded.ledgers.contains_key(*identity)
        };
        let lost = kept.tiers.iter().flatten().filter(is_lost);
        lost.map(|identity| {
            let name = &recorded.name;
            let message = format!(
                "the set `{name}` is gone, and so is the Cdn for {identity}: \
                 what has left it there is not invalidated"
            );
            Problem::warning("removed-cdn", None, message).hint(format!(
                "declare the Cdn again, or run `freshen state forget {name}`"
            ))
        })
        .collect()
    }

    /// The Cdns that a set had, as far as they are still declared.
    fn tiers_of(&self, kept: &KeptInputs) -> impl Iterator<Item = (usize, &'a Cdn)> {
        let tiers = kept.tiers.iter().enumerate();
        let identities = tiers.flat_map(|(tier, names)| names.iter().map(move |one| (tier, one)));
        identities.filter_map(|(tier, identity)| Some((tier, self.cdn_at(identity)?)))
    }

    fn cdn_at(&self, identity: &str) -> Option<&'a Cdn> {
        let mut cdns = self.declared.cdns.values();
        cdns.find(|cdn| cdn.provider.target() == identity)
    }

    /// Notes where the items come from that have left a set and are to be sent.
    pub(super) fn note_source(&mut self, set: &str, targets: &[TargetPlan]) {
        if targets.iter().any(|target| !target.removed.is_empty())
            && let Some(leaving) = self.leaving.get(set)
        {
            let expansion = Arc::clone(&leaving.expansion);
            self.planned.leaving.insert(set.to_owned(), expansion);
        }
    }
}
