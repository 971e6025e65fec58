//! The daemon's life: signals, restarts, and what is taken away from it.

use std::fs;
use std::process::Command;

use freshen::sandbox::{Failure, Faults, Rule};

use crate::keeper::Keeper;
use crate::world::{ROOT, World};

const ADOPT: [&str; 2] = ["--bootstrap", "adopt"];

/// A daemon with one call under way: the one that sends `b`.
fn with_a_call_under_way(world: &World, arguments: &[&str], faults: Faults) -> Keeper {
    world.set("set", "  assets: [a]");
    let keeper = Keeper::start(world, &[&["--bootstrap", "invalidate"], arguments].concat());
    // The first call looks the company up, the second one sends.
    world.wait_until("the first URL", |world| !world.accepted().is_empty());
    world.sandbox.set_faults(faults);
    let before = world.sandbox.calls().len();
    world.set("set", "  assets: [a, b]");
    world.wait_until("the call", |world| world.sandbox.calls().len() > before);
    keeper
}

fn slow(latency_ms: u64) -> Faults {
    Faults {
        latency_ms,
        ..Faults::default()
    }
}

/// The service takes calls and never answers.
fn hanging() -> Faults {
    let rule = Rule {
        failure: Failure::Hang,
        times: None,
        operation: None,
    };
    Faults {
        rules: vec![rule],
        ..Faults::default()
    }
}

fn b() -> Vec<String> {
    vec![format!("{ROOT}/b")]
}

#[test]
fn sigterm_finishes_and_records_the_call_under_way() {
    let world = World::new("");
    let mut keeper = with_a_call_under_way(&world, &[], slow(3_000));
    keeper.signal("TERM");
    assert_eq!(keeper.ends(), Some(0), "{}", keeper.log());
    world.sandbox.set_faults(Faults::default());
    assert_eq!(world.accepted().last(), Some(&b()));
    assert_eq!(world.sends(0).len(), 0, "it was recorded");
}

#[test]
fn sigterm_lets_nothing_more_begin() {
    let world = World::new("batch: { maxUrls: 1 }\n  concurrency: 1");
    let mut keeper = with_a_call_under_way(&world, &[], slow(3_000));
    let many: Vec<String> = (0..20).map(|n| format!("n{n}")).collect();
    world.set("set", &format!("  assets: [a, b, {}]", many.join(", ")));
    keeper.wait_until("the next call", |_| world.sandbox.calls().len() > 3);
    keeper.signal("TERM");
    keeper.wait_for_log("finish");
    let before = world.sandbox.calls().len();
    assert_eq!(keeper.ends(), Some(0), "{}", keeper.log());
    assert_eq!(world.sandbox.calls().len(), before);
    world.sandbox.set_faults(Faults::default());
    let told = world.accepted().len();
    assert_eq!(told + world.sends(0).len(), 22, "each went once");
}

#[test]
fn a_second_signal_ends_it_at_once_and_the_next_run_repeats_the_batch() {
    let world = World::new("");
    let mut keeper = with_a_call_under_way(&world, &["--grace", "1h"], hanging());
    keeper.signal("TERM");
    keeper.wait_for_log("finish");
    keeper.signal("TERM");
    assert_eq!(keeper.ends(), Some(4), "{}", keeper.log());
    world.sandbox.set_faults(Faults::default());
    assert_eq!(world.sends(0), [b()]);
}

#[test]
fn what_outlasts_the_grace_is_left_to_the_next_run() {
    let world = World::new("");
    let mut keeper = with_a_call_under_way(&world, &["--grace", "100ms"], hanging());
    keeper.signal("TERM");
    assert_eq!(keeper.ends(), Some(4), "{}", keeper.log());
    world.sandbox.set_faults(Faults::default());
    assert_eq!(world.sends(0), [b()]);
}

#[test]
fn sighup_reads_everything_again_also_during_a_pass() {
    let world = World::new("");
    let keeper = with_a_call_under_way(&world, &[], slow(2_000));
    keeper.signal("HUP");
    keeper.signal("HUP");
    keeper.wait_for_log("reloaded");
    world.sandbox.set_faults(Faults::default());
    world.wait_until("the call", |world| world.accepted().len() == 2);
    let before = keeper.log().matches("reloaded").count();
    keeper.signal("HUP");
    keeper.wait_until("another reload", |keeper| {
        keeper.log().matches("reloaded").count() > before
    });
    assert_eq!(world.accepted().len(), 2);
}

#[test]
fn a_state_whose_file_is_taken_away_is_written_anew() {
    let world = World::new("");
    world.set("set", "  assets: [a]");
    let keeper = Keeper::start(&world, &ADOPT);
    keeper.wait_until("the first pass", |keeper| keeper.passes() > 0);
    let lineage = |world: &World| {
        let said = world.ends(0, &["status", "-o", "json"]);
        let serial = said.split("\"serial\": ").nth(1).unwrap();
        let serial: u64 = serial.split(',').next().unwrap().parse().unwrap();
        serial
    };
    let before = lineage(&world);
    for name in [
        "freshen.db",
        "freshen.db-wal",
        "freshen.db-shm",
        "freshen.db.lock",
    ] {
        drop(fs::remove_file(world.folder().join(name)));
    }
    keeper.wait_for_log("written anew");
    assert!(lineage(&world) >= before);
    let said = world.ends(5, &["reconcile"]);
    assert!(said.contains("freshen run"), "{said}");
    world.set("set", "  assets: [a, b]");
    world.wait_until("only what is new", |world| {
        world.accepted() == [[format!("{ROOT}/b")]]
    });
}

#[test]
fn a_state_that_is_replaced_ends_the_daemon() {
    let world = World::new("");
    world.set("set", "  assets: [a]");
    let mut keeper = Keeper::start(&world, &ADOPT);
    keeper.wait_until("the first pass", |keeper| keeper.passes() > 0);
    let state = world.folder().join("freshen.db");
    world.write("other.db", "");
    fs::rename(world.folder().join("other.db"), state).unwrap();
    assert_eq!(keeper.ends(), Some(1));
    assert!(keeper.log().contains("another file"), "{}", keeper.log());
}

#[test]
fn a_wait_outlives_the_daemon_that_was_told() {
    let world = World::new("");
    world.set("set", "  assets: [a]");
    let mut keeper = Keeper::start(&world, &ADOPT);
    keeper.wait_until("the first pass", |keeper| keeper.passes() > 0);
    let throttled = Failure::Status {
        status: 429,
        retry_after: Some("3600".to_owned()),
    };
    world.sandbox.fail(throttled, Some(1));
    world.set("set", "  assets: [a, b]");
    keeper.wait_until("the answer", |keeper| {
        keeper
            .metric("freshen_retry_after_seconds{cdn=\"dynamic-media\"}")
            .is_some_and(|seconds| seconds > 3000.0)
    });
    keeper.signal("TERM");
    assert_eq!(keeper.ends(), Some(0));
    let calls = world.sandbox.calls().len();
    let keeper = Keeper::start(&world, &[]);
    keeper.wait_until("the wait", |keeper| {
        keeper
            .metric("freshen_retry_after_seconds{cdn=\"dynamic-media\"}")
            .is_some_and(|seconds| seconds > 3000.0)
    });
    assert_eq!(world.sandbox.calls().len(), calls);
}

#[test]
fn an_address_in_use_is_told_before_anything_is_started() {
    let world = World::new("");
    world.set("set", "  assets: [a]");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = world.ends(1, &["run", "--bootstrap", "adopt", "--listen", &address]);
    for part in [&address[..], "nothing was started", "--listen"] {
        assert!(said.contains(part), "no `{part}` in: {said}");
    }
}

#[test]
fn without_a_watcher_it_says_so_once_and_goes_by_scanning() {
    let world = World::new("");
    world.set("set", "  assets: [a]");
    let daemon = world.daemon(&["--bootstrap", "adopt", "--scan-interval", "1s"]);
    let blind = "echo 0 > /proc/sys/user/max_inotify_instances; exec \"$0\" \"$@\"";
    let arguments = ["--user", "--map-root-user", "sh", "-ec", blind];
    let keeper = Keeper::start_with(inside("unshare", &arguments, &daemon));
    keeper.wait_until("the first pass", |keeper| keeper.passes() > 0);
    for asset in ["b", "c"] {
        world.set("set", &format!("  assets: [a, {asset}]"));
        world.wait_until("what is new", |world| {
            world.accepted().last() == Some(&vec![format!("{ROOT}/{asset}")])
        });
    }
    let mode = |mode| keeper.metric(&format!("freshen_watcher_mode{{mode=\"{mode}\"}}"));
    assert_eq!((mode("events"), mode("polling")), (Some(0.0), Some(1.0)));
    assert_eq!(keeper.log().matches("cannot be watched").count(), 1);
}

#[test]
fn more_events_than_the_kernel_keeps_are_counted_and_hide_no_change() {
    let world = World::new("");
    world.set("set", "  assets: [a]");
    let keeper = Keeper::start(&world, &[&ADOPT[..], &["--scan-interval", "1h"]].concat());
    keeper.wait_until("the first pass", |keeper| keeper.passes() > 0);
    keeper.signal("STOP");
    // The kernel keeps 16,384 unless it is told otherwise.
    for n in 0..20_000 {
        fs::write(world.folder().join(format!("manifests/{n}.txt")), "").unwrap();
    }
    world.set("set", "  assets: [a, b]");
    keeper.signal("CONT");
    world.wait_until("what is new", |world| world.accepted() == [b()]);
    keeper.wait_until("the count", |keeper| {
        let lost = keeper.metric("freshen_watcher_overflows_total");
        lost.is_some_and(|lost| lost > 0.0)
    });
    let mode = keeper.metric("freshen_watcher_mode{mode=\"events\"}");
    assert_eq!(mode, Some(1.0));
}

#[test]
fn a_root_that_is_unmounted_removes_nothing() {
    let world = World::new("");
    world.set("set", "  assets: [a]");
    fs::create_dir(world.folder().join("mounted")).unwrap();
    // Mounts are no events.
    let often = ["--manifests", "mounted", "--scan-interval", "1s"];
    let daemon = world.daemon(&[&ADOPT[..], &often].concat());
    let script = "mount --bind manifests mounted && exec \"$0\" \"$@\"";
    let arguments = ["--mount", "sh", "-ec", script];
    let keeper = Keeper::start_with(inside("unshare", &arguments, &daemon));
    keeper.wait_until("the first pass", |keeper| keeper.passes() > 0);
    let do_inside = |command: &[&str]| {
        let done = Command::new("nsenter")
            .args(["--mount", "--target", &keeper.child.id().to_string()])
            .arg(format!("--wd={}", world.folder().display()))
            .args(command)
            .status();
        assert!(done.unwrap().success(), "{command:?}");
    };
    do_inside(&["umount", "mounted"]);
    keeper.wait_for_log("holds no manifest");
    world.set("set", "  assets: [a, b]");
    do_inside(&["mount", "--bind", "manifests", "mounted"]);
    world.wait_until("only what is new", |world| world.accepted() == [b()]);
}

#[test]
fn a_mistake_in_its_own_options_ends_it_before_anything_is_started() {
    let world = World::new("");
    for (option, value) in [
        ("--notify", "ftp://alerts.example"),
        ("--listen", "everywhere"),
        ("--scan-interval", "0s"),
        ("--allow-endpoint", "ips.example"),
    ] {
        let said = world.ends(64, &["run", "--bootstrap", "adopt", option, value]);
        assert!(said.contains(option), "no `{option}` in: {said}");
        assert!(!world.folder().join("freshen.db").exists(), "{option}");
    }
}

/// `daemon`, started by another program with these arguments.
fn inside(program: &str, arguments: &[&str], daemon: &Command) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .arg(daemon.get_program())
        .args(daemon.get_args())
        .current_dir(daemon.get_current_dir().unwrap())
        .env_clear();
    for (name, value) in daemon.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    command
}

#[test]
fn it_runs_as_process_1_as_nobody_with_nothing_writable_but_its_state() {
    let world = World::new("");
    world.set("set", "  assets: [a]");
    fs::create_dir(world.folder().join("state")).unwrap();
    let daemon = world.daemon(&["--bootstrap", "adopt", "--state", "state/freshen.db"]);
    let script = "chown -R 65532:65532 state && chmod 755 . && \
             mount --bind state state && mount -o remount,ro,bind / 2>/dev/null || true; \
             exec setpriv --reuid 65532 --regid 65532 --clear-groups --no-new-privs \"$0\" \"$@\"";
    let arguments = [
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "sh",
        "-ec",
        script,
    ];
    let keeper = Keeper::start_with(inside("unshare", &arguments, &daemon));
    world.set("set", "  assets: [a, b]");
    world.wait_until("only what is new", |world| {
        world.accepted() == [[format!("{ROOT}/b")]]
    });
    assert_eq!(keeper.get("/-/ready").status, 200);
}
