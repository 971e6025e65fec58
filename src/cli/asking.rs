//! `invalidate`, `approve`, `suspend`, `resume`: requests, acted on by whoever
//! holds the state, or by the command itself where nobody does.
#![expect(
    clippy::disallowed_methods,
    reason = "reads URLs from a file; names who asks; waits for the holder"
)]

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use super::args::{Approve, Global, Invalidate, Scope as ScopeArguments};
use super::exit::{Exit, Failure};
use super::output::{self, Output};
use super::reconcile;
use super::workspace::{self, failed_on_state, refused};
use crate::declare::Declared;
use crate::inspect::wanted;
use crate::reconcile::Options;
use crate::reconcile::asks::Ask;
use crate::reconcile::forcing::Selection;
use crate::reconcile::{inbox, planning};
use crate::report::answer::{self, Answer};
use crate::report::cure::Cure;
use crate::report::status;
use crate::state::{self, Records, Scope, Store};
use crate::submit::stop::Stop;

/// A holder acts within a second; one that is busy planning takes longer, and
/// is not waited for.
const HOLDER_LOOKS: u32 = 30;
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

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
    let mut asked = ask_for(&declared, global, "invalidate", &ask)?;
    let Some(mut store) = asked.store.take() else {
        output.report(&answer::report(asked.answer), None)?;
        return Ok(Exit::Fine);
    };
    output::note(&asked.answer.text);
    let options = Options {
        planning: planning::Options {
            only_forced: true,
            ..planning::Options::default()
        },
        saved: None,
        max_time_ms: MAX_TIME_MS,
        stop: Stop::default(),
    };
    let outcome = reconcile::submit(&declared, &mut store, &options, &arguments.allow_endpoint)?;
    reconcile::finish(&declared, &mut store, (&outcome, &Cure::Approve), output)
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
    settle(&declared, global, output, ("approve", &ask))
}

/// Holds something back.
pub(super) fn suspend(
    arguments: &ScopeArguments,
    global: &Global,
    output: Output,
) -> Result<Exit, Failure> {
    let declared = workspace::declared(global)?;
    let ask = wanted::suspension(&declared, scope(arguments)).map_err(refused)?;
    settle(&declared, global, output, ("suspend", &ask))
}

/// Lets it go on, and names what is still held back.
pub(super) fn resume(
    arguments: &ScopeArguments,
    global: &Global,
    output: Output,
) -> Result<Exit, Failure> {
    let declared = workspace::declared(global)?;
    workspace::check_location(global)?;
    let scope = scope(arguments);
    let ask = {
        let reader = workspace::reader(global)?;
        wanted::resumption(&declared, reader.as_deref(), scope.clone()).map_err(refused)?
    };
    let mut answer = ask_for(&declared, global, "resume", &ask)?.answer;
    let reader = workspace::recorded(global)?;
    let still = planning::suspensions(&declared, &reader).map_err(failed_on_state)?;
    let still = still.iter().filter(|other| other.scope != scope);
    let still = still.map(status::suspension);
    answer.remaining = still
        .map(|what| format!("still suspended: {what}"))
        .collect();
    output.report(&answer::report(answer), None)?;
    Ok(Exit::Fine)
}

fn scope(arguments: &ScopeArguments) -> Scope {
    match (&arguments.set, &arguments.cdn) {
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
    (command, ask): (&str, &Ask),
) -> Result<Exit, Failure> {
    let asked = ask_for(declared, global, command, ask)?;
    output.report(&answer::report(asked.answer), None)?;
    Ok(Exit::Fine)
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
    command: &str,
    ask: &Ask,
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
        None => match await_holder(global, command, id)? {
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
    let answer = answer_to(&store, id)?.unwrap_or_default();
    let store = Some(store);
    Ok(Asked { answer, store })
}

/// What waiting for the holder of the state comes to.
enum Awaited {
    Answer(Answer),
    State(Box<Store>),
}

/// Waits a moment for the holder to act on request `id`. One that ends without
/// a look at it leaves the state, and with it the request, to us.
fn await_holder(global: &Global, command: &str, id: i64) -> Result<Awaited, Failure> {
    for _ in 0..HOLDER_LOOKS {
        let reader = workspace::recorded(global)?;
        if let Some(answer) = answer_to(&reader, id)? {
            return Ok(Awaited::Answer(answer));
        }
        drop(reader);
        match workspace::store(global, command) {
            Ok(store) => return Ok(Awaited::State(Box::new(store))),
            Err(failure) if failure.exit == Exit::Held => {}
            Err(failure) => return Err(failure),
        }
        std::thread::sleep(BETWEEN_LOOKS);
    }
    Ok(Awaited::Answer(Answer {
        request: Some(id),
        is_left: true,
        text: format!("left as request {id} with the process that holds the state"),
        ..Answer::default()
    }))
}

/// The answer to request `id`, where there is one.
fn answer_to(records: &Records, id: i64) -> Result<Option<Answer>, Failure> {
    let requests = records.requests(false).map_err(failed_on_state)?;
    let answered = requests.into_iter().find(|request| request.id == id);
    let Some(text) = answered.and_then(|request| request.outcome) else {
        return Ok(None);
    };
    if let Some(why) = text.strip_prefix(inbox::REFUSED) {
        return Err(Failure::nothing(anyhow::anyhow!("{why}")));
    }
    Ok(Some(Answer {
        request: Some(id),
        text,
        ..Answer::default()
    }))
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
