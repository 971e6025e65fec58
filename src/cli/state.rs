//! `state`: look into the state file, or mend it.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::args::{Global, OneSet, Wait};
use super::exit::{Exit, Failure};
use super::output::Output;
use super::waiting::Patience;
use super::workspace::{self, failed_on_state};
use super::{asking, status};
use crate::reconcile::asks::{ADHOC, Ask};
use crate::report::answer::{Answer, report};
use crate::report::number::counted;
use crate::state::{self, StateError};

/// `state`.
#[derive(Debug, Subcommand)]
pub(super) enum Arguments {
    /// Show what the state holds
    Show,
    /// Record a set as already fresh, sending nothing
    Adopt(NamedSet),
    /// Drop what is recorded of a set
    Forget(NamedSet),
    /// Give what is recorded of a set to another name
    Mv(Rename),
    /// Copy the state to a file
    Export(StateFile),
    /// Replace the state by an exported one
    Import(Import),
    /// Check the state for damage
    Check,
}

/// A set by name.
#[derive(Args, Debug)]
pub(super) struct NamedSet {
    /// The set
    pub(super) set: String,
    #[command(flatten)]
    pub(super) wait: Wait,
}

/// `state mv`.
#[derive(Args, Debug)]
pub(super) struct Rename {
    /// The recorded name
    pub(super) from: String,
    /// The name it gets
    pub(super) to: String,
    #[command(flatten)]
    pub(super) wait: Wait,
}

/// `state export`.
#[derive(Args, Debug)]
pub(super) struct StateFile {
    /// The file
    pub(super) file: PathBuf,
}

/// `state import`.
#[derive(Args, Debug)]
pub(super) struct Import {
    /// The file
    pub(super) file: PathBuf,
    /// Accept another lineage or an older serial
    #[arg(long)]
    pub(super) force: bool,
}

/// Runs one of the sub-commands.
pub(super) fn run(arguments: &Arguments, global: &Global, output: Output) -> Result<Exit, Failure> {
    let path = &global.state;
    match arguments {
        Arguments::Show => status::run(&OneSet { set: None }, global, output),
        Arguments::Check => check(path, output),
        Arguments::Adopt(named) => {
            let declared = workspace::declared(global)?;
            workspace::check_set(&declared, Some(&named.set))?;
            let set = named.set.clone();
            let ask = (
                "state adopt",
                &Ask::Adopt { set },
                Patience::new(named.wait.wait),
            );
            asking::settle(&declared, global, output, ask)
        }
        Arguments::Forget(named) => {
            let set = named.set.clone();
            let ask = (
                "state forget",
                &Ask::Forget { set },
                Patience::new(named.wait.wait),
            );
            change(global, output, &named.set, ask)
        }
        Arguments::Mv(Rename { from, to, wait }) => {
            let ask = Ask::Rename {
                from: from.clone(),
                to: to.clone(),
            };
            change(
                global,
                output,
                from,
                ("state mv", &ask, Patience::new(wait.wait)),
            )
        }
        Arguments::Export(to) => {
            state::export(path, &to.file).map_err(failed_on_state)?;
            tell(output, format!("exported to {}", to.file.display()))
        }
        Arguments::Import(from) => {
            let mut store = workspace::store(global, "state import")?;
            store
                .import(&from.file, from.force)
                .map_err(failed_on_state)?;
            tell(output, format!("imported {}", from.file.display()))
        }
    }
}

/// Tells what was done.
fn tell(output: Output, text: String) -> Result<Exit, Failure> {
    let answer = Answer {
        text,
        ..Answer::default()
    };
    output.report(&report(answer), None)?;
    Ok(Exit::Fine)
}

/// Lists all damage there is.
fn check(path: &Path, output: Output) -> Result<Exit, Failure> {
    let damage = state::check(path).map_err(failed_on_state)?;
    let is_damaged = !damage.is_empty();
    let answer = Answer {
        text: match damage.len() as u64 {
            0 => "the state is sound".to_owned(),
            count => format!("the state is damaged in {}", counted(count, "place")),
        },
        damage: damage.iter().map(ToString::to_string).collect(),
        ..Answer::default()
    };
    output.report(&report(answer), None)?;
    Ok(Exit::first([(is_damaged, Exit::Failed)]))
}

/// Asks for a change of what is recorded of the set `name`.
fn change(
    global: &Global,
    output: Output,
    name: &str,
    ask: (&str, &Ask, Patience),
) -> Result<Exit, Failure> {
    workspace::check_location(global)?;
    let reader = workspace::recorded(global)?;
    let sets = reader.sets().map_err(failed_on_state)?;
    // URLs of the built-in set may wait without anything of it being recorded.
    if name != ADHOC && !sets.iter().any(|set| set.name == name) {
        let (kind, name) = ("set", name.to_owned());
        return Err(failed_on_state(StateError::Unknown { kind, name }));
    }
    drop(reader);
    let declared = workspace::declared(global)?;
    asking::settle(&declared, global, output, ask)
}
