//! The daemon: how soon a change is at the CDN, and what it weighs at rest.

use std::fs;
use std::io::Write as _;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use crate::corpus::{Corpus, head};
use crate::endpoint::Endpoint;
use crate::line::{Limit, Line, Unit};
use crate::machine::{field, write_back};
use crate::sizes::Sizes;

/// How long files have to be at rest.
const SETTLE: Duration = Duration::from_millis(250);

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_mins(1);

/// The kernel counts a core's time in these.
const TICKS_A_SECOND: f64 = 100.0;

pub(crate) fn lines(sizes: &Sizes) -> anyhow::Result<Vec<Line>> {
    let endpoint = Endpoint::start(Duration::ZERO, None)?;
    let corpus = Corpus::new(&endpoint.url, 1)?;
    for n in 0..sizes.watched {
        replace(&corpus, n, 0)?;
    }
    write_back();
    let daemon = Daemon::start(&corpus)?;
    let disk = fs::File::create(corpus.path("disk"))?;
    let changes = (0..sizes.changes).map(|n| {
        replace(&corpus, n % sizes.watched, n + 1)?;
        let changed = Instant::now();
        let durable_ms = write_durably(&disk)?;
        Ok((late_ms(&endpoint, changed)?, durable_ms))
    });
    let changes = changes.collect::<anyhow::Result<Vec<(f64, f64)>>>()?;
    let (mut late_ms, mut durable_ms): (Vec<f64>, Vec<f64>) = changes.into_iter().unzip();
    late_ms.sort_by(f64::total_cmp);
    durable_ms.sort_by(f64::total_cmp);
    let at = |sorted: &[f64], percent: usize| sorted[(sizes.changes - 1) * percent / 100];
    let late = |percent: usize| {
        let what = format!(
            "a changed manifest of {} -> the CDN, beyond the settle time, p{percent} of {}",
            sizes.watched, sizes.changes
        );
        Line::new(what, Unit::Milliseconds, at(&late_ms, percent))
    };
    let durable = |percent: usize| {
        let what = format!(
            "a page made durable on the same disk meanwhile, p{percent} of {}",
            sizes.changes
        );
        Line::new(what, Unit::Milliseconds, at(&durable_ms, percent))
    };
    let before = daemon.core_seconds()?;
    std::thread::sleep(sizes.idle);
    let used = daemon.core_seconds()? - before;
    let idle = |what: &str, unit, figure| {
        let what = format!("idle daemon, {} manifests, {what}", sizes.watched);
        Line::new(what, unit, figure)
    };
    let share = 100.0 * used / sizes.idle.as_secs_f64();
    Ok(vec![
        late(50),
        late(95).limited(Limit::AtMost(20.0)),
        late(99).limited(Limit::AtMost(50.0)),
        durable(50),
        durable(99),
        idle("memory", Unit::Megabytes, daemon.resident_mb()?).limited(Limit::AtMost(25.0)),
        idle("a core's time", Unit::Percent, share).limited(Limit::AtMost(0.2)),
    ])
}

/// Writes the manifest of a set, at once.
fn replace(corpus: &Corpus, n: usize, revision: usize) -> anyhow::Result<()> {
    let head = head("AssetSet", &format!("set{n}"));
    let text = format!("{head}  revision: '{revision}'\n  assets: [asset{n}]\n");
    corpus.write("draft", &text)?;
    let manifest = corpus.path(&format!("manifests/set{n}.yaml"));
    Ok(fs::rename(corpus.path("draft"), manifest)?)
}

/// Milliseconds until the disk has one more page of the state's size: no change is
/// sent before the disk has that.
fn write_durably(mut disk: &fs::File) -> anyhow::Result<f64> {
    let start = Instant::now();
    disk.write_all(&[0; 8192])?;
    disk.sync_all()?;
    Ok(start.elapsed().as_secs_f64() * 1000.0)
}

/// Milliseconds beyond the settle time until the CDN has a call.
fn late_ms(endpoint: &Endpoint, changed: Instant) -> anyhow::Result<f64> {
    let call = endpoint.calls.recv_timeout(PATIENCE);
    let call = call.context("no call came")?;
    let took = call.arrived.duration_since(changed);
    Ok((took.as_secs_f64() - SETTLE.as_secs_f64()) * 1000.0)
}

/// `freshen run`, until it is dropped.
struct Daemon(Child);

impl Daemon {
    /// Starts it, with everything there is taken as told, and waits until it
    /// has read that.
    fn start(corpus: &Corpus) -> anyhow::Result<Self> {
        let log = corpus.path("log");
        let child = corpus
            .freshen(&["run", "--listen", "127.0.0.1:0", "--bootstrap", "adopt"])
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log)?)
            .spawn()?;
        let daemon = Self(child);
        let start = Instant::now();
        while !fs::read_to_string(&log)?.contains("ready") {
            ensure!(start.elapsed() < PATIENCE, "the daemon is not ready");
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(daemon)
    }

    fn resident_mb(&self) -> anyhow::Result<f64> {
        let resident = field(&format!("/proc/{}/status", self.0.id()), "VmRSS");
        let resident = resident.context("the kernel tells no VmRSS")?;
        let kib: f64 = resident.trim_end_matches(" kB").parse()?;
        Ok(kib * 1024.0 / 1e6)
    }

    /// What the kernel has counted of its work.
    fn core_seconds(&self) -> anyhow::Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        // After the name, which may hold anything: utime and stime, proc(5).
        let (_, fields) = stat.rsplit_once(')').context("the kernel tells no name")?;
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks = ticks.map(str::parse::<f64>).sum::<Result<f64, _>>()?;
        Ok(ticks / TICKS_A_SECOND)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // One that has ended already needs neither.
        _ = self.0.kill();
        _ = self.0.wait();
    }
}
