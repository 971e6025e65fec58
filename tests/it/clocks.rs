//! A daemon whose wall clock is set while it runs, as the libfaketime of
//! Debian's `faketime` does it; the clock that never jumps goes on.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use freshen::sandbox::{Failure, Faults, Options, Sandbox};

use crate::keeper::Keeper;
use crate::world::{ROOT, World, items};

/// Seconds that no test takes, and that a leap is larger than.
const HOUR: i64 = 3600;

const YEAR: i64 = 365 * 24 * HOUR;

/// The library that a program's clock is set with.
fn library() -> PathBuf {
    let mut folders = fs::read_dir("/usr/lib").unwrap();
    let found = folders.find_map(|folder| {
        let path = folder.unwrap().path().join("faketime/libfaketimeMT.so.1");
        path.exists().then_some(path)
    });
    found.expect("libfaketime is needed: apt-get install faketime")
}

/// Sets the clock of the daemon in this world off by so many seconds.
fn set_clock(world: &World, seconds: i64) {
    world.write("clock.new", &format!("{seconds:+}\n"));
    let new = world.folder().join("clock.new");
    fs::rename(new, world.folder().join("clock")).unwrap();
}

/// The daemon in this world, which has been through its first pass.
fn keeper(world: &World) -> Keeper {
    let keeper = start(world, &["--bootstrap", "adopt"]);
    keeper.wait_until("the first pass", |keeper| keeper.passes() > 0);
    keeper
}

/// The daemon in this world, by a clock that can be set.
fn start(world: &World, arguments: &[&str]) -> Keeper {
    set_clock(world, 0);
    let mut daemon = world.daemon(arguments);
    daemon
        .env("LD_PRELOAD", library())
        .env("FAKETIME_TIMESTAMP_FILE", world.folder().join("clock"))
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env("NO_FAKE_STAT", "1");
    Keeper::start_with(daemon)
}

fn url(asset: &str) -> String {
    format!("{ROOT}/{asset}")
}

fn throttled(seconds: u32) -> Failure {
    Failure::Status {
        status: 429,
        retry_after: Some(seconds.to_string()),
    }
}

/// When the last pass ended, by the daemon's clock and in seconds from ours.
fn off_by(keeper: &Keeper) -> f64 {
    let told = keeper.metric("freshen_last_reconcile_timestamp_seconds");
    told.unwrap() - jiff::Timestamp::now().as_second() as f64
}

#[test]
fn a_change_is_sent_and_nothing_else_wherever_the_clock_leaps() {
    let world = World::new("");
    world.set("set", "  assets: [a]");
    let keeper = keeper(&world);
    let mut expected = Vec::new();
    for (n, off) in [YEAR, -HOUR, 0, -YEAR, HOUR].into_iter().enumerate() {
        set_clock(&world, off);
        expected.push(format!("n{n}"));
        let set = format!("  assets: [a, {}]", expected.join(", "));
        world.set("set", &set);
        world.wait_until("the new URL", |world| world.accepted().len() > n);
        keeper.wait_until("its pass", |keeper| {
            (off_by(keeper) - off as f64).abs() < 600.0
        });
        assert_eq!(keeper.get("/-/healthy").status, 200);
        assert_eq!(keeper.get("/-/ready").status, 200);
    }
    let expected: Vec<Vec<String>> = expected.iter().map(|id| vec![url(id)]).collect();
    assert_eq!(world.accepted(), expected);
}

#[test]
fn a_wait_that_was_told_grows_by_no_leap_backwards() {
    let world = World::new("");
    world.set("set", "  assets: [a]");
    let keeper = keeper(&world);
    world.sandbox.fail(throttled(3), Some(1));
    world.set("set", "  assets: [a, b]");
    keeper.wait_until("the wait", |keeper| {
        let told = keeper.metric("freshen_retry_after_seconds{cdn=\"dynamic-media\"}");
        told.is_some_and(|seconds| seconds > 0.0)
    });
    set_clock(&world, -YEAR);
    let start = Instant::now();
    world.wait_until("what waited", |world| {
        items(&world.accepted()).contains(&url("b"))
    });
    assert!(start.elapsed() < Duration::from_mins(1));
}

#[test]
fn a_rate_gives_no_less_for_a_leap_backwards() {
    let world =
        World::new("batch: { maxUrls: 1 }\n  rateLimit: { requests: 6/3s, urls: 1000000/1s }");
    world.set("set", "  assets: [a]");
    let _keeper = keeper(&world);
    let many: Vec<String> = (0..12).map(|n| format!("n{n}")).collect();
    world.set("set", &format!("  assets: [a, {}]", many.join(", ")));
    world.wait_until("the burst", |world| world.accepted().len() > 4);
    set_clock(&world, -HOUR);
    let start = Instant::now();
    world.wait_until("the rest", |world| world.accepted().len() == 12);
    assert!(start.elapsed() < Duration::from_mins(1));
}

#[test]
fn what_is_asked_for_is_seen_at_once_after_a_leap_backwards() {
    let world = World::new("");
    world.set("set", "  cdns: [dynamic-media]\n  assets: [a]");
    let other = Sandbox::start(Options::default()).unwrap();
    let cdn = world.cdn("other", "");
    let cdn = cdn.replace(&world.sandbox.endpoint(), &other.endpoint());
    world.write("manifests/other.yaml", &cdn);
    world.set("far", "  cdns: [other]\n  assets: [x]");
    let keeper = keeper(&world);
    other.fail(throttled(3000), None);
    world.set("far", "  cdns: [other]\n  assets: [x, y]");
    keeper.wait_until("the wait", |keeper| {
        let told = keeper.metric("freshen_retry_after_seconds{cdn=\"other\"}");
        told.is_some_and(|seconds| seconds > 1000.0)
    });
    set_clock(&world, -HOUR);
    let start = Instant::now();
    world.ends(0, &["invalidate", "set", "--asset", "a"]);
    world.wait_until("what was asked for", |world| {
        items(&world.accepted()).contains(&url("a"))
    });
    assert!(start.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_target_that_stopped_is_tried_again_after_a_leap_either_way() {
    for off in [HOUR, -HOUR] {
        let world = World::new("");
        world.set("set", "  assets: [a]");
        let keeper = keeper(&world);
        world.sandbox.fail(Failure::Code(20_000), None);
        world.set("set", "  assets: [a, b]");
        keeper.wait_until("a halted target", |keeper| {
            keeper.get("/api/v1/status").body.contains("misconfigured")
        });
        world.sandbox.set_faults(Faults::default());
        set_clock(&world, off);
        world.wait_until("another try", |world| {
            items(&world.accepted()).contains(&url("b"))
        });
    }
}

#[test]
fn an_observer_looks_at_the_state_again_after_a_leap_backwards() {
    let world = World::new("");
    world.set("set", "  assets: [a]");
    let keeper = start(&world, &["--observe"]);
    keeper.wait_for_log("items=1");
    world.sends(0);
    set_clock(&world, -HOUR);
    keeper.wait_for_log("items=0");
}
