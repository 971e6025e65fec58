//! Exit codes, and how an error is shown.

use std::path::Path;
use std::process::ExitCode;

use crate::state::StateError;

/// How a command ended; in the order in which the first that holds is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Exit {
    /// The command line is wrong.
    Usage,
    /// Another process holds the state.
    Held,
    /// Told twice to stop: what was under way is repeated by the next run.
    Interrupted,
    /// Nothing could be judged or done.
    Nothing,
    /// Something is invalid, failed, refused, held or unfinished.
    Failed,
    /// Something is blocked.
    Blocked,
    /// There are changes, and the caller asked to be told.
    Changes,
    /// All is well.
    Fine,
}

impl Exit {
    /// The number that the shell sees.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Usage => 64,
            Self::Held => 5,
            Self::Interrupted => 130,
            Self::Nothing => 1,
            Self::Failed => 4,
            Self::Blocked => 3,
            Self::Changes => 2,
            Self::Fine => 0,
        }
    }

    /// The first that holds among `conditions`.
    pub(super) fn first(conditions: impl IntoIterator<Item = (bool, Self)>) -> Self {
        let holding = conditions.into_iter().filter(|(holds, _)| *holds);
        holding.map(|(_, exit)| exit).min().unwrap_or(Self::Fine)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Ends a command before it has anything to report.
#[derive(Debug)]
pub(super) struct Failure {
    /// The exit code.
    pub(super) exit: Exit,
    /// What failed, and why.
    pub(super) error: anyhow::Error,
    /// What to do about it.
    pub(super) hint: Option<String>,
}

impl Failure {
    /// Nothing could be done because of `error`.
    pub(super) fn nothing(error: impl Into<anyhow::Error>) -> Self {
        Self {
            exit: Exit::Nothing,
            error: error.into(),
            hint: None,
        }
    }

    /// The command line asks for something that does not exist.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Usage,
            ..Self::nothing(anyhow::Error::msg(message.into()))
        }
    }

    /// The same failure; where the state is to blame, its file is named.
    #[must_use]
    pub(super) fn at(self, state: &Path) -> Self {
        let error = match self.error.downcast::<StateError>() {
            Ok(error) => error.at(state).into(),
            Err(error) => error,
        };
        Self { error, ..self }
    }

    /// The same failure, with its cure.
    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::nothing(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_holds_is_told() {
        let check = |exits: &[Exit], code: u8| {
            let first = Exit::first(exits.iter().map(|exit| (true, *exit)));
            assert_eq!(first.code(), code);
        };
        check(&[], 0);
        check(&[Exit::Changes, Exit::Blocked], 3);
        check(&[Exit::Blocked, Exit::Failed], 4);
        check(&[Exit::Failed, Exit::Nothing], 1);
        check(&[Exit::Nothing, Exit::Held], 5);
        check(&[Exit::Held, Exit::Usage], 64);
        assert_eq!(
            Exit::first([(false, Exit::Failed), (true, Exit::Changes)]),
            Exit::Changes
        );
    }
}
