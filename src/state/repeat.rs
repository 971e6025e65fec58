//! Repeats: what was accepted and is to be sent again later, for origins that
//! publish late.
//!
//! What is sent for a repeat is an `echo`: its acceptance asks for no repeats of
//! its own, unless somebody has asked for it as well.

use rusqlite::{Connection, params};

use super::bucket;
use super::fold::overlay_of;
use super::forced::force_keys;
use super::ledger::{Head, is_adhoc};
use super::records::{Records, read_sealed};
use super::{Result, Store};
use crate::batch::journal::Claim;
use crate::digest::{Digest, Entry, Key, entries_to_bytes};
use crate::plan::recorded::{LedgerId, TargetId};

/// Nobody asked for it: a repeat, or an edge that stayed stale.
pub(super) const NOBODY: i64 = 0;
/// What nobody has repeated for so long, since its Cdn declares none any more.
const KEPT_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// What of a target is to be sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repeats {
    /// Where.
    pub target: TargetId,
    /// How many items, each as often as it is to be sent.
    pub items: u64,
    /// When the first of them is due, in milliseconds since the epoch.
    pub next_ms: i64,
    /// When the last of them is.
    pub last_ms: i64,
}

impl Records {
    /// What is to be sent again, target by target.
    pub fn repeats(&self) -> Result<Vec<Repeats>> {
        if !self.has_table("repeat")? {
            return Ok(Vec::new());
        }
        let sql = "SELECT target_id, sum(length(entries)) / 16, min(due_ms), max(due_ms)
            FROM repeat GROUP BY target_id";
        let mut statement = self.connection().prepare_cached(sql)?;
        let repeats = statement.query_map([], |row| {
            Ok(Repeats {
                target: TargetId(row.get(0)?),
                items: row.get(1)?,
                next_ms: row.get(2)?,
                last_ms: row.get(3)?,
            })
        })?;
        Ok(repeats.collect::<Result<_, _>>()?)
    }
}

impl Store {
    /// Makes what is due at `targets` owed and forced, but for what was accepted
    /// at another mark since; whether anything was. One transaction.
    pub fn begin_repeats(&mut self, targets: &[TargetId], now_ms: i64) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM repeat WHERE target_id = ? AND due_ms <= ?)";
        let mut is_any = false;
        for target in targets {
            let mut statement = self.connection().prepare_cached(sql)?;
            is_any |=
                statement.query_row(params![target.0, now_ms], |row| row.get::<_, bool>(0))?;
        }
        if !is_any {
            return Ok(false);
        }
        self.write(|transaction| {
            for target in targets {
                begin(transaction, *target, now_ms)?;
            }
            Ok(true)
        })
    }
}

fn begin(conn: &Connection, target: TargetId, now_ms: i64) -> Result<()> {
    let sql = "DELETE FROM repeat WHERE target_id = ? AND due_ms <= ?
        RETURNING entries, digest, ledger_id, id";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(params![target.0, now_ms])?;
    let mut due: Vec<(LedgerId, Vec<Entry>)> = Vec::new();
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(3)?;
        let mut entries = Vec::new();
        read_sealed(row, 0, "repeat", || id.to_string(), &mut entries)?;
        due.push((LedgerId(row.get(2)?), entries));
    }
    for (ledger, mut entries) in due {
        let accepted = accepted_of(conn, ledger)?;
        entries.retain(|entry| accepted.binary_search(entry).is_ok());
        if entries.is_empty() {
            continue;
        }
        let sql = "INSERT OR IGNORE INTO echo(ledger_id, entry) VALUES (?, ?)";
        let mut statement = conn.prepare_cached(sql)?;
        for entry in &entries {
            statement.execute(params![ledger.0, entry.to_bytes()])?;
        }
        let keys: Vec<Key> = entries.iter().map(|entry| entry.key()).collect();
        force_keys(conn, NOBODY, ledger, &keys)?;
    }
    Ok(())
}

/// All that was accepted of a ledger; nothing where it was forgotten.
fn accepted_of(conn: &Connection, ledger: LedgerId) -> Result<Vec<Entry>> {
    let sql = "SELECT EXISTS (SELECT 1 FROM ledger WHERE id = ?)";
    if !conn.query_row(sql, [ledger.0], |row| row.get(0))? {
        return Ok(Vec::new());
    }
    let base = Head::read(conn, ledger)?.base(conn)?;
    Ok(bucket::overlay(base, &overlay_of(conn, ledger)?))
}

/// Claims were accepted: what of them is no echo is sent again at `due_ms`.
/// Items that no manifest declares are not, since nothing would yield them.
pub(super) fn accepted(
    conn: &Connection,
    target: TargetId,
    claims: &[Claim],
    due_ms: &[i64],
) -> Result<()> {
    for claim in claims {
        let entries = without_echoes(conn, claim)?;
        if entries.is_empty() || due_ms.is_empty() || is_adhoc(conn, claim.ledger)? {
            continue;
        }
        let bytes = entries_to_bytes(&entries);
        let digest = Digest::of(&bytes).0;
        let sql = "INSERT INTO repeat(target_id, ledger_id, due_ms, entries, digest)
            VALUES (?, ?, ?, ?, ?)";
        let mut statement = conn.prepare_cached(sql)?;
        for due_ms in due_ms {
            statement.execute(params![target.0, claim.ledger.0, due_ms, bytes, digest])?;
        }
    }
    Ok(())
}

/// The entries that were not sent for a repeat; whatever was is no echo any more.
/// Nothing would yield what is removed a second time.
fn without_echoes(conn: &Connection, claim: &Claim) -> Result<Vec<Entry>> {
    let sql = "SELECT EXISTS (SELECT 1 FROM echo WHERE ledger_id = ?)";
    let mut entries = claim.entries.clone();
    entries.retain(|entry| !entry.mark().is_removed());
    let mut exists = conn.prepare_cached(sql)?;
    if !exists.query_row([claim.ledger.0], |row| row.get(0))? {
        return Ok(entries);
    }
    let sql = "DELETE FROM echo WHERE ledger_id = ? AND entry = ?";
    let mut statement = conn.prepare_cached(sql)?;
    let mut echoes = Vec::new();
    for entry in &claim.entries {
        if statement.execute(params![claim.ledger.0, entry.to_bytes()])? > 0 {
            echoes.push(*entry);
        }
    }
    entries.retain(|entry| echoes.binary_search(entry).is_err());
    Ok(entries)
}

/// What is sent for its own sake asks for repeats of its own.
pub(super) fn forget_echoes(conn: &Connection, ledger: LedgerId, keys: &[Key]) -> Result<()> {
    let sql = "DELETE FROM echo WHERE ledger_id = ? AND entry BETWEEN ? AND ?";
    let mut statement = conn.prepare_cached(sql)?;
    for key in keys {
        let (mut first, mut last) = ([0; Entry::SIZE], [0xff; Entry::SIZE]);
        first[..10].copy_from_slice(&key.to_bytes());
        last[..10].copy_from_slice(&key.to_bytes());
        statement.execute(params![ledger.0, first, last])?;
    }
    Ok(())
}

/// An item is about to be sent once more as it was accepted last.
pub(super) fn echo_current(conn: &Connection, ledger: LedgerId, key: Key) -> Result<()> {
    let accepted = accepted_of(conn, ledger)?;
    if let Ok(at) = accepted.binary_search_by_key(&key, |entry| entry.key()) {
        let sql = "INSERT OR IGNORE INTO echo(ledger_id, entry) VALUES (?, ?)";
        conn.prepare_cached(sql)?
            .execute(params![ledger.0, accepted[at].to_bytes()])?;
    }
    Ok(())
}

/// Drops what nobody is going to send any more.
pub(super) fn prune(conn: &Connection, now_ms: i64) -> Result<()> {
    let sql = "DELETE FROM repeat WHERE due_ms < ?
        OR NOT EXISTS (SELECT 1 FROM ledger WHERE id = ledger_id)";
    conn.execute(sql, [now_ms - KEPT_MS])?;
    let sql = "DELETE FROM echo WHERE NOT EXISTS (SELECT 1 FROM ledger WHERE id = ledger_id)";
    conn.execute(sql, [])?;
    Ok(())
}
