//! From what the source holds to the samples of one round.

use std::sync::Arc;

use obs_model::{Labels, MetricKind, NativeBuckets, Timestamp};

use super::proto::{BucketSpan, Exemplar, Histogram, Label, MetricMetadata, MetricType, Sample};
use super::requests::Requests;
use super::seen::{Fixed, Parts, Seen};
use super::{Histograms, RemoteWriteConfig};
use crate::expose;
use crate::number::push_f64;
use crate::push::grid::{Export, Round};
use crate::push::outbox::Outbox;
use crate::push::source::{Head, Row, Source, Visit};
use crate::registry::Value;

/// The NaN that ends a series: `StaleNaN` of Prometheus's `model/value`.
const STALE: u64 = 0x7ff0_0000_0000_0002;

/// What is kept between rounds.
pub(super) struct Encoder {
    config: RemoteWriteConfig,
    source: Source,
    seen: Seen,
    metadata_at: Option<Timestamp>,
}

impl Encoder {
    pub(super) fn new(config: RemoteWriteConfig, source: Source) -> Self {
        Self { config, source, seen: Seen::default(), metadata_at: None }
    }
}

impl Export for Encoder {
    fn round(&mut self, at: Timestamp, round: Round, outbox: &mut dyn Outbox) {
        let is_due = |last: Timestamp| at < last || at.since(last) >= self.config.metadata_interval;
        let with_metadata = self.metadata_at.is_none_or(is_due);
        if with_metadata {
            self.metadata_at = Some(at);
        }
        self.seen.begin_round();
        let mut writer = Writer {
            config: &self.config,
            seen: &mut self.seen,
            requests: Requests::new(&self.config, outbox),
            at: at.as_millis(),
            metadata: with_metadata.then(Vec::new),
        };
        self.source.visit(&mut writer);
        let metadata = writer.metadata.take().unwrap_or_default();
        writer.mark_vanished();
        if round == Round::Last {
            // The last values stand for one more millisecond: they have to be read before they are over.
            writer.at += 1;
            writer.seen.begin_round();
            writer.mark_vanished();
        }
        writer.requests.hand_on();
        // By itself, as Prometheus sends it: a receiver that refuses metadata does not refuse samples with it.
        for family in &metadata {
            writer.requests.add_metadata(family);
        }
        writer.requests.hand_on();
    }
}

/// Writes the samples of one round.
struct Writer<'a> {
    config: &'a RemoteWriteConfig,
    seen: &'a mut Seen,
    requests: Requests<'a>,
    at: i64,
    metadata: Option<Vec<MetricMetadata>>,
}

/// The labels of a series together with those that are put on all, by name; its own go first.
fn pairs<'a>(own: &'a Labels, external: &'a Labels) -> Vec<(&'a str, &'a str)> {
    let mut pairs: Vec<_> = own.iter().collect();
    pairs.extend(external.iter().filter(|(name, _)| own.get(name).is_none()));
    pairs.sort_unstable_by_key(|(name, _)| *name);
    pairs
}

impl Writer<'_> {
    fn sample(
        &mut self,
        name: [&str; 2],
        pairs: &[(&str, &str)],
        le: Option<&str>,
        value: f64,
        exemplar: Option<&obs_model::Exemplar>,
    ) {
        self.requests.set_labels(name, pairs, le);
        self.requests.series.samples.push(Sample { value, timestamp: self.at });
        self.requests.series.exemplars.extend(exemplar.map(exemplar_of));
        self.requests.add();
    }

    /// Counts are cumulative on the wire and not in `counts`.
    fn buckets(
        &mut self,
        name: &str,
        pairs: &[(&str, &str)],
        bounds: &[f64],
        counts: &[u64],
        sum: f64,
        exemplars: &[Option<obs_model::Exemplar>],
    ) {
        let mut cumulative = 0;
        for (at, (bound, count)) in bounds.iter().chain([&f64::INFINITY]).zip(counts).enumerate() {
            cumulative += count;
            let exemplar = exemplars.get(at).and_then(Option::as_ref);
            let le = bound_text(*bound);
            // OK because a count beyond 2^53 is rounded, which is what every reader of samples does.
            self.sample([name, "_bucket"], pairs, Some(&le), cumulative as f64, exemplar);
        }
        self.sample([name, "_sum"], pairs, None, sum, None);
        self.sample([name, "_count"], pairs, None, cumulative as f64, None);
    }

    fn native(
        &mut self,
        name: &str,
        pairs: &[(&str, &str)],
        histogram: Histogram,
        exemplars: &[Option<obs_model::Exemplar>],
    ) {
        self.requests.set_labels([name, ""], pairs, None);
        self.requests.series.histograms.push(histogram);
        let exemplars = exemplars.iter().flatten().map(exemplar_of);
        self.requests.series.exemplars.extend(exemplars);
        self.requests.series.exemplars.sort_by_key(|exemplar| exemplar.timestamp);
        self.requests.add();
    }

    /// Ends the series that were there in the round before and are not in this one.
    fn mark_vanished(&mut self) {
        let mut vanished = Vec::new();
        self.seen.take_vanished(|name, labels, parts| {
            vanished.push((Arc::<str>::from(name), labels.clone(), parts.clone()));
        });
        let stale = f64::from_bits(STALE);
        for (name, labels, parts) in vanished {
            let pairs = pairs(&labels, &self.config.external_labels);
            match &parts.fixed {
                Some(Fixed::Sample) => self.sample([&name, ""], &pairs, None, stale, None),
                Some(Fixed::Buckets(bounds)) => {
                    for bound in bounds.iter().chain([&f64::INFINITY]) {
                        let le = bound_text(*bound);
                        self.sample([&name, "_bucket"], &pairs, Some(&le), stale, None);
                    }
                    self.sample([&name, "_sum"], &pairs, None, stale, None);
                    self.sample([&name, "_count"], &pairs, None, stale, None);
                }
                None => {}
            }
            if parts.native {
                let histogram =
                    Histogram { sum: stale, timestamp: self.at, ..Histogram::default() };
                self.native(&name, &pairs, histogram, &[]);
            }
        }
    }
}

impl Visit for Writer<'_> {
    fn family(&mut self, head: &Head<'_>) {
        let Some(metadata) = &mut self.metadata else { return };
        let kind = match head.kind {
            MetricKind::Counter => MetricType::Counter,
            MetricKind::Gauge => MetricType::Gauge,
            MetricKind::Histogram => MetricType::Histogram,
        };
        metadata.push(MetricMetadata {
            r#type: kind.into(),
            metric_family_name: head.name.to_string(),
            help: head.help.to_owned(),
            unit: head.unit.unwrap_or_default().to_owned(),
        });
    }

    fn row(&mut self, head: &Head<'_>, row: &Row<'_>) {
        let pairs = pairs(row.labels, &self.config.external_labels);
        let mut parts = Parts { fixed: Some(Fixed::Sample), native: false };
        match row.value {
            // OK because a total beyond 2^53 is rounded, which is what every reader of samples does.
            Value::Counter(total) => self.sample([head.name, ""], &pairs, None, total as f64, None),
            Value::FloatCounter(value) | Value::Gauge(value) => {
                self.sample([head.name, ""], &pairs, None, value, None);
            }
            Value::Histogram { counts, sum, exemplars, native } => {
                let exemplars = if self.config.exemplars { exemplars } else { &[] };
                let native = native.filter(|_| self.config.histograms != Histograms::Fixed);
                let only_native = native.is_some() && self.config.histograms == Histograms::Native;
                parts.native = native.is_some();
                parts.fixed = None;
                if !only_native {
                    parts.fixed = Some(Fixed::Buckets(self.seen.bounds(row.bounds)));
                    self.buckets(head.name, &pairs, row.bounds, counts, sum, exemplars);
                }
                if let Some(native) = native {
                    let count = counts.iter().sum();
                    let histogram = native_histogram(native, count, sum, self.at);
                    self.native(head.name, &pairs, histogram, exemplars);
                }
            }
        }
        self.seen.note(head.name, row.labels, parts);
    }
}

fn bound_text(bound: f64) -> String {
    let mut text = Vec::new();
    push_f64(&mut text, bound);
    String::from_utf8(text).unwrap_or_default()
}

fn exemplar_of(exemplar: &obs_model::Exemplar) -> Exemplar {
    let label =
        |(name, value): (&str, &str)| Label { name: name.to_owned(), value: value.to_owned() };
    Exemplar {
        labels: exemplar.labels.iter().map(label).collect(),
        value: exemplar.value,
        timestamp: exemplar.timestamp.as_millis(),
    }
}

fn native_histogram(native: &NativeBuckets, count: u64, sum: f64, timestamp: i64) -> Histogram {
    let (positive_spans, positive_deltas) = spans(&native.positive);
    let (negative_spans, negative_deltas) = spans(&native.negative);
    Histogram {
        count_int: Some(count),
        sum,
        schema: native.schema,
        zero_threshold: native.zero_threshold,
        zero_count_int: Some(native.zero_count),
        negative_spans,
        negative_deltas,
        positive_spans,
        positive_deltas,
        timestamp,
    }
}

fn spans(buckets: &[(i32, u64)]) -> (Vec<BucketSpan>, Vec<i64>) {
    let (spans, deltas) = expose::spans(buckets);
    let spans = spans
        .into_iter()
        .map(|span| BucketSpan { offset: span.offset(), length: span.length() })
        .collect();
    (spans, deltas)
}
