//! The manifests of a commit, without checking it out.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use thiserror::Error;

use super::content;
use super::git::{self, Objects};
use super::looks::Look;
use super::store::{Kind, Listed, ReadProblem, Seen, Store};
use super::tree::{Root, Tree};
use super::walk::join;
use crate::digest::Digest;

/// Links on the way to one file, as the kernel has it.
const MAX_LINKS: usize = 40;

/// Why the manifests of a commit cannot be read.
#[derive(Debug, Error)]
pub enum CommitError {
    /// The program is missing.
    #[error("git cannot be started")]
    Start(#[source] io::Error),
    /// In git's own words.
    #[error("git says: {0}")]
    Refused(String),
    /// A name that is no UTF-8.
    #[error("git names a folder that is not UTF-8")]
    NotText,
    /// No such commit in this clone.
    #[error("`{reference}` is no commit of this clone")]
    Unknown {
        /// As it was given.
        reference: String,
        /// The command that cures it.
        cure: String,
    },
    /// The commit is here, but not all of its files are.
    #[error("this clone lacks files of `{reference}`")]
    Incomplete {
        /// As it was given.
        reference: String,
        /// The command that cures it.
        cure: String,
    },
}

impl CommitError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Start(_) => Some("install git, or put it on the PATH".to_owned()),
            Self::Unknown { cure, .. } | Self::Incomplete { cure, .. } => {
                Some(format!("run: {cure}"))
            }
            Self::Refused(_) | Self::NotText => None,
        }
    }
}

/// Reads the manifests of all roots as they were at `reference`, and the files
/// that they name from the same commit.
pub fn at_commit<T>(
    roots: &[PathBuf],
    reference: &str,
    work: impl FnOnce(&Tree) -> T,
) -> Result<T, CommitError> {
    let pinned: Result<Vec<Root>, CommitError> =
        roots.iter().map(|path| pin(path, reference)).collect();
    Ok(work(&Tree::gather(pinned?)))
}

/// The commit that the first root's working tree is at, where git knows it.
pub fn commit_of(roots: &[PathBuf]) -> Option<String> {
    git::ask(
        roots.first()?,
        &["rev-parse", "--verify", "--quiet", "HEAD"],
    )
    .ok()
}

fn pin(path: &Path, reference: &str) -> Result<Root, CommitError> {
    let (folder, rest) = existing(path);
    let prefix = git::ask(&folder, &["rev-parse", "--show-prefix"])?;
    let prefix = join(prefix.trim_end_matches('/'), &rest);
    let commit = resolve(&folder, reference)?;
    let name = path.display().to_string();
    let snapshot = Snapshot::read(&folder, &commit, &prefix, reference)?;
    let store = if snapshot.folders.is_empty() {
        Err(ReadProblem::Missing)
    } else {
        Ok(Box::new(snapshot) as Box<dyn Store>)
    };
    Ok(Root { name, store })
}

/// The nearest folder that exists now, and what of the path lies below it: a
/// root may have been removed since that commit.
fn existing(path: &Path) -> (PathBuf, String) {
    let mut folder = path;
    while !folder.is_dir() {
        match folder.parent() {
            Some(parent) => folder = parent,
            None => break,
        }
    }
    let rest = path.strip_prefix(folder).unwrap_or(Path::new(""));
    let rest = rest.to_string_lossy().trim_matches('/').to_owned();
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    (folder.to_owned(), rest)
}

fn resolve(folder: &Path, reference: &str) -> Result<String, CommitError> {
    let asked = format!("{reference}^{{commit}}");
    let arguments = [
        "rev-parse",
        "--verify",
        "--quiet",
        "--end-of-options",
        &asked,
    ];
    git::ask(folder, &arguments).map_err(|error| match error {
        CommitError::Refused(_) => CommitError::Unknown {
            reference: reference.to_owned(),
            cure: cure(folder, reference),
        },
        other => other,
    })
}

/// The fetch that brings a reference into this clone.
fn cure(folder: &Path, reference: &str) -> String {
    let shallow = git::ask(folder, &["rev-parse", "--is-shallow-repository"]);
    let at = format!("git -C {}", folder.display());
    let is_relative = reference.contains(['~', '^', '@']);
    if shallow.is_ok_and(|answer| answer == "true") && is_relative {
        return format!("{at} fetch --unshallow");
    }
    match reference.strip_prefix("origin/") {
        Some(branch) => format!("{at} fetch origin {branch}:refs/remotes/origin/{branch}"),
        None => format!("{at} fetch origin {reference}"),
    }
}

/// One folder of one commit.
struct Snapshot {
    /// What each folder holds; the root is the empty path.
    folders: BTreeMap<String, Vec<(OsString, Kind)>>,
    /// What each file or link is: its object, and its number for identity.
    objects: HashMap<String, (Kind, String, u64)>,
    content: Mutex<Objects>,
}

impl Snapshot {
    fn read(
        folder: &Path,
        commit: &str,
        prefix: &str,
        reference: &str,
    ) -> Result<Self, CommitError> {
        let spec = if prefix.is_empty() {
            commit.to_owned()
        } else {
            format!("{commit}:{prefix}")
        };
        let mut snapshot = Self {
            folders: BTreeMap::new(),
            objects: HashMap::new(),
            content: Mutex::new(Objects::open(folder)?),
        };
        let exists = git::ask(folder, &["cat-file", "-e", "--end-of-options", &spec]).is_ok();
        if !exists && !prefix.is_empty() {
            return Ok(snapshot);
        }
        let arguments = ["ls-tree", "-r", "-t", "-z", "--full-tree", &spec];
        let listing = git::run(folder, &arguments).map_err(|error| match error {
            CommitError::Refused(_) => CommitError::Incomplete {
                reference: reference.to_owned(),
                cure: format!(
                    "git -C {} fetch --refetch --no-filter origin",
                    folder.display()
                ),
            },
            other => other,
        })?;
        snapshot.folders.insert(String::new(), Vec::new());
        for line in listing.split(|byte| *byte == 0) {
            snapshot.add(line);
        }
        Ok(snapshot)
    }

    /// Adds a line of `git ls-tree`: mode, type, object, tab, path.
    fn add(&mut self, line: &[u8]) {
        let Some(tab) = line.iter().position(|byte| *byte == b'\t') else {
            return;
        };
        let (head, path) = (&line[..tab], &line[tab + 1..]);
        let mut words = head.split(|byte| *byte == b' ');
        let kind = match words.next() {
            Some(b"100644" | b"100755") => Kind::File,
            Some(b"040000") => Kind::Folder,
            Some(b"120000") => Kind::Link,
            _ => Kind::Other,
        };
        let cut = path.iter().rposition(|byte| *byte == b'/');
        let (parent, name) = cut.map_or((&b""[..], path), |cut| (&path[..cut], &path[cut + 1..]));
        let Ok(parent) = std::str::from_utf8(parent) else {
            return;
        };
        let name = OsString::from_vec(name.to_vec());
        self.folders
            .entry(parent.to_owned())
            .or_default()
            .push((name, kind));
        let id = words.nth(1).unwrap_or_default();
        if let (Ok(path), Ok(id)) = (std::str::from_utf8(path), std::str::from_utf8(id)) {
            if kind == Kind::Folder {
                self.folders.entry(path.to_owned()).or_default();
            }
            let number = self.objects.len() as u64 + 1;
            let object = (kind, id.to_owned(), number);
            self.objects.insert(path.to_owned(), object);
        }
    }

    /// The path without links; they must stay inside the root.
    fn real(&self, path: &str) -> Result<String, ReadProblem> {
        let mut left: Vec<String> = parts(path);
        let mut done: Vec<String> = Vec::new();
        let mut links = 0;
        while let Some(part) = left.pop() {
            if part == ".." {
                done.pop().ok_or(ReadProblem::Outside)?;
                continue;
            }
            done.push(part);
            let here = done.join("/");
            if let Some((Kind::Link, id, _)) = self.objects.get(&here) {
                links += 1;
                if links > MAX_LINKS {
                    return Err(ReadProblem::Failed("too many links".to_owned()));
                }
                let target = String::from_utf8_lossy(&self.object(id)?).into_owned();
                if target.starts_with('/') {
                    return Err(ReadProblem::Outside);
                }
                done.pop();
                left.extend(parts(&target));
            }
        }
        Ok(done.join("/"))
    }

    fn object(&self, id: &str) -> Result<Vec<u8>, ReadProblem> {
        let read = |from: &mut dyn Read, size: u64| {
            let mut bytes = Vec::with_capacity(size as usize);
            from.read_to_end(&mut bytes).map(|_| bytes)
        };
        self.read_object(id, read)
    }

    fn read_object<T>(
        &self,
        id: &str,
        read: impl FnOnce(&mut dyn Read, u64) -> io::Result<T>,
    ) -> Result<T, ReadProblem> {
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        let read = content.read(id, read)?;
        read.ok_or_else(|| ReadProblem::Failed("this clone lacks its content".to_owned()))
    }

    /// The object of a regular file.
    fn file(&self, path: &str) -> Result<&str, ReadProblem> {
        let real = self.real(path)?;
        match self.objects.get(&real) {
            None if self.folders.contains_key(&real) => Err(ReadProblem::NotRegular),
            None => Err(ReadProblem::Missing),
            Some((Kind::File, id, _)) => Ok(id),
            Some(_) => Err(ReadProblem::NotRegular),
        }
    }
}

/// The parts of a path, the last one first.
fn parts(path: &str) -> Vec<String> {
    let parts = path.split('/').filter(|part| !matches!(*part, "" | "."));
    parts.rev().map(str::to_owned).collect()
}

impl Store for Snapshot {
    fn list(&self, folder: &str) -> Result<Vec<Listed>, ReadProblem> {
        let real = self.real(folder)?;
        let entries = self.folders.get(&real).ok_or(ReadProblem::Missing)?;
        let listed = entries.iter().map(|(name, kind)| Listed {
            name: name.clone(),
            kind: *kind,
        });
        Ok(listed.collect())
    }

    fn look(&self, path: &str) -> Result<Seen, ReadProblem> {
        let real = self.real(path)?;
        if real.is_empty() {
            return Ok(Seen {
                kind: Kind::Folder,
                identity: (0, 0),
            });
        }
        let (kind, _, number) = self.objects.get(&real).ok_or(ReadProblem::Missing)?;
        Ok(Seen {
            kind: *kind,
            identity: (0, *number),
        })
    }

    fn read(&self, path: &str, cap: u64) -> Result<Vec<u8>, ReadProblem> {
        let bytes = self.object(self.file(path)?)?;
        if bytes.len() as u64 > cap {
            return Err(ReadProblem::TooLarge { cap });
        }
        Ok(bytes)
    }

    fn content(&self, path: &str) -> Result<Digest, ReadProblem> {
        let digest = |from: &mut dyn Read, size: u64| content::digest(from, size);
        self.read_object(self.file(path)?, digest)
    }

    fn looked_at(&self, _at_most: usize) -> Option<Vec<(String, Look)>> {
        None
    }

    fn is_unchanged(&self) -> bool {
        true
    }
}
