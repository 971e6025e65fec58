//! The short way: where nothing that the last run looked at looks otherwise,
//! nothing is read, and the answer is the one of the long way.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use freshen::declare::{Options, declare};
use freshen::load::{Footprint, Index, scan_with};
use freshen::state::{Holder, Store};

use crate::keeper::Keeper;
use crate::program::run;
use crate::world::{ROOT, World, items};

/// What the state is made to say, which no manifest does.
const FALSE: &str = "777 sets unchanged";

/// Files are not known by their looks until they are older than this.
const OLD: Duration = Duration::from_millis(2_001);

/// The set `set`, told long enough ago for that to be taken down.
fn converged(cdn: &str, set: &str) -> World {
    let world = World::new(cdn);
    world.set("set", set);
    let_age(&world);
    world.sends(0);
    assert!(is_taken_down(&world));
    world
}

fn state(world: &World) -> rusqlite::Connection {
    rusqlite::Connection::open(world.folder().join("freshen.db")).unwrap()
}

fn is_taken_down(world: &World) -> bool {
    let sql = "SELECT EXISTS (SELECT 1 FROM converged JOIN meta USING (one, serial))";
    state(world).query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Makes what was taken down tell of sets and a Cdn that nobody has declared, and
/// hold for whatever has been written since.
fn falsify(world: &World) {
    let sql = r#"UPDATE converged SET sets = 777, cdns = '["nobody"]',
        serial = (SELECT serial FROM meta)"#;
    assert_eq!(state(world).execute(sql, []).unwrap(), 1);
}

fn forget(world: &World) {
    state(world).execute("DELETE FROM converged", []).unwrap();
}

/// Whether a plan goes the short way.
fn is_short(world: &World, arguments: &[&str]) -> bool {
    let said = world.freshen(&[&["plan"], arguments].concat());
    format!("{}{}", said.stdout, said.stderr).contains(FALSE)
}

#[test]
fn nothing_is_read_while_nothing_looks_otherwise() {
    let world = converged("", "  assets: [a, b]");
    falsify(&world);
    for arguments in [&[][..], &["-vv"], &["--detailed-exitcode"]] {
        assert!(is_short(&world, arguments), "{arguments:?}");
    }
    for arguments in [
        &["--output", "json"][..],
        &["--save", "saved.json"],
        &["--max-expansion", "100"],
        &["--manifests", "manifests", "--manifests", "more"],
    ] {
        assert!(!is_short(&world, arguments), "{arguments:?}");
    }
    for format in ["text", "json", "markdown"] {
        let said = world.ends(0, &["reconcile", "--output", format]);
        assert!(said.contains("nobody"), "{format}: {said}");
    }
    for arguments in [&["--set", "set"][..], &["--metrics-file", "metrics"]] {
        let said = world.ends(0, &[&["reconcile"], arguments].concat());
        assert!(!said.contains("nobody"), "{arguments:?}: {said}");
        falsify(&world);
    }
    let path = world.folder().join("manifests/set.yaml");
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    assert!(!is_short(&world, &[]), "touched");
}

#[test]
fn the_short_way_says_what_the_long_way_says() {
    let world = converged("", "  assets: [a, b]");
    let mut commands = vec![vec!["plan"], vec!["reconcile"], vec!["plan", "--save", "s"]];
    for format in ["json", "jsonl", "markdown", "github"] {
        commands.push(vec!["plan", "--output", format]);
        commands.push(vec!["reconcile", "--output", format]);
    }
    let answer = |command: &[&str]| {
        let summary = world.folder().join("summary");
        fs::write(&summary, "").unwrap();
        let mut process = world.command(command);
        let outputs = ["GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT"];
        process.envs(outputs.map(|name| (name, &summary)));
        let run = run(&mut process);
        let added = fs::read_to_string(summary).unwrap();
        (run.code, run.stdout, run.stderr, added)
    };
    let short: Vec<_> = commands.iter().map(|command| answer(command)).collect();
    assert!(is_taken_down(&world), "none of them writes");
    for (command, short) in commands.iter().zip(short) {
        forget(&world);
        assert_eq!(short, answer(command), "{command:?}");
    }
}

#[test]
fn whatever_is_written_or_asked_for_takes_the_long_way() {
    let world = converged("", "  assets: [a, b]");
    falsify(&world);
    assert!(is_short(&world, &[]));
    world.ends(0, &["suspend", "--set", "set"]);
    assert!(!is_short(&world, &[]), "suspended");
    world.ends(0, &["resume", "--set", "set"]);
    falsify(&world);
    assert!(is_short(&world, &[]));
    // Left as it is beside a daemon that holds the state.
    let sql = "INSERT INTO request(kind, arg, by, at_ms) VALUES ('invalidate', '{}', 'me', 0)";
    state(&world).execute(sql, []).unwrap();
    assert!(!is_short(&world, &[]), "asked for");
}

#[test]
fn what_time_alone_brings_is_not_slept_through() {
    let later = "  notBefore: 2099-01-01T00:00:00Z\n  assets: [a, b]";
    for (cdn, set) in [("repeat: 2h", "  assets: [a]"), ("", later)] {
        let world = World::new(cdn);
        world.set("set", set);
        world.freshen(&["reconcile"]);
        let_age(&world);
        world.freshen(&["reconcile"]);
        assert!(!is_taken_down(&world), "{cdn} {set}");
    }
    let world = World::new("");
    world.set("set", "  assets: [a, b]");
    world.set("gone", "  assets: [c]");
    world.sends(0);
    world.remove("manifests/gone.yaml");
    let_age(&world);
    assert!(world.sends(0).is_empty());
    assert!(
        !is_taken_down(&world),
        "a set that is gone is forgotten in time"
    );
}

/// Waits until files that are there are old enough to be known by their looks.
fn let_age(world: &World) {
    world.write("now", "");
    let now = fs::metadata(world.folder().join("now")).unwrap();
    let now = now.modified().unwrap();
    world.wait_until("files are old", |_| {
        now.elapsed().is_ok_and(|age| age > OLD)
    });
}

#[test]
fn what_needs_a_word_is_said_again() {
    let world = World::new("batch: { maxUrls: 2000 }");
    world.set("set", "  assets: [a, b]");
    world.sends(0);
    let said = world.ends(0, &["plan"]);
    assert!(said.contains("warning"), "{said}");
    let_age(&world);
    world.sends(0);
    assert!(!is_taken_down(&world));
}

#[test]
fn a_state_that_is_held_is_held() {
    let world = converged("", "  assets: [a, b]");
    falsify(&world);
    let holder = Holder {
        pid: std::process::id(),
        host: "here".to_owned(),
        command: "a test".to_owned(),
        since_ms: 0,
    };
    let store = Store::open(&world.folder().join("freshen.db"), &holder, 0).unwrap();
    assert!(is_short(&world, &[]), "a plan holds nothing");
    world.ends(5, &["reconcile"]);
    drop(store);
    assert!(
        world
            .ends(0, &["reconcile", "-o", "json"])
            .contains("nobody")
    );
}

#[test]
fn a_state_that_is_imported_tells_nothing_of_what_was_recorded_here() {
    let world = converged("", "  assets: [a, b]");
    world.ends(0, &["state", "export", "copy.db"]);
    world.ends(0, &["state", "import", "--force", "copy.db"]);
    let sql = "SELECT count(*) FROM converged";
    let rows: i64 = state(&world).query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 0);
}

#[test]
fn a_daemon_sees_what_it_could_not_read_become_readable() {
    let world = World::new("");
    world.set("other", "  assets: [x]");
    // Nothing is looked for in a hidden folder, so that no listing tells of it.
    world.set(
        "set",
        "  assetsFrom: [{ file: .list/ids.txt, type: Image }]",
    );
    let ids = world.folder().join("manifests/.list/ids.txt");
    fs::create_dir_all(&ids).unwrap();
    let keeper = Keeper::start(&world, &["--bootstrap", "adopt"]);
    keeper.wait_until("everything is read", |keeper| keeper.passes() > 0);
    fs::remove_dir(&ids).unwrap();
    fs::write(&ids, "a\n").unwrap();
    let url = format!("{ROOT}/a");
    keeper.wait_until("the ids are sent", |_| {
        items(&world.accepted()).contains(&url)
    });
}

/// What a scan of `root`, begun at that time, has looked at.
fn footprint(root: &Path, begun_ms: i64) -> Option<Footprint> {
    let options = Options {
        manifests: vec![root.to_owned()],
        max_expansion: 1_000,
        known: Arc::default(),
    };
    let index = Arc::new(Index::default());
    index.begin(begun_ms);
    let looked_at = scan_with(&index, &options.manifests, |tree| {
        let declared = declare(tree, &options);
        assert_eq!(declared.sets.len(), 2, "{:?}", declared.problems);
        tree.looks()?.footprint()
    });
    looked_at.unwrap()
}

/// So late that everything is older than its times can tell.
const LATE: i64 = i64::MAX;

/// Sets with all that a scan looks at: folders, links, ignored files, ids and
/// files of assets.
fn site() -> World {
    let world = World::new("");
    world.write("manifests/ids.txt", "a\nb\n");
    world.write("manifests/images/x.jpg", "x");
    world.write("manifests/.v1/far.yaml", &set("far", "assets: [f]"));
    world.write("manifests/.v2/far.yaml", &set("far", "assets: [g]"));
    symlink(".v1", world.folder().join("manifests/current")).unwrap();
    let near = "assets: [x]\n  assetsFrom: [{ file: ids.txt, type: Image }]\n  revisionFrom: { file: 'images/<ID>.jpg' }";
    world.write(
        "manifests/near/set.yaml",
        &set("near", near)
            .replace("ids.txt", "../ids.txt")
            .replace("images/", "../images/"),
    );
    world.write("manifests/images/a.jpg", "a");
    world.write("manifests/images/b.jpg", "b");
    world.write("manifests/.freshenignore", "draft.yaml\n");
    // So that a change shows wherever times go in steps.
    for folder in ["", "near", "images", ".v1", ".v2"] {
        let folder = world.folder().join("manifests").join(folder);
        let folder = File::open(folder).unwrap();
        folder.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    }
    world
}

fn set(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: freshen/v1\nkind: AssetSet\nmetadata: {{ name: {name} }}\nspec:\n  {spec}\n"
    )
}

fn check(deed: impl Fn(&Path), what: &str, is_noticed: bool) {
    let world = site();
    let root: PathBuf = world.folder().join("manifests");
    let before = footprint(&root, LATE).unwrap();
    let roots = [root.clone()];
    assert!(before.is_still(&roots), "before: {what}");
    deed(&root);
    assert_eq!(before.is_still(&roots), !is_noticed, "{what}");
}

type Deed<'a> = &'a dyn Fn(&Path);

#[test]
fn every_change_of_what_was_looked_at_is_noticed() {
    let noticed: [(&str, Deed); 9] = [
        ("a manifest is edited", &|root| {
            append(&root.join("near/set.yaml"));
        }),
        ("a manifest comes", &|root| {
            fs::write(root.join("near/new.yaml"), "").unwrap();
        }),
        ("a manifest goes", &|root| {
            fs::remove_file(root.join("near/set.yaml")).unwrap();
        }),
        ("a folder comes", &|root| {
            fs::create_dir(root.join("near/new")).unwrap();
        }),
        ("a link leads elsewhere", &|root| {
            symlink(".v2", root.join(".next")).unwrap();
            fs::rename(root.join(".next"), root.join("current")).unwrap();
        }),
        ("ids are added", &|root| append(&root.join("ids.txt"))),
        ("a file of an asset is other", &|root| {
            append(&root.join("images/x.jpg"));
        }),
        ("other files are ignored", &|root| {
            append(&root.join(".freshenignore"));
        }),
        ("another folder stands there", &|root| {
            let old = root.with_extension("old");
            fs::rename(root, &old).unwrap();
            fs::create_dir(root).unwrap();
        }),
    ];
    for (what, deed) in noticed {
        check(deed, what, true);
    }
    check(|_| {}, "nothing happens", false);
    check(
        |root| append(&root.join(".v2/far.yaml")),
        "a file that nothing leads to is edited",
        false,
    );
}

fn append(path: &Path) {
    let text = fs::read(path).unwrap();
    fs::write(path, [&text[..], b"\n"].concat()).unwrap();
}

#[test]
fn what_may_change_without_a_trace_leaves_none() {
    let world = site();
    let root = world.folder().join("manifests");
    assert_eq!(footprint(&root, 0), None, "files that are too young");
    assert!(footprint(&root, LATE).is_some());
    symlink("nowhere", root.join("more")).unwrap();
    assert_eq!(
        footprint(&root, LATE),
        None,
        "a link that leads nowhere yet"
    );
}

#[test]
fn what_could_not_be_read_is_tried_again() {
    let world = site();
    let root = world.folder().join("manifests");
    fs::create_dir_all(root.join(".list/ids.txt")).unwrap();
    let looks = |file: &str| {
        let index = Arc::new(Index::default());
        index.begin(LATE);
        let looks = scan_with(&index, std::slice::from_ref(&root), |tree| {
            _ = tree.read(0, file);
            tree.looks()
        });
        looks.unwrap()
    };
    assert!(looks("ids.txt").is_some());
    assert!(
        looks(".list/none.txt").is_some(),
        "it would be seen to come"
    );
    assert!(looks(".list/ids.txt").is_none(), "a folder in its place");
}
