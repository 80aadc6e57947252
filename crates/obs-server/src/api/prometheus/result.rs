//! The result of a query as JSON: in one piece, or piece by piece as the client takes it.

use std::io::Write as _;
use std::net::IpAddr;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use obs_query::ExemplarSeries;
use obs_query::promql::{MatrixSeries, QueryResult, QueryValue, SampleValue, VectorPoint};

use super::answer::{OPENING, close, json_response, truncated};
use super::json;
use super::pool::Place;

/// Up to this size an answer is made whole where the query was evaluated; a larger one is made while it is sent, so
/// that it never is in memory as text.
const WHOLE_BYTES: usize = 8 * 1_024 * 1_024;
/// About how much of a larger answer is made at a time.
const PIECE_BYTES: usize = 256 * 1_024;
/// From this size on it takes less time to compress an answer than to send it over a common network.
const COMPRESSED_FROM_BYTES: usize = 16 * 1_024;

/// A result on its way to become text.
struct Rendering {
    value: QueryValue,
    /// How many series have been written.
    written: usize,
    /// What follows the series.
    tail: Vec<u8>,
}

/// How long the parts of a query took, for those who ask.
pub(super) struct Timings {
    pub(super) queued: f64,
    pub(super) prepared: f64,
    pub(super) evaluated: f64,
}

impl Rendering {
    /// Begins: writes what comes before the series.
    fn begin(
        out: &mut Vec<u8>,
        result: QueryResult,
        query: &str,
        limit: usize,
        timings: Option<&Timings>,
    ) -> Self {
        let QueryResult { mut value, annotations, stats } = result;
        out.extend_from_slice(OPENING);
        out.extend_from_slice(b"{\"resultType\":");
        let kind = match &value {
            QueryValue::Scalar(_) => "scalar",
            QueryValue::String(..) => "string",
            QueryValue::Vector(_) => "vector",
            QueryValue::Matrix(_) => "matrix",
        };
        json::string(out, kind);
        out.extend_from_slice(b",\"result\":[");
        let located = |notes: &[obs_query::promql::Annotation]| -> Vec<String> {
            notes.iter().map(|note| note.located(query)).collect()
        };
        let mut warnings = located(annotations.warnings());
        if cut(&mut value, limit) {
            warnings.extend(truncated());
        }
        let mut tail = b"]".to_vec();
        if let Some(Timings { queued, prepared, evaluated }) = timings {
            let total = queued + prepared + evaluated;
            // OK because writing to a vector cannot fail.
            let _ = write!(
                tail,
                r#","stats":{{"timings":{{"evalTotalTime":{all:?},"resultSortTime":0,"queryPreparationTime":{prepared:?},"innerEvalTime":{evaluated:?},"execQueueTime":{queued:?},"execTotalTime":{total:?}}},"samples":{{"totalQueryableSamples":{read},"peakSamples":{peak}}}}}"#,
                all = prepared + evaluated,
                read = stats.samples_read,
                peak = stats.peak_samples,
            );
        }
        tail.push(b'}');
        close(&mut tail, &warnings, &located(annotations.infos()));
        Self { value, written: 0, tail }
    }

    /// Writes until there are `bytes` or there is nothing more to write, and says whether that is so.
    fn fill(&mut self, out: &mut Vec<u8>, bytes: usize) -> bool {
        match &self.value {
            QueryValue::Scalar(sample) => {
                json::timestamp(out, sample.timestamp);
                out.push(b',');
                json::quoted_scalar(out, sample.value);
            }
            QueryValue::String(at, text) => {
                json::timestamp(out, *at);
                out.push(b',');
                json::string(out, &text.to_lossy());
            }
            QueryValue::Vector(points) => {
                if !series(out, points, &mut self.written, bytes, point) {
                    return false;
                }
            }
            QueryValue::Matrix(rows) => {
                if !series(out, rows, &mut self.written, bytes, row) {
                    return false;
                }
            }
        }
        out.append(&mut self.tail);
        true
    }
}

/// Leaves out what is over the limit, and says whether there was something.
fn cut(value: &mut QueryValue, limit: usize) -> bool {
    if limit == 0 {
        return false;
    }
    let (before, after) = match value {
        QueryValue::Vector(points) => {
            let before = points.len();
            points.truncate(limit);
            (before, points.len())
        }
        QueryValue::Matrix(rows) => {
            let before = rows.len();
            rows.truncate(limit);
            (before, rows.len())
        }
        QueryValue::Scalar(_) | QueryValue::String(..) => (0, 0),
    };
    after < before
}

fn series<T>(
    out: &mut Vec<u8>,
    all: &[T],
    written: &mut usize,
    bytes: usize,
    write: impl Fn(&mut Vec<u8>, &T),
) -> bool {
    for one in &all[*written..] {
        if out.len() >= bytes {
            return false;
        }
        if *written > 0 {
            out.push(b',');
        }
        write(out, one);
        *written += 1;
    }
    true
}

fn point(out: &mut Vec<u8>, point: &VectorPoint) {
    out.extend_from_slice(b"{\"metric\":");
    json::labels(out, &point.labels);
    match &point.value {
        SampleValue::Float(value) => {
            out.extend_from_slice(b",\"value\":[");
            json::timestamp(out, point.timestamp);
            out.push(b',');
            json::quoted_number(out, *value);
        }
        SampleValue::Histogram(value) => {
            out.extend_from_slice(b",\"histogram\":[");
            json::timestamp(out, point.timestamp);
            out.push(b',');
            json::histogram(out, value);
        }
    }
    out.extend_from_slice(b"]}");
}

fn row(out: &mut Vec<u8>, row: &MatrixSeries) {
    out.extend_from_slice(b"{\"metric\":");
    json::labels(out, &row.labels);
    if !row.floats.is_empty() {
        out.extend_from_slice(b",\"values\":");
        json::array(out, &row.floats, |out, sample| {
            out.push(b'[');
            json::timestamp(out, sample.timestamp);
            out.push(b',');
            json::quoted_number(out, sample.value);
            out.push(b']');
        });
    }
    if !row.histograms.is_empty() {
        out.extend_from_slice(b",\"histograms\":");
        json::array(out, &row.histograms, |out, sample| {
            out.push(b'[');
            json::timestamp(out, sample.timestamp);
            out.push(b',');
            json::histogram(out, &sample.value);
            out.push(b']');
        });
    }
    out.push(b'}');
}

/// Writes exemplars, series by series.
pub(super) fn exemplars(out: &mut Vec<u8>, all: &[ExemplarSeries]) {
    json::array(out, all, |out, series| {
        out.extend_from_slice(b"{\"seriesLabels\":");
        json::labels(out, &series.labels);
        out.extend_from_slice(b",\"exemplars\":");
        json::array(out, &series.exemplars, |out, exemplar| {
            out.extend_from_slice(b"{\"labels\":");
            json::labels(out, &exemplar.labels);
            out.extend_from_slice(b",\"value\":");
            json::quoted_number(out, exemplar.value);
            out.extend_from_slice(b",\"timestamp\":");
            json::timestamp(out, exemplar.timestamp);
            out.push(b'}');
        });
        out.push(b'}');
    });
}

/// What of a request decides on how it is answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Channel {
    compresses: bool,
}

impl Channel {
    /// Compression costs more than it saves where the client is on the same machine.
    pub(super) fn of(headers: &HeaderMap, peer: Option<IpAddr>) -> Self {
        let asks = headers
            .get(header::ACCEPT_ENCODING)
            .and_then(|value| value.to_str().ok())
            .is_some_and(accepts_gzip);
        Self { compresses: asks && !peer.is_some_and(|peer| peer.to_canonical().is_loopback()) }
    }
}

fn accepts_gzip(value: &str) -> bool {
    value.split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let is_gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        is_gzip && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

/// Makes the answer. The place is kept until an answer that is made while it is sent is at its end, so that slow
/// clients cannot pile up results.
pub(super) fn respond(
    result: QueryResult,
    query: &str,
    limit: usize,
    timings: Option<&Timings>,
    channel: Channel,
    place: Place,
) -> Response {
    let mut out = Vec::with_capacity(1_024);
    let mut rendering = Rendering::begin(&mut out, result, query, limit, timings);
    if rendering.fill(&mut out, WHOLE_BYTES) {
        return whole(out, channel);
    }
    let pieces = futures_util::stream::unfold(Some((out, rendering, place)), |state| async {
        let (first, mut rendering, place) = state?;
        let mut next = Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 4);
        let is_done = rendering.fill(&mut next, PIECE_BYTES);
        let state = match (is_done, next.is_empty()) {
            (true, true) => None,
            _ => Some((next, rendering, place)),
        };
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(first)), state))
    });
    ([(header::CONTENT_TYPE, "application/json")], Body::from_stream(pieces)).into_response()
}

fn whole(body: Vec<u8>, channel: Channel) -> Response {
    if !channel.compresses || body.len() < COMPRESSED_FROM_BYTES {
        return json_response(body);
    }
    let packed = Vec::with_capacity(body.len() / 4);
    let mut encoder = flate2::write::GzEncoder::new(packed, flate2::Compression::fast());
    // OK because writing to a vector cannot fail; if it did, the answer would be sent as it is.
    match encoder.write_all(&body).and_then(|()| encoder.finish()) {
        Ok(packed) => {
            let mut response = json_response(packed);
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
            response
        }
        Err(_) => json_response(body),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use obs_model::{Labels, Sample, Timestamp};
    use obs_query::promql::{HistogramSample, NativeHistogram, QueryStats};

    use super::*;

    fn written(value: QueryValue) -> String {
        let result =
            QueryResult { value, annotations: Default::default(), stats: QueryStats::default() };
        let mut out = Vec::new();
        assert!(Rendering::begin(&mut out, result, "", 0, None).fill(&mut out, WHOLE_BYTES));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn native_histograms_stand_beside_numbers() {
        let at = Timestamp::from_millis(1_500);
        let labels = Labels::new([("__name__", "h")]).unwrap();
        let value = Arc::new(NativeHistogram { count: 2.0, sum: 3.0, ..Default::default() });
        let vector = VectorPoint {
            labels: labels.clone(),
            timestamp: at,
            value: SampleValue::Histogram(Arc::clone(&value)),
        };
        assert_eq!(
            written(QueryValue::Vector(vec![vector])),
            r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"h"},"histogram":[1.500,{"count":"2","sum":"3"}]}]}}"#
        );
        let matrix = MatrixSeries {
            labels,
            floats: vec![Sample { timestamp: at, value: 1.0 }],
            histograms: vec![HistogramSample { timestamp: at, value }],
        };
        assert_eq!(
            written(QueryValue::Matrix(vec![matrix])),
            r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"h"},"values":[[1.500,"1"]],"histograms":[[1.500,{"count":"2","sum":"3"}]]}]}}"#
        );
    }

    #[test]
    fn gzip_is_taken_where_it_is_not_refused() {
        for (value, expected) in [
            ("gzip", true),
            ("br, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip; q=0.0", false),
            ("identity", false),
            ("", false),
        ] {
            assert_eq!(accepts_gzip(value), expected, "{value:?}");
        }
    }
}
