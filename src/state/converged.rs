//! That a run has left nothing to do, and what it had looked at. As long as all
//! of that is the same, so is what another run would come to.

use rusqlite::{OptionalExtension as _, params};

use super::front_coding;
use super::records::Records;
use super::{Result, Store};
use crate::digest::Digest;
use crate::load::{Footprint, PathInRoot};

/// What a run that left nothing to do was about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Converged {
    /// Of whatever judged the manifests, and of how it was told to.
    pub judge: Digest,
    /// The manifests, and what they name.
    pub footprint: Footprint,
    /// Sets, all of them unchanged.
    pub sets: u64,
    /// Names of the Cdns that they go to.
    pub cdns: Vec<String>,
}

impl Records {
    /// What the last run came to, if it left nothing to do, nothing was written
    /// since and nobody asks for anything.
    pub fn converged(&self) -> Result<Option<Converged>> {
        if !self.has_table("converged")? {
            return Ok(None);
        }
        let sql =
            "SELECT judge, sets, cdns, paths, looks FROM converged JOIN meta USING (one, serial)
            WHERE NOT EXISTS (SELECT 1 FROM request WHERE used_ms IS NULL)";
        let mut statement = self.connection().prepare_cached(sql)?;
        let row = statement.query_row([], |row| {
            let (cdns, paths): (String, Vec<u8>) = (row.get(2)?, row.get(3)?);
            Ok((row.get(0)?, row.get(1)?, cdns, paths, row.get(4)?))
        });
        let Some((judge, sets, cdns, paths, looks)) = row.optional()? else {
            return Ok(None);
        };
        let decoded = decode(&paths).zip(serde_json::from_str(&cdns).ok());
        // The digest is one of the paths too, so that no damage goes unnoticed.
        Ok(decoded.map(|(paths, cdns)| Converged {
            judge: Digest(judge),
            footprint: Footprint {
                paths,
                digest: Digest(looks),
            },
            sets,
            cdns,
        }))
    }
}

/// Whether something is to happen as time passes: something is looked at, sent
/// again, waited for, or forgotten.
const IS_PENDING: &str = "SELECT EXISTS (SELECT 1 FROM batch WHERE closed_ms IS NULL)
    OR EXISTS (SELECT 1 FROM probe WHERE state IN ('sent', 'looking', 'again'))
    OR EXISTS (SELECT 1 FROM repeat) OR EXISTS (SELECT 1 FROM origin_wait WHERE is_over = 0)
    OR EXISTS (SELECT 1 FROM departed)
    OR EXISTS (SELECT 1 FROM asset_set WHERE missing_since IS NOT NULL)";

impl Store {
    /// Takes down that nothing is left to do, unless time alone brings more. It
    /// holds until anything else is written.
    pub fn converge(&mut self, converged: &Converged) -> Result<()> {
        let Converged {
            judge,
            footprint,
            sets,
            cdns,
        } = converged;
        let cdns = serde_json::to_string(cdns).expect("texts are JSON");
        self.write(|transaction| {
            if transaction.query_row(IS_PENDING, [], |row| row.get(0))? {
                return Ok(());
            }
            // With the serial that this very transaction comes to have.
            let sql =
                "INSERT OR REPLACE INTO converged(one, serial, judge, sets, cdns, paths, looks)
                SELECT one, serial + 1, ?, ?, ?, ?, ? FROM meta";
            transaction.prepare_cached(sql)?.execute(params![
                judge.0,
                sets,
                cdns,
                encode(&footprint.paths),
                footprint.digest.0,
            ])?;
            Ok(())
        })
    }
}

fn encode(paths: &[PathInRoot]) -> Vec<u8> {
    let paths = paths
        .iter()
        .map(|(root, path)| format!("{root}/{path}").into());
    front_coding::encode(&paths.collect::<Vec<_>>())
}

fn decode(coded: &[u8]) -> Option<Vec<PathInRoot>> {
    let paths = front_coding::decode(coded)?.into_iter();
    let split = |path: Box<str>| {
        let (root, path) = path.split_once('/')?;
        Some((root.parse().ok()?, path.to_owned()))
    };
    paths.map(split).collect()
}
