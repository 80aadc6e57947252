//! What the program allocates, counted by a wrapper around its allocator.

mod counting;
mod slots;

use std::fmt;

use metrics::{Counter, Gauge};

pub use self::counting::CountingAllocator;
use super::Collect;
use crate::error::Error;
use crate::registry::Registry;

/// What was allocated and freed through every [`CountingAllocator`] of the process since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allocations {
    /// Blocks that were allocated; a block that is resized counts as freed and allocated.
    pub allocations: u64,
    /// Blocks that were freed.
    pub deallocations: u64,
    /// Bytes that were asked for.
    pub allocated_bytes: u64,
    /// Bytes that were given back.
    pub deallocated_bytes: u64,
}

impl Allocations {
    /// The totals of all threads, those that ended included; nothing when no allocation was counted, because no
    /// [`CountingAllocator`] is in use.
    ///
    /// Threads allocate while it adds up, so the figures may be from slightly different moments.
    #[must_use]
    pub fn now() -> Option<Self> {
        let totals = slots::totals();
        (totals.allocations > 0).then_some(totals)
    }

    /// Bytes that were allocated and not freed.
    #[must_use]
    pub fn live_bytes(&self) -> u64 {
        self.allocated_bytes.saturating_sub(self.deallocated_bytes)
    }

    /// Blocks that were allocated and not freed.
    #[must_use]
    pub fn live_blocks(&self) -> u64 {
        self.allocations.saturating_sub(self.deallocations)
    }
}

/// The program's allocations, where a [`CountingAllocator`] is the global allocator:
///
/// | metric | |
/// |---|---|
/// | `allocator_allocations_total` | blocks allocated |
/// | `allocator_deallocations_total` | blocks freed |
/// | `allocator_allocated_bytes_total` | bytes allocated |
/// | `allocator_deallocated_bytes_total` | bytes freed |
/// | `allocator_live_bytes` | bytes allocated and not freed, as they were asked for |
/// | `allocator_live_blocks` | blocks allocated and not freed |
pub struct AllocatorCollector {
    totals: [Counter; 4],
    live: [Gauge; 2],
}

const TOTALS: [(&str, &str); 4] = [
    ("allocator_allocations_total", "Blocks that were allocated."),
    ("allocator_deallocations_total", "Blocks that were freed."),
    ("allocator_allocated_bytes_total", "Bytes that were allocated."),
    ("allocator_deallocated_bytes_total", "Bytes that were freed."),
];

const LIVE: [(&str, &str); 2] = [
    ("allocator_live_bytes", "Bytes that were allocated and not freed."),
    ("allocator_live_blocks", "Blocks that were allocated and not freed."),
];

impl AllocatorCollector {
    /// The allocator metrics of `registry`; nothing when no [`CountingAllocator`] is in use.
    #[must_use]
    pub fn detect(registry: &Registry) -> Option<Self> {
        Allocations::now()?;
        for (name, help) in TOTALS.into_iter().chain(LIVE) {
            registry.declare(name, help, None);
        }
        Some(Self {
            totals: TOTALS.map(|(name, _)| registry.counter(name, &[])),
            live: LIVE.map(|(name, _)| registry.gauge(name, &[])),
        })
    }
}

impl Collect for AllocatorCollector {
    fn name(&self) -> &'static str {
        "allocator"
    }

    fn refresh(&mut self) -> Result<(), Error> {
        let now = Allocations::now().unwrap_or_default();
        let totals =
            [now.allocations, now.deallocations, now.allocated_bytes, now.deallocated_bytes];
        for (counter, total) in self.totals.iter().zip(totals) {
            counter.absolute(total);
        }
        // OK because a float holds bytes exactly up to 8 PiB.
        for (gauge, value) in self.live.iter().zip([now.live_bytes(), now.live_blocks()]) {
            gauge.set(value as f64);
        }
        Ok(())
    }
}

impl fmt::Debug for AllocatorCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AllocatorCollector").finish_non_exhaustive()
    }
}
