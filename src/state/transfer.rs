//! Whole states: copying one out, taking one in, examining one; and moving or
//! dropping single sets.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use crate::batch::journal::BatchNo;
use crate::plan::recorded::TargetId;

use super::observe::{drop_set, find_set, record_event};
use super::records::{Records, unknown};
use super::{Reader, Result, StateError, Store, journal, publication, request, schema, store};

/// In this order everything is taken over by [`Store::import`], but for what is
/// known of files, which may be those of another machine, and what accounts
/// have listed, which is true whoever asked.
const TABLES: [&str; 20] = [
    "meta",
    "target",
    "asset_set",
    "ledger",
    "bucket",
    "departed",
    "forced",
    "approval",
    "batch",
    "claim",
    "refusal",
    "request",
    "suspension",
    "event",
    "probe",
    "repeat",
    "echo",
    "kept_inputs",
    "origin_wait",
    "origin_sight",
];

/// Copies the state at `path` to a new file `to`, as of one moment, also
/// while it is being written.
pub fn export(path: &Path, to: &Path) -> Result<()> {
    let path = store::resolved(path);
    if !store::exists(&path)? {
        return Err(StateError::Absent { path });
    }
    if to.exists() {
        return Err(StateError::Refused {
            what: format!("`{}` exists", to.display()),
            cure: "name a new file",
        });
    }
    let conn = store::connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let copied = schema::check(&conn, &path).and_then(|()| copy(&conn, to));
    copied.map_err(|error| error.at(&path))
}

/// Writes everything `conn` sees to a new file `to`, whole or not at all.
pub(super) fn copy(conn: &Connection, to: &Path) -> Result<()> {
    let mut draft = to.as_os_str().to_owned();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    store::remove_if_there(&draft)?;
    let name = draft.to_str().ok_or_else(|| StateError::Refused {
        what: format!("`{}` is not valid Unicode", to.display()),
        cure: "name another file",
    })?;
    let written = conn.execute("VACUUM INTO ?", [name]);
    written.map_err(|error| match error.into() {
        full @ StateError::Full { .. } => full.at(to),
        other => other,
    })?;
    store::publish(&draft, to)
}

/// All damage in the state at `path`; empty where it is sound.
pub fn check(path: &Path) -> Result<Vec<StateError>> {
    let reader = match Reader::open(path) {
        Ok(Some(reader)) => reader,
        Ok(None) => {
            return Err(StateError::Absent {
                path: path.to_owned(),
            });
        }
        Err(damage @ StateError::Damaged { .. }) => return Ok(vec![damage]),
        Err(error) => return Err(error),
    };
    let path = store::resolved(path);
    let mut findings = Vec::new();
    examine(&reader, &mut findings).map_err(|error| error.at(&path))?;
    let named = findings.into_iter().map(|found| found.at(&path));
    Ok(named.collect())
}

impl Store {
    /// Takes over everything from the state at `from`, in one transaction.
    ///
    /// A state that is no copy of this one, or an older one, is refused unless
    /// nothing was ever written to this one or `is_forced`.
    pub fn import(&mut self, from: &Path, is_forced: bool) -> Result<()> {
        if let Some(damage) = check(from)?.into_iter().next() {
            return Err(damage);
        }
        let theirs = Reader::open(from)?
            .ok_or_else(|| StateError::Absent {
                path: from.to_owned(),
            })?
            .meta()
            .map_err(|error| error.at(from))?;
        let ours = self.meta()?;
        if !is_forced && ours.serial > 0 {
            if theirs.lineage != ours.lineage {
                return Err(refused(from, "belongs to another state"));
            }
            if theirs.serial < ours.serial {
                return Err(refused(from, "is older than the state it would replace"));
            }
        }
        let name = store::resolved(from);
        let name = name.to_string_lossy();
        self.connection()
            .execute("ATTACH DATABASE ? AS source", [name])?;
        let taken = self.write(take_over);
        self.connection().execute("DETACH DATABASE source", [])?;
        taken?;
        self.reread()
    }

    /// Drops a set and its ledgers: whatever it declares will be sent anew.
    pub fn forget(&mut self, set: &str, now_ms: i64) -> Result<()> {
        self.write(|transaction| {
            find_set(transaction, set)?.ok_or_else(|| unknown("set", set))?;
            drop_set(transaction, set)?;
            record_event(transaction, now_ms, "forgotten", Some(set), "by request")
        })
    }

    /// Gives a set another name; it keeps its ledgers.
    pub fn rename(&mut self, old: &str, new: &str, now_ms: i64) -> Result<()> {
        self.write(|transaction| {
            let id = find_set(transaction, old)?.ok_or_else(|| unknown("set", old))?;
            if find_set(transaction, new)?.is_some() {
                return Err(StateError::Refused {
                    what: format!("the state has a set `{new}` already"),
                    cure: "`freshen state forget` it first, if it may go",
                });
            }
            let sql = "UPDATE asset_set SET name = ?, serial = serial + 1 WHERE id = ?";
            transaction.execute(sql, params![new, id])?;
            request::rename_suspended(transaction, old, new)?;
            record_event(
                transaction,
                now_ms,
                "renamed",
                Some(new),
                &format!("from {old}"),
            )
        })
    }
}

fn refused(from: &Path, why: &str) -> StateError {
    StateError::Refused {
        what: format!("`{}` {why}", from.display()),
        cure: "give `--force` if that is meant",
    }
}

fn take_over(conn: &rusqlite::Transaction) -> Result<()> {
    for table in TABLES {
        conn.execute(&format!("DELETE FROM main.{table}"), [])?;
        // Older formats have fewer columns, which have defaults, and tables.
        let sql = "SELECT group_concat('\"' || name || '\"') FROM pragma_table_info(?, 'source')";
        let columns: Option<String> = conn.query_row(sql, [table], |row| row.get(0))?;
        if let Some(columns) = columns {
            let sql =
                format!("INSERT INTO main.{table}({columns}) SELECT {columns} FROM source.{table}");
            conn.execute(&sql, [])?;
        }
    }
    // It told of what was recorded here.
    conn.execute("DELETE FROM main.converged", [])?;
    conn.execute("DELETE FROM main.sqlite_sequence", [])?;
    conn.execute(
        "INSERT INTO main.sqlite_sequence SELECT * FROM source.sqlite_sequence",
        [],
    )?;
    Ok(())
}

fn examine(records: &Records, findings: &mut Vec<StateError>) -> Result<()> {
    let conn = records.connection();
    note(structure(conn), findings)?;
    note(records.targets().map(drop), findings)?;
    note(records.requests(false).map(drop), findings)?;
    note(records.suspensions().map(drop), findings)?;
    note(records.files().map(drop), findings)?;
    note(records.look_ups().map(drop), findings)?;
    note(publication::examine(records), findings)?;
    match records.kept() {
        Ok(kept) => {
            for set in kept.into_keys() {
                note(records.kept_inputs(set).map(drop), findings)?;
            }
        }
        other => note(other.map(drop), findings)?,
    }
    note(records.open_batches().map(drop), findings)?;
    for ledger in numbers(conn, "SELECT id FROM ledger", findings)? {
        let ledger = crate::plan::recorded::LedgerId(ledger);
        note(records.contents(ledger, i64::MIN).map(drop), findings)?;
    }
    for no in numbers(conn, "SELECT no FROM batch", findings)? {
        note(journal::read_claims(conn, BatchNo(no)).map(drop), findings)?;
    }
    for target in numbers(conn, "SELECT id FROM target", findings)? {
        note(records.refusals(TargetId(target)).map(drop), findings)?;
    }
    note(records.sets().map(drop), findings)
}

/// Keeps damage as a finding; anything else ends the examination.
fn note(result: Result<()>, findings: &mut Vec<StateError>) -> Result<()> {
    match result {
        Err(damage @ StateError::Damaged { .. }) => {
            findings.push(damage);
            Ok(())
        }
        other => other,
    }
}

fn numbers(conn: &Connection, sql: &str, findings: &mut Vec<StateError>) -> Result<Vec<i64>> {
    let read = || -> Result<Vec<i64>> {
        let mut statement = conn.prepare(sql)?;
        let numbers = statement.query_map([], |row| row.get(0))?;
        Ok(numbers.collect::<Result<_, _>>()?)
    };
    match read() {
        Ok(numbers) => Ok(numbers),
        Err(error) => note(Err(error), findings).map(|()| Vec::new()),
    }
}

/// The first thing that `SQLite` itself finds.
fn structure(conn: &Connection) -> Result<()> {
    let found: Option<String> = conn
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .optional()?;
    match found.as_deref() {
        Some("ok") => Ok(()),
        other => {
            let what = other.unwrap_or("it cannot be examined");
            Err(StateError::damaged("file", "structure", what))
        }
    }
}
