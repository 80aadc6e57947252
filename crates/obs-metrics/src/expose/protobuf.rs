//! Writing Prometheus's protobuf format: `MetricFamily` messages, each with its length in front.
//!
//! A message has to be complete before its length is known, so a large family is written as several messages of the
//! same name, which Prometheus reads as one family. That is what keeps the memory for it bounded.

use obs_model::{Exemplar, MetricKind, NativeBuckets};
use prost::Message;
use prost::encoding::message;

use super::encode::Encode;
use super::escape::Escaping;
use super::observed::{exemplar_to_proto, fill_native};
use super::plan::unit_of;
use super::proto::{self, Bucket, LabelPair, Metric, MetricType};
use crate::registry::{Family, Series, Value};

/// Where a family is split.
const MAX_MESSAGE_BYTES: usize = 128 * 1_024;

/// The field of a family that holds its series.
const METRIC_TAG: u32 = 4;

/// Writes one family after the other.
#[derive(Debug)]
pub(super) struct ProtobufEncoder {
    escaping: Escaping,
    /// Everything of the present family but its series, encoded.
    header: Vec<u8>,
    /// The message that is being put together.
    message: Vec<u8>,
    bounds: Vec<f64>,
    /// The series that is being put together; kept so that its texts are not allocated again for each.
    metric: Metric,
}

impl ProtobufEncoder {
    pub(super) fn new(escaping: Escaping) -> Self {
        Self {
            escaping,
            header: Vec::new(),
            message: Vec::new(),
            bounds: Vec::new(),
            metric: Metric::default(),
        }
    }

    fn hand_on(&mut self, out: &mut Vec<u8>) {
        prost::encoding::encode_varint(self.message.len() as u64, out);
        out.extend_from_slice(&self.message);
        self.message.clear();
    }

    fn set_labels(&mut self, series: &Series) {
        let labels = &mut self.metric.label;
        labels.truncate(series.labels.len());
        labels.resize_with(series.labels.len(), LabelPair::default);
        for (pair, (name, value)) in labels.iter_mut().zip(series.shown_pairs(self.escaping)) {
            set(&mut pair.name, &name);
            set(&mut pair.value, value);
        }
    }

    fn set_histogram(
        &mut self,
        series: &Series,
        (counts, sum): (&[u64], f64),
        exemplars: &[Option<Exemplar>],
        native: Option<&NativeBuckets>,
    ) {
        let histogram = self.metric.histogram.get_or_insert_default();
        histogram.bucket.resize_with(counts.len(), Bucket::default);
        let mut cumulative = 0;
        let bounds = self.bounds.iter().chain([&f64::INFINITY]);
        let parts = histogram.bucket.iter_mut().zip(counts).zip(bounds);
        for (at, ((bucket, count), bound)) in parts.enumerate() {
            cumulative += count;
            bucket.cumulative_count = Some(cumulative);
            bucket.upper_bound = Some(*bound);
            bucket.exemplar =
                exemplars.get(at).and_then(|exemplar| exemplar.as_ref().map(exemplar_to_proto));
        }
        histogram.sample_count = Some(cumulative);
        histogram.sample_sum = Some(sum);
        histogram.created_timestamp = Some(series.created.into());
        if let Some(native) = native {
            fill_native(histogram, native);
            // Prometheus takes the exemplars of native buckets from here.
            histogram.exemplars = exemplars.iter().flatten().map(exemplar_to_proto).collect();
        }
    }
}

impl Encode for ProtobufEncoder {
    fn start(&mut self, _: &mut Vec<u8>, family: &Family, help: &str) {
        let name = family.shown_name(self.escaping).into_owned();
        let base = name.strip_suffix("_total").unwrap_or(&name);
        let kind = match family.kind {
            MetricKind::Counter => MetricType::Counter,
            MetricKind::Gauge => MetricType::Gauge,
            MetricKind::Histogram => MetricType::Histogram,
        };
        let header = proto::MetricFamily {
            help: (!help.is_empty()).then(|| help.to_owned()),
            r#type: Some(kind.into()),
            metric: Vec::new(),
            unit: unit_of(base).map(str::to_owned),
            name: Some(name),
        };
        self.header = header.encode_to_vec();
        self.message.clear();
        self.bounds.clear();
        self.bounds.extend_from_slice(&family.bounds);
        self.metric = Metric::default();
    }

    fn series(&mut self, out: &mut Vec<u8>, series: &Series, value: Value<'_>) {
        self.set_labels(series);
        let created = Some(series.created.into());
        let counter = |total| {
            Some(proto::Counter { value: Some(total), exemplar: None, created_timestamp: created })
        };
        match value {
            // OK because a total beyond 2^53 is rounded, which is what every reader of samples does.
            Value::Counter(total) => self.metric.counter = counter(total as f64),
            Value::FloatCounter(total) => self.metric.counter = counter(total),
            Value::Gauge(value) => self.metric.gauge = Some(proto::Gauge { value: Some(value) }),
            Value::Histogram { counts, sum, exemplars, native } => {
                self.set_histogram(series, (counts, sum), exemplars, native);
            }
        }
        if self.message.is_empty() {
            self.message.extend_from_slice(&self.header);
        }
        message::encode(METRIC_TAG, &self.metric, &mut self.message);
        if self.message.len() >= MAX_MESSAGE_BYTES {
            self.hand_on(out);
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        if !self.message.is_empty() {
            self.hand_on(out);
        }
    }
}

fn set(text: &mut Option<String>, to: &str) {
    let text = text.get_or_insert_default();
    text.clear();
    text.push_str(to);
}
