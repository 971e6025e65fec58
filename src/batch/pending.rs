//! What is yet to be sent of a set, and looking for keys in it.

use std::ops::Deref;

use crate::digest::{Entry, Key};

/// Entries of a bucket, at most, on average: two lines of a cache.
const PER_BUCKET: usize = 8;

/// Sorted entries, one a key, and where each bucket of them starts.
///
/// Looking for a key among millions is waiting for memory: a search that halves
/// them waits some twenty times, and one in the key's bucket two or three.
pub struct Pending {
    entries: Vec<Entry>,
    /// Leading bits of keys that a bucket has in common.
    bits: u32,
    /// Where each bucket starts in `entries`, and where the last ends.
    starts: Vec<u32>,
}

impl Pending {
    /// These entries, which are sorted and have one a key.
    pub fn new(entries: Vec<Entry>) -> Self {
        debug_assert!(entries.is_sorted_by_key(|entry| entry.key()));
        let buckets = entries.len().div_ceil(PER_BUCKET).next_power_of_two();
        let bits = buckets.ilog2();
        let mut starts = Vec::with_capacity(buckets + 1);
        let mut at = 0;
        for bucket in 0..1 << bits {
            starts.push(place(at));
            let rest = entries[at..].iter().map(|entry| entry.key());
            at += rest.take_while(|key| key.bucket(bits) == bucket).count();
        }
        starts.push(place(at));
        Self {
            entries,
            bits,
            starts,
        }
    }

    /// Where the entry of `key` is.
    pub fn position(&self, key: Key) -> Option<usize> {
        let bucket = key.bucket(self.bits) as usize;
        let [from, to] = [bucket, bucket + 1].map(|at| self.starts[at] as usize);
        let found = self.entries[from..to].binary_search_by_key(&key, |entry| entry.key());
        found.ok().map(|at| from + at)
    }
}

impl Deref for Pending {
    type Target = [Entry];

    fn deref(&self) -> &[Entry] {
        &self.entries
    }
}

fn place(at: usize) -> u32 {
    u32::try_from(at).expect("four billion entries are 64 GiB, beyond what a plan can hold")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::digest::{ItemKind, Mark};

    fn entries(keys: &[[u8; 10]]) -> Vec<Entry> {
        let entry = |key: &[u8; 10]| Entry::new(Key::from_bytes(*key), Mark::OWED);
        let mut entries: Vec<Entry> = keys.iter().map(entry).collect();
        entries.sort_unstable();
        entries.dedup();
        entries
    }

    /// Keys that are spread evenly, or all begin alike.
    fn keys() -> impl Strategy<Value = Vec<[u8; 10]>> {
        (
            0..11_usize,
            proptest::collection::vec(any::<[u8; 10]>(), 0..400),
        )
            .prop_map(|(alike, mut keys)| {
                for key in &mut keys {
                    key[..alike.min(9)].fill(0xff * (alike % 2) as u8);
                }
                keys
            })
    }

    #[test]
    fn a_bucket_holds_few_however_many_there_are() {
        for count in [0, 1, 8, 9, 16, 17, 1000] {
            let key = |n: u32| Key::of(ItemKind::Url, &n.to_be_bytes());
            let entries = (0..count).map(|n| Entry::new(key(n), Mark::OWED));
            let mut entries: Vec<Entry> = entries.collect();
            entries.sort_unstable();
            let pending = Pending::new(entries);
            let buckets = pending.starts.len() - 1;
            assert!(
                count as usize <= buckets * PER_BUCKET,
                "{buckets} for {count}"
            );
            assert!((0..count).all(|n| pending.position(key(n)).is_some()));
        }
    }

    proptest! {
        #[test]
        fn every_key_is_found_where_it_is_and_no_other_is(keys in keys(), other: [u8; 10]) {
            let pending = Pending::new(entries(&keys));
            for (at, entry) in pending.iter().enumerate() {
                prop_assert_eq!(pending.position(entry.key()), Some(at));
            }
            for key in [[0; 10], [0xff; 10], other] {
                let key = Key::from_bytes(key);
                let found = pending.binary_search_by_key(&key, |entry| entry.key());
                prop_assert_eq!(pending.position(key), found.ok());
            }
        }
    }
}
