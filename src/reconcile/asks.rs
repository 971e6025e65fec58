//! What a command asks of whoever reconciles, through a row in the state.

use serde::{Deserialize, Serialize};

use super::forcing::Selection;
pub use crate::state::ADHOC;
use crate::state::{NewRequest, Request, Scope};

/// Undeclared URLs that may be asked for at once at each Cdn.
pub const ADHOC_LIMIT: u64 = 10_000;

/// What a command asks the reconciling process for, through a row in the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Ask {
    /// Send again.
    Invalidate(Selection),
    /// Send URLs that no set declares; waits until they are accepted or refused.
    Adhoc {
        /// To this Cdn.
        cdn: String,
        /// Byte for byte.
        urls: Vec<String>,
    },
    /// Let a blocked plan through.
    Approve {
        /// Its id, or the beginning of it.
        plan: String,
    },
    /// Send nothing.
    Suspend(Scope),
    /// Send again.
    Resume(Scope),
    /// Record a set as already fresh.
    Adopt {
        /// Its name.
        set: String,
    },
    /// Drop what is recorded of a set.
    Forget {
        /// Its name.
        set: String,
    },
    /// Give what is recorded of a set to another name.
    Rename {
        /// The recorded name.
        from: String,
        /// The name it gets.
        to: String,
    },
}

impl Ask {
    /// The kind that the row shows.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Invalidate(_) => "invalidate",
            Self::Adhoc { .. } => ADHOC,
            Self::Approve { .. } => "approve",
            Self::Suspend(_) => "suspend",
            Self::Resume(_) => "resume",
            Self::Adopt { .. } => "adopt",
            Self::Forget { .. } => "forget",
            Self::Rename { .. } => "rename",
        }
    }

    /// The set that it names, where it names one.
    pub fn set(&self) -> Option<&str> {
        match self {
            Self::Invalidate(selection) => selection.set.as_deref(),
            Self::Suspend(Scope::Set(set))
            | Self::Resume(Scope::Set(set))
            | Self::Adopt { set }
            | Self::Forget { set }
            | Self::Rename { to: set, .. } => Some(set),
            _ => None,
        }
    }

    /// The row that asks for it; `by` names who asks, for the history.
    pub fn row(&self, by: &str) -> NewRequest {
        let arg = serde_json::to_value(self).expect("strings and lists of them become JSON");
        NewRequest {
            kind: self.kind().to_owned(),
            arg,
            by: by.to_owned(),
        }
    }

    /// What a row asks for.
    pub fn of(request: &Request) -> Result<Self, serde_json::Error> {
        serde_json::from_value(request.asked.arg.clone())
    }
}
