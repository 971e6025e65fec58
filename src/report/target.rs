//! A target with trouble, or one that is looked at, as `status` tells it.

use schemars::JsonSchema;
use serde::Serialize;

use super::history::in_short;
use super::number::{grouped, instant};
use super::refused::line;
use super::status::Recorded;
use super::verification::VerificationDocument;
use super::{FAILED, Row, Sign};
use crate::plan::recorded::Refusal;
use crate::reconcile::bearing::Bearing;

/// A target with trouble, or one that is looked at.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetDocument {
    /// Provider kind, endpoint and account.
    pub target: String,
    /// Name of the Cdn that points there now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cdn: Option<String>,
    /// Why nothing is sent until something changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub halted: Option<String>,
    /// When it may be called again, after a failure or at the declared rate,
    /// where something waits for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<String>,
    /// When the last call for what is to be sent may go at the declared rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_call_at: Option<String>,
    /// What looking at some of its URLs has shown, where that is declared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verification: Option<VerificationDocument>,
    /// URLs that it refused, as far as they are declared.
    pub refusals: Vec<RefusalDocument>,
}

/// A refused URL.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RefusalDocument {
    /// As it was sent.
    pub url: String,
    /// The CDN's code.
    pub code: String,
    /// The CDN's words.
    pub message: String,
    /// When.
    pub at: String,
}

pub(super) fn target(recorded: &Recorded, bearing: &Bearing) -> TargetDocument {
    let Bearing {
        target,
        refusals,
        prospect,
    } = bearing;
    let waits = prospect.filter(|prospect| prospect.next_ms.is_some());
    let probes = recorded.probes.get(&target.identity);
    let next_ms = waits.and_then(|prospect| prospect.next_ms);
    TargetDocument {
        target: target.identity.clone(),
        cdn: recorded.names.get(&target.identity).cloned(),
        halted: target
            .halted
            .as_ref()
            .map(|halt| format!("{}: {}", halt.kind, halt.message)),
        retry_at: target.retry_at_ms.max(next_ms).map(instant),
        last_call_at: waits.map(|prospect| instant(prospect.last_ms)),
        verification: probes.and_then(|probes| VerificationDocument::of_probes(probes)),
        refusals: refusals.iter().map(refusal).collect(),
    }
}

impl TargetDocument {
    pub(super) fn is_worth_telling(&self) -> bool {
        self.halted.is_some()
            || self.retry_at.is_some()
            || self.verification.is_some()
            || !self.refusals.is_empty()
    }
}

fn refusal(refusal: &Refusal) -> RefusalDocument {
    RefusalDocument {
        url: refusal.item.clone(),
        code: refusal.code.clone(),
        message: refusal.message.clone(),
        at: instant(refusal.at_ms),
    }
}

pub(super) fn target_row(target: &TargetDocument) -> Row {
    let halted = target.halted.as_ref();
    let halted = halted.map(|halt| format!("{FAILED}: {}", in_short(halt)));
    let waits = target.retry_at.as_ref();
    let waits = waits.map(|at| format!("waits until {at}"));
    let last = target.last_call_at.as_ref();
    let last = last.map(|at| format!("last call at {at} at the declared rate"));
    let found = target.verification.as_ref();
    let is_stale = found.is_some_and(|found| found.stale > 0);
    let is_failed = is_stale || halted.is_some() || !target.refusals.is_empty();
    let is_waiting = waits.is_some() || last.is_some();
    let found = found.map(VerificationDocument::words);
    let state: Vec<String> = [halted, waits, last, found].into_iter().flatten().collect();
    let refused = target.refusals.len() as u64;
    let lines = target.refusals.iter();
    let lines = lines.map(|refused| line(&refused.url, &refused.code, &refused.message));
    let lines = lines.collect();
    Row {
        sign: match (is_failed, is_waiting) {
            (true, _) => Sign::Failed,
            (_, true) => Sign::Changed,
            _ => Sign::Same,
        },
        cells: vec![
            String::new(),
            target.cdn.as_ref().unwrap_or(&target.target).clone(),
            if refused > 0 {
                format!("{} refused", grouped(refused))
            } else {
                String::new()
            },
            state.join(", "),
        ],
        ..Row::default()
    }
    .refusing(lines)
}
