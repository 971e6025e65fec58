//! What an answer changes in a lane: acceptance, refusal, bisection, waiting.

use super::backoff;
use super::journal::{Close, Outcome};
use super::lane::{Halt, HaltKind, Lane, LookUp, Settled, closed};
use super::parcel::{FamilyId, Parcel, Ticket};
use super::verdict::{Reason, Verdict};

/// So many URLs refused out of one batch, or parts no larger than this refused
/// in two places with nothing accepted, and the target counts as misconfigured.
const SUSPICIOUS: usize = 8;

/// Passing faults of one batch after which it is halved, to find out whether
/// one of its URLs brings them about.
pub(super) const PROBE_AFTER: u32 = 3;

/// The same for one that has met them while the target worked.
const PROBE_SUSPECT_AFTER: u32 = 2;

/// Passing faults of a single URL after which it is blamed, provided that it
/// met them while the target worked.
const BLAME_AFTER: u32 = 3;

/// A CDN's own estimate holds the next tier back no longer than this.
pub const LONGEST_ESTIMATE_MS: u64 = 10 * 60 * 1000;

/// A batch is sent so often under one number; that its outcome is still
/// unknown then counts as a passing fault.
const UNKNOWN_SENDS: u32 = 2;

impl Lane {
    /// The answer to a look-up has arrived.
    pub fn look_up_answered(&mut self, verdict: Verdict, now_ms: i64, random: f64) {
        self.look_up = LookUp::Needed;
        match verdict {
            Verdict::Learned(_) => {
                self.look_up = LookUp::Answered;
                self.attempts = 0;
                self.rejected_logins = 0;
            }
            Verdict::Throttled { after_ms, .. } => {
                self.wait(now_ms, backoff::throttle_ms(after_ms));
            }
            Verdict::Transient(_) => self.back_off(now_ms, random),
            Verdict::Unauthorized(reason) => self.login_rejected(reason),
            Verdict::Misconfigured(reason)
            | Verdict::Refused { reason, .. }
            | Verdict::TooLarge(reason) => {
                self.stop(HaltKind::Misconfigured, reason);
            }
            Verdict::NotUnderstood(reason) => self.stop(HaltKind::NotUnderstood, reason),
            Verdict::Accepted { receipt, .. } => {
                let reason = Reason {
                    code: "unexpected".to_owned(),
                    message: receipt,
                };
                self.stop(HaltKind::NotUnderstood, reason);
            }
        }
    }

    /// A look-up got no answer.
    pub fn look_up_lost(&mut self, now_ms: i64, random: f64) {
        self.look_up = LookUp::Needed;
        self.back_off(now_ms, random);
    }

    /// The answer to a batch has arrived.
    pub fn answered(
        &mut self,
        ticket: Ticket,
        verdict: Verdict,
        now_ms: i64,
        random: f64,
    ) -> Settled {
        let Some(parcel) = self.arrived(ticket) else {
            return Settled::default();
        };
        if matches!(verdict, Verdict::Accepted { .. }) {
            self.bear_witness(ticket);
        }
        let settled = self.judge(parcel, verdict, now_ms, random);
        self.release();
        settled
    }

    fn judge(&mut self, parcel: Parcel, verdict: Verdict, now_ms: i64, random: f64) -> Settled {
        match verdict {
            Verdict::Accepted {
                receipt,
                estimate_ms,
            } => self.accepted(&parcel, receipt, estimate_ms, now_ms),
            Verdict::Refused { culprits, reason } if culprits.is_empty() => {
                self.refused(&parcel, reason, now_ms)
            }
            Verdict::Refused { culprits, reason } => {
                self.culprits_named(&parcel, &culprits, reason, now_ms)
            }
            Verdict::TooLarge(reason) => self.too_large(&parcel, reason, now_ms),
            Verdict::Throttled { after_ms, reason } => {
                self.wait(now_ms, backoff::throttle_ms(after_ms));
                self.again(parcel, &reason)
            }
            Verdict::Transient(reason) => {
                self.back_off(now_ms, random);
                self.passing_fault(parcel, reason, now_ms)
            }
            Verdict::Unauthorized(reason) => {
                self.login_rejected(reason.clone());
                self.again(parcel, &reason)
            }
            Verdict::Misconfigured(reason) => {
                self.stop(HaltKind::Misconfigured, reason.clone());
                self.again(parcel, &reason)
            }
            Verdict::NotUnderstood(reason) => {
                self.stop(HaltKind::NotUnderstood, reason.clone());
                self.again(parcel, &reason)
            }
            Verdict::Learned(_) => {
                let reason = Reason {
                    code: "unexpected".to_owned(),
                    message: "a look-up's answer to a batch".to_owned(),
                };
                self.stop(HaltKind::NotUnderstood, reason.clone());
                self.again(parcel, &reason)
            }
        }
    }

    /// A batch was sent and no answer came: the CDN may or may not have taken
    /// it, so it goes once more under its number.
    pub fn lost(&mut self, ticket: Ticket, message: &str, now_ms: i64, random: f64) -> Settled {
        let Some(parcel) = self.arrived(ticket) else {
            return Settled::default();
        };
        self.back_off(now_ms, random);
        if parcel.sends < UNKNOWN_SENDS {
            self.parcels.insert(ticket, parcel);
            self.ready.push_front(ticket);
            return Settled::default();
        }
        let reason = Reason {
            code: "no answer".to_owned(),
            message: message.to_owned(),
        };
        let settled = self.passing_fault(parcel, reason, now_ms);
        self.release();
        settled
    }

    /// A batch could not be sent at all: nothing of it reached the CDN.
    pub fn unsent(&mut self, ticket: Ticket, reason: &Reason, now_ms: i64, random: f64) -> Settled {
        let Some(parcel) = self.arrived(ticket) else {
            return Settled::default();
        };
        self.back_off(now_ms, random);
        self.again(parcel, reason)
    }

    /// Stops for a reason found outside, such as a secret that cannot be read.
    pub fn stop(&mut self, kind: HaltKind, reason: Reason) {
        self.halt.get_or_insert(Halt { kind, reason });
    }

    fn arrived(&mut self, ticket: Ticket) -> Option<Parcel> {
        self.in_flight.remove(&ticket);
        self.parcels.remove(&ticket)
    }

    fn accepted(
        &mut self,
        parcel: &Parcel,
        receipt: String,
        estimate_ms: Option<u64>,
        now_ms: i64,
    ) -> Settled {
        self.attempts = 0;
        self.rejected_logins = 0;
        // A wait that another call under way was told still holds.
        self.retry_at_ms = self.retry_at_ms.filter(|at| *at > now_ms);
        self.tally.batches += 1;
        self.tally.accepted += parcel.len() as u64;
        if let Some(FamilyId(id)) = parcel.family {
            self.families[id].accept(parcel);
        }
        let told_ms = estimate_ms.unwrap_or(0).min(LONGEST_ESTIMATE_MS);
        let gate_ms = Some(now_ms.saturating_add_unsigned(self.settings.settle_ms.max(told_ms)));
        let close = parcel.no.map(|no| Close {
            gate_ms,
            ..closed(no, Outcome::Accepted { receipt })
        });
        Settled {
            close,
            open: Vec::new(),
        }
    }

    fn refused(&mut self, parcel: &Parcel, reason: Reason, now_ms: i64) -> Settled {
        if parcel.len() == 1 {
            return self.culprits_named(parcel, &[0], reason, now_ms);
        }
        let id = self.family_of(parcel);
        let family = &mut self.families[id.0];
        // Only a part that came from a larger one counts: its own parts are not disjoint from it.
        let is_dead_end = parcel.len() <= SUSPICIOUS
            && parcel.parent_len.is_none_or(|parent| parent > SUSPICIOUS);
        if is_dead_end && !family.is_accepted {
            family.dead_ends += 1;
        }
        if family.dead_ends >= 2 {
            return self.suspicious(parcel, &reason);
        }
        self.split(parcel, Some(id), &reason, is_dead_end)
    }

    fn culprits_named(
        &mut self,
        parcel: &Parcel,
        culprits: &[usize],
        reason: Reason,
        now_ms: i64,
    ) -> Settled {
        let rest: Vec<usize> = (0..parcel.len())
            .filter(|position| !culprits.contains(position))
            .collect();
        let refusals = parcel.refusals(culprits, &reason, self.settings.cdn, now_ms);
        self.tally.refused += culprits.len() as u64;
        let id = self.family_of(parcel);
        self.families[id.0].refused += culprits.len();
        let mut settled = if self.families[id.0].refused >= SUSPICIOUS && !rest.is_empty() {
            self.suspicious(parcel, &reason)
        } else if rest.is_empty() {
            if self.families[id.0].refused >= SUSPICIOUS {
                self.stop(HaltKind::Misconfigured, too_many(&reason));
            }
            let Reason { code, message } = reason;
            Settled {
                close: parcel
                    .no
                    .map(|no| closed(no, Outcome::Refused { code, message })),
                open: Vec::new(),
            }
        } else {
            let mut part = parcel.part(rest.into_iter());
            part.family = Some(id);
            self.divided(parcel, vec![part], &reason, false)
        };
        if let Some(close) = &mut settled.close {
            close.refusals = refusals;
        }
        settled
    }

    fn too_large(&mut self, parcel: &Parcel, reason: Reason, now_ms: i64) -> Settled {
        if parcel.len() == 1 {
            return self.culprits_named(parcel, &[0], reason, now_ms);
        }
        self.settings.max_items = self.settings.max_items.min(parcel.len().div_ceil(2));
        self.split(parcel, parcel.family, &reason, false)
    }

    /// A fault that may pass: wait, or find out which URL brings it about. The
    /// target is to blame for as long as everything fails, so a fault counts
    /// against a URL only where something else was accepted in between.
    fn passing_fault(&mut self, mut parcel: Parcel, reason: Reason, now_ms: i64) -> Settled {
        let family = parcel.family.map(|id| &self.families[id.0]);
        let is_left_alone = family.is_some_and(|family| family.leaves_only(&parcel));
        let may_blame = family.is_some_and(|family| family.is_accepted);
        parcel.suspicion.fault(is_left_alone, &self.in_flight);
        let (faults, is_suspect) = (parcel.suspicion.faults, parcel.suspicion.is_suspect);
        let patience = if is_suspect {
            PROBE_SUSPECT_AFTER
        } else {
            PROBE_AFTER
        };
        if parcel.len() > 1 && faults >= patience {
            return self.probe(&parcel, &reason);
        }
        if parcel.len() == 1 && is_suspect && may_blame && faults >= BLAME_AFTER {
            return self.culprits_named(&parcel, &[0], reason, now_ms);
        }
        if parcel.family.is_none() && faults == 1 && parcel.sends < UNKNOWN_SENDS {
            return self.again(parcel, &reason);
        }
        self.step_back(parcel, &reason)
    }

    /// Sends the same items again, as a new batch.
    pub(super) fn again(&mut self, mut parcel: Parcel, reason: &Reason) -> Settled {
        let close = failed(&parcel, reason);
        parcel.no = None;
        parcel.sends = 0;
        let ticket = self.ticket();
        if parcel.family.is_some() {
            self.halves.push_front(ticket);
        } else {
            self.ready.push_front(ticket);
        }
        self.parcels.insert(ticket, parcel);
        Settled {
            close,
            open: Vec::new(),
        }
    }

    fn login_rejected(&mut self, reason: Reason) {
        // Secrets are read anew for every call, so one repeat picks up a rotation.
        self.rejected_logins += 1;
        if self.rejected_logins > 1 {
            self.stop(HaltKind::Unauthorized, reason);
        }
    }

    fn wait(&mut self, now_ms: i64, ms: u64) {
        let at = now_ms.saturating_add_unsigned(ms);
        self.retry_at_ms = Some(self.retry_at_ms.map_or(at, |earlier| earlier.max(at)));
    }

    fn back_off(&mut self, now_ms: i64, random: f64) {
        // Calls that were under way together meet one outage together.
        if self.retry_at_ms.is_none_or(|at| at <= now_ms) {
            self.attempts += 1;
        }
        self.wait(now_ms, backoff::delay_ms(self.attempts, random));
    }
}

pub(super) fn failed(parcel: &Parcel, reason: &Reason) -> Option<Close> {
    parcel.no.map(|no| {
        closed(
            no,
            Outcome::Failed {
                message: reason.to_string(),
            },
        )
    })
}

pub(super) fn too_many(reason: &Reason) -> Reason {
    let message = format!(
        "so much of one batch was refused that the account or the root looks wrong ({})",
        reason.message
    );
    Reason {
        code: reason.code.clone(),
        message,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, VecDeque};

    use super::*;
    use crate::batch::journal::BatchNo;
    use crate::batch::lane::{Next, Settings};
    use crate::batch::queue::{ListSource, Work};
    use crate::batch::rate::{Budget, Class};
    use crate::digest::{Digest, Entry, ItemKind, Key, Mark};
    use crate::manifest::RateLimit;
    use crate::plan::recorded::{LedgerId, TargetId};

    /// What a played lane came to.
    #[derive(Debug, Default)]
    struct Played {
        calls: usize,
        accepted: BTreeSet<String>,
        refused: BTreeSet<String>,
        elapsed_ms: i64,
        longest_batch: usize,
        left: usize,
    }

    fn lane(items: usize) -> Lane {
        busy_lane(items, 1)
    }

    /// A lane with so many calls under way at once.
    fn busy_lane(items: usize, concurrency: usize) -> Lane {
        let settings = Settings {
            target: TargetId(1),
            max_items: 1000,
            concurrency,
            settle_ms: 5000,
            cdn: Digest::of(b""),
        };
        let mut lane = Lane::new(settings, Budget::full(&RateLimit::default()), None, 0);
        let names: Vec<String> = (0..items)
            .map(|n| format!("https://cdn.example/{n}"))
            .collect();
        lane.add(work("set", 1, Class::Planned, &names));
        lane
    }

    fn work(set: &str, ledger: i64, class: Class, items: &[String]) -> Work {
        let key = |item: &str| Key::of(ItemKind::Url, item.as_bytes());
        let entries = items.iter();
        let mut pending: Vec<Entry> = entries
            .map(|item| Entry::new(key(item), Mark::of(&[None])))
            .collect();
        pending.sort_unstable();
        let source = ListSource::new(items.iter().map(|item| (key(item), item.as_str().into())));
        Work::new(set, LedgerId(ledger), class, pending, Box::new(source))
    }

    /// Plays a lane to its end in invented time; every number that the journal
    /// gave must have been closed by then. Answers come in the order of calls;
    /// `None` is a call whose connection breaks.
    fn play_on(lane: &mut Lane, mut cdn: impl FnMut(&[&str], i64) -> Option<Verdict>) -> Played {
        let (mut now, mut last_no, mut open) = (0, 0, BTreeSet::new());
        let mut under_way = VecDeque::new();
        let mut played = Played::default();
        loop {
            let next = lane.next(now);
            let ticket = match next {
                Next::Open(ticket, _) => {
                    last_no += 1;
                    open.insert(BatchNo(last_no));
                    lane.journalled(ticket, BatchNo(last_no));
                    ticket
                }
                Next::Send(ticket, _) => ticket,
                Next::Wait(at) if under_way.is_empty() => {
                    now = now.max(at);
                    continue;
                }
                Next::Done if under_way.is_empty() => break,
                Next::LookUp => panic!("nothing here is looked up"),
                Next::Wait(_) | Next::Busy | Next::Done => {
                    let (ticket, verdict) = under_way.pop_front().expect("something is under way");
                    let settled = match verdict {
                        Some(verdict) => lane.answered(ticket, verdict, now, 1.0),
                        None => lane.lost(ticket, "the connection broke", now, 1.0),
                    };
                    for (ticket, _) in settled.open {
                        last_no += 1;
                        open.insert(BatchNo(last_no));
                        lane.journalled(ticket, BatchNo(last_no));
                    }
                    if let Some(close) = settled.close {
                        assert!(open.remove(&close.no), "closed twice");
                        let refusals = close.refusals.into_iter();
                        played.refused.extend(refusals.map(|refusal| refusal.item));
                    }
                    continue;
                }
            };
            let items: Vec<String> = lane.items(ticket).iter().map(ToString::to_string).collect();
            let items: Vec<&str> = items.iter().map(String::as_str).collect();
            played.calls += 1;
            played.longest_batch = played.longest_batch.max(items.len());
            assert!(played.calls < 10_000, "no end in sight");
            let verdict = cdn(&items, now);
            if matches!(verdict, Some(Verdict::Accepted { .. })) {
                let accepted = items.iter().map(ToString::to_string);
                played.accepted.extend(accepted);
            }
            under_way.push_back((ticket, verdict));
        }
        played.left = lane.left();
        for close in lane.vacate("the end") {
            assert!(open.remove(&close.no), "closed twice");
        }
        assert_eq!(open, BTreeSet::new(), "left open");
        played.elapsed_ms = now;
        played
    }

    fn play(lane: &mut Lane, mut cdn: impl FnMut(&[&str], i64) -> Verdict) -> Played {
        play_on(lane, |items, now| Some(cdn(items, now)))
    }

    fn reason(code: &str) -> Reason {
        Reason {
            code: code.to_owned(),
            message: "no".to_owned(),
        }
    }

    fn accepted() -> Verdict {
        Verdict::Accepted {
            receipt: "handle".to_owned(),
            estimate_ms: None,
        }
    }

    fn refused() -> Verdict {
        Verdict::Refused {
            culprits: Vec::new(),
            reason: reason("30001"),
        }
    }

    fn refuse_if(items: &[&str], is_bad: impl Fn(&str) -> bool) -> Verdict {
        if items.iter().any(|item| is_bad(item)) {
            refused()
        } else {
            accepted()
        }
    }

    #[test]
    fn one_bad_url_in_a_thousand_costs_at_most_21_extra_calls_wherever_it_stands() {
        for bad in [0, 1, 499, 500, 637, 998, 999] {
            let bad = format!("https://cdn.example/{bad}");
            let played = play(&mut lane(1000), |items, _| {
                refuse_if(items, |item| item == bad)
            });
            assert!(played.calls <= 22, "{} calls for {bad}", played.calls);
            assert_eq!(played.accepted.len(), 999);
            assert_eq!(played.refused, BTreeSet::from([bad]));
        }
    }

    #[test]
    fn two_bad_urls_far_apart_are_both_found() {
        let bad = ["https://cdn.example/3", "https://cdn.example/990"];
        let played = play(&mut lane(1000), |items, _| {
            refuse_if(items, |item| bad.contains(&item))
        });
        assert_eq!(played.accepted.len(), 998);
        assert_eq!(played.refused.len(), 2);
    }

    #[test]
    fn a_named_url_is_believed_at_the_cost_of_one_call() {
        let mut lane = lane(1000);
        let played = play(&mut lane, |items, _| {
            match items.iter().position(|item| item.ends_with("/77")) {
                Some(at) => Verdict::Refused {
                    culprits: vec![at],
                    reason: reason("30001"),
                },
                None => accepted(),
            }
        });
        assert_eq!(
            (played.calls, played.accepted.len(), played.refused.len()),
            (2, 999, 1)
        );
    }

    #[test]
    fn where_everything_is_refused_the_target_is_to_blame_and_no_url() {
        let mut lane = lane(3000);
        let played = play(&mut lane, |_, _| refused());
        assert!(played.calls <= 12, "{} calls", played.calls);
        assert_eq!(played.refused.len(), 0);
        assert_eq!(
            lane.halt().map(|halt| halt.kind),
            Some(HaltKind::Misconfigured)
        );
        assert_eq!(played.left, 3000);
    }

    #[test]
    fn eight_refused_urls_of_one_batch_stop_the_target() {
        let mut lane = lane(1000);
        let played = play(&mut lane, |items, _| {
            refuse_if(items, |item| item.ends_with('7'))
        });
        assert_eq!(played.refused.len(), 8);
        assert_eq!(
            lane.halt().map(|halt| halt.kind),
            Some(HaltKind::Misconfigured)
        );
        assert_eq!(played.left + played.accepted.len() + 8, 1000);
    }

    #[test]
    fn an_hour_of_passing_faults_blames_no_url_and_all_go_after() {
        let hour_ms = 3_600_000;
        let mut lane = lane(2500);
        let played = play(&mut lane, |_, now| {
            if now < hour_ms {
                Verdict::Transient(reason("30000"))
            } else {
                accepted()
            }
        });
        assert_eq!(played.refused.len(), 0);
        assert_eq!(played.accepted.len(), 2500);
        assert!(played.elapsed_ms < 2 * hour_ms);
        assert!(
            played.calls < 30,
            "{} calls in an hour of faults",
            played.calls
        );
    }

    #[test]
    fn a_url_that_always_brings_the_passing_fault_is_found_once_others_are_accepted() {
        let bad = "https://cdn.example/321";
        let played = play(&mut lane(1000), |items, _| {
            if items.contains(&bad) {
                Verdict::Transient(reason("30000"))
            } else {
                accepted()
            }
        });
        assert_eq!(played.accepted.len(), 999);
        assert_eq!(played.refused, BTreeSet::from([bad.to_owned()]));
    }

    /// An hour of trouble begins with the call counted `onset` from 0, while one
    /// of so many URLs always brings the fault about.
    fn check_outage(items: usize, poison: usize, onset: usize, concurrency: usize) {
        let hour_ms = 3_600_000;
        let poison = format!("https://cdn.example/{poison}");
        let (mut calls, mut over_ms) = (0, 0);
        let played = play(&mut busy_lane(items, concurrency), |items, now| {
            if calls == onset {
                over_ms = now + hour_ms;
            }
            calls += 1;
            if now < over_ms || items.contains(&poison.as_str()) {
                Verdict::Transient(reason("30000"))
            } else {
                accepted()
            }
        });
        let case = format!("{poison} of {items}, from call {onset} on, {concurrency} at once");
        assert_eq!(played.refused, BTreeSet::from([poison]), "{case}");
        assert_eq!(played.accepted.len(), items - 1, "{case}");
        assert!(played.calls < 100, "{} calls: {case}", played.calls);
    }

    #[test]
    fn an_outage_amid_a_bisection_blames_nobody_but_the_culprit() {
        for items in [2, 3, 4, 5, 6, 20] {
            for (poison, onset) in (0..items).flat_map(|at| (0..40).map(move |on| (at, on))) {
                for concurrency in [1, 2, 4] {
                    check_outage(items, poison, onset, concurrency);
                }
            }
        }
    }

    #[test]
    fn two_urls_that_always_bring_the_passing_fault_keep_nothing_else_back() {
        for (first, second) in [(3, 4), (3, 16), (10, 11), (0, 18)] {
            let bad = [first, second].map(|n| format!("https://cdn.example/{n}"));
            let played = play(&mut lane(20), |items, _| {
                if items.iter().any(|item| bad.iter().any(|bad| bad == item)) {
                    Verdict::Transient(reason("30000"))
                } else {
                    accepted()
                }
            });
            assert_eq!(played.accepted.len(), 18);
            assert_eq!(played.refused, BTreeSet::from(bad));
        }
    }

    #[test]
    fn a_url_that_always_breaks_the_connection_is_found_and_holds_up_no_other_batch() {
        let bad = "https://cdn.example/321";
        let mut before_others = None;
        let mut calls = 0;
        let played = play_on(&mut lane(2500), |items, _| {
            calls += 1;
            if items.contains(&bad) {
                return None;
            }
            before_others.get_or_insert(calls);
            Some(accepted())
        });
        assert_eq!(played.accepted.len(), 2499);
        assert_eq!(played.refused, BTreeSet::from([bad.to_owned()]));
        assert_eq!(before_others, Some(3), "calls before another batch went");
        assert!(played.calls < 100, "{} calls", played.calls);
    }

    #[test]
    fn what_was_asked_for_and_fails_alone_gives_way_to_the_rest() {
        let hour_ms = 3_600_000;
        let urgent = "https://cdn.example/urgent";
        let mut lane = lane(1500);
        lane.add(work("other", 2, Class::Forced, &[urgent.to_owned()]));
        let (mut others, mut others_done_ms) = (0, None);
        let played = play(&mut lane, |items, now| {
            if items.contains(&urgent) && now < hour_ms {
                return Verdict::Transient(reason("30000"));
            }
            if !items.contains(&urgent) {
                others += items.len();
            }
            if others == 1500 {
                others_done_ms.get_or_insert(now);
            }
            accepted()
        });
        assert_eq!((played.accepted.len(), played.refused.len()), (1501, 0));
        let done_ms = others_done_ms.expect("the others were accepted");
        assert!(done_ms < hour_ms / 60, "after {done_ms} ms");
    }

    #[test]
    fn being_throttled_is_waiting_and_no_failure() {
        let mut first = true;
        let mut lane = lane(10);
        let played = play(&mut lane, |_, _| {
            let after_ms = Some(90_000);
            if std::mem::take(&mut first) {
                Verdict::Throttled {
                    after_ms,
                    reason: reason("429"),
                }
            } else {
                accepted()
            }
        });
        assert_eq!(
            (played.calls, played.elapsed_ms, played.accepted.len()),
            (2, 90_000, 10)
        );
        assert_eq!(lane.retry().1, 0);
    }

    #[test]
    fn too_large_a_batch_is_halved_and_later_ones_are_cut_smaller() {
        let mut calls = Vec::new();
        let played = play(&mut lane(2000), |items, _| {
            calls.push(items.len());
            if items.len() > 600 {
                Verdict::TooLarge(reason("413"))
            } else {
                accepted()
            }
        });
        assert_eq!(played.accepted.len(), 2000);
        assert_eq!(calls, [1000, 500, 500, 500, 500]);
    }

    #[test]
    fn a_rejected_login_is_tried_once_more_and_then_stops_the_target() {
        let mut lane = lane(10);
        let played = play(&mut lane, |_, _| Verdict::Unauthorized(reason("10001")));
        assert_eq!(played.calls, 2);
        assert_eq!(
            lane.halt().map(|halt| halt.kind),
            Some(HaltKind::Unauthorized)
        );
    }

    #[test]
    fn an_answer_that_is_not_understood_is_not_repeated() {
        let mut lane = lane(10);
        let played = play(&mut lane, |_, _| Verdict::NotUnderstood(reason("HTTP 200")));
        assert_eq!(played.calls, 1);
        assert_eq!(played.left, 10);
    }

    #[test]
    fn a_batch_of_unknown_outcome_goes_once_more_under_its_number() {
        let mut lane = lane(3);
        let Next::Open(ticket, _) = lane.next(0) else {
            panic!("nothing to send")
        };
        lane.journalled(ticket, BatchNo(1));
        assert!(lane.lost(ticket, "timed out", 0, 0.0).close.is_none());
        assert_eq!(lane.next(0), Next::Send(ticket, BatchNo(1)));
        let settled = lane.lost(ticket, "timed out", 0, 0.0);
        assert!(matches!(
            settled.close.map(|close| close.outcome),
            Some(Outcome::Failed { .. })
        ));
        assert!(matches!(lane.next(0), Next::Open(..)));
    }
}
