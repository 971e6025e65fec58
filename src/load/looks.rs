//! Looking again: tells that all that a scan has looked at is still the same,
//! and reads nothing but what could have changed without looking otherwise.
#![expect(
    clippy::disallowed_methods,
    reason = "looks again at what a scan has looked at"
)]

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::footprint::Footprint;
use super::stamp::Stamp;
use super::store::Kind;
use super::tree::PathInRoot;
use crate::digest::Digest;

/// So many paths are looked at by one thread.
const FEW: usize = 2_048;

/// How a path looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// `None` where nothing was there.
    pub(super) stamp: Option<Stamp>,
    pub(super) held: Held,
}

/// What tells whether something is still what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// Its looks: they are old enough to change with whatever it holds.
    AsItLooks,
    /// What the file holds.
    Bytes(Digest),
    /// What the folder lists.
    List(Digest),
    /// Nothing, so far.
    Unknown,
}

/// Everything that a scan has looked at.
#[derive(Clone, Debug)]
pub struct Looks(Vec<(PathInRoot, Look)>);

impl Looks {
    pub(super) fn new(looks: Vec<(PathInRoot, Look)>) -> Self {
        Self(looks)
    }

    /// Whether everything is what it was, seen from `roots` at `now_ms` since
    /// the epoch or later. What has been as it was for long enough is known by
    /// its looks alone from then on.
    pub fn are_still(&mut self, roots: &[PathBuf], now_ms: i64) -> bool {
        let Self(looks) = self;
        let is_still = |((root, path), look): &mut (PathInRoot, Look)| {
            let path = roots.get(*root).map(|root| root.join(path));
            path.is_some_and(|path| look.is_still(&path, now_ms))
        };
        // A daemon at rest does not wake other threads for what takes a millisecond.
        if looks.len() <= FEW {
            looks.iter_mut().all(is_still)
        } else {
            looks.par_iter_mut().all(is_still)
        }
    }

    /// What tells another process the same; `None` where looks do not.
    pub fn footprint(&self) -> Option<Footprint> {
        let Self(looks) = self;
        let seen = looks.iter().map(|(path, look)| {
            let is_known = look.held == Held::AsItLooks;
            is_known.then(|| (path.clone(), look.stamp))
        });
        seen.collect::<Option<Vec<_>>>().map(Footprint::new)
    }
}

impl Look {
    fn is_still(&mut self, path: &Path, now_ms: i64) -> bool {
        let found = std::fs::metadata(path).ok();
        let is_alike = found.map(|found| Stamp::from(&found)) == self.stamp;
        let is_same = is_alike && self.held.is_still(path);
        if is_same && self.stamp.is_some_and(|stamp| stamp.tells_all(now_ms)) {
            self.held = Held::AsItLooks;
        }
        is_same
    }
}

impl Held {
    fn is_still(self, path: &Path) -> bool {
        match self {
            Self::AsItLooks => true,
            Self::Bytes(before) => {
                let now = File::open(path).and_then(Digest::of_reader);
                now.is_ok_and(|now| now == before)
            }
            Self::List(before) => list(path).is_ok_and(|entries| digest_of_list(entries) == before),
            Self::Unknown => false,
        }
    }
}

fn list(folder: &Path) -> io::Result<Vec<(OsString, Kind)>> {
    let entries = std::fs::read_dir(folder)?.map(|entry| {
        let entry = entry?;
        let kind = Kind::from(entry.file_type()?);
        Ok((entry.file_name(), kind))
    });
    entries.collect()
}

/// Of what a folder lists, in any order.
pub(super) fn digest_of_list<N: AsRef<OsStr>>(entries: Vec<(N, Kind)>) -> Digest {
    let mut entries: Vec<(Vec<u8>, [u8; 1])> = entries
        .into_iter()
        .map(|(name, kind)| (name.as_ref().as_encoded_bytes().to_vec(), [kind as u8]))
        .collect();
    entries.sort_unstable();
    let parts = entries.iter();
    Digest::of_parts(parts.flat_map(|(name, kind)| [&name[..], &kind[..]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 0;

    /// Whether something at `path` that held what `held` says is still the same.
    fn is_still(path: &Path, held: Held) -> bool {
        let stamp = Some(Stamp::from(&std::fs::metadata(path).unwrap()));
        Look { stamp, held }.is_still(path, NOW_MS)
    }

    #[test]
    fn what_may_change_without_looking_otherwise_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        std::fs::write(&file, "1").unwrap();
        assert!(is_still(&file, Held::Bytes(Digest::of(b"1"))));
        assert!(!is_still(&file, Held::Bytes(Digest::of(b"2"))));
        assert!(!is_still(&file, Held::Unknown));
        let lists = |names: &[&str]| {
            let entries = names.iter().map(|name| (name, Kind::File));
            is_still(folder.path(), Held::List(digest_of_list(entries.collect())))
        };
        assert!(lists(&["a"]));
        assert!(!lists(&["a", "b"]));
        assert!(!lists(&[]));
    }

    #[test]
    fn once_old_enough_it_goes_by_its_looks() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        std::fs::write(&file, "1").unwrap();
        let mut look = Look {
            stamp: Some(Stamp::from(&std::fs::metadata(&file).unwrap())),
            held: Held::Bytes(Digest::of(b"1")),
        };
        assert!(look.is_still(&file, NOW_MS));
        assert_eq!(look.held, Held::Bytes(Digest::of(b"1")));
        assert!(look.is_still(&file, i64::MAX));
        assert_eq!(look.held, Held::AsItLooks);
        std::fs::write(&file, "22").unwrap();
        assert!(!look.is_still(&file, i64::MAX));
        std::fs::remove_file(&file).unwrap();
        assert!(!look.is_still(&file, i64::MAX));
    }
}
