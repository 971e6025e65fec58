//! Time and peak memory of a cold `plan` beside the least that any program
//! could do: `cargo bench --bench scale`.
//!
//! Each row runs in a process of its own, so that peaks are not mixed up.

#![expect(
    clippy::disallowed_methods,
    reason = "a bench starts processes and reads the clock"
)]
#![expect(clippy::print_stdout, reason = "the table is what this program is for")]

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use freshen::declare::{Options, declare};
use freshen::load;
use freshen::reconcile::planning::{self, BootstrapChoice};

const ENTRIES: usize = 10;
const RUNS: usize = 3;
const SERVER: &str = "https://media.acme.com";

fn main() {
    if let (Ok(who), Ok(ids)) = (env::var("SCALE_ROW"), env::var("SCALE_IDS")) {
        row(&who, ids.parse().expect("set by the parent"));
        return;
    }
    println!("| URLs | what | seconds | peak MiB | bytes a URL | ratio |");
    println!("|---|---|---|---|---|---|");
    for ids in [100_000, 1_000_000] {
        let bare = best_of_runs("bare", ids);
        let ours = best_of_runs("freshen", ids);
        print_row("bare two-core loop", ids, &bare, &bare);
        print_row("freshen plan, cold", ids, &ours, &bare);
    }
}

/// What one process measured.
struct Row {
    seconds: f64,
    peak_kib: f64,
}

fn print_row(what: &str, ids: usize, row: &Row, bare: &Row) {
    let urls = ids * ENTRIES;
    println!(
        "| {urls} | {what} | {:.3} | {:.0} | {:.1} | {:.2} |",
        row.seconds,
        row.peak_kib / 1024.0,
        row.peak_kib * 1024.0 / urls as f64,
        row.seconds / bare.seconds,
    );
}

fn best_of_runs(who: &str, ids: usize) -> Row {
    let program = env::current_exe().expect("this program has a path");
    (0..RUNS)
        .map(|_| {
            let output = Command::new(&program)
                .env("SCALE_ROW", who)
                .env("SCALE_IDS", ids.to_string())
                .output()
                .expect("this program starts");
            let text = String::from_utf8(output.stdout).expect("it prints two numbers");
            let mut numbers = text
                .split_whitespace()
                .map(|number| number.parse::<f64>().expect("it prints two numbers"));
            Row {
                seconds: numbers.next().expect("seconds come first"),
                peak_kib: numbers.next().expect("then the peak"),
            }
        })
        .min_by(|a, b| a.seconds.total_cmp(&b.seconds))
        .expect("there is at least one run")
}

fn row(who: &str, ids: usize) {
    let file = generated(ids);
    let took = match who {
        "bare" => bare(&file),
        _ => freshen(&file),
    };
    println!("{} {}", took.as_secs_f64(), peak_kib());
}

/// A file of ids as catalogues have them.
fn generated(ids: usize) -> String {
    let mut file = String::new();
    for id in 0..ids {
        writeln!(file, "SKU-{:08}_{:04x}_hero", id, id * 31 % 65_536).expect("memory takes it");
    }
    file
}

fn entries() -> Vec<String> {
    (0..ENTRIES)
        .map(|entry| format!("?$preset-{entry}$&wid=830&hei=458"))
        .collect()
}

/// Expands, hashes, sorts and dedups, and judges nothing.
fn bare(file: &str) -> Duration {
    let suffixes = entries();
    let start = Instant::now();
    let ids: Vec<&str> = file.lines().collect();
    let mut keys: Vec<u128> = ids
        .par_chunks(1024)
        .flat_map_iter(|ids| {
            let mut url = String::new();
            let mut keys = Vec::with_capacity(ids.len() * ENTRIES);
            for id in ids {
                for suffix in &suffixes {
                    url.clear();
                    url.push_str(SERVER);
                    url.push_str("/is/image/AcmeCorp/");
                    url.push_str(id);
                    url.push_str(suffix);
                    let hash = Sha256::digest(url.as_bytes());
                    let (key, _) = hash.split_first_chunk().expect("a hash has 32 bytes");
                    keys.push(u128::from_be_bytes(*key));
                }
            }
            keys
        })
        .collect();
    keys.par_sort_unstable();
    keys.dedup();
    black_box(&keys);
    start.elapsed()
}

/// All of `freshen plan` but its output: reads, declares, expands, compares.
fn freshen(file: &str) -> Duration {
    let folder = env::temp_dir().join(format!("freshen-scale-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("the folder can be made");
    fs::write(folder.join("skus.txt"), file).expect("the ids can be written");
    fs::write(folder.join("all.yaml"), manifests()).expect("the manifests can be written");
    let options = Options {
        manifests: vec![folder.clone()],
        max_expansion: 20_000_000,
        known: std::sync::Arc::default(),
    };
    let choices = planning::Options {
        bootstrap: Some(BootstrapChoice::Invalidate),
        ..planning::Options::default()
    };
    let start = Instant::now();
    let declared = load::scan(&options.manifests, |tree| declare(tree, &options));
    let declared = declared.expect("nobody else writes there");
    let planned = planning::plan(&declared, None, &choices).expect("there is no state to fail");
    let took = start.elapsed();
    assert_eq!(
        planned.plan.items(),
        (file.lines().count() * ENTRIES) as u64
    );
    fs::remove_dir_all(&folder).expect("the folder can be removed");
    took
}

fn manifests() -> String {
    let mut text = format!(
        r#"
apiVersion: freshen/v1
kind: Cdn
metadata: {{ name: dynamic-media }}
spec:
  dynamicMedia:
    region: northAmerica
    company: AcmeCorp
    publishServers: ["{SERVER}"]
    credentials: {{ user: {{ env: IPS_USER }}, password: {{ env: IPS_PASSWORD }} }}
---
apiVersion: freshen/v1
kind: AssetSet
metadata: {{ name: all }}
spec:
  templates: [sizes]
  limits: {{ maxUrls: 100000000 }}
  assetsFrom: [{{ file: skus.txt, type: Image }}]
---
apiVersion: freshen/v1
kind: Template
metadata: {{ name: sizes }}
spec:
  revision: "1"
  urls: |
"#
    );
    for suffix in entries() {
        writeln!(text, "    <ID>{suffix}").expect("memory takes it");
    }
    text
}

/// The peak of this process so far, `VmHWM`.
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .filter_map(|line| line.split_once(':'))
        .collect::<BTreeMap<_, _>>()
        .get("VmHWM")
        .and_then(|value| value.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0)
}
