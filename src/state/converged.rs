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

#[cfg(test)]
mod tests {
    use super::*;

    fn converged() -> Converged {
        Converged {
            judge: Digest::of(b"judge"),
            footprint: Footprint {
                paths: vec![(0, String::new()), (1, "a/b.yaml".to_owned())],
                digest: Digest::of(b"looks"),
            },
            sets: 3,
            cdns: vec!["cdn".to_owned()],
        }
    }

    /// What is known once it was taken down in a state with this row.
    fn known_with(row: &str) -> Option<Converged> {
        let mut store = Store::in_memory(0).unwrap();
        store.connection().execute_batch(row).unwrap();
        store.converge(&converged()).unwrap();
        store.converged().unwrap()
    }

    #[test]
    fn it_is_known_until_anything_is_written_or_asked_for() {
        assert_eq!(known_with(""), Some(converged()));
        let mut store = Store::in_memory(0).unwrap();
        store.converge(&converged()).unwrap();
        store.let_through().unwrap();
        assert_eq!(store.converged().unwrap(), None);
        store.converge(&converged()).unwrap();
        assert_eq!(store.converged().unwrap(), Some(converged()));
        let asked = "INSERT INTO request(kind, arg, by, at_ms) VALUES ('invalidate', '', '', 0)";
        store.connection().execute_batch(asked).unwrap();
        assert_eq!(store.converged().unwrap(), None);
    }

    #[test]
    fn nothing_is_taken_down_where_time_alone_brings_more() {
        for row in [
            "INSERT INTO batch(id, target_id, cause, count, state, attempts, opened_ms)
                VALUES (x'00', 1, 'plan', 1, 'open', 0, 0)",
            "INSERT INTO probe(batch_no, target_id, key, item, state, is_last, timeout_ms, looks,
                is_again) VALUES (1, 1, x'00', '', 'looking', 1, 0, 0, 0)",
            "INSERT INTO repeat(target_id, ledger_id, due_ms, entries, digest)
                VALUES (1, 1, 0, x'', x'')",
            "INSERT INTO origin_wait(ledger_id, since_ms, entries, digest, sample, looks, due_ms,
                is_over) VALUES (1, 0, x'', x'', '[]', 0, 0, 0)",
            "INSERT INTO departed(ledger_id, since, keys, digest) VALUES (1, 0, x'', x'')",
            "INSERT INTO asset_set(name, serial, missing_since) VALUES ('gone', 0, 0)",
        ] {
            assert_eq!(known_with(row), None, "{row}");
        }
    }
}
