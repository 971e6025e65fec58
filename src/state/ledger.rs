//! Ledgers: what each CDN last accepted of each set.
//!
//! A ledger is its buckets, overlaid by the accepted claims that are not yet
//! folded into them. Folding changes nothing that can be seen.

use rusqlite::{Connection, OptionalExtension, params};

use crate::digest::{ALGORITHM, Digest, Entry, Key, entries_to_bytes};
use crate::plan::recorded::{LedgerContents, LedgerId, TargetId};

use super::approval::{Approval, approve, approved};
use super::bucket::{self, Edits};
use super::fold::{claimed, fold, overlay_of};
use super::forced::{forced, unforce};
use super::records::{Records, read_sealed, unknown};
use super::{ADHOC, Keep, Result, StateError, Store, departed, forget, kept, observe, probe};

/// The kind of event that tells of entries recorded without being sent.
pub const ADOPTED: &str = "adopted";

/// What is recorded before a plan's first batch for one set at one target is
/// sent. Every list is sorted by key, one entry a key.
#[derive(Clone, Debug)]
pub struct Begin {
    /// The set's name.
    pub set: String,
    /// Where it is sent.
    pub target: TargetId,
    /// Digest of the wire rules that the items went through.
    pub wire: Digest,
    /// Digest of the desired entries.
    pub desired: Digest,
    /// Entries that will be sent, also new ones: those present become owed.
    pub owe: Vec<Entry>,
    /// Entries written as they are: adopted, or carried over.
    pub record: Vec<Entry>,
    /// All keys that have left the set, as of this plan.
    pub departed: Vec<Key>,
    /// Keys that are dropped.
    pub forget: Vec<Key>,
    /// What may be sent beyond the limits.
    pub approve: Option<Approval>,
}

impl Store {
    /// Records plans before anything of them is sent, and answers their
    /// ledgers, in order; one transaction.
    ///
    /// Sets and ledgers are created as needed. A set's serial grows if and
    /// only if something in one of its ledgers changed.
    pub fn begin(&mut self, begins: &[Begin], now_ms: i64) -> Result<Vec<LedgerId>> {
        self.write(|transaction| begin_all(transaction, begins, now_ms))
    }

    /// The same, with what is kept of the inputs of sets, in that transaction. It is
    /// durable with the [`Store::step`] that opens the first batch, without which
    /// nothing is sent, or with whatever else is written next.
    pub fn begin_keeping(
        &mut self,
        begins: &[Begin],
        keeps: &[Keep],
        now_ms: i64,
    ) -> Result<Vec<LedgerId>> {
        self.note(|transaction| {
            let ledgers = begin_all(transaction, begins, now_ms)?;
            for keep in keeps {
                kept::keep(transaction, keep)?;
            }
            Ok(ledgers)
        })
    }

    /// Records what sets desire as told already; nothing is forced or approved
    /// for them any more. One transaction.
    pub fn adopt(&mut self, begins: &[Begin], keep: Option<&Keep>, now_ms: i64) -> Result<()> {
        self.write(|transaction| {
            for begin in begins {
                let (head, _) = open_ledger(transaction, begin)?;
                for table in ["forced", "approval", "origin_wait"] {
                    let sql = format!("DELETE FROM {table} WHERE ledger_id = ?");
                    transaction.prepare_cached(&sql)?.execute([head.id.0])?;
                }
                begin_one(transaction, begin, now_ms)?;
            }
            keep.map_or(Ok(()), |keep| kept::keep(transaction, keep))
        })
    }
}

fn begin_all(conn: &Connection, begins: &[Begin], now_ms: i64) -> Result<Vec<LedgerId>> {
    let begin = |begin| begin_one(conn, begin, now_ms);
    let ledgers = begins.iter().map(begin).collect::<Result<Vec<_>>>()?;
    forget::forget_elsewhere(conn, begins, &ledgers)?;
    Ok(ledgers)
}

impl Records {
    /// Everything in `ledger`, verified; approvals as of `now_ms`.
    pub fn contents(&self, ledger: LedgerId, now_ms: i64) -> Result<LedgerContents> {
        let conn = self.connection();
        let head = Head::read(conn, ledger)?;
        let accepted = overlay_of(conn, ledger)?;
        let mut approved = approved(conn, ledger, now_ms)?;
        approved.retain(|entry| accepted.binary_search(entry).is_err());
        let mut entries = bucket::overlay(head.base(conn)?, &accepted);
        let forced = forced(conn, ledger)?;
        bucket::owe(&mut entries, forced.iter().copied());
        let open = claimed(conn, ledger, "open")?;
        Ok(LedgerContents {
            entries,
            forced,
            approved,
            open: keys_of(&bucket::last_of_each(open)),
            departed: departed::keys(conn, ledger)?,
            waits: self.waits_of(ledger)?,
        })
    }
}

fn keys_of(entries: &[Entry]) -> Vec<Key> {
    entries.iter().map(|entry| entry.key()).collect()
}

/// A ledger's row, as far as its entries are concerned.
pub(super) struct Head {
    pub(super) id: LedgerId,
    set: i64,
    count: u64,
    pub(super) bits: u32,
}

impl Head {
    pub(super) fn read(conn: &Connection, ledger: LedgerId) -> Result<Self> {
        let sql = "SELECT set_id, count, bits FROM ledger WHERE id = ?";
        let head = conn.prepare_cached(sql)?.query_row([ledger.0], |row| {
            Ok(Self {
                id: ledger,
                set: row.get(0)?,
                count: row.get(1)?,
                bits: row.get(2)?,
            })
        });
        let head = head.optional()?;
        head.ok_or_else(|| unknown("ledger", &ledger.0.to_string()))
    }

    /// All buckets, one after the other.
    pub(super) fn base(&self, conn: &Connection) -> Result<Vec<Entry>> {
        let sql = "SELECT entries, digest, prefix FROM bucket WHERE ledger_id = ? ORDER BY prefix";
        let mut statement = conn.prepare_cached(sql)?;
        let mut rows = statement.query([self.id.0])?;
        // A damaged count must not be able to ask for all memory.
        let mut entries = Vec::with_capacity(self.count.min(1 << 24) as usize);
        while let Some(row) = rows.next()? {
            let prefix: u32 = row.get(2)?;
            let start = entries.len();
            read_sealed(row, 0, "bucket", || self.bucket_name(prefix), &mut entries)?;
            self.check(&entries[start..], prefix)?;
        }
        if entries.len() as u64 != self.count {
            return Err(StateError::damaged(
                "ledger",
                self.id.0.to_string(),
                format!(
                    "it holds {} entries instead of {}",
                    entries.len(),
                    self.count
                ),
            ));
        }
        Ok(entries)
    }

    pub(super) fn load(&self, conn: &Connection, prefix: u32) -> Result<Vec<Entry>> {
        let sql = "SELECT entries, digest FROM bucket WHERE ledger_id = ? AND prefix = ?";
        let mut statement = conn.prepare_cached(sql)?;
        let mut rows = statement.query(params![self.id.0, prefix])?;
        let mut entries = Vec::new();
        if let Some(row) = rows.next()? {
            read_sealed(row, 0, "bucket", || self.bucket_name(prefix), &mut entries)?;
            self.check(&entries, prefix)?;
        }
        Ok(entries)
    }

    fn check(&self, entries: &[Entry], prefix: u32) -> Result<()> {
        let is_whole = entries.is_sorted_by(|a, b| a.key() < b.key())
            && (entries.iter()).all(|entry| entry.key().bucket(self.bits) == prefix);
        if is_whole {
            return Ok(());
        }
        let what = "its entries are not in their place";
        Err(StateError::damaged(
            "bucket",
            self.bucket_name(prefix),
            what,
        ))
    }

    fn store(&self, conn: &Connection, prefix: u32, entries: &[Entry]) -> Result<()> {
        if entries.is_empty() {
            let sql = "DELETE FROM bucket WHERE ledger_id = ? AND prefix = ?";
            conn.prepare_cached(sql)?
                .execute(params![self.id.0, prefix])?;
            return Ok(());
        }
        let bytes = entries_to_bytes(entries);
        let sql = "INSERT OR REPLACE INTO bucket(ledger_id, prefix, entries, digest)
            VALUES (?, ?, ?, ?)";
        let digest = Digest::of(&bytes).0;
        conn.prepare_cached(sql)?
            .execute(params![self.id.0, prefix, bytes, digest])?;
        Ok(())
    }

    /// Applies `edits`; whether anything changed.
    pub(super) fn edit(&self, conn: &Connection, mut edits: Edits) -> Result<bool> {
        let most = self.count + edits.overlay.len() as u64 + edits.record.len() as u64;
        let bits = bucket::bits_for(most, self.bits);
        self.split(conn, bits)?;
        let cut = Self { bits, ..*self };
        let mut count = self.count;
        let mut changed = false;
        while let Some(prefix) = edits.first_bucket(bits) {
            let before = cut.load(conn, prefix)?;
            let after = edits.split_off(prefix, bits).apply(before.clone());
            if after != before {
                changed = true;
                count = count + after.len() as u64 - before.len() as u64;
                cut.store(conn, prefix, &after)?;
            }
        }
        if changed {
            let sql = "UPDATE ledger SET count = ?, bits = ? WHERE id = ?";
            conn.prepare_cached(sql)?
                .execute(params![count, bits, self.id.0])?;
        }
        Ok(changed)
    }

    /// Cuts every bucket by `bits`, from the last one on: what a bucket is cut
    /// into then never stands where another still is.
    fn split(&self, conn: &Connection, bits: u32) -> Result<()> {
        if bits == self.bits || self.count == 0 {
            return Ok(());
        }
        let cut = Self { bits, ..*self };
        for prefix in (0..1_u32 << self.bits).rev() {
            let entries = self.load(conn, prefix)?;
            self.store(conn, prefix, &[])?;
            for part in entries.chunk_by(|a, b| a.key().bucket(bits) == b.key().bucket(bits)) {
                cut.store(conn, part[0].key().bucket(bits), part)?;
            }
        }
        let sql = "UPDATE ledger SET bits = ? WHERE id = ?";
        conn.prepare_cached(sql)?
            .execute(params![bits, self.id.0])?;
        Ok(())
    }

    fn bucket_name(&self, prefix: u32) -> String {
        format!("ledger {} prefix {prefix}", self.id.0)
    }
}

fn begin_one(conn: &Connection, begin: &Begin, now_ms: i64) -> Result<LedgerId> {
    let (head, mut changed) = open_ledger(conn, begin)?;
    fold(conn, &head)?;
    let head = Head::read(conn, head.id)?;
    let edits = Edits {
        overlay: &[],
        owe: &begin.owe,
        record: &begin.record,
        forget: &begin.forget,
    };
    let is_edited = head.edit(conn, edits)?;
    changed |= is_edited;
    if is_edited && !begin.record.is_empty() {
        let detail = format!("{} URLs, without being sent", begin.record.len());
        observe::record_event(conn, now_ms, ADOPTED, Some(&begin.set), &detail)?;
    }
    let counted_ms = observe::counted_ms(conn, !begin.departed.is_empty(), now_ms)?;
    changed |= departed::replace(conn, head.id, &begin.departed, counted_ms)?;
    probe::departed(conn, head.id, &begin.departed)?;
    unforce(conn, head.id, &begin.forget)?;
    approve(conn, head.id, begin.approve.as_ref(), now_ms)?;
    let sql = "UPDATE ledger SET algorithm = ?1, wire = ?2, desired = ?3, is_settled = 0
        WHERE id = ?4 AND (algorithm, wire, desired, is_settled) IS NOT (?1, ?2, ?3, 0)";
    conn.prepare_cached(sql)?.execute(params![
        ALGORITHM,
        begin.wire.0,
        begin.desired.0,
        head.id.0
    ])?;
    if !begin.owe.is_empty() {
        let sql = "UPDATE ledger SET owed_since_ms = ? WHERE id = ? AND owed_since_ms IS NULL";
        conn.prepare_cached(sql)?
            .execute(params![now_ms, head.id.0])?;
    }
    // An approval names a plan; it must not give that plan another name.
    let is_approval = begin.approve.is_some() && begin.owe.is_empty() && begin.record.is_empty();
    if changed && !is_approval {
        bump(conn, &head)?;
    }
    Ok(head.id)
}

/// The ledger of a set at a target, made if there is none; whether it is new.
pub(super) fn ledger_of(
    conn: &Connection,
    set: &str,
    target: TargetId,
    wire: Digest,
) -> Result<(Head, bool)> {
    let set = observe::set_of(conn, set)?;
    let sql =
        "INSERT INTO ledger(set_id, target_id, algorithm, wire, is_settled, count, bits, overlay)
        VALUES (?, ?, ?, ?, 0, 0, 0, 0) ON CONFLICT DO NOTHING";
    let made = conn
        .prepare_cached(sql)?
        .execute(params![set, target.0, ALGORITHM, wire.0])?;
    let sql = "SELECT id FROM ledger WHERE set_id = ? AND target_id = ?";
    let mut statement = conn.prepare_cached(sql)?;
    let id = statement.query_row(params![set, target.0], |row| row.get(0))?;
    Ok((Head::read(conn, LedgerId(id))?, made > 0))
}

/// The ledger that `begin` is about; whether it is new or is compared with
/// other desires than before.
fn open_ledger(conn: &Connection, begin: &Begin) -> Result<(Head, bool)> {
    let (head, is_new) = ledger_of(conn, &begin.set, begin.target, begin.wire)?;
    let sql = "SELECT (algorithm, wire, desired) IS NOT (?, ?, ?) FROM ledger WHERE id = ?";
    let mut statement = conn.prepare_cached(sql)?;
    let is_other: bool = statement.query_row(
        params![ALGORITHM, begin.wire.0, begin.desired.0, head.id.0],
        |row| row.get(0),
    )?;
    Ok((head, is_new || is_other))
}

/// Takes keys out of a ledger for good.
pub(super) fn drop_keys(conn: &Connection, ledger: LedgerId, mut keys: Vec<Key>) -> Result<()> {
    keys.sort_unstable();
    fold(conn, &Head::read(conn, ledger)?)?;
    let head = Head::read(conn, ledger)?;
    let edits = Edits {
        forget: &keys,
        ..Edits::default()
    };
    head.edit(conn, edits)?;
    unforce(conn, ledger, &keys)?;
    bump(conn, &head)
}

/// Whether a ledger is that of the built-in set.
pub(super) fn is_adhoc(conn: &Connection, ledger: LedgerId) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM ledger l JOIN asset_set s ON s.id = l.set_id
        WHERE l.id = ? AND s.name = ?)";
    let mut statement = conn.prepare_cached(sql)?;
    Ok(statement.query_row(params![ledger.0, ADHOC], |row| row.get(0))?)
}

pub(super) fn unsettle(conn: &Connection, ledger: LedgerId) -> Result<()> {
    let sql = "UPDATE ledger SET is_settled = 0 WHERE id = ? AND is_settled = 1";
    conn.prepare_cached(sql)?.execute([ledger.0])?;
    Ok(())
}

pub(super) fn bump(conn: &Connection, head: &Head) -> Result<()> {
    let sql = "UPDATE asset_set SET serial = serial + 1 WHERE id = ?";
    conn.prepare_cached(sql)?.execute([head.set])?;
    Ok(())
}
