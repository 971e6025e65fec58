//! Why the state could not be opened, read or written.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use thiserror::Error;

use super::lock::Holder;

/// Cut by what a person does next; [`StateError::hint`] says it.
#[derive(Debug, Error)]
pub enum StateError {
    /// Another process reconciles with this state.
    #[error("the state `{}` is held by {holder}", path.display())]
    Held {
        /// The state file.
        path: PathBuf,
        /// Who has it, as far as the lock file tells.
        holder: Box<Holder>,
    },
    /// What is stored does not match its digest, or is no state at all.
    #[error("the state is damaged: {}{table} {row}: {what}", lead(path.as_deref()))]
    Damaged {
        /// The state file, where it is known by now.
        path: Option<PathBuf>,
        /// Which table, or `file`.
        table: &'static str,
        /// Which row of it, as a person would look it up.
        row: String,
        /// What is wrong with it.
        what: String,
    },
    /// A later freshen wrote this.
    #[error(
        "the state `{}` has format {found}, written by freshen {written_by}; \
         this freshen knows formats up to {known}", path.display()
    )]
    Newer {
        /// The state file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The version that wrote it last.
        written_by: String,
        /// The newest format known here.
        known: i64,
    },
    /// A freshen that computes keys and marks otherwise wrote this.
    #[error(
        "the state `{}` records the set `{set}` by the algorithm `{found}`, written by freshen \
         {written_by}; this freshen knows `{known}`", path.display()
    )]
    UnknownAlgorithm {
        /// The state file.
        path: PathBuf,
        /// The first set that is recorded so.
        set: String,
        /// How its keys and marks were computed.
        found: String,
        /// The version that wrote the state last.
        written_by: String,
        /// The algorithm known here.
        known: &'static str,
    },
    /// There is no state file where one is needed.
    #[error("there is no state at `{}`", path.display())]
    Absent {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The place is unfit for a state file.
    #[error("the state `{}` {what}", path.display())]
    Misplaced {
        /// The state file.
        path: PathBuf,
        /// Why the place is unfit.
        what: String,
        /// Where to put it instead.
        cure: &'static str,
    },
    /// The disk, or a quota on it, is full; what was recorded before is intact.
    #[error("no space left for the state{}", place(path.as_deref()))]
    Full {
        /// The state file, where it is known by now.
        path: Option<PathBuf>,
        /// What `SQLite` said.
        source: rusqlite::Error,
    },
    /// Others kept the file locked for longer than we wait.
    #[error("the state file{} is busy", place(path.as_deref()))]
    Busy {
        /// The state file, where it is known by now.
        path: Option<PathBuf>,
        /// What `SQLite` said.
        source: rusqlite::Error,
    },
    /// The file or its folder cannot be read or written.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// `SQLite` said no, for another reason.
    #[error("the state file{} cannot be used", place(path.as_deref()))]
    Sqlite {
        /// The state file, where it is known by now.
        path: Option<PathBuf>,
        /// What it said.
        source: rusqlite::Error,
    },
    /// A name or number that is not in the state.
    #[error("the state has no {kind} `{name}`")]
    Unknown {
        /// What kind of thing.
        kind: &'static str,
        /// As it was asked for.
        name: String,
    },
    /// What was asked would overwrite something.
    #[error("{what}")]
    Refused {
        /// What stands in the way.
        what: String,
        /// What to do instead.
        cure: &'static str,
    },
}

impl StateError {
    /// Whether a daemon may wait for it to pass: a full disk is emptied, what
    /// is damaged stays so.
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Full { .. } | Self::Busy { .. } | Self::Io { .. } | Self::Sqlite { .. }
        )
    }

    /// The same, naming the state file `file` where it names none yet.
    #[must_use]
    pub fn at(mut self, file: &Path) -> Self {
        if let Self::Damaged { path, .. }
        | Self::Full { path, .. }
        | Self::Busy { path, .. }
        | Self::Sqlite { path, .. } = &mut self
        {
            path.get_or_insert_with(|| file.to_owned());
        }
        self
    }

    /// What to do about it, where we know.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Held { holder, .. } => format!(
                "wait for it or end process {}; the lock goes when the process ends",
                holder.pid
            ),
            Self::Damaged { .. } => {
                "`freshen state check` lists all damage; move the file away, then restore a \
                 copy with `freshen state import` or start without a state"
                    .to_owned()
            }
            Self::Newer { written_by, .. } | Self::UnknownAlgorithm { written_by, .. } => {
                format!("use freshen {written_by} or later; the file was left as it is")
            }
            Self::Absent { .. } => {
                "check `--state`; `freshen reconcile` creates the file".to_owned()
            }
            Self::Misplaced { cure, .. } | Self::Refused { cure, .. } => (*cure).to_owned(),
            Self::Full { .. } => "make room and run again; nothing recorded was lost".to_owned(),
            Self::Busy { .. } => "try again in a moment".to_owned(),
            Self::Io { .. } => "name a writable place with `--state`".to_owned(),
            Self::Sqlite { .. } => "`freshen state check` examines the file".to_owned(),
            Self::Unknown { .. } => "`freshen state show` lists what there is".to_owned(),
        })
    }

    pub(super) fn damaged(
        table: &'static str,
        row: impl Into<String>,
        what: impl Into<String>,
    ) -> Self {
        Self::Damaged {
            path: None,
            table,
            row: row.into(),
            what: what.into(),
        }
    }

    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}

impl From<rusqlite::Error> for StateError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error as Sql;
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                return Self::damaged("file", "structure", error.to_string());
            }
            Some(ErrorCode::DiskFull) => {
                return Self::Full {
                    path: None,
                    source: error,
                };
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                return Self::Busy {
                    path: None,
                    source: error,
                };
            }
            _ => {}
        }
        match &error {
            Sql::FromSqlConversionFailure(..)
            | Sql::IntegralValueOutOfRange(..)
            | Sql::InvalidColumnType(..)
            | Sql::Utf8Error(..) => Self::damaged("file", "a row", error.to_string()),
            _ => Self::Sqlite {
                path: None,
                source: error,
            },
        }
    }
}

/// A file in the middle of a message.
fn place(path: Option<&Path>) -> String {
    path.map_or_else(String::new, |path| format!(" `{}`", path.display()))
}

/// A file at the start of what is said about it.
fn lead(path: Option<&Path>) -> String {
    path.map_or_else(String::new, |path| format!("`{}`: ", path.display()))
}
