//! From what the source holds to the data points of one round.

use std::collections::HashMap;
use std::sync::Arc;

use obs_model::{Labels, MetricKind, NativeBuckets, SpanId, Timestamp, TraceId};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, DataPointFlags, Exemplar, ExponentialHistogram,
    ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
    Sum, exemplar, exponential_histogram_data_point::Buckets, metric::Data, number_data_point,
};
use prost::Message as _;

use super::delta::{Room, Sent};
use super::requests::Requests;
use super::{OtlpConfig, Temporality};
use crate::push::grid::{Export, Round};
use crate::push::outbox::Outbox;
use crate::push::source::{Head, Origin, Row, Source, Visit};
use crate::registry::Value;

/// What is kept between rounds.
pub(super) struct Encoder {
    config: OtlpConfig,
    source: Source,
    forms: Forms,
    started: Timestamp,
    /// The time of the last round or, before there is one, when the encoder started.
    last: Timestamp,
    round: u64,
    /// The series of the last round, and those that may come back with the totals that they had.
    seen: HashMap<Key, Seen>,
    room: Room,
}

/// The name and the labels of a series.
type Key = (Arc<str>, Labels);

/// What is known of a series.
struct Seen {
    /// The number of the round that it was in last.
    round: u64,
    shape: Shape,
    /// What was sent of it, if differences are.
    sent: Option<Box<Sent>>,
}

/// What a series is in OTLP.
#[derive(Clone, Copy)]
enum Shape {
    Sum,
    Gauge,
    Histogram,
    Exponential,
}

/// Whether totals or differences are sent of each shape that has them.
#[derive(Clone, Copy)]
struct Forms {
    sums: AggregationTemporality,
    histograms: AggregationTemporality,
}

impl Forms {
    fn new(temporality: Temporality, origin: Origin) -> Self {
        use AggregationTemporality::{Cumulative, Delta};
        let (sums, histograms) = match (temporality, origin) {
            (Temporality::Cumulative, _) => (Cumulative, Cumulative),
            (Temporality::LowMemory, Origin::Observed) => (Cumulative, Delta),
            (Temporality::Delta, _) | (Temporality::LowMemory, Origin::Recorded) => (Delta, Delta),
        };
        Self { sums, histograms }
    }

    fn is_delta(self, shape: Shape) -> bool {
        let form = match shape {
            Shape::Sum => self.sums,
            Shape::Gauge => return false,
            Shape::Histogram | Shape::Exponential => self.histograms,
        };
        form == AggregationTemporality::Delta
    }

    /// A metric's data, without points so far.
    fn data(self, shape: Shape) -> Data {
        let (sums, histograms) = (self.sums.into(), self.histograms.into());
        match shape {
            Shape::Sum => Data::Sum(Sum {
                data_points: Vec::new(),
                aggregation_temporality: sums,
                is_monotonic: true,
            }),
            Shape::Gauge => Data::Gauge(Gauge::default()),
            Shape::Histogram => Data::Histogram(Histogram {
                data_points: Vec::new(),
                aggregation_temporality: histograms,
            }),
            Shape::Exponential => Data::ExponentialHistogram(ExponentialHistogram {
                data_points: Vec::new(),
                aggregation_temporality: histograms,
            }),
        }
    }
}

impl Encoder {
    pub(super) fn new(config: OtlpConfig, source: Source) -> Self {
        let started = config.clock.now();
        Self {
            forms: Forms::new(config.temporality, source.origin()),
            config,
            source,
            started,
            last: started,
            round: 0,
            seen: HashMap::new(),
            room: Room::default(),
        }
    }
}

impl Export for Encoder {
    fn round(&mut self, at: Timestamp, _: Round, outbox: &mut dyn Outbox) {
        self.round += 1;
        let mut writer = Writer {
            requests: Requests::new(&self.config, outbox),
            forms: self.forms,
            seen: &mut self.seen,
            room: &mut self.room,
            round: self.round,
            started: self.started,
            last: self.last,
            at,
        };
        self.source.visit(&mut writer);
        writer.mark_vanished(&self.source);
        writer.requests.hand_on();
        self.last = at;
    }
}

/// Writes the points of one round.
struct Writer<'a> {
    requests: Requests<'a>,
    forms: Forms,
    seen: &'a mut HashMap<Key, Seen>,
    room: &'a mut Room,
    round: u64,
    /// When the encoder started.
    started: Timestamp,
    /// When the round before was.
    last: Timestamp,
    at: Timestamp,
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
            metric.data = Some(self.forms.data(shape));
        }
    }

    /// Says of the series that were there in the round before and are not in this one that they have no value. Of those
    /// of which differences are sent, silence says that: they are only forgotten, once they cannot come back.
    fn mark_vanished(&mut self, source: &Source) {
        let round = self.round;
        let (mut vanished, mut gone) = (Vec::new(), Vec::new());
        self.seen.retain(|key, seen| {
            if seen.round == round {
                return true;
            }
            if seen.sent.is_some() {
                gone.push(key.clone());
                return true;
            }
            vanished.push((key.clone(), seen.shape));
            false
        });
        source.retain_gone(&mut gone);
        for key in gone {
            self.seen.remove(&key);
        }
        let flags = DataPointFlags::NoRecordedValueMask as u32;
        for ((name, labels), shape) in vanished {
            let metric = Metric { name: name.to_string(), ..Metric::default() };
            self.requests.metrics.push(metric);
            self.ready(shape);
            let (attributes, time_unix_nano) = (attributes(&labels), nanos(self.at));
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
            data: Some(self.forms.data(shape)),
            ..Metric::default()
        });
    }

    fn row(&mut self, head: &Head<'_>, row: &Row<'_>) {
        let shape = match row.value {
            Value::Counter(_) | Value::FloatCounter(_) => Shape::Sum,
            Value::Gauge(_) => Shape::Gauge,
            Value::Histogram { native: None, .. } => Shape::Histogram,
            Value::Histogram { native: Some(_), .. } => Shape::Exponential,
        };
        let key = (Arc::clone(head.name), row.labels.clone());
        let seen = self.seen.entry(key).or_insert(Seen { round: 0, shape, sent: None });
        (seen.round, seen.shape) = (self.round, shape);
        let (start, value) = if self.forms.is_delta(shape) {
            // A series that was not in the round before and does not say when it began did so after that.
            let begun = row.created.unwrap_or(self.last);
            let room = &mut *self.room;
            let sent = seen.sent.get_or_insert_with(|| Box::new(Sent::nothing(row, begun, room)));
            let Some((start, added)) = sent.advance(row, self.at, room) else { return };
            (nanos(start), added)
        } else {
            seen.sent = None;
            (nanos(row.created.unwrap_or(self.started)), row.value)
        };
        let point = point(row, &value, start, nanos(self.at));
        self.ready(shape);
        self.add(point);
    }
}

/// A point of the series of `row` that has this value, from `start` to `at`.
fn point(row: &Row<'_>, value: &Value<'_>, start: u64, at: u64) -> Point {
    let number = |value, start| {
        Point::Number(NumberDataPoint {
            attributes: attributes(row.labels),
            start_time_unix_nano: start,
            time_unix_nano: at,
            value: Some(value),
            ..NumberDataPoint::default()
        })
    };
    let double = number_data_point::Value::AsDouble;
    match *value {
        // OK because a total beyond the range of signed numbers is out of reach in practice.
        Value::Counter(total) => number(number_data_point::Value::AsInt(total as i64), start),
        Value::FloatCounter(total) => number(double(total), start),
        Value::Gauge(value) => number(double(value), 0),
        Value::Histogram { counts, sum, exemplars, native: None } => {
            Point::Histogram(HistogramDataPoint {
                attributes: attributes(row.labels),
                start_time_unix_nano: start,
                time_unix_nano: at,
                count: counts.iter().sum(),
                sum: known(sum),
                bucket_counts: counts.to_vec(),
                explicit_bounds: row.bounds.to_vec(),
                exemplars: exemplars.iter().flatten().map(exemplar_of).collect(),
                ..HistogramDataPoint::default()
            })
        }
        Value::Histogram { counts, sum, exemplars, native: Some(native) } => {
            Point::Exponential(ExponentialHistogramDataPoint {
                attributes: attributes(row.labels),
                start_time_unix_nano: start,
                time_unix_nano: at,
                exemplars: exemplars.iter().flatten().map(exemplar_of).collect(),
                ..exponential(native, counts.iter().sum(), sum)
            })
        }
    }
}

/// A sum, unless infinite observations make it one that nobody can tell.
fn known(sum: f64) -> Option<f64> {
    Some(sum).filter(|sum| !sum.is_nan())
}

/// Buckets of Prometheus end at their index and those of OpenTelemetry begin there: bucket `i` of the one is bucket
/// `i - 1` of the other.
fn exponential(native: &NativeBuckets, count: u64, sum: f64) -> ExponentialHistogramDataPoint {
    ExponentialHistogramDataPoint {
        count,
        sum: known(sum),
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

pub(super) fn attribute(name: &str, value: &str) -> KeyValue {
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
