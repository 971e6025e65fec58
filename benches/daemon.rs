//! The daemon's latency and its idle weight: `cargo bench --bench daemon`.
//!
//! With 1,000 manifests, 500 times: one manifest is replaced, and the time
//! until the CDN sees the first byte of the call is taken, less the settle
//! time. Then the daemon is left alone for a minute, and its memory and its
//! share of a core are read from the kernel.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a program that prints what it measured, and ends where it cannot"
)]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use freshen::sandbox::{Options, Sandbox};

const MANIFESTS: usize = 1_000;
const SAMPLES: usize = 500;
const SETTLE: Duration = Duration::from_millis(250);
const IDLE: Duration = Duration::from_mins(1);

/// The kernel counts a core's time in these.
const TICKS_A_SECOND: f64 = 100.0;

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(Options::default()).unwrap();
    fs::create_dir(folder.path().join("manifests")).unwrap();
    write(folder.path(), "cdn", &cdn(&sandbox));
    for n in 0..MANIFESTS {
        write(folder.path(), &format!("set{n}"), &set(n, 0));
    }
    let mut daemon = start(folder.path());
    // The first call looks the company up, and is no sample.
    change(folder.path(), &sandbox, 0, 1);
    let mut late_ms: Vec<f64> = (0..SAMPLES)
        .map(|n| change(folder.path(), &sandbox, n % MANIFESTS, n + 2))
        .collect();
    late_ms.sort_by(f64::total_cmp);
    let at = |percent: usize| late_ms[(SAMPLES - 1) * percent / 100];
    println!(
        "manifest changed -> first byte at the CDN, {MANIFESTS} manifests, {SAMPLES} samples: \
         settle + {:.1} ms p50, {:.1} ms p95, {:.1} ms p99, {:.1} ms at most",
        at(50),
        at(95),
        at(99),
        at(100)
    );
    let before = core_seconds(&daemon);
    std::thread::sleep(IDLE);
    let used = core_seconds(&daemon) - before;
    println!(
        "idle, {MANIFESTS} manifests: {:.1} MB resident, {:.3} % of a core over {} s",
        resident_mb(&daemon),
        100.0 * used / IDLE.as_secs_f64(),
        IDLE.as_secs()
    );
    daemon.kill().unwrap();
    daemon.wait().unwrap();
}

fn cdn(sandbox: &Sandbox) -> String {
    format!(
        "apiVersion: freshen/v1\nkind: Cdn\nmetadata: {{ name: dm }}\nspec:\n  dynamicMedia:\n    \
         endpoint: '{}'\n    company: AcmeCorp\n    publishServers: ['https://s7d1.scene7.com']\n    \
         credentials: {{ user: {{ env: IPS_USER }}, password: {{ env: IPS_PASSWORD }} }}\n  \
         rateLimit: {{ requests: 100000/1s, urls: 100000000/1s }}\n",
        sandbox.endpoint()
    )
}

fn set(n: usize, revision: usize) -> String {
    format!(
        "apiVersion: freshen/v1\nkind: AssetSet\nmetadata: {{ name: set{n} }}\nspec:\n  \
         revision: '{revision}'\n  assets: [asset{n}]\n"
    )
}

fn write(folder: &Path, name: &str, text: &str) {
    let draft = folder.join("draft");
    fs::write(&draft, text).unwrap();
    fs::rename(draft, folder.join(format!("manifests/{name}.yaml"))).unwrap();
}

fn start(folder: &Path) -> Child {
    let options = Options::default();
    let daemon = Command::new(env!("CARGO_BIN_EXE_freshen"))
        .args(["run", "--listen", "127.0.0.1:0", "--bootstrap", "adopt"])
        .current_dir(folder)
        .env("IPS_USER", options.user)
        .env("IPS_PASSWORD", options.password)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while !folder.join("freshen.db").exists() || start.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(50));
    }
    daemon
}

/// Replaces a manifest; milliseconds beyond the settle time until the CDN has a call.
fn change(folder: &Path, sandbox: &Sandbox, n: usize, revision: usize) -> f64 {
    let calls = || {
        let calls = sandbox.calls();
        calls.iter().filter(|call| !call.urls.is_empty()).count()
    };
    let before = calls();
    write(folder, &format!("set{n}"), &set(n, revision));
    let changed = Instant::now();
    while calls() == before {
        assert!(changed.elapsed() < Duration::from_secs(30), "no call came");
        std::thread::sleep(Duration::from_micros(500));
    }
    (changed.elapsed().as_secs_f64() - SETTLE.as_secs_f64()) * 1000.0
}

fn resident_mb(daemon: &Child) -> f64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.id())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib / 1024.0
}

/// What the kernel has counted of the daemon's work.
fn core_seconds(daemon: &Child) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", daemon.id())).unwrap();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    let ticks: f64 = [11, 12]
        .iter()
        .map(|at| fields[*at].parse::<f64>().unwrap())
        .sum();
    ticks / TICKS_A_SECOND
}
