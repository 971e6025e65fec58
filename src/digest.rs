//! Digests: what an item, its revisions and a whole set hash to.
//!
//! An *entry* is 16 bytes: a key (which item) and a mark (at which revisions).
//! Entries are kept as `u128` so that sorting and comparing them is comparing
//! numbers; on disk they are big-endian, so byte order is the same order.

use std::fmt;
use std::io;

use sha2::{Digest as _, Sha256};

/// Names the way keys and marks are computed; recorded with every ledger, so
/// that a later way can be told from this one.
pub const ALGORITHM: &str = "freshen-1";

/// Starts every hashed key and mark, and keeps them apart from any other hash.
const TAG: &[u8] = b"freshen1";

const MARK_BITS: u32 = 48;
const MARK_MASK: u128 = (1 << MARK_BITS) - 1;

/// What an item is, since a URL and a tag may be spelt alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemKind {
    /// A URL, byte for byte as it is sent.
    Url,
}

impl ItemKind {
    fn tag(self) -> &'static [u8] {
        match self {
            Self::Url => b"url",
        }
    }
}

/// Which item: the first 10 bytes of SHA-256 over algorithm, kind, 0, item.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(u128);

impl Key {
    /// The key of `item` as it goes out, after the wire step.
    pub fn of(kind: ItemKind, item: &[u8]) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(TAG);
        hasher.update(kind.tag());
        hasher.update([0]);
        hasher.update(item);
        let hash = hasher.finalize();
        Self(be_prefix(&hash, 10))
    }

    /// The 10 bytes, for storage and display.
    pub fn to_bytes(self) -> [u8; 10] {
        let all = self.0.to_be_bytes();
        let mut bytes = [0; 10];
        bytes.copy_from_slice(&all[6..]);
        bytes
    }

    /// The inverse of [`Key::to_bytes`].
    pub fn from_bytes(bytes: [u8; 10]) -> Self {
        Self(be_prefix(&bytes, 10))
    }

    /// The leading `bits` (at most 32) of the key: its bucket.
    pub fn bucket(self, bits: u32) -> u32 {
        (self.0 >> (80 - bits)) as u32
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:020x}", self.0)
    }
}

/// At which revisions: 6 bytes of SHA-256, zero for *owed*, or all ones for
/// *removed*.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark(u64);

impl Mark {
    /// The CDN is owed this item, whatever its revision.
    pub const OWED: Self = Self(0);

    /// The CDN is told that nothing declares this item any more.
    pub const REMOVED: Self = Self(MARK_MASK as u64);

    /// The mark of the revisions that apply, by position; absent differs from
    /// empty because presence is hashed before the length-prefixed text.
    pub fn of(revisions: &[Option<&str>]) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(TAG);
        hasher.update(b"mark");
        for revision in revisions {
            match revision {
                None => hasher.update([0]),
                Some(text) => {
                    hasher.update([1]);
                    hasher.update((text.len() as u64).to_be_bytes());
                    hasher.update(text.as_bytes());
                }
            }
        }
        Self::from_hash(&hasher.finalize())
    }

    /// One mark for an item that was declared at several: the hash of the
    /// sorted, distinct ones; a single one stays as it is.
    pub fn combined(marks: &mut Vec<Self>) -> Self {
        marks.sort_unstable();
        marks.dedup();
        if let [only] = marks[..] {
            return only;
        }
        let mut hasher = Sha256::new();
        hasher.update(TAG);
        hasher.update(b"marks");
        for mark in marks {
            hasher.update(mark.0.to_be_bytes());
        }
        Self::from_hash(&hasher.finalize())
    }

    /// Whether this is [`Mark::OWED`].
    pub fn is_owed(self) -> bool {
        self == Self::OWED
    }

    /// Whether this is [`Mark::REMOVED`].
    pub fn is_removed(self) -> bool {
        self == Self::REMOVED
    }

    /// The 6 bytes as a number below 2^48.
    pub fn to_u64(self) -> u64 {
        self.0
    }

    fn from_hash(hash: &[u8]) -> Self {
        // A real revision must never read as owed or removed.
        Self((be_prefix(hash, 6) as u64).clamp(1, Self::REMOVED.0 - 1))
    }
}

impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012x}", self.0)
    }
}

/// A key at a mark; orders by key, then mark.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry(u128);

impl Entry {
    /// Bytes of one stored entry.
    pub const SIZE: usize = 16;

    /// The entry of `key` at `mark`.
    pub fn new(key: Key, mark: Mark) -> Self {
        Self(key.0 << MARK_BITS | u128::from(mark.0))
    }

    /// Which item.
    pub fn key(self) -> Key {
        Key(self.0 >> MARK_BITS)
    }

    /// At which revisions.
    pub fn mark(self) -> Mark {
        Mark((self.0 & MARK_MASK) as u64)
    }

    /// The same item, no longer declared.
    #[must_use]
    pub fn removed(self) -> Self {
        Self(self.0 | MARK_MASK)
    }

    /// The same item, owed.
    #[must_use]
    pub fn owed(self) -> Self {
        Self(self.0 & !MARK_MASK)
    }

    /// The stored form: big-endian, so that bytes sort as entries do.
    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        self.0.to_be_bytes()
    }

    /// The inverse of [`Entry::to_bytes`].
    pub fn from_bytes(bytes: [u8; Self::SIZE]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{:?}", self.key(), self.mark())
    }
}

/// Entries in stored form, one after the other.
pub fn entries_to_bytes(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(entries.len() * Entry::SIZE);
    for entry in entries {
        bytes.extend_from_slice(&entry.to_bytes());
    }
    bytes
}

/// The inverse of [`entries_to_bytes`]; `None` where the length is no multiple
/// of [`Entry::SIZE`].
pub fn entries_from_bytes(bytes: &[u8]) -> Option<Vec<Entry>> {
    let (chunks, rest) = bytes.as_chunks::<{ Entry::SIZE }>();
    rest.is_empty()
        .then(|| chunks.iter().copied().map(Entry::from_bytes).collect())
}

/// A SHA-256: of a set's sorted entries, of a file, of a tree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest of all that `reader` yields, a piece at a time.
    pub fn of_reader(mut reader: impl io::Read) -> io::Result<Self> {
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 64 << 10];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(Self(hasher.finalize().into())),
                Ok(length) => hasher.update(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The digest of several parts, each prefixed by its length so that no two
    /// ways of cutting collide.
    pub fn of_parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        Self(hasher.finalize().into())
    }

    /// The digest of a set: SHA-256 over its sorted entries in stored form.
    pub fn of_entries(sorted: &[Entry]) -> Self {
        debug_assert!(sorted.is_sorted());
        let mut hasher = Sha256::new();
        let mut buffer = Vec::with_capacity(1024 * Entry::SIZE);
        for chunk in sorted.chunks(1024) {
            buffer.clear();
            for entry in chunk {
                buffer.extend_from_slice(&entry.to_bytes());
            }
            hasher.update(&buffer);
        }
        Self(hasher.finalize().into())
    }

    /// The first 12 hexadecimal digits: enough to name a plan or batch to a person.
    pub fn short(&self) -> String {
        self.to_string()[..12].to_owned()
    }

    /// Whether `text` is all of a digest or enough of it to name a plan.
    pub fn is_named_by(text: &str) -> bool {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        (12..=64).contains(&text.len()) && text.bytes().all(is_digit)
    }

    /// Reads 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The first `length` bytes of `bytes` as a big-endian number.
fn be_prefix(bytes: &[u8], length: usize) -> u128 {
    bytes[..length]
        .iter()
        .fold(0, |number, byte| number << 8 | u128::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_survives_storage_and_sorts_as_its_bytes() {
        let mut entries: Vec<Entry> = ["a", "b", "c", "d"]
            .iter()
            .map(|url| {
                Entry::new(
                    Key::of(ItemKind::Url, url.as_bytes()),
                    Mark::of(&[Some(url)]),
                )
            })
            .collect();
        entries.sort_unstable();
        let bytes = entries_to_bytes(&entries);
        assert!(bytes.chunks(Entry::SIZE).is_sorted());
        assert_eq!(entries_from_bytes(&bytes), Some(entries.clone()));
        assert_eq!(entries[0].owed().key(), entries[0].key());
        assert!(entries[0].owed().mark().is_owed());
        assert_eq!(
            Key::from_bytes(entries[0].key().to_bytes()),
            entries[0].key()
        );
    }

    #[test]
    fn an_absent_revision_differs_from_an_empty_one_and_positions_count() {
        let absent = Mark::of(&[None, Some("1")]);
        assert_ne!(absent, Mark::of(&[Some(""), Some("1")]));
        assert_ne!(absent, Mark::of(&[Some("1"), None]));
        assert_ne!(absent, Mark::OWED);
    }

    #[test]
    fn keys_and_marks_are_stable_across_versions() {
        let key = Key::of(
            ItemKind::Url,
            b"https://s7d1.scene7.com/is/image/AcmeCorp/backpack",
        );
        insta::assert_snapshot!(key, @"a1db8d51835561b29117");
        insta::assert_snapshot!(format!("{:?}", Mark::of(&[Some("1"), None])), @"0b816ec09cca");
    }
}
