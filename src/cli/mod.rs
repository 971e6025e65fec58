//! The command line: arguments, dispatch and exit codes.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::parser::ValueSource;
use clap::{ArgMatches, FromArgMatches as _};

mod args;
mod asking;
mod converged;
mod demo;
mod doctor;
mod duration;
mod environment;
mod exit;
mod expand;
mod explain;
mod history;
mod import;
mod init;
mod log;
mod looking;
mod output;
mod paper;
mod placing;
mod plan;
mod progress;
mod purge;
mod reconcile;
mod run;
mod sandbox;
mod state;
mod status;
mod validate;
mod waiting;
mod workspace;

use args::{Arguments, Command, Global, OutputFormat};
use exit::{Exit, Failure};
use output::Output;

/// Runs the program with the arguments of the process.
pub fn run() -> ExitCode {
    let arguments = match read(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(error) => {
            // A reader that has gone away needs no help text.
            drop(error.print());
            let exit = if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Fine
            };
            return exit.into();
        }
    };
    dispatch(&arguments)
        .unwrap_or_else(|failure| output::failure(&failure.at(&arguments.global.state)))
        .into()
}

/// Reads the command line; `FRESHEN_MANIFESTS` holds folders as `PATH` does.
fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Arguments, clap::Error> {
    let mut command = environment::command();
    let matches = command.try_get_matches_from_mut(arguments)?;
    let mut arguments =
        Arguments::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    if source_of_manifests(&matches) == Some(ValueSource::EnvVariable) {
        let folders = &arguments.global.manifests;
        arguments.global.manifests = folders.iter().flat_map(std::env::split_paths).collect();
    }
    Ok(arguments)
}

/// A global flag given after a sub-command is seen there.
fn source_of_manifests(matches: &ArgMatches) -> Option<ValueSource> {
    let below = matches
        .subcommand()
        .and_then(|(_, below)| source_of_manifests(below));
    below.max(matches.value_source("manifests"))
}

/// A server would be taken for a file that is not there: nothing recorded, so
/// everything new. The rest of such a name may hold a password.
fn check_state(global: &Global) -> Result<(), Failure> {
    let state = global.state.to_string_lossy();
    match state.split_once("://") {
        None => Ok(()),
        Some((scheme, _)) => Err(Failure::usage(format!(
            "`--state {scheme}://...` is no file: this version keeps its state in a file"
        ))
        .hint("name a file on a local disk")),
    }
}

fn dispatch(arguments: &Arguments) -> Result<Exit, Failure> {
    let global = &arguments.global;
    let output = Output::new(global.output);
    if global.output == OutputFormat::Sarif && !matches!(arguments.command, Command::Validate) {
        return Err(Failure::usage("only `validate` writes SARIF"));
    }
    check_state(global)?;
    workspace::check_roots(global)?;
    match &arguments.command {
        Command::Init(init) => init::run(init, global),
        Command::ImportUrls(import) => import::run(import, global, output),
        Command::Validate => validate::run(global, output),
        Command::Expand(expand) => expand::run(expand, global, output),
        Command::Plan(plan) => plan::run(plan, global, output),
        Command::Reconcile(reconcile) => reconcile::run(reconcile, global, output),
        Command::Run(run) => run::run(run, global),
        Command::Demo => demo::run(),
        Command::Sandbox(sandbox) => sandbox::run(sandbox),
        Command::Status(status) => status::run(status, global, output),
        Command::Explain(explain) => explain::run(explain, global, output),
        Command::Invalidate(invalidate) => asking::invalidate(invalidate, global, output),
        Command::Approve(approve) => asking::approve(approve, global, output),
        Command::Suspend(scope) => asking::suspend(scope, global, output),
        Command::Resume(scope) => asking::resume(scope, global, output),
        Command::Doctor(doctor) => doctor::run(doctor, global, output),
        Command::Schema(schema) => paper::schema(schema),
        Command::Completions(completions) => paper::completions(completions),
        Command::Man => paper::manual(),
        Command::History(history) => history::run(history, global, output),
        Command::State(state) => state::run(state, global, output),
    }
}
