//! One series: what it is, its sealed chunks, oldest first, and its newest samples.

use obs_model::{Labels, Sample, Timestamp};

use super::chunk::{Chunk, Decoded};
use super::code::CHUNK_SAMPLES;
use super::head::Head;
use super::heap;
use super::native::{NativeChunk, Natives};
use super::tally::Refused;
use crate::promql::HistogramSample;
use crate::stale::is_stale;
use crate::{Error, TimeRange};

/// One series: what it is and its samples.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) labels: Labels,
    sealed: Vec<Chunk>,
    head: Head,
    natives: Option<Box<Natives>>,
    /// How many of the newest sealed chunks nobody has taken for keeping yet, of each kind.
    untaken: (u32, u32),
    /// The time of the last sample that was given out before it was sealed, in milliseconds.
    shown: i64,
    /// The newest time in the store when the series was made; until its first sample, that says how old it is.
    pub(super) made: i64,
}

/// What became of a sample that is not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Stored,
    /// The series' last sample is the same.
    Repeated,
}

impl Stored {
    pub(super) fn new(labels: Labels, made: i64) -> Self {
        let (sealed, head) = (Vec::new(), Head::new());
        Self { labels, sealed, head, natives: None, untaken: (0, 0), shown: i64::MIN, made }
    }

    /// What its samples take on the heap, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let chunks = self.sealed.iter().map(|chunk| heap::allocation(chunk.bytes().len()));
        heap::vector(&self.sealed) + chunks.sum::<usize>() + self.open_bytes()
    }

    /// As [`Stored::bytes`], without sealed chunks of floats: the part that an append may change without sealing.
    fn open_bytes(&self) -> usize {
        let natives = self.natives.as_ref();
        self.head.bytes()
            + natives.map_or(0, |natives| natives.bytes() + heap::allocation(size_of::<Natives>()))
    }

    /// The time of the last sample, in milliseconds.
    pub(super) fn last_millis(&self) -> Option<i64> {
        let floats = self.head.last_millis().or_else(|| self.sealed.last().map(Chunk::end));
        match &self.natives {
            None => floats,
            Some(natives) => floats.max(natives.last_millis()),
        }
    }

    /// The time of the first sample, in milliseconds.
    pub(super) fn first_millis(&self) -> Option<i64> {
        let sealed = self.sealed.first().map(Chunk::start);
        let floats = sealed.or_else(|| self.head.first_millis());
        let natives = self.natives.as_ref().and_then(|natives| natives.first_millis());
        floats.into_iter().chain(natives).min()
    }

    /// How many chunks there are, open ones included.
    pub(super) fn chunks(&self) -> usize {
        let natives = self.natives.as_ref().map_or(0, |natives| natives.chunks());
        self.sealed.len() + usize::from(self.head.len() > 0) + natives
    }

    /// When the oldest chunk ends, in milliseconds; for a series without samples, when it was made.
    pub(super) fn oldest_end(&self) -> i64 {
        let floats = self.sealed.first().map(Chunk::end).or_else(|| self.head.oldest_end());
        let natives = self.natives.as_ref().and_then(|natives| natives.oldest_end());
        match (floats, natives) {
            (Some(floats), Some(natives)) => floats.min(natives),
            (floats, natives) => floats.or(natives).unwrap_or(self.made),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sealed.is_empty()
            && self.head.len() == 0
            && self.natives.as_ref().is_none_or(|natives| natives.is_empty())
    }

    /// Whether removing the oldest chunk leaves nothing.
    pub(super) fn has_one_chunk(&self) -> bool {
        let floats = self.sealed.len() + self.head.len().div_ceil(CHUNK_SAMPLES);
        floats + self.natives.as_ref().map_or(0, |natives| natives.chunks()) <= 1
    }

    pub(super) fn has_natives(&self) -> bool {
        self.natives.is_some()
    }

    /// Adds a number unless it is not later than every sample; says by how many bytes the series grew.
    pub(super) fn push(
        &mut self,
        at: i64,
        value: f64,
        scratch: &mut Vec<u8>,
    ) -> Result<(Taken, isize), Refused> {
        if let Some(last) = self.last_millis().filter(|last| at <= *last) {
            return match self.head.last() {
                Some(sample)
                    if at == last
                        && sample.timestamp.as_millis() == at
                        && sample.value.to_bits() == value.to_bits() =>
                {
                    Ok((Taken::Repeated, 0))
                }
                _ => Err(not_later(at, last)),
            };
        }
        let before = self.head.bytes();
        let mut grown = 0;
        // This ends because a head that is empty takes any sample.
        while !self.head.push(at, value) {
            grown += self.seal_oldest(scratch);
        }
        grown += self.head.bytes().cast_signed() - before.cast_signed();
        Ok((Taken::Stored, grown))
    }

    /// Seals the oldest of the head and says by how many bytes the chunks grew; the head counts apart.
    fn seal_oldest(&mut self, scratch: &mut Vec<u8>) -> isize {
        let chunk = self.head.seal(scratch);
        self.untaken.0 += 1;
        self.adopt_chunk(chunk)
    }

    fn adopt_chunk(&mut self, chunk: Chunk) -> isize {
        let before = heap::vector(&self.sealed);
        if self.sealed.len() == self.sealed.capacity() {
            self.sealed.reserve_exact(4);
        }
        let grown = heap::allocation(chunk.bytes().len());
        self.sealed.push(chunk);
        (heap::vector(&self.sealed) + grown).cast_signed() - before.cast_signed()
    }

    /// As [`Stored::push`], for a native histogram.
    pub(super) fn push_histogram(
        &mut self,
        sample: HistogramSample,
        scratch: &mut Vec<u8>,
    ) -> Result<(Taken, isize), Refused> {
        let at = sample.timestamp.as_millis();
        if let Some(last) = self.last_millis().filter(|last| at <= *last) {
            return match self.natives.as_ref().and_then(|natives| natives.last()) {
                Some(known) if at == last && *known == sample => Ok((Taken::Repeated, 0)),
                _ => Err(not_later(at, last)),
            };
        }
        let before = self.open_bytes();
        if self.natives.get_or_insert_default().push(sample, scratch) {
            self.untaken.1 += 1;
        }
        Ok((Taken::Stored, self.open_bytes().cast_signed() - before.cast_signed()))
    }

    /// The error for a sample that was refused.
    pub(super) fn refusal(&self, refused: Refused, at: Timestamp) -> Error {
        if refused == Refused::Duplicate {
            return Error::duplicate(&self.labels, at);
        }
        let last = Timestamp::from_millis(self.last_millis().unwrap_or(i64::MIN));
        Error::out_of_order(&self.labels, at, last)
    }

    /// Removes the oldest chunk: how many samples that were.
    pub(super) fn pop_oldest(&mut self) -> usize {
        let floats = self.sealed.first().map(Chunk::end).or_else(|| self.head.oldest_end());
        if let Some(natives) = &mut self.natives
            && natives.oldest_end().is_some_and(|end| floats.is_none_or(|floats| end < floats))
        {
            let samples = natives.pop_oldest();
            self.untaken.1 = self.untaken.1.min(length(&natives.sealed));
            if natives.is_empty() {
                self.natives = None;
            }
            return samples;
        }
        if self.sealed.is_empty() {
            let samples = self.head.len().min(CHUNK_SAMPLES);
            self.head.drop_oldest(samples);
            return samples;
        }
        let samples = self.sealed.remove(0).len();
        self.untaken.0 = self.untaken.0.min(length(&self.sealed));
        samples
    }

    /// Appends the numbers in `range` to `out`.
    pub(super) fn read_into(&self, range: TimeRange, decoded: &mut Decoded, out: &mut Vec<Sample>) {
        let (start, end) = (range.start.as_millis(), range.end.as_millis());
        let from = self.sealed_after(start);
        for chunk in &self.sealed[from..] {
            chunk.read_into(range, decoded, out);
            if chunk.end() >= end {
                return;
            }
        }
        self.head.read_into(range, out);
    }

    /// The index of the first sealed chunk that goes on after `at`.
    fn sealed_after(&self, at: i64) -> usize {
        // What is asked for most is new.
        if self.sealed.last().is_none_or(|last| last.end() <= at) {
            return self.sealed.len();
        }
        self.sealed.partition_point(|chunk| chunk.end() <= at)
    }

    /// The native histograms in `range`.
    pub(super) fn read_histograms(&self, range: TimeRange) -> Vec<HistogramSample> {
        self.natives.as_ref().map(|natives| natives.read(range)).unwrap_or_default()
    }

    /// The last number in `range`.
    pub(super) fn last_in(&self, range: TimeRange) -> Option<Sample> {
        if let Some(found) = self.head.last_in(range) {
            return Some(found);
        }
        // It is in the first chunk that goes on after the end or, if all of that one is later, the one before.
        let after = self.sealed_after(range.end.as_millis());
        let (mut decoded, mut samples) = (Decoded::new(), Vec::new());
        for chunk in self.sealed[..self.sealed.len().min(after + 1)].iter().rev() {
            if chunk.end() <= range.start.as_millis() {
                return None;
            }
            chunk.read_into(range, &mut decoded, &mut samples);
            if let Some(last) = samples.last() {
                return Some(*last);
            }
        }
        None
    }

    /// The last number in `range`, unless a native histogram or a stale marker follows it there.
    pub(super) fn live_in(&self, range: TimeRange) -> Option<Sample> {
        let last = self.last_in(range).filter(|sample| !is_stale(sample.value))?;
        let after = TimeRange { start: last.timestamp, end: range.end };
        let followed = self.natives.as_ref().is_some_and(|natives| natives.has_sample_in(after));
        (!followed).then_some(last)
    }

    /// Whether there is a number in `range`.
    pub(super) fn has_sample_in(&self, range: TimeRange) -> bool {
        self.last_in(range).is_some()
    }

    /// Shows the sealed chunks that nobody has taken yet, oldest first, and notes that they are taken.
    pub(super) fn take_sealed(&mut self, mut take: impl FnMut(i64, i64, &[u8])) {
        let (floats, natives) = std::mem::take(&mut self.untaken);
        for chunk in &self.sealed[self.sealed.len() - floats as usize..] {
            take(chunk.start(), chunk.end(), chunk.bytes());
        }
        if let Some(known) = &self.natives {
            for chunk in &known.sealed[known.sealed.len() - natives as usize..] {
                take(chunk.start(), chunk.end(), chunk.bytes());
            }
        }
    }

    /// Whether there are sealed chunks that nobody has taken yet.
    pub(super) fn has_untaken(&self) -> bool {
        self.untaken != (0, 0)
    }

    /// Shows what is not sealed and later than `after`, as chunks.
    pub(super) fn show_heads(
        &self,
        after: i64,
        scratch: &mut Vec<u8>,
        mut show: impl FnMut(i64, i64, &[u8]),
    ) {
        let (mut from, len) = (self.head.count_until(after), self.head.len());
        while from < len {
            let to = len.min(from + CHUNK_SAMPLES);
            let chunk = self.head.as_chunk(from, to, scratch);
            show(chunk.start(), chunk.end(), chunk.bytes());
            from = to;
        }
        let natives = self.natives.as_ref();
        if let Some(chunk) = natives.and_then(|natives| natives.head_as_chunk(after, scratch)) {
            show(chunk.start(), chunk.end(), chunk.bytes());
        }
    }

    /// As [`Stored::show_heads`], of what has not been shown so yet.
    pub(super) fn take_heads(&mut self, scratch: &mut Vec<u8>, show: impl FnMut(i64, i64, &[u8])) {
        if let Some(last) = self.last_millis().filter(|last| *last > self.shown) {
            self.show_heads(self.shown, scratch, show);
            self.shown = last;
        }
    }

    /// Notes that what there is has been kept already.
    pub(super) fn note_shown(&mut self) {
        self.shown = self.last_millis().unwrap_or(i64::MIN);
    }

    /// Takes a full chunk in as it is, and as one that has been taken; it must be later than every sample.
    ///
    /// Says by how many bytes the series grew; gives the chunk back if it is not full, or if there are samples before
    /// it that are not sealed or not taken.
    pub(super) fn adopt(&mut self, chunk: Chunk) -> Result<isize, Chunk> {
        if self.head.len() > 0 || self.untaken.0 > 0 || chunk.len() < CHUNK_SAMPLES {
            return Err(chunk);
        }
        Ok(self.adopt_chunk(chunk))
    }

    /// As [`Stored::adopt`], for a chunk of native histograms of any number.
    pub(super) fn adopt_histograms(&mut self, chunk: NativeChunk) -> Result<isize, NativeChunk> {
        let before = self.open_bytes();
        let natives = self.natives.get_or_insert_default();
        if natives.last().is_some() || self.untaken.1 > 0 {
            return Err(chunk);
        }
        natives.sealed.push(chunk);
        Ok(self.open_bytes().cast_signed() - before.cast_signed())
    }
}

fn not_later(at: i64, last: i64) -> Refused {
    if at == last { Refused::Duplicate } else { Refused::OutOfOrder }
}

fn length<T>(list: &[T]) -> u32 {
    u32::try_from(list.len()).unwrap_or(u32::MAX)
}
