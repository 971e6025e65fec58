//! What a check-up of an account asks, and what it finds.

use super::{Answer, Call, Credentials, Facts, Verdict};

/// One look-up of a check-up. It changes nothing at the CDN.
pub trait Check: Send + Sync {
    /// What it tells about, each in a word or two.
    fn subjects(&self) -> &'static [&'static str];

    /// The call to make; `None` where `facts`, from the look-ups before it,
    /// lack what it takes.
    fn call(&self, facts: &Facts, credentials: &Credentials) -> Option<Call>;

    /// What the answer says at `now_ms`, in milliseconds since the epoch.
    fn read(&self, answer: &Answer, now_ms: i64, credentials: &Credentials) -> Examined;
}

/// What a look-up has told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Examined {
    /// What later look-ups draw on.
    pub facts: Facts,
    /// One for each subject.
    pub findings: Vec<Finding>,
    /// The credentials were not accepted: others would only lock the account.
    pub is_locked_out: bool,
}

/// What one check came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at, in a word or two.
    pub subject: String,
    /// Whether it is as it should be.
    pub grade: Grade,
    /// What was found.
    pub message: String,
    /// What to do about it.
    pub cure: Option<String>,
}

/// Whether something is as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grade {
    /// It is.
    Good,
    /// It could not be looked at.
    Unknown,
    /// It works, perhaps not for long, or not for the right people alone.
    Doubtful,
    /// It is not, or the answer was not understood.
    Failed,
}

impl Finding {
    /// All is well.
    pub fn good(subject: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            grade: Grade::Good,
            message: message.into(),
            cure: None,
        }
    }

    /// It could not be looked at.
    pub fn unknown(subject: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            grade: Grade::Unknown,
            ..Self::good(subject, message)
        }
    }

    /// It works, but should be seen to.
    pub fn doubtful(
        subject: impl Into<String>,
        message: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self {
            grade: Grade::Doubtful,
            cure: Some(cure.into()),
            ..Self::good(subject, message)
        }
    }

    /// It is wrong.
    pub fn failed(
        subject: impl Into<String>,
        message: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self {
            grade: Grade::Failed,
            cure: Some(cure.into()),
            ..Self::good(subject, message)
        }
    }
}

impl Verdict {
    /// The verdict on a look-up that did not tell what it was asked, as a
    /// failure of `subject`; `cure` is for an account or manifest that is wrong.
    pub(super) fn failure(self, subject: &str, cure: &str) -> Finding {
        let (reason, cure) = match self {
            Self::Learned(_) | Self::Accepted { .. } => {
                let message = "the answer is of another kind than what was asked";
                return Finding::failed(subject, message, REPORT);
            }
            Self::Unauthorized(reason) => (reason, LOGIN),
            Self::Misconfigured(reason) | Self::Refused { reason, .. } | Self::TooLarge(reason) => {
                (reason, cure)
            }
            Self::Throttled { reason, .. } => (reason, "wait, then run `freshen doctor` again"),
            Self::Transient(reason) => (
                reason,
                "run `freshen doctor` again; if it goes on, ask the CDN's support",
            ),
            Self::NotUnderstood(reason) => (reason, REPORT),
        };
        Finding::failed(subject, reason.to_string(), cure)
    }
}

/// What to do where credentials are not accepted.
pub(super) const LOGIN: &str =
    "correct the secrets that the Cdn's `credentials` name, or unlock the account";

/// What to do about an answer that nobody expected.
pub(super) const REPORT: &str =
    "see whether the endpoint is the CDN's own, without a proxy in between that answers for it";
