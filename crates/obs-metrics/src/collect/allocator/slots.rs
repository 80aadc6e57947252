//! Where each thread counts its allocations.
//!
//! A thread takes a slot of its own with its first allocation and gives it back when it ends; the next thread goes on
//! counting in it, so no total is ever lost and nothing is ever allocated for counting. While a thread has a slot, it
//! alone writes it, by plain loads and stores. Threads beyond the number of slots, and threads that free memory while
//! they end, share one slot, which is as exact but slower.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::Allocations;

/// Slots that belong to one thread at a time: 16 KiB of them.
const SLOTS: usize = 256;

/// A thread's counts, on cache lines of their own.
#[repr(align(64))]
struct Slot {
    is_taken: AtomicBool,
    allocations: AtomicU64,
    deallocations: AtomicU64,
    allocated_bytes: AtomicU64,
    deallocated_bytes: AtomicU64,
}

static OWN: [Slot; SLOTS] = [const { Slot::new() }; SLOTS];
static SHARED: Slot = Slot::new();

/// Which slot a thread counts in.
#[derive(Clone, Copy)]
enum Mine {
    /// None yet.
    None,
    Own(&'static Slot),
    Shared,
}

thread_local! {
    /// Made at compile time and without a destructor, so that it can be read at any time in a thread's life.
    static MINE: Cell<Mine> = const { Cell::new(Mine::None) };
    /// Gives the slot back when the thread ends.
    static LEASE: Lease = const { Lease };
}

struct Lease;

impl Drop for Lease {
    fn drop(&mut self) {
        if let Mine::Own(slot) = MINE.replace(Mine::Shared) {
            // Whoever takes it next sees what this thread counted.
            slot.is_taken.store(false, Ordering::Release);
        }
    }
}

impl Slot {
    const fn new() -> Self {
        Self {
            is_taken: AtomicBool::new(false),
            allocations: AtomicU64::new(0),
            deallocations: AtomicU64::new(0),
            allocated_bytes: AtomicU64::new(0),
            deallocated_bytes: AtomicU64::new(0),
        }
    }
}

/// Counts a block that was allocated.
#[inline]
pub(super) fn allocated(bytes: usize) {
    count(|slot| (&slot.allocations, &slot.allocated_bytes), bytes);
}

/// Counts a block that was freed.
#[inline]
pub(super) fn deallocated(bytes: usize) {
    count(|slot| (&slot.deallocations, &slot.deallocated_bytes), bytes);
}

#[inline]
fn count(of: impl Fn(&'static Slot) -> (&'static AtomicU64, &'static AtomicU64), bytes: usize) {
    let mine = match MINE.get() {
        Mine::None => take(),
        mine => mine,
    };
    match mine {
        Mine::Own(slot) => {
            let (blocks, sizes) = of(slot);
            add_alone(blocks, 1);
            add_alone(sizes, bytes as u64);
        }
        Mine::None | Mine::Shared => {
            let (blocks, sizes) = of(&SHARED);
            blocks.fetch_add(1, Ordering::Relaxed);
            sizes.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }
}

/// Adds to what only the calling thread writes.
#[inline]
fn add_alone(cell: &AtomicU64, value: u64) {
    cell.store(cell.load(Ordering::Relaxed).wrapping_add(value), Ordering::Relaxed);
}

/// Takes a free slot for the calling thread.
#[cold]
fn take() -> Mine {
    let is_free = |slot: &&Slot| {
        !slot.is_taken.load(Ordering::Relaxed)
            && slot
                .is_taken
                .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
    };
    let mine = OWN.iter().find(is_free).map_or(Mine::Shared, Mine::Own);
    // Set first: if the lease below allocates, that is counted here and comes to no second taking.
    MINE.set(mine);
    if matches!(mine, Mine::Own(_)) && LEASE.try_with(|_| ()).is_err() {
        // The thread is ending and would never give the slot back.
        Lease.drop_now();
        return Mine::Shared;
    }
    mine
}

impl Lease {
    fn drop_now(self) {
        drop(self);
    }
}

/// The totals of all slots.
pub(super) fn totals() -> Allocations {
    let mut totals = Allocations::default();
    let read = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
    for slot in OWN.iter().chain([&SHARED]) {
        // Freed first, so that a block which is freed in between does not show as freed but never allocated.
        totals.deallocations += read(&slot.deallocations);
        totals.deallocated_bytes += read(&slot.deallocated_bytes);
        totals.allocations += read(&slot.allocations);
        totals.allocated_bytes += read(&slot.allocated_bytes);
    }
    totals
}
