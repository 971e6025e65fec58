//! What a scan saw: which sets exist, under which names, with which inputs.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension, params};

use crate::digest::{Digest, Key};
use crate::plan::recorded::LedgerId;

use super::records::Records;
use super::{Result, Store, departed, ledger, request};

/// How long a set or an entry that has vanished is remembered: 30 days.
const KEPT_MS: i64 = 30 * 24 * 60 * 60 * 1000;
/// The most that counts between two observations: a clock set to next year,
/// or a daemon that stood still, must not make everything expire at once.
const MOST_AT_ONCE_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// What one scan saw.
#[derive(Clone, Debug, Default)]
pub struct Observation {
    /// The sets that are declared.
    pub present: Vec<Seen>,
    /// Something could not be read or is invalid, or a root is empty: nothing
    /// counts as vanished, and no timer of what has vanished advances.
    pub frozen: bool,
}

/// A declared set.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its name.
    pub name: String,
    /// Names it had before.
    pub formerly: Vec<String>,
    /// Digest of all that its entries come from, where all of them are known
    /// to be told; `None` calls for another look.
    pub inputs: Option<Digest>,
    /// Whether all of it could be read: what departed from it counts its time
    /// only then.
    pub is_loaded: bool,
}

/// From now on the state has a past: what it does not hold is new.
pub(super) fn begin_past(conn: &Connection) -> Result<()> {
    let sql = "UPDATE meta SET is_observed = 1 WHERE is_observed = 0";
    conn.prepare_cached(sql)?.execute([])?;
    Ok(())
}

impl Store {
    /// Notes that a plan has been let through: from now on the state has a past.
    pub fn let_through(&mut self) -> Result<()> {
        self.write(|transaction| begin_past(transaction))
    }

    /// Carries ledgers over renames, records inputs, and counts how long
    /// others have been missing; writes nothing where nothing changed.
    ///
    /// A set whose inputs change is unsettled in the same transaction, so
    /// that a crash before its next [`Store::begin`] leaves it to be planned.
    /// It is durable with what is written next, or [`Store::keep_notes`].
    pub fn observe(&mut self, seen: &Observation, now_ms: i64) -> Result<()> {
        self.note(|transaction| {
            rename(transaction, seen, now_ms)?;
            // Read at once, since most of many thousands are as they were.
            let known = known_sets(transaction)?;
            for set in &seen.present {
                if let Some(known) = known.get(&set.name) {
                    record_seen(transaction, known, set)?;
                }
            }
            if seen.frozen {
                return stop_clock(transaction);
            }
            advance(transaction, seen, now_ms)?;
            miss_sets(transaction, seen, &known, now_ms)?;
            expire(transaction, now_ms)
        })
    }
}

impl Records {
    /// How long entries have been departed from `ledger`, oldest first.
    pub fn departed(&self, ledger: LedgerId) -> Result<Vec<(u64, Vec<Key>)>> {
        let counted = read_clock(self.connection())?.counted_ms;
        let groups = departed::read(self.connection(), ledger)?.into_iter();
        Ok(groups
            .map(|group| ((counted - group.since).max(0).cast_unsigned(), group.keys))
            .collect())
    }
}

/// Time as it passes while everything loads.
struct Clock {
    counted_ms: i64,
    observed_ms: Option<i64>,
}

fn read_clock(conn: &Connection) -> Result<Clock> {
    let sql = "SELECT counted_ms, observed_ms FROM meta";
    Ok(conn.prepare_cached(sql)?.query_row([], |row| {
        Ok(Clock {
            counted_ms: row.get(0)?,
            observed_ms: row.get(1)?,
        })
    })?)
}

/// The counted time now. Where something `departs` and nothing was counted
/// for, counting starts at `now_ms`.
pub(super) fn counted_ms(conn: &Connection, departs: bool, now_ms: i64) -> Result<i64> {
    if departs && !is_counting(conn)? {
        start_clock(conn, now_ms)?;
    }
    Ok(read_clock(conn)?.counted_ms)
}

/// Whether anything has vanished, so that time matters.
fn is_counting(conn: &Connection) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM departed)
        OR EXISTS (SELECT 1 FROM asset_set WHERE missing_since IS NOT NULL)";
    Ok(conn.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

fn start_clock(conn: &Connection, now_ms: i64) -> Result<()> {
    let sql = "UPDATE meta SET observed_ms = ?";
    conn.prepare_cached(sql)?.execute([now_ms])?;
    Ok(())
}

fn stop_clock(conn: &Connection) -> Result<()> {
    let sql = "UPDATE meta SET observed_ms = NULL WHERE observed_ms IS NOT NULL";
    conn.prepare_cached(sql)?.execute([])?;
    Ok(())
}

/// Counts the time since the last observation; it stands still for sets that
/// are there but could not be loaded.
fn advance(conn: &Connection, seen: &Observation, now_ms: i64) -> Result<()> {
    if !is_counting(conn)? {
        return Ok(());
    }
    let clock = read_clock(conn)?;
    let elapsed = clock.observed_ms.map_or(0, |before| {
        now_ms.saturating_sub(before).clamp(0, MOST_AT_ONCE_MS)
    });
    let sql = "UPDATE meta SET counted_ms = counted_ms + ?, observed_ms = ?";
    conn.prepare_cached(sql)?.execute([elapsed, now_ms])?;
    if elapsed == 0 {
        return Ok(());
    }
    for set in seen.present.iter().filter(|set| !set.is_loaded) {
        hold_back(conn, &set.name, elapsed)?;
    }
    Ok(())
}

fn hold_back(conn: &Connection, set: &str, elapsed: i64) -> Result<()> {
    let sql = "SELECT l.id FROM ledger l JOIN asset_set s ON s.id = l.set_id WHERE s.name = ?";
    let mut statement = conn.prepare_cached(sql)?;
    let ledgers = statement.query_map([set], |row| row.get(0).map(LedgerId))?;
    for ledger in ledgers.collect::<Result<Vec<_>, _>>()? {
        // The latest first, so that no group lands on one that has yet to move.
        for mut group in departed::read(conn, ledger)?.into_iter().rev() {
            let keys = std::mem::take(&mut group.keys);
            departed::write(conn, ledger, &group)?;
            let since = group.since + elapsed;
            departed::write(conn, ledger, &departed::Group { since, keys })?;
        }
    }
    Ok(())
}

/// Gives sets that were renamed their new name, where nothing has it.
fn rename(conn: &Connection, seen: &Observation, now_ms: i64) -> Result<()> {
    let present: BTreeSet<&str> = seen.present.iter().map(|set| set.name.as_str()).collect();
    for set in seen.present.iter().filter(|set| !set.formerly.is_empty()) {
        let former = set.formerly.iter();
        let former = former.filter(|old| !present.contains(old.as_str()));
        for old in former.clone() {
            request::rename_suspended(conn, old, &set.name)?;
        }
        if find_set(conn, &set.name)?.is_some() {
            continue;
        }
        for old in former {
            if let Some(id) = find_set(conn, old)? {
                let sql = "UPDATE asset_set SET name = ? WHERE id = ?";
                conn.prepare_cached(sql)?.execute(params![set.name, id])?;
                record_event(
                    conn,
                    now_ms,
                    "renamed",
                    Some(&set.name),
                    &format!("from {old}"),
                )?;
                break;
            }
        }
    }
    Ok(())
}

pub(super) fn find_set(conn: &Connection, name: &str) -> Result<Option<i64>> {
    let sql = "SELECT id FROM asset_set WHERE name = ?";
    let found = conn
        .prepare_cached(sql)?
        .query_row([name], |row| row.get(0));
    Ok(found.optional()?)
}

/// The row of a set, made if there is none.
pub(super) fn set_of(conn: &Connection, set: &str) -> Result<i64> {
    let sql = "INSERT INTO asset_set(name, serial) VALUES (?, 0) ON CONFLICT DO NOTHING";
    conn.prepare_cached(sql)?.execute([set])?;
    let sql = "SELECT id FROM asset_set WHERE name = ?";
    let mut statement = conn.prepare_cached(sql)?;
    Ok(statement.query_row([set], |row| row.get(0))?)
}

/// A set as it is recorded.
struct Known {
    id: i64,
    inputs: Option<[u8; 32]>,
    is_missing: bool,
}

fn known_sets(conn: &Connection) -> Result<BTreeMap<String, Known>> {
    let sql = "SELECT name, id, inputs, missing_since IS NOT NULL FROM asset_set";
    let mut statement = conn.prepare_cached(sql)?;
    let known = statement.query_map([], |row| {
        let known = Known {
            id: row.get(1)?,
            inputs: row.get(2)?,
            is_missing: row.get(3)?,
        };
        Ok((row.get(0)?, known))
    })?;
    Ok(known.collect::<Result<_, _>>()?)
}

/// Records the inputs of a set that is there, and that it is.
fn record_seen(conn: &Connection, known: &Known, set: &Seen) -> Result<()> {
    let inputs = set.inputs.map(|digest| digest.0);
    if known.inputs != inputs {
        let sql = "UPDATE asset_set SET inputs = ? WHERE id = ?";
        conn.prepare_cached(sql)?
            .execute(params![inputs, known.id])?;
        let sql = "UPDATE ledger SET is_settled = 0 WHERE is_settled = 1 AND set_id = ?";
        conn.prepare_cached(sql)?.execute([known.id])?;
    }
    if known.is_missing {
        let sql = "UPDATE asset_set SET missing_since = NULL WHERE id = ?";
        conn.prepare_cached(sql)?.execute([known.id])?;
    }
    Ok(())
}

fn miss_sets(
    conn: &Connection,
    seen: &Observation,
    known: &BTreeMap<String, Known>,
    now_ms: i64,
) -> Result<()> {
    let present: BTreeSet<&str> = seen.present.iter().map(|set| set.name.as_str()).collect();
    let gone = known.iter();
    let gone = gone.filter(|(name, known)| !known.is_missing && !present.contains(name.as_str()));
    for (_, known) in gone {
        let counted = counted_ms(conn, true, now_ms)?;
        let sql = "UPDATE asset_set SET missing_since = ? WHERE id = ?";
        conn.prepare_cached(sql)?
            .execute(params![counted, known.id])?;
    }
    Ok(())
}

/// Drops what has been gone for longer than it is remembered.
fn expire(conn: &Connection, now_ms: i64) -> Result<()> {
    let before = read_clock(conn)?.counted_ms - KEPT_MS;
    let sql = "SELECT name FROM asset_set WHERE missing_since < ?";
    let mut statement = conn.prepare_cached(sql)?;
    let names = statement.query_map([before], |row| row.get::<_, String>(0))?;
    for name in names.collect::<Result<Vec<_>, _>>()? {
        drop_set(conn, &name)?;
        record_event(conn, now_ms, "expired", Some(&name), "missing for 30 days")?;
    }
    let sql = "SELECT DISTINCT ledger_id FROM departed WHERE since < ?";
    let mut statement = conn.prepare_cached(sql)?;
    let ledgers = statement.query_map([before], |row| row.get(0).map(LedgerId))?;
    for id in ledgers.collect::<Result<Vec<_>, _>>()? {
        let mut keys = Vec::new();
        for mut group in departed::read(conn, id)? {
            if group.since < before {
                keys.append(&mut group.keys);
                departed::write(conn, id, &group)?;
            }
        }
        ledger::drop_keys(conn, id, keys)?;
    }
    Ok(())
}

/// Deletes a set and all of its ledgers; what was sent stays in the history.
pub(super) fn drop_set(conn: &Connection, name: &str) -> Result<()> {
    for table in ["bucket", "departed", "forced", "approval", "origin_wait"] {
        let sql = format!(
            "DELETE FROM {table} WHERE ledger_id IN (SELECT l.id FROM ledger l
                JOIN asset_set s ON s.id = l.set_id WHERE s.name = ?)"
        );
        conn.execute(&sql, [name])?;
    }
    for table in ["ledger", "kept_inputs"] {
        let sql =
            format!("DELETE FROM {table} WHERE set_id = (SELECT id FROM asset_set WHERE name = ?)");
        conn.execute(&sql, [name])?;
    }
    conn.execute("DELETE FROM asset_set WHERE name = ?", [name])?;
    Ok(())
}

pub(super) fn record_event(
    conn: &Connection,
    at_ms: i64,
    kind: &str,
    set: Option<&str>,
    detail: &str,
) -> Result<()> {
    let sql = "INSERT INTO event(at_ms, kind, set_name, detail) VALUES (?, ?, ?, ?)";
    conn.prepare_cached(sql)?
        .execute(params![at_ms, kind, set, detail])?;
    Ok(())
}
