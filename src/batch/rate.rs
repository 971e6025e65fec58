//! Rates: the generic cell rate algorithm as a pure function of one stored
//! timestamp per bucket.

use std::collections::BTreeMap;

use crate::manifest::{Bucket, RateLimit};

/// Who asks: a tenth of every bucket is kept for the forced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Work of a plan, and its repeats.
    Planned,
    /// Work that somebody asked for with `invalidate`.
    Forced,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Call,
    Item,
}

/// The buckets of one target and how full they are.
#[derive(Clone, Debug)]
pub struct Budget {
    meters: Vec<Meter>,
}

#[derive(Clone, Debug)]
struct Meter {
    name: String,
    unit: Unit,
    bucket: Bucket,
    /// Theoretical arrival time, microseconds since the epoch: the bucket is
    /// full when it lies in the past.
    arrival_us: i64,
}

impl Budget {
    /// The buckets of `rate`, as full as `arrivals` (from [`Budget::arrivals`]) says.
    pub fn new(rate: &RateLimit, arrivals: &BTreeMap<String, i64>) -> Self {
        let calls = rate.requests.iter().map(|bucket| (Unit::Call, *bucket));
        let items = rate.urls.iter().map(|bucket| (Unit::Item, *bucket));
        let meters = calls.chain(items).map(|(unit, bucket)| {
            let unit_name = if unit == Unit::Call {
                "requests"
            } else {
                "urls"
            };
            let name = format!("{unit_name} {}/{}ms", bucket.burst, bucket.period_ms);
            let arrival_us = arrivals.get(&name).copied().unwrap_or(0);
            Meter {
                name,
                unit,
                bucket,
                arrival_us,
            }
        });
        Self {
            meters: meters.collect(),
        }
    }

    /// What is to be stored, by bucket.
    pub fn arrivals(&self) -> BTreeMap<String, i64> {
        self.meters
            .iter()
            .map(|meter| (meter.name.clone(), meter.arrival_us))
            .collect()
    }

    /// The most items one call may ever carry.
    pub fn max_items(&self, class: Class) -> u64 {
        let items = self.meters.iter().filter(|meter| meter.unit == Unit::Item);
        items
            .map(|meter| meter.usable(class))
            .min()
            .unwrap_or(u64::MAX)
    }

    /// When a call with `items` may go, milliseconds since the epoch; `now_ms`
    /// or earlier means at once.
    pub fn earliest_ms(&self, class: Class, items: u64, now_ms: i64) -> i64 {
        let times = self
            .meters
            .iter()
            .map(|meter| meter.earliest_us(class, items, now_ms * 1000));
        // Rounded up: a millisecond early is a token too many.
        times.max().map_or(now_ms, |us| {
            us.div_euclid(1000) + i64::from(us.rem_euclid(1000) > 0)
        })
    }

    /// Takes a call with `items` out of every bucket; never given back.
    pub fn debit(&mut self, items: u64, now_ms: i64) {
        for meter in &mut self.meters {
            meter.arrival_us = meter.after_us(items, now_ms * 1000);
        }
    }

    /// What is left for planned work now, as items or calls by bucket.
    pub fn remaining(&self, now_ms: i64) -> BTreeMap<String, u64> {
        let left = |meter: &Meter| {
            let ahead_us = (meter.arrival_us - now_ms * 1000).max(0);
            let used = u128::from(ahead_us.unsigned_abs()) * u128::from(meter.bucket.burst)
                / (u128::from(meter.bucket.period_ms) * 1000);
            meter.bucket.burst.saturating_sub(used as u64)
        };
        self.meters
            .iter()
            .map(|meter| (meter.name.clone(), left(meter)))
            .collect()
    }
}

impl Meter {
    fn cost(&self, items: u64) -> u64 {
        match self.unit {
            Unit::Call => 1,
            Unit::Item => items,
        }
    }

    fn usable(&self, class: Class) -> u64 {
        match class {
            // Of a bucket of one, the forced can only be first in line.
            Class::Planned if self.bucket.burst > 1 => {
                self.bucket.burst - (self.bucket.burst / 10).max(1)
            }
            Class::Planned | Class::Forced => self.bucket.burst,
        }
    }

    fn span_us(&self, tokens: u64) -> i64 {
        let period_us = u128::from(self.bucket.period_ms) * 1000;
        let span = (u128::from(tokens) * period_us).div_ceil(u128::from(self.bucket.burst));
        i64::try_from(span).unwrap_or(i64::MAX / 4)
    }

    fn after_us(&self, items: u64, now_us: i64) -> i64 {
        self.arrival_us
            .max(now_us)
            .saturating_add(self.span_us(self.cost(items)))
    }

    fn earliest_us(&self, class: Class, items: u64, now_us: i64) -> i64 {
        let usable = self.usable(class);
        // A batch journalled under a larger bucket must not wait for ever.
        self.after_us(items.min(usable), now_us)
            .saturating_sub(self.span_us(usable))
    }
}

/// How long `calls` with `items` in all take at `rate`, from full buckets, in
/// milliseconds.
pub fn duration_ms(rate: &RateLimit, calls: u64, items: u64) -> u64 {
    let span = |bucket: &Bucket, tokens: u64| {
        let beyond = tokens.saturating_sub(bucket.burst);
        (u128::from(beyond) * u128::from(bucket.period_ms)).div_ceil(u128::from(bucket.burst))
            as u64
    };
    let by_call = rate.requests.iter().map(|bucket| span(bucket, calls));
    let by_item = rate.urls.iter().map(|bucket| span(bucket, items));
    by_call.chain(by_item).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(requests: &[(u64, u64)], urls: &[(u64, u64)]) -> RateLimit {
        let buckets = |pairs: &[(u64, u64)]| {
            pairs
                .iter()
                .map(|&(burst, period_ms)| Bucket { burst, period_ms })
                .collect()
        };
        RateLimit {
            requests: buckets(requests),
            urls: buckets(urls),
        }
    }

    /// Sends as early as allowed and returns the times.
    fn departures(budget: &mut Budget, class: Class, items: u64, count: usize) -> Vec<i64> {
        let mut now = 0;
        let mut times = Vec::new();
        for _ in 0..count {
            now = budget.earliest_ms(class, items, now).max(now);
            budget.debit(items, now);
            times.push(now);
        }
        times
    }

    #[test]
    fn a_burst_but_for_one_goes_at_once_and_the_rest_at_the_rate() {
        let mut budget = Budget::new(&rate(&[(6, 60_000)], &[]), &BTreeMap::new());
        let times = departures(&mut budget, Class::Planned, 1000, 8);
        assert_eq!(times, [0, 0, 0, 0, 0, 10_000, 20_000, 30_000]);
    }

    #[test]
    fn a_tenth_is_kept_for_the_forced() {
        let mut budget = Budget::new(&rate(&[], &[(20_000, 3_600_000)]), &BTreeMap::new());
        let times = departures(&mut budget, Class::Planned, 1000, 19);
        assert_eq!(times[17], 0);
        assert_eq!(times[18], 180_000);
        assert_eq!(
            departures(&mut budget, Class::Forced, 1000, 1),
            [180_000 - 180_000]
        );
    }

    #[test]
    fn a_stored_budget_goes_on_where_it_was() {
        let rate = rate(&[(2, 1000)], &[]);
        let mut budget = Budget::new(&rate, &BTreeMap::new());
        departures(&mut budget, Class::Forced, 1, 2);
        let budget = Budget::new(&rate, &budget.arrivals());
        assert_eq!(budget.earliest_ms(Class::Forced, 1, 0), 500);
        assert_eq!(budget.earliest_ms(Class::Planned, 1, 0), 1000);
        assert_eq!(
            budget.remaining(0).values().copied().collect::<Vec<_>>(),
            [0]
        );
        assert_eq!(
            budget.remaining(500).values().copied().collect::<Vec<_>>(),
            [1]
        );
    }

    #[test]
    fn an_estimate_names_the_slowest_bucket() {
        let rate = rate(
            &[(6, 60_000)],
            &[(20_000, 3_600_000), (200_000, 86_400_000)],
        );
        assert_eq!(duration_ms(&rate, 6, 6000), 0);
        assert_eq!(duration_ms(&rate, 680, 680_000), 480_000 * 86_400 / 200);
    }
}
