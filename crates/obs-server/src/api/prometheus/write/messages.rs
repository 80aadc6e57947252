//! The messages of remote write 1.0 as a generator for protobuf has them, for tests.

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ProstRequest {
    #[prost(message, repeated, tag = "1")]
    pub(crate) timeseries: Vec<ProstSeries>,
    #[prost(string, repeated, tag = "3")]
    pub(crate) metadata: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ProstSeries {
    #[prost(message, repeated, tag = "1")]
    pub(crate) labels: Vec<ProstLabel>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) samples: Vec<ProstSample>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) exemplars: Vec<ProstExemplar>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) histograms: Vec<ProstHistogram>,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct ProstLabel {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) value: String,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct ProstSample {
    #[prost(double, tag = "1")]
    pub(crate) value: f64,
    #[prost(int64, tag = "2")]
    pub(crate) timestamp: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ProstExemplar {
    #[prost(message, repeated, tag = "1")]
    pub(crate) labels: Vec<ProstLabel>,
    #[prost(double, tag = "2")]
    pub(crate) value: f64,
    #[prost(int64, tag = "3")]
    pub(crate) timestamp: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ProstHistogram {
    #[prost(uint64, optional, tag = "1")]
    pub(crate) count_int: Option<u64>,
    #[prost(double, optional, tag = "2")]
    pub(crate) count_float: Option<f64>,
    #[prost(double, tag = "3")]
    pub(crate) sum: f64,
    #[prost(sint32, tag = "4")]
    pub(crate) schema: i32,
    #[prost(double, tag = "5")]
    pub(crate) zero_threshold: f64,
    #[prost(uint64, optional, tag = "6")]
    pub(crate) zero_count_int: Option<u64>,
    #[prost(double, optional, tag = "7")]
    pub(crate) zero_count_float: Option<f64>,
    #[prost(message, repeated, tag = "8")]
    pub(crate) negative_spans: Vec<ProstSpan>,
    #[prost(sint64, repeated, tag = "9")]
    pub(crate) negative_deltas: Vec<i64>,
    #[prost(double, repeated, tag = "10")]
    pub(crate) negative_counts: Vec<f64>,
    #[prost(message, repeated, tag = "11")]
    pub(crate) positive_spans: Vec<ProstSpan>,
    #[prost(sint64, repeated, tag = "12")]
    pub(crate) positive_deltas: Vec<i64>,
    #[prost(double, repeated, tag = "13")]
    pub(crate) positive_counts: Vec<f64>,
    #[prost(int32, tag = "14")]
    pub(crate) reset_hint: i32,
    #[prost(int64, tag = "15")]
    pub(crate) timestamp: i64,
    #[prost(double, repeated, tag = "16")]
    pub(crate) custom_values: Vec<f64>,
}

#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct ProstSpan {
    #[prost(sint32, tag = "1")]
    pub(crate) offset: i32,
    #[prost(uint32, tag = "2")]
    pub(crate) length: u32,
}
