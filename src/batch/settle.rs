//! What an answer changes in a lane: acceptance, refusal, bisection, waiting.

use super::backoff;
use super::journal::{Close, Outcome};
use super::lane::{Halt, HaltKind, Lane, LookUp, Settled, closed};
use super::parcel::{Family, FamilyId, Parcel, Ticket};
use super::verdict::{Reason, Verdict};

/// So many URLs refused out of one batch, or parts no larger than this refused
/// in two places with nothing accepted, and the target counts as misconfigured.
const SUSPICIOUS: usize = 8;

/// Passing faults in a row after which a batch is halved, to find out whether
/// one of its URLs brings them about.
const PROBE_AFTER: u32 = 3;

/// Passing faults in a row after which a single URL is blamed, provided that
/// another part of its batch was accepted.
const BLAME_AFTER: u32 = 3;

/// A CDN's own estimate holds the next tier back no longer than this.
pub const LONGEST_ESTIMATE_MS: u64 = 10 * 60 * 1000;

/// A batch whose outcome stayed unknown so often is given up and planned anew.
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
        let Some(mut parcel) = self.arrived(ticket) else {
            return Settled::default();
        };
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
                parcel.faults += 1;
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
        self.again(parcel, &reason)
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
            self.families[id].is_accepted = true;
            self.release(FamilyId(id));
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
        self.release(id);
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
        self.release(id);
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

    fn passing_fault(&mut self, mut parcel: Parcel, reason: Reason, now_ms: i64) -> Settled {
        let Some(FamilyId(id)) = parcel.family else {
            if parcel.faults < PROBE_AFTER || parcel.len() == 1 {
                return self.again(parcel, &reason);
            }
            parcel.faults = 0;
            self.families.push(Family {
                is_probe: true,
                ..Family::default()
            });
            let id = FamilyId(self.families.len() - 1);
            return self.split(&parcel, Some(id), &reason, false);
        };
        let family = &self.families[id];
        if family.is_accepted {
            let patience = if parcel.len() == 1 {
                BLAME_AFTER
            } else {
                BLAME_AFTER - 1
            };
            if parcel.faults >= patience {
                return self.refused(&parcel, reason, now_ms);
            }
            return self.again(parcel, &reason);
        }
        if family.is_probe {
            return self.park(parcel, FamilyId(id), &reason);
        }
        self.again(parcel, &reason)
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
    use std::collections::{BTreeMap, BTreeSet};

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
        let settings = Settings {
            target: TargetId(1),
            max_items: 1000,
            concurrency: 1,
            settle_ms: 5000,
            cdn: Digest::of(b""),
        };
        let mut lane = Lane::new(
            settings,
            Budget::new(&RateLimit::default(), &BTreeMap::new()),
            None,
            0,
        );
        let names: Vec<String> = (0..items)
            .map(|n| format!("https://cdn.example/{n}"))
            .collect();
        let key = |item: &str| Key::of(ItemKind::Url, item.as_bytes());
        let mut pending: Vec<Entry> = names
            .iter()
            .map(|item| Entry::new(key(item), Mark::of(&[None])))
            .collect();
        pending.sort_unstable();
        let source = ListSource::new(names.iter().map(|item| (key(item), item.as_str().into())));
        lane.add(Work::new(
            "set",
            LedgerId(1),
            Class::Planned,
            pending,
            Box::new(source),
        ));
        lane
    }

    /// Plays a lane to its end in invented time; every number that the journal
    /// gave must have been closed by then.
    fn play(lane: &mut Lane, mut cdn: impl FnMut(&[&str], i64) -> Verdict) -> Played {
        let (mut now, mut last_no, mut open) = (0, 0, BTreeSet::new());
        let mut played = Played::default();
        loop {
            let ticket = match lane.next(now) {
                Next::Wait(at) => {
                    now = now.max(at);
                    continue;
                }
                Next::Open(ticket, _) => {
                    last_no += 1;
                    open.insert(BatchNo(last_no));
                    lane.journalled(ticket, BatchNo(last_no));
                    ticket
                }
                Next::Send(ticket, _) => ticket,
                Next::Done => break,
                next => panic!("{next:?} with nothing under way"),
            };
            let items: Vec<String> = lane.items(ticket).iter().map(ToString::to_string).collect();
            let items: Vec<&str> = items.iter().map(String::as_str).collect();
            played.calls += 1;
            played.longest_batch = played.longest_batch.max(items.len());
            assert!(played.calls < 10_000, "no end in sight");
            let verdict = cdn(&items, now);
            if matches!(verdict, Verdict::Accepted { .. }) {
                played
                    .accepted
                    .extend(items.iter().map(ToString::to_string));
            }
            let settled = lane.answered(ticket, verdict, now, 1.0);
            for (ticket, _) in settled.open {
                last_no += 1;
                open.insert(BatchNo(last_no));
                lane.journalled(ticket, BatchNo(last_no));
            }
            if let Some(close) = settled.close {
                assert!(open.remove(&close.no), "closed twice");
                played
                    .refused
                    .extend(close.refusals.into_iter().map(|refusal| refusal.item));
            }
        }
        played.left = lane.left();
        for close in lane.vacate("the end") {
            assert!(open.remove(&close.no), "closed twice");
        }
        assert_eq!(open, BTreeSet::new(), "left open");
        played.elapsed_ms = now;
        played
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
