//! From what the source holds to the data points of one round.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::Arc;

use flate2::write::GzEncoder;
use obs_delivery::Message;
use obs_model::{Labels, MetricKind, NativeBuckets, SpanId, Timestamp, TraceId};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, DataPointFlags, Exemplar, ExponentialHistogram,
    ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum, exemplar, exponential_histogram_data_point::Buckets,
    metric::Data, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;

use super::{Compression, OtlpConfig};
use crate::push::grid::{Export, Round};
use crate::push::outbox::Outbox;
use crate::push::source::{Head, Row, Source, Visit};
use crate::registry::Value;

/// What is kept between rounds.
pub(super) struct Encoder {
    config: OtlpConfig,
    source: Source,
    started: Timestamp,
    round: u64,
    /// The series of the last round, each with the number of the round and what it was.
    seen: HashMap<(Arc<str>, Labels), (u64, Shape)>,
}

/// What a series is in OTLP.
#[derive(Clone, Copy)]
enum Shape {
    Sum,
    Gauge,
    Histogram,
    Exponential,
}

impl Encoder {
    pub(super) fn new(config: OtlpConfig, source: Source) -> Self {
        let started = config.clock.now();
        Self { config, source, started, round: 0, seen: HashMap::new() }
    }
}

impl Export for Encoder {
    fn round(&mut self, at: Timestamp, _: Round, outbox: &mut dyn Outbox) {
        self.round += 1;
        let mut writer = Writer {
            requests: Requests::new(&self.config, outbox),
            seen: &mut self.seen,
            round: self.round,
            started: nanos(self.started),
            at: nanos(at),
        };
        self.source.visit(&mut writer);
        writer.mark_vanished();
        writer.requests.hand_on();
    }
}

/// Metrics that are put into requests of a bounded size.
struct Requests<'a> {
    config: &'a OtlpConfig,
    outbox: &'a mut dyn Outbox,
    resource: Resource,
    /// The metrics of the request; the last one takes more points.
    metrics: Vec<Metric>,
    points: usize,
    bytes: usize,
}

impl<'a> Requests<'a> {
    fn new(config: &'a OtlpConfig, outbox: &'a mut dyn Outbox) -> Self {
        let attributes =
            config.resource.attributes().map(|(name, value)| attribute(name, value)).collect();
        let resource = Resource { attributes, ..Resource::default() };
        Self { config, outbox, resource, metrics: Vec::new(), points: 0, bytes: 0 }
    }

    /// Counts a point of this encoded size; when it no longer fits, what there is goes first.
    fn make_room(&mut self, bytes: usize) {
        let is_full = self.points >= self.config.max_points_per_request
            || self.bytes + bytes > self.config.max_request_bytes;
        if self.points > 0 && is_full {
            // The metric goes on in the next request.
            let next = self.metrics.last().map(without_points);
            self.hand_on();
            self.metrics.extend(next);
        }
        self.points += 1;
        self.bytes += bytes;
    }

    fn hand_on(&mut self) {
        if self.points == 0 {
            self.metrics.clear();
            return;
        }
        let mut metrics = std::mem::take(&mut self.metrics);
        metrics.retain(|metric| !is_empty(metric));
        let scope = InstrumentationScope {
            name: "obskit".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        };
        let scope_metrics =
            vec![ScopeMetrics { scope: Some(scope), metrics, schema_url: String::new() }];
        let request = ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(self.resource.clone()),
                scope_metrics,
                schema_url: String::new(),
            }],
        };
        self.outbox.put(as_message(&request, self.config.compression), self.points as u64);
        (self.points, self.bytes) = (0, 0);
    }
}

fn as_message(request: &ExportMetricsServiceRequest, compression: Compression) -> Message {
    let body = request.encode_to_vec();
    let message = match compression {
        Compression::None => Message::new(body),
        Compression::Gzip => {
            let mut compressed = GzEncoder::new(Vec::new(), flate2::Compression::fast());
            // OK because writing to a vector cannot fail.
            let _ = compressed.write_all(&body);
            Message::new(compressed.finish().unwrap_or_default())
                .with_header("Content-Encoding", "gzip")
        }
    };
    message.with_content_type("application/x-protobuf")
}

/// Writes the points of one round.
struct Writer<'a> {
    requests: Requests<'a>,
    seen: &'a mut HashMap<(Arc<str>, Labels), (u64, Shape)>,
    round: u64,
    started: u64,
    at: u64,
}

/// One point of any sort.
enum Point {
    Number(NumberDataPoint),
    Histogram(HistogramDataPoint),
    Exponential(ExponentialHistogramDataPoint),
}

impl Writer<'_> {
    /// Adds a point to the metric that was begun last; when that is of another sort, begins one of the right sort.
    fn add(&mut self, point: Point) {
        let bytes = match &point {
            Point::Number(point) => point.encoded_len(),
            Point::Histogram(point) => point.encoded_len(),
            Point::Exponential(point) => point.encoded_len(),
        };
        self.requests.make_room(bytes);
        let Some(metric) = self.requests.metrics.last_mut() else { return };
        match (&mut metric.data, point) {
            (Some(Data::Sum(sum)), Point::Number(point)) => sum.data_points.push(point),
            (Some(Data::Gauge(gauge)), Point::Number(point)) => gauge.data_points.push(point),
            (Some(Data::Histogram(all)), Point::Histogram(point)) => all.data_points.push(point),
            (Some(Data::ExponentialHistogram(all)), Point::Exponential(point)) => {
                all.data_points.push(point);
            }
            // OK because `ready` has just made the metric one of the point's sort.
            _ => {}
        }
    }

    /// Makes the metric that was begun last one of this shape: of histograms it is known with the first point only.
    fn ready(&mut self, shape: Shape) {
        let Some(metric) = self.requests.metrics.last_mut() else { return };
        let is_ready = matches!(
            (&metric.data, shape),
            (Some(Data::Sum(_)), Shape::Sum)
                | (Some(Data::Gauge(_)), Shape::Gauge)
                | (Some(Data::Histogram(_)), Shape::Histogram)
                | (Some(Data::ExponentialHistogram(_)), Shape::Exponential)
        );
        if !is_ready {
            metric.data = Some(data(shape));
        }
    }

    /// Says of the series that were there in the round before and are not in this one that they have no value.
    fn mark_vanished(&mut self) {
        let round = self.round;
        let mut vanished = Vec::new();
        self.seen.retain(|key, (seen, shape)| {
            let stays = *seen == round;
            if !stays {
                vanished.push((key.clone(), *shape));
            }
            stays
        });
        let flags = DataPointFlags::NoRecordedValueMask as u32;
        for ((name, labels), shape) in vanished {
            let metric = Metric { name: name.to_string(), ..Metric::default() };
            self.requests.metrics.push(metric);
            self.ready(shape);
            let (attributes, time_unix_nano) = (attributes(&labels), self.at);
            self.add(match shape {
                Shape::Sum | Shape::Gauge => {
                    let point =
                        NumberDataPoint { attributes, time_unix_nano, flags, ..Default::default() };
                    Point::Number(point)
                }
                Shape::Histogram => {
                    let point = HistogramDataPoint {
                        attributes,
                        time_unix_nano,
                        flags,
                        ..Default::default()
                    };
                    Point::Histogram(point)
                }
                Shape::Exponential => Point::Exponential(ExponentialHistogramDataPoint {
                    attributes,
                    time_unix_nano,
                    flags,
                    ..Default::default()
                }),
            });
        }
    }

    fn number(&self, row: &Row<'_>, value: number_data_point::Value, start: u64) -> Point {
        Point::Number(NumberDataPoint {
            attributes: attributes(row.labels),
            start_time_unix_nano: start,
            time_unix_nano: self.at,
            value: Some(value),
            ..NumberDataPoint::default()
        })
    }
}

impl Visit for Writer<'_> {
    fn family(&mut self, head: &Head<'_>) {
        let shape = match head.kind {
            MetricKind::Counter => Shape::Sum,
            MetricKind::Gauge => Shape::Gauge,
            MetricKind::Histogram => Shape::Histogram,
        };
        self.requests.metrics.push(Metric {
            name: head.name.to_string(),
            description: head.help.to_owned(),
            unit: head.unit.map(unit_code).unwrap_or_default().to_owned(),
            data: Some(data(shape)),
            ..Metric::default()
        });
    }

    fn row(&mut self, head: &Head<'_>, row: &Row<'_>) {
        let start = row.created.map_or(self.started, nanos);
        let double = number_data_point::Value::AsDouble;
        let (shape, point) = match row.value {
            Value::Counter(total) => {
                // OK because a total beyond the range of signed numbers is out of reach in practice.
                let value = number_data_point::Value::AsInt(total as i64);
                (Shape::Sum, self.number(row, value, start))
            }
            Value::FloatCounter(total) => (Shape::Sum, self.number(row, double(total), start)),
            Value::Gauge(value) => (Shape::Gauge, self.number(row, double(value), 0)),
            Value::Histogram { counts, sum, exemplars, native: None } => {
                let point = HistogramDataPoint {
                    attributes: attributes(row.labels),
                    start_time_unix_nano: start,
                    time_unix_nano: self.at,
                    count: counts.iter().sum(),
                    sum: Some(sum),
                    bucket_counts: counts.to_vec(),
                    explicit_bounds: row.bounds.to_vec(),
                    exemplars: exemplars.iter().flatten().map(exemplar_of).collect(),
                    ..HistogramDataPoint::default()
                };
                (Shape::Histogram, Point::Histogram(point))
            }
            Value::Histogram { counts, sum, exemplars, native: Some(native) } => {
                let point = exponential(native, counts.iter().sum(), sum);
                let point = ExponentialHistogramDataPoint {
                    attributes: attributes(row.labels),
                    start_time_unix_nano: start,
                    time_unix_nano: self.at,
                    exemplars: exemplars.iter().flatten().map(exemplar_of).collect(),
                    ..point
                };
                (Shape::Exponential, Point::Exponential(point))
            }
        };
        self.ready(shape);
        self.add(point);
        let key = (Arc::clone(head.name), row.labels.clone());
        self.seen.insert(key, (self.round, shape));
    }
}

fn data(shape: Shape) -> Data {
    let aggregation_temporality = AggregationTemporality::Cumulative.into();
    let data_points = Vec::new();
    match shape {
        Shape::Sum => Data::Sum(Sum { data_points, aggregation_temporality, is_monotonic: true }),
        Shape::Gauge => Data::Gauge(Gauge { data_points }),
        Shape::Histogram => {
            Data::Histogram(Histogram { data_points: Vec::new(), aggregation_temporality })
        }
        Shape::Exponential => Data::ExponentialHistogram(ExponentialHistogram {
            data_points: Vec::new(),
            aggregation_temporality,
        }),
    }
}

fn is_empty(metric: &Metric) -> bool {
    match &metric.data {
        Some(Data::Sum(sum)) => sum.data_points.is_empty(),
        Some(Data::Gauge(gauge)) => gauge.data_points.is_empty(),
        Some(Data::Histogram(all)) => all.data_points.is_empty(),
        Some(Data::ExponentialHistogram(all)) => all.data_points.is_empty(),
        Some(Data::Summary(_)) | None => true,
    }
}

fn without_points(metric: &Metric) -> Metric {
    let shape = match &metric.data {
        Some(Data::Sum(_)) => Shape::Sum,
        Some(Data::Histogram(_)) => Shape::Histogram,
        Some(Data::ExponentialHistogram(_)) => Shape::Exponential,
        _ => Shape::Gauge,
    };
    Metric {
        name: metric.name.clone(),
        description: metric.description.clone(),
        unit: metric.unit.clone(),
        metadata: Vec::new(),
        data: Some(data(shape)),
    }
}

/// Buckets of Prometheus end at their index and those of OpenTelemetry begin there: bucket `i` of the one is bucket
/// `i - 1` of the other.
fn exponential(native: &NativeBuckets, count: u64, sum: f64) -> ExponentialHistogramDataPoint {
    ExponentialHistogramDataPoint {
        count,
        sum: Some(sum),
        scale: native.schema,
        zero_count: native.zero_count,
        zero_threshold: native.zero_threshold,
        positive: Some(buckets(&native.positive)),
        negative: Some(buckets(&native.negative)),
        ..ExponentialHistogramDataPoint::default()
    }
}

fn buckets(filled: &[(i32, u64)]) -> Buckets {
    let Some((first, _)) = filled.first() else { return Buckets::default() };
    let mut bucket_counts = Vec::with_capacity(filled.len());
    for (index, count) in filled {
        // OK because indexes rise, and the registry bounds how far the last is from the first.
        bucket_counts.resize((index - first) as usize, 0);
        bucket_counts.push(*count);
    }
    Buckets { offset: first - 1, bucket_counts }
}

/// The unit in the Unified Code for Units of Measure. Only of words that a name ends in whole: a receiver that puts units
/// into names would otherwise put a second one there.
fn unit_code(word: &str) -> &'static str {
    match word {
        "seconds" => "s",
        "milliseconds" => "ms",
        "microseconds" => "us",
        "nanoseconds" => "ns",
        "minutes" => "min",
        "hours" => "h",
        "days" => "d",
        "bytes" => "By",
        "kibibytes" => "KiBy",
        "mebibytes" => "MiBy",
        "gibibytes" => "GiBy",
        "kilobytes" => "kBy",
        "megabytes" => "MBy",
        "meters" => "m",
        "volts" => "V",
        "amperes" => "A",
        "joules" => "J",
        "watts" => "W",
        "grams" => "g",
        "celsius" => "Cel",
        "hertz" => "Hz",
        "ratio" => "1",
        "percent" => "%",
        _ => "",
    }
}

fn exemplar_of(exemplar: &obs_model::Exemplar) -> Exemplar {
    let (mut trace_id, mut span_id, mut filtered_attributes) = (Vec::new(), Vec::new(), Vec::new());
    for (name, value) in exemplar.labels.iter() {
        match name {
            "trace_id" if let Ok(trace) = value.parse::<TraceId>() => {
                trace_id = trace.get().to_be_bytes().to_vec();
            }
            "span_id" if let Ok(span) = value.parse::<SpanId>() => {
                span_id = span.get().to_be_bytes().to_vec();
            }
            _ => filtered_attributes.push(attribute(name, value)),
        }
    }
    Exemplar {
        filtered_attributes,
        time_unix_nano: nanos(exemplar.timestamp),
        span_id,
        trace_id,
        value: Some(exemplar::Value::AsDouble(exemplar.value)),
    }
}

fn attributes(labels: &Labels) -> Vec<KeyValue> {
    labels.iter().map(|(name, value)| attribute(name, value)).collect()
}

fn attribute(name: &str, value: &str) -> KeyValue {
    let value = any_value::Value::StringValue(value.to_owned());
    KeyValue {
        key: name.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn nanos(time: Timestamp) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(0).saturating_mul(1_000_000)
}
