//! Alerts, as they are sent to whoever wants to be told.

use schemars::JsonSchema;
use serde::Serialize;

/// `freshen.alert/v1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertDocument {
    /// `freshen.alert/v1`.
    pub format: &'static str,
    /// What changed.
    pub kind: AlertKind,
    /// For `recovered`: what it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub was: Option<AlertKind>,
    /// The Cdn concerned; absent where it is the manifests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cdn: Option<String>,
    /// Why, in words that stay the same while the trouble is the same.
    pub reason: String,
    /// The sets concerned, by name, at most 100.
    pub sets: Vec<AlertedSet>,
    /// How many more sets there are.
    pub more_sets: u64,
    /// When it began.
    pub since: String,
    /// When this was noticed.
    pub at: String,
    /// For people.
    pub message: String,
}

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum AlertKind {
    /// A Cdn cannot be told anything, or manifests have errors.
    Failed,
    /// Sets wait for an approval.
    Blocked,
    /// A Cdn refused items.
    Refused,
    /// Something of the above is over.
    Recovered,
}

/// A set, and how much of it is concerned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertedSet {
    /// `metadata.name`.
    pub name: String,
    /// Items that wait or were refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<u64>,
    /// What `freshen approve` takes, where an approval is waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
}
