//! How long to wait after a fault that may pass.

use std::time::Duration;

/// The first wait is at most this long.
const BASE_MS: u64 = 1_000;

/// No wait is longer.
const CAP_MS: u64 = 15 * 60 * 1_000;

/// A throttling CDN that names no time is asked again after this long.
const THROTTLE_MS: u64 = 30_000;

/// No CDN is believed beyond this: a wrong clock must not stop us for years.
pub const LONGEST_TOLD_MS: u64 = 60 * 60 * 1_000;

/// Milliseconds to wait after `attempts` faults in a row (at least 1), with
/// full jitter: anything up to the exponential ceiling, `random` in 0..1.
pub fn delay_ms(attempts: u32, random: f64) -> u64 {
    let ceiling = BASE_MS
        .saturating_mul(1 << attempts.saturating_sub(1).min(20))
        .min(CAP_MS);
    Duration::from_millis(ceiling)
        .mul_f64(random.clamp(0.0, 1.0))
        .as_millis() as u64
}

/// Milliseconds to wait when the CDN said "not now".
pub fn throttle_ms(told_ms: Option<u64>) -> u64 {
    told_ms.unwrap_or(THROTTLE_MS).min(LONGEST_TOLD_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_quarter_of_an_hour_and_jitter_over_the_whole_range() {
        let ceilings: Vec<u64> = [1, 2, 5, 10, 11, 60]
            .map(|attempts| delay_ms(attempts, 1.0))
            .to_vec();
        assert_eq!(ceilings, [1_000, 2_000, 16_000, 512_000, 900_000, 900_000]);
        assert_eq!(delay_ms(5, 0.0), 0);
        assert_eq!(delay_ms(5, 0.5), 8_000);
    }

    #[test]
    fn a_told_wait_is_kept_but_not_for_ever() {
        assert_eq!(throttle_ms(Some(1_500)), 1_500);
        assert_eq!(throttle_ms(Some(u64::MAX)), LONGEST_TOLD_MS);
        assert_eq!(throttle_ms(None), THROTTLE_MS);
    }
}
