//! `explain`: what is known of a URL or an asset.

use super::args::{Explain, Global};
use super::exit::{Exit, Failure};
use super::output::Output;
use super::workspace::{self, failed_on_state};
use crate::inspect::explain;
use crate::report::explain::{ObstacleKind, State};

/// Explains, beside whoever writes the state.
pub(super) fn run(arguments: &Explain, global: &Global, output: Output) -> Result<Exit, Failure> {
    let declared = workspace::declared(global)?;
    let reader = workspace::reader(global)?;
    let moment = workspace::moment(global);
    let explanation = explain::explain(&declared, reader.as_deref(), &arguments.subject, &moment)
        .map_err(failed_on_state)?;
    output.report(&explanation.report, None)?;
    let urls = &explanation.report.wire.urls;
    let is_refused = urls.iter().any(|url| url.state == State::Refused);
    let mut in_the_way = urls.iter().flat_map(|url| &url.obstacles);
    let is_blocked = in_the_way.any(|obstacle| obstacle.kind == ObstacleKind::Blocked);
    Ok(Exit::first([
        (workspace::has_errors(&declared.problems), Exit::Failed),
        (is_refused || explanation.is_incomplete, Exit::Failed),
        (is_blocked, Exit::Blocked),
    ]))
}
