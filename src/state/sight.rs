//! What origins showed when URLs were last sent, which new revisions of them are
//! compared with.

use rusqlite::{Connection, params};

use super::Result;
use super::origin::{read_json, to_json};
use super::records::Records;
use crate::batch::journal::{BatchNo, Claim};
use crate::batch::verify::Sight;
use crate::digest::{ItemKind, Key};
use crate::plan::recorded::TargetId;

/// What an origin shows of an item that is about to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginSight {
    /// Its batch, which is open.
    pub batch: BatchNo,
    /// Where it goes.
    pub target: TargetId,
    /// As it is sent.
    pub item: String,
    /// What was shown.
    pub sight: Sight,
}

impl Records {
    /// What the origin of `target` showed when the item was last sent.
    pub fn shown_at_last_purge(&self, target: TargetId, key: Key) -> Result<Option<Sight>> {
        let sql = "SELECT sight FROM origin_sight
            WHERE target_id = ? AND key = ? AND batch_no = 0";
        let mut statement = self.connection().prepare_cached(sql)?;
        let mut rows = statement.query(params![target.0, key.to_bytes()])?;
        let row = rows.next()?;
        row.map(|row| read_json(row, 0, "origin_sight")).transpose()
    }

    /// Items of `target` of which that is known, sorted.
    pub fn known_at_origin(&self, target: TargetId) -> Result<Vec<Key>> {
        let sql = "SELECT key FROM origin_sight WHERE target_id = ? AND batch_no = 0 ORDER BY key";
        let mut statement = self.connection().prepare_cached(sql)?;
        let keys = statement.query_map([target.0], |row| row.get(0).map(Key::from_bytes))?;
        Ok(keys.collect::<Result<_, _>>()?)
    }

    /// Which of `keys` that is known of, sorted.
    pub fn known_among(
        &self,
        target: TargetId,
        keys: impl Iterator<Item = Key>,
    ) -> Result<Vec<Key>> {
        let sql = "SELECT EXISTS (SELECT 1 FROM origin_sight
            WHERE target_id = ? AND key = ? AND batch_no = 0)";
        let mut statement = self.connection().prepare_cached(sql)?;
        let mut known = Vec::new();
        for key in keys {
            if statement.query_row(params![target.0, key.to_bytes()], |row| row.get(0))? {
                known.push(key);
            }
        }
        known.sort_unstable();
        Ok(known)
    }

    /// Whether the origin was looked at before batch `no` was sent.
    pub fn has_origin_sights(&self, no: BatchNo) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM origin_sight WHERE batch_no = ? AND batch_no > 0)";
        let mut statement = self.connection().prepare_cached(sql)?;
        Ok(statement.query_row([no.0], |row| row.get(0))?)
    }
}

/// Writes down what an origin shows, before the call that it belongs to.
pub(super) fn seen(conn: &Connection, seen: &OriginSight, now_ms: i64) -> Result<()> {
    let key = Key::of(ItemKind::Url, seen.item.as_bytes());
    let sql = "INSERT OR REPLACE INTO origin_sight(target_id, key, batch_no, seen_ms, sight)
        VALUES (?, ?, ?, ?, ?)";
    conn.prepare_cached(sql)?.execute(params![
        seen.target.0,
        key.to_bytes(),
        seen.batch.0,
        now_ms,
        to_json(&seen.sight)
    ])?;
    Ok(())
}

/// A batch has ended. What was seen before it is what the origin showed at the
/// last purge, if it was accepted; what was known before that is not.
pub(super) fn closed(
    conn: &Connection,
    (target, no): (TargetId, i64),
    claims: &[Claim],
    is_accepted: bool,
) -> Result<()> {
    if !is_accepted {
        let sql = "DELETE FROM origin_sight WHERE batch_no = ? AND batch_no > 0";
        conn.prepare_cached(sql)?.execute([no])?;
        return Ok(());
    }
    let exists = "SELECT EXISTS (SELECT 1 FROM origin_sight WHERE target_id = ?)";
    let mut exists = conn.prepare_cached(exists)?;
    if !exists.query_row([target.0], |row| row.get(0))? {
        return Ok(());
    }
    let sql = "DELETE FROM origin_sight WHERE target_id = ? AND key = ? AND batch_no = 0";
    let mut statement = conn.prepare_cached(sql)?;
    for entry in claims.iter().flat_map(|claim| &claim.entries) {
        statement.execute(params![target.0, entry.key().to_bytes()])?;
    }
    let sql = "UPDATE OR REPLACE origin_sight SET batch_no = 0 WHERE batch_no = ? AND batch_no > 0";
    conn.prepare_cached(sql)?.execute([no])?;
    Ok(())
}

/// Forgets what was seen before that.
pub(super) fn prune(conn: &Connection, before_ms: i64) -> Result<()> {
    let sql = "DELETE FROM origin_sight WHERE seen_ms < ?";
    conn.execute(sql, [before_ms])?;
    Ok(())
}
