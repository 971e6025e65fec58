//! What became of a URL that has left every set that yielded it.

use crate::declare::{Cdn, Declared};
use crate::digest::{Entry, ItemKind, Key};
use crate::plan::recorded::RecordedSet;
use crate::plan::{Plan, TargetPlan};
use crate::reconcile::planning;
use crate::report::explain::{Obstacle, ObstacleKind, quoted};
use crate::report::held::hold;
use crate::state::{Records, StateError};

/// Every set that `subject` has left, at each of its Cdns.
pub(super) fn obstacles(
    declared: &Declared,
    records: Option<&Records>,
    subject: &str,
    now_ms: i64,
) -> Result<Vec<Obstacle>, StateError> {
    let mut obstacles = Vec::new();
    let Some(records) = records else {
        return Ok(obstacles);
    };
    let mut plans = None;
    for set in records.sets()? {
        if declared.broken.contains(&set.name) {
            continue;
        }
        for (cdn, recorded) in recorded(declared, records, &set, subject)? {
            let again = format!("freshen invalidate --url {}", quoted(subject));
            let (told, next) = if recorded.mark().is_removed() {
                ("was told so".to_owned(), again)
            } else {
                if plans.is_none() {
                    plans = Some(Plans::make(declared, records, now_ms)?);
                }
                let plans = plans.as_ref();
                let found = plans.and_then(|plans| plans.told(&set.name, cdn, recorded));
                found.unwrap_or_else(|| ("is not told".to_owned(), again))
            };
            obstacles.push(Obstacle {
                kind: ObstacleKind::Removed,
                detail: format!("it has left the set `{}`: {} {told}", set.name, cdn.name),
                next,
            });
        }
    }
    Ok(obstacles)
}

/// What the ledgers of `set` hold of `subject`, by Cdn.
fn recorded<'a>(
    declared: &'a Declared,
    records: &Records,
    set: &RecordedSet,
    subject: &str,
) -> Result<Vec<(&'a Cdn, Entry)>, StateError> {
    let mut found = Vec::new();
    for (target, ledger) in &set.ledgers {
        let mut cdns = declared.cdns.values();
        let Some(cdn) = cdns.find(|cdn| cdn.provider.target() == target) else {
            continue;
        };
        let key = Key::of(ItemKind::Url, cdn.wire.item(subject.as_bytes()));
        let (entries, _) = records.entries_of(ledger.id, &[key])?;
        found.extend(entries.into_iter().map(|entry| (cdn, entry)));
    }
    Ok(found)
}

/// What is planned, and what would be were all of it approved.
struct Plans {
    now: Plan,
    approved: Plan,
}

impl Plans {
    fn make(declared: &Declared, records: &Records, now_ms: i64) -> Result<Self, StateError> {
        let plan = |approve| {
            let options = planning::Options {
                approve,
                now_ms,
                ..planning::Options::default()
            };
            Ok::<_, StateError>(planning::plan(declared, Some(records), &options)?.plan)
        };
        let now = plan(Vec::new())?;
        let ids = now.sets.iter().map(|set| set.id.to_string());
        let approved = plan(ids.collect())?;
        Ok(Self { now, approved })
    }

    /// What a Cdn will be told of what has left a set, and what to do for it.
    fn told(&self, set: &str, cdn: &Cdn, entry: Entry) -> Option<(String, String)> {
        let target = |plan: &Plan| -> Option<TargetPlan> {
            let set = plan.sets.iter().find(|planned| planned.set == set)?;
            let mut targets = set.targets.iter();
            let target = targets.find(|target| target.cdn == cdn.name)?;
            let at = target.removed.binary_search(&entry.removed());
            at.is_ok().then(|| target.clone())
        };
        let approved = target(&self.approved)?;
        if let Some(held) = &approved.hold {
            let told = format!("is to be told ({})", hold(held));
            return Some((told, "freshen status".to_owned()));
        }
        if target(&self.now).is_some() {
            let told = "is to be told".to_owned();
            return Some((told, "freshen reconcile".to_owned()));
        }
        let blocked = self.now.sets.iter().find(|planned| planned.set == set)?;
        Some((
            "is to be told once that is approved".to_owned(),
            format!("freshen approve {}", blocked.id.short()),
        ))
    }
}
