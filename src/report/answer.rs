//! What came of something that was asked for, or of a look at the state file.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Body, Report, Row, Sign};
use crate::state::Advance;

/// `freshen.answer/v1`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnswerDocument {
    /// `freshen.answer/v1`.
    pub format: &'static str,
    /// The number under which it was asked for, where others could act on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<i64>,
    /// Whether it has been done; if not, whoever holds the state still has to.
    pub is_done: bool,
    /// What came of it.
    pub answer: String,
    /// How far the items are that it asks to have sent, where that was waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// What else there is to know: what is still suspended, what is damaged.
    pub details: Vec<String>,
}

/// How far the items are that somebody asked to have sent.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// All that were asked for.
    pub items: u64,
    /// Accepted by their CDN.
    pub accepted: u64,
    /// Refused by it.
    pub refused: u64,
    /// Not wanted any more: their set was forgotten, adopted, or lost them.
    pub dropped: u64,
    /// Still to be sent, or on their way.
    pub left: u64,
}

impl From<Advance> for Progress {
    fn from(advance: Advance) -> Self {
        Self {
            items: advance.items,
            accepted: advance.accepted,
            refused: advance.refused,
            dropped: advance.dropped(),
            left: advance.left,
        }
    }
}

/// What came of it, for people.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The number under which it was asked for.
    pub request: Option<i64>,
    /// Whoever holds the state has not acted on it yet.
    pub is_left: bool,
    /// In a few words.
    pub text: String,
    /// How far its items are.
    pub progress: Option<Progress>,
    /// Whatever is wrong.
    pub damage: Vec<String>,
    /// Whatever still holds something back.
    pub remaining: Vec<String>,
}

/// The report on `answer`.
pub fn report(answer: Answer) -> Report<AnswerDocument> {
    let row = |sign: Sign| {
        move |cell: &String| Row {
            sign,
            cells: vec![cell.clone()],
            ..Row::default()
        }
    };
    let damage = answer.damage.iter().map(row(Sign::Failed));
    let remaining = answer.remaining.iter().map(row(Sign::Blocked));
    let body = Body {
        title: "Answer",
        columns: vec!["what"],
        rows: damage.chain(remaining).collect(),
        summary: format!("{}.", answer.text.trim_end_matches('.')),
        ..Body::default()
    };
    let wire = AnswerDocument {
        format: "freshen.answer/v1",
        request: answer.request,
        is_done: !answer.is_left,
        answer: answer.text,
        progress: answer.progress,
        details: [answer.damage, answer.remaining].concat(),
    };
    Report { body, wire }
}
