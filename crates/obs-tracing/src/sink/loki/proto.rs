//! The messages of Loki's push API.
//!
//! The numbers are those of `pkg/push/push.proto` in <https://github.com/grafana/loki>. A `PushRequest` has its streams
//! in field 1, and a stream its labels in field 1 and its entries in field 2.

/// The field of a request that is a stream.
pub(super) const STREAM: u32 = 1;
/// The field of a stream that is its labels.
pub(super) const LABELS: u32 = 1;
/// The field of a stream that is an entry.
pub(super) const ENTRY: u32 = 2;

/// One line.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Entry {
    /// When it was written.
    #[prost(message, optional, tag = "1")]
    pub(super) timestamp: Option<Timestamp>,
    /// Its text.
    #[prost(string, tag = "2")]
    pub(super) line: String,
    /// What is known of it beside the text, without being indexed.
    #[prost(message, repeated, tag = "3")]
    pub(super) structured_metadata: Vec<Pair>,
}

/// `google.protobuf.Timestamp`.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(super) struct Timestamp {
    /// Seconds since 1970.
    #[prost(int64, tag = "1")]
    pub(super) seconds: i64,
    /// Nanoseconds of the second.
    #[prost(int32, tag = "2")]
    pub(super) nanos: i32,
}

/// One member of the structured metadata.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct Pair {
    /// Its name.
    #[prost(string, tag = "1")]
    pub(super) name: String,
    /// Its value.
    #[prost(string, tag = "2")]
    pub(super) value: String,
}
