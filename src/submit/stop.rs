//! Asking a run to end, from a signal handler or from the watcher.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Shared between a run and those who may end it.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<Asked>);

#[derive(Debug, Default)]
struct Asked {
    stop: AtomicBool,
    make_way: AtomicBool,
    bell: Notify,
}

impl Stop {
    /// Asks the run to finish and record what is under way, and begin nothing.
    pub fn ask(&self) {
        self.0.stop.store(true, Ordering::SeqCst);
        self.0.bell.notify_one();
    }

    /// Whether [`Stop::ask`] was called; it is never taken back.
    pub fn is_asked(&self) -> bool {
        self.0.stop.load(Ordering::SeqCst)
    }

    /// Asks the run to return at once, because other manifests are there; calls
    /// under way stay under way.
    pub fn make_way(&self) {
        self.0.make_way.store(true, Ordering::SeqCst);
        self.0.bell.notify_one();
    }

    /// Whether [`Stop::make_way`] was called since the last [`Stop::go_on`].
    pub fn is_making_way(&self) -> bool {
        self.0.make_way.load(Ordering::SeqCst)
    }

    /// The other manifests are being acted on.
    pub fn go_on(&self) {
        self.0.make_way.store(false, Ordering::SeqCst);
    }

    /// Returns when somebody asks for something.
    pub async fn rings(&self) {
        self.0.bell.notified().await;
    }
}
