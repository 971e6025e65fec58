//! Accepted claims: an overlay on their ledger, until they are folded into it.

use rusqlite::{Connection, OptionalExtension};

use crate::digest::Entry;
use crate::plan::recorded::LedgerId;

use super::Result;
use super::approval::spend_approvals;
use super::bucket::{self, Edits};
use super::ledger::Head;
use super::records::read_sealed;

/// An overlay below this is not folded while batches are sent (16 MiB of entries):
/// it is read whole by the next plan alone, and folding it writes most of the base.
const SMALL_OVERLAY: u64 = 1 << 20;
/// An overlay above this is folded, however large the base (64 MiB).
const LARGE_OVERLAY: u64 = 4 << 20;

/// Writes accepted claims into the base; afterwards there is no overlay.
pub(super) fn fold(conn: &Connection, head: &Head) -> Result<()> {
    let accepted = overlay_of(conn, head.id)?;
    if accepted.is_empty() {
        return Ok(());
    }
    let edits = Edits {
        overlay: &accepted,
        ..Edits::default()
    };
    head.edit(conn, edits)?;
    spend_approvals(conn, head.id, &accepted)?;
    // Whatever fails undoes the whole transaction, so that SQLite need not keep each
    // page that this alone would undo.
    let sql = live("UPDATE OR FAIL claim SET state = 'folded'", "accepted");
    conn.prepare_cached(&sql)?.execute([head.id.0])?;
    let sql = "UPDATE ledger SET overlay = 0 WHERE id = ?";
    conn.prepare_cached(sql)?.execute([head.id.0])?;
    Ok(())
}

/// Folds where reading the overlay has come to cost more than writing it.
pub(super) fn fold_if_large(conn: &Connection, ledger: LedgerId) -> Result<()> {
    let sql = "SELECT overlay, count FROM ledger WHERE id = ?";
    let sizes = conn
        .prepare_cached(sql)?
        .query_row([ledger.0], |row| Ok((row.get(0)?, row.get(1)?)));
    let Some((overlay, count)): Option<(u64, u64)> = sizes.optional()? else {
        return Ok(());
    };
    if overlay > (count / 4).clamp(SMALL_OVERLAY, LARGE_OVERLAY) {
        fold(conn, &Head::read(conn, ledger)?)?;
    }
    Ok(())
}

/// The accepted claims that are not yet folded, later over earlier ones.
pub(super) fn overlay_of(conn: &Connection, ledger: LedgerId) -> Result<Vec<Entry>> {
    Ok(bucket::last_of_each(claimed(conn, ledger, "accepted")?))
}

/// Entries of the claims in this state, in the order of their batches.
pub(super) fn claimed(
    conn: &Connection,
    ledger: LedgerId,
    state: &'static str,
) -> Result<Vec<Entry>> {
    let sql = live("SELECT entries, digest, batch_no FROM claim", state);
    let mut statement = conn.prepare_cached(&format!("{sql} ORDER BY batch_no"))?;
    let mut rows = statement.query([ledger.0])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        let no: i64 = row.get(2)?;
        let name = || format!("batch {no} ledger {}", ledger.0);
        read_sealed(row, 0, "claim", name, &mut entries)?;
    }
    Ok(entries)
}

/// `what` of a ledger's claims in this state, one of those that are live. SQLite finds
/// them by the index of such claims only where the condition of that stands as well,
/// and else walks through the whole history.
fn live(what: &str, state: &'static str) -> String {
    format!("{what} WHERE ledger_id = ? AND state IN ('open', 'accepted') AND state = '{state}'")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Store;

    #[test]
    fn no_claim_of_the_past_is_looked_at_for_those_that_are_live() {
        let store = Store::in_memory(0).unwrap();
        let conn = store.connection();
        for what in ["SELECT * FROM claim", "UPDATE claim SET state = 'folded'"] {
            let sql = format!("EXPLAIN QUERY PLAN {}", live(what, "accepted"));
            let plan: String = conn.query_row(&sql, [0], |row| row.get("detail")).unwrap();
            assert!(
                plan.contains("USING INDEX claim_live (ledger_id=?)"),
                "{plan}"
            );
        }
    }
}
