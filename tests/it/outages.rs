//! What CDNs do to us, in invented time: outages, rates, throttling, bad
//! credentials, poisoned URLs, and tiers that disagree.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use freshen::batch::lane::HaltKind;
use freshen::plan::TargetPlan;
use freshen::reconcile::{Outcome, estimate};
use freshen::sandbox::{Failure, Faults, Options, Poison, Sandbox};
use freshen::state::{BatchRecord, HistoryFilter, Store};

use crate::program::freshen;
use crate::site::{IMAGES, START_MS, Site, UNLIMITED, assets, invalidations, urls};

const MINUTE_MS: i64 = 60 * 1000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

fn start() -> Arc<Sandbox> {
    Arc::new(Sandbox::start(Options::default()).unwrap())
}

fn status(status: u16, retry_after: Option<&str>) -> Failure {
    Failure::Status {
        status,
        retry_after: retry_after.map(str::to_owned),
    }
}

/// Every batch, the oldest first.
fn batches(store: &Store) -> Vec<BatchRecord> {
    let filter = HistoryFilter {
        set: None,
        before: None,
        at_most: 10_000,
    };
    let mut batches = store.history(&filter).unwrap();
    batches.sort_by_key(|batch| batch.no);
    batches
}

/// That exactly `expected` was accepted, each item once.
fn check_each_once(sandbox: &Sandbox, expected: &[String]) {
    let expected: BTreeMap<String, u64> = expected.iter().map(|url| (url.clone(), 1)).collect();
    assert!(
        sandbox.accepted() == expected,
        "{} items accepted, {} of them once, where {} were due",
        sandbox.accepted().len(),
        sandbox
            .accepted()
            .values()
            .filter(|&&times| times == 1)
            .count(),
        expected.len()
    );
}

fn only<'a>(outcome: &'a Outcome, cdn: &str) -> &'a TargetPlan {
    let mut targets = outcome.left.targets().filter(|target| target.cdn == cdn);
    let target = targets.next().unwrap();
    assert!(targets.next().is_none());
    target
}

#[test]
fn flow_7_an_hour_of_trouble_at_the_service_blames_no_url_and_all_go_after() {
    for failure in [Failure::Code(30_000), status(503, None), status(524, None)] {
        let (site, sandbox) = (Site::new(7), start());
        site.cdn("dm", &sandbox, &["batch: { maxUrls: 400 }", UNLIMITED]);
        site.set("bags", &[assets("bag", 1500)]);
        site.set("hats", &[assets("hat", 3)]);
        sandbox.fail(failure, None);
        let healed = Arc::clone(&sandbox);
        site.clock
            .at(HOUR_MS, move || healed.set_faults(Faults::default()));
        let mut store = site.store();
        let outcome = site.reconcile(&mut store);
        let done = &outcome.targets["dm"];
        assert_eq!((done.tally.refused, &done.halt), (0, &None));
        assert_eq!(outcome.left.items(), 0);
        check_each_once(&sandbox, &[urls("bag", 1500), urls("hat", 3)].concat());
        let tries = invalidations(&sandbox).len();
        assert!((10..=60).contains(&tries), "{tries} calls");
        let late_ms = site.clock.elapsed_ms() - HOUR_MS;
        assert!((0..=15 * MINUTE_MS).contains(&late_ms), "{late_ms} ms late");
    }
}

#[test]
fn flow_13_680_000_urls_at_20_000_an_hour_are_estimated_keep_their_progress_and_starve_no_small_set()
 {
    let (site, sandbox) = (Site::new(11), start());
    let rate = "rateLimit: { requests: 6/1m, urls: 20000/1h }";
    site.cdn("dm", &sandbox, &[rate]);
    let large = urls("large", 677_000);
    let ids: Vec<String> = (0..large.len()).map(|n| format!("large-{n}\n")).collect();
    site.write("large.txt", &ids.concat());
    let lines = [
        "limits: { maxUrls: 1000000 }",
        "assetsFrom: [{ file: large.txt, type: Image }]",
    ];
    site.set("large", &lines.map(str::to_owned));
    let mut small = BTreeSet::new();
    for n in 0..30 {
        let name = format!("small{n}");
        site.set(&name, &[assets(&name, 100)]);
        small.extend(urls(&name, 100));
    }
    let mut store = site.store();
    let estimated = estimate::by_cdn(&site.declared(), None, &site.plan(&store), 0).unwrap();
    let estimated = estimated["dm"].clone();
    assert_eq!((estimated.items, estimated.calls), (680_000, 680));

    let first = site.reconcile_within(HOUR_MS, &mut store);
    assert!(first.is_cut_short);
    let sent = sandbox.accepted().len();
    assert!(
        (30_000..=40_000).contains(&sent),
        "{sent} items in the first hour"
    );
    assert_eq!(first.left.items(), 680_000 - sent as u64);
    let calls = invalidations(&sandbox);
    let early: BTreeSet<&String> = calls[..4].iter().flat_map(|call| &call.urls).collect();
    assert!(small.iter().all(|url| early.contains(url)));

    let second = site.reconcile(&mut store);
    assert_eq!(second.left.items(), 0);
    let all: Vec<String> = large.into_iter().chain(small).collect();
    check_each_once(&sandbox, &all);
    let (took, expected) = (site.clock.elapsed_ms() as f64, estimated.duration_ms as f64);
    assert!(
        (took - expected).abs() <= expected * 0.2,
        "estimated {expected} ms, took {took} ms"
    );
    check_rates(&store, &[(6, MINUTE_MS, false), (20_000, HOUR_MS, true)]);
}

/// That no window of time holds more than two buckets, the most that a full
/// bucket and its refill come to.
fn check_rates(store: &Store, rates: &[(u64, i64, bool)]) {
    let batches = batches(store);
    for &(burst, period_ms, counts_items) in rates {
        for (at, first) in batches.iter().enumerate() {
            let window = batches[at..]
                .iter()
                .take_while(|batch| batch.opened_ms - first.opened_ms < period_ms);
            let used: u64 = window
                .map(|batch| if counts_items { batch.count } else { 1 })
                .sum();
            assert!(used <= 2 * burst, "{used} within {period_ms} ms");
        }
    }
}

#[test]
fn an_edited_rate_gives_nothing_back() {
    let (site, sandbox) = (Site::new(3), start());
    let mut store = site.store();
    site.set("bags", &[assets("bag", 60)]);
    let mut calls_within_a_minute = |rate: &str| {
        let rate = format!("rateLimit: {{ requests: {rate}, urls: 100000/1h }}");
        site.cdn("dm", &sandbox, &["batch: { maxUrls: 1 }", &rate]);
        let before = invalidations(&sandbox).len();
        site.reconcile_within(MINUTE_MS, &mut store);
        invalidations(&sandbox).len() - before
    };
    assert_eq!(calls_within_a_minute("10/1h"), 9);
    assert_eq!(calls_within_a_minute("20/1h"), 0);
    assert_eq!(calls_within_a_minute("200/10h"), 0);
    assert_eq!(calls_within_a_minute("5/1h"), 0);
    site.clock.advance(HOUR_MS);
    assert_eq!(calls_within_a_minute("5/1h"), 4);
}

/// That an answer which says "not now" holds the next call back for `wait_ms`.
fn check_throttled(failure: Failure, wait_ms: i64) {
    let (site, sandbox) = (Site::new(3), start());
    site.cdn("dm", &sandbox, &[UNLIMITED]);
    site.set("bags", &[assets("bag", 5)]);
    sandbox.fail(failure, Some(2));
    let mut store = site.store();
    let outcome = site.reconcile(&mut store);
    assert_eq!(outcome.left.items(), 0);
    assert_eq!(outcome.targets["dm"].tally.calls, 3);
    check_each_once(&sandbox, &urls("bag", 5));
    let opened: Vec<i64> = batches(&store)
        .iter()
        .map(|batch| batch.opened_ms - START_MS)
        .collect();
    assert_eq!(opened, [0, wait_ms, 2 * wait_ms]);
}

#[test]
fn throttling_waits_as_told_and_is_no_failure() {
    check_throttled(status(429, Some("120")), 120_000);
    check_throttled(status(503, Some("7")), 7_000);
    check_throttled(status(429, None), 30_000);
    check_throttled(status(429, Some("86400")), HOUR_MS);
}

#[test]
fn a_wait_outlives_the_process_that_was_told() {
    let (site, sandbox) = (Site::new(3), start());
    site.cdn("dm", &sandbox, &[UNLIMITED]);
    site.set("bags", &[assets("bag", 5)]);
    sandbox.fail(status(429, Some("600")), Some(1));
    let mut store = site.store();
    site.reconcile_within(MINUTE_MS, &mut store);
    site.reconcile_within(MINUTE_MS, &mut store);
    assert_eq!(invalidations(&sandbox).len(), 1);
    site.reconcile(&mut store);
    assert_eq!(site.clock.elapsed_ms(), 10 * MINUTE_MS);
    check_each_once(&sandbox, &urls("bag", 5));
}

#[test]
fn wrong_credentials_cost_two_calls_and_stop_until_the_secret_is_right() {
    let (site, sandbox, other) = (Site::new(5), start(), start());
    site.cdn("dm", &sandbox, &["batch: { maxUrls: 2 }", UNLIMITED]);
    site.cdn("fine", &other, &[UNLIMITED]);
    site.password("dm", "guess");
    site.set("bags", &["cdns: [dm]".to_owned(), assets("bag", 5)]);
    site.set("hats", &["cdns: [fine]".to_owned(), assets("hat", 5)]);
    let mut store = site.store();
    let outcome = site.reconcile(&mut store);
    let halt = outcome.targets["dm"].halt.as_ref().unwrap();
    assert_eq!(halt.kind, HaltKind::Unauthorized);
    assert_eq!(sandbox.calls().len(), 2);
    assert_eq!(outcome.left.items(), 5);
    check_each_once(&other, &urls("hat", 5));
    site.password("dm", &Options::default().password);
    let outcome = site.reconcile(&mut store);
    assert_eq!(outcome.left.items(), 0);
    check_each_once(&sandbox, &urls("bag", 5));
}

#[test]
fn wrong_credentials_end_the_program_with_4() {
    let (site, sandbox) = (Site::new(5), start());
    site.cdn("dm", &sandbox, &[]);
    site.password("dm", "guess");
    site.set("bags", &[assets("bag", 5)]);
    let run = freshen(site.folder(), &["reconcile"]);
    assert_eq!(run.code, 4, "{}{}", run.stdout, run.stderr);
    assert_eq!(sandbox.calls().len(), 2);
    assert!(run.stdout.contains("invalid credentials"), "{}", run.stdout);
    assert!(!format!("{}{}", run.stdout, run.stderr).contains("guess"));
}

#[test]
fn what_went_before_a_fault_that_stays_is_not_sent_again() {
    let (site, sandbox) = (Site::new(31), start());
    let rate = "rateLimit: { requests: 1/10s, urls: 1000000000/1s }";
    site.cdn("dm", &sandbox, &["batch: { maxUrls: 10 }", rate]);
    site.set("bags", &[assets("bag", 90)]);
    let service = Arc::clone(&sandbox);
    site.clock
        .at(15_000, move || service.fail(Failure::Code(20_000), None));
    let mut store = site.store();
    let outcome = site.reconcile(&mut store);
    let halt = outcome.targets["dm"].halt.as_ref().unwrap();
    assert_eq!(halt.kind, HaltKind::Misconfigured);
    assert_eq!((outcome.left.items(), sandbox.accepted().len()), (70, 20));
    sandbox.set_faults(Faults::default());
    let outcome = site.reconcile(&mut store);
    assert_eq!(outcome.left.items(), 0);
    check_each_once(&sandbox, &urls("bag", 90));
}

/// That one bad URL among a thousand costs at most so many further calls, and
/// keeps nothing else back.
fn check_poison(position: usize, code: u32, named: bool, at_most: usize) {
    let (site, sandbox) = (Site::new(13), start());
    site.cdn("dm", &sandbox, &["batch: { maxUrls: 1000 }", UNLIMITED]);
    site.set("bags", &[assets("bag", 1000)]);
    let mut good = urls("bag", 1000);
    let url = good.remove(position);
    let faults = Faults {
        poison: vec![Poison {
            url: url.clone(),
            code,
            named,
            drops: false,
        }],
        ..Faults::default()
    };
    sandbox.set_faults(faults);
    let mut store = site.store();
    let outcome = site.reconcile(&mut store);
    check_each_once(&sandbox, &good);
    let calls = sandbox.calls().len();
    assert!(calls <= 1 + at_most, "{calls} calls for {position}");
    let left = only(&outcome, "dm");
    assert_eq!((left.items(), left.refused), (0, 1));
    assert_eq!(outcome.targets["dm"].halt, None);
    let target = store.targets().unwrap()[0].id;
    let refused = store.refusals(target).unwrap();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].item, url);

    site.reconcile(&mut store);
    assert_eq!(sandbox.calls().len(), calls, "a refusal is kept");
    sandbox.set_faults(Faults::default());
    site.clock.advance(DAY_MS + 1);
    site.reconcile(&mut store);
    check_each_once(&sandbox, &urls("bag", 1000));
}

#[test]
fn a_poisoned_url_among_a_thousand_costs_at_most_21_calls_and_999_go_out() {
    for position in [0, 1, 499, 500, 730, 999] {
        check_poison(position, 30_001, false, 21);
    }
    check_poison(123, 30_001, true, 1);
}

#[test]
fn a_url_that_brings_about_faults_of_the_service_is_found_too() {
    check_poison(640, 30_000, false, 60);
}

/// A URL that brings about faults of the service, or a broken connection.
fn bad(url: &str, drops: bool) -> Faults {
    let poison = Poison {
        url: url.to_owned(),
        code: 30_000,
        named: false,
        drops,
    };
    Faults {
        poison: vec![poison],
        ..Faults::default()
    }
}

fn refused(store: &Store) -> Vec<String> {
    let target = store.targets().unwrap()[0].id;
    let refusals = store.refusals(target).unwrap().into_iter();
    refusals.map(|refusal| refusal.item).collect()
}

/// An hour of trouble begins amid the search for the URL at `position`.
fn check_outage_amid_search(position: usize, begins_ms: i64) {
    let (site, sandbox) = (Site::new(23), start());
    let rate = "rateLimit: { requests: 1/10s, urls: 1000000000/1s }";
    site.cdn("dm", &sandbox, &[rate]);
    site.set("bags", &[assets("bag", 20)]);
    let mut good = urls("bag", 20);
    let url = good.remove(position);
    sandbox.set_faults(bad(&url, false));
    let service = Arc::clone(&sandbox);
    site.clock.at(begins_ms, move || {
        service.fail(Failure::Code(30_000), None);
    });
    let (service, faults) = (Arc::clone(&sandbox), bad(&url, false));
    site.clock.at(begins_ms + HOUR_MS, move || {
        service.set_faults(faults);
    });
    let mut store = site.store();
    site.reconcile(&mut store);
    assert_eq!(refused(&store), [url], "from {begins_ms} ms on");
    check_each_once(&sandbox, &good);
}

#[test]
fn an_outage_amid_the_search_for_a_bad_url_blames_no_other() {
    for position in [3, 16] {
        for begins_s in (5..135).step_by(10) {
            check_outage_amid_search(position, begins_s * 1000);
        }
    }
}

#[test]
fn a_url_that_breaks_the_connection_is_found_while_the_rest_goes_out() {
    let (site, sandbox) = (Site::new(29), start());
    site.cdn("dm", &sandbox, &["batch: { maxUrls: 100 }", UNLIMITED]);
    site.set("bags", &[assets("bag", 300)]);
    let mut good = urls("bag", 300);
    let url = good.remove(41);
    sandbox.set_faults(bad(&url, true));
    let mut store = site.store();
    let outcome = site.reconcile(&mut store);
    assert_eq!(refused(&store), [url]);
    check_each_once(&sandbox, &good);
    assert_eq!(outcome.left.items(), 0);
    let calls = invalidations(&sandbox);
    let first = calls.iter().position(|call| call.accepted);
    assert!(first < Some(3), "{first:?} calls before another batch went");
    assert!(calls.len() < 60, "{} calls", calls.len());
}

/// Two Cdns, one in front of the other.
struct Tiers {
    site: Site,
    inner: Arc<Sandbox>,
    outer: Arc<Sandbox>,
}

impl Tiers {
    fn new(settle: &str, effect_delay: Duration) -> Self {
        let (site, outer) = (Site::new(17), start());
        let options = Options {
            effect_delay,
            ..Options::default()
        };
        let inner = Arc::new(Sandbox::start(options).unwrap());
        let settle = format!("settle: {settle}");
        let batch = "batch: { maxUrls: 4 }";
        site.cdn("inner", &inner, &[&settle, batch, UNLIMITED]);
        site.cdn("outer", &outer, &[batch, UNLIMITED]);
        site.set(
            "bags",
            &["cdns: [inner, outer]".to_owned(), assets("bag", 10)],
        );
        Self { site, inner, outer }
    }
}

/// That so much time is between the last inner acceptance and the first outer call.
fn check_settles(settle: &str, effect_delay: Duration, expected_ms: i64) {
    let tiers = Tiers::new(settle, effect_delay);
    tiers.inner.fail(status(429, Some("60")), Some(1));
    let mut store = tiers.site.store();
    let outcome = tiers.site.reconcile(&mut store);
    assert_eq!(outcome.left.items(), 0);
    check_each_once(&tiers.inner, &urls("bag", 10));
    check_each_once(&tiers.outer, &urls("bag", 10));
    let batches = batches(&store);
    let of = |sandbox: &Sandbox| {
        let endpoint = sandbox.url();
        batches
            .iter()
            .filter(move |batch| batch.target.contains(&endpoint))
    };
    let last_inner = of(&tiers.inner).filter_map(|batch| batch.closed_ms).max();
    let first_outer = of(&tiers.outer).map(|batch| batch.opened_ms).min();
    assert_eq!(last_inner, Some(START_MS + MINUTE_MS));
    assert_eq!(first_outer, Some(START_MS + MINUTE_MS + expected_ms));
}

#[test]
fn an_outer_tier_waits_until_the_inner_one_has_settled() {
    check_settles("5s", Duration::ZERO, 5_000);
    check_settles("45s", Duration::from_secs(30), 45_000);
    check_settles("5s", Duration::from_secs(90), 90_000);
    check_settles("5s", Duration::from_hours(1), 600_000);
}

#[test]
fn what_the_inner_tier_refuses_is_held_back_outside_and_named() {
    let tiers = Tiers::new("5s", Duration::ZERO);
    let refused = format!("{IMAGES}/bag-6");
    tiers.inner.poison(&refused, false);
    let mut good = urls("bag", 10);
    good.retain(|url| *url != refused);
    let mut store = tiers.site.store();
    let outcome = tiers.site.reconcile(&mut store);
    check_each_once(&tiers.inner, &good);
    check_each_once(&tiers.outer, &good);
    assert_eq!(only(&outcome, "inner").refused, 1);
    let outer = only(&outcome, "outer");
    assert_eq!((outer.items(), outer.held), (0, 1));

    tiers.inner.set_faults(Faults::default());
    tiers.site.clock.advance(DAY_MS + 1);
    let outcome = tiers.site.reconcile(&mut store);
    assert_eq!(only(&outcome, "outer").held, 0);
    check_each_once(&tiers.inner, &urls("bag", 10));
    check_each_once(&tiers.outer, &urls("bag", 10));
}

#[test]
fn flow_12_what_the_inner_tier_refuses_is_left_out_outside_told_and_sent_once_it_is_lifted() {
    let tiers = Tiers::new("1s", Duration::ZERO);
    let refused = format!("{IMAGES}/bag-6");
    let mut good = urls("bag", 10);
    good.retain(|url| *url != refused);
    tiers.inner.poison(&refused, true);
    let says = |arguments: &[&str], parts: &[&str]| {
        let run = freshen(tiers.site.folder(), arguments);
        let said = format!("{}{}", run.stdout, run.stderr);
        for part in parts {
            assert!(said.contains(part), "{arguments:?}: no `{part}` in: {said}");
        }
        (run.code, said)
    };
    let (code, said) = says(&["reconcile"], &[]);
    assert_eq!(code, 4, "{said}");
    let mut lines = said.lines();
    let outer = lines.find(|line| line.contains("bags") && line.contains("outer"));
    assert!(
        outer.is_some_and(|line| line.contains("1 refused")),
        "{said}"
    );
    check_each_once(&tiers.inner, &good);
    check_each_once(&tiers.outer, &good);
    says(&["plan"], &["1 refused by an inner tier"]);
    let inner = "the inner tier `inner` refused it";
    says(&["explain", &refused], &[inner, "30001"]);

    tiers.inner.set_faults(Faults::default());
    let asked = ["invalidate", "--cdn", "inner", "--url", &refused];
    assert_eq!(says(&asked, &["1 URL accepted"]).0, 0);
    assert_eq!(says(&["reconcile"], &["1 URL accepted"]).0, 0);
    check_each_once(&tiers.inner, &urls("bag", 10));
    check_each_once(&tiers.outer, &urls("bag", 10));
}

#[test]
fn an_outage_inside_keeps_the_outer_tier_waiting() {
    let tiers = Tiers::new("5s", Duration::ZERO);
    tiers.inner.fail(Failure::Code(30_000), None);
    let mut store = tiers.site.store();
    let outcome = tiers.site.reconcile_within(HOUR_MS, &mut store);
    assert!(outcome.is_cut_short);
    assert!(tiers.outer.calls().is_empty());
    tiers.inner.set_faults(Faults::default());
    tiers.site.reconcile(&mut store);
    check_each_once(&tiers.inner, &urls("bag", 10));
    check_each_once(&tiers.outer, &urls("bag", 10));
}
