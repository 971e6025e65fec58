//! `--wait`: a command beside the daemon ends with what came of what it asked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Stdio;

use freshen::reconcile::Events;
use freshen::reconcile::asks::Ask;
use freshen::reconcile::forcing::Selection;
use freshen::sandbox::{Options, Sandbox};
use freshen::state::{self, Holder, Store};
use freshen::submit::observer::CallEnd;
use freshen::submit::stop::Stop;
use serde_json::Value;

use crate::keeper::Keeper;
use crate::site::{IMAGES, START_MS, Site, UNLIMITED, assets, urls};
use crate::world::{ROOT, World, items};

/// A daemon that holds the set `set` of `a` and `b` as fresh.
fn beside() -> (World, Keeper) {
    let world = World::new("");
    world.set("set", "  limits: { maxUrls: 2 }\n  assets: [a, b]");
    let keeper = Keeper::start(&world, &["--bootstrap", "adopt"]);
    keeper.wait_until("the first pass", |keeper| keeper.passes() > 0);
    (world, keeper)
}

/// The outcome that a command tells, which ends with `code`.
fn outcome(world: &World, code: i32, arguments: &[&str]) -> Value {
    let said = world.ends(code, &[arguments, &["-o", "json"]].concat());
    let json: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}"));
    json["progress"].clone()
}

fn counts(accepted: u64, refused: u64, dropped: u64, left: u64) -> Value {
    let items = accepted + refused + dropped + left;
    serde_json::json!({
        "items": items, "accepted": accepted, "refused": refused, "dropped": dropped, "left": left
    })
}

#[test]
fn an_invalidation_that_is_waited_for_has_been_accepted_when_it_ends() {
    let (world, _keeper) = beside();
    let undeclared = format!("{ROOT}/undeclared");
    for round in 1..=2 {
        let told = outcome(&world, 0, &["invalidate", "set", "--wait"]);
        assert_eq!(told, counts(2, 0, 0, 0));
        let told = outcome(
            &world,
            0,
            &["invalidate", "--wait=1m", "--url", &undeclared],
        );
        assert_eq!(told, counts(1, 0, 0, 0));
        assert_eq!(world.accepted().len(), 2 * round);
    }
    let said = world.ends(0, &["invalidate", "--asset", "a", "--wait"]);
    assert!(said.contains("1 of 1 item accepted."), "{said}");
}

#[test]
fn what_the_cdn_refuses_fails_the_command_that_waits_for_it() {
    let (world, _keeper) = beside();
    for id in ["b", "bad"] {
        world.sandbox.poison(&format!("{ROOT}/{id}"), true);
    }
    let told = outcome(&world, 4, &["invalidate", "set", "--wait"]);
    assert_eq!(told, counts(1, 1, 0, 0));
    let undeclared = format!("{ROOT}/bad");
    let told = outcome(&world, 4, &["invalidate", "--url", &undeclared, "--wait"]);
    assert_eq!(told, counts(0, 1, 0, 0));
    let said = world.ends(4, &["invalidate", "set", "--wait"]);
    assert!(said.contains("1 item refused: `freshen status`"), "{said}");
}

#[test]
fn what_is_held_back_is_told_once_the_time_to_wait_is_over() {
    let (world, _keeper) = beside();
    world.ends(0, &["suspend", "--set", "set", "--wait"]);
    let said = world.ends(4, &["invalidate", "set", "--wait=500ms"]);
    assert!(
        said.contains("2 items still to be sent: `freshen status`"),
        "{said}"
    );
    world.ends(0, &["state", "forget", "set", "--wait"]);
    assert_eq!(world.accepted().len(), 0);
}

#[test]
fn what_is_forgotten_meanwhile_is_not_taken_for_accepted() {
    let (world, _keeper) = beside();
    world.ends(0, &["suspend", "--set", "set"]);
    let mut waiting = world.command(&["invalidate", "set", "--wait", "-o", "json"]);
    let waiting = waiting.stdout(Stdio::piped()).spawn().unwrap();
    world.wait_until("the request", |world| {
        world.ends(0, &["history"]).contains("invalidate")
    });
    world.ends(0, &["state", "adopt", "set"]);
    let ended = waiting.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(4));
    let told: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(told["progress"], counts(0, 0, 2, 0));
}

#[test]
fn an_approval_that_is_waited_for_has_been_sent_when_it_ends() {
    let (world, keeper) = beside();
    world.sandbox.poison(&format!("{ROOT}/d"), true);
    world.set("set", "  limits: { maxUrls: 2 }\n  assets: [a, b, c, d, e]");
    keeper.wait_until("a blocked plan", |keeper| {
        keeper.metric("freshen_blocked_items{set=\"set\",cdn=\"dynamic-media\"}") == Some(3.0)
    });
    let said = world.ends(3, &["status"]);
    let id = said.split("freshen approve ").nth(1).unwrap();
    let told = outcome(&world, 4, &["approve", &id[..12], "--wait"]);
    assert_eq!(told, counts(2, 1, 0, 0));
    let sent = BTreeSet::from(["c", "e"].map(|id| format!("{ROOT}/{id}")));
    assert_eq!(items(&world.accepted()), sent);
}

#[test]
fn an_approval_is_not_taken_for_sent_where_nobody_is_there_to_send_it() {
    let world = World::new("");
    world.set("set", "  limits: { maxUrls: 2 }\n  assets: [a, b, c]");
    let said = world.ends(3, &["reconcile"]);
    let id = said.split("freshen approve ").nth(1).unwrap();
    let said = world.ends(4, &["approve", &id[..12], "--wait"]);
    assert!(
        said.contains("3 items still to be sent, and nobody holds"),
        "{said}"
    );
    assert!(said.contains("freshen reconcile"), "{said}");
}

/// Asks for something, and for room for new manifests, while a plan is sent.
struct Meanwhile<'a> {
    state: &'a Path,
    asks: Vec<Ask>,
    stop: Stop,
}

impl Events for Meanwhile<'_> {
    fn ended(&mut self, _: &CallEnd<'_>) {
        for ask in self.asks.drain(..) {
            state::ask(self.state, &ask.row("somebody"), START_MS).unwrap();
            self.stop.make_way();
        }
    }
}

#[test]
fn what_is_asked_for_just_before_new_manifests_come_is_sent_with_them() {
    let sandbox = Sandbox::start(Options::default()).unwrap();
    let site = Site::new(1);
    site.cdn("dm", &sandbox, &[UNLIMITED]);
    site.set("set", &[assets("a", 2)]);
    let path = site.folder().join("freshen.db");
    let holder = Holder {
        pid: 1,
        host: "here".to_owned(),
        command: "freshen run".to_owned(),
        since_ms: START_MS,
    };
    let mut store = Store::open(&path, &holder, START_MS).unwrap();
    site.reconcile(&mut store);
    let undeclared = format!("{IMAGES}/undeclared");
    let invalidate = |selection| Ask::Invalidate(selection);
    let mut meanwhile = Meanwhile {
        state: &path,
        asks: vec![
            invalidate(Selection {
                set: Some("set".to_owned()),
                ..Selection::default()
            }),
            invalidate(Selection {
                urls: Some(vec![undeclared.clone()]),
                ..Selection::default()
            }),
        ],
        stop: Stop::default(),
    };
    let stop = meanwhile.stop.clone();
    site.set("set", &["revision: two".to_owned(), assets("a", 2)]);
    site.reconcile_seen_by(&mut meanwhile, stop, &mut store);
    site.reconcile(&mut store);
    let mut expected: BTreeMap<String, u64> = urls("a", 2).into_iter().map(|it| (it, 3)).collect();
    expected.insert(undeclared, 1);
    assert_eq!(sandbox.accepted(), expected);
    for request in 1..=2 {
        let advance = store.advance(request).unwrap();
        assert_eq!((advance.accepted, advance.left), (advance.items, 0));
    }
}

#[test]
fn an_undeclared_url_is_done_once_it_is_accepted_whatever_else_waits() {
    let world = World::new("batch: { maxUrls: 1 }\n  rateLimit: { requests: 4/1h, urls: 1000/1h }");
    world.set("set", "  assets: [a]");
    let keeper = Keeper::start(&world, &["--bootstrap", "adopt"]);
    keeper.wait_until("the first pass", |keeper| keeper.passes() > 0);
    world.set("many", "  assets: [b, c, d, e, f]");
    world.wait_until("what the rate allows", |world| world.accepted().len() >= 2);
    let undeclared = format!("{ROOT}/undeclared");
    let arguments = ["invalidate", "--url", &undeclared, "--wait=1m"];
    assert_eq!(outcome(&world, 0, &arguments), counts(1, 0, 0, 0));
}

#[test]
fn what_was_approved_and_then_adopted_is_not_taken_for_accepted() {
    let (world, keeper) = beside();
    world.set("set", "  limits: { maxUrls: 2 }\n  assets: [a, b, c, d, e]");
    keeper.wait_until("a blocked plan", |keeper| {
        keeper.metric("freshen_blocked_items{set=\"set\",cdn=\"dynamic-media\"}") == Some(3.0)
    });
    let said = world.ends(3, &["status"]);
    let id = said.split("freshen approve ").nth(1).unwrap();
    world.ends(0, &["suspend", "--all"]);
    let said = world.ends(4, &["approve", &id[..12], "--wait=500ms"]);
    assert!(said.contains("3 items still to be sent"), "{said}");
    assert!(said.contains("3 items approved"), "{said}");
    world.ends(0, &["state", "adopt", "set"]);
    let told = keeper.get("/api/v1/requests/2");
    let told: Value = serde_json::from_str(&told.body).unwrap();
    assert_eq!(told["progress"], counts(0, 0, 3, 0));
}
