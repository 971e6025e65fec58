//! The tables, their format number, and how older formats become this one.
#![expect(
    clippy::disallowed_methods,
    reason = "draws the lineage of a new state"
)]

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Result, StateError, transfer};
use crate::digest::ALGORITHM;

/// In the file's header (`file` and the `sqlite3` shell show it): "frsh".
pub(super) const APPLICATION: i64 = 0x6672_7368;

/// Raised with every change of the tables; the file's `user_version`.
pub(super) const FORMAT: i64 = 9;

/// What makes each format the next one, from format 1 on; a new state takes
/// the same steps.
pub(super) const STEPS: [&str; (FORMAT - 1).cast_unsigned() as usize] = [
    FILES,
    COUNTED,
    PROBES,
    LOOK_UPS,
    PUBLICATIONS,
    KEPT_INPUTS,
    ORIGINS,
    CONVERGED,
];

/// From format 2 on: what files held when they were last read.
const FILES: &str = "
CREATE TABLE file(
    device INTEGER NOT NULL, inode INTEGER NOT NULL, size INTEGER NOT NULL,
    modified_s INTEGER NOT NULL, modified_ns INTEGER NOT NULL,
    changed_s INTEGER NOT NULL, changed_ns INTEGER NOT NULL,
    digest BLOB NOT NULL, PRIMARY KEY (device, inode)
) STRICT, WITHOUT ROWID;
";

/// From format 3 on: what came of the items that a request asks for. Who asked
/// for what was forced or approved before that is not known.
const COUNTED: &str = "
ALTER TABLE request ADD COLUMN parent INTEGER;
ALTER TABLE request ADD COLUMN items INTEGER NOT NULL DEFAULT 0;
ALTER TABLE request ADD COLUMN accepted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE request ADD COLUMN refused INTEGER NOT NULL DEFAULT 0;
ALTER TABLE forced RENAME TO forced_2;
CREATE TABLE forced(
    ledger_id INTEGER NOT NULL, key BLOB NOT NULL, request_id INTEGER NOT NULL DEFAULT 0,
    after_no INTEGER NOT NULL, PRIMARY KEY (ledger_id, key, request_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX forced_request ON forced(request_id);
CREATE INDEX request_parent ON request(parent) WHERE parent IS NOT NULL;
INSERT INTO forced SELECT ledger_id, key, 0, after_no FROM forced_2;
DROP TABLE forced_2;
ALTER TABLE approval RENAME TO approval_2;
CREATE TABLE approval(
    ledger_id INTEGER NOT NULL, plan BLOB NOT NULL, request_id INTEGER NOT NULL DEFAULT 0,
    entries BLOB NOT NULL, digest BLOB NOT NULL, expires_ms INTEGER NOT NULL,
    PRIMARY KEY (ledger_id, plan, request_id)
) STRICT;
INSERT INTO approval SELECT ledger_id, plan, 0, entries, digest, expires_ms FROM approval_2;
DROP TABLE approval_2;
";

/// From format 4 on: what an edge served before a call and after it, where the
/// last row of each item at a target is the one that counts (`is_last`); and what
/// is to be sent again later.
const PROBES: &str = "
CREATE TABLE probe(
    id INTEGER PRIMARY KEY AUTOINCREMENT, batch_no INTEGER NOT NULL, target_id INTEGER NOT NULL,
    ledger_id INTEGER, key BLOB NOT NULL, item TEXT NOT NULL, state TEXT NOT NULL,
    is_last INTEGER NOT NULL, timeout_ms INTEGER NOT NULL, before TEXT, after TEXT,
    accepted_ms INTEGER, due_ms INTEGER, until_ms INTEGER, looks INTEGER NOT NULL,
    is_again INTEGER NOT NULL, judged_ms INTEGER, message TEXT
) STRICT;
CREATE INDEX probe_open ON probe(target_id, key) WHERE state IN ('sent', 'looking', 'again');
CREATE INDEX probe_last ON probe(target_id, key) WHERE is_last = 1;
CREATE INDEX probe_batch ON probe(batch_no);
CREATE TABLE repeat(
    id INTEGER PRIMARY KEY AUTOINCREMENT, target_id INTEGER NOT NULL, ledger_id INTEGER NOT NULL,
    due_ms INTEGER NOT NULL, entries BLOB NOT NULL, digest BLOB NOT NULL
) STRICT;
CREATE INDEX repeat_due ON repeat(target_id, due_ms);
CREATE TABLE echo(
    ledger_id INTEGER NOT NULL, entry BLOB NOT NULL, PRIMARY KEY (ledger_id, entry)
) STRICT, WITHOUT ROWID;
";

/// From format 5 on: what accounts were asked and answered, and the budget of
/// asking. Both go by a target's identity: a target may be asked long before
/// anything is sent to it, and whoever sends writes its row back whole.
const LOOK_UPS: &str = "
CREATE TABLE look_up(
    target TEXT NOT NULL, query BLOB NOT NULL, about TEXT NOT NULL, asked_ms INTEGER NOT NULL,
    failure TEXT, may_pass INTEGER NOT NULL DEFAULT 0,
    answer BLOB, digest BLOB, rows INTEGER, answered_ms INTEGER, PRIMARY KEY (target, query)
) STRICT;
CREATE TABLE look_up_target(
    target TEXT PRIMARY KEY, tats TEXT NOT NULL, facts TEXT NOT NULL,
    retry_at_ms INTEGER, attempts INTEGER NOT NULL
) STRICT;
";

/// From format 6 on: when assets were last published, as each was last told
/// about, by what its account calls it.
const PUBLICATIONS: &str = "
CREATE TABLE publication(
    target TEXT NOT NULL, handle TEXT NOT NULL, modified TEXT, published TEXT,
    is_ready INTEGER NOT NULL, since_ms INTEGER NOT NULL, asked_ms INTEGER NOT NULL,
    listed_ms INTEGER NOT NULL, PRIMARY KEY (target, handle)
) STRICT, WITHOUT ROWID;
";

/// From format 7 on: what the URLs of sets came from that have what leaves them
/// invalidated, and what no manifest tells any more once such a set is gone.
const KEPT_INPUTS: &str = "
CREATE TABLE kept_inputs(
    set_id INTEGER PRIMARY KEY, digest BLOB NOT NULL, packed BLOB NOT NULL, whole BLOB,
    max_urls INTEGER NOT NULL, max_share INTEGER, tiers TEXT NOT NULL
) STRICT;
";

/// From format 8 on: revisions that wait until their origin shows new bytes, and
/// what origins showed before batches (`batch_no`), or when items were last sent
/// (0).
const ORIGINS: &str = "
CREATE TABLE origin_wait(
    id INTEGER PRIMARY KEY AUTOINCREMENT, ledger_id INTEGER NOT NULL, since_ms INTEGER NOT NULL,
    entries BLOB NOT NULL, digest BLOB NOT NULL, sample TEXT NOT NULL, looks INTEGER NOT NULL,
    due_ms INTEGER NOT NULL, shown_ms INTEGER, is_over INTEGER NOT NULL, told TEXT
) STRICT;
CREATE INDEX origin_wait_ledger ON origin_wait(ledger_id);
CREATE TABLE origin_sight(
    target_id INTEGER NOT NULL, key BLOB NOT NULL, batch_no INTEGER NOT NULL,
    seen_ms INTEGER NOT NULL, sight TEXT NOT NULL, PRIMARY KEY (target_id, key, batch_no)
) STRICT, WITHOUT ROWID;
CREATE INDEX origin_sight_batch ON origin_sight(batch_no) WHERE batch_no > 0;
";

/// From format 9 on: that nothing was left to do as of `serial`, and what was looked
/// at to tell so.
const CONVERGED: &str = "
CREATE TABLE converged(
    one INTEGER PRIMARY KEY CHECK (one = 1), serial INTEGER NOT NULL, judge BLOB NOT NULL,
    sets INTEGER NOT NULL, cdns TEXT NOT NULL, paths BLOB NOT NULL, looks BLOB NOT NULL
) STRICT;
";

/// Format 1. Numbers come from AUTOINCREMENT wherever something else may still name a
/// deleted row: such a number must never mean another row. What happened to
/// sets (`event`) is written for a person with `sqlite3`.
const TABLES: &str = "
CREATE TABLE meta(
    one INTEGER PRIMARY KEY CHECK (one = 1), written_by TEXT NOT NULL, lineage TEXT NOT NULL,
    serial INTEGER NOT NULL, created_ms INTEGER NOT NULL,
    counted_ms INTEGER NOT NULL, observed_ms INTEGER,
    is_observed INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE target(
    id INTEGER PRIMARY KEY AUTOINCREMENT, identity TEXT NOT NULL UNIQUE,
    tats TEXT NOT NULL, facts TEXT NOT NULL, retry_at_ms INTEGER, attempts INTEGER NOT NULL,
    halt_kind TEXT, halt_message TEXT, halt_fingerprint BLOB, halt_at_ms INTEGER
) STRICT;
CREATE TABLE asset_set(
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, serial INTEGER NOT NULL,
    inputs BLOB, missing_since INTEGER
) STRICT;
CREATE TABLE ledger(
    id INTEGER PRIMARY KEY AUTOINCREMENT, set_id INTEGER NOT NULL, target_id INTEGER NOT NULL,
    algorithm TEXT NOT NULL, wire BLOB NOT NULL, desired BLOB, is_settled INTEGER NOT NULL,
    count INTEGER NOT NULL, bits INTEGER NOT NULL, overlay INTEGER NOT NULL, gate_ms INTEGER,
    owed_since_ms INTEGER, UNIQUE (set_id, target_id)
) STRICT;
CREATE INDEX ledger_target ON ledger(target_id);
CREATE TABLE bucket(
    ledger_id INTEGER NOT NULL, prefix INTEGER NOT NULL, entries BLOB NOT NULL,
    digest BLOB NOT NULL, PRIMARY KEY (ledger_id, prefix)
) STRICT;
CREATE TABLE departed(
    ledger_id INTEGER NOT NULL, since INTEGER NOT NULL, keys BLOB NOT NULL,
    digest BLOB NOT NULL, PRIMARY KEY (ledger_id, since)
) STRICT;
CREATE TABLE forced(
    ledger_id INTEGER NOT NULL, key BLOB NOT NULL, after_no INTEGER NOT NULL,
    PRIMARY KEY (ledger_id, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE approval(
    ledger_id INTEGER NOT NULL, plan BLOB NOT NULL, entries BLOB NOT NULL, digest BLOB NOT NULL,
    expires_ms INTEGER NOT NULL, PRIMARY KEY (ledger_id, plan)
) STRICT;
CREATE TABLE batch(
    no INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL UNIQUE, target_id INTEGER NOT NULL,
    parent INTEGER, cause TEXT NOT NULL, declared_at TEXT, count INTEGER NOT NULL, items BLOB,
    state TEXT NOT NULL, attempts INTEGER NOT NULL,
    opened_ms INTEGER NOT NULL, closed_ms INTEGER, code TEXT, message TEXT
) STRICT;
CREATE INDEX batch_open ON batch(no) WHERE closed_ms IS NULL;
CREATE TABLE claim(
    batch_no INTEGER NOT NULL, ledger_id INTEGER NOT NULL, state TEXT NOT NULL,
    entries BLOB NOT NULL, digest BLOB NOT NULL, PRIMARY KEY (batch_no, ledger_id)
) STRICT;
CREATE INDEX claim_live ON claim(ledger_id, batch_no) WHERE state IN ('open', 'accepted');
CREATE TABLE refusal(
    target_id INTEGER NOT NULL, entry BLOB NOT NULL, item TEXT NOT NULL, code TEXT NOT NULL,
    message TEXT NOT NULL, cdn BLOB NOT NULL, at_ms INTEGER NOT NULL,
    PRIMARY KEY (target_id, entry)
) STRICT, WITHOUT ROWID;
CREATE TABLE request(
    id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, arg TEXT NOT NULL,
    by TEXT NOT NULL, at_ms INTEGER NOT NULL, used_ms INTEGER, outcome TEXT
) STRICT;
CREATE TABLE suspension(
    scope TEXT NOT NULL, name TEXT NOT NULL, at_ms INTEGER NOT NULL, PRIMARY KEY (scope, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE event(
    id INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, kind TEXT NOT NULL,
    set_name TEXT, detail TEXT NOT NULL
) STRICT;
";

/// Fills an empty database.
pub(super) fn create(conn: &Connection, now_ms: i64) -> Result<()> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| StateError::Io {
        action: "draw a random number for",
        path: "the state's lineage".into(),
        source: std::io::Error::other(error.to_string()),
    })?;
    let lineage = format!("{:032x}", u128::from_be_bytes(random));
    let transaction = conn.unchecked_transaction()?;
    transaction.execute_batch(TABLES)?;
    for step in STEPS {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", FORMAT)?;
    transaction.execute(
        "INSERT INTO meta(one, written_by, lineage, serial, created_ms, counted_ms)
            VALUES (1, ?, ?, 0, ?, 0)",
        params![env!("CARGO_PKG_VERSION"), lineage, now_ms],
    )?;
    Ok(transaction.commit()?)
}

/// Whether `conn` is a state of ours, and of a format we know.
pub(super) fn check(conn: &Connection, path: &Path) -> Result<()> {
    let application: i64 = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if application != APPLICATION {
        return Err(StateError::damaged(
            "file",
            "header",
            "it is not that of a freshen state",
        ));
    }
    let found: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > FORMAT {
        return Err(StateError::Newer {
            path: path.to_owned(),
            found,
            written_by: written_by(conn),
            known: FORMAT,
        });
    }
    if found < 1 {
        return Err(StateError::damaged(
            "file",
            "header",
            format!("there is no format {found}"),
        ));
    }
    check_algorithms(conn, path)
}

/// What another algorithm computed cannot be compared with what is declared:
/// every URL would look new.
fn check_algorithms(conn: &Connection, path: &Path) -> Result<()> {
    let sql = "SELECT s.name, l.algorithm FROM ledger l JOIN asset_set s ON s.id = l.set_id
        WHERE l.algorithm <> ? ORDER BY s.name LIMIT 1";
    let other = conn
        .query_row(sql, [ALGORITHM], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match other {
        None => Ok(()),
        Some((set, found)) => Err(StateError::UnknownAlgorithm {
            path: path.to_owned(),
            set,
            found,
            written_by: written_by(conn),
            known: ALGORITHM,
        }),
    }
}

/// Brings an older format up to that after the last of `steps`, each in a
/// transaction of its own, after a copy `<path>.format-<old>` was made.
pub(super) fn upgrade(conn: &Connection, path: &Path, steps: &[&str]) -> Result<()> {
    let found: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let done = usize::try_from(found - 1).expect("the format was checked to be 1 at least");
    if done >= steps.len() {
        return Ok(());
    }
    let mut backup = path.as_os_str().to_owned();
    backup.push(format!(".format-{found}"));
    transfer::copy(conn, Path::new(&backup))?;
    for (step, format) in steps[done..].iter().zip(found + 1..) {
        let transaction = conn.unchecked_transaction()?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", format)?;
        transaction.commit()?;
    }
    Ok(())
}

/// A later format may have moved it; then only the format is named.
fn written_by(conn: &Connection) -> String {
    conn.query_row("SELECT written_by FROM meta", [], |row| row.get(0))
        .unwrap_or_else(|_| "a later version".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_format_is_brought_up_after_a_copy_was_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("freshen.db");
        let conn = Connection::open(&path).unwrap();
        create(&conn, 0).unwrap();
        conn.pragma_update(None, "user_version", 1).unwrap();
        let steps = [
            "CREATE TABLE added(a)",
            "ALTER TABLE added RENAME COLUMN a TO b",
        ];
        upgrade(&conn, &path, &steps).unwrap();
        conn.execute("INSERT INTO added(b) VALUES (1)", []).unwrap();
        let format = |conn: &Connection| -> i64 {
            conn.pragma_query_value(None, "user_version", |row| row.get(0))
                .unwrap()
        };
        assert_eq!(format(&conn), 3);
        let copy = Connection::open(folder.path().join("freshen.db.format-1")).unwrap();
        assert_eq!(format(&copy), 1);

        upgrade(&conn, &path, &["never run"]).unwrap();
        assert_eq!(format(&conn), 3);
    }
}
