//! Flags from the environment.
#![expect(
    clippy::disallowed_methods,
    reason = "flags can be given in the environment"
)]

use clap::builder::BoolishValueParser;
use clap::{ArgAction, CommandFactory as _};

use super::args::Arguments;

/// The command line with an environment variable for each flag.
pub(super) fn command() -> clap::Command {
    with_environment(Arguments::command())
}

/// Where it is not given by hand, a flag that narrows another command down
/// would hold back more or less than was meant.
const WITHOUT_ENVIRONMENT: [&str; 2] = ["suspend", "resume"];

fn with_environment(command: clap::Command) -> clap::Command {
    if WITHOUT_ENVIRONMENT.contains(&command.get_name()) {
        return command;
    }
    command
        .mut_args(|arg| match arg.get_long() {
            None | Some("help" | "version") => arg,
            Some(long) => {
                let variable = format!("FRESHEN_{}", long.replace('-', "_").to_uppercase());
                let arg = match arg.get_action() {
                    ArgAction::SetTrue => arg.value_parser(BoolishValueParser::new()),
                    _ => arg,
                };
                // Pipelines leave a variable out by making it empty.
                if std::env::var_os(&variable).is_some_and(|value| value.is_empty()) {
                    return arg;
                }
                arg.env(variable).hide_env_values(true)
            }
        })
        .mut_subcommands(with_environment)
}
