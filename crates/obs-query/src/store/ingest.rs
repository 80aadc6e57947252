//! From gathered families to series: histograms taken apart, label sets made once, vanished series ended.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use obs_model::{
    Gather, Labels, LabelsError, METRIC_NAME_LABEL, MetricFamily, MetricValue, Timestamp,
    write_float,
};

use super::blocks::SeriesId;
use super::directory::Precomputed;
use super::tally::{Refused, Tally};
use super::{IngestReport, SeriesStore};
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
    /// What one gathering stores, in one go.
    batch: Vec<(SeriesId, f64)>,
    /// How many series the store had removed when the ids were last known to be good.
    removed: u64,
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
#[derive(Clone, Debug)]
enum Target {
    /// It cannot become a series: the labels with the additional ones are over the limits.
    Invalid,
    /// A series with these labels; no id if there was no room for it.
    Series(Labels, Option<SeriesId>),
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
    /// Whether ids of earlier gatherings may be of series that are gone.
    distrusts: bool,
    batch: Vec<(SeriesId, f64)>,
    /// The series that are shown no more.
    gone: Vec<(SeriesId, f64)>,
}

/// Gathers everything from `source` and stores it at `at`, all at once when everything was shown.
pub(super) fn ingest(
    store: &SeriesStore,
    feed: &mut Feed,
    at: Timestamp,
    source: &dyn Gather,
) -> (IngestReport, Tally) {
    feed.round += 1;
    let mut tally = Tally::default();
    // First of all, so that series that are past the retention by now are known to be gone, and so that they go even
    // if the source shows nothing.
    store.advance(at, &mut tally);
    let mut batch = std::mem::take(&mut feed.batch);
    batch.clear();
    let removed = store.level.removed();
    let distrusts = feed.removed != removed;
    feed.removed = removed;
    let mut gathering =
        Gathering { store, at, tally, series: 0, distrusts, batch, gone: Vec::new() };
    source.gather(&mut |family| gathering.family(feed, family));
    gathering.find_vanished(feed);
    let Gathering { mut tally, series, batch, gone, .. } = gathering;
    store.append_counted(at, &batch, &mut tally, |_, _| {});
    let samples = tally.appended;
    store.append_counted(at, &gone, &mut tally, |_, _| {});
    feed.batch = batch;
    let ended = tally.appended - samples;
    (IngestReport { series, samples, ended, dropped: tally.dropped() }, tally)
}

impl Gathering<'_> {
    fn family(&mut self, feed: &mut Feed, family: &MetricFamily) {
        let round = feed.round;
        let points = match feed.families.get_mut(&family.name) {
            Some(points) => points,
            None => feed.families.entry(Arc::clone(&family.name)).or_default(),
        };
        for point in &family.points {
            let value = &point.value;
            let known = match points.get_mut(&point.labels) {
                Some(known) => known,
                None => points
                    .entry(point.labels.clone())
                    .or_insert_with(|| Point::new(&family.name, &point.labels, value)),
            };
            known.round = round;
            let before = known.reshape(&family.name, &point.labels, value);
            for (part, target) in known.targets.iter_mut().enumerate() {
                if let Some(id) = self.place(target) {
                    self.batch.push((id, storable(part_value(value, part))));
                }
            }
            self.series += known.targets.len();
            let gone = before.iter().filter(|target| !known.targets.contains(target));
            self.end(gone);
        }
    }

    /// The id of the series that a part goes to, which is made if there is none and there is room.
    fn place(&mut self, target: &mut Target) -> Option<SeriesId> {
        let Target::Series(labels, id) = target else {
            self.tally.refuse(Refused::InvalidLabels);
            return None;
        };
        if let Some(known) = *id
            && (!self.distrusts || self.store.is_live(known))
        {
            return Some(known);
        }
        *id = self.store.place(labels, self.at, &mut self.tally).ok();
        *id
    }

    /// Notes every series that the gathering did not show, and forgets them.
    fn find_vanished(&mut self, feed: &mut Feed) {
        let round = feed.round;
        feed.families.retain(|_, points| {
            points.retain(|_, point| {
                let seen = point.round == round;
                if !seen {
                    self.end(point.targets.iter());
                }
                seen
            });
            !points.is_empty()
        });
    }

    fn end<'t>(&mut self, targets: impl Iterator<Item = &'t Target>) {
        for target in targets {
            // A series that is gone needs no end.
            if let Target::Series(_, Some(id)) = *target
                && (!self.distrusts || self.store.is_live(id))
            {
                self.gone.push((id, STALE));
            }
        }
    }
}

/// A value that does not end its series because it happens to have the marker's bits.
fn storable(value: f64) -> f64 {
    if is_stale(value) { f64::NAN } else { value }
}

impl Point {
    fn new(name: &str, labels: &Labels, value: &MetricValue) -> Self {
        let targets = (0..part_count(value)).map(|part| {
            part_labels(name, labels, value, part)
                .map_or(Target::Invalid, |labels| Target::Series(labels, None))
        });
        Self { round: 0, bounds: bounds(value).collect(), targets: targets.collect() }
    }

    /// Starts over if the point is not what it was, and gives what it was.
    fn reshape(&mut self, name: &str, labels: &Labels, value: &MetricValue) -> Box<[Target]> {
        if self.targets.len() == part_count(value) && self.bounds.iter().copied().eq(bounds(value))
        {
            return Box::default();
        }
        let new = Self { round: self.round, ..Self::new(name, labels, value) };
        std::mem::replace(self, new).targets
    }
}

/// Two parts go to the same place if their labels are the same.
impl PartialEq for Target {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Invalid, Self::Invalid) => true,
            (Self::Series(labels, _), Self::Series(others, _)) => labels == others,
            _ => false,
        }
    }
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
/// scrape.
fn format_bound(bound: f64) -> String {
    let mut text = Vec::new();
    write_float(&mut text, bound);
    // OK because a number is written in ASCII.
    String::from_utf8(text).unwrap_or_default()
}

#[cfg(test)]
mod tests;
