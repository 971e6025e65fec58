//! One set, from every side.

use schemars::JsonSchema;
use serde::Serialize;

use super::finding::Finding;
use super::history::{BatchDocument, HistoryDocument};
use super::plan::{PlanDocument, SetDocument};
use super::status::{self, StatusDocument};
use super::target::TargetDocument;

/// `freshen.set/v1`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OneSet {
    /// `freshen.set/v1`.
    pub format: &'static str,
    /// `metadata.name`.
    pub name: String,
    /// Whether it has errors, and keeps its last good state.
    pub is_broken: bool,
    /// How it stands, a line for each target.
    pub status: Vec<status::SetDocument>,
    /// Those of its targets that cannot be called now, or that refused URLs.
    pub targets: Vec<TargetDocument>,
    /// What would be sent; absent where it is not declared or has errors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<SetDocument>,
    /// Batches that it had a share in, latest first.
    pub batches: Vec<BatchDocument>,
    /// In the order of files and lines; of all that is declared, since a
    /// broken file does not say whose it is.
    pub problems: Vec<Finding>,
}

/// The set called `name`, from what is said about it.
pub fn document(
    name: &str,
    is_broken: bool,
    (status, mut plan, history): (StatusDocument, PlanDocument, HistoryDocument),
) -> OneSet {
    let StatusDocument { sets, targets, .. } = status;
    let is_its = |target: &TargetDocument| sets.iter().any(|set| set.target == target.target);
    OneSet {
        format: "freshen.set/v1",
        name: name.to_owned(),
        is_broken,
        targets: targets.into_iter().filter(is_its).collect(),
        status: sets,
        plan: plan.sets.pop(),
        batches: history.batches,
        problems: plan.problems,
    }
}
