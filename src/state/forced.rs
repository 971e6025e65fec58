//! Forced keys: what somebody asked to have sent again, ahead of all else.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::ledger::{Head, bump, unsettle};
use super::{Result, Store, repeat};
use crate::digest::Key;
use crate::plan::recorded::LedgerId;

/// What came of a forced item; a column of the request that it is counted in.
#[derive(Clone, Copy)]
pub(super) enum Tried {
    Accepted,
    Refused,
}

impl Store {
    /// Makes keys owed where they are present, and sent ahead of all else, as
    /// `request` asks; one transaction.
    pub fn force(&mut self, request: i64, forced: &[(LedgerId, Vec<Key>)]) -> Result<()> {
        self.write(|transaction| {
            let mut items = 0;
            for (ledger, keys) in forced.iter().filter(|(_, keys)| !keys.is_empty()) {
                force_keys(transaction, request, *ledger, keys)?;
                repeat::forget_echoes(transaction, *ledger, keys)?;
                items += keys.len();
            }
            let sql = "UPDATE request SET items = ? WHERE id = ?";
            transaction.execute(sql, params![items, request])?;
            Ok(())
        })
    }
}

pub(super) fn force_keys(
    conn: &Connection,
    request: i64,
    ledger: LedgerId,
    keys: &[Key],
) -> Result<()> {
    let last_no = super::journal::last_no(conn)?;
    let sql = "INSERT OR REPLACE INTO forced(ledger_id, key, request_id, after_no)
        VALUES (?, ?, ?, ?)";
    let mut statement = conn.prepare_cached(sql)?;
    for key in keys {
        statement.execute(params![ledger.0, key.to_bytes(), request, last_no])?;
    }
    unsettle(conn, ledger)?;
    bump(conn, &Head::read(conn, ledger)?)
}

pub(super) fn forced(conn: &Connection, ledger: LedgerId) -> Result<Vec<Key>> {
    let sql = "SELECT DISTINCT key FROM forced WHERE ledger_id = ? ORDER BY key";
    let mut statement = conn.prepare_cached(sql)?;
    let keys = statement.query_map([ledger.0], |row| row.get(0).map(Key::from_bytes))?;
    Ok(keys.collect::<Result<_, _>>()?)
}

/// Notes that batch `no` has tried `keys`. What was asked for after it was cut
/// stays: that means to send it once more.
pub(super) fn tried(
    conn: &Connection,
    ledger: LedgerId,
    keys: impl Iterator<Item = Key>,
    (no, tried): (i64, Tried),
) -> Result<()> {
    let exists = "SELECT EXISTS (SELECT 1 FROM forced WHERE ledger_id = ?)";
    let is_forced: bool = conn
        .prepare_cached(exists)?
        .query_row([ledger.0], |row| row.get(0))?;
    if !is_forced {
        return Ok(());
    }
    let sql = "DELETE FROM forced WHERE ledger_id = ? AND key = ? AND after_no < ?
        RETURNING request_id";
    let mut statement = conn.prepare_cached(sql)?;
    let mut counts: BTreeMap<i64, u64> = BTreeMap::new();
    for key in keys {
        let mut rows = statement.query(params![ledger.0, key.to_bytes(), no])?;
        while let Some(row) = rows.next()? {
            *counts.entry(row.get(0)?).or_default() += 1;
        }
    }
    let sql = match tried {
        Tried::Accepted => "UPDATE request SET accepted = accepted + ? WHERE id = ?",
        Tried::Refused => "UPDATE request SET refused = refused + ? WHERE id = ?",
    };
    for (request, count) in counts {
        conn.prepare_cached(sql)?.execute(params![count, request])?;
    }
    Ok(())
}

pub(super) fn unforce(conn: &Connection, ledger: LedgerId, keys: &[Key]) -> Result<()> {
    let sql = "DELETE FROM forced WHERE ledger_id = ? AND key = ?";
    let mut statement = conn.prepare_cached(sql)?;
    for key in keys {
        statement.execute(params![ledger.0, key.to_bytes()])?;
    }
    Ok(())
}
