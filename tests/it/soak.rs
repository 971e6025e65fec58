//! Everything at once, for a while: edits, swaps, kills and faults of the CDN.
//!
//! Two minutes as a test; for longer, and with other chance:
//! `FRESHEN_SOAK_SECONDS=3600 FRESHEN_SOAK_SEED=7 cargo test --test it soak`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, Instant};

use freshen::sandbox::{Failure, Faults, Rule};

use crate::aloud::say;
use crate::keeper::Keeper;
use crate::site::scrambled;
use crate::world::{ROOT, World};

/// Sets that are edited, each in a file of its own.
const SETS: u64 = 20;

/// Between two deeds: less than a settle and more, by turns.
const PAUSES: [Duration; 3] = [
    Duration::from_millis(20),
    Duration::from_millis(200),
    Duration::from_millis(600),
];

/// More than this is a leak, whatever the allocator does.
const MAX_GROWTH_KIB: u64 = 16 * 1024;

struct Soak {
    world: World,
    seed: u64,
    /// By set: the revision that its URLs carry.
    revisions: BTreeMap<u64, u64>,
    accepted_at_trouble: usize,
}

impl Soak {
    fn new(seed: u64) -> Self {
        let world = World::new("concurrency: 4\n  settle: 0s");
        let mut soak = Self {
            world,
            seed: seed | 1,
            revisions: (0..SETS).map(|set| (set, 0)).collect(),
            accepted_at_trouble: 0,
        };
        for set in 0..SETS {
            soak.declare(set);
        }
        soak
    }

    fn chance(&mut self, below: u64) -> u64 {
        self.seed = scrambled(self.seed);
        self.seed % below
    }

    /// The URLs of a set at its revision: one that is lost is missed by name.
    fn urls(&self, set: u64) -> Vec<String> {
        let revision = self.revisions[&set];
        (0..5)
            .map(|n| format!("{ROOT}/set{set}-{n}?revision={revision}"))
            .collect()
    }

    fn manifest(&self, set: u64) -> String {
        let urls: Vec<String> = self
            .urls(set)
            .iter()
            .map(|url| format!("\"{url}\""))
            .collect();
        format!(
            "apiVersion: freshen/v1\nkind: AssetSet\nmetadata: {{ name: set{set} }}\nspec: {{ urls: [{}] }}\n",
            urls.join(", ")
        )
    }

    /// Writes a set: in place, in two steps, or as a file that takes its place.
    fn declare(&mut self, set: u64) {
        let name = format!("manifests/set{set}.yaml");
        let text = self.manifest(set);
        match self.chance(3) {
            0 => self.world.write(&name, &text),
            1 => {
                let half = text.len() / 2;
                self.world.write(&name, &text[..half]);
                self.world.write(&name, &text);
            }
            _ => {
                self.world.write("draft", &text);
                let folder = self.world.folder();
                fs::rename(folder.join("draft"), folder.join(name)).unwrap();
            }
        }
    }

    fn edit(&mut self) {
        let set = self.chance(SETS);
        *self.revisions.get_mut(&set).unwrap() += 1;
        self.declare(set);
    }

    /// The whole root is taken away and put back.
    fn swap(&self) {
        let folder = self.world.folder();
        fs::rename(folder.join("manifests"), folder.join("aside")).unwrap();
        fs::rename(folder.join("aside"), folder.join("manifests")).unwrap();
    }

    /// Fails the next two calls, once the CDN has recovered from the last two:
    /// without end, waits would grow as they should, and little would happen.
    fn trouble(&mut self) {
        let accepted = self.world.accepted().len();
        if accepted == self.accepted_at_trouble {
            return;
        }
        self.accepted_at_trouble = accepted;
        let failure = match self.chance(5) {
            0 => Failure::Code(30_000),
            1 => Failure::Status {
                status: 503,
                retry_after: None,
            },
            2 => Failure::Status {
                status: 429,
                retry_after: Some("1".to_owned()),
            },
            3 => Failure::Status {
                status: 502,
                retry_after: None,
            },
            _ => {
                self.world.sandbox.set_faults(Faults::default());
                return;
            }
        };
        let rule = Rule {
            failure,
            times: Some(2),
            operation: None,
        };
        let latency_ms = self.chance(100);
        self.world.sandbox.set_faults(Faults {
            latency_ms,
            rules: vec![rule],
            ..Faults::default()
        });
    }

    fn missing(&self) -> BTreeSet<String> {
        let accepted: BTreeSet<String> = self.world.accepted().into_iter().flatten().collect();
        let wanted = (0..SETS).flat_map(|set| self.urls(set));
        wanted.filter(|url| !accepted.contains(url)).collect()
    }

    fn start(&self) -> Keeper {
        Keeper::start(
            &self.world,
            &["--bootstrap", "invalidate", "--scan-interval", "2s"],
        )
    }

    /// Does one thing after the other until `end`; kills only where it may.
    fn go_on(&mut self, keeper: &mut Keeper, end: Instant, may_kill: bool) -> [u64; 4] {
        let mut deeds = [0; 4];
        while Instant::now() < end {
            let deed = match self.chance(20) {
                0..12 => 0,
                12..14 => 1,
                14..18 => 2,
                _ if may_kill => 3,
                _ => 0,
            };
            match deed {
                0 => self.edit(),
                1 => self.swap(),
                2 => self.trouble(),
                _ => {
                    keeper.child.kill().unwrap();
                    keeper.child.wait().unwrap();
                    *keeper = self.start();
                }
            }
            deeds[deed] += 1;
            let pause = PAUSES[self.chance(3) as usize];
            std::thread::park_timeout(pause);
        }
        deeds
    }
}

/// Memory in KiB, and open descriptors.
fn weight(keeper: &Keeper) -> (u64, usize) {
    let process = format!("/proc/{}", keeper.child.id());
    let status = fs::read_to_string(format!("{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.unwrap().split_whitespace().nth(1).unwrap();
    let descriptors = fs::read_dir(format!("{process}/fd")).unwrap().count();
    (kib.parse().unwrap(), descriptors)
}

fn from_environment(name: &str, otherwise: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.map_or(otherwise, |value| value.parse().unwrap())
}

#[test]
fn whatever_happens_all_that_is_declared_is_accepted_and_nothing_grows() {
    let seconds = from_environment("FRESHEN_SOAK_SECONDS", 120);
    let seed = from_environment("FRESHEN_SOAK_SEED", 20_261_125);
    let mut soak = Soak::new(seed);
    let mut keeper = soak.start();
    let half = Duration::from_secs(seconds / 2);

    let stormy = soak.go_on(&mut keeper, Instant::now() + half, true);
    keeper.wait_until("a pass", |keeper| keeper.passes() > 0);
    let before = weight(&keeper);
    let calmer = soak.go_on(&mut keeper, Instant::now() + half, false);
    let after = weight(&keeper);

    soak.world.sandbox.set_faults(Faults::default());
    keeper.wait_until("everything accepted", |_| soak.missing().is_empty());
    let sent = soak.world.accepted().len();
    let passes = keeper.passes();
    for set in 0..SETS {
        let text = format!("# untouched\n{}", soak.manifest(set));
        soak.world.write(&format!("manifests/set{set}.yaml"), &text);
    }
    keeper.wait_until("another pass", |keeper| keeper.passes() > passes);
    assert_eq!(soak.world.accepted().len(), sent, "nothing had changed");

    say(&format!(
        "soak: {seconds} s from seed {seed}; edits, swaps, faults, kills {stormy:?} then {calmer:?}; \
         {sent} batches accepted; KiB and descriptors {before:?} then {after:?}"
    ));
    assert!(
        after.0 <= before.0 + MAX_GROWTH_KIB,
        "memory grew from {before:?} to {after:?}"
    );
    assert!(
        after.1 <= before.1 + 8,
        "descriptors: {before:?}, {after:?}"
    );
}
