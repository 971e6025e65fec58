//! What a plan would send, and why.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::cost::{CdnCost, Cost};
use super::cure::Cure;
use super::finding::Finding;
use super::held::{hold, waits};
use super::number::{counted, grouped, instant};
use super::{Body, Report, Row, Sign, summary};
use crate::manifest::{Problem, distinct};
use crate::plan::diff::Reasons;
use crate::plan::policy::{Block, Limit};
use crate::plan::{First, Plan, SetPlan, TargetPlan};

/// `freshen.plan/v1`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanDocument {
    /// `freshen.plan/v1`.
    pub format: &'static str,
    /// Items that would be sent now.
    pub items: u64,
    /// Calls they take at the declared batch sizes.
    pub calls: u64,
    /// Seconds they take at the declared rates.
    pub seconds: u64,
    /// Calls they take once everything is approved.
    pub approved_calls: u64,
    /// Seconds they take once everything is approved.
    pub approved_seconds: u64,
    /// Items that are suspended, before their time, or wait for their origin.
    pub held: u64,
    /// Items that are not sent because a CDN refused them.
    pub refused: u64,
    /// Items that are not sent because an inner tier refused them.
    pub held_back: u64,
    /// Items of batches whose outcome is not recorded: another process has them under
    /// way, or was cut off with them, and the next run looks after them.
    pub under_way: u64,
    /// Whether anything waits for an approval.
    pub is_blocked: bool,
    /// Items of a first run that are more than goes without a word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bootstrap: Option<u64>,
    /// By name.
    pub sets: Vec<SetDocument>,
    /// What it costs, Cdn by Cdn, where there is anything to send.
    pub cdns: Vec<CdnCost>,
    /// In the order of files and lines.
    pub problems: Vec<Finding>,
}

/// One set of a plan.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SetDocument {
    /// `metadata.name`.
    pub name: String,
    /// What an approval names.
    pub plan: String,
    /// Where it is declared, as `file:line`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Tier by tier, inner first.
    pub targets: Vec<TargetDocument>,
}

/// One target of a set.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetDocument {
    /// Name of the Cdn.
    pub cdn: String,
    /// Counted from 0, inner first.
    pub tier: u64,
    /// Why nothing is sent for now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<String>,
    /// Desired items, after folding.
    pub total: u64,
    /// Items that would be sent now.
    pub items: u64,
    /// Of them: not in the ledger.
    pub new: u64,
    /// Of them: recorded at another revision.
    pub revised: u64,
    /// Of them: owed since an earlier plan.
    pub owed: u64,
    /// Of them: asked for with `invalidate`.
    pub forced: u64,
    /// Of them: no longer declared.
    pub removed: u64,
    /// Items that are no longer declared, sent or not.
    pub departed: u64,
    /// Items no longer declared that the set has ignored by now.
    pub dropped: u64,
    /// Recorded as fresh without being sent.
    pub recorded: u64,
    /// Not sent: the CDN refused them at this revision.
    pub refused: u64,
    /// Not sent: an inner tier refused them.
    pub held: u64,
    /// Items that wait until their origin shows new bytes.
    pub waiting: u64,
    /// Until when, at the latest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_until: Option<String>,
    /// Items that wait for an approval.
    pub blocked: u64,
    /// The limit they are over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
    /// Some of the items, where asked for.
    pub urls: Vec<String>,
}

/// What a plan does not know about itself.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// Calls and time at the declared batch sizes and rates.
    pub cost: Cost,
    /// The same, Cdn by Cdn.
    pub cdns: Vec<CdnCost>,
    /// Items of batches whose outcome is not recorded.
    pub under_way: u64,
    /// Some URLs of (set, Cdn), where asked for.
    pub urls: BTreeMap<(String, String), Vec<String>>,
    /// Found while declaring and expanding.
    pub problems: Vec<Problem>,
    /// How what is blocked is let through.
    pub cure: Cure,
}

/// The report on `plan`.
pub fn report(plan: &Plan, mut context: Context) -> Report<PlanDocument> {
    context.problems = distinct(context.problems);
    let wire = document(plan, &context);
    let body = body(plan, context);
    Report { body, wire }
}

/// What people read of a plan in which all of `sets` are unchanged.
pub fn unchanged(sets: u64) -> Body {
    Body {
        notes: notes(&Plan::default(), sets, &Context::default()),
        ..body(&Plan::default(), Context::default())
    }
}

fn body(plan: &Plan, context: Context) -> Body {
    let (changed, same): (Vec<_>, Vec<_>) = plan
        .sets
        .iter()
        .partition(|set| set.targets.iter().any(|target| !target.is_silent()));
    Body {
        title: "Plan",
        columns: vec!["set", "cdn", "items", "why", "where"],
        rows: changed.iter().flat_map(|set| rows(set, &context)).collect(),
        notes: notes(plan, same.len() as u64, &context),
        summary: summary::of_plan(plan, &context),
        problems: context.problems,
    }
}

fn rows(set: &SetPlan, context: &Context) -> Vec<Row> {
    let shown = set.targets.iter().filter(|target| !target.is_silent());
    shown
        .map(|target| {
            let key = (set.set.clone(), target.cdn.clone());
            let details = context.urls.get(&key).cloned().unwrap_or_default();
            let waiting = target.block.map_or(0, |block| block.items);
            let more = (target.items() + waiting).saturating_sub(details.len() as u64);
            Row {
                sign: sign(target),
                cells: vec![
                    set.set.clone(),
                    target.cdn.clone(),
                    amount(target),
                    why(set, target, &context.cure),
                    place(set).unwrap_or_default(),
                ],
                place: set.place.clone(),
                more: if details.is_empty() { 0 } else { more },
                details,
            }
        })
        .collect()
}

fn sign(target: &TargetPlan) -> Sign {
    let is_waiting = target.items() == 0 && !target.waiting.entries.is_empty();
    if target.block.is_some() || target.hold.is_some() || is_waiting {
        Sign::Blocked
    } else if target.items() == 0 {
        Sign::Same
    } else if target.first.is_some() {
        Sign::New
    } else {
        Sign::Changed
    }
}

fn amount(target: &TargetPlan) -> String {
    let waiting = target.waiting.entries.len() as u64;
    let sent = target.items() + waiting + target.block.map_or(0, |block| block.items);
    if target.total == 0 {
        return format!("+{}", counted(sent, "URL"));
    }
    format!("+{} of {}", grouped(sent), counted(target.total, "URL"))
}

fn why(set: &SetPlan, target: &TargetPlan, cure: &Cure) -> String {
    let mut parts = Vec::new();
    match target.first {
        Some(First::NewSet) => parts.push("new set".to_owned()),
        Some(First::WireChanged) => {
            parts.push("wire form changed".to_owned());
            let Reasons { removed, .. } = target.reasons;
            parts.extend(reasons(Reasons {
                removed,
                ..Reasons::default()
            }));
        }
        None => parts.extend(reasons(target.reasons)),
    }
    let silent = [
        (target.record.len() as u64, "recorded as fresh"),
        (target.dropped, "removed, not sent any more"),
        (unsent(target), "no longer declared"),
        (target.refused, "refused earlier"),
        (target.held, "refused by an inner tier"),
    ];
    parts.extend(
        silent
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{} {what}", grouped(*count))),
    );
    if let Some(block) = target.block {
        parts.push(format!("BLOCKED: {}", blocked(block)));
        // A first run that is to fail can be approved by none but itself.
        if block.limit != Limit::FirstRun(0) {
            parts.push(cure.command(&set.id.short()));
        }
    }
    parts.extend(waits(target));
    parts.extend(target.hold.as_ref().map(hold));
    parts.join(", ")
}

/// Items that are no longer declared, and of which nothing else is said.
fn unsent(target: &TargetPlan) -> u64 {
    let departed = target.departed.len() as u64;
    departed.saturating_sub(target.reasons.removed + target.dropped)
}

fn reasons(reasons: Reasons) -> Vec<String> {
    [
        (reasons.new, "new URL"),
        (reasons.revised, "new revision"),
        (reasons.owed, "owed"),
        (reasons.forced, "forced"),
        (reasons.removed, "removed"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, noun)| match noun {
        "owed" | "forced" | "removed" => format!("{} {noun}", grouped(count)),
        _ => counted(count, noun),
    })
    .collect()
}

/// The limit that something is over.
pub fn blocked(block: Block) -> String {
    match block.limit {
        Limit::MaxUrls(limit) => format!("more than maxUrls {}", grouped(limit)),
        Limit::FirstRun(_) => "no earlier state".to_owned(),
        Limit::MaxShare { percent, of } => {
            format!("more than maxShare {percent} % of {}", grouped(of))
        }
    }
}

fn place(set: &SetPlan) -> Option<String> {
    set.place.as_ref().map(super::place)
}

fn notes(plan: &Plan, unchanged: u64, context: &Context) -> Vec<String> {
    let mut notes = Vec::new();
    if unchanged > 0 {
        notes.push(format!("= {} unchanged", counted(unchanged, "set")));
    }
    notes.extend(context.cdns.iter().flat_map(CdnCost::notes));
    notes.extend(context.cure.choices(plan));
    notes
}

/// Items that wait for an approval.
pub fn waiting(plan: &Plan) -> u64 {
    let blocks = plan.targets().filter_map(|target| target.block);
    blocks.map(|block| block.items).sum()
}

fn document(plan: &Plan, context: &Context) -> PlanDocument {
    PlanDocument {
        format: "freshen.plan/v1",
        items: plan.items(),
        calls: context.cost.calls,
        seconds: context.cost.seconds,
        approved_calls: context.cost.approved_calls,
        approved_seconds: context.cost.approved_seconds,
        held: plan.held(),
        refused: plan.refused(),
        held_back: plan.held_back(),
        under_way: context.under_way,
        is_blocked: plan.is_blocked(),
        bootstrap: plan.bootstrap.map(|bootstrap| bootstrap.items),
        sets: plan
            .sets
            .iter()
            .map(|set| set_document(set, context))
            .collect(),
        cdns: context.cdns.clone(),
        problems: Finding::all(&context.problems),
    }
}

fn set_document(set: &SetPlan, context: &Context) -> SetDocument {
    SetDocument {
        name: set.set.clone(),
        plan: set.id.to_string(),
        place: place(set),
        targets: set
            .targets
            .iter()
            .map(|target| target_document(set, target, context))
            .collect(),
    }
}

fn target_document(set: &SetPlan, target: &TargetPlan, context: &Context) -> TargetDocument {
    let key = (set.set.clone(), target.cdn.clone());
    TargetDocument {
        cdn: target.cdn.clone(),
        tier: target.tier as u64,
        hold: target.hold.as_ref().map(hold),
        total: target.total,
        items: target.items(),
        new: target.reasons.new,
        revised: target.reasons.revised,
        owed: target.reasons.owed,
        forced: target.reasons.forced,
        removed: target.reasons.removed,
        departed: target.departed.len() as u64,
        dropped: target.dropped,
        recorded: target.record.len() as u64,
        refused: target.refused,
        held: target.held,
        waiting: target.waiting.entries.len() as u64,
        waits_until: target.waiting.until_ms.map(instant),
        blocked: target.block.map_or(0, |block| block.items),
        limit: target.block.map(blocked),
        urls: context.urls.get(&key).cloned().unwrap_or_default(),
    }
}
