//! What is read the same way by the writer and by readers.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::digest::Digest;
use crate::plan::recorded::{LedgerId, RecordedLedger, RecordedSet, Refusal, SetId, TargetId};

use super::{Result, StateError, bucket, departed};

/// Everything that can be read from a state.
#[derive(Debug)]
pub struct Records {
    connection: Connection,
    meta: Meta,
    /// `false` in memory: the next run has another one.
    is_lasting: bool,
}

/// What the state says about itself; `serial` as of when it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// The freshen version that wrote it last.
    pub written_by: String,
    /// Random, drawn once: two files with one lineage are copies.
    pub lineage: String,
    /// Grows with every transaction that changes anything.
    pub serial: u64,
    /// Milliseconds since the epoch.
    pub created_ms: i64,
}

/// What is remembered of a target between runs; written back whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetRecord {
    /// Its row.
    pub id: TargetId,
    /// Provider kind, endpoint and account.
    pub identity: String,
    /// GCRA's theoretical arrival time, in milliseconds since the epoch, by
    /// the name of the rate.
    pub tats: BTreeMap<String, i64>,
    /// Not to be called before this.
    pub retry_at_ms: Option<i64>,
    /// Transient failures in a row.
    pub attempts: u32,
    /// What look-ups have taught.
    pub facts: BTreeMap<String, String>,
    /// Why nothing is sent until something changes.
    pub halted: Option<Halt>,
}

/// A target that repetition will not help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Halt {
    /// Such as `unauthorized`; the submitter's word.
    pub kind: String,
    /// The CDN's words.
    pub message: String,
    /// Digest of what it depends on: when that changes, it is tried again.
    pub fingerprint: Digest,
    /// Milliseconds since the epoch.
    pub at_ms: i64,
}

impl Records {
    pub(super) fn new(connection: Connection) -> Result<Self> {
        let meta = read_meta(&connection)?;
        Ok(Self {
            connection,
            meta,
            is_lasting: true,
        })
    }

    pub(super) fn in_memory(connection: Connection) -> Result<Self> {
        Ok(Self {
            is_lasting: false,
            ..Self::new(connection)?
        })
    }

    pub(super) fn reread(&mut self) -> Result<()> {
        self.meta = read_meta(&self.connection)?;
        Ok(())
    }

    /// Changes when another process has written, such as a request.
    pub fn version(&self) -> Result<i64> {
        let pragma = "data_version";
        Ok(self
            .connection
            .pragma_query_value(None, pragma, |row| row.get(0))?)
    }

    /// The row of a target, where it has one.
    pub fn target_id(&self, identity: &str) -> Result<Option<TargetId>> {
        let sql = "SELECT id FROM target WHERE identity = ?";
        let mut statement = self.connection.prepare_cached(sql)?;
        let id = statement.query_row([identity], |row| row.get(0).map(TargetId));
        Ok(id.optional()?)
    }

    /// Since when something of `ledger` is to be sent, in milliseconds since the
    /// epoch.
    pub fn owed_since_ms(&self, ledger: LedgerId) -> Result<Option<i64>> {
        let sql = "SELECT owed_since_ms FROM ledger WHERE id = ?";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row([ledger.0], |row| row.get(0))?)
    }

    /// A state of an older format, opened for reading, lacks later tables.
    pub(super) fn has_table(&self, name: &str) -> Result<bool> {
        let sql = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?";
        let found = self.connection.query_row(sql, [name], |_| Ok(()));
        Ok(found.optional()?.is_some())
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) fn connection_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// What the state says about itself, with its serial as of now.
    pub fn meta(&self) -> Result<Meta> {
        read_meta(&self.connection)
    }

    /// Drawn when the state was made; part of every batch's id.
    pub fn lineage(&self) -> &str {
        &self.meta.lineage
    }

    /// The lineage that the ids of plans are bound to; none where the state is
    /// gone before anybody could name a plan.
    pub fn lasting_lineage(&self) -> Option<&str> {
        self.is_lasting.then(|| self.lineage())
    }

    /// Whether nothing has ever been accepted or adopted on the way to telling
    /// all that is declared: then nobody knows what the CDNs have. Neither an
    /// approval nor a plan of which nothing went out ends that.
    pub fn is_new(&self) -> Result<bool> {
        let sql = "SELECT NOT is_observed FROM meta";
        Ok(self.connection.query_row(sql, [], |row| row.get(0))?)
    }

    /// Every set, by name.
    pub fn sets(&self) -> Result<Vec<RecordedSet>> {
        let sql = "SELECT id, name, serial, inputs,
                (SELECT counted_ms FROM meta) - missing_since FROM asset_set ORDER BY name";
        let mut statement = self.connection.prepare_cached(sql)?;
        let sets = statement.query_map([], |row| {
            Ok(RecordedSet {
                id: SetId(row.get(0)?),
                name: row.get(1)?,
                serial: row.get(2)?,
                inputs: row.get::<_, Option<[u8; 32]>>(3)?.map(Digest),
                missing_ms: row.get(4)?,
                ledgers: BTreeMap::new(),
            })
        })?;
        let mut sets = sets.collect::<Result<Vec<_>, _>>()?;
        let mut ledgers = self.ledgers()?;
        for set in &mut sets {
            set.ledgers = ledgers.remove(&set.id).unwrap_or_default();
        }
        Ok(sets)
    }

    fn ledgers(&self) -> Result<BTreeMap<SetId, BTreeMap<String, Box<RecordedLedger>>>> {
        // Few ledgers have lost anything, so that they are not asked one by one.
        let departed = departed::counts(&self.connection)?;
        let sql = "SELECT l.set_id, t.identity, l.id, l.algorithm, l.wire, l.desired,
                l.is_settled, l.count, l.gate_ms, l.owed_since_ms
            FROM ledger l JOIN target t ON t.id = l.target_id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([])?;
        let mut ledgers: BTreeMap<SetId, BTreeMap<String, Box<RecordedLedger>>> = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let of_set = ledgers.entry(SetId(row.get(0)?)).or_default();
            of_set.insert(row.get(1)?, Box::new(read_ledger(row, &departed)?));
        }
        Ok(ledgers)
    }

    /// Every target, by number.
    pub fn targets(&self) -> Result<Vec<TargetRecord>> {
        let sql = format!("{SELECT_TARGET} ORDER BY id");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query([])?;
        let mut targets = Vec::new();
        while let Some(row) = rows.next()? {
            targets.push(read_target(row)?);
        }
        Ok(targets)
    }

    /// What `target` refused, by key.
    pub fn refusals(&self, target: TargetId) -> Result<Vec<Refusal>> {
        let sql = "SELECT entry, item, code, message, cdn, at_ms FROM refusal
            WHERE target_id = ? ORDER BY entry";
        let mut statement = self.connection.prepare_cached(sql)?;
        let refusals = statement.query_map([target.0], |row| {
            Ok(Refusal {
                entry: crate::digest::Entry::from_bytes(row.get(0)?),
                item: row.get(1)?,
                code: row.get(2)?,
                message: row.get(3)?,
                cdn: Digest(row.get(4)?),
                at_ms: row.get(5)?,
            })
        })?;
        Ok(refusals.collect::<Result<_, _>>()?)
    }
}

impl super::Store {
    /// The target with this identity, made if there is none.
    pub fn target(&mut self, identity: &str) -> Result<TargetRecord> {
        if let Some(target) = find_target(self.connection(), identity)? {
            return Ok(target);
        }
        self.write(|transaction| {
            transaction.execute(
                "INSERT INTO target(identity, tats, facts, attempts) VALUES (?, '{}', '{}', 0)",
                [identity],
            )?;
            find_target(transaction, identity)?.ok_or_else(|| unknown("target", identity))
        })
    }
}

pub(super) fn unknown(kind: &'static str, name: &str) -> StateError {
    StateError::Unknown {
        kind,
        name: name.to_owned(),
    }
}

pub(super) fn update_target(conn: &Connection, target: &TargetRecord) -> Result<()> {
    let halt = target.halted.as_ref();
    let sql = "UPDATE target SET tats = ?, facts = ?, retry_at_ms = ?, attempts = ?,
        halt_kind = ?, halt_message = ?, halt_fingerprint = ?, halt_at_ms = ? WHERE id = ?";
    let changed = conn.prepare_cached(sql)?.execute(params![
        serde_json::to_string(&target.tats).expect("a map of text to numbers is JSON"),
        serde_json::to_string(&target.facts).expect("a map of text to text is JSON"),
        target.retry_at_ms,
        target.attempts,
        halt.map(|halt| &halt.kind),
        halt.map(|halt| &halt.message),
        halt.map(|halt| halt.fingerprint.0),
        halt.map(|halt| halt.at_ms),
        target.id.0,
    ])?;
    match changed {
        0 => Err(unknown("target", &target.identity)),
        _ => Ok(()),
    }
}

const SELECT_TARGET: &str = "SELECT id, identity, tats, facts, retry_at_ms, attempts,
    halt_kind, halt_message, halt_fingerprint, halt_at_ms FROM target";

fn find_target(conn: &Connection, identity: &str) -> Result<Option<TargetRecord>> {
    let sql = format!("{SELECT_TARGET} WHERE identity = ?");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([identity])?;
    rows.next()?.map(read_target).transpose()
}

fn read_target(row: &Row) -> Result<TargetRecord> {
    let id: i64 = row.get(0)?;
    let json = |column: usize| -> Result<String> { Ok(row.get(column)?) };
    let broken =
        |error: serde_json::Error| StateError::damaged("target", id.to_string(), error.to_string());
    let halted = match row.get::<_, Option<String>>(6)? {
        None => None,
        Some(kind) => Some(Halt {
            kind,
            message: row.get(7)?,
            fingerprint: Digest(row.get(8)?),
            at_ms: row.get(9)?,
        }),
    };
    Ok(TargetRecord {
        id: TargetId(id),
        identity: row.get(1)?,
        tats: serde_json::from_str(&json(2)?).map_err(broken)?,
        facts: serde_json::from_str(&json(3)?).map_err(broken)?,
        retry_at_ms: row.get(4)?,
        attempts: row.get(5)?,
        halted,
    })
}

fn read_ledger(row: &Row, departed: &BTreeMap<LedgerId, u64>) -> Result<RecordedLedger> {
    let (id, count) = (LedgerId(row.get(2)?), row.get(7)?);
    let departed = departed.get(&id).copied().unwrap_or_default();
    Ok(RecordedLedger {
        id,
        algorithm: row.get(3)?,
        wire: Digest(row.get(4)?),
        desired: row.get::<_, Option<[u8; 32]>>(5)?.map(Digest),
        is_settled: row.get(6)?,
        count,
        declared: u64::saturating_sub(count, departed),
        gate_ms: row.get(8)?,
        owed_since_ms: row.get(9)?,
    })
}

fn read_meta(conn: &Connection) -> Result<Meta> {
    let sql = "SELECT written_by, lineage, serial, created_ms FROM meta";
    let meta = conn.query_row(sql, [], |row| {
        Ok(Meta {
            written_by: row.get(0)?,
            lineage: row.get(1)?,
            serial: row.get(2)?,
            created_ms: row.get(3)?,
        })
    });
    match meta {
        Err(rusqlite::Error::QueryReturnedNoRows) => {
            Err(StateError::damaged("meta", "1", "the row is gone"))
        }
        other => Ok(other?),
    }
}

/// Entries of a blob beside its digest, at columns `at` and `at + 1`.
pub(super) fn read_sealed(
    row: &Row,
    at: usize,
    table: &'static str,
    name: impl Fn() -> String,
    into: &mut Vec<crate::digest::Entry>,
) -> Result<()> {
    let entries = row
        .get_ref(at)?
        .as_blob()
        .map_err(|error| StateError::damaged(table, name(), error.to_string()))?;
    let digest: [u8; 32] = row.get(at + 1)?;
    bucket::unseal(entries, Digest(digest), into)
        .map_err(|what| StateError::damaged(table, name(), what))
}
