//! Verifying: a batch waits a moment while its sample is looked at, and what
//! was accepted is looked at again until it shows an effect.
//!
//! Nothing that a look comes to changes whether a batch is sent.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use tokio::task;

use super::courier::Errand;
use super::engine::Submitter;
use super::flight::Arrival;
use super::limits::Limits;
use crate::batch::journal::BatchNo;
use crate::batch::origin::at;
use crate::batch::verify::{Finding, Sight, Step, sample};
use crate::digest::{ItemKind, Key};
use crate::plan::recorded::TargetId;
use crate::state::{Looked, NewProbe, OpenProbe, OriginSight, StateError, Store};

/// What looking may hold up a batch, at most.
const BEFORE: Duration = Duration::from_secs(2);
/// For looks that nothing waits for.
const AFTER: Duration = Duration::from_secs(20);
/// An edge that answered nothing holds up no batch for this long.
const MUTE_MS: i64 = 60_000;
/// A clock that is merely corrected was not set back.
const CLOCK_STEP_MS: i64 = 1_000;
/// Accepted items looked at together.
const ABREAST: usize = 64;

/// What is being looked at.
#[derive(Debug, Default)]
pub(super) struct Verifying {
    looks: HashMap<task::Id, Purpose>,
    /// Looked at, and to be sent once that is journalled.
    ready: Vec<(TargetId, Errand)>,
    /// Accepted items, as they are recorded; in the order they are due.
    open: Vec<OpenProbe>,
    /// What is recorded may have changed.
    is_outdated: bool,
    /// Something is to be sent once more.
    is_to_be_sent_again: bool,
    /// Who answered nothing, and until when they are left alone.
    mute: BTreeMap<(TargetId, Side), i64>,
}

/// Who is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Edge,
    Origin,
}

/// What a look is for.
#[derive(Debug)]
enum Purpose {
    Before(Sample),
    After(Vec<OpenProbe>),
}

/// What is looked at before a batch is sent.
#[derive(Debug)]
struct Sample {
    target: TargetId,
    errand: Errand,
    batch: BatchNo,
    /// Through the edge.
    items: Vec<String>,
    timeout_ms: u64,
    /// At the origin: what new revisions are compared with later.
    at_origin: Vec<String>,
}

impl Submitter {
    /// What is recorded is read again with the next turn.
    pub(super) fn watch_anew(&mut self) {
        self.verifying.is_outdated = true;
    }

    /// Whether something was found to be sent once more; true once.
    pub(super) fn is_to_be_sent_again(&mut self) -> bool {
        std::mem::take(&mut self.verifying.is_to_be_sent_again)
    }

    /// Sends what was looked at and journalled, and what nobody looks at; of
    /// other batches a sample is looked at first.
    pub(super) fn leave(
        &mut self,
        store: &Store,
        departing: Vec<(TargetId, Errand)>,
        now_ms: i64,
    ) -> Result<(), StateError> {
        for (target, errand) in std::mem::take(&mut self.verifying.ready) {
            self.depart(target, errand, now_ms);
        }
        for (target, errand) in departing {
            match self.sample(store, (target, errand), now_ms)? {
                Some(sample) => self.look_before(sample, now_ms),
                None => self.depart(target, errand, now_ms),
            }
        }
        Ok(())
    }

    fn sample(
        &self,
        store: &Store,
        (target, errand): (TargetId, Errand),
        now_ms: i64,
    ) -> Result<Option<Sample>, StateError> {
        let (Errand::Batch(ticket) | Errand::Replay(ticket, _)) = errand else {
            return Ok(None);
        };
        let outbound = self.lane_of(target);
        let outbound =
            outbound.filter(|outbound| outbound.verify.is_some() || outbound.origin.is_some());
        let Some((outbound, batch)) =
            outbound.and_then(|outbound| Some((outbound, outbound.lane.number(ticket)?)))
        else {
            return Ok(None);
        };
        let all = outbound.lane.items(ticket);
        let is_mute = |side: Side| {
            let until_ms = self.verifying.mute.get(&(target, side));
            until_ms.is_some_and(|at_ms| *at_ms > now_ms)
        };
        // What is no longer declared has no bytes to be seen.
        if outbound.lane.is_removal(ticket) {
            return Ok(None);
        }
        let owned = |items: Vec<&str>| items.into_iter().map(str::to_owned).collect();
        let mut found = Sample {
            target,
            errand,
            batch,
            items: Vec::new(),
            timeout_ms: 0,
            at_origin: Vec::new(),
        };
        // A batch that goes once more was looked at when it first went.
        if let Some(verify) = outbound.verify.filter(|_| !is_mute(Side::Edge))
            && !store.has_probes(batch)?
        {
            let (again, doubtful) = store.doubtful(target)?;
            found.items = owned(sample(all, verify.sample, &again, &doubtful));
            found.timeout_ms = verify.timeout_ms;
        }
        if let Some(origin) = outbound.origin.as_ref().filter(|_| !is_mute(Side::Origin))
            && !store.has_origin_sights(batch)?
        {
            let keys = all
                .iter()
                .map(|item| Key::of(ItemKind::Url, item.as_bytes()));
            let known = store.known_among(target, keys)?;
            found.at_origin = owned(sample(all, origin.sample, &[], &known));
        }
        let is_any = !found.items.is_empty() || !found.at_origin.is_empty();
        Ok(is_any.then_some(found))
    }

    fn look_before(&mut self, sample: Sample, now_ms: i64) {
        let Some(lookout) = self.courier.lookout() else {
            return self.depart(sample.target, sample.errand, now_ms);
        };
        let mut urls = sample.items.clone();
        if let Some(origin) = self.origin_of(sample.target) {
            let items = sample.at_origin.iter();
            urls.extend(items.filter_map(|item| at(&origin.server, item)));
        }
        let look = lookout.look_at_all(urls, now_ms, BEFORE);
        let task = self.tasks.spawn(async { Arrival::Sights(look.await) });
        self.verifying
            .looks
            .insert(task.id(), Purpose::Before(sample));
    }

    /// Looks at what was accepted and is due; when the next is.
    pub(super) fn look_after(
        &mut self,
        store: &Store,
        limits: &Limits,
        now_ms: i64,
    ) -> Result<Option<i64>, StateError> {
        if std::mem::take(&mut self.verifying.is_outdated) {
            self.verifying.open = self.watched(store, now_ms)?;
        }
        if self.verifying.open.is_empty() || !limits.may_begin(now_ms) {
            return Ok(None);
        }
        let open = &mut self.verifying.open;
        let due = open
            .iter()
            .take(ABREAST)
            .take_while(|probe| probe.due_ms <= now_ms);
        let due: Vec<OpenProbe> = open.drain(..due.count()).collect();
        if let Some(lookout) = self.courier.lookout().filter(|_| !due.is_empty()) {
            let urls = due.iter().map(|probe| probe.item.clone()).collect();
            let look = lookout.look_at_all(urls, now_ms, AFTER);
            let task = self.tasks.spawn(async { Arrival::Sights(look.await) });
            self.verifying.looks.insert(task.id(), Purpose::After(due));
        }
        Ok(self.verifying.open.first().map(|probe| probe.due_ms))
    }

    /// Accepted items that are to be looked at and are not being looked at.
    fn watched(&mut self, store: &Store, now_ms: i64) -> Result<Vec<OpenProbe>, StateError> {
        let is_verified = |outbound: &&super::outbound::Outbound| outbound.verify.is_some();
        let targets = self.outbound.iter().filter(is_verified);
        let targets: BTreeSet<TargetId> = targets.map(|outbound| outbound.target).collect();
        if targets.is_empty() {
            return Ok(Vec::new());
        }
        let under_way = self
            .verifying
            .looks
            .values()
            .flat_map(|purpose| match purpose {
                Purpose::Before(_) => &[],
                Purpose::After(probes) => &probes[..],
            });
        let under_way: BTreeSet<i64> = under_way.map(|probe| probe.id).collect();
        let mut open = store.open_probes()?;
        open.retain(|probe| targets.contains(&probe.target) && !under_way.contains(&probe.id));
        let is_ahead = |probe: &mut OpenProbe| probe.watch.accepted_ms > now_ms + CLOCK_STEP_MS;
        for probe in open.extract_if(.., is_ahead) {
            self.give_up(probe);
        }
        Ok(open)
    }

    /// Ages mean nothing any more once the clock was set back.
    fn give_up(&mut self, probe: OpenProbe) {
        let findings = self.findings.entry(probe.target).or_default();
        findings.insert(probe.item, Finding::Unknown);
        self.step.looked.push(Looked {
            id: probe.id,
            after: Err("the clock was set back meanwhile".to_owned()),
            step: Step::Done(Finding::Unknown),
        });
    }

    /// Takes in what was seen, where a task was looking; it is journalled
    /// with the next turn.
    pub(super) fn seen(&mut self, id: task::Id, sights: Vec<Result<Sight, String>>, now_ms: i64) {
        let Some(purpose) = self.verifying.looks.remove(&id) else {
            return;
        };
        // A defect of ours is no sight, and must not keep a batch.
        let missing = || Err("freshen failed while it looked; please report it".to_owned());
        let sights = sights.into_iter().chain(std::iter::repeat_with(missing));
        match purpose {
            Purpose::Before(sample) => self.seen_before(sample, sights, now_ms),
            Purpose::After(probes) => self.seen_after(probes, sights, now_ms),
        }
    }

    fn seen_before(
        &mut self,
        sample: Sample,
        mut sights: impl Iterator<Item = Result<Sight, String>>,
        now_ms: i64,
    ) {
        let probes: Vec<NewProbe> = sample
            .items
            .into_iter()
            .zip(sights.by_ref())
            .map(|(item, before)| NewProbe {
                batch: sample.batch,
                target: sample.target,
                item,
                before,
                timeout_ms: sample.timeout_ms,
            })
            .collect();
        let at_origin: Vec<_> = sample.at_origin.into_iter().zip(sights).collect();
        let edge_failed = probes.iter().map(|probe| probe.before.is_err()).collect();
        let origin_failed = at_origin.iter().map(|(_, seen)| seen.is_err()).collect();
        for (side, failed) in [(Side::Edge, edge_failed), (Side::Origin, origin_failed)] {
            let failed: Vec<bool> = failed;
            if !failed.is_empty() && failed.iter().all(|failed| *failed) {
                let until_ms = now_ms + MUTE_MS;
                self.verifying.mute.insert((sample.target, side), until_ms);
            }
        }
        self.step.probes.extend(probes);
        let at_origin = at_origin.into_iter().filter_map(|(item, seen)| {
            Some(OriginSight {
                batch: sample.batch,
                target: sample.target,
                item,
                sight: seen.ok()?,
            })
        });
        self.step.origin_sights.extend(at_origin);
        self.verifying.ready.push((sample.target, sample.errand));
    }

    fn seen_after(
        &mut self,
        probes: Vec<OpenProbe>,
        sights: impl Iterator<Item = Result<Sight, String>>,
        now_ms: i64,
    ) {
        for (probe, after) in probes.into_iter().zip(sights) {
            let step = probe.watch.next(after.as_ref().ok(), now_ms);
            match step {
                Step::Look(_) => {}
                Step::SendAgain => self.verifying.is_to_be_sent_again = true,
                Step::Done(found) => {
                    let findings = self.findings.entry(probe.target).or_default();
                    findings.insert(probe.item, found);
                }
            }
            let id = probe.id;
            self.step.looked.push(Looked { id, after, step });
        }
        self.watch_anew();
    }
}
