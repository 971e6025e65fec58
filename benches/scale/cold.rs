//! A plan without a state: everything is read, expanded and hashed.

use std::process::Command;

use freshen::reconcile::planning::BOOTSTRAP_LIMIT;

use crate::child;
use crate::corpus::Corpus;
use crate::line::{Limit, Line, Unit};
use crate::process::{Taken, best};
use crate::sizes::{ENTRIES, Sizes};

/// How a plan ends where nothing is recorded: much waits for an approval.
pub(crate) fn code(urls: usize) -> i32 {
    if urls as u64 > BOOTSTRAP_LIMIT { 3 } else { 0 }
}

const LOOP: &str = "a bare loop";

/// `<= 40 bytes a URL + 64 MiB`.
pub(crate) fn allowed_mib(urls: usize) -> f64 {
    (urls * 40) as f64 / f64::from(1 << 20) + 64.0
}

/// One set, its ids in one file.
pub(crate) fn large(sizes: &Sizes) -> anyhow::Result<Vec<Line>> {
    let urls = sizes.ids * ENTRIES;
    let (freshen, floor) = beside_loop(sizes.runs, urls, &Corpus::large(sizes.ids)?)?;
    Ok(lines(
        &format!("cold plan, {urls} URLs"),
        urls,
        freshen,
        floor,
    ))
}

/// Many sets, a file of ids each.
pub(crate) fn sets(sizes: &Sizes) -> anyhow::Result<Vec<Line>> {
    let (sets, ids) = sizes.sets;
    let each = ids * ENTRIES;
    let corpus = Corpus::sets(sizes.sets)?;
    let (freshen, floor) = beside_loop(sizes.runs, sets * each, &corpus)?;
    let what = format!("cold plan, {sets} sets of {each} URLs");
    Ok(lines(&what, sets * each, freshen, floor))
}

/// Manifests of ten URLs.
pub(crate) fn small(sizes: &Sizes) -> anyhow::Result<Vec<Line>> {
    let corpus = Corpus::small(sizes.small)?;
    let code = code(sizes.small * 10);
    let taken = best(sizes.runs, &mut corpus.freshen(&["plan"]), code)?;
    let floor = best(sizes.runs, &mut sha256sum(&corpus, &["yaml"])?, 0)?;
    let what = format!("cold plan, {} manifests of 10 URLs", sizes.small);
    let line = Line::new(what, Unit::Milliseconds, taken.ms).beside("sha256sum", floor.ms);
    Ok(vec![line.peak(taken.peak_mib)])
}

/// All assets in a manifest: what reading it takes, without expanding it.
pub(crate) fn inline(sizes: &Sizes) -> anyhow::Result<Vec<Line>> {
    let corpus = Corpus::inline(sizes.inline)?;
    let folder = corpus.path("manifests").display().to_string();
    let taken = best(sizes.runs, &mut child::command("declare", &[folder])?, 0)?;
    let floor = best(sizes.runs, &mut sha256sum(&corpus, &["yaml"])?, 0)?;
    let what = format!("{} inline assets, parsed", sizes.inline);
    let line = Line::new(what, Unit::Milliseconds, taken.ms)
        .beside("sha256sum", floor.ms)
        .limited(Limit::AtMost(1_500.0));
    Ok(vec![line.peak(taken.peak_mib)])
}

/// Freshen's plan of so many URLs, and the loop over the same ids.
pub(crate) fn beside_loop(
    runs: usize,
    urls: usize,
    corpus: &Corpus,
) -> anyhow::Result<(Taken, Taken)> {
    let freshen = best(runs, &mut corpus.freshen(&["plan"]), code(urls))?;
    let files = corpus.files("txt")?.into_iter();
    let files: Vec<String> = files
        .map(|file| corpus.path(&file).display().to_string())
        .collect();
    let floor = best(runs, &mut child::command("loop", &files)?, 0)?;
    Ok((freshen, floor))
}

/// `sha256sum` of all files with these extensions.
pub(crate) fn sha256sum(corpus: &Corpus, extensions: &[&str]) -> anyhow::Result<Command> {
    let mut command = corpus.command("sha256sum", &[]);
    for extension in extensions {
        command.args(corpus.files(extension)?);
    }
    Ok(command)
}

fn lines(what: &str, urls: usize, freshen: Taken, floor: Taken) -> Vec<Line> {
    let time = Line::new(what, Unit::Milliseconds, freshen.ms)
        .beside(LOOP, floor.ms)
        .limited(Limit::Times(1.5))
        .peak(freshen.peak_mib);
    let memory = Line::new(format!("{what}, peak memory"), Unit::Mib, freshen.peak_mib)
        .beside(LOOP, floor.peak_mib)
        .limited(Limit::AtMost(allowed_mib(urls)));
    vec![time, memory]
}
