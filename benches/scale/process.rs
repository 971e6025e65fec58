//! Processes, timed from their start to their end.

use std::io::{Read as _, Seek as _};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, ensure};
use wait4::Wait4 as _;

/// What a process took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Taken {
    /// From its start to its end.
    pub(crate) ms: f64,
    /// Never less than what this process had when it started that one.
    pub(crate) peak_mib: f64,
}

/// Runs a command that must end with `code`.
pub(crate) fn run(command: &mut Command, code: i32) -> anyhow::Result<Taken> {
    let mut errors = tempfile::tempfile()?;
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(errors.try_clone()?);
    let start = Instant::now();
    let child = command
        .spawn()
        .with_context(|| format!("{command:?} does not start"))?;
    let ended = child.wait4()?;
    let ms = start.elapsed().as_secs_f64() * 1000.0;
    if ended.status.code() != Some(code) {
        let mut said = String::new();
        errors.rewind()?;
        errors.read_to_string(&mut said)?;
        anyhow::bail!("{command:?}: {} instead of {code}: {said}", ended.status);
    }
    Ok(Taken {
        ms,
        peak_mib: ended.rusage.maxrss as f64 / f64::from(1 << 20),
    })
}

/// The fastest of several runs.
pub(crate) fn best(runs: usize, command: &mut Command, code: i32) -> anyhow::Result<Taken> {
    let taken = (0..runs).map(|_| run(command, code));
    let taken = taken.collect::<anyhow::Result<Vec<_>>>()?;
    let best = taken.into_iter().min_by(|a, b| a.ms.total_cmp(&b.ms));
    best.context("nothing was run")
}

/// The milliseconds of the middle one of several runs.
pub(crate) fn median_ms(runs: usize, command: &mut Command, code: i32) -> anyhow::Result<f64> {
    let taken = (0..runs).map(|_| Ok(run(command, code)?.ms));
    let mut taken = taken.collect::<anyhow::Result<Vec<_>>>()?;
    taken.sort_by(f64::total_cmp);
    taken.get(runs / 2).copied().context("nothing was run")
}

/// Runs a command that times itself and prints milliseconds.
pub(crate) fn told_ms(command: &mut Command) -> anyhow::Result<f64> {
    let output = command.stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "{command:?}: {}", output.status);
    let text = String::from_utf8(output.stdout)?;
    let ms = text.trim().parse();
    ms.with_context(|| format!("{command:?} prints {text:?}"))
}
