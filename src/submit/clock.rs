//! Time and chance, as the submitter sees them: invented ones in tests.
#![expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the clock"
)]

use std::pin::Pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Time and chance.
pub trait Clock: Send + Sync {
    /// Milliseconds since the epoch.
    fn now_ms(&self) -> i64;

    /// Returns at `at_ms`; `is_busy` says that an answer is awaited as well,
    /// so that an invented clock must not run ahead of it.
    fn sleep_until(
        &self,
        at_ms: i64,
        is_busy: bool,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;

    /// Anything in 0..1.
    fn random(&self) -> f64;
}

/// The machine's clock, and its random numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

/// A clock that jumped is noticed after this long.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    fn sleep_until(
        &self,
        at_ms: i64,
        _is_busy: bool,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            let left_ms = u64::try_from(at_ms - self.now_ms()).unwrap_or(0);
            tokio::time::sleep(Duration::from_millis(left_ms).min(LONGEST_SLEEP)).await;
        })
    }

    fn random(&self) -> f64 {
        // Without random numbers every wait is half of its ceiling, which is still a wait.
        getrandom::u64().map_or(0.5, |bits| (bits >> 11) as f64 / (1_u64 << 53) as f64)
    }
}
