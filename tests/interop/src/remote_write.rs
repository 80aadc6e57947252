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
    #[prost(message, repeated, tag = "3")]
    exemplars: Vec<ProtoExemplar>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ProtoExemplar {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(double, tag = "2")]
    value: f64,
    #[prost(int64, tag = "3")]
    timestamp: i64,
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

/// An observation that stands for others.
#[derive(Clone, Copy, Debug)]
pub struct Exemplar<'a> {
    /// The labels that lead to more about it.
    pub labels: &'a [(&'a str, &'a str)],
    /// When, in milliseconds, and what was observed.
    pub point: Point,
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
    send_with_exemplars(
        address,
        series.into_iter().map(|(labels, points)| (labels, points, &[][..])),
    )
}

/// As [`send_series`], with the exemplars of each series.
///
/// # Panics
///
/// Nobody answers.
#[must_use]
pub fn send_with_exemplars<'a, L>(
    address: &str,
    series: impl IntoIterator<Item = (L, &'a [Point], &'a [Exemplar<'a>])>,
) -> Answer
where
    L: IntoIterator<Item = (&'a str, &'a str)>,
{
    let timeseries = series.into_iter().map(|(labels, points, exemplars)| TimeSeries {
        labels: labels.into_iter().map(label).collect(),
        samples: points
            .iter()
            .map(|(timestamp, value)| Sample { value: *value, timestamp: *timestamp })
            .collect(),
        exemplars: exemplars
            .iter()
            .map(|exemplar| ProtoExemplar {
                labels: exemplar.labels.iter().copied().map(label).collect(),
                value: exemplar.point.1,
                timestamp: exemplar.point.0,
            })
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

fn label((name, value): (&str, &str)) -> Label {
    Label { name: name.to_owned(), value: value.to_owned() }
}
