//! The journal's units: a batch, its claims, and how it ended.

use std::sync::Arc;

use crate::digest::{Digest, Entry};
use crate::plan::recorded::{LedgerId, Refusal, TargetId};

/// A batch's number, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchNo(pub i64);

/// A set's share of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Whose ledger an acceptance goes to.
    pub ledger: LedgerId,
    /// Sorted; the marks are those that are sent.
    pub entries: Vec<Entry>,
}

/// Why a batch exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Cut from a plan.
    Plan,
    /// Somebody asked with `invalidate`.
    Forced,
    /// What has left sets that have it invalidated.
    Removed,
    /// A half of a refused batch.
    Bisect,
}

/// A batch to be journalled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewBatch {
    /// Where it goes.
    pub target: TargetId,
    /// The batch whose refusal it came from.
    pub parent: Option<BatchNo>,
    /// Why it exists.
    pub cause: Cause,
    /// In the order they are sent.
    pub items: Arc<[Box<str>]>,
    /// Each item is in at least one.
    pub claims: Vec<Claim>,
}

/// A batch that the journal holds and nobody has closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenBatch {
    /// Its number.
    pub no: BatchNo,
    /// SHA-256 of state lineage, number, target and items; stays over repeats.
    pub id: Digest,
    /// What was journalled.
    pub batch: NewBatch,
    /// Whether it may have been sent: then its outcome is unknown.
    pub is_sent: bool,
    /// How often it was sent.
    pub attempts: u32,
    /// Milliseconds since the epoch.
    pub opened_ms: i64,
}

/// How a batch ended, as the journal keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The CDN took it all; its claims overlay the ledgers.
    Accepted {
        /// The CDN's handle or counts, in its own words.
        receipt: String,
    },
    /// Single URLs were refused; they are recorded as such.
    Refused {
        /// The CDN's code.
        code: String,
        /// The CDN's words.
        message: String,
    },
    /// It was refused and lives on in the halves opened with its closing.
    Split {
        /// The CDN's words.
        message: String,
    },
    /// It did not get through; its entries are planned again.
    Failed {
        /// What happened.
        message: String,
    },
    /// It was taken back: unsent after a crash, or its target changed.
    Abandoned {
        /// Why.
        message: String,
    },
}

/// A batch's end, recorded in one transaction with what follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// Which batch.
    pub no: BatchNo,
    /// How it ended.
    pub outcome: Outcome,
    /// The items that the CDN refused.
    pub refusals: Vec<Refusal>,
    /// When its acceptance has settled, in milliseconds since the epoch.
    pub gate_ms: Option<i64>,
}
