//! What files held when they were last read. As with git's index, a file is
//! not read again while nothing about it has changed.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::stamp::Stamp;
use crate::digest::Digest;

/// What a file held when it had that stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Indexed {
    /// When anything of it changes, so may the content have.
    pub stamp: Stamp,
    /// Of the content.
    pub digest: Digest,
}

type Source = dyn Fn() -> Vec<Indexed> + Send + Sync;

/// The files that are known. It goes by device and inode, so that one index
/// serves all roots, by whatever path they are given.
#[derive(Default)]
pub struct Index {
    source: Option<Box<Source>>,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    /// By file; not there until the first file is asked for.
    known: Option<HashMap<(u64, u64), Indexed>>,
    /// What was asked for since the scan began.
    used: HashSet<(u64, u64)>,
    /// When the scan began; before, nothing can be learnt.
    begun_ms: Option<i64>,
    /// Files read since the scan began.
    read: u64,
    is_changed: bool,
}

impl Index {
    /// An index that begins with what `source` knows, once anybody asks.
    pub fn new(source: impl Fn() -> Vec<Indexed> + Send + Sync + 'static) -> Self {
        Self {
            source: Some(Box::new(source)),
            entries: Mutex::default(),
        }
    }

    /// A scan begins at `now_ms` since the epoch, or later.
    pub fn begin(&self, now_ms: i64) {
        let mut entries = self.entries();
        entries.begun_ms = Some(now_ms);
        entries.used.clear();
        entries.read = 0;
    }

    /// When the scan began, in milliseconds since the epoch.
    pub(super) fn begun_ms(&self) -> Option<i64> {
        self.entries().begun_ms
    }

    /// Drops what was not asked for since the scan began.
    pub fn forget_unused(&self) {
        let mut entries = self.entries();
        let Entries { known, used, .. } = &mut *entries;
        let Some(known) = known else { return };
        let before = known.len();
        known.retain(|file, _| used.contains(file));
        let is_less = known.len() < before;
        entries.is_changed |= is_less;
    }

    /// Files that had to be read since the scan began.
    pub fn files_read(&self) -> u64 {
        self.entries().read
    }

    /// All that is known, in order, where it differs from what it was when
    /// this was last asked, or from what the source knew.
    pub fn news(&self) -> Option<Vec<Indexed>> {
        let mut entries = self.entries();
        if !std::mem::take(&mut entries.is_changed) {
            return None;
        }
        let known = entries.known.iter().flat_map(HashMap::values);
        let mut known: Vec<Indexed> = known.copied().collect();
        known.sort_unstable();
        Some(known)
    }

    /// What the file with this stamp holds, if it is known.
    pub(super) fn find(&self, stamp: &Stamp) -> Option<Digest> {
        let mut entries = self.entries();
        entries.used.insert(stamp.file);
        let source = || {
            self.source
                .as_ref()
                .map_or_else(Vec::new, |source| source())
        };
        let known = entries.known.get_or_insert_with(|| {
            let known = source().into_iter();
            known.map(|indexed| (indexed.stamp.file, indexed)).collect()
        });
        let found = known.get(&stamp.file);
        found
            .filter(|indexed| indexed.stamp == *stamp)
            .map(|indexed| indexed.digest)
    }

    /// Takes down what was read after the file had that stamp, unless the file
    /// may change without another one.
    pub(super) fn learn(&self, stamp: Stamp, digest: Digest) {
        let mut entries = self.entries();
        entries.read += 1;
        let is_settled = entries
            .begun_ms
            .is_some_and(|begun| stamp.is_settled(begun));
        let known = entries.known.get_or_insert_default();
        let is_news = if is_settled {
            known.insert(stamp.file, Indexed { stamp, digest });
            true
        } else {
            known.remove(&stamp.file).is_some()
        };
        entries.is_changed |= is_news;
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_800_000_000_000;

    fn stamp(modified_ms: i64, changed_ms: i64) -> Stamp {
        let time = |ms: i64| (ms / 1000, ms % 1000 * 1_000_000);
        Stamp {
            file: (1, 2),
            size: 4,
            modified: time(modified_ms),
            changed: time(changed_ms),
        }
    }

    /// Whether a file of these times is still known after a scan that read it.
    fn check(modified_ms: i64, changed_ms: i64, is_known: bool) {
        let index = Index::default();
        index.begin(NOW_MS);
        let stamp = stamp(NOW_MS + modified_ms, NOW_MS + changed_ms);
        assert_eq!(index.find(&stamp), None);
        index.learn(stamp, Digest::of(b"abcd"));
        let expected = is_known.then(|| Digest::of(b"abcd"));
        assert_eq!(index.find(&stamp), expected, "{modified_ms} {changed_ms}");
        assert_eq!(index.news().map(|known| known.len()), is_known.then_some(1));
    }

    #[test]
    fn a_file_that_may_still_change_under_its_stamp_is_read_again() {
        check(-3_000, -3_000, true);
        check(-2_000, -9_000, false);
        check(-9_000, -2_000, false);
        check(0, 0, false);
        check(i64::from(u32::MAX), -9_000, false);
    }

    #[test]
    fn anything_that_differs_in_a_stamp_makes_the_file_unknown() {
        let index = Index::new(|| {
            vec![Indexed {
                stamp: stamp(1, 2),
                digest: Digest::of(b"abcd"),
            }]
        });
        let known = stamp(1, 2);
        assert!(index.find(&known).is_some());
        for other in [
            Stamp { size: 5, ..known },
            Stamp {
                file: (1, 3),
                ..known
            },
            Stamp {
                file: (2, 2),
                ..known
            },
            stamp(2, 2),
            stamp(1, 3),
        ] {
            assert_eq!(index.find(&other), None, "{other:?}");
        }
        assert_eq!(index.news(), None);
    }

    #[test]
    fn only_what_a_scan_did_not_ask_for_is_dropped() {
        let other = Stamp {
            file: (1, 3),
            ..stamp(1, 1)
        };
        let index = Index::new(move || {
            let digest = Digest::of(b"abcd");
            [stamp(1, 1), other]
                .map(|stamp| Indexed { stamp, digest })
                .to_vec()
        });
        index.begin(NOW_MS);
        index.find(&other);
        index.forget_unused();
        let news = index.news().unwrap();
        assert_eq!(news.len(), 1);
        assert_eq!(news[0].stamp, other);
        assert_eq!(index.news(), None);
    }
}
