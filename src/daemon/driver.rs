//! The loop: waits for a reason to look again, reconciles, tells others.
//!
//! A reason carries nothing but "look again": a scan that has settled, a
//! request in the state, a time that has come, a signal. What is to be done is
//! for the plan to say, so that a restart and an event take the same path.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tracing::info;

use super::scanner::{Handle, Scan};
use super::signals::{Asked, Signals};
use super::telling::Telling;
use crate::batch::backoff;
use crate::load::Index;
use crate::reconcile::planning::{self, BootstrapChoice};
use crate::reconcile::{self, Options, Tools, inbox, once};
use crate::state::{Holder, Standing, StateError, Store};
use crate::submit::clock::Clock;
use crate::submit::courier::Courier;
use crate::submit::engine::Submitter;
use crate::submit::leap;
use crate::submit::stop::Stop;

/// How often requests of other processes are looked for while there is nothing to do.
const TICK_MS: i64 = 1_000;

/// How a daemon runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What a state without a past means.
    pub bootstrap: Option<BootstrapChoice>,
    /// How long calls under way may take once it is asked to end.
    pub grace: Duration,
    /// Who holds the state, for others that wait for it.
    pub holder: Holder,
    /// What the scanner knows of files; kept in the state.
    pub index: Arc<Index>,
}

/// How the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Asked to, with everything recorded.
    Finished,
    /// Asked to, with calls still under way: the next run repeats them.
    Unfinished,
}

/// Why the loop ended by itself; nothing that was recorded is lost.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The state cannot be used any more.
    #[error(transparent)]
    State(#[from] StateError),
    /// Another file stands where the state was opened.
    #[error("another file was put in the place of the state; nothing more was sent")]
    Replaced,
    /// The kernel does not let us listen to signals.
    #[error("signals cannot be listened to")]
    Signals(#[source] std::io::Error),
}

/// The loop's owner of everything that is written.
pub struct Driver {
    store: Store,
    submitter: Submitter,
    courier: Arc<Courier>,
    clock: Arc<dyn Clock>,
    scans: watch::Receiver<Option<Arc<Scan>>>,
    scanner: Handle,
    stop: Stop,
    telling: Telling,
    signals: Signals,
    settings: Settings,
    /// As it was when requests were last looked for.
    seen_version: Option<i64>,
    /// What the clock showed when it was last looked at.
    seen_ms: i64,
    /// Failures of the state in a row.
    failures: u32,
}

/// What ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wake {
    Look,
    Reload,
    End,
}

impl From<Asked> for Wake {
    fn from(asked: Asked) -> Self {
        match asked {
            Asked::End => Self::End,
            Asked::Reload => Self::Reload,
        }
    }
}

impl Driver {
    /// A loop that holds `store`; `stop` may be asked from elsewhere to look
    /// again ([`Stop::make_way`]).
    pub fn new(
        store: Store,
        courier: Arc<Courier>,
        clock: Arc<dyn Clock>,
        scanner: (Handle, watch::Receiver<Option<Arc<Scan>>>),
        (stop, telling): (Stop, Telling),
        settings: Settings,
    ) -> Result<Self, Error> {
        let (scanner, scans) = scanner;
        Ok(Self {
            store,
            submitter: Submitter::new(Arc::clone(&courier)),
            courier,
            clock,
            scans,
            scanner,
            stop,
            telling,
            signals: Signals::listen().map_err(Error::Signals)?,
            settings,
            seen_version: None,
            seen_ms: i64::MIN,
            failures: 0,
        })
    }

    /// Runs until it is asked to end.
    pub async fn run(mut self) -> Result<Ended, Error> {
        let ended = self.look_again_and_again().await;
        self.telling.stopping();
        self.telling.finish(self.settings.grace).await;
        ended
    }

    async fn look_again_and_again(&mut self) -> Result<Ended, Error> {
        if !self.first_scan().await {
            return Ok(Ended::Finished);
        }
        loop {
            self.stop.go_on();
            let scan = self.scans.borrow_and_update().clone();
            let Some(scan) = scan else { continue };
            let due_ms = match self.pass(&scan).await? {
                Passed::Over(ended) => return Ok(ended),
                Passed::Reload => {
                    self.reload().await;
                    continue;
                }
                Passed::Due(due_ms) => due_ms,
            };
            match self.wait(due_ms).await? {
                Wake::Look => {}
                Wake::Reload => self.reload().await,
                Wake::End => return Ok(Ended::Finished),
            }
        }
    }

    /// Waits for the manifests to be read; `false` where it is asked to end first.
    async fn first_scan(&mut self) -> bool {
        let Self { scans, signals, .. } = self;
        tokio::select! {
            _ = scans.wait_for(Option::is_some) => {}
            () = signals.end() => return false,
        }
        self.telling.ready();
        true
    }

    /// One reconcile over the newest manifests.
    async fn pass(&mut self, scan: &Scan) -> Result<Passed, Error> {
        let started = Instant::now();
        self.telling.begin(&scan.declared);
        let options = Options {
            planning: planning::Options {
                bootstrap: self.settings.bootstrap,
                ..planning::Options::default()
            },
            saved: None,
            max_time_ms: i64::MAX / 4,
            stop: self.stop.clone(),
        };
        self.seen_version = self.store.version().ok();
        // Times that the pass comes to are of the clock from here on.
        self.seen_ms = self.clock.now_ms();
        let tools = Tools {
            submitter: &mut self.submitter,
            clock: &*self.clock,
            events: &mut self.telling,
        };
        let pass = once(&scan.declared, &mut self.store, &options, tools);
        let listening = Listening {
            signals: &mut self.signals,
            scans: &mut self.scans,
            stop: &self.stop,
        };
        let (outcome, wake) = listening.during(pass, self.settings.grace).await;
        let Some(outcome) = outcome else {
            return Ok(Passed::Over(Ended::Unfinished));
        };
        let now_ms = self.clock.now_ms();
        let took = started.elapsed();
        let outcome = outcome.and_then(|outcome| {
            self.store.prune_history(now_ms)?;
            if let Some(files) = self.settings.index.news()
                && let Err(failure) = self.store.remember_files(&files)
            {
                Telling::files_not_remembered(&failure);
            }
            self.telling.passed(scan, &outcome, &self.store, took)?;
            Ok(outcome)
        });
        match outcome {
            Err(error) => self.failed(error, wake),
            Ok(outcome) => {
                self.failures = 0;
                Ok(match wake {
                    Some(Wake::End) => Passed::Over(Ended::Finished),
                    Some(Wake::Reload) => Passed::Reload,
                    _ => Passed::Due(outcome.due_ms),
                })
            }
        }
    }

    /// A full disk passes; a damaged state does not.
    fn failed(&mut self, error: reconcile::Error, wake: Option<Wake>) -> Result<Passed, Error> {
        let reconcile::Error::State(error) = error else {
            return Ok(Passed::Due(None));
        };
        // What its lanes know is no longer what the journal says.
        self.submitter = Submitter::new(Arc::clone(&self.courier));
        self.telling.state_failed(&error);
        if wake == Some(Wake::End) || !error.may_pass() {
            return Err(error.into());
        }
        self.failures += 1;
        let wait_ms = backoff::delay_ms(self.failures, 1.0);
        Ok(Passed::Due(Some(
            self.clock.now_ms().saturating_add_unsigned(wait_ms),
        )))
    }

    /// Waits for a reason to look again.
    async fn wait(&mut self, due_ms: Option<i64>) -> Result<Wake, Error> {
        loop {
            let now_ms = self.clock.now_ms();
            let before_ms = std::mem::replace(&mut self.seen_ms, now_ms);
            if leap::is_back(before_ms, now_ms) {
                return Ok(Wake::Look);
            }
            let tick_ms = now_ms + TICK_MS;
            let until_ms = due_ms.map_or(tick_ms, |due_ms| due_ms.min(tick_ms));
            tokio::select! {
                biased;
                asked = self.signals.next() => return Ok(asked.into()),
                changed = self.scans.changed() => {
                    return Ok(changed.map_or(Wake::End, |()| Wake::Look));
                }
                () = self.stop.rings() => {}
                () = self.clock.sleep_until(until_ms, false) => {}
            }
            let now_ms = self.clock.now_ms();
            self.telling.beat();
            self.stay_at_home()?;
            let is_due = due_ms.is_some_and(|due_ms| due_ms <= now_ms);
            if is_due
                || self.stop.is_making_way()
                || self.has_requests()?
                || self.submitter.forgive_new_secrets()
            {
                return Ok(Wake::Look);
            }
        }
    }

    /// Whether another process has asked for anything.
    fn has_requests(&mut self) -> Result<bool, StateError> {
        let version = Some(self.store.version()?);
        if version == self.seen_version {
            return Ok(false);
        }
        self.seen_version = version;
        inbox::is_plan_outdated(&self.store)
    }

    /// A state whose file was taken away is written anew; one that was replaced
    /// is not ours to write over.
    fn stay_at_home(&mut self) -> Result<(), Error> {
        match self.store.standing()? {
            Standing::Here => Ok(()),
            Standing::Replaced => Err(Error::Replaced),
            Standing::Gone => {
                self.store.restore(&self.settings.holder)?;
                self.telling.state_restored();
                Ok(())
            }
        }
    }

    /// Reads everything again, and tries again what had stopped.
    async fn reload(&mut self) {
        self.submitter.forgive();
        let Self {
            telling, scanner, ..
        } = self;
        telling.reloading(scanner.reload()).await;
    }
}

/// What a pass came to.
enum Passed {
    Over(Ended),
    Reload,
    Due(Option<i64>),
}

/// What may cut a pass short.
struct Listening<'a> {
    signals: &'a mut Signals,
    scans: &'a mut watch::Receiver<Option<Arc<Scan>>>,
    stop: &'a Stop,
}

impl Listening<'_> {
    /// Runs `pass` to its end, which comes early where somebody asks for it; no
    /// result where calls under way outlasted the grace, or are not waited for.
    async fn during<T>(
        self,
        pass: impl Future<Output = T>,
        grace: Duration,
    ) -> (Option<T>, Option<Wake>) {
        tokio::pin!(pass);
        let mut wake = None;
        loop {
            tokio::select! {
                biased;
                asked = self.signals.next() => {
                    if asked == Asked::End {
                        break;
                    }
                    wake = Some(Wake::Reload);
                    self.stop.make_way();
                }
                Ok(()) = self.scans.changed() => self.stop.make_way(),
                result = &mut pass => return (Some(result), wake),
            }
        }
        self.stop.ask();
        info!("finishing what is under way; asked again, it is left as it is");
        tokio::select! {
            biased;
            result = &mut pass => (Some(result), Some(Wake::End)),
            () = self.signals.end() => (None, Some(Wake::End)),
            () = tokio::time::sleep(grace) => (None, Some(Wake::End)),
        }
    }
}
