//! When to look at the manifests, and when what was read there has settled.
//!
//! Times are milliseconds of a clock that never jumps; nothing here reads one.

use crate::digest::Digest;

/// The part of `settle` after which a candidate is looked at again when more
/// hints come: what is written in several steps is mostly complete by then.
const GLANCE: u64 = 32;

/// How long to wait for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Two readings this far apart must agree, and no hint come in between.
    pub settle_ms: u64,
    /// Hints that never end put acting off for no longer than this, and scans
    /// that find nothing are at most this far apart.
    pub ceiling_ms: u64,
    /// Without any hint, a scan begins this long after the last one did.
    pub interval_ms: u64,
}

impl Timing {
    /// The daemon's timing, with a scan at least every `interval_ms`.
    pub fn every(interval_ms: u64) -> Self {
        Self {
            settle_ms: 250,
            ceiling_ms: 5_000,
            interval_ms,
        }
    }
}

/// What a scan came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All is as it was when it was last acted on.
    Unchanged,
    /// It differs, and has to be read once more before it is acted on.
    Candidate,
    /// It differs and has settled: it is now what was acted on.
    Settled,
    /// Nothing could be read; it is tried again.
    Failed,
}

/// Turns hints and readings into the times of scans, and into the decision
/// when a reading may be acted on. A hint says nothing but "look again".
#[derive(Clone, Debug)]
pub struct Schedule {
    timing: Timing,
    acted: Option<Digest>,
    candidate: Option<Candidate>,
    /// When the last scan began.
    began_ms: Option<u64>,
    /// Whether the scan under way may make its candidate settled.
    may_settle: bool,
    /// The hints before the last scan began that led to the present candidate.
    hints: Option<Span>,
    /// The hints since the last scan began.
    fresh: Option<Span>,
    last_hint_ms: Option<u64>,
    /// A scan is wanted whatever the pause.
    is_asked: bool,
    /// The last scan could not read.
    has_failed: bool,
    /// From one scan to the next, where hints or failures want one.
    pause_ms: u64,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    digest: Digest,
    /// When the scan began that read it first.
    began_ms: u64,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    first_ms: u64,
    last_ms: u64,
}

impl Schedule {
    /// Wants its first scan at once.
    pub fn new(timing: Timing) -> Self {
        Self {
            timing,
            acted: None,
            candidate: None,
            began_ms: None,
            may_settle: false,
            hints: None,
            fresh: None,
            last_hint_ms: None,
            is_asked: false,
            has_failed: false,
            pause_ms: 0,
        }
    }

    /// Something may have changed.
    pub fn hint(&mut self, now_ms: u64) {
        let last_ms = self.last_hint_ms.replace(now_ms);
        let is_quiet =
            last_ms.is_none_or(|last_ms| now_ms.saturating_sub(last_ms) >= self.pause_ms);
        if is_quiet && self.candidate.is_none() && !self.has_failed {
            self.pause_ms = 0;
        }
        let first_ms = self.fresh.map_or(now_ms, |span| span.first_ms);
        self.fresh = Some(Span {
            first_ms,
            last_ms: now_ms,
        });
    }

    /// Somebody waits for a scan that begins from now on.
    pub fn ask(&mut self) {
        self.is_asked = true;
    }

    /// When the next scan is to begin; in the past where it is late.
    pub fn due_ms(&self) -> u64 {
        let Some(began_ms) = self.began_ms.filter(|_| !self.is_asked) else {
            return 0;
        };
        let is_wanted = self.fresh.is_some() || self.has_failed;
        let wanted_ms = is_wanted.then(|| began_ms.saturating_add(self.pause_ms));
        let confirmed_ms = self.candidate.map(|it| self.settles_ms(it));
        let regular_ms = began_ms.saturating_add(self.timing.interval_ms);
        [wanted_ms, confirmed_ms, Some(regular_ms)]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(regular_ms)
    }

    /// A scan begins.
    pub fn begin(&mut self, now_ms: u64) {
        self.hints = join(self.hints, self.fresh.take());
        self.may_settle = self
            .candidate
            .is_some_and(|candidate| self.settles_ms(candidate) <= now_ms);
        self.began_ms = Some(now_ms);
        self.is_asked = false;
        self.has_failed = false;
    }

    /// The scan that began last has read this; or nothing.
    pub fn end(&mut self, read: Option<Digest>) -> Outcome {
        let outcome = self.judge(read);
        let Timing {
            settle_ms,
            ceiling_ms,
            ..
        } = self.timing;
        let glance_ms = (settle_ms / GLANCE).max(1);
        let doubled_ms = self.pause_ms.saturating_mul(2);
        match outcome {
            Outcome::Settled => self.pause_ms = 0,
            Outcome::Candidate => self.pause_ms = doubled_ms.max(glance_ms).min(settle_ms),
            Outcome::Unchanged if self.hints.is_none() => {}
            Outcome::Unchanged | Outcome::Failed => {
                self.pause_ms = doubled_ms.min(ceiling_ms).max(settle_ms);
            }
        }
        if matches!(outcome, Outcome::Settled | Outcome::Unchanged) {
            self.hints = None;
        }
        outcome
    }

    fn judge(&mut self, read: Option<Digest>) -> Outcome {
        let candidate = self.candidate.take();
        let Some(digest) = read else {
            self.has_failed = true;
            return Outcome::Failed;
        };
        if self.acted == Some(digest) {
            return Outcome::Unchanged;
        }
        match candidate.filter(|candidate| candidate.digest == digest) {
            Some(_) if self.may_settle => {
                self.acted = Some(digest);
                Outcome::Settled
            }
            Some(candidate) => {
                self.candidate = Some(candidate);
                Outcome::Candidate
            }
            None => {
                self.candidate = self.began_ms.map(|began_ms| Candidate { digest, began_ms });
                Outcome::Candidate
            }
        }
    }

    /// From when on a scan that reads the same makes `candidate` settled.
    fn settles_ms(&self, candidate: Candidate) -> u64 {
        let settle_ms = self.timing.settle_ms;
        let is_old_ms = candidate.began_ms.saturating_add(settle_ms);
        let Some(hints) = join(self.hints, self.fresh) else {
            return is_old_ms;
        };
        let is_quiet_ms = hints.last_ms.saturating_add(settle_ms);
        let is_enough_ms = hints.first_ms.saturating_add(self.timing.ceiling_ms);
        is_old_ms.max(is_quiet_ms.min(is_enough_ms))
    }
}

fn join(before: Option<Span>, after: Option<Span>) -> Option<Span> {
    match (before, after) {
        (Some(before), Some(after)) => Some(Span {
            first_ms: before.first_ms,
            last_ms: after.last_ms,
        }),
        (before, after) => before.or(after),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TIMING: Timing = Timing {
        settle_ms: 250,
        ceiling_ms: 5_000,
        interval_ms: 60_000,
    };

    /// How long each scan takes.
    const SCAN_MS: u64 = 5;

    /// What there is to read from some time on; `None` cannot be read.
    type Change = (u64, Option<&'static str>);

    #[derive(Debug, PartialEq)]
    struct Scanned {
        at_ms: u64,
        outcome: Outcome,
    }

    /// Runs a schedule until `until_ms` over a world of changes and hints,
    /// both in order of time.
    fn run(changes: &[Change], hints: &[u64], until_ms: u64) -> Vec<Scanned> {
        let mut schedule = Schedule::new(TIMING);
        let mut hints = hints.iter().copied().peekable();
        let mut scans: Vec<Scanned> = Vec::new();
        let mut now_ms = 0;
        loop {
            now_ms = now_ms.max(
                schedule
                    .due_ms()
                    .min(hints.peek().map_or(u64::MAX, |it| *it)),
            );
            if now_ms > until_ms {
                return scans;
            }
            let mut hint_until = |schedule: &mut Schedule, end_ms| {
                while let Some(at_ms) = hints.next_if(|at_ms| *at_ms <= end_ms) {
                    schedule.hint(at_ms);
                }
            };
            hint_until(&mut schedule, now_ms);
            if schedule.due_ms() <= now_ms {
                schedule.begin(now_ms);
                let end_ms = now_ms + SCAN_MS;
                hint_until(&mut schedule, end_ms);
                let outcome = schedule.end(content(changes, end_ms));
                scans.push(Scanned {
                    at_ms: now_ms,
                    outcome,
                });
                now_ms = end_ms;
            }
        }
    }

    fn content(changes: &[Change], at_ms: u64) -> Option<Digest> {
        let last = changes.iter().rev().find(|(from_ms, _)| *from_ms <= at_ms);
        last.and_then(|(_, text)| *text)
            .map(|text| Digest::of(text.as_bytes()))
    }

    /// When and on what it was acted.
    fn acted(changes: &[Change], scans: &[Scanned]) -> Vec<(u64, &'static str)> {
        let settled = scans.iter().filter(|scan| scan.outcome == Outcome::Settled);
        let text = |at_ms| {
            let last = changes
                .iter()
                .rev()
                .find(|(from_ms, _)| *from_ms <= at_ms + SCAN_MS);
            last.unwrap().1.unwrap()
        };
        settled.map(|scan| (scan.at_ms, text(scan.at_ms))).collect()
    }

    /// What is acted on in such a world, and when.
    fn check(changes: &[Change], hints: &[u64], expected: &[(u64, &str)]) {
        let scans = run(changes, hints, 60_000);
        assert_eq!(acted(changes, &scans), expected, "{scans:?}");
    }

    /// When scans begin, up to `until_ms`.
    fn starts(changes: &[Change], hints: &[u64], until_ms: u64) -> Vec<u64> {
        let scans = run(changes, hints, until_ms);
        scans.iter().map(|scan| scan.at_ms).collect()
    }

    #[test]
    fn the_first_reading_is_acted_on_once_a_second_one_agrees() {
        check(&[(0, Some("a"))], &[], &[(250, "a")]);
    }

    #[test]
    fn a_change_is_scanned_at_once_and_acted_on_one_settle_later() {
        let changes = [(0, Some("a")), (1_000, Some("b"))];
        check(&changes, &[1_000], &[(250, "a"), (1_250, "b")]);
        assert_eq!(starts(&changes, &[1_000], 2_000), [0, 250, 1_000, 1_250]);
    }

    #[test]
    fn a_hint_without_a_change_costs_one_scan() {
        assert_eq!(starts(&[(0, Some("a"))], &[1_000], 30_000), [0, 250, 1_000]);
    }

    #[test]
    fn what_is_completed_within_one_settle_is_never_acted_on_half_written() {
        for gap_ms in 0..TIMING.settle_ms {
            let complete_ms = 1_000 + gap_ms;
            let changes = [
                (0, Some("a")),
                (1_000, Some("half")),
                (complete_ms, Some("whole")),
            ];
            let scans = run(&changes, &[1_000, complete_ms], 5_000);
            let acted = acted(&changes, &scans);
            assert_eq!(acted.len(), 2, "{gap_ms}: {scans:?}");
            assert_eq!(acted[1].1, "whole", "{gap_ms}: {scans:?}");
            // One more scan than there were steps, at most.
            assert!(
                acted[1].0 <= complete_ms + TIMING.settle_ms + 20,
                "{gap_ms}: {scans:?}"
            );
        }
    }

    #[test]
    fn half_a_file_found_without_any_hint_is_not_acted_on_either() {
        for gap_ms in 0..TIMING.settle_ms - SCAN_MS {
            let changes = [
                (0, Some("a")),
                (60_000, Some("half")),
                (60_250 + SCAN_MS + gap_ms, Some("whole")),
            ];
            let scans = run(&changes, &[], 70_000);
            let acted = acted(&changes, &scans);
            assert_eq!(acted.last().unwrap().1, "whole", "{gap_ms}: {scans:?}");
            assert_eq!(acted.len(), 2, "{gap_ms}: {scans:?}");
        }
    }

    #[test]
    fn hints_put_acting_off_until_they_rest() {
        let hints: Vec<u64> = (1_000..2_000).step_by(100).collect();
        let changes = [(0, Some("a")), (1_000, Some("b"))];
        check(&changes, &hints, &[(250, "a"), (1_900 + 250, "b")]);
    }

    #[test]
    fn hints_without_end_put_it_off_to_the_ceiling_at_most() {
        let hints: Vec<u64> = (1_000..60_000).collect();
        let changes = [(0, Some("a")), (1_000, Some("b"))];
        check(&changes, &hints, &[(250, "a"), (6_000, "b")]);
    }

    #[test]
    fn what_never_rests_is_never_acted_on() {
        let text: &str = "x".repeat(400).leak();
        let mut changes: Vec<Change> = vec![(0, Some("a"))];
        changes.extend((1..400).map(|n| (1_000 + 100 * n, Some(&text[..n as usize]))));
        let hints: Vec<u64> = changes.iter().map(|(at_ms, _)| *at_ms).collect();
        let scans = run(&changes, &hints, 40_000);
        let last = scans.iter().rfind(|scan| scan.outcome == Outcome::Settled);
        assert_eq!(last.unwrap().at_ms, 250, "{scans:?}");
    }

    #[test]
    fn a_change_taken_back_is_not_acted_on() {
        let changes = [(0, Some("a")), (1_000, Some("b")), (1_100, Some("a"))];
        check(&changes, &[1_000, 1_100], &[(250, "a")]);
    }

    #[test]
    fn a_storm_that_changes_nothing_is_scanned_ever_more_rarely() {
        let hints: Vec<u64> = (1_000..41_000).collect();
        let expected = [
            0, 250, 1_000, 1_250, 1_750, 2_750, 4_750, 8_750, 13_750, 18_750, 23_750, 28_750,
            33_750, 38_750, 43_750,
        ];
        assert_eq!(starts(&[(0, Some("a"))], &hints, 50_000), expected);
    }

    #[test]
    fn after_a_storm_has_rested_a_hint_is_scanned_at_once() {
        let mut hints: Vec<u64> = (1_000..41_000).collect();
        hints.extend([49_000, 49_100]);
        let starts = starts(&[(0, Some("a"))], &hints, 50_000);
        assert_eq!(starts[starts.len() - 3..], [43_750, 49_000, 49_250]);
    }

    #[test]
    fn hints_during_a_scan_lead_to_one_more() {
        let hints = [1_000, 1_001, 1_002, 1_003];
        let changes = [(0, Some("a")), (1_000, Some("b"))];
        let starts = starts(&changes, &hints, 10_000);
        assert_eq!(starts, [0, 250, 1_000, 1_007, 1_253]);
    }

    #[test]
    fn what_cannot_be_read_is_tried_again_ever_more_rarely_and_not_acted_on() {
        let changes = [(0, Some("a")), (1_000, None), (20_000, Some("b"))];
        let scans = run(&changes, &[1_000], 40_000);
        let starts: Vec<u64> = scans.iter().map(|scan| scan.at_ms).collect();
        let failing = [1_000, 1_250, 1_750, 2_750, 4_750, 8_750, 13_750, 18_750];
        assert_eq!(starts[2..10], failing);
        assert_eq!(acted(&changes, &scans), [(250, "a"), (24_000, "b")]);
    }

    #[test]
    fn a_reading_before_one_that_failed_does_not_count() {
        let changes = [
            (0, Some("a")),
            (1_000, Some("b")),
            (1_200, None),
            (1_300, Some("b")),
        ];
        check(&changes, &[1_000], &[(250, "a"), (1_750, "b")]);
    }

    #[test]
    fn without_hints_there_is_a_scan_every_interval() {
        let starts = starts(&[(0, Some("a"))], &[], 200_000);
        assert_eq!(starts, [0, 250, 60_250, 120_250, 180_250]);
    }

    #[test]
    fn a_machine_that_slept_scans_once() {
        let mut schedule = Schedule::new(TIMING);
        for now_ms in [0, 250] {
            schedule.begin(now_ms);
            schedule.end(Some(Digest::of(b"a")));
        }
        let woken_ms = 9 * 3_600_000;
        assert!(schedule.due_ms() <= woken_ms);
        schedule.begin(woken_ms);
        assert_eq!(schedule.end(Some(Digest::of(b"a"))), Outcome::Unchanged);
        assert_eq!(schedule.due_ms(), woken_ms + TIMING.interval_ms);
    }

    #[test]
    fn who_asks_is_served_at_once_and_without_haste_for_others() {
        let mut schedule = Schedule::new(TIMING);
        schedule.begin(0);
        assert_eq!(schedule.end(None), Outcome::Failed);
        assert_eq!(schedule.due_ms(), 250);
        schedule.ask();
        assert_eq!(schedule.due_ms(), 0);
        schedule.begin(10);
        assert_eq!(schedule.end(Some(Digest::of(b"a"))), Outcome::Candidate);
        schedule.ask();
        schedule.begin(20);
        assert_eq!(schedule.end(Some(Digest::of(b"a"))), Outcome::Candidate);
        assert_eq!(schedule.due_ms(), 260);
    }

    proptest! {
        #[test]
        fn whatever_is_acted_on_was_read_twice_alike_a_settle_apart_and_in_quiet(
            steps in prop::collection::vec((1u64..400, prop::sample::select(vec!["a", "b", "c"])), 1..60),
            is_hinted in prop::collection::vec(any::<bool>(), 60),
        ) {
            let mut now_ms = 0;
            let mut changes: Vec<Change> = vec![(0, Some("z"))];
            let mut hints = Vec::new();
            for ((gap_ms, text), is_hinted) in steps.into_iter().zip(is_hinted) {
                now_ms += gap_ms;
                changes.push((now_ms, Some(text)));
                hints.extend(is_hinted.then_some(now_ms));
            }
            let scans = run(&changes, &hints, now_ms + 130_000);
            for (index, scan) in scans.iter().enumerate() {
                if scan.outcome != Outcome::Settled {
                    continue;
                }
                let read = content(&changes, scan.at_ms + SCAN_MS);
                let is_same = |earlier: &&Scanned| content(&changes, earlier.at_ms + SCAN_MS) == read;
                let alike = scans[..index].iter().rev().take_while(is_same);
                let first_ms = alike.last().map(|earlier| earlier.at_ms);
                prop_assert!(first_ms.is_some_and(|it| it + TIMING.settle_ms <= scan.at_ms));
                let last_hint = hints.iter().rev().find(|hint| **hint <= scan.at_ms);
                let is_quiet = last_hint.is_none_or(|hint| hint + TIMING.settle_ms <= scan.at_ms);
                let is_at_ceiling = hints.iter().any(|hint| hint + TIMING.ceiling_ms <= scan.at_ms);
                prop_assert!(is_quiet || is_at_ceiling);
            }
            // In the end, what is there is what was acted on last.
            let acted = acted(&changes, &scans);
            prop_assert_eq!(acted.last().map(|it| it.1), changes.last().and_then(|it| it.1));
        }
    }
}
