//! An allocator that counts, when it is asked to: how often, and how much at the highest point.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

static ON: AtomicBool = AtomicBool::new(false);
static CALLS: AtomicU64 = AtomicU64::new(0);
static PRESENT: AtomicI64 = AtomicI64::new(0);
static PEAK: AtomicI64 = AtomicI64::new(0);

pub(crate) struct Counting;

// SAFETY: every call is passed on to the system's allocator as it came; counting touches atomics only.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: the caller's contract is the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as i64 - layout.size() as i64);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

fn count(bytes: i64) {
    if ON.load(Ordering::Relaxed) {
        if bytes > 0 {
            CALLS.fetch_add(1, Ordering::Relaxed);
        }
        let present = PRESENT.fetch_add(bytes, Ordering::Relaxed) + bytes;
        PEAK.fetch_max(present, Ordering::Relaxed);
    }
}

/// What some work allocated.
pub(crate) struct Allocated {
    /// How often.
    pub(crate) calls: u64,
    /// How many bytes more than before were allocated at the highest point.
    pub(crate) peak_bytes: i64,
}

/// Runs `work` and counts what it allocates.
pub(crate) fn counted(work: impl FnOnce()) -> Allocated {
    CALLS.store(0, Ordering::Relaxed);
    PRESENT.store(0, Ordering::Relaxed);
    PEAK.store(0, Ordering::Relaxed);
    ON.store(true, Ordering::Relaxed);
    work();
    ON.store(false, Ordering::Relaxed);
    Allocated { calls: CALLS.load(Ordering::Relaxed), peak_bytes: PEAK.load(Ordering::Relaxed) }
}
