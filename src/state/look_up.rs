//! What accounts were asked and answered, and the budget of asking.
//!
//! Whoever asks does so beside whoever holds the state, so that neither waits
//! for the other: it writes as requests are left, over a connection of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Row, TransactionBehavior, params};

use super::packing::{packed, unpacked};
use super::records::Records;
use super::{Result, StateError, publication, schema, store};
use crate::digest::Digest;
use crate::lookup::{Failure, Good, Recorded};

/// What nobody asks for any more is kept this long, as what leaves a set is.
pub(super) const KEPT_MS: i64 = 30 * 24 * 60 * 60 * 1000;

/// How asking a target stands; written back whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asking {
    /// GCRA's theoretical arrival times, by the name of the rate.
    pub tats: BTreeMap<String, i64>,
    /// What look-ups have taught, whoever made them.
    pub facts: BTreeMap<String, String>,
    /// Not to be asked before this.
    pub retry_at_ms: Option<i64>,
    /// Failures in a row that may pass.
    pub attempts: u32,
}

/// Writes what comes of asking into the state at a path, which it does not hold.
#[derive(Clone, Debug)]
pub struct LookUps {
    path: PathBuf,
}

impl LookUps {
    /// Of the state at `path`, which must be there by the time it is written.
    pub fn new(path: &Path) -> Self {
        Self {
            path: store::resolved(path),
        }
    }

    /// How asking `target` stands.
    pub fn asking(&self, target: &str) -> Result<Asking> {
        self.with(|conn| read_asking(conn, target))
    }

    /// Takes down how asking `target` stands: budget, wait, and what was learnt.
    pub fn stand(&self, target: &str, asking: &Asking) -> Result<()> {
        let sql = "INSERT INTO look_up_target(target, tats, facts, retry_at_ms, attempts)
            VALUES (?, ?, ?, ?, ?) ON CONFLICT(target) DO UPDATE SET tats = excluded.tats,
            facts = excluded.facts, retry_at_ms = excluded.retry_at_ms,
            attempts = excluded.attempts";
        self.with(|conn| {
            conn.execute(
                sql,
                params![
                    target,
                    serde_json::to_string(&asking.tats).expect("texts and numbers are JSON"),
                    serde_json::to_string(&asking.facts).expect("texts are JSON"),
                    asking.retry_at_ms,
                    asking.attempts,
                ],
            )?;
            Ok(())
        })
    }

    /// Takes down what has come of a query. An answer that is the one from
    /// before is not written again.
    pub fn record(&self, recorded: &Recorded) -> Result<()> {
        self.with(|conn| {
            let key = params![recorded.target, recorded.query.0];
            conn.execute(
                "INSERT INTO look_up(target, query, about, asked_ms) VALUES (?, ?, '', 0)
                    ON CONFLICT DO NOTHING",
                key,
            )?;
            let failure = recorded.failure.as_ref();
            conn.execute(
                "UPDATE look_up SET about = ?, asked_ms = ?, failure = ?, may_pass = ?
                    WHERE target = ? AND query = ?",
                params![
                    recorded.about,
                    recorded.asked_ms,
                    failure.map(|failure| &failure.message),
                    failure.is_some_and(|failure| failure.may_pass),
                    recorded.target,
                    recorded.query.0,
                ],
            )?;
            let Some(good) = &recorded.good else {
                return Ok(());
            };
            let sql = "SELECT digest FROM look_up WHERE target = ? AND query = ?";
            let before: Option<[u8; 32]> = conn.query_row(sql, key, |row| row.get(0))?;
            if before != Some(good.digest.0) {
                conn.execute(
                    "UPDATE look_up SET answer = ?, digest = ?, rows = ?
                        WHERE target = ? AND query = ?",
                    params![
                        packed(&good.bytes),
                        good.digest.0,
                        good.rows,
                        recorded.target,
                        recorded.query.0,
                    ],
                )?;
            }
            let sql = "UPDATE look_up SET answered_ms = ? WHERE target = ? AND query = ?";
            conn.execute(
                sql,
                params![good.answered_ms, recorded.target, recorded.query.0],
            )?;
            Ok(())
        })
    }

    /// Forgets answers that nobody has wanted for long, and assets that none holds.
    pub fn forget_unwanted(&self, wanted: &BTreeSet<Digest>, now_ms: i64) -> Result<()> {
        self.with(|conn| {
            let mut statement =
                conn.prepare("SELECT DISTINCT query FROM look_up WHERE asked_ms < ?")?;
            let old = statement.query_map([now_ms - KEPT_MS], |row| row.get(0).map(Digest))?;
            let old: Vec<Digest> = old.collect::<Result<_, _>>()?;
            for query in old.iter().filter(|query| !wanted.contains(query)) {
                let sql = "DELETE FROM look_up WHERE query = ? AND asked_ms < ?";
                conn.execute(sql, params![query.0, now_ms - KEPT_MS])?;
            }
            publication::forget_unlisted(conn, now_ms)
        })
    }

    /// One durable transaction.
    pub(super) fn with<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let run = || -> Result<T> {
            if !store::exists(&self.path)? {
                let path = self.path.clone();
                return Err(StateError::Absent { path });
            }
            let mut conn = store::connect(&self.path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
            schema::check(&conn, &self.path)?;
            conn.pragma_update(None, "synchronous", "FULL")?;
            let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let result = work(&transaction)?;
            transaction.commit()?;
            Ok(result)
        };
        run().map_err(|error| error.at(&self.path))
    }
}

impl Records {
    /// Everything that accounts were asked.
    pub fn look_ups(&self) -> Result<Vec<Recorded>> {
        if !self.has_table("look_up")? {
            return Ok(Vec::new());
        }
        let sql = "SELECT target, query, about, asked_ms, failure, may_pass, answer, digest,
            rows, answered_ms FROM look_up ORDER BY target, query";
        let mut statement = self.connection().prepare_cached(sql)?;
        let mut rows = statement.query([])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(read(row)?);
        }
        Ok(found)
    }
}

fn read(row: &Row) -> Result<Recorded> {
    let (target, about): (String, String) = (row.get(0)?, row.get(2)?);
    let may_pass: bool = row.get(5)?;
    let failure = row.get::<_, Option<String>>(4)?;
    let good = match row.get::<_, Option<Vec<u8>>>(6)? {
        None => None,
        Some(packed) => {
            let digest = Digest(row.get(7)?);
            let damaged = |what: &str| StateError::damaged("look_up", about.clone(), what);
            let bytes = unpacked(&packed).ok_or_else(|| damaged("it cannot be unpacked"))?;
            if Digest::of(&bytes) != digest {
                return Err(damaged("it does not match its digest"));
            }
            Some(Good {
                bytes: bytes.into(),
                digest,
                rows: row.get(8)?,
                answered_ms: row.get(9)?,
            })
        }
    };
    Ok(Recorded {
        target,
        query: Digest(row.get(1)?),
        about,
        good,
        asked_ms: row.get(3)?,
        failure: failure.map(|message| Failure { message, may_pass }),
    })
}

fn read_asking(conn: &Connection, target: &str) -> Result<Asking> {
    let broken = |error: serde_json::Error| {
        StateError::damaged("look_up_target", target.to_owned(), error.to_string())
    };
    let sql = "SELECT facts FROM target WHERE identity = ?";
    let told: Option<String> = conn.query_row(sql, [target], |row| row.get(0)).optional()?;
    let sql = "SELECT tats, facts, retry_at_ms, attempts FROM look_up_target WHERE target = ?";
    let found = conn
        .query_row(sql, [target], |row| {
            let texts: (String, String) = (row.get(0)?, row.get(1)?);
            Ok((texts, row.get(2)?, row.get(3)?))
        })
        .optional()?;
    let mut asking = Asking::default();
    if let Some(told) = told {
        asking.facts = serde_json::from_str(&told).map_err(broken)?;
    }
    if let Some(((tats, facts), retry_at_ms, attempts)) = found {
        let facts: BTreeMap<String, String> = serde_json::from_str(&facts).map_err(broken)?;
        asking.tats = serde_json::from_str(&tats).map_err(broken)?;
        asking.facts.extend(facts);
        asking.retry_at_ms = retry_at_ms;
        asking.attempts = attempts;
    }
    Ok(asking)
}
