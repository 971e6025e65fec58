//! What a run says when not all is well, and what it says again.

use freshen::sandbox::{Failure, Faults};
use serde_json::Value;

use crate::program::Run;
use crate::world::{ROOT, World};

/// A set of which one URL is refused.
fn refusing() -> World {
    let world = World::new("");
    world.set("set", "  assets: [a, bad]");
    world.sandbox.poison(&format!("{ROOT}/bad"), true);
    world
}

fn json(run: &Run) -> Value {
    serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {}", run.stderr))
}

#[test]
fn what_was_refused_is_told_again_by_every_later_run() {
    let world = refusing();
    let url = format!("{ROOT}/bad");
    let first = world.ends(4, &["reconcile"]);
    assert!(first.contains("1 refused"), "{first}");
    for part in ["nothing sent, 1 refused.", &url, "30001"] {
        let again = world.ends(4, &["reconcile"]);
        assert!(again.contains(part), "no `{part}` in: {again}");
        assert!(!again.contains("every CDN has been told"), "{again}");
    }
    for format in ["text", "markdown", "github", "jsonl"] {
        let said = world.ends(4, &["reconcile", "-o", format]);
        assert!(said.contains(&url), "{format}: {said}");
        assert!(said.contains("30001"), "{format}: {said}");
    }
    let told = json(&world.freshen(&["reconcile", "-o", "json"]));
    assert_eq!(told["refused"], 1);
    let refusal = &told["refusals"][0];
    assert_eq!(
        (&refusal["set"], &refusal["cdn"], &refusal["url"]),
        (&"set".into(), &"dynamic-media".into(), &url.as_str().into())
    );
    assert!(refusal["code"].as_str().unwrap().contains("30001"));
    assert!(!refusal["message"].as_str().unwrap().is_empty());
}

#[test]
fn a_plan_does_not_call_well_what_a_cdn_refuses() {
    let world = refusing();
    world.ends(4, &["reconcile"]);
    let said = world.ends(4, &["plan"]);
    assert!(
        said.contains("nothing to send now; 1 URL refused earlier"),
        "{said}"
    );
    let told = json(&world.freshen(&["plan", "-o", "json"]));
    assert_eq!((&told["refused"], &told["items"]), (&1.into(), &0.into()));
    world.set("set", "  assets: [a, bad, new]");
    let said = world.ends(4, &["plan"]);
    assert!(said.contains("1 URL to send"), "{said}");
    assert!(said.contains("Not sent: 1 URL refused earlier."), "{said}");
    world.ends(0, &["suspend", "--all"]);
    let said = world.ends(0, &["plan"]);
    assert!(said.contains("nothing to send now; 1 URL held"), "{said}");
}

#[test]
fn the_twenty_first_refused_url_is_counted() {
    let world = World::new("batch: { maxUrls: 6 }");
    let ids: Vec<String> = (0..24).map(|n| format!("bad{n}")).collect();
    world.set("set", &format!("  assets: [{}]", ids.join(", ")));
    let poison = ids.iter().map(|id| freshen::sandbox::Poison {
        url: format!("{ROOT}/{id}"),
        code: 30_001,
        named: true,
        drops: false,
    });
    let faults = Faults {
        poison: poison.collect(),
        ..Faults::default()
    };
    world.sandbox.set_faults(faults);
    let said = world.ends(4, &["reconcile"]);
    let told = json(&world.freshen(&["reconcile", "-o", "json"]));
    let refused = told["refusals"].as_array().unwrap().len();
    assert_eq!(refused, 24, "{said}");
    let said = world.ends(4, &["reconcile"]);
    assert_eq!(said.matches("  ipsApiFault 30001: ").count(), 20, "{said}");
    assert!(said.contains("    and 4 more\n"), "{said}");
}

#[test]
fn the_last_fault_of_a_cdn_is_told_where_nothing_got_through_after_it() {
    let world = World::new("");
    world.set("set", "  assets: [a]");
    world.sandbox.fail(Failure::Code(30_000), None);
    let arguments = ["reconcile", "--max-time", "1s", "-o", "json"];
    let told = json(&world.freshen(&arguments));
    let fault = told["cdns"][0]["fault"].as_str().unwrap();
    assert!(fault.contains("30000"), "{told:#}");
    world.sandbox.set_faults(Faults::default());
    world.sandbox.fail(Failure::Code(30_000), Some(1));
    let told = json(&world.freshen(&["reconcile", "-o", "json"]));
    assert_eq!(told["accepted"], 1, "{told:#}");
    assert_eq!(told["cdns"][0]["fault"], Value::Null, "{told:#}");
}

#[test]
fn a_run_cut_short_by_its_rate_says_when_it_can_go_on() {
    let world =
        World::new("rateLimit: { requests: 4/1h, urls: 20000/1h }\n  batch: { maxUrls: 10 }");
    let ids: Vec<String> = (0..50).map(|n| format!("a{n}")).collect();
    world.set("set", &format!("  assets: [{}]", ids.join(", ")));
    let said = world.ends(4, &["reconcile", "--max-time", "1s"]);
    for part in [
        "30 left",
        "run again to go on, from 2",
        "the rest takes about 4",
    ] {
        assert!(said.contains(part), "no `{part}` in: {said}");
    }
    let told = json(&world.freshen(&["reconcile", "--max-time", "1s", "-o", "json"]));
    let seconds = told["leftSeconds"].as_u64().unwrap();
    assert!((2_600..=2_700).contains(&seconds), "{told:#}");
    let cdn = &told["cdns"][0];
    assert!(cdn["retryAt"].is_string(), "{told:#}");
    assert!(cdn["lastCallAt"].is_string(), "{told:#}");
    let said = world.ends(0, &["status"]);
    for part in ["pending 30", "waits until 2", "at the declared rate"] {
        assert!(said.contains(part), "no `{part}` in: {said}");
    }
    let pending = "a7 a8 a9 a10 a49".split(' ').find(|id| {
        let said = world.freshen(&["explain", &format!("{ROOT}/{id}")]).stdout;
        said.contains("the declared rate of Cdn `dynamic-media` lets its next call go at 2")
    });
    assert!(pending.is_some(), "no URL that waits says why");
}

#[test]
fn status_counts_only_what_still_applies() {
    let world = refusing();
    world.ends(4, &["reconcile"]);
    assert!(world.ends(4, &["status"]).contains("/bad  ipsApiFault"));
    world.set("set", "  assets: [a]");
    let said = world.ends(0, &["status"]);
    assert!(!said.contains("/bad"), "no longer declared: {said}");
    world.set("set", "  revision: \"2\"\n  assets: [a, bad]");
    let said = world.ends(0, &["status"]);
    assert!(!said.contains("/bad"), "at another revision: {said}");
    world.set("set", "  assets: [a, bad]");
    world.ends(4, &["status"]);
    world.write(
        "manifests/cdn.yaml",
        &world.cdn("dynamic-media", "concurrency: 2"),
    );
    let said = world.ends(0, &["status"]);
    assert!(!said.contains("/bad"), "another Cdn: {said}");
}

#[test]
fn a_halt_that_stands_in_nothings_way_is_no_trouble() {
    let world = World::new("");
    let text = world.cdn("dynamic-media", "");
    let wrong = text.replace("IPS_PASSWORD", "IPS_USER");
    world.write("manifests/cdn.yaml", &wrong);
    world.set("set", "  assets: [a]");
    world.ends(4, &["reconcile"]);
    assert!(world.ends(4, &["status"]).contains("unauthorized"));
    world.set("set", "  suspend: true\n  assets: [a]");
    let said = world.ends(0, &["status"]);
    assert!(!said.contains("unauthorized"), "{said}");
    world.set("set", "  assets: [a]");
    world.ends(4, &["status"]);
    world.write("manifests/cdn.yaml", &text);
    let said = world.ends(0, &["status"]);
    assert!(!said.contains("unauthorized"), "it is tried again: {said}");
}

#[test]
fn why_somebody_invalidated_stands_in_the_history() {
    let world = World::new("");
    world.set("set", "  assets: [a, b]");
    world.set("other", "  assets: [c]");
    world.sends(0);
    let why = ["--reason", "the logo was wrong"];
    world.ends(0, &[&["invalidate", "set"], &why[..]].concat());
    let said = world.ends(0, &["history"]);
    assert!(said.contains("invalidate by tester"), "{said}");
    assert!(said.contains("because: the logo was wrong"), "{said}");
    let told = json(&world.freshen(&["history", "set", "-o", "json"]));
    let request = &told["requests"][0];
    assert_eq!(request["reason"], "the logo was wrong", "{told:#}");
    assert_eq!(request["set"], "set", "{told:#}");
    let told = json(&world.freshen(&["history", "other", "-o", "json"]));
    assert_eq!(told["requests"], Value::Array(Vec::new()), "{told:#}");
}

#[test]
fn history_says_where_it_shows_only_the_latest() {
    let world = World::new("");
    for revision in ["A", "B", "C"] {
        world.set("set", &format!("  revision: {revision}\n  assets: [a]"));
        world.sends(0);
    }
    let latest = world.ends(0, &["history", "--last", "2"]);
    let told = "2 batches, 2 items: the latest, see `--last`.";
    assert!(latest.contains(told), "{latest}");
    let all = world.ends(0, &["history", "--last", "3"]);
    assert!(all.contains("3 batches, 3 items."), "{all}");
}

#[test]
fn a_url_that_somebody_sent_by_hand_says_when() {
    let world = World::new("");
    world.set("set", "  assets: [a]");
    world.sends(0);
    let url = format!("{ROOT}/by-hand");
    world.ends(0, &["invalidate", "--url", &url]);
    let said = world.ends(0, &["explain", &url]);
    assert!(said.contains("Last sent to dynamic-media 2"), "{said}");
    assert!(said.contains("in batch 2: accepted"), "{said}");
    assert!(said.contains("purged only when somebody asks"), "{said}");
    let told = json(&world.freshen(&["explain", &url, "-o", "json"]));
    assert_eq!(told["sent"].as_array().unwrap().len(), 1, "{told:#}");
}

#[test]
fn what_was_sent_by_hand_is_settled_once_it_is_accepted() {
    let world = World::new("");
    world.set("set", "  assets: [a]");
    world.sends(0);
    let url = format!("{ROOT}/by-hand");
    let asked = ["invalidate", "--url", &url];
    world.sandbox.poison(&url, true);
    world.ends(4, &asked);
    let said = world.ends(0, &["status"]);
    // Nothing of it is left to be sent: it was answered.
    assert!(said.contains("refused: ipsApiFault 30001"), "{said}");
    assert!(said.contains("fresh at 2 of 2 targets"), "{said}");
    world
        .sandbox
        .set_faults(freshen::sandbox::Faults::default());
    world.ends(0, &asked);
    let said = world.ends(0, &["status"]);
    assert!(said.contains("fresh at 2 of 2 targets"), "{said}");
}

#[test]
fn answers_go_to_where_results_go_in_the_format_that_was_asked_for() {
    let world = World::new("");
    world.set("set", "  limits: { maxUrls: 1 }\n  assets: [a, b]");
    world.ends(3, &["reconcile"]);
    let id = crate::flows::plan_id(&world.ends(3, &["plan"]));
    let check = |arguments: &[&str], answer: &str| {
        let run = world.freshen(&[arguments, &["-o", "json"]].concat());
        assert_eq!(run.code, 0, "{arguments:?}: {}{}", run.stdout, run.stderr);
        let told = crate::schemas::fits("answer", &run);
        let said = told["answer"].as_str().unwrap();
        assert!(said.contains(answer), "{arguments:?}: {told:#}");
        assert_eq!(told["isDone"], true, "{arguments:?}: {told:#}");
    };
    check(&["approve", &id], "2 items approved");
    check(&["suspend", "--all"], "suspended");
    check(&["resume", "--all"], "resumed");
    check(&["state", "check"], "the state is sound");
    check(&["state", "adopt", "set"], "recorded `set` as fresh");
    check(&["state", "mv", "set", "new"], "recorded as `new`");
    check(&["state", "forget", "new"], "forgot `new`");
    check(&["state", "export", "copy.db"], "exported to copy.db");
    check(&["state", "import", "copy.db"], "imported copy.db");
    let run = world.freshen(&["suspend", "--all"]);
    assert_eq!((&*run.stdout, &*run.stderr), ("suspended.\n", ""));
}

#[test]
fn damage_is_told_as_json_too() {
    let world = World::new("");
    world.set("set", "  assets: [a]");
    world.sends(0);
    let conn = rusqlite::Connection::open(world.folder().join("freshen.db")).unwrap();
    conn.execute_batch("UPDATE bucket SET entries = zeroblob(32)")
        .unwrap();
    drop(conn);
    let run = world.freshen(&["state", "check", "-o", "json"]);
    assert_eq!(run.code, 4, "{}{}", run.stdout, run.stderr);
    let told = crate::schemas::fits("answer", &run);
    let detail = told["details"][0].as_str().unwrap();
    assert!(detail.contains("/freshen.db`: bucket "), "{told:#}");
}

#[test]
fn resuming_what_was_not_suspended_is_a_mistake() {
    let world = World::new("");
    world.set("spring", "  assets: [a]");
    world.set("later", "  suspend: true\n  assets: [b]");
    let check = |name: &str, cure: &str| {
        let said = world.ends(1, &["resume", "--set", name]);
        let message = format!("no set `{name}` is suspended");
        assert!(said.contains(&message), "{said}");
        assert!(said.contains(cure), "no `{cure}` in: {said}");
    };
    check("spring", "`freshen status` lists");
    world.ends(0, &["suspend", "--set", "spring"]);
    world.ends(0, &["suspend", "--cdn", "dynamic-media"]);
    check("sprin", "did you mean `spring`?");
    check("later", "`suspend: true`, at ./manifests/later.yaml:5");
    let said = world.ends(0, &["resume", "--all"]);
    for left in [
        "still suspended: set spring",
        "still suspended: Cdn dynamic-media",
    ] {
        assert!(said.contains(left), "no `{left}` in: {said}");
    }
    let said = world.ends(0, &["resume", "--set", "spring"]);
    assert!(said.contains("resumed."), "{said}");
    assert!(said.contains("still suspended: Cdn"), "{said}");
    let said = world.ends(0, &["resume", "--cdn", "dynamic-media"]);
    assert!(!said.contains("still suspended"), "{said}");
}

#[test]
fn the_history_of_a_set_that_nobody_knows_is_a_mistake() {
    let world = World::new("");
    world.set("spring", "  assets: [a]");
    world.set("new", "  suspend: true\n  assets: [b]");
    world.sends(4);
    let said = world.ends(1, &["history", "sprin"]);
    assert!(said.contains("no set is called `sprin`"), "{said}");
    assert!(said.contains("did you mean `spring`?"), "{said}");
    world.ends(0, &["history", "new"]);
    world.remove("manifests/spring.yaml");
    assert!(world.ends(0, &["history", "spring"]).contains("1 batch"));
}

#[test]
fn an_approval_that_names_nothing_is_told() {
    let world = World::new("batch: { maxUrls: 1 }\n  rateLimit: { requests: 3/1h, urls: 100/1h }");
    world.set("set", "  limits: { maxUrls: 1 }\n  assets: [a, b, c, d]");
    world.ends(3, &["reconcile"]);
    let vain = "0123456789ab";
    let said = world.ends(4, &["reconcile", "--approve", vain]);
    assert!(
        said.contains("no plan `0123456789ab` waits for approval"),
        "{said}"
    );
    assert!(
        said.contains("`freshen plan` names those that wait"),
        "{said}"
    );
    let id = crate::flows::plan_id(&world.ends(3, &["plan"]));
    let approve = ["reconcile", "--max-time", "1s", "--approve", &id];
    for _ in 0..2 {
        let said = world.ends(4, &approve);
        assert!(!said.contains("waits for approval"), "{said}");
    }
}

#[test]
fn a_manifest_that_cannot_be_read_is_told_wherever_its_sets_are_asked_about() {
    let world = World::new("");
    world.set("set", "  assets: [a]");
    world.set("other", "  assets: [b]");
    world.sends(0);
    world.set("set", "  assets: [a");
    let url = format!("{ROOT}/a");
    let check = |arguments: &[&str], code: i32, parts: &[&str]| {
        let run = world.freshen(arguments);
        let said = format!("{}{}", run.stdout, run.stderr);
        assert_eq!(run.code, code, "{arguments:?}: {said}");
        for part in parts {
            assert!(said.contains(part), "{arguments:?}: no `{part}` in: {said}");
        }
    };
    let place = "manifests/set.yaml:";
    check(
        &["status"],
        4,
        &[place, "has errors", "fresh at 1 of 2 targets"],
    );
    check(&["status", "-o", "json"], 4, &["\"problems\": [", "broken"]);
    check(&["status", "set"], 4, &[place, "has errors"]);
    check(
        &["explain", &url],
        4,
        &["a manifest cannot be read", "freshen validate"],
    );
    let invalidate = ["invalidate", "set"];
    check(
        &invalidate,
        1,
        &["a manifest cannot be read", "freshen validate"],
    );
    world.set("set", "  assets: [a]");
    check(&["status"], 0, &["fresh at 2 of 2 targets"]);
}

#[test]
fn a_root_that_is_gone_is_told_by_status() {
    let world = World::new("");
    world.set("set", "  assets: [a]");
    world.sends(0);
    let run = world.freshen(&["--manifests", "absent", "status"]);
    let said = format!("{}{}", run.stdout, run.stderr);
    assert_eq!(run.code, 3, "{said}");
    assert!(said.contains("the manifest root does not exist"), "{said}");
}
