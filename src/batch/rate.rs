//! Rates: the generic cell rate algorithm as a pure function of one stored
//! timestamp per bucket.

use std::collections::BTreeMap;

use crate::manifest::{Bucket, RateLimit};

/// Who asks: a tenth of every bucket is kept for the forced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Work of a plan, and its repeats.
    Planned,
    /// What has left its set: ahead of the plan, and no more urgent than it.
    Removed,
    /// Work that somebody asked for with `invalidate`.
    Forced,
}

/// What a bucket counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Each call is one.
    Call,
    /// Each item of a call is one.
    Item,
}

/// A bucket, and what is left in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// As the state and metrics name it.
    pub name: String,
    /// What it counts.
    pub unit: Unit,
    /// As declared.
    pub bucket: Bucket,
    /// Calls or items that are left for now.
    pub tokens: u64,
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
    /// The buckets of `rate`, as full as `arrivals` (from [`Budget::arrivals`])
    /// say. A bucket that was declared otherwise then is as full, in parts of
    /// the whole, as that with the nearest period was: however often a rate is
    /// edited, nothing is given back.
    pub fn new(rate: &RateLimit, arrivals: &BTreeMap<String, i64>, now_ms: i64) -> Self {
        let calls = rate.requests.iter().map(|bucket| (Unit::Call, *bucket));
        let items = rate.urls.iter().map(|bucket| (Unit::Item, *bucket));
        let meters = calls.chain(items).map(|(unit, bucket)| {
            let mut meter = Meter {
                name: unit.name(bucket),
                unit,
                bucket,
                arrival_us: 0,
            };
            meter.arrival_us = meter.carried_us(arrivals, now_ms * 1000);
            meter
        });
        Self {
            meters: meters.collect(),
        }
    }

    /// The buckets of `rate`, all of them full.
    pub fn full(rate: &RateLimit) -> Self {
        Self::new(rate, &BTreeMap::new(), 0)
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
        times.max().map_or(now_ms, ms_rounded_up)
    }

    /// When the last of so many planned calls, with `items` in all, may go, in
    /// milliseconds since the epoch; `now_ms` or earlier means at once.
    pub fn last_ms(&self, calls: u64, items: u64, now_ms: i64) -> i64 {
        let times = self.meters.iter().map(|meter| {
            let tokens = match meter.unit {
                Unit::Call => calls,
                Unit::Item => items,
            };
            let arrival_us = meter.arrival_us.max(now_ms * 1000);
            let usable = meter.usable(Class::Planned);
            arrival_us
                .saturating_add(meter.span_us(tokens))
                .saturating_sub(meter.span_us(usable))
        });
        times.max().map_or(now_ms, ms_rounded_up)
    }

    /// Takes a call with `items` out of every bucket; never given back.
    pub fn debit(&mut self, items: u64, now_ms: i64) {
        for meter in &mut self.meters {
            meter.arrival_us = meter.after_us(items, now_ms * 1000);
        }
    }

    /// The clock was set back by so much: what is used up stays so for no longer.
    pub fn clock_set_back(&mut self, by_ms: i64) {
        for meter in &mut self.meters {
            meter.arrival_us = meter.arrival_us.saturating_sub(by_ms.saturating_mul(1000));
        }
    }

    /// What is left for planned work now, by bucket.
    pub fn remaining(&self, now_ms: i64) -> Vec<Left> {
        let left = |meter: &Meter| {
            let ahead_us = (meter.arrival_us - now_ms * 1000).max(0);
            // A token that is not yet whole is none.
            let used = (u128::from(ahead_us.unsigned_abs()) * u128::from(meter.bucket.burst))
                .div_ceil(u128::from(meter.bucket.period_ms) * 1000);
            Left {
                name: meter.name.clone(),
                unit: meter.unit,
                bucket: meter.bucket,
                tokens: meter.bucket.burst.saturating_sub(used as u64),
            }
        };
        self.meters.iter().map(left).collect()
    }
}

/// A millisecond early is a token too many.
fn ms_rounded_up(us: i64) -> i64 {
    us.div_euclid(1000) + i64::from(us.rem_euclid(1000) > 0)
}

impl Unit {
    /// How the state and people know a bucket of this unit.
    fn name(self, bucket: Bucket) -> String {
        let unit = self.dimension();
        format!("{unit} {}/{}ms", bucket.burst, bucket.period_ms)
    }

    fn dimension(self) -> &'static str {
        match self {
            Self::Call => "requests",
            Self::Item => "urls",
        }
    }

    /// The period in a name that [`Unit::name`] gave, if it is of this unit.
    fn period_ms(self, name: &str) -> Option<u64> {
        let (unit, bucket) = name.split_once(' ')?;
        let (_, period) = bucket.split_once('/')?;
        let period_ms = period.strip_suffix("ms")?.parse().ok()?;
        (unit == self.dimension() && period_ms > 0).then_some(period_ms)
    }
}

impl Meter {
    /// What `arrivals` come to in this bucket: never more than a whole one.
    fn carried_us(&self, arrivals: &BTreeMap<String, i64>, now_us: i64) -> i64 {
        let own_ms = self.bucket.period_ms;
        let stored = |name: &String, arrival_us: &i64| {
            let period_ms = self.unit.period_ms(name)?;
            let distance = period_ms.max(own_ms) as f64 / period_ms.min(own_ms) as f64;
            Some((*name != self.name, distance, period_ms, *arrival_us))
        };
        let nearest = arrivals
            .iter()
            .filter_map(|(name, arrival_us)| stored(name, arrival_us))
            .min_by(|a, b| {
                let distance = a.0.cmp(&b.0).then(a.1.total_cmp(&b.1));
                distance.then(b.3.cmp(&a.3))
            });
        let Some((_, _, period_ms, arrival_us)) = nearest else {
            return 0;
        };
        let debt_us = u128::from(arrival_us.saturating_sub(now_us).max(0).unsigned_abs());
        let debt_us = (debt_us * u128::from(own_ms)).div_ceil(u128::from(period_ms));
        let whole_us = u128::from(own_ms) * 1000;
        now_us.saturating_add(i64::try_from(debt_us.min(whole_us)).unwrap_or(i64::MAX / 4))
    }

    fn cost(&self, items: u64) -> u64 {
        match self.unit {
            Unit::Call => 1,
            Unit::Item => items,
        }
    }

    fn usable(&self, class: Class) -> u64 {
        match class {
            // Of a bucket of one, the forced can only be first in line.
            Class::Planned | Class::Removed if self.bucket.burst > 1 => {
                self.bucket.burst - (self.bucket.burst / 10).max(1)
            }
            Class::Planned | Class::Removed | Class::Forced => self.bucket.burst,
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
        let mut budget = Budget::full(&rate(&[(6, 60_000)], &[]));
        let times = departures(&mut budget, Class::Planned, 1000, 8);
        assert_eq!(times, [0, 0, 0, 0, 0, 10_000, 20_000, 30_000]);
    }

    #[test]
    fn a_tenth_is_kept_for_the_forced() {
        let mut budget = Budget::full(&rate(&[], &[(20_000, 3_600_000)]));
        let times = departures(&mut budget, Class::Planned, 1000, 19);
        assert_eq!(times[17], 0);
        assert_eq!(times[18], 180_000);
        assert_eq!(
            departures(&mut budget, Class::Forced, 1000, 1),
            [180_000 - 180_000]
        );
    }

    #[test]
    fn one_call_is_kept_for_the_forced_even_of_a_small_bucket() {
        let check = |burst: u64, planned: usize| {
            let mut budget = Budget::full(&rate(&[(burst, 60_000)], &[]));
            let times = departures(&mut budget, Class::Planned, 1, planned + 1);
            assert_eq!(times[planned - 1], 0, "{burst}");
            assert!(times[planned] > 0, "{burst}");
            let mut budget = Budget::full(&rate(&[(burst, 60_000)], &[]));
            departures(&mut budget, Class::Planned, 1, planned);
            let is_now = departures(&mut budget, Class::Forced, 1, 1) == [0];
            assert_eq!(is_now, burst > 1, "{burst}");
        };
        check(1, 1);
        check(2, 1);
        check(6, 5);
        check(30, 27);
    }

    #[test]
    fn a_stored_budget_goes_on_where_it_was() {
        let rate = rate(&[(2, 1000)], &[]);
        let mut budget = Budget::full(&rate);
        departures(&mut budget, Class::Forced, 1, 2);
        let budget = Budget::new(&rate, &budget.arrivals(), 0);
        assert_eq!(budget.earliest_ms(Class::Forced, 1, 0), 500);
        assert_eq!(budget.earliest_ms(Class::Planned, 1, 0), 1000);
        assert_eq!(left(&budget, 0), [0]);
        assert_eq!(left(&budget, 499), [0]);
        assert_eq!(left(&budget, 500), [1]);
    }

    fn left(budget: &Budget, now_ms: i64) -> Vec<u64> {
        let left = budget.remaining(now_ms).into_iter();
        left.map(|left| left.tokens).collect()
    }

    /// That buckets emptied to `left` of `before` hold `expected` after an edit.
    fn check_edited(before: &RateLimit, used: u64, after: &RateLimit, expected: &[u64]) {
        let now_ms = 1_800_000_000_000;
        let mut budget = Budget::full(before);
        for _ in 0..used {
            budget.debit(1, now_ms);
        }
        let edited = Budget::new(after, &budget.arrivals(), now_ms);
        assert_eq!(left(&edited, now_ms), expected, "{before:?} to {after:?}");
        let back = Budget::new(before, &edited.arrivals(), now_ms);
        assert!(
            left(&back, now_ms) <= left(&budget, now_ms),
            "an edit and its undoing give nothing back"
        );
    }

    #[test]
    fn an_edited_rate_is_as_full_as_the_one_before() {
        let calls = |buckets: &[(u64, u64)]| rate(buckets, &[]);
        let hourly = |burst| calls(&[(burst, 3_600_000)]);
        check_edited(&hourly(2), 2, &hourly(3), &[0]);
        check_edited(&hourly(2), 2, &hourly(1), &[0]);
        check_edited(&hourly(10), 5, &hourly(100), &[50]);
        check_edited(&hourly(10), 0, &hourly(100), &[100]);
        check_edited(&calls(&[(6, 60_000)]), 6, &hourly(360), &[0]);
        check_edited(&hourly(360), 360, &calls(&[(6, 60_000)]), &[0]);
    }

    #[test]
    fn of_several_buckets_that_of_the_nearest_period_counts() {
        let before = rate(&[], &[(10, 3_600_000), (100, 86_400_000)]);
        let after = rate(&[], &[(20, 3_600_000), (200, 80_000_000)]);
        // By name: "urls 20/…" comes before "urls 200/…".
        check_edited(&before, 10, &after, &[0, 180]);
    }

    #[test]
    fn a_clock_that_was_set_back_costs_no_more_than_a_whole_bucket() {
        let rate = rate(&[(6, 60_000)], &[]);
        let mut budget = Budget::full(&rate);
        budget.debit(1, 1_000_000_000);
        let budget = Budget::new(&rate, &budget.arrivals(), 0);
        assert_eq!(budget.earliest_ms(Class::Forced, 1, 0), 10_000);
    }

    #[test]
    fn the_slowest_bucket_says_when_the_last_call_goes() {
        let rate = rate(
            &[(6, 60_000)],
            &[(20_000, 3_600_000), (200_000, 86_400_000)],
        );
        let mut budget = Budget::full(&rate);
        assert_eq!(budget.last_ms(5, 5000, 0), 0);
        assert_eq!(budget.last_ms(6, 6000, 0), 10_000);
        assert_eq!(budget.last_ms(680, 680_000, 0), 500_000 * 86_400 / 200);
        let times = departures(&mut budget, Class::Planned, 1000, 30);
        assert_eq!(times[29], Budget::full(&rate).last_ms(30, 30_000, 0));
        assert_eq!(budget.last_ms(1, 1000, times[29]), times[29] + 180_000);
    }
}
