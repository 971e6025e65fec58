//! The scanner: turns hints into readings of the manifests that have settled.

mod engine;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::{Notify, mpsc, oneshot, watch};

use super::reading;
use super::schedule::Timing;
use super::watch::Signals;
use crate::declare::{Declared, Options};
use crate::digest::Digest;
use crate::load::{Index, LoadError};
use crate::submit::clock::Clock;

use engine::Read;

/// The manifests, read twice alike.
#[derive(Debug)]
pub struct Scan {
    /// What they declare.
    pub declared: Arc<Declared>,
    /// Of every manifest, and of every file that one names.
    pub digest: Digest,
    /// Counted from 1.
    pub number: u64,
}

/// Why a reload has no answer.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ScanError {
    /// It is tried again without being asked.
    #[error("failed to read the manifests")]
    Unreadable(#[from] LoadError),
    /// A fault of ours; the next scan goes on.
    #[error("reading the manifests broke off")]
    Panicked,
    /// Nothing is read any more.
    #[error("freshen is stopping")]
    Stopped,
}

impl ScanError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unreadable(_) => Some(
                "what was read before stays in force; \
                 reload again once whatever writes them is done",
            ),
            Self::Panicked => Some("what was read before stays in force; the log says more"),
            Self::Stopped => None,
        }
    }
}

/// How changes are noticed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WatchMode {
    /// At once.
    #[default]
    Inotify,
    /// With the next regular scan.
    ScanOnly,
}

impl WatchMode {
    /// Its name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inotify => "inotify",
            Self::ScanOnly => "scan-only",
        }
    }
}

/// What the scanner has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Scans that ended, however they did.
    pub scans: u64,
    /// Scans that found something new, and parsed that.
    pub parsed: u64,
    /// Files that were read only to be hashed.
    pub hashed: u64,
    /// Scans under which the manifests kept changing.
    pub unstable: u64,
    /// Scans that broke off.
    pub panicked: u64,
    /// How long the last scan took.
    pub last_scan: Duration,
    /// How changes are noticed.
    pub mode: WatchMode,
    /// Folders that are watched.
    pub watched_folders: usize,
    /// How often events were lost because there were too many at once.
    pub overflows: u64,
}

/// Speaks to the scanner, which stops when the last handle is dropped.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
    asks: mpsc::Sender<Reply>,
}

type Answer = Result<Arc<Declared>, ScanError>;
type Reply = oneshot::Sender<Answer>;

impl Handle {
    /// Has the manifests looked at soon.
    pub fn hint(&self) {
        self.shared.signals.inside.notify_one();
    }

    /// Scans now, and returns what is declared once that has settled; also
    /// when nothing changed. Those who ask meanwhile share one scan.
    pub async fn reload(&self) -> Answer {
        let (reply, answer) = oneshot::channel();
        let asked = self.asks.send(reply).await;
        asked.map_err(|_| ScanError::Stopped)?;
        answer.await.unwrap_or(Err(ScanError::Stopped))
    }

    /// What has been done so far.
    pub fn statistics(&self) -> Statistics {
        Statistics {
            overflows: self.shared.signals.overflows(),
            ..*self.shared.statistics()
        }
    }

    /// Ends the scanner; whoever waits for a reload is told.
    pub fn stop(&self) {
        self.shared.stop.notify_one();
    }
}

/// Starts scanning, on the runtime of the caller; files that `index` knows are
/// not read as long as nothing about them changes. The receiver sees the first
/// scan once it has settled, and then each that differs.
pub fn spawn(
    options: Options,
    (index, clock): (Arc<Index>, Arc<dyn Clock>),
    timing: Timing,
) -> (Handle, watch::Receiver<Option<Arc<Scan>>>) {
    let roots = options.manifests.clone();
    let read: Arc<Read> =
        Arc::new(move |known| reading::read(&options, (&index, clock.now_ms()), known));
    engine::spawn(read, roots, timing)
}

#[derive(Default)]
struct Shared {
    signals: Arc<Signals>,
    stop: Notify,
    statistics: Mutex<Statistics>,
}

impl Shared {
    fn statistics(&self) -> MutexGuard<'_, Statistics> {
        self.statistics
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
