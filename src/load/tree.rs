//! What a scan read, and a way to read what the manifests name.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;

use super::looks::Looks;
use super::named::{Hashed, HashedOnly, Remembered, beside, normal};
use super::store::{ReadProblem, Store};
use super::walk::{Listing, join, unreadable, walk};
use crate::digest::Digest;
use crate::manifest::{Document, Place, Problem, SourceFile};

/// A manifest may hold a million assets; beyond that, files of ids are meant.
const MAX_MANIFEST: u64 = 64 << 20;

/// All manifests of all roots together.
const MAX_MANIFESTS: u64 = 512 << 20;

/// Paths with their looks: some twenty megabytes.
const MAX_LOOKS: usize = 100_000;

/// A file named in a manifest: some ten million rows.
const MAX_NAMED_FILE: u64 = 1 << 30;

/// All manifests of all roots, as they were at one moment.
pub struct Tree {
    /// By root, then path.
    pub files: Vec<SourceFile>,
    /// Of all manifests and their paths; not of the files that they name.
    pub digest: Digest,
    /// What is wrong with files and folders themselves.
    pub problems: Vec<Problem>,
    /// Roots, as they were given, that are missing or hold no manifest.
    pub empty_roots: Vec<String>,
    /// Something could not be read: while this holds, nothing counts as vanished.
    pub unreadable_files: bool,
    visited: Visited,
    stores: Vec<Option<Box<dyn Store>>>,
    is_disturbed: bool,
    named: Mutex<HashMap<PathInRoot, Remembered>>,
    hashed: Mutex<HashMap<PathInRoot, HashedOnly>>,
}

/// A path inside a root; roots are counted from 0.
pub type PathInRoot = (usize, String);

/// Where a scan has been: a change anywhere else cannot matter to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Visited {
    /// Folders entered.
    pub folders: Vec<PathInRoot>,
    /// Links looked at, whether or not they led to anything.
    pub links: Vec<PathInRoot>,
    /// Files that manifests name, whether or not they could be read.
    pub named: Vec<PathInRoot>,
    /// Files of which nothing but the digest was asked for; likewise.
    pub hashed: Arc<[PathInRoot]>,
}

/// What a tree held, by digest: enough to tell whether another holds the same.
#[derive(Clone, Debug)]
pub struct Contents {
    /// Of all that was read, and of what could not be.
    pub digest: Digest,
    /// The part of it that is known before any manifest is understood.
    own: Digest,
    named: Vec<PathInRoot>,
    hashed: Arc<[PathInRoot]>,
}

/// A root by the name that it was given, pinned if it could be.
pub(super) struct Root {
    pub(super) name: String,
    pub(super) store: Result<Box<dyn Store>, ReadProblem>,
}

impl Tree {
    /// Reads every manifest of the roots.
    pub(super) fn gather(roots: Vec<Root>) -> Self {
        let mut tree = Self {
            files: Vec::new(),
            digest: Digest::of(&[]),
            problems: Vec::new(),
            empty_roots: Vec::new(),
            unreadable_files: false,
            visited: Visited::default(),
            stores: Vec::new(),
            is_disturbed: false,
            named: Mutex::default(),
            hashed: Mutex::default(),
        };
        for (index, root) in roots.into_iter().enumerate() {
            let store = match root.store {
                Ok(store) => {
                    tree.add(index, &root.name, &*store);
                    Some(store)
                }
                Err(problem) => {
                    tree.add_missing(root.name, &problem);
                    None
                }
            };
            tree.stores.push(store);
        }
        tree.files
            .sort_by(|a, b| (a.root, &a.path).cmp(&(b.root, &b.path)));
        tree.digest = digest_of(&tree.files);
        tree
    }

    /// The content of a file that the manifest `document` names, relative to
    /// the manifest's folder.
    pub fn read_beside(&self, document: &Document, file: &str) -> Remembered {
        self.read(document.root_index, &beside(document, file)?)
    }

    /// The content of the file at `path` inside a root, counted from 0. It is
    /// read once and remembered.
    pub fn read(&self, root: usize, path: &str) -> Remembered {
        let path = normal(path).ok_or(ReadProblem::Outside)?;
        let store = self.store(root)?;
        let key = (root, path);
        let known = self.named().get(&key).cloned();
        if let Some(known) = known {
            return known;
        }
        let bytes = store.read(&key.1, MAX_NAMED_FILE).map(Hashed::from);
        // Where two threads read it at once, the first one to arrive counts.
        self.named().entry(key).or_insert(bytes).clone()
    }

    /// The digest of what the file holds that the manifest `document` names.
    /// The file may have any size: nothing of it is kept, and it is not even
    /// read where the index knows it.
    pub fn digest_beside(&self, document: &Document, file: &str) -> Result<Digest, ReadProblem> {
        let path = normal(&beside(document, file)?).ok_or(ReadProblem::Outside)?;
        self.hash(&(document.root_index, path), true)
    }

    /// What was read, the named files included: once all of them were.
    pub fn contents(&self) -> Contents {
        let named = sorted(self.named().keys());
        let hashed = sorted(lock(&self.hashed).iter().filter_map(|(path, file)| {
            let is_named = file.is_named;
            is_named.then_some(path)
        }));
        let own = self.own_digest();
        Contents {
            digest: self.digest_with(own, &named, &hashed),
            own,
            named,
            hashed: hashed.into(),
        }
    }

    /// Whether all that made up `contents` reads the same here. Nothing of it
    /// is parsed or kept.
    pub fn holds(&self, contents: &Contents) -> bool {
        let own = self.own_digest();
        let is_same = || self.digest_with(own, &contents.named, &contents.hashed);
        own == contents.own && is_same() == contents.digest
    }

    /// Where this scan has been, together with the files that `contents` names.
    pub fn visited(&self, contents: &Contents) -> Visited {
        Visited {
            named: contents.named.clone(),
            hashed: Arc::clone(&contents.hashed),
            ..self.visited.clone()
        }
    }

    /// Everything that this scan has looked at so far. `None` where looking
    /// again at all of that could miss a change, or is too much to keep.
    pub fn looks(&self) -> Option<Looks> {
        let mut all = Vec::new();
        for (root, store) in self.stores.iter().enumerate() {
            let looks = store
                .as_ref()?
                .looked_at(MAX_LOOKS - all.len())?
                .into_iter();
            all.extend(looks.map(|(path, look)| ((root, path), look)));
        }
        Some(Looks::new(all))
    }

    /// Whether everything that was read is still as it was.
    pub(super) fn is_unchanged(&self) -> bool {
        let mut stores = self.stores.iter().flatten();
        stores.all(|store| store.is_unchanged())
    }

    /// Whether something vanished between being listed and being read.
    pub(super) fn is_disturbed(&self) -> bool {
        self.is_disturbed
    }

    fn named(&self) -> MutexGuard<'_, HashMap<PathInRoot, Remembered>> {
        lock(&self.named)
    }

    fn store(&self, root: usize) -> Result<&dyn Store, ReadProblem> {
        let store = self.stores.get(root).and_then(Option::as_deref);
        store.ok_or(ReadProblem::Missing)
    }

    /// Of manifests, and of what is wrong with files and folders.
    fn own_digest(&self) -> Digest {
        let parts = self.problems.iter().flat_map(|problem| {
            let file = problem.place.as_ref().map_or("", |place| &*place.file);
            [problem.code, file, problem.message.as_str()].map(str::as_bytes)
        });
        Digest::of_parts(std::iter::once(&self.digest.0[..]).chain(parts))
    }

    fn digest_with(&self, own: Digest, named: &[PathInRoot], hashed: &[PathInRoot]) -> Digest {
        let named = named.par_iter().map(|key| (key, self.named_digest(key)));
        let hashed = hashed.par_iter().map(|key| (key, self.hash(key, false)));
        let digests = named
            .chain(hashed)
            .map(|(key, found)| digest_of_file(key, found));
        let digests: Vec<Digest> = digests.collect();
        let parts = digests.iter().map(|digest| &digest.0[..]);
        Digest::of_parts(std::iter::once(&own.0[..]).chain(parts))
    }

    fn named_digest(&self, key: &PathInRoot) -> Result<Digest, ReadProblem> {
        let known = self.named().get(key).cloned();
        match known {
            Some(known) => known.map(|content| content.digest),
            None => self.store(key.0)?.digest(&key.1, MAX_NAMED_FILE),
        }
    }

    fn hash(&self, key: &PathInRoot, is_named: bool) -> Result<Digest, ReadProblem> {
        if let Some(known) = lock(&self.hashed).get_mut(key) {
            known.is_named |= is_named;
            return known.found.clone();
        }
        let found = self.store(key.0)?.content(&key.1);
        let mut hashed = lock(&self.hashed);
        let known = hashed.entry(key.clone()).or_insert(HashedOnly {
            found,
            is_named: false,
        });
        known.is_named |= is_named;
        known.found.clone()
    }

    fn add(&mut self, index: usize, name: &str, store: &dyn Store) {
        let listing = walk(store, name);
        let read = read_all(index, name, store, &listing);
        let is_empty = listing.files.is_empty() && !listing.is_incomplete;
        self.problems.extend(listing.problems);
        self.unreadable_files |= listing.is_incomplete;
        self.is_disturbed |= listing.is_disturbed;
        let here = |paths: Vec<String>| paths.into_iter().map(move |path| (index, path));
        self.visited.folders.extend(here(listing.folders));
        self.visited.links.extend(here(listing.links));
        if is_empty {
            let message = "the manifest root holds no manifest";
            self.add_empty(name.to_owned(), message);
        }
        for (path, bytes) in read {
            match bytes {
                Ok(file) => self.files.push(file),
                Err(problem) => {
                    self.is_disturbed |= problem == ReadProblem::Missing;
                    self.unreadable_files = true;
                    let place = Place::file(join(name, &path));
                    self.problems.push(unreadable(place, &problem));
                }
            }
        }
    }

    fn add_missing(&mut self, name: String, problem: &ReadProblem) {
        if *problem == ReadProblem::Missing {
            self.add_empty(name, "the manifest root does not exist");
            return;
        }
        let place = Place::file(name.clone());
        self.problems.push(unreadable(place, problem));
        self.empty_roots.push(name);
        self.unreadable_files = true;
    }

    fn add_empty(&mut self, name: String, message: &str) {
        let place = Place::file(name.clone());
        let problem = Problem::warning("empty-root", Some(place), message);
        let hint = "what it declared before is kept as it is; check `--manifests`";
        self.problems.push(problem.hint(hint));
        self.empty_roots.push(name);
    }
}

fn read_all(
    root: usize,
    name: &str,
    store: &dyn Store,
    listing: &Listing,
) -> Vec<(String, Result<SourceFile, ReadProblem>)> {
    let total = std::sync::atomic::AtomicU64::new(0);
    let read = |path: &String| {
        let bytes = store.read(path, MAX_MANIFEST)?;
        let length = bytes.len() as u64;
        let before = total.fetch_add(length, std::sync::atomic::Ordering::Relaxed);
        if before + length > MAX_MANIFESTS {
            let limit = MAX_MANIFESTS >> 20;
            let message = format!("the manifests of this root exceed {limit} MiB");
            return Err(ReadProblem::Failed(message));
        }
        Ok(SourceFile {
            root,
            path: path.clone(),
            name: join(name, path).into(),
            digest: Digest::of(&bytes),
            bytes: bytes.into(),
        })
    };
    let files = listing.files.par_iter();
    files.map(|path| (path.clone(), read(path))).collect()
}

/// Of a file and its path, or of why it cannot be read.
fn digest_of_file((root, path): &PathInRoot, found: Result<Digest, ReadProblem>) -> Digest {
    let root = (*root as u64).to_be_bytes();
    match found {
        Ok(content) => Digest::of_parts([&root[..], path.as_bytes(), &content.0]),
        Err(problem) => {
            let problem = problem.to_string();
            Digest::of_parts([&root[..], path.as_bytes(), problem.as_bytes()])
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn sorted<'a>(paths: impl Iterator<Item = &'a PathInRoot>) -> Vec<PathInRoot> {
    let mut paths: Vec<PathInRoot> = paths.cloned().collect();
    paths.sort_unstable();
    paths
}

fn digest_of(files: &[SourceFile]) -> Digest {
    let parts: Vec<([u8; 8], &SourceFile)> = files
        .iter()
        .map(|file| ((file.root as u64).to_be_bytes(), file))
        .collect();
    Digest::of_parts(
        parts
            .iter()
            .flat_map(|(root, file)| [&root[..], file.path.as_bytes(), &file.digest.0[..]]),
    )
}
