//! What `plan` says of the cost: what granularity saves, where it is not to be
//! relied on, and what is left of the rate.

use serde_json::Value;

use crate::world::{World, ids};

/// Presets `p0`, `p1` and so on.
fn presets(count: usize) -> String {
    let names: Vec<String> = (0..count).map(|n| format!("p{n}")).collect();
    names.join(", ")
}

/// A Cdn that serves `server`, with `count` presets.
fn world(server: &str, count: usize, spec: &str) -> World {
    let world = World::new("");
    declare(&world, server, count, spec);
    world
}

fn declare(world: &World, server: &str, count: usize, spec: &str) {
    let cdn = world
        .cdn("dynamic-media", spec)
        .replace("https://s7d1.scene7.com", server)
        .replace(
            "thumbnail, { name: product, revision: \"1\" }",
            &presets(count),
        );
    world.write("manifests/cdn.yaml", &cdn);
}

/// What the plan costs at the only Cdn.
fn cost(world: &World, code: i32) -> Value {
    let plan = world.freshen(&["plan", "-o", "json"]);
    assert_eq!(plan.code, code, "{}{}", plan.stdout, plan.stderr);
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    plan["cdns"][0].clone()
}

const OWN: &str = "https://media.acme.com";
const PATH: &str = "granularity: path";

#[test]
fn a_plan_says_how_many_items_and_calls_granularity_saves() {
    let world = world(OWN, 20, PATH);
    world.write("manifests/ids.txt", &ids("k", 10_000));
    let unlimited = "limits: { maxUrls: 1000000 }";
    let set = format!("  {unlimited}\n  imagePresets: true\n  assetsFrom: [{{ file: ids.txt }}]");
    world.set("set", &set);
    let told = cost(&world, 0);
    assert_eq!(told["items"], 10_000);
    assert_eq!(told["urls"], 210_000);
    assert_eq!(told["savedItems"], 200_000);
    assert_eq!(told["savedCalls"], 200);
    let said = world.ends(0, &["plan"]);
    let note = "dynamic-media: 10,000 items for 210,000 declared URLs; its granularity \
                saves 200,000 items and 200 calls";
    assert!(said.contains(note), "{said}");
    assert!(said.contains("10,000 URLs to send in 10 calls"), "{said}");
    declare(&world, OWN, 20, "granularity: url");
    let told = cost(&world, 3);
    assert_eq!(told["blocked"], 210_000, "a first run of so many");
    assert_eq!(told["urls"], 210_000);
    assert_eq!(
        (&told["savedItems"], &told["savedCalls"]),
        (&0.into(), &0.into())
    );
}

#[test]
fn a_url_declared_twice_is_saved_once() {
    let world = world(OWN, 2, PATH);
    let template = "apiVersion: freshen/v1\nkind: Template\nmetadata: { name: t }\n\
                    spec: { urls: ['<ID>', '<ID>?$p0$', '<ID>?wid=1'] }\n";
    world.write("manifests/template.yaml", template);
    world.set(
        "set",
        "  templates: [t]\n  imagePresets: true\n  assets: [a]",
    );
    let told = cost(&world, 0);
    assert_eq!(told["urls"], 4, "base, two presets and a width: {told}");
    assert_eq!(told["savedItems"], 3);
}

#[test]
fn what_is_saved_is_counted_for_what_is_sent_and_for_what_waits() {
    let world = world(OWN, 3, PATH);
    world.set("set", "  imagePresets: true\n  assets: [a, b, c]");
    assert_eq!(world.sends(0).concat().len(), 3);
    let revised = "  imagePresets: true\n  assets: [a, b, { id: c, revision: '2' }]";
    world.set("set", revised);
    let told = cost(&world, 0);
    assert_eq!((&told["items"], &told["urls"]), (&1.into(), &4.into()));
    world.set("set", &format!("{revised}\n  limits: {{ maxUrls: 0 }}"));
    let told = cost(&world, 3);
    assert_eq!((&told["items"], &told["blocked"]), (&0.into(), &1.into()));
    assert_eq!((&told["urls"], &told["savedItems"]), (&4.into(), &3.into()));
}

#[test]
fn a_domain_that_accounts_share_is_warned_of_where_its_queries_are_dropped() {
    let warns = |world: &World, host: &str| {
        let said = world.ends(0, &["validate"]);
        let warning = format!("drops the query of URLs at {host}");
        let planned = world.ends(0, &["plan"]);
        assert_eq!(
            said.contains(&warning),
            planned.contains(&warning),
            "{planned}"
        );
        said.contains(&warning)
    };
    let shared = world("https://s7g10.scene7.com", 1, PATH);
    shared.set("set", "  assets: [a]");
    assert!(warns(&shared, "s7g10.scene7.com"));
    declare(
        &shared,
        "https://s7g10.scene7.com",
        1,
        "granularity: { default: path, url: [s7g10.scene7.com] }",
    );
    assert!(!warns(&shared, "s7g10.scene7.com"));
    let own = world(OWN, 1, PATH);
    own.set("set", "  assets: [a]");
    assert!(!warns(&own, "media.acme.com"));
    own.set(
        "set",
        "  assets: [a]\n  urls: ['https://S7D2.scene7.com:443/is/image/AcmeCorp/b?wid=1']",
    );
    assert!(warns(&own, "S7D2.scene7.com"));
}

#[test]
fn what_is_left_of_the_rate_is_told_and_counted_in() {
    let world = world(OWN, 1, "rateLimit: { requests: 4/1h, urls: 1000/1d }");
    world.set("set", "  assets: [a]");
    let full = cost(&world, 0);
    assert_eq!(full["budget"][0]["left"], 4, "{full}");
    assert!(!world.ends(0, &["plan"]).contains("left of its rate"));
    assert_eq!(world.sends(0).len(), 1);
    world.set("set", "  assets: [a, b]");
    // A call was the look-up of the company.
    let left = cost(&world, 0)["budget"].clone();
    assert_eq!(left[0]["unit"], "requests");
    assert_eq!(
        (&left[0]["left"], &left[0]["burst"]),
        (&2.into(), &4.into())
    );
    assert_eq!(
        (&left[1]["left"], &left[1]["burst"]),
        (&999.into(), &1000.into())
    );
    let said = world.ends(0, &["plan"]);
    let note = "dynamic-media: left of its rate: 2 of 4 calls in 1 h, 999 of 1,000 URLs in 1 d";
    assert!(said.contains(note), "{said}");
    assert!(said.contains("to send in 1 call, at once"), "{said}");
    world.sends(0);
    world.set("set", "  assets: [a, b, c]");
    world.ends(4, &["reconcile", "--max-time", "1s"]);
    let said = world.ends(0, &["plan"]);
    assert!(said.contains("to send in 1 call, about "), "{said}");
}

#[test]
fn a_host_that_could_match_no_url_is_an_error() {
    for host in [
        "https://media.acme.com",
        "media.acme.com/",
        "*.acme.com",
        "media acme",
    ] {
        let world = world(OWN, 1, &format!("granularity: {{ path: ['{host}'] }}"));
        world.set("set", "  assets: [a]");
        let said = world.ends(4, &["validate"]);
        assert!(
            said.contains("a host such as media.acme.com"),
            "{host}: {said}"
        );
    }
}
