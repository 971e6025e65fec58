//! What holds for any manifests and any row of faults.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use freshen::sandbox::{Failure, Faults, Options, Poison, Rule, Sandbox};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;

use crate::site::{IMAGES, Site, UNLIMITED, invalidations};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Runs after which any row of faults has come to its end.
const RUNS: usize = 40;

/// By set: its URLs, each with its revision.
type Sets = BTreeMap<String, BTreeMap<String, String>>;

/// What follows the root in a URL, with all that is easily mangled.
fn path() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9]{1,3}(:[A-Z][a-z]{2}|/[a-z]|,[0-9]|%24)?(/|\\?|\\?\\$[a-z]{1,3}\\$|\\?a=\\{b\\}&c=[0-9]\\+[0-9])?"
}

fn sets() -> impl Strategy<Value = Sets> {
    btree_set(path(), 4..40).prop_flat_map(|paths| {
        let urls: Vec<String> = paths
            .iter()
            .map(|path| format!("{IMAGES}/{path}"))
            .collect();
        let items = btree_map(prop::sample::select(urls), "[0-9a-f]{1,2}", 1..30);
        btree_map("[a-z]{3}", items, 1..5)
    })
}

fn failure() -> impl Strategy<Value = Failure> {
    let status = |status, retry_after: Option<&str>| Failure::Status {
        status,
        retry_after: retry_after.map(str::to_owned),
    };
    prop::sample::select(vec![
        Failure::Code(30_000),
        Failure::Code(10_001),
        status(503, None),
        status(503, Some("40")),
        status(429, Some("3")),
        status(429, None),
        // A page of some proxy that says all is well.
        status(200, None),
        Failure::DropReply,
    ])
}

fn faults(urls: Vec<String>) -> impl Strategy<Value = Faults> {
    let rule = (failure(), 1_u32..4).prop_map(|(failure, times)| Rule {
        failure,
        times: Some(times),
        operation: None,
    });
    let poison = (prop::sample::select(urls), any::<bool>()).prop_map(|(url, named)| Poison {
        url,
        code: 30_001,
        named,
        drops: false,
    });
    (vec(rule, 0..8), vec(poison, 0..2)).prop_map(|(rules, poison)| Faults {
        poison,
        rules,
        ..Faults::default()
    })
}

fn urls_of(sets: &Sets) -> BTreeSet<String> {
    sets.values().flat_map(BTreeMap::keys).cloned().collect()
}

fn troubled() -> impl Strategy<Value = (Sets, Faults)> {
    sets().prop_flat_map(|sets| {
        let urls = urls_of(&sets).into_iter().collect();
        (Just(sets), faults(urls))
    })
}

/// The manifest of a set whose URLs come in this order.
fn manifest<'a>(name: &str, urls: impl Iterator<Item = (&'a String, &'a String)>) -> String {
    let mut text = format!(
        "apiVersion: freshen/v1\nkind: AssetSet\nmetadata: {{ name: {name} }}\nspec:\n  urls:\n"
    );
    for (url, revision) in urls {
        writeln!(text, "    - {{ url: \"{url}\", revision: \"{revision}\" }}").unwrap();
    }
    text
}

fn declare(site: &Site, sets: &Sets) {
    for (name, urls) in sets {
        site.write(&format!("{name}.yaml"), &manifest(name, urls.iter()));
    }
}

fn site_with(sets: &Sets, batch: usize, concurrency: u32, seed: u64) -> (Site, Sandbox) {
    let (site, sandbox) = (Site::new(seed), Sandbox::start(Options::default()).unwrap());
    let batch = format!("batch: {{ maxUrls: {batch} }}");
    let concurrency = format!("concurrency: {concurrency}");
    site.cdn("dm", &sandbox, &[&batch, &concurrency, UNLIMITED]);
    declare(&site, sets);
    (site, sandbox)
}

/// The URLs that the sets expand to, as `expand` prints them.
fn expanded(site: &Site) -> BTreeSet<String> {
    let mut urls = BTreeSet::new();
    for set in site.declared().sets.values() {
        let expansion = set.expand().expansion.unwrap();
        expansion.for_each(|url, _| {
            urls.insert(url.to_owned());
        });
    }
    urls
}

fn once_each(urls: &BTreeSet<String>) -> BTreeMap<String, u64> {
    urls.iter().map(|url| (url.clone(), 1)).collect()
}

/// How one run goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Luck {
    /// All that is to be sent is accepted.
    Good,
    /// Nothing is: nobody can say what the CDN took in.
    Outage,
    /// Nothing may be sent.
    Suspended,
}

/// What a set declares in one run; nothing at all is no set.
type Turn = (BTreeSet<usize>, Luck);

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let luck = prop::sample::select(vec![Luck::Good, Luck::Good, Luck::Outage, Luck::Suspended]);
    vec((btree_set(0_usize..6, 0..6), luck), 1..12)
}

/// Whether an asset is sent once a run is lucky: it was declared or not when
/// the last one was, and then in these unlucky ones, and now. An outage leaves
/// open whether the CDN took in what was so then.
fn is_sent(id: usize, (before, is_known): (bool, bool), between: &[Turn], now: bool) -> bool {
    let mut outages = between.iter().filter(|(_, luck)| *luck == Luck::Outage);
    let differs = outages.any(|(ids, _)| ids.contains(&id) != before);
    before != now || (differs && is_known)
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_batches_are_the_plan_each_item_once_and_byte_for_byte(
        sets in sets(), batch in 1_usize..17, concurrency in 1_u32..4, seed in any::<u64>()
    ) {
        let (site, sandbox) = site_with(&sets, batch, concurrency, seed);
        let mut store = site.store();
        let planned = site.plan(&store);
        prop_assert_eq!(planned.items() as usize, sets.values().map(BTreeMap::len).sum::<usize>());
        let outcome = site.reconcile(&mut store);
        prop_assert_eq!(outcome.left.items(), 0);
        prop_assert_eq!(expanded(&site), urls_of(&sets));
        prop_assert_eq!(sandbox.accepted(), once_each(&urls_of(&sets)));
        let calls = invalidations(&sandbox);
        prop_assert!(calls.iter().all(|call| call.urls.len() <= batch));
        prop_assert_eq!(calls.len(), urls_of(&sets).len().div_ceil(batch));
        prop_assert_eq!(site.plan(&store).items(), 0);
        site.reconcile(&mut store);
        prop_assert_eq!(invalidations(&sandbox).len(), calls.len());
    }

    #[test]
    fn the_order_of_files_keys_and_items_never_matters(sets in sets(), seed in any::<u64>()) {
        let (site, sandbox) = site_with(&sets, 1000, 1, seed);
        let mut store = site.store();
        site.reconcile(&mut store);
        let calls = invalidations(&sandbox).len();
        let mut all = Vec::new();
        for (name, urls) in &sets {
            let text = manifest(name, urls.iter().rev());
            let (head, spec) = text.split_once("metadata").unwrap();
            let (metadata, spec) = spec.split_once('\n').unwrap();
            all.push(format!("{spec}{head}metadata{metadata}\n"));
            std::fs::remove_file(site.folder().join(format!("manifests/{name}.yaml"))).unwrap();
        }
        all.reverse();
        site.write("0.yaml", &all.join("---\n"));
        prop_assert_eq!(expanded(&site), urls_of(&sets));
        prop_assert_eq!(site.plan(&store).items(), 0);
        site.reconcile(&mut store);
        prop_assert_eq!(invalidations(&sandbox).len(), calls);
    }

    #[test]
    fn whatever_goes_wrong_all_that_is_desired_is_accepted_in_the_end(
        (sets, faults) in troubled(), batch in 1_usize..17, concurrency in 1_u32..4,
        seed in any::<u64>()
    ) {
        let (site, sandbox) = site_with(&sets, batch, concurrency, seed);
        let repeats: u32 = faults
            .rules
            .iter()
            .filter(|rule| rule.failure == Failure::DropReply)
            .filter_map(|rule| rule.times)
            .sum();
        let poisoned: BTreeSet<&String> = faults.poison.iter().map(|poison| &poison.url).collect();
        sandbox.set_faults(faults.clone());
        let mut store = site.store();
        for _ in 0..RUNS {
            let outcome = site.reconcile(&mut store);
            let is_halted = outcome.targets.values().any(|target| target.halt.is_some());
            if outcome.left.items() == 0 && !is_halted {
                break;
            }
            site.clock.advance(60_000);
        }
        for url in urls_of(&sets) {
            prop_assert_eq!(sandbox.accepted().contains_key(&url), !poisoned.contains(&url), "{}", url);
        }
        sandbox.set_faults(Faults::default());
        site.clock.advance(DAY_MS);
        let outcome = site.reconcile(&mut store);
        prop_assert_eq!(outcome.left.items(), 0);
        prop_assert_eq!(site.plan(&store).items(), 0);
        let accepted = sandbox.accepted();
        let extra: u64 = accepted.values().map(|times| times - 1).sum();
        prop_assert!(extra <= u64::from(repeats) * batch as u64, "{} sent twice", extra);
        prop_assert_eq!(accepted.into_keys().collect::<BTreeSet<_>>(), urls_of(&sets));
    }

    #[test]
    fn a_new_revision_sends_that_item_and_no_other(
        sets in sets(), seed in any::<u64>(), choice in any::<prop::sample::Index>()
    ) {
        let (site, sandbox) = site_with(&sets, 5, 1, seed);
        let mut store = site.store();
        site.reconcile(&mut store);
        let url = choice.get(&urls_of(&sets).into_iter().collect::<Vec<_>>()).clone();
        let mut bumped = sets.clone();
        for urls in bumped.values_mut() {
            urls.entry(url.clone()).and_modify(|revision| revision.push('!'));
        }
        declare(&site, &bumped);
        site.reconcile(&mut store);
        let mut expected = once_each(&urls_of(&sets));
        *expected.get_mut(&url).unwrap() += 1;
        prop_assert_eq!(sandbox.accepted(), expected.clone());
        declare(&site, &sets);
        site.reconcile(&mut store);
        *expected.get_mut(&url).unwrap() += 1;
        prop_assert_eq!(sandbox.accepted(), expected);
    }

    #[test]
    fn what_leaves_a_set_is_removed_once_and_what_comes_back_is_told(
        turns in turns(), seed in any::<u64>()
    ) {
        let (site, sandbox) = (Site::new(seed), Sandbox::start(Options::default()).unwrap());
        let mut store = site.store();
        let mut before: BTreeSet<usize> = BTreeSet::new();
        let mut between: Vec<Turn> = Vec::new();
        let mut expected: BTreeMap<String, u64> = BTreeMap::new();
        let last = (BTreeSet::from([0]), Luck::Good);
        for (ids, luck) in turns.into_iter().chain([last]) {
            let suspend = format!("suspend: {}", luck == Luck::Suspended);
            site.cdn("dm", &sandbox, &[UNLIMITED, &suspend]);
            let listed: Vec<String> = ids.iter().map(|id| format!("a{id}")).collect();
            match listed[..] {
                [] => site.remove_if_there("set-set.yaml"),
                _ => site.set("set", &["onRemove: invalidate".to_owned(), format!("assets: [{}]", listed.join(", "))]),
            }
            if luck == Luck::Outage {
                sandbox.fail(Failure::Status { status: 503, retry_after: None }, None);
                site.reconcile_within(1000, &mut store);
                sandbox.set_faults(Faults::default());
            } else {
                site.reconcile(&mut store);
            }
            if luck != Luck::Good {
                between.push((ids, luck));
                continue;
            }
            for id in 0..6 {
                let url = format!("{IMAGES}/a{id}");
                let past = (before.contains(&id), expected.contains_key(&url));
                if !is_sent(id, past, &between, ids.contains(&id)) {
                    continue;
                }
                *expected.entry(url).or_default() += 1;
            }
            (before, between) = (ids, Vec::new());
            prop_assert_eq!(sandbox.accepted(), expected.clone());
            prop_assert!(!site.plan(&store).has_changes());
        }
    }
}
