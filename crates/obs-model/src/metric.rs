//! Samples and metric families: what a registry hands to an encoder or to the series store.

use std::sync::Arc;

use crate::{Labels, Timestamp};

/// One value of one series at one time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// When.
    pub timestamp: Timestamp,
    /// What.
    pub value: f64,
}

/// What the values of a family mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MetricKind {
    /// A total that only grows, and starts again at zero with the process.
    Counter,
    /// A value that goes up and down.
    Gauge,
    /// Observations counted by size.
    Histogram,
}

impl MetricKind {
    /// The word of the exposition format's `# TYPE` line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// All series of one metric name.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricFamily {
    /// The metric's name, `_total` included for counters that carry it.
    pub name: Arc<str>,
    /// What it measures, for people; empty when nobody described it.
    pub help: Arc<str>,
    /// What its values mean.
    pub kind: MetricKind,
    /// Its series, each label set once.
    pub points: Vec<MetricPoint>,
}

/// One series of a family and its present value.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricPoint {
    /// The labels without the metric's name.
    pub labels: Labels,
    /// The present value.
    pub value: MetricValue,
}

/// A present value, of the kind that its family says.
#[derive(Clone, Debug, PartialEq)]
pub enum MetricValue {
    /// A total.
    Counter(f64),
    /// A value.
    Gauge(f64),
    /// A histogram.
    Histogram(HistogramSnapshot),
}

/// The state of a histogram with fixed buckets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HistogramSnapshot {
    /// The buckets, by rising bound, the last one's bound `+Inf`; counts are cumulative.
    pub buckets: Vec<Bucket>,
    /// The sum of all observations.
    pub sum: f64,
    /// How many observations there were: the last bucket's count.
    pub count: u64,
    /// Observations that stand for the others of their bucket, each with the bucket's index; few have any.
    pub exemplars: Vec<(usize, Exemplar)>,
    /// The same observations in exponential buckets, if they are counted so, too.
    pub native: Option<Box<NativeBuckets>>,
}

/// One observation that stands for others.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// What leads to more about it, such as `trace_id`.
    pub labels: Labels,
    /// What was observed.
    pub value: f64,
    /// When.
    pub timestamp: Timestamp,
}

/// Exponential buckets, as in Prometheus' native histograms: those that have counts, by rising index, not cumulative.
///
/// Bucket `index` ends at `2^(index * 2^-schema)`; for negative observations, at that value below zero.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NativeBuckets {
    /// How fine the buckets are, from -4 to 8.
    pub schema: i32,
    /// Observations at most that far from zero are in the zero bucket.
    pub zero_threshold: f64,
    /// How many these are.
    pub zero_count: u64,
    /// Positive observations: index and count of each bucket.
    pub positive: Vec<(i32, u64)>,
    /// Negative observations: index and count of each bucket.
    pub negative: Vec<(i32, u64)>,
}

/// One bucket of a histogram.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// The largest observation that it counts (`le`), in the metric's unit.
    pub upper_bound: f64,
    /// How many observations were at most that.
    pub cumulative_count: u64,
}

/// Something that has series to read: a registry, a bridge to another library's, a test.
pub trait Gather: Send + Sync {
    /// Shows every family once, each with all its series as they are now, in order of name.
    ///
    /// One family is in memory at a time, so reading a large registry does not double it.
    fn gather(&self, visit: &mut dyn FnMut(&MetricFamily));
}
