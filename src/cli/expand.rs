//! `expand`: the URLs, one a line, sorted.

use super::args::{Expand, Global};
use super::exit::{Exit, Failure};
use super::output::{self, Output};
use super::workspace;
use crate::manifest::distinct;
use crate::report::urls::{self, Expanded};
use crate::report::{Format, excerpt};

/// Prints what the manifests yield, exclusions applied, before folding.
pub(super) fn run(arguments: &Expand, global: &Global, output: Output) -> Result<Exit, Failure> {
    let declared = workspace::declared(global)?;
    workspace::check_set(&declared, arguments.set.as_deref())?;
    let mut problems = declared.problems.clone();
    let mut expansions = Vec::new();
    let only = arguments.set.as_ref();
    for set in declared
        .sets
        .values()
        .filter(|set| only.is_none_or(|only| *only == set.name))
    {
        let compiled = set.expand();
        problems.extend(compiled.problems);
        expansions.extend(compiled.expansion);
    }
    let exit = Exit::first([
        (workspace::has_errors(&problems), Exit::Failed),
        (!declared.empty_roots.is_empty(), Exit::Blocked),
    ]);
    let expanded = Expanded::of(&expansions, &distinct(problems.clone()));
    match output.format() {
        Format::Text => {
            // Nothing but URLs on standard output: it is read by programs too.
            output::problems(&excerpt::render(&problems, false));
            output::stream(|to| expanded.write_text(to))?;
        }
        Format::Json => output::stream(|to| expanded.write_json(to))?,
        Format::Jsonl => output::stream(|to| expanded.write_jsonl(to))?,
        _ => output.report(&urls::report(&expansions, problems), None)?,
    }
    Ok(exit)
}
