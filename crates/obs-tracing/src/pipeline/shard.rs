//! Which share of what all threads fill a thread uses, so that threads seldom meet.

use std::sync::atomic::{AtomicUsize, Ordering};

thread_local! {
    static NUMBER: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed)
    };
}

/// How many shares there are at most.
const MAX: usize = 16;

/// How many shares to make: one for each thread that can run at the same time, within reason.
pub(crate) fn count() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(MAX)
}

/// This thread's share of so many.
#[inline]
pub(crate) fn of(count: usize) -> usize {
    // OK because a thread that is ending may meet another one.
    NUMBER.try_with(|number| *number).unwrap_or(0) % count
}
