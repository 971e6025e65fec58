//! Looking for a key among millions of sorted entries.

use crate::digest::{Entry, Key};

/// The first steps away from a guess.
const STEP: usize = 16;

/// Where the entry of `key` is in `sorted`, which has one entry a key.
///
/// Keys are hashes, so they are spread evenly: it is looked for where it ought
/// to be, and from there in ever wider steps. That touches a third of the memory
/// that halving touches.
pub fn position(sorted: &[Entry], key: Key) -> Option<usize> {
    let guess = guess(sorted, key)?;
    let is_before = |at: usize| sorted[at].key() < key;
    let mut step = STEP;
    let (from, to) = if is_before(guess) {
        let mut from = guess + 1;
        while from + step < sorted.len() && is_before(from + step) {
            from += step + 1;
            step *= 2;
        }
        (from, sorted.len().min(from + step))
    } else {
        let mut to = guess;
        while to > step && !is_before(to - step) {
            to -= step;
            step *= 2;
        }
        (to.saturating_sub(step), to)
    };
    let at = from + sorted[from..to].partition_point(|entry| entry.key() < key);
    (sorted.get(at)?.key() == key).then_some(at)
}

/// Where the key ought to be, by what stands where it was first looked for.
fn guess(sorted: &[Entry], key: Key) -> Option<usize> {
    let length = i64::try_from(sorted.len())
        .ok()
        .filter(|length| *length > 0)?;
    let leading = |key: Key| i64::from(key.bucket(u32::BITS));
    let places = |distance: i64| {
        let product = i128::from(distance) * i128::from(length);
        (product >> u32::BITS) as i64
    };
    let at = |place: i64| place.clamp(0, length - 1).unsigned_abs() as usize;
    let first = places(leading(key));
    let missed = leading(key) - leading(sorted[at(first)].key());
    Some(at(first + places(missed)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::digest::Mark;

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

    proptest! {
        #[test]
        fn every_key_is_found_where_it_is_and_no_other_is(keys in keys(), other: [u8; 10]) {
            let sorted = entries(&keys);
            for (at, entry) in sorted.iter().enumerate() {
                prop_assert_eq!(position(&sorted, entry.key()), Some(at));
            }
            for key in [[0; 10], [0xff; 10], other] {
                let key = Key::from_bytes(key);
                let found = sorted.binary_search_by_key(&key, |entry| entry.key());
                prop_assert_eq!(position(&sorted, key), found.ok());
            }
        }
    }
}
