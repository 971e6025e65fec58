//! Forced keys: what somebody asked to have sent again, ahead of all else.

use rusqlite::{Connection, params};

use super::ledger::{Head, bump, unsettle};
use super::{Result, Store};
use crate::digest::Key;
use crate::plan::recorded::LedgerId;

impl Store {
    /// Makes keys owed where they are present, and sent ahead of all else; one
    /// transaction.
    pub fn force(&mut self, forced: &[(LedgerId, Vec<Key>)]) -> Result<()> {
        self.write(|transaction| {
            let last_no = super::journal::last_no(transaction)?;
            let sql = "INSERT INTO forced(ledger_id, key, after_no) VALUES (?, ?, ?)
                ON CONFLICT DO UPDATE SET after_no = excluded.after_no";
            let mut statement = transaction.prepare_cached(sql)?;
            for (ledger, keys) in forced.iter().filter(|(_, keys)| !keys.is_empty()) {
                for key in keys {
                    statement.execute(params![ledger.0, key.to_bytes(), last_no])?;
                }
                unsettle(transaction, *ledger)?;
                bump(transaction, &Head::read(transaction, *ledger)?)?;
            }
            Ok(())
        })
    }
}

pub(super) fn forced(conn: &Connection, ledger: LedgerId) -> Result<Vec<Key>> {
    let sql = "SELECT key FROM forced WHERE ledger_id = ? ORDER BY key";
    let mut statement = conn.prepare_cached(sql)?;
    let keys = statement.query_map([ledger.0], |row| row.get(0).map(Key::from_bytes))?;
    Ok(keys.collect::<Result<_, _>>()?)
}

pub(super) fn unforce(conn: &Connection, ledger: LedgerId, keys: &[Key]) -> Result<()> {
    let sql = "DELETE FROM forced WHERE ledger_id = ? AND key = ?";
    let mut statement = conn.prepare_cached(sql)?;
    for key in keys {
        statement.execute(params![ledger.0, key.to_bytes()])?;
    }
    Ok(())
}
