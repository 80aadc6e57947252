//! Samples as they are kept elsewhere: chunks out, and in again after a restart. Nothing here does I/O.

use std::sync::Arc;

use obs_model::{Labels, Sample, Timestamp};

use super::SeriesStore;
use super::chunk::{Chunk, Decoded, Kind, read_head};
use super::native::{self, NativeChunk};
use super::tally::{Refused, Tally};
use crate::Error;
use crate::promql::HistogramSample;

/// Samples of one series, in the bytes of a sealed chunk.
///
/// The bytes say what version of the format they have and whether the samples are numbers or native histograms.
///
/// ```
/// use obs_model::{Labels, Sample, Timestamp};
/// use obs_query::{SeriesStore, StoreConfig};
///
/// let store = SeriesStore::new(StoreConfig::default());
/// let up = Labels::new([("__name__", "up")])?;
/// for tick in 0..300 {
///     store.append(&up, Sample { timestamp: Timestamp::from_millis(tick * 5_000), value: 1.0 })?;
/// }
///
/// let sealed = store.take_sealed(usize::MAX);
/// let open = store.open_chunks(sealed[0].end);
/// assert_eq!((sealed[0].samples()?.len(), open[0].samples()?.len()), (120, 120));
/// assert!(store.take_sealed(usize::MAX).is_empty(), "each is given out once");
///
/// let again = SeriesStore::new(StoreConfig::default());
/// for chunk in sealed.iter().chain(&open) {
///     again.load(chunk)?;
/// }
/// assert_eq!(again.stats().samples, 300);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedChunk {
    /// What the series is, `__name__` included.
    pub labels: Labels,
    /// The time of the first sample.
    pub start: Timestamp,
    /// The time of the last sample.
    pub end: Timestamp,
    /// The samples, in the format of this store.
    pub bytes: Arc<[u8]>,
}

impl SealedChunk {
    fn new(labels: &Labels, start: i64, end: i64, bytes: &[u8]) -> Self {
        let (start, end) = (Timestamp::from_millis(start), Timestamp::from_millis(end));
        Self { labels: labels.clone(), start, end, bytes: bytes.into() }
    }

    /// A chunk of one native histogram.
    #[cfg(feature = "persist")]
    pub(crate) fn of_histogram(labels: &Labels, sample: &HistogramSample) -> Self {
        let chunk = NativeChunk::seal(std::slice::from_ref(sample), &mut Vec::new());
        Self::new(labels, chunk.start(), chunk.end(), chunk.bytes())
    }

    /// Whether its samples are native histograms.
    #[cfg(feature = "persist")]
    pub(crate) fn has_histograms(&self) -> bool {
        self.kind().is_ok_and(|kind| kind == Kind::Histograms)
    }

    /// The numbers that it has; none if it is one of native histograms.
    ///
    /// # Errors
    ///
    /// The bytes are not a chunk of a version that is known.
    pub fn samples(&self) -> Result<Vec<Sample>, Error> {
        if self.kind()? == Kind::Histograms {
            return native::decode(&self.bytes).map(|_| Vec::new()).ok_or_else(|| self.malformed());
        }
        let mut decoded = Decoded::new();
        decoded.read(&self.bytes).ok_or_else(|| self.malformed())?;
        Ok(decoded.samples().collect())
    }

    /// The native histograms that it has; none if it is one of numbers.
    ///
    /// # Errors
    ///
    /// As [`SealedChunk::samples`].
    pub fn histograms(&self) -> Result<Vec<HistogramSample>, Error> {
        match self.kind()? {
            Kind::Floats => self.samples().map(|_| Vec::new()),
            Kind::Histograms => native::decode(&self.bytes).ok_or_else(|| self.malformed()),
        }
    }

    fn kind(&self) -> Result<Kind, Error> {
        read_head(&mut &*self.bytes).map(|head| head.kind).ok_or_else(|| self.malformed())
    }

    fn malformed(&self) -> Error {
        Error::chunk(&self.labels, "bytes of a chunk of version 1")
    }
}

impl SeriesStore {
    /// Gives out the chunks that were sealed since the last call, each once, of up to about `max_bytes`.
    ///
    /// The chunks of one series come oldest first. What does not fit is left for the next call; an empty answer says
    /// that there is nothing left. A chunk that was evicted before anybody took it is not among them.
    pub fn take_sealed(&self, max_bytes: usize) -> Vec<SealedChunk> {
        let (mut taken, mut bytes) = (Vec::new(), 0);
        for block in self.blocks.iter() {
            let untaken = block.read().iter().any(|stored| stored.has_untaken());
            if !untaken {
                continue;
            }
            for stored in block.write().iter_mut().filter(|stored| stored.has_untaken()) {
                let labels = stored.labels.clone();
                stored.take_sealed(|start, end, chunk| {
                    bytes += chunk.len();
                    taken.push(SealedChunk::new(&labels, start, end, chunk));
                });
                if bytes >= max_bytes {
                    return taken;
                }
            }
        }
        taken
    }

    /// Gives out the samples that are in no sealed chunk yet and that no earlier call gave out, as chunks.
    ///
    /// Called every sample interval, with [`SeriesStore::take_sealed`] after it, this gives out everything that a crash
    /// would lose. A chunk that is sealed later repeats what was given out here, so that it can be dropped then;
    /// loading passes over what it has already.
    pub fn take_open(&self) -> Vec<SealedChunk> {
        let (mut taken, mut scratch) = (Vec::new(), Vec::new());
        for block in self.blocks.iter() {
            if block.read().iter().next().is_none() {
                continue;
            }
            for stored in block.write().iter_mut() {
                let labels = stored.labels.clone();
                stored.take_heads(&mut scratch, |start, end, bytes| {
                    taken.push(SealedChunk::new(&labels, start, end, bytes));
                });
            }
        }
        taken
    }

    /// The samples after `after` that are not in a sealed chunk yet, as chunks, whoever was given them before.
    #[must_use]
    pub fn open_chunks(&self, after: Timestamp) -> Vec<SealedChunk> {
        let (mut shown, mut scratch) = (Vec::new(), Vec::new());
        for block in self.blocks.iter() {
            for stored in block.read().iter() {
                stored.show_heads(after.as_millis(), &mut scratch, |start, end, bytes| {
                    shown.push(SealedChunk::new(&stored.labels, start, end, bytes));
                });
            }
        }
        shown
    }

    /// Takes a chunk in that was given out before, and says how many samples are new.
    ///
    /// The chunks of one series must come oldest first, and before any other sample of it; samples that are not after
    /// the series' last one are passed over, because open chunks may repeat what was sealed later. Samples that are
    /// past the retention are passed over, too. Full chunks are kept as they are and count as taken.
    ///
    /// # Errors
    ///
    /// The bytes are not a chunk, or there is no room for the series; both are counted.
    pub fn load(&self, chunk: &SealedChunk) -> Result<usize, Error> {
        let mut tally = Tally::default();
        let result = self.load_counted(chunk, &mut tally);
        self.enforce(&mut tally);
        tally.record();
        result
    }

    fn load_counted(&self, chunk: &SealedChunk, tally: &mut Tally) -> Result<usize, Error> {
        let refuse = |tally: &mut Tally, error| {
            tally.refuse(Refused::InvalidChunk);
            error
        };
        let kind = chunk.kind().map_err(|error| refuse(tally, error))?;
        let loaded = match kind {
            Kind::Floats => {
                let whole = Chunk::from_bytes(&chunk.bytes)
                    .map_err(|_| refuse(tally, chunk.malformed()))?;
                self.load_floats(chunk, whole, tally)
            }
            Kind::Histograms => {
                let whole = NativeChunk::from_bytes(&chunk.bytes)
                    .map_err(|_| refuse(tally, chunk.malformed()))?;
                self.load_histograms(chunk, whole, tally)
            }
        }?;
        if let Some(id) = self.directory.read().get(&chunk.labels)
            && let Some(mut block) = self.blocks.write(id)
            && let Some(stored) = block.get_mut(id)
        {
            stored.note_shown();
        }
        Ok(loaded)
    }

    fn load_floats(
        &self,
        given: &SealedChunk,
        chunk: Chunk,
        tally: &mut Tally,
    ) -> Result<usize, Error> {
        let (start, end, samples) = (chunk.start(), chunk.end(), chunk.len());
        if end <= self.level.floor(&self.config) {
            return Ok(0);
        }
        let id = self.resolve_counted(&given.labels, tally)?;
        if self.adopt(id, start, end, samples, |stored| stored.adopt(chunk).ok()) {
            return Ok(samples);
        }
        let before = tally.appended;
        for sample in given.samples()? {
            let passed = self.last_of(id) >= Some(sample.timestamp.as_millis());
            if !passed && sample.timestamp.as_millis() > self.level.floor(&self.config) {
                self.append_one(id, sample.timestamp, tally, |stored, scratch| {
                    stored.push(sample.timestamp.as_millis(), sample.value, scratch)
                })?;
            }
        }
        Ok(tally.appended - before)
    }

    fn load_histograms(
        &self,
        given: &SealedChunk,
        chunk: NativeChunk,
        tally: &mut Tally,
    ) -> Result<usize, Error> {
        let (start, end, samples) = (chunk.start(), chunk.end(), chunk.len());
        if end <= self.level.floor(&self.config) {
            return Ok(0);
        }
        let id = self.resolve_counted(&given.labels, tally)?;
        self.level.note_natives();
        if self.adopt(id, start, end, samples, |stored| stored.adopt_histograms(chunk).ok()) {
            return Ok(samples);
        }
        let before = tally.appended;
        for sample in given.histograms()? {
            let at = sample.timestamp;
            let passed = self.last_of(id) >= Some(at.as_millis());
            if !passed && at.as_millis() > self.level.floor(&self.config) {
                self.append_one(id, at, tally, |stored, scratch| {
                    stored.push_histogram(sample, scratch)
                })?;
            }
        }
        Ok(tally.appended - before)
    }
}
