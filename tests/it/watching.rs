//! The scanner over real folders: every way in which manifests get changed.
//!
//! The regular scan is an hour away unless a test says otherwise, so that a
//! change is found by being noticed, or not at all.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use freshen::daemon::scanner::{self, Handle, Scan, WatchMode};
use freshen::daemon::schedule::Timing;
use freshen::declare::{Declared, Options};
use freshen::load::LoadError;
use freshen::submit::clock::SystemClock;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::timeout;

/// Longer than anything here takes, on any machine.
const PATIENCE: Duration = Duration::from_mins(2);

const HOUR_MS: u64 = 3_600_000;

const CDN: &str = r#"
apiVersion: freshen/v1
kind: Cdn
metadata: { name: dynamic-media }
spec:
  dynamicMedia:
    endpoint: "http://127.0.0.1:1"
    company: AcmeCorp
    publishServers: ["https://s7d1.scene7.com"]
    credentials: { user: { env: IPS_USER }, password: { env: IPS_PASSWORD } }
"#;

/// A set that tells which generation it is of.
fn set(name: &str, generation: u64) -> String {
    format!(
        "apiVersion: freshen/v1\nkind: AssetSet\nmetadata: {{ name: {name} }}\nspec:\n  \
         limits: {{ maxUrls: {generation} }}\n  \
         urls:\n    - https://s7d1.scene7.com/is/image/AcmeCorp/backpack\n"
    )
}

/// A set whose assets are in a file.
fn set_from(name: &str, file: &str) -> String {
    format!(
        "apiVersion: freshen/v1\nkind: AssetSet\nmetadata: {{ name: {name} }}\nspec:\n  \
         assetsFrom:\n    - {{ file: {file}, type: Image }}\n"
    )
}

/// A folder with a root `m` in it, holding a Cdn and these files.
fn site(files: &[(&str, String)]) -> TempDir {
    let top = tempfile::tempdir().unwrap();
    let root = top.path().join("m");
    write(&root, "cdn.yaml", CDN);
    for (path, text) in files {
        write(&root, path, text);
    }
    top
}

fn write(folder: &Path, path: &str, text: &str) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Puts a link in the place of another one in a single step.
fn relink(target: &str, link: &Path) {
    let mut name = link.file_name().unwrap().to_owned();
    name.push("_tmp");
    let temporary = link.with_file_name(name);
    symlink(target, &temporary).unwrap();
    fs::rename(&temporary, link).unwrap();
}

/// A scanner at work.
struct Watched {
    handle: Handle,
    scans: watch::Receiver<Option<Arc<Scan>>>,
    /// All that was published so far.
    published: Arc<Mutex<Vec<Arc<Scan>>>>,
}

impl Watched {
    /// Watches the root of a site, and waits for what is there now.
    async fn site(top: &TempDir) -> Self {
        Self::roots(&[top.path().join("m")]).await
    }

    async fn roots(roots: &[PathBuf]) -> Self {
        Self::timed(roots, Timing::every(HOUR_MS)).await
    }

    async fn timed(roots: &[PathBuf], timing: Timing) -> Self {
        let options = Options {
            manifests: roots.to_vec(),
            max_expansion: 1_000,
            known: std::sync::Arc::default(),
        };
        let (handle, scans) =
            scanner::spawn(options, (Arc::default(), Arc::new(SystemClock)), timing);
        let published = Arc::default();
        tokio::spawn(record(scans.clone(), Arc::clone(&published)));
        let mut watched = Self {
            handle,
            scans,
            published,
        };
        watched.until("the first scan", |_| true).await;
        watched
    }

    /// Waits until what was published last `is_so`.
    async fn until(&mut self, what: &str, is_so: impl Fn(&Declared) -> bool) -> Arc<Scan> {
        let is_so = |scan: &Option<Arc<Scan>>| scan.as_ref().is_some_and(|it| is_so(&it.declared));
        let found = timeout(PATIENCE, self.scans.wait_for(is_so)).await;
        let found = found.unwrap_or_else(|_| panic!("waited in vain: {what}"));
        found.unwrap().clone().unwrap()
    }

    /// Waits until the set is of that generation.
    async fn until_set(&mut self, name: &str, generation: u64) -> Arc<Scan> {
        let what = format!("set {name} of generation {generation}");
        self.until(&what, |it| generation_of(it, name) == Some(generation))
            .await
    }

    /// Waits until something has been parsed that is not published yet.
    async fn until_parsed(&self, parsed: u64) {
        self.until_counted("parsed", |scanner| scanner.statistics().parsed > parsed)
            .await;
    }

    async fn until_counted(&self, what: &str, is_so: impl Fn(&Handle) -> bool) {
        let start = Instant::now();
        while !is_so(&self.handle) {
            assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
            tokio::task::yield_now().await;
        }
    }

    fn number(&self) -> u64 {
        self.scans.borrow().as_ref().unwrap().number
    }

    /// What has been published, in order, without a gap.
    fn published(&self) -> Vec<Arc<Scan>> {
        let published = self.published.lock().unwrap().clone();
        let numbers: Vec<u64> = published.iter().map(|scan| scan.number).collect();
        let expected: Vec<u64> = (1..=published.len() as u64).collect();
        assert_eq!(numbers, expected, "the recorder was too slow");
        published
    }

    /// Asserts that `deed` is noticed, and that nothing is published for it.
    async fn publishes_nothing(&mut self, what: &str, deed: impl FnOnce()) {
        let (number, scans) = (self.number(), self.handle.statistics().scans);
        deed();
        self.until_counted(what, |scanner| scanner.statistics().scans > scans)
            .await;
        self.handle.reload().await.unwrap();
        assert_eq!(self.number(), number, "{what}");
    }
}

async fn record(
    mut scans: watch::Receiver<Option<Arc<Scan>>>,
    published: Arc<Mutex<Vec<Arc<Scan>>>>,
) {
    while scans.changed().await.is_ok() {
        published.lock().unwrap().extend(scans.borrow().clone());
    }
}

fn generation_of(declared: &Declared, set: &str) -> Option<u64> {
    declared.sets.get(set).map(|set| set.limits.max_urls)
}

fn generations(declared: &Declared) -> BTreeSet<u64> {
    declared
        .sets
        .values()
        .map(|set| set.limits.max_urls)
        .collect()
}

// Files that are written in place.

#[tokio::test]
async fn a_file_half_written_and_invalid_is_not_acted_on_before_it_is_complete() {
    let top = site(&[("a.yaml", set("a", 1)), ("b.yaml", set("b", 1))]);
    let root = top.path().join("m");
    let mut watched = Watched::site(&top).await;
    for generation in 2.. {
        let parsed = watched.handle.statistics().parsed;
        let before = watched.published().len();
        let whole = set("a", generation);
        let start = Instant::now();
        write(&root, "a.yaml", &whole[..whole.len() / 2]);
        watched.until_parsed(parsed).await;
        write(&root, "a.yaml", &whole);
        let is_in_time = start.elapsed() < Duration::from_millis(250);
        watched.until_set("a", generation).await;
        // On a busy machine the writer itself may have been too slow.
        if is_in_time {
            let published = watched.published();
            let is_whole = |scan: &Arc<Scan>| scan.declared.sets.len() == 2;
            assert!(published[before..].iter().all(is_whole));
            break;
        }
    }
}

#[tokio::test]
async fn a_file_that_stays_invalid_breaks_its_own_set_alone() {
    let top = site(&[("a.yaml", set("a", 1)), ("b.yaml", set("b", 1))]);
    let mut watched = Watched::site(&top).await;
    write(
        &top.path().join("m"),
        "a.yaml",
        &set("a", 2).replace("urls:", "ruls:"),
    );
    let scan = watched
        .until("the broken set", |it| !it.broken.is_empty())
        .await;
    assert_eq!(scan.declared.broken, ["a"]);
    assert!(scan.declared.is_frozen());
    assert_eq!(generation_of(&scan.declared, "b"), Some(1));
    write(&top.path().join("m"), "a.yaml", &set("a", 3));
    watched.until_set("a", 3).await;
}

/// A file for every byte at which the writer of a set may have got.
#[tokio::test]
async fn a_file_cut_at_any_byte_is_not_acted_on_when_it_is_completed_in_time() {
    let count = set("s000", 1).len();
    let name = |cut: usize| format!("s{cut:03}");
    let top = site(&[]);
    let root = top.path().join("m");
    let write_all = |generation: u64, is_cut: bool| {
        for cut in 0..count {
            let text = set(&name(cut), generation);
            let text = if is_cut { &text[..cut] } else { &text };
            write(&root, &format!("{}.yaml", name(cut)), text);
        }
    };
    write_all(1, false);
    let mut watched = Watched::site(&top).await;
    for generation in 2.. {
        let (number, parsed) = (watched.number(), watched.handle.statistics().parsed);
        let start = Instant::now();
        write_all(generation, true);
        watched.until_parsed(parsed).await;
        write_all(generation, false);
        let is_in_time = start.elapsed() < Duration::from_millis(250);
        let is_all =
            |it: &Declared| it.sets.len() == count && generations(it) == [generation].into();
        watched.until("all files complete", is_all).await;
        // On a busy machine the writer itself may have been too slow.
        if is_in_time {
            assert_eq!(watched.number(), number + 1);
            break;
        }
    }
}

#[tokio::test]
async fn a_save_that_truncates_and_writes_is_seen() {
    let top = site(&[("a.yaml", set("a", 1))]);
    let mut watched = Watched::site(&top).await;
    let mut file = File::create(top.path().join("m/a.yaml")).unwrap();
    for piece in set("a", 2).as_bytes().chunks(16) {
        file.write_all(piece).unwrap();
    }
    drop(file);
    watched.until_set("a", 2).await;
}

// Files that are replaced.

#[tokio::test]
async fn a_save_with_backup_and_swap_file_is_seen() {
    let top = site(&[("a.yaml", set("a", 1))]);
    let mut watched = Watched::site(&top).await;
    let root = top.path().join("m");
    for generation in 2..5 {
        write(&root, ".a.yaml.swp", "swap");
        write(&root, "4913", "");
        fs::remove_file(root.join("4913")).unwrap();
        fs::rename(root.join("a.yaml"), root.join("a.yaml~")).unwrap();
        write(&root, "a.yaml", &set("a", generation));
        fs::remove_file(root.join("a.yaml~")).unwrap();
        fs::remove_file(root.join(".a.yaml.swp")).unwrap();
        watched.until_set("a", generation).await;
    }
    assert!(
        watched
            .published()
            .iter()
            .all(|scan| scan.declared.sets.len() == 1)
    );
}

#[tokio::test]
async fn an_atomic_save_is_seen_every_time() {
    let top = site(&[("a.yaml", set("a", 1))]);
    let mut watched = Watched::site(&top).await;
    let root = top.path().join("m");
    for generation in 2..5 {
        write(&root, "a.yaml.tmp-8f3a", &set("a", generation));
        fs::rename(root.join("a.yaml.tmp-8f3a"), root.join("a.yaml")).unwrap();
        watched.until_set("a", generation).await;
    }
    assert!(
        watched
            .published()
            .iter()
            .all(|scan| scan.declared.sets.len() == 1)
    );
}

#[tokio::test]
async fn what_editors_leave_behind_changes_nothing() {
    let top = site(&[("a.yaml", set("a", 1))]);
    let mut watched = Watched::site(&top).await;
    let root = top.path().join("m");
    for name in [
        "a.yaml~",
        ".a.yaml.swp",
        "4913",
        "#a.yaml#",
        ".goutputstream-X1",
        "a.yaml.tmp",
    ] {
        watched
            .publishes_nothing(name, || write(&root, name, &set("b", 1)))
            .await;
    }
    for name in [".#a.yaml", "..data_tmp"] {
        watched
            .publishes_nothing(name, || symlink("nowhere", root.join(name)).unwrap())
            .await;
    }
}

#[tokio::test]
async fn a_renamed_file_is_never_missing() {
    let top = site(&[("a.yaml", set("a", 1))]);
    let mut watched = Watched::site(&top).await;
    let root = top.path().join("m");
    fs::rename(root.join("a.yaml"), root.join("renamed.yaml")).unwrap();
    let is_renamed = |it: &Declared| {
        it.sets
            .get("a")
            .is_some_and(|set| set.place.file.ends_with("renamed.yaml"))
    };
    watched.until("the new name", is_renamed).await;
    assert!(
        watched
            .published()
            .iter()
            .all(|scan| scan.declared.sets.len() == 1)
    );
}

#[tokio::test]
async fn new_content_with_an_old_time_and_the_same_size_is_seen() {
    let top = site(&[("a.yaml", set("a", 1))]);
    let mut watched = Watched::site(&top).await;
    let path = top.path().join("m/a.yaml");
    for (generation, age) in [(2, Duration::ZERO), (3, Duration::from_hours(1))] {
        let time = fs::metadata(&path).unwrap().modified().unwrap() - age;
        let other = top.path().join("other.yaml");
        fs::write(&other, set("a", generation)).unwrap();
        File::options()
            .write(true)
            .open(&other)
            .unwrap()
            .set_modified(time)
            .unwrap();
        fs::rename(&other, &path).unwrap();
        watched.until_set("a", generation).await;
    }
}

#[tokio::test]
async fn a_touch_or_another_mode_publishes_nothing() {
    let top = site(&[("a.yaml", set("a", 1))]);
    let mut watched = Watched::site(&top).await;
    let path = top.path().join("m/a.yaml");
    let touch = || {
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(SystemTime::now())
            .unwrap();
    };
    watched.publishes_nothing("touch", touch).await;
    let chmod = || fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    watched.publishes_nothing("chmod", chmod).await;
    let text = fs::read(&path).unwrap();
    watched
        .publishes_nothing("the same bytes", || fs::write(&path, &text).unwrap())
        .await;
    assert_eq!(watched.handle.statistics().parsed, 1);
}

#[tokio::test]
async fn reading_wakes_nobody() {
    let top = site(&[("a.yaml", set("a", 1))]);
    let watched = Watched::site(&top).await;
    let settled = watched.handle.reload().await;
    let scans = watched.handle.statistics().scans;
    for _ in 0..100 {
        fs::read(top.path().join("m/a.yaml")).unwrap();
        fs::read_dir(top.path().join("m")).unwrap().count();
    }
    // Events come in order: what follows those of the reads has been seen.
    fs::write(top.path().join("m/note.txt"), "").unwrap();
    watched
        .until_counted("the note", |it| it.statistics().scans > scans)
        .await;
    watched.handle.reload().await.unwrap();
    assert!(watched.handle.statistics().scans <= scans + 3);
    assert!(Arc::ptr_eq(
        &settled.unwrap(),
        &watched.scans.borrow().as_ref().unwrap().declared
    ));
}

// Publishers that swap links.

/// A volume as the kubelet lays it out: `..data` leads to a folder, and each
/// file is a link through it.
struct Volume {
    root: PathBuf,
    /// Links to new files come before the swap, as the kubelet once had it.
    is_links_first: bool,
    last: Option<String>,
}

impl Volume {
    fn publish(&mut self, number: u64, files: &[&str]) {
        let folder = format!("..2026_11_25_{number:02}");
        for file in files {
            let name = file.strip_suffix(".yaml").unwrap();
            let text = if *file == "cdn.yaml" {
                CDN.to_owned()
            } else {
                set(name, number)
            };
            write(&self.root, &format!("{folder}/{file}"), &text);
        }
        if self.is_links_first {
            self.link(files);
        }
        relink(&folder, &self.root.join("..data"));
        self.link(files);
        if let Some(last) = self.last.replace(folder) {
            fs::remove_dir_all(self.root.join(last)).unwrap();
        }
    }

    fn link(&self, files: &[&str]) {
        for file in files {
            let link = self.root.join(file);
            if fs::symlink_metadata(&link).is_err() {
                symlink(format!("..data/{file}"), link).unwrap();
            }
        }
    }
}

#[tokio::test]
async fn every_swap_of_a_mounted_volume_is_seen_whichever_way_links_are_made() {
    for is_links_first in [true, false] {
        let top = tempfile::tempdir().unwrap();
        let root = top.path().join("m");
        fs::create_dir(&root).unwrap();
        let mut volume = Volume {
            root,
            is_links_first,
            last: None,
        };
        volume.publish(1, &["cdn.yaml", "a.yaml", "b.yaml"]);
        let mut watched = Watched::site(&top).await;
        for number in 2..5 {
            volume.publish(number, &["cdn.yaml", "a.yaml", "b.yaml"]);
            watched.until_set("a", number).await;
        }
        // Three in a row, and a new file with the last one.
        volume.publish(5, &["cdn.yaml", "a.yaml", "b.yaml"]);
        volume.publish(6, &["cdn.yaml", "a.yaml", "b.yaml"]);
        volume.publish(7, &["cdn.yaml", "a.yaml", "b.yaml", "c.yaml"]);
        watched
            .until("the new file", |it| {
                it.sets.len() == 3 && generations(it) == [7].into()
            })
            .await;
        for scan in watched.published() {
            assert_eq!(generations(&scan.declared).len(), 1, "a mix");
            assert!(scan.declared.sets.len() >= 2, "something was missing");
        }
    }
}

/// Worktrees beside a link to the one that counts, as git-sync has it.
fn worktree(top: &Path, generation: u64) -> String {
    let tree = format!(".worktrees/{generation:040x}");
    write(top, &format!("{tree}/deploy/cdn.yaml"), CDN);
    write(top, &format!("{tree}/deploy/a.yaml"), &set("a", generation));
    tree
}

#[tokio::test]
async fn every_swap_of_a_worktree_is_seen_with_the_old_one_kept_or_deleted() {
    for is_deleted in [true, false] {
        for below in ["", "deploy"] {
            let top = tempfile::tempdir().unwrap();
            let mut old = worktree(top.path(), 1);
            let link = top.path().join("link");
            symlink(&old, &link).unwrap();
            let mut watched = Watched::roots(&[link.join(below)]).await;
            for generation in 2..5 {
                let new = worktree(top.path(), generation);
                relink(&new, &link);
                if is_deleted {
                    fs::remove_dir_all(top.path().join(&old)).unwrap();
                }
                old = new;
                watched.until_set("a", generation).await;
            }
            // Not by chance: the tree that counts now is watched as well.
            write(top.path(), &format!("{old}/deploy/a.yaml"), &set("a", 9));
            watched.until_set("a", 9).await;
            for scan in watched.published() {
                assert_eq!(scan.declared.sets.len(), 1, "something was missing");
            }
        }
    }
}

#[tokio::test]
async fn a_chain_of_links_on_the_way_to_a_root_is_watched_at_every_step() {
    let top = tempfile::tempdir().unwrap();
    let top = top.path();
    for (folder, generation) in [("x/1", 1), ("x/2", 2), ("y/m", 3), ("z/m", 4)] {
        write(top, &format!("{folder}/cdn.yaml"), CDN);
        write(top, &format!("{folder}/a.yaml"), &set("a", generation));
    }
    symlink("1", top.join("x/m")).unwrap();
    symlink(top.join("x"), top.join("current")).unwrap();
    fs::create_dir(top.join("etc")).unwrap();
    symlink("../current/m", top.join("etc/manifests")).unwrap();
    let mut watched = Watched::roots(&[top.join("etc/manifests")]).await;
    relink("2", &top.join("x/m"));
    watched.until_set("a", 2).await;
    relink("y", &top.join("current"));
    watched.until_set("a", 3).await;
    relink("../z/m", &top.join("etc/manifests"));
    watched.until_set("a", 4).await;
}

#[tokio::test]
async fn only_pure_generations_are_published_while_links_are_swapped_at_full_speed() {
    let top = tempfile::tempdir().unwrap();
    let files: Vec<String> = (0..20).map(|n| format!("s{n}")).collect();
    let publish = {
        let (top, files) = (top.path().to_owned(), files.clone());
        move |generation: u64| {
            let folder = format!("g{generation}");
            write(&top, &format!("{folder}/cdn.yaml"), CDN);
            for name in &files {
                write(
                    &top,
                    &format!("{folder}/{name}.yaml"),
                    &set(name, generation),
                );
            }
            relink(&folder, &top.join("m"));
            fs::remove_dir_all(top.join(format!("g{}", generation.wrapping_sub(1)))).ok();
        }
    };
    publish(1);
    let timing = Timing {
        settle_ms: 10,
        ceiling_ms: 50,
        interval_ms: HOUR_MS,
    };
    let mut watched = Watched::timed(&[top.path().join("m")], timing).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let swapper = thread::spawn({
        let is_over = Arc::clone(&is_over);
        move || {
            let mut generation = 1;
            while !is_over.load(Ordering::Relaxed) {
                generation += 1;
                publish(generation);
            }
            generation
        }
    });
    watched
        .until_counted("many scans", |it| it.statistics().scans > 200)
        .await;
    is_over.store(true, Ordering::Relaxed);
    let last = swapper.join().unwrap();
    watched.until_set("s0", last).await;
    for scan in watched.published() {
        assert_eq!(generations(&scan.declared).len(), 1, "a mix of generations");
        assert_eq!(
            scan.declared.sets.len(),
            files.len(),
            "something was missing"
        );
    }
}

/// As above, but only links inside the root are swapped, between two trees
/// that both stay, which is when a mix looks most plausible.
#[tokio::test]
async fn a_scan_never_mixes_two_trees_that_a_link_inside_the_root_leads_to() {
    let top = site(&[]);
    let root = top.path().join("m");
    for (folder, generation) in [("..one", 1), ("..two", 2)] {
        for n in 0..20 {
            write(
                &root,
                &format!("{folder}/s{n}.yaml"),
                &set(&format!("s{n}"), generation),
            );
        }
    }
    symlink("..one", root.join("..data")).unwrap();
    for n in 0..20 {
        symlink(format!("..data/s{n}.yaml"), root.join(format!("s{n}.yaml"))).unwrap();
    }
    let is_over = Arc::new(AtomicBool::new(false));
    let swapper = thread::spawn({
        let (is_over, link) = (Arc::clone(&is_over), root.join("..data"));
        move || {
            while !is_over.load(Ordering::Relaxed) {
                relink("..two", &link);
                relink("..one", &link);
            }
        }
    });
    let (mut pure, mut unstable) = (0, 0);
    let start = Instant::now();
    while pure < 50 && start.elapsed() < PATIENCE / 4 {
        let seen = freshen::load::scan(std::slice::from_ref(&root), |tree| {
            let texts = tree.files.iter().filter(|file| file.path != "cdn.yaml");
            texts
                .map(|file| file.bytes.windows(10).any(|it| it == b"maxUrls: 1"))
                .collect::<BTreeSet<_>>()
        });
        match seen {
            Ok(generations) => {
                assert_eq!(generations.len(), 1, "a mix");
                pure += 1;
            }
            Err(LoadError::Unstable) => unstable += 1,
        }
    }
    is_over.store(true, Ordering::Relaxed);
    swapper.join().unwrap();
    assert!(pure + unstable > 0);
}

// Roots that come and go.

#[tokio::test]
async fn a_root_whose_link_leads_nowhere_is_missing_until_it_does() {
    let top = tempfile::tempdir().unwrap();
    symlink("later/m", top.path().join("m")).unwrap();
    let mut watched = Watched::site(&top).await;
    let first = watched
        .until("the missing root", |it| !it.empty_roots.is_empty())
        .await;
    assert!(first.declared.is_frozen());
    assert!(first.declared.sets.is_empty());
    write(top.path(), "later/m/cdn.yaml", CDN);
    write(top.path(), "later/m/a.yaml", &set("a", 1));
    let scan = watched.until_set("a", 1).await;
    assert!(!scan.declared.is_frozen());
}

#[tokio::test]
async fn a_root_removed_and_made_again_is_watched_again() {
    let top = site(&[("sub/a.yaml", set("a", 1))]);
    let root = top.path().join("m");
    let mut watched = Watched::site(&top).await;
    for generation in 2..5 {
        fs::remove_dir_all(&root).unwrap();
        if generation == 3 {
            let missing = watched
                .until("the missing root", |it| it.sets.is_empty())
                .await;
            assert!(missing.declared.is_frozen());
        }
        write(&root, "cdn.yaml", CDN);
        write(&root, "sub/a.yaml", &set("a", generation * 10));
        watched.until_set("a", generation * 10).await;
        write(&root, "sub/a.yaml", &set("a", generation * 10 + 1));
        watched.until_set("a", generation * 10 + 1).await;
    }
}

#[tokio::test]
async fn a_root_is_found_again_when_all_that_led_to_it_was_removed() {
    let top = tempfile::tempdir().unwrap();
    let root = top.path().join("x/y/m");
    write(&root, "cdn.yaml", CDN);
    write(&root, "a.yaml", &set("a", 1));
    let mut watched = Watched::roots(std::slice::from_ref(&root)).await;
    fs::remove_dir_all(top.path().join("x")).unwrap();
    watched
        .until("the missing root", |it| it.sets.is_empty())
        .await;
    write(&root, "cdn.yaml", CDN);
    write(&root, "a.yaml", &set("a", 2));
    watched.until_set("a", 2).await;
    write(&root, "a.yaml", &set("a", 3));
    watched.until_set("a", 3).await;
}

#[tokio::test]
async fn an_empty_root_vanishes_nothing() {
    let top = site(&[("a.yaml", set("a", 1))]);
    let root = top.path().join("m");
    let mut watched = Watched::site(&top).await;
    fs::remove_file(root.join("cdn.yaml")).unwrap();
    fs::remove_file(root.join("a.yaml")).unwrap();
    let empty = watched
        .until("the empty root", |it| it.sets.is_empty())
        .await;
    assert_eq!(empty.declared.empty_roots, [root.display().to_string()]);
    assert!(empty.declared.is_frozen());
}

// Folders.

#[tokio::test]
async fn a_file_in_folders_that_were_made_with_it_is_always_seen() {
    let top = site(&[]);
    let root = top.path().join("m");
    let mut watched = Watched::site(&top).await;
    for n in 0..200 {
        write(
            &root,
            &format!("{n}/b/c/set.yaml"),
            &set(&format!("s{n}"), 1),
        );
    }
    watched.until("200 sets", |it| it.sets.len() == 200).await;
    for n in [0, 99, 199] {
        write(
            &root,
            &format!("{n}/b/c/set.yaml"),
            &set(&format!("s{n}"), 2),
        );
        watched.until_set(&format!("s{n}"), 2).await;
    }
}

#[tokio::test]
async fn a_folder_is_watched_on_whatever_becomes_of_its_name() {
    let top = site(&[("x/a.yaml", set("a", 1))]);
    let root = top.path().join("m");
    let mut watched = Watched::site(&top).await;
    // There and back again, so that nothing seems to have happened.
    for generation in [10, 20, 30] {
        fs::rename(root.join("x"), root.join("y")).unwrap();
        fs::rename(root.join("y"), root.join("x")).unwrap();
        watched.handle.reload().await.unwrap();
        write(&root, "x/a.yaml", &set("a", generation));
        watched.until_set("a", generation).await;
        fs::rename(root.join("x"), root.join("y")).unwrap();
        fs::create_dir(root.join("x")).unwrap();
        fs::rename(root.join("y/a.yaml"), root.join("x/a.yaml")).unwrap();
        fs::remove_dir(root.join("y")).unwrap();
        write(&root, "x/a.yaml", &set("a", generation + 1));
        watched.until_set("a", generation + 1).await;
        write(&root, "x/a.yaml", &set("a", generation + 2));
        watched.until_set("a", generation + 2).await;
    }
}

#[tokio::test]
async fn thirty_thousand_files_at_once_hide_no_manifest() {
    let top = site(&[("a.yaml", set("a", 1))]);
    let root = top.path().join("m");
    let mut watched = Watched::site(&top).await;
    let half = |from: usize| {
        let root = root.clone();
        move || {
            for n in (from..30_000).step_by(2) {
                File::create(root.join(format!("{n}.txt"))).unwrap();
            }
        }
    };
    let (even, odd) = (thread::spawn(half(0)), thread::spawn(half(1)));
    even.join().unwrap();
    odd.join().unwrap();
    write(&root, "last.yaml", &set("last", 1));
    watched.until_set("last", 1).await;
    write(&root, "a.yaml", &set("a", 2));
    watched.until_set("a", 2).await;
}

#[tokio::test]
async fn a_storm_that_changes_nothing_hides_no_change() {
    let top = site(&[("a.yaml", set("a", 1))]);
    let root = top.path().join("m");
    let timing = Timing {
        settle_ms: 50,
        ceiling_ms: 500,
        interval_ms: HOUR_MS,
    };
    let mut watched = Watched::timed(std::slice::from_ref(&root), timing).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let storm = thread::spawn({
        let (is_over, path) = (Arc::clone(&is_over), root.join("noise.txt"));
        move || {
            while !is_over.load(Ordering::Relaxed) {
                fs::write(&path, "noise").unwrap();
            }
        }
    });
    let scans = watched.handle.statistics().scans;
    watched
        .until_counted("the storm", |it| it.statistics().scans > scans + 3)
        .await;
    write(&root, "a.yaml", &set("a", 2));
    watched.until_set("a", 2).await;
    is_over.store(true, Ordering::Relaxed);
    storm.join().unwrap();
}

#[tokio::test]
async fn what_others_write_beside_a_root_costs_no_scan() {
    let top = site(&[("a.yaml", set("a", 1))]);
    let mut watched = Watched::site(&top).await;
    watched.handle.reload().await.unwrap();
    let scans = watched.handle.statistics().scans;
    for n in 0..1_000 {
        fs::write(top.path().join("freshen.db-wal"), n.to_string()).unwrap();
    }
    write(&top.path().join("m"), "a.yaml", &set("a", 2));
    watched.until_set("a", 2).await;
    assert!(watched.handle.statistics().scans <= scans + 6);
}

#[tokio::test]
async fn a_checkout_of_500_files_is_published_once_and_whole() {
    let top = tempfile::tempdir().unwrap();
    let root = top.path().join("m");
    write(&root, "cdn.yaml", CDN);
    git(top.path(), &["init", "-q", "-b", "one"]);
    for (branch, generation) in [("one", 1), ("two", 2)] {
        if generation == 2 {
            git(top.path(), &["checkout", "-qb", branch]);
        }
        for n in 0..500 {
            let mut text = set(&format!("s{n}"), generation);
            write!(text, "# {branch}").unwrap();
            write(&root, &format!("{}/s{n}.yaml", n % 10), &text);
        }
        git(top.path(), &["add", "-A"]);
        git(top.path(), &["commit", "-qm", branch]);
    }
    let timing = Timing {
        settle_ms: 1_000,
        ..Timing::every(HOUR_MS)
    };
    let mut watched = Watched::timed(&[root], timing).await;
    for (branch, generation) in [("one", 1), ("two", 2), ("one", 1)] {
        git(top.path(), &["checkout", "-q", branch]);
        watched.until_set("s499", generation).await;
    }
    for scan in watched.published() {
        assert_eq!(scan.declared.sets.len(), 500);
        assert_eq!(generations(&scan.declared).len(), 1, "half a checkout");
    }
}

fn git(folder: &Path, arguments: &[&str]) {
    let done = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(["-c", "user.name=t", "-c", "user.email=t@example.com"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
}

// Files that manifests name.

#[tokio::test]
async fn a_file_that_a_manifest_names_is_watched_wherever_it_is() {
    let top = site(&[
        ("a.yaml", set_from("a", ".ids/skus.txt")),
        ("b.yaml", set_from("b", "lists/link.txt")),
        ("c.yaml", set_from("c", ".later/skus.txt")),
        (".ids/skus.txt", "one\n".to_owned()),
        (".store/1.txt", "one\n".to_owned()),
        (".store/2.txt", "one\ntwo\n".to_owned()),
    ]);
    let root = top.path().join("m");
    fs::create_dir(root.join("lists")).unwrap();
    symlink("../.store/current", root.join("lists/link.txt")).unwrap();
    symlink("1.txt", root.join(".store/current")).unwrap();
    let mut watched = Watched::site(&top).await;
    let mut inputs = watched.until("the sets", |it| it.sets.len() == 2).await;
    let deeds: [(&str, &dyn Fn()); 3] = [
        ("a", &|| write(&root, ".ids/skus.txt", "one\ntwo\n")),
        ("b", &|| relink("2.txt", &root.join(".store/current"))),
        ("b", &|| write(&root, ".store/2.txt", "three\n")),
    ];
    for (name, deed) in deeds {
        deed();
        let before = inputs.declared.sets[name].inputs;
        inputs = watched
            .until(name, |it| it.sets[name].inputs != before)
            .await;
    }
    write(&root, ".later/skus.txt", "one\n");
    watched
        .until("the file that was missing", |it| it.sets.len() == 3)
        .await;
    assert_eq!(watched.handle.statistics().parsed, watched.number());
}

// Asking.

#[tokio::test]
async fn a_reload_answers_with_what_has_settled_also_when_nothing_changed() {
    let top = site(&[("a.yaml", set("a", 1))]);
    let watched = Watched::site(&top).await;
    let first = watched.handle.reload().await.unwrap();
    assert_eq!(generation_of(&first, "a"), Some(1));
    write(&top.path().join("m"), "a.yaml", &set("a", 2));
    let (one, two) = tokio::join!(watched.handle.reload(), watched.handle.reload());
    assert_eq!(generation_of(&one.unwrap(), "a"), Some(2));
    assert_eq!(generation_of(&two.unwrap(), "a"), Some(2));
    assert_eq!(watched.number(), 2);
}

#[tokio::test]
async fn without_a_watcher_the_regular_scan_finds_every_change() {
    for limit in ["max_inotify_instances", "max_inotify_watches"] {
        let output = Command::new("unshare")
            .args(["--user", "--map-root-user", "sh", "-c"])
            .arg(format!("echo 1 > /proc/sys/user/{limit} && exec \"$@\""))
            .arg("sh")
            .arg(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "watching::child_that_cannot_watch",
                "--nocapture",
            ])
            .env("FRESHEN_TEST_BLIND", "1")
            .output()
            .expect("unshare (util-linux) is needed");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{limit}: {output:?}");
        assert_eq!(
            said.matches("cannot be watched").count(),
            1,
            "{limit}: {said}"
        );
        assert!(
            said.contains("fs.inotify.max_user_watches"),
            "{limit}: {said}"
        );
    }
}

/// Not a test of its own: scans where the kernel grants too few watches.
#[tokio::test]
async fn child_that_cannot_watch() {
    if std::env::var_os("FRESHEN_TEST_BLIND").is_none() {
        return;
    }
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let top = site(&[("x/a.yaml", set("a", 1))]);
    let timing = Timing {
        interval_ms: 100,
        ..Timing::every(100)
    };
    let mut watched = Watched::timed(&[top.path().join("m")], timing).await;
    watched
        .until_counted("the fall-back", |it| {
            it.statistics().mode == WatchMode::ScanOnly
        })
        .await;
    assert_eq!(watched.handle.statistics().watched_folders, 0);
    for generation in 2..4 {
        write(&top.path().join("m"), "x/a.yaml", &set("a", generation));
        watched.until_set("a", generation).await;
    }
    assert_eq!(WatchMode::ScanOnly.as_str(), "scan-only");
}
