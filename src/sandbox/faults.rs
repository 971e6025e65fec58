//! What can go wrong, switched on and off.

use serde::{Deserialize, Serialize};

/// All faults that are on. Setting it replaces what was set before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Faults {
    /// From a call's arrival to its answer: half before it takes effect.
    pub latency_ms: u64,
    /// URLs that the service refuses.
    pub poison: Vec<Poison>,
    /// The first that fits a call applies to it.
    pub rules: Vec<Rule>,
    /// What is wrong with the account.
    pub account: Account,
    /// How far the clock of all answers is ahead, in seconds.
    pub clock_ahead_s: i64,
    /// What is published is in its asset's history, and the origin serves it
    /// only once this is off.
    pub late_origin: bool,
}

/// An account that is not as it was declared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Account {
    /// `checkLogin` answers `InvalidLogin`, whatever it is given.
    pub invalid_login: bool,
    /// The company has another name than the options say.
    pub company: Option<String>,
    /// It has another root path.
    pub root_path: Option<String>,
    /// It expires, or has expired: an `xsd:dateTime`.
    pub expires: Option<String>,
    /// It lacks these of its image presets.
    pub missing_presets: Vec<String>,
}

/// A URL that makes the service refuse the whole call.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Poison {
    /// Byte for byte.
    pub url: String,
    /// The fault's code.
    #[serde(default = "invalid_parameter")]
    pub code: u32,
    /// Whether the fault's reason names the URL.
    #[serde(default)]
    pub named: bool,
    /// Whether the connection ends instead, without an answer.
    #[serde(default)]
    pub drops: bool,
}

fn invalid_parameter() -> u32 {
    30_001
}

/// A failure, and the calls it applies to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// What goes wrong.
    pub failure: Failure,
    /// For how many calls; absent means until switched off.
    #[serde(default)]
    pub times: Option<u32>,
    /// Of which operation; absent means any.
    #[serde(default)]
    pub operation: Option<String>,
}

/// What goes wrong with a call.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Failure {
    /// The IPS fault of that code: 10001 for credentials, 20000 for the
    /// company, 30000 for trouble of its own, and so on.
    Code(u32),
    /// An HTML page with that status, as a proxy in between would send.
    #[serde(rename_all = "camelCase")]
    Status {
        /// Such as 429 or 503.
        status: u16,
        /// `Retry-After`, as it is to be sent.
        #[serde(default)]
        retry_after: Option<String>,
    },
    /// Status 200 with counts that say so many URLs have failed.
    ErrorCount(u64),
    /// The call takes effect, and its connection ends without an answer.
    DropReply,
    /// The call is accepted as any other, and takes no effect at the edge.
    NoEffect,
    /// No answer, ever; the call takes no effect.
    Hang,
}

impl Faults {
    /// The failure for a call of `operation`, one time less from now on.
    pub(super) fn take(&mut self, operation: &str) -> Option<Failure> {
        let rule = self.rules.iter_mut().find(|rule| {
            rule.times != Some(0) && rule.operation.as_ref().is_none_or(|only| only == operation)
        })?;
        if let Some(times) = &mut rule.times {
            *times -= 1;
        }
        Some(rule.failure.clone())
    }
}
