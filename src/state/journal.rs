//! The journal: batches from before they are sent until their outcome is known.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::batch::journal::{BatchNo, Cause, Claim, Close, NewBatch, OpenBatch, Outcome};
use crate::digest::{Digest, Entry, Key, entries_to_bytes};
use crate::plan::recorded::{LedgerId, Refusal, TargetId};

use super::forced::{self, Tried};
use super::origin::{self, OriginLook};
use super::probe::{self, Looked, NewProbe};
use super::records::{Records, TargetRecord, read_sealed, unknown, update_target};
use super::sight::{self, OriginSight};
use super::{Result, StateError, Store, fold, front_coding, ledger, observe, repeat};

/// One step of submitting: what ended, what starts, and what it cost.
#[derive(Clone, Debug, Default)]
pub struct Step {
    /// Batches whose outcome is known.
    pub close: Vec<Close>,
    /// New batches, and whether each is about to be sent.
    pub open: Vec<(NewBatch, bool)>,
    /// Open batches that are about to be sent (again).
    pub send: Vec<BatchNo>,
    /// Targets as they are from now on.
    pub targets: Vec<TargetRecord>,
    /// When what is accepted with these batches is to be sent again.
    pub repeat_ms: BTreeMap<BatchNo, Vec<i64>>,
    /// What edges serve before the calls that follow.
    pub probes: Vec<NewProbe>,
    /// What they serve after others.
    pub looked: Vec<Looked>,
    /// What origins show before the calls that follow.
    pub origin_sights: Vec<OriginSight>,
    /// What they show while something waits for them.
    pub origin_looks: Vec<OriginLook>,
}

impl Step {
    /// Whether there is nothing to record.
    pub fn is_empty(&self) -> bool {
        self.close.is_empty()
            && self.open.is_empty()
            && self.send.is_empty()
            && self.targets.is_empty()
            && self.probes.is_empty()
            && self.looked.is_empty()
            && self.origin_sights.is_empty()
            && self.origin_looks.is_empty()
    }
}

impl Store {
    /// Closes, opens and marks batches in one transaction; the opened ones
    /// come back with their numbers and ids, in order.
    pub fn step(&mut self, step: Step, now_ms: i64) -> Result<Vec<OpenBatch>> {
        let lineage = self.lineage().to_owned();
        let commit = self.commit.clone();
        let made = Made {
            lineage: &lineage,
            commit: commit.as_deref(),
            now_ms,
        };
        let is_accepted = |close: &Close| matches!(close.outcome, Outcome::Accepted { .. });
        let begins_past = self.begins_past && step.close.iter().any(is_accepted);
        self.write(|transaction| {
            for close in &step.close {
                let repeat_ms = step.repeat_ms.get(&close.no).map_or(&[][..], Vec::as_slice);
                close_batch(transaction, close, repeat_ms, now_ms)?;
            }
            if begins_past {
                observe::begin_past(transaction)?;
            }
            let opened = step
                .open
                .into_iter()
                .map(|(batch, send)| open_batch(transaction, made, batch, send))
                .collect::<Result<_>>()?;
            for no in step.send {
                send_batch(transaction, no)?;
            }
            for target in &step.targets {
                update_target(transaction, target)?;
            }
            for probe in &step.probes {
                probe::insert(transaction, probe)?;
            }
            for looked in &step.looked {
                probe::looked(transaction, looked, now_ms)?;
            }
            for sight in &step.origin_sights {
                sight::seen(transaction, sight, now_ms)?;
            }
            for look in &step.origin_looks {
                origin::looked(transaction, look, now_ms)?;
            }
            Ok(opened)
        })
    }
}

impl Records {
    /// Batches that nobody has closed, by number.
    pub fn open_batches(&self) -> Result<Vec<OpenBatch>> {
        let conn = self.connection();
        let sql = "SELECT no, id, target_id, parent, cause, items, attempts, opened_ms
            FROM batch WHERE closed_ms IS NULL ORDER BY no";
        let mut statement = conn.prepare_cached(sql)?;
        let mut rows = statement.query([])?;
        let mut batches = Vec::new();
        while let Some(row) = rows.next()? {
            batches.push(read_open(conn, self.lineage(), row)?);
        }
        Ok(batches)
    }
}

impl Records {
    /// Items in batches that nobody has closed.
    pub fn items_under_way(&self) -> Result<u64> {
        let sql = "SELECT coalesce(sum(count), 0) FROM batch WHERE closed_ms IS NULL";
        let mut statement = self.connection().prepare_cached(sql)?;
        Ok(statement.query_row([], |row| row.get(0))?)
    }

    /// By ledger: when its last acceptance has settled, in milliseconds since
    /// the epoch.
    pub fn gates(&self) -> Result<BTreeMap<LedgerId, i64>> {
        let sql = "SELECT id, gate_ms FROM ledger WHERE gate_ms IS NOT NULL";
        let mut statement = self.connection().prepare_cached(sql)?;
        let gates = statement.query_map([], |row| Ok((LedgerId(row.get(0)?), row.get(1)?)))?;
        Ok(gates.collect::<Result<_, _>>()?)
    }

    /// When the last acceptance of `ledger` has settled, in milliseconds since
    /// the epoch.
    pub fn gate_ms(&self, ledger: LedgerId) -> Result<Option<i64>> {
        let sql = "SELECT gate_ms FROM ledger WHERE id = ?";
        let mut statement = self.connection().prepare_cached(sql)?;
        Ok(statement.query_row([ledger.0], |row| row.get(0))?)
    }
}

/// The number of the batch that was opened last; 0 before the first.
pub(super) fn last_no(conn: &Connection) -> Result<i64> {
    let sql = "SELECT seq FROM sqlite_sequence WHERE name = 'batch'";
    let last = conn.prepare_cached(sql)?.query_row([], |row| row.get(0));
    Ok(last.optional()?.unwrap_or(0))
}

/// Where a batch comes from, besides its plan.
#[derive(Clone, Copy)]
struct Made<'a> {
    lineage: &'a str,
    commit: Option<&'a str>,
    now_ms: i64,
}

fn open_batch(
    conn: &Connection,
    made: Made<'_>,
    batch: NewBatch,
    is_sent: bool,
) -> Result<OpenBatch> {
    let no = last_no(conn)? + 1;
    let id = id_of(made.lineage, no, batch.target, &batch.items);
    let sql = "INSERT INTO batch(no, id, target_id, parent, cause, declared_at, count, items,
            state, attempts, opened_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'open', ?, ?)";
    conn.prepare_cached(sql)?.execute(params![
        no,
        id.0,
        batch.target.0,
        batch.parent.map(|parent| parent.0),
        cause_name(batch.cause),
        made.commit,
        batch.items.len(),
        front_coding::encode(&batch.items),
        u32::from(is_sent),
        made.now_ms,
    ])?;
    let sql = "INSERT INTO claim(batch_no, ledger_id, state, entries, digest)
        VALUES (?, ?, 'open', ?, ?)";
    for claim in &batch.claims {
        let bytes = entries_to_bytes(&claim.entries);
        let digest = Digest::of(&bytes).0;
        conn.prepare_cached(sql)?
            .execute(params![no, claim.ledger.0, bytes, digest])?;
        ledger::unsettle(conn, claim.ledger)?;
    }
    Ok(OpenBatch {
        no: BatchNo(no),
        id,
        batch,
        is_sent,
        attempts: u32::from(is_sent),
        opened_ms: made.now_ms,
    })
}

fn send_batch(conn: &Connection, no: BatchNo) -> Result<()> {
    let sql = "UPDATE batch SET attempts = attempts + 1 WHERE no = ? AND closed_ms IS NULL";
    match conn.prepare_cached(sql)?.execute([no.0])? {
        0 => Err(unknown("open batch", &no.0.to_string())),
        _ => Ok(()),
    }
}

fn close_batch(conn: &Connection, close: &Close, repeat_ms: &[i64], now_ms: i64) -> Result<()> {
    let no = close.no.0;
    let sql = "SELECT target_id FROM batch WHERE no = ? AND closed_ms IS NULL";
    let target = conn
        .prepare_cached(sql)?
        .query_row([no], |row| row.get(0).map(TargetId))
        .optional()?
        .ok_or_else(|| unknown("open batch", &no.to_string()))?;
    let (state, code, message) = outcome_columns(&close.outcome);
    let sql = "UPDATE batch SET state = ?, code = ?, message = ?, closed_ms = ?, items = NULL
        WHERE no = ?";
    conn.prepare_cached(sql)?
        .execute(params![state, code, message, now_ms, no])?;
    let is_accepted = matches!(close.outcome, Outcome::Accepted { .. });
    let claims = read_claims(conn, close.no)?;
    let sql = "UPDATE claim SET state = ? WHERE batch_no = ?";
    let claim_state = if is_accepted { "accepted" } else { "void" };
    conn.prepare_cached(sql)?
        .execute(params![claim_state, no])?;
    if is_accepted {
        for claim in &claims {
            accept(conn, target, close, claim)?;
        }
        repeat::accepted(conn, target, &claims, repeat_ms)?;
    }
    // What was asked for has been tried: asking again is a new request.
    for claim in &claims {
        let refused = close.refusals.iter().map(|refusal| refusal.entry.key());
        forced::tried(conn, claim.ledger, refused, (no, Tried::Refused))?;
    }
    let gate_ms = close.gate_ms.filter(|_| is_accepted);
    probe::closed(conn, (target, no), &claims, (gate_ms, now_ms))?;
    sight::closed(conn, (target, no), &claims, is_accepted)?;
    let refused = close.refusals.iter().map(|refusal| refusal.entry.key());
    probe::refused(conn, target, refused, now_ms)?;
    record_refusals(conn, target, &close.refusals)
}

/// The claim overlays its ledger from now on; what asked for it is done.
fn accept(conn: &Connection, target: TargetId, close: &Close, claim: &Claim) -> Result<()> {
    let sql = "UPDATE ledger SET overlay = overlay + ?1,
            gate_ms = max(coalesce(?2, gate_ms), coalesce(gate_ms, ?2))
        WHERE id = ?3";
    conn.prepare_cached(sql)?.execute(params![
        claim.entries.len(),
        close.gate_ms,
        claim.ledger.0
    ])?;
    let keys = claim.entries.iter().map(|entry| entry.key());
    let accepted = (close.no.0, Tried::Accepted);
    forced::tried(conn, claim.ledger, keys, accepted)?;
    lift(conn, target, claim.entries.iter().map(|entry| entry.key()))?;
    fold::fold_if_large(conn, claim.ledger)
}

/// A refusal at another mark stays: it may be that of another set, which would
/// otherwise send the item again and lift this one in turn, without end.
fn record_refusals(conn: &Connection, target: TargetId, refusals: &[Refusal]) -> Result<()> {
    let sql = "INSERT OR REPLACE INTO refusal(target_id, entry, item, code, message, cdn, at_ms)
        VALUES (?, ?, ?, ?, ?, ?, ?)";
    for refusal in refusals {
        conn.prepare_cached(sql)?.execute(params![
            target.0,
            refusal.entry.to_bytes(),
            refusal.item,
            refusal.code,
            refusal.message,
            refusal.cdn.0,
            refusal.at_ms,
        ])?;
    }
    Ok(())
}

fn lift(conn: &Connection, target: TargetId, keys: impl Iterator<Item = Key>) -> Result<()> {
    let exists = "SELECT EXISTS (SELECT 1 FROM refusal WHERE target_id = ?)";
    let is_any: bool = conn
        .prepare_cached(exists)?
        .query_row([target.0], |row| row.get(0))?;
    if !is_any {
        return Ok(());
    }
    let sql = "DELETE FROM refusal WHERE target_id = ? AND entry BETWEEN ? AND ?";
    let mut statement = conn.prepare_cached(sql)?;
    for key in keys {
        let (mut first, mut last) = ([0; Entry::SIZE], [0xff; Entry::SIZE]);
        first[..10].copy_from_slice(&key.to_bytes());
        last[..10].copy_from_slice(&key.to_bytes());
        statement.execute(params![target.0, first, last])?;
    }
    Ok(())
}

fn read_open(conn: &Connection, lineage: &str, row: &Row) -> Result<OpenBatch> {
    let no: i64 = row.get(0)?;
    let broken = |what: &str| StateError::damaged("batch", no.to_string(), what);
    let id = Digest(row.get(1)?);
    let target = TargetId(row.get(2)?);
    let coded: Vec<u8> = row.get(5)?;
    let items = front_coding::decode(&coded).ok_or_else(|| broken("its items do not decode"))?;
    if id_of(lineage, no, target, &items) != id {
        return Err(broken("its id does not match its items"));
    }
    let attempts = row.get(6)?;
    Ok(OpenBatch {
        no: BatchNo(no),
        id,
        batch: NewBatch {
            target,
            parent: row.get::<_, Option<i64>>(3)?.map(BatchNo),
            cause: read_cause(no, &row.get::<_, String>(4)?)?,
            items: items.into(),
            claims: read_claims(conn, BatchNo(no))?,
        },
        is_sent: attempts > 0,
        attempts,
        opened_ms: row.get(7)?,
    })
}

pub(super) fn read_claims(conn: &Connection, no: BatchNo) -> Result<Vec<Claim>> {
    let sql = "SELECT entries, digest, ledger_id FROM claim WHERE batch_no = ? ORDER BY ledger_id";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([no.0])?;
    let mut claims = Vec::new();
    while let Some(row) = rows.next()? {
        let ledger = LedgerId(row.get(2)?);
        let name = || format!("batch {} ledger {}", no.0, ledger.0);
        let mut entries = Vec::new();
        read_sealed(row, 0, "claim", name, &mut entries)?;
        claims.push(Claim { ledger, entries });
    }
    Ok(claims)
}

fn id_of(lineage: &str, no: i64, target: TargetId, items: &[Box<str>]) -> Digest {
    let (no, target) = (no.to_be_bytes(), target.0.to_be_bytes());
    let head = [lineage.as_bytes(), &no, &target];
    let items = items.iter().map(|item| item.as_bytes());
    Digest::of_parts(head.into_iter().chain(items))
}

fn cause_name(cause: Cause) -> &'static str {
    match cause {
        Cause::Plan => "plan",
        Cause::Forced => "forced",
        Cause::Removed => "removed",
        Cause::Bisect => "bisect",
    }
}

pub(super) fn read_cause(no: i64, name: &str) -> Result<Cause> {
    Ok(match name {
        "plan" => Cause::Plan,
        "forced" => Cause::Forced,
        "removed" => Cause::Removed,
        "bisect" => Cause::Bisect,
        other => {
            let what = format!("there is no cause `{other}`");
            return Err(StateError::damaged("batch", no.to_string(), what));
        }
    })
}

/// State, code and message.
fn outcome_columns(outcome: &Outcome) -> (&'static str, Option<&str>, &str) {
    match outcome {
        Outcome::Accepted { receipt } => ("accepted", None, receipt),
        Outcome::Refused { code, message } => ("refused", Some(code), message),
        Outcome::Split { message } => ("split", None, message),
        Outcome::Failed { message } => ("failed", None, message),
        Outcome::Abandoned { message } => ("abandoned", None, message),
    }
}
