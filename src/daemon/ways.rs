//! The ways to files: which folders decide where a path leads.
#![expect(clippy::disallowed_methods, reason = "follows links")]

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

/// Links on one way, as the kernel has it.
const MAX_LINKS: usize = 40;

/// Tells a folder from another one that takes its place. The time of birth is
/// part of it, where the file system knows it, because numbers are used again.
pub(super) type Identity = (u64, u64, Option<SystemTime>);

/// The identity of what `path` leads to.
pub(super) fn identity(path: &Path) -> Option<Identity> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino(), metadata.created().ok()))
}

/// Where a path leads, and what it depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Way {
    /// The parents of every link on it and of its end, or the last folder that
    /// exists: a change of where the path leads is a change in one of these.
    pub(super) folders: Vec<PathBuf>,
    /// The path without links, as far as it exists.
    pub(super) end: PathBuf,
}

/// Follows paths; what it has seen once is not looked at again.
#[derive(Default)]
pub(super) struct Guide {
    seen: HashMap<PathBuf, Seen>,
}

#[derive(Clone)]
enum Seen {
    Nothing,
    Link(PathBuf),
    Other,
}

/// A step of a path, without any platform's prefix.
enum Step {
    Root,
    Up,
    Into(OsString),
}

impl Guide {
    /// The way of an absolute path.
    pub(super) fn way(&mut self, path: &Path) -> Way {
        let mut way = Way {
            folders: Vec::new(),
            end: PathBuf::new(),
        };
        let mut left = steps(path);
        let mut links = 0;
        while let Some(step) = left.pop() {
            let name = match step {
                Step::Root => {
                    way.end = PathBuf::from("/");
                    continue;
                }
                Step::Up => {
                    way.end.pop();
                    continue;
                }
                Step::Into(name) => name,
            };
            let next = way.end.join(name);
            match self.look(&next) {
                Seen::Other => way.end = next,
                Seen::Link(target) if links < MAX_LINKS => {
                    links += 1;
                    way.folders.push(way.end.clone());
                    left.extend(steps(&target));
                }
                Seen::Link(_) | Seen::Nothing => {
                    way.folders.push(way.end.clone());
                    return way;
                }
            }
        }
        way.folders.extend(way.end.parent().map(Path::to_owned));
        way
    }

    fn look(&mut self, path: &Path) -> Seen {
        if let Some(seen) = self.seen.get(path) {
            return seen.clone();
        }
        let is_link = fs::symlink_metadata(path).map(|metadata| metadata.is_symlink());
        let seen = match is_link {
            Ok(true) => fs::read_link(path).map_or(Seen::Nothing, Seen::Link),
            Ok(false) => Seen::Other,
            Err(_) => Seen::Nothing,
        };
        self.seen.insert(path.to_owned(), seen.clone());
        seen
    }
}

/// The steps of a path, the last one first.
fn steps(path: &Path) -> Vec<Step> {
    let steps = path.components().rev().filter_map(|part| match part {
        Component::RootDir => Some(Step::Root),
        Component::ParentDir => Some(Step::Up),
        Component::Normal(name) => Some(Step::Into(name.to_owned())),
        Component::CurDir | Component::Prefix(_) => None,
    });
    steps.collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Folders and links (`name -> target`) in a new folder, then the way of
    /// `path` in it, with the folder itself as `.`.
    fn check(layout: &[&str], path: &str, folders: &[&str], end: &str) {
        let top = tempfile::tempdir().unwrap();
        let top = top.path().canonicalize().unwrap();
        for entry in layout {
            match entry.split_once(" -> ") {
                Some((name, target)) => symlink(target, top.join(name)).unwrap(),
                None => fs::create_dir_all(top.join(entry)).unwrap(),
            }
        }
        let way = Guide::default().way(&top.join(path));
        let expected: Vec<PathBuf> = folders.iter().map(|it| plain(&top, it)).collect();
        assert_eq!(way.folders, expected, "{layout:?} {path}");
        assert_eq!(way.end, plain(&top, end), "{layout:?} {path}");
    }

    fn plain(top: &Path, path: &str) -> PathBuf {
        if path == "." {
            top.to_owned()
        } else {
            top.join(path)
        }
    }

    #[test]
    fn a_way_without_links_depends_on_the_parent_alone() {
        check(&["a/b"], "a/b", &["a"], "a/b");
        check(&["a/b"], "a/../a/b/..", &["."], "a");
    }

    #[test]
    fn every_link_of_a_chain_counts_with_its_own_folder() {
        let layout = ["git/trees/1/m", "git/now -> trees/1", "in -> git/now/m"];
        check(&layout, "in", &[".", "git", "git/trees/1"], "git/trees/1/m");
        check(&["a/b", "c -> a/../a/b"], "c", &[".", "a"], "a/b");
    }

    #[test]
    fn what_does_not_exist_depends_on_the_last_folder_that_does() {
        check(&["a"], "a/b/c", &["a"], "a");
        check(&["a", "l -> a/x/y"], "l", &[".", "a"], "a");
        check(&["l -> l"], "l", &["."; 41], ".");
    }
}
