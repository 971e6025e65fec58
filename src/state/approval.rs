//! Approvals: leave to send certain entries beyond the limits.

use rusqlite::{Connection, params};

use crate::digest::{Digest, Entry, entries_to_bytes};
use crate::plan::recorded::{LedgerId, TargetId};

use super::ledger::{ledger_of, unsettle};
use super::records::{Records, read_sealed};
use super::{Result, Store};

/// Leave to send exactly these entries.
#[derive(Clone, Debug)]
pub struct Approval {
    /// The plan that was approved.
    pub plan: Digest,
    /// The request that asked for it; 0 where the command line or an
    /// annotation did.
    pub request: i64,
    /// What it was going to send, sorted.
    pub entries: Vec<Entry>,
    /// Milliseconds since the epoch.
    pub expires_ms: i64,
}

/// An approval for one set at one target.
#[derive(Clone, Debug)]
pub struct Leave {
    /// The set's name.
    pub set: String,
    /// Where it is sent.
    pub target: TargetId,
    /// Digest of the wire rules, for a ledger that is not there yet.
    pub wire: Digest,
    /// What may be sent.
    pub approval: Approval,
}

impl Store {
    /// Records approvals; one transaction. Nothing else of the ledgers changes:
    /// an approval names a plan, and must not give it another name.
    pub fn approve(&mut self, request: i64, leaves: &[Leave], now_ms: i64) -> Result<()> {
        self.write(|transaction| {
            for leave in leaves {
                let (head, _) = ledger_of(transaction, &leave.set, leave.target, leave.wire)?;
                unsettle(transaction, head.id)?;
                approve(transaction, head.id, Some(&leave.approval), now_ms)?;
            }
            let items = leaves.iter().map(|leave| leave.approval.entries.len());
            let sql = "UPDATE request SET items = ? WHERE id = ?";
            transaction.execute(sql, params![items.sum::<usize>(), request])?;
            Ok(())
        })
    }
}

impl Records {
    /// The plans of which something approved has not been sent by `now_ms`.
    pub fn approved_plans(&self, now_ms: i64) -> Result<Vec<Digest>> {
        let sql = "SELECT DISTINCT plan FROM approval WHERE expires_ms > ?";
        let mut statement = self.connection().prepare_cached(sql)?;
        let plans = statement.query_map([now_ms], |row| row.get(0).map(Digest))?;
        Ok(plans.collect::<Result<_, _>>()?)
    }
}

/// Records `approval` in place of those that have expired.
pub(super) fn approve(
    conn: &Connection,
    ledger: LedgerId,
    approval: Option<&Approval>,
    now_ms: i64,
) -> Result<()> {
    conn.prepare_cached("DELETE FROM approval WHERE ledger_id = ? AND expires_ms <= ?")?
        .execute([ledger.0, now_ms])?;
    let Some(approval) = approval else {
        return Ok(());
    };
    write_approval(conn, ledger, approval)
}

fn write_approval(conn: &Connection, ledger: LedgerId, approval: &Approval) -> Result<()> {
    let bytes = entries_to_bytes(&approval.entries);
    let sql = "INSERT OR REPLACE INTO
            approval(ledger_id, plan, request_id, entries, digest, expires_ms)
        VALUES (?, ?, ?, ?, ?, ?)";
    conn.prepare_cached(sql)?.execute(params![
        ledger.0,
        approval.plan.0,
        approval.request,
        bytes,
        Digest::of(&bytes).0,
        approval.expires_ms
    ])?;
    Ok(())
}

fn approvals(conn: &Connection, ledger: LedgerId) -> Result<Vec<Approval>> {
    let sql = "SELECT entries, digest, plan, request_id, expires_ms FROM approval
        WHERE ledger_id = ?";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([ledger.0])?;
    let mut approvals = Vec::new();
    while let Some(row) = rows.next()? {
        let plan = Digest(row.get(2)?);
        let name = || format!("ledger {} plan {plan}", ledger.0);
        let mut entries = Vec::new();
        read_sealed(row, 0, "approval", name, &mut entries)?;
        approvals.push(Approval {
            plan,
            request: row.get(3)?,
            entries,
            expires_ms: row.get(4)?,
        });
    }
    Ok(approvals)
}

/// What `request` gave leave for and is not known to have been sent, by ledger.
pub(super) fn approved_by(conn: &Connection, request: i64) -> Result<Vec<(LedgerId, Vec<Entry>)>> {
    let sql = "SELECT DISTINCT ledger_id FROM approval WHERE request_id = ?";
    let mut statement = conn.prepare_cached(sql)?;
    let ledgers = statement.query_map([request], |row| row.get(0).map(LedgerId))?;
    let mut approved = Vec::new();
    for ledger in ledgers {
        let ledger = ledger?;
        let approvals = approvals(conn, ledger)?.into_iter();
        let approvals = approvals.filter(|approval| approval.request == request);
        approved.extend(approvals.map(|approval| (ledger, approval.entries)));
    }
    Ok(approved)
}

/// What may be sent at `now_ms` beyond the limits, sorted. Read of formats
/// before the third as well, which do not know who asked.
pub(super) fn approved(conn: &Connection, ledger: LedgerId, now_ms: i64) -> Result<Vec<Entry>> {
    let sql = "SELECT entries, digest, plan FROM approval WHERE ledger_id = ? AND expires_ms > ?";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([ledger.0, now_ms])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        let plan = Digest(row.get(2)?);
        let name = || format!("ledger {} plan {plan}", ledger.0);
        read_sealed(row, 0, "approval", name, &mut entries)?;
    }
    entries.sort_unstable();
    entries.dedup();
    Ok(entries)
}

/// Takes what was accepted out of what is approved: leave is given once.
pub(super) fn spend_approvals(
    conn: &Connection,
    ledger: LedgerId,
    accepted: &[Entry],
) -> Result<()> {
    for mut approval in approvals(conn, ledger)? {
        let before = approval.entries.len();
        approval
            .entries
            .retain(|entry| accepted.binary_search(entry).is_err());
        let sql = "UPDATE request SET accepted = accepted + ? WHERE id = ?";
        let spent = before - approval.entries.len();
        conn.prepare_cached(sql)?
            .execute(params![spent, approval.request])?;
        if approval.entries.is_empty() {
            let sql = "DELETE FROM approval WHERE ledger_id = ? AND plan = ? AND request_id = ?";
            let key = params![ledger.0, approval.plan.0, approval.request];
            conn.prepare_cached(sql)?.execute(key)?;
        } else if approval.entries.len() < before {
            write_approval(conn, ledger, &approval)?;
        }
    }
    Ok(())
}
