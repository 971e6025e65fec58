//! Probes: what an edge served before a call, and what came of looking again.
//!
//! A probe is `sent` with its batch, `looking` from the acceptance on, `again`
//! while its item is to be sent once more, and then what was found; or
//! `dropped`, where its batch was not accepted or a newer one took its place.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use super::forced::force_keys;
use super::journal::read_claims;
use super::ledger::is_adhoc;
use super::records::{Records, read_sealed};
use super::repeat::{self, NOBODY};
use super::{Result, StateError};
use crate::batch::journal::{BatchNo, Claim};
use crate::batch::verify::{Finding, Sight, Step, Watch};
use crate::digest::{ItemKind, Key};
use crate::plan::recorded::{LedgerId, TargetId};

/// An item that is looked at, as its batch is about to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewProbe {
    /// Its batch, which is open.
    pub batch: BatchNo,
    /// Where it goes.
    pub target: TargetId,
    /// As it is sent.
    pub item: String,
    /// What the edge served, or why that is not known.
    pub before: Result<Sight, String>,
    /// Milliseconds of looking.
    pub timeout_ms: u64,
}

/// An accepted item that is looked after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenProbe {
    /// Its row.
    pub id: i64,
    /// Where it went.
    pub target: TargetId,
    /// As it was sent.
    pub item: String,
    /// When it is looked at next.
    pub due_ms: i64,
    /// All that decides.
    pub watch: Watch,
}

/// What a look at an item came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// Its row.
    pub id: i64,
    /// What the edge served, or why that is not known.
    pub after: Result<Sight, String>,
    /// What follows.
    pub step: Step,
}

/// An item that was looked at, as it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeRecord {
    /// Its batch.
    pub batch: BatchNo,
    /// Where it went.
    pub target: TargetId,
    /// As it was sent.
    pub item: String,
    /// What was found; `None` while it is looked at.
    pub finding: Option<Finding>,
    /// What the edge served before.
    pub before: Option<Sight>,
    /// What it served last.
    pub after: Option<Sight>,
    /// Whether it was sent once more.
    pub is_again: bool,
    /// When that was found.
    pub judged_ms: Option<i64>,
    /// Why nothing is known of what the edge serves.
    pub message: Option<String>,
}

/// What of a ledger was accepted and not seen to have taken effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unverified {
    /// Items, of those that were looked at.
    pub items: u64,
    /// Whether any of them is still looked at, or about to be sent once more.
    pub is_open: bool,
}

impl Records {
    /// What of `ledger` is still looked at, and what was not seen to have taken
    /// effect since `since_ms`.
    pub fn unverified(&self, ledger: LedgerId, since_ms: i64) -> Result<Unverified> {
        let sql = "SELECT c.entries, c.digest, c.batch_no, p.key, p.state FROM probe p
            JOIN claim c ON c.batch_no = p.batch_no WHERE c.ledger_id = ? AND p.is_last = 1
            AND (p.state IN ('sent', 'looking', 'again')
                OR (p.state IN ('stale', 'unknown') AND p.accepted_ms >= ?))";
        let mut statement = self.connection().prepare_cached(sql)?;
        let mut rows = statement.query(params![ledger.0, since_ms])?;
        let mut found = Unverified::default();
        while let Some(row) = rows.next()? {
            let no: i64 = row.get(2)?;
            let mut entries = Vec::new();
            let name = || format!("batch {no} ledger {}", ledger.0);
            read_sealed(row, 0, "claim", name, &mut entries)?;
            let key = Key::from_bytes(row.get(3)?);
            if entries
                .binary_search_by_key(&key, |entry| entry.key())
                .is_ok()
            {
                found.items += 1;
                found.is_open |= Finding::named(&row.get::<_, String>(4)?).is_none();
            }
        }
        Ok(found)
    }

    /// Accepted items that are looked after, by when they are next.
    pub fn open_probes(&self) -> Result<Vec<OpenProbe>> {
        let sql = "SELECT id, target_id, item, due_ms, before, accepted_ms, until_ms, looks,
            is_again OR ledger_id IS NULL FROM probe
            WHERE state IN ('sent', 'looking', 'again') AND state = 'looking'
            ORDER BY due_ms, id";
        let mut statement = self.connection().prepare_cached(sql)?;
        let mut rows = statement.query([])?;
        let mut open = Vec::new();
        while let Some(row) = rows.next()? {
            open.push(read_open(row)?);
        }
        Ok(open)
    }

    /// Whether anything was looked at before batch `no` was sent.
    pub fn has_probes(&self, no: BatchNo) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM probe WHERE batch_no = ?)";
        let mut statement = self.connection().prepare_cached(sql)?;
        Ok(statement.query_row([no.0], |row| row.get(0))?)
    }

    /// Items at a target that are about to be sent once more, and those whose
    /// last look has shown anything but what was hoped for.
    pub fn doubtful(&self, target: TargetId) -> Result<(Vec<Key>, Vec<Key>)> {
        let keys = |condition: &str| -> Result<Vec<Key>> {
            let sql = format!("SELECT key FROM probe WHERE target_id = ? AND {condition}");
            let mut statement = self.connection().prepare_cached(&sql)?;
            let keys = statement.query_map([target.0], |row| row.get(0).map(Key::from_bytes))?;
            Ok(keys.collect::<Result<_, _>>()?)
        };
        let doubtful = "is_last = 1 AND state IN ('unchanged', 'stale', 'unknown') ORDER BY key";
        Ok((keys(AGAIN)?, keys(doubtful)?))
    }

    /// How many items of `target` were last found like that.
    pub fn findings(&self, target: TargetId) -> Result<BTreeMap<Finding, u64>> {
        if !self.has_table("probe")? {
            return Ok(BTreeMap::new());
        }
        let sql = "SELECT state, count(*) FROM probe WHERE target_id = ? AND is_last = 1
            GROUP BY state";
        let mut statement = self.connection().prepare_cached(sql)?;
        let counts = statement.query_map([target.0], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, u64>(1)?))
        })?;
        let counts = counts.collect::<Result<Vec<_>, _>>()?.into_iter();
        Ok(counts
            .filter_map(|(state, count)| Some((Finding::named(&state)?, count)))
            .collect())
    }

    /// The last look at each item of `target`, by item.
    pub fn last_probes(&self, target: TargetId) -> Result<Vec<ProbeRecord>> {
        let last = "target_id = ? AND is_last = 1 AND state <> 'dropped'";
        self.probes(last, [target.0])
    }

    /// The last look at one item of `target`.
    pub fn last_probe(&self, target: TargetId, key: Key) -> Result<Option<ProbeRecord>> {
        let last = "target_id = ? AND key = ? AND is_last = 1 AND state <> 'dropped'";
        Ok(self.probes(last, params![target.0, key.to_bytes()])?.pop())
    }

    /// The looks at items of batch `no`.
    pub fn probes_of(&self, no: BatchNo) -> Result<Vec<ProbeRecord>> {
        self.probes("batch_no = ? AND state <> 'dropped'", [no.0])
    }

    fn probes(&self, condition: &str, arguments: impl Params) -> Result<Vec<ProbeRecord>> {
        if !self.has_table("probe")? {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT batch_no, target_id, item, state, before, after, is_again, judged_ms, message
             FROM probe WHERE {condition} ORDER BY item"
        );
        let mut statement = self.connection().prepare_cached(&sql)?;
        let mut rows = statement.query(arguments)?;
        let mut probes = Vec::new();
        while let Some(row) = rows.next()? {
            probes.push(ProbeRecord {
                batch: BatchNo(row.get(0)?),
                target: TargetId(row.get(1)?),
                item: row.get(2)?,
                finding: Finding::named(&row.get::<_, String>(3)?),
                before: read_sight(row, 4)?,
                after: read_sight(row, 5)?,
                is_again: row.get(6)?,
                judged_ms: row.get(7)?,
                message: row.get(8)?,
            });
        }
        Ok(probes)
    }
}

/// Writes down what was seen, before the call that it belongs to.
pub(super) fn insert(conn: &Connection, probe: &NewProbe) -> Result<()> {
    let key = Key::of(ItemKind::Url, probe.item.as_bytes());
    let claims = read_claims(conn, probe.batch)?;
    let mut ledger = None;
    for claim in claims.iter().filter(|claim| holds(claim, key)) {
        if !is_adhoc(conn, claim.ledger)? {
            ledger = Some(claim.ledger.0);
        }
    }
    let sql = "UPDATE probe SET is_last = 0,
            state = iif(state IN ('looking', 'again'), 'dropped', state)
        WHERE target_id = ? AND key = ? AND is_last = 1";
    let bytes = key.to_bytes();
    conn.prepare_cached(sql)?
        .execute(params![probe.target.0, bytes])?;
    let sql = "INSERT INTO probe(batch_no, target_id, ledger_id, key, item, state, is_last,
            timeout_ms, before, looks, is_again, message)
        VALUES (?, ?, ?, ?, ?, 'sent', 1, ?, ?, 0, 0, ?)";
    conn.prepare_cached(sql)?.execute(params![
        probe.batch.0,
        probe.target.0,
        ledger,
        bytes,
        probe.item,
        i64::try_from(probe.timeout_ms).unwrap_or(i64::MAX),
        probe.before.as_ref().ok().map(to_json),
        probe.before.as_ref().err(),
    ])?;
    Ok(())
}

/// What is about to be sent once more. With the condition of the index of open probes,
/// without which SQLite would walk through all there ever were.
const AGAIN: &str = "state IN ('sent', 'looking', 'again') AND state = 'again'";

/// From an acceptance on.
const LOOK: &str = "UPDATE probe SET state = 'looking', accepted_ms = ?2, due_ms = ?3,
    until_ms = ?3 + timeout_ms, looks = 0";

/// A batch has ended. What was accepted is looked after from `gate_ms` on;
/// `None` where it was not.
pub(super) fn closed(
    conn: &Connection,
    (target, no): (TargetId, i64),
    claims: &[Claim],
    (gate_ms, now_ms): (Option<i64>, i64),
) -> Result<()> {
    let Some(gate_ms) = gate_ms else {
        let sql = "UPDATE probe SET state = 'dropped' WHERE batch_no = ? AND state = 'sent'";
        conn.prepare_cached(sql)?.execute([no])?;
        return Ok(());
    };
    let sql = format!("{LOOK} WHERE batch_no = ?1 AND state = 'sent'");
    conn.prepare_cached(&sql)?
        .execute(params![no, now_ms, gate_ms])?;
    let sql = format!("SELECT id, key FROM probe WHERE target_id = ? AND {AGAIN}");
    let mut statement = conn.prepare_cached(&sql)?;
    let again = statement.query_map([target.0], |row| {
        Ok((row.get::<_, i64>(0)?, row.get(1).map(Key::from_bytes)?))
    })?;
    for (id, key) in again.collect::<Result<Vec<_>, _>>()? {
        if claims.iter().any(|claim| holds(claim, key)) {
            let sql = format!("{LOOK}, is_again = 1 WHERE id = ?1");
            conn.prepare_cached(&sql)?
                .execute(params![id, now_ms, gate_ms])?;
        }
    }
    Ok(())
}

/// What was to be sent once more was refused: it stays as it was found.
pub(super) fn refused(
    conn: &Connection,
    target: TargetId,
    keys: impl Iterator<Item = Key>,
    now_ms: i64,
) -> Result<()> {
    let sql = format!(
        "UPDATE probe SET state = 'stale', judged_ms = ? WHERE target_id = ? AND key = ? AND {AGAIN}"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    for key in keys {
        statement.execute(params![now_ms, target.0, key.to_bytes()])?;
    }
    Ok(())
}

/// What has left its set (sorted) is looked at no more: nothing would send it again.
pub(super) fn departed(conn: &Connection, ledger: LedgerId, keys: &[Key]) -> Result<()> {
    let sql = "SELECT id, key FROM probe WHERE ledger_id = ?
        AND state IN ('sent', 'looking', 'again') AND state <> 'sent'";
    let mut statement = conn.prepare_cached(sql)?;
    let open = statement.query_map([ledger.0], |row| {
        Ok((row.get::<_, i64>(0)?, row.get(1).map(Key::from_bytes)?))
    })?;
    for (id, key) in open.collect::<Result<Vec<_>, _>>()? {
        if keys.binary_search(&key).is_ok() {
            conn.execute("UPDATE probe SET state = 'dropped' WHERE id = ?", [id])?;
        }
    }
    Ok(())
}

/// Writes down what a look came to, and what follows from it.
pub(super) fn looked(conn: &Connection, looked: &Looked, now_ms: i64) -> Result<()> {
    let (state, due_ms, judged_ms) = match looked.step {
        Step::Done(found) => (found.as_str(), None, Some(now_ms)),
        Step::Look(at_ms) => ("looking", Some(at_ms), None),
        Step::SendAgain => ("again", None, None),
    };
    let sql = "UPDATE probe SET state = ?2, due_ms = ?3, judged_ms = ?4, message = ?5,
            after = coalesce(?6, after), looks = looks + 1
        WHERE id = ?1 AND state = 'looking' RETURNING ledger_id, key";
    let changed = conn
        .prepare_cached(sql)?
        .query_row(
            params![
                looked.id,
                state,
                due_ms,
                judged_ms,
                looked.after.as_ref().err(),
                looked.after.as_ref().ok().map(to_json),
            ],
            |row| {
                let ledger: Option<i64> = row.get(0)?;
                Ok((ledger.map(LedgerId), row.get(1).map(Key::from_bytes)?))
            },
        )
        .optional()?;
    match changed {
        Some((Some(ledger), key)) if looked.step == Step::SendAgain => {
            repeat::echo_current(conn, ledger, key)?;
            force_keys(conn, NOBODY, ledger, &[key])
        }
        _ => Ok(()),
    }
}

fn holds(claim: &Claim, key: Key) -> bool {
    let at = claim
        .entries
        .binary_search_by_key(&key, |entry| entry.key());
    at.is_ok()
}

fn read_open(row: &Row) -> Result<OpenProbe> {
    Ok(OpenProbe {
        id: row.get(0)?,
        target: TargetId(row.get(1)?),
        item: row.get(2)?,
        due_ms: row.get(3)?,
        watch: Watch {
            before: read_sight(row, 4)?,
            accepted_ms: row.get(5)?,
            until_ms: row.get(6)?,
            looks: row.get(7)?,
            // What no manifest declares cannot be had a second time.
            is_again: row.get(8)?,
        },
    })
}

fn read_sight(row: &Row, column: usize) -> Result<Option<Sight>> {
    let text: Option<String> = row.get(column)?;
    let broken = |error: serde_json::Error| {
        StateError::damaged("probe", format!("column {column}"), error.to_string())
    };
    let sight = text.map(|text| serde_json::from_str(&text).map_err(broken));
    sight.transpose()
}

fn to_json(sight: &Sight) -> String {
    serde_json::to_string(sight).expect("what was seen has nothing that JSON cannot say")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Store;

    #[test]
    fn no_look_of_the_past_is_walked_through_for_what_is_sent_once_more() {
        let store = Store::in_memory(0).unwrap();
        let sql =
            format!("EXPLAIN QUERY PLAN SELECT key FROM probe WHERE target_id = ? AND {AGAIN}");
        let row = store
            .connection()
            .query_row(&sql, [0], |row| row.get("detail"));
        let plan: String = row.unwrap();
        assert!(
            plan.contains("USING COVERING INDEX probe_open")
                || plan.contains("USING INDEX probe_open"),
            "{plan}"
        );
    }
}
