//! What other sets remember of items that are about to be sent.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::fold::fold;
use super::ledger::{Begin, Head, drop_keys};
use super::{Result, departed};
use crate::digest::Key;
use crate::plan::recorded::LedgerId;

/// What has departed, or belongs to a set that is gone, would say "fresh" when
/// it returns, at a mark from before these plans; `ledgers` are theirs, in
/// order. What a ledger is itself about to have sent stays in it, also where it
/// has left.
pub(super) fn forget_elsewhere(
    conn: &Connection,
    begins: &[Begin],
    ledgers: &[LedgerId],
) -> Result<()> {
    let targets: BTreeSet<i64> = begins.iter().map(|begin| begin.target.0).collect();
    for target in targets {
        let sql = "SELECT l.id, s.missing_since IS NOT NULL FROM ledger l
            JOIN asset_set s ON s.id = l.set_id WHERE l.target_id = ?
            AND (s.missing_since IS NOT NULL
                OR EXISTS (SELECT 1 FROM departed d WHERE d.ledger_id = l.id))";
        let mut statement = conn.prepare_cached(sql)?;
        let lost = statement.query_map([target], |row| Ok((LedgerId(row.get(0)?), row.get(1)?)))?;
        let lost = lost.collect::<Result<Vec<(LedgerId, bool)>, _>>()?;
        if lost.is_empty() {
            continue;
        }
        let here = begins.iter().filter(|begin| begin.target.0 == target);
        let mut sent: Vec<Key> = here
            .flat_map(|begin| &begin.owe)
            .map(|entry| entry.key())
            .collect();
        sent.sort_unstable();
        for (ledger, is_gone) in lost {
            let own = ledgers.iter().position(|other| *other == ledger);
            let own = own.map_or(&[][..], |at| &begins[at].owe);
            let is_others = |key: &Key| {
                let found = own.binary_search_by_key(key, |entry| entry.key());
                found.is_err() && sent.binary_search(key).is_ok()
            };
            forget_sent(conn, ledger, is_gone, is_others)?;
        }
    }
    Ok(())
}

fn forget_sent(
    conn: &Connection,
    ledger: LedgerId,
    is_gone: bool,
    is_sent: impl Fn(&Key) -> bool,
) -> Result<()> {
    let mut gone = Vec::new();
    for mut group in departed::read(conn, ledger)? {
        let before = gone.len();
        let (forgotten, kept) = group.keys.iter().partition(|key| is_sent(key));
        group.keys = kept;
        gone.extend::<Vec<Key>>(forgotten);
        if gone.len() > before {
            departed::write(conn, ledger, &group)?;
        }
    }
    if is_gone {
        fold(conn, &Head::read(conn, ledger)?)?;
        let entries = Head::read(conn, ledger)?.base(conn)?;
        let keys = entries.iter().map(|entry| entry.key());
        gone.extend(keys.filter(is_sent));
        gone.sort_unstable();
        gone.dedup();
    }
    if gone.is_empty() {
        Ok(())
    } else {
        drop_keys(conn, ledger, gone)
    }
}
