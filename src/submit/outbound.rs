//! A target, its codec and its lane, as the submitter drives them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::batch::lane::{Halt, Lane, Tally};
use crate::batch::origin::AtOrigin;
use crate::batch::verdict::{Facts, Reason};
use crate::batch::verify::Finding;
use crate::manifest::Verify;
use crate::plan::recorded::TargetId;
use crate::provider::Provider;
use crate::state::{self, TargetRecord};

/// One target and its lane.
#[derive(Debug)]
pub struct Outbound {
    /// Its row.
    pub target: TargetId,
    /// The Cdn's name, for people.
    pub cdn: String,
    /// Its codec.
    pub provider: Arc<dyn Provider>,
    /// What it has taught us.
    pub facts: Facts,
    /// What is to be sent.
    pub lane: Lane,
    /// Whether what it serves is looked at.
    pub verify: Option<Verify>,
    /// Where new bytes are looked for, if anything waits for them.
    pub origin: Option<AtOrigin>,
    /// Milliseconds from an acceptance to sending again, each.
    pub repeat_ms: Vec<u64>,
}

impl Outbound {
    /// What is stored of it: budgets, waits, and why it stopped.
    pub(super) fn record(&self, now_ms: i64) -> TargetRecord {
        let (retry_at_ms, attempts) = self.lane.retry();
        TargetRecord {
            id: self.target,
            identity: self.provider.target().to_owned(),
            tats: self.lane.budget().arrivals(),
            retry_at_ms,
            attempts,
            facts: self.facts.clone(),
            halted: self.lane.halt().map(|halt| state::Halt {
                kind: halt.kind.as_str().to_owned(),
                message: halt.reason.to_string(),
                fingerprint: self.lane.cdn(),
                at_ms: now_ms,
            }),
        }
    }

    /// What it has done since it was last asked; `fault` is its last one,
    /// `findings` what looking has shown.
    pub(super) fn report(
        &mut self,
        fault: Option<&Reason>,
        findings: BTreeMap<String, Finding>,
    ) -> LaneReport {
        LaneReport {
            cdn: self.cdn.clone(),
            tally: self.lane.take_tally(),
            halt: self.lane.halt().cloned(),
            fault: fault.cloned(),
            retry_at_ms: self.lane.retry().0,
            findings,
        }
    }
}

/// What a lane has done.
#[derive(Clone, Debug)]
pub struct LaneReport {
    /// The Cdn's name.
    pub cdn: String,
    /// Calls, batches and items since the last report.
    pub tally: Tally,
    /// Why it stopped, if it did.
    pub halt: Option<Halt>,
    /// What went wrong with its last call, where something did.
    pub fault: Option<Reason>,
    /// When it may go on, where it has to wait.
    pub retry_at_ms: Option<i64>,
    /// By item: what looking at it has shown since the last report.
    pub findings: BTreeMap<String, Finding>,
}
