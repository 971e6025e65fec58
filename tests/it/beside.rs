//! Commands beside a process that holds the state: they leave a request, or
//! read, and the holder acts within a second.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::process::{Child, ExitStatus};

use crate::flows::plan_id;
use crate::world::{ROOT, World, ids, items};

/// Calls that may still end after a request, at two a second.
const WITHIN_A_SECOND: usize = 4;

/// A process that sends ten of two thousand URLs twice a second, and has begun to.
fn at_work() -> (World, Child) {
    let world =
        World::new("batch: { maxUrls: 10 }\n  rateLimit: { requests: 2/1s, urls: 1000000/1s }");
    world.set("one", "  assets: [x]");
    world.sends(0);
    world.write("manifests/skus.txt", &ids("sku", 2_000));
    world.set("many", "  assetsFrom: [{ file: skus.txt, type: Image }]");
    world.set("large", "  limits: { maxUrls: 1 }\n  assets: [p, q]");
    let running = world.start(&["reconcile"]);
    world.wait_until("some calls", |world| world.accepted().len() > 3);
    (world, running)
}

fn ended(world: &World, running: Child) -> ExitStatus {
    let running = RefCell::new(running);
    world.wait_until("its end", |_| {
        running.borrow_mut().try_wait().unwrap().is_some()
    });
    running.into_inner().wait().unwrap()
}

#[test]
fn flow_10_what_is_approved_beside_a_process_at_work_is_sent_by_it() {
    let (world, mut running) = at_work();
    let id = plan_id(&world.ends(3, &["plan"]));
    let said = world.ends(0, &["approve", &id]);
    assert!(said.contains("2 items approved"), "{said}");
    let before = world.accepted().len();
    let approved = BTreeSet::from(["p", "q"].map(|id| format!("{ROOT}/{id}")));
    world.wait_until("what was approved", |world| {
        items(&world.accepted()).is_superset(&approved)
    });
    let after = world.accepted().len();
    assert!(
        after - before <= WITHIN_A_SECOND,
        "{} calls went before it",
        after - before
    );
    assert!(running.try_wait().unwrap().is_none(), "it is still at work");
    running.kill().unwrap();
    running.wait().unwrap();
}

#[test]
fn flow_10_what_is_suspended_beside_a_process_at_work_stops() {
    for scope in [&["--set", "many"][..], &["--cdn", "dynamic-media"]] {
        let (world, running) = at_work();
        let said = world.ends(0, &[&["suspend"], scope].concat());
        assert!(said.contains("suspended"), "{said}");
        let before = world.accepted().len();
        assert_eq!(ended(&world, running).code(), Some(4));
        let after = world.accepted().len();
        assert!(
            after - before <= WITHIN_A_SECOND,
            "{scope:?}: {} calls after it",
            after - before
        );
        world.ends(4, &["reconcile"]);
        assert_eq!(world.accepted().len(), after, "{scope:?}");
    }
}

#[test]
fn flow_10_status_history_and_plan_are_told_beside_a_process_at_work() {
    let (world, mut running) = at_work();
    let status = world.freshen(&["status"]);
    let holder = format!("held by `freshen reconcile` (process {} ", running.id());
    for part in [&holder, "many", "large", "freshen approve"] {
        assert!(
            status.stdout.contains(part),
            "no `{part}` in: {}",
            status.stdout
        );
    }
    let history = world.ends(0, &["history", "many"]);
    assert!(history.contains("10 items"), "{history}");
    assert!(world.ends(3, &["plan"]).contains("many"));
    let explained = world.freshen(&["explain", &format!("{ROOT}/sku0")]);
    assert!(
        explained.stdout.contains("accepted"),
        "{}",
        explained.stdout
    );
    running.kill().unwrap();
    running.wait().unwrap();
}
