//! A client of Prometheus' remote write, protocol 1.0.

use prost::Message as _;

use crate::{Answer, request};

/// A time in milliseconds, and a value.
pub type Point = (i64, f64);

#[derive(Clone, PartialEq, prost::Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

/// Sends series with their points to the server at `address`.
///
/// # Panics
///
/// Nobody answers.
#[must_use]
pub fn send_series<'a, L>(
    address: &str,
    series: impl IntoIterator<Item = (L, &'a [Point])>,
) -> Answer
where
    L: IntoIterator<Item = (&'a str, &'a str)>,
{
    let timeseries = series.into_iter().map(|(labels, points)| TimeSeries {
        labels: labels
            .into_iter()
            .map(|(name, value)| Label { name: name.to_owned(), value: value.to_owned() })
            .collect(),
        samples: points
            .iter()
            .map(|(timestamp, value)| Sample { value: *value, timestamp: *timestamp })
            .collect(),
    });
    let message = WriteRequest { timeseries: timeseries.collect() }.encode_to_vec();
    let body = match snap::raw::Encoder::new().compress_vec(&message) {
        Ok(body) => body,
        Err(error) => panic!("the message cannot be compressed: {error}"),
    };
    let headers = [
        ("Content-Type", "application/x-protobuf"),
        ("Content-Encoding", "snappy"),
        ("X-Prometheus-Remote-Write-Version", "0.1.0"),
    ];
    match request(address, "POST", "/api/v1/write", &headers, &body) {
        Some(answer) => answer,
        None => panic!("{address} does not answer"),
    }
}
