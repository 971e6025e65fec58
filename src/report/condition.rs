//! How a set stands at a target, in a few words.

use schemars::JsonSchema;
use serde::Serialize;

use super::Sign;
use super::number::{grouped, instant};
use crate::plan::{Hold, SetPlan, TargetPlan};

/// How a set stands at a target; the first that holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Condition {
    /// It has errors, and keeps its last good state.
    Broken,
    /// No manifest declares it.
    Undeclared,
    /// By manifest or by command.
    Suspended,
    /// Until `notBefore`.
    NotBefore,
    /// It waits for an approval.
    Blocked,
    /// Something is to be sent, or under way.
    Pending,
    /// Until its origin shows new bytes, or `waitForOrigin` is over.
    WaitsForOrigin,
    /// The CDN refused some of it, and the rest is fresh.
    Refused,
    /// The CDN has been told all of it.
    #[default]
    Fresh,
}

/// A condition, and what counts towards it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The first that holds.
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
    pub plan: Option<String>,
    /// Until when it is held.
    pub held_until: Option<String>,
    /// What is in the way, where it waits for its origin.
    pub obstacle: Option<String>,
}

impl Standing {
    /// How `target` of `set` stands, with so many items under way.
    pub fn of(set: &SetPlan, target: &TargetPlan, under_way: u64) -> Self {
        let blocked = target.block.map_or(0, |block| block.items);
        let pending = target.items() + under_way;
        let waiting = target.waiting.entries.len() as u64;
        let refused = target.refused + target.held;
        let condition = match target.hold {
            Some(Hold::Suspended) => Condition::Suspended,
            Some(Hold::NotBefore(_)) => Condition::NotBefore,
            None if blocked > 0 => Condition::Blocked,
            None if pending > 0 => Condition::Pending,
            None if waiting > 0 => Condition::WaitsForOrigin,
            None if refused > 0 => Condition::Refused,
            None => Condition::Fresh,
        };
        Self {
            condition,
            pending,
            waiting,
            blocked,
            refused,
            plan: (blocked > 0).then(|| set.id.to_string()),
            held_until: match target.hold {
                Some(Hold::NotBefore(ms)) => Some(instant(ms)),
                _ => target.waiting.until_ms.map(instant),
            },
            obstacle: target.waiting.told.clone(),
        }
    }

    pub(super) fn words(&self) -> String {
        let first = match self.condition {
            Condition::Broken => Some("has errors, keeps its last good state".to_owned()),
            Condition::Undeclared => Some("not declared".to_owned()),
            Condition::Suspended => Some("suspended".to_owned()),
            Condition::NotBefore => Some(match &self.held_until {
                Some(at) => format!("not before {at}"),
                None => "not yet".to_owned(),
            }),
            Condition::Fresh => Some("fresh".to_owned()),
            Condition::Blocked
            | Condition::Pending
            | Condition::WaitsForOrigin
            | Condition::Refused => None,
        };
        let counts = [
            ("blocked", self.blocked),
            ("pending", self.pending),
            ("refused", self.refused),
        ];
        let counts = counts.into_iter().filter(|(_, count)| *count > 0);
        let counts = counts.map(|(what, count)| format!("{what} {}", grouped(count)));
        let approve = self.plan.as_ref();
        let approve = approve.map(|plan| format!("freshen approve {}", &plan[..12]));
        let waits = self.waits();
        let words = first.into_iter().chain(counts).chain(waits).chain(approve);
        words.collect::<Vec<String>>().join(", ")
    }

    /// How much waits for its origin, until when at the latest, and why.
    fn waits(&self) -> Option<String> {
        let until = self.held_until.as_ref().filter(|_| self.waiting > 0)?;
        Some(waits_for_origin(
            self.waiting,
            until,
            self.obstacle.as_deref(),
        ))
    }

    pub(super) fn sign(&self) -> Sign {
        match self.condition {
            Condition::Fresh => Sign::Same,
            Condition::Pending => Sign::Changed,
            Condition::Refused | Condition::Broken => Sign::Failed,
            _ => Sign::Blocked,
        }
    }
}

/// That so many items wait for their origin until then, and what is in the way.
pub(super) fn waits_for_origin(items: u64, until: &str, obstacle: Option<&str>) -> String {
    let obstacle = obstacle.map(|obstacle| format!(": {obstacle}"));
    format!(
        "{} for new bytes at the origin, until {until} at the latest{}",
        match items {
            1 => "1 waits".to_owned(),
            items => format!("{} wait", grouped(items)),
        },
        obstacle.unwrap_or_default()
    )
}
