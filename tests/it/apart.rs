//! One target's trouble never holds up another.

use std::sync::Arc;

use freshen::sandbox::{Failure, Faults, Options, Sandbox};
use freshen::state::{HistoryFilter, Store};

use crate::site::{START_MS, Site, UNLIMITED, assets};
use crate::world::World;

fn start() -> Arc<Sandbox> {
    Arc::new(Sandbox::start(Options::default()).unwrap())
}

/// When, from the beginning, the first batch for `sandbox` was opened.
fn first_opened_ms(store: &Store, sandbox: &Sandbox) -> i64 {
    let filter = HistoryFilter {
        at_most: 10_000,
        ..HistoryFilter::default()
    };
    let batches = store.history(&filter).unwrap().into_iter();
    let theirs = batches.filter(|batch| batch.target.contains(&sandbox.url()));
    theirs
        .map(|batch| batch.opened_ms - START_MS)
        .min()
        .unwrap()
}

#[test]
fn an_outer_tier_opens_while_an_unrelated_target_is_down() {
    let site = Site::new(7);
    let (down, inner, outer) = (start(), start(), start());
    site.cdn("down", &down, &[UNLIMITED]);
    site.cdn("inner", &inner, &[UNLIMITED]);
    site.cdn("outer", &outer, &[UNLIMITED]);
    site.set("stuck", &["cdns: [down]".to_owned(), assets("s", 3)]);
    site.set("free", &["cdns: [inner, outer]".to_owned(), assets("f", 3)]);
    down.fail(Failure::Code(30_000), None);
    let healed = Arc::clone(&down);
    site.clock
        .at(3_600_000, move || healed.set_faults(Faults::default()));
    let mut store = site.store();
    site.reconcile(&mut store);
    let opened_ms = first_opened_ms(&store, &outer);
    assert!((5_000..10_000).contains(&opened_ms), "{opened_ms} ms");
}

#[test]
fn an_outer_tier_of_a_small_set_opens_before_large_sets_are_through() {
    let site = Site::new(7);
    let (inner, outer) = (start(), start());
    let rate = "rateLimit: { requests: 6/1m, urls: 20000/1h }";
    site.cdn("inner", &inner, &[rate]);
    site.cdn("outer", &outer, &[UNLIMITED]);
    for n in 0..6 {
        let name = format!("large{n}");
        site.set(&name, &["cdns: [inner]".to_owned(), assets(&name, 9000)]);
    }
    site.set(
        "small",
        &["cdns: [inner, outer]".to_owned(), assets("f", 1)],
    );
    let mut store = site.store();
    site.reconcile(&mut store);
    let opened_ms = first_opened_ms(&store, &outer);
    assert!((5_000..60_000).contains(&opened_ms), "{opened_ms} ms");
}

/// Two sets at two Cdns of their own, all fresh.
fn two_cdns() -> (World, Sandbox) {
    let world = World::new("");
    let other = Sandbox::start(Options::default()).unwrap();
    let text = world.cdn("other", "");
    let text = text.replace(&world.sandbox.endpoint(), &other.endpoint());
    world.write("manifests/other.yaml", &text);
    world.set("one", "  cdns: [dynamic-media]\n  assets: [x]");
    world.set("two", "  cdns: [other]\n  assets: [y]");
    world.sends(0);
    (world, other)
}

#[test]
fn what_is_asked_for_does_not_wait_for_another_targets_hanging_call() {
    let (world, other) = two_cdns();
    world.set("two", "  cdns: [other]\n  assets: [y, z]");
    other.fail(Failure::Hang, None);
    let before = other.calls().len();
    let mut long = world.start(&["reconcile"]);
    world.wait_until("the hanging call", |_| other.calls().len() > before);
    let sent = world.accepted().len();
    world.ends(0, &["invalidate", "one", "--asset", "x"]);
    world.wait_until("what was asked for", |world| world.accepted().len() > sent);
    assert!(
        long.try_wait().unwrap().is_none(),
        "the other call still hangs"
    );
    assert_eq!(other.calls().len(), before + 1);
    long.kill().unwrap();
    long.wait().unwrap();
}

#[test]
fn a_batch_of_unknown_outcome_at_a_target_in_trouble_holds_up_no_other() {
    let (world, other) = two_cdns();
    world.set("two", "  cdns: [other]\n  assets: [y, z]");
    other.fail(Failure::Hang, None);
    let before = other.calls().len();
    let mut killed = world.start(&["reconcile"]);
    world.wait_until("the hanging call", |_| other.calls().len() > before);
    killed.kill().unwrap();
    killed.wait().unwrap();
    world.set("one", "  cdns: [dynamic-media]\n  assets: [x, new]");
    let sent = world.accepted().len();
    let mut next = world.start(&["reconcile"]);
    world.wait_until("the other Cdn's", |world| world.accepted().len() > sent);
    world.wait_until("the same batch again", |_| other.calls().len() > before + 1);
    next.kill().unwrap();
    next.wait().unwrap();
}
