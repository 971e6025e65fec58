//! Awaiting: while a revision waits for its origin, the origin is looked at, until
//! it shows new bytes. The plan is made anew then; it also says when the wait is
//! over whatever was seen.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use tokio::task;

use super::engine::Submitter;
use super::flight::Arrival;
use super::limits::Limits;
use crate::batch::origin::{self, AtOrigin, Seen};
use crate::batch::verify::Sight;
use crate::plan::recorded::TargetId;
use crate::state::{OpenWait, OriginLook, StateError, Store};

/// Nothing waits for a look but what it is about.
const PATIENCE: Duration = Duration::from_secs(20);
/// Waits that are looked at together.
const ABREAST: usize = 4;

/// Which origins are being looked at.
#[derive(Debug, Default)]
pub(super) struct Awaiting {
    looks: HashMap<task::Id, OpenWait>,
    /// As they are recorded; in the order they are due.
    open: Vec<OpenWait>,
    /// What is recorded may have changed.
    is_outdated: bool,
    /// An origin was seen to have new bytes.
    is_shown: bool,
}

impl Submitter {
    /// What is recorded is read again with the next turn.
    pub(super) fn await_anew(&mut self) {
        self.awaiting.is_outdated = true;
    }

    /// Whether something that waited may be sent; true once.
    pub(super) fn has_shown(&mut self) -> bool {
        std::mem::take(&mut self.awaiting.is_shown)
    }

    /// Looks at the origins that something waits for and that are due; when the
    /// next is.
    pub(super) fn look_at_origins(
        &mut self,
        store: &Store,
        limits: &Limits,
        now_ms: i64,
    ) -> Result<Option<i64>, StateError> {
        if std::mem::take(&mut self.awaiting.is_outdated) {
            self.awaiting.open = self.awaited(store, limits, now_ms)?;
        }
        if self.awaiting.open.is_empty() || !limits.may_begin(now_ms) {
            return Ok(None);
        }
        let room = ABREAST.saturating_sub(self.awaiting.looks.len());
        let due = self.awaiting.open.iter().take(room);
        let due = due.take_while(|wait| wait.due_ms <= now_ms).count();
        for wait in self.awaiting.open.drain(..due).collect::<Vec<_>>() {
            self.look_at_origin(wait, now_ms);
        }
        // What has no room is looked at once a look has ended.
        let next = self.awaiting.open.first().map(|wait| wait.due_ms);
        Ok(next.filter(|due_ms| *due_ms > now_ms))
    }

    fn look_at_origin(&mut self, wait: OpenWait, now_ms: i64) {
        let Some((lookout, at)) = self.courier.lookout().zip(self.origin_of(wait.target)) else {
            return;
        };
        let sample = wait.sample.iter();
        let origins = sample.filter_map(|url| origin::at(&at.server, &url.item));
        let edges = wait.sample.iter().filter(|url| url.needs_edge());
        let edges = edges.map(|url| url.item.clone());
        let look = lookout.look_at_all(origins.chain(edges).collect(), now_ms, PATIENCE);
        let task = self.tasks.spawn(async { Arrival::Sights(look.await) });
        self.awaiting.looks.insert(task.id(), wait);
    }

    pub(super) fn origin_of(&self, target: TargetId) -> Option<&AtOrigin> {
        self.lane_of(target)?.origin.as_ref()
    }

    /// What the plan waits for and is not being looked at.
    fn awaited(
        &self,
        store: &Store,
        limits: &Limits,
        now_ms: i64,
    ) -> Result<Vec<OpenWait>, StateError> {
        if limits.waiting.is_empty() {
            return Ok(Vec::new());
        }
        let looks = self.awaiting.looks.values();
        let under_way: BTreeSet<i64> = looks.map(|wait| wait.id).collect();
        let mut open = store.open_waits()?;
        open.retain(|wait| limits.waiting.contains(&wait.ledger) && !under_way.contains(&wait.id));
        for wait in &mut open {
            wait.due_ms = wait.due_ms.min(origin::latest_look_ms(now_ms));
        }
        open.sort_by_key(|wait| wait.due_ms);
        Ok(open)
    }

    /// Takes in what was seen, where a task was looking at an origin; it is
    /// journalled with the next turn.
    pub(super) fn origin_seen(
        &mut self,
        id: task::Id,
        sights: Vec<Result<Sight, String>>,
        now_ms: i64,
    ) {
        let Some(mut wait) = self.awaiting.looks.remove(&id) else {
            return;
        };
        let mut sights = sights.into_iter();
        let origins: Vec<_> = sights.by_ref().take(wait.sample.len()).collect();
        let mut edges: BTreeMap<usize, Result<Sight, String>> = BTreeMap::new();
        for (at, url) in wait.sample.iter().enumerate() {
            if url.needs_edge() {
                edges.extend(sights.next().map(|sight| (at, sight)));
            }
        }
        let seen: Vec<Seen> = origins
            .into_iter()
            .enumerate()
            .map(|(at, origin)| Seen {
                origin,
                edge: edges.remove(&at),
            })
            .collect();
        let told = origin::still_waits(&mut wait.sample, &seen);
        self.awaiting.is_shown |= told.is_none();
        wait.due_ms = origin::next_look_ms(wait.looks, now_ms);
        wait.looks += 1;
        self.step.origin_looks.push(OriginLook { wait, told });
        self.await_anew();
    }

    /// Whether a task was looking at an origin.
    pub(super) fn is_look_at_origin(&self, id: task::Id) -> bool {
        self.awaiting.looks.contains_key(&id)
    }
}
