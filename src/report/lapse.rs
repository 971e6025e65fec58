//! Waits that were over before what they waited for was seen.

use schemars::JsonSchema;
use serde::Serialize;

use super::number::instant;
use crate::state::Lapse;

/// Something that was sent although what it waited for was not seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LapseDocument {
    /// When.
    pub at: String,
    /// The set's name.
    pub set: String,
    /// What was sent, and what was not seen.
    pub detail: String,
}

impl LapseDocument {
    pub(super) fn of(lapse: &Lapse) -> Self {
        Self {
            at: instant(lapse.at_ms),
            set: lapse.set.clone(),
            detail: lapse.detail.clone(),
        }
    }

    pub(super) fn note(&self) -> String {
        format!("! NOT SEEN: {} at {}: {}.", self.set, self.at, self.detail)
    }
}
