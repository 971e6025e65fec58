//! What a reconcile did, and what is left.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use super::cost::Cost;
use super::cure::Cure;
use super::finding::Finding;
use super::held::held;
use super::lapse::LapseDocument;
use super::number::{counted, grouped, instant};
use super::refused::{RefusalDocument, line};
use super::verification::{RepeatsDocument, VerificationDocument};
use super::{Body, FAILED, Report, Row, Sign, summary};
use crate::manifest::{Place, Problem, distinct};
use crate::plan::{Plan, SetPlan, TargetPlan};
use crate::reconcile::bearing::Refused;
use crate::reconcile::estimate::Prospect;
use crate::reconcile::{Outcome, TargetOutcome};

/// `freshen.reconcile/v1`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reconciled {
    /// `freshen.reconcile/v1`.
    pub format: &'static str,
    /// Items that a CDN accepted.
    pub accepted: u64,
    /// Items that are not sent because a CDN refused them, in this run or
    /// before it.
    pub refused: u64,
    /// Items that are not sent because an inner tier refused them.
    pub held_back: u64,
    /// Items that are still to be sent.
    pub left: u64,
    /// Seconds for what is left at the declared rates, from now on.
    pub left_seconds: u64,
    /// Items that wait for an approval.
    pub blocked: u64,
    /// Items that are suspended, before their time, or wait for their origin.
    pub held: u64,
    /// Calls for what is left and blocked, once it is approved.
    pub approved_calls: u64,
    /// Seconds for it at the declared rates.
    pub approved_seconds: u64,
    /// Whether the time allowed ran out, or somebody asked to stop.
    pub is_cut_short: bool,
    /// What was done at each Cdn, by name.
    pub cdns: Vec<CdnDocument>,
    /// Sets with anything to send, or refused, by name.
    pub sets: Vec<SetDocument>,
    /// What is to be sent again later.
    pub repeats: Vec<RepeatsDocument>,
    /// What was sent although what it waited for was not seen.
    pub lapses: Vec<LapseDocument>,
    /// What is not sent because a CDN refused it.
    pub refusals: Vec<RefusalDocument>,
    /// In the order of files and lines.
    pub problems: Vec<Finding>,
}

/// What was done at a Cdn.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CdnDocument {
    /// Its name.
    pub name: String,
    /// Calls with items.
    pub calls: u64,
    /// Batches accepted.
    pub batches: u64,
    /// Items accepted.
    pub accepted: u64,
    /// Items refused in this run.
    pub refused: u64,
    /// Why it was not called any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub halt: Option<String>,
    /// What went wrong with its last call, where something did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// When it may be called again, where it has to wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<String>,
    /// When the last call for what is left may go at the declared rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_call_at: Option<String>,
    /// What looking at some of its URLs has shown, where that is declared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verification: Option<VerificationDocument>,
}

/// What became of a set at one of its Cdns.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SetDocument {
    /// `metadata.name`.
    pub name: String,
    /// Name of the Cdn.
    pub cdn: String,
    /// What an approval names.
    pub plan: String,
    /// Items that were to be sent.
    pub planned: u64,
    /// Items that are still to be sent.
    pub left: u64,
    /// Items that wait until their origin shows new bytes.
    pub waiting: u64,
    /// Items refused by this Cdn.
    pub refused: u64,
    /// Items held back, since an inner tier refused them.
    pub held_back: u64,
    /// Items that wait for an approval.
    pub blocked: u64,
}

/// What an outcome does not know about itself.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// Calls and time for what is left at the declared batch sizes and rates.
    pub cost: Cost,
    /// What lets through what is blocked.
    pub cure: Cure,
    /// What keeps something from being sent.
    pub refusals: Vec<Refused>,
    /// By Cdn: when what is left may go.
    pub prospects: BTreeMap<String, Prospect>,
    /// What is to be sent again later.
    pub repeats: Vec<RepeatsDocument>,
    /// Found while declaring, expanding and approving.
    pub problems: Vec<Problem>,
    /// Milliseconds since the epoch.
    pub now_ms: i64,
}

/// The report on `outcome`.
pub fn report(outcome: &Outcome, context: Context) -> Report<Reconciled> {
    let Context {
        cost,
        cure,
        refusals,
        repeats,
        mut prospects,
        problems,
        now_ms,
    } = context;
    // Who is not called at all waits for no rate.
    let is_called = |name: &String| {
        let target = outcome.targets.get(name);
        target.is_none_or(|target| target.halt.is_none())
    };
    prospects.retain(|name, _| is_called(name));
    let problems = distinct(problems);
    let cdns = cdns(outcome, &prospects, now_ms);
    let sets = sets(outcome);
    let refusals: Vec<RefusalDocument> = refusals.into_iter().map(RefusalDocument::of).collect();
    let place = |set: &SetDocument| {
        left_of(&outcome.left, &set.name, &set.cdn).and_then(|(set, _)| set.place.clone())
    };
    let rows = sets.iter();
    let mut rows: Vec<Row> = rows
        .map(|set| set_row(set, place(set), &refusals, &cure))
        .collect();
    rows.extend(cdns.iter().map(cdn_row));
    let left = outcome
        .left
        .targets()
        .filter(|target| target.hold.is_none());
    let wire = Reconciled {
        format: "freshen.reconcile/v1",
        accepted: cdns.iter().map(|cdn| cdn.accepted).sum(),
        refused: outcome.left.refused(),
        held_back: outcome.left.held_back(),
        left_seconds: seconds_left(&prospects, now_ms),
        left: left.map(|target| target.items() + target.open).sum(),
        blocked: super::plan::waiting(&outcome.left),
        held: outcome.left.held(),
        approved_calls: cost.approved_calls,
        approved_seconds: cost.approved_seconds,
        is_cut_short: outcome.is_cut_short,
        cdns,
        sets,
        repeats,
        lapses: outcome.lapses.iter().map(LapseDocument::of).collect(),
        refusals,
        problems: Finding::all(&problems),
    };
    let body = Body {
        title: "Reconcile",
        columns: vec!["what", "where", "items", "how"],
        rows,
        notes: notes(&outcome.left, &cure, &wire),
        summary: summary::of_run(&wire, cost, summary::next_ms(&prospects)),
        problems,
    };
    Report { body, wire }
}

/// What holds anything up, what was not seen to take effect, and what comes later.
fn notes(left: &Plan, cure: &Cure, wire: &Reconciled) -> Vec<String> {
    let of = |cdn: &CdnDocument| Some(cdn.verification.as_ref()?.notes(&cdn.name));
    let found = wire.cdns.iter().filter_map(of).flatten();
    let lapses = wire.lapses.iter().map(LapseDocument::note);
    let later = wire.repeats.iter().map(RepeatsDocument::note);
    let choices = cure.choices(left);
    held(left)
        .chain(choices)
        .chain(found)
        .chain(lapses)
        .chain(later)
        .collect()
}

/// What was done at each Cdn, and when what is left for it may go.
fn cdns(
    outcome: &Outcome,
    prospects: &BTreeMap<String, Prospect>,
    now_ms: i64,
) -> Vec<CdnDocument> {
    let nothing = TargetOutcome::default();
    let all: BTreeSet<&String> = outcome.targets.keys().chain(prospects.keys()).collect();
    let document = |name: &String| {
        let outcome = outcome.targets.get(name).unwrap_or(&nothing);
        cdn(name, outcome, prospects.get(name), now_ms)
    };
    all.into_iter().map(document).collect()
}

fn cdn(
    name: &str,
    outcome: &TargetOutcome,
    prospect: Option<&Prospect>,
    now_ms: i64,
) -> CdnDocument {
    let halt = outcome.halt.as_ref();
    let next_ms = prospect.and_then(|prospect| prospect.next_ms);
    let findings = outcome.findings.iter();
    let retry_ms = outcome.retry_at_ms.filter(|at_ms| *at_ms > now_ms);
    CdnDocument {
        name: name.to_owned(),
        calls: outcome.tally.calls,
        batches: outcome.tally.batches,
        accepted: outcome.tally.accepted,
        refused: outcome.tally.refused,
        halt: halt.map(|halt| format!("{}: {}", halt.kind.as_str(), halt.reason)),
        fault: outcome.fault.as_ref().map(ToString::to_string),
        retry_at: retry_ms.max(next_ms).map(instant),
        last_call_at: prospect.map(|prospect| instant(prospect.last_ms)),
        verification: VerificationDocument::of(
            findings.map(|(url, found)| (url.as_str(), Some(*found))),
        ),
    }
}

/// Everything that was to be sent, and everything that a refusal keeps back.
fn sets(outcome: &Outcome) -> Vec<SetDocument> {
    let mut planned: BTreeMap<(&str, usize, &str), u64> = BTreeMap::new();
    for set in &outcome.left.sets {
        for target in &set.targets {
            let is_kept_back = target.refused + target.held > 0 && target.hold.is_none();
            if is_kept_back {
                planned.insert((&set.set, target.tier, &target.cdn), 0);
            }
        }
    }
    for first in &outcome.planned {
        let left = left_of(&outcome.left, &first.set, &first.cdn);
        let tier = left.map_or(0, |(_, target)| target.tier);
        planned.insert((&first.set, tier, &first.cdn), first.items);
    }
    planned
        .into_iter()
        .map(|((set, _, cdn), items)| {
            set_document((set, cdn, items), left_of(&outcome.left, set, cdn))
        })
        .collect()
}

fn left_of<'p>(left: &'p Plan, set: &str, cdn: &str) -> Option<(&'p SetPlan, &'p TargetPlan)> {
    let set = left.sets.iter().find(|other| other.set == set)?;
    let target = set.targets.iter().find(|target| target.cdn == cdn)?;
    Some((set, target))
}

fn set_document(
    (set, cdn, planned): (&str, &str, u64),
    left: Option<(&SetPlan, &TargetPlan)>,
) -> SetDocument {
    let (plan, left) = left.unzip();
    SetDocument {
        name: set.to_owned(),
        cdn: cdn.to_owned(),
        plan: plan.map_or_else(String::new, |plan| plan.id.to_string()),
        planned,
        left: left.map_or(0, TargetPlan::items),
        waiting: left.map_or(0, |left| left.waiting.entries.len() as u64),
        refused: left.map_or(0, |left| left.refused),
        held_back: left.map_or(0, |left| left.held),
        blocked: left
            .and_then(|left| left.block)
            .map_or(0, |block| block.items),
    }
}

fn set_row(
    set: &SetDocument,
    place: Option<Place>,
    refusals: &[RefusalDocument],
    cure: &Cure,
) -> Row {
    let unsent = set.left + set.waiting + set.refused + set.held_back;
    let counts = [
        (set.left, "left"),
        (set.waiting, "waiting for new bytes at the origin"),
        (set.refused, "refused"),
        (set.held_back, "refused by an inner tier"),
    ];
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let mut how: Vec<String> = counts
        .map(|(count, what)| format!("{} {what}", grouped(*count)))
        .collect();
    if set.blocked > 0 {
        let command = cure.command(&set.plan[..12]);
        how.push(format!("{} BLOCKED, {command}", grouped(set.blocked)));
    }
    let here = |refused: &&RefusalDocument| refused.set == set.name && refused.cdn == set.cdn;
    let lines = refusals.iter().filter(here);
    let lines = lines.map(|refused| line(&refused.url, &refused.code, &refused.message));
    let lines = lines.collect();
    Row {
        place,
        sign: if unsent > 0 {
            Sign::Failed
        } else if set.blocked > 0 {
            Sign::Blocked
        } else {
            Sign::Changed
        },
        cells: vec![
            set.name.clone(),
            set.cdn.clone(),
            format!("{} sent", grouped(set.planned.saturating_sub(unsent))),
            how.join(", "),
        ],
        ..Row::default()
    }
    .refusing(lines)
}

fn cdn_row(cdn: &CdnDocument) -> Row {
    let trouble = cdn.halt.as_ref().or(cdn.fault.as_ref());
    let trouble = trouble.map(|trouble| format!("{FAILED}: {trouble}"));
    let waits = cdn.retry_at.as_ref().map(|at| format!("waits until {at}"));
    let last = cdn.last_call_at.as_ref();
    let last = last.map(|at| format!("last call at {at} at the declared rate"));
    let found = cdn.verification.as_ref();
    let is_stale = found.is_some_and(|found| found.stale > 0);
    let mut how: Vec<String> = trouble.into_iter().chain(waits).chain(last).collect();
    let is_failed = is_stale || !how.is_empty();
    how.extend(found.map(VerificationDocument::words));
    Row {
        sign: if is_failed { Sign::Failed } else { Sign::Same },
        cells: vec![
            cdn.name.clone(),
            format!(
                "{}, {}",
                counted(cdn.calls, "call"),
                counted(cdn.batches, "batch")
            ),
            format!(
                "{} accepted, {} refused",
                grouped(cdn.accepted),
                grouped(cdn.refused)
            ),
            how.join(", "),
        ],
        ..Row::default()
    }
}

/// Cdns are called side by side: the slowest sets the time.
fn seconds_left(prospects: &BTreeMap<String, Prospect>, now_ms: i64) -> u64 {
    let last = prospects.values().map(|prospect| prospect.last_ms);
    let rest_ms = last.max().map_or(0, |last_ms| last_ms - now_ms);
    u64::try_from(rest_ms).unwrap_or(0).div_ceil(1000)
}
