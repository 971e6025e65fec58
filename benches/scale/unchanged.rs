//! A plan where everything was told before.

use std::process::Command;

use crate::cold::sha256sum;
use crate::corpus::Corpus;
use crate::line::{Limit, Line, Unit};
use crate::process::{best, run};
use crate::sizes::{ENTRIES, Sizes};

/// Ends with 2 where there is anything to send.
pub(crate) const PLAN: [&str; 2] = ["plan", "--detailed-exitcode"];

const TIMES: Limit = Limit::Times(3.0);

/// One set, its ids in one file.
pub(crate) fn large(sizes: &Sizes) -> anyhow::Result<Vec<Line>> {
    let corpus = Corpus::large(sizes.ids)?;
    record(&corpus)?;
    let floor = best(sizes.runs, &mut sha256sum(&corpus, &["txt", "yaml"])?, 0)?;
    let urls = sizes.ids * ENTRIES;
    let line = |what: &str, command: &mut Command| {
        let taken = best(sizes.runs, command, 0)?;
        let what = format!("nothing changed, {urls} URLs, {what}");
        let line = Line::new(what, Unit::Milliseconds, taken.ms).beside("sha256sum", floor.ms);
        anyhow::Ok(line.limited(TIMES).peak(taken.peak_mib))
    };
    let known = line("plan", &mut corpus.freshen(&PLAN))?;
    let reconciled = line("reconcile", &mut corpus.freshen(&["reconcile"]))?;
    rewrite(&corpus, "manifests/all.txt")?;
    // A plan notes nothing, so that the file stays one that it has not seen.
    let rewritten = line("plan of a new checkout", &mut corpus.freshen(&PLAN))?;
    Ok(vec![known, reconciled, rewritten])
}

/// Many small manifests, in a repository.
pub(crate) fn small(sizes: &Sizes) -> anyhow::Result<Vec<Line>> {
    let corpus = Corpus::small(sizes.small)?;
    commit(&corpus)?;
    record(&corpus)?;
    let mut status = git(&corpus, &["status", "--porcelain"]);
    run(&mut status, 0)?;
    let floor = best(sizes.runs, &mut status, 0)?;
    let line = |what: &str, arguments: &[&str]| {
        let taken = best(sizes.runs, &mut corpus.freshen(arguments), 0)?;
        let what = format!("nothing changed, {} manifests, {what}", sizes.small);
        let line = Line::new(what, Unit::Milliseconds, taken.ms).beside("git status", floor.ms);
        anyhow::Ok(line.limited(TIMES).peak(taken.peak_mib))
    };
    Ok(vec![
        line("plan", &PLAN)?,
        line("reconcile", &["reconcile"])?,
    ])
}

/// Takes everything down as told, and what the files are known by.
pub(crate) fn record(corpus: &Corpus) -> anyhow::Result<()> {
    Corpus::let_settle();
    let adopt = ["reconcile", "--bootstrap", "adopt"];
    run(&mut corpus.freshen(&adopt), 0)?;
    run(&mut corpus.freshen(&PLAN), 0)?;
    Ok(())
}

/// Puts another file of the same bytes in the place of one.
fn rewrite(corpus: &Corpus, name: &str) -> anyhow::Result<()> {
    std::fs::copy(corpus.path(name), corpus.path("draft"))?;
    std::fs::rename(corpus.path("draft"), corpus.path(name))?;
    Ok(())
}

fn commit(corpus: &Corpus) -> anyhow::Result<()> {
    run(&mut git(corpus, &["init", "--quiet"]), 0)?;
    corpus.write(".gitignore", "freshen.db*\n")?;
    run(&mut git(corpus, &["add", "--all"]), 0)?;
    run(&mut git(corpus, &["commit", "--quiet", "--message=all"]), 0)?;
    Ok(())
}

/// `git` as it is, whatever its user has made of it.
fn git(corpus: &Corpus, arguments: &[&str]) -> Command {
    let mut command = corpus.command("git", arguments);
    command
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .envs(["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"].map(|name| (name, "bench")))
        .envs(["GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"].map(|name| (name, "bench@localhost")));
    command
}
