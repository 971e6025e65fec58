//! What files held when they were last read, so that the next process does not
//! read them again. Nothing but time is lost where this is.

use std::collections::HashSet;

use rusqlite::{Row, Transaction, params};

use crate::digest::Digest;
use crate::load::{Indexed, Stamp};

use super::records::Records;
use super::{Result, Store};

impl Records {
    /// Every file that is known, in no particular order.
    pub fn files(&self) -> Result<Vec<Indexed>> {
        if !self.has_table("file")? {
            return Ok(Vec::new());
        }
        let sql = "SELECT device, inode, size, modified_s, modified_ns, changed_s, changed_ns,
            digest FROM file";
        let mut statement = self.connection().prepare_cached(sql)?;
        let files = statement.query_map([], read)?;
        Ok(files.collect::<Result<_, _>>()?)
    }
}

impl Store {
    /// Makes `files` all that is known; rows that stay as they are stay untouched.
    /// Nothing waits for the disk to have it: whatever is lost is read once more.
    pub fn remember_files(&mut self, files: &[Indexed]) -> Result<()> {
        let before: HashSet<Indexed> = self.files()?.into_iter().collect();
        let after: HashSet<Indexed> = files.iter().copied().collect();
        self.note(|transaction| {
            let sql = "DELETE FROM file WHERE device = ? AND inode = ?";
            let mut delete = transaction.prepare_cached(sql)?;
            for gone in before.difference(&after) {
                let (device, inode) = gone.stamp.file;
                delete.execute([device.cast_signed(), inode.cast_signed()])?;
            }
            let mut new = after.difference(&before);
            new.try_for_each(|file| insert(transaction, file))
        })
    }
}

fn insert(transaction: &Transaction, file: &Indexed) -> Result<()> {
    let Stamp {
        file: (device, inode),
        size,
        modified,
        changed,
    } = file.stamp;
    let sql = "INSERT INTO file(device, inode, size, modified_s, modified_ns, changed_s,
        changed_ns, digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    transaction.prepare_cached(sql)?.execute(params![
        device.cast_signed(),
        inode.cast_signed(),
        size.cast_signed(),
        modified.0,
        modified.1,
        changed.0,
        changed.1,
        file.digest.0,
    ])?;
    Ok(())
}

fn read(row: &Row) -> rusqlite::Result<Indexed> {
    let number = |column: usize| row.get(column).map(i64::cast_unsigned);
    Ok(Indexed {
        stamp: Stamp {
            file: (number(0)?, number(1)?),
            size: number(2)?,
            modified: (row.get(3)?, row.get(4)?),
            changed: (row.get(5)?, row.get(6)?),
        },
        digest: Digest(row.get(7)?),
    })
}
