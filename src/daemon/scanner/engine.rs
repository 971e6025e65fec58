//! The loop of the scanner: one thing at a time, each when it is due.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep_until};

use super::{Answer, Handle, Reply, Scan, ScanError, Shared, WatchMode};
use crate::daemon::reading::{Content, Reading};
use crate::daemon::schedule::{Outcome, Schedule, Timing};
use crate::daemon::watch::Watch;
use crate::load::{LoadError, Visited};

/// Between two looks at where the roots lead, in milliseconds: a folder beside
/// them may be written to all the time.
const LOOK_PAUSE_MS: u64 = 20;

/// Reads what is there, unless it is one of what is known.
pub(super) type Read = dyn Fn(&[Arc<Content>]) -> Result<Reading, LoadError> + Send + Sync;

/// Starts scanning by way of `read`.
pub(super) fn spawn(
    read: Arc<Read>,
    roots: Vec<PathBuf>,
    timing: Timing,
) -> (Handle, watch::Receiver<Option<Arc<Scan>>>) {
    let shared = Arc::new(Shared::default());
    let (publish, scans) = watch::channel(None);
    let (asks, asked) = mpsc::channel(1);
    let scanner = Scanner {
        shared: Arc::clone(&shared),
        read,
        start: Instant::now(),
        timing,
        schedule: Schedule::new(timing),
        watch: None,
        unsynced: None,
        look_ms: None,
        looked_ms: 0,
        acted: None,
        candidate: None,
        is_failing: false,
        waiting: Vec::new(),
        served: Vec::new(),
        number: 0,
        publish,
    };
    tokio::spawn(scanner.run(roots, asked));
    (Handle { shared, asks }, scans)
}

struct Scanner {
    shared: Arc<Shared>,
    read: Arc<Read>,
    start: Instant,
    timing: Timing,
    schedule: Schedule,
    /// Away while a job has it; gone for good when scanning has to do alone.
    watch: Option<Watch>,
    /// Where the last scan has been, until that is watched.
    unsynced: Option<Visited>,
    /// When to look whether the roots lead elsewhere now.
    look_ms: Option<u64>,
    looked_ms: u64,
    acted: Option<Arc<Content>>,
    candidate: Option<Arc<Content>>,
    is_failing: bool,
    /// Who asked since the last scan began, and before.
    waiting: Vec<Ask>,
    served: Vec<Ask>,
    number: u64,
    publish: watch::Sender<Option<Arc<Scan>>>,
}

struct Ask {
    reply: Reply,
    at_ms: u64,
}

/// What is done on a thread that may block; one thing at a time.
enum Job {
    Read(JoinHandle<(Result<Reading, LoadError>, Duration)>),
    Watch(JoinHandle<(Watch, notify::Result<bool>)>),
}

enum Done {
    Read(Result<(Result<Reading, LoadError>, Duration), JoinError>),
    Watch(Result<(Watch, notify::Result<bool>), JoinError>),
}

impl Scanner {
    async fn run(mut self, roots: Vec<PathBuf>, mut asked: mpsc::Receiver<Reply>) {
        let shared = Arc::clone(&self.shared);
        self.start_watching(roots);
        let mut job = None;
        loop {
            if job.is_none() {
                job = self.next_job();
            }
            let wake = self.start + Duration::from_millis(self.wake_ms());
            tokio::select! {
                () = shared.stop.notified() => break,
                reply = asked.recv() => match reply {
                    Some(reply) => self.ask(reply),
                    None => break,
                },
                () = shared.signals.inside.notified() => self.schedule.hint(self.now_ms()),
                () = shared.signals.outside.notified() => self.look_soon(),
                done = finish(&mut job) => {
                    job = None;
                    self.take(done);
                }
                () = sleep_until(wake), if job.is_none() => {}
            }
            if self.watch.is_some() && shared.signals.is_dead() {
                self.scan_alone(&"the watcher has ended");
            }
        }
    }

    fn start_watching(&mut self, roots: Vec<PathBuf>) {
        let absolute = |root: PathBuf| std::path::absolute(&root).unwrap_or(root);
        let roots = roots.into_iter().map(absolute).collect();
        match Watch::start(roots, &self.shared.signals) {
            Ok(watch) => self.watch = Some(watch),
            Err(error) => self.scan_alone(&error),
        }
    }

    fn scan_alone(&mut self, cause: &dyn std::fmt::Display) {
        self.watch = None;
        let mut statistics = self.shared.statistics();
        statistics.mode = WatchMode::ScanOnly;
        statistics.watched_folders = 0;
        tracing::warn!(
            %cause,
            hint = "raise fs.inotify.max_user_watches and fs.inotify.max_user_instances \
                    with sysctl, or scan more often with --scan-interval",
            "the manifest folders cannot be watched: changes are found by scanning alone, every {} s",
            self.timing.interval_ms / 1000,
        );
    }

    fn now_ms(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    fn wake_ms(&self) -> u64 {
        let due_ms = self.schedule.due_ms();
        self.look_ms.map_or(due_ms, |look_ms| look_ms.min(due_ms))
    }

    fn look_soon(&mut self) {
        let soon_ms = self.now_ms().max(self.looked_ms + LOOK_PAUSE_MS);
        self.look_ms.get_or_insert(soon_ms);
    }

    fn ask(&mut self, reply: Reply) {
        let at_ms = self.now_ms();
        self.waiting.push(Ask { reply, at_ms });
        self.schedule.ask();
    }

    /// Starts what is due. Folders that a scan has been through are watched
    /// before anything else, since nothing tells of changes in them till then.
    fn next_job(&mut self) -> Option<Job> {
        if self.watch.is_some()
            && let Some(visited) = self.unsynced.take()
            && let Some(mut watch) = self.watch.take()
        {
            return Some(Job::Watch(spawn_blocking(move || {
                let is_behind = watch.sync(&visited);
                (watch, is_behind)
            })));
        }
        let now_ms = self.now_ms();
        if self.schedule.due_ms() <= now_ms {
            return Some(Job::Read(self.start_reading(now_ms)));
        }
        self.look_ms.take_if(|look_ms| *look_ms <= now_ms)?;
        self.looked_ms = now_ms;
        let watch = self.watch.take()?;
        Some(Job::Watch(spawn_blocking(move || {
            let has_moved = watch.has_moved();
            (watch, Ok(has_moved))
        })))
    }

    fn start_reading(&mut self, now_ms: u64) -> JoinHandle<(Result<Reading, LoadError>, Duration)> {
        self.schedule.begin(now_ms);
        self.served.append(&mut self.waiting);
        let known: Vec<Arc<Content>> = self.acted.iter().chain(&self.candidate).cloned().collect();
        let read = Arc::clone(&self.read);
        spawn_blocking(move || {
            let start = Instant::now();
            let reading = read(&known);
            (reading, start.elapsed())
        })
    }

    fn take(&mut self, done: Done) {
        match done {
            Done::Read(Ok((reading, took))) => {
                self.shared.statistics().last_scan = took;
                self.take_reading(reading.map_err(ScanError::from));
            }
            Done::Read(Err(error)) => {
                tracing::error!(%error, "reading the manifests broke off; it is tried again");
                self.take_reading(Err(ScanError::Panicked));
            }
            Done::Watch(Ok((watch, Ok(is_hint)))) => {
                self.shared.statistics().watched_folders = watch.folders();
                self.watch = Some(watch);
                if is_hint {
                    self.schedule.hint(self.now_ms());
                }
            }
            Done::Watch(Ok((_, Err(error)))) => self.scan_alone(&error),
            Done::Watch(Err(error)) => self.scan_alone(&error),
        }
    }

    fn take_reading(&mut self, reading: Result<Reading, ScanError>) {
        self.count(&reading);
        let read = reading.as_ref().ok();
        let read = read.map(|reading| reading.content.digest());
        let outcome = self.schedule.end(read);
        self.candidate = None;
        let content = match reading {
            Ok(reading) => {
                self.unsynced = Some(reading.visited);
                self.is_failing = false;
                reading.content
            }
            Err(error) => return self.fail(&error),
        };
        match outcome {
            Outcome::Candidate => {
                self.candidate = Some(content);
                self.give_up_on_the_restless();
            }
            Outcome::Settled => {
                self.publish(&content);
                self.acted = Some(Arc::clone(&content));
                self.answer(&Ok(Arc::clone(&content.declared)));
            }
            Outcome::Unchanged => self.answer(&Ok(Arc::clone(&content.declared))),
            Outcome::Failed => {}
        }
    }

    fn count(&self, reading: &Result<Reading, ScanError>) {
        let mut statistics = self.shared.statistics();
        statistics.scans += 1;
        match reading {
            Ok(reading) => {
                statistics.parsed += u64::from(reading.is_new);
                statistics.hashed += reading.hashed;
            }
            Err(ScanError::Unreadable(_)) => statistics.unstable += 1,
            Err(_) => statistics.panicked += 1,
        }
    }

    fn fail(&mut self, error: &ScanError) {
        if !self.is_failing && matches!(error, ScanError::Unreadable(_)) {
            tracing::warn!(
                hint = "what was read before stays in force; it is tried again",
                "the manifests change faster than they can be read"
            );
        }
        self.is_failing = true;
        self.answer(&Err(error.clone()));
    }

    fn publish(&mut self, content: &Content) {
        self.number += 1;
        self.publish.send_replace(Some(Arc::new(Scan {
            declared: Arc::clone(&content.declared),
            digest: content.digest(),
            number: self.number,
        })));
    }

    fn answer(&mut self, answer: &Answer) {
        for ask in self.served.drain(..) {
            // Who asked may have gone away.
            ask.reply.send(answer.clone()).ok();
        }
    }

    /// Tells those who have waited for longer than anything takes to settle.
    fn give_up_on_the_restless(&mut self) {
        let now_ms = self.now_ms();
        let longest_ms = self.timing.ceiling_ms + self.timing.settle_ms;
        let is_over = |ask: &mut Ask| now_ms - ask.at_ms > longest_ms;
        for ask in self.served.extract_if(.., is_over) {
            let unstable = ScanError::Unreadable(LoadError::Unstable);
            ask.reply.send(Err(unstable)).ok();
        }
    }
}

/// Waits for the job there is.
async fn finish(job: &mut Option<Job>) -> Done {
    match job {
        Some(Job::Read(job)) => Done::Read(job.await),
        Some(Job::Watch(job)) => Done::Watch(job.await),
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Mutex, PoisonError};

    use super::*;
    use crate::daemon::reading;
    use crate::daemon::scanner::Statistics;
    use crate::declare::Options;

    const HOUR: Timing = Timing {
        settle_ms: 20,
        ceiling_ms: 400,
        interval_ms: 3_600_000,
    };

    /// A scanner of a missing root; `first` is called before each scan.
    fn scanner(
        timing: Timing,
        first: impl Fn() + Send + Sync + 'static,
    ) -> (
        Handle,
        watch::Receiver<Option<Arc<Scan>>>,
        tempfile::TempDir,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let roots = vec![folder.path().join("none")];
        let options = Options {
            manifests: roots.clone(),
            max_expansion: 1,
            known: Arc::default(),
        };
        let read: Arc<Read> = Arc::new(move |known| {
            first();
            reading::read(&options, (&Arc::default(), 0), known)
        });
        let (handle, scans) = spawn(read, roots, timing);
        (handle, scans, folder)
    }

    async fn until(handle: &Handle, is_so: impl Fn(Statistics) -> bool) {
        let start = Instant::now();
        while !is_so(handle.statistics()) {
            assert!(start.elapsed().as_secs() < 60, "{:?}", handle.statistics());
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_scan_that_panics_is_told_and_the_next_one_goes_on() {
        let is_broken = Arc::new(AtomicBool::new(false));
        let panics = Arc::clone(&is_broken);
        let (handle, _scans, _folder) = scanner(HOUR, move || {
            assert!(!panics.load(Ordering::Relaxed), "a scan breaks off");
        });
        let first = handle.reload().await.unwrap();
        is_broken.store(true, Ordering::Relaxed);
        assert_eq!(handle.reload().await.unwrap_err(), ScanError::Panicked);
        is_broken.store(false, Ordering::Relaxed);
        assert!(Arc::ptr_eq(&handle.reload().await.unwrap(), &first));
        assert!(handle.statistics().panicked >= 1);
    }

    #[tokio::test]
    async fn a_watcher_that_ends_leaves_scanning_alone() {
        let timing = Timing {
            interval_ms: 50,
            ..HOUR
        };
        let (handle, _scans, _folder) = scanner(timing, || ());
        until(&handle, |it| it.watched_folders > 0).await;
        handle.shared.signals.end();
        until(&handle, |it| it.mode == WatchMode::ScanOnly).await;
        let scans = handle.statistics().scans;
        until(&handle, |it| {
            it.scans > scans + 1 && it.watched_folders == 0
        })
        .await;
    }

    #[expect(
        clippy::await_holding_lock,
        reason = "the scan that waits for it is on another thread"
    )]
    #[tokio::test]
    async fn whatever_happens_during_a_scan_leads_to_one_more() {
        let gate = Arc::new(Mutex::new(()));
        let entry = Arc::clone(&gate);
        let (handle, _scans, _folder) = scanner(HOUR, move || {
            drop(entry.lock().unwrap_or_else(PoisonError::into_inner));
        });
        handle.reload().await.unwrap();
        until(&handle, |it| it.watched_folders > 0).await;
        handle.reload().await.unwrap();
        let scans = handle.statistics().scans;
        let closed = gate.lock().unwrap();
        let asked = tokio::spawn({
            let handle = handle.clone();
            async move { handle.reload().await }
        });
        for _ in 0..100 {
            handle.hint();
            tokio::task::yield_now().await;
        }
        drop(closed);
        asked.await.unwrap().unwrap();
        handle.reload().await.unwrap();
        assert!(handle.statistics().scans <= scans + 3);
    }

    #[tokio::test]
    async fn those_who_ask_at_once_share_a_scan() {
        let (handle, _scans, _folder) = scanner(HOUR, || ());
        handle.reload().await.unwrap();
        let scans = handle.statistics().scans;
        let asked: Vec<_> = (0..100)
            .map(|_| {
                let handle = handle.clone();
                tokio::spawn(async move { handle.reload().await })
            })
            .collect();
        for answer in asked {
            answer.await.unwrap().unwrap();
        }
        assert!(handle.statistics().scans < scans + 50);
    }

    #[tokio::test]
    async fn it_stops_when_it_is_told_and_says_so_to_who_asks() {
        let (handle, mut scans, _folder) = scanner(HOUR, || ());
        scans.changed().await.unwrap();
        handle.stop();
        assert!(scans.changed().await.is_err());
        assert_eq!(handle.reload().await.unwrap_err(), ScanError::Stopped);
    }

    #[tokio::test]
    async fn it_stops_with_its_last_handle() {
        let (handle, mut scans, _folder) = scanner(HOUR, || ());
        let other = handle.clone();
        drop(handle);
        scans.changed().await.unwrap();
        drop(other);
        assert!(scans.changed().await.is_err());
    }
}
