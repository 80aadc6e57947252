//! What happened to one span since it opened.

use std::sync::atomic::{AtomicU64, Ordering};

/// The times of one span, in nanoseconds of the pipeline's source of time.
///
/// They are written by whoever enters and leaves the span and read by whoever looks, without a lock. Adding is a load and
/// a store: where several threads leave one span at the very same moment, one of the additions can be lost.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    opened: AtomicU64,
    /// When it was last left, or opened.
    last: AtomicU64,
    busy: AtomicU64,
    polls: AtomicU64,
    task: AtomicU64,
}

/// The same, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) opened: u64,
    pub(crate) last: u64,
    pub(crate) busy: u64,
    /// How often it was left.
    pub(crate) polls: u64,
    /// The task that was last in it; 0 when it was none.
    pub(crate) task: u64,
}

impl Activity {
    /// Notes that a span opens here; the slot is locked.
    pub(crate) fn open(&self, at: u64) {
        self.opened.store(at, Ordering::Relaxed);
        self.last.store(at, Ordering::Relaxed);
        self.busy.store(0, Ordering::Relaxed);
        self.polls.store(0, Ordering::Relaxed);
        self.task.store(0, Ordering::Relaxed);
    }

    /// Notes that a thread left the span at `at`, in which it had been for `spent`.
    #[inline]
    pub(crate) fn leave(&self, at: u64, spent: u64, task: u64) {
        let add = |to: &AtomicU64, more| {
            to.store(to.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
        };
        add(&self.busy, spent);
        add(&self.polls, 1);
        self.last.store(at, Ordering::Relaxed);
        self.task.store(task, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Seen {
        Seen {
            opened: self.opened.load(Ordering::Relaxed),
            last: self.last.load(Ordering::Relaxed),
            busy: self.busy.load(Ordering::Relaxed),
            polls: self.polls.load(Ordering::Relaxed),
            task: self.task.load(Ordering::Relaxed),
        }
    }
}
