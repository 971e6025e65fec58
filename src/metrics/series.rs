//! Samples of one name, told apart by their labels.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::histogram::Histogram;

/// What a name can count.
pub(super) trait Sample {
    const TYPE: MetricType;

    fn encode(&self, encoder: MetricEncoder<'_>) -> fmt::Result;
}

impl Sample for f64 {
    const TYPE: MetricType = MetricType::Gauge;

    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        encoder.encode_gauge(self)
    }
}

impl Sample for u64 {
    const TYPE: MetricType = MetricType::Counter;

    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        encoder.encode_counter::<NoLabelSet, _, u64>(self, None)
    }
}

impl Sample for Histogram {
    const TYPE: MetricType = MetricType::Histogram;

    fn encode(&self, encoder: MetricEncoder<'_>) -> fmt::Result {
        EncodeMetric::encode(self, encoder)
    }
}

/// A family whose series come in order, are replaced as one, and go when what
/// they tell of is gone: the library's own family can do none of these.
#[derive(Debug)]
pub(super) struct Series<L, V>(Arc<RwLock<BTreeMap<L, V>>>);

impl<L, V> Clone for Series<L, V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<L, V> Default for Series<L, V> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<L: Ord, V> Series<L, V> {
    /// Sets the value of one series.
    pub(super) fn set(&self, labels: L, value: V) {
        self.write().insert(labels, value);
    }

    /// Keeps only the series that `is_kept` names.
    pub(super) fn retain(&self, is_kept: impl Fn(&L) -> bool) {
        self.write().retain(|labels, _| is_kept(labels));
    }

    /// Puts `values` in the place of every series that `is_kept` does not name.
    pub(super) fn replace(&self, mut values: BTreeMap<L, V>, is_kept: impl Fn(&L) -> bool) {
        let mut series = self.write();
        series.retain(|labels, _| is_kept(labels));
        // Made of two sorted ones, its nodes are full.
        series.append(&mut values);
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<L, V>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<L, V>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<L: Ord> Series<L, u64> {
    /// Adds to one series, which starts at 0.
    pub(super) fn add(&self, labels: L, count: u64) {
        *self.write().entry(labels).or_default() += count;
    }
}

impl<L: Ord> Series<L, Histogram> {
    /// Notes one duration in seconds.
    pub(super) fn observe(&self, labels: L, seconds: f64, bounds: &[f64]) {
        let mut series = self.write();
        let histogram = series
            .entry(labels)
            .or_insert_with(|| Histogram::new(bounds.iter().copied()));
        histogram.observe(seconds);
    }
}

impl<L, V> EncodeMetric for Series<L, V>
where
    L: EncodeLabelSet + Ord,
    V: Sample,
{
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        self.read()
            .iter()
            .try_for_each(|(labels, value)| value.encode(encoder.encode_family(labels)?))
    }

    fn metric_type(&self) -> MetricType {
        V::TYPE
    }
}
