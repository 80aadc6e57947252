//! Everything that a store has, as it stands behind the store's lock.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use obs_model::{Labels, METRIC_NAME_LABEL, Sample, Timestamp};

use super::StoreConfig;
use super::index::Index;
use super::series::Stored;
use super::tally::{Evicted, Refused, Tally};
use crate::{Error, Selector, TimeRange};

/// Names a series for appending without its labels. It stays safe to use when the series is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SeriesRef {
    slot: u32,
    /// How often the slot had been given out before.
    version: u32,
}

#[derive(Debug, Default)]
struct Slot {
    version: u32,
    series: Option<Stored>,
}

/// Everything that a store has.
#[derive(Debug)]
pub(super) struct Shelf {
    slots: Vec<Slot>,
    free: Vec<u32>,
    by_labels: HashMap<Labels, u32, BuildHasherDefault<Precomputed>>,
    index: Index,
    /// One entry for each series: when its oldest chunk ended, as far as was known when the entry was made. That time
    /// only grows, so the first entry is never later than it should be.
    oldest: BinaryHeap<Reverse<(i64, u32, u32)>>,
    samples: usize,
    chunk_bytes: isize,
    newest: i64,
}

impl Shelf {
    pub(super) fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_labels: HashMap::default(),
            index: Index::default(),
            oldest: BinaryHeap::new(),
            samples: 0,
            chunk_bytes: 0,
            newest: i64::MIN,
        }
    }

    pub(super) fn series_count(&self) -> usize {
        self.by_labels.len()
    }

    pub(super) fn sample_count(&self) -> usize {
        self.samples
    }

    pub(super) fn chunk_bytes(&self) -> usize {
        usize::try_from(self.chunk_bytes).unwrap_or(0)
    }

    /// The time of the newest sample; `None` before the first.
    pub(super) fn newest(&self) -> Option<Timestamp> {
        (self.newest > i64::MIN).then(|| Timestamp::from_millis(self.newest))
    }

    pub(super) fn index(&self) -> &Index {
        &self.index
    }

    /// Appends to the series with these labels, which is made if there is none and there is room.
    ///
    /// The series is given even if it did not take the sample, unless there is no such series.
    pub(super) fn append(
        &mut self,
        config: &StoreConfig,
        labels: &Labels,
        sample: Sample,
        tally: &mut Tally,
    ) -> (Option<SeriesRef>, Result<(), Error>) {
        if let Some(&slot) = self.by_labels.get(labels) {
            let series = SeriesRef { slot, version: self.slots[slot as usize].version };
            // OK because labels that are known have their series in the slot.
            let result = self.append_to(config, series, sample, tally).unwrap_or(Ok(()));
            return (Some(series), result);
        }
        if labels.iter().any(|(_, value)| value.is_empty()) {
            let labels = labels.filter(|_, value| !value.is_empty());
            return self.append(config, &labels, sample, tally);
        }
        match self.create(config, labels, sample, tally) {
            Ok(series) => (Some(series), Ok(())),
            Err(error) => (None, Err(error)),
        }
    }

    /// Appends to a series that is known to the caller; `None` if it is gone.
    pub(super) fn append_to(
        &mut self,
        config: &StoreConfig,
        series: SeriesRef,
        sample: Sample,
        tally: &mut Tally,
    ) -> Option<Result<(), Error>> {
        let floor = self.floor(config);
        let slot = self.slots.get_mut(series.slot as usize)?;
        let stored = slot.series.as_mut().filter(|_| slot.version == series.version)?;
        let (at, last) = (sample.timestamp.as_millis(), stored.last_millis());
        if at <= last {
            let (refused, error) = if at == last {
                (Refused::Duplicate, Error::duplicate(&stored.labels, sample.timestamp))
            } else {
                let last = Timestamp::from_millis(last);
                (Refused::OutOfOrder, Error::out_of_order(&stored.labels, sample.timestamp, last))
            };
            tally.refuse(refused);
            return Some(Err(error));
        }
        if at <= floor {
            tally.refuse(Refused::TooOld);
            let floor = Timestamp::from_millis(floor);
            return Some(Err(Error::too_old(&stored.labels, sample.timestamp, floor)));
        }
        self.chunk_bytes += stored.push(sample);
        self.samples += 1;
        tally.appended += 1;
        self.advance(config, sample.timestamp, tally);
        Some(Ok(()))
    }

    /// Makes a series with its first sample.
    fn create(
        &mut self,
        config: &StoreConfig,
        labels: &Labels,
        sample: Sample,
        tally: &mut Tally,
    ) -> Result<SeriesRef, Error> {
        if labels.get(METRIC_NAME_LABEL).is_none() {
            tally.refuse(Refused::Unnamed);
            return Err(Error::unnamed(labels));
        }
        let (at, floor) = (sample.timestamp.as_millis(), self.floor(config));
        if at <= floor {
            tally.refuse(Refused::TooOld);
            return Err(Error::too_old(labels, sample.timestamp, Timestamp::from_millis(floor)));
        }
        if self.series_count() >= config.max_series {
            tally.refuse(Refused::SeriesLimit);
            return Err(Error::series_limit(labels, config.max_series));
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            // OK because there are no more slots than series, and `max_series` fits in 32 bits.
            (self.slots.len() - 1) as u32
        });
        let entry = &mut self.slots[slot as usize];
        let stored = Stored::new(labels.clone(), sample);
        self.chunk_bytes += stored.bytes().cast_signed();
        entry.series = Some(stored);
        let series = SeriesRef { slot, version: entry.version };
        self.by_labels.insert(labels.clone(), slot);
        self.index.insert(slot, labels);
        self.oldest.push(Reverse((at, slot, series.version)));
        self.samples += 1;
        tally.appended += 1;
        self.advance(config, sample.timestamp, tally);
        Ok(series)
    }

    /// Notes that it is at least `at` and removes what is too old or too much.
    pub(super) fn advance(&mut self, config: &StoreConfig, at: Timestamp, tally: &mut Tally) {
        self.newest = self.newest.max(at.as_millis());
        let floor = self.floor(config);
        while let Some(&Reverse((ended, slot, version))) = self.oldest.peek() {
            let full = self.samples > config.max_samples;
            if ended > floor && !full {
                return;
            }
            self.oldest.pop();
            let Some(entry) = self.slots.get_mut(slot as usize) else { continue };
            let Some(stored) = entry.series.as_mut().filter(|_| entry.version == version) else {
                continue;
            };
            let ends = stored.oldest_chunk_millis();
            if ends != ended {
                self.oldest.push(Reverse((ends, slot, version)));
                continue;
            }
            let (samples, bytes, left) = stored.pop_oldest();
            self.samples -= samples;
            self.chunk_bytes -= bytes.cast_signed();
            let why = if ended > floor { Evicted::SampleLimit } else { Evicted::Retention };
            tally.evict(why, samples);
            if left {
                self.oldest.push(Reverse((stored.oldest_chunk_millis(), slot, version)));
            } else {
                self.remove(slot);
            }
        }
    }

    fn remove(&mut self, slot: u32) {
        let entry = &mut self.slots[slot as usize];
        entry.version = entry.version.wrapping_add(1);
        if let Some(stored) = entry.series.take() {
            self.by_labels.remove(&stored.labels);
            self.index.remove(slot, &stored.labels);
            self.free.push(slot);
        }
    }

    /// The series that `selector` accepts, in no particular order.
    pub(super) fn find(&self, selector: &Selector) -> impl Iterator<Item = &Stored> {
        self.index
            .find(selector)
            .into_iter()
            .filter_map(|slot| self.slots.get(slot as usize)?.series.as_ref())
    }

    /// `range` without the times that are not kept any more, though a chunk may still have some of them.
    pub(super) fn kept(&self, config: &StoreConfig, range: TimeRange) -> TimeRange {
        let floor = Timestamp::from_millis(self.floor(config));
        TimeRange { start: range.start.max(floor), end: range.end }
    }

    /// The last time that is too old to be kept, in milliseconds.
    fn floor(&self, config: &StoreConfig) -> i64 {
        Timestamp::from_millis(self.newest).minus(config.retention).as_millis()
    }
}

/// Hands on the hash that a label set already has; that one is keyed, so it is safe against chosen labels.
#[derive(Debug, Default)]
pub(super) struct Precomputed(u64);

impl Hasher for Precomputed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // OK because only label sets are hashed with this, and they write one number. Anything else would still be
        // hashed, if badly (FNV-1a).
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
