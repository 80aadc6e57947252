//! How much a queue holds, in items and bytes, as one number that changes as one.

use std::sync::atomic::{AtomicU64, Ordering};

/// Of the 64 bits, the upper 24 count items and the lower 40 bytes.
const BYTE_BITS: u32 = 40;
/// The most items that can be counted.
pub(crate) const MAX_ITEMS: usize = (1 << (64 - BYTE_BITS)) - 1;
/// The most bytes that can be counted: a tebibyte.
pub(crate) const MAX_BYTES: usize = (1 << BYTE_BITS) - 1;

/// What is held, and how much may be.
pub(crate) struct Room {
    used: AtomicU64,
    capacity: usize,
    max_bytes: usize,
}

/// Items and bytes that are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) items: usize,
    pub(crate) bytes: usize,
}

impl Used {
    // OK to convert: the limits keep both within their bits, and a message is never larger than `MAX_BYTES`.
    fn unpacked(packed: u64) -> Self {
        Self {
            items: (packed >> BYTE_BITS) as usize,
            bytes: (packed & ((1 << BYTE_BITS) - 1)) as usize,
        }
    }
}

fn packed(items: usize, bytes: usize) -> u64 {
    ((items as u64) << BYTE_BITS) | bytes as u64
}

impl Room {
    pub(crate) fn new(capacity: usize, max_bytes: usize) -> Self {
        Self { used: AtomicU64::new(0), capacity, max_bytes }
    }

    /// Reserves room for one item if there is any; answers with what is used from then on.
    pub(crate) fn reserve(&self, size: usize) -> Option<Used> {
        let mut current = self.used.load(Ordering::Relaxed);
        loop {
            let used = Used::unpacked(current);
            if used.items >= self.capacity || size > self.max_bytes.saturating_sub(used.bytes) {
                return None;
            }
            let next = current + packed(1, size);
            match self.used.compare_exchange_weak(
                current,
                next,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(Used::unpacked(next)),
                Err(actual) => current = actual,
            }
        }
    }

    pub(crate) fn release(&self, items: usize, bytes: usize) {
        self.used.fetch_sub(packed(items, bytes), Ordering::AcqRel);
    }

    pub(crate) fn used(&self) -> Used {
        Used::unpacked(self.used.load(Ordering::Acquire))
    }

    pub(crate) fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// How many items and bytes must go before an item of this size fits.
    pub(crate) fn missing(&self, size: usize) -> Used {
        let used = self.used();
        Used {
            items: (used.items + 1).saturating_sub(self.capacity),
            bytes: (used.bytes + size).saturating_sub(self.max_bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_limits_hold_and_both_parts_count_apart() {
        let room = Room::new(3, 10);
        assert_eq!(room.reserve(4), Some(Used { items: 1, bytes: 4 }));
        assert_eq!(room.reserve(7), None);
        assert_eq!(room.reserve(6), Some(Used { items: 2, bytes: 10 }));
        assert_eq!(room.missing(1), Used { items: 0, bytes: 1 });
        room.release(1, 6);
        assert_eq!(room.reserve(0), Some(Used { items: 2, bytes: 4 }));
        assert_eq!(room.reserve(0), Some(Used { items: 3, bytes: 4 }));
        assert_eq!(room.reserve(0), None);
        assert_eq!(room.missing(0), Used { items: 1, bytes: 0 });
    }

    #[test]
    fn the_largest_limits_can_be_filled() {
        let room = Room::new(MAX_ITEMS, MAX_BYTES);
        assert!(room.reserve(MAX_BYTES).is_some());
        assert_eq!(room.reserve(1), None);
        room.release(1, MAX_BYTES);
        assert_eq!(room.used(), Used { items: 0, bytes: 0 });
    }
}
