//! Which share of what all threads fill a thread uses, so that threads seldom meet.

use std::sync::atomic::{AtomicUsize, Ordering};

thread_local! {
    static NUMBER: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed)
    };
}

/// How many shares there are for each processor: threads are numbered as they come, so that with fewer of them two busy
/// threads would often share one.
const PER_PROCESSOR: usize = 4;

/// How many shares to make, and no more than `most`.
pub(crate) fn count(most: usize) -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    (processors * PER_PROCESSOR).min(most)
}

/// This thread's share of so many.
#[inline]
pub(crate) fn of(count: usize) -> usize {
    // OK because a thread that is ending may meet another one.
    NUMBER.try_with(|number| *number).unwrap_or(0) % count
}
