//! What the API answers besides the reports of commands.

use schemars::JsonSchema;
use serde::Serialize;

use super::answer::Progress;
use super::number::instant;
use crate::reconcile::asks::Ask;
use crate::state::{Advance, Request};

/// `freshen.error/v1`: why something was not done.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorDocument {
    /// `freshen.error/v1`.
    pub format: &'static str,
    /// What is wrong.
    pub error: String,
    /// What to do about it, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl ErrorDocument {
    /// Says what is wrong.
    pub fn new(error: String, hint: Option<String>) -> Self {
        Self {
            format: "freshen.error/v1",
            error,
            hint,
        }
    }
}

/// `freshen.health/v1`: what a probe is told when all is well.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HealthDocument {
    /// `freshen.health/v1`.
    pub format: &'static str,
    /// `healthy` or `ready`.
    pub status: &'static str,
}

impl HealthDocument {
    /// All is well.
    pub fn new(status: &'static str) -> Self {
        Self {
            format: "freshen.health/v1",
            status,
        }
    }
}

/// `freshen.asked/v1`: what was asked for is done in its own time.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    /// `freshen.asked/v1`.
    pub format: &'static str,
    /// The number under which what comes of it can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<i64>,
}

impl Asked {
    /// Asked under this number; without one there is nothing to follow.
    pub fn new(request: Option<i64>) -> Self {
        Self {
            format: "freshen.asked/v1",
            request,
        }
    }
}

/// `freshen.request/v1`: a request, and what came of it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestDocument {
    /// `freshen.request/v1`.
    pub format: &'static str,
    /// Its number.
    pub id: i64,
    /// Such as `approve` or `invalidate`.
    pub kind: String,
    /// Who asked.
    pub by: String,
    /// Why, where that was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When.
    pub at: String,
    /// When it was answered; absent while it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered: Option<String>,
    /// What came of it; absent while it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// How far the items are that it asks to have sent, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
}

impl RequestDocument {
    /// What is recorded of `request`.
    pub fn of(request: Request, advance: Advance) -> Self {
        let reason = match Ask::of(&request) {
            Ok(Ask::Invalidate(selection)) => selection.reason,
            _ => None,
        };
        Self {
            format: "freshen.request/v1",
            id: request.id,
            kind: request.asked.kind,
            by: request.asked.by,
            reason,
            at: instant(request.at_ms),
            answered: request.used_ms.map(instant),
            outcome: request.outcome,
            progress: (advance.items > 0).then(|| advance.into()),
        }
    }
}
