//! Entries that have left their set: how long ago, on a clock that only runs
//! while everything loads.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, params};

use crate::digest::{Digest, Key};
use crate::plan::recorded::LedgerId;

use super::{Result, StateError};

const KEY_SIZE: usize = 10;

/// Keys of one ledger that left at the same time.
pub(super) struct Group {
    pub(super) since: i64,
    pub(super) keys: Vec<Key>,
}

/// What has left `ledger`, oldest first.
pub(super) fn read(conn: &Connection, ledger: LedgerId) -> Result<Vec<Group>> {
    let sql = "SELECT since, keys, digest FROM departed WHERE ledger_id = ? ORDER BY since";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([ledger.0])?;
    let mut groups = Vec::new();
    while let Some(row) = rows.next()? {
        let since = row.get(0)?;
        let keys: Vec<u8> = row.get(1)?;
        let digest: [u8; 32] = row.get(2)?;
        let (chunks, rest) = keys.as_chunks::<KEY_SIZE>();
        if Digest::of(&keys).0 != digest || !rest.is_empty() {
            let row = format!("ledger {} since {since}", ledger.0);
            return Err(StateError::damaged(
                "departed",
                row,
                "its digest does not match",
            ));
        }
        let keys = chunks.iter().copied().map(Key::from_bytes).collect();
        groups.push(Group { since, keys });
    }
    Ok(groups)
}

/// How many keys have left each ledger that any have left.
pub(super) fn counts(conn: &Connection) -> Result<BTreeMap<LedgerId, u64>> {
    let sql = "SELECT ledger_id, SUM(length(keys)) FROM departed GROUP BY ledger_id";
    let mut statement = conn.prepare_cached(sql)?;
    let counts = statement.query_map([], |row| {
        let bytes: u64 = row.get(1)?;
        Ok((LedgerId(row.get(0)?), bytes / KEY_SIZE as u64))
    })?;
    Ok(counts.collect::<Result<_, _>>()?)
}

/// All keys that have left `ledger`, sorted.
pub(super) fn keys(conn: &Connection, ledger: LedgerId) -> Result<Vec<Key>> {
    let mut keys: Vec<Key> = read(conn, ledger)?
        .into_iter()
        .flat_map(|group| group.keys)
        .collect();
    keys.sort_unstable();
    Ok(keys)
}

/// Makes `now_departed` (sorted) what has left: new ones leave at `counted_ms`.
pub(super) fn replace(
    conn: &Connection,
    ledger: LedgerId,
    now_departed: &[Key],
    counted_ms: i64,
) -> Result<bool> {
    let mut groups = read(conn, ledger)?;
    let mut known = BTreeSet::new();
    let mut changed = false;
    for group in &mut groups {
        let before = group.keys.len();
        group
            .keys
            .retain(|key| now_departed.binary_search(key).is_ok());
        known.extend(group.keys.iter().copied());
        if group.keys.len() != before {
            changed = true;
            write(conn, ledger, group)?;
        }
    }
    let new = now_departed
        .iter()
        .copied()
        .filter(|key| !known.contains(key));
    let mut keys: Vec<Key> = new.collect();
    if keys.is_empty() {
        return Ok(changed);
    }
    if let Some(same) = groups.iter_mut().find(|group| group.since == counted_ms) {
        keys.append(&mut same.keys);
        keys.sort_unstable();
    }
    write(
        conn,
        ledger,
        &Group {
            since: counted_ms,
            keys,
        },
    )?;
    Ok(true)
}

/// Writes a group in place of the one of that time; an empty one goes.
pub(super) fn write(conn: &Connection, ledger: LedgerId, group: &Group) -> Result<()> {
    if group.keys.is_empty() {
        let sql = "DELETE FROM departed WHERE ledger_id = ? AND since = ?";
        conn.prepare_cached(sql)?.execute([ledger.0, group.since])?;
        return Ok(());
    }
    let keys: Vec<u8> = group.keys.iter().flat_map(|key| key.to_bytes()).collect();
    let sql = "INSERT OR REPLACE INTO departed(ledger_id, since, keys, digest) VALUES (?, ?, ?, ?)";
    conn.prepare_cached(sql)?
        .execute(params![ledger.0, group.since, keys, Digest::of(&keys).0])?;
    Ok(())
}
