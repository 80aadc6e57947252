//! How full the file is, without measuring it at every change.

/// A part of the cap, in hundredths: above it, tables that evict make room.
const EVICT_ABOVE: u64 = 65;
/// Above it, nothing is added; what is between the two is for tables that do not evict.
const REFUSE_ABOVE: u64 = 75;
/// The least that is left of both after the file turned out to be fuller than it was thought to be.
const MIN_SCALE: u64 = 50;
/// What a transaction that is not flushed keeps from being used again: the pages that it changed as they were before.
const UNFLUSHED_BYTES: u64 = 64 * 1024;
/// How much of that may come together before a flush.
const MAX_UNFLUSHED_BYTES: u64 = 8 * 1024 * 1024;

/// An estimate, never far below the truth: it is measured, and then only grows until it is measured again.
#[derive(Debug)]
pub(crate) struct Space {
    max_bytes: u64,
    used: u64,
    changed_since: u64,
    measured: bool,
    scale: u64,
    unflushed: u64,
}

impl Space {
    /// A file that takes this much of the disk, free pages inside it included.
    pub(crate) fn new(max_bytes: u64, disk_bytes: u64) -> Self {
        Self {
            max_bytes,
            used: disk_bytes,
            changed_since: 0,
            measured: false,
            scale: 100,
            unflushed: 0,
        }
    }

    /// Whether to measure before adding so much: when it matters, and not too often.
    pub(crate) fn is_due(&self, adding: u64) -> bool {
        let rested = !self.measured || self.changed_since > self.max_bytes / 64;
        rested && self.asks_for_room(adding)
    }

    pub(crate) fn measured(&mut self, used: u64) {
        self.used = used;
        self.changed_since = 0;
        self.measured = true;
    }

    /// So much was added, as accounts count it. In the file it takes about half as much again, because pages are not
    /// full, and what is larger than a page takes a power of two of them.
    pub(crate) fn add(&mut self, bytes: u64) {
        let bytes = bytes.saturating_add(bytes / 2);
        self.used = self.used.saturating_add(bytes);
        self.changed_since = self.changed_since.saturating_add(bytes);
    }

    /// So much was removed or evicted. It is free for others only after the commit, so it does not count before the
    /// next measuring.
    pub(crate) fn remove(&mut self, bytes: u64) {
        self.changed_since = self.changed_since.saturating_add(bytes);
    }

    /// Another transaction, which added so much, was not flushed.
    pub(crate) fn add_unflushed(&mut self, bytes: u64) {
        self.unflushed =
            self.unflushed.saturating_add(UNFLUSHED_BYTES).saturating_add(bytes.saturating_mul(4));
    }

    /// Whether a transaction that adds so much has to be flushed, because what it frees is needed soon.
    pub(crate) fn asks_for_flush(&self, adding: u64) -> bool {
        self.unflushed > MAX_UNFLUSHED_BYTES || self.asks_for_room(adding)
    }

    /// Everything was flushed.
    pub(crate) fn flushed(&mut self) {
        self.unflushed = 0;
    }

    /// Whether a table that evicts has to, before it takes so much.
    pub(crate) fn asks_for_room(&self, adding: u64) -> bool {
        self.used.saturating_add(self.unflushed).saturating_add(adding) > self.part(EVICT_ABOVE)
    }

    /// Whether there is no room for so much.
    pub(crate) fn refuses(&self, adding: u64) -> bool {
        self.used.saturating_add(adding) > self.part(REFUSE_ABOVE)
    }

    /// The cap was hit all the same, because free pages are too scattered for what was written: stay further below it.
    pub(crate) fn learn_from_cap(&mut self) {
        self.scale = (self.scale * 9 / 10).max(MIN_SCALE);
        self.measured = false;
    }

    pub(crate) fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    fn part(&self, hundredths: u64) -> u64 {
        self.max_bytes / 100 * hundredths / 100 * self.scale
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: u64 = 1_000_000;

    #[test]
    fn tables_that_evict_leave_room_for_those_that_do_not() {
        let mut space = Space::new(MAX, 0);
        space.add(460_000);
        assert!(space.asks_for_room(1));
        assert!(!space.refuses(1));
        space.add(50_000);
        assert!(space.refuses(1));
    }

    #[test]
    fn it_is_measured_only_near_the_cap_and_only_after_enough_was_added() {
        let mut space = Space::new(MAX, 0);
        assert!(!space.is_due(600_000));
        assert!(space.is_due(900_000));
        space.measured(640_000);
        assert!(!space.is_due(20_000), "just measured");
        space.add(MAX / 64 + 1);
        assert!(space.is_due(0));
    }

    #[test]
    fn hitting_the_cap_lowers_the_thresholds_but_not_without_end() {
        let mut space = Space::new(MAX, 600_000);
        assert!(!space.asks_for_room(0));
        for _ in 0..20 {
            space.learn_from_cap();
        }
        assert!(space.asks_for_room(0) && space.refuses(0));
        let space = Space { used: 320_000, ..space };
        assert!(!space.asks_for_room(0));
    }
}
