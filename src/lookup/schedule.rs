//! When a query is to be asked; time is an argument.

use super::Recorded;

/// When a query is due that should be asked every `poll_ms`, milliseconds since
/// the epoch; `now_ms` or earlier means now. `retry_at_ms` is until when its
/// target is to be left alone.
pub fn due_ms(
    poll_ms: u64,
    recorded: Option<&Recorded>,
    retry_at_ms: Option<i64>,
    now_ms: i64,
) -> i64 {
    let regular_ms = recorded.map_or(now_ms, |recorded| {
        if recorded.failure.as_ref().is_some_and(|it| it.may_pass) {
            return now_ms;
        }
        // A clock that was set back makes nothing wait for longer.
        let asked_ms = recorded.asked_ms.min(now_ms);
        asked_ms.saturating_add_unsigned(poll_ms)
    });
    regular_ms.max(retry_at_ms.unwrap_or(regular_ms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::lookup::Failure;

    const POLL_MS: u64 = 300_000;

    fn asked(asked_ms: i64, may_pass: Option<bool>) -> Recorded {
        Recorded {
            target: "cdn".to_owned(),
            query: Digest::of(b"query"),
            about: String::new(),
            good: None,
            asked_ms,
            failure: may_pass.map(|may_pass| Failure {
                message: String::new(),
                may_pass,
            }),
        }
    }

    fn check(recorded: Option<&Recorded>, retry_at_ms: Option<i64>, now_ms: i64, expected: i64) {
        assert_eq!(
            due_ms(POLL_MS, recorded, retry_at_ms, now_ms),
            expected,
            "{recorded:?} {retry_at_ms:?} {now_ms}"
        );
    }

    #[test]
    fn what_was_never_asked_is_due_and_what_was_is_after_its_poll() {
        check(None, None, 1_000_000, 1_000_000);
        check(Some(&asked(1_000_000, None)), None, 1_000_001, 1_300_000);
        check(Some(&asked(1_000_000, None)), None, 9_000_000, 1_300_000);
        check(
            Some(&asked(1_000_000, Some(false))),
            None,
            1_000_001,
            1_300_000,
        );
    }

    #[test]
    fn what_may_pass_is_due_once_its_target_is_no_longer_left_alone() {
        let failed = asked(1_000_000, Some(true));
        check(Some(&failed), Some(1_004_000), 1_000_001, 1_004_000);
        check(Some(&failed), None, 1_000_001, 1_000_001);
        check(
            Some(&asked(1_000_000, None)),
            Some(2_000_000),
            1_000_001,
            2_000_000,
        );
        check(None, Some(2_000_000), 1_000_001, 2_000_000);
    }

    #[test]
    fn a_clock_set_back_makes_nothing_wait_for_longer_than_a_poll() {
        check(Some(&asked(9_000_000, None)), None, 1_000_000, 1_300_000);
    }
}
