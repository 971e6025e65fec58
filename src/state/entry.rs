//! Single entries of a ledger, read without the others.

use super::bucket;
use super::fold::overlay_of;
use super::ledger::Head;
use super::records::Records;
use super::{Result, departed};
use crate::digest::{Entry, Key};
use crate::plan::recorded::LedgerId;

impl Records {
    /// The entries that `ledger` holds of `keys` (sorted), and which of them
    /// have left its set; read bucket by bucket, as far as they are needed.
    pub fn entries_of(&self, ledger: LedgerId, keys: &[Key]) -> Result<(Vec<Entry>, Vec<Key>)> {
        let conn = self.connection();
        let head = Head::read(conn, ledger)?;
        let mut base = Vec::new();
        for part in keys.chunk_by(|a, b| a.bucket(head.bits) == b.bucket(head.bits)) {
            base.extend(head.load(conn, part[0].bucket(head.bits))?);
        }
        let mut entries = bucket::overlay(base, &overlay_of(conn, ledger)?);
        entries.retain(|entry| keys.binary_search(&entry.key()).is_ok());
        let mut departed = departed::keys(conn, ledger)?;
        departed.retain(|key| keys.binary_search(key).is_ok());
        Ok((entries, departed))
    }
}
