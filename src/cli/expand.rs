//! `expand`: the URLs, one a line, sorted.

use super::args::{Expand, Global};
use super::exit::{Exit, Failure};
use super::output::{self, Output};
use super::workspace;
use crate::report::{excerpt, urls};

/// Prints what the manifests yield, exclusions applied, before folding.
pub(super) fn run(arguments: &Expand, global: &Global, output: Output) -> Result<Exit, Failure> {
    let declared = workspace::declared(global)?;
    workspace::check_set(&declared, arguments.set.as_deref())?;
    let mut problems = declared.problems.clone();
    let mut found = Vec::new();
    let only = arguments.set.as_ref();
    for set in declared
        .sets
        .values()
        .filter(|set| only.is_none_or(|only| *only == set.name))
    {
        let compiled = set.expand();
        problems.extend(compiled.problems);
        if let Some(expansion) = compiled.expansion {
            expansion.for_each(|url, _| found.push(url.to_owned()));
        }
    }
    found.sort_unstable();
    found.dedup();
    let exit = Exit::first([
        (workspace::has_errors(&problems), Exit::Failed),
        (!declared.empty_roots.is_empty(), Exit::Blocked),
    ]);
    if output.is_text() {
        // Nothing but URLs on standard output: it is read by programs too.
        output::problems(&excerpt::render(&problems, false));
        found.push(String::new());
        output::text(&found.join("\n"))?;
    } else {
        output.report(&urls::report(found, problems), None)?;
    }
    Ok(exit)
}
