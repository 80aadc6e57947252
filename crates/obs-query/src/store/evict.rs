//! What goes when it is too old or too much: the oldest chunks of all series.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::Mutex;

use super::SeriesStore;
use super::blocks::SeriesId;
use super::tally::{Evicted, Tally};

/// Which series has the oldest chunk.
#[derive(Debug)]
pub(super) struct Evictor {
    /// One entry for each series: when its oldest chunk ended, as far as was known when the entry was made. That time
    /// only grows, so the first entry is never later than it should be.
    oldest: Mutex<BinaryHeap<Reverse<(i64, SeriesId)>>>,
    /// The time of the first entry, so that nobody has to ask for the lock to find out that there is nothing to do.
    due: AtomicI64,
}

/// What became of the series with the oldest chunk.
enum Turn {
    /// It has a chunk that ends then, the oldest one now.
    Again(i64),
    Removed,
    /// It may have to be removed, which needs more locks.
    Last,
}

impl Evictor {
    pub(super) fn new() -> Self {
        Self { oldest: Mutex::default(), due: AtomicI64::new(i64::MAX) }
    }

    /// Notes a series that was made at `at`.
    pub(super) fn note(&self, id: SeriesId, at: i64) {
        let mut oldest = self.oldest.lock();
        oldest.push(Reverse((at, id)));
        self.due.fetch_min(at, Ordering::Relaxed);
    }

    /// What it takes for so many series, in bytes.
    pub(super) fn bytes(series: usize) -> usize {
        series.next_power_of_two() * size_of::<Reverse<(i64, SeriesId)>>()
    }
}

impl SeriesStore {
    /// Removes what is too old or too much.
    pub(super) fn enforce(&self, tally: &mut Tally) {
        let floor = self.level.floor(&self.config);
        let due = self.evictor.due.load(Ordering::Relaxed);
        if due > floor && self.level.excess(&self.config).is_none() {
            return;
        }
        let mut oldest = self.evictor.oldest.lock();
        while let Some(&Reverse((ended, id))) = oldest.peek() {
            let why = match self.level.excess(&self.config) {
                _ if ended <= floor => Evicted::Retention,
                Some(excess) => excess,
                None => break,
            };
            oldest.pop();
            let turn = match self.evict(id, ended, why, tally) {
                Turn::Last => self.evict_last(id, ended, why, tally),
                turn => turn,
            };
            if let Turn::Again(ends) = turn {
                oldest.push(Reverse((ends, id)));
            }
        }
        let due = oldest.peek().map_or(i64::MAX, |Reverse((ended, _))| *ended);
        self.evictor.due.store(due, Ordering::Relaxed);
    }

    /// Removes the oldest chunk of a series if it still ends at `ended` and is not the last one.
    fn evict(&self, id: SeriesId, ended: i64, why: Evicted, tally: &mut Tally) -> Turn {
        let Some(mut block) = self.blocks.write(id) else {
            return Turn::Removed;
        };
        let Some(stored) = block.get_mut(id) else {
            return Turn::Removed;
        };
        if stored.is_empty() && stored.made == i64::MIN {
            // It was made before there was any time to count from.
            stored.made = self.level.newest_millis();
        }
        let ends = stored.oldest_end();
        if ends != ended {
            return Turn::Again(ends);
        }
        if stored.has_one_chunk() {
            return Turn::Last;
        }
        let before = stored.bytes();
        let samples = stored.pop_oldest();
        self.level.subtract(samples, before.cast_signed() - stored.bytes().cast_signed());
        tally.evict(why, samples);
        Turn::Again(stored.oldest_end())
    }

    /// Removes a series with its last chunk, if that still ends at `ended`.
    fn evict_last(&self, id: SeriesId, ended: i64, why: Evicted, tally: &mut Tally) -> Turn {
        let mut directory = self.directory.write();
        let Some(mut block) = self.blocks.write(id) else {
            return Turn::Removed;
        };
        let Some(stored) = block.get_mut(id) else {
            return Turn::Removed;
        };
        let ends = stored.oldest_end();
        if ends != ended || !stored.has_one_chunk() {
            return Turn::Again(ends);
        }
        let bytes = stored.bytes().cast_signed();
        let samples = stored.pop_oldest();
        self.level.subtract(samples, bytes);
        tally.evict(why, samples);
        block.remove(id);
        drop(block);
        directory.remove(id);
        self.remove_exemplars(id);
        self.level.note_removed();
        self.note_directory(&directory);
        Turn::Removed
    }
}
