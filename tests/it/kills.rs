//! The program, killed again and again: nothing is lost, and only what was
//! under way at a kill is sent twice.
//!
//! Every asset has two URLs: one that stays, whose mark tells its revision, and
//! a twin that carries the revision itself, so that the CDN's own record shows
//! which of them a call was about.

use std::collections::BTreeMap;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use freshen::sandbox::{Faults, Options, Sandbox};

use crate::aloud::say;
use crate::program::{command, freshen};
use crate::site::{Site, UNLIMITED, assets, invalidations, scrambled, urls};

const KILLS: usize = 200;
const SETS: usize = 4;
/// Each with two URLs.
const ASSETS: usize = 75;
const BATCH: usize = 30;

/// Decides about all moments; printed, so that a run can be had again.
const SEED: u64 = 0x5eed_0000_f4e5_4e11;

/// One process: where its calls begin, what it was to bring about, its end.
struct Run {
    first_call: usize,
    revisions: [u64; SETS],
    is_killed: bool,
}

/// When a process is killed.
enum Moment {
    /// So long after its start: while it reads, plans, journals, replays.
    AfterStart(Duration),
    /// So long after its first call has arrived.
    AfterCall(Duration),
}

struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = scrambled(self.0);
        (self.0 >> 20) % limit
    }

    fn moment(&mut self) -> Moment {
        if self.below(3) == 0 {
            Moment::AfterStart(Duration::from_millis(self.below(150)))
        } else {
            Moment::AfterCall(Duration::from_micros(self.below(250_000)))
        }
    }
}

struct Theatre {
    site: Site,
    sandbox: Sandbox,
    chance: Chance,
    revisions: [u64; SETS],
    runs: Vec<Run>,
}

impl Theatre {
    fn new() -> Self {
        let site = Site::new(SEED);
        let sandbox = Sandbox::start(Options::default()).unwrap();
        sandbox.set_faults(Faults {
            latency_ms: 50,
            ..Faults::default()
        });
        let batch = format!("batch: {{ maxUrls: {BATCH} }}");
        site.cdn("dm", &sandbox, &[&batch, "concurrency: 1", UNLIMITED]);
        let theatre = Self {
            site,
            sandbox,
            chance: Chance(SEED),
            revisions: [0; SETS],
            runs: Vec::new(),
        };
        (0..SETS).for_each(|set| theatre.declare(set));
        theatre
    }

    fn declare(&self, set: usize) {
        let (name, revision) = (format!("s{set}"), self.revisions[set]);
        // The twin comes first: what is cut from a set begins with one.
        self.site.write(
            &format!("template-{name}.yaml"),
            &format!(
                "apiVersion: freshen/v1\nkind: Template\nmetadata: {{ name: {name} }}\nspec:\n  \
                 urls: ['<ID>?v={revision}', '<ID>']\n"
            ),
        );
        let template = format!("templates: [{name}]");
        let revision = format!("revision: r{revision}");
        self.site
            .set(&name, &[template, revision, assets(&name, ASSETS)]);
    }

    fn bump(&mut self, set: usize) {
        self.revisions[set] += 1;
        self.declare(set);
    }

    /// Starts the program; where the calls of the process before end is known
    /// only now, for the last of them may have been on its way.
    fn start(&mut self) -> Child {
        let child = command(self.site.folder())
            .arg("reconcile")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        self.runs.push(Run {
            first_call: invalidations(&self.sandbox).len(),
            revisions: self.revisions,
            is_killed: false,
        });
        child
    }

    /// Lets one process come to its end.
    fn finish(&mut self) {
        let ended = self.start().wait_with_output().unwrap();
        let complaint = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(0), "{complaint}");
    }

    /// Lets one process go until its moment; whether it was killed.
    fn play(&mut self) -> bool {
        let moment = self.chance.moment();
        let mut child = self.start();
        let first_call = self.runs[self.runs.len() - 1].first_call;
        let started = Instant::now();
        let mut called = None;
        while child.try_wait().unwrap().is_none() {
            assert!(started.elapsed() < Duration::from_mins(1), "it hangs");
            if called.is_none() && invalidations(&self.sandbox).len() > first_call {
                called = Some(Instant::now());
            }
            let is_due = match moment {
                Moment::AfterStart(delay) => started.elapsed() >= delay,
                Moment::AfterCall(delay) => called.is_some_and(|at| at.elapsed() >= delay),
            };
            if is_due {
                child.kill().unwrap();
                break;
            }
            thread::park_timeout(Duration::from_millis(2));
        }
        let ended = child.wait_with_output().unwrap();
        let complaint = String::from_utf8_lossy(&ended.stderr).into_owned();
        let is_killed = ended.status.code().is_none();
        assert!(is_killed || ended.status.code() == Some(0), "{complaint}");
        let last = self.runs.len() - 1;
        self.runs[last].is_killed = is_killed;
        is_killed
    }
}

/// An acceptance of an item.
#[derive(Clone, Copy)]
struct Acceptance {
    run: usize,
    /// The set's revision that it was about; `None` is some earlier one.
    revision: Option<u64>,
    /// It may have been under way when its process was killed.
    is_last_of_killed: bool,
}

/// Every acceptance, by item, in order.
fn acceptances(theatre: &Theatre) -> BTreeMap<String, Vec<Acceptance>> {
    let calls = invalidations(&theatre.sandbox);
    let mut found: BTreeMap<String, Vec<Acceptance>> = BTreeMap::new();
    // What a batch that is sent once more may be about, at the least.
    let mut before = [0; SETS];
    for (run, one) in theatre.runs.iter().enumerate() {
        let next = theatre.runs.get(run + 1);
        let end = next.map_or(calls.len(), |next| next.first_call);
        for (at, call) in calls.iter().enumerate().take(end).skip(one.first_call) {
            assert!(call.accepted, "{}", call.outcome);
            let told = twins(&call.urls);
            for url in &call.urls {
                let set = set_of(url);
                let newest = one.revisions[set];
                let may_be_older = at == one.first_call && before[set] != newest;
                let is_newest = !may_be_older || told[set] == Some(newest);
                found.entry(url.clone()).or_default().push(Acceptance {
                    run,
                    revision: is_newest.then_some(newest),
                    is_last_of_killed: one.is_killed && at + 1 == end,
                });
            }
            before = one.revisions;
        }
    }
    found
}

fn set_of(url: &str) -> usize {
    url.split("/s").last().unwrap()[..1].parse().unwrap()
}

/// The revisions of sets of which a call carries twins.
fn twins(urls: &[String]) -> [Option<u64>; SETS] {
    let mut told = [None; SETS];
    for url in urls {
        if let Some((_, revision)) = url.split_once("?v=") {
            let before = told[set_of(url)].replace(revision.parse().unwrap());
            assert!(before.is_none_or(|before| Some(before) == told[set_of(url)]));
        }
    }
    told
}

/// That each URL went twice at one revision only where a kill left open what
/// became of it; how often that was.
fn count_repeats(found: &BTreeMap<String, Vec<Acceptance>>) -> usize {
    let mut repeats = 0;
    for (url, accepted) in found {
        for pair in accepted.windows(2) {
            if pair[0].revision.is_some() && pair[0].revision == pair[1].revision {
                repeats += 1;
                assert!(
                    pair[0].is_last_of_killed,
                    "{url} went in run {} and again in run {}",
                    pair[0].run, pair[1].run
                );
            }
        }
    }
    repeats
}

/// That whenever a process has come to its end, every URL was accepted at the
/// revision of that time.
fn check_all_told(theatre: &Theatre, found: &BTreeMap<String, Vec<Acceptance>>) {
    let runs = theatre.runs.iter().enumerate();
    for (at, run) in runs.filter(|(_, run)| !run.is_killed) {
        for (set, revision) in run.revisions.into_iter().enumerate() {
            let is_told = |one: &Acceptance| one.run <= at && one.revision == Some(revision);
            for url in urls(&format!("s{set}"), ASSETS) {
                for url in [format!("{url}?v={revision}"), url] {
                    let accepted = found.get(&url).map_or(&[][..], Vec::as_slice);
                    assert!(accepted.iter().any(is_told), "{url} was lost by run {at}");
                }
            }
        }
    }
}

#[test]
fn two_hundred_kills_lose_nothing_and_repeat_only_what_was_under_way() {
    let begun = Instant::now();
    let mut theatre = Theatre::new();
    let (mut kills, mut finished) = (0, 0);
    while kills < KILLS {
        let is_killed = theatre.play();
        kills += usize::from(is_killed);
        let is_bumped = is_killed && theatre.chance.below(8) == 0;
        if is_bumped {
            let calls = invalidations(&theatre.sandbox);
            let under_way = calls.last().map_or(0, |call| set_of(&call.urls[0]));
            theatre.bump(under_way);
        }
        // What is lost where a revision grows after a kill shows before the next.
        let is_over = is_bumped && theatre.chance.below(2) == 0;
        if is_over {
            theatre.finish();
        }
        if is_over || !is_killed {
            finished += 1;
            (0..SETS).for_each(|set| theatre.bump(set));
        }
    }
    theatre.finish();
    let plan = freshen(theatre.site.folder(), &["plan", "--detailed-exitcode"]);
    assert_eq!(plan.code, 0, "{}{}", plan.stdout, plan.stderr);
    let check = freshen(theatre.site.folder(), &["state", "check"]);
    assert_eq!(check.code, 0, "{}{}", check.stdout, check.stderr);

    let found = acceptances(&theatre);
    check_all_told(&theatre, &found);
    let repeats = count_repeats(&found);
    assert!(repeats <= kills * BATCH, "{repeats} repeats");
    say(&format!(
        "seed {SEED:#x}: {kills} kills, {finished} runs finished, {} calls, {repeats} items repeated, {:?}",
        invalidations(&theatre.sandbox).len(),
        begun.elapsed()
    ));
}
