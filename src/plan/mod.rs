//! Planning: desired against recorded, as a value that can be printed, saved,
//! compared and refused.

pub mod diff;
pub mod policy;
pub mod recorded;
pub mod saved;

use crate::digest::{Digest, Entry, Key};
use crate::manifest::{LimitsSpec, Place};
use diff::Reasons;
use policy::Block;
use recorded::{LedgerId, OriginWait, RecordedLedger};

/// What is to be sent, by set and target.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Sorted by name.
    pub sets: Vec<SetPlan>,
    /// Too much at once for a state that remembers nothing.
    pub bootstrap: Option<Bootstrap>,
}

impl Plan {
    /// Items that would be sent now.
    pub fn items(&self) -> u64 {
        self.free().map(TargetPlan::items).sum()
    }

    /// Whether anything would be sent, now or once it is approved.
    pub fn has_changes(&self) -> bool {
        self.free().any(|target| !target.is_fresh())
    }

    /// Items that would be sent were they not suspended, before their time or
    /// waiting for their origin.
    pub fn held(&self) -> u64 {
        let targets = self.targets();
        let held = |target: &TargetPlan| match target.hold {
            Some(_) => target.items(),
            None => target.waiting.entries.len() as u64,
        };
        targets.map(held).sum()
    }

    /// Items that are not sent because a CDN refused them.
    pub fn refused(&self) -> u64 {
        self.free().map(|target| target.refused).sum()
    }

    /// Items that are not sent because an inner tier refused them.
    pub fn held_back(&self) -> u64 {
        self.free().map(|target| target.held).sum()
    }

    /// Whether anything is to be sent of what somebody has suspended, was asked
    /// for before its time, or waits for its origin.
    pub fn is_kept_waiting(&self) -> bool {
        let is_waiting = |target: &TargetPlan| match target.hold {
            None => target.is_waiting(),
            Some(Hold::Suspended) => !target.is_fresh(),
            Some(Hold::NotBefore(_)) => !target.forced.is_empty(),
        };
        self.targets().any(is_waiting)
    }

    /// Whether anything that could go now has not gone, or not for certain.
    pub fn is_unfinished(&self) -> bool {
        self.free()
            .any(|target| target.items() > 0 || target.open > 0)
    }

    /// Whether anything waits for an approval.
    pub fn is_blocked(&self) -> bool {
        self.bootstrap.is_some() || self.targets().any(|target| target.block.is_some())
    }

    /// The targets that nothing holds.
    fn free(&self) -> impl Iterator<Item = &TargetPlan> {
        self.targets().filter(|target| target.hold.is_none())
    }

    /// Every target of every set.
    pub fn targets(&self) -> impl Iterator<Item = &TargetPlan> {
        self.sets.iter().flat_map(|set| &set.targets)
    }
}

/// A first run that would send more than anybody has agreed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    /// Items over all sets, without the approved ones.
    pub items: u64,
    /// What goes without a word.
    pub limit: u64,
}

/// What is to be sent for a set.
#[derive(Clone, Debug)]
pub struct SetPlan {
    /// Its name.
    pub set: String,
    /// What an approval names: the plan's content, and the state where there is one.
    pub id: Digest,
    /// The same whatever the state: what a saved plan is compared by.
    pub content: Digest,
    /// Where the set is declared; `None` for the built-in `adhoc`.
    pub place: Option<Place>,
    /// Tier by tier, inner first.
    pub targets: Vec<TargetPlan>,
}

/// A reason that has nothing to do with what is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// By manifest or by command.
    Suspended,
    /// `notBefore`, milliseconds since the epoch.
    NotBefore(i64),
}

/// What is to be sent for a set to one target.
#[derive(Clone, Debug)]
pub struct TargetPlan {
    /// The Cdn's name.
    pub cdn: String,
    /// The target's identity.
    pub target: String,
    /// Position in `cdns`, counted from 0.
    pub tier: usize,
    /// The ledger, where there is one.
    pub ledger: Option<LedgerId>,
    /// Digest of the wire rules.
    pub wire: Digest,
    /// Digest of the desired entries.
    pub desired: Digest,
    /// Desired items, sent or not.
    pub total: u64,
    /// Sorted; what goes after the forced ones.
    pub send: Vec<Entry>,
    /// Sorted; what goes first.
    pub forced: Vec<Entry>,
    /// Sorted; what has left and goes after those.
    pub removed: Vec<Entry>,
    /// Would be removed, had the set not stopped to ask for it.
    pub dropped: u64,
    /// Recorded without being sent: adopted, or carried over from another set.
    pub record: Vec<Entry>,
    /// No longer desired.
    pub departed: Vec<Key>,
    /// Items to be sent that no approval covers.
    pub unapproved: u64,
    /// Approved just now, to be kept until they are sent.
    pub approve: Vec<Entry>,
    /// Not sent because the CDN refused them at this mark.
    pub refused: u64,
    /// Those, sorted.
    pub refusals: Vec<Entry>,
    /// Not sent because an inner tier refused them.
    pub held: u64,
    /// In a batch whose outcome is not known yet.
    pub open: u64,
    /// Why the rest is sent.
    pub reasons: Reasons,
    /// The whole ledger is of another wire form, or there is none.
    pub first: Option<First>,
    /// What is not sent without approval.
    pub block: Option<Block>,
    /// Why nothing of it is sent for now.
    pub hold: Option<Hold>,
    /// What of it waits for its origin.
    pub waiting: Waiting,
}

/// What is held until its origin shows new bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// All of it, sorted; none of it is part of what is sent.
    pub entries: Vec<Entry>,
    /// Of that: what begins to wait with this plan, sorted.
    pub begin: Vec<Entry>,
    /// Recorded waits as they go on: what is no longer desired is left out.
    pub recorded: Vec<OriginWait>,
    /// Recorded waits that end with this plan.
    pub ended: Vec<OriginWait>,
    /// Whether what is recorded is not as it goes on.
    pub is_outdated: bool,
    /// When the first of it is sent at the latest, in milliseconds since the
    /// epoch.
    pub until_ms: Option<i64>,
    /// What stood in the way when the origin was last looked at.
    pub told: Option<String>,
}

impl TargetPlan {
    /// Items that would be sent now.
    pub fn items(&self) -> u64 {
        (self.send.len() + self.forced.len() + self.removed.len()) as u64
    }

    /// Whether carrying it out records anything: a blocked one marks nothing,
    /// and of one that is held only what is adopted is recorded.
    pub fn is_begun(&self) -> bool {
        let is_blocked = self.block.is_some() && self.items() == 0 && self.approve.is_empty();
        (self.hold.is_none() && !is_blocked) || !self.record.is_empty()
    }

    /// Whether anything waits for its origin.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.entries.is_empty()
    }

    /// Items that the CDN has been told, or that are recorded as if it had.
    pub fn told(&self) -> u64 {
        let blocked = self.block.map_or(0, |block| block.items - block.removed);
        let sent = self.items() - self.removed.len() as u64;
        let waiting = self.waiting.entries.len() as u64;
        let untold = sent + blocked + self.refused + self.held + self.open + waiting;
        self.total.saturating_sub(untold)
    }

    /// The plan of a target whose ledger is known to hold what is desired.
    pub fn fresh(
        cdn: &str,
        target: &str,
        tier: usize,
        ledger: &RecordedLedger,
        desired: Digest,
    ) -> Self {
        Self {
            cdn: cdn.to_owned(),
            target: target.to_owned(),
            tier,
            ledger: Some(ledger.id),
            wire: ledger.wire,
            desired,
            total: ledger.declared,
            send: Vec::new(),
            forced: Vec::new(),
            removed: Vec::new(),
            dropped: 0,
            record: Vec::new(),
            departed: Vec::new(),
            unapproved: 0,
            approve: Vec::new(),
            refused: 0,
            refusals: Vec::new(),
            held: 0,
            open: 0,
            reasons: Reasons::default(),
            first: None,
            block: None,
            hold: None,
            waiting: Waiting::default(),
        }
    }

    /// Whether this target is as it should be.
    pub fn is_fresh(&self) -> bool {
        !self.is_busy() && self.waiting.entries.is_empty()
    }

    /// Whether there is nothing to say of this target but that it is as it should be.
    pub fn is_silent(&self) -> bool {
        let unsent = self.refused + self.held + self.record.len() as u64;
        self.is_fresh() && self.hold.is_none() && unsent == 0 && self.departed.is_empty()
    }

    /// Whether anything is to be sent, approved or under way; what waits for its
    /// origin is not.
    pub fn is_busy(&self) -> bool {
        self.items() > 0 || self.block.is_some() || self.open > 0
    }
}

impl Waiting {
    /// Whether carrying the plan out changes what is recorded of it.
    pub fn is_to_be_recorded(&self) -> bool {
        self.is_outdated || !self.begin.is_empty() || !self.ended.is_empty()
    }
}

/// Why a ledger holds nothing that compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// A set or target seen for the first time.
    NewSet,
    /// Other granularity or host rules: the same URLs are other items.
    WireChanged,
}

/// The digest of a set's plan, whatever the state it was made against.
pub fn content(set: &str, serial: u64, limits: LimitsSpec, desired: &[(&str, Digest)]) -> Digest {
    let serial = serial.to_be_bytes();
    let max_urls = limits.max_urls.to_be_bytes();
    let share = limits.max_share_percent.map_or([0xff; 4], u32::to_be_bytes);
    let mut parts: Vec<&[u8]> = vec![b"plan", set.as_bytes(), &serial, &max_urls, &share];
    for (target, digest) in desired {
        parts.push(target.as_bytes());
        parts.push(&digest.0);
    }
    Digest::of_parts(parts)
}

/// The id of a plan with that content, made against the state of that lineage:
/// an approval must not outlive the state, for a new one begins like the old.
pub fn id(content: Digest, lineage: Option<&str>) -> Digest {
    lineage.map_or(content, |lineage| {
        Digest::of_parts([&b"plan of a state"[..], lineage.as_bytes(), &content.0])
    })
}
