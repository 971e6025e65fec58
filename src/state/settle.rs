//! Settling: noting of ledgers that nothing of them is left to be sent.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::fold::fold;
use super::ledger::Head;
use super::{Result, Store};
use crate::plan::recorded::LedgerId;

impl Store {
    /// Folds `ledgers` and notes that nothing in them is owed, open or forced; those
    /// that are gone meanwhile are passed over.
    pub fn settle(&mut self, ledgers: &[LedgerId]) -> Result<()> {
        self.write(|transaction| {
            let restless = restless(transaction)?;
            for ledger in ledgers.iter().filter(|ledger| restless.contains(ledger)) {
                fold(transaction, &Head::read(transaction, *ledger)?)?;
                let sql = "UPDATE ledger SET is_settled = 1 WHERE id = ? AND is_settled = 0";
                transaction.prepare_cached(sql)?.execute([ledger.0])?;
                owe_nothing(transaction, *ledger)?;
            }
            Ok(())
        })
    }

    /// Notes that nothing of `ledgers` is left to be sent, though they may not
    /// be settled: refused items, or rows that could not be read, remain.
    pub fn sent_all(&mut self, ledgers: &[LedgerId]) -> Result<()> {
        self.write(|transaction| {
            let restless = restless(transaction)?;
            for ledger in ledgers.iter().filter(|ledger| restless.contains(ledger)) {
                owe_nothing(transaction, *ledger)?;
            }
            Ok(())
        })
    }
}

/// Ledgers that are not settled, owe something or have claims to be folded: of many
/// thousands these are few, so that the others are not asked one by one.
fn restless(conn: &Connection) -> Result<BTreeSet<LedgerId>> {
    let sql = "SELECT id FROM ledger
        WHERE is_settled = 0 OR overlay > 0 OR owed_since_ms IS NOT NULL";
    let mut statement = conn.prepare_cached(sql)?;
    let found = statement.query_map([], |row| row.get(0).map(LedgerId))?;
    Ok(found.collect::<Result<_, _>>()?)
}

fn owe_nothing(conn: &Connection, ledger: LedgerId) -> Result<()> {
    let sql = "UPDATE ledger SET owed_since_ms = NULL
        WHERE id = ? AND owed_since_ms IS NOT NULL";
    conn.prepare_cached(sql)?.execute([ledger.0])?;
    Ok(())
}
