//! What may be sent without approval.

use super::TargetPlan;
use super::diff::Diff;
use crate::digest::Entry;
use crate::manifest::LimitsSpec;

/// A share is only meaningful for a ledger of at least this many entries.
const SHARE_FLOOR: u64 = 100;

/// What is not sent without approval, and the limit it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Items that wait.
    pub items: u64,
    /// Of them: no longer declared.
    pub removed: u64,
    /// Which limit, and its value.
    pub limit: Limit,
}

/// A limit of `spec.limits`, or that of a first run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// `maxUrls`.
    MaxUrls(u64),
    /// Items of all sets together, in a state without a past.
    FirstRun(u64),
    /// `maxShare` in percent, of a ledger of so many entries.
    MaxShare {
        /// As declared.
        percent: u32,
        /// Entries in the ledger.
        of: u64,
    },
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::MaxUrls(limit) => write!(f, "maxUrls {limit}"),
            Self::FirstRun(limit) => write!(f, "the {limit} of a first run"),
            Self::MaxShare { percent, of } => write!(f, "maxShare {percent} % of {of}"),
        }
    }
}

impl Limit {
    /// The limit that `items` are over, if any, for a ledger of `count` entries.
    pub fn exceeded(limits: LimitsSpec, items: u64, count: u64) -> Option<Self> {
        if items > limits.max_urls {
            return Some(Self::MaxUrls(limits.max_urls));
        }
        let percent = limits.max_share_percent?;
        let is_over = count >= SHARE_FLOOR && items * 100 > u64::from(percent) * count;
        is_over.then_some(Self::MaxShare { percent, of: count })
    }
}

/// How many of `entries` no approval covers; both are sorted.
pub fn unapproved(entries: &[Entry], approved: &[Entry]) -> u64 {
    let is_waiting = |entry: &&Entry| approved.binary_search(entry).is_err();
    entries.iter().filter(is_waiting).count() as u64
}

/// Applies `limits` to what a comparison found: what is over a limit and not
/// approved is taken out. Forced items were judged when they were asked for,
/// so that one asset can go while a large plan waits. A blocked plan marks
/// nothing.
pub fn restrict(
    diff: &mut Diff,
    limits: LimitsSpec,
    approved: &[Entry],
    count: u64,
) -> Option<Block> {
    let removed = unapproved(&diff.removed, approved);
    let items = unapproved(&diff.send, approved) + removed;
    let limit = Limit::exceeded(limits, items, count)?;
    let is_approved = |entry: &Entry| approved.binary_search(entry).is_ok();
    diff.send.retain(is_approved);
    diff.removed.retain(is_approved);
    Some(Block {
        items,
        removed,
        limit,
    })
}

/// Takes what is not approved out of a target's plan: all sets together are
/// too much for a state without a past.
pub fn restrict_first_run(target: &mut TargetPlan, approved: &[Entry], limit: u64) {
    if target.unapproved == 0 {
        return;
    }
    let is_approved = |entry: &Entry| approved.binary_search(entry).is_ok();
    let removed = unapproved(&target.removed, approved);
    target.send.retain(is_approved);
    target.removed.retain(is_approved);
    target.block = Some(Block {
        items: target.unapproved,
        removed,
        limit: Limit::FirstRun(limit),
    });
    target.unapproved = 0;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{ItemKind, Key, Mark};

    fn entries(count: usize) -> Vec<Entry> {
        let mut entries: Vec<Entry> = (0..count)
            .map(|n| {
                Entry::new(
                    Key::of(ItemKind::Url, n.to_string().as_bytes()),
                    Mark::of(&[None]),
                )
            })
            .collect();
        entries.sort_unstable();
        entries
    }

    fn limits(max_urls: u64, max_share_percent: Option<u32>) -> LimitsSpec {
        LimitsSpec {
            max_urls,
            max_share_percent,
        }
    }

    fn check(
        items: usize,
        approved: usize,
        limits: LimitsSpec,
        count: u64,
    ) -> (Option<Limit>, usize) {
        let mut diff = Diff {
            send: entries(items),
            ..Diff::default()
        };
        let approved = entries(items)[..approved].to_vec();
        let block = restrict(&mut diff, limits, &approved, count);
        (block.map(|block| block.limit), diff.send.len())
    }

    #[test]
    fn one_more_than_the_limit_blocks_all_but_the_approved() {
        assert_eq!(check(10, 0, limits(10, None), 0), (None, 10));
        assert_eq!(
            check(11, 0, limits(10, None), 0),
            (Some(Limit::MaxUrls(10)), 0)
        );
        assert_eq!(check(11, 1, limits(10, None), 0), (None, 11));
        assert_eq!(
            check(20, 5, limits(10, None), 0),
            (Some(Limit::MaxUrls(10)), 5)
        );
    }

    #[test]
    fn a_share_counts_only_from_a_hundred_entries_on() {
        assert_eq!(check(60, 0, limits(1000, Some(50)), 99), (None, 60));
        assert_eq!(check(50, 0, limits(1000, Some(50)), 100), (None, 50));
        let over = Limit::MaxShare {
            percent: 50,
            of: 100,
        };
        assert_eq!(check(51, 0, limits(1000, Some(50)), 100), (Some(over), 0));
    }

    #[test]
    fn a_few_forced_items_go_while_a_large_plan_waits() {
        let mut diff = Diff {
            send: entries(100),
            forced: entries(3),
            ..Diff::default()
        };
        let block = restrict(&mut diff, limits(10, None), &[], 0);
        assert_eq!(block.map(|block| block.items), Some(100));
        assert_eq!((diff.forced.len(), diff.send.len()), (3, 0));
    }
}
