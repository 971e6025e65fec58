//! Asks accounts when they are due, for as long as the daemon runs. It has its
//! own way into the state and its own budget, so that it waits for nothing that
//! is sent, and nothing that is sent waits for it.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tracing::{info, warn};

use super::scanner::{Handle, Scan};
use crate::provider::LookUp;
use crate::state::StateError;
use crate::submit::asker::Asker;
use crate::submit::clock::Clock;

/// The longest wait between two looks at what is due.
const IDLE_MS: i64 = 60 * 1000;

/// After a failure of the state, nobody is asked for so long.
const PAUSE_MS: i64 = 10 * 1000;

/// Asks what the newest manifests want to know.
pub struct Poller {
    asker: Arc<Asker>,
    clock: Arc<dyn Clock>,
    scans: watch::Receiver<Option<Arc<Scan>>>,
    scanner: Handle,
    /// Targets that are being asked: each by one look-up at a time.
    busy: BTreeSet<String>,
    tasks: JoinSet<Asked>,
    paused_until_ms: i64,
}

struct Asked {
    look_up: LookUp,
    is_news: Result<bool, StateError>,
}

impl Poller {
    /// A poller that has the scanner look again at whatever is news.
    pub fn new(
        asker: Arc<Asker>,
        clock: Arc<dyn Clock>,
        (scanner, scans): (Handle, watch::Receiver<Option<Arc<Scan>>>),
    ) -> Self {
        Self {
            asker,
            clock,
            scans,
            scanner,
            busy: BTreeSet::new(),
            tasks: JoinSet::new(),
            paused_until_ms: i64::MIN,
        }
    }

    /// Runs until the scanner stops.
    pub async fn run(mut self) {
        loop {
            let next_ms = self.ask_what_is_due();
            tokio::select! {
                changed = self.scans.changed() => match changed {
                    Ok(()) => self.forget_others(),
                    Err(_) => return,
                },
                Some(done) = self.tasks.join_next() => self.take(done),
                () = self.clock.sleep_until(next_ms, false) => {}
            }
        }
    }

    /// What no manifest wants any more is not kept for ever.
    fn forget_others(&mut self) {
        let scan = self.scans.borrow().clone();
        let Some(scan) = scan.filter(|scan| !scan.declared.look_ups.is_empty()) else {
            return;
        };
        if let Err(error) = self.asker.forget_others(&scan.declared.look_ups) {
            self.pause(&error);
        }
    }

    /// Starts what is due; when to look again.
    fn ask_what_is_due(&mut self) -> i64 {
        let now_ms = self.clock.now_ms();
        let idle_ms = now_ms + IDLE_MS;
        if now_ms < self.paused_until_ms {
            return self.paused_until_ms.min(idle_ms);
        }
        let scan = self.scans.borrow_and_update().clone();
        let look_ups = scan.iter().flat_map(|scan| &scan.declared.look_ups);
        let mut next_ms = idle_ms;
        for look_up in look_ups {
            let target = look_up.provider.target();
            if self.busy.contains(target) {
                continue;
            }
            match self.asker.due_ms(look_up) {
                Ok(due_ms) if due_ms <= now_ms => {
                    self.busy.insert(target.to_owned());
                    let (asker, look_up) = (Arc::clone(&self.asker), look_up.clone());
                    self.tasks.spawn(async move {
                        let is_news = asker.ask(&look_up).await;
                        Asked { look_up, is_news }
                    });
                }
                Ok(due_ms) => next_ms = next_ms.min(due_ms),
                Err(error) => return self.pause(&error),
            }
        }
        next_ms
    }

    fn take(&mut self, done: Result<Asked, JoinError>) {
        let Ok(asked) = done else {
            warn!("asking an account broke off; this is a defect");
            self.busy.clear();
            return;
        };
        self.busy.remove(asked.look_up.provider.target());
        let about = asked.look_up.query.about();
        match asked.is_news {
            Ok(true) => {
                info!(cdn = asked.look_up.cdn, about, "retrieved something new");
                self.scanner.hint();
            }
            Ok(false) => {}
            Err(error) => {
                self.pause(&error);
            }
        }
    }

    fn pause(&mut self, error: &StateError) -> i64 {
        warn!(%error, "what accounts list cannot be recorded");
        self.paused_until_ms = self.clock.now_ms() + PAUSE_MS;
        self.paused_until_ms
    }
}
