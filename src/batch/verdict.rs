//! What a CDN's answer means, cut by what is to be done next; providers
//! produce it.

use std::collections::BTreeMap;

/// What a target has taught us, kept in its row: such as a company's handle.
pub type Facts = BTreeMap<String, String>;

/// What we make of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A look-up's answer.
    Learned(Facts),
    /// The CDN took every item, in its own terms.
    Accepted {
        /// Its handle or counts.
        receipt: String,
        /// How long it says that taking effect will take.
        estimate_ms: Option<u64>,
    },
    /// It took nothing because of some items.
    Refused {
        /// Positions of the items that it names; empty where it names none.
        culprits: Vec<usize>,
        /// Code and words.
        reason: Reason,
    },
    /// Too much in one batch: halve it, blame nothing.
    TooLarge(Reason),
    /// Not now: wait, it is no failure.
    Throttled {
        /// As told; `None` where it was not told.
        after_ms: Option<u64>,
        /// Code and words.
        reason: Reason,
    },
    /// A fault that may pass; says nothing about any item.
    Transient(Reason),
    /// The credentials are not accepted.
    Unauthorized(Reason),
    /// The account or the manifest is wrong: no repetition will help.
    Misconfigured(Reason),
    /// An answer we do not understand is a failure, and is not repeated blindly.
    NotUnderstood(Reason),
}

/// The CDN's code and words, without any secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Such as `ipsApiFault 30001` or `HTTP 503`.
    pub code: String,
    /// In the CDN's words, on one line, shortened.
    pub message: String,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}
