//! One metric name: its kind, its buckets and its series.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use obs_model::{
    Bucket, HistogramSnapshot, Labels, MetricKind, MetricPoint, MetricValue, NativeBuckets,
    Timestamp,
};
use parking_lot::{Mutex, RwLock};

use super::handle::{Cell, Lent};
use super::idle::Activity;
use crate::cells::{CounterCell, IsNative, Place, Reading, Search};
use crate::expose::{self, GivenLabels};
use crate::native::NativeHistogram;
use crate::number;

/// The label of the series that takes in what did not fit, as in the OpenTelemetry metrics SDK.
pub(crate) const OVERFLOW_LABEL: &str = "otel_metric_overflow";

/// How many series are walked through under one hold of the lock when they are put in a row.
const PIECE: usize = 1_024;

pub(crate) struct Family {
    pub(crate) name: Arc<str>,
    /// The name as it was given, if it is not one that Prometheus always accepted.
    pub(crate) given_name: OnceLock<Box<str>>,
    pub(crate) kind: MetricKind,
    /// The finite bounds of a histogram; empty for the other kinds.
    pub(crate) bounds: Arc<[f64]>,
    /// The bounds as observations are compared with them.
    pub(crate) search: Arc<Search>,
    /// What its exponential buckets are like, if it has them.
    pub(crate) native: Option<NativeHistogram>,
    /// The bounds as the exposition writes them, `+Inf` last; empty for the other kinds.
    pub(crate) bound_texts: Box<[Box<str>]>,
    series: RwLock<BTreeMap<Labels, Arc<Series>>>,
    /// Rises whenever a series comes or goes; changed under the lock of `series`.
    changes: AtomicU64,
    /// The series one after the other, as of some change: what a reader walks through.
    sorted: Mutex<Sorted>,
    pub(crate) overflow: OnceLock<Overflow>,
}

#[derive(Default)]
struct Sorted {
    as_of: u64,
    series: Arc<Vec<Arc<Series>>>,
}

/// One series of a family. What a line of text needs comes first, so that it shares cache lines.
#[repr(C)]
pub(crate) struct Series {
    /// Where the value is, or the first of its cells.
    first: First,
    /// The labels as the exposition writes them, without the braces; rendered once, here.
    pub(crate) label_text: Box<str>,
    pub(crate) cell: Cell,
    /// The label names as they were given, if one of them is not one that Prometheus always accepted.
    pub(crate) given_labels: OnceLock<Box<GivenLabels>>,
    pub(crate) labels: Labels,
    /// When it was made: the start of its totals.
    pub(crate) created: Timestamp,
    /// What the threads' caches hold of it, if idle series expire.
    pub(super) lent: Mutex<Vec<Weak<dyn Lent>>>,
    pub(super) activity: Activity,
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
            given_name: OnceLock::new(),
            kind,
            search: Search::shared(&bounds),
            native: None,
            bounds,
            bound_texts,
            series: RwLock::default(),
            changes: AtomicU64::new(0),
            sorted: Mutex::default(),
            overflow: OnceLock::new(),
        }
    }

    /// This family, with exponential buckets too.
    pub(crate) fn with_native(mut self, native: Option<NativeHistogram>) -> Self {
        self.native = native;
        self
    }

    /// The series of `labels`, if there is one.
    pub(crate) fn find(&self, labels: &Labels) -> Option<Arc<Series>> {
        self.series.read().get(labels).cloned()
    }

    pub(crate) fn len(&self) -> usize {
        self.series.read().len()
    }

    /// The series of `labels`, made now if need be.
    pub(crate) fn find_or_insert(
        &self,
        labels: Labels,
        make: impl FnOnce(Labels) -> Series,
    ) -> Arc<Series> {
        let mut all = self.series.write();
        match all.get(&labels) {
            Some(series) => Arc::clone(series),
            None => self.insert(&mut all, labels, make),
        }
    }

    /// As [`Family::find_or_insert`], unless there is none and `admit` says no to the number of series; says also
    /// whether it is new.
    pub(crate) fn find_or_insert_if(
        &self,
        labels: Labels,
        admit: impl FnOnce(usize) -> bool,
        make: impl FnOnce(Labels) -> Series,
    ) -> Option<(Arc<Series>, IsNew)> {
        let mut all = self.series.write();
        match all.get(&labels) {
            Some(series) => Some((Arc::clone(series), IsNew::No)),
            None if admit(all.len()) => Some((self.insert(&mut all, labels, make), IsNew::Yes)),
            None => None,
        }
    }

    fn insert(
        &self,
        all: &mut BTreeMap<Labels, Arc<Series>>,
        labels: Labels,
        make: impl FnOnce(Labels) -> Series,
    ) -> Arc<Series> {
        let series = Arc::new(make(labels.clone()));
        all.insert(labels, Arc::clone(&series));
        self.changes.fetch_add(1, Ordering::Relaxed);
        series
    }

    /// Puts a series back, or finds the one that has taken its place.
    pub(super) fn find_or_put(&self, series: &Arc<Series>) -> Arc<Series> {
        let mut all = self.series.write();
        if let Some(stands) = all.get(&series.labels) {
            return Arc::clone(stands);
        }
        all.insert(series.labels.clone(), Arc::clone(series));
        self.changes.fetch_add(1, Ordering::Relaxed);
        Arc::clone(series)
    }

    pub(super) fn remove(&self, labels: &Labels) {
        let removed = self.series.write().remove(labels);
        if removed.is_some() {
            self.changes.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Every series, in order of labels, as of now.
    pub(crate) fn sorted(&self) -> Arc<Vec<Arc<Series>>> {
        let mut sorted = self.sorted.lock();
        // The lock is taken in pieces, so that a new series does not wait for all of them to be walked through.
        let (as_of, length) = {
            let all = self.series.read();
            (self.changes.load(Ordering::Relaxed), all.len())
        };
        if sorted.as_of != as_of {
            // What was there is dropped first, so that the two are never in memory together.
            *sorted = Sorted::default();
            let mut series = Vec::with_capacity(length);
            let mut start = Bound::Unbounded;
            loop {
                let all = self.series.read();
                let before = series.len();
                let piece = all.range::<Labels, _>((start, Bound::Unbounded)).take(PIECE);
                series.extend(piece.map(|(_, series)| Arc::clone(series)));
                drop(all);
                match series.last() {
                    Some(last) if series.len() == before + PIECE => {
                        start = Bound::Excluded(last.labels.clone());
                    }
                    _ => break,
                }
            }
            *sorted = Sorted { as_of, series: Arc::new(series) };
        }
        Arc::clone(&sorted.series)
    }

    pub(crate) fn point(&self, series: &Series) -> MetricPoint {
        let value = match &series.cell {
            // OK because a total beyond 2^53 is rounded, which is what every reader of samples does.
            Cell::Counter(cell) => MetricValue::Counter(cell.value() as f64),
            Cell::FloatCounter(cell) => MetricValue::Counter(cell.value()),
            Cell::Gauge(cell) => MetricValue::Gauge(cell.value()),
            Cell::Histogram(cell) => {
                let (mut counts, mut exemplars) = (Vec::new(), Vec::new());
                let mut native = NativeBuckets::default();
                let (sum, is_native) = cell.read_all(&mut counts, &mut exemplars, &mut native);
                let mut snapshot = snapshot(&self.bounds, &counts, sum);
                snapshot.exemplars = exemplars
                    .into_iter()
                    .enumerate()
                    .filter_map(|(bucket, exemplar)| Some((bucket, exemplar?)))
                    .collect();
                snapshot.native = (is_native == IsNative::Yes).then(|| Box::new(native));
                MetricValue::Histogram(snapshot)
            }
        };
        MetricPoint { labels: series.labels.clone(), value }
    }
}

impl Series {
    pub(crate) fn new(labels: Labels, cell: Cell, created: Timestamp) -> Self {
        let label_text = expose::label_text(labels.iter()).into_boxed_str();
        Self {
            first: First::of(&cell),
            label_text,
            cell,
            given_labels: OnceLock::new(),
            labels,
            created,
            lent: Mutex::default(),
            activity: Activity::default(),
        }
    }

    /// The value of a counter or gauge, or a histogram's sum: a whole number or the bits of a float.
    pub(super) fn first_bits(&self, reading: &Reading<'_>) -> u64 {
        match (&self.first, &self.cell) {
            (First::Whole(place), _) => place.total(reading),
            (First::Float(place), _) => place.float_total(reading).to_bits(),
            (First::Shared, Cell::Gauge(cell)) => cell.value().to_bits(),
            (First::Shared, _) => 0,
        }
    }
}

/// The place of a series' first cell, so that a reader need not go through the cell's own allocation.
enum First {
    Whole(Place),
    Float(Place),
    Shared,
}

impl First {
    fn of(cell: &Cell) -> Self {
        match cell {
            Cell::Counter(cell) => Self::Whole(cell.place()),
            Cell::FloatCounter(cell) => Self::Float(cell.place()),
            Cell::Histogram(cell) => cell.place().map_or(Self::Shared, Self::Float),
            Cell::Gauge(_) => Self::Shared,
        }
    }
}

/// Whether a series was made just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IsNew {
    Yes,
    No,
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
    HistogramSnapshot { buckets, sum, count: cumulative_count, ..HistogramSnapshot::default() }
}

fn float_text(value: f64) -> Box<str> {
    let mut text = Vec::new();
    number::push_f64(&mut text, value);
    String::from_utf8_lossy(&text).into()
}
