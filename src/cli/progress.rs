//! How far a reconcile is: a bar on a terminal, else a line now and then.

use std::io::{IsTerminal as _, stderr};

use indicatif::{ProgressBar, ProgressStyle};

use super::output;
use super::workspace::now_ms;
use crate::metrics::Metrics;
use crate::reconcile::Events;
use crate::report::number::{counted, duration, grouped};
use crate::state::Store;
use crate::submit::observer::{CallEnd, Progress};
use crate::submit::stop::Stop;

/// Work that is over sooner needs no word.
const QUIET_MS: i64 = 1_000;

/// Between two lines where there is no terminal.
const HEARTBEAT_MS: i64 = 10_000;

/// Shows progress on standard error, and counts calls.
pub(super) struct Meter {
    pub(super) metrics: Metrics,
    /// Asked to stop once the first batch has been answered.
    only_one: Option<Stop>,
    bar: Option<ProgressBar>,
    started_ms: i64,
    told_ms: i64,
}

impl Meter {
    /// A meter that starts now.
    pub(super) fn new() -> Self {
        let now_ms = now_ms();
        let bar = stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:30} {human_pos}/{human_len} {msg}")
                .expect("the template is well formed");
            ProgressBar::hidden().with_style(style)
        });
        Self {
            metrics: Metrics::default(),
            only_one: None,
            bar,
            started_ms: now_ms,
            told_ms: now_ms,
        }
    }

    /// A meter that stops the run with its first batch.
    pub(super) fn for_one_batch(stop: Stop) -> Self {
        let mut meter = Self::new();
        meter.only_one = Some(stop);
        meter
    }

    /// Takes the bar away.
    pub(super) fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Events for Meter {
    fn ended(&mut self, call: &CallEnd<'_>) {
        self.metrics.call(call);
        if let Some(stop) = self.only_one.as_ref().filter(|_| call.items > 0) {
            stop.ask();
        }
    }

    /// Shows it, if it is time to.
    fn progress(&mut self, progress: Progress, _: &Store) {
        let now_ms = now_ms();
        if now_ms - self.started_ms < QUIET_MS {
            return;
        }
        let waits = progress.waits_until_ms.map(|until_ms| until_ms - now_ms);
        let waits = waits.and_then(|wait_ms| u64::try_from(wait_ms / 1000).ok());
        let waits = waits.filter(|seconds| *seconds > 0);
        let waits = waits.map(|seconds| format!("waiting {}", duration(seconds)));
        if let Some(bar) = &self.bar {
            if bar.is_hidden() {
                bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
            }
            bar.set_length(progress.done + progress.left);
            bar.set_position(progress.done);
            bar.set_message(waits.unwrap_or_default());
        } else if now_ms - self.told_ms >= HEARTBEAT_MS {
            self.told_ms = now_ms;
            let waits = waits.map_or(String::new(), |waits| format!(", {waits}"));
            let done = grouped(progress.done);
            let all = counted(progress.done + progress.left, "URL");
            output::note(&format!("still sending: {done} of {all}{waits}"));
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.clear();
    }
}
