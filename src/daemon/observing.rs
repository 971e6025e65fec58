//! Observing: plans and tells after every scan; sends and writes nothing.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;

use super::driver::{Ended, Error};
use super::scanner::{Handle, Scan};
use super::signals::{Asked, Signals};
use super::telling::Telling;
use crate::lookup::Known;
use crate::reconcile::planning;
use crate::state::{Reader, StateError};
use crate::submit::clock::Clock;
use crate::submit::leap;
use crate::submit::stop::Stop;

/// How often the state of another process is looked at.
const LOOK_MS: i64 = 60 * 1000;

/// The loop of a daemon that only looks.
pub struct Observing {
    state: PathBuf,
    known: Arc<Known>,
    clock: Arc<dyn Clock>,
    scans: watch::Receiver<Option<Arc<Scan>>>,
    scanner: Handle,
    stop: Stop,
    telling: Telling,
    signals: Signals,
}

impl Observing {
    /// A loop over the state at `state`, which may be another process's, or
    /// not there at all; what accounts list is looked for there as well.
    pub fn new(
        (state, known): (PathBuf, Arc<Known>),
        clock: Arc<dyn Clock>,
        (scanner, scans): (Handle, watch::Receiver<Option<Arc<Scan>>>),
        (stop, telling): (Stop, Telling),
    ) -> Result<Self, Error> {
        Ok(Self {
            state,
            known,
            clock,
            scans,
            scanner,
            stop,
            telling,
            signals: Signals::listen().map_err(Error::Signals)?,
        })
    }

    /// Runs until it is asked to end.
    pub async fn run(mut self) -> Result<Ended, Error> {
        tokio::select! {
            _ = self.scans.wait_for(Option::is_some) => {}
            () = self.signals.end() => return Ok(Ended::Finished),
        }
        self.telling.ready();
        loop {
            self.stop.go_on();
            let scan = self.scans.borrow_and_update().clone();
            if let Some(scan) = scan {
                self.telling.begin(&scan.declared);
                if let Err(error) = self.look(&scan) {
                    self.telling.state_failed(&error);
                }
            }
            if !self.wait().await {
                self.telling.stopping();
                return Ok(Ended::Finished);
            }
        }
    }

    fn look(&mut self, scan: &Scan) -> Result<(), StateError> {
        let reader = Reader::open(&self.state)?;
        let options = planning::Options {
            now_ms: self.clock.now_ms(),
            ..planning::Options::default()
        };
        let planned = planning::plan(&scan.declared, reader.as_deref(), &options)?;
        self.telling.observed(scan, &planned, reader.as_deref())
    }

    /// Waits for a reason to look again; `false` where it is asked to end.
    async fn wait(&mut self) -> bool {
        let until_ms = self.clock.now_ms() + LOOK_MS;
        loop {
            let seen_ms = self.clock.now_ms();
            let tick_ms = until_ms.min(seen_ms + LOOK_MS / 12);
            tokio::select! {
                biased;
                asked = self.signals.next() => {
                    if asked == Asked::End {
                        return false;
                    }
                    self.telling.reloading(self.scanner.reload()).await;
                    return true;
                }
                changed = self.scans.changed() => return changed.is_ok(),
                () = self.stop.rings() => return true,
                () = self.clock.sleep_until(tick_ms, false) => self.telling.beat(),
            }
            let now_ms = self.clock.now_ms();
            if now_ms >= until_ms || leap::is_back(seen_ms, now_ms) {
                // Whoever holds the state may have asked accounts since.
                self.known.refresh();
                self.scanner.hint();
                return true;
            }
        }
    }
}
