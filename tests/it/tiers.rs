//! Tiers that begin once what is inside them was seen to have taken effect.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use freshen::batch::verify::Finding;
use freshen::reconcile::Outcome;
use freshen::sandbox::{Failure, Options, Sandbox};

use crate::site::{UNLIMITED, invalidations};
use crate::verify::Stage;
use crate::world::World;

const SECOND: i64 = 1_000;

/// A stage with an outer tier, which another sandbox is.
struct Tiers {
    stage: Stage,
    outer: Arc<Sandbox>,
}

impl Tiers {
    /// With these lines in the `spec` of the inner Cdn.
    fn new(spec: &[&str]) -> Self {
        let stage = Stage::new(spec);
        let outer = Arc::new(Sandbox::start(Options::default()).unwrap());
        stage.site.cdn("outer", &outer, &[UNLIMITED]);
        let tiers = Self { stage, outer };
        tiers.revise("1", "after: verified");
        tiers
    }

    fn revise(&self, revision: &str, after: &str) {
        let urls = format!("urls: ['{}']", self.stage.url("a"));
        let revision = format!("revision: '{revision}'");
        let cdns = "cdns: [dm, outer]".to_owned();
        let spec = [cdns, after.to_owned(), revision, urls];
        self.stage.site.set("set", &spec);
    }

    /// Whether the outer tier will have been told when that much time has gone by.
    fn is_told_at(&self, elapsed_ms: i64) -> Arc<Mutex<Option<bool>>> {
        let seen = Arc::new(Mutex::new(None));
        let (outer, told) = (Arc::clone(&self.outer), Arc::clone(&seen));
        self.stage.site.clock.at(elapsed_ms, move || {
            *told.lock().unwrap() = Some(!invalidations(&outer).is_empty());
        });
        seen
    }

    fn reconcile(&mut self) -> Outcome {
        self.stage.reconcile()
    }
}

fn seen(told: &Mutex<Option<bool>>) -> bool {
    told.lock().unwrap().expect("that much time went by")
}

#[test]
fn an_outer_tier_begins_once_the_inner_one_is_verified() {
    for (after, expected) in [("after: verified", false), ("after: accepted", true)] {
        let mut tiers = Tiers::new(&["verify: { timeout: 2m }"]);
        tiers.stage.publish("a", "new");
        tiers.revise("2", after);
        tiers.stage.sandbox.fail(Failure::NoEffect, Some(1));
        let told = tiers.is_told_at(29 * SECOND);
        let sandbox = Arc::clone(&tiers.stage.sandbox);
        // The old copy is too old to be served from then on.
        let expire = move || sandbox.advance(Duration::from_hours(11));
        tiers.stage.site.clock.at(30 * SECOND, expire);
        let outcome = tiers.reconcile();
        assert_eq!(seen(&told), expected, "{after}");
        assert_eq!(invalidations(&tiers.outer).len(), 1);
        assert!(outcome.lapses.is_empty());
        assert_eq!(tiers.stage.visit("a"), "new");
        assert!(tiers.stage.site.clock.elapsed_ms() < 120 * SECOND);
    }
}

#[test]
fn the_same_bytes_fetched_anew_are_as_good_as_verified() {
    let mut tiers = Tiers::new(&["verify: { timeout: 2m }"]);
    let outcome = tiers.reconcile();
    let found: Vec<Finding> = outcome.targets["dm"].findings.values().copied().collect();
    assert_eq!(found, [Finding::Unchanged]);
    assert_eq!(invalidations(&tiers.outer).len(), 1);
    assert!(outcome.lapses.is_empty());
    assert!(tiers.stage.site.clock.elapsed_ms() < 10 * SECOND);
}

#[test]
fn a_stale_inner_tier_holds_the_outer_one_until_its_timeout_and_that_is_told() {
    let mut tiers = Tiers::new(&["verify: { timeout: 1m }"]);
    tiers.stage.publish("a", "new");
    tiers.stage.sandbox.fail(Failure::NoEffect, None);
    let early = tiers.is_told_at(64 * SECOND);
    let late = tiers.is_told_at(70 * SECOND);
    let outcome = tiers.reconcile();
    assert!(!seen(&early));
    assert!(seen(&late));
    let [lapse] = &outcome.lapses[..] else {
        panic!("{:?}", outcome.lapses);
    };
    assert!(lapse.detail.contains("`verify.timeout` was over"));
    assert!(lapse.detail.contains("the tier of outer"));
    assert_eq!(tiers.stage.store.lapses(0).unwrap(), outcome.lapses);
}

#[test]
fn what_an_outer_tier_waits_for_outlasts_the_run() {
    let mut tiers = Tiers::new(&["verify: { timeout: 1m }"]);
    tiers.stage.publish("a", "new");
    tiers.stage.sandbox.fail(Failure::NoEffect, None);
    let within = |tiers: &mut Tiers, ms| {
        let Tiers { stage, .. } = tiers;
        stage.site.reconcile_within(ms, &mut stage.store)
    };
    let outcome = within(&mut tiers, 20 * SECOND);
    assert!(outcome.left.is_unfinished());
    let outcome = within(&mut tiers, 20 * SECOND);
    assert!(outcome.left.is_unfinished());
    assert_eq!(invalidations(&tiers.outer).len(), 0);
    let late = tiers.is_told_at(70 * SECOND);
    tiers.reconcile();
    assert!(seen(&late));
    assert_eq!(invalidations(&tiers.outer).len(), 1);
}

#[test]
fn what_waits_for_its_origin_inside_keeps_nothing_from_being_asked_for_outside() {
    let sandbox = Arc::new(Sandbox::start(Options::default()).unwrap());
    let origin = format!("origin: '{}'", sandbox.origin_url());
    let spec = [&*origin, "waitForOrigin: 30m"];
    let stage = Stage::on(sandbox, &spec);
    let outer = Arc::new(Sandbox::start(Options::default()).unwrap());
    stage.site.cdn("outer", &outer, &[UNLIMITED]);
    let mut tiers = Tiers { stage, outer };
    tiers.revise("1", "after: accepted");
    tiers.reconcile();
    tiers.revise("2", "after: accepted");
    let minute = 60 * SECOND;
    let Tiers { stage, outer } = &mut tiers;
    stage.site.reconcile_within(minute, &mut stage.store);
    assert_eq!(
        invalidations(outer).len(),
        1,
        "the new revision waits inside"
    );
    let urls = [stage.url("a")];
    stage.invalidate(&urls);
    stage.site.reconcile_within(minute, &mut stage.store);
    assert_eq!(invalidations(&stage.sandbox).len(), 2);
    assert_eq!(invalidations(outer).len(), 2);
    let before_ms = stage.site.clock.elapsed_ms();
    stage.reconcile();
    assert!(stage.site.clock.elapsed_ms() - before_ms > 20 * minute);
    assert_eq!(invalidations(&stage.sandbox).len(), 3);
}

#[test]
fn waiting_for_what_nobody_looks_at_is_an_error_in_its_place() {
    let world = World::new("");
    world.set("set", "  assets: [a]\n  after: verified");
    let said = world.ends(4, &["validate"]);
    assert!(said.contains("set.yaml:6:10"), "{said}");
    assert!(said.contains("has no tier to hold"), "{said}");

    let other = Sandbox::start(Options::default()).unwrap();
    let outer = world.cdn("outer", "verify: {}");
    let outer = outer.replace(&world.sandbox.endpoint(), &other.endpoint());
    world.write("manifests/outer.yaml", &outer);
    world.set(
        "set",
        "  cdns: [dynamic-media, outer]\n  after: verified\n  assets: [a]",
    );
    let said = world.ends(4, &["validate"]);
    assert!(said.contains("which declares no `verify`"), "{said}");
    world.set(
        "set",
        "  cdns: [outer, dynamic-media]\n  after: verified\n  assets: [a]",
    );
    world.ends(0, &["validate"]);
}
