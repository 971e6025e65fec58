//! Kept inputs: what the URLs of a set came from that has what leaves it
//! invalidated, as of what its ledgers last recorded.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::observe::find_set;
use super::packing::{packed, unpacked};
use super::records::{Records, unknown};
use super::{Result, StateError, Store, departed, observe};
use crate::digest::{Digest, Key};
use crate::expand::Kept;
use crate::manifest::LimitsSpec;
use crate::plan::recorded::{LedgerId, SetId};

/// What is recorded with a set's inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptInputs {
    /// Of the inputs in their stored form.
    pub digest: Digest,
    /// Digest of the set's inputs of which these are all; `None` where more is
    /// kept, because it has left and is still to be sent.
    pub whole: Option<Digest>,
    /// The set's limits, for when no manifest tells them any more.
    pub limits: LimitsSpec,
    /// Identities of the set's targets, inner tier first.
    pub tiers: Vec<Vec<String>>,
}

/// What is kept of a set from now on.
#[derive(Clone, Debug)]
pub struct Keep {
    /// The set's name.
    pub set: String,
    /// `None` where nothing is.
    pub inputs: Option<KeptInputs>,
    /// The inputs in their stored form, where they are others than before.
    pub bytes: Option<Vec<u8>>,
}

impl Records {
    /// By set: what is recorded with its inputs, where they are kept.
    pub fn kept(&self) -> Result<BTreeMap<SetId, KeptInputs>> {
        if !self.has_table("kept_inputs")? {
            return Ok(BTreeMap::new());
        }
        let sql = "SELECT set_id, digest, whole, max_urls, max_share, tiers FROM kept_inputs";
        let mut statement = self.connection().prepare_cached(sql)?;
        let mut rows = statement.query([])?;
        let mut kept = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let set = SetId(row.get(0)?);
            let tiers: String = row.get(5)?;
            let tiers = serde_json::from_str(&tiers).map_err(|error| damaged(set, &error))?;
            let inputs = KeptInputs {
                digest: Digest(row.get(1)?),
                whole: row.get::<_, Option<[u8; 32]>>(2)?.map(Digest),
                limits: LimitsSpec {
                    max_urls: row.get(3)?,
                    max_share_percent: row.get(4)?,
                },
                tiers,
            };
            kept.insert(set, inputs);
        }
        Ok(kept)
    }

    /// The inputs that are kept of `set`, verified.
    pub fn kept_inputs(&self, set: SetId) -> Result<Kept> {
        let sql = "SELECT packed, digest FROM kept_inputs WHERE set_id = ?";
        let mut statement = self.connection().prepare_cached(sql)?;
        let row = statement.query_row([set.0], |row| {
            let (bytes, digest): (Vec<u8>, [u8; 32]) = (row.get(0)?, row.get(1)?);
            Ok((bytes, Digest(digest)))
        });
        let row = row.optional()?;
        let (bytes, digest) = row.ok_or_else(|| unknown("kept inputs", &set.0.to_string()))?;
        let bytes = unpacked(&bytes).ok_or_else(|| damaged(set, &"it cannot be unpacked"))?;
        if Digest::of(&bytes) != digest {
            return Err(damaged(set, &"it does not match its digest"));
        }
        Kept::from_bytes(&bytes).ok_or_else(|| damaged(set, &"it holds no inputs"))
    }
}

impl Store {
    /// Counts from now on how long keys have been gone that a blocked plan
    /// finds gone: all keys that have left each ledger, sorted. Nothing else
    /// changes, so that the plan keeps its name.
    pub fn depart(&mut self, departed: &[(LedgerId, Vec<Key>)], now_ms: i64) -> Result<()> {
        self.write(|transaction| {
            for (ledger, keys) in departed {
                let counted_ms = observe::counted_ms(transaction, !keys.is_empty(), now_ms)?;
                departed::replace(transaction, *ledger, keys, counted_ms)?;
            }
            Ok(())
        })
    }
}

/// Writes what is kept of a set, once anything is recorded of it; inputs that
/// are those from before are not written again.
pub(super) fn keep(conn: &Connection, keep: &Keep) -> Result<()> {
    let Some(set) = find_set(conn, &keep.set)? else {
        return Ok(());
    };
    let Some(inputs) = &keep.inputs else {
        let sql = "DELETE FROM kept_inputs WHERE set_id = ?";
        conn.prepare_cached(sql)?.execute([set])?;
        return Ok(());
    };
    if let Some(bytes) = &keep.bytes {
        let sql = "INSERT OR REPLACE INTO
                kept_inputs(set_id, digest, packed, max_urls, max_share, tiers)
            VALUES (?, ?, ?, 0, NULL, '[]')";
        let row = params![set, inputs.digest.0, packed(bytes)];
        conn.prepare_cached(sql)?.execute(row)?;
    }
    let sql = "UPDATE kept_inputs SET whole = ?1, max_urls = ?2, max_share = ?3, tiers = ?4
        WHERE set_id = ?5 AND digest = ?6
            AND (whole, max_urls, max_share, tiers) IS NOT (?1, ?2, ?3, ?4)";
    conn.prepare_cached(sql)?.execute(params![
        inputs.whole.map(|digest| digest.0),
        inputs.limits.max_urls,
        inputs.limits.max_share_percent,
        serde_json::to_string(&inputs.tiers).expect("lists of texts become JSON"),
        set,
        inputs.digest.0,
    ])?;
    Ok(())
}

fn damaged(set: SetId, what: &dyn std::fmt::Display) -> StateError {
    StateError::damaged("kept_inputs", set.0.to_string(), what.to_string())
}
