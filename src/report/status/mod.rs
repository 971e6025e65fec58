//! What is recorded, and what stands in the way.

use std::collections::{BTreeMap, BTreeSet};

mod document;

use super::condition::{Condition, Standing};
use super::finding::Finding;
use super::history::{in_short, named, outcome};
use super::lapse::LapseDocument;
use super::number::{counted, duration, grouped, instant};
use super::target::{TargetDocument, target, target_row};
use super::verification::RepeatsDocument;
use super::{Body, Report, Row};
use crate::manifest::Problem;
use crate::plan::Plan;
use crate::plan::recorded::{LedgerId, RecordedLedger, RecordedSet};
use crate::reconcile::asks::ADHOC;
use crate::reconcile::bearing::Bearing;
use crate::state::{BatchRecord, Holder, Lapse, ProbeRecord, Repeats, Request, Scope, Suspension};

pub use document::{SetDocument, StatusDocument};

/// A set, and the target's identity.
pub type SetAt = (String, String);

/// What is read from a state, and what is planned on top of it.
#[derive(Debug)]
pub struct Recorded {
    /// Of every set that can be planned; empty without manifests.
    pub plan: Plan,
    /// By identity of their target: the names of Cdns.
    pub names: BTreeMap<String, String>,
    /// Sets that have errors.
    pub broken: BTreeSet<String>,
    /// A manifest cannot be read so far that its sets are known.
    pub hides_sets: bool,
    /// Of the manifests.
    pub problems: Vec<Problem>,
    /// Items in open batches.
    pub under_way: BTreeMap<LedgerId, u64>,
    /// The last batch with a share of each.
    pub last: BTreeMap<SetAt, BatchRecord>,
    /// Of the state.
    pub serial: u64,
    /// Who holds it.
    pub holder: Option<Holder>,
    /// By name.
    pub sets: Vec<RecordedSet>,
    /// Each with what bears on the plan.
    pub targets: Vec<Bearing>,
    /// By identity of the target: what it was last seen to serve.
    pub probes: BTreeMap<String, Vec<ProbeRecord>>,
    /// What is to be sent again later.
    pub repeats: Vec<Repeats>,
    /// Waits of the last day that were over before anything was seen.
    pub lapses: Vec<Lapse>,
    /// What is held back.
    pub suspensions: Vec<Suspension>,
    /// Unanswered.
    pub requests: Vec<Request>,
}

/// The report on `recorded`.
pub fn report(recorded: &Recorded) -> Report<StatusDocument> {
    let wire = document(recorded);
    let mut rows: Vec<Row> = wire.sets.iter().map(set_row).collect();
    rows.extend(wire.targets.iter().map(target_row));
    let mut notes = Vec::new();
    notes.extend(
        wire.holder
            .iter()
            .map(|holder| format!("The state is held by {holder}.")),
    );
    notes.extend(
        wire.suspensions
            .iter()
            .map(|scope| format!("Suspended: {scope}.")),
    );
    notes.extend(
        wire.requests
            .iter()
            .map(|request| format!("Not answered yet: {request}.")),
    );
    notes.extend(wire.targets.iter().flat_map(|target| {
        let cdn = target.cdn.as_ref().unwrap_or(&target.target);
        let found = target.verification.as_ref();
        found.map_or_else(Vec::new, |found| found.notes(cdn))
    }));
    notes.extend(wire.lapses.iter().map(LapseDocument::note));
    notes.extend(wire.repeats.iter().map(RepeatsDocument::note));
    let sets: BTreeSet<&str> = wire.sets.iter().map(|set| set.name.as_str()).collect();
    let is_fresh = |set: &&SetDocument| set.condition == Condition::Fresh;
    let fresh = wire.sets.iter().filter(is_fresh).count();
    let body = Body {
        title: "Status",
        columns: vec!["set", "target", "recorded", "condition", "last result"],
        rows,
        notes,
        problems: recorded.problems.clone(),
        summary: format!(
            "{}; fresh at {} of {}.",
            counted(sets.len() as u64, "set"),
            grouped(fresh as u64),
            counted(wire.sets.len() as u64, "target"),
        ),
    };
    Report { body, wire }
}

fn document(recorded: &Recorded) -> StatusDocument {
    let targets = recorded
        .targets
        .iter()
        .map(|bearing| target(recorded, bearing));
    StatusDocument {
        format: "freshen.status/v1",
        serial: recorded.serial,
        holder: recorded.holder.as_ref().map(ToString::to_string),
        sets: sets(recorded),
        targets: targets.filter(TargetDocument::is_worth_telling).collect(),
        repeats: repeats(recorded),
        lapses: recorded.lapses.iter().map(LapseDocument::of).collect(),
        suspensions: recorded.suspensions.iter().map(suspension).collect(),
        requests: recorded.requests.iter().map(request).collect(),
        problems: Finding::all(&recorded.problems),
    }
}

/// What is to be sent again at each target that has a row.
fn repeats(recorded: &Recorded) -> Vec<RepeatsDocument> {
    let of = |repeats: &Repeats| {
        let mut bearings = recorded.targets.iter();
        let bearing = bearings.find(|bearing| bearing.target.id == repeats.target)?;
        let name = named(&bearing.target.identity, &recorded.names);
        Some(RepeatsDocument::of(&name, repeats))
    };
    recorded.repeats.iter().filter_map(of).collect()
}

/// Every set at every target, whether it is recorded, planned or both.
fn sets(recorded: &Recorded) -> Vec<SetDocument> {
    let ledgers = recorded.sets.iter().flat_map(|set| {
        let ledgers = set.ledgers.iter();
        ledgers.map(move |(target, ledger)| {
            ((set.name.clone(), target.clone()), Some((set, &**ledger)))
        })
    });
    let planned = recorded.plan.sets.iter().flat_map(|set| {
        let targets = set.targets.iter();
        targets.map(move |target| ((set.set.clone(), target.target.clone()), None))
    });
    // What is recorded comes last, and takes the place of what is only planned.
    let all: BTreeMap<SetAt, Option<(&RecordedSet, &RecordedLedger)>> =
        planned.chain(ledgers).collect();
    all.into_iter()
        .map(|(at, ledger)| set_document(recorded, at, ledger))
        .collect()
}

fn set_document(
    recorded: &Recorded,
    at: SetAt,
    ledger: Option<(&RecordedSet, &RecordedLedger)>,
) -> SetDocument {
    // No manifest ever declares the built-in set.
    let missing_ms = ledger.and_then(|(set, _)| set.missing_ms.filter(|_| set.name != ADHOC));
    let standing = standing(recorded, &at, ledger, missing_ms.is_some());
    let last = recorded.last.get(&at);
    let (name, target) = at;
    SetDocument {
        name,
        cdn: recorded.names.get(&target).cloned(),
        target,
        entries: ledger.map_or(0, |(_, ledger)| ledger.declared),
        condition: standing.condition,
        pending: standing.pending,
        waiting: standing.waiting,
        blocked: standing.blocked,
        refused: standing.refused,
        plan: standing.plan,
        held_until: standing.held_until,
        obstacle: standing.obstacle,
        last_result: last.map(|batch| outcome(batch.outcome.as_ref())),
        last_at: last.map(|batch| instant(batch.closed_ms.unwrap_or(batch.opened_ms))),
        missing_seconds: missing_ms.map(|ms| ms / 1000),
    }
}

fn standing(
    recorded: &Recorded,
    (name, identity): &SetAt,
    ledger: Option<(&RecordedSet, &RecordedLedger)>,
    is_missing: bool,
) -> Standing {
    let under_way = ledger.and_then(|(_, ledger)| recorded.under_way.get(&ledger.id));
    let under_way = under_way.copied().unwrap_or(0);
    let plan = &recorded.plan;
    let set = plan.sets.iter().find(|set| set.set == *name);
    let target = set.and_then(|set| {
        let mut targets = set.targets.iter();
        Some((set, targets.find(|target| target.target == *identity)?))
    });
    if let Some((set, target)) = target {
        return Standing::of(set, target, under_way);
    }
    let condition = if recorded.broken.contains(name) {
        Condition::Broken
    } else if is_missing {
        Condition::Undeclared
    } else if recorded.hides_sets && name != ADHOC {
        Condition::Broken
    } else if under_way > 0 || ledger.is_some_and(|(_, ledger)| !ledger.is_settled) {
        Condition::Pending
    } else {
        Condition::Fresh
    };
    Standing {
        condition,
        pending: under_way,
        ..Standing::default()
    }
}

/// What is held back, and since when.
pub fn suspension(suspension: &Suspension) -> String {
    let what = match &suspension.scope {
        Scope::All => "everything".to_owned(),
        Scope::Set(name) => format!("set {name}"),
        Scope::Cdn(name) => format!("Cdn {name}"),
    };
    format!("{what}, since {}", instant(suspension.at_ms))
}

fn request(request: &Request) -> String {
    let asked = &request.asked;
    format!(
        "{} by {} at {}",
        asked.kind,
        asked.by,
        instant(request.at_ms)
    )
}

fn set_row(set: &SetDocument) -> Row {
    let standing = Standing {
        condition: set.condition,
        pending: set.pending,
        waiting: set.waiting,
        blocked: set.blocked,
        refused: set.refused,
        plan: set.plan.clone(),
        held_until: set.held_until.clone(),
        obstacle: set.obstacle.clone(),
    };
    let mut words = standing.words();
    if let Some(seconds) = set.missing_seconds {
        if set.condition != Condition::Undeclared {
            words.push_str(", not declared");
        }
        words.push_str(&[" for ", &duration(seconds)].concat());
    }
    let last = set.last_result.as_ref().zip(set.last_at.as_ref());
    let last = last.map(|(result, at)| format!("{at} {}", in_short(result)));
    Row {
        sign: standing.sign(),
        cells: vec![
            set.name.clone(),
            set.cdn.as_ref().unwrap_or(&set.target).clone(),
            counted(set.entries, "URL"),
            words,
            last.unwrap_or_default(),
        ],
        ..Row::default()
    }
}
