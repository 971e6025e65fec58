//! Verification: what an edge serves is looked at before a call and after it.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use freshen::batch::verify::Finding;
use freshen::reconcile::Outcome;
use freshen::reconcile::asks::Ask;
use freshen::reconcile::forcing::Selection;
use freshen::sandbox::{Failure, Faults, Options, Rule, Sandbox};
use freshen::state::Store;
use freshen::submit::clock::Clock as _;

use crate::site::{START_MS, Site, UNLIMITED, invalidations};
use crate::world::World;

const VERIFY: &str = "verify: { timeout: 1m }";

/// A sandbox that is its own publish server, and a site whose set declares
/// what is in it.
pub(crate) struct Stage {
    pub(crate) site: Site,
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) store: Store,
}

impl Stage {
    /// With these lines in the Cdn's `spec`, and an asset that the edge has had
    /// for an hour. Time at the edge goes by with time at the site.
    pub(crate) fn new(spec: &[&str]) -> Self {
        let sandbox = Arc::new(Sandbox::start(Options::default()).unwrap());
        Self::on(sandbox, spec)
    }

    /// The same, on this sandbox.
    pub(crate) fn on(sandbox: Arc<Sandbox>, spec: &[&str]) -> Self {
        let site = Site::new(7);
        site.cdn("dm", &sandbox, &[&[UNLIMITED], spec].concat());
        for second in 1..3_600 {
            let sandbox = Arc::clone(&sandbox);
            site.clock.at(second * 1_000, move || {
                sandbox.advance(Duration::from_secs(1));
            });
        }
        let store = site.store();
        let stage = Self {
            site,
            sandbox,
            store,
        };
        stage.publish("a", "old");
        stage.visit("a");
        stage.sandbox.advance(Duration::from_hours(1));
        stage.revise("1");
        stage
    }

    pub(crate) fn publish(&self, asset: &str, bytes: &str) {
        self.sandbox.upload(asset, bytes);
        assert!(self.sandbox.publish(asset));
    }

    pub(crate) fn url(&self, asset: &str) -> String {
        format!("{}/is/image/AcmeCorp/{asset}", self.sandbox.url())
    }

    /// What a visitor gets.
    pub(crate) fn visit(&self, asset: &str) -> String {
        let address = self.sandbox.url().replace("http://", "");
        let mut stream = TcpStream::connect(&address).unwrap();
        let request = format!(
            "GET /is/image/AcmeCorp/{asset} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.rsplit("\r\n\r\n").next().unwrap().to_owned()
    }

    /// Declares the asset's URL at another revision.
    pub(crate) fn revise(&self, revision: &str) {
        let urls = format!("urls: ['{}']", self.url("a"));
        self.site
            .set("set", &[format!("revision: '{revision}'"), urls]);
    }

    pub(crate) fn reconcile(&mut self) -> Outcome {
        self.site.reconcile(&mut self.store)
    }

    /// Asks for these URLs to be sent again.
    pub(crate) fn invalidate(&mut self, urls: &[String]) {
        let selection = Selection {
            urls: Some(urls.to_vec()),
            ..Selection::default()
        };
        let row = Ask::Invalidate(selection).row("a test");
        self.store.ask(&row, self.site.clock.now_ms()).unwrap();
    }

    pub(crate) fn finds(&mut self, expected: &[Finding]) -> Outcome {
        let outcome = self.reconcile();
        let findings = &outcome.targets["dm"].findings;
        assert_eq!(findings.values().copied().collect::<Vec<_>>(), expected);
        outcome
    }
}

#[test]
fn other_bytes_than_before_are_verified_once_the_cdn_has_settled() {
    let mut stage = Stage::new(&[VERIFY]);
    stage.publish("a", "new");
    stage.finds(&[Finding::Verified]);
    assert_eq!(stage.visit("a"), "new");
    assert_eq!(invalidations(&stage.sandbox).len(), 1);
    assert_eq!(stage.site.clock.elapsed_ms(), 5_000, "the first look tells");
}

#[test]
fn the_same_bytes_from_the_origin_are_unchanged_and_sent_no_second_time() {
    let mut stage = Stage::new(&[VERIFY]);
    let outcome = stage.finds(&[Finding::Unchanged]);
    assert!(!outcome.targets["dm"].is_stale());
    assert_eq!(invalidations(&stage.sandbox).len(), 1);
    assert_eq!(stage.site.clock.elapsed_ms(), 5_000);
}

#[test]
fn a_stale_edge_is_told_once_more() {
    let mut stage = Stage::new(&[VERIFY]);
    stage.publish("a", "new");
    stage.sandbox.fail(Failure::NoEffect, Some(1));
    stage.finds(&[Finding::Verified]);
    assert_eq!(invalidations(&stage.sandbox).len(), 2);
    assert_eq!(stage.visit("a"), "new");
}

#[test]
fn an_edge_that_stays_stale_is_reported_and_left_alone() {
    let mut stage = Stage::new(&[VERIFY]);
    stage.publish("a", "new");
    stage.sandbox.fail(Failure::NoEffect, None);
    let outcome = stage.finds(&[Finding::Stale]);
    assert!(outcome.targets["dm"].is_stale());
    assert_eq!(invalidations(&stage.sandbox).len(), 2);
    assert_eq!(stage.site.clock.elapsed_ms(), 2 * 65_000);
    stage.finds(&[]);
    assert_eq!(invalidations(&stage.sandbox).len(), 2);
    // Another revision is a new beginning.
    stage.revise("2");
    stage.finds(&[Finding::Stale]);
    assert_eq!(invalidations(&stage.sandbox).len(), 4);
}

#[test]
fn without_verify_nobody_looks() {
    let mut stage = Stage::new(&[]);
    let before = stage.sandbox.visits();
    stage.publish("a", "new");
    let outcome = stage.reconcile();
    assert!(outcome.targets["dm"].findings.is_empty());
    assert_eq!(stage.sandbox.visits(), before);
    assert_eq!(stage.site.clock.elapsed_ms(), 0, "nothing is waited for");
}

#[test]
fn a_sample_is_all_that_is_looked_at() {
    let mut stage = Stage::new(&["verify: { sample: 3 }"]);
    let names: Vec<String> = (0..20)
        .map(|n| format!("'{}'", stage.url(&format!("n{n}"))))
        .collect();
    stage
        .site
        .set("set", &[format!("urls: [{}]", names.join(", "))]);
    let before = stage.sandbox.visits();
    let outcome = stage.site.reconcile_within(1_000, &mut stage.store);
    assert_eq!(outcome.targets["dm"].tally.accepted, 20);
    assert_eq!(stage.sandbox.visits() - before, 3);
}

#[test]
fn what_a_run_had_no_time_to_look_at_the_next_one_looks_at() {
    let mut stage = Stage::new(&[VERIFY]);
    stage.publish("a", "new");
    let outcome = stage.site.reconcile_within(1_000, &mut stage.store);
    assert_eq!(outcome.targets["dm"].tally.accepted, 1);
    assert!(outcome.targets["dm"].findings.is_empty());
    assert!(!outcome.is_cut_short, "all that was to be sent was sent");
    stage.finds(&[Finding::Verified]);
    assert_eq!(invalidations(&stage.sandbox).len(), 1);
}

#[test]
fn what_has_left_its_set_is_looked_at_no_more() {
    let mut stage = Stage::new(&["verify: { timeout: 10m }"]);
    stage.publish("a", "new");
    stage.sandbox.fail(Failure::NoEffect, None);
    stage.site.reconcile_within(1_000, &mut stage.store);
    let looks = |stage: &Stage| {
        let open = stage.store.open_probes().unwrap().into_iter();
        open.map(|probe| probe.item).collect::<Vec<_>>()
    };
    assert_eq!(looks(&stage), [stage.url("a")]);
    let urls = format!("urls: ['{}']", stage.url("b"));
    stage.site.set("set", &[urls]);
    stage.site.reconcile_within(1_000, &mut stage.store);
    assert_eq!(looks(&stage), [stage.url("b")]);
}

#[test]
fn a_clock_that_was_set_back_makes_nobody_wait_or_judge() {
    let mut stage = Stage::new(&[VERIFY]);
    stage.site.clock.advance(3_600_000);
    stage.site.reconcile_within(1_000, &mut stage.store);
    stage.site.clock = Site::new(8).clock;
    stage.finds(&[Finding::Unknown]);
    assert_eq!(stage.site.clock.elapsed_ms(), 0);
    assert_eq!(invalidations(&stage.sandbox).len(), 1);
}

/// Answers every connection with these bytes, or not at all; what it was asked.
fn answering(answer: Option<&'static [u8]>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&asked);
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let read = stream.read(&mut request).unwrap_or(0);
            let text = String::from_utf8_lossy(&request[..read]).into_owned();
            heard.lock().unwrap().push(text);
            if let Some(answer) = answer {
                _ = stream.write_all(answer);
                continue;
            }
            open.push(stream);
        }
    });
    (url, asked)
}

/// Sends one URL under `host`, and says what was found of it.
fn found_at(host: &str, timeout: &str) -> Vec<Finding> {
    let mut stage = Stage::new(&[&format!("verify: {{ timeout: {timeout} }}")]);
    let url = format!("urls: ['{host}/is/image/AcmeCorp/a']");
    stage.site.set("set", &[url]);
    let outcome = stage.reconcile();
    assert_eq!(outcome.targets["dm"].tally.accepted, 1);
    outcome.targets["dm"].findings.values().copied().collect()
}

#[test]
fn an_edge_that_never_answers_holds_nothing_up_for_long() {
    let (url, asked) = answering(None);
    let started = Instant::now();
    assert_eq!(found_at(&url, "0s"), [Finding::Unknown]);
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(asked.lock().unwrap().len(), 2);
}

#[test]
fn many_urls_of_an_edge_that_never_answers_hold_up_one_batch_once() {
    let (host, asked) = answering(None);
    let spec = ["verify: {}", "batch: { maxUrls: 24 }"];
    let mut stage = Stage::new(&spec);
    let name = |n: usize| format!("'{host}/is/image/AcmeCorp/n{n}'");
    let names: Vec<String> = (0..48).map(name).collect();
    let urls = format!("urls: [{}]", names.join(", "));
    stage.site.set("set", &[urls]);
    let started = Instant::now();
    let outcome = stage.site.reconcile_within(1_000, &mut stage.store);
    assert_eq!(outcome.targets["dm"].tally.batches, 2);
    // Twenty looks, eight at a time, would take fifteen seconds if each took its own.
    let took = started.elapsed();
    assert!(took < Duration::from_secs(9), "{took:?}");
    let asked = asked.lock().unwrap().len();
    assert_eq!(asked, 8, "the second batch was not held up");
}

#[test]
fn what_no_manifest_declares_is_looked_at_and_not_sent_by_itself() {
    let mut stage = Stage::new(&[VERIFY, "repeat: 2m"]);
    stage.reconcile();
    stage.site.clock.advance(200_000);
    stage.reconcile();
    let before = invalidations(&stage.sandbox).len();
    stage.publish("b", "old");
    stage.visit("b");
    stage.sandbox.advance(Duration::from_hours(1));
    stage.sandbox.fail(Failure::NoEffect, None);
    stage.invalidate(&[stage.url("b")]);
    let outcome = stage.finds(&[Finding::Stale]);
    assert_eq!(invalidations(&stage.sandbox).len(), before + 1);
    assert_eq!(outcome.due_ms, None);
    assert!(!outcome.left.is_unfinished());
}

#[test]
fn what_is_asked_for_while_it_is_repeated_has_repeats_of_its_own() {
    for is_asked in [false, true] {
        let mut stage = Stage::new(&["repeat: 2m"]);
        stage.reconcile();
        stage.site.clock.advance(120_000);
        let target = stage.store.targets().unwrap()[0].id;
        let now_ms = stage.site.clock.now_ms();
        assert!(stage.store.begin_repeats(&[target], now_ms).unwrap());
        if is_asked {
            stage.invalidate(&[stage.url("a")]);
        }
        let outcome = stage.reconcile();
        assert_eq!(invalidations(&stage.sandbox).len(), 2);
        assert_eq!(outcome.due_ms.is_some(), is_asked);
    }
}

#[test]
fn nobody_is_told_a_secret_and_no_redirect_is_followed() {
    let redirect = b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\
        Set-Cookie: a=b\r\nConnection: close\r\n\r\n";
    let (url, asked) = answering(Some(redirect));
    found_at(&url, "0s");
    let asked = asked.lock().unwrap().join("\n").to_lowercase();
    assert_eq!(
        asked.matches("get /is/image/acmecorp/a ").count(),
        2,
        "{asked}"
    );
    for word in [
        "elsewhere",
        "authorization",
        "cookie",
        "sandbox",
        "cache-control",
        "if-",
    ] {
        assert!(!asked.contains(word), "{word}: {asked}");
    }
}

#[test]
fn a_body_without_an_end_is_read_to_a_limit() {
    const ENDLESS: &[u8] = &[b'x'; 3 << 20];
    static ANSWER: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\nAge: 0\r\n\r\n";
        [head.as_bytes(), ENDLESS].concat()
    });
    let (url, _) = answering(Some(&ANSWER));
    // A body that is waited for to its end would never come.
    assert_eq!(found_at(&url, "0s"), [Finding::Unchanged]);
}

#[test]
fn a_process_killed_between_any_two_steps_is_gone_on_with() {
    let world = World::new("settle: 0s\n  verify: { timeout: 1m }");
    world.sandbox.upload("a", "old");
    world.sandbox.publish("a");
    let url = format!("{}/is/image/AcmeCorp/a", world.sandbox.url());
    world.set("set", &format!("  urls: ['{url}']"));
    // Looked at, journalled, and sent without an answer.
    world.sandbox.set_faults(Faults {
        rules: vec![Rule {
            failure: Failure::Hang,
            times: Some(1),
            operation: Some("cdnCacheInvalidation".to_owned()),
        }],
        ..Faults::default()
    });
    let mut killed = world.start(&["reconcile", "--bootstrap", "invalidate"]);
    world.wait_until("the call", |world| {
        let calls = world.sandbox.calls();
        calls.iter().any(|call| !call.urls.is_empty())
    });
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(world.sandbox.visits(), 1);
    world.sandbox.upload("a", "new");
    world.sandbox.publish("a");
    world.ends(0, &["reconcile"]);
    assert_eq!(world.sandbox.visits(), 2, "what was seen before was kept");
    let seen = world.ends(0, &["explain", &url]);
    assert!(seen.contains("verified"), "{seen}");
}

#[test]
fn what_was_found_is_told_by_every_command() {
    let world = World::new("settle: 2s\n  verify: { timeout: 0s }");
    world.sandbox.upload("a", "old");
    world.sandbox.publish("a");
    let url = format!("{}/is/image/AcmeCorp/a", world.sandbox.url());
    world.set("set", &format!("  urls: ['{url}']"));
    let said = world.ends(0, &["reconcile", "--bootstrap", "invalidate"]);
    assert!(
        said.contains("! UNCHANGED: 1 URL at dynamic-media: the edge"),
        "{said}"
    );

    world.set("set", &format!("  revision: '2'\n  urls: ['{url}']"));
    world.sandbox.fail(Failure::NoEffect, None);
    let said = world.ends(4, &["reconcile"]);
    assert!(
        said.contains("x STALE: 1 URL at dynamic-media: the edge"),
        "{said}"
    );
    let said = world.ends(4, &["status"]);
    assert!(said.contains("x STALE: 1 URL at dynamic-media"), "{said}");
    let said = world.ends(0, &["history"]);
    assert!(
        said.contains("; 1 stale") && said.contains("; 1 unchanged"),
        "{said}"
    );
    let said = world.ends(0, &["explain", &url]);
    assert!(said.contains("after batch 2, sent twice"), "{said}");
    let status = world.ends(4, &["status", "-o", "json"]);
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let found = &status["targets"][0]["verification"];
    assert_eq!(
        (&found["stale"], &found["unchanged"]),
        (&1.into(), &0.into())
    );
    assert_eq!(found["doubtful"][0]["url"], url);
}

#[test]
fn an_origin_that_publishes_late_is_mended_by_a_repeat() {
    let mut stage = Stage::new(&[VERIFY, "repeat: [2m, 15m]"]);
    stage.sandbox.upload("a", "new");
    let outcome = stage.finds(&[Finding::Unchanged]);
    let due_ms = |outcome: &Outcome| outcome.due_ms.map(|due_ms| due_ms - START_MS);
    assert_eq!(due_ms(&outcome), Some(120_000));
    assert!(stage.sandbox.publish("a"));
    assert_eq!(stage.visit("a"), "old", "the edge has the old bytes again");
    stage.finds(&[]);
    stage.site.clock.advance(120_000);
    let outcome = stage.finds(&[Finding::Verified]);
    assert_eq!(stage.visit("a"), "new");
    assert_eq!(due_ms(&outcome), Some(900_000));
    stage.site.clock.advance(900_000);
    let outcome = stage.finds(&[Finding::Unchanged]);
    assert_eq!(due_ms(&outcome), None, "a repeat asks for no repeats");
    assert_eq!(invalidations(&stage.sandbox).len(), 3);
    stage.site.clock.advance(3_600_000);
    stage.reconcile();
    assert_eq!(invalidations(&stage.sandbox).len(), 3);
}

#[test]
fn a_repeat_is_dropped_once_a_newer_mark_was_accepted() {
    let mut stage = Stage::new(&["repeat: 2m"]);
    stage.reconcile();
    stage.site.clock.advance(60_000);
    stage.revise("2");
    let outcome = stage.reconcile();
    assert_eq!(outcome.due_ms, Some(START_MS + 120_000));
    stage.site.clock.advance(60_000);
    let outcome = stage.reconcile();
    assert_eq!(
        invalidations(&stage.sandbox).len(),
        2,
        "the older one is not sent"
    );
    assert_eq!(outcome.due_ms, Some(START_MS + 180_000));
    stage.site.clock.advance(60_000);
    stage.reconcile();
    assert_eq!(invalidations(&stage.sandbox).len(), 3);
}

#[test]
fn what_is_sent_again_for_a_stale_edge_asks_for_no_repeats() {
    let mut stage = Stage::new(&[VERIFY, "repeat: 30m"]);
    stage.publish("a", "new");
    stage.sandbox.fail(Failure::NoEffect, Some(1));
    stage.finds(&[Finding::Verified]);
    assert_eq!(stage.store.repeats().unwrap()[0].items, 1);
}

#[test]
fn repeats_outlast_the_process_and_are_told_of() {
    let world = World::new("repeat: [0s, 1h]");
    world.set("set", "  assets: [a]");
    let said = world.ends(0, &["reconcile", "--bootstrap", "invalidate"]);
    assert!(said.contains("Sent again at dynamic-media"), "{said}");
    let said = world.ends(0, &["status"]);
    assert!(said.contains("Sent again at dynamic-media"), "{said}");
    assert_eq!(world.sends(0).len() + world.accepted().len(), 2);
    assert_eq!(world.sends(0).len(), 0, "the other is due in an hour");
    let said = world.ends(0, &["status"]);
    assert!(said.contains(": 1 URL, by"), "{said}");
    world.ends(0, &["state", "check"]);
    world.ends(0, &["state", "export", "copy.db"]);
    world.ends(0, &["--state", "other.db", "state", "import", "copy.db"]);
    let said = world.ends(0, &["--state", "other.db", "status"]);
    assert!(said.contains(": 1 URL, by"), "{said}");
}

/// A world whose URL is at one sandbox and whose `origin` is another; what the
/// edge, the origin and both serve is up to the test.
fn two_sides(is_declared: bool) -> (World, Sandbox, String) {
    let origin = Sandbox::start(Options::default()).unwrap();
    let spec = format!("origin: '{}'", origin.url());
    let world = World::new(if is_declared { &spec } else { "" });
    world.sandbox.upload("a", "old");
    world.sandbox.publish("a");
    let url = format!("{}/is/image/AcmeCorp/a?$product$", world.sandbox.url());
    world.set("set", &format!("  urls: ['{url}']"));
    world.ends(0, &["reconcile", "--bootstrap", "adopt"]);
    (world, origin, url)
}

#[test]
fn explain_compares_the_edge_with_its_origin() {
    let (world, origin, url) = two_sides(true);
    let command = format!("Next: freshen invalidate --url '{url}'");
    origin.upload("a", "new");
    origin.publish("a");
    let said = world.ends(4, &["explain", &url, "--fetch"]);
    assert!(
        said.contains("x The edge has other bytes than the origin"),
        "{said}"
    );
    assert!(said.trim_end().ends_with(&command), "{said}");
    let json = world.ends(4, &["explain", &url, "--fetch", "-o", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["fetched"][0]["standing"], "edgeOlder");
    assert_eq!(json["fetched"][0]["origin"]["status"], 200);
    assert_eq!(origin.visits(), 2);

    origin.upload("a", "old");
    origin.publish("a");
    // The other sandbox has a cache of its own, which knows nothing of this one.
    let undeclared = url.replace("product", "other");
    let said = world.ends(0, &["explain", &undeclared, "--fetch"]);
    assert!(said.contains("= The edge has the origin's bytes"), "{said}");
    let visits = world.sandbox.visits();
    world.ends(0, &["explain", &url]);
    assert_eq!(world.sandbox.visits(), visits, "nobody asked to fetch");
}

#[test]
fn explain_says_what_it_cannot_tell_without_an_origin() {
    let (world, origin, url) = two_sides(false);
    let said = world.ends(0, &["explain", &url, "--fetch"]);
    assert!(said.contains("the Cdn declares no `origin`"), "{said}");
    assert!(said.contains("Age 0, MISS"), "{said}");
    assert_eq!(origin.visits(), 0);
    assert_eq!(
        world.sandbox.visits(),
        1,
        "no query that gets past the cache"
    );
}

#[test]
fn explain_tells_an_origin_that_was_not_updated() {
    let world = World::new("settle: 2s");
    world.sandbox.upload("a", "old");
    world.sandbox.publish("a");
    let origin = format!(
        "settle: 2s\n  verify: {{}}\n  origin: '{}'",
        world.sandbox.url()
    );
    world.write("manifests/cdn.yaml", &world.cdn("dynamic-media", &origin));
    let url = format!("{}/is/image/AcmeCorp/a", world.sandbox.url());
    world.set("set", &format!("  urls: ['{url}']"));
    world.ends(0, &["reconcile", "--bootstrap", "invalidate"]);
    let said = world.ends(0, &["explain", &url, "--fetch"]);
    assert!(
        said.contains("! The origin itself is not updated"),
        "{said}"
    );
    assert!(
        said.contains("Next: publish it at the origin first, then: freshen inv"),
        "{said}"
    );
}

#[test]
fn an_origin_is_a_server_and_nothing_more() {
    for origin in [
        "origin.example.com",
        "https://o.example/path",
        "https://u:p@o.example",
        "ftp://o",
    ] {
        let world = World::new(&format!("origin: '{origin}'"));
        let said = world.ends(4, &["validate"]);
        assert!(said.contains("a server such as"), "{origin}: {said}");
    }
}
