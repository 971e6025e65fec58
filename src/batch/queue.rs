//! The queue of one target: what its sets still want sent, and how batches
//! are cut from it, filled across sets.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use super::journal::Claim;
use super::pending::Pending;
use super::rate::Class;
use crate::digest::{Entry, Key};
use crate::plan::recorded::LedgerId;

/// Where the text of pending items comes from: a cursor into an expansion, so
/// that nothing holds all URLs at once.
pub trait ItemSource: Send {
    /// The next items whose entries are among those of `wanted`, about `at_most`,
    /// and where each entry is there; none when the source is at its end. An item
    /// may come more than once. All calls want the same, so that a source may look
    /// ahead.
    fn read(&mut self, wanted: &Arc<Pending>, at_most: usize) -> Vec<(usize, Box<str>)>;
}

/// What one ledger wants sent.
pub struct Work {
    set: String,
    ledger: LedgerId,
    class: Class,
    pending: Arc<Pending>,
    is_taken: Vec<bool>,
    left: usize,
    source: Box<dyn ItemSource>,
    /// With the positions of their entries.
    buffer: VecDeque<(usize, Box<str>)>,
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work")
            .field("set", &self.set)
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

impl Work {
    /// Work of `set`: `pending` is sorted, and `source` yields its items.
    pub fn new(
        set: &str,
        ledger: LedgerId,
        class: Class,
        pending: Vec<Entry>,
        source: Box<dyn ItemSource>,
    ) -> Self {
        Self {
            set: set.to_owned(),
            ledger,
            class,
            is_taken: vec![false; pending.len()],
            left: pending.len(),
            pending: Arc::new(Pending::new(pending)),
            source,
            buffer: VecDeque::new(),
        }
    }

    /// Where the entry of `key` is, if it is still wanted.
    fn position(&self, key: Key) -> Option<usize> {
        let position = self.pending.position(key)?;
        (!self.is_taken[position]).then_some(position)
    }

    /// The position of the entry that is taken, if it was still wanted.
    fn take(&mut self, key: Key) -> Option<usize> {
        let position = self.position(key)?;
        self.take_at(position);
        Some(position)
    }

    fn take_at(&mut self, position: usize) {
        self.is_taken[position] = true;
        // Of a source that ended none are left, yet another work may send what it wanted.
        self.left = self.left.saturating_sub(1);
    }

    /// The next item that is still wanted, and where its entry is.
    fn next(&mut self, at_most: usize) -> Option<(usize, Box<str>)> {
        loop {
            while let Some((position, item)) = self.buffer.pop_front() {
                if !self.is_taken[position] {
                    return Some((position, item));
                }
            }
            if self.left == 0 {
                return None;
            }
            let found = self.source.read(&self.pending, at_most);
            if found.is_empty() {
                return None;
            }
            self.buffer.extend(found);
        }
    }
}

/// Everything a target is yet to be sent, besides repeats and halves.
#[derive(Debug, Default)]
pub struct Queue {
    works: Vec<Work>,
    /// Keys that several works want: they go once, with a claim for each;
    /// found when the first batch is cut.
    shared: Option<HashMap<Key, Vec<usize>>>,
}

impl Queue {
    /// Adds work. Forced work of a ledger takes its items out of the planned
    /// work of the same ledger: they are on their way.
    pub fn add(&mut self, work: Work) {
        if work.class == Class::Forced {
            for planned in self
                .works
                .iter_mut()
                .filter(|other| other.ledger == work.ledger)
            {
                for entry in work.pending.iter() {
                    planned.take(entry.key());
                }
            }
        }
        self.works.push(work);
        self.shared = None;
    }

    /// Items not yet cut, of one class.
    pub fn left(&self, class: Class) -> usize {
        self.works
            .iter()
            .filter(|work| work.class == class)
            .map(|work| work.left)
            .sum()
    }

    /// The ledgers for which items are not yet cut.
    pub fn ledgers(&self) -> impl Iterator<Item = LedgerId> {
        let works = self.works.iter().filter(|work| work.left > 0);
        works.map(|work| work.ledger)
    }

    /// Cuts up to `at_most` items of one class, sets with the fewest
    /// outstanding first; `None` when nothing is left.
    pub fn cut(&mut self, class: Class, at_most: usize) -> Option<(Vec<Box<str>>, Vec<Claim>)> {
        let mut order: Vec<usize> = (0..self.works.len())
            .filter(|&at| self.works[at].class == class && self.works[at].left > 0)
            .collect();
        order.sort_by_key(|&at| (self.works[at].left, at));
        let mut items = Vec::new();
        let mut cut = vec![Vec::new(); self.works.len()];
        let shared = self
            .shared
            .take()
            .unwrap_or_else(|| shared_keys(&self.works));
        for at in order {
            while items.len() < at_most {
                let work = &mut self.works[at];
                let Some((position, item)) = work.next(at_most) else {
                    // The source is at its end: what it did not yield is not there to send.
                    work.left = 0;
                    break;
                };
                items.push(item);
                work.take_at(position);
                cut[at].push(position);
                if shared.is_empty() {
                    // The entry itself is left alone: see `claims`.
                    continue;
                }
                let key = work.pending[position].key();
                for &claimant in shared.get(&key).into_iter().flatten() {
                    cut[claimant].extend(self.works[claimant].take(key));
                }
            }
        }
        self.shared = Some(shared);
        (!items.is_empty()).then(|| (items, self.claims(&cut)))
    }

    /// The entries at these positions of each work, by ledger. They are read here and
    /// not one by one as they are taken, so that memory is waited for once and not
    /// each time.
    fn claims(&self, cut: &[Vec<usize>]) -> Vec<Claim> {
        let mut claims: BTreeMap<LedgerId, Vec<Entry>> = BTreeMap::new();
        let cut = self.works.iter().zip(cut);
        for (work, positions) in cut.filter(|(_, positions)| !positions.is_empty()) {
            let entries = positions.iter().map(|position| work.pending[*position]);
            claims.entry(work.ledger).or_default().extend(entries);
        }
        let claims = claims.into_iter().map(|(ledger, mut entries)| {
            entries.sort_unstable();
            Claim { ledger, entries }
        });
        claims.collect()
    }
}

fn shared_keys(works: &[Work]) -> HashMap<Key, Vec<usize>> {
    if works.len() < 2 {
        return HashMap::new();
    }
    let mut all: Vec<(Key, usize)> = works
        .iter()
        .enumerate()
        .flat_map(|(at, work)| work.pending.iter().map(move |entry| (entry.key(), at)))
        .collect();
    all.sort_unstable();
    let runs = all
        .chunk_by(|left, right| left.0 == right.0)
        .filter(|run| run.len() > 1);
    runs.map(|run| (run[0].0, run.iter().map(|(_, at)| *at).collect()))
        .collect()
}

/// Items that are at hand, such as URLs given on the command line.
#[derive(Debug, Default)]
pub struct ListSource(VecDeque<(Key, Box<str>)>);

impl ListSource {
    /// Yields `items` in order.
    pub fn new(items: impl IntoIterator<Item = (Key, Box<str>)>) -> Self {
        Self(items.into_iter().collect())
    }
}

impl ItemSource for ListSource {
    fn read(&mut self, wanted: &Arc<Pending>, at_most: usize) -> Vec<(usize, Box<str>)> {
        let mut found = Vec::new();
        while found.len() < at_most
            && let Some((key, item)) = self.0.pop_front()
        {
            let position = wanted.position(key);
            found.extend(position.map(|position| (position, item)));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{ItemKind, Mark};

    fn key(item: &str) -> Key {
        Key::of(ItemKind::Url, item.as_bytes())
    }

    fn entries(set: &str, items: &[&str]) -> Vec<Entry> {
        let mark = Mark::of(&[Some(set)]);
        let mut entries: Vec<Entry> = items
            .iter()
            .map(|item| Entry::new(key(item), mark))
            .collect();
        entries.sort_unstable();
        entries
    }

    fn work(set: &str, ledger: i64, class: Class, items: &[&str]) -> Work {
        let source = ListSource::new(items.iter().map(|item| (key(item), (*item).into())));
        let pending = entries(set, items);
        Work::new(set, LedgerId(ledger), class, pending, Box::new(source))
    }

    fn cut(queue: &mut Queue, class: Class, at_most: usize) -> (Vec<String>, Vec<(i64, usize)>) {
        let (items, claims) = queue.cut(class, at_most).unwrap_or_default();
        let claims = claims
            .iter()
            .map(|claim| (claim.ledger.0, claim.entries.len()))
            .collect();
        (items.iter().map(ToString::to_string).collect(), claims)
    }

    #[test]
    fn a_batch_is_filled_across_sets_the_smallest_first() {
        let mut queue = Queue::default();
        queue.add(work("large", 1, Class::Planned, &["a", "b", "c"]));
        queue.add(work("small", 2, Class::Planned, &["d"]));
        assert_eq!(
            cut(&mut queue, Class::Planned, 3),
            (
                vec!["d".into(), "a".into(), "b".into()],
                vec![(1, 2), (2, 1)]
            )
        );
        assert_eq!(queue.left(Class::Planned), 1);
        assert_eq!(cut(&mut queue, Class::Planned, 3).0, ["c"]);
        assert_eq!(queue.cut(Class::Planned, 3), None);
    }

    #[test]
    fn what_two_sets_want_goes_once_with_two_claims() {
        let (one, two) = (["a", "b", "c"], ["c", "d", "e", "a"]);
        let mut queue = Queue::default();
        queue.add(work("one", 1, Class::Planned, &one));
        queue.add(work("two", 2, Class::Planned, &two));
        let (items, claims) = queue.cut(Class::Planned, 10).unwrap();
        assert_eq!(items.concat(), "abcde");
        let claim = |ledger, set, items: &[&str]| {
            let entries = entries(set, items);
            let ledger = LedgerId(ledger);
            Claim { ledger, entries }
        };
        assert_eq!(claims, [claim(1, "one", &one), claim(2, "two", &two)]);
    }

    #[test]
    fn what_a_source_does_not_yield_goes_with_a_set_that_yields_it() {
        let mut queue = Queue::default();
        let mut short = work("short", 1, Class::Planned, &["a", "b"]);
        short.source = Box::new(ListSource::default());
        queue.add(short);
        queue.add(work("whole", 2, Class::Planned, &["b", "c", "d"]));
        let (items, claims) = cut(&mut queue, Class::Planned, 10);
        assert_eq!(items, ["b", "c", "d"]);
        assert_eq!(claims, [(1, 1), (2, 3)]);
        assert_eq!(queue.cut(Class::Planned, 10), None);
    }

    #[test]
    fn forced_work_is_cut_by_itself_and_not_planned_twice() {
        let mut queue = Queue::default();
        queue.add(work("set", 1, Class::Planned, &["a", "b"]));
        queue.add(work("set", 1, Class::Forced, &["a"]));
        assert_eq!(cut(&mut queue, Class::Forced, 10).0, ["a"]);
        assert_eq!(cut(&mut queue, Class::Planned, 10).0, ["b"]);
    }
}
