//! Batches sent and journalled, beside a client that only sends.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tokio::task::JoinSet;

use freshen::submit::transport::choose_cryptography;

use crate::child;
use crate::corpus::Corpus;
use crate::endpoint::Endpoint;
use crate::line::{Limit, Line, Unit};
use crate::machine::write_back;
use crate::process::{self, Taken, told_ms};
use crate::sizes::{ENTRIES, Sizes};

/// Items of a batch, as IPS has it.
const BATCH: usize = 1_000;

/// What an endpoint far away takes to answer.
pub(crate) const LATENCY: Duration = Duration::from_millis(20);

/// At least 80 % of the floor's throughput.
const TIMES: Limit = Limit::Times(1.25);

/// With the latency of the table, and with none.
pub(crate) fn lines(sizes: &Sizes) -> anyhow::Result<Vec<Line>> {
    let submission = Submission::new(sizes.sent_ids)?;
    let urls = submission.urls;
    let mut lines = Vec::new();
    for latency in [LATENCY, Duration::ZERO] {
        let sent = submission.send(latency, 16, sizes.runs)?;
        let ms = latency.as_millis();
        let line = |what: &str, figure| {
            let what = format!("{urls} URLs sent, {ms} ms, 16 at once, {what}");
            Line::new(what, Unit::Milliseconds, figure).beside("a bare client", sent.floor_ms)
        };
        // The client finds its bodies ready, so what is compared with it begins
        // with the first call; what planning takes, other rows tell.
        let calls = line("from the first call to the last", sent.calls_ms);
        let limited = latency == LATENCY;
        lines.push(if limited { calls.limited(TIMES) } else { calls });
        lines.push(line("the whole reconcile", sent.freshen.ms).peak(sent.freshen.peak_mib));
    }
    Ok(lines)
}

/// A set that is sent again and again, and the bodies that this takes.
pub(crate) struct Submission {
    corpus: Corpus,
    /// In all bodies.
    pub(crate) urls: usize,
}

/// What sending once takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    /// The whole process, from reading manifests to the recorded result.
    pub(crate) freshen: Taken,
    /// From its first call to the last answer.
    calls_ms: f64,
    /// The same bodies, posted and forgotten.
    pub(crate) floor_ms: f64,
}

impl Submission {
    /// Sends everything once, to keep the bodies.
    pub(crate) fn new(ids: usize) -> anyhow::Result<Self> {
        let corpus = Corpus::large(ids)?;
        let bodies = corpus.path("bodies");
        fs::create_dir(&bodies)?;
        let urls = ids * ENTRIES;
        let submission = Self { corpus, urls };
        let endpoint = Endpoint::start(Duration::ZERO, Some(bodies))?;
        submission.reconcile(&endpoint, 1)?;
        write_back();
        Ok(submission)
    }

    /// Sends everything, with so many calls at once; the best of several runs.
    pub(crate) fn send(
        &self,
        latency: Duration,
        concurrency: usize,
        runs: usize,
    ) -> anyhow::Result<Sent> {
        let endpoint = Endpoint::start(latency, None)?;
        let runs_of_freshen = (0..runs)
            .map(|_| self.reconcile(&endpoint, concurrency))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let calls_ms = least(runs_of_freshen.iter().map(|(_, calls_ms)| *calls_ms));
        let wholes = runs_of_freshen.into_iter().map(|(whole, _)| whole);
        let freshen = wholes.min_by(|a, b| a.ms.total_cmp(&b.ms));
        let freshen = freshen.context("nothing was sent")?;
        let arguments = [
            self.corpus.path("bodies").display().to_string(),
            endpoint.url.clone(),
            concurrency.to_string(),
        ];
        let posted = (0..runs).map(|_| told_ms(&mut child::command("post", &arguments)?));
        let posted = posted.collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Sent {
            freshen,
            calls_ms,
            floor_ms: least(posted.into_iter()),
        })
    }

    /// What a reconcile without a past takes, and how much of it are its calls.
    fn reconcile(&self, endpoint: &Endpoint, concurrency: usize) -> anyhow::Result<(Taken, f64)> {
        self.corpus.forget()?;
        self.corpus.point_at(&endpoint.url, concurrency)?;
        // Those of a client that was measured before.
        _ = endpoint.calls.try_iter().count();
        let command = ["reconcile", "--bootstrap", "invalidate"];
        let taken = process::run(&mut self.corpus.freshen(&command), 0)?;
        let calls: Vec<_> = endpoint.calls.try_iter().collect();
        ensure!(
            calls.len() == self.urls.div_ceil(BATCH),
            "{} calls",
            calls.len()
        );
        let first = calls.iter().map(|call| call.arrived).min();
        let last = calls.iter().map(|call| call.answered).max();
        let (first, last) = first.zip(last).context("no call came")?;
        Ok((taken, last.duration_since(first).as_secs_f64() * 1000.0))
    }
}

fn least(figures: impl Iterator<Item = f64>) -> f64 {
    figures.fold(f64::INFINITY, f64::min)
}

/// Posts every body in `folder` to `url`, with so many calls at once and the
/// HTTP client that freshen has; milliseconds from the first to the last.
pub(crate) fn post(folder: &str, url: &str, concurrency: usize) -> anyhow::Result<f64> {
    let files = fs::read_dir(folder)?;
    let bodies = files.map(|file| fs::read(file?.path()));
    let bodies = bodies.collect::<Result<Vec<_>, _>>()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    choose_cryptography();
    let client = reqwest::Client::builder().no_proxy().build()?;
    let start = Instant::now();
    runtime.block_on(async {
        let bodies = Arc::new(Mutex::new(bodies));
        let mut posters = JoinSet::new();
        for _ in 0..concurrency {
            posters.spawn(post_all(
                client.clone(),
                url.to_owned(),
                Arc::clone(&bodies),
            ));
        }
        while let Some(poster) = posters.join_next().await {
            poster??;
        }
        anyhow::Ok(())
    })?;
    Ok(start.elapsed().as_secs_f64() * 1000.0)
}

async fn post_all(
    client: reqwest::Client,
    url: String,
    bodies: Arc<Mutex<Vec<Vec<u8>>>>,
) -> anyhow::Result<()> {
    let next = || bodies.lock().expect("nobody panics while holding it").pop();
    while let Some(body) = next() {
        let request = client.post(&url).header("Content-Type", "text/xml");
        let response = request.body(body).send().await?.error_for_status()?;
        response.bytes().await?;
    }
    Ok(())
}
