//! The flows that freshen must carry, each from beginning to end through the
//! real program; they are numbered as in the design's list of flows.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use freshen::sandbox::{Failure, Faults};

use crate::world::{ROOT, World, ids, items};

/// The plan id that a blocked plan shows.
pub(crate) fn plan_id(said: &str) -> String {
    let words = said.split(|character: char| !character.is_ascii_hexdigit());
    let id = words
        .filter(|word| word.len() >= 12)
        .find(|word| word.chars().any(char::is_numeric));
    id.unwrap_or_else(|| panic!("no plan id in: {said}"))
        .to_owned()
}

#[test]
fn flow_1_a_first_run_of_520_000_urls_waits_for_approval_and_survives_a_kill() {
    let declared_rate =
        "concurrency: 4\n  rateLimit: { requests: 6/1m, urls: [ 20000/1h, 200000/1d ] }";
    let world = World::new(declared_rate);
    let sizes = (0..10).map(|n| format!("    <ID>?wid={n}00\n"));
    let template = sizes.collect::<Vec<_>>().concat();
    world.write(
        "manifests/sizes.yaml",
        &format!("apiVersion: freshen/v1\nkind: Template\nmetadata: {{ name: sizes }}\nspec:\n  urls: |\n{template}"),
    );
    world.write("manifests/skus.txt", &ids("sku", 52_000));
    world.set(
        "all",
        "  templates: [sizes]\n  assetsFrom: [{ file: skus.txt, type: Image }]",
    );
    let said = world.ends(3, &["plan", "-v"]);
    for part in [
        "520,000 URLs blocked: 520 calls, about 1 d 16 h at the declared rate",
        &format!("{ROOT}/sku0?wid=000"),
        "and 519,980 more",
        "freshen approve",
        "--bootstrap adopt",
    ] {
        assert!(said.contains(part), "no `{part}` in: {said}");
    }
    world.ends(3, &["reconcile"]);
    assert_eq!(world.accepted().len(), 0);
    let id = plan_id(&world.ends(3, &["plan"]));
    world.ends(0, &["approve", &id]);
    // The rate is no part of the plan, and a test cannot wait for a day.
    world.write(
        "manifests/cdn.yaml",
        &world.cdn("dynamic-media", "concurrency: 4"),
    );
    let mut killed = world.start(&["reconcile"]);
    world.wait_until("a hundred calls", |world| world.accepted().len() >= 100);
    killed.kill().unwrap();
    killed.wait().unwrap();
    // Another commit changes the set, and the approval holds on.
    world.write("manifests/skus.txt", &ids("sku", 52_001));
    world.sends(0);
    let sent = world.accepted();
    assert_eq!(items(&sent).len(), 520_010);
    let repeats = sent.iter().flatten().count() - 520_010;
    assert!(
        repeats <= 4 * 1000,
        "{repeats} repeats for four calls under way"
    );
    assert_eq!(world.sends(0).len(), 0);
}

#[test]
fn flow_1_what_another_commit_adds_to_an_approved_plan_waits_for_its_own_approval() {
    let world =
        World::new("batch: { maxUrls: 1 }\n  rateLimit: { requests: 5/1s, urls: 100000/1s }");
    let declare = |more: &str| {
        world.set(
            "set",
            &format!("  limits: {{ maxUrls: 2 }}\n  assets: [a, b, c, d, e, f{more}]"),
        );
    };
    declare("");
    let id = plan_id(&world.ends(3, &["plan"]));
    world.ends(0, &["approve", &id]);
    let mut killed = world.start(&["reconcile"]);
    world.wait_until("three calls", |world| world.accepted().len() >= 3);
    killed.kill().unwrap();
    killed.wait().unwrap();
    declare(", x, y, z");
    world.ends(3, &["reconcile"]);
    let approved = ["a", "b", "c", "d", "e", "f"].map(|id| format!("{ROOT}/{id}"));
    assert_eq!(items(&world.accepted()), BTreeSet::from(approved));
}

fn one_url(world: &World, revision: &str) {
    world.set("set", &format!("  revision: \"{revision}\"\n  assets: [a]"));
}

#[test]
fn flow_2_a_b_a_sends_a_again_where_b_was_sent() {
    let world = World::new("");
    for revision in ["A", "B", "A"] {
        one_url(&world, revision);
        assert_eq!(world.sends(0), [[format!("{ROOT}/a")]], "at {revision}");
    }
}

#[test]
fn flow_2_a_b_a_sends_a_again_where_b_was_not_accepted() {
    let world = World::new("");
    one_url(&world, "A");
    world.sends(0);
    one_url(&world, "B");
    world.sandbox.fail(Failure::Code(30_000), None);
    assert_eq!(
        world.sends_by(4, &["reconcile", "--max-time", "1s"]).len(),
        0
    );
    world.sandbox.set_faults(Faults::default());
    one_url(&world, "A");
    assert_eq!(world.sends(0).len(), 1);
}

#[test]
fn flow_2_a_b_a_sends_a_again_where_the_fate_of_b_is_unknown() {
    let world = World::new("");
    one_url(&world, "A");
    world.sends(0);
    one_url(&world, "B");
    world.sandbox.fail(Failure::Hang, Some(1));
    let before = world.sandbox.calls().len();
    let mut killed = world.start(&["reconcile"]);
    world.wait_until("the call", |world| world.sandbox.calls().len() > before);
    killed.kill().unwrap();
    killed.wait().unwrap();
    one_url(&world, "A");
    let sent = world.sends(0);
    assert_eq!(
        sent.len(),
        2,
        "B once more under its number, then A: {sent:?}"
    );
    assert_eq!(world.sends(0).len(), 0);
}

#[test]
fn flow_3_explain_leads_from_an_old_image_to_each_of_five_causes() {
    let world = World::new("");
    let server = world.sandbox.url();
    let declare = |spec: &str| {
        let cdn = world.cdn("dynamic-media", &format!("origin: '{server}'\n  {spec}"));
        let cdn = cdn.replace("https://s7d1.scene7.com", &server);
        world.write("manifests/cdn.yaml", &cdn);
    };
    let at = |tail: &str| format!("{server}/is/image/AcmeCorp/{tail}");
    declare("verify: {}");
    world.sandbox.upload("late", "old");
    world.sandbox.publish("late");
    world.set("sent", "  imagePresets: true\n  assets: [late]");
    world.set("refused", "  assets: [bad]");
    world.set("large", "  limits: { maxUrls: 1 }\n  assets: [x, y]");
    world.sandbox.poison(&at("bad"), true);
    world.ends(4, &["reconcile"]);
    let check = |tail: &str, words: &[&str], next: &str| {
        let run = world.freshen(&["explain", &at(tail), "--fetch"]);
        let said = format!("{}{}", run.stdout, run.stderr);
        for part in words {
            assert!(said.contains(part), "{tail}: no `{part}` in: {said}");
        }
        let (_, command) = said.rsplit_once("Next: ").unwrap();
        assert!(command.contains(next), "{tail}: no `{next}` in: {command}");
    };
    check(
        "nobody",
        &["No manifest yields it, so it is never purged"],
        "freshen invalidate --url",
    );
    check("x", &["more than maxUrls 1"], "freshen approve ");
    check("bad", &["refused", "30001"], "freshen");
    check(
        "late",
        &["accepted", "The origin itself is not updated"],
        "publish it at the origin first",
    );
    let other = "late?wid=300";
    let words = ["with this query, and granularity `url` sends each by itself"];
    check(other, &words, "freshen invalidate --url");
    declare("granularity: path");
    check(other, &["sent as one with 3 URLs"], "freshen reconcile");
}

#[test]
fn flow_4_one_asset_goes_now_while_500_batches_wait() {
    let world =
        World::new("batch: { maxUrls: 100 }\n  rateLimit: { requests: 10/1s, urls: 1000000/1s }");
    world.set("one", "  assets: [urgent]");
    world.sends(0);
    world.write("manifests/skus.txt", &ids("sku", 50_000));
    world.set(
        "many",
        "  limits: { maxUrls: 100000 }\n  assetsFrom: [{ file: skus.txt, type: Image }]",
    );
    let mut long = world.start(&["reconcile", "--bootstrap", "invalidate"]);
    world.wait_until("some calls", |world| world.accepted().len() > 3);
    let asked = Instant::now();
    world.ends(0, &["invalidate", "--asset", "urgent"]);
    let urgent = vec![format!("{ROOT}/urgent")];
    world.wait_until("the urgent one", |world| {
        world
            .accepted()
            .iter()
            .filter(|call| **call == urgent)
            .count()
            == 2
    });
    assert!(
        asked.elapsed() < Duration::from_secs(10),
        "it took {:?}",
        asked.elapsed()
    );
    long.kill().unwrap();
    long.wait().unwrap();
    assert!(
        world.accepted().len() < 400,
        "the others had all gone by then"
    );
}

#[test]
fn flow_4_one_asset_goes_now_at_the_default_rate_too() {
    let world = World::new("# no rateLimit, so the default one\n  batch: { maxUrls: 10 }");
    world.set("one", "  assets: [urgent]");
    world.ends(0, &["state", "adopt", "one"]);
    world.write("manifests/skus.txt", &ids("sku", 5_000));
    world.set("many", "  assetsFrom: [{ file: skus.txt, type: Image }]");
    let mut long = world.start(&["reconcile"]);
    // Four, after the look-up of the company; then a call every ten seconds.
    world.wait_until("all that may go at once", |world| {
        world.accepted().len() >= 4
    });
    let asked = Instant::now();
    world.ends(0, &["invalidate", "--asset", "urgent"]);
    let urgent = vec![format!("{ROOT}/urgent")];
    world.wait_until("the urgent one", |world| world.accepted().contains(&urgent));
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "it took {:?}",
        asked.elapsed()
    );
    long.kill().unwrap();
    long.wait().unwrap();
}

#[test]
fn flow_5_a_truncated_and_restored_file_of_ids_sends_nothing() {
    let world = World::new("");
    world.write("manifests/skus.txt", &ids("sku", 500));
    world.set("set", "  assetsFrom: [{ file: skus.txt, type: Image }]");
    assert_eq!(items(&world.sends(0)).len(), 500);
    for kept in [10, 500, 250, 500] {
        world.write("manifests/skus.txt", &ids("sku", kept));
        assert_eq!(world.sends(0).len(), 0, "with {kept} lines");
    }
}

#[test]
fn flow_5_a_deleted_and_restored_manifest_and_an_undone_exclusion_send_nothing() {
    let world = World::new("");
    world.set("other", "  assets: [o]");
    world.set("set", "  assets: [a, b]");
    world.sends(0);
    world.remove("manifests/set.yaml");
    assert_eq!(world.sends(0).len(), 0);
    world.set("set", "  assets: [a, b]\n  exclude: [\"*/b\"]");
    assert_eq!(world.sends(0).len(), 0);
    world.set("set", "  assets: [b, a] # another order\n");
    assert_eq!(world.sends(0).len(), 0);
}

#[test]
fn flow_5_nearly_all_manifests_gone_and_restored_send_nothing() {
    let world = World::new("");
    let name = |n: usize| format!("set{n}");
    let declare = || (0..20).for_each(|n| world.set(&name(n), &format!("  assets: [a{n}]")));
    declare();
    assert_eq!(items(&world.sends(0)).len(), 20);
    (1..20).for_each(|n| world.remove(&format!("manifests/{}.yaml", name(n))));
    assert_eq!(world.sends(0).len(), 0);
    declare();
    assert_eq!(world.sends(0).len(), 0);
}

#[test]
fn flow_6_a_lost_state_with_50_sets_of_9_000_sends_nothing() {
    let world = World::new("");
    for set in 0..50 {
        world.write(
            &format!("manifests/{set}.txt"),
            &ids(&format!("s{set}-"), 9_000),
        );
        world.set(
            &format!("set{set}"),
            &format!("  assetsFrom: [{{ file: {set}.txt, type: Image }}]"),
        );
    }
    let said = world.ends(3, &["reconcile"]);
    assert!(said.contains("--bootstrap adopt"), "{said}");
    assert_eq!(world.sandbox.calls().len(), 0);
    // Still nothing: having been told once does not make the state a past.
    world.ends(3, &["reconcile"]);
    let part = world.ends(0, &["invalidate", "set7", "--asset", "s7-1"]);
    assert!(part.contains("1 "), "{part}");
    assert_eq!(world.accepted().len(), 1);
    world.ends(3, &["reconcile"]);
    assert_eq!(world.accepted().len(), 1);
    assert_eq!(
        world
            .sends_by(0, &["reconcile", "--bootstrap", "adopt"])
            .len(),
        0
    );
    assert_eq!(world.sends(0).len(), 0);
}

#[test]
fn flow_6_a_lost_state_is_judged_over_all_sets_even_where_one_is_meant() {
    let world = World::new("");
    for set in ["p", "q"] {
        world.write(&format!("manifests/{set}.txt"), &ids(set, 9_000));
        let spec = format!("  assetsFrom: [{{ file: {set}.txt, type: Image }}]");
        world.set(set, &spec);
    }
    for set in ["p", "q"] {
        let said = world.ends(3, &["reconcile", "--set", set]);
        assert!(said.contains("18,000 URLs"), "{said}");
    }
    assert_eq!(world.accepted().len(), 0);
    let deciding = ["reconcile", "--set", "p", "--bootstrap", "invalidate"];
    assert_eq!(items(&world.sends_by(0, &deciding)).len(), 9_000);
}

/// A set of 12,000 URLs that approves `plan`.
fn large_set(world: &World, plan: &str) {
    world.write("manifests/skus.txt", &ids("sku", 12_000));
    let text = format!(
        "apiVersion: freshen/v1\nkind: AssetSet\nmetadata:\n  name: large\n  annotations: {{ freshen/approve: \"{plan}\" }}\nspec:\n  assetsFrom: [{{ file: skus.txt, type: Image }}]\n"
    );
    world.write("manifests/large.yaml", &text);
}

#[test]
fn flow_6_an_approval_from_before_the_state_was_lost_lets_nothing_through() {
    let world = World::new("");
    large_set(&world, "000000000000");
    let id = plan_id(&world.ends(3, &["reconcile"]));
    large_set(&world, &id);
    assert_eq!(items(&world.sends(0)).len(), 12_000);
    world.remove("freshen.db");
    assert_eq!(world.sends(3).len(), 0, "by annotation");
    let approving = ["reconcile", "--approve", &id];
    assert_eq!(world.sends_by(4, &approving).len(), 0, "by flag");
    let id = plan_id(&world.ends(3, &["plan"]));
    let approving = ["reconcile", "--approve", &id];
    assert_eq!(items(&world.sends_by(0, &approving)).len(), 12_000);
}

#[test]
fn flow_1_what_was_planned_without_a_state_is_approved_by_command_alone() {
    let world = World::new("");
    large_set(&world, "000000000000");
    let id = plan_id(&world.ends(3, &["plan"]));
    large_set(&world, &id);
    assert_eq!(world.sends(3).len(), 0, "it could be from before a loss");
    world.remove("freshen.db");
    world.ends(0, &["approve", &id]);
    assert_eq!(items(&world.sends(0)).len(), 12_000);
}

#[test]
fn flow_9_a_renamed_and_a_split_set_send_nothing() {
    let world = World::new("");
    world.set("old", "  assets: [a, b, c, d]");
    assert_eq!(items(&world.sends(0)).len(), 4);
    world.remove("manifests/old.yaml");
    let renamed = "apiVersion: freshen/v1\nkind: AssetSet\nmetadata: { name: new, formerly: [old] }\nspec:\n  assets: [a, b, c, d]\n";
    world.write("manifests/new.yaml", renamed);
    assert_eq!(world.sends(0).len(), 0, "renamed with `formerly`");
    world.remove("manifests/new.yaml");
    world.set("newer", "  assets: [a, b, c, d]");
    assert_eq!(world.sends(0).len(), 0, "renamed without a word");
    world.set("newer", "  assets: [a, b]");
    world.set("newest", "  assets: [c, d]");
    assert_eq!(world.sends(0).len(), 0, "split");
    world.set("newest", "  assets: [c, d, e]");
    assert_eq!(
        items(&world.sends(0)),
        BTreeSet::from([format!("{ROOT}/e")])
    );
}

#[test]
fn flow_9_a_live_set_from_which_others_are_split_off_sends_nothing() {
    let world = World::new("");
    world.set("mid", "  assets: [a, b, c, d]");
    assert_eq!(items(&world.sends(0)).len(), 4);
    world.set("mid", "  assets: [a, b]");
    world.set("late", "  assets: [c]");
    world.set("zebra", "  assets: [d]");
    assert_eq!(world.sends(0).len(), 0, "split in one change");
    world.set("mid", "  assets: [a]");
    world.set("early", "  assets: [b, e]");
    assert_eq!(
        items(&world.sends(0)),
        BTreeSet::from([format!("{ROOT}/e")])
    );
}

#[test]
fn flow_9_what_moves_out_of_a_set_that_is_held_is_sent() {
    // What a held set loses is not recorded as lost, so it could come back unsent.
    let world = World::new("");
    world.set("old", "  assets: [a, b]");
    world.sends(0);
    world.set("old", "  suspend: true\n  assets: [a]");
    world.set("new", "  assets: [b]");
    assert_eq!(world.sends(0), [[format!("{ROOT}/b")]]);
}

#[test]
fn flow_9_what_is_owed_is_sent_by_the_set_it_moves_to() {
    let world = World::new("");
    let revised = |assets: &str| format!("  revision: \"2\"\n  assets: [{assets}]");
    world.set("old", "  assets: [a, b, c, d]");
    world.sends(0);
    world.sandbox.fail(Failure::Code(30_000), None);
    world.set("old", &revised("a, b, c, d"));
    world.ends(4, &["reconcile", "--max-time", "1s"]);
    world.sandbox.set_faults(Faults::default());
    world.set("old", &revised("a, b"));
    world.set("new", &revised("c, d"));
    assert_eq!(items(&world.sends(0)).len(), 4);
}

#[test]
fn flow_11_a_preset_whose_revision_is_bumped_sends_its_urls_alone() {
    let world = World::new("");
    world.set("set", "  imagePresets: true\n  assets: [a, b]");
    assert_eq!(items(&world.sends(0)).len(), 6);
    let text = world.cdn("dynamic-media", "");
    world.write(
        "manifests/cdn.yaml",
        &text.replace("revision: \"1\"", "revision: \"2\""),
    );
    let expected = ["a", "b"].map(|id| format!("{ROOT}/{id}?$product$"));
    assert_eq!(items(&world.sends(0)), BTreeSet::from(expected));
}

#[test]
fn one_assets_revision_sends_exactly_that_assets_items() {
    let world = World::new("");
    world.set(
        "set",
        "  imagePresets: true\n  assets: [a, b, { id: c, revision: \"1\" }]",
    );
    world.sends(0);
    world.set(
        "set",
        "  imagePresets: true\n  assets: [a, b, { id: c, revision: \"2\" }]",
    );
    let expected = ["", "?$product$", "?$thumbnail$"].map(|query| format!("{ROOT}/c{query}"));
    assert_eq!(items(&world.sends(0)), BTreeSet::from(expected));
}

#[test]
fn invalidate_twice_makes_two_calls_for_declared_and_undeclared_urls() {
    let world = World::new("");
    world.set("set", "  assets: [a, b]");
    world.sends(0);
    for _ in 0..2 {
        let sent = world.sends_by(0, &["invalidate", "set", "--asset", "a"]);
        assert_eq!(sent, [[format!("{ROOT}/a")]]);
        let undeclared = format!("{ROOT}/undeclared");
        assert_eq!(
            world.sends_by(0, &["invalidate", "--url", &undeclared]),
            [[undeclared]]
        );
    }
    assert_eq!(world.sends(0).len(), 0);
}

#[test]
fn an_asset_is_named_as_it_is_declared_though_its_urls_spell_it_otherwise() {
    let world = World::new("");
    world.set("set", "  assets: [my asset, \"50%\", other]");
    world.sends(0);
    for (asset, spelt) in [("my asset", "my%20asset"), ("50%", "50%25")] {
        let sent = world.sends_by(0, &["invalidate", "--asset", asset]);
        assert_eq!(sent, [[format!("{ROOT}/{spelt}")]]);
        let said = world.ends(0, &["explain", asset]);
        assert!(said.contains(&format!("{ROOT}/{spelt}")), "{said}");
    }
}

#[test]
fn a_saved_plan_is_carried_out_and_refused_once_it_is_stale() {
    let world = World::new("");
    world.set("set", "  assets: [a]");
    world.ends(0, &["plan", "--save", "plan.json"]);
    assert_eq!(
        world
            .sends_by(0, &["reconcile", "--plan", "plan.json"])
            .len(),
        1
    );
    let said = world.ends(1, &["reconcile", "--plan", "plan.json"]);
    assert!(said.contains("changed since"), "{said}");
    world.set("set", "  assets: [a, b]");
    world.ends(0, &["plan", "--save", "plan.json"]);
    world.set("set", "  assets: [a, b, c]");
    world.ends(1, &["reconcile", "--plan", "plan.json"]);
    assert_eq!(world.accepted().len(), 1);
}

#[test]
fn an_approval_in_the_manifest_lets_through_exactly_what_was_shown() {
    let world = World::new("");
    world.set("set", "  limits: { maxUrls: 2 }\n  assets: [a, b, c]");
    assert_eq!(world.sends(3).len(), 0);
    let id = plan_id(&world.ends(3, &["plan"]));
    let approved = |assets: &str| {
        let text = format!(
            "apiVersion: freshen/v1\nkind: AssetSet\nmetadata:\n  name: set\n  annotations: {{ freshen/approve: \"{id}\" }}\nspec:\n  limits: {{ maxUrls: 2 }}\n  assets: [{assets}]\n"
        );
        world.write("manifests/set.yaml", &text);
    };
    approved("a, b, c, d");
    assert_eq!(
        world.sends(3).len(),
        0,
        "another plan than the approved one"
    );
    approved("a, b, c");
    assert_eq!(items(&world.sends(0)).len(), 3);
}

#[test]
fn an_empty_root_freezes_what_is_recorded_and_exits_with_3() {
    let world = World::new("");
    world.set("set", "  assets: [a]");
    world.sends(0);
    let manifests = world.folder().join("manifests");
    let aside = world.folder().join("aside");
    fs::rename(&manifests, &aside).unwrap();
    world.ends(3, &["reconcile"]);
    fs::create_dir(&manifests).unwrap();
    world.ends(3, &["reconcile"]);
    fs::remove_dir(&manifests).unwrap();
    fs::rename(&aside, &manifests).unwrap();
    assert_eq!(world.sends(0).len(), 0);
}

#[test]
fn what_is_suspended_waits_and_goes_once_resumed() {
    let world = World::new("");
    world.set("set", "  assets: [a]");
    world.set("other", "  assets: [b]");
    world.ends(0, &["suspend", "--set", "set"]);
    assert_eq!(world.sends(4), [[format!("{ROOT}/b")]]);
    world.ends(0, &["resume", "--set", "set"]);
    assert_eq!(world.sends(0), [[format!("{ROOT}/a")]]);
}

#[test]
fn a_batch_of_a_set_that_was_suspended_since_is_not_sent_again_after_a_crash() {
    for is_by_command in [true, false] {
        let world = World::new("");
        let declared = "  revision: 'B'\n  assets: [a]";
        world.set("set", "  assets: [a]");
        world.sends(0);
        world.set("set", declared);
        world.sandbox.fail(Failure::Hang, Some(1));
        let before = world.sandbox.calls().len();
        let mut killed = world.start(&["reconcile"]);
        world.wait_until("the call", |world| world.sandbox.calls().len() > before);
        killed.kill().unwrap();
        killed.wait().unwrap();
        if is_by_command {
            world.ends(0, &["suspend", "--set", "set"]);
        } else {
            world.set("set", &format!("  suspend: true\n{declared}"));
        }
        assert_eq!(world.sends(4).len(), 0, "by command: {is_by_command}");
    }
}

#[test]
fn while_a_template_is_broken_no_set_counts_as_vanished() {
    let world = World::new("");
    world.set("gone", "  assets: [g]");
    world.set("set", "  assets: [a]");
    world.sends(0);
    world.remove("manifests/gone.yaml");
    let template =
        "apiVersion: freshen/v1\nkind: Template\nmetadata: { name: t }\nspec:\n  urls:\n    - ";
    world.write("manifests/t.yaml", &format!("{template}<ID>/<X>\n"));
    world.set("set", "  templates: [t]\n  assets: [a]");
    world.ends(4, &["reconcile"]);
    let said = world.ends(0, &["status", "gone"]);
    assert!(!said.contains("not declared"), "{said}");
}
