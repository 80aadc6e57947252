//! Exemplars: single observations that stand for the others, kept beside the series that counts them.
//!
//! They are few and bounded in number, so one lock guards all of them.

use std::collections::{BTreeMap, HashMap, VecDeque};

use obs_model::{Exemplar, Labels};
use parking_lot::Mutex;

use super::SeriesStore;
use super::blocks::SeriesId;
use super::directory::label_bytes;
use super::tally::{self, ExemplarLoss};
use crate::{Error, Selector, TimeRange};

/// How many exemplars one series has at most.
const MOST_PER_SERIES: usize = 256;
/// The exemplars take no more than this part of the store's memory.
const PART_OF_BYTES: usize = 16;
/// How many characters the labels of an exemplar may have together, as OpenMetrics says.
const MOST_CHARACTERS: usize = 128;

/// A series and some of its exemplars, by rising time.
#[derive(Clone, Debug, PartialEq)]
pub struct ExemplarSeries {
    /// The series, `__name__` included.
    pub labels: Labels,
    /// Its exemplars; there is one at least.
    pub exemplars: Vec<Exemplar>,
}

/// The exemplars of every series that has some.
#[derive(Debug, Default)]
pub(super) struct Exemplars(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    rings: HashMap<SeriesId, VecDeque<Exemplar>>,
    /// Whose exemplar came when, the oldest first. Those that left their ring otherwise are passed over in the end.
    order: VecDeque<SeriesId>,
    count: usize,
    /// What labels, values and times take, in bytes.
    bytes: usize,
}

/// How much there may be, and since when.
struct Bounds {
    count: usize,
    bytes: usize,
    floor: i64,
}

impl SeriesStore {
    /// Appends an exemplar to the series with these labels, `__name__` included, which there has to be.
    ///
    /// One that is the same as the series' last one is taken for stored. The oldest ones go when a series has 256, when
    /// there are [`StoreConfig::max_exemplars`](crate::StoreConfig::max_exemplars) or they take a sixteenth of the
    /// store's memory, and when they are past the retention; a series that is removed takes its own along.
    ///
    /// # Errors
    ///
    /// There is no such series; the exemplar is before the series' last one, or older than the retention; its labels
    /// have more than 128 characters together. All of these are counted, and [`Error::is_exemplar`] tells them.
    pub fn append_exemplar(&self, series: &Labels, exemplar: Exemplar) -> Result<(), Error> {
        let at = exemplar.timestamp;
        let Some(id) = self.directory.read().get(series) else {
            tally::count_exemplars(ExemplarLoss::UnknownSeries, 1);
            return Err(Error::exemplar(series, at, ExemplarLoss::UnknownSeries.problem()));
        };
        self.add_exemplar(id, exemplar).map_err(|loss| {
            tally::count_exemplars(loss, 1);
            Error::exemplar(series, at, loss.problem())
        })
    }

    /// The exemplars in `range` of the series that any of the selectors accepts, in order of the series' labels.
    #[must_use]
    pub fn exemplars(&self, selectors: &[Selector], range: TimeRange) -> Vec<ExemplarSeries> {
        let range = self.kept(range);
        let mut found = BTreeMap::new();
        for selector in selectors {
            let selection = self.selection(selector);
            let kept = self.exemplars.0.lock();
            for (id, labels) in selection.iter() {
                if let Some(ring) = kept.rings.get(&id)
                    && !found.contains_key(labels)
                {
                    let inside = |exemplar: &&Exemplar| {
                        range.start < exemplar.timestamp && exemplar.timestamp <= range.end
                    };
                    let exemplars: Vec<_> = ring.iter().filter(inside).cloned().collect();
                    found.insert(labels.clone(), exemplars);
                }
            }
        }
        let series = found.into_iter().filter(|(_, exemplars)| !exemplars.is_empty());
        series.map(|(labels, exemplars)| ExemplarSeries { labels, exemplars }).collect()
    }

    /// Stores what a gathering showed: exemplars that it has shown before are passed over.
    pub(super) fn add_gathered(&self, exemplars: &mut Vec<(SeriesId, Exemplar)>) {
        exemplars.sort_by_key(|(_, exemplar)| exemplar.timestamp);
        for (id, exemplar) in exemplars.drain(..) {
            if let Err(loss) = self.add_exemplar(id, exemplar)
                && loss != ExemplarLoss::OutOfOrder
            {
                tally::count_exemplars(loss, 1);
            }
        }
    }

    fn add_exemplar(&self, id: SeriesId, exemplar: Exemplar) -> Result<(), ExemplarLoss> {
        let characters = |(name, value): (&str, &str)| name.chars().count() + value.chars().count();
        if exemplar.labels.iter().map(characters).sum::<usize>() > MOST_CHARACTERS {
            return Err(ExemplarLoss::TooLong);
        }
        let bounds = self.exemplar_bounds();
        if exemplar.timestamp.as_millis() <= bounds.floor {
            return Err(ExemplarLoss::TooOld);
        }
        let (mut kept, mut lost) = (self.exemplars.0.lock(), 0);
        let before = kept.bytes();
        let outcome = kept.push(id, exemplar, &mut lost);
        // Whoever removes the series removes its exemplars afterwards, so one that is still there takes this one along.
        if outcome.is_ok() && !self.is_live(id) {
            kept.remove(id);
        }
        lost += kept.shrink(&bounds);
        self.level.add(0, kept.bytes().cast_signed() - before.cast_signed());
        drop(kept);
        tally::count_exemplars(ExemplarLoss::Evicted, lost);
        outcome
    }

    /// Removes what is past the retention.
    pub(super) fn expire_exemplars(&self) {
        let bounds = self.exemplar_bounds();
        let mut kept = self.exemplars.0.lock();
        let before = kept.bytes();
        let lost = kept.shrink(&bounds);
        self.level.add(0, kept.bytes().cast_signed() - before.cast_signed());
        drop(kept);
        tally::count_exemplars(ExemplarLoss::Evicted, lost);
    }

    /// Removes what a series has that is being removed itself.
    pub(super) fn remove_exemplars(&self, id: SeriesId) {
        let mut kept = self.exemplars.0.lock();
        let before = kept.bytes();
        let lost = kept.remove(id);
        self.level.add(0, kept.bytes().cast_signed() - before.cast_signed());
        drop(kept);
        tally::count_exemplars(ExemplarLoss::Evicted, lost);
    }

    fn exemplar_bounds(&self) -> Bounds {
        Bounds {
            count: self.config.max_exemplars,
            bytes: self.config.max_bytes / PART_OF_BYTES,
            floor: self.level.floor(&self.config),
        }
    }
}

impl Exemplars {
    pub(super) fn len(&self) -> usize {
        self.0.lock().count
    }
}

impl Kept {
    /// What all of it takes, in bytes.
    fn bytes(&self) -> usize {
        let rings = self.rings.len() * size_of::<(SeriesId, VecDeque<Exemplar>)>();
        self.bytes + rings + self.order.len() * size_of::<SeriesId>()
    }

    /// Adds one that is not before the last one of its ring; the oldest of a full ring goes and is counted.
    fn push(
        &mut self,
        id: SeriesId,
        exemplar: Exemplar,
        lost: &mut usize,
    ) -> Result<(), ExemplarLoss> {
        let ring = self.rings.entry(id).or_default();
        if let Some(last) = ring.back() {
            let same_time = exemplar.timestamp == last.timestamp;
            if same_time
                && exemplar.labels == last.labels
                && exemplar.value.to_bits() == last.value.to_bits()
            {
                return Ok(());
            }
            // Of one time there may be several, by rising value, as in Prometheus.
            if exemplar.timestamp < last.timestamp || same_time && exemplar.value < last.value {
                return Err(ExemplarLoss::OutOfOrder);
            }
        }
        if ring.len() == MOST_PER_SERIES
            && let Some(oldest) = ring.pop_front()
        {
            self.bytes -= weight(&oldest);
            self.count -= 1;
            *lost += 1;
        }
        self.bytes += weight(&exemplar);
        self.count += 1;
        ring.push_back(exemplar);
        self.order.push_back(id);
        self.tidy();
        Ok(())
    }

    /// Removes the oldest until everything is within its bounds, and says how many that were.
    fn shrink(&mut self, bounds: &Bounds) -> usize {
        let mut lost = 0;
        while let Some(id) = self.order.front().copied() {
            let too_much = self.count > bounds.count || self.bytes() > bounds.bytes;
            let ring = self.rings.get_mut(&id);
            let oldest = ring.as_ref().and_then(|ring| ring.front());
            if oldest.is_some_and(|oldest| !too_much && oldest.timestamp.as_millis() > bounds.floor)
            {
                break;
            }
            self.order.pop_front();
            let Some(ring) = ring else { continue };
            if let Some(oldest) = ring.pop_front() {
                self.bytes -= weight(&oldest);
                self.count -= 1;
                lost += 1;
            }
            if ring.is_empty() {
                self.rings.remove(&id);
            }
        }
        self.tidy();
        lost
    }

    fn remove(&mut self, id: SeriesId) -> usize {
        let ring = self.rings.remove(&id).unwrap_or_default();
        self.bytes -= ring.iter().map(weight).sum::<usize>();
        self.count -= ring.len();
        self.tidy();
        ring.len()
    }

    /// Forgets in the order what has left its ring, when that has become the larger part.
    fn tidy(&mut self) {
        if self.order.len() <= 2 * self.count + 64 {
            return;
        }
        let mut left: HashMap<SeriesId, usize> =
            self.rings.iter().map(|(id, ring)| (*id, ring.len())).collect();
        let mut order: VecDeque<SeriesId> = VecDeque::with_capacity(self.count);
        // The newest ones are those that are still there.
        for id in self.order.iter().rev() {
            if let Some(count) = left.get_mut(id).filter(|count| **count > 0) {
                *count -= 1;
                order.push_front(*id);
            }
        }
        self.order = order;
    }
}

fn weight(exemplar: &Exemplar) -> usize {
    size_of::<Exemplar>() + label_bytes(&exemplar.labels)
}

#[cfg(test)]
mod tests {
    use obs_model::Timestamp;

    use super::*;

    fn exemplar(at: i64, value: f64) -> Exemplar {
        let labels = Labels::new([("trace_id", at.to_string())]).unwrap();
        Exemplar { labels, value, timestamp: Timestamp::from_millis(at) }
    }

    fn id(slot: u32) -> SeriesId {
        SeriesId { slot, version: 0 }
    }

    fn check(kept: &Kept) {
        let all = || kept.rings.values().flatten();
        assert_eq!((kept.count, kept.bytes), (all().count(), all().map(weight).sum()));
        assert!(kept.order.len() >= kept.count && kept.order.len() <= 2 * kept.count + 64);
    }

    #[test]
    fn a_ring_and_the_whole_are_bounded_and_the_oldest_goes_first() {
        let (mut kept, mut lost) = (Kept::default(), 0);
        let bounds = Bounds { count: 300, bytes: usize::MAX, floor: i64::MIN };
        for at in 0..1_000 {
            // One series has most of them, which does not push out what others have more than its share.
            let series = if at % 100 == 0 { at as u32 } else { 1_000_000 };
            kept.push(id(series), exemplar(at, 1.0), &mut lost).unwrap();
            lost += kept.shrink(&bounds);
            check(&kept);
        }
        assert_eq!(kept.rings[&id(1_000_000)].len(), MOST_PER_SERIES);
        assert_eq!(kept.rings.len(), 11, "each of the others has its one");
        assert_eq!(lost, 1_000 - kept.count);
        let few = Bounds { count: 2, ..bounds };
        kept.shrink(&few);
        check(&kept);
        let left: Vec<_> =
            kept.rings.values().flatten().map(|one| one.timestamp.as_millis()).collect();
        assert_eq!(left, [998, 999]);
        kept.shrink(&Bounds { floor: 998, ..few });
        assert_eq!(kept.count, 1);
        assert_eq!(kept.remove(id(1_000_000)), 1);
        check(&kept);
    }

    #[test]
    fn exemplars_rise_by_time_and_then_by_value() {
        let (mut kept, mut lost) = (Kept::default(), 0);
        for (at, value, expected) in [
            (10, 2.0, Ok(1)),
            (10, 2.0, Ok(1)),
            (10, 1.0, Err(ExemplarLoss::OutOfOrder)),
            (10, 3.0, Ok(2)),
            (9, 9.0, Err(ExemplarLoss::OutOfOrder)),
            (11, 0.0, Ok(3)),
        ] {
            let outcome = kept.push(id(1), exemplar(at, value), &mut lost).map(|()| kept.count);
            assert_eq!(outcome, expected, "{at} {value}");
        }
    }
}
