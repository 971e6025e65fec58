//! What the past looks like to the planner; the state store produces it.

use std::collections::BTreeMap;

use crate::digest::{Digest, Entry, Key};

/// Names a set in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetId(pub i64);

/// Names a target in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetId(pub i64);

/// Names a ledger (a set at a target) in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LedgerId(pub i64);

/// A set that the store knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedSet {
    /// Its row.
    pub id: SetId,
    /// Its name, `metadata.name`.
    pub name: String,
    /// Grows with every change of its ledgers; part of a plan's id.
    pub serial: u64,
    /// Digest of its inputs when it was last planned in full without a finding.
    pub inputs: Option<Digest>,
    /// How long it has been missing, counted only while everything loads.
    pub missing_ms: Option<u64>,
    /// By target identity. Most sets have one or two, and a map makes room for eleven.
    pub ledgers: BTreeMap<String, Box<RecordedLedger>>,
}

impl RecordedSet {
    /// Its ledger at the target of that identity.
    pub fn ledger(&self, target: &str) -> Option<&RecordedLedger> {
        self.ledgers.get(target).map(Box::as_ref)
    }
}

/// A ledger without its entries, which are read only where they are needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedLedger {
    /// Its row.
    pub id: LedgerId,
    /// How its keys and marks were computed.
    pub algorithm: String,
    /// Digest of the wire rules its items went through.
    pub wire: Digest,
    /// Digest of the desired entries it was last compared with.
    pub desired: Option<Digest>,
    /// Whether nothing was owed, open or forced when it was last written.
    pub is_settled: bool,
    /// How many entries it holds.
    pub count: u64,
    /// Of them: those that have not left the set.
    pub declared: u64,
    /// When the last acceptance has settled, in milliseconds since the epoch.
    pub gate_ms: Option<i64>,
    /// Since when something of it has been to be sent without a break, in
    /// milliseconds since the epoch; a blocked plan owes nothing.
    pub owed_since_ms: Option<i64>,
}

/// What a ledger holds, read in full.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerContents {
    /// Sorted by key, one per key; a zero mark is owed.
    pub entries: Vec<Entry>,
    /// Sorted keys to be sent ahead of everything else and whatever the ledger says.
    pub forced: Vec<Key>,
    /// Sorted entries that may be sent beyond the limits.
    pub approved: Vec<Entry>,
    /// Sorted keys in open batches: not to be planned again.
    pub open: Vec<Key>,
    /// Sorted keys that have left the set.
    pub departed: Vec<Key>,
    /// What is held until its origin shows new bytes, or was.
    pub waits: Vec<OriginWait>,
}

/// Revisions that began to wait for their origin together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginWait {
    /// Its row.
    pub id: i64,
    /// Sorted.
    pub entries: Vec<Entry>,
    /// Since when, in milliseconds since the epoch.
    pub since_ms: i64,
    /// Whether the origin was seen to have new bytes.
    pub is_shown: bool,
    /// Its entries are owed: it is over, and kept until they are accepted.
    pub is_over: bool,
    /// What stood in the way when the origin was last looked at.
    pub told: Option<String>,
}

/// A URL that the CDN refused, at the mark it was refused at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The item's entry as it was sent.
    pub entry: Entry,
    /// The item itself.
    pub item: String,
    /// The CDN's code, as text.
    pub code: String,
    /// The CDN's words.
    pub message: String,
    /// Digest of the Cdn manifest at the time: a change lifts the refusal.
    pub cdn: Digest,
    /// Milliseconds since the epoch.
    pub at_ms: i64,
}
