//! The plots: how time, memory and throughput grow.

use crate::cold::{allowed_mib, beside_loop, sha256sum};
use crate::corpus::Corpus;
use crate::process::best;
use crate::sizes::{ENTRIES, Sizes};
use crate::submit::{LATENCY, Submission};
use crate::svg::{Colour, Plot, Scale, Series};
use crate::unchanged::{PLAN, record};

/// What is plotted, by the name of its file.
pub(crate) fn measure(sizes: &Sizes) -> anyhow::Result<Vec<(&'static str, Plot)>> {
    let [time, memory] = growth(sizes)?;
    let throughput = throughput(sizes)?;
    Ok(vec![
        ("time", time),
        ("memory", memory),
        ("throughput", throughput),
    ])
}

/// Time and peak memory of plans, by the number of URLs.
fn growth(sizes: &Sizes) -> anyhow::Result<[Plot; 2]> {
    let mut cold = Series::new("cold plan", Colour::Freshen);
    let mut bare = Series::new("a bare loop", Colour::Floor);
    let mut same = Series::new("nothing changed", Colour::Unchanged);
    let mut sums = Series::new("sha256sum", Colour::Other);
    let mut memory = Series::new("cold plan", Colour::Freshen);
    let mut bare_memory = Series::new("a bare loop", Colour::Floor);
    let mut allowed = Series::new("40 bytes a URL + 64 MiB", Colour::Other);
    for &ids in sizes.plotted_ids {
        let (urls, corpus) = (ids * ENTRIES, Corpus::large(ids)?);
        eprintln!("measuring: plots, {urls} URLs");
        let (freshen, floor) = beside_loop(sizes.runs, urls, &corpus)?;
        cold.push(urls, freshen.ms);
        bare.push(urls, floor.ms);
        memory.push(urls, freshen.peak_mib);
        bare_memory.push(urls, floor.peak_mib);
        allowed.push(urls, allowed_mib(urls));
        record(&corpus)?;
        let unchanged = best(sizes.runs, &mut corpus.freshen(&PLAN), 0)?;
        same.push(urls, unchanged.ms);
        let command = &mut sha256sum(&corpus, &["txt", "yaml"])?;
        sums.push(urls, best(sizes.runs, command, 0)?.ms);
    }
    let time = Plot {
        title: "Time of a plan",
        x: "URLs",
        y: ("milliseconds", Scale::Log),
        series: vec![cold, bare, same, sums],
    };
    let memory = Plot {
        title: "Peak memory of a plan",
        x: "URLs",
        y: ("MiB", Scale::Log),
        series: vec![memory, bare_memory, allowed],
    };
    Ok([time, memory])
}

/// URLs a second that are sent, by the number of calls at once.
fn throughput(sizes: &Sizes) -> anyhow::Result<Plot> {
    let submission = Submission::new(sizes.sent_ids)?;
    let mut freshen = Series::new("reconcile", Colour::Freshen);
    let mut bare = Series::new("a bare client", Colour::Floor);
    for &calls in sizes.plotted_calls {
        eprintln!("measuring: plots, {calls} calls at once");
        let sent = submission.send(LATENCY, calls, 1)?;
        let a_second = |ms: f64| submission.urls as f64 * 1000.0 / ms;
        freshen.push(calls, a_second(sent.freshen.ms));
        bare.push(calls, a_second(sent.floor_ms));
    }
    Ok(Plot {
        title: "URLs sent to an endpoint that answers after 20 ms",
        x: "calls at once",
        y: ("URLs a second", Scale::Linear),
        series: vec![freshen, bare],
    })
}
