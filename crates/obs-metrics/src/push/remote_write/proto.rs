//! The messages of Prometheus remote write 1.0, with the histograms and exemplars that were added to them.
//!
//! <https://github.com/prometheus/prometheus/blob/main/prompb/remote.proto> and `types.proto` beside it.

/// What one request carries.
#[derive(Clone, PartialEq, prost::Message)]
pub struct WriteRequest {
    /// Samples, series by series.
    #[prost(message, repeated, tag = "1")]
    pub timeseries: Vec<TimeSeries>,
    /// What metrics mean.
    #[prost(message, repeated, tag = "3")]
    pub metadata: Vec<MetricMetadata>,
}

/// One series and its samples.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TimeSeries {
    /// The labels with `__name__`, in order of name.
    #[prost(message, repeated, tag = "1")]
    pub labels: Vec<Label>,
    /// The samples, by rising time.
    #[prost(message, repeated, tag = "2")]
    pub samples: Vec<Sample>,
    /// Exemplars, by rising time.
    #[prost(message, repeated, tag = "3")]
    pub exemplars: Vec<Exemplar>,
    /// The samples of a native histogram, by rising time.
    #[prost(message, repeated, tag = "4")]
    pub histograms: Vec<Histogram>,
}

/// One label.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Label {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its value.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// One value at one time.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Sample {
    /// The value.
    #[prost(double, tag = "1")]
    pub value: f64,
    /// Milliseconds since 1970.
    #[prost(int64, tag = "2")]
    pub timestamp: i64,
}

/// One observation that leads to more about it.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Exemplar {
    /// Its own labels, such as a trace id.
    #[prost(message, repeated, tag = "1")]
    pub labels: Vec<Label>,
    /// What was observed.
    #[prost(double, tag = "2")]
    pub value: f64,
    /// Milliseconds since 1970.
    #[prost(int64, tag = "3")]
    pub timestamp: i64,
}

/// A row of buckets without a gap.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct BucketSpan {
    /// Empty buckets since the row before; of the first row the index of its first bucket.
    #[prost(sint32, tag = "1")]
    pub offset: i32,
    /// How many buckets it has.
    #[prost(uint32, tag = "2")]
    pub length: u32,
}

/// A native histogram at one time, with whole counts. What a histogram of floats has is not among the fields.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Histogram {
    /// How many observations there were.
    #[prost(uint64, optional, tag = "1")]
    pub count_int: Option<u64>,
    /// Their sum.
    #[prost(double, tag = "3")]
    pub sum: f64,
    /// Each bound is `2^(2^-schema)` times the one before.
    #[prost(sint32, tag = "4")]
    pub schema: i32,
    /// How far the zero bucket reaches.
    #[prost(double, tag = "5")]
    pub zero_threshold: f64,
    /// How many observations are in the zero bucket.
    #[prost(uint64, optional, tag = "6")]
    pub zero_count_int: Option<u64>,
    /// Where the buckets of negative observations are.
    #[prost(message, repeated, tag = "8")]
    pub negative_spans: Vec<BucketSpan>,
    /// Their counts, each as the difference from the one before.
    #[prost(sint64, repeated, tag = "9")]
    pub negative_deltas: Vec<i64>,
    /// Where the buckets of positive observations are.
    #[prost(message, repeated, tag = "11")]
    pub positive_spans: Vec<BucketSpan>,
    /// Their counts, each as the difference from the one before.
    #[prost(sint64, repeated, tag = "12")]
    pub positive_deltas: Vec<i64>,
    /// Milliseconds since 1970.
    #[prost(int64, tag = "15")]
    pub timestamp: i64,
}

/// What one metric means.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct MetricMetadata {
    /// Its type.
    #[prost(enumeration = "MetricType", tag = "1")]
    pub r#type: i32,
    /// The name of the family.
    #[prost(string, tag = "2")]
    pub metric_family_name: String,
    /// What it measures.
    #[prost(string, tag = "4")]
    pub help: String,
    /// Its unit.
    #[prost(string, tag = "5")]
    pub unit: String,
}

/// The types that metadata can give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum MetricType {
    /// Nobody said.
    Unknown = 0,
    /// A total.
    Counter = 1,
    /// A value.
    Gauge = 2,
    /// Observations counted by size.
    Histogram = 3,
}
