//! One target's trouble never holds up another.

use std::collections::BTreeSet;
use std::sync::Arc;

use freshen::batch::lane::{HaltKind, Lane, Settings};
use freshen::batch::queue::{ListSource, Work};
use freshen::batch::rate::{Budget, Class};
use freshen::digest::{Digest, Entry, ItemKind, Key, Mark};
use freshen::expand::Addressing;
use freshen::manifest::{RateLimit, SecretRef};
use freshen::plan::recorded::LedgerId;
use freshen::provider::{Answer, Call, Capacity, Credentials, Facts, Provider, Verdict};
use freshen::reconcile::inbox::Inbox;
use freshen::reconcile::planning::Planned;
use freshen::sandbox::{Failure, Faults, Options, Sandbox};
use freshen::state::{Begin, HistoryFilter, Step, Store};
use freshen::submit::courier::Courier;
use freshen::submit::engine::Submitter;
use freshen::submit::limits::{Limits, Pause};
use freshen::submit::outbound::Outbound;
use freshen::submit::stop::Stop;
use freshen::submit::transport::{Patience, Transport};

use crate::site::{START_MS, Site, UNLIMITED, assets};
use crate::world::{World, address_of};

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

#[test]
fn times_from_before_a_clock_was_set_back_make_no_wait_of_years() {
    let (site, sandbox) = (Site::new(3), start());
    site.cdn(
        "dm",
        &sandbox,
        &["rateLimit: { requests: 6/1m, urls: 20000/1h }"],
    );
    site.set("set", &[assets("a", 3)]);
    let mut store = site.store();
    site.reconcile(&mut store);
    let years_ms = START_MS + 5 * 365 * 24 * 60 * 60 * 1000;
    let mut target = store.targets().unwrap().remove(0);
    target.retry_at_ms = Some(years_ms);
    for arrival_us in target.tats.values_mut() {
        *arrival_us = years_ms * 1000;
    }
    let step = Step {
        targets: vec![target],
        ..Step::default()
    };
    store
        .step(step, site.clock.elapsed_ms() + START_MS)
        .unwrap();
    site.set("set", &[assets("a", 4)]);
    let before_ms = site.clock.elapsed_ms();
    let outcome = site.reconcile(&mut store);
    assert_eq!(outcome.left.items(), 0);
    let waited_ms = site.clock.elapsed_ms() - before_ms;
    assert!(waited_ms <= 2 * 60 * 60 * 1000, "{waited_ms} ms");
}

/// A codec with a defect.
#[derive(Debug)]
struct Defective;

impl Provider for Defective {
    fn target(&self) -> &'static str {
        "defective"
    }

    fn endpoint(&self) -> &'static str {
        "http://127.0.0.1:1"
    }

    fn is_known_endpoint(&self) -> bool {
        true
    }

    fn addressing(&self) -> Option<&Arc<Addressing>> {
        None
    }

    fn capacity(&self) -> Capacity {
        Capacity { max_items: 10 }
    }

    fn default_rate(&self) -> RateLimit {
        RateLimit::default()
    }

    fn credentials(&self) -> Vec<(&'static str, SecretRef)> {
        Vec::new()
    }

    fn look_up(&self, _: &Facts, _: &Credentials) -> Option<Call> {
        None
    }

    fn calls(&self, _: &Digest, _: &[&str], _: &Facts, _: &Credentials) -> Vec<Call> {
        panic!("a defect")
    }

    fn read_look_up(&self, _: &Answer, _: &Credentials) -> Verdict {
        Verdict::Learned(Facts::new())
    }

    fn read(&self, _: &[&str], _: &Answer, _: &Credentials) -> Verdict {
        Verdict::Learned(Facts::new())
    }
}

/// A lane of the defective target with one URL to send.
fn defective(store: &mut Store) -> Outbound {
    let target = store.target("defective").unwrap().id;
    let key = Key::of(ItemKind::Url, b"https://a/x");
    let entry = Entry::new(key, Mark::of(&[None]));
    let begin = Begin {
        set: "set".to_owned(),
        target,
        wire: Digest::of(b""),
        desired: Digest::of_entries(&[entry]),
        owe: vec![entry],
        record: Vec::new(),
        departed: Vec::new(),
        forget: Vec::new(),
        approve: None,
    };
    store.begin(&[begin], START_MS).unwrap();
    let settings = Settings {
        target,
        max_items: 10,
        concurrency: 1,
        settle_ms: 0,
        cdn: Digest::of(b""),
    };
    let budget = Budget::full(&RateLimit::default());
    let mut lane = Lane::new(settings, budget, None, 0);
    let source = Box::new(ListSource::new([(key, "https://a/x".into())]));
    let ledger = store.sets().unwrap()[0].ledgers["defective"].id;
    lane.add(Work::new(
        "set",
        ledger,
        Class::Planned,
        [entry].into(),
        source,
    ));
    Outbound {
        target,
        cdn: "defective".to_owned(),
        provider: Arc::new(Defective),
        facts: Facts::new(),
        lane,
        verify: None,
        origin: None,
        repeat_ms: Vec::new(),
    }
}

#[tokio::test]
async fn a_defect_in_a_codec_stops_its_own_target_and_loses_nothing() {
    let site = Site::new(5);
    let mut store = site.store();
    let transport = Transport::new(Patience::default()).unwrap();
    let mut submitter = Submitter::new(Arc::new(Courier::new(transport, Vec::new())));
    submitter.load(vec![defective(&mut store)], START_MS);
    let limits = Limits {
        deadline_ms: i64::MAX,
        gate_ms: None,
        due_ms: None,
        waiting: BTreeSet::new(),
        unverified: Vec::new(),
        tiers: Vec::<Vec<LedgerId>>::new(),
        stop: Stop::default(),
    };
    let (mut nobody, planned) = ((), Planned::default());
    let mut inbox = Inbox::new(&mut nobody, &planned);
    let pause = submitter
        .run(&mut store, &site.clock, &mut inbox, limits)
        .await
        .unwrap();
    assert_eq!(pause, Pause::Done);
    let halt = submitter.reports().remove(0).halt.unwrap();
    assert_eq!(halt.kind, HaltKind::NotUnderstood);
    assert!(halt.reason.message.contains("defect"), "{halt:?}");
    let open = store.open_batches().unwrap();
    assert_eq!(
        open.len(),
        1,
        "its outcome is unknown, so the next run decides"
    );
}

#[test]
fn a_company_that_got_another_handle_is_looked_up_anew() {
    let world = World::new("");
    let first = Sandbox::start(Options::default()).unwrap();
    let listen = address_of(&first);
    let text = world.cdn("dynamic-media", "");
    let text = text.replace(&world.sandbox.endpoint(), &first.endpoint());
    world.write("manifests/cdn.yaml", &text);
    world.set("set", "  assets: [a]");
    world.ends(0, &["reconcile"]);
    first.stop();
    let second = Sandbox::start(Options {
        listen,
        company_handle: "c|7".to_owned(),
        ..Options::default()
    })
    .unwrap();
    world.set("set", "  assets: [a, b]");
    world.ends(4, &["reconcile"]);
    assert_eq!(second.accepted().len(), 0, "the old handle is nobody's");
    world.ends(0, &["reconcile"]);
    assert_eq!(second.accepted().len(), 1);
}
