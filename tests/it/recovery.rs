//! What outlasts a process: batches of unknown outcome, refusals, settling
//! times, and what has vanished.

use std::collections::BTreeSet;
use std::sync::Arc;

use freshen::sandbox::{Failure, Faults, Options, Sandbox};
use freshen::state::{HistoryFilter, Store};

use crate::site::{START_MS, Site, UNLIMITED, assets, invalidations};
use crate::world::{ROOT, World};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

fn start() -> Arc<Sandbox> {
    Arc::new(Sandbox::start(Options::default()).unwrap())
}

/// Reconciles, and is killed while the CDN has not answered.
fn crash(world: &World) {
    world.sandbox.fail(Failure::Hang, Some(1));
    let before = world.sandbox.calls().len();
    let mut killed = world.start(&["reconcile"]);
    world.wait_until("the call", |world| world.sandbox.calls().len() > before);
    killed.kill().unwrap();
    killed.wait().unwrap();
}

/// What a killed process leaves behind: its name, and a child that has the lock
/// for a moment more.
#[test]
fn the_lock_of_a_process_that_is_dead_is_waited_for() {
    let world = World::new("");
    world.set("set", "  assets: [a]");
    crash(&world);
    let lock = world.folder().join("freshen.db.lock");
    assert!(std::fs::read_to_string(&lock).unwrap().contains("pid"));
    let mut heir = std::process::Command::new("flock")
        .args(["--no-fork", "--exclusive"])
        .arg(&lock)
        .args(["sleep", "0.7"])
        .spawn()
        .unwrap();
    world.wait_until("the lock to be taken", |world| {
        world.freshen(&["status"]).stdout.contains("held by")
    });
    world.ends(0, &["reconcile"]);
    heir.wait().unwrap();
}

#[test]
fn what_was_under_way_at_a_crash_is_told_by_the_plan() {
    let world = World::new("");
    world.set("set", "  assets: [a]");
    world.sends(0);
    world.set("set", "  assets: [a, b, c]");
    crash(&world);
    let told = |text: &str| {
        let plan = world.ends(0, &["plan"]);
        assert!(plan.contains(text), "{plan}");
    };
    told("nothing more to send. Under way: 2 URLs; the next run looks after them if");
    world.set("set", "  assets: [a, b, c, d]");
    told("Plan: 1 URL to send in 1 call, at once at the declared rate. Under way: 2 URLs");
    let json = world.ends(0, &["plan", "--output", "json"]);
    assert!(json.contains("\"underWay\": 2"), "{json}");
    assert_eq!(world.sends(0).concat().len(), 3);
    told("every CDN has been told");
}

fn check_abandoned(world: &World, why: &str) {
    let history = world.ends(0, &["history"]);
    assert!(history.contains(&format!("abandoned: {why}")), "{history}");
}

#[test]
fn a_batch_of_a_cdn_that_was_suspended_since_is_not_sent_again_after_a_crash() {
    for is_by_command in [true, false] {
        let world = World::new("");
        world.set("set", "  assets: [a]");
        world.sends(0);
        world.set("set", "  revision: 'B'\n  assets: [a]");
        crash(&world);
        if is_by_command {
            world.ends(0, &["suspend", "--cdn", "dynamic-media"]);
        } else {
            let cdn = world.cdn("dynamic-media", "suspend: true");
            world.write("manifests/cdn.yaml", &cdn);
        }
        assert_eq!(world.sends(4).len(), 0, "by command: {is_by_command}");
        check_abandoned(&world, "its target is suspended");
        if is_by_command {
            world.ends(0, &["resume", "--cdn", "dynamic-media"]);
        } else {
            world.write("manifests/cdn.yaml", &world.cdn("dynamic-media", ""));
        }
        assert_eq!(world.sends(0), [[format!("{ROOT}/a")]], "it stayed owed");
    }
}

#[test]
fn a_batch_in_another_wire_form_is_not_sent_again_after_a_crash() {
    let world = World::new("");
    world.set("set", "  imagePresets: true\n  assets: [a]");
    world.sends(0);
    world.set(
        "set",
        "  revision: 'B'\n  imagePresets: true\n  assets: [a]",
    );
    crash(&world);
    let cdn = world.cdn("dynamic-media", "granularity: path");
    world.write("manifests/cdn.yaml", &cdn);
    assert_eq!(world.sends(0), [[format!("{ROOT}/a")]]);
    check_abandoned(&world, "its wire form has changed");
}

#[test]
fn a_refusal_is_kept_until_the_cdn_or_the_mark_changes_or_somebody_asks() {
    let world = World::new("");
    let bad = [vec![format!("{ROOT}/bad")]];
    let refuse = |revision: u32| {
        world.sandbox.poison(&bad[0][0], true);
        world.set(
            "set",
            &format!("  assets: [a, {{ id: bad, revision: '{revision}' }}]"),
        );
        world.ends(4, &["reconcile"]);
        world.sandbox.set_faults(Faults::default());
        let calls = world.sandbox.calls().len();
        world.ends(4, &["reconcile"]);
        assert_eq!(world.sandbox.calls().len(), calls, "it is kept");
    };
    refuse(1);
    let cdn = world.cdn("dynamic-media", "concurrency: 2");
    world.write("manifests/cdn.yaml", &cdn);
    assert_eq!(world.sends(0), bad, "another Cdn");
    refuse(2);
    let asked = ["invalidate", "set", "--asset", "bad"];
    assert_eq!(world.sends_by(0, &asked), bad, "asked for");
    refuse(3);
    world.set("set", "  assets: [a, { id: bad, revision: '4' }]");
    assert_eq!(world.sends(0), bad, "another mark");
    assert_eq!(world.sends(0).len(), 0);
}

#[test]
fn a_settling_time_goes_on_in_the_next_process() {
    let site = Site::new(7);
    let (inner, outer) = (start(), start());
    site.cdn("inner", &inner, &["settle: 60s", UNLIMITED]);
    site.cdn("outer", &outer, &[UNLIMITED]);
    site.set("set", &["cdns: [inner, outer]".to_owned(), assets("f", 1)]);
    let mut store = site.store();
    for _ in 0..2 {
        site.reconcile_within(1_000, &mut store);
        let calls = (invalidations(&inner).len(), invalidations(&outer).len());
        assert_eq!(calls, (1, 0));
        site.clock.advance(10_000);
    }
    site.reconcile(&mut store);
    let filter = HistoryFilter {
        at_most: 10,
        ..HistoryFilter::default()
    };
    let batches = store.history(&filter).unwrap();
    let last = batches.iter().map(|batch| batch.opened_ms - START_MS).max();
    assert_eq!(last, Some(60_000));
    assert_eq!(invalidations(&outer).len(), 1);
}

/// Lets days go by with a reconcile every five.
fn live(site: &Site, store: &mut Store, days: i64) {
    for _ in 0..days / 5 {
        site.reconcile_as_it_is(store);
        site.clock.advance(5 * DAY_MS);
    }
    site.reconcile_as_it_is(store);
}

/// A site at which `b` and the set `gone` have been sent and then vanished.
struct Vanished {
    site: Site,
    sandbox: Arc<Sandbox>,
    store: Store,
}

impl Vanished {
    fn new() -> Self {
        let (site, sandbox) = (Site::new(7), start());
        site.cdn("dm", &sandbox, &[UNLIMITED]);
        let store = site.store();
        let mut vanished = Self {
            site,
            sandbox,
            store,
        };
        vanished.restore();
        vanished.site.reconcile(&mut vanished.store);
        let again = vanished.vanish_and_return(0);
        assert_eq!(again, BTreeSet::new());
        vanished
    }

    fn restore(&self) {
        self.site.set("set", &["assets: [a, b]".to_owned()]);
        self.site.set("gone", &["assets: [g]".to_owned()]);
    }

    /// What is sent when both return after so many days.
    fn vanish_and_return(&mut self, days: i64) -> BTreeSet<String> {
        let exclude = "exclude: ['*/b']".to_owned();
        self.site
            .set("set", &["assets: [a, b]".to_owned(), exclude]);
        self.site.remove("set-gone.yaml");
        live(&self.site, &mut self.store, days);
        let before = invalidations(&self.sandbox).len();
        self.restore();
        self.site.reconcile_as_it_is(&mut self.store);
        let calls = invalidations(&self.sandbox).split_off(before);
        calls.into_iter().flat_map(|call| call.urls).collect()
    }
}

#[test]
fn what_has_vanished_is_remembered_for_thirty_days_and_then_it_is_new() {
    let mut vanished = Vanished::new();
    assert_eq!(vanished.vanish_and_return(25), BTreeSet::new());
    let expected = BTreeSet::from(["b", "g"].map(|id| format!("{ROOT}/{id}")));
    assert_eq!(vanished.vanish_and_return(35), expected);
}

#[test]
fn no_day_counts_while_a_manifest_is_broken() {
    let mut vanished = Vanished::new();
    vanished.site.write("broken.yaml", "kind: [");
    assert_eq!(vanished.vanish_and_return(60), BTreeSet::new());
    vanished.site.remove("broken.yaml");
    assert_eq!(vanished.vanish_and_return(25), BTreeSet::new());
}
