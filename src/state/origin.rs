//! Revisions that wait until their origin shows new bytes.
//!
//! A wait is the revisions of one ledger that began to wait together. Once it
//! ends its entries are owed; the row is kept until they are accepted, for a
//! newer revision of them is to wait as well.

use rusqlite::{Connection, Row, params};

use super::observe::record_event;
use super::records::{Records, read_sealed};
use super::{Result, StateError, Store};
use crate::batch::origin::Sampled;
use crate::digest::{Digest, Entry, ItemKind, Key, entries_to_bytes};
use crate::plan::recorded::{LedgerId, OriginWait, TargetId};

/// The kind of event that tells of a wait for an origin that was over before
/// the origin showed new bytes.
pub const UNSEEN: &str = "origin not seen";
/// The kind of event that tells of a tier that began before the one inside it
/// was verified.
pub const UNVERIFIED: &str = "tier not verified";

/// How the waits of a ledger go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waits {
    /// Whose.
    pub ledger: LedgerId,
    /// Those that go on, with the entries that still wait; without any they are
    /// dropped.
    pub go_on: Vec<OriginWait>,
    /// Begins to wait now, sorted.
    pub begin: Vec<Entry>,
    /// What of that is looked at.
    pub sample: Vec<Sampled>,
    /// Its wait is over, and it is owed.
    pub over: Vec<Entry>,
    /// That something is sent although nothing new was seen.
    pub lapse: Option<Lapse>,
}

impl Waits {
    /// Those of `ledger`, as they are.
    pub fn of(ledger: LedgerId) -> Self {
        Self {
            ledger,
            go_on: Vec::new(),
            begin: Vec::new(),
            sample: Vec::new(),
            over: Vec::new(),
            lapse: None,
        }
    }
}

/// A wait whose origin is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenWait {
    /// Its row.
    pub id: i64,
    /// Whose entries wait.
    pub ledger: LedgerId,
    /// Where they go.
    pub target: TargetId,
    /// What is looked at.
    pub sample: Vec<Sampled>,
    /// Looks so far.
    pub looks: u32,
    /// When it is looked at next.
    pub due_ms: i64,
}

/// What a look at an origin came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginLook {
    /// The wait, as it is from now on.
    pub wait: OpenWait,
    /// What is still in the way; `None` once the origin shows new bytes.
    pub told: Option<String>,
}

/// A wait that was over before what was waited for was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lapse {
    /// When, in milliseconds since the epoch.
    pub at_ms: i64,
    /// The set's name.
    pub set: String,
    /// What was sent, and what was not seen.
    pub detail: String,
}

impl Records {
    /// Waits whose origins are looked at, by when they are next.
    pub fn open_waits(&self) -> Result<Vec<OpenWait>> {
        let sql = "SELECT w.id, w.ledger_id, l.target_id, w.sample, w.looks, w.due_ms
            FROM origin_wait w JOIN ledger l ON l.id = w.ledger_id
            WHERE w.shown_ms IS NULL AND w.is_over = 0 ORDER BY w.due_ms, w.id";
        let mut statement = self.connection().prepare_cached(sql)?;
        let mut rows = statement.query([])?;
        let mut open = Vec::new();
        while let Some(row) = rows.next()? {
            open.push(OpenWait {
                id: row.get(0)?,
                ledger: LedgerId(row.get(1)?),
                target: TargetId(row.get(2)?),
                sample: read_json(row, 3, "origin_wait")?,
                looks: row.get(4)?,
                due_ms: row.get(5)?,
            });
        }
        Ok(open)
    }

    /// Waits that were over before what they waited for was seen, from `since_ms`
    /// on, in order.
    pub fn lapses(&self, since_ms: i64) -> Result<Vec<Lapse>> {
        let sql = "SELECT at_ms, coalesce(set_name, ''), detail FROM event
            WHERE kind IN (?, ?) AND at_ms >= ? ORDER BY id";
        let mut statement = self.connection().prepare_cached(sql)?;
        let lapses = statement.query_map(params![UNSEEN, UNVERIFIED, since_ms], |row| {
            Ok(Lapse {
                at_ms: row.get(0)?,
                set: row.get(1)?,
                detail: row.get(2)?,
            })
        })?;
        Ok(lapses.collect::<Result<_, _>>()?)
    }

    pub(super) fn waits_of(&self, ledger: LedgerId) -> Result<Vec<OriginWait>> {
        if !self.has_table("origin_wait")? {
            return Ok(Vec::new());
        }
        let sql = "SELECT entries, digest, id, since_ms, shown_ms IS NOT NULL, is_over, told
            FROM origin_wait WHERE ledger_id = ? ORDER BY id";
        let mut statement = self.connection().prepare_cached(sql)?;
        let mut rows = statement.query([ledger.0])?;
        let mut waits = Vec::new();
        while let Some(row) = rows.next()? {
            let id: i64 = row.get(2)?;
            let mut entries = Vec::new();
            read_sealed(row, 0, "origin_wait", || id.to_string(), &mut entries)?;
            waits.push(OriginWait {
                id,
                entries,
                since_ms: row.get(3)?,
                is_shown: row.get(4)?,
                is_over: row.get(5)?,
                told: row.get(6)?,
            });
        }
        Ok(waits)
    }
}

impl Store {
    /// Records how waits begin, go on and end; one transaction. What is over was
    /// owed before.
    pub fn wait_for_origins(&mut self, waits: &[Waits], now_ms: i64) -> Result<()> {
        if waits.is_empty() {
            return Ok(());
        }
        self.write(|transaction| {
            for waits in waits {
                record(transaction, waits, now_ms)?;
            }
            Ok(())
        })
    }

    /// Records that a wait was over too early, unless that was done since
    /// `since_ms`; whether it was new.
    pub fn lapsed(&mut self, kind: &str, lapse: &Lapse, since_ms: i64) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM event
            WHERE kind = ? AND set_name = ? AND at_ms >= ?)";
        let arguments = params![kind, lapse.set, since_ms];
        let is_known: bool = self
            .connection()
            .query_row(sql, arguments, |row| row.get(0))?;
        if !is_known {
            self.write(|transaction| {
                let set = Some(lapse.set.as_str());
                record_event(transaction, lapse.at_ms, kind, set, &lapse.detail)
            })?;
        }
        Ok(!is_known)
    }
}

fn record(conn: &Connection, waits: &Waits, now_ms: i64) -> Result<()> {
    for wait in &waits.go_on {
        if wait.entries.is_empty() {
            let sql = "DELETE FROM origin_wait WHERE id = ?";
            conn.prepare_cached(sql)?.execute([wait.id])?;
        } else {
            update(conn, wait)?;
        }
    }
    if let Some(Lapse { at_ms, set, detail }) = &waits.lapse {
        record_event(conn, *at_ms, UNSEEN, Some(set), detail)?;
    }
    let (ledger, sample) = (waits.ledger, &waits.sample[..]);
    insert(conn, (ledger, &waits.begin), (sample, false), now_ms)?;
    insert(conn, (ledger, &waits.over), (&[], true), now_ms)
}

/// Writes how a wait goes on; what no longer waits is not looked at either.
fn update(conn: &Connection, wait: &OriginWait) -> Result<()> {
    let bytes = entries_to_bytes(&wait.entries);
    let digest = Digest::of(&bytes).0;
    let sql = "SELECT sample FROM origin_wait
        WHERE id = ? AND (digest, since_ms) IS NOT (?, ?)";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(params![wait.id, digest, wait.since_ms])?;
    let Some(row) = rows.next()? else {
        return Ok(());
    };
    let mut sample: Vec<Sampled> = read_json(row, 0, "origin_wait")?;
    sample.retain(|sampled| {
        let key = Key::of(ItemKind::Url, sampled.item.as_bytes());
        let at = wait.entries.binary_search_by_key(&key, |entry| entry.key());
        at.is_ok()
    });
    let sql = "UPDATE origin_wait SET entries = ?, digest = ?, sample = ?, since_ms = ?
        WHERE id = ?";
    conn.prepare_cached(sql)?.execute(params![
        bytes,
        digest,
        to_json(&sample),
        wait.since_ms,
        wait.id
    ])?;
    Ok(())
}

fn insert(
    conn: &Connection,
    (ledger, entries): (LedgerId, &[Entry]),
    (sample, is_over): (&[Sampled], bool),
    now_ms: i64,
) -> Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let bytes = entries_to_bytes(entries);
    let sql = "INSERT INTO origin_wait(ledger_id, since_ms, entries, digest, sample, looks,
            due_ms, is_over) VALUES (?1, ?2, ?3, ?4, ?5, 0, ?2, ?6)";
    conn.prepare_cached(sql)?.execute(params![
        ledger.0,
        now_ms,
        bytes,
        Digest::of(&bytes).0,
        to_json(&sample),
        is_over
    ])?;
    Ok(())
}

/// Writes down what a look came to.
pub(super) fn looked(conn: &Connection, look: &OriginLook, now_ms: i64) -> Result<()> {
    let OriginLook { wait, told } = look;
    let sql = "UPDATE origin_wait SET sample = ?, looks = ?, due_ms = ?, told = ?, shown_ms = ?
        WHERE id = ?";
    conn.prepare_cached(sql)?.execute(params![
        to_json(&wait.sample),
        wait.looks,
        wait.due_ms,
        told,
        told.is_none().then_some(now_ms),
        wait.id
    ])?;
    Ok(())
}

pub(super) fn read_json<T: serde::de::DeserializeOwned>(
    row: &Row,
    column: usize,
    table: &'static str,
) -> Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text)
        .map_err(|error| StateError::damaged(table, format!("column {column}"), error.to_string()))
}

pub(super) fn to_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("what was seen has nothing that JSON cannot say")
}
