//! From gathered families to series: histograms taken apart, label sets made once, vanished series ended.

mod native;

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use obs_model::{
    Exemplar, Gather, HistogramSnapshot, Labels, LabelsError, METRIC_NAME_LABEL, MetricFamily,
    MetricValue, Timestamp, write_float,
};

use super::blocks::SeriesId;
use super::directory::Precomputed;
use super::tally::{Refused, Tally};
use super::{IngestReport, SeriesStore};
use crate::promql::NativeHistogram;
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
    /// As above, of native histograms.
    Native(Labels, Option<SeriesId>),
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
    natives: Vec<(SeriesId, NativeHistogram)>,
    exemplars: Vec<(SeriesId, Exemplar)>,
    /// The series that are shown no more.
    gone: Vec<(SeriesId, f64)>,
    /// As above, of native histograms.
    gone_natives: Vec<(SeriesId, NativeHistogram)>,
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
    let mut gathering = Gathering {
        store,
        at,
        tally,
        series: 0,
        distrusts,
        batch,
        natives: Vec::new(),
        exemplars: Vec::new(),
        gone: Vec::new(),
        gone_natives: Vec::new(),
    };
    source.gather(&mut |family| gathering.family(feed, family));
    gathering.find_vanished(feed);
    let Gathering { mut tally, series, batch, natives, mut exemplars, gone, gone_natives, .. } =
        gathering;
    store.append_natives(at, natives, &mut tally);
    store.append_counted(at, &batch, &mut tally, |_, _| {});
    let samples = tally.appended;
    store.append_natives(at, gone_natives, &mut tally);
    store.append_counted(at, &gone, &mut tally, |_, _| {});
    store.add_gathered(&mut exemplars);
    store.expire_exemplars();
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
                let Some(id) = self.place(target) else { continue };
                match part_value(value, part) {
                    PartValue::Number(value) => self.batch.push((id, storable(value))),
                    PartValue::Native(value) => self.natives.push((id, value)),
                }
            }
            self.exemplars(known, value);
            self.series += known.targets.len();
            let gone = before.iter().filter(|target| !known.targets.contains(target));
            self.end(gone);
        }
    }

    /// Notes the exemplars of a histogram for the series of their buckets and for the one of native histograms.
    fn exemplars(&mut self, point: &Point, value: &MetricValue) {
        let MetricValue::Histogram(histogram) = value else { return };
        for (bucket, exemplar) in &histogram.exemplars {
            let targets = [point.targets.get(*bucket), point.targets.get(native_part(histogram))];
            let ids = targets.into_iter().flatten().filter_map(Target::id);
            self.exemplars.extend(ids.map(|id| (id, exemplar.clone())));
        }
    }

    /// The id of the series that a part goes to, which is made if there is none and there is room.
    fn place(&mut self, target: &mut Target) -> Option<SeriesId> {
        let (Target::Series(labels, id) | Target::Native(labels, id)) = target else {
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
            let Some(id) = target.id().filter(|id| !self.distrusts || self.store.is_live(*id))
            else {
                continue;
            };
            match target {
                Target::Native(..) => {
                    let end = NativeHistogram { sum: STALE, ..NativeHistogram::default() };
                    self.gone_natives.push((id, end));
                }
                Target::Series(..) | Target::Invalid => self.gone.push((id, STALE)),
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
            let is_native = is_native_part(value, part);
            part_labels(name, labels, value, part).map_or(Target::Invalid, |labels| {
                if is_native { Target::Native(labels, None) } else { Target::Series(labels, None) }
            })
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

impl Target {
    /// The series, if there is one.
    fn id(&self) -> Option<SeriesId> {
        match self {
            Self::Invalid => None,
            Self::Series(_, id) | Self::Native(_, id) => *id,
        }
    }
}

/// Two parts go to the same place if their labels are the same.
impl PartialEq for Target {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Invalid, Self::Invalid) => true,
            (Self::Series(labels, _), Self::Series(others, _))
            | (Self::Native(labels, _), Self::Native(others, _)) => labels == others,
            _ => false,
        }
    }
}

/// What one part of a value is.
enum PartValue {
    Number(f64),
    Native(NativeHistogram),
}

/// How many series a value makes: one, or for a histogram its buckets, its sum, its count and, if it has exponential
/// buckets, the native histogram, in this order.
fn part_count(value: &MetricValue) -> usize {
    match value {
        MetricValue::Counter(_) | MetricValue::Gauge(_) => 1,
        MetricValue::Histogram(histogram) => {
            native_part(histogram) + usize::from(histogram.native.is_some())
        }
    }
}

/// Which part the native histogram is, if there is one.
fn native_part(histogram: &HistogramSnapshot) -> usize {
    histogram.buckets.len() + 2
}

fn is_native_part(value: &MetricValue, part: usize) -> bool {
    matches!(value, MetricValue::Histogram(histogram) if part == native_part(histogram))
}

fn part_value(value: &MetricValue, part: usize) -> PartValue {
    PartValue::Number(match value {
        MetricValue::Counter(value) | MetricValue::Gauge(value) => *value,
        MetricValue::Histogram(histogram) => match (histogram.buckets.get(part), &histogram.native)
        {
            (Some(bucket), _) => bucket.cumulative_count as f64,
            (None, _) if part == histogram.buckets.len() => histogram.sum,
            (None, Some(buckets)) if part == native_part(histogram) => {
                return PartValue::Native(native::histogram(histogram, buckets));
            }
            (None, _) => histogram.count as f64,
        },
    })
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
        None if part == native_part(histogram) => labels.with(METRIC_NAME_LABEL, name),
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
