//! The wrapper around an allocator.

use std::alloc::{GlobalAlloc, Layout, System};

use super::slots;

/// An allocator that counts what goes through it, and leaves the work to another.
///
/// Counting takes about a nanosecond per call and never allocates. Each thread counts for itself; what threads counted
/// that have ended stays. All wrappers of a process share their totals: [`Allocations::now`](super::Allocations::now),
/// and the metrics of [`AllocatorCollector`](super::AllocatorCollector).
///
/// A library must not choose the allocator, so the program does:
///
/// ```
/// use obs_metrics::collect::{Allocations, CountingAllocator};
///
/// #[global_allocator]
/// static ALLOCATOR: CountingAllocator = CountingAllocator::system();
///
/// let before = Allocations::now().ok_or("nothing is counted")?;
/// let block = vec![0_u8; 1_000_000];
/// let during = Allocations::now().ok_or("nothing is counted")?;
/// assert!(during.live_bytes() >= before.live_bytes() + 1_000_000);
/// drop(block);
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct CountingAllocator<A = System>(A);

impl CountingAllocator {
    /// Counts what the system's allocator does.
    #[must_use]
    pub const fn system() -> Self {
        Self(System)
    }
}

impl<A> CountingAllocator<A> {
    /// Counts what `allocator` does.
    #[must_use]
    pub const fn new(allocator: A) -> Self {
        Self(allocator)
    }
}

// SAFETY: every call is handed to the inner allocator unchanged, with the layout and pointer that the caller gave, and
// what it returns is handed back unchanged; so whatever the inner allocator guarantees holds for this one, and what it
// demands of its caller is what this one demands. Counting touches only atomics in statics and thread-local storage
// without unwinding, which the standard library allows a global allocator to use.
unsafe impl<A: GlobalAlloc> GlobalAlloc for CountingAllocator<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `alloc`, which is the same.
        let block = unsafe { self.0.alloc(layout) };
        if !block.is_null() {
            slots::allocated(layout.size());
        }
        block
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `alloc_zeroed`, which is the same.
        let block = unsafe { self.0.alloc_zeroed(layout) };
        if !block.is_null() {
            slots::allocated(layout.size());
        }
        block
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        slots::deallocated(layout.size());
        // SAFETY: the caller keeps the contract of `dealloc`; the block came from the inner allocator.
        unsafe { self.0.dealloc(block, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `realloc`; the block came from the inner allocator.
        let moved = unsafe { self.0.realloc(block, layout, new_size) };
        if !moved.is_null() {
            slots::deallocated(layout.size());
            slots::allocated(new_size);
        }
        moved
    }
}
