//! Working beside, on and against the state file, through the real program.

use std::fs;
use std::path::Path;
use std::process::{Child, Command};

use freshen::sandbox::{Failure, Faults};

use crate::flows::plan_id;
use crate::world::{ROOT, World};

/// A world in which one URL has been sent.
fn settled() -> World {
    let world = World::new("concurrency: 1\n  batch: { maxUrls: 1 }");
    world.set("set", "  assets: [a]");
    assert_eq!(world.sends(0), [[format!("{ROOT}/a")]]);
    world
}

fn git(folder: &Path, arguments: &[&str]) {
    let status = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(arguments)
        .status()
        .unwrap();
    assert!(status.success(), "git {arguments:?}");
}

/// Every command that writes to the state.
const WRITERS: [&[&str]; 8] = [
    &["reconcile"],
    &["invalidate", "set"],
    &["suspend", "--all"],
    &["resume", "--all"],
    &["state", "adopt", "set"],
    &["state", "forget", "set"],
    &["state", "mv", "set", "other"],
    &["state", "import", "copy.db"],
];

/// Every command that writes refuses a state at `state`, and makes nothing.
fn check_misplaced(world: &World, state: &str, why: &str, cure: &str) {
    let before = fs::read(world.folder().join(state)).ok();
    let id = plan_id(&world.ends(3, &["--state", "absent.db", "plan"]));
    let approve: &[&str] = &["approve", &id];
    for writer in WRITERS.into_iter().chain([approve]) {
        let said = world.ends(1, &[&["--state", state], writer].concat());
        assert!(said.contains(why), "{writer:?}: no `{why}` in: {said}");
        assert!(said.contains(cure), "{writer:?}: no `{cure}` in: {said}");
    }
    assert_eq!(fs::read(world.folder().join(state)).ok(), before);
}

#[test]
fn a_state_inside_a_manifest_root_is_refused_by_every_command_that_writes() {
    let world = World::new("");
    world.set("set", "  limits: { maxUrls: 1 }\n  assets: [a, b]");
    check_misplaced(
        &world,
        "manifests/freshen.db",
        "lies inside the manifest root `./manifests`",
        "outside of it with `--state`",
    );
}

#[test]
fn a_state_tracked_by_git_is_refused_by_every_command_that_writes() {
    let world = World::new("");
    world.set("set", "  limits: { maxUrls: 1 }\n  assets: [a, b]");
    world.sends(3);
    git(world.folder(), &["init", "-q"]);
    git(world.folder(), &["add", "freshen.db"]);
    check_misplaced(&world, "freshen.db", "is tracked by git", "git rm --cached");
}

#[test]
fn a_state_is_exported_to_a_bare_name_and_imported_where_it_was_lost() {
    let world = settled();
    world.ends(0, &["state", "export", "copy.db"]);
    let said = world.ends(1, &["state", "export", "copy.db"]);
    assert!(said.contains("`copy.db` exists"), "{said}");
    world.remove("freshen.db");
    world.ends(0, &["state", "import", "copy.db"]);
    assert_eq!(world.sends(0).len(), 0);
    world.ends(0, &["state", "check"]);
}

#[test]
fn another_state_is_imported_only_when_that_is_meant() {
    let world = settled();
    world.ends(0, &["state", "export", "copy.db"]);
    world.remove("freshen.db");
    world.ends(0, &["reconcile"]);
    let said = world.ends(1, &["state", "import", "copy.db"]);
    assert!(said.contains("belongs to another state"), "{said}");
    assert!(said.contains("--force"), "{said}");
    world.ends(0, &["state", "import", "--force", "copy.db"]);
    let said = world.ends(1, &["state", "import", "absent.db"]);
    assert!(said.contains("no state at `absent.db`"), "{said}");
}

#[test]
fn an_id_that_names_no_waiting_plan_approves_nothing() {
    let world = World::new("");
    world.set("set", "  limits: { maxUrls: 1 }\n  assets: [a, b]");
    let unknown = "0123456789abcdef";
    let said = world.ends(1, &["approve", unknown]);
    assert!(
        said.contains(&format!("no plan `{unknown}` waits")),
        "{said}"
    );
    assert!(said.contains("hint: `freshen plan`"), "{said}");
    assert!(!world.folder().join("freshen.db").exists());
    let id = plan_id(&world.ends(3, &["plan"]));
    world.ends(0, &["approve", &id]);
    world.ends(1, &["approve", &id]);
    assert_eq!(world.sends(0).len(), 1);
    world.ends(1, &["approve", &id]);
}

#[test]
fn what_is_older_than_the_history_is_kept_goes_with_the_next_reconcile() {
    let world = settled();
    world.set("set", "  assets: [b]");
    world.sends(0);
    assert_eq!(batches(&world), [2, 1]);
    let conn = rusqlite::Connection::open(world.folder().join("freshen.db")).unwrap();
    conn.execute(
        "UPDATE batch SET opened_ms = 0, closed_ms = 0 WHERE no = 1",
        [],
    )
    .unwrap();
    drop(conn);
    world.ends(0, &["plan"]);
    assert_eq!(batches(&world), [2, 1]);
    assert_eq!(world.sends(0).len(), 0);
    assert_eq!(batches(&world), [2]);
}

#[test]
fn a_finished_run_ends_well_although_old_history_cannot_be_forgotten() {
    let world = settled();
    let conn = rusqlite::Connection::open(world.folder().join("freshen.db")).unwrap();
    conn.execute_batch(
        "UPDATE batch SET opened_ms = 0, closed_ms = 0;
         CREATE TRIGGER kept BEFORE DELETE ON batch BEGIN SELECT RAISE(ABORT, 'kept'); END",
    )
    .unwrap();
    drop(conn);
    let run = world.freshen(&["reconcile"]);
    assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
    assert!(run.stdout.contains("Reconciled"), "{}", run.stdout);
    let warning = "warning: old history was not forgotten: ";
    assert!(run.stderr.starts_with(warning), "{}", run.stderr);
}

/// The numbers of the batches that the history shows.
fn batches(world: &World) -> Vec<i64> {
    let history = world.freshen(&["history", "-o", "json"]).stdout;
    let history: serde_json::Value = serde_json::from_str(&history).unwrap();
    let batches = history["batches"].as_array().unwrap().iter();
    batches
        .map(|batch| batch["number"].as_i64().unwrap())
        .collect()
}

/// Starts to reconcile, and returns once the CDN has seen a batch of it.
fn with_a_call_under_way(world: &World) -> Child {
    let before = world.sandbox.calls().len();
    let running = world.start(&["reconcile"]);
    world.wait_until("the call", |world| world.sandbox.calls().len() > before);
    running
}

#[test]
fn a_held_state_names_its_holder_and_can_still_be_asked_and_read() {
    let world = settled();
    world.set("set", "  assets: [b]");
    world.sandbox.fail(Failure::Hang, Some(1));
    let mut running = with_a_call_under_way(&world);
    let holder = format!("held by `freshen reconcile` (process {} on ", running.id());
    for writer in [&["reconcile"][..], &["state", "import", "copy.db"]] {
        let said = world.ends(5, writer);
        assert!(said.contains(&holder), "{said}");
        assert!(
            said.contains("  hint: wait for it or end process"),
            "{said}"
        );
    }
    world.ends(0, &["plan"]);
    assert!(world.ends(0, &["status"]).contains("freshen reconcile"));
    let said = world.ends(0, &["suspend", "--set", "set"]);
    assert!(said.contains("suspended"), "{said}");
    running.kill().unwrap();
    running.wait().unwrap();
}

/// Asks to end while a call is under way, and returns how the program ended.
fn terminated(world: &World) -> Option<i32> {
    let mut running = with_a_call_under_way(world);
    let terminate = format!("kill -TERM {}", running.id());
    let status = Command::new("sh").args(["-c", &terminate]).status();
    assert!(status.unwrap().success());
    running.wait().unwrap().code()
}

#[test]
fn sigterm_lets_the_call_under_way_finish_and_records_it() {
    let check = |assets: &str, code: i32, left: usize| {
        let world = settled();
        world.set("set", &format!("  assets: [{assets}]"));
        let slow = Faults {
            latency_ms: 4_000,
            ..Faults::default()
        };
        world.sandbox.set_faults(slow);
        assert_eq!(terminated(&world), Some(code), "{assets}");
        world.sandbox.set_faults(Faults::default());
        assert_eq!(batches(&world), [2, 1], "{assets}");
        assert_eq!(world.sends(0).len(), left, "{assets}");
    };
    check("b", 0, 0);
    check("b, c, d", 4, 2);
}
