//! Metrics: every name that freshen exports, and nothing else.
//!
//! Whoever drives tells what happened, in plain values; nothing is decided
//! here and no clock is read. What ages between two passes (how long something
//! has been owed, what a rate has left) is worked out when it is asked for.

mod file;
mod names;
mod passes;
mod series;
mod sets;
mod targets;

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

pub use file::{WriteError, write_file};
pub use names::{ALL, Description, Kind};
pub use passes::PassResult;
pub use sets::Pass;
pub use targets::{CallResult, Reading};

use passes::Passes;
use series::Series;
use sets::Sets;
use targets::Targets;

/// The `Content-Type` of what [`Metrics::render`] returns.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A gauge that takes fractions.
type Fraction = Gauge<f64, AtomicU64>;

/// Upper bounds, in seconds, of what takes from milliseconds to an hour.
const BOUNDS: [f64; 12] = [
    0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 300.0, 1_800.0, 3_600.0,
];

/// All metrics of a process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    passes: Passes,
    sets: Sets,
    targets: Targets,
    watcher: Watcher,
    state: State,
    notifications: Series<ByResult, u64>,
}

/// How changes are noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatcherMode {
    /// The kernel tells.
    Events,
    /// Only scans tell.
    Polling,
}

/// What came of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanResult {
    /// As before.
    Unchanged,
    /// Something is different.
    Changed,
    /// It was being written to, so nothing is believed yet.
    Unstable,
    /// It could not be made.
    Failed,
}

impl ScanResult {
    const ALL: [Self; 4] = [Self::Unchanged, Self::Changed, Self::Unstable, Self::Failed];

    fn as_str(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Changed => "changed",
            Self::Unstable => "unstable",
            Self::Failed => "failed",
        }
    }
}

/// What became of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotificationResult {
    /// The sink took it.
    Delivered,
    /// The sink did not take it, however often it was asked.
    Failed,
    /// It made way for a newer one, or freshen stopped first.
    Dropped,
}

impl NotificationResult {
    const ALL: [Self; 3] = [Self::Delivered, Self::Failed, Self::Dropped];

    fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }
}

#[derive(Debug)]
struct Watcher {
    mode: Series<ByMode, f64>,
    overflows: Counter,
    scans: Series<ByResult, u64>,
    scan_duration: Histogram,
    files_hashed: Counter,
}

#[derive(Debug)]
struct State {
    serial: Gauge<u64, AtomicU64>,
    lock_held: Gauge,
    write_errors: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, EncodeLabelSet)]
struct ByVersion {
    version: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, EncodeLabelSet)]
struct ByMode {
    mode: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, EncodeLabelSet)]
struct ByResult {
    result: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix(names::PREFIX);
        let build: Series<ByVersion, f64> = Series::default();
        let version = env!("CARGO_PKG_VERSION");
        build.set(ByVersion { version }, 1.0);
        names::BUILD_INFO.register(&mut registry, build);
        let passes = Passes::register(&mut registry);
        let sets = Sets::register(&mut registry);
        let targets = Targets::register(&mut registry);
        let watcher = Watcher::register(&mut registry);
        let state = State::register(&mut registry);
        let notifications: Series<ByResult, u64> = Series::default();
        names::NOTIFICATIONS.register(&mut registry, notifications.clone());
        let metrics = Self {
            registry,
            passes,
            sets,
            targets,
            watcher,
            state,
            notifications,
        };
        // Known from the start, so that the first of a kind is an increase.
        for result in ScanResult::ALL.map(ScanResult::as_str) {
            metrics.watcher.scans.add(ByResult { result }, 0);
        }
        for result in NotificationResult::ALL.map(NotificationResult::as_str) {
            metrics.notifications.add(ByResult { result }, 0);
        }
        metrics
    }
}

impl Metrics {
    /// Changes are noticed in this way from now on.
    pub fn watching(&self, mode: WatcherMode) {
        for (name, of) in [
            ("events", WatcherMode::Events),
            ("polling", WatcherMode::Polling),
        ] {
            let value = f64::from(u8::from(of == mode));
            self.watcher.mode.set(ByMode { mode: name }, value);
        }
    }

    /// The kernel dropped events.
    pub fn watch_overflowed(&self) {
        self.watcher.overflows.inc();
    }

    /// A scan of the manifests ended after `seconds`.
    pub fn scanned(&self, result: ScanResult, seconds: f64) {
        let result = result.as_str();
        self.watcher.scans.add(ByResult { result }, 1);
        self.watcher.scan_duration.observe(seconds);
    }

    /// So many files had to be read for their digest.
    pub fn files_hashed(&self, count: u64) {
        self.watcher.files_hashed.inc_by(count);
    }

    /// This process holds the state, which is at `serial`.
    pub fn state(&self, serial: u64) {
        self.state.serial.set(serial);
        self.state.lock_held.set(1);
    }

    /// Something could not be written to the state.
    pub fn state_write_failed(&self) {
        self.state.write_errors.inc();
    }

    /// So many notifications ended like this.
    pub fn notified(&self, result: NotificationResult, count: u64) {
        let result = result.as_str();
        self.notifications.add(ByResult { result }, count);
    }

    /// Everything as `OpenMetrics` text, as of `now_ms` since the epoch.
    pub fn render(&self, now_ms: i64) -> String {
        self.sets.age(now_ms);
        self.targets.age(now_ms);
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a string takes any text");
        text
    }
}

impl Watcher {
    fn register(registry: &mut Registry) -> Self {
        let watcher = Self {
            mode: Series::default(),
            overflows: Counter::default(),
            scans: Series::default(),
            scan_duration: Histogram::new(BOUNDS),
            files_hashed: Counter::default(),
        };
        names::WATCHER_MODE.register(registry, watcher.mode.clone());
        names::WATCHER_OVERFLOWS.register(registry, watcher.overflows.clone());
        names::SCANS.register(registry, watcher.scans.clone());
        names::SCAN_DURATION.register(registry, watcher.scan_duration.clone());
        names::FILES_HASHED.register(registry, watcher.files_hashed.clone());
        watcher
    }
}

impl State {
    fn register(registry: &mut Registry) -> Self {
        let state = Self {
            serial: Gauge::default(),
            lock_held: Gauge::default(),
            write_errors: Counter::default(),
        };
        names::STATE_SERIAL.register(registry, state.serial.clone());
        names::STATE_LOCK_HELD.register(registry, state.lock_held.clone());
        names::STATE_WRITE_ERRORS.register(registry, state.write_errors.clone());
        state
    }
}

/// Milliseconds since the epoch as seconds.
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

/// Seconds from `from_ms` to `to_ms`; none where a clock has jumped.
fn seconds_between(from_ms: i64, to_ms: i64) -> f64 {
    seconds(to_ms.saturating_sub(from_ms).max(0))
}
