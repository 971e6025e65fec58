//! Revisions that wait until their origin shows new bytes.

use std::sync::Arc;
use std::time::Duration;

use freshen::batch::verify::Finding;
use freshen::plan::TargetPlan;
use freshen::reconcile::Outcome;
use freshen::sandbox::{Failure, Faults, Options, Sandbox};

use crate::keeper::Keeper;
use crate::since::{commit, git};
use crate::site::{START_MS, Site, UNLIMITED, invalidations};
use crate::verify::Stage;
use crate::world::{ROOT, World};

const MINUTE: i64 = 60_000;

/// A port that nobody listens on.
const NOBODY: &str = "http://127.0.0.1:9";

/// A stage whose Cdn waits for the sandbox's origin for half an hour; `a` was sent
/// once, and its edge has had the old copy for an hour since.
fn stage(spec: &[&str]) -> Stage {
    let mut stage = unsent(spec);
    stage.reconcile();
    stage.visit("a");
    stage.site.clock.advance(60 * MINUTE);
    stage
}

/// The same, before anything was sent.
fn unsent(spec: &[&str]) -> Stage {
    let sandbox = Arc::new(Sandbox::start(Options::default()).unwrap());
    let origin = format!("origin: '{}'", sandbox.origin_url());
    let spec = [&[origin.as_str(), "waitForOrigin: 30m"], spec].concat();
    Stage::on(sandbox, &spec)
}

/// Publishes `a` when so much time has gone by from now on.
fn publish_after(stage: &Stage, ms: i64) {
    stage.sandbox.upload("a", "new");
    let sandbox = Arc::clone(&stage.sandbox);
    let at_ms = stage.site.clock.elapsed_ms() + ms;
    stage
        .site
        .clock
        .at(at_ms, move || assert!(sandbox.publish("a")));
}

fn target(outcome: &Outcome) -> &TargetPlan {
    outcome.left.targets().next().unwrap()
}

fn waiting(outcome: &Outcome) -> usize {
    target(outcome).waiting.entries.len()
}

#[test]
fn a_revision_that_is_declared_too_early_is_sent_once_the_origin_has_it() {
    let mut stage = stage(&["verify: { timeout: 1m }"]);
    let before_ms = stage.site.clock.elapsed_ms();
    publish_after(&stage, 5 * MINUTE);
    stage.revise("2");
    stage.finds(&[Finding::Verified]);
    assert_eq!(stage.visit("a"), "new");
    assert_eq!(invalidations(&stage.sandbox).len(), 2);
    let took_ms = stage.site.clock.elapsed_ms() - before_ms;
    let looks = 5 * MINUTE..5 * MINUTE + 30_000 + 5_000 + 1;
    assert!(looks.contains(&took_ms), "{took_ms}");
}

#[test]
fn an_origin_that_is_up_to_date_holds_nothing_up() {
    // What it showed at the last purge is known, whatever the edge has by now.
    for is_edge_new in [false, true] {
        let mut stage = stage(&[]);
        let before_ms = stage.site.clock.elapsed_ms();
        stage.publish("a", "new");
        if is_edge_new {
            stage.sandbox.advance(Duration::from_hours(11));
            assert_eq!(stage.visit("a"), "new");
        }
        stage.revise("2");
        let outcome = stage.reconcile();
        assert_eq!(outcome.targets["dm"].tally.accepted, 1);
        assert_eq!(stage.site.clock.elapsed_ms(), before_ms);
        assert!(outcome.lapses.is_empty());
    }
}

#[test]
fn where_nothing_is_known_from_before_another_copy_at_the_edge_tells() {
    let mut stage = unsent(&["suspend: true"]);
    stage.site.cdn("dm", &stage.sandbox, &[UNLIMITED]);
    stage.reconcile();
    stage.visit("a");
    let origin = format!("origin: '{}'", stage.sandbox.origin_url());
    let spec = [UNLIMITED, &origin, "waitForOrigin: 30m"];
    stage.site.cdn("dm", &stage.sandbox, &spec);
    stage.publish("a", "new");
    stage.revise("2");
    stage.reconcile();
    assert_eq!(stage.visit("a"), "new");
    assert_eq!(stage.site.clock.elapsed_ms(), 0);
}

#[test]
fn the_same_bytes_everywhere_hold_until_the_origin_changes() {
    let mut stage = unsent(&["suspend: true"]);
    stage.site.cdn("dm", &stage.sandbox, &[UNLIMITED]);
    stage.reconcile();
    let origin = format!("origin: '{}'", stage.sandbox.origin_url());
    let spec = [UNLIMITED, &origin, "waitForOrigin: 30m"];
    stage.site.cdn("dm", &stage.sandbox, &spec);
    publish_after(&stage, MINUTE);
    stage.revise("2");
    let outcome = stage.reconcile();
    assert_eq!(stage.visit("a"), "new");
    assert!(outcome.lapses.is_empty());
    assert!(stage.site.clock.elapsed_ms() >= MINUTE);
}

#[test]
fn what_is_never_published_is_sent_at_the_limit_and_that_is_told() {
    let mut stage = stage(&[]);
    let before_ms = stage.site.clock.elapsed_ms();
    stage.revise("2");
    let outcome = stage.reconcile();
    assert_eq!(stage.site.clock.elapsed_ms() - before_ms, 30 * MINUTE);
    assert_eq!(invalidations(&stage.sandbox).len(), 2);
    let [lapse] = &outcome.lapses[..] else {
        panic!("{:?}", outcome.lapses);
    };
    assert!(
        lapse.detail.contains("the origin shows the same bytes"),
        "{lapse:?}"
    );
    assert_eq!(stage.store.lapses(0).unwrap(), outcome.lapses);
    // It is over for good.
    let outcome = stage.reconcile();
    assert!(outcome.lapses.is_empty() && !outcome.left.has_changes());
    assert_eq!(invalidations(&stage.sandbox).len(), 2);
}

#[test]
fn an_origin_that_is_not_there_holds_no_longer_than_the_limit() {
    let mut stage = stage(&[]);
    let origin = format!("origin: '{NOBODY}'");
    let spec = [UNLIMITED, &origin, "waitForOrigin: 3m"];
    stage.site.cdn("dm", &stage.sandbox, &spec);
    let before_ms = stage.site.clock.elapsed_ms();
    stage.revise("2");
    let outcome = stage.reconcile();
    assert_eq!(stage.site.clock.elapsed_ms() - before_ms, 3 * MINUTE);
    assert_eq!(outcome.targets["dm"].tally.accepted, 1);
    let told = &outcome.lapses[0].detail;
    assert!(told.contains("the origin does not show"), "{told}");
}

#[test]
fn a_run_that_cannot_wait_leaves_the_rest_to_the_next_and_the_limit_stays() {
    let mut stage = stage(&[]);
    let before_ms = stage.site.clock.elapsed_ms();
    stage.revise("2");
    for minutes in [10, 20] {
        let outcome = stage
            .site
            .reconcile_within(10 * MINUTE - 1, &mut stage.store);
        assert_eq!(waiting(&outcome), 1);
        assert!(outcome.left.is_kept_waiting());
        let until_ms = target(&outcome).waiting.until_ms.unwrap() - START_MS;
        assert_eq!(until_ms - before_ms, 30 * MINUTE);
        let now_ms = stage.site.clock.elapsed_ms();
        stage
            .site
            .clock
            .advance(before_ms + minutes * MINUTE - now_ms);
    }
    stage.reconcile();
    assert_eq!(stage.site.clock.elapsed_ms() - before_ms, 30 * MINUTE);
    assert_eq!(invalidations(&stage.sandbox).len(), 2);
}

#[test]
fn what_is_asked_for_goes_at_once_and_ends_no_wait() {
    let mut stage = stage(&[]);
    stage.revise("2");
    let limit_ms = 2 * MINUTE;
    stage.site.reconcile_within(limit_ms, &mut stage.store);
    let urls = [stage.url("a")];
    stage.invalidate(&urls);
    let outcome = stage.site.reconcile_within(limit_ms, &mut stage.store);
    assert_eq!(outcome.targets["dm"].tally.accepted, 1);
    assert_eq!(waiting(&outcome), 1, "the new bytes are still to come");
    assert_eq!(stage.visit("a"), "old");
    publish_after(&stage, MINUTE);
    let outcome = stage.reconcile();
    assert_eq!(stage.visit("a"), "new");
    assert_eq!(waiting(&outcome), 0);
    assert_eq!(invalidations(&stage.sandbox).len(), 3);
}

#[test]
fn a_repeat_of_the_old_revision_goes_and_ends_no_wait() {
    let mut stage = unsent(&["repeat: 2m"]);
    stage.reconcile();
    stage.revise("2");
    publish_after(&stage, 5 * MINUTE);
    stage.reconcile();
    assert_eq!(stage.visit("a"), "new");
    assert!(invalidations(&stage.sandbox).len() > 2);
}

#[test]
fn new_urls_and_other_sets_do_not_wait() {
    let mut stage = stage(&[]);
    stage.publish("b", "first");
    let urls = format!("urls: ['{}', '{}']", stage.url("a"), stage.url("b"));
    let revision = "revision: '2'".to_owned();
    stage.site.set("set", &[revision, urls]);
    let url = format!("urls: ['{}']", stage.url("c"));
    stage.site.set("other", &[url]);
    let outcome = stage.site.reconcile_within(MINUTE, &mut stage.store);
    assert_eq!(outcome.targets["dm"].tally.accepted, 2);
    let mut plans = outcome.left.sets.iter();
    let plan = plans.find(|plan| plan.set == "set");
    assert_eq!(plan.unwrap().targets[0].waiting.entries.len(), 1);
    let mut sent = invalidations(&stage.sandbox)[1].urls.clone();
    sent.sort();
    assert_eq!(sent, [stage.url("b"), stage.url("c")]);
}

#[test]
fn the_old_revision_restored_ends_the_wait_and_sends_nothing() {
    let mut stage = stage(&[]);
    stage.revise("2");
    let outcome = stage.site.reconcile_within(MINUTE, &mut stage.store);
    assert_eq!(waiting(&outcome), 1);
    stage.revise("1");
    let before_ms = stage.site.clock.elapsed_ms();
    let outcome = stage.reconcile();
    assert!(!outcome.left.has_changes());
    assert_eq!(stage.site.clock.elapsed_ms(), before_ms);
    assert_eq!(invalidations(&stage.sandbox).len(), 1);
    assert_eq!(stage.store.open_waits().unwrap(), []);
}

#[test]
fn another_revision_begins_to_wait_anew() {
    let mut stage = stage(&[]);
    stage.revise("2");
    stage.site.reconcile_within(20 * MINUTE, &mut stage.store);
    stage.revise("3");
    let before_ms = stage.site.clock.elapsed_ms();
    stage.reconcile();
    assert_eq!(stage.site.clock.elapsed_ms() - before_ms, 30 * MINUTE);
    assert_eq!(invalidations(&stage.sandbox).len(), 2);
}

#[test]
fn a_revision_that_overtakes_one_not_sent_yet_waits_as_well() {
    let mut stage = stage(&[]);
    stage.revise("2");
    stage.sandbox.fail(Failure::Code(20_000), None);
    let outcome = stage.reconcile();
    assert!(outcome.left.is_unfinished(), "owed, and nobody takes it");
    stage.sandbox.set_faults(Faults::default());
    stage.revise("3");
    let outcome = stage.site.reconcile_within(MINUTE, &mut stage.store);
    assert_eq!(waiting(&outcome), 1);
    assert_eq!(outcome.targets["dm"].tally.accepted, 0);
    publish_after(&stage, MINUTE);
    stage.reconcile();
    assert_eq!(stage.visit("a"), "new");
}

#[test]
fn a_clock_that_was_set_back_makes_nobody_wait_longer() {
    let mut stage = stage(&[]);
    stage.site.clock.advance(600 * MINUTE);
    stage.revise("2");
    stage.site.reconcile_within(MINUTE, &mut stage.store);
    stage.site.clock = Site::new(8).clock;
    stage.reconcile();
    assert!(stage.site.clock.elapsed_ms() <= 30 * MINUTE);
    assert_eq!(invalidations(&stage.sandbox).len(), 2);
}

#[test]
fn what_was_sent_unseen_is_compared_with_nothing_older() {
    let mut stage = stage(&[]);
    let target = stage.store.targets().unwrap()[0].id;
    assert_eq!(stage.store.known_at_origin(target).unwrap().len(), 1);
    let origin = format!("origin: '{NOBODY}'");
    let spec = [UNLIMITED, &origin, "waitForOrigin: 30m"];
    stage.site.cdn("dm", &stage.sandbox, &spec);
    let urls = [stage.url("a")];
    stage.invalidate(&urls);
    stage.reconcile();
    assert_eq!(stage.store.known_at_origin(target).unwrap(), []);
}

#[test]
fn without_it_no_origin_is_looked_at() {
    let sandbox = Arc::new(Sandbox::start(Options::default()).unwrap());
    let origin = format!("origin: '{}'", sandbox.origin_url());
    let mut stage = Stage::on(sandbox, &[&origin]);
    stage.reconcile();
    stage.revise("2");
    stage.reconcile();
    assert_eq!(invalidations(&stage.sandbox).len(), 2);
    assert_eq!(stage.sandbox.origin_visits(), 0);
    assert_eq!(stage.site.clock.elapsed_ms(), 0);
}

#[test]
fn a_sample_is_all_that_is_looked_at_and_it_is_the_same_every_time() {
    let mut stage = unsent(&[]);
    let names: Vec<String> = (0..50).map(|n| format!("n{n}")).collect();
    let urls: Vec<String> = names
        .iter()
        .map(|n| format!("'{}'", stage.url(n)))
        .collect();
    let declare = |stage: &Stage, revision: u32| {
        let urls = format!("urls: [{}]", urls.join(", "));
        stage
            .site
            .set("set", &[format!("revision: '{revision}'"), urls]);
    };
    for name in &names {
        stage.publish(name, "old");
    }
    declare(&stage, 1);
    stage.reconcile();
    assert_eq!(stage.sandbox.origin_visits(), 20);
    for name in &names {
        stage.publish(name, "new");
    }
    declare(&stage, 2);
    stage.reconcile();
    let (wait, purge) = (20, 20);
    assert_eq!(stage.sandbox.origin_visits(), 20 + wait + purge);
    assert_eq!(invalidations(&stage.sandbox).len(), 2);
}

/// A world whose Cdn waits for its sandbox's origin, and a URL that was sent.
fn world(spec: &str) -> (World, String) {
    let world = World::new("");
    let origin = world.sandbox.origin_url();
    let spec = format!("origin: '{origin}'\n  settle: 2s\n  {spec}");
    world.write("manifests/cdn.yaml", &world.cdn("dynamic-media", &spec));
    world.sandbox.upload("a", "old");
    world.sandbox.publish("a");
    let url = format!("{}/is/image/AcmeCorp/a", world.sandbox.url());
    world.set("set", &format!("  urls: ['{url}']"));
    world.ends(0, &["reconcile", "--bootstrap", "invalidate"]);
    (world, url)
}

fn revise(world: &World, url: &str, revision: &str) {
    let spec = format!("  revision: '{revision}'\n  urls: ['{url}']");
    world.set("set", &spec);
}

#[test]
fn what_waits_is_told_by_every_command_and_so_is_what_was_sent_unseen() {
    let (world, url) = world("waitForOrigin: 1h");
    revise(&world, &url, "2");
    let said = world.ends(0, &["plan"]);
    assert!(
        said.contains("1 waits for new bytes at the origin"),
        "{said}"
    );
    let said = world.ends(4, &["reconcile", "--max-time", "2s"]);
    assert!(said.contains("! HELD: 1 URL of set"), "{said}");
    assert!(said.contains("the origin shows the same bytes"), "{said}");
    let said = world.ends(0, &["status"]);
    assert!(
        said.contains("1 waits for new bytes at the origin, until"),
        "{said}"
    );
    let status: serde_json::Value =
        serde_json::from_str(&world.ends(0, &["status", "-o", "json"])).unwrap();
    assert_eq!(status["sets"][0]["condition"], "waitsForOrigin");
    assert_eq!(status["sets"][0]["waiting"], 1);
    assert!(status["sets"][0]["heldUntil"].is_string());
    let said = world.ends(0, &["explain", &url]);
    assert!(said.contains("waits for new bytes at the origin"), "{said}");
    assert!(said.contains("freshen invalidate --url"), "{said}");
    assert_eq!(world.accepted().len(), 1);

    let cdn = world.folder().join("manifests/cdn.yaml");
    let text = std::fs::read_to_string(&cdn).unwrap();
    let text = text.replace("waitForOrigin: 1h", "waitForOrigin: 1s");
    world.write("manifests/cdn.yaml", &text);
    let said = world.ends(0, &["reconcile"]);
    assert!(said.contains("! NOT SEEN: set"), "{said}");
    assert!(said.contains("`waitForOrigin` was over"), "{said}");
    assert!(world.ends(0, &["status"]).contains("! NOT SEEN: set"));
    assert!(world.ends(0, &["history"]).contains("not seen"));
    assert_eq!(world.accepted().len(), 2);
    world.ends(0, &["state", "check"]);
}

#[test]
fn a_daemon_that_is_killed_goes_on_waiting_and_sends_what_is_published() {
    let (world, url) = world("waitForOrigin: 1h\n  verify: { timeout: 1m }");
    let until = |world: &World| {
        let said = world.ends(0, &["status", "-o", "json"]);
        let status: serde_json::Value = serde_json::from_str(&said).unwrap();
        status["sets"][0]["heldUntil"].clone()
    };
    let mut keeper = Keeper::start(&world, &[]);
    revise(&world, &url, "2");
    let metric = "freshen_waiting_items{set=\"set\",cdn=\"dynamic-media\"}";
    keeper.wait_until("the wait", |keeper| keeper.metric(metric) == Some(1.0));
    world.wait_until("a look", |world| world.sandbox.origin_visits() > 2);
    let before = until(&world);
    assert!(before.is_string());
    keeper.child.kill().unwrap();
    keeper.child.wait().unwrap();
    drop(keeper);

    let keeper = Keeper::start(&world, &[]);
    assert_eq!(until(&world), before);
    world.sandbox.upload("a", "new");
    world.sandbox.publish("a");
    world.wait_until("the purge", |world| world.accepted().len() == 2);
    keeper.wait_until("its effect", |_| {
        world.ends(0, &["explain", &url]).contains("verified")
    });
    assert!(!keeper.log().contains("not seen"), "{}", keeper.log());
}

#[test]
fn a_daemon_says_that_it_waited_in_vain() {
    let (world, url) = world("waitForOrigin: 2s");
    let keeper = Keeper::start(&world, &[]);
    revise(&world, &url, "2");
    keeper.wait_for_log("not seen");
    world.wait_until("the purge", |world| world.accepted().len() == 2);
}

#[test]
fn waiting_needs_an_origin_to_look_at() {
    let world = World::new("waitForOrigin: 30m");
    world.set("set", "  assets: [a]");
    let said = world.ends(4, &["validate"]);
    assert!(said.contains("`waitForOrigin` needs an `origin`"), "{said}");
    let text = std::fs::read_to_string(world.folder().join("manifests/cdn.yaml")).unwrap();
    let line = 1 + text
        .lines()
        .position(|it| it.contains("waitForOrigin"))
        .unwrap();
    assert!(said.contains(&format!("cdn.yaml:{line}:3")), "{said}");
}

#[test]
fn what_was_removed_and_comes_back_is_new_and_does_not_wait() {
    let world = World::new(&format!("origin: {NOBODY}\n  waitForOrigin: 30m"));
    let declare = |assets: &str| {
        let set = format!("  onRemove: invalidate\n  assets: [{assets}]");
        world.set("set", &set);
        world.sends(0).concat()
    };
    assert_eq!(declare("a, b").len(), 2);
    let b = [format!("{ROOT}/b")];
    assert_eq!(declare("a"), b, "removed");
    assert_eq!(declare("a, b"), b, "new again");
}

#[test]
fn whoever_asks_for_something_does_not_sit_out_what_others_wait_for() {
    let world = World::new(&format!("origin: {NOBODY}\n  waitForOrigin: 30m"));
    world.set("set", "  assets: [a, b]");
    world.sends(0);
    world.set("set", "  assets: [{ id: a, revision: '2' }, b]");
    world.ends(4, &["reconcile", "--max-time", "1s"]);
    for id in ["a", "b"] {
        let url = format!("{ROOT}/{id}");
        assert_eq!(world.sends_by(0, &["invalidate", "--url", &url]), [[url]]);
    }
    assert!(world.ends(0, &["status"]).contains("waits for new bytes"));
}

#[test]
fn where_no_state_lasts_nothing_waits() {
    let world = World::new(&format!("origin: {NOBODY}\n  waitForOrigin: 30m"));
    world.set("set", "  assets: [a]");
    git(world.folder(), &["init", "--quiet"]);
    commit(&world);
    world.set("set", "  revision: '2'\n  assets: [a]");
    let sent = world.sends_by(0, &["reconcile", "--since", "HEAD"]);
    assert_eq!(sent, [[format!("{ROOT}/a")]]);
}

#[test]
fn of_several_cdns_with_one_account_any_may_say_where_to_look() {
    let mut stage = stage(&[]);
    stage.site.cdn("aaa", &stage.sandbox, &[UNLIMITED]);
    publish_after(&stage, 5 * MINUTE);
    let urls = format!("urls: ['{}']", stage.url("a"));
    stage
        .site
        .set("set", &["cdns: [dm]".into(), "revision: '2'".into(), urls]);
    let outcome = stage.reconcile();
    assert!(outcome.lapses.is_empty(), "{:?}", outcome.lapses);
    assert_eq!(stage.visit("a"), "new");
}
