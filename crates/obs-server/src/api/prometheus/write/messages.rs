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
