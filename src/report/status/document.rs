//! `status` as JSON.

use schemars::JsonSchema;
use serde::Serialize;

use crate::report::condition::Condition;
use crate::report::finding::Finding;
use crate::report::lapse::LapseDocument;
use crate::report::target::TargetDocument;
use crate::report::verification::RepeatsDocument;

/// `freshen.status/v1`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatusDocument {
    /// `freshen.status/v1`.
    pub format: &'static str,
    /// Grows with every change of the state.
    pub serial: u64,
    /// Who reconciles with the state now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
    /// By name, a line for each target.
    pub sets: Vec<SetDocument>,
    /// Targets that cannot be called now, refused URLs, or are looked at.
    pub targets: Vec<TargetDocument>,
    /// What is to be sent again later.
    pub repeats: Vec<RepeatsDocument>,
    /// What was sent in the last day although it was waited for something that was
    /// not seen.
    pub lapses: Vec<LapseDocument>,
    /// What is held back until it is resumed.
    pub suspensions: Vec<String>,
    /// Requests that nobody has answered yet.
    pub requests: Vec<String>,
    /// Errors and warnings of the manifests.
    pub problems: Vec<Finding>,
}

/// A set at a target.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SetDocument {
    /// `metadata.name`.
    pub name: String,
    /// Provider kind, endpoint and account.
    pub target: String,
    /// Name of the Cdn that points there now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cdn: Option<String>,
    /// Entries recorded.
    pub entries: u64,
    /// How it stands.
    pub condition: Condition,
    /// Items to be sent, or under way.
    pub pending: u64,
    /// Items that wait until their origin shows new bytes.
    pub waiting: u64,
    /// Items that wait for an approval.
    pub blocked: u64,
    /// Items that this CDN refused, or one of an inner tier.
    pub refused: u64,
    /// What an approval names, where one is needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// Until when `notBefore` holds it, or `waitForOrigin` at the latest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_until: Option<String>,
    /// What was in the way when the origin was last looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub obstacle: Option<String>,
    /// What came of its last batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_result: Option<String>,
    /// When that was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_at: Option<String>,
    /// Seconds that it has not been declared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_seconds: Option<u64>,
}
