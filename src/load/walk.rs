//! Which files of a root are manifests.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::sync::Arc;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::store::{Kind, Listed, ReadProblem, Store};
use crate::manifest::{Place, Problem};

const IGNORE_FILE: &str = ".freshenignore";
const MAX_IGNORE_FILE: u64 = 1 << 20;

/// Folders in folders; real trees stay far below.
const MAX_DEPTH: usize = 64;

/// What a walk found.
#[derive(Default)]
pub(super) struct Listing {
    /// Paths of manifests; a file that several links lead to is listed once.
    pub(super) files: Vec<String>,
    /// The folders entered, the root (empty) first.
    pub(super) folders: Vec<String>,
    /// The links looked at, whether or not they led to anything.
    pub(super) links: Vec<String>,
    pub(super) problems: Vec<Problem>,
    /// Something could not be looked into.
    pub(super) is_incomplete: bool,
    /// Something vanished between being listed and being looked at.
    pub(super) is_disturbed: bool,
}

/// Walks a root; `name` is what people call it.
pub(super) fn walk(store: &dyn Store, name: &str) -> Listing {
    let mut walk = Walk {
        store,
        name,
        listing: Listing::default(),
        seen: HashSet::new(),
        links: Vec::new(),
    };
    walk.folder("", &[], 0);
    // Links come last, so that a file goes by its own path where it has one.
    while let Some(link) = walk.links.pop() {
        walk.follow(&link);
    }
    walk.listing
}

struct Walk<'s> {
    store: &'s dyn Store,
    name: &'s str,
    listing: Listing,
    /// Identities of the folders entered, and of the files links lead to.
    seen: HashSet<(u64, u64)>,
    links: Vec<Link>,
}

struct Link {
    path: String,
    rules: Vec<Rules>,
    depth: usize,
}

/// An ignore file's rules, for what lies below its folder.
#[derive(Clone)]
struct Rules {
    folder: String,
    matcher: Arc<Gitignore>,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &str, rules: &[Rules], depth: usize) {
        let entries = match self.enter(folder, depth) {
            Ok(Some(entries)) => entries,
            Ok(None) => return,
            Err(problem) => return self.cannot_read(folder, &problem),
        };
        self.listing.folders.push(folder.to_owned());
        let mut rules = rules.to_vec();
        if entries.iter().any(|entry| entry.name == IGNORE_FILE) {
            self.add_rules(folder, &mut rules);
        }
        for entry in entries {
            self.entry(folder, &entry, &rules, depth);
        }
    }

    /// The folder's entries by name; `None` where it was entered before.
    fn enter(&mut self, folder: &str, depth: usize) -> Result<Option<Vec<Listed>>, ReadProblem> {
        let seen = self.store.look(folder)?;
        if !self.seen.insert(seen.identity) {
            return Ok(None);
        }
        if depth > MAX_DEPTH {
            let message = format!("folders nest deeper than {MAX_DEPTH}");
            return Err(ReadProblem::Failed(message));
        }
        let mut entries = self.store.list(folder)?;
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Some(entries))
    }

    fn entry(&mut self, folder: &str, entry: &Listed, rules: &[Rules], depth: usize) {
        if is_hidden(&entry.name) {
            return;
        }
        let is_manifest = has_manifest_ending(&entry.name);
        let Some(name) = entry.name.to_str().filter(|name| is_printable(name)) else {
            if is_manifest || entry.kind == Kind::Folder {
                self.bad_name(folder, &entry.name);
            }
            return;
        };
        let path = join(folder, name);
        match entry.kind {
            Kind::Folder if !is_ignored(rules, &path, true) => {
                self.folder(&path, rules, depth + 1);
            }
            Kind::File if is_manifest && !is_ignored(rules, &path, false) => {
                self.listing.files.push(path);
            }
            Kind::Link => self.links.push(Link {
                path,
                rules: rules.to_vec(),
                depth,
            }),
            Kind::Other if is_manifest && !is_ignored(rules, &path, false) => {
                self.warn(&path, "it is skipped: not a regular file");
            }
            Kind::Folder | Kind::File | Kind::Other => {}
        }
    }

    fn follow(&mut self, link: &Link) {
        self.listing.links.push(link.path.clone());
        let is_manifest = has_manifest_ending(OsStr::new(&link.path));
        let seen = match self.store.look(&link.path) {
            Ok(seen) => seen,
            // What does not look like a manifest may point where it will.
            Err(_) if !is_manifest => return,
            Err(_) if is_ignored(&link.rules, &link.path, false) => return,
            // It is there to stay, unlike what was listed as itself and is gone.
            Err(problem) => return self.leave_out(&link.path, &problem),
        };
        let is_folder = seen.kind == Kind::Folder;
        if is_ignored(&link.rules, &link.path, is_folder) {
            return;
        }
        match seen.kind {
            Kind::Folder => self.folder(&link.path, &link.rules, link.depth + 1),
            Kind::File if is_manifest => {
                if !self.is_listed(seen.identity) && self.seen.insert(seen.identity) {
                    self.listing.files.push(link.path.clone());
                }
            }
            Kind::Other if is_manifest => {
                self.warn(&link.path, "it is skipped: not a regular file");
            }
            Kind::File | Kind::Other | Kind::Link => {}
        }
    }

    /// Whether a listed file is the very one that a link leads to. Links to
    /// files are few, so the list is searched instead of kept by identity.
    fn is_listed(&self, identity: (u64, u64)) -> bool {
        let mut files = self.listing.files.iter();
        files.any(|path| {
            let seen = self.store.look(path);
            seen.is_ok_and(|seen| seen.identity == identity)
        })
    }

    fn add_rules(&mut self, folder: &str, rules: &mut Vec<Rules>) {
        let path = join(folder, IGNORE_FILE);
        let bytes = match self.store.read(&path, MAX_IGNORE_FILE) {
            Ok(bytes) => bytes,
            Err(problem) => return self.cannot_read(&path, &problem),
        };
        let mut builder = GitignoreBuilder::new("");
        for (index, line) in String::from_utf8_lossy(&bytes).lines().enumerate() {
            let line = line.trim_start_matches('\u{feff}');
            if let Err(error) = builder.add_line(None, line) {
                let place = Place {
                    line: index as u32 + 1,
                    column: 1,
                    excerpt: Some(line.into()),
                    ..Place::file(self.people_name(&path))
                };
                let message = format!("not a pattern: {error}");
                let problem = Problem::error("bad-ignore-rule", Some(place), message);
                self.listing.problems.push(problem);
            }
        }
        if let Ok(matcher) = builder.build() {
            rules.push(Rules {
                folder: folder.to_owned(),
                matcher: Arc::new(matcher),
            });
        }
    }

    fn bad_name(&mut self, folder: &str, name: &OsStr) {
        let shown = name.as_encoded_bytes().escape_ascii().to_string();
        let place = Place::file(self.people_name(&join(folder, &shown)));
        let message = "its name is not plain UTF-8 text, so it is not read";
        let problem = Problem::error("bad-file-name", Some(place), message);
        self.listing.problems.push(problem.hint("rename it"));
        self.listing.is_incomplete = true;
    }

    /// What was listed and is gone means that the folder changes under us.
    fn cannot_read(&mut self, path: &str, problem: &ReadProblem) {
        self.listing.is_disturbed |= *problem == ReadProblem::Missing;
        self.leave_out(path, problem);
    }

    fn leave_out(&mut self, path: &str, problem: &ReadProblem) {
        self.listing.is_incomplete = true;
        let place = Place::file(self.people_name(path));
        self.listing.problems.push(unreadable(place, problem));
    }

    fn warn(&mut self, path: &str, message: &str) {
        let place = Place::file(self.people_name(path));
        let problem = Problem::warning("not-a-file", Some(place), message);
        self.listing.problems.push(problem);
    }

    fn people_name(&self, path: &str) -> String {
        join(self.name, path)
    }
}

/// The finding that a file or folder of a root cannot be read.
pub(super) fn unreadable(place: Place, problem: &ReadProblem) -> Problem {
    let found = Problem::error(
        "unreadable",
        Some(place),
        format!("cannot be read: {problem}"),
    );
    match problem {
        ReadProblem::Outside => {
            found.hint("links must stay inside the manifest root; or give that folder as a root")
        }
        ReadProblem::Missing => found.hint("remove the link, or restore what it leads to"),
        ReadProblem::Denied => found.hint("let the user that runs freshen read it"),
        _ => found,
    }
}

/// `folder/name`, where the root is the empty folder.
pub(super) fn join(folder: &str, name: &str) -> String {
    match (folder.is_empty(), name.is_empty()) {
        (true, _) => name.to_owned(),
        (_, true) => folder.to_owned(),
        _ if folder.ends_with('/') => format!("{folder}{name}"),
        _ => format!("{folder}/{name}"),
    }
}

/// Dot files and folders, and what editors leave behind.
fn is_hidden(name: &OsStr) -> bool {
    let bytes = name.as_encoded_bytes();
    bytes.starts_with(b".") || bytes.starts_with(b"#") || bytes.ends_with(b"~")
}

fn has_manifest_ending(name: &OsStr) -> bool {
    let bytes = name.as_encoded_bytes();
    bytes.ends_with(b".yaml") || bytes.ends_with(b".yml")
}

fn is_printable(name: &str) -> bool {
    !name.chars().any(char::is_control)
}

/// As git has it: of the rules that match, the deepest and last one decides.
fn is_ignored(rules: &[Rules], path: &str, is_folder: bool) -> bool {
    for rule in rules.iter().rev() {
        let inner = path.strip_prefix(&*rule.folder).unwrap_or(path);
        let inner = inner.trim_start_matches('/');
        match rule.matcher.matched(inner, is_folder) {
            Match::Ignore(_) => return true,
            Match::Whitelist(_) => return false,
            Match::None => {}
        }
    }
    false
}
