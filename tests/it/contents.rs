//! `revisionFrom`: what a file holds is a revision of its asset.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use freshen::declare::{Options, declare};
use freshen::load::{self, Index};

use crate::keeper::Keeper;
use crate::world::{ROOT, World};

const SET: &str = "  revisionFrom: { file: 'images/<ID>.jpg' }\n  assets: [a, b, c]";

/// The set `set` of three assets, each with an image, told.
fn told() -> World {
    let world = untold();
    assert_eq!(world.sends(0), [urls(["a", "b", "c"])]);
    world
}

fn untold() -> World {
    let world = World::new("");
    for id in ["a", "b", "c"] {
        image(&world, id, &format!("image {id}"));
    }
    world.set("set", SET);
    world
}

fn image(world: &World, id: &str, content: &str) {
    world.write(&format!("manifests/images/{id}.jpg"), content);
}

fn urls<const N: usize>(ids: [&str; N]) -> Vec<String> {
    ids.map(|id| format!("{ROOT}/{id}")).to_vec()
}

fn state(world: &World) -> rusqlite::Connection {
    rusqlite::Connection::open(world.folder().join("freshen.db")).unwrap()
}

/// How many files the state knows.
fn known(world: &World) -> u64 {
    let count = state(world).query_row("SELECT count(*) FROM file", [], |row| row.get(0));
    count.unwrap()
}

/// Reconciles until the state knows so many files: those that were written a
/// moment ago are not taken down yet.
fn until_known(world: &World, count: u64) {
    world.wait_until("the files are known", |world| {
        assert!(world.sends(0).is_empty());
        known(world) == count
    });
}

/// Makes the state believe that the file of `id` held something else.
fn falsify(world: &World, id: &str) {
    let path = world.folder().join(format!("manifests/images/{id}.jpg"));
    let inode = fs::metadata(path).unwrap().ino().cast_signed();
    let sql = "UPDATE file SET digest = zeroblob(32) WHERE inode = ?";
    let state = state(world);
    assert_eq!(state.execute(sql, [inode]).unwrap(), 1);
    // As with anything that is written to it.
    let sql = "UPDATE meta SET serial = serial + 1";
    state.execute(sql, []).unwrap();
}

fn touch(path: &Path, time: SystemTime) {
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(time).unwrap();
}

#[test]
fn other_bytes_send_exactly_their_asset() {
    let world = told();
    assert!(world.sends(0).is_empty());
    image(&world, "b", "image B");
    let plan = world.ends(0, &["plan", "-v"]);
    assert!(plan.contains("1 new revision"), "{plan}");
    assert_eq!(world.sends(0), [urls(["b"])]);
    image(&world, "b", "image b");
    assert_eq!(world.sends(0), [urls(["b"])], "back again");
    assert!(world.sends(0).is_empty());
}

#[test]
fn all_revisions_of_an_asset_count_together() {
    let world = told();
    let assets = SET.replace("[a, b, c]", "[a, { id: b, revision: '2' }, c]");
    world.set("set", &assets);
    assert_eq!(world.sends(0), [urls(["b"])], "its own");
    image(&world, "b", "image B");
    assert_eq!(world.sends(0), [urls(["b"])], "its file's");
    world.set("set", &format!("  revision: '2'\n{assets}"));
    assert_eq!(world.sends(0), [urls(["a", "b", "c"])], "the set's");
}

#[test]
fn a_file_that_is_merely_touched_moved_or_linked_sends_nothing() {
    let world = told();
    let images = world.folder().join("manifests/images");
    touch(&images.join("a.jpg"), SystemTime::UNIX_EPOCH);
    fs::copy(images.join("b.jpg"), images.join("copy")).unwrap();
    fs::rename(images.join("copy"), images.join("b.jpg")).unwrap();
    fs::rename(images.join("c.jpg"), images.join("real.jpg")).unwrap();
    symlink("real.jpg", images.join("c.jpg")).unwrap();
    assert!(world.sends(0).is_empty());
    fs::rename(&images, world.folder().join("manifests/pictures")).unwrap();
    world.set("set", &SET.replace("images/", "pictures/"));
    assert!(world.sends(0).is_empty());
}

#[test]
fn the_file_goes_by_the_id_as_it_was_declared() {
    let world = World::new("");
    world.write("manifests/images/my image%.jpg", "1");
    world.write("manifests/skus.csv", "sku\nmy image%\n");
    let spec =
        "  revisionFrom: { file: 'images/<ID>.jpg' }\n  assetsFrom: [{ csv: skus.csv, id: sku }]";
    world.set("set", spec);
    assert_eq!(world.sends(0), [urls(["my%20image%25"])]);
    world.write("manifests/images/my image%.jpg", "2");
    assert_eq!(world.sends(0), [urls(["my%20image%25"])]);
}

#[test]
fn what_is_known_of_a_file_is_believed_while_nothing_about_it_changes() {
    let world = told();
    until_known(&world, 3);
    falsify(&world, "b");
    let plan = world.ends(0, &["plan", "-vv"]);
    for (id, is_sent) in [("a", false), ("b", true), ("c", false)] {
        let url = format!("{ROOT}/{id}");
        assert_eq!(plan.contains(&url), is_sent, "{plan}");
    }
    let path = world.folder().join("manifests/images/b.jpg");
    touch(&path, SystemTime::UNIX_EPOCH);
    assert!(world.sends(0).is_empty(), "it was read again");
}

#[test]
fn a_manifest_that_is_broken_for_a_while_makes_no_file_unknown() {
    let world = told();
    world.set("other", &SET.replace("[a, b, c]", "[a]"));
    world.sends(0);
    until_known(&world, 3);
    world.set("set", "  nonsense: 1");
    assert!(world.sends(4).is_empty());
    assert_eq!(known(&world), 3);
    world.set("set", &SET.replace("[a, b, c]", "[a, b]"));
    assert!(world.sends(0).is_empty());
    assert_eq!(known(&world), 2, "nobody asks for the third");
}

#[test]
fn a_file_that_may_still_change_under_its_times_is_not_known() {
    let world = told();
    until_known(&world, 3);
    let path = world.folder().join("manifests/images/b.jpg");
    let later = SystemTime::now() + Duration::from_hours(1);
    touch(&path, later);
    assert!(world.sends(0).is_empty());
    until_known(&world, 2);
    image(&world, "b", "image B");
    touch(&path, later);
    assert_eq!(world.sends(0), [urls(["b"])], "same size, same time");
}

#[test]
fn plan_makes_no_state_and_since_looks_at_none() {
    let world = untold();
    world.ends(0, &["plan"]);
    assert!(!world.folder().join("freshen.db").exists());
    world.sends(0);
    until_known(&world, 3);
    let before = fs::read(world.folder().join("freshen.db")).unwrap();
    image(&world, "a", "image A");
    world.ends(0, &["plan"]);
    assert_eq!(fs::read(world.folder().join("freshen.db")).unwrap(), before);
    image(&world, "a", "image a");
    repository(&world);
    falsify(&world, "b");
    for command in ["plan", "reconcile"] {
        let said = world.ends(0, &[command, "--since", "HEAD"]);
        assert!(!said.contains("revision"), "{said}");
    }
    assert_eq!(world.accepted().len(), 1);
}

#[test]
fn every_asset_without_a_file_is_named_and_its_set_alone_is_not_sent() {
    let world = told();
    world.set("other", "  assets: [x]");
    fs::remove_file(world.folder().join("manifests/images/b.jpg")).unwrap();
    image(&world, "a", "image A");
    let ids: Vec<String> = (0..30).map(|n| format!("n{n}")).collect();
    world.write("manifests/skus.txt", &ids.join("\n"));
    world.set(
        "set",
        &format!("{SET}\n  assetsFrom: [{{ file: skus.txt }}]"),
    );
    let sent = world.sends(4);
    assert_eq!(sent, [urls(["x"])]);
    let said = world.ends(4, &["validate"]);
    for part in [
        "set `set`: no revision for asset `b`: cannot read `images/b.jpg`: it does not exist",
        "manifests/set.yaml:5:25",
        "no revision for asset `n18`",
        "set `set`: no revision for 11 more of its assets",
        "keeps its last good state",
    ] {
        assert!(said.contains(part), "no `{part}` in: {said}");
    }
    assert!(!said.contains("`n19`"), "{said}");

    image(&world, "b", "image b");
    world.set("set", SET);
    assert_eq!(world.sends(0), [urls(["a"])], "what was told stays told");
}

#[test]
fn a_file_outside_of_the_root_or_no_file_is_no_revision() {
    let world = World::new("");
    world.write("outside.jpg", "secret");
    world.write("manifests/images/a.jpg", "1");
    world.write("manifests/inside.jpg", "1");
    let images = world.folder().join("manifests/images");
    symlink("../../outside.jpg", images.join("link.jpg")).unwrap();
    symlink("../..", images.join("up")).unwrap();
    fs::create_dir(images.join("folder.jpg")).unwrap();
    let pipe = Command::new("mkfifo").arg(images.join("pipe.jpg")).status();
    assert!(pipe.unwrap().success());
    let spec = "  revisionFrom: { file: 'images/<ID>.jpg' }\n  \
        assets: [a, ../../outside, up/outside, link, folder, pipe, ../inside]";
    world.set("set", spec);
    let absolute = world.folder().join("manifests/images/a");
    let spec = format!(
        "  revisionFrom: {{ file: '<ID>.jpg' }}\n  assets: ['{}']",
        absolute.display()
    );
    world.set("absolute", &spec);
    let said = world.ends(4, &["validate"]);
    let outside = "it lies outside the manifest root";
    let absolute = absolute.display().to_string();
    for (asset, why) in [
        ("../../outside", outside),
        ("up/outside", outside),
        ("link", outside),
        (&absolute, outside),
        ("folder", "it is not a regular file"),
        ("pipe", "it is not a regular file"),
    ] {
        let line = said
            .lines()
            .find(|line| line.contains(&format!("asset `{asset}`:")));
        assert!(
            line.is_some_and(|line| line.contains(why)),
            "{asset}: {said}"
        );
    }
    for fine in ["`a`", "`../inside`"] {
        assert!(!said.contains(fine), "{fine}: {said}");
    }
    assert!(world.sends(4).is_empty());
}

#[test]
fn a_pattern_that_means_nothing_is_an_error() {
    let world = World::new("");
    world.set(
        "token",
        "  revisionFrom: { file: 'images/<id>.jpg' }\n  assets: [a]",
    );
    world.set(
        "none",
        "  revisionFrom: { file: 'images/<ID>.jpg' }\n  urls: ['https://s7d1.scene7.com/is/image/AcmeCorp/u']",
    );
    let said = world.ends(4, &["validate"]);
    for part in [
        "`images/<id>.jpg` holds a token that is not <ID>",
        "`revisionFrom` is about assets, and the set has none",
    ] {
        assert!(said.contains(part), "no `{part}` in: {said}");
    }
}

#[test]
fn a_file_that_changes_during_a_scan_starts_it_again() {
    let world = hidden();
    let index = Arc::new(Index::default());
    for deed in ["image A", "image B"] {
        restarts(&world, &index, &|| hide(&world, "c", deed));
        assert_eq!(index.files_read(), 1 + u64::from(deed == "image A") * 3);
    }
}

#[test]
fn a_file_that_appears_during_a_scan_starts_it_again() {
    let world = hidden();
    world.remove("manifests/.images/c.jpg");
    restarts(&world, &Arc::default(), &|| hide(&world, "c", "image c"));
}

/// The set `set`, with its images in a folder in which no manifest is looked for.
fn hidden() -> World {
    let world = World::new("");
    for id in ["a", "b", "c"] {
        hide(&world, id, &format!("image {id}"));
    }
    world.set("set", &SET.replace("images/", ".images/"));
    world
}

fn hide(world: &World, id: &str, content: &str) {
    world.write(&format!("manifests/.images/{id}.jpg"), content);
}

/// Asserts that a scan sees what `deed` does while it goes on.
fn restarts(world: &World, index: &Arc<Index>, deed: &dyn Fn()) {
    let roots = vec![world.folder().join("manifests")];
    let options = Options {
        manifests: roots.clone(),
        max_expansion: 1_000,
        known: std::sync::Arc::default(),
    };
    let mut seen = Vec::new();
    // So late that every file is older than its times can tell.
    index.begin(i64::MAX);
    load::scan_with(index, &roots, |tree| {
        let declared = declare(tree, &options);
        seen.push(declared.sets.get("set").map(|set| set.inputs));
        if seen.len() == 1 {
            deed();
        }
    })
    .unwrap();
    assert_eq!(seen.len(), 2);
    assert_ne!(seen[0], seen[1]);
    assert!(seen[1].is_some());
}

#[test]
fn a_file_may_be_larger_than_any_other_input() {
    let world = told();
    let path = world.folder().join("manifests/images/b.jpg");
    let file = File::options().write(true).open(path).unwrap();
    file.set_len((1 << 30) + 1).unwrap();
    let plan = format!(
        "ulimit -v 1000000; exec '{}' plan",
        env!("CARGO_BIN_EXE_freshen")
    );
    let output = Command::new("sh")
        .args(["-c", &plan])
        .current_dir(world.folder())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("1 new revision"), "{output:?}");
}

fn git(world: &World, arguments: &[&str]) {
    let done = Command::new("git")
        .arg("-C")
        .arg(world.folder())
        .args(["-c", "user.name=t", "-c", "user.email=t@example.org"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(done.status.success(), "git {arguments:?}: {done:?}");
}

/// Makes what is there now the first commit.
fn repository(world: &World) {
    git(world, &["init", "--quiet", "--initial-branch=main"]);
    git(world, &["add", "manifests"]);
    git(world, &["commit", "--quiet", "--message", "first"]);
}

#[test]
fn since_compares_with_what_the_files_held_at_the_commit() {
    let world = untold();
    repository(&world);
    let since = |reference| world.sends_by(0, &["reconcile", "--since", reference]);
    assert!(since("HEAD").is_empty());
    image(&world, "b", "image B");
    assert_eq!(since("HEAD"), [urls(["b"])]);
    git(
        &world,
        &["commit", "--quiet", "--all", "--message", "second"],
    );
    assert!(since("HEAD").is_empty());
    assert_eq!(since("HEAD~1"), [urls(["b"])]);
}

#[test]
fn since_takes_a_file_in_git_lfs_for_what_it_stands_for() {
    let world = untold();
    let sum = Command::new("sha256sum")
        .arg(world.folder().join("manifests/images/b.jpg"))
        .output()
        .unwrap();
    let sum = String::from_utf8(sum.stdout).unwrap();
    let pointer = format!(
        "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 7\n",
        &sum[..64]
    );
    image(&world, "b", &pointer);
    repository(&world);
    image(&world, "b", "image b");
    let arguments = ["reconcile", "--since", "HEAD"];
    assert!(world.sends_by(0, &arguments).is_empty(), "checked out");
    image(&world, "b", "image B");
    assert_eq!(world.sends_by(0, &arguments), [urls(["b"])]);
}

#[test]
fn since_does_not_guess_where_a_file_was_missing() {
    let world = untold();
    fs::remove_file(world.folder().join("manifests/images/b.jpg")).unwrap();
    repository(&world);
    image(&world, "b", "image b");
    let said = world.ends(4, &["plan", "--since", "HEAD"]);
    let unknown = "what changed in the set `set` since HEAD is not known";
    assert!(said.contains(unknown), "{said}");
}

const HASHED: &str = "freshen_files_hashed_total";

#[test]
fn the_daemon_notices_a_changed_image_and_sends_its_asset() {
    let world = hidden();
    let arguments = ["--bootstrap", "adopt", "--scan-interval", "1h"];
    let keeper = Keeper::start(&world, &arguments);
    keeper.wait_until("the first pass", |keeper| keeper.passes() > 0);
    hide(&world, "b", "image B");
    let is_sent = |id| move |world: &World| world.accepted().last() == Some(&urls([id]));
    world.wait_until("the asset", is_sent("b"));
    world.remove("manifests/.images/c.jpg");
    keeper.wait_until("a broken set", |keeper| {
        keeper.metric("freshen_sets{state=\"invalid\"}") == Some(1.0)
    });
    hide(&world, "c", "image C");
    world.wait_until("the asset", is_sent("c"));
    assert_eq!(world.accepted().len(), 2);
}

#[test]
fn the_daemon_reads_only_what_has_changed() {
    let world = World::new("");
    let ids: Vec<String> = (0..100).map(|n| format!("n{n}")).collect();
    for id in &ids {
        image(&world, id, id);
    }
    world.set("set", &SET.replace("a, b, c", &ids.join(", ")));
    let arguments = ["--bootstrap", "adopt", "--scan-interval", "1s"];
    let mut keeper = Keeper::start(&world, &arguments);
    let hashed = |keeper: &Keeper| keeper.metric(HASHED).unwrap();
    let scans = |keeper: &Keeper| keeper.metric("freshen_scans_total{result=\"unchanged\"}");
    // Once all files are older than their times tell, scans leave them alone.
    keeper.wait_until("a scan that reads nothing", |keeper| {
        let before = (scans(keeper), hashed(keeper));
        keeper.wait_until("another scan", |keeper| scans(keeper) > before.0);
        hashed(keeper) <= before.1
    });
    let before = hashed(&keeper);
    image(&world, "n7", "other");
    world.wait_until("the asset", |world| world.accepted() == [urls(["n7"])]);
    let more = hashed(&keeper) - before;
    assert!((1.0..100.0).contains(&more), "{more}");

    keeper.wait_until("the state knows all but one", |_| known(&world) >= 99);
    keeper.signal("TERM");
    assert_eq!(keeper.ends(), Some(0));
    let keeper = Keeper::start(&world, &[]);
    keeper.wait_until("a pass", |keeper| keeper.passes() > 0);
    assert!(hashed(&keeper) < 100.0, "{}", hashed(&keeper));
}
