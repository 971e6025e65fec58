//! History: what was sent, what came of it, and what happened to sets.

use rusqlite::{Connection, Row, params};

use crate::batch::journal::{BatchNo, Cause, Outcome};
use crate::digest::{Digest, Key, Mark};

use super::journal::{read_cause, read_claims};
use super::records::Records;
use super::{Result, StateError, Store, repeat, sight};

/// History is kept for 90 days, or while its entries take less than 1 GB.
const KEPT_MS: i64 = 90 * 24 * 60 * 60 * 1000;
const KEPT_BYTES: i64 = 1_000_000_000;

/// A batch as the history tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchRecord {
    /// Its number.
    pub no: BatchNo,
    /// What it was sent as.
    pub id: Digest,
    /// Where it went.
    pub target: String,
    /// The batch whose refusal it came from.
    pub parent: Option<BatchNo>,
    /// Why it existed.
    pub cause: Cause,
    /// The commit that the manifests were at when it was opened, where they
    /// are in git.
    pub commit: Option<String>,
    /// How many items it held.
    pub count: u64,
    /// How often it was sent.
    pub attempts: u32,
    /// Milliseconds since the epoch.
    pub opened_ms: i64,
    /// Milliseconds since the epoch; `None` while it is open.
    pub closed_ms: Option<i64>,
    /// `None` while it is open.
    pub outcome: Option<Outcome>,
    /// The sets that had a share in it, and how many entries; `None` for a
    /// set that is no longer known.
    pub shares: Vec<(Option<String>, u64)>,
}

/// Which batches are asked for.
#[derive(Clone, Debug, Default)]
pub struct HistoryFilter {
    /// Only batches that this set had a share in.
    pub set: Option<String>,
    /// Only batches with lower numbers.
    pub before: Option<BatchNo>,
    /// Only the latest so many.
    pub at_most: u32,
}

/// Something that happened to a set, other than a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Milliseconds since the epoch.
    pub at_ms: i64,
    /// Such as `renamed` or `expired`.
    pub kind: String,
    /// The set concerned.
    pub set: Option<String>,
    /// What exactly, for a person.
    pub detail: String,
}

impl Records {
    /// What happened to sets, in order.
    pub fn events(&self) -> Result<Vec<Event>> {
        let sql = "SELECT at_ms, kind, set_name, detail FROM event ORDER BY id";
        let mut statement = self.connection().prepare_cached(sql)?;
        let events = statement.query_map([], |row| {
            Ok(Event {
                at_ms: row.get(0)?,
                kind: row.get(1)?,
                set: row.get(2)?,
                detail: row.get(3)?,
            })
        })?;
        Ok(events.collect::<Result<_, _>>()?)
    }

    /// Batches, the latest first.
    pub fn history(&self, filter: &HistoryFilter) -> Result<Vec<BatchRecord>> {
        let sql = format!(
            "{SELECT} WHERE (?1 IS NULL OR b.no < ?1) AND (?2 IS NULL OR EXISTS (
                SELECT 1 FROM claim c JOIN ledger l ON l.id = c.ledger_id
                JOIN asset_set s ON s.id = l.set_id WHERE c.batch_no = b.no AND s.name = ?2))
             ORDER BY b.no DESC LIMIT ?3"
        );
        let conn = self.connection();
        let mut statement = conn.prepare_cached(&sql)?;
        let before = filter.before.map(|no| no.0);
        let mut rows = statement.query(params![before, filter.set, filter.at_most])?;
        let mut batches = Vec::new();
        while let Some(row) = rows.next()? {
            batches.push(read_batch(conn, row)?);
        }
        Ok(batches)
    }

    /// The latest batches that held `key`, latest first, and the mark it had.
    pub fn last_batches_with(&self, key: Key, at_most: usize) -> Result<Vec<(BatchRecord, Mark)>> {
        let conn = self.connection();
        let mut statement = conn.prepare_cached(&format!("{SELECT} ORDER BY b.no DESC"))?;
        let mut rows = statement.query([])?;
        let mut found = Vec::new();
        while found.len() < at_most
            && let Some(row) = rows.next()?
        {
            if let Some(mark) = mark_in(conn, BatchNo(row.get(0)?), key)? {
                found.push((read_batch(conn, row)?, mark));
            }
        }
        Ok(found)
    }
}

impl Store {
    /// Forgets batches, answered requests and events that are older than the
    /// history is kept, and gives their space back. A batch that a ledger
    /// still needs stays.
    pub fn prune_history(&mut self, now_ms: i64) -> Result<()> {
        let has_pruned =
            self.write(|transaction| prune(transaction, now_ms - KEPT_MS, KEPT_BYTES))?;
        if has_pruned {
            let mut statement = self.connection().prepare("PRAGMA incremental_vacuum")?;
            let mut pages = statement.query([])?;
            while pages.next()?.is_some() {}
        }
        Ok(())
    }
}

const SELECT: &str = "SELECT b.no, b.id, t.identity, b.parent, b.cause, b.count, b.attempts,
    b.opened_ms, b.closed_ms, b.state, b.code, b.message, b.declared_at
    FROM batch b JOIN target t ON t.id = b.target_id";

fn read_batch(conn: &Connection, row: &Row) -> Result<BatchRecord> {
    let no: i64 = row.get(0)?;
    Ok(BatchRecord {
        no: BatchNo(no),
        id: Digest(row.get(1)?),
        target: row.get(2)?,
        parent: row.get::<_, Option<i64>>(3)?.map(BatchNo),
        cause: read_cause(no, &row.get::<_, String>(4)?)?,
        commit: row.get(12)?,
        count: row.get(5)?,
        attempts: row.get(6)?,
        opened_ms: row.get(7)?,
        closed_ms: row.get(8)?,
        outcome: read_outcome(no, row)?,
        shares: read_shares(conn, no)?,
    })
}

fn read_outcome(no: i64, row: &Row) -> Result<Option<Outcome>> {
    let state: String = row.get(9)?;
    let code = row.get::<_, Option<String>>(10)?.unwrap_or_default();
    let message = row.get::<_, Option<String>>(11)?.unwrap_or_default();
    Ok(Some(match state.as_str() {
        "open" => return Ok(None),
        "accepted" => Outcome::Accepted { receipt: message },
        "refused" => Outcome::Refused { code, message },
        "split" => Outcome::Split { message },
        "failed" => Outcome::Failed { message },
        "abandoned" => Outcome::Abandoned { message },
        other => {
            let what = format!("there is no outcome `{other}`");
            return Err(StateError::damaged("batch", no.to_string(), what));
        }
    }))
}

fn read_shares(conn: &Connection, no: i64) -> Result<Vec<(Option<String>, u64)>> {
    let sql = "SELECT s.name, length(c.entries) / 16 FROM claim c
        LEFT JOIN ledger l ON l.id = c.ledger_id LEFT JOIN asset_set s ON s.id = l.set_id
        WHERE c.batch_no = ? ORDER BY c.ledger_id";
    let mut statement = conn.prepare_cached(sql)?;
    let shares = statement.query_map([no], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(shares.collect::<Result<_, _>>()?)
}

fn mark_in(conn: &Connection, no: BatchNo, key: Key) -> Result<Option<Mark>> {
    for claim in read_claims(conn, no)? {
        if let Ok(at) = claim
            .entries
            .binary_search_by_key(&key, |entry| entry.key())
        {
            return Ok(Some(claim.entries[at].mark()));
        }
    }
    Ok(None)
}

/// Whether any batch was forgotten.
fn prune(conn: &Connection, before_ms: i64, most_bytes: i64) -> Result<bool> {
    let sql = "SELECT coalesce(max(batch_no), 0) FROM (
        SELECT batch_no, sum(length(entries)) OVER (ORDER BY batch_no DESC) AS total FROM claim
        ) WHERE total > ?";
    let too_much: i64 = conn.query_row(sql, [most_bytes], |row| row.get(0))?;
    let sql = "DELETE FROM batch WHERE (closed_ms < ? OR no <= ?) AND closed_ms IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM claim c JOIN ledger l ON l.id = c.ledger_id
            WHERE c.batch_no = no AND c.state = 'accepted')";
    let has_pruned = conn.execute(sql, [before_ms, too_much])? > 0;
    if has_pruned {
        let sql = "DELETE FROM claim WHERE NOT EXISTS (SELECT 1 FROM batch WHERE no = batch_no)";
        conn.execute(sql, [])?;
        let sql = "DELETE FROM probe WHERE NOT EXISTS (SELECT 1 FROM batch WHERE no = batch_no)";
        conn.execute(sql, [])?;
    }
    conn.execute("DELETE FROM request WHERE used_ms < ?", [before_ms])?;
    conn.execute("DELETE FROM event WHERE at_ms < ?", [before_ms])?;
    sight::prune(conn, before_ms)?;
    repeat::prune(conn, before_ms + KEPT_MS)?;
    Ok(has_pruned)
}

#[cfg(test)]
mod tests {
    use crate::batch::journal::{Claim, Close, NewBatch};
    use crate::digest::{Entry, ItemKind};
    use crate::plan::recorded::LedgerId;
    use crate::state::Step;

    use super::*;

    /// Sends a batch of one entry at `at_ms` and closes it as failed.
    fn send(store: &mut Store, at_ms: i64) -> BatchNo {
        let target = store.target("cdn").unwrap().id;
        let key = Key::of(ItemKind::Url, b"a");
        let batch = NewBatch {
            target,
            parent: None,
            cause: Cause::Plan,
            items: ["a".into()].into(),
            claims: vec![Claim {
                ledger: LedgerId(1),
                entries: vec![Entry::new(key, Mark::of(&[Some("1")]))],
            }],
        };
        let open = Step {
            open: vec![(batch, true)],
            ..Step::default()
        };
        let no = store.step(open, at_ms).unwrap()[0].no;
        let close = Close {
            no,
            outcome: Outcome::Failed {
                message: "lost".to_owned(),
            },
            refusals: Vec::new(),
            gate_ms: None,
        };
        let step = Step {
            close: vec![close],
            ..Step::default()
        };
        store.step(step, at_ms).unwrap();
        no
    }

    fn check(before_ms: i64, most_bytes: i64, kept: &[i64]) {
        let mut store = Store::in_memory(0).unwrap();
        for at_ms in [10, 20, 30] {
            send(&mut store, at_ms);
        }
        store
            .write(|conn| prune(conn, before_ms, most_bytes))
            .unwrap();
        let filter = HistoryFilter {
            at_most: 10,
            ..HistoryFilter::default()
        };
        let numbers: Vec<i64> = store
            .history(&filter)
            .unwrap()
            .iter()
            .map(|b| b.no.0)
            .collect();
        assert_eq!(numbers, kept);
    }

    #[test]
    fn history_goes_by_age_and_by_size_from_its_oldest_end() {
        check(0, 1000, &[3, 2, 1]);
        check(20, 1000, &[3, 2]);
        check(0, 32, &[3, 2]);
        check(30, 16, &[3]);
    }

    #[test]
    fn a_number_is_not_used_again_after_its_batch_was_pruned() {
        let mut store = Store::in_memory(0).unwrap();
        let first = send(&mut store, 10);
        store.write(|conn| prune(conn, 1000, 1000)).unwrap();
        assert!(send(&mut store, 20) > first);
    }

    #[test]
    fn a_batch_remembers_the_commit_it_was_opened_at() {
        let mut store = Store::in_memory(0).unwrap();
        send(&mut store, 10);
        store.declared_at(Some("abc123".to_owned()));
        send(&mut store, 20);
        let filter = HistoryFilter {
            at_most: 10,
            ..HistoryFilter::default()
        };
        let batches = store.history(&filter).unwrap();
        let commits: Vec<_> = batches.iter().map(|b| b.commit.as_deref()).collect();
        assert_eq!(commits, [Some("abc123"), None]);
    }
}
