//! Sorted entries: sealing them into blobs, and editing them by merging.

use rayon::prelude::*;

use crate::digest::{Digest, Entry, Key};

/// More entries than this in a bucket, on average, and buckets are split.
const CROWDED: u64 = 4096;
const WANTED: u64 = 2048;

/// By how many leading bits `count` entries are best cut into buckets, if
/// they are cut by `bits` now.
pub(super) fn bits_for(count: u64, bits: u32) -> u32 {
    if count >> bits <= CROWDED {
        return bits;
    }
    (bits..20)
        .find(|bits| count >> bits <= WANTED)
        .unwrap_or(20)
}

/// Appends the entries of a blob, unless it is not what it was.
pub(super) fn unseal(
    bytes: &[u8],
    digest: Digest,
    into: &mut Vec<Entry>,
) -> Result<(), &'static str> {
    if Digest::of(bytes) != digest {
        return Err("its digest does not match");
    }
    let (chunks, rest) = bytes.as_chunks::<{ Entry::SIZE }>();
    if !rest.is_empty() {
        return Err("it ends within an entry");
    }
    into.extend(chunks.iter().copied().map(Entry::from_bytes));
    Ok(())
}

/// What is to become of some keys, each slice sorted; applied in this order.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Edits<'e> {
    /// Accepted claims: written as they are.
    pub(super) overlay: &'e [Entry],
    /// Owed from now on, where they are present.
    pub(super) owe: &'e [Entry],
    /// Written as they are.
    pub(super) record: &'e [Entry],
    /// No longer there.
    pub(super) forget: &'e [Key],
}

impl Edits<'_> {
    /// The bucket of the first key that is edited.
    pub(super) fn first_bucket(&self, bits: u32) -> Option<u32> {
        self.first().map(|key| key.bucket(bits))
    }

    /// Takes the edits of all keys in buckets up to `bucket` off the front.
    pub(super) fn split_off(&mut self, bucket: u32, bits: u32) -> Self {
        let entry_is_in = |entry: &Entry| entry.key().bucket(bits) <= bucket;
        Self {
            overlay: split_off(&mut self.overlay, entry_is_in),
            owe: split_off(&mut self.owe, entry_is_in),
            record: split_off(&mut self.record, entry_is_in),
            forget: split_off(&mut self.forget, |key| key.bucket(bits) <= bucket),
        }
    }

    /// `entries` as they are afterwards.
    pub(super) fn apply(&self, entries: Vec<Entry>) -> Vec<Entry> {
        let mut entries = overlay(entries, self.overlay);
        owe(&mut entries, self.owe.iter().map(|entry| entry.key()));
        let mut entries = overlay(entries, self.record);
        forget(&mut entries, self.forget);
        entries
    }

    fn first(&self) -> Option<Key> {
        let entries = [self.overlay, self.owe, self.record];
        let firsts = entries.iter().filter_map(|entries| entries.first());
        let first = firsts.map(|entry| entry.key()).min();
        first.into_iter().chain(self.forget.first().copied()).min()
    }
}

fn split_off<'e, T>(edits: &mut &'e [T], is_in: impl FnMut(&T) -> bool) -> &'e [T] {
    let (front, rest) = edits.split_at(edits.partition_point(is_in));
    *edits = rest;
    front
}

/// `base` with `above` written over it; both sorted, one entry a key.
pub(super) fn overlay(base: Vec<Entry>, above: &[Entry]) -> Vec<Entry> {
    if above.is_empty() {
        return base;
    }
    let mut merged = Vec::with_capacity(base.len() + above.len());
    let mut base = base.into_iter().peekable();
    for entry in above {
        while let Some(below) = base.next_if(|below| below.key() < entry.key()) {
            merged.push(below);
        }
        let _covered = base.next_if(|below| below.key() == entry.key());
        merged.push(*entry);
    }
    merged.extend(base);
    merged
}

/// Makes the sorted `keys` owed, where they are present.
pub(super) fn owe(entries: &mut [Entry], keys: impl Iterator<Item = Key>) {
    let mut at = 0;
    for key in keys {
        at += entries[at..].partition_point(|entry| entry.key() < key);
        match entries.get_mut(at) {
            Some(entry) if entry.key() == key => *entry = entry.owed(),
            Some(_) => {}
            None => break,
        }
    }
}

fn forget(entries: &mut Vec<Entry>, keys: &[Key]) {
    if !keys.is_empty() {
        entries.retain(|entry| keys.binary_search(&entry.key()).is_err());
    }
}

/// Leaves one entry for each key, the last one of `entries`, in order.
pub(super) fn last_of_each(mut entries: Vec<Entry>) -> Vec<Entry> {
    entries.par_sort_by_key(|entry| entry.key());
    entries.reverse();
    entries.dedup_by_key(|entry| entry.key());
    entries.reverse();
    entries
}
