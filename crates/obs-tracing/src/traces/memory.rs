//! The spans that closed last, within a bound.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

use super::batch::{Room, SpanBatch, Told};
use crate::pipeline::shard;
use crate::spans::SpanState;

/// The least memory that makes sense, in bytes.
pub(crate) const MIN_BYTES: usize = 256 * 1024;

/// The most threads that keep spans without meeting each other: an eighth of the memory is then being filled.
const SHARDS: usize = 8;

/// The parts in which the memory is forgotten.
const PARTS: usize = 64;

/// The smallest part, in bytes: the largest span that is kept.
const SMALLEST_PART: usize = 16 * 1024;

/// The largest part, in bytes: what a reader copies while a thread that closes a span waits.
const LARGEST_PART: usize = 128 * 1024;

/// Spans that have closed. Each thread fills a part of its own with others that it seldom meets; full parts stand in one
/// row, of which the oldest is emptied for the next.
pub(crate) struct SpanMemory {
    filling: Box<[Mutex<SpanBatch>]>,
    /// The parts that are full, the oldest first.
    full: Mutex<VecDeque<Arc<SpanBatch>>>,
    part_bytes: usize,
    max_full: usize,
}

impl SpanMemory {
    /// A memory of `bytes` bytes at most.
    pub(crate) fn new(bytes: usize) -> Self {
        Self::with_shards(bytes, shard::count(SHARDS))
    }

    fn with_shards(bytes: usize, shards: usize) -> Self {
        let part_bytes = (bytes / PARTS).clamp(SMALLEST_PART, LARGEST_PART);
        Self {
            filling: (0..shards).map(|_| Mutex::default()).collect(),
            full: Mutex::default(),
            part_bytes,
            max_full: (bytes / part_bytes).saturating_sub(shards).max(1),
        }
    }

    /// Keeps a span that is closing.
    pub(crate) fn keep(&self, span: &SpanState, start: u64, duration: u64) -> Forgotten {
        if !span.story.is_empty() {
            return self.keep_with_story(span, start, duration);
        }
        self.push(|part, room| part.push(span, start, duration, room))
    }

    /// Keeps a span in which something happened; what happened is only counted if it does not fit into a part.
    #[cold]
    fn keep_with_story(&self, span: &SpanState, start: u64, duration: u64) -> Forgotten {
        let add = |part: &mut SpanBatch, room: Room, told: Told| {
            part.push_told(span, start, duration, room, told)
        };
        let room = Room::of(self.part_bytes);
        let mut part = self.filling[shard::of(self.filling.len())].lock();
        if add(&mut part, room, Told::All) {
            return Forgotten::default();
        }
        // A part is only full if the next one has room: stories that no part has room for would empty the memory.
        let mut next = SpanBatch::default();
        if !part.heads.is_empty() && add(&mut next, room, Told::All) {
            let full = std::mem::replace(&mut *part, next);
            let (_, evicted) = self.put_away(full);
            return Forgotten { evicted, too_large: false };
        }
        drop(part);
        self.push(|part, room| add(part, room, Told::Counts))
    }

    /// Adds a span to the part that this thread fills, or to the next one.
    #[inline(always)]
    fn push(&self, add: impl Fn(&mut SpanBatch, Room) -> bool) -> Forgotten {
        let shard = shard::of(self.filling.len());
        let room = Room::of(self.part_bytes);
        let mut part = self.filling[shard].lock();
        let mut forgotten = Forgotten::default();
        if add(&mut part, room) {
            return forgotten;
        }
        if !part.heads.is_empty() {
            let full = std::mem::take(&mut *part);
            (*part, forgotten.evicted) = self.put_away(full);
            if add(&mut part, room) {
                return forgotten;
            }
        }
        forgotten.too_large = true;
        forgotten
    }

    /// Keeps a full part; returns an empty one, with the vectors of the oldest if there is no room for more, and how
    /// many spans that one had.
    fn put_away(&self, part: SpanBatch) -> (SpanBatch, usize) {
        let mut full = self.full.lock();
        full.push_back(Arc::new(part));
        if full.len() <= self.max_full {
            return Default::default();
        }
        let Some(oldest) = full.pop_front() else { return Default::default() };
        drop(full);
        let evicted = oldest.heads.len();
        // A part whose vectors suited other spans better, or that somebody reads, is not used again.
        let part = match Arc::try_unwrap(oldest) {
            Ok(mut oldest) if oldest.used() >= oldest.capacity() / 4 * 3 => {
                oldest.clear();
                oldest
            }
            _ => SpanBatch::default(),
        };
        (part, evicted)
    }

    /// Everything that is kept, as it is now, the oldest parts first; a span may be there twice when its part became full meanwhile.
    pub(crate) fn parts(&self) -> Vec<Arc<SpanBatch>> {
        let copy = |part: &Mutex<SpanBatch>| Arc::new(part.lock().clone());
        let filling: Vec<_> = self.filling.iter().map(copy).collect();
        let mut parts: Vec<_> = self.full.lock().iter().map(Arc::clone).collect();
        parts.extend(filling);
        parts
    }
}

/// What is no longer kept, or never was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "what is forgotten is counted"]
pub(crate) struct Forgotten {
    evicted: usize,
    too_large: bool,
}

impl Forgotten {
    /// Counts it. A recorder may itself log, so that nothing may be locked.
    pub(crate) fn count(self) {
        for (reason, count) in [("evicted", self.evicted), ("too_large", self.too_large.into())] {
            if count > 0 {
                metrics::counter!("obskit_span_memory_dropped_total", "reason" => reason)
                    .increment(count as u64);
            }
        }
    }
}
