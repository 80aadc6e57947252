//! The messages of Prometheus's protobuf exposition, `io.prometheus.client`.
//!
//! <https://github.com/prometheus/client_model/blob/master/io/prometheus/client/metrics.proto>

/// One label.
#[derive(Clone, PartialEq, prost::Message)]
pub struct LabelPair {
    /// Its name.
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    /// Its value.
    #[prost(string, optional, tag = "2")]
    pub value: Option<String>,
}

/// What the metrics of a family mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum MetricType {
    /// A total; the field `counter` is set.
    Counter = 0,
    /// A value; the field `gauge` is set.
    Gauge = 1,
    /// Quantiles; the field `summary` is set.
    Summary = 2,
    /// Nobody said; the field `untyped` is set.
    Untyped = 3,
    /// Observations counted by size; the field `histogram` is set.
    Histogram = 4,
    /// Present values counted by size; the field `histogram` is set.
    GaugeHistogram = 5,
}

/// A moment, as `google.protobuf.Timestamp`.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Timestamp {
    /// Seconds since 1970.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// What is left, never negative.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

impl From<obs_model::Timestamp> for Timestamp {
    fn from(time: obs_model::Timestamp) -> Self {
        let millis = time.as_millis();
        // OK because the rest is below a thousand.
        let nanos = millis.rem_euclid(1_000) as i32 * 1_000_000;
        Self { seconds: millis.div_euclid(1_000), nanos }
    }
}

/// A value that goes up and down.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Gauge {
    /// The value.
    #[prost(double, optional, tag = "1")]
    pub value: Option<f64>,
}

/// A total.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Counter {
    /// The total.
    #[prost(double, optional, tag = "1")]
    pub value: Option<f64>,
    /// One increment that stands for the others.
    #[prost(message, optional, tag = "2")]
    pub exemplar: Option<Exemplar>,
    /// When it began at zero.
    #[prost(message, optional, tag = "3")]
    pub created_timestamp: Option<Timestamp>,
}

/// A quantile of a summary.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Quantile {
    /// From 0 to 1.
    #[prost(double, optional, tag = "1")]
    pub quantile: Option<f64>,
    /// The value at that quantile.
    #[prost(double, optional, tag = "2")]
    pub value: Option<f64>,
}

/// Quantiles computed by the exposer.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Summary {
    /// How many observations there were.
    #[prost(uint64, optional, tag = "1")]
    pub sample_count: Option<u64>,
    /// Their sum.
    #[prost(double, optional, tag = "2")]
    pub sample_sum: Option<f64>,
    /// The quantiles.
    #[prost(message, repeated, tag = "3")]
    pub quantile: Vec<Quantile>,
    /// When it began at zero.
    #[prost(message, optional, tag = "4")]
    pub created_timestamp: Option<Timestamp>,
}

/// A value of which nobody said what it means.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Untyped {
    /// The value.
    #[prost(double, optional, tag = "1")]
    pub value: Option<f64>,
}

/// Observations counted by size: in fixed buckets, in native ones, or both.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Histogram {
    /// How many observations there were.
    #[prost(uint64, optional, tag = "1")]
    pub sample_count: Option<u64>,
    /// The same of a histogram of floats.
    #[prost(double, optional, tag = "4")]
    pub sample_count_float: Option<f64>,
    /// The sum of all observations.
    #[prost(double, optional, tag = "2")]
    pub sample_sum: Option<f64>,
    /// The fixed buckets, by rising bound; the one of `+Inf` may be left out.
    #[prost(message, repeated, tag = "3")]
    pub bucket: Vec<Bucket>,
    /// When it began at zero.
    #[prost(message, optional, tag = "15")]
    pub created_timestamp: Option<Timestamp>,
    /// The resolution of the native buckets: each bound is `2^(2^-schema)` times the one before.
    #[prost(sint32, optional, tag = "5")]
    pub schema: Option<i32>,
    /// How far the zero bucket reaches.
    #[prost(double, optional, tag = "6")]
    pub zero_threshold: Option<f64>,
    /// How many observations are in the zero bucket.
    #[prost(uint64, optional, tag = "7")]
    pub zero_count: Option<u64>,
    /// The same of a histogram of floats.
    #[prost(double, optional, tag = "8")]
    pub zero_count_float: Option<f64>,
    /// Where the native buckets of negative observations are.
    #[prost(message, repeated, tag = "9")]
    pub negative_span: Vec<BucketSpan>,
    /// Their counts, each as the difference from the one before.
    #[prost(sint64, repeated, tag = "10")]
    pub negative_delta: Vec<i64>,
    /// Their counts in a histogram of floats.
    #[prost(double, repeated, tag = "11")]
    pub negative_count: Vec<f64>,
    /// Where the native buckets of positive observations are.
    #[prost(message, repeated, tag = "12")]
    pub positive_span: Vec<BucketSpan>,
    /// Their counts, each as the difference from the one before.
    #[prost(sint64, repeated, tag = "13")]
    pub positive_delta: Vec<i64>,
    /// Their counts in a histogram of floats.
    #[prost(double, repeated, tag = "14")]
    pub positive_count: Vec<f64>,
    /// Exemplars of the native buckets.
    #[prost(message, repeated, tag = "16")]
    pub exemplars: Vec<Exemplar>,
}

/// One fixed bucket.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Bucket {
    /// How many observations are at most the bound.
    #[prost(uint64, optional, tag = "1")]
    pub cumulative_count: Option<u64>,
    /// The same of a histogram of floats.
    #[prost(double, optional, tag = "4")]
    pub cumulative_count_float: Option<f64>,
    /// The bound, which belongs to the bucket.
    #[prost(double, optional, tag = "2")]
    pub upper_bound: Option<f64>,
    /// One observation that stands for the others.
    #[prost(message, optional, tag = "3")]
    pub exemplar: Option<Exemplar>,
}

/// A row of native buckets without a gap.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct BucketSpan {
    /// Empty buckets since the row before; of the first row the index of its first bucket.
    #[prost(sint32, optional, tag = "1")]
    pub offset: Option<i32>,
    /// How many buckets it has.
    #[prost(uint32, optional, tag = "2")]
    pub length: Option<u32>,
}

/// One observation that stands for others, with what leads to more about it.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Exemplar {
    /// Its own labels, such as a trace id.
    #[prost(message, repeated, tag = "1")]
    pub label: Vec<LabelPair>,
    /// What was observed.
    #[prost(double, optional, tag = "2")]
    pub value: Option<f64>,
    /// When.
    #[prost(message, optional, tag = "3")]
    pub timestamp: Option<Timestamp>,
}

/// One series; for a histogram all of its buckets.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Metric {
    /// The labels.
    #[prost(message, repeated, tag = "1")]
    pub label: Vec<LabelPair>,
    /// The value of a gauge.
    #[prost(message, optional, tag = "2")]
    pub gauge: Option<Gauge>,
    /// The value of a counter.
    #[prost(message, optional, tag = "3")]
    pub counter: Option<Counter>,
    /// The value of a summary.
    #[prost(message, optional, tag = "4")]
    pub summary: Option<Summary>,
    /// A value without a type.
    #[prost(message, optional, tag = "5")]
    pub untyped: Option<Untyped>,
    /// The value of a histogram.
    #[prost(message, optional, tag = "7")]
    pub histogram: Option<Histogram>,
    /// Milliseconds since 1970, if the value is not of the present.
    #[prost(int64, optional, tag = "6")]
    pub timestamp_ms: Option<i64>,
}

/// All series of one name.
#[derive(Clone, PartialEq, prost::Message)]
pub struct MetricFamily {
    /// The name, `_total` included.
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    /// What it measures.
    #[prost(string, optional, tag = "2")]
    pub help: Option<String>,
    /// What its values mean.
    #[prost(enumeration = "MetricType", optional, tag = "3")]
    pub r#type: Option<i32>,
    /// The series.
    #[prost(message, repeated, tag = "4")]
    pub metric: Vec<Metric>,
    /// The unit.
    #[prost(string, optional, tag = "5")]
    pub unit: Option<String>,
}
