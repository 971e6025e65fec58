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
    #[error("the state is damaged: {table} {row}: {what}")]
    Damaged {
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
    #[error("no space left for the state")]
    Full(#[source] rusqlite::Error),
    /// Others kept the file locked for longer than we wait.
    #[error("the state file is busy")]
    Busy(#[source] rusqlite::Error),
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
    #[error("the state file cannot be used")]
    Sqlite(#[source] rusqlite::Error),
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
            Self::Full(_) | Self::Busy(_) | Self::Io { .. } | Self::Sqlite(_)
        )
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
            Self::Newer { written_by, .. } => {
                format!("use freshen {written_by} or later; the file was left as it is")
            }
            Self::Absent { .. } => {
                "check `--state`; `freshen reconcile` creates the file".to_owned()
            }
            Self::Misplaced { cure, .. } | Self::Refused { cure, .. } => (*cure).to_owned(),
            Self::Full(_) => "make room and run again; nothing recorded was lost".to_owned(),
            Self::Busy(_) => "try again in a moment".to_owned(),
            Self::Io { .. } => "name a writable place with `--state`".to_owned(),
            Self::Sqlite(_) => "`freshen state check` examines the file".to_owned(),
            Self::Unknown { .. } => "`freshen state show` lists what there is".to_owned(),
        })
    }

    pub(super) fn damaged(
        table: &'static str,
        row: impl Into<String>,
        what: impl Into<String>,
    ) -> Self {
        Self::Damaged {
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
            Some(ErrorCode::DiskFull) => return Self::Full(error),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => return Self::Busy(error),
            _ => {}
        }
        match &error {
            Sql::FromSqlConversionFailure(..)
            | Sql::IntegralValueOutOfRange(..)
            | Sql::InvalidColumnType(..)
            | Sql::Utf8Error(..) => Self::damaged("file", "a row", error.to_string()),
            _ => Self::Sqlite(error),
        }
    }
}
