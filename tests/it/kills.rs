//! The program, killed again and again: nothing is lost, and only what was
//! under way at a kill is sent twice.

use std::collections::BTreeMap;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use freshen::sandbox::{Faults, Options, Sandbox};

use crate::program::{command, freshen};
use crate::site::{Site, UNLIMITED, assets, invalidations, scrambled, urls};

const KILLS: usize = 200;
const SETS: usize = 4;
const URLS: usize = 150;
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
        let name = format!("s{set}");
        let revision = format!("revision: r{}", self.revisions[set]);
        self.site.set(&name, &[revision, assets(&name, URLS)]);
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
    /// The set's revision at that time.
    revision: u64,
    /// It may have been under way when its process was killed.
    is_last_of_killed: bool,
    /// It may be the replay of a batch that was cut before the revision grew.
    may_be_older: bool,
}

/// Every acceptance, by item, in order.
fn acceptances(theatre: &Theatre) -> BTreeMap<String, Vec<Acceptance>> {
    let calls = invalidations(&theatre.sandbox);
    let mut found: BTreeMap<String, Vec<Acceptance>> = BTreeMap::new();
    let mut before = [0; SETS];
    for (run, one) in theatre.runs.iter().enumerate() {
        let end = theatre
            .runs
            .get(run + 1)
            .map_or(calls.len(), |next| next.first_call);
        for (at, call) in calls.iter().enumerate().take(end).skip(one.first_call) {
            assert!(call.accepted, "{}", call.outcome);
            for url in &call.urls {
                let set: usize = url.split("/s").last().unwrap()[..1].parse().unwrap();
                found.entry(url.clone()).or_default().push(Acceptance {
                    run,
                    revision: one.revisions[set],
                    is_last_of_killed: one.is_killed && at + 1 == end,
                    may_be_older: at == one.first_call && before[set] != one.revisions[set],
                });
            }
            before = one.revisions;
        }
    }
    found
}

#[test]
#[expect(clippy::print_stderr, reason = "the seed and the counts must be seen")]
fn two_hundred_kills_lose_nothing_and_repeat_only_what_was_under_way() {
    let begun = Instant::now();
    let mut theatre = Theatre::new();
    let (mut kills, mut finished) = (0, 0);
    while kills < KILLS {
        if theatre.play() {
            kills += 1;
            if theatre.chance.below(8) == 0 {
                let set = theatre.chance.below(SETS as u64) as usize;
                theatre.bump(set);
            }
        } else {
            finished += 1;
            (0..SETS).for_each(|set| theatre.bump(set));
        }
    }
    let last = theatre.start().wait_with_output().unwrap();
    assert_eq!(
        last.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&last.stderr)
    );
    let plan = freshen(theatre.site.folder(), &["plan", "--detailed-exitcode"]);
    assert_eq!(plan.code, 0, "{}{}", plan.stdout, plan.stderr);
    let check = freshen(theatre.site.folder(), &["state", "check"]);
    assert_eq!(check.code, 0, "{}{}", check.stdout, check.stderr);

    let found = acceptances(&theatre);
    let mut repeats = 0;
    for set in 0..SETS {
        for url in urls(&format!("s{set}"), URLS) {
            let accepted = found.get(&url).map_or(&[][..], Vec::as_slice);
            let newest = accepted.last().map(|last| last.revision);
            assert_eq!(newest, Some(theatre.revisions[set]), "{url} was lost");
            for pair in accepted
                .windows(2)
                .filter(|pair| pair[0].revision == pair[1].revision)
            {
                repeats += 1;
                assert!(
                    pair[0].is_last_of_killed || pair[0].may_be_older,
                    "{url} went in run {} and again in run {}",
                    pair[0].run,
                    pair[1].run
                );
            }
        }
    }
    assert!(repeats <= kills * BATCH, "{repeats} repeats");
    eprintln!(
        "seed {SEED:#x}: {kills} kills, {finished} runs finished, {} calls, {repeats} items repeated, {:?}",
        invalidations(&theatre.sandbox).len(),
        begun.elapsed()
    );
}
