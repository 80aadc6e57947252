//! From gathered families to series: histograms taken apart, label sets made once, vanished series ended.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use obs_model::{
    Gather, Labels, LabelsError, METRIC_NAME_LABEL, MetricFamily, MetricValue, Sample, Timestamp,
};

use super::shelf::{Precomputed, SeriesRef, Shelf};
use super::tally::{Refused, Tally};
use super::{IngestReport, SeriesStore, StoreConfig};
use crate::stale::{STALE, is_stale};

/// The label of a histogram's buckets.
const BUCKET_LABEL: &str = "le";

/// What is known from one source's last gathering: which stored series each of its points feeds.
///
/// It saves making label sets anew each time, and it tells which series have vanished since. A source has a feed of
/// its own, so that one source's gathering does not end another's series.
#[derive(Debug, Default)]
pub struct Feed {
    round: u64,
    families: HashMap<Arc<str>, HashMap<Labels, Point, BuildHasherDefault<Precomputed>>>,
}

/// What one point of a family feeds.
#[derive(Debug)]
struct Point {
    /// The gathering in which it was last seen.
    round: u64,
    /// The buckets' bounds if it is a histogram.
    bounds: Box<[f64]>,
    /// One for each part: see [`part_count`].
    targets: Box<[Target]>,
}

/// Where one part of a point goes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    /// It has not been stored yet.
    New,
    /// The store had no room for this series.
    NoRoom(Labels),
    /// It cannot become a series: the labels with the additional ones are over the limits.
    Invalid,
    /// A series of the store, if it is still there.
    Series(SeriesRef),
}

impl Feed {
    /// A feed that has seen nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

/// One gathering under way.
struct Gathering<'a> {
    store: &'a SeriesStore,
    at: Timestamp,
    tally: Tally,
    series: usize,
    ended: usize,
}

/// Gathers everything from `source` and stores it at `at`.
///
/// The store's lock is taken once for each family, never while the source is at work between two.
pub(super) fn ingest(
    store: &SeriesStore,
    feed: &mut Feed,
    at: Timestamp,
    source: &dyn Gather,
) -> (IngestReport, Tally) {
    feed.round += 1;
    let mut gathering = Gathering { store, at, tally: Tally::default(), series: 0, ended: 0 };
    // First of all, so that it does not depend on the order of series which of them are past the retention by now, and
    // so that they go even if the source shows nothing.
    store.shelf.write().advance(&store.config, at, &mut gathering.tally);
    source.gather(&mut |family| gathering.family(feed, family));
    gathering.end_vanished(feed);
    let Gathering { tally, series, ended, .. } = gathering;
    let samples = tally.appended - ended;
    (IngestReport { series, samples, ended, dropped: tally.dropped() }, tally)
}

impl Gathering<'_> {
    fn family(&mut self, feed: &mut Feed, family: &MetricFamily) {
        let round = feed.round;
        let points = match feed.families.get_mut(&family.name) {
            Some(points) => points,
            None => feed.families.entry(Arc::clone(&family.name)).or_default(),
        };
        let mut shelf = self.store.shelf.write();
        for point in &family.points {
            let value = &point.value;
            let known = points.entry(point.labels.clone()).or_insert_with(|| Point::new(value));
            known.round = round;
            let before = known.reshape(value);
            for (part, target) in known.targets.iter_mut().enumerate() {
                let sample = self.sample(part_value(value, part));
                let labels = || part_labels(&family.name, &point.labels, value, part);
                let config = &self.store.config;
                store_part(&mut shelf, config, target, sample, labels, &mut self.tally);
            }
            self.series += known.targets.len();
            let gone = before.iter().filter(|target| !known.targets.contains(target));
            self.end(&mut shelf, gone);
        }
    }

    /// Appends a stale marker to every series that the gathering did not show, and forgets them.
    fn end_vanished(&mut self, feed: &mut Feed) {
        let round = feed.round;
        let mut shelf = self.store.shelf.write();
        feed.families.retain(|_, points| {
            points.retain(|_, point| {
                let seen = point.round == round;
                if !seen {
                    self.end(&mut shelf, point.targets.iter());
                }
                seen
            });
            !points.is_empty()
        });
    }

    fn end<'t>(&mut self, shelf: &mut Shelf, targets: impl Iterator<Item = &'t Target>) {
        let marker = Sample { timestamp: self.at, value: STALE };
        for target in targets {
            // OK to pass over a refusal, which is in the tally, and a series that is gone, which needs no end.
            if let Target::Series(series) = *target
                && let Some(Ok(())) =
                    shelf.append_to(&self.store.config, series, marker, &mut self.tally)
            {
                self.ended += 1;
            }
        }
    }

    fn sample(&self, value: f64) -> Sample {
        // A value that happens to have the marker's bits must not end its series.
        let value = if is_stale(value) { f64::NAN } else { value };
        Sample { timestamp: self.at, value }
    }
}

impl Point {
    fn new(value: &MetricValue) -> Self {
        let targets = vec![Target::New; part_count(value)].into_boxed_slice();
        Self { round: 0, bounds: bounds(value).collect(), targets }
    }

    /// Starts over if the point is not what it was, and gives what it was.
    fn reshape(&mut self, value: &MetricValue) -> Box<[Target]> {
        if self.targets.len() == part_count(value) && self.bounds.iter().copied().eq(bounds(value))
        {
            return Box::default();
        }
        let before = std::mem::replace(self, Self { round: self.round, ..Self::new(value) });
        before.targets
    }
}

/// Stores one part of a point and notes where the next value of it goes.
fn store_part(
    shelf: &mut Shelf,
    config: &StoreConfig,
    target: &mut Target,
    sample: Sample,
    labels: impl FnOnce() -> Result<Labels, LabelsError>,
    tally: &mut Tally,
) {
    let labels = match target {
        Target::Series(series) => {
            if shelf.append_to(config, *series, sample, tally).is_some() {
                return;
            }
            labels().ok()
        }
        Target::New => labels().ok(),
        Target::NoRoom(labels) => Some(labels.clone()),
        Target::Invalid => None,
    };
    let Some(labels) = labels else {
        tally.refuse(Refused::InvalidLabels);
        *target = Target::Invalid;
        return;
    };
    *target = match shelf.append(config, &labels, sample, tally) {
        (Some(series), _) => Target::Series(series),
        (None, Err(error)) if error.is_series_limit() => Target::NoRoom(labels),
        (None, _) => Target::New,
    };
}

/// How many series a value makes: one, or for a histogram its buckets, its sum and its count, in this order.
fn part_count(value: &MetricValue) -> usize {
    match value {
        MetricValue::Counter(_) | MetricValue::Gauge(_) => 1,
        MetricValue::Histogram(histogram) => histogram.buckets.len() + 2,
    }
}

fn part_value(value: &MetricValue, part: usize) -> f64 {
    match value {
        MetricValue::Counter(value) | MetricValue::Gauge(value) => *value,
        MetricValue::Histogram(histogram) => match histogram.buckets.get(part) {
            Some(bucket) => bucket.cumulative_count as f64,
            None if part == histogram.buckets.len() => histogram.sum,
            None => histogram.count as f64,
        },
    }
}

fn part_labels(
    name: &str,
    labels: &Labels,
    value: &MetricValue,
    part: usize,
) -> Result<Labels, LabelsError> {
    let MetricValue::Histogram(histogram) = value else {
        return labels.with(METRIC_NAME_LABEL, name);
    };
    match histogram.buckets.get(part) {
        Some(bucket) => {
            let (name, bound) = (format!("{name}_bucket"), format_bound(bucket.upper_bound));
            Labels::new(labels.iter().chain([(METRIC_NAME_LABEL, &*name), (BUCKET_LABEL, &*bound)]))
        }
        None if part == histogram.buckets.len() => {
            labels.with(METRIC_NAME_LABEL, &format!("{name}_sum"))
        }
        None => labels.with(METRIC_NAME_LABEL, &format!("{name}_count")),
    }
}

/// The bounds of a histogram's buckets; none for any other value.
fn bounds(value: &MetricValue) -> impl Iterator<Item = f64> {
    let buckets = match value {
        MetricValue::Histogram(histogram) => &histogram.buckets[..],
        MetricValue::Counter(_) | MetricValue::Gauge(_) => &[],
    };
    buckets.iter().map(|bucket| bucket.upper_bound)
}

/// Writes a bucket's bound as the text exposition does, so that the stored `le` is the one that Prometheus would
/// scrape: as Go's `strconv.FormatFloat(bound, 'g', -1, 64)`, the shortest digits that read back as the same number,
/// with an exponent from 1e+06 up and below 1e-04.
fn format_bound(bound: f64) -> String {
    if bound.is_infinite() {
        return if bound > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{bound:e}");
    match scientific.split_once('e').map(|(digits, exponent)| (digits, exponent.parse::<i32>())) {
        Some((digits, Ok(exponent))) if !(-4..6).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        // OK because a float's `Display` has the shortest digits too, without an exponent.
        _ => bound.to_string(),
    }
}

#[cfg(test)]
mod tests;
