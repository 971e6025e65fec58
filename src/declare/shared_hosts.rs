//! Hosts that many accounts share: there a URL without its query does not stand
//! for those with one.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Cdn;
use crate::manifest::{AssetSetSpec, Manifest, Problem, TemplateSpec};
use crate::wire;

/// A warning for each host whose queries one of `cdns` drops and should not.
pub(super) fn warnings(
    cdns: &[&Cdn],
    templates: &[Arc<Manifest<TemplateSpec>>],
    spec: &AssetSetSpec,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    for cdn in cdns.iter().filter(|cdn| !cdn.wire.is_plain()) {
        let servers = cdn.provider.addressing().into_iter();
        let servers = servers.flat_map(|it| it.servers.iter());
        let entries = templates.iter().flat_map(|template| &template.spec.urls);
        let urls = servers
            .chain(entries.map(|entry| &entry.url))
            .chain(spec.urls.iter().map(|declared| &declared.url));
        let hosts: BTreeSet<&str> = urls
            .filter(|url| cdn.wire.folds(url.as_bytes()))
            .filter_map(|url| std::str::from_utf8(wire::host(url.as_bytes())).ok())
            .filter(|host| cdn.provider.shares_host(host))
            .collect();
        problems.extend(hosts.into_iter().map(|host| warning(cdn, host)));
    }
    problems
}

fn warning(cdn: &Cdn, host: &str) -> Problem {
    let message = format!(
        "Cdn `{}` drops the query of URLs at {host}, which looks like a domain that accounts \
         share: there every URL is cached by itself, and those with a query stay stale",
        cdn.name,
    );
    let problem = Problem::warning("shared-host", Some(cdn.granularity.clone()), message);
    problem.hint(format!(
        "take it URL by URL: `granularity: {{ url: [{host}] }}` beside the rest"
    ))
}
