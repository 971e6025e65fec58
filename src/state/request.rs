//! Requests: what one process asks of another that holds the state; and what
//! is suspended.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Row, TransactionBehavior, params};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::records::{Records, unknown};
use super::{Result, StateError, Store, schema, store};

/// Something that is asked of whoever reconciles with this state.
#[derive(Clone, Debug, PartialEq)]
pub struct NewRequest {
    /// Such as `approve` or `invalidate`.
    pub kind: String,
    /// Its arguments.
    pub arg: Value,
    /// Who asks, for the history.
    pub by: String,
}

/// A request as it is recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Its number.
    pub id: i64,
    /// What is asked, and by whom.
    pub asked: NewRequest,
    /// When, in milliseconds since the epoch.
    pub at_ms: i64,
    /// When it was answered.
    pub used_ms: Option<i64>,
    /// What came of it.
    pub outcome: Option<String>,
}

/// What is held back until it is resumed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Scope {
    /// Everything.
    All,
    /// A set, by name.
    Set(String),
    /// A Cdn, by name.
    Cdn(String),
}

impl Scope {
    fn columns(&self) -> (&'static str, &str) {
        match self {
            Self::All => ("all", ""),
            Self::Set(name) => ("set", name),
            Self::Cdn(name) => ("cdn", name),
        }
    }
}

/// In the column `scope`: the row holds a target by its identity.
const TARGET: &str = "target";

/// A scope that is suspended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspension {
    /// What is held back.
    pub scope: Scope,
    /// Since when, in milliseconds since the epoch.
    pub at_ms: i64,
}

/// Leaves a request in the state at `path` without holding it; its number.
pub fn ask(path: &Path, request: &NewRequest, now_ms: i64) -> Result<i64> {
    let path = store::resolved(path);
    if !store::exists(&path)? {
        return Err(StateError::Absent { path });
    }
    let leave = || -> Result<i64> {
        let mut conn = store::connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        schema::check(&conn, &path)?;
        conn.pragma_update(None, "synchronous", "FULL")?;
        let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let id = insert(&transaction, request, Part::default(), now_ms)?;
        transaction.commit()?;
        Ok(id)
    };
    leave().map_err(|error| error.at(&path))
}

/// What a request is part of, and how many items it asks for by itself.
#[derive(Clone, Copy, Default)]
struct Part {
    parent: Option<i64>,
    items: u64,
}

fn insert(conn: &Connection, request: &NewRequest, part: Part, now_ms: i64) -> Result<i64> {
    let arg = request.arg.to_string();
    // The columns of every format: whoever holds the state may be older than us.
    conn.execute(
        "INSERT INTO request(kind, arg, by, at_ms) VALUES (?, ?, ?, ?)",
        params![request.kind, arg, request.by, now_ms],
    )?;
    let id = conn.last_insert_rowid();
    if part.parent.is_some() {
        let sql = "UPDATE request SET parent = ?, items = ? WHERE id = ?";
        conn.execute(sql, params![part.parent, part.items, id])?;
    }
    Ok(id)
}

/// A set that gets another name stays suspended.
pub(super) fn rename_suspended(conn: &Connection, old: &str, new: &str) -> Result<()> {
    let sql = "UPDATE OR REPLACE suspension SET name = ? WHERE scope = 'set' AND name = ?";
    conn.prepare_cached(sql)?.execute([new, old])?;
    Ok(())
}

impl Store {
    /// Leaves a request in the state that this process holds; its number.
    pub fn ask(&mut self, request: &NewRequest, now_ms: i64) -> Result<i64> {
        self.write(|transaction| insert(transaction, request, Part::default(), now_ms))
    }

    /// Leaves a request for `items` items that carries out a part of another,
    /// unless a process that was killed before it answered that one did.
    pub fn ask_part(
        &mut self,
        request: &NewRequest,
        (parent, items): (i64, u64),
        now_ms: i64,
    ) -> Result<()> {
        self.write(|transaction| {
            let sql = "SELECT EXISTS (SELECT 1 FROM request WHERE parent = ? AND arg = ?)";
            let key = params![parent, request.arg.to_string()];
            if !transaction.query_row(sql, key, |row| row.get(0))? {
                let parent = Some(parent);
                insert(transaction, request, Part { parent, items }, now_ms)?;
            }
            Ok(())
        })
    }

    /// Answers a request whose items have all been accepted or refused.
    pub fn finish(
        &mut self,
        request: i64,
        (accepted, refused): (u64, u64),
        (outcome, now_ms): (&str, i64),
    ) -> Result<()> {
        self.write(|transaction| {
            let sql = "UPDATE request SET accepted = ?, refused = ? WHERE id = ?";
            transaction.execute(sql, params![accepted, refused, request])?;
            answer(transaction, request, outcome, now_ms)
        })
    }

    /// Notes what came of a request; it is no longer pending.
    pub fn answer(&mut self, request: i64, outcome: &str, now_ms: i64) -> Result<()> {
        self.write(|transaction| answer(transaction, request, outcome, now_ms))
    }

    /// Holds `scope` back until it is resumed.
    pub fn suspend(&mut self, scope: &Scope, now_ms: i64) -> Result<()> {
        let (kind, name) = scope.columns();
        self.write(|transaction| insert_suspended(transaction, kind, name, now_ms))
    }

    /// Lets `scope` go on; whether it was suspended.
    pub fn resume(&mut self, scope: &Scope) -> Result<bool> {
        let (kind, name) = scope.columns();
        self.write(|transaction| delete_suspended(transaction, kind, name))
    }

    /// Holds back the target of a Cdn, whatever the Cdn comes to be called.
    pub fn suspend_target(&mut self, identity: &str, now_ms: i64) -> Result<()> {
        self.write(|transaction| insert_suspended(transaction, TARGET, identity, now_ms))
    }

    /// Lets a target go on; whether it was suspended.
    pub fn resume_target(&mut self, identity: &str) -> Result<bool> {
        self.write(|transaction| delete_suspended(transaction, TARGET, identity))
    }
}

fn answer(conn: &Connection, request: i64, outcome: &str, now_ms: i64) -> Result<()> {
    let sql = "UPDATE request SET used_ms = ?, outcome = ? WHERE id = ?";
    match conn.execute(sql, params![now_ms, outcome, request])? {
        0 => Err(unknown("request", &request.to_string())),
        _ => Ok(()),
    }
}

fn insert_suspended(conn: &Connection, kind: &str, name: &str, now_ms: i64) -> Result<()> {
    let sql = "INSERT INTO suspension(scope, name, at_ms) VALUES (?, ?, ?) ON CONFLICT DO NOTHING";
    conn.execute(sql, params![kind, name, now_ms])?;
    Ok(())
}

fn delete_suspended(conn: &Connection, kind: &str, name: &str) -> Result<bool> {
    let sql = "DELETE FROM suspension WHERE scope = ? AND name = ?";
    Ok(conn.execute(sql, [kind, name])? > 0)
}

impl Records {
    /// Requests in the order they were made; only unanswered ones, or all.
    pub fn requests(&self, pending_only: bool) -> Result<Vec<Request>> {
        let sql = "SELECT id, kind, arg, by, at_ms, used_ms, outcome FROM request
            WHERE used_ms IS NULL OR NOT ? ORDER BY id";
        let mut statement = self.connection().prepare_cached(sql)?;
        let mut rows = statement.query([pending_only])?;
        let mut requests = Vec::new();
        while let Some(row) = rows.next()? {
            requests.push(read(row)?);
        }
        Ok(requests)
    }

    /// What came of request `id`; `None` while it waits.
    pub fn outcome(&self, id: i64) -> Result<Option<String>> {
        let sql = "SELECT outcome FROM request WHERE id = ?";
        let mut statement = self.connection().prepare_cached(sql)?;
        let outcome = statement.query_row([id], |row| row.get(0)).optional()?;
        Ok(outcome.flatten())
    }

    /// Identities of targets that are suspended, and since when.
    pub fn suspended_targets(&self) -> Result<BTreeMap<String, i64>> {
        let sql = "SELECT name, at_ms FROM suspension WHERE scope = ?";
        let mut statement = self.connection().prepare_cached(sql)?;
        let targets = statement.query_map([TARGET], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(targets.collect::<Result<_, _>>()?)
    }

    /// What is suspended, by the names it had then.
    pub fn suspensions(&self) -> Result<Vec<Suspension>> {
        let sql = "SELECT scope, name, at_ms FROM suspension WHERE scope <> ? ORDER BY scope, name";
        let mut statement = self.connection().prepare_cached(sql)?;
        let mut rows = statement.query([TARGET])?;
        let mut suspensions = Vec::new();
        while let Some(row) = rows.next()? {
            let (kind, name): (String, String) = (row.get(0)?, row.get(1)?);
            let scope = match kind.as_str() {
                "all" => Scope::All,
                "set" => Scope::Set(name),
                "cdn" => Scope::Cdn(name),
                other => {
                    let what = format!("there is no scope `{other}`");
                    return Err(StateError::damaged("suspension", name, what));
                }
            };
            suspensions.push(Suspension {
                scope,
                at_ms: row.get(2)?,
            });
        }
        Ok(suspensions)
    }
}

fn read(row: &Row) -> Result<Request> {
    let id: i64 = row.get(0)?;
    let arg: String = row.get(2)?;
    let broken = |error: serde_json::Error| {
        StateError::damaged("request", id.to_string(), error.to_string())
    };
    Ok(Request {
        id,
        asked: NewRequest {
            kind: row.get(1)?,
            arg: serde_json::from_str(&arg).map_err(broken)?,
            by: row.get(3)?,
        },
        at_ms: row.get(4)?,
        used_ms: row.get(5)?,
        outcome: row.get(6)?,
    })
}
