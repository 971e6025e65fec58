//! The comparison of what is desired with what a ledger holds.

use super::recorded::LedgerContents;
use crate::digest::{Entry, Key, Mark};

/// Why items are to be sent, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reasons {
    /// Not in the ledger.
    pub new: u64,
    /// In the ledger at another mark.
    pub revised: u64,
    /// Owed since an earlier plan.
    pub owed: u64,
    /// Asked for with `invalidate`.
    pub forced: u64,
    /// No longer declared.
    pub removed: u64,
}

impl Reasons {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.new + self.revised + self.owed + self.forced + self.removed
    }
}

/// What a comparison found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// To be sent at the desired marks, sorted; without the forced ones.
    pub send: Vec<Entry>,
    /// To be sent ahead of everything, sorted.
    pub forced: Vec<Entry>,
    /// Departed, and to be sent once more, sorted; at the mark of what is removed.
    pub removed: Vec<Entry>,
    /// Departed, and would be sent once more had the set not stopped to have
    /// what leaves it invalidated.
    pub dropped: u64,
    /// Not told to the CDN by this ledger, but by one that lost the item.
    pub carried: Vec<Entry>,
    /// In the ledger, no longer desired.
    pub departed: Vec<Key>,
    /// Refused at this very mark, and therefore not sent again; sorted.
    pub refused: Vec<Entry>,
    /// Held back because an inner tier refused the URL.
    pub held: u64,
    /// In a batch whose outcome is not known yet.
    pub open: u64,
    /// Held until their origin shows new bytes, sorted.
    pub waiting: Vec<Entry>,
    /// Why.
    pub reasons: Reasons,
}

/// What the comparison draws on besides the desired entries.
#[derive(Clone, Copy, Debug)]
pub struct Past<'a> {
    /// The ledger.
    pub contents: &'a LedgerContents,
    /// Sorted entries that the CDN refused and that nothing has lifted.
    pub refused: &'a [Entry],
    /// Sorted keys that an inner tier refused.
    pub held: &'a [Key],
    /// Sorted entries that are held until their origin shows new bytes.
    pub waiting: &'a [Entry],
    /// Sorted entries of which that is over: they are sent even if they were
    /// accepted meanwhile, by request.
    pub due: &'a [Entry],
    /// Sorted entries that departed from other ledgers at this target: an item
    /// that moved between sets was told to the CDN all the same.
    pub elsewhere: &'a [Entry],
}

/// Compares `desired` (sorted, one entry per key) with the past; the entries
/// to send are filtered in place, so that ten million of them stand once.
pub fn diff(mut desired: Vec<Entry>, past: Past<'_>) -> Diff {
    let mut diff = Diff::default();
    let mut ledger = past.contents.entries.iter().copied().peekable();
    let is_new = past.contents.entries.is_empty();
    desired.retain(|&entry| {
        let key = entry.key();
        while let Some(gone) = ledger.next_if(|recorded| recorded.key() < key) {
            diff.departed.push(gone.key());
        }
        let recorded = ledger.next_if(|recorded| recorded.key() == key);
        if past.contents.open.binary_search(&key).is_ok() {
            diff.open += 1;
            return false;
        }
        if past.held.binary_search(&key).is_ok() {
            diff.held += 1;
            return false;
        }
        if past.contents.forced.binary_search(&key).is_ok() {
            diff.reasons.forced += 1;
            diff.forced.push(entry);
            return false;
        }
        if past.waiting.binary_search(&entry).is_ok() {
            diff.waiting.push(entry);
            return false;
        }
        if recorded == Some(entry) && past.due.binary_search(&entry).is_err() {
            return false;
        }
        if past.refused.binary_search(&entry).is_ok() {
            diff.refused.push(entry);
            return false;
        }
        match recorded.map(Entry::mark) {
            None if is_new && past.elsewhere.binary_search(&entry).is_ok() => {
                diff.carried.push(entry);
                return false;
            }
            // Once it was removed, caches may hold that it is not there.
            None | Some(Mark::REMOVED) => diff.reasons.new += 1,
            Some(Mark::OWED) => diff.reasons.owed += 1,
            Some(_) => diff.reasons.revised += 1,
        }
        true
    });
    diff.departed.extend(ledger.map(Entry::key));
    diff.send = desired;
    diff
}

impl Diff {
    /// Of `leaving` (sorted keys that nothing declares): what the ledger holds
    /// and the CDN has not accepted as removed, or may yet accept as told.
    pub fn awaited(&self, leaving: &[Key], past: Past<'_>) -> Vec<Key> {
        let (entries, open) = (&past.contents.entries, &past.contents.open);
        let is_told = |key: &Key| {
            let at = entries.binary_search_by_key(key, |entry| entry.key());
            at.is_ok_and(|at| !entries[at].mark().is_removed())
        };
        let is_awaited = |key: &&Key| is_told(key) || open.binary_search(key).is_ok();
        leaving.iter().filter(is_awaited).copied().collect()
    }

    /// Has what is awaited of `leaving` sent, as far as nothing is in its way.
    pub fn remove(&mut self, leaving: &[Key], past: Past<'_>) -> Vec<Key> {
        let awaited = self.awaited(leaving, past);
        for key in &awaited {
            let entry = Entry::new(*key, Mark::REMOVED);
            if past.contents.open.binary_search(key).is_ok() {
                self.open += 1;
            } else if past.held.binary_search(key).is_ok() {
                self.held += 1;
            } else if past.refused.binary_search(&entry).is_ok() {
                self.refused.push(entry);
            } else {
                self.reasons.removed += 1;
                self.removed.push(entry);
            }
        }
        self.refused.sort_unstable();
        awaited
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::ItemKind;

    fn entry(item: &str, revision: &str) -> Entry {
        Entry::new(
            Key::of(ItemKind::Url, item.as_bytes()),
            Mark::of(&[Some(revision)]),
        )
    }

    fn sorted(mut entries: Vec<Entry>) -> Vec<Entry> {
        entries.sort_unstable();
        entries
    }

    fn against(ledger: Vec<Entry>) -> LedgerContents {
        LedgerContents {
            entries: sorted(ledger),
            ..LedgerContents::default()
        }
    }

    fn compare(desired: Vec<Entry>, contents: &LedgerContents) -> Diff {
        diff(
            sorted(desired),
            Past {
                contents,
                refused: &[],
                held: &[],
                waiting: &[],
                due: &[],
                elsewhere: &[],
            },
        )
    }

    #[test]
    fn only_what_the_ledger_lacks_is_sent_and_each_reason_is_counted() {
        let contents = against(vec![
            entry("same", "1"),
            entry("bumped", "1"),
            entry("owed", "1").owed(),
            entry("gone", "1"),
        ]);
        let found = compare(
            vec![
                entry("same", "1"),
                entry("bumped", "2"),
                entry("owed", "1"),
                entry("new", "1"),
            ],
            &contents,
        );
        assert_eq!(
            found.send,
            sorted(vec![
                entry("bumped", "2"),
                entry("owed", "1"),
                entry("new", "1")
            ])
        );
        assert_eq!(found.departed, vec![entry("gone", "1").key()]);
        assert_eq!(
            found.reasons,
            Reasons {
                new: 1,
                revised: 1,
                owed: 1,
                ..Reasons::default()
            }
        );
    }

    #[test]
    fn a_forced_item_goes_even_where_it_is_recorded_or_was_refused() {
        let mut contents = against(vec![entry("a", "1")]);
        contents.forced = vec![entry("a", "1").key()];
        let refused = [entry("a", "1")];
        let found = diff(
            vec![entry("a", "1")],
            Past {
                contents: &contents,
                refused: &refused,
                held: &[],
                waiting: &[],
                due: &[],
                elsewhere: &[],
            },
        );
        assert_eq!(found.forced, vec![entry("a", "1")]);
    }

    #[test]
    fn a_refused_item_waits_for_another_mark() {
        let contents = against(vec![]);
        let refused = [entry("a", "1")];
        let past = Past {
            contents: &contents,
            refused: &refused,
            held: &[],
            waiting: &[],
            due: &[],
            elsewhere: &[],
        };
        assert_eq!(diff(vec![entry("a", "1")], past).refused.len(), 1);
        assert_eq!(diff(vec![entry("a", "2")], past).send.len(), 1);
    }

    #[test]
    fn an_item_in_an_open_batch_is_not_planned_again() {
        let mut contents = against(vec![entry("a", "1").owed()]);
        contents.open = vec![entry("a", "1").key()];
        let found = compare(vec![entry("a", "1")], &contents);
        assert_eq!((found.send.len(), found.open), (0, 1));
    }

    #[test]
    fn a_new_set_takes_over_what_another_lost() {
        let contents = against(vec![]);
        let elsewhere = [entry("a", "1")];
        let past = Past {
            contents: &contents,
            refused: &[],
            held: &[],
            waiting: &[],
            due: &[],
            elsewhere: &elsewhere,
        };
        assert_eq!(
            diff(vec![entry("a", "1")], past).carried,
            vec![entry("a", "1")]
        );
        assert_eq!(diff(vec![entry("a", "2")], past).reasons.new, 1);
    }
}
