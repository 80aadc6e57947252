//! One metric name: its kind, its buckets and its series.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use obs_model::{Bucket, HistogramSnapshot, Labels, MetricKind, MetricPoint, MetricValue};
use parking_lot::RwLock;

use super::handle::Cell;
use crate::cells::CounterCell;
use crate::{number, text};

/// The label of the series that takes in what did not fit, as in the OpenTelemetry metrics SDK.
pub(crate) const OVERFLOW_LABEL: &str = "otel_metric_overflow";

pub(crate) struct Family {
    pub(crate) name: Arc<str>,
    pub(crate) kind: MetricKind,
    /// The finite bounds of a histogram; empty for the other kinds.
    pub(crate) bounds: Arc<[f64]>,
    /// The bounds as the exposition writes them, `+Inf` last; empty for the other kinds.
    pub(crate) bound_texts: Box<[Box<str>]>,
    pub(crate) series: RwLock<BTreeMap<Labels, Arc<Series>>>,
    pub(crate) overflow: OnceLock<Overflow>,
}

/// One series of a family.
pub(crate) struct Series {
    pub(crate) labels: Labels,
    /// The labels as the exposition writes them, without the braces; rendered once, here.
    pub(crate) label_text: Box<str>,
    pub(crate) cell: Cell,
}

/// Where recordings go that have no place of their own.
pub(crate) struct Overflow {
    pub(crate) series: Arc<Series>,
    pub(crate) folded: Arc<CounterCell>,
}

impl Family {
    pub(crate) fn new(name: &str, kind: MetricKind, bounds: Arc<[f64]>) -> Self {
        let bound_texts = if kind == MetricKind::Histogram {
            bounds.iter().chain([&f64::INFINITY]).map(|bound| float_text(*bound)).collect()
        } else {
            Box::default()
        };
        Self {
            name: Arc::from(name),
            kind,
            bounds,
            bound_texts,
            series: RwLock::default(),
            overflow: OnceLock::new(),
        }
    }

    /// Every series, in order of labels, without holding the lock while they are read.
    pub(crate) fn all_series(&self) -> Vec<Arc<Series>> {
        self.series.read().values().cloned().collect()
    }

    pub(crate) fn point(&self, series: &Series) -> MetricPoint {
        let value = match &series.cell {
            // OK because a total beyond 2^53 is rounded, which is what every reader of samples does.
            Cell::Counter(cell) => MetricValue::Counter(cell.value() as f64),
            Cell::FloatCounter(cell) => MetricValue::Counter(cell.value()),
            Cell::Gauge(cell) => MetricValue::Gauge(cell.value()),
            Cell::Histogram(cell) => {
                let mut counts = Vec::new();
                let sum = cell.read(&mut counts);
                MetricValue::Histogram(snapshot(&self.bounds, &counts, sum))
            }
        };
        MetricPoint { labels: series.labels.clone(), value }
    }
}

impl Series {
    pub(crate) fn new(labels: Labels, cell: Cell) -> Self {
        let label_text = text::label_text(&labels).into_boxed_str();
        Self { labels, label_text, cell }
    }
}

fn snapshot(bounds: &[f64], counts: &[u64], sum: f64) -> HistogramSnapshot {
    let mut cumulative_count = 0;
    let buckets = bounds
        .iter()
        .chain([&f64::INFINITY])
        .zip(counts)
        .map(|(upper_bound, count)| {
            cumulative_count += count;
            Bucket { upper_bound: *upper_bound, cumulative_count }
        })
        .collect();
    HistogramSnapshot { buckets, sum, count: cumulative_count }
}

fn float_text(value: f64) -> Box<str> {
    let mut text = Vec::new();
    number::push_f64(&mut text, value);
    String::from_utf8_lossy(&text).into()
}
