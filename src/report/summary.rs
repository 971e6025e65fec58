//! The one line that a plan or a run comes to.

use std::collections::BTreeMap;

use super::cost::Cost;
use super::number::{counted, duration, grouped, instant};
use super::plan::{Context, waiting};
use super::reconcile::Reconciled;
use crate::plan::Plan;
use crate::reconcile::estimate::Prospect;

/// What is sent, what waits, and what is not sent whatever is approved; then what is
/// under way without an answer so far, which is no part of the plan.
pub(super) fn of_plan(plan: &Plan, context: &Context) -> String {
    let mut text = of_items(plan, context);
    if context.under_way > 0 {
        let under_way = counted(context.under_way, "URL");
        text.extend([
            " Under way: ",
            &under_way,
            "; the next run looks after them if whoever sent them is gone.",
        ]);
    }
    text
}

fn of_items(plan: &Plan, context: &Context) -> String {
    let waiting = waiting(plan);
    let blocked = counted(waiting, "URL");
    let items = plan.items();
    let cost = &context.cost;
    let kept_back = kept_back(plan);
    if items + waiting == 0 {
        return if let Some(kept_back) = kept_back {
            format!("Plan: nothing to send now; {kept_back}.")
        } else if !context.problems.is_empty() {
            "Plan: nothing to send, as far as could be judged.".to_owned()
        } else if context.under_way > 0 {
            "Plan: nothing more to send.".to_owned()
        } else {
            "Plan: nothing to send; every CDN has been told.".to_owned()
        };
    }
    let mut text = match (items, waiting) {
        (0, _) => format!(
            "Plan: nothing to send without approval. {blocked} blocked: {}.",
            cost.approved()
        ),
        (_, 0) => format!("Plan: {} to send in {}.", counted(items, "URL"), cost.now()),
        _ => format!(
            "Plan: {} to send in {}. {blocked} blocked; with them: {}.",
            counted(items, "URL"),
            cost.now(),
            cost.approved(),
        ),
    };
    if let Some(kept_back) = kept_back {
        text.push_str(&[" Not sent: ", &kept_back, "."].concat());
    }
    text
}

/// What is not sent, whatever is approved.
fn kept_back(plan: &Plan) -> Option<String> {
    let counts = [
        (plan.held(), "held"),
        (plan.refused(), "refused earlier"),
        (plan.held_back(), "refused by an inner tier"),
    ];
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let words: Vec<String> = counts
        .map(|(count, what)| format!("{} {what}", counted(*count, "URL")))
        .collect();
    (!words.is_empty()).then(|| words.join(", "))
}

/// What was sent, what was not, and when the rest may go: `next_ms` is when the
/// first of it may, where that is not at once.
pub(super) fn of_run(wire: &Reconciled, cost: Cost, next_ms: Option<i64>) -> String {
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
        (wire.held_back, "held back"),
        (wire.left, "left"),
        (wire.blocked, "blocked"),
        (wire.held, "held"),
    ] {
        if count > 0 {
            text.push_str(&[", ", &grouped(count), " ", what].concat());
        }
    }
    let unsent = wire.refused + wire.held_back + wire.left + wire.blocked + wire.held;
    if wire.accepted + unsent == 0 && wire.problems.is_empty() {
        text.push_str("; every CDN has been told");
    }
    if wire.is_cut_short {
        text.push_str(&stopped_early(wire, next_ms));
    }
    text.push('.');
    if wire.blocked > 0 {
        text.push_str(&[" Once approved: ", &cost.approved(), "."].concat());
    }
    text
}

fn stopped_early(wire: &Reconciled, next_ms: Option<i64>) -> String {
    let when = next_ms.map_or_else(String::new, |at_ms| format!(", from {} on", instant(at_ms)));
    let rest = match wire.left_seconds {
        0 => String::new(),
        seconds => format!(
            "; the rest takes about {} at the declared rate",
            duration(seconds)
        ),
    };
    format!(" (stopped early; run again to go on{when}{rest})")
}

/// When the first of the Cdns with something left may be called, where none
/// may be at once.
pub(super) fn next_ms(prospects: &BTreeMap<String, Prospect>) -> Option<i64> {
    let next = prospects.values().map(|prospect| prospect.next_ms);
    next.min().flatten()
}
