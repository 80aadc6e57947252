//! What an evaluator reads through: series in, no matter how or where they are kept.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use obs_model::{Labels, Sample, Timestamp};

use crate::promql::HistogramSeries;
use crate::stale::{drop_markers, is_stale};
use crate::store::SeriesList;
use crate::{Selector, TimeRange};

/// How far an instant reading looks back for a value, as in Prometheus.
pub const LOOK_BACK: Duration = Duration::from_secs(5 * 60);

/// One series and some of its samples, by rising time.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// What it is, `__name__` included.
    pub labels: Labels,
    /// Its samples; each time stands once.
    pub samples: Vec<Sample>,
}

/// One series while a source shows it.
#[derive(Clone, Copy, Debug)]
pub struct Scanned<'s> {
    /// What it is, `__name__` included.
    pub labels: &'s Labels,
    /// Its samples, by rising time; there is one at least.
    pub samples: &'s [Sample],
    /// The list that it is shown from, and its place there.
    place: Option<(&'s Arc<SeriesList>, usize)>,
}

impl<'s> Scanned<'s> {
    /// A series that is in no list.
    #[must_use]
    pub fn new(labels: &'s Labels, samples: &'s [Sample]) -> Self {
        Self { labels, samples, place: None }
    }

    /// A series of a list, at a place of it.
    pub(crate) fn of_list(
        labels: &'s Labels,
        samples: &'s [Sample],
        list: &'s Arc<SeriesList>,
        place: usize,
    ) -> Self {
        Self { labels, samples, place: Some((list, place)) }
    }

    /// The list that it is shown from, and its place there.
    pub(crate) fn place(&self) -> Option<(&'s Arc<SeriesList>, usize)> {
        self.place
    }
}

/// Something that series can be read from.
///
/// This is all that the evaluation of queries and rules asks of a store, so that it works the same on the
/// in-memory store, on a slice of another, or on series made up by a test.
pub trait Queryable: Send + Sync {
    /// Every series that `selector` accepts and that has a sample in `range`, in order of labels.
    ///
    /// Stale markers are among the samples, as they are stored; [`Queryable::select`] leaves them out.
    fn read(&self, selector: &Selector, range: TimeRange) -> Vec<Series>;

    /// Shows what [`Queryable::read`] would return, one series after the other, until `visit` says to stop.
    ///
    /// A store that need not have all series in memory at once for this, or can show them from a buffer that is
    /// used again, should implement it: it is what most of an evaluation reads through.
    fn scan(
        &self,
        selector: &Selector,
        range: TimeRange,
        visit: &mut dyn FnMut(Scanned<'_>) -> ControlFlow<()>,
    ) {
        for series in self.read(selector, range) {
            if visit(Scanned::new(&series.labels, &series.samples)).is_break() {
                return;
            }
        }
    }

    /// As [`Queryable::scan`], of each series the last sample in `range` only: what an instant query needs.
    fn scan_last(
        &self,
        selector: &Selector,
        range: TimeRange,
        visit: &mut dyn FnMut(Scanned<'_>) -> ControlFlow<()>,
    ) {
        self.scan(selector, range, &mut |mut series| {
            series.samples = &series.samples[series.samples.len().saturating_sub(1)..];
            visit(series)
        });
    }

    /// Every series that `selector` accepts and that has native histograms in `range`, in order of labels.
    ///
    /// A histogram whose sum is the stale marker says that the series has ended. What has numbers only need not
    /// implement this.
    fn read_histograms(&self, _selector: &Selector, _range: TimeRange) -> Vec<HistogramSeries> {
        Vec::new()
    }

    /// The labels of every series that [`Queryable::read`] would show, in order.
    fn series(&self, selector: &Selector, range: TimeRange) -> Vec<Labels> {
        self.read(selector, range).into_iter().map(|series| series.labels).collect()
    }

    /// Every label name in use, sorted; `__name__` is among them unless there is no series.
    fn label_names(&self) -> Vec<String>;

    /// Every value of the label `name` in use, sorted.
    fn label_values(&self, name: &str) -> Vec<String>;

    /// What a range selector sees: as [`Queryable::read`], without stale markers.
    ///
    /// A series that has nothing but stale markers in `range` is left out. What follows a marker is seen again:
    /// in Prometheus, too, a range selector skips the markers and nothing else.
    fn select(&self, selector: &Selector, range: TimeRange) -> Vec<Series> {
        let mut found = self.read(selector, range);
        found.retain_mut(|series| {
            drop_markers(&mut series.samples);
            !series.samples.is_empty()
        });
        found
    }

    /// What an instant selector sees at `at`: the last sample of each series that is at most [`LOOK_BACK`] old.
    ///
    /// A series whose last sample is a stale marker has ended and is left out.
    fn latest(&self, selector: &Selector, at: Timestamp) -> Snapshot {
        let points = self
            .read(selector, TimeRange::last(at, LOOK_BACK))
            .into_iter()
            .filter_map(|series| Some((series.labels, *series.samples.last()?)))
            .filter(|(_, sample)| !is_stale(sample.value))
            .collect();
        Snapshot { at, points }
    }
}

/// The value of each selected series at one instant.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The instant that was asked for.
    pub at: Timestamp,
    /// The series, in order of labels, each with its last sample, which may be earlier than the instant.
    pub points: Vec<(Labels, Sample)>,
}

impl Snapshot {
    /// Whether no series has a value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// The labels and values.
    pub fn values(&self) -> impl ExactSizeIterator<Item = (&Labels, f64)> {
        self.points.iter().map(|(labels, sample)| (labels, sample.value))
    }

    /// The value of one series.
    #[must_use]
    pub fn value_of(&self, labels: &Labels) -> Option<f64> {
        // OK because the points are in order of labels, by `Queryable::read`'s contract.
        let found = self.points.binary_search_by(|(known, _)| known.cmp(labels)).ok()?;
        Some(self.points[found].1.value)
    }

    /// The sum of all values; `None` when there is none, as PromQL's `sum` of nothing is nothing.
    #[must_use]
    pub fn sum(&self) -> Option<f64> {
        (!self.is_empty()).then(|| self.values().map(|(_, value)| value).sum())
    }
}
