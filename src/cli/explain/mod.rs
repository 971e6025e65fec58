//! `explain`: what is known of a URL or an asset.

mod absent;
mod obstacle;
mod past;
mod search;

use super::args::{Explain, Global};
use super::exit::{Exit, Failure};
use super::output::Output;
use super::workspace::{self, failed_on_state};
use crate::report::explain::{Found, ObstacleKind, State, UrlDocument, report};
use crate::state;
use past::Past;
use search::{expanded, search};

/// Looks for the URL, else for its path, else for an asset of that id.
pub(super) fn run(arguments: &Explain, global: &Global, output: Output) -> Result<Exit, Failure> {
    let declared = workspace::declared(global)?;
    let reader = workspace::reader(global)?;
    let records = reader.as_deref();
    let subject = arguments.subject.as_str();
    let (expanded, failed) = expanded(&declared);
    let (found_as, matches) = search(&declared, &expanded, subject);
    let names = matches.keys().map(|at| expanded[*at].0.name.as_str());
    let past = Past::read(&declared, records, names).map_err(failed_on_state)?;
    let mut urls = Vec::new();
    for (at, found) in &matches {
        let (set, expansion) = &expanded[*at];
        urls.extend(
            past.explain(set, expansion, found)
                .map_err(failed_on_state)?,
        );
    }
    if let Some(holder) = state::holder(&global.state) {
        let waits = |url: &&mut UrlDocument| {
            (url.state.is_pending() || url.state == State::UnderWay) && url.obstacles.is_empty()
        };
        for url in urls.iter_mut().filter(waits) {
            url.obstacles.push(obstacle::in_hand(&holder));
        }
    }
    let obstacles = match found_as {
        None | Some(Found::Path) => {
            absent::obstacles(&declared, &failed, records, subject).map_err(failed_on_state)?
        }
        _ => Vec::new(),
    };
    let is_refused = urls.iter().any(|url| url.state == State::Refused);
    let mut in_the_way = urls.iter().flat_map(|url| &url.obstacles);
    let is_blocked = in_the_way.any(|obstacle| obstacle.kind == ObstacleKind::Blocked);
    output.report(&report(subject, found_as, urls, obstacles), None)?;
    Ok(Exit::first([
        (workspace::has_errors(&declared.problems), Exit::Failed),
        (is_refused || !failed.is_empty(), Exit::Failed),
        (is_blocked, Exit::Blocked),
    ]))
}
