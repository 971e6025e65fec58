//! The plan of the built-in set.

use std::collections::BTreeMap;

use super::Planner;
use super::compare::{Terms, Wanted};
use crate::digest::{Digest, Entry, ItemKind, Key, Mark};
use crate::plan::recorded::RecordedSet;
use crate::reconcile::asks::{ADHOC, Ask};
use crate::state::StateError;

impl Planner<'_> {
    /// The built-in set of URLs that somebody asked for and no manifest declares.
    pub(super) fn plan_adhoc(&mut self, recorded: Option<&RecordedSet>) -> Result<(), StateError> {
        let mut marks: BTreeMap<&str, BTreeMap<Key, Vec<Mark>>> = BTreeMap::new();
        for request in &self.requests {
            let Ok(Ask::Adhoc { cdn, urls }) = Ask::of(request) else {
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
        let wanted = marks.into_iter().map(|(cdn, marks)| {
            let cdn = &self.declared.cdns[cdn];
            let ledger = recorded.and_then(|recorded| recorded.ledger(cdn.provider.target()));
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
        let set_plan = self.compare(&Terms::adhoc(), recorded, wanted, None)?;
        self.planned.plan.sets.push(set_plan);
        Ok(())
    }
}
