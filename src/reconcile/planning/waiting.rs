//! What of a plan waits until its origin shows new bytes.
//!
//! Only a new revision of a URL that the ledger knows waits. What is asked for,
//! owed or new goes at once, and so does what has waited long enough.

use crate::digest::{Entry, Mark};
use crate::plan::Waiting;
use crate::plan::diff::Diff;
use crate::plan::recorded::{LedgerContents, OriginWait};

/// The recorded waits of a ledger, against what is desired now.
#[derive(Debug, Default)]
pub(super) struct Waits {
    /// Those that go on.
    recorded: Vec<OriginWait>,
    /// Those that end now.
    ended: Vec<OriginWait>,
    /// Entries of those that go on, sorted.
    pub(super) held: Vec<Entry>,
    /// Entries of those that end, sorted.
    pub(super) due: Vec<Entry>,
    /// Whether what is recorded is not as it goes on.
    is_outdated: bool,
    until_ms: Option<i64>,
    /// Milliseconds that anything waits, at most; `None` where nothing does.
    limit_ms: Option<u64>,
    now_ms: i64,
}

impl Waits {
    /// `limit_ms` is what the Cdn declares.
    pub(super) fn of(
        contents: &LedgerContents,
        desired: &[Entry],
        limit_ms: Option<u64>,
        now_ms: i64,
    ) -> Self {
        let mut waits = Self {
            limit_ms,
            now_ms,
            ..Self::default()
        };
        for wait in &contents.waits {
            let mut wait = wait.clone();
            let before = wait.entries.len();
            let is_over = wait.is_over;
            wait.entries.retain(|entry| {
                if is_over {
                    mark_of(contents, *entry) == Some(Mark::OWED)
                } else {
                    desired.binary_search(entry).is_ok()
                }
            });
            waits.is_outdated |= wait.entries.len() < before;
            waits.add(wait);
        }
        waits.held.sort_unstable();
        waits.due.sort_unstable();
        waits
    }

    fn add(&mut self, mut wait: OriginWait) {
        if wait.is_over || wait.entries.is_empty() {
            self.recorded.push(wait);
            return;
        }
        // A clock that was set back must not make anybody wait for longer.
        if wait.since_ms > self.now_ms {
            wait.since_ms = self.now_ms;
            self.is_outdated = true;
        }
        let limit_ms = self.limit_ms.unwrap_or(0);
        let until_ms = wait.since_ms.saturating_add_unsigned(limit_ms);
        if wait.is_shown || until_ms <= self.now_ms {
            self.due.extend(&wait.entries);
            self.ended.push(wait);
            return;
        }
        self.until_ms = self.until_ms.into_iter().chain([until_ms]).min();
        self.held.extend(&wait.entries);
        self.recorded.push(wait);
    }

    /// Takes out of what is `found` to be sent what begins to wait; `held` is what
    /// of the recorded waits is held indeed.
    pub(super) fn begin(
        self,
        found: &mut Diff,
        held: Vec<Entry>,
        contents: &LedgerContents,
    ) -> Waiting {
        let mut begin = Vec::new();
        if self.limit_ms.is_some_and(|limit_ms| limit_ms > 0) {
            let is_new = |entry: &mut Entry| self.is_new_revision(*entry, contents);
            begin = found.send.extract_if(.., is_new).collect();
        }
        for entry in &begin {
            match mark_of(contents, *entry) {
                Some(Mark::OWED) => found.reasons.owed -= 1,
                _ => found.reasons.revised -= 1,
            }
        }
        let limit_ms = self.limit_ms.filter(|_| !begin.is_empty());
        let begins_until_ms =
            limit_ms.map(|limit_ms| self.now_ms.saturating_add_unsigned(limit_ms));
        let mut entries = held;
        entries.extend(&begin);
        entries.sort_unstable();
        let mut told = self.recorded.iter().filter(|wait| !wait.is_over);
        Waiting {
            until_ms: begins_until_ms.into_iter().chain(self.until_ms).min(),
            told: told.find_map(|wait| wait.told.clone()),
            entries,
            begin,
            recorded: self.recorded,
            ended: self.ended,
            is_outdated: self.is_outdated,
        }
    }

    fn is_new_revision(&self, entry: Entry, contents: &LedgerContents) -> bool {
        let has = |entries: &[Entry]| entries.binary_search(&entry).is_ok();
        if has(&self.due) || contents.waits.iter().any(|wait| has(&wait.entries)) {
            return false;
        }
        let key = |entry: &Entry| entry.key();
        let is_of_another = |wait: &OriginWait| {
            let at = wait.entries.binary_search_by_key(&entry.key(), key);
            at.is_ok()
        };
        match mark_of(contents, entry) {
            // What was removed and comes back is new.
            None | Some(Mark::REMOVED) => false,
            // Owed at a revision that has waited, which this one has not.
            Some(Mark::OWED) => contents.waits.iter().any(is_of_another),
            Some(_) => true,
        }
    }
}

fn mark_of(contents: &LedgerContents, entry: Entry) -> Option<Mark> {
    let entries = &contents.entries;
    let at = entries.binary_search_by_key(&entry.key(), |entry| entry.key());
    at.ok().map(|at| entries[at].mark())
}
