//! The chunks of one series, oldest first.

use std::collections::VecDeque;

use obs_model::{Labels, Sample};

use super::chunk::Chunk;
use crate::TimeRange;

/// One series: what it is and its samples. It always has at least one.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) labels: Labels,
    chunks: VecDeque<Chunk>,
}

impl Stored {
    pub(super) fn new(labels: Labels, sample: Sample) -> Self {
        Self { labels, chunks: VecDeque::from([Chunk::new(sample)]) }
    }

    /// The memory that its chunks take, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.chunks.iter().map(Chunk::bytes).sum()
    }

    /// The time of the last sample, in milliseconds.
    pub(super) fn last_millis(&self) -> i64 {
        self.chunks.back().map_or(i64::MIN, Chunk::last_millis)
    }

    /// The time of the last sample of the oldest chunk, in milliseconds.
    pub(super) fn oldest_chunk_millis(&self) -> i64 {
        self.chunks.front().map_or(i64::MIN, Chunk::last_millis)
    }

    /// Adds a sample that is later than every other and says by how many bytes that made the series larger.
    pub(super) fn push(&mut self, sample: Sample) -> isize {
        let Some(head) = self.chunks.back_mut() else {
            let chunk = Chunk::new(sample);
            let grown = chunk.bytes();
            self.chunks.push_back(chunk);
            return grown.cast_signed();
        };
        let before = head.bytes();
        if head.push(sample) {
            return head.bytes().cast_signed() - before.cast_signed();
        }
        head.seal();
        let after = head.bytes();
        let chunk = Chunk::new(sample);
        let grown = chunk.bytes() + after;
        self.chunks.push_back(chunk);
        grown.cast_signed() - before.cast_signed()
    }

    /// Removes the oldest chunk: how many samples and bytes that were, and whether any chunk is left.
    pub(super) fn pop_oldest(&mut self) -> (usize, usize, bool) {
        let (samples, bytes) =
            self.chunks.pop_front().map_or((0, 0), |chunk| (chunk.len(), chunk.bytes()));
        (samples, bytes, !self.chunks.is_empty())
    }

    /// The samples in `range`.
    pub(super) fn read(&self, range: TimeRange) -> Vec<Sample> {
        let (start, end) = (range.start.as_millis(), range.end.as_millis());
        let skipped = self.chunks.partition_point(|chunk| chunk.last_millis() <= start);
        let mut samples = Vec::new();
        for chunk in self.chunks.range(skipped..) {
            let (from, to) = (chunk.count_until(start), chunk.count_until(end));
            samples.extend((from..to).map(|index| chunk.sample(index)));
            if to < chunk.len() {
                break;
            }
        }
        samples
    }

    /// The last sample in `range`.
    pub(super) fn last_in(&self, range: TimeRange) -> Option<Sample> {
        let end = range.end.as_millis();
        let after = self.chunks.partition_point(|chunk| chunk.last_millis() <= end);
        // It is in the first chunk that goes on after the end or, if all of that one is later, the one before.
        [after.checked_sub(1), Some(after)]
            .into_iter()
            .rev()
            .flatten()
            .filter_map(|index| self.chunks.get(index))
            .find_map(|chunk| Some(chunk.sample(chunk.count_until(end).checked_sub(1)?)))
            .filter(|sample| range.contains(sample.timestamp))
    }

    /// Whether there is a sample in `range`.
    pub(super) fn has_sample_in(&self, range: TimeRange) -> bool {
        self.last_in(range).is_some()
    }
}
