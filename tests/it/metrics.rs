//! What is exported: names that do not change by accident, text that parses,
//! and no series of what is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use freshen::batch::lane::HaltKind;
use freshen::batch::rate::Budget;
use freshen::batch::verify::Finding;
use freshen::declare::{Declared, Options, declare};
use freshen::digest::Digest;
use freshen::load;
use freshen::manifest::{Bucket, RateLimit};
use freshen::metrics::{
    ALL, CallResult, Metrics, NotificationResult, Pass, PassResult, Reading, ScanResult,
    WatcherMode,
};
use freshen::plan::recorded::{LedgerId, RecordedLedger, RecordedSet, SetId};
use freshen::reconcile::Outcome;
use freshen::reconcile::planning::{self, Planned};
use tempfile::TempDir;

const NOW: i64 = 1_795_000_000_000;

/// What no label may be able to do: end itself, its line or the whole text.
const HOSTILE: &str = "a\"} 1\n# EOF\n\\x{b=\"c\"";

type Labels = BTreeMap<String, String>;

/// A metric family as it was read.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    help: String,
    unit: Option<String>,
    samples: Vec<(String, Labels, f64)>,
}

/// Reads `OpenMetrics` text, and panics at anything that is not.
fn read(text: &str) -> BTreeMap<String, Family> {
    let body = text.strip_suffix("# EOF\n").expect("it ends with EOF");
    assert!(!body.contains("# EOF\n"), "it ends once");
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            name.clone_into(&mut current);
            let family = Family {
                help: help.to_owned(),
                ..Family::default()
            };
            let before = families.insert(current.clone(), family);
            assert!(before.is_none(), "{name} comes twice");
            continue;
        }
        let family = families.get_mut(&current).expect("HELP comes first");
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(name, current);
            kind.clone_into(&mut family.kind);
        } else if let Some(rest) = line.strip_prefix("# UNIT ") {
            let (name, unit) = rest.split_once(' ').unwrap();
            assert_eq!(name, current);
            assert!(name.ends_with(&format!("_{unit}")), "{line}");
            family.unit = Some(unit.to_owned());
        } else {
            let sample = read_sample(line);
            assert!(sample.2.is_finite(), "{line}");
            family.samples.push(sample);
        }
    }
    for (name, family) in &families {
        check_family(name, family);
    }
    families
}

fn read_sample(line: &str) -> (String, Labels, f64) {
    let end = line.find(['{', ' ']).expect(line);
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let mut labels = Labels::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        while let Some((label, value)) = rest.split_once("=\"") {
            assert!(is_name(label), "{label:?} in {line}");
            let (value, after) = read_value(value);
            let before = labels.insert(label.to_owned(), value);
            assert!(before.is_none(), "{label} comes twice in {line}");
            let Some(next) = after.strip_prefix(',') else {
                rest = after;
                break;
            };
            rest = next;
        }
        rest = rest.strip_prefix('}').expect(line);
    }
    let value = rest.strip_prefix(' ').expect(line);
    (name.to_owned(), labels, value.parse().expect(line))
}

/// A label's value, unescaped, and what follows its closing quote.
fn read_value(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &text[at + 1..]),
            '\\' => match characters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, escaped @ ('\\' | '"'))) => value.push(escaped),
                other => panic!("no escape {other:?} in {text}"),
            },
            other => value.push(other),
        }
    }
    panic!("no end in {text}");
}

fn is_name(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    name.bytes().next().is_some_and(is_letter)
        && name
            .bytes()
            .all(|byte| is_letter(byte) || byte.is_ascii_digit())
}

fn check_family(name: &str, family: &Family) {
    let ends: &[&str] = match family.kind.as_str() {
        "gauge" => &[""],
        "counter" => &["_total"],
        "histogram" => &["_bucket", "_count", "_sum"],
        other => panic!("{name} is of kind {other:?}"),
    };
    let mut seen = BTreeSet::new();
    for (sample, labels, value) in &family.samples {
        let end = sample.strip_prefix(name).expect(sample);
        assert!(ends.contains(&end), "{sample} in {name}");
        assert!(
            seen.insert((sample, labels)),
            "{sample}{labels:?} comes twice"
        );
        assert!(family.kind == "gauge" || *value >= 0.0, "{sample}");
    }
    if family.kind == "histogram" {
        check_histogram(name, family);
    }
}

fn check_histogram(name: &str, family: &Family) {
    let mut last: BTreeMap<Labels, (f64, f64)> = BTreeMap::new();
    for (_, labels, count) in of(family, &format!("{name}_bucket")) {
        let mut labels = labels.clone();
        let bound: f64 = labels.remove("le").unwrap().parse().unwrap();
        let (before, lower) = last.insert(labels, (bound, *count)).unwrap_or_default();
        assert!(bound > before && *count >= lower, "{name}");
    }
    for (_, labels, count) in of(family, &format!("{name}_count")) {
        assert_eq!(last.remove(labels), Some((f64::INFINITY, *count)), "{name}");
    }
    assert!(last.is_empty(), "{name}: buckets without a count");
}

fn of<'a>(family: &'a Family, name: &str) -> impl Iterator<Item = &'a (String, Labels, f64)> {
    let name = name.to_owned();
    let samples = family.samples.iter();
    samples.filter(move |(sample, _, _)| *sample == name)
}

/// The values of a name, by its labels in a row.
fn values(metrics: &Metrics, name: &str, now_ms: i64) -> BTreeMap<String, f64> {
    let families = read(&metrics.render(now_ms));
    let family = families.get(name.strip_suffix("_total").unwrap_or(name));
    let samples = of(family.expect(name), name);
    let shown = |labels: &Labels| labels.values().cloned().collect::<Vec<_>>().join(" ");
    samples
        .map(|(_, labels, value)| (shown(labels), *value))
        .collect()
}

fn check(metrics: &Metrics, name: &str, now_ms: i64, expected: &[(&str, f64)]) {
    let expected = expected
        .iter()
        .map(|(labels, value)| ((*labels).to_owned(), *value));
    assert_eq!(values(metrics, name, now_ms), expected.collect(), "{name}");
}

/// A folder of manifests with one Cdn, and what is declared and planned there.
pub(crate) struct Site {
    folder: TempDir,
}

impl Site {
    pub(crate) fn new() -> Self {
        let site = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        site.cdn("dm");
        site
    }

    pub(crate) fn cdn(&self, name: &str) {
        self.write(
            name,
            &format!(
                "apiVersion: freshen/v1\nkind: Cdn\nmetadata: {{ name: {name} }}\nspec:\n  \
                 dynamicMedia:\n    region: emea\n    company: {name}\n    \
                 publishServers: [\"https://s7d1.scene7.com\"]\n    \
                 credentials: {{ user: {{ env: U }}, password: {{ env: P }} }}\n"
            ),
        );
    }

    pub(crate) fn set(&self, name: &str, spec: &str) {
        self.write(
            name,
            &format!(
                "apiVersion: freshen/v1\nkind: AssetSet\nmetadata: {{ name: {name} }}\nspec:\n  \
                 cdns: [dm]\n  {spec}\n"
            ),
        );
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(format!("{name}.yaml")), text).unwrap();
    }

    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.folder.path().join(format!("{name}.yaml"))).unwrap();
    }

    pub(crate) fn declared(&self) -> Declared {
        let options = Options {
            manifests: vec![self.folder.path().to_owned()],
            max_expansion: 1_000,
            known: std::sync::Arc::default(),
        };
        load::scan(&options.manifests, |tree| declare(tree, &options)).unwrap()
    }

    pub(crate) fn planned(&self) -> (Declared, Planned) {
        let declared = self.declared();
        let options = planning::Options {
            now_ms: NOW,
            ..planning::Options::default()
        };
        let planned = planning::plan(&declared, None, &options).unwrap();
        (declared, planned)
    }

    /// Tells `metrics` what a pass would.
    fn pass(&self, metrics: &Metrics, recorded: &[RecordedSet], now_ms: i64) {
        let (declared, planned) = self.planned();
        metrics.planned(&Pass {
            declared: &declared,
            plan: &planned.plan,
            problems: &planned.problems,
            failed: &planned.failed,
            partial: &planned.partial,
            recorded,
            now_ms,
        });
    }
}

/// A set whose ledger has owed since then.
fn recorded(set: &str, target: &str, owed_since_ms: i64) -> RecordedSet {
    let ledger = RecordedLedger {
        id: LedgerId(1),
        algorithm: "freshen-1".to_owned(),
        wire: Digest::of(b"wire"),
        desired: None,
        is_settled: false,
        count: 0,
        declared: 0,
        gate_ms: None,
        owed_since_ms: Some(owed_since_ms),
    };
    RecordedSet {
        id: SetId(1),
        name: set.to_owned(),
        serial: 1,
        inputs: None,
        missing_ms: None,
        ledgers: BTreeMap::from([(target.to_owned(), Box::new(ledger))]),
    }
}

fn reading(halted: Option<HaltKind>, retry_at_ms: Option<i64>) -> Reading {
    let rate = RateLimit {
        requests: vec![Bucket {
            burst: 6,
            period_ms: 60_000,
        }],
        urls: Vec::new(),
    };
    let mut budget = Budget::full(&rate);
    budget.debit(1, NOW);
    budget.debit(1, NOW);
    Reading {
        budget,
        attempts: 3,
        retry_at_ms,
        halted,
    }
}

/// Metrics with at least one series of every name.
fn filled() -> Metrics {
    let metrics = Metrics::default();
    let site = Site::new();
    site.set("spring", "assets: [a, b]");
    site.pass(&metrics, &[], NOW);
    metrics.watching(WatcherMode::Events);
    metrics.watch_overflowed();
    metrics.scanned(ScanResult::Changed, 0.5);
    metrics.state(42);
    metrics.state_write_failed();
    metrics.notified(NotificationResult::Delivered, 1);
    metrics.reconciled(PassResult::Done, 2.0, NOW);
    metrics.call_ended("dm", CallResult::Accepted, 2, 0.1);
    metrics.target(
        "dm",
        reading(Some(HaltKind::Unauthorized), Some(NOW + 1_500)),
    );
    metrics.verified("dm", &BTreeMap::from([(Finding::Stale, 1)]));
    metrics
}

#[test]
fn every_name_is_exported_as_it_is_described() {
    let families = read(&filled().render(NOW));
    let name = |name: &str| name.strip_suffix("_total").unwrap_or(name).to_owned();
    let described: BTreeSet<String> = ALL.iter().map(|metric| name(&metric.name())).collect();
    assert_eq!(families.keys().cloned().collect::<BTreeSet<_>>(), described);
    for metric in ALL {
        let family = &families[&name(&metric.name())];
        assert_eq!(family.kind, metric.kind.as_str());
        assert_eq!(family.help, format!("{}.", metric.help));
        assert_eq!(family.unit.is_some(), metric.name().contains("_seconds"));
        let (_, labels, _) = family.samples.first().expect("it was filled");
        let labels: BTreeSet<&str> = labels.keys().map(String::as_str).collect();
        let mut expected: BTreeSet<&str> = metric.labels.iter().copied().collect();
        if metric.kind.as_str() == "histogram" && labels.contains("le") {
            expected.insert("le");
        }
        assert_eq!(labels, expected, "{}", metric.name());
    }
}

#[test]
fn a_name_does_not_change_unseen() {
    let text = Metrics::default().render(NOW);
    let described = text.lines().filter(|line| line.starts_with("# "));
    insta::assert_snapshot!("metrics", described.collect::<Vec<_>>().join("\n"));
}

#[test]
fn the_document_of_all_metrics_is_current() {
    let mut text = DOCUMENT.to_owned();
    for metric in ALL {
        let labels: Vec<String> = metric
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        let (name, kind) = (metric.name(), metric.kind.as_str());
        writeln!(
            text,
            "| `{name}` | {kind} | {} | {} |",
            labels.join(", "),
            metric.help
        )
        .unwrap();
    }
    let path = Path::new("docs/metrics.md");
    if std::env::var_os("FRESHEN_UPDATE").is_some() {
        fs::write(path, &text).unwrap();
    }
    let committed = fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == text,
        "{} is not current: FRESHEN_UPDATE=1 cargo test --test it metrics",
        path.display()
    );
}

const DOCUMENT: &str = "\
# Metrics

<!-- Generated: FRESHEN_UPDATE=1 cargo test --test it metrics -->

`GET /metrics` of the daemon, and the file that `--metrics-file` names, hold
these as OpenMetrics text. Times are in seconds; a `timestamp` counts them since
the epoch. A label `set` is the name of an AssetSet, `cdn` that of a Cdn; when
one is not declared any more, its series go. Counters start at 0 with the
process.

| name | kind | labels | what it is |
|---|---|---|---|
";

#[test]
fn a_hostile_name_stays_a_label() {
    let metrics = filled();
    metrics.call_ended(HOSTILE, CallResult::Lost, 0, 0.1);
    metrics.target(HOSTILE, reading(None, None));
    let calls = values(&metrics, "freshen_calls_total", NOW);
    assert_eq!(calls.get(&format!("{HOSTILE} lost")), Some(&1.0));
    let failures = values(&metrics, "freshen_consecutive_failures", NOW);
    assert_eq!(failures.get(HOSTILE), Some(&3.0));
}

#[test]
fn the_first_of_a_kind_is_an_increase() {
    let metrics = Metrics::default();
    let results = |results: &[&str]| -> BTreeMap<String, f64> {
        let results = results.iter().map(|result| ((*result).to_owned(), 0.0));
        results.collect()
    };
    let scans = values(&metrics, "freshen_scans_total", NOW);
    assert_eq!(
        scans,
        results(&["changed", "failed", "unchanged", "unstable"])
    );
    let sent = values(&metrics, "freshen_notifications_total", NOW);
    assert_eq!(sent, results(&["delivered", "dropped", "failed"]));
    metrics.target("dm", reading(None, None));
    assert_eq!(values(&metrics, "freshen_calls_total", NOW).len(), 11);
}

#[test]
fn what_ages_is_as_old_as_it_is_when_it_is_asked_for() {
    let metrics = Metrics::default();
    let site = Site::new();
    site.set("spring", "assets: [a, b]");
    let declared = site.declared();
    let target = declared.cdns["dm"].provider.target().to_owned();
    site.pass(&metrics, &[recorded("spring", &target, NOW)], NOW);
    let owed = "freshen_oldest_unsent_seconds";
    check(&metrics, owed, NOW + 90_500, &[("dm spring", 90.5)]);
    // A clock that was put back must not make ages of 1970.
    check(&metrics, owed, NOW - 1, &[("dm spring", 0.0)]);
    site.pass(&metrics, &[], NOW);
    check(&metrics, owed, NOW + 90_500, &[("dm spring", 0.0)]);

    metrics.target("dm", reading(None, Some(NOW + 1_500)));
    let wait = "freshen_retry_after_seconds";
    check(&metrics, wait, NOW, &[("dm", 1.5)]);
    check(&metrics, wait, NOW + 2_000, &[("dm", 0.0)]);
    let left = "freshen_budget_remaining";
    check(&metrics, left, NOW, &[("requests 6/60000ms dm", 4.0)]);
    check(
        &metrics,
        left,
        NOW + 10_000,
        &[("requests 6/60000ms dm", 5.0)],
    );
    check(
        &metrics,
        left,
        NOW + 60_000,
        &[("requests 6/60000ms dm", 6.0)],
    );
}

#[test]
fn a_set_shows_what_it_declares_and_what_stands_in_the_way() {
    let metrics = Metrics::default();
    let site = Site::new();
    site.set("small", "assets: [a]");
    site.set("large", "assets: [a, b, c]\n  limits: { maxUrls: 2 }");
    site.set("later", "assets: [a]\n  suspend: true");
    site.pass(&metrics, &[], NOW);
    let all = |large, later, small| {
        [
            ("dm large", large),
            ("dm later", later),
            ("dm small", small),
        ]
    };
    check(&metrics, "freshen_urls", NOW, &all(3.0, 1.0, 1.0));
    check(&metrics, "freshen_pending_items", NOW, &all(0.0, 1.0, 1.0));
    check(&metrics, "freshen_blocked_items", NOW, &all(3.0, 0.0, 0.0));
    check(&metrics, "freshen_suspended", NOW, &all(0.0, 1.0, 0.0));
    let states = [("invalid", 0.0), ("partial", 0.0), ("whole", 3.0)];
    check(&metrics, "freshen_sets", NOW, &states);
}

#[test]
fn series_go_with_what_they_tell_of_but_not_with_a_mistake() {
    let metrics = Metrics::default();
    let site = Site::new();
    site.cdn("other");
    site.set("spring", "assets: [a]");
    site.set("summer", "assets: [a]");
    let pass = |now_ms| site.pass(&metrics, &[], now_ms);
    pass(NOW);
    for cdn in ["dm", "other"] {
        metrics.call_ended(cdn, CallResult::Accepted, 1, 0.1);
        metrics.target(cdn, reading(None, None));
    }
    let sets = |expected: &[&str]| check_sets(&metrics, expected);
    let cdns = |expected: &[&str]| check_cdns(&metrics, expected);
    sets(&["dm spring", "dm summer"]);
    cdns(&["dm", "other"]);
    let healthy = "freshen_manifests_last_reload_successful";
    let since = "freshen_manifests_last_reload_success_timestamp_seconds";
    check(&metrics, healthy, NOW, &[("", 1.0)]);

    // A mistake in a manifest: nothing counts as gone.
    site.set("summer", "assets: [a]\n  nonsense: true");
    site.write("other", "kind: [");
    pass(NOW + 1_000);
    sets(&["dm spring", "dm summer"]);
    cdns(&["dm", "other"]);
    check(&metrics, healthy, NOW, &[("", 0.0)]);
    check(&metrics, since, NOW, &[("", NOW as f64 / 1000.0)]);

    site.remove("summer");
    site.remove("other");
    pass(NOW + 2_000);
    sets(&["dm spring"]);
    cdns(&["dm"]);
    check(&metrics, healthy, NOW, &[("", 1.0)]);
    check(&metrics, since, NOW, &[("", (NOW + 2_000) as f64 / 1000.0)]);
}

/// Exactly these sets have series, in every name.
fn check_sets(metrics: &Metrics, expected: &[&str]) {
    for name in [
        "urls",
        "pending_items",
        "blocked_items",
        "refused_items",
        "oldest_unsent_seconds",
        "suspended",
    ] {
        let found = values(metrics, &format!("freshen_{name}"), NOW);
        assert_eq!(found.into_keys().collect::<Vec<_>>(), expected, "{name}");
    }
}

/// Exactly these Cdns have series, in every name.
fn check_cdns(metrics: &Metrics, expected: &[&str]) {
    for (name, family) in read(&metrics.render(NOW)) {
        let mut samples = family.samples.iter();
        let is_of_sets = samples.any(|(_, labels, _)| labels.contains_key("set"));
        let cdns = family
            .samples
            .iter()
            .filter_map(|(_, labels, _)| labels.get("cdn"));
        let cdns: BTreeSet<&str> = cdns.map(String::as_str).collect();
        if !is_of_sets && !cdns.is_empty() {
            assert_eq!(cdns.into_iter().collect::<Vec<_>>(), expected, "{name}");
        }
    }
}

#[test]
fn a_pass_is_a_success_unless_something_that_could_go_did_not() {
    let outcome = Outcome::default();
    assert_eq!(PassResult::of(&outcome), PassResult::Noop);
    let cut = Outcome {
        is_cut_short: true,
        ..Outcome::default()
    };
    assert_eq!(PassResult::of(&cut), PassResult::Unfinished);
    let mut sent = Outcome::default();
    sent.targets.entry("dm".to_owned()).or_default().tally.calls = 1;
    assert_eq!(PassResult::of(&sent), PassResult::Done);

    let metrics = Metrics::default();
    let (last, success) = (
        "freshen_last_reconcile_timestamp_seconds",
        "freshen_last_success_timestamp_seconds",
    );
    check(&metrics, success, NOW, &[("", 0.0)]);
    metrics.reconciled(PassResult::Noop, 0.1, 1_000);
    metrics.reconciled(PassResult::Unfinished, 0.1, 2_000);
    metrics.reconciled(PassResult::Failed, 0.1, 3_000);
    check(&metrics, last, NOW, &[("", 3.0)]);
    check(&metrics, success, NOW, &[("", 1.0)]);
    metrics.reconciled(PassResult::Done, 0.1, 4_000);
    check(&metrics, success, NOW, &[("", 4.0)]);
    check(&metrics, "freshen_noop_runs_total", NOW, &[("", 1.0)]);
}
