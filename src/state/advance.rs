//! How far what somebody asked to have sent is.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::Result;
use super::approval::approved_by;
use super::fold::overlay_of;
use super::records::Records;
use crate::digest::Entry;
use crate::plan::recorded::LedgerId;

/// How far the items that a request asks to have sent are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Advance {
    /// All that were asked for.
    pub items: u64,
    /// Accepted by their CDN since.
    pub accepted: u64,
    /// Refused by it.
    pub refused: u64,
    /// Still to be sent, or on their way.
    pub left: u64,
}

impl Advance {
    /// No longer wanted: their set was forgotten, adopted, or lost them.
    pub fn dropped(&self) -> u64 {
        let known = self.accepted + self.refused + self.left;
        self.items.saturating_sub(known)
    }
}

impl Records {
    /// How far the items are that request `id` forces or approves, those of
    /// its parts included.
    pub fn advance(&self, id: i64) -> Result<Advance> {
        let conn = self.connection();
        let sql = "SELECT coalesce(sum(items), 0), coalesce(sum(accepted), 0),
                coalesce(sum(refused), 0),
                coalesce(sum(iif(parent IS NOT NULL AND used_ms IS NULL, items, 0)), 0)
                    + (SELECT count(*) FROM forced WHERE request_id = ?1)
            FROM request WHERE id = ?1 OR parent = ?1";
        let mut statement = conn.prepare_cached(sql)?;
        let mut advance = statement.query_row([id], |row| {
            Ok(Advance {
                items: row.get(0)?,
                accepted: row.get(1)?,
                refused: row.get(2)?,
                left: row.get(3)?,
            })
        })?;
        self.add_approved(id, &mut advance)?;
        Ok(advance)
    }

    /// What was accepted of an approval is taken out of it only now and then.
    fn add_approved(&self, id: i64, advance: &mut Advance) -> Result<()> {
        let conn = self.connection();
        let sql = "SELECT EXISTS (SELECT 1 FROM request WHERE id = ? AND kind = 'approve')";
        if !conn.query_row(sql, [id], |row| row.get(0))? {
            return Ok(());
        }
        for (ledger, entries) in approved_by(conn, id)? {
            let accepted = overlay_of(conn, ledger)?;
            let refused = refused_at(conn, ledger)?;
            for entry in entries {
                if accepted.binary_search(&entry).is_ok() {
                    advance.accepted += 1;
                } else if refused.contains(&entry) {
                    advance.refused += 1;
                } else {
                    advance.left += 1;
                }
            }
        }
        Ok(())
    }
}

/// What the target of `ledger` refused.
fn refused_at(conn: &Connection, ledger: LedgerId) -> Result<BTreeSet<Entry>> {
    let sql = "SELECT entry FROM refusal
        WHERE target_id = (SELECT target_id FROM ledger WHERE id = ?)";
    let mut statement = conn.prepare_cached(sql)?;
    let refused = statement.query_map([ledger.0], |row| row.get(0).map(Entry::from_bytes))?;
    Ok(refused.collect::<Result<_, _>>()?)
}
