//! What a reconcile did, and what is left.

use schemars::JsonSchema;
use serde::Serialize;

use super::cost::Cost;
use super::cure::Cure;
use super::finding::Finding;
use super::number::{counted, grouped, instant};
use super::{Body, Report, Row, Sign};
use crate::manifest::{Place, Problem, distinct};
use crate::plan::{Plan, SetPlan, TargetPlan};
use crate::reconcile::{Outcome, PlannedTarget, TargetOutcome};

/// `freshen.reconcile/v1`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reconciled {
    /// `freshen.reconcile/v1`.
    pub format: &'static str,
    /// Items that a CDN accepted.
    pub accepted: u64,
    /// Items that a CDN refused.
    pub refused: u64,
    /// Items that are still to be sent.
    pub left: u64,
    /// Items that wait for an approval.
    pub blocked: u64,
    /// Items that are suspended, or before their time.
    pub held: u64,
    /// Calls for what is left and blocked, once it is approved.
    pub approved_calls: u64,
    /// Seconds for it at the declared rates.
    pub approved_seconds: u64,
    /// Whether the time allowed ran out, or somebody asked to stop.
    pub is_cut_short: bool,
    /// What was done at each Cdn, by name.
    pub cdns: Vec<CdnDocument>,
    /// Sets with anything to send, by name.
    pub sets: Vec<SetDocument>,
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
    /// Items refused.
    pub refused: u64,
    /// Why it was not called any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub halt: Option<String>,
    /// When it may be called again, where it has to wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<String>,
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
    /// Items refused, by this Cdn or by an inner one.
    pub refused: u64,
    /// Items that wait for an approval.
    pub blocked: u64,
}

/// The report on `outcome`; `cost` is that of what is left, and `cure` lets
/// through what is blocked.
pub fn report(
    outcome: &Outcome,
    (cost, cure): (Cost, &Cure),
    problems: Vec<Problem>,
) -> Report<Reconciled> {
    let problems = distinct(problems);
    let cdns: Vec<CdnDocument> = outcome.targets.iter().map(cdn).collect();
    let sets = sets(outcome);
    let places = outcome.planned.iter().map(|planned| {
        left_of(&outcome.left, &planned.set, &planned.cdn).and_then(|(set, _)| set.place.clone())
    });
    let rows = sets.iter().zip(places);
    let mut rows: Vec<Row> = rows.map(|(set, place)| set_row(set, place, cure)).collect();
    rows.extend(cdns.iter().map(cdn_row));
    let left = outcome
        .left
        .targets()
        .filter(|target| target.hold.is_none());
    let wire = Reconciled {
        format: "freshen.reconcile/v1",
        accepted: cdns.iter().map(|cdn| cdn.accepted).sum(),
        refused: cdns.iter().map(|cdn| cdn.refused).sum(),
        left: left.map(|target| target.items() + target.open).sum(),
        blocked: super::plan::waiting(&outcome.left),
        held: outcome.left.held(),
        approved_calls: cost.approved_calls,
        approved_seconds: cost.approved_seconds,
        is_cut_short: outcome.is_cut_short,
        cdns,
        sets,
        problems: Finding::all(&problems),
    };
    let body = Body {
        title: "Reconcile",
        columns: vec!["what", "where", "items", "how"],
        rows,
        notes: held(&outcome.left)
            .chain(super::plan::choices(&outcome.left, cure))
            .collect(),
        summary: summary(&wire, cost),
        problems,
    };
    Report { body, wire }
}

/// What is to be sent and has to wait.
fn held(plan: &Plan) -> impl Iterator<Item = String> {
    let targets = plan
        .sets
        .iter()
        .flat_map(|set| set.targets.iter().map(move |target| (set, target)));
    targets.filter_map(|(set, target)| {
        let hold = target.hold.as_ref().filter(|_| target.items() > 0)?;
        Some(format!(
            "! HELD: {} of {} at {}, {}.",
            counted(target.items(), "URL"),
            set.set,
            target.cdn,
            super::plan::hold(hold)
        ))
    })
}

fn cdn((name, outcome): (&String, &TargetOutcome)) -> CdnDocument {
    CdnDocument {
        name: name.clone(),
        calls: outcome.tally.calls,
        batches: outcome.tally.batches,
        accepted: outcome.tally.accepted,
        refused: outcome.tally.refused,
        halt: outcome.halt.as_ref().map(|halt| {
            format!(
                "{}: {}: {}",
                halt.kind.as_str(),
                halt.reason.code,
                halt.reason.message
            )
        }),
        retry_at: outcome.retry_at_ms.map(instant),
    }
}

fn sets(outcome: &Outcome) -> Vec<SetDocument> {
    let planned = outcome.planned.iter();
    planned
        .map(|planned| set_document(planned, left_of(&outcome.left, &planned.set, &planned.cdn)))
        .collect()
}

fn left_of<'p>(left: &'p Plan, set: &str, cdn: &str) -> Option<(&'p SetPlan, &'p TargetPlan)> {
    let set = left.sets.iter().find(|other| other.set == set)?;
    let target = set.targets.iter().find(|target| target.cdn == cdn)?;
    Some((set, target))
}

fn set_document(planned: &PlannedTarget, left: Option<(&SetPlan, &TargetPlan)>) -> SetDocument {
    let (plan, left) = left.unzip();
    SetDocument {
        name: planned.set.clone(),
        cdn: planned.cdn.clone(),
        plan: plan.map_or_else(String::new, |plan| plan.id.to_string()),
        planned: planned.items,
        left: left.map_or(0, TargetPlan::items),
        refused: left.map_or(0, |left| left.refused + left.held),
        blocked: left
            .and_then(|left| left.block)
            .map_or(0, |block| block.items),
    }
}

fn set_row(set: &SetDocument, place: Option<Place>, cure: &Cure) -> Row {
    let accepted = set.planned.saturating_sub(set.left + set.refused);
    let mut how = Vec::new();
    if set.left > 0 {
        how.push(format!("{} left", grouped(set.left)));
    }
    if set.refused > 0 {
        how.push(format!("{} refused", grouped(set.refused)));
    }
    if set.blocked > 0 {
        let command = cure.command(&set.plan[..12]);
        how.push(format!("{} BLOCKED, {command}", grouped(set.blocked)));
    }
    let sign = if set.refused > 0 || set.left > 0 {
        Sign::Failed
    } else if set.blocked > 0 {
        Sign::Blocked
    } else {
        Sign::Changed
    };
    Row {
        place,
        sign,
        cells: vec![
            set.name.clone(),
            set.cdn.clone(),
            format!("{} sent", grouped(accepted)),
            how.join(", "),
        ],
        ..Row::default()
    }
}

fn cdn_row(cdn: &CdnDocument) -> Row {
    let halt = cdn
        .halt
        .as_ref()
        .map(|halt| format!("Failed to invalidate CDN cache: {halt}"));
    let waits = cdn.retry_at.as_ref().map(|at| format!("waits until {at}"));
    let how: Vec<String> = halt.into_iter().chain(waits).collect();
    Row {
        sign: if how.is_empty() {
            Sign::Same
        } else {
            Sign::Failed
        },
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

fn summary(wire: &Reconciled, cost: Cost) -> String {
    let mut text = match wire.accepted {
        0 => "Reconciled: nothing sent".to_owned(),
        accepted => {
            let batches = wire.cdns.iter().map(|cdn| cdn.batches).sum();
            let batches = counted(batches, "batch");
            format!(
                "Reconciled: {} accepted in {batches}",
                counted(accepted, "URL")
            )
        }
    };
    for (count, what) in [
        (wire.refused, "refused"),
        (wire.left, "left"),
        (wire.blocked, "blocked"),
        (wire.held, "held"),
    ] {
        if count > 0 {
            text.push_str(&[", ", &grouped(count), " ", what].concat());
        }
    }
    let is_quiet = wire.accepted + wire.refused + wire.left + wire.blocked + wire.held == 0;
    if is_quiet && wire.problems.is_empty() {
        text.push_str("; every CDN has been told");
    }
    if wire.is_cut_short {
        text.push_str(" (stopped early; run again to go on)");
    }
    text.push('.');
    if wire.blocked > 0 {
        text.push_str(&[" Once approved: ", &cost.approved(), "."].concat());
    }
    text
}
