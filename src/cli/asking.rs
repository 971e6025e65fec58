//! `invalidate`, `approve`, `suspend`, `resume`: requests, acted on by whoever
//! holds the state, or by the command itself where nobody does.
#![expect(
    clippy::disallowed_methods,
    reason = "reads URLs from a file; names who asks"
)]

use std::path::Path;

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
use crate::state::{self, Scope, Store};
use crate::submit::engine::Stop;

/// What `invalidate` may take where nobody else holds the state.
const MAX_TIME_MS: i64 = 30 * 60 * 1000;

/// Makes items owed and forced, and sends them.
pub(super) fn invalidate(
    arguments: &Invalidate,
    global: &Global,
    output: Output,
) -> Result<Exit, Failure> {
    let mut urls = arguments.url.clone();
    if let Some(path) = &arguments.urls_from {
        urls.extend(lines(path)?);
    }
    let selection = Selection {
        set: arguments.set.clone(),
        asset: arguments.asset.clone(),
        pattern: arguments.pattern.clone(),
        urls,
        cdn: arguments.cdn.clone(),
        reason: arguments.reason.clone(),
    };
    wanted::selects(&selection).map_err(refused)?;
    let declared = workspace::declared(global)?;
    let ask = wanted::invalidation(&declared, selection).map_err(refused)?;
    let Some(mut store) = store_or_ask(global, "invalidate", &ask)? else {
        return Ok(Exit::Fine);
    };
    note_answer(&declared, &mut store, &ask)?;
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
    reconcile::finish(&declared, &mut store, &outcome, output)
}

/// Lets a blocked plan through.
pub(super) fn approve(arguments: &Approve, global: &Global) -> Result<Exit, Failure> {
    let plan = arguments.plan.as_str();
    wanted::names_a_plan(plan).map_err(refused)?;
    let declared = workspace::declared(global)?;
    let ask = {
        let reader = workspace::reader(global)?;
        let records = reader.as_deref();
        wanted::approval(&declared, records, plan, workspace::now_ms()).map_err(refused)?
    };
    settle(&declared, global, "approve", &ask)
}

/// Holds something back.
pub(super) fn suspend(arguments: &ScopeArguments, global: &Global) -> Result<Exit, Failure> {
    let declared = workspace::declared(global)?;
    let ask = wanted::suspension(&declared, scope(arguments)).map_err(refused)?;
    settle(&declared, global, "suspend", &ask)
}

/// Lets it go on.
pub(super) fn resume(arguments: &ScopeArguments, global: &Global) -> Result<Exit, Failure> {
    let declared = workspace::declared(global)?;
    let ask = wanted::resumption(scope(arguments));
    settle(&declared, global, "resume", &ask)
}

fn scope(arguments: &ScopeArguments) -> Scope {
    match (&arguments.set, &arguments.cdn) {
        (Some(set), _) => Scope::Set(set.clone()),
        (None, Some(cdn)) => Scope::Cdn(cdn.clone()),
        (None, None) => Scope::All,
    }
}

/// Leaves the request with the holder of the state, or answers it here.
fn settle(declared: &Declared, global: &Global, command: &str, ask: &Ask) -> Result<Exit, Failure> {
    if let Some(mut store) = store_or_ask(global, command, ask)? {
        note_answer(declared, &mut store, ask)?;
    }
    Ok(Exit::Fine)
}

/// The state, if nobody holds it; else the request is left with who does.
fn store_or_ask(global: &Global, command: &str, ask: &Ask) -> Result<Option<Store>, Failure> {
    match workspace::store(global, command) {
        Ok(store) => Ok(Some(store)),
        Err(failure) if failure.exit == Exit::Held => {
            let id = state::ask(&global.state, &ask.row(&by()), workspace::now_ms())
                .map_err(failed_on_state)?;
            output::note(&format!(
                "left as request {id} with the process that holds the state"
            ));
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
}

fn note_answer(declared: &Declared, store: &mut Store, ask: &Ask) -> Result<(), Failure> {
    let now_ms = workspace::now_ms();
    let answer = (|| -> Result<Option<String>, crate::reconcile::Error> {
        let id = store.ask(&ask.row(&by()), now_ms)?;
        inbox::answer_requests(declared, store, now_ms)?;
        let requests = store.requests(false)?;
        let answered = requests.into_iter().find(|request| request.id == id);
        Ok(answered.and_then(|request| request.outcome))
    })();
    match answer {
        Ok(answer) => {
            output::note(&answer.unwrap_or_default());
            Ok(())
        }
        Err(crate::reconcile::Error::State(error)) => Err(failed_on_state(error)),
        Err(error) => Err(error.into()),
    }
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
