//! Every name, with its labels and what it means: the table that the registry
//! is filled from and that `docs/metrics.md` shows.

use prometheus_client::registry::{Registry, Unit};

/// Starts every name.
pub(super) const PREFIX: &str = "freshen";

/// What may be done with the numbers of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Goes up and down.
    Gauge,
    /// Only grows while the process lives; its samples end in `_total`.
    Counter,
    /// Counts by upper bound, with a sum and a count.
    Histogram,
}

impl Kind {
    /// As `OpenMetrics` spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric, described.
#[derive(Clone, Copy, Debug)]
pub struct Description {
    /// Without prefix, unit and `_total`.
    base: &'static str,
    /// Whether it is in seconds, which its name then says.
    is_seconds: bool,
    /// Its kind.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it means, without a full stop.
    pub help: &'static str,
}

impl Description {
    const fn new(
        kind: Kind,
        base: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self {
            base,
            is_seconds: false,
            kind,
            labels,
            help,
        }
    }

    const fn in_seconds(self) -> Self {
        Self {
            is_seconds: true,
            ..self
        }
    }

    /// The name as queries spell it.
    pub fn name(&self) -> String {
        let unit = if self.is_seconds { "_seconds" } else { "" };
        let end = if self.kind == Kind::Counter {
            "_total"
        } else {
            ""
        };
        format!("{PREFIX}_{}{unit}{end}", self.base)
    }

    /// Gives `metric` this name in `registry`.
    pub(super) fn register(
        &self,
        registry: &mut Registry,
        metric: impl prometheus_client::registry::Metric,
    ) {
        if self.is_seconds {
            registry.register_with_unit(self.base, self.help, Unit::Seconds, metric);
        } else {
            registry.register(self.base, self.help, metric);
        }
    }
}

const fn gauge(
    base: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Description {
    Description::new(Kind::Gauge, base, labels, help)
}

const fn counter(
    base: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Description {
    Description::new(Kind::Counter, base, labels, help)
}

const fn histogram(
    base: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Description {
    Description::new(Kind::Histogram, base, labels, help).in_seconds()
}

const SHARE: &[&str] = &["set", "cdn"];
const CDN: &[&str] = &["cdn"];

pub(super) const BUILD_INFO: Description =
    gauge("build_info", &["version"], "1, labelled with the version");

pub(super) const LAST_RECONCILE: Description = gauge(
    "last_reconcile_timestamp",
    &[],
    "When the last pass ended, whatever came of it; 0 before the first",
)
.in_seconds();
pub(super) const LAST_SUCCESS: Description = gauge(
    "last_success_timestamp",
    &[],
    "When the last pass ended that left nothing which could have been sent; 0 before the first",
)
.in_seconds();
pub(super) const RECONCILE_DURATION: Description = histogram(
    "reconcile_duration",
    &["result"],
    "How long passes took, waiting for CDNs included; result is noop, done, unfinished or failed",
);
pub(super) const NOOP_RUNS: Description = counter(
    "noop_runs",
    &[],
    "Passes that found nothing to send and nothing wrong",
);

pub(super) const SETS: Description = gauge(
    "sets",
    &["state"],
    "Declared sets; state is whole, partial (rows were skipped) or invalid (keeps its last good state)",
);
pub(super) const RELOAD_SUCCESSFUL: Description = gauge(
    "manifests_last_reload_successful",
    &[],
    "1 where the last reading of the manifests found no error, else 0",
);
pub(super) const RELOAD_SUCCESS: Description = gauge(
    "manifests_last_reload_success_timestamp",
    &[],
    "When the manifests were last read without an error; 0 before the first time",
)
.in_seconds();

pub(super) const URLS: Description = gauge("urls", SHARE, "Items that a set declares at a Cdn");
pub(super) const PENDING_ITEMS: Description = gauge(
    "pending_items",
    SHARE,
    "Items to be sent, or in a batch whose outcome is not known yet",
);
pub(super) const BLOCKED_ITEMS: Description =
    gauge("blocked_items", SHARE, "Items that wait for an approval");
pub(super) const WAITING_ITEMS: Description = gauge(
    "waiting_items",
    SHARE,
    "Items that wait until their origin shows new bytes",
);
pub(super) const REFUSED_ITEMS: Description = gauge(
    "refused_items",
    SHARE,
    "Items that the Cdn refused, or one of an inner tier",
);
pub(super) const OLDEST_UNSENT: Description = gauge(
    "oldest_unsent",
    SHARE,
    "For how long something has been to be sent without a break; 0 where nothing is. Blocked and refused items do not count",
)
.in_seconds();
pub(super) const SUSPENDED: Description = gauge(
    "suspended",
    SHARE,
    "1 where the set or the Cdn is suspended, by manifest or by command",
);

pub(super) const CALLS: Description = counter(
    "calls",
    &["cdn", "result"],
    "Calls made, by what the answer means: accepted, learned (a look-up), refused, too_large, throttled, transient, unauthorized, misconfigured, not_understood, lost (no answer) or unsent (no connection)",
);
pub(super) const CALL_DURATION: Description =
    histogram("call_duration", CDN, "How long calls took");
pub(super) const ITEMS_INVALIDATED: Description =
    counter("items_invalidated", CDN, "Items that the Cdn accepted");
pub(super) const CONSECUTIVE_FAILURES: Description = gauge(
    "consecutive_failures",
    CDN,
    "Transient failures in a row; 0 once a call succeeds",
);
pub(super) const RETRY_AFTER: Description = gauge(
    "retry_after",
    CDN,
    "How long until the Cdn is called again after it failed or asked for patience",
)
.in_seconds();
pub(super) const HALTED: Description = gauge(
    "halted",
    &["cdn", "kind"],
    "1 where nothing is sent until somebody acts; kind is unauthorized, misconfigured or not_understood",
);
pub(super) const BUDGET_REMAINING: Description = gauge(
    "budget_remaining",
    &["cdn", "bucket"],
    "Calls or items that a bucket of the Cdn's rate has left now",
);

pub(super) const VERIFIED_ITEMS: Description = gauge(
    "verified_items",
    &["cdn", "finding"],
    "Items by what was last seen of them at the edge, where `verify` looks; finding is verified, unchanged, stale or unknown",
);

pub(super) const WATCHER_MODE: Description = gauge(
    "watcher_mode",
    &["mode"],
    "1 for the way changes are noticed: events, or polling where events are not to be had",
);
pub(super) const WATCHER_OVERFLOWS: Description = counter(
    "watcher_overflows",
    &[],
    "Times that the kernel dropped events; each is followed by a full scan",
);
pub(super) const SCANS: Description = counter(
    "scans",
    &["result"],
    "Scans of the manifests; result is unchanged, changed, unstable (written to meanwhile) or failed",
);
pub(super) const SCAN_DURATION: Description =
    histogram("scan_duration", &[], "How long scans of the manifests took");
pub(super) const FILES_HASHED: Description = counter(
    "files_hashed",
    &[],
    "Files of revisionFrom that a scan had to read; one that has not changed since the last scan is not read",
);

pub(super) const STATE_SERIAL: Description =
    gauge("state_serial", &[], "Grows with every change of the state");
pub(super) const STATE_LOCK_HELD: Description = gauge(
    "state_lock_held",
    &[],
    "1 while this process holds the state",
);
pub(super) const STATE_WRITE_ERRORS: Description = counter(
    "state_write_errors",
    &[],
    "Writes to the state that failed; nothing is sent before one succeeds",
);

pub(super) const NOTIFICATIONS: Description = counter(
    "notifications",
    &["result"],
    "Notifications; result is delivered, failed (the sink did not take it) or dropped (the queue was full or freshen stopped)",
);

/// In the order in which they are exported.
pub const ALL: &[Description] = &[
    BUILD_INFO,
    LAST_RECONCILE,
    LAST_SUCCESS,
    RECONCILE_DURATION,
    NOOP_RUNS,
    SETS,
    RELOAD_SUCCESSFUL,
    RELOAD_SUCCESS,
    URLS,
    PENDING_ITEMS,
    BLOCKED_ITEMS,
    WAITING_ITEMS,
    REFUSED_ITEMS,
    OLDEST_UNSENT,
    SUSPENDED,
    CALLS,
    CALL_DURATION,
    ITEMS_INVALIDATED,
    CONSECUTIVE_FAILURES,
    RETRY_AFTER,
    HALTED,
    BUDGET_REMAINING,
    VERIFIED_ITEMS,
    WATCHER_MODE,
    WATCHER_OVERFLOWS,
    SCANS,
    SCAN_DURATION,
    FILES_HASHED,
    STATE_SERIAL,
    STATE_LOCK_HELD,
    STATE_WRITE_ERRORS,
    NOTIFICATIONS,
];
