//! From the file back into memory.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use obs_model::{Labels, Sample, Timestamp};
use obs_store::{Chunks, Queue, Table};

use super::ids::{Ids, Known};
use super::labels;
use super::record::{Entry, read_record};
use crate::{Error, SealedChunk, SeriesId, SeriesStore};

/// What was loaded at the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// Series that have samples.
    pub series: usize,
    /// Samples that are in memory again. What is past the retention is not among them.
    pub samples: usize,
    /// Chunks and records that could not be read or did not find room. They are counted in
    /// `obskit_store_replay_skipped_total`, too.
    pub skipped: usize,
    /// How long it took.
    pub took: Duration,
}

/// Where the next segment goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The time that it is kept under: never before that of the one before.
    pub(super) at: i64,
    /// Tells the segments of one time apart, in their order.
    pub(super) sequence: u64,
}

/// Loads segments, and then the log.
pub(super) fn replay(
    series: &SeriesStore,
    names: &Table,
    segments: &Chunks,
    log: &Queue,
) -> Result<(Ids, Place, Recovery), Error> {
    let start = Instant::now();
    let mut loading =
        Loading { store: series, known: HashMap::new(), recovery: Recovery::default() };
    names
        .for_each(.., |key, value| {
            loading.name(key, value);
            ControlFlow::Continue(())
        })
        .map_err(Error::state)?;
    let mut place = Place { at: i64::MIN, sequence: 0 };
    segments
        .for_each(.., |key, at, bytes| {
            let sequence = key.try_into().map_or(0, u64::from_be_bytes);
            place = Place {
                at: at.as_millis(),
                sequence: place.sequence.max(sequence.saturating_add(1)),
            };
            loading.record(bytes, Some(place.at));
            ControlFlow::Continue(())
        })
        .map_err(Error::state)?;
    log.for_each_from(0, |_, bytes| {
        loading.record(bytes, None);
        ControlFlow::Continue(())
    })
    .map_err(Error::state)?;
    let Loading { known, mut recovery, .. } = loading;
    let mut ids = Ids::default();
    for found in known.into_values() {
        recovery.series += usize::from(found.known.saved > i64::MIN);
        ids.restore(found.labels, found.known);
    }
    recovery.took = start.elapsed();
    Ok((ids, place, recovery))
}

struct Loading<'s> {
    store: &'s SeriesStore,
    known: HashMap<u64, Found>,
    recovery: Recovery,
}

struct Found {
    labels: Labels,
    known: Known,
    series: Option<SeriesId>,
}

impl Loading<'_> {
    fn name(&mut self, key: &[u8], value: &[u8]) {
        let id = key.try_into().map(u64::from_be_bytes).ok();
        let (Some(id), Some(labels)) = (id, labels::decode(value)) else {
            self.recovery.skipped += 1;
            return;
        };
        self.known.insert(id, Found { labels, known: Known::new(id), series: None });
    }

    /// Loads a record; one of a segment has the time that it is kept under.
    fn record(&mut self, bytes: &[u8], segment: Option<i64>) {
        let whole = read_record(bytes, |id, entry| {
            let Some(found) = self.known.get_mut(&id) else {
                self.recovery.skipped += 1;
                return;
            };
            let loaded = match entry {
                Entry::Samples(samples) => found.append(self.store, &samples),
                Entry::Chunk { start, end, bytes } => {
                    let chunk = found.chunk(start, end, bytes);
                    if segment.is_some() {
                        found.load(self.store, &chunk)
                    } else {
                        found.append_chunk(self.store, &chunk)
                    }
                }
            };
            found.known.segment = found.known.segment.max(segment.unwrap_or(i64::MIN));
            match loaded {
                Ok(samples) => self.recovery.samples += samples,
                Err(_) => self.recovery.skipped += 1,
            }
        });
        if whole.is_none() {
            self.recovery.skipped += 1;
        }
    }
}

impl Found {
    fn chunk(&self, start: i64, end: i64, bytes: &[u8]) -> SealedChunk {
        SealedChunk {
            labels: self.labels.clone(),
            start: Timestamp::from_millis(start),
            end: Timestamp::from_millis(end),
            bytes: bytes.into(),
        }
    }

    /// Takes a chunk in as it is.
    fn load(&mut self, store: &SeriesStore, chunk: &SealedChunk) -> Result<usize, Error> {
        if chunk.end.as_millis() <= self.known.saved {
            return Ok(0);
        }
        let loaded = store.load(chunk)?;
        self.known.saved = chunk.end.as_millis();
        Ok(loaded)
    }

    /// Appends what a chunk of the log has. Taken in as it is, it would count as one that is in a segment.
    fn append_chunk(&mut self, store: &SeriesStore, chunk: &SealedChunk) -> Result<usize, Error> {
        if !chunk.has_histograms() {
            return self.append(store, &chunk.samples()?);
        }
        let mut appended = 0;
        for sample in chunk.histograms()? {
            let at = sample.timestamp.as_millis();
            if at > self.known.saved {
                store.append_histogram(&self.labels, sample)?;
                self.known.saved = at;
                appended += 1;
            }
        }
        Ok(appended)
    }

    fn append(&mut self, store: &SeriesStore, samples: &[Sample]) -> Result<usize, Error> {
        let saved = self.known.saved;
        // What is in a chunk already was logged before it was sealed.
        let new = samples.partition_point(|sample| sample.timestamp.as_millis() <= saved);
        let Some(last) = samples[new..].last() else { return Ok(0) };
        let series = match self.series {
            Some(series) => series,
            None => *self.series.insert(store.resolve(&self.labels)?),
        };
        self.known.saved = last.timestamp.as_millis();
        Ok(store.append_samples(series, &samples[new..]).appended)
    }
}
