//! Lines that wait, apart by thread, so that threads that log at the same time do not wait for each other.

use std::sync::atomic::{AtomicU64, Ordering};

use obs_model::{Level, Timestamp};
use parking_lot::Mutex;

use super::batch::{Batch, NewLine};
use crate::pipeline::shard;
use crate::sink::LineHead;

/// How much waits at most.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct QueueLimits {
    pub(crate) bytes: usize,
    pub(crate) lines: usize,
}

impl QueueLimits {
    /// The part of it that lines of a level may fill.
    fn open_to(self, level: Level) -> Self {
        let share = |whole: usize| whole / 8 * eighths(level) + whole % 8 * eighths(level) / 8;
        Self { bytes: share(self.bytes), lines: share(self.lines) }
    }

    fn is_within(self, most: Self) -> bool {
        self.bytes <= most.bytes && self.lines <= most.lines
    }

    fn combine(self, other: Self, each: impl Fn(usize, usize) -> usize) -> Self {
        Self { bytes: each(self.bytes, other.bytes), lines: each(self.lines, other.lines) }
    }
}

/// The eighths of the queue that lines of each level may fill, so that the less important ones go first. What is left
/// for ERROR alone is never taken by others.
const fn eighths(level: Level) -> usize {
    match level {
        Level::Trace => 4,
        Level::Debug => 5,
        Level::Info => 6,
        Level::Warn => 7,
        Level::Error => 8,
    }
}

/// Why a line was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Full,
    Closed,
}

/// The most lanes.
const MOST: usize = 64;

/// The lines of some threads.
// Apart in memory by two cache lines, because processors fetch them in pairs.
#[derive(Default)]
#[repr(align(128))]
struct Lane(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    pending: Batch,
    /// How much of the queue's room is set aside for this lane.
    reserved: QueueLimits,
    closed: bool,
    /// How many lines were ever taken.
    accepted: u64,
}

/// All lines that wait.
pub(super) struct Lanes {
    lanes: Box<[Lane]>,
    limits: QueueLimits,
    /// In which steps lanes reserve room.
    step: QueueLimits,
    /// How much is set aside for all lanes together.
    reserved: Mutex<QueueLimits>,
    /// Lines that were written or given up.
    done: AtomicU64,
}

impl Lanes {
    pub(super) fn new(limits: QueueLimits) -> Self {
        let count = shard::count(MOST);
        let step = |whole: usize| whole / 16 / count;
        Self {
            lanes: (0..count).map(|_| Lane::default()).collect(),
            limits,
            step: QueueLimits { bytes: step(limits.bytes), lines: step(limits.lines) },
            reserved: Mutex::default(),
            done: AtomicU64::new(0),
        }
    }

    /// Takes a line of this thread.
    pub(super) fn push(
        &self,
        line: NewLine<'_>,
        at: Timestamp,
        level: Level,
        head: Option<LineHead>,
    ) -> Result<(), Refused> {
        let mut lane = self.lanes[shard::of(self.lanes.len())].0.lock();
        if lane.closed {
            return Err(Refused::Closed);
        }
        let bytes = lane.pending.size() + line.most_bytes();
        let wanted = QueueLimits { bytes, lines: lane.pending.lines() + 1 };
        let most = self.limits.open_to(level);
        let fits = wanted.is_within(most)
            && (wanted.is_within(lane.reserved) || self.reserve(&mut lane.reserved, wanted, most));
        if !fits {
            return Err(Refused::Full);
        }
        lane.pending.push(line, at, level, head);
        lane.accepted += 1;
        Ok(())
    }

    /// Sets room aside for a lane that wants so much, unless all lanes together would then have more than `most`.
    ///
    /// While there is room for all levels, a lane gets a step more than it wants, so that it seldom asks.
    #[cold]
    fn reserve(&self, lane: &mut QueueLimits, wanted: QueueLimits, most: QueueLimits) -> bool {
        let mut all = self.reserved.lock();
        let exact = wanted.combine(*lane, usize::max);
        let generous = exact.combine(lane.combine(self.step, usize::saturating_add), usize::max);
        for (ask, most) in [(generous, self.limits.open_to(Level::Trace)), (exact, most)] {
            let more = ask.combine(*lane, usize::saturating_sub);
            let sum = all.combine(more, usize::saturating_add);
            if sum.is_within(most) {
                *all = sum;
                *lane = ask;
                return true;
            }
        }
        false
    }

    /// Takes the lines of each lane out, into as many empty batches; whether there were any.
    pub(super) fn take(&self, parts: &mut Vec<Batch>) -> bool {
        parts.resize_with(self.lanes.len(), Batch::default);
        let mut any = false;
        for (lane, part) in self.lanes.iter().zip(parts) {
            let mut lane = lane.0.lock();
            std::mem::swap(&mut lane.pending, part);
            let free = std::mem::take(&mut lane.reserved);
            drop(lane);
            any |= part.lines() > 0;
            let mut all = self.reserved.lock();
            *all = all.combine(free, usize::saturating_sub);
        }
        any
    }

    /// Whether any line waits.
    pub(super) fn is_any_waiting(&self) -> bool {
        self.lanes.iter().any(|lane| lane.0.lock().pending.lines() > 0)
    }

    /// Takes no more lines.
    pub(super) fn close(&self) {
        self.lanes.iter().for_each(|lane| lane.0.lock().closed = true);
    }

    /// Notes that so many lines were written or given up.
    pub(super) fn add_done(&self, lines: usize) {
        self.done.fetch_add(lines as u64, Ordering::Relaxed);
    }

    /// How many lines were taken and are not written.
    pub(super) fn left(&self) -> u64 {
        let accepted: u64 = self.lanes.iter().map(|lane| lane.0.lock().accepted).sum();
        accepted.saturating_sub(self.done.load(Ordering::Relaxed))
    }

    /// The memory that a batch of one lane may keep while it is empty, of `all` bytes.
    pub(super) fn share_of(&self, all: usize) -> usize {
        all / self.lanes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_lanes_together_hold_no_more_than_the_limit_and_lose_nothing_they_took() {
        let limits = QueueLimits { bytes: 64 * 1024, lines: 10_000 };
        let lanes = Lanes::new(limits);
        let accepted = AtomicU64::new(0);
        let mut parts = Vec::new();
        let mut taken = 0;
        std::thread::scope(|scope| {
            let pushing: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        for number in 0..20_000 {
                            let level = Level::ALL[number % Level::ALL.len()];
                            let line = NewLine::Whole(&[b'x'; 100]);
                            let took = lanes.push(line, Timestamp::EPOCH, level, None);
                            accepted.fetch_add(took.is_ok().into(), Ordering::Relaxed);
                        }
                    })
                })
                .collect();
            while pushing.iter().any(|thread| !thread.is_finished()) {
                lanes.take(&mut parts);
                let bytes: usize = parts.iter().map(Batch::size).sum();
                // OK because a lane that was emptied may fill again while the others are.
                assert!(bytes <= limits.bytes * lanes.lanes.len(), "{bytes}");
                taken += parts.iter().map(Batch::lines).sum::<usize>();
                parts.iter_mut().for_each(|part| part.clear(0));
            }
        });
        lanes.close();
        let late = lanes.push(NewLine::Whole(b"x"), Timestamp::EPOCH, Level::Error, None);
        assert_eq!(late, Err(Refused::Closed));
        lanes.take(&mut parts);
        taken += parts.iter().map(Batch::lines).sum::<usize>();
        assert_eq!(taken as u64, accepted.load(Ordering::Relaxed));
        assert_eq!(lanes.left(), taken as u64);
        lanes.add_done(taken);
        assert_eq!(lanes.left(), 0);
    }

    #[test]
    fn threads_that_fill_the_queue_together_keep_its_limit() {
        let limits = QueueLimits { bytes: 100_000, lines: 10_000 };
        let lanes = Lanes::new(limits);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let line = NewLine::Whole(&[b'x'; 100]);
                    while lanes.push(line, Timestamp::EPOCH, Level::Info, None).is_ok() {}
                });
            }
        });
        let mut parts = Vec::new();
        assert!(lanes.take(&mut parts));
        let bytes: usize = parts.iter().map(Batch::size).sum();
        let open = limits.open_to(Level::Info).bytes;
        // All but what lanes have set aside and not used.
        assert!((open - open / 8..=open).contains(&bytes), "{bytes} of {open}");
    }
}
