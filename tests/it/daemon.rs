//! The daemon, as a whole: the real program, real folders, a CDN on loopback.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use freshen::sandbox::{Failure, Faults, Options, Sandbox};

use crate::keeper::Keeper;
use crate::service::read_request;
use crate::world::{ROOT, World, address_of, ids, items};

const ADOPT: [&str; 2] = ["--bootstrap", "adopt"];

fn url(asset: &str) -> String {
    format!("{ROOT}/{asset}")
}

fn last(world: &World) -> Vec<String> {
    world.accepted().pop().unwrap_or_default()
}

#[test]
fn a_changed_manifest_is_sent_and_an_unchanged_one_is_not() {
    let world = World::new("");
    world.set("set", "  assets: [a, b]");
    let keeper = Keeper::start(&world, &ADOPT);
    keeper.wait_until("the first pass", |keeper| keeper.passes() > 0);
    assert_eq!(world.accepted().len(), 0);
    world.set("set", "  assets: [a, b, c]");
    world.wait_until("the new URL", |world| last(world) == [url("c")]);
    let before = keeper.passes();
    world.set("set", "  # only a comment\n  assets: [a, b, c]");
    keeper.wait_until("another pass", |keeper| keeper.passes() > before);
    assert_eq!(world.accepted().len(), 1);
}

#[test]
fn it_refuses_to_begin_without_a_past_unless_told_what_that_means() {
    let world = World::new("");
    world.set("set", "  assets: [a]");
    let said = world.ends(1, &["run", "--listen", "127.0.0.1:0"]);
    for part in ["remembers nothing", "--bootstrap adopt", "--observe"] {
        assert!(said.contains(part), "no `{part}` in: {said}");
    }
    assert!(!world.folder().join("freshen.db").exists());
    let keeper = Keeper::start(&world, &["--bootstrap", "invalidate"]);
    world.wait_until("what is declared", |world| last(world) == [url("a")]);
    assert!(!keeper.log().contains("recorded as fresh"));
}

#[test]
fn a_lost_state_that_is_adopted_is_told() {
    let world = World::new("");
    world.set("set", "  assets: [a]");
    let keeper = Keeper::start(&world, &ADOPT);
    keeper.wait_for_log("all that is declared is recorded as fresh, and not sent");
    keeper.wait_until("the first pass", |keeper| keeper.passes() > 0);
    drop(keeper);
    let again = Keeper::start(&world, &ADOPT);
    again.wait_until("a pass", |keeper| keeper.passes() > 0);
    assert!(!again.log().contains("recorded as fresh"));
}

#[test]
fn an_observer_plans_and_tells_but_sends_and_holds_nothing() {
    let world = World::new("");
    world.set("set", "  assets: [a, b]");
    let keeper = Keeper::start(&world, &["--observe"]);
    keeper.wait_for_log("observed");
    assert!(keeper.log().contains("items=2"), "{}", keeper.log());
    assert_eq!(world.sandbox.calls().len(), 0);
    assert!(!world.folder().join("freshen.db").exists());
    world.sends(0);
    world.set("set", "  assets: [a, b, c]");
    keeper.wait_for_log("items=1");
    assert_eq!(world.accepted().len(), 1);
}

#[test]
fn flow_10_status_invalidate_and_approve_work_beside_the_daemon() {
    let world = World::new("");
    world.set("set", "  limits: { maxUrls: 2 }\n  assets: [a]");
    let keeper = Keeper::start(&world, &ADOPT);
    keeper.wait_until("the first pass", |keeper| keeper.passes() > 0);
    let said = world.ends(0, &["status"]);
    assert!(said.contains("held by `freshen run`"), "{said}");
    world.ends(0, &["invalidate", "set", "--asset", "a"]);
    world.wait_until("what was asked for", |world| last(world) == [url("a")]);
    world.set("set", "  limits: { maxUrls: 2 }\n  assets: [a, b, c, d]");
    keeper.wait_until("a blocked plan", |keeper| {
        keeper.metric("freshen_blocked_items{set=\"set\",cdn=\"dynamic-media\"}") == Some(3.0)
    });
    let said = world.ends(3, &["status"]);
    let id = said.split("freshen approve ").nth(1).unwrap();
    world.ends(0, &["approve", &id[..12]]);
    world.wait_until("what was approved", |world| last(world).len() == 3);
    world.ends(0, &["suspend", "--set", "set"]);
    world.set("set", "  assets: [a, b, c, d, e]");
    keeper.wait_until("a suspended plan", |keeper| keeper.log().contains("held=1"));
    world.ends(0, &["resume", "--set", "set"]);
    world.wait_until("what was held", |world| last(world) == [url("e")]);
}

#[test]
fn flow_4_one_asset_goes_at_once_while_500_batches_wait_in_the_daemon() {
    let rate = "batch: { maxUrls: 100 }\n  rateLimit: { requests: 6/1m, urls: 1000000/1s }";
    let world = World::new(rate);
    world.set("one", "  assets: [urgent]");
    let keeper = Keeper::start(&world, &ADOPT);
    keeper.wait_until("the first pass", |keeper| keeper.passes() > 0);
    world.write("manifests/skus.txt", &ids("sku", 50_000));
    let many = "  limits: { maxUrls: 100000 }\n  assetsFrom: [{ file: skus.txt, type: Image }]";
    world.set("many", many);
    world.wait_until("what the rate allows", |world| world.accepted().len() >= 5);
    let asked = std::time::Instant::now();
    world.ends(0, &["invalidate", "--asset", "urgent"]);
    world.wait_until("the urgent one", |world| last(world) == [url("urgent")]);
    assert!(asked.elapsed().as_secs() < 10, "{:?}", asked.elapsed());
}

#[test]
fn new_manifests_take_the_place_of_whatever_was_not_sent_yet() {
    let rate = "batch: { maxUrls: 1 }\n  rateLimit: { requests: 2/1s, urls: 1000000/1s }";
    let world = World::new(rate);
    world.set("set", "  assets: [z]");
    let keeper = Keeper::start(&world, &ADOPT);
    keeper.wait_until("the first pass", |keeper| keeper.passes() > 0);
    world.write("manifests/skus.txt", &ids("old", 1000));
    world.set("set", "  assetsFrom: [{ file: skus.txt, type: Image }]");
    world.wait_until("the first of a thousand", |world| {
        !world.accepted().is_empty()
    });
    world.set("set", "  assets: [new]");
    world.wait_until("the newest", |world| last(world) == [url("new")]);
    assert!(world.accepted().len() < 100);
    let sent = world.accepted().len();
    let before = keeper.passes();
    world.set("set", "  # again\n  assets: [new]");
    keeper.wait_until("another pass", |keeper| keeper.passes() > before);
    assert_eq!(
        world.accepted().len(),
        sent,
        "nothing of the old list is left"
    );
}

#[test]
fn a_set_goes_when_its_time_has_come() {
    let world = World::new("");
    world.set("set", "  assets: [a]");
    let keeper = Keeper::start(&world, &ADOPT);
    keeper.wait_until("the first pass", |keeper| keeper.passes() > 0);
    let now = jiff::Timestamp::now();
    let at = now.checked_add(jiff::SignedDuration::from_secs(3)).unwrap();
    world.set("set", &format!("  notBefore: {at:.0}\n  assets: [a, b]"));
    keeper.wait_for_log("held=1");
    assert_eq!(world.accepted().len(), 0);
    world.wait_until("its time", |world| last(world) == [url("b")]);
}

#[test]
fn a_cdn_that_is_down_is_neither_unhealthy_nor_forgotten() {
    let world = World::new("");
    world.set("set", "  assets: [a]");
    let keeper = Keeper::start(&world, &ADOPT);
    keeper.wait_until("the first pass", |keeper| keeper.passes() > 0);
    world.sandbox.fail(Failure::Code(30_000), None);
    world.set("set", "  assets: [a, b]");
    world.wait_until("a failing call", |world| {
        world.sandbox.calls().iter().any(|call| !call.accepted)
    });
    assert_eq!(keeper.get("/-/healthy").status, 200);
    assert_eq!(keeper.get("/-/ready").status, 200);
    world.sandbox.set_faults(Faults::default());
    world.wait_until("what was owed", |world| last(world) == [url("b")]);
}

#[test]
fn a_cdn_that_is_down_at_the_start_is_told_everything_once_it_is_back() {
    let world = World::new("");
    let down = Sandbox::start(Options::default()).unwrap();
    let (listen, url) = (address_of(&down), down.url());
    down.stop();
    let cdn = world.cdn("dynamic-media", "");
    let cdn = cdn.replace(&world.sandbox.url(), &url);
    world.write("manifests/cdn.yaml", &cdn);
    world.set("set", "  assets: [a, b]");
    let keeper = Keeper::start(&world, &["--bootstrap", "invalidate"]);
    keeper.wait_until("a failing call", |keeper| {
        let failures = keeper.metric("freshen_consecutive_failures{cdn=\"dynamic-media\"}");
        failures.is_some_and(|failures| failures > 1.0)
    });
    assert_eq!(keeper.get("/-/healthy").status, 200);
    assert_eq!(keeper.get("/-/ready").status, 200);
    let options = Options {
        listen,
        ..Options::default()
    };
    let back = Sandbox::start(options).unwrap();
    keeper.wait_until("what was owed", |_| back.accepted().len() == 2);
}

#[test]
fn a_corrected_secret_is_used_without_a_restart() {
    let world = World::new("");
    let cdn = world.cdn("dynamic-media", "");
    let cdn = cdn.replace("env: IPS_PASSWORD", "file: secret");
    let secret = world.folder().join("secret");
    let cdn = cdn.replace("file: secret", &format!("file: '{}'", secret.display()));
    world.write("manifests/cdn.yaml", &cdn);
    world.write("secret", "wrong");
    world.set("set", "  assets: [a]");
    let keeper = Keeper::start(&world, &["--bootstrap", "invalidate"]);
    keeper.wait_until("a halted target", |keeper| {
        keeper.get("/api/v1/status").body.contains("unauthorized")
    });
    let calls = world.sandbox.calls().len();
    assert!(calls <= 2, "{calls} calls with a wrong password");
    world.set("other", "  assets: [b]");
    keeper.wait_until("another pass", |keeper| keeper.passes() > 1);
    assert_eq!(world.sandbox.calls().len(), calls, "it is left alone");
    world.write("secret", &Options::default().password);
    world.wait_until("both URLs", |world| items(&world.accepted()).len() == 2);
}

#[test]
fn a_hanging_call_holds_up_no_other_target_and_no_probe() {
    let world = World::new("");
    let other = Sandbox::start(Options::default()).unwrap();
    let text = world.cdn("other", "");
    let text = text.replace(&world.sandbox.endpoint(), &other.endpoint());
    world.write("manifests/other.yaml", &text);
    world.set("one", "  cdns: [dynamic-media]\n  assets: [x]");
    world.set("two", "  cdns: [other]\n  assets: [y]");
    let keeper = Keeper::start(&world, &ADOPT);
    keeper.wait_until("the first pass", |keeper| keeper.passes() > 0);
    other.fail(Failure::Hang, None);
    world.set("two", "  cdns: [other]\n  assets: [y, hangs]");
    keeper.wait_until("the hanging call", |_| !other.calls().is_empty());
    world.set("one", "  cdns: [dynamic-media]\n  assets: [x, goes]");
    world.wait_until("the other target's", |world| last(world) == [url("goes")]);
    assert_eq!(keeper.get("/-/healthy").status, 200);
}

#[test]
fn a_broken_manifest_keeps_its_last_good_state_and_is_told() {
    let world = World::new("");
    world.set("good", "  assets: [a]");
    world.set("bad", "  assets: [b]");
    let keeper = Keeper::start(&world, &ADOPT);
    keeper.wait_until("the first pass", |keeper| keeper.passes() > 0);
    world.set("bad", "  assets: [b, c]\n  asset: [typo]");
    keeper.wait_for_log("bad.yaml:");
    world.set("good", "  assets: [a, d]");
    world.wait_until("the good one", |world| last(world) == [url("d")]);
    let answer = keeper.post("/-/reload", "");
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(answer.body.contains("bad.yaml"), "{}", answer.body);
    world.set("bad", "  assets: [b, c]");
    world.wait_until("the mended one", |world| last(world) == [url("c")]);
}

#[test]
fn an_empty_or_missing_root_removes_nothing() {
    let world = World::new("");
    world.set("set", "  assets: [a]");
    let keeper = Keeper::start(&world, &ADOPT);
    keeper.wait_until("the first pass", |keeper| keeper.passes() > 0);
    let (here, aside) = (
        world.folder().join("manifests"),
        world.folder().join("aside"),
    );
    fs::rename(&here, &aside).unwrap();
    keeper.wait_for_log("does not exist");
    fs::rename(&aside, &here).unwrap();
    world.set("set", "  assets: [a, b]");
    world.wait_until("only what is new", |world| last(world) == [url("b")]);
    assert_eq!(world.accepted().len(), 1);
}

#[test]
fn the_api_asks_for_what_the_commands_ask_for() {
    let world = World::new("");
    world.set("set", "  assets: [a]");
    let keeper = Keeper::start(&world, &ADOPT);
    keeper.wait_until("the first pass", |keeper| keeper.passes() > 0);
    let answer = keeper.post("/api/v1/invalidate", r#"{"asset": "a"}"#);
    assert_eq!(answer.status, 202, "{}", answer.body);
    world.wait_until("what was asked for", |world| last(world) == [url("a")]);
    let answer = keeper.get("/api/v1/requests/1");
    assert!(answer.body.contains("sent again"), "{}", answer.body);
    keeper.wait_until("its acceptance", |keeper| {
        let answer = keeper.get("/api/v1/requests/1");
        let told: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        told["progress"]["accepted"] == 1
    });
    assert_eq!(keeper.post("/api/v1/reconcile", "{}").status, 202);
}

/// A sink for notifications on loopback, and the bodies it was sent.
fn sink() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let bodies: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = Arc::clone(&bodies);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let (_, body) = read_request(&mut stream);
            kept.lock().unwrap().push(body);
            write!(
                stream,
                "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"
            )
            .unwrap();
        }
    });
    (url, bodies)
}

#[test]
fn a_change_of_state_is_told_once_and_its_end_as_well() {
    let world = World::new("");
    let (url, bodies) = sink();
    let told = |kind: &str| {
        let bodies = bodies.lock().unwrap();
        let kind = format!("\"kind\":\"{kind}\"");
        bodies
            .iter()
            .filter(|body| body.replace(' ', "").contains(&kind))
            .count()
    };
    world.set("set", "  limits: { maxUrls: 1 }\n  assets: [a]");
    let keeper = Keeper::start(&world, &[&ADOPT[..], &["--notify", &url]].concat());
    keeper.wait_until("the first pass", |keeper| keeper.passes() > 0);
    world.set("set", "  limits: { maxUrls: 1 }\n  assets: [a, b, c]");
    keeper.wait_until("a notification", |_| told("blocked") == 1);
    let before = keeper.passes();
    world.set("other", "  assets: [o]");
    keeper.wait_until("another pass", |keeper| keeper.passes() > before);
    let said = world.ends(3, &["status"]);
    let id = said.split("freshen approve ").nth(1).unwrap();
    world.ends(0, &["approve", &id[..12]]);
    keeper.wait_until("its end", |_| told("recovered") == 1);
    assert_eq!(told("blocked"), 1);
}

#[test]
fn a_sink_that_is_down_holds_nothing_up() {
    let world = World::new("");
    world.set("set", "  limits: { maxUrls: 1 }\n  assets: [a]");
    let nobody = "http://127.0.0.1:1/hook";
    let keeper = Keeper::start(&world, &[&ADOPT[..], &["--notify", nobody]].concat());
    keeper.wait_until("the first pass", |keeper| keeper.passes() > 0);
    world.set("set", "  limits: { maxUrls: 1 }\n  assets: [a, b, c]");
    keeper.wait_for_log("blocked=2");
    world.set("other", "  assets: [o]");
    world.wait_until("what is not blocked", |world| last(world) == [url("o")]);
}
