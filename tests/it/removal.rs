//! `onRemove: invalidate`: what leaves a set is sent once more.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use freshen::sandbox::{Failure, Faults, Options, Sandbox};
use freshen::state::Store;
use rusqlite::Connection;

use crate::flows::plan_id;
use crate::site::{IMAGES, Site, UNLIMITED, assets};
use crate::verify::Stage;
use crate::world::{ROOT, World, ids, items};

/// The URLs of these assets.
fn urls<const N: usize>(ids: [&str; N]) -> BTreeSet<String> {
    ids.iter().map(|id| format!("{ROOT}/{id}")).collect()
}

/// A world in which the set `set` has told its CDN of these assets.
fn told(assets: &str) -> World {
    let world = World::new("");
    declare(&world, assets);
    world.sends(0);
    world
}

fn declare(world: &World, assets: &str) {
    world.set(
        "set",
        &format!("  onRemove: invalidate\n  assets: [{assets}]"),
    );
}

/// Reconciles; the items that the CDN accepted.
fn sends(world: &World, code: i32) -> BTreeSet<String> {
    items(&world.sends(code))
}

fn state(world: &World) -> Connection {
    Connection::open(world.folder().join("freshen.db")).unwrap()
}

/// Digest and packed size of all that is kept.
fn kept(world: &World) -> Vec<(Vec<u8>, u64)> {
    let sql = "SELECT digest, length(packed) FROM kept_inputs ORDER BY set_id";
    let state = state(world);
    let mut statement = state.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    rows.unwrap().map(Result::unwrap).collect()
}

#[test]
fn what_leaves_a_set_is_sent_once_and_then_never_again() {
    let world = told("a, b, c");
    declare(&world, "a");
    let plan = world.ends(0, &["plan", "-v"]);
    for part in ["2 removed", "/b", "/c", "2 URLs to send in 1 call"] {
        assert!(plan.contains(part), "no `{part}` in: {plan}");
    }
    assert_eq!(sends(&world, 0), urls(["b", "c"]));
    assert!(world.ends(0, &["history"]).contains("2 removed items"));
    for _ in 0..2 {
        assert_eq!(sends(&world, 0), urls([]));
    }
    let said = world.ends(0, &["status"]);
    assert!(
        said.contains("1 URL "),
        "what has left does not count: {said}"
    );
    declare(&world, "a, d");
    assert_eq!(sends(&world, 0), urls(["d"]));
}

#[test]
fn nothing_is_sent_for_what_leaves_a_set_that_does_not_ask_for_it() {
    let world = World::new("");
    world.set("set", "  assets: [a, b]");
    world.sends(0);
    world.set("set", "  onRemove: ignore\n  assets: [a]");
    assert_eq!(sends(&world, 0), urls([]));
    assert_eq!(kept(&world), []);
}

#[test]
fn a_set_that_is_deleted_is_removed_whole() {
    let world = told("a, b");
    world.set("other", "  assets: [z]");
    world.sends(0);
    world.remove("manifests/set.yaml");
    assert!(world.ends(0, &["status"]).contains("pending 2"));
    assert_eq!(sends(&world, 0), urls(["a", "b"]));
    assert_eq!(sends(&world, 0), urls([]));
    assert_eq!(kept(&world), []);
    declare(&world, "a, b");
    assert_eq!(sends(&world, 0), urls(["a", "b"]), "it is new again");
}

#[test]
fn a_truncated_list_is_blocked_and_shown_and_its_restoration_sends_nothing() {
    let world = World::new("");
    let spec = "  onRemove: invalidate\n  limits: { maxUrls: 300, maxShare: 30% }\n  \
                assetsFrom: [{ file: skus.txt }]";
    world.write("manifests/skus.txt", &ids("sku", 300));
    world.set("set", spec);
    world.sends(0);
    world.write("manifests/skus.txt", &ids("sku", 100));
    for _ in 0..2 {
        assert_eq!(sends(&world, 3), urls([]));
        let plan = world.ends(3, &["plan"]);
        assert!(plan.contains("200 removed, BLOCKED"), "{plan}");
        assert!(plan.contains("put it back, and nothing is sent"), "{plan}");
        assert!(world.ends(3, &["status"]).contains("blocked 200"));
    }
    world.write("manifests/skus.txt", &ids("sku", 300));
    assert_eq!(sends(&world, 0), urls([]));
    assert_eq!(sends(&world, 0), urls([]));
}

#[test]
fn an_approval_lets_exactly_what_left_through() {
    let world = World::new("");
    let declare = |assets: &str| {
        let spec = "  onRemove: invalidate\n  limits: { maxUrls: 2 }\n  assets";
        world.set("set", &format!("{spec}: [{assets}]"));
    };
    for assets in ["a, b", "a, b, c, d", "a, b, c, d, e"] {
        declare(assets);
        world.sends(0);
    }
    declare("a");
    assert_eq!(sends(&world, 3), urls([]));
    let id = plan_id(&world.ends(3, &["plan"]));
    world.ends(0, &["approve", &id]);
    declare("z, x, y");
    assert_eq!(sends(&world, 3), urls(["b", "c", "d", "e"]));
    let plan = world.ends(3, &["plan"]);
    assert!(plan.contains("3 new URLs, 1 removed"), "{plan}");
}

#[test]
fn a_deleted_set_keeps_its_limits_and_can_be_approved() {
    let world = World::new("");
    world.set("other", "  assets: [z]");
    world.set(
        "set",
        "  onRemove: invalidate\n  limits: { maxUrls: 3 }\n  assets: [a, b]",
    );
    world.sends(0);
    world.set(
        "set",
        "  onRemove: invalidate\n  limits: { maxUrls: 1 }\n  assets: [a, b]",
    );
    world.sends(0);
    world.remove("manifests/set.yaml");
    for _ in 0..2 {
        assert_eq!(sends(&world, 3), urls([]));
    }
    let status = world.ends(3, &["status"]);
    assert!(status.contains("blocked 2"), "{status}");
    let id = plan_id(&world.ends(3, &["plan"]));
    world.ends(0, &["approve", &id]);
    assert_eq!(sends(&world, 0), urls(["a", "b"]));
    assert_eq!(sends(&world, 0), urls([]));
}

#[test]
fn what_somebody_invalidated_by_hand_can_leave() {
    let world = told("a, b");
    let url = format!("{ROOT}/b");
    declare(&world, "a");
    world.ends(0, &["suspend", "--set", "set"]);
    let sent = world.sends_by(0, &["invalidate", "--url", &url]);
    assert_eq!(items(&sent), urls(["b"]));
    world.ends(0, &["resume", "--set", "set"]);
    world.write("manifests/broken.yaml", "kind: [");
    assert_eq!(sends(&world, 4), urls(["b"]));
}

#[test]
fn what_is_turned_on_while_nothing_may_be_sent_holds_all_the_same() {
    let world = World::new("");
    world.set("set", "  assets: [a, b]");
    world.sends(0);
    world.ends(0, &["suspend", "--all"]);
    declare(&world, "a, b");
    world.sends(0);
    world.ends(0, &["resume", "--all"]);
    world.sends(0);
    declare(&world, "a");
    assert_eq!(sends(&world, 0), urls(["b"]));
}

#[test]
fn what_is_excluded_is_never_sent() {
    let world = told("a, b, c, test-1");
    world.set(
        "set",
        "  onRemove: invalidate\n  exclude: ['*/b']\n  excludeAssets: ['test-*']\n  \
         assets: [a, b, c, test-1]",
    );
    assert_eq!(sends(&world, 0), urls([]));
    world.set(
        "set",
        "  onRemove: invalidate\n  exclude: ['*/b', '*/c']\n  excludeAssets: ['test-*']\n  assets: [a]",
    );
    assert_eq!(sends(&world, 0), urls([]));
}

#[test]
fn what_comes_back_after_its_removal_was_sent_is_new() {
    let world = told("a, b");
    declare(&world, "a");
    assert_eq!(sends(&world, 0), urls(["b"]));
    declare(&world, "a, b");
    assert_eq!(sends(&world, 0), urls(["b"]));
    assert_eq!(sends(&world, 0), urls([]));
    declare(&world, "a");
    assert_eq!(sends(&world, 0), urls(["b"]));
}

#[test]
fn what_comes_back_before_its_removal_was_sent_sends_nothing() {
    let world = told("a, b");
    world.ends(0, &["suspend", "--all"]);
    declare(&world, "a");
    assert_eq!(sends(&world, 4), urls([]));
    declare(&world, "a, b");
    world.ends(0, &["resume", "--all"]);
    assert_eq!(sends(&world, 0), urls([]));
    world.ends(0, &["suspend", "--all"]);
    declare(&world, "b");
    assert_eq!(sends(&world, 4), urls([]));
    world.ends(0, &["resume", "--all"]);
    assert_eq!(sends(&world, 0), urls(["a"]));
}

#[test]
fn what_comes_back_while_nobody_knows_whether_its_removal_was_sent_is_sent() {
    let world = told("a, b");
    declare(&world, "a");
    world.sandbox.fail(Failure::Code(30_000), None);
    world.ends(4, &["reconcile", "--max-time", "1s"]);
    world.sandbox.set_faults(Faults::default());
    declare(&world, "a, b");
    assert_eq!(sends(&world, 0), urls(["b"]));
    assert_eq!(sends(&world, 0), urls([]));
}

#[test]
fn a_renamed_set_sends_nothing_and_keeps_what_it_has() {
    let world = told("a, b");
    world.remove("manifests/set.yaml");
    let named = |name: &str, formerly: &str, assets: &str| {
        let head = format!("apiVersion: freshen/v1\nkind: AssetSet\nmetadata: {{ name: {name}");
        let spec = format!("spec:\n  onRemove: invalidate\n  assets: [{assets}]\n");
        let text = format!("{head}, formerly: [{formerly}] }}\n{spec}");
        world.write("manifests/renamed.yaml", &text);
    };
    named("second", "set", "a, b");
    assert_eq!(sends(&world, 0), urls([]));
    named("second", "set", "a");
    assert_eq!(sends(&world, 0), urls(["b"]));
    world.ends(0, &["state", "mv", "second", "third"]);
    named("third", "none", "a, c");
    assert_eq!(sends(&world, 0), urls(["c"]));
    named("third", "none", "c");
    assert_eq!(sends(&world, 0), urls(["a"]));
    named("fifth", "third", "c, d");
    assert_eq!(sends(&world, 0), urls(["d"]));
    named("sixth", "fifth", "c");
    assert_eq!(sends(&world, 0), urls(["d"]), "renamed and removed at once");
    assert!(!world.ends(0, &["status"]).contains("fifth"));
    world.remove("manifests/renamed.yaml");
    world.set("fourth", "  assets: [c]");
    assert_eq!(
        sends(&world, 0),
        urls([]),
        "the new set equals what is gone"
    );
}

#[test]
fn what_another_set_declares_for_the_same_cdn_has_not_left() {
    let world = told("a, b, c");
    world.set("other", "  assets: [b]");
    world.sends(0);
    declare(&world, "a");
    assert_eq!(sends(&world, 0), urls(["c"]));
    world.remove("manifests/set.yaml");
    world.set("other", "  assets: [a, b]");
    assert_eq!(sends(&world, 0), urls(["a"]), "new to that set");
    assert_eq!(sends(&world, 0), urls([]));
}

#[test]
fn what_another_set_declares_when_it_leaves_is_for_that_set_to_say_from_then_on() {
    let world = told("a, b, c");
    world.set("other", "  assets: [b]");
    world.sends(0);
    declare(&world, "a");
    world.sandbox.fail(Failure::Code(30_000), None);
    world.ends(4, &["reconcile", "--max-time", "1s"]);
    world.sandbox.set_faults(Faults::default());
    world.set("other", "  assets: [z]");
    assert_eq!(sends(&world, 0), urls(["c", "z"]));
}

#[test]
fn an_approval_is_of_what_had_left_when_its_plan_was_shown() {
    let world = World::new("");
    let declare = |name: &str, assets: &str| {
        let spec = "  onRemove: invalidate\n  onCreate: adopt\n  limits: { maxUrls: 0 }";
        world.set(name, &format!("{spec}\n  assets: [{assets}]"));
    };
    declare("set", "a, b, c");
    world.set("other", "  onCreate: adopt\n  assets: [c, z]");
    world.sends(0);
    declare("set", "a");
    let id = plan_id(&world.ends(3, &["plan"]));
    world.set("other", "  assets: [z]");
    let said = world.ends(1, &["approve", &id]);
    assert!(said.contains("waits for approval"), "{said}");
    assert_eq!(sends(&world, 3), urls([]));
    let id = plan_id(&world.ends(3, &["plan"]));
    world.ends(0, &["approve", &id]);
    assert_eq!(sends(&world, 0), urls(["b", "c"]));
}

#[test]
fn a_bump_and_a_removal_in_one_commit_send_both() {
    let world = told("a, b");
    world.set(
        "set",
        "  onRemove: invalidate\n  revision: '2'\n  assets: [a]",
    );
    assert_eq!(sends(&world, 0), urls(["a", "b"]));
    assert_eq!(sends(&world, 0), urls([]));
}

#[test]
fn turned_on_it_holds_from_the_next_plan_on_and_turned_off_it_drops_what_waits() {
    let world = World::new("");
    world.set("set", "  assets: [a, b, c, d]");
    world.sends(0);
    declare(&world, "a, b, c");
    assert_eq!(sends(&world, 0), urls([]), "it was turned on with that");
    let limited = "  limits: { maxUrls: 1 }";
    world.set(
        "set",
        &format!("  onRemove: invalidate\n{limited}\n  assets: [a]"),
    );
    assert_eq!(sends(&world, 3), urls([]));
    world.set("set", &format!("{limited}\n  assets: [a]"));
    let plan = world.ends(0, &["plan"]);
    assert!(plan.contains("2 removed, not sent any more"), "{plan}");
    assert_eq!(sends(&world, 0), urls([]));
    assert_eq!(kept(&world), []);
    world.set(
        "set",
        &format!("  onRemove: invalidate\n{limited}\n  assets: [a]"),
    );
    assert_eq!(sends(&world, 0), urls([]));
}

#[test]
fn rows_that_cannot_be_read_remove_nothing() {
    let world = World::new("");
    world.set(
        "set",
        "  onRemove: invalidate\n  assetsFrom: [{ file: skus.txt }]",
    );
    world.write("manifests/skus.txt", "a\nb\nc\n");
    world.sends(0);
    world.write("manifests/skus.txt", "a\nb?\nd\n");
    assert_eq!(sends(&world, 4), urls(["d"]));
    world.write("manifests/skus.txt", "a\nb\nd\n");
    assert_eq!(sends(&world, 0), urls(["c"]));
}

#[test]
fn nothing_is_gone_while_a_manifest_cannot_be_read_or_a_part_is_meant() {
    let world = told("a, b");
    world.set("other", "  assets: [z]");
    world.sends(0);
    world.remove("manifests/set.yaml");
    world.write("manifests/broken.yaml", "kind: [");
    assert_eq!(sends(&world, 4), urls([]));
    world.remove("manifests/broken.yaml");
    let sent = world.sends_by(0, &["reconcile", "--set", "other"]);
    assert_eq!(items(&sent), urls([]));
    assert_eq!(sends(&world, 0), urls(["a", "b"]));
}

#[test]
fn where_the_cdn_is_gone_as_well_nothing_can_be_sent_and_that_is_said() {
    let world = told("a");
    let cdn = world.cdn("other", "suspend: true");
    let other = cdn.replace("company: AcmeCorp", "company: Other");
    world.write("manifests/cdn-other.yaml", &other);
    world.set("other", "  cdns: [other]\n  assets: [z]");
    world.remove("manifests/set.yaml");
    world.remove("manifests/cdn.yaml");
    let plan = world.ends(0, &["plan"]);
    let warning = "the set `set` is gone, and so is the Cdn for dynamic-media";
    assert!(plan.contains(warning), "{plan}");
    assert_eq!(sends(&world, 4), urls([]));
    world.write("manifests/cdn.yaml", &world.cdn("dynamic-media", ""));
    assert_eq!(sends(&world, 4), urls(["a"]));
    assert!(!world.ends(0, &["plan"]).contains("is gone"));
}

#[test]
fn a_kill_loses_no_removal_and_sends_none_twice_that_was_accepted() {
    let world = World::new("batch: { maxUrls: 1 }\n  concurrency: 1");
    declare(&world, "a, b, c, d");
    world.sends(0);
    declare(&world, "a");
    let before = world.accepted().len();
    world.sandbox.fail(Failure::Hang, Some(1));
    let calls = world.sandbox.calls().len();
    let mut killed = world.start(&["reconcile"]);
    world.wait_until("the call", |world| world.sandbox.calls().len() > calls);
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(sends(&world, 0), urls(["b", "c", "d"]));
    assert_eq!(world.accepted().len() - before, 3);
    assert_eq!(sends(&world, 0), urls([]));
}

/// Packs what is kept otherwise.
fn pack_loosely(world: &World) {
    let state = state(world);
    let packed: Vec<u8> = state
        .query_row("SELECT packed FROM kept_inputs", [], |row| row.get(0))
        .unwrap();
    let mut bytes = Vec::new();
    DeflateDecoder::new(&packed[..])
        .read_to_end(&mut bytes)
        .unwrap();
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::none());
    encoder.write_all(&bytes).unwrap();
    let packed = encoder.finish().unwrap();
    state
        .execute("UPDATE kept_inputs SET packed = ?", [packed])
        .unwrap();
}

#[test]
fn what_leaves_while_nobody_knows_whether_it_was_sent_is_removed_once_that_is_known() {
    let world = told("a");
    declare(&world, "a, b");
    world.sandbox.fail(Failure::Hang, Some(1));
    let calls = world.sandbox.calls().len();
    let mut killed = world.start(&["reconcile"]);
    world.wait_until("the call", |world| world.sandbox.calls().len() > calls);
    killed.kill().unwrap();
    killed.wait().unwrap();
    declare(&world, "a");
    let b = [format!("{ROOT}/b")];
    assert_eq!(
        world.sends(0),
        [b.clone(), b],
        "as it was, then that it left"
    );
    assert_eq!(sends(&world, 0), urls([]));
}

#[test]
fn inputs_are_kept_small_and_written_only_when_they_are_others() {
    let world = World::new("");
    let declare = |revision: &str, count: usize| {
        world.write("manifests/skus.txt", &ids("sku", count));
        let spec = "  onRemove: invalidate\n  limits: { maxUrls: 200000 }\n  \
                    assetsFrom: [{ file: skus.txt }]";
        world.set("set", &format!("{spec}\n  revision: '{revision}'"));
    };
    declare("1", 100_000);
    world.ends(0, &["reconcile", "--bootstrap", "adopt"]);
    let first = kept(&world);
    assert!(first[0].1 < 400_000, "{} bytes", first[0].1);
    pack_loosely(&world);
    let packed = kept(&world);
    assert!(packed[0].1 > first[0].1);
    declare("2", 100_000);
    assert_eq!(sends(&world, 0).len(), 100_000);
    assert_eq!(kept(&world), packed);
    declare("2", 99_999);
    assert_eq!(sends(&world, 0), urls(["sku99999"]));
    assert_ne!(kept(&world)[0].0, first[0].0, "what was sent is not kept");
}

#[test]
fn an_export_takes_the_kept_inputs_along_and_damage_to_them_is_found() {
    let world = told("a, b");
    world.ends(0, &["state", "export", "copy.db"]);
    fs::remove_file(world.folder().join("freshen.db")).unwrap();
    world.ends(0, &["state", "import", "copy.db"]);
    world.ends(0, &["state", "check"]);
    declare(&world, "a");
    assert_eq!(sends(&world, 0), urls(["b"]));
    let sql = "UPDATE kept_inputs SET digest = zeroblob(32)";
    state(&world).execute(sql, []).unwrap();
    let said = world.ends(4, &["state", "check"]);
    assert!(said.contains("kept_inputs"), "{said}");
    world.ends(0, &["state", "forget", "set"]);
    assert_eq!(kept(&world), []);
}

#[test]
fn without_a_state_what_left_between_two_commits_is_sent() {
    let world = World::new("");
    let git = |arguments: &[&str]| {
        let mut command = std::process::Command::new("git");
        command
            .arg("-C")
            .arg(world.folder())
            .args(["-c", "user.name=a", "-c", "user.email=a@b"]);
        assert!(command.args(arguments).output().unwrap().status.success());
    };
    git(&["init", "-q"]);
    declare(&world, "a, b");
    world.set("gone", "  onRemove: invalidate\n  assets: [c]");
    git(&["add", "-A"]);
    git(&["commit", "-qm", "first"]);
    declare(&world, "a");
    world.remove("manifests/gone.yaml");
    let sent = world.sends_by(0, &["reconcile", "--since", "HEAD"]);
    assert_eq!(items(&sent), urls(["b", "c"]));
}

#[test]
fn what_has_left_is_neither_looked_at_nor_sent_again_later() {
    let mut stage = Stage::new(&["verify: { timeout: 1m }", "repeat: [2m]"]);
    let declare = |stage: &Stage, assets: &[&str]| {
        let urls: Vec<String> = assets.iter().map(|id| stage.url(id)).collect();
        let lines = ["onRemove: invalidate".to_owned(), format!("urls: {urls:?}")];
        stage.site.set("set", &lines);
    };
    stage.publish("b", "bytes");
    declare(&stage, &["a", "b"]);
    stage.reconcile();
    stage.site.clock.advance(10 * 60_000);
    stage.reconcile();
    assert_eq!(stage.store.repeats().unwrap(), []);
    let before = stage.sandbox.accepted()[&stage.url("b")];
    declare(&stage, &["a"]);
    let outcome = stage.reconcile();
    assert!(outcome.targets["dm"].findings.is_empty());
    assert_eq!(stage.store.repeats().unwrap(), []);
    stage.site.clock.advance(10 * 60_000);
    stage.reconcile();
    assert_eq!(stage.sandbox.accepted()[&stage.url("b")], before + 1);
}

#[test]
fn explain_tells_that_a_url_has_left_and_what_came_of_it() {
    let world = told("a, b");
    let url = format!("{ROOT}/b");
    let explained = |code, parts: &[&str]| {
        let said = world.ends(code, &["explain", &url]);
        for part in parts {
            assert!(said.contains(part), "no `{part}` in: {said}");
        }
    };
    let limited = |limit: u32| {
        let spec = format!("  onRemove: invalidate\n  limits: {{ maxUrls: {limit} }}");
        world.set("set", &format!("{spec}\n  assets: [a]"));
    };
    limited(0);
    let left = "it has left the set `set`: dynamic-media";
    explained(
        0,
        &[
            left,
            "is to be told once that is approved",
            "freshen approve",
        ],
    );
    limited(1);
    explained(0, &[left, "is to be told", "freshen reconcile"]);
    assert_eq!(sends(&world, 0), urls(["b"]));
    explained(
        0,
        &[
            left,
            "was told so",
            "Last sent to dynamic-media",
            "in batch 2",
        ],
    );
}

#[test]
fn killed_again_and_again_no_removal_is_lost() {
    let world = World::new("batch: { maxUrls: 3 }\n  concurrency: 2");
    let declare = |round: usize| {
        let ids: Vec<String> = (round * 10..round * 10 + 20)
            .map(|id| format!("n{id}"))
            .collect();
        declare(&world, &ids.join(", "));
    };
    declare(0);
    world.sends(0);
    world.sandbox.set_faults(Faults {
        latency_ms: 5,
        ..Faults::default()
    });
    for round in 1..6 {
        let count = |world: &World| world.accepted().concat().len();
        let before = world.accepted().concat();
        declare(round);
        for kill in 0..4 {
            let accepted = count(&world);
            let killed = RefCell::new(world.start(&["reconcile"]));
            let until = accepted + round * kill;
            world.wait_until("some calls", |world| {
                count(world) > until || killed.borrow_mut().try_wait().unwrap().is_some()
            });
            // It may have come to its end.
            let mut killed = killed.into_inner();
            drop(killed.kill());
            killed.wait().unwrap();
        }
        world.sends(0);
        let after = world.accepted().concat();
        let times = |all: &[String], id: usize| {
            let url = format!("{ROOT}/n{id}");
            all.iter().filter(|sent| **sent == url).count()
        };
        for id in round * 10 - 10..round * 10 + 20 {
            let sent = times(&after, id) - times(&before, id);
            let is_same = (round * 10..round * 10 + 10).contains(&id);
            assert_eq!(sent > 0, !is_same, "n{id} in round {round}: {sent}");
        }
        assert_eq!(sends(&world, 0), urls([]));
    }
    world.ends(0, &["state", "check"]);
}

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A site whose set has told its Cdns, in tiers, of `hat-0` to `hat-9`.
fn site(cdns: &[(&str, &Sandbox)], spec: &[&str]) -> (Site, Store) {
    let site = Site::new(7);
    for (name, sandbox) in cdns {
        site.cdn(name, sandbox, &[UNLIMITED]);
    }
    let names: Vec<&str> = cdns.iter().map(|(name, _)| *name).collect();
    let mut lines = vec![
        format!("cdns: [{}]", names.join(", ")),
        "onRemove: invalidate".to_owned(),
    ];
    lines.extend(spec.iter().map(ToString::to_string));
    lines.push(assets("hat", 10));
    site.set("set", &lines);
    let mut store = site.store();
    site.reconcile(&mut store);
    *lines.last_mut().unwrap() = assets("hat", 4);
    site.set("set", &lines);
    (site, store)
}

#[test]
fn a_blocked_removal_is_shown_for_thirty_days_and_forgotten_then() {
    let sandbox = Sandbox::start(Options::default()).unwrap();
    let (site, mut store) = site(&[("dm", &sandbox)], &["limits: { maxUrls: 10 }"]);
    let text = fs::read_to_string(site.folder().join("manifests/set-set.yaml")).unwrap();
    site.write("set-set.yaml", &text.replace("maxUrls: 10", "maxUrls: 5"));
    let id = site.plan(&store).sets[0].id;
    for day in 0..30 {
        site.reconcile(&mut store);
        let plan = site.plan(&store);
        assert!(plan.is_blocked(), "day {day}");
        assert_eq!(plan.sets[0].id, id, "day {day}");
        site.clock.advance(DAY_MS);
    }
    site.clock.advance(DAY_MS);
    site.reconcile(&mut store);
    site.reconcile(&mut store);
    assert!(!site.plan(&store).is_blocked());
    assert_eq!(sandbox.accepted().values().sum::<u64>(), 10);
}

#[test]
fn what_has_left_is_told_inside_first_and_held_back_outside_where_it_is_refused() {
    let inner = Sandbox::start(Options::default()).unwrap();
    let outer = Sandbox::start(Options::default()).unwrap();
    let (site, mut store) = site(&[("inner", &inner), ("outer", &outer)], &[]);
    inner.poison(&format!("{IMAGES}/hat-9"), true);
    let outcome = site.reconcile(&mut store);
    assert_eq!((outcome.left.refused(), outcome.left.held_back()), (1, 1));
    let twice = |sandbox: &Sandbox| {
        let accepted = sandbox.accepted().into_iter();
        let twice = accepted.filter(|(_, times)| *times == 2);
        twice.map(|(url, _)| url).collect::<Vec<_>>()
    };
    assert_eq!(twice(&inner).len(), 5);
    assert_eq!(twice(&inner), twice(&outer));
    inner.set_faults(Faults::default());
    site.clock.advance(DAY_MS + 1);
    let outcome = site.reconcile(&mut store);
    assert!(!outcome.left.has_changes());
    assert_eq!((twice(&inner).len(), twice(&outer).len()), (6, 6));
}

#[test]
fn a_set_that_was_gone_while_another_declared_its_urls_is_kept_again() {
    let world = told("a, b");
    world.set("other", "  assets: [a, b]");
    world.sends(0);
    world.remove("manifests/set.yaml");
    assert_eq!(sends(&world, 0), urls([]), "they are declared elsewhere");
    declare(&world, "a, b");
    assert_eq!(sends(&world, 0), urls([]));
    world.remove("manifests/other.yaml");
    assert_eq!(sends(&world, 0), urls([]));
    declare(&world, "a");
    assert_eq!(sends(&world, 0), urls(["b"]));
}

#[test]
fn what_another_set_could_not_read_has_not_left() {
    let world = told("a, b");
    world.remove("manifests/set.yaml");
    world.write("manifests/rows.csv", "id\na\nb?\n");
    world.set("other", "  assetsFrom: [{ csv: rows.csv, id: id }]");
    sends(&world, 4);
    assert!(!items(&world.accepted().split_off(1)).contains(&format!("{ROOT}/b")));
    world.write("manifests/rows.csv", "id\na\n");
    assert!(
        sends(&world, 0).contains(&format!("{ROOT}/b")),
        "now it has"
    );
}
