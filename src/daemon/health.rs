//! Whether the daemon lives and is ready, for probes and watchdogs.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// The loop is stuck once it has shown no sign for this long.
const STALLED_MS: i64 = 2 * 60 * 1000;

/// Written by the loop, read by probes. Never depends on a CDN: an outage
/// there must not get the daemon restarted.
#[derive(Debug, Default)]
pub struct Health {
    /// Milliseconds of a clock that never jumps.
    beat_ms: AtomicI64,
    has_scanned: AtomicBool,
    is_writable: AtomicBool,
}

impl Health {
    /// The loop has come round, at `now_ms` of a clock that never jumps.
    pub fn beat(&self, now_ms: i64) {
        self.beat_ms.store(now_ms, Ordering::Relaxed);
    }

    /// The first scan is done.
    pub fn scanned(&self) {
        self.has_scanned.store(true, Ordering::Relaxed);
    }

    /// Whether the last write to the state succeeded.
    pub fn state_is_writable(&self, is_writable: bool) {
        self.is_writable.store(is_writable, Ordering::Relaxed);
    }

    /// Whether the loop has come round lately.
    pub fn is_healthy(&self, now_ms: i64) -> bool {
        now_ms - self.beat_ms.load(Ordering::Relaxed) < STALLED_MS
    }

    /// What is missing before it is ready, for people.
    pub fn missing(&self) -> Option<&'static str> {
        if !self.has_scanned.load(Ordering::Relaxed) {
            return Some("the manifests have not been read yet");
        }
        let is_writable = self.is_writable.load(Ordering::Relaxed);
        (!is_writable).then_some("the state cannot be written")
    }

    /// Whether the manifests have been read and results can be recorded.
    pub fn is_ready(&self) -> bool {
        self.missing().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_stands_still_is_not_healthy() {
        let health = Health::default();
        health.beat(1_000);
        assert!(health.is_healthy(1_000 + STALLED_MS - 1));
        assert!(!health.is_healthy(1_000 + STALLED_MS));
    }

    #[test]
    fn it_is_ready_once_it_has_read_and_can_write() {
        let health = Health::default();
        health.scanned();
        assert!(!health.is_ready());
        health.state_is_writable(true);
        assert!(health.is_ready());
        health.state_is_writable(false);
        assert!(!health.is_ready());
    }
}
