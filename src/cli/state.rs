//! `state`: look into the state file, or mend it.

use std::path::Path;

use super::args::{Global, OneSet, State as Arguments};
use super::exit::{Exit, Failure};
use super::output::{self, Output};
use super::workspace::{self, failed_on_state};
use super::{args, status};
use crate::reconcile::since;
use crate::state::{self, StateError};

/// Runs one of the sub-commands.
pub(super) fn run(arguments: &Arguments, global: &Global, output: Output) -> Result<Exit, Failure> {
    let path = &global.state;
    match arguments {
        Arguments::Show => return status::run(&OneSet { set: None }, global, output),
        Arguments::Check => return check(path),
        Arguments::Adopt(named) => adopt(&named.set, global)?,
        Arguments::Forget(named) => {
            let mut store = workspace::store(global, "state forget")?;
            let now_ms = workspace::now_ms();
            store.forget(&named.set, now_ms).map_err(failed_on_state)?;
            output::note(&format!(
                "forgot `{}`: what it declares is sent anew",
                named.set
            ));
        }
        Arguments::Mv(args::Rename { from, to }) => {
            let mut store = workspace::store(global, "state mv")?;
            let now_ms = workspace::now_ms();
            store.rename(from, to, now_ms).map_err(failed_on_state)?;
            output::note(&format!("`{from}` is recorded as `{to}` from now on"));
        }
        Arguments::Export(to) => {
            state::export(path, &to.file).map_err(failed_on_state)?;
            output::note(&format!("exported to {}", to.file.display()));
        }
        Arguments::Import(from) => {
            let mut store = workspace::store(global, "state import")?;
            store
                .import(&from.file, from.force)
                .map_err(failed_on_state)?;
            output::note(&format!("imported {}", from.file.display()));
        }
    }
    Ok(Exit::Fine)
}

/// Lists all damage there is.
fn check(path: &Path) -> Result<Exit, Failure> {
    let damage = state::check(path).map_err(failed_on_state)?;
    for found in &damage {
        output::text(&format!("{found}\n"))?;
    }
    if damage.is_empty() {
        output::text("The state is sound.\n")?;
    }
    Ok(Exit::first([(!damage.is_empty(), Exit::Failed)]))
}

/// Records that every CDN of a set has all that it declares.
fn adopt(name: &str, global: &Global) -> Result<(), Failure> {
    let mut declared = workspace::declared(global)?;
    workspace::check_set(&declared, Some(name))?;
    declared.sets.retain(|set, _| set == name);
    declared.broken.retain(|set| set == name);
    let mut store = workspace::store(global, "state adopt")?;
    let unknown = since::record(&declared, &mut store, workspace::now_ms())?;
    if unknown.sets.is_empty() {
        output::note(&format!("recorded `{name}` as fresh; nothing was sent"));
        return Ok(());
    }
    let (kind, name) = ("valid set", name.to_owned());
    Err(failed_on_state(StateError::Unknown { kind, name })
        .hint("`freshen validate` shows what is wrong with it"))
}
