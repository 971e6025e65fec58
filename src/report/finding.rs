//! A problem on the wire.

use schemars::JsonSchema;
use serde::Serialize;

use crate::manifest::{Problem, Severity};

/// One finding.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// How much it matters.
    pub severity: Level,
    /// Stable, in kebab case.
    pub code: &'static str,
    /// The file, root first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Counted from 1; absent where the file as a whole is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Counted from 1, in characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The thing concerned cannot be used.
    Error,
    /// The thing concerned is used, perhaps not as meant.
    Warning,
}

impl Finding {
    /// All of `problems`, in their order.
    pub fn all(problems: &[Problem]) -> Vec<Self> {
        problems.iter().map(Self::of).collect()
    }

    fn of(problem: &Problem) -> Self {
        let place = problem.place.as_ref();
        let within = place.filter(|place| place.line > 0);
        Self {
            severity: match problem.severity {
                Severity::Error => Level::Error,
                Severity::Warning => Level::Warning,
            },
            code: problem.code,
            file: place.map(|place| place.file.to_string()),
            line: within.map(|place| place.line),
            column: within.map(|place| place.column),
            message: problem.message.clone(),
            hint: problem.hint.clone(),
        }
    }
}
