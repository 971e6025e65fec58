//! What the loop tells others: metrics, probes, the log, the service manager
//! and whoever is notified.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{error, info, warn};

use super::alert::{Alerter, Conditions, Trouble};
use super::health::Health;
use super::pass::PassLine;
use super::scanner::{Handle, Scan, ScanError, Statistics, WatchMode};
use super::systemd::Notifier;
use super::webhook::Webhook;
use crate::batch::lane::HaltKind;
use crate::declare::Declared;
use crate::metrics::{Metrics, Pass, PassResult, ScanResult, WatcherMode};
use crate::reconcile::planning::Planned;
use crate::reconcile::{Events, Outcome};
use crate::report::number::{counted, instant};
use crate::state::{Lapse, Records, StateError, Store, TargetRecord};
use crate::submit::clock::Clock;
use crate::submit::observer::{CallEnd, Progress};

/// Failures in a row from which on a Cdn counts as failing.
const FAILING_ATTEMPTS: u32 = 1;

/// Tells others, while the loop runs and between two passes.
pub struct Telling {
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    systemd: Notifier,
    alerter: Alerter,
    webhook: Option<Webhook>,
    scanner: Handle,
    /// What was told of the scanner so far.
    scanned: Statistics,
    clock: Arc<dyn Clock>,
    /// A clock that never jumps begins here.
    started: Instant,
    declared: Option<Arc<Declared>>,
    /// What was declared before, until the pass is over: to free a tree of
    /// many sets takes longer than the first call should wait.
    retired: Option<Arc<Declared>>,
    /// As they were told last.
    conditions: Conditions,
    /// Calls have ended since targets were told.
    has_answers: bool,
}

impl Telling {
    /// Tells `metrics` and `health`, the service manager as the environment
    /// says, and `webhook` where there is one. `started` is when the clock that
    /// `health` goes by began.
    pub fn new(
        (metrics, health): (Arc<Metrics>, Arc<Health>),
        webhook: Option<Webhook>,
        scanner: Handle,
        (clock, started): (Arc<dyn Clock>, Instant),
    ) -> Self {
        health.state_is_writable(true);
        let mut telling = Self {
            metrics,
            health,
            systemd: Notifier::from_environment(),
            alerter: Alerter::default(),
            webhook,
            scanner,
            scanned: Statistics::default(),
            clock,
            started,
            declared: None,
            retired: None,
            conditions: Conditions::default(),
            has_answers: false,
        };
        telling.beat();
        telling
    }

    /// The loop has come round.
    pub(super) fn beat(&mut self) {
        let steady_ms = i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.health.beat(steady_ms);
        self.systemd.progress(steady_ms);
        self.tell_scans();
    }

    fn tell_scans(&mut self) {
        let now = self.scanner.statistics();
        let before = std::mem::replace(&mut self.scanned, now);
        self.metrics.watching(match now.mode {
            WatchMode::Inotify => WatcherMode::Events,
            WatchMode::ScanOnly => WatcherMode::Polling,
        });
        for _ in before.overflows..now.overflows {
            self.metrics.watch_overflowed();
        }
        self.metrics.files_hashed(now.hashed - before.hashed);
        let seconds = now.last_scan.as_secs_f64();
        let parsed = now.parsed - before.parsed;
        let unstable = now.unstable - before.unstable;
        let failed = now.panicked - before.panicked;
        let all = now.scans - before.scans;
        for (result, count) in [
            (ScanResult::Changed, parsed),
            (ScanResult::Unstable, unstable),
            (ScanResult::Failed, failed),
            (ScanResult::Unchanged, all - parsed - unstable - failed),
        ] {
            for _ in 0..count {
                self.metrics.scanned(result, seconds);
            }
        }
    }

    /// The manifests have been read for the first time.
    pub(super) fn ready(&mut self) {
        self.beat();
        self.health.scanned();
        self.systemd.ready();
        info!("ready");
    }

    /// A pass over `declared` begins.
    pub(super) fn begin(&mut self, declared: &Arc<Declared>) {
        self.beat();
        self.retired = self.declared.replace(Arc::clone(declared));
        let before = self.retired.as_ref();
        if before.is_some_and(|before| Arc::ptr_eq(before, declared)) {
            return;
        }
        for problem in &declared.problems {
            let place = problem.place.as_ref().map(crate::report::place);
            let place = place.unwrap_or_default();
            if problem.is_error() {
                error!(place, problem = problem.message, "manifest");
            } else {
                warn!(place, problem = problem.message, "manifest");
            }
        }
    }

    /// A pass has ended.
    pub(super) fn passed(
        &mut self,
        scan: &Scan,
        outcome: &Outcome,
        store: &Store,
        took: Duration,
    ) -> Result<(), StateError> {
        self.beat();
        self.retired = None;
        self.health.state_is_writable(true);
        let now_ms = self.clock.now_ms();
        self.metrics
            .reconciled(PassResult::of(outcome), took.as_secs_f64(), now_ms);
        let line = PassLine::of(&scan.declared, outcome);
        line.log(self.scanner.statistics().last_scan, took);
        warn_of_doubt(outcome);
        self.tell(
            &Pass {
                declared: &scan.declared,
                plan: &outcome.left,
                problems: &outcome.problems,
                failed: &outcome.failed,
                partial: &outcome.partial,
                recorded: &store.sets()?,
                now_ms,
            },
            Some(store),
        )?;
        self.systemd.status(&status(line, now_ms));
        Ok(())
    }

    /// A plan was made of which nothing will be sent.
    pub(super) fn observed(
        &mut self,
        scan: &Scan,
        planned: &Planned,
        records: Option<&Records>,
    ) -> Result<(), StateError> {
        self.beat();
        self.tell_plan(&scan.declared, planned, records)?;
        let Planned { plan, failed, .. } = planned;
        info!(
            sets = scan.declared.sets.len(),
            invalid = scan.declared.broken.len() + failed.len(),
            items = plan.items(),
            blocked = crate::report::plan::waiting(plan),
            "observed"
        );
        Ok(())
    }

    /// The state could not be read or written.
    pub(super) fn state_failed(&mut self, failure: &StateError) {
        self.health.state_is_writable(false);
        self.metrics.state_write_failed();
        let hint = failure.hint().unwrap_or_default();
        error!(error = chain(failure), hint, "state");
        self.systemd.status("the state cannot be written");
    }

    /// What files hold could not be written down. Nothing but time is lost: the
    /// next process reads them again.
    pub(super) fn files_not_remembered(failure: &StateError) {
        warn!(error = chain(failure), "what files hold was not recorded");
    }

    /// The state's file was gone, and has been written anew.
    pub(super) fn state_restored(&mut self) {
        self.health.state_is_writable(true);
        warn!("the state's file was gone; it was written anew, and its serial goes on");
    }

    /// Tells the service manager that everything is read again, while it is.
    pub(super) async fn reloading(
        &mut self,
        reload: impl Future<Output = Result<Arc<Declared>, ScanError>>,
    ) {
        let reloading = self.systemd.reloading();
        let read = reload.await;
        drop(reloading);
        match read {
            Ok(declared) => info!(problems = declared.problems.len(), "reloaded"),
            Err(failure) => warn!(error = chain(&failure), "not reloaded"),
        }
    }

    /// The daemon is about to end.
    pub(super) fn stopping(&mut self) {
        self.systemd.stopping();
        info!("stopping");
    }

    /// Sends what is still to be sent.
    pub(super) async fn finish(&mut self, grace: Duration) {
        if let Some(webhook) = self.webhook.take() {
            webhook.stop(grace).await;
        }
    }

    fn tell_plan(
        &mut self,
        declared: &Declared,
        planned: &Planned,
        records: Option<&Records>,
    ) -> Result<(), StateError> {
        let recorded = records.map_or(Ok(Vec::new()), Records::sets)?;
        let pass = Pass {
            declared,
            plan: &planned.plan,
            problems: &planned.problems,
            failed: &planned.failed,
            partial: &planned.partial,
            recorded: &recorded,
            now_ms: self.clock.now_ms(),
        };
        self.tell(&pass, records)
    }

    /// Sets what a plan and the state say, and notifies of what has changed.
    fn tell(&mut self, pass: &Pass<'_>, records: Option<&Records>) -> Result<(), StateError> {
        self.metrics.planned(pass);
        self.conditions = Conditions::of(pass.declared, pass.plan, pass.failed);
        if let Some(records) = records {
            self.metrics.state(records.meta()?.serial);
            return self.tell_targets(records);
        }
        self.alert();
        Ok(())
    }

    /// Sets how the targets stand, and notifies of what has changed.
    fn tell_targets(&mut self, records: &Records) -> Result<(), StateError> {
        let Some(declared) = self.declared.clone() else {
            return Ok(());
        };
        let now_ms = self.clock.now_ms();
        let recorded = records.targets()?;
        self.metrics.targets(&declared, &recorded, now_ms);
        self.metrics.verifications(&declared, records)?;
        for (cdn, condition) in &mut self.conditions.cdns {
            let identity = declared.cdns.get(cdn).map(|cdn| cdn.provider.target());
            let mut rows = recorded.iter();
            if let Some(target) = rows.find(|row| Some(row.identity.as_str()) == identity) {
                condition.trouble = trouble(target);
            }
        }
        self.alert();
        Ok(())
    }

    fn alert(&mut self) {
        let alerts = self.alerter.observe(&self.conditions, self.clock.now_ms());
        for alert in &alerts {
            let kind = format!("{:?}", alert.kind).to_lowercase();
            let cdn = alert.cdn.clone().unwrap_or_default();
            let sets = alert.sets.len();
            warn!(kind, cdn, sets, reason = alert.reason, "changed");
        }
        if let Some(webhook) = &self.webhook {
            webhook.send(&alerts);
        }
    }
}

impl Events for Telling {
    fn progress(&mut self, _: Progress, store: &Store) {
        self.beat();
        if std::mem::take(&mut self.has_answers)
            && let Err(failure) = self.tell_targets(store)
        {
            self.state_failed(&failure);
        }
    }

    fn ended(&mut self, call: &CallEnd<'_>) {
        if call.delivery.is_none() {
            error!(
                cdn = call.cdn,
                "an answer could not be read; this is a defect"
            );
            return;
        }
        self.has_answers = true;
        self.metrics.call(call);
    }

    fn lapsed(&mut self, lapse: &Lapse) {
        warn!(set = lapse.set, problem = lapse.detail, "not seen");
    }

    fn planned(&mut self, planned: &Planned, store: &Store) {
        self.beat();
        let Some(declared) = self.declared.clone() else {
            return;
        };
        if let Err(failure) = self.tell_plan(&declared, planned, Some(store)) {
            self.state_failed(&failure);
        }
    }
}

fn trouble(target: &TargetRecord) -> Option<Trouble> {
    if let Some(halt) = &target.halted {
        let code = halt.message.split(": ").next().unwrap_or_default();
        return Some(Trouble::Halted {
            kind: HaltKind::named(&halt.kind)?,
            code: code.to_owned(),
        });
    }
    (target.attempts >= FAILING_ATTEMPTS).then_some(Trouble::Failing(target.attempts))
}

fn status(line: PassLine, now_ms: i64) -> String {
    format!(
        "{}, {} left, {} blocked, {} refused at {}",
        counted(line.sets as u64, "set"),
        line.left,
        line.blocked,
        line.refused,
        instant(now_ms)
    )
}

fn chain(failure: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(failure), |error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

/// Says of which URLs the effect was not seen.
fn warn_of_doubt(outcome: &Outcome) {
    for (cdn, target) in &outcome.targets {
        for (url, found) in &target.findings {
            if let Some(cure) = found.cure() {
                warn!(cdn, url, finding = found.as_str(), cure, "verification");
            }
        }
    }
}
