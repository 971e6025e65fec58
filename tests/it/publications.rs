//! When assets were last published, as a revision: asked one by one, only where
//! it may have moved, and never twice.

use std::time::Instant;

use freshen::sandbox::{Failure, Faults, Options, Rule};

use crate::accounts::{Bench, NOW_MS};
use crate::keeper::Keeper;
use crate::lookups::{ADOPT, FOLDER, age, asked, calls, number, set, url};
use crate::sandbox::visit;
use crate::world::{World, items};

/// How often the account was asked when an asset was last published.
fn histories(world: &World) -> usize {
    calls(world, "getAssetPublishHistory")
}

fn publish(world: &World, asset: &str, bytes: &str) {
    world.sandbox.upload(asset, bytes);
    assert!(world.sandbox.publish(asset));
}

/// A world whose folder holds these images, all of them published.
fn published(options: Options, assets: &[&str]) -> World {
    let spec = "rateLimit: { requests: 100000/1s, urls: 100000000/1s, lookUps: 100000/1s }";
    let world = World::with(options, spec);
    for asset in assets {
        world.sandbox.put(asset, FOLDER, "Image");
        publish(&world, asset, "old");
    }
    set(&world, ", revision: lastPublished");
    world
}

fn spring(assets: &[&str]) -> World {
    published(Options::default(), assets)
}

/// Failures of the question when an asset was last published, one after the
/// other.
fn fail(world: &World, failures: &[(Failure, Option<u32>)]) {
    let rules = failures.iter().map(|(failure, times)| Rule {
        failure: failure.clone(),
        times: *times,
        operation: Some("getAssetPublishHistory".to_owned()),
    });
    world.sandbox.set_faults(Faults {
        rules: rules.collect(),
        ..Faults::default()
    });
}

#[test]
fn a_publication_is_sent_and_an_upload_is_not() {
    let world = spring(&["a", "b", "c"]);
    assert_eq!(items(&world.sends(0)).len(), 3);
    assert_eq!(histories(&world), 3);
    age(&world);
    assert_eq!(world.sends(0).len(), 0);
    assert_eq!(histories(&world), 3, "nothing has moved");
    world.sandbox.upload("b", "new");
    age(&world);
    assert_eq!(world.sends(0).len(), 0, "it is not published yet");
    assert_eq!(histories(&world), 4);
    age(&world);
    assert_eq!(world.sends(0).len(), 0);
    assert_eq!(histories(&world), 5, "it may have been published since");
    assert!(world.sandbox.publish("b"));
    age(&world);
    assert_eq!(world.sends(0), [[url("b")]]);
    assert_eq!(histories(&world), 6);
    age(&world);
    assert_eq!(world.sends(0).len(), 0);
    assert_eq!(histories(&world), 6);
}

#[test]
fn the_first_publication_of_an_asset_is_a_new_revision() {
    let world = spring(&["a"]);
    world.sandbox.put("new", FOLDER, "Image");
    world.sandbox.upload("new", "bytes");
    assert_eq!(items(&world.sends(0)).len(), 2);
    assert!(world.sandbox.publish("new"));
    age(&world);
    assert_eq!(world.sends(0), [[url("new")]]);
}

#[test]
fn publishing_anew_without_an_upload_is_seen_where_it_moves_last_modified() {
    let options = Options {
        publish_modifies: true,
        ..Options::default()
    };
    let world = published(options, &["a", "b"]);
    world.ends(0, &["reconcile"]);
    assert!(world.sandbox.publish("a"));
    age(&world);
    assert_eq!(world.sends(0), [[url("a")]]);
    age(&world);
    assert_eq!(world.sends(0).len(), 0);
    assert_eq!(histories(&world), 3);
}

#[test]
fn what_is_not_marked_for_publish_is_asked_about_once() {
    let world = spring(&["a"]);
    for asset in ["ready", "draft"] {
        world.sandbox.put(asset, FOLDER, "Image");
        world.sandbox.upload(asset, "bytes");
    }
    world.sandbox.mark("draft", false);
    set(&world, ", revision: lastPublished, publishState: any");
    world.ends(0, &["reconcile"]);
    assert_eq!(histories(&world), 3);
    age(&world);
    world.ends(0, &["reconcile"]);
    assert_eq!(histories(&world), 4, "only `ready` waits to be published");
    world.sandbox.mark("draft", true);
    assert!(world.sandbox.publish("draft"));
    age(&world);
    assert_eq!(world.sends(0), [[url("draft")]]);
    assert_eq!(histories(&world), 6);
}

#[test]
fn what_was_answered_before_a_kill_is_not_asked_again() {
    let names: Vec<String> = (0..50).map(|n| format!("n{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let world = spring(&names);
    // The first answers come as ever.
    fail(
        &world,
        &[(Failure::NoEffect, Some(20)), (Failure::Hang, Some(1))],
    );
    let mut killed = world.start(&["reconcile"]);
    world.wait_until("the call that hangs", |world| histories(world) == 21);
    killed.kill().unwrap();
    killed.wait().unwrap();
    world.sandbox.set_faults(Faults::default());
    let said = world.ends(0, &["reconcile"]);
    assert!(said.contains("50 rows, retrieved"), "{said}");
    assert_eq!(histories(&world), 21 + 30);
    assert_eq!(items(&world.accepted()).len(), 50);
}

#[test]
fn lists_that_share_assets_ask_about_each_once() {
    let world = spring(&["a", "b"]);
    world.set(
        "all",
        "  assetsFrom: [{ dynamicMedia: { folder: AcmeCorp, revision: lastPublished } }]",
    );
    world.ends(0, &["reconcile"]);
    assert_eq!((asked(&world), histories(&world)), (2, 2));
}

#[test]
fn an_asset_that_is_gone_is_not_asked_about() {
    let world = spring(&["a", "b"]);
    world.sandbox.upload("b", "new");
    world.ends(0, &["reconcile"]);
    world.sandbox.remove("b");
    age(&world);
    world.ends(0, &["reconcile"]);
    assert_eq!(histories(&world), 2);
    assert_eq!(number(&world, "SELECT count(*) FROM publication"), 2);
    world.ends(0, &["state", "check"]);
}

#[test]
fn a_history_that_cannot_be_had_leaves_what_was_known_of_its_asset() {
    let status = |status| Failure::Status {
        status,
        retry_after: None,
    };
    let check = |what: &str, failure: Failure| {
        let world = spring(&["a", "b"]);
        world.ends(0, &["reconcile"]);
        publish(&world, "a", "new");
        fail(&world, &[(failure, None)]);
        age(&world);
        let said = world.ends(4, &["reconcile"]);
        let words = "Failed to retrieve URL(s) for selected asset(s)";
        assert!(said.contains(words), "{what}: {said}");
        assert!(said.contains("stays in force"), "{what}: {said}");
        assert_eq!(world.accepted().len(), 1, "{what}");
        assert_eq!(number(&world, "SELECT count(*) FROM departed"), 0, "{what}");
        world.sandbox.set_faults(Faults::default());
        age(&world);
        assert_eq!(world.sends(0), [[url("a")]], "{what}");
    };
    check("a fault", Failure::Code(30_000));
    check("a refusal", Failure::Code(30_001));
    check("wrong credentials", Failure::Code(10_001));
    check("throttling", status(429));
    check("a page of a proxy", status(200));
    check("no answer", Failure::DropReply);
}

#[test]
fn an_asset_that_gives_no_answer_is_named_and_holds_up_no_other() {
    let world = spring(&["a", "b", "c"]);
    fail(&world, &[(Failure::Code(30_001), Some(1))]);
    let said = world.ends(4, &["reconcile"]);
    let words = "asset `a` does not tell when it was last published: ipsApiFault 30001";
    assert!(said.contains(words), "{said}");
    assert_eq!(world.accepted().concat(), [url("b"), url("c")]);
    age(&world);
    assert_eq!(world.sends(0), [[url("a")]]);
    assert_eq!(histories(&world), 4);
}

#[test]
fn assets_that_all_give_no_answer_are_not_all_asked() {
    let world = spring(&["a", "b", "c", "d", "e"]);
    fail(&world, &[(Failure::Code(30_001), None)]);
    let said = world.ends(4, &["reconcile"]);
    assert!(said.contains("3 of 5 assets asked"), "{said}");
    assert_eq!(histories(&world), 3);
    assert_eq!(world.accepted().len(), 0);
}

#[test]
fn a_first_list_is_waited_for_to_its_end_and_tells_how_far_it_is() {
    let world = spring(&["a", "b", "c"]);
    let cdn = world.cdn(
        "dynamic-media",
        "rateLimit: { requests: 100/1s, urls: 1000/1s, lookUps: 4/1h }",
    );
    world.write("manifests/cdn.yaml", &cdn);
    world.set("other", "  assets: [x]");
    let said = world.ends(4, &["reconcile", "--max-time", "3s"]);
    assert!(
        said.contains("not retrieved yet: 2 of 3 assets asked when they were last published"),
        "{said}"
    );
    assert_eq!(world.accepted(), [[url("x")]]);
}

/// A world whose edge is looked at, with an asset that it has a copy of.
fn watched(cdn: &str, search: &str) -> World {
    let world = World::new("");
    world.sandbox.put("a", FOLDER, "Image");
    publish(&world, "a", "old");
    let cdn = world.cdn("dynamic-media", &format!("settle: 2s\n  {cdn}"));
    let cdn = cdn.replace("https://s7d1.scene7.com", &world.sandbox.url());
    world.write("manifests/cdn.yaml", &cdn);
    set(&world, &format!(", poll: 1s, revision: {search}"));
    assert_eq!(edge(&world), "old");
    world
}

fn edge(world: &World) -> String {
    visit(&world.sandbox, "/is/image/AcmeCorp/a").0
}

/// Whether `freshen status` counts one such finding.
fn finds(world: &World, finding: &str) -> bool {
    let status = world.freshen(&["status", "-o", "json"]).stdout;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    status["targets"][0]["verification"][finding] == 1
}

#[test]
fn what_is_published_reaches_the_edge_by_itself_and_what_is_uploaded_does_not() {
    let world = watched("verify: { timeout: 1m }", "lastPublished");
    let keeper = Keeper::start(&world, &ADOPT);
    keeper.wait_until("the first pass", |keeper| keeper.passes() > 0);
    let before = histories(&world);
    world.sandbox.upload("a", "new");
    world.wait_until("two more questions", |world| histories(world) > before + 1);
    assert_eq!(world.accepted().len(), 0);
    assert_eq!(edge(&world), "old");
    assert!(world.sandbox.publish("a"));
    let start = Instant::now();
    world.wait_until("the new bytes", |world| edge(world) == "new");
    // Poll, settle, and two seconds for everything else.
    let took = start.elapsed();
    assert!(took.as_millis() < 1_000 + 250 + 2_000, "{took:?}");
    world.wait_until("the finding", |world| finds(world, "verified"));
    let asked_before = asked(&world);
    world.wait_until("two polls", |world| asked(world) > asked_before + 1);
    assert_eq!(world.accepted().len(), 1);
}

#[test]
fn an_origin_that_serves_late_what_was_published_is_mended_by_a_repeat() {
    let cdn = "verify: { timeout: 1m }\n  repeat: [5s, 20s, 60s]";
    let world = watched(cdn, "lastPublished");
    let keeper = Keeper::start(&world, &ADOPT);
    keeper.wait_until("the first pass", |keeper| keeper.passes() > 0);
    world.sandbox.set_faults(Faults {
        late_origin: true,
        ..Faults::default()
    });
    publish(&world, "a", "new");
    world.wait_until("the finding", |world| finds(world, "unchanged"));
    assert_eq!(edge(&world), "old", "the edge has the old bytes again");
    world.sandbox.set_faults(Faults::default());
    world.wait_until("the new bytes", |world| edge(world) == "new");
    world.wait_until("the other finding", |world| finds(world, "verified"));
    assert!(world.accepted().len() > 1);
}

/// Assets of that folder, published or merely uploaded, and whoever asks about
/// them within that rate, which keeps no time but its own.
fn bench(count: usize, is_published: bool, rate: &str) -> Bench {
    let (world, spec) = uploaded(count, is_published, rate);
    Bench::of(world, &spec, "poll: 2m, revision: lastPublished")
}

fn uploaded(count: usize, is_published: bool, rate: &str) -> (World, String) {
    let spec = format!("rateLimit: {{ lookUps: {rate} }}");
    let world = World::new(&spec);
    for n in 0..count {
        world.sandbox.put(&format!("n{n}"), FOLDER, "Image");
        world.sandbox.upload(&format!("n{n}"), "old");
        assert!(!is_published || world.sandbox.publish(&format!("n{n}")));
    }
    (world, spec)
}

const HOUR_MS: i64 = 60 * 60 * 1000;

#[test]
fn where_the_budget_ends_it_waits_for_it_and_everything_else_comes_first() {
    let bench = bench(5, true, "4/1h");
    // The company's handle, the list, and two of them.
    bench.ask();
    assert_eq!(bench.now_ms(), NOW_MS, "nobody waited");
    let progress = "2 of 5 assets asked when they were last published";
    assert_eq!(bench.known(), (None, Some(progress.to_owned())));
    assert_eq!(bench.due_in_ms(), HOUR_MS / 4);
    bench.wait_until(NOW_MS + HOUR_MS / 4);
    bench.ask();
    assert_eq!(histories(&bench.world), 3);
}

#[test]
fn whoever_breaks_off_tells_how_far_it_was() {
    let bench = bench(5, true, "4/4s");
    bench.ask();
    bench.wait_until(NOW_MS + bench.due_in_ms());
    bench.ask();
    assert_eq!(histories(&bench.world), 3);
    let (_, failure) = bench.known();
    assert!(
        failure.unwrap().starts_with("2 of 5"),
        "not each is worth it"
    );
    bench.break_off();
    let (_, failure) = bench.known();
    assert!(failure.unwrap().starts_with("3 of 5"));
}

#[test]
fn one_run_waits_for_its_budget_as_long_as_revisions_may_be_wrong() {
    let bench = bench(20, true, "4/1h");
    assert!(bench.ask_due());
    let (rows, failure) = bench.known();
    assert_eq!((rows.unwrap().len(), failure), (20, None));
    assert_eq!(histories(&bench.world), 20);
    assert!(bench.now_ms() - NOW_MS >= 4 * HOUR_MS);
    // Reading the list anew took some of the calls, and not most of them.
    assert!(asked(&bench.world) <= 3, "{}", asked(&bench.world));
}

#[test]
fn lists_that_share_assets_and_wait_for_one_budget_ask_about_each_once() {
    let (world, spec) = uploaded(10, true, "4/1h");
    world.set(
        "all",
        "  assetsFrom: [{ dynamicMedia: { folder: AcmeCorp, revision: lastPublished } }]",
    );
    let bench = Bench::of(world, &spec, "poll: 2m, revision: lastPublished");
    bench.ask_due();
    assert_eq!(histories(&bench.world), 10);
}

#[test]
fn what_is_learnt_takes_effect_before_all_has_been_asked() {
    let bench = bench(6, true, "4/1h");
    bench.ask_due();
    let (before, _) = bench.known();
    bench.wait_until(bench.now_ms() + 2 * HOUR_MS);
    for n in 0..6 {
        publish(&bench.world, &format!("n{n}"), "new");
    }
    assert!(bench.ask());
    let (rows, failure) = bench.known();
    // The list, and three of them.
    let (rows, before) = (rows.unwrap(), before.unwrap());
    assert_eq!(rows.len(), 6, "the others keep what was known of them");
    let moved = rows
        .iter()
        .zip(before)
        .filter(|(row, before)| row != &before);
    assert_eq!(moved.count(), 3);
    let progress = "3 of 6 assets asked when they were last published";
    assert_eq!(failure.as_deref(), Some(progress));
}

#[test]
fn what_nobody_publishes_is_asked_about_ever_less_and_leaves_something_over() {
    let mut bench = bench(12, false, "5/1m");
    bench.ask_due();
    assert_eq!(histories(&bench.world), 12);
    for n in 0..12 {
        bench.world.sandbox.upload(&format!("n{n}"), "new");
    }
    let asked_in = |bench: &Bench, hours: i64| {
        let (until_ms, before) = (bench.now_ms() + hours * HOUR_MS, histories(&bench.world));
        while bench.now_ms() < until_ms {
            bench.wait_until(bench.now_ms() + bench.due_in_ms().max(1));
            bench.ask();
        }
        histories(&bench.world) - before
    };
    let mut each_hour = vec![asked_in(&bench, 1)];
    bench.restart();
    bench.wait_until(bench.now_ms() + 200 * HOUR_MS);
    each_hour.push(asked_in(&bench, 1));
    each_hour.push(asked_in(&bench, 4));
    assert!(each_hour[0] > 120, "{each_hour:?}");
    assert_eq!(each_hour[1..], [12, 0], "once a day, when it is old");
    // One that moves is asked about at once, whatever waits.
    bench.world.sandbox.upload("n7", "new");
    publish(&bench.world, "n9", "new");
    bench.wait_until(bench.now_ms() + bench.due_in_ms());
    let at_ms = bench.now_ms();
    bench.ask();
    assert_eq!(bench.now_ms(), at_ms);
    let (rows, failure) = bench.known();
    let rows = rows.unwrap();
    let published: Vec<&str> = rows
        .iter()
        .filter(|row| row.len() == 3)
        .map(|row| &*row[0])
        .collect();
    assert_eq!((published, failure), (vec!["n9"], None));
}

#[test]
fn assets_that_no_list_holds_are_forgotten_after_a_month_and_no_other() {
    let bench = bench(3, true, "1000/1s");
    bench.ask();
    bench.world.sandbox.remove("n1");
    let day_ms = 24 * HOUR_MS;
    let rows = || number(&bench.world, "SELECT count(*) FROM publication");
    for (days, expected) in [(20, 3), (30, 3), (32, 2)] {
        bench.wait_until(NOW_MS + days * day_ms);
        bench.ask_due();
        assert_eq!(rows(), expected, "after {days} days");
    }
    // Nobody asked for long: that makes nothing look gone.
    bench.wait_until(NOW_MS + 90 * day_ms);
    bench.forget_others();
    bench.ask_due();
    assert_eq!((rows(), histories(&bench.world)), (2, 3));
}
