//! `invalidate`, `approve`, `suspend`, `resume`: requests, acted on by whoever
//! holds the state, or by the command itself where nobody does.
#![expect(
    clippy::disallowed_methods,
    reason = "reads URLs from a file; names who asks"
)]

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::args::{Approve, Global, Invalidate, Scope as ScopeArguments, Suspended};
use super::exit::{Exit, Failure};
use super::output::{self, Output};
use super::progress::Meter;
use super::reconcile;
use super::waiting::{self, Awaited, Patience};
use super::workspace::{self, failed_on_state, refused};
use crate::declare::Declared;
use crate::inspect::wanted;
use crate::reconcile::Options;
use crate::reconcile::asks::Ask;
use crate::reconcile::forcing::Selection;
use crate::reconcile::{inbox, planning};
use crate::report::answer::Answer;
use crate::report::cure::Cure;
use crate::report::status;
use crate::state::{self, Advance, Scope, Store};
use crate::submit::origin::Origin;
use crate::submit::stop::Stop;

/// What `invalidate` may take where nobody else holds the state.
const MAX_TIME_MS: i64 = 30 * 60 * 1000;

/// Makes items owed and forced, and sends them.
pub(super) fn invalidate(
    arguments: &Invalidate,
    global: &Global,
    output: Output,
) -> Result<Exit, Failure> {
    let selection = Selection {
        set: arguments.set.clone(),
        asset: arguments.asset.clone(),
        pattern: arguments.pattern.clone(),
        urls: urls(arguments)?,
        cdn: arguments.cdn.clone(),
        reason: arguments.reason.clone(),
    };
    wanted::selects(&selection).map_err(refused)?;
    workspace::check_location(global)?;
    let declared = workspace::declared(global)?;
    let ask = {
        let reader = workspace::reader(global)?;
        wanted::invalidation(&declared, reader.as_deref(), selection).map_err(refused)?
    };
    let wait = Patience::new(arguments.wait.wait);
    let mut asked = ask_for(&declared, global, ("invalidate", &ask), wait)?;
    let Some(mut store) = asked.store.take() else {
        return waiting::tell(global, output, asked.answer, wait);
    };
    output::note(&asked.answer.text);
    let options = Options {
        planning: planning::Options {
            only_forced: true,
            ..planning::Options::default()
        },
        saved: None,
        max_time_ms: (arguments.wait.wait).map_or(MAX_TIME_MS, |wait_ms| {
            i64::try_from(wait_ms).unwrap_or(i64::MAX)
        }),
        stop: Stop::default(),
    };
    let mut meter = Meter::new();
    let tools = (&*arguments.allow_endpoint, &mut meter);
    let outcome = reconcile::submit(&declared, &mut store, &options, tools)?;
    reconcile::finish(&declared, &mut store, (&outcome, &Cure::Approve), output)
}

/// Sends again what `selection` names, in one call, and waits for what comes
/// of it; no more than that call is made here.
pub(super) fn once(
    selection: Selection,
    (declared, global): (&Declared, &Global),
    (allowed, wait_ms): (&[Origin], u64),
) -> Result<Advance, Failure> {
    workspace::check_location(global)?;
    let ask = {
        let reader = workspace::reader(global)?;
        wanted::invalidation(declared, reader.as_deref(), selection).map_err(refused)?
    };
    let until = Instant::now() + Duration::from_millis(wait_ms);
    let wait = Patience::new(Some(wait_ms));
    let asked = ask_for(declared, global, ("invalidate", &ask), wait)?;
    let id = asked.answer.request.unwrap_or_default();
    let Some(mut store) = asked.store else {
        return waiting::follow(global, id, until);
    };
    let stop = Stop::default();
    let options = Options {
        planning: planning::Options {
            only_forced: true,
            ..planning::Options::default()
        },
        saved: None,
        max_time_ms: i64::try_from(wait_ms).unwrap_or(i64::MAX),
        stop: stop.clone(),
    };
    let mut meter = Meter::for_one_batch(stop);
    reconcile::submit(declared, &mut store, &options, (allowed, &mut meter))?;
    store.advance(id).map_err(failed_on_state)
}

/// Lets a blocked plan through.
pub(super) fn approve(
    arguments: &Approve,
    global: &Global,
    output: Output,
) -> Result<Exit, Failure> {
    let plan = arguments.plan.as_str();
    wanted::names_a_plan(plan).map_err(refused)?;
    workspace::check_location(global)?;
    let declared = workspace::declared(global)?;
    let ask = {
        let reader = workspace::reader(global)?;
        let records = reader.as_deref();
        wanted::approval(&declared, records, plan, workspace::now_ms()).map_err(refused)?
    };
    let wait = Patience::new(arguments.wait.wait);
    settle(&declared, global, output, ("approve", &ask, wait))
}

/// Holds something back.
pub(super) fn suspend(
    arguments: &ScopeArguments,
    global: &Global,
    output: Output,
) -> Result<Exit, Failure> {
    let declared = workspace::declared(global)?;
    let ask = wanted::suspension(&declared, scope(&arguments.what)).map_err(refused)?;
    let wait = Patience::new(arguments.wait.wait);
    settle(&declared, global, output, ("suspend", &ask, wait))
}

/// Lets it go on, and names what is still held back.
pub(super) fn resume(
    arguments: &ScopeArguments,
    global: &Global,
    output: Output,
) -> Result<Exit, Failure> {
    let declared = workspace::declared(global)?;
    workspace::check_location(global)?;
    let scope = scope(&arguments.what);
    let ask = {
        let reader = workspace::reader(global)?;
        wanted::resumption(&declared, reader.as_deref(), scope.clone()).map_err(refused)?
    };
    let wait = Patience::new(arguments.wait.wait);
    let mut answer = ask_for(&declared, global, ("resume", &ask), wait)?.answer;
    let reader = workspace::recorded(global)?;
    let still = planning::suspensions(&declared, &reader).map_err(failed_on_state)?;
    let still = still.iter().filter(|other| other.scope != scope);
    let still = still.map(status::suspension);
    answer.remaining = still
        .map(|what| format!("still suspended: {what}"))
        .collect();
    waiting::tell(global, output, answer, wait)
}

fn scope(what: &Suspended) -> Scope {
    match (&what.set, &what.cdn) {
        (Some(set), _) => Scope::Set(set.clone()),
        (None, Some(cdn)) => Scope::Cdn(cdn.clone()),
        (None, None) => Scope::All,
    }
}

/// Leaves the request with the holder of the state, or answers it here.
pub(super) fn settle(
    declared: &Declared,
    global: &Global,
    output: Output,
    (command, ask, wait): (&str, &Ask, Patience),
) -> Result<Exit, Failure> {
    let asked = ask_for(declared, global, (command, ask), wait)?;
    // Nothing goes on while we hold it.
    drop(asked.store);
    waiting::tell(global, output, asked.answer, wait)
}

/// Something that was asked for.
struct Asked {
    answer: Answer,
    /// The state, where nobody else holds it: whatever follows from the answer
    /// is then up to us.
    store: Option<Store>,
}

/// Records the request, and has it answered.
fn ask_for(
    declared: &Declared,
    global: &Global,
    (command, ask): (&str, &Ask),
    wait: Patience,
) -> Result<Asked, Failure> {
    let row = ask.row(&by());
    let (id, store) = match workspace::store(global, command) {
        Ok(mut store) => {
            let id = store.ask(&row, workspace::now_ms());
            (id.map_err(failed_on_state)?, Some(store))
        }
        Err(failure) if failure.exit == Exit::Held => {
            let id = state::ask(&global.state, &row, workspace::now_ms());
            (id.map_err(failed_on_state)?, None)
        }
        Err(failure) => return Err(failure),
    };
    let mut store = match store {
        Some(store) => store,
        None => match waiting::await_holder(global, (command, id), wait)? {
            Awaited::Answer(answer) => {
                let store = None;
                return Ok(Asked { answer, store });
            }
            Awaited::State(store) => *store,
        },
    };
    let now_ms = workspace::now_ms();
    inbox::answer_requests(declared, &mut store, now_ms).map_err(|error| match error {
        crate::reconcile::Error::State(error) => failed_on_state(error),
        error @ crate::reconcile::Error::Stale(_) => error.into(),
    })?;
    let answer = waiting::answer_to(&store, id)?.unwrap_or_default();
    let store = Some(store);
    Ok(Asked { answer, store })
}

/// The URLs that are named one by one; `None` where no argument names any.
fn urls(arguments: &Invalidate) -> Result<Option<Vec<String>>, Failure> {
    if arguments.url.is_empty() && arguments.urls_from.is_none() {
        return Ok(None);
    }
    let mut urls = arguments.url.clone();
    if let Some(path) = &arguments.urls_from {
        urls.extend(lines(path)?);
    }
    Ok(Some(urls))
}

/// Who asks, for the history.
fn by() -> String {
    std::env::var("USER").unwrap_or_else(|_| "somebody".to_owned())
}

fn lines(path: &Path) -> Result<Vec<String>, Failure> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("failed to read the URLs in {}", path.display()))?;
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(str::to_owned).collect())
}
