//! Watching folders: whatever happens in one is a hint to look again.
//!
//! What an event says is never used. Events name paths that have moved on,
//! differ between editors, and get lost; that there was one is all they tell.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use notify::event::{AccessKind, AccessMode};
use notify::{
    ErrorKind, Event, EventHandler, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
};
use tokio::sync::Notify;

use super::ways::{Guide, Identity, Way, identity};
use crate::load::{PathInRoot, Visited};

/// What watchers say: only ever the latest, so that nothing can queue up.
#[derive(Default)]
pub(super) struct Signals {
    /// Something may have changed inside a root.
    pub(super) inside: Notify,
    /// Something has changed in a folder on the way to a root.
    pub(super) outside: Notify,
    overflows: AtomicU64,
    is_dead: AtomicBool,
}

impl Signals {
    /// How often events were lost because there were too many.
    pub(super) fn overflows(&self) -> u64 {
        self.overflows.load(Ordering::Relaxed)
    }

    /// A watcher has ended, by itself or because it was dropped.
    pub(super) fn end(&self) {
        self.is_dead.store(true, Ordering::Release);
        self.inside.notify_one();
    }

    /// Whether a watcher has ended.
    pub(super) fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::Acquire)
    }
}

/// Receives the events of one watcher, and is dropped when its thread ends.
struct Listener {
    signals: Arc<Signals>,
    signal: fn(&Signals) -> &Notify,
}

impl EventHandler for Listener {
    fn handle_event(&mut self, event: notify::Result<Event>) {
        if event.as_ref().is_ok_and(Event::need_rescan) {
            self.signals.overflows.fetch_add(1, Ordering::Relaxed);
        } else if event.is_ok_and(|event| is_reading(event.kind)) {
            return;
        }
        (self.signal)(&self.signals).notify_one();
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.signals.end();
    }
}

/// Our own scans read, and must not wake us.
fn is_reading(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(kind) => kind != AccessKind::Close(AccessMode::Write),
        _ => false,
    }
}

/// Watches what a scan has been through, and the ways to its roots.
pub(super) struct Watch {
    /// Absolute.
    roots: Vec<PathBuf>,
    inside: Folders,
    /// These have a watcher of their own, because others write there for
    /// reasons of their own: our state often lies beside the manifests.
    outside: Folders,
    ways: Vec<(Way, Option<Identity>)>,
}

impl Watch {
    /// Watches nothing yet.
    pub(super) fn start(roots: Vec<PathBuf>, signals: &Arc<Signals>) -> notify::Result<Self> {
        Ok(Self {
            roots,
            inside: Folders::new(signals, |signals| &signals.inside)?,
            outside: Folders::new(signals, |signals| &signals.outside)?,
            ways: Vec::new(),
        })
    }

    /// Watches exactly what `visited` asks for. Returns whether something may
    /// have happened unseen before that, so that another scan is called for.
    pub(super) fn sync(&mut self, visited: &Visited) -> notify::Result<bool> {
        let mut guide = Guide::default();
        let ways = ways(&self.roots, &mut guide);
        // The scan may have gone the old way: nobody would look at the new one.
        let has_moved = self.ways != ways;
        self.ways = ways;
        let outside = self.ways.iter().flat_map(|(way, _)| way.folders.clone());
        let is_new_outside = self.outside.watch_exactly(outside.collect())?;
        let inside = self.folders_inside(visited, &mut guide);
        let is_new_inside = self.inside.watch_exactly(inside)?;
        Ok(has_moved || is_new_outside || is_new_inside)
    }

    /// Watches one folder, and counts those that `visited` asks for.
    pub(super) fn sample(&mut self, visited: &Visited) -> notify::Result<usize> {
        let mut guide = Guide::default();
        self.ways = ways(&self.roots, &mut guide);
        let outside = self.ways.iter().flat_map(|(way, _)| way.folders.clone());
        let outside: BTreeSet<PathBuf> = outside.collect();
        let inside = self.folders_inside(visited, &mut guide);
        let count = outside.len() + inside.len();
        let one = inside.into_iter().chain(outside).take(1);
        self.inside.watch_exactly(one.collect())?;
        Ok(count)
    }

    /// Whether the roots lead elsewhere than they did when this was synced.
    pub(super) fn has_moved(&self) -> bool {
        ways(&self.roots, &mut Guide::default()) != self.ways
    }

    /// How many folders are watched.
    pub(super) fn folders(&self) -> usize {
        self.inside.watched.len() + self.outside.watched.len()
    }

    /// The folders entered, and those that decide where links and named files lead.
    fn folders_inside(&self, visited: &Visited, guide: &mut Guide) -> BTreeSet<PathBuf> {
        let absolute = |(root, path): &PathInRoot| match path.as_str() {
            "" => self.roots[*root].clone(),
            path => self.roots[*root].join(path),
        };
        let mut folders: BTreeSet<PathBuf> = visited.folders.iter().map(absolute).collect();
        let named = visited.named.iter().chain(&*visited.hashed);
        for followed in visited.links.iter().chain(named) {
            let (end, _) = &self.ways[followed.0];
            let on_the_way = guide.way(&absolute(followed)).folders.into_iter();
            folders.extend(on_the_way.filter(|folder| folder.starts_with(&end.end)));
        }
        folders
    }
}

fn ways(roots: &[PathBuf], guide: &mut Guide) -> Vec<(Way, Option<Identity>)> {
    let way = |root: &PathBuf| {
        let way = guide.way(root);
        let end = identity(&way.end);
        (way, end)
    };
    roots.iter().map(way).collect()
}

/// A watcher, and what it watches.
struct Folders {
    /// There until dropped.
    watcher: Option<RecommendedWatcher>,
    watched: BTreeMap<PathBuf, Option<Identity>>,
}

impl Folders {
    fn new(signals: &Arc<Signals>, signal: fn(&Signals) -> &Notify) -> notify::Result<Self> {
        let listener = Listener {
            signals: Arc::clone(signals),
            signal,
        };
        Ok(Self {
            watcher: Some(RecommendedWatcher::new(
                listener,
                notify::Config::default(),
            )?),
            watched: BTreeMap::new(),
        })
    }

    /// Returns whether any of `folders` was not watched up to now.
    fn watch_exactly(&mut self, folders: BTreeSet<PathBuf>) -> notify::Result<bool> {
        let watched = std::mem::take(&mut self.watched);
        for (path, before) in &watched {
            if !folders.contains(path) || identity(path) != *before {
                // A folder that is gone has lost its watch already.
                self.ask(|watcher| watcher.unwatch(path)).ok();
            }
        }
        let mut is_new = false;
        let mut seen = BTreeSet::new();
        for path in folders {
            let before = identity(&path);
            if before.is_some() && !seen.insert(before) {
                continue;
            }
            // Every folder is watched anew, which costs little: the watcher
            // forgets folders that were renamed, and tells nobody.
            is_new |= self.watch(&path)?;
            let after = identity(&path);
            let is_known = before == after && watched.get(&path) == Some(&after);
            is_new |= !is_known;
            self.watched.insert(path, after.filter(|_| before == after));
        }
        Ok(is_new)
    }

    /// Returns whether the folder is gone. A folder that cannot be watched is
    /// still scanned; a lack of watches is an error, as is a lack of the watcher.
    fn watch(&mut self, path: &Path) -> notify::Result<bool> {
        let watched = self.ask(|watcher| watcher.watch(path, RecursiveMode::NonRecursive));
        match watched {
            Ok(()) => Ok(false),
            Err(error) => match error.kind {
                ErrorKind::MaxFilesWatch | ErrorKind::Generic(_) => Err(error),
                ErrorKind::PathNotFound => Ok(true),
                _ => Ok(false),
            },
        }
    }

    /// The watcher panics once its thread has ended.
    fn ask(
        &mut self,
        question: impl FnOnce(&mut RecommendedWatcher) -> notify::Result<()>,
    ) -> notify::Result<()> {
        let ended = || Err(notify::Error::generic("the watcher has ended"));
        let Some(watcher) = &mut self.watcher else {
            return ended();
        };
        catch_unwind(AssertUnwindSafe(|| question(watcher))).unwrap_or_else(|_| ended())
    }
}

impl Drop for Folders {
    fn drop(&mut self) {
        let watcher = self.watcher.take();
        catch_unwind(AssertUnwindSafe(|| drop(watcher))).ok();
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future as _;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use notify::event::{CreateKind, Flag};

    use super::*;

    /// What one event does: whether it wakes, and the overflows counted.
    fn hear(event: notify::Result<Event>) -> (bool, u64) {
        let signals = Arc::new(Signals::default());
        let mut listener = Listener {
            signals: Arc::clone(&signals),
            signal: |signals| &signals.outside,
        };
        listener.handle_event(event);
        let woken = pin!(signals.outside.notified()).poll(&mut Context::from_waker(Waker::noop()));
        (woken == Poll::Ready(()), signals.overflows())
    }

    #[test]
    fn any_event_is_a_hint_but_reading_is_not() {
        let event = |kind| Ok(Event::new(kind));
        assert_eq!(hear(event(EventKind::Any)), (true, 0));
        assert_eq!(hear(event(EventKind::Create(CreateKind::Any))), (true, 0));
        assert_eq!(hear(Err(notify::Error::generic("odd"))), (true, 0));
        let access = |kind| event(EventKind::Access(kind));
        assert_eq!(hear(access(AccessKind::Open(AccessMode::Any))), (false, 0));
        assert_eq!(
            hear(access(AccessKind::Close(AccessMode::Read))),
            (false, 0)
        );
        assert_eq!(
            hear(access(AccessKind::Close(AccessMode::Write))),
            (true, 0)
        );
    }

    #[test]
    fn lost_events_are_a_hint_and_counted_whatever_they_were() {
        for kind in [EventKind::Other, EventKind::Access(AccessKind::Read)] {
            let event = Event::new(kind).set_flag(Flag::Rescan);
            assert_eq!(hear(Ok(event)), (true, 1));
        }
    }

    #[test]
    fn what_is_not_watched_before_calls_for_another_scan() {
        let top = tempfile::tempdir().unwrap();
        let inner = tempfile::tempdir_in(top.path()).unwrap();
        let name = inner.path().file_name().unwrap().to_str().unwrap();
        let roots = vec![top.path().to_owned()];
        let mut watch = Watch::start(roots, &Arc::default()).unwrap();
        let mut is_behind = |folders: &[&str]| {
            let folders = folders.iter().map(|folder| (0, (*folder).to_owned()));
            let visited = Visited {
                folders: folders.collect(),
                ..Visited::default()
            };
            watch.sync(&visited).unwrap()
        };
        assert!(is_behind(&[""]));
        assert!(!is_behind(&[""]));
        assert!(is_behind(&["", name]));
        assert!(!is_behind(&["", name]));
    }

    #[test]
    fn the_end_of_a_watcher_is_noticed() {
        let signals = Arc::new(Signals::default());
        let watch = Watch::start(Vec::new(), &signals).unwrap();
        assert!(!signals.is_dead());
        drop(watch);
        let start = tokio::time::Instant::now();
        while !signals.is_dead() {
            assert!(start.elapsed().as_secs() < 60, "waited in vain");
            std::thread::yield_now();
        }
    }
}
