//! Reading the registry: all of it, or one value.

use std::hint::black_box;
use std::ops::ControlFlow;
use std::sync::Arc;

use obs_model::{Exemplar, Gather, Labels, MetricFamily, MetricKind, NativeBuckets};

use super::handle::Cell;
use super::{Family, Registry, Series};
use crate::backend::Backend;
use crate::cells::{self, IsNative};
use crate::expose;
use crate::names;

/// How many series are read at a time: as many as stay in the processor's first cache.
const BATCH: usize = 128;

/// What one series holds at the moment of reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    /// A whole total.
    Counter(u64),
    /// A total of fractions.
    FloatCounter(f64),
    /// A present value.
    Gauge(f64),
    /// Observations counted by size.
    Histogram {
        /// Every bucket's own count (not cumulative; the last one is above all bounds).
        counts: &'a [u64],
        /// The sum of all observations.
        sum: f64,
        /// An exemplar of each bucket that has one, in the order of the counts; may be shorter than they.
        exemplars: &'a [Option<Exemplar>],
        /// The exponential buckets, if it has them.
        native: Option<&'a NativeBuckets>,
    },
}

impl Family {
    /// Shows every series to `reader` in order of its labels.
    pub(crate) fn read<R: Reader>(&self, reader: &mut R) -> Result<(), R::Error> {
        let (mut counts, mut exemplars) = (Vec::new(), Vec::new());
        let mut native = NativeBuckets::default();
        let mut firsts = [0; BATCH];
        for batch in self.sorted().chunks(BATCH) {
            load(batch);
            {
                // Taken once for the batch; threads that end wait for it, threads that record do not.
                let reading = cells::read();
                for (first, series) in firsts.iter_mut().zip(batch) {
                    *first = series.first_bits(&reading);
                }
            }
            for (first, series) in firsts.iter().zip(batch) {
                let value = match &series.cell {
                    Cell::Counter(_) => Value::Counter(*first),
                    Cell::FloatCounter(_) => Value::FloatCounter(f64::from_bits(*first)),
                    Cell::Gauge(_) => Value::Gauge(f64::from_bits(*first)),
                    Cell::Histogram(cell) => {
                        let (sum, is_native) =
                            cell.read_all(&mut counts, &mut exemplars, &mut native);
                        Value::Histogram {
                            counts: &counts,
                            sum,
                            exemplars: &exemplars,
                            native: (is_native == IsNative::Yes).then_some(&native),
                        }
                    }
                };
                if reader.show(series, value).is_break() {
                    reader.pause()?;
                }
            }
            reader.pause()?;
        }
        Ok(())
    }

    /// Whether every series is a gauge that stands at 1.
    pub(crate) fn is_all_ones(&self) -> bool {
        let is_one =
            |series: &Arc<Series>| matches!(&series.cell, Cell::Gauge(cell) if cell.value() == 1.0);
        self.sorted().iter().all(is_one)
    }
}

/// Touches what a line of each series is made of.
///
/// The series of a large registry are all over the memory. Written one after the other, each line waits for its own
/// cache misses; touched first, in loops that do nothing else, many misses are under way at once.
fn load(batch: &[Arc<Series>]) {
    let lengths: usize = batch.iter().map(|series| series.label_text.len()).sum();
    let bytes = |series: &Arc<Series>| {
        let text = series.label_text.as_bytes();
        u64::from(text.first().copied().unwrap_or(0)) + u64::from(text.last().copied().unwrap_or(0))
    };
    black_box((lengths, batch.iter().map(bytes).sum::<u64>()));
}

/// What takes in the series of a family.
pub(crate) trait Reader {
    /// What may go wrong when the reader hands on what it collected.
    type Error;

    /// Takes in one series; a break asks for a pause.
    fn show(&mut self, series: &Series, value: Value<'_>) -> ControlFlow<()>;

    /// Runs now and then, and after the last series: the place to hand on what was collected.
    fn pause(&mut self) -> Result<(), Self::Error>;
}

impl Registry {
    /// One value as the exposition would show it, found by the name and all labels of its line.
    ///
    /// For a histogram `x` ask for `x_count`, `x_sum`, or `x_bucket` with its `le`.
    ///
    /// ```
    /// let registry = obs_metrics::Registry::default();
    /// registry.counter("jobs_total", &[("kind", "mail")]).increment(2);
    /// assert_eq!(registry.value("jobs_total", &[("kind", "mail")]), Some(2.0));
    /// assert_eq!(registry.value("jobs_total", &[]), None);
    /// ```
    #[must_use]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        if let Some(backend) = self.backend() {
            return value_in(backend, name, labels);
        }
        if let Some(family) = self.family(name) {
            let series = find(&family, labels)?;
            return match &series.cell {
                Cell::Counter(cell) => Some(cell.value() as f64),
                Cell::FloatCounter(cell) => Some(cell.value()),
                Cell::Gauge(cell) => Some(cell.value()),
                Cell::Histogram(_) => None,
            };
        }
        let (base, part) = name.rsplit_once('_')?;
        let family = self.family(base).filter(|family| family.kind == MetricKind::Histogram)?;
        let le = labels.iter().find(|(name, _)| *name == "le").map(|(_, value)| *value);
        let others: Vec<_> = labels.iter().copied().filter(|(name, _)| *name != "le").collect();
        let series = find(&family, &others)?;
        let Cell::Histogram(cell) = &series.cell else { return None };
        let mut counts = Vec::new();
        let sum = cell.read(&mut counts);
        match (part, le) {
            ("sum", None) => Some(sum),
            ("count", None) => Some(counts.iter().sum::<u64>() as f64),
            ("bucket", Some(le)) => {
                let bucket = family.bound_texts.iter().position(|text| **text == *le)?;
                Some(counts[..=bucket].iter().sum::<u64>() as f64)
            }
            _ => None,
        }
    }

    /// The kind of a metric that has series, or whose buckets say that it will be a histogram.
    pub(crate) fn likely_kind(&self, name: &str) -> Option<MetricKind> {
        let name = names::metric_name(name);
        let has_buckets = || self.0.buckets.read().has_exact(&name);
        let known = self.family(&name).map(|family| family.kind);
        known.or_else(|| has_buckets().then_some(MetricKind::Histogram))
    }

    /// Every family, in order of name.
    pub(crate) fn families(&self) -> Vec<Arc<Family>> {
        self.0.families.read().values().cloned().collect()
    }

    /// What a metric measures; empty when nobody said.
    pub(crate) fn help(&self, name: &str) -> Arc<str> {
        self.0
            .descriptions
            .read()
            .get(name)
            .map(|known| Arc::clone(&known.help))
            .unwrap_or_default()
    }
}

fn find(family: &Family, labels: &[(&str, &str)]) -> Option<Arc<Series>> {
    let labels = Labels::new(labels.iter().copied()).ok()?;
    family.find(&labels)
}

/// One value among everything that a recorder behind the registry has.
fn value_in(backend: &dyn Backend, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let mut wanted: Vec<_> = labels.to_vec();
    wanted.sort_unstable();
    let families = expose::parse::text(backend.render().as_bytes()).ok()?;
    let mut samples = families.iter().flat_map(|family| &family.samples);
    let found = samples.find(|sample| {
        let pairs = sample.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let mut pairs: Vec<_> = pairs.collect();
        pairs.sort_unstable();
        sample.name == name && pairs == wanted
    });
    found.map(|sample| sample.value)
}

impl Gather for Registry {
    fn gather(&self, visit: &mut dyn FnMut(&MetricFamily)) {
        if let Some(backend) = self.backend() {
            return backend.gather(visit);
        }
        for family in self.families() {
            let points: Vec<_> =
                family.sorted().iter().map(|series| family.point(series)).collect();
            if !points.is_empty() {
                visit(&MetricFamily {
                    name: Arc::clone(&family.name),
                    help: self.help(&family.name),
                    kind: family.kind,
                    points,
                });
            }
        }
    }
}
