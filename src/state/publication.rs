//! What assets answered when they were asked about their publications, so that
//! no process asks again what another one was told.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};

use super::look_up::{KEPT_MS, LookUps};
use super::records::Records;
use super::{Result, StateError};
use crate::lookup::Publication;

/// That an asset is still listed is taken down no more often.
const SEEN_EVERY_MS: i64 = 24 * 60 * 60 * 1000;

const COLUMNS: &str = "handle, modified, published, is_ready, since_ms, asked_ms, listed_ms";

impl LookUps {
    /// What is known of all assets at `target`, by handle. Those of `listed`
    /// are there still.
    pub fn publications(
        &self,
        target: &str,
        listed: &BTreeSet<&str>,
        now_ms: i64,
    ) -> Result<BTreeMap<String, Publication>> {
        self.with(|conn| {
            let mut known = BTreeMap::new();
            for (handle, publication, listed_ms) in all(conn, target)? {
                if listed_ms < now_ms - SEEN_EVERY_MS && listed.contains(handle.as_str()) {
                    let sql =
                        "UPDATE publication SET listed_ms = ? WHERE target = ? AND handle = ?";
                    conn.execute(sql, params![now_ms, target, handle])?;
                }
                known.insert(handle, publication);
            }
            Ok(known)
        })
    }

    /// What is known of one asset.
    pub fn publication(&self, target: &str, handle: &str) -> Result<Option<Publication>> {
        self.with(|conn| {
            let sql = format!("SELECT {COLUMNS} FROM publication WHERE target = ? AND handle = ?");
            let mut statement = conn.prepare(&sql)?;
            let mut rows = statement.query(params![target, handle])?;
            let read = rows.next()?.map(read).transpose()?;
            Ok(read.map(|(_, publication, _)| publication))
        })
    }

    /// Takes down what is known of an asset, which has just been asked about.
    pub fn take_down(&self, target: &str, handle: &str, known: &Publication) -> Result<()> {
        self.with(|conn| {
            conn.execute(
                &format!(
                    "INSERT OR REPLACE INTO publication(target, {COLUMNS})
                        VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
                ),
                params![
                    target,
                    handle,
                    known.modified.map(|at| at.to_string()),
                    known.published.map(|at| at.to_string()),
                    known.is_ready,
                    known.since_ms,
                    known.asked_ms,
                    known.asked_ms,
                ],
            )?;
            Ok(())
        })
    }
}

/// Forgets assets that no list has held for long. The time counts only while
/// all lists of their target are read: whoever was away forgets nothing.
pub(super) fn forget_unlisted(conn: &Connection, now_ms: i64) -> Result<()> {
    let sql = "DELETE FROM publication WHERE listed_ms < min(?1, coalesce(
        (SELECT min(coalesce(answered_ms, 0)) FROM look_up l
            WHERE l.target = publication.target), ?1)) - ?2";
    conn.execute(sql, [now_ms, KEPT_MS + SEEN_EVERY_MS])?;
    Ok(())
}

/// Whether everything that is recorded of publications can be read.
pub(super) fn examine(records: &Records) -> Result<()> {
    if !records.has_table("publication")? {
        return Ok(());
    }
    let sql = format!("SELECT {COLUMNS} FROM publication");
    let mut statement = records.connection().prepare(&sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        read(row)?;
    }
    Ok(())
}

type Kept = (String, Publication, i64);

fn all(conn: &Connection, target: &str) -> Result<Vec<Kept>> {
    let sql = format!("SELECT {COLUMNS} FROM publication WHERE target = ?");
    let mut statement = conn.prepare(&sql)?;
    let mut rows = statement.query([target])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

fn read(row: &Row<'_>) -> Result<Kept> {
    let handle: String = row.get(0)?;
    let instant = |at: usize| -> Result<Option<Timestamp>> {
        let text: Option<String> = row.get(at)?;
        let parsed = text.map(|text| text.parse()).transpose();
        parsed.map_err(|error: jiff::Error| {
            StateError::damaged("publication", handle.clone(), error.to_string())
        })
    };
    let publication = Publication {
        modified: instant(1)?,
        published: instant(2)?,
        is_ready: row.get(3)?,
        since_ms: row.get(4)?,
        asked_ms: row.get(5)?,
    };
    Ok((handle, publication, row.get(6)?))
}
