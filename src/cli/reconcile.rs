//! `reconcile`: plan, submit and record, once.
#![expect(clippy::disallowed_methods, reason = "reads the saved plan")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use super::args::{Bootstrap, Global, Reconcile as Arguments};
use super::exit::{Exit, Failure};
use super::output::Output;
use super::progress::Meter;
use super::workspace::{self, failed_on_state};
use super::{converged, looking, output, plan};
use crate::declare::Declared;
use crate::load::Index;
use crate::manifest::Problem;
use crate::metrics::{self, Metrics, Pass, PassResult};
use crate::plan::saved::SavedPlan;
use crate::reconcile::planning::{self, BootstrapChoice};
use crate::reconcile::{Error, Options, Outcome, TargetOutcome, Tools, once};
use crate::reconcile::{bearing, estimate};
use crate::report::cost::Cost;
use crate::report::cure::Cure;
use crate::report::reconcile::{Context, report};
use crate::report::verification::RepeatsDocument;
use crate::state::{Converged, StateError, Store};
use crate::submit::clock::SystemClock;
use crate::submit::courier::Courier;
use crate::submit::engine::Submitter;
use crate::submit::origin::Origin;
use crate::submit::stop::Stop;
use crate::submit::transport::{Patience, Transport};

/// Reconciles once, against the state or a commit.
pub(super) fn run(arguments: &Arguments, global: &Global, output: Output) -> Result<Exit, Failure> {
    if is_plain(arguments)
        && let Some((mut store, converged)) = held_converged(global)?
    {
        return nothing_to_do(&mut store, converged, output);
    }
    let (index, known) = plan::remembered(arguments.since.as_deref(), global);
    let (mut declared, mut footprint) = workspace::looked_at(global, &index, &known)?;
    workspace::check_set(&declared, arguments.set.as_deref())?;
    let saved = arguments.plan.as_deref().map(saved).transpose()?;
    let mut store = if let Some(reference) = &arguments.since {
        plan::since_commit(&mut declared, global, reference)?
    } else {
        let store = workspace::store(global, "reconcile")?;
        let asking = (&arguments.allow_endpoint[..], arguments.max_time);
        if looking::ask(&declared, &known, global, asking)? {
            (declared, footprint) = workspace::looked_at(global, &index, &known)?;
        }
        store
    };
    looking::tell(&declared, &known);
    remember(&index, &declared, &mut store);
    note_past(arguments.bootstrap, &store)?;
    let planning = planning::Options {
        only: arguments.set.clone(),
        approve: arguments.approve.clone(),
        bootstrap: arguments.bootstrap.map(choice),
        ..planning::Options::default()
    };
    let options = Options {
        planning,
        saved,
        max_time_ms: i64::try_from(arguments.max_time).unwrap_or(i64::MAX),
        stop: Stop::default(),
    };
    let mut meter = Meter::new();
    let started_ms = workspace::now_ms();
    let allowed = &arguments.allow_endpoint;
    let outcome = submit(&declared, &mut store, &options, (allowed, &mut meter))?;
    if let Some(path) = &arguments.metrics_file {
        let took_ms = workspace::now_ms() - started_ms;
        write_metrics(
            path,
            &meter.metrics,
            (&declared, &store),
            (&outcome, took_ms),
        );
    }
    let cure = plan::cure(arguments.since.as_deref());
    let exit = finish(&declared, &mut store, (&outcome, &cure), output)?;
    if is_whole(arguments) && exit == Exit::Fine {
        converged::note(global, (&declared, footprint), &mut store, &outcome);
    }
    Ok(exit)
}

/// Whether all that is declared is judged, by what is recorded.
fn is_whole(arguments: &Arguments) -> bool {
    arguments.set.is_none() && arguments.since.is_none()
}

/// Whether nothing is asked for but to send what is to be sent.
fn is_plain(arguments: &Arguments) -> bool {
    is_whole(arguments)
        && arguments.plan.is_none()
        && arguments.approve.is_empty()
        && arguments.bootstrap.is_none()
        && arguments.metrics_file.is_none()
}

/// The state, held, if the last run left nothing to do and nothing has changed
/// since.
fn held_converged(global: &Global) -> Result<Option<(Store, Converged)>, Failure> {
    let reader = workspace::reader(global).ok().flatten();
    let Some(before) = reader.and_then(|reader| converged::still(global, &reader)) else {
        return Ok(None);
    };
    let store = workspace::store(global, "reconcile")?;
    // Somebody may have written before it was held.
    let now = store.converged().map_err(failed_on_state)?;
    Ok(now.filter(|now| *now == before).map(|now| (store, now)))
}

/// Says what a run says that finds nothing to do.
fn nothing_to_do(store: &mut Store, converged: Converged, output: Output) -> Result<Exit, Failure> {
    let cdns = converged.cdns.into_iter();
    let outcome = Outcome {
        targets: cdns.map(|name| (name, TargetOutcome::default())).collect(),
        ..Outcome::default()
    };
    output.report(&report(&outcome, Context::default()), Some(false))?;
    forget_history(store);
    Ok(Exit::Fine)
}

/// Records what is known of files. Nothing but time is lost where that fails.
fn remember(index: &Index, declared: &Declared, store: &mut Store) {
    if !declared.is_frozen() {
        index.forget_unused();
    }
    if let Some(Err(error)) = index.news().map(|files| store.remember_files(&files)) {
        let error = anyhow::Error::from(error);
        output::warning(&format!(
            "what files hold was not recorded, so the next run reads them again: {error:#}"
        ));
    }
}

/// A state with a past does not ask what to begin with.
fn note_past(bootstrap: Option<Bootstrap>, store: &Store) -> Result<(), Failure> {
    let choice = match bootstrap {
        Some(Bootstrap::Adopt) => "adopt",
        Some(Bootstrap::Fail) => "fail",
        Some(Bootstrap::Invalidate) | None => return Ok(()),
    };
    if !store.is_new().map_err(failed_on_state)? {
        output::note(&format!(
            "`--bootstrap {choice}` has no effect: what has been told is recorded already \
             (`freshen state adopt SET` records a set as fresh)"
        ));
    }
    Ok(())
}

/// Carries out what `options` ask for, with a meter on standard error.
pub(super) fn submit(
    declared: &Declared,
    store: &mut Store,
    options: &Options,
    (allowed, meter): (&[Origin], &mut Meter),
) -> Result<Outcome, Failure> {
    let transport = Transport::new(Patience::default()).context("failed to set up TLS")?;
    let courier = Arc::new(Courier::new(transport, allowed.to_vec()));
    let mut submitter = Submitter::new(courier);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    let outcome = runtime.block_on(async {
        let tools = Tools {
            submitter: &mut submitter,
            clock: &SystemClock,
            events: &mut *meter,
        };
        tokio::select! {
            // In this order, so that signals are listened to from the start.
            biased;
            () = stopped_twice(options.stop.clone()) => None,
            outcome = once(declared, store, options, tools) => Some(outcome),
        }
    });
    // Calls that are still under way are not waited for.
    runtime.shutdown_background();
    meter.clear();
    let outcome = outcome.ok_or_else(|| Failure {
        exit: Exit::Interrupted,
        ..Failure::nothing(anyhow::anyhow!("stopped with calls under way"))
            .hint("what they came to is not known: the next run makes them once more")
    })?;
    outcome.map_err(|error| match error {
        Error::State(error) => failed_on_state(error),
        Error::Stale(error) => Failure::nothing(error)
            .hint("nothing was sent; look at `freshen plan` and save it again"),
    })
}

/// Writes what a daemon would export after this run. What was sent stays sent,
/// whether or not that can be written.
fn write_metrics(
    path: &Path,
    metrics: &Metrics,
    (declared, store): (&Declared, &Store),
    (outcome, took_ms): (&Outcome, i64),
) {
    let now_ms = workspace::now_ms();
    let took = Duration::from_millis(took_ms.unsigned_abs());
    let write = || -> anyhow::Result<()> {
        metrics.reconciled(PassResult::of(outcome), took.as_secs_f64(), now_ms);
        metrics.planned(&Pass {
            declared,
            plan: &outcome.left,
            problems: &outcome.problems,
            failed: &outcome.failed,
            partial: &outcome.partial,
            recorded: &store.sets()?,
            now_ms,
        });
        metrics.state(store.meta()?.serial);
        metrics.targets(declared, &store.targets()?, now_ms);
        metrics.verifications(declared, store)?;
        Ok(metrics::write_file(path, &metrics.render(now_ms))?)
    };
    if let Err(error) = write() {
        output::warning(&format!("{error:#}; what was sent is recorded"));
    }
}

/// The first signal lets calls under way finish; this ends with the second.
async fn stopped_twice(stop: Stop) {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    );
    let (Ok(mut terminate), Ok(mut interrupt)) = signals else {
        return std::future::pending().await;
    };
    for is_second in [false, true] {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        if !is_second {
            output::note("stopping: what is under way is finished and recorded");
            stop.ask();
        }
    }
}

/// Reports on `outcome`, forgets what history is past keeping, and says how
/// the command ends.
pub(super) fn finish(
    declared: &Declared,
    store: &mut Store,
    (outcome, cure): (&Outcome, &Cure),
    output: Output,
) -> Result<Exit, Failure> {
    let mut problems = declared.problems.clone();
    problems.extend(outcome.problems.iter().cloned());
    problems.extend(outcome.vain_approvals.iter().map(|id| vain_approval(id)));
    let exit = exit(declared, outcome, workspace::has_errors(&problems));
    let has_changes = !outcome.planned.is_empty();
    let context = Context {
        cure: cure.clone(),
        problems,
        ..aftermath(declared, store, outcome)
    };
    output.report(&report(outcome, context), Some(has_changes))?;
    forget_history(store);
    Ok(exit)
}

fn forget_history(store: &mut Store) {
    if let Err(error) = store.prune_history(workspace::now_ms()) {
        let error = anyhow::Error::from(error);
        output::warning(&format!("old history was not forgotten: {error:#}"));
    }
}

/// What the state says of what is left. The run is over, and its outcome
/// stands, whether or not that can be read.
fn aftermath(declared: &Declared, store: &Store, outcome: &Outcome) -> Context {
    let now_ms = workspace::now_ms();
    let left = &outcome.left;
    let refusals = bearing::refusals(store, left);
    let prospects = estimate::prospects(declared, store, left, now_ms);
    let repeats = repeats(declared, store);
    let estimates = estimate::by_cdn(declared, Some(store), left, now_ms);
    let errors = [
        estimates.as_ref().err(),
        refusals.as_ref().err(),
        prospects.as_ref().err(),
        repeats.as_ref().err(),
    ];
    for error in errors.into_iter().flatten() {
        output::warning(&format!("what is left could not be looked into: {error}"));
    }
    Context {
        cost: Cost::of(&estimates.unwrap_or_default()),
        refusals: refusals.unwrap_or_default(),
        prospects: prospects.unwrap_or_default(),
        repeats: repeats.unwrap_or_default(),
        now_ms,
        ..Context::default()
    }
}

/// What is to be sent again later: by nobody, where nothing is kept.
fn repeats(declared: &Declared, store: &Store) -> Result<Vec<RepeatsDocument>, StateError> {
    let mut left = Vec::new();
    if store.lasting_lineage().is_none() {
        return Ok(left);
    }
    let all = store.repeats()?;
    for cdn in declared.cdns.values() {
        let target = store.target_id(cdn.provider.target())?;
        let mut here = all.iter().filter(|repeats| Some(repeats.target) == target);
        left.extend(
            here.next()
                .map(|repeats| RepeatsDocument::of(&cdn.name, repeats)),
        );
    }
    Ok(left)
}

fn vain_approval(id: &str) -> Problem {
    let message = format!("no plan `{id}` waits for approval, so `--approve` let nothing through");
    Problem::error("vain-approval", None, message).hint(
        "`freshen plan` names those that wait; a plan is another one once anything in it has changed; \
         ids shown before there was a state do not hold afterwards",
    )
}

fn exit(declared: &Declared, outcome: &Outcome, is_invalid: bool) -> Exit {
    let targets = || {
        outcome
            .left
            .targets()
            .filter(|target| target.hold.is_none())
    };
    let is_halted = outcome.targets.values().any(|target| target.halt.is_some());
    let is_refused = targets().any(|target| target.refused > 0 || target.held > 0)
        || outcome
            .targets
            .values()
            .any(|target| target.tally.refused > 0);
    let is_unfinished =
        outcome.is_cut_short || outcome.left.is_unfinished() || outcome.left.is_kept_waiting();
    let is_incomplete = !outcome.partial.is_empty() || !outcome.failed.is_empty();
    let is_stale = outcome.targets.values().any(TargetOutcome::is_stale);
    Exit::first([
        (is_invalid || is_halted || is_refused, Exit::Failed),
        (is_stale, Exit::Failed),
        (is_unfinished || is_incomplete, Exit::Failed),
        (outcome.left.is_blocked(), Exit::Blocked),
        (!declared.empty_roots.is_empty(), Exit::Blocked),
    ])
}

fn saved(path: &Path) -> Result<SavedPlan, Failure> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("failed to read the saved plan {}", path.display()))?;
    let plan = serde_json::from_str(&text)
        .with_context(|| format!("{} is no saved plan", path.display()))?;
    Ok(plan)
}

pub(super) fn choice(bootstrap: Bootstrap) -> BootstrapChoice {
    match bootstrap {
        Bootstrap::Invalidate => BootstrapChoice::Invalidate,
        Bootstrap::Adopt => BootstrapChoice::Adopt,
        Bootstrap::Fail => BootstrapChoice::Fail,
    }
}
