//! A root on disk, behind a directory handle that no path can leave.
#![expect(
    clippy::disallowed_methods,
    reason = "looks again at what a scan has read"
)]

use std::collections::HashMap;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cap_std::ambient_authority;
use cap_std::fs::{
    Dir, File, FileType, Metadata, MetadataExt as _, OpenOptions, OpenOptionsExt as _,
};
use rayon::prelude::*;
use rustix::fs::OFlags;

use super::content;
use super::index::Index;
use super::looks::{Held, Look, digest_of_list};
use super::stamp::Stamp;
use super::store::{Kind, Listed, ReadProblem, Seen, Store};
use crate::digest::Digest;

/// A pinned root.
pub(super) struct Disk {
    path: PathBuf,
    root: Dir,
    /// How each path looked.
    looks: Mutex<HashMap<String, Look>>,
    /// Something went into this scan that no look tells of: what could not be read
    /// may come to be readable and look the same.
    is_blind: AtomicBool,
    index: Arc<Index>,
}

impl Disk {
    /// Pins the folder at `path`; what `index` knows of its files counts.
    pub(super) fn open(path: &Path, index: &Arc<Index>) -> Result<Self, ReadProblem> {
        let root = Dir::open_ambient_dir(path, ambient_authority())?;
        let disk = Self {
            path: path.to_owned(),
            root,
            looks: Mutex::default(),
            is_blind: AtomicBool::new(false),
            index: Arc::clone(index),
        };
        disk.remember("", &disk.root.dir_metadata()?);
        Ok(disk)
    }

    fn remember(&self, path: &str, metadata: &Metadata) {
        self.note(path, Some(Stamp::from(metadata)));
    }

    fn note(&self, path: &str, stamp: Option<Stamp>) {
        let begun_ms = self.index.begun_ms();
        let tells_all = |stamp: Stamp| begun_ms.is_some_and(|begun_ms| stamp.tells_all(begun_ms));
        let held = if stamp.is_none_or(tells_all) {
            Held::AsItLooks
        } else {
            Held::Unknown
        };
        // The first look counts: whatever follows must agree with it.
        let look = Look { stamp, held };
        self.looks().entry(path.to_owned()).or_insert(look);
    }

    /// Notes what something holds that may change without looking otherwise.
    fn note_held(&self, path: &str, held: impl FnOnce() -> Held) {
        if let Some(look) = self.looks().get_mut(path)
            && look.held != Held::AsItLooks
        {
            let held = held();
            if look.held != Held::Unknown && look.held != held {
                self.is_blind.store(true, Ordering::Relaxed);
            }
            look.held = held;
        }
    }

    /// Notes that a path could not be read, unless nothing was there and that is
    /// noted as how it looked.
    fn told<T>(&self, result: Result<T, ReadProblem>, is_noted: bool) -> Result<T, ReadProblem> {
        if let Err(problem) = &result
            && !(is_noted && *problem == ReadProblem::Missing)
        {
            self.is_blind.store(true, Ordering::Relaxed);
        }
        result
    }

    fn looks(&self) -> MutexGuard<'_, HashMap<String, Look>> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A file that a manifest names may be gone for a moment while it is replaced.
    fn missing(&self, path: &str, error: io::Error) -> ReadProblem {
        let problem = error.into();
        if problem == ReadProblem::Missing {
            self.note(path, None);
        }
        problem
    }

    /// Opens a regular file of at most `cap` bytes.
    fn open_file(&self, path: &str, cap: u64) -> Result<(File, Stamp), ReadProblem> {
        let mut options = OpenOptions::new();
        // Opening a pipe without this waits for its other end.
        options
            .read(true)
            .custom_flags(OFlags::NONBLOCK.bits().cast_signed());
        let file = self.root.open_with(inside(path), &options);
        let file = file.map_err(|error| self.missing(path, error))?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(ReadProblem::NotRegular);
        }
        self.remember(path, &metadata);
        if metadata.len() > cap {
            return Err(ReadProblem::TooLarge { cap });
        }
        Ok((file, Stamp::from(&metadata)))
    }

    fn list_folder(&self, folder: &str) -> Result<Vec<Listed>, ReadProblem> {
        let entries = self.root.read_dir(inside(folder))?;
        let listed = entries.map(|entry| {
            let entry = entry?;
            Ok(Listed {
                name: entry.file_name(),
                kind: kind_of(entry.file_type()?),
            })
        });
        let listed = listed.collect::<Result<Vec<Listed>, ReadProblem>>()?;
        self.note_held(folder, || {
            let entries = listed.iter().map(|entry| (&entry.name, entry.kind));
            Held::List(digest_of_list(entries.collect()))
        });
        Ok(listed)
    }

    fn read_file(&self, path: &str, cap: u64) -> Result<Vec<u8>, ReadProblem> {
        let (file, stamp) = self.open_file(path, cap)?;
        let mut bytes = Vec::with_capacity(stamp.size as usize);
        file.take(cap + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > cap {
            return Err(ReadProblem::TooLarge { cap });
        }
        Ok(bytes)
    }

    fn digest_file(&self, path: &str, cap: u64) -> Result<Digest, ReadProblem> {
        let (file, _) = self.open_file(path, cap)?;
        // Whatever grows beyond the cap meanwhile has changed, which starts the scan again.
        Ok(Digest::of_reader(file.take(cap))?)
    }

    fn digest_content(&self, path: &str) -> Result<Digest, ReadProblem> {
        let metadata = self.root.metadata(inside(path));
        let metadata = metadata.map_err(|error| self.missing(path, error))?;
        if !metadata.is_file() {
            return Err(ReadProblem::NotRegular);
        }
        self.remember(path, &metadata);
        if let Some(known) = self.index.find(&Stamp::from(&metadata)) {
            return Ok(known);
        }
        let (file, stamp) = self.open_file(path, u64::MAX)?;
        let digest = content::digest(file.take(stamp.size), stamp.size)?;
        self.index.learn(stamp, digest);
        Ok(digest)
    }

    fn is_same_root(&self) -> bool {
        let now = Dir::open_ambient_dir(&self.path, ambient_authority());
        let identity = |dir: &Dir| dir.dir_metadata().map(|it| (it.dev(), it.ino())).ok();
        now.is_ok_and(|now| identity(&now) == identity(&self.root))
    }
}

impl Store for Disk {
    fn list(&self, folder: &str) -> Result<Vec<Listed>, ReadProblem> {
        self.told(self.list_folder(folder), false)
    }

    fn look(&self, path: &str) -> Result<Seen, ReadProblem> {
        // Nothing is noted where a link leads nowhere.
        let metadata = self.root.metadata(inside(path)).map_err(ReadProblem::from);
        let metadata = self.told(metadata, false)?;
        self.remember(path, &metadata);
        Ok(Seen {
            kind: kind_of(metadata.file_type()),
            identity: (metadata.dev(), metadata.ino()),
        })
    }

    fn read(&self, path: &str, cap: u64) -> Result<Vec<u8>, ReadProblem> {
        let bytes = self.told(self.read_file(path, cap), true)?;
        self.note_held(path, || Held::Bytes(Digest::of(&bytes)));
        Ok(bytes)
    }

    fn digest(&self, path: &str, cap: u64) -> Result<Digest, ReadProblem> {
        let digest = self.told(self.digest_file(path, cap), true)?;
        self.note_held(path, || Held::Bytes(digest));
        Ok(digest)
    }

    fn content(&self, path: &str) -> Result<Digest, ReadProblem> {
        let digest = self.told(self.digest_content(path), true)?;
        // Of a young file it tells nothing: git LFS may keep what was hashed elsewhere.
        let look = self.looks().get(path).copied();
        if look.is_some_and(|look| look.held != Held::AsItLooks) {
            self.is_blind.store(true, Ordering::Relaxed);
        }
        Ok(digest)
    }

    fn looked_at(&self, at_most: usize) -> Option<Vec<(String, Look)>> {
        let looks = self.looks();
        if self.is_blind.load(Ordering::Relaxed) || looks.len() > at_most {
            return None;
        }
        let looks = looks.iter().map(|(path, look)| (path.clone(), *look));
        Some(looks.collect())
    }

    fn is_unchanged(&self) -> bool {
        let looks = self.looks();
        self.is_same_root()
            && looks.par_iter().all(|(path, before)| {
                // A stamp gives nothing away, so the way by name will do here:
                // it takes a third of the calls that a way inside the root takes.
                let now = std::fs::metadata(self.path.join(path));
                now.ok().map(|now| Stamp::from(&now)) == before.stamp
            })
    }
}

fn inside(path: &str) -> &str {
    if path.is_empty() { "." } else { path }
}

fn kind_of(kind: FileType) -> Kind {
    if kind.is_file() {
        Kind::File
    } else if kind.is_dir() {
        Kind::Folder
    } else if kind.is_symlink() {
        Kind::Link
    } else {
        Kind::Other
    }
}
