//! What tells that a file is still the one that was read.

/// Changes with whatever a path leads to, or with its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// Device and inode.
    pub file: (u64, u64),
    /// Bytes.
    pub size: u64,
    /// When the content changed, in seconds and nanoseconds since the epoch;
    /// whoever may write the file may set it.
    pub modified: (i64, i64),
    /// When anything about the file changed; only the kernel sets it.
    pub changed: (i64, i64),
}

impl Stamp {
    /// The same in bytes, each number in eight of them.
    pub(super) fn bytes(&self) -> [u8; 56] {
        let numbers = [self.file.0, self.file.1, self.size];
        let times = [self.modified, self.changed].into_iter();
        let times = times.flat_map(|(seconds, nanos)| [seconds, nanos].map(i64::cast_unsigned));
        let mut bytes = [0; 56];
        let (places, _) = bytes.as_chunks_mut();
        for (place, number) in places.iter_mut().zip(numbers.into_iter().chain(times)) {
            *place = number.to_be_bytes();
        }
        bytes
    }

    /// Whether the file cannot change any more without another stamp, for who reads
    /// it at `now_ms` or later, not even by way of another image in its place: one
    /// that is made to be reproducible gives all of its files one time, of whole
    /// seconds, and files of different content look alike there.
    pub(super) fn tells_all(&self, now_ms: i64) -> bool {
        self.is_settled(now_ms) && self.changed.1 != 0
    }

    /// The later of its times, in milliseconds since the epoch.
    fn newest_ms(&self) -> i64 {
        let (seconds, nanos) = self.modified.max(self.changed);
        seconds
            .saturating_mul(1000)
            .saturating_add(nanos / 1_000_000)
    }

    /// Whether the file cannot change any more without another stamp, for who
    /// reads it at `now_ms` or later.
    ///
    /// A file system keeps times in steps, of two seconds at most. Whatever is
    /// written within the step that a stamp shows leaves the stamp as it is.
    pub(super) fn is_settled(&self, now_ms: i64) -> bool {
        const STEP_MS: i64 = 2_000;
        self.newest_ms() < now_ms.saturating_sub(STEP_MS)
    }
}

impl From<&cap_std::fs::Metadata> for Stamp {
    fn from(metadata: &cap_std::fs::Metadata) -> Self {
        use cap_std::fs::MetadataExt as _;
        Self {
            file: (metadata.dev(), metadata.ino()),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl From<&std::fs::Metadata> for Stamp {
    fn from(metadata: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        Self {
            file: (metadata.dev(), metadata.ino()),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_whole_seconds_or_of_late_do_not_tell_all() {
        let stamp = |changed| Stamp {
            file: (1, 2),
            size: 3,
            modified: (1_000, 0),
            changed,
        };
        assert!(stamp((1_000, 1)).tells_all(1_010_000));
        assert!(!stamp((1_000, 0)).tells_all(1_010_000));
        assert!(!stamp((1_000, 1)).tells_all(1_001_000));
    }
}
