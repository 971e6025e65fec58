//! `explain`: what is known of a URL or an asset.

use std::time::Duration;

use anyhow::Context as _;

use super::args::{Explain, Global};
use super::exit::{Exit, Failure};
use super::output::Output;
use super::workspace::{self, failed_on_state};
use crate::declare::Declared;
use crate::inspect::explain;
use crate::inspect::explain::{Wanted, wanted};
use crate::report::Report;
use crate::report::explain::{Explained, ObstacleKind, State};
use crate::report::fetched::{Fetched, StandingDocument, beside};
use crate::state::Records;
use crate::submit::lookout::Lookout;

/// For all that is fetched, at most.
const PATIENCE: Duration = Duration::from_secs(20);

/// Explains, beside whoever writes the state.
pub(super) fn run(arguments: &Explain, global: &Global, output: Output) -> Result<Exit, Failure> {
    let declared = workspace::declared(global)?;
    let reader = workspace::reader(global)?;
    let moment = workspace::moment(global);
    let mut explanation =
        explain::explain(&declared, reader.as_deref(), &arguments.subject, &moment)
            .map_err(failed_on_state)?;
    if arguments.fetch {
        fetch(&declared, reader.as_deref(), &mut explanation.report)?;
    }
    output.report(&explanation.report, None)?;
    let mut fetched = explanation.report.wire.fetched.iter();
    let is_stale = fetched.any(|it| it.standing == StandingDocument::EdgeOlder);
    let urls = &explanation.report.wire.urls;
    let is_refused = urls.iter().any(|url| url.state == State::Refused);
    let mut in_the_way = urls.iter().flat_map(|url| &url.obstacles);
    let is_blocked = in_the_way.any(|obstacle| obstacle.kind == ObstacleKind::Blocked);
    Ok(Exit::first([
        (workspace::has_errors(&declared.problems), Exit::Failed),
        (is_refused || explanation.is_incomplete, Exit::Failed),
        (is_stale, Exit::Failed),
        (is_blocked, Exit::Blocked),
    ]))
}

/// Looks at what is served now, at the edge and at the origin.
fn fetch(
    declared: &Declared,
    records: Option<&Records>,
    report: &mut Report<Explained>,
) -> Result<(), Failure> {
    let wanted = wanted(declared, records, &report.wire).map_err(failed_on_state)?;
    let edges = wanted.iter().map(|wanted| wanted.url.clone());
    let origins = wanted.iter().filter_map(|wanted| wanted.at_origin.clone());
    let urls: Vec<String> = edges.chain(origins).collect();
    let lookout = Lookout::new().context("failed to set up TLS")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    let mut at_edge = runtime.block_on(lookout.look_at_all(urls, workspace::now_ms(), PATIENCE));
    let mut at_origin = at_edge.split_off(wanted.len()).into_iter();
    let fetched = wanted.into_iter().zip(at_edge).map(|(wanted, edge)| {
        let Wanted {
            url,
            cdn,
            at_origin: origin,
            before,
        } = wanted;
        Fetched {
            url,
            cdn,
            edge,
            origin: origin.and_then(|_| at_origin.next()),
            before,
        }
    });
    beside(report, &fetched.collect::<Vec<_>>());
    Ok(())
}
