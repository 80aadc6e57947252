//! How full a store is: counts that every append changes, without a lock.

use std::sync::atomic::{AtomicI64, AtomicIsize, AtomicU64, AtomicUsize, Ordering};

use super::StoreConfig;
use super::tally::Evicted;
use obs_model::Timestamp;

/// How full a store is.
///
/// Each count is right by itself; between two of them an append may be half done.
#[derive(Debug)]
pub(super) struct Level {
    samples: AtomicUsize,
    /// What samples take, in bytes.
    sample_bytes: AtomicIsize,
    /// What labels, index and the places of series take, in bytes.
    directory_bytes: AtomicUsize,
    /// The newest time there was, in milliseconds; the smallest number before the first.
    newest: AtomicI64,
    /// How many series ever had native histograms.
    natives: AtomicUsize,
    /// How many series were removed.
    removed: AtomicU64,
}

impl Level {
    pub(super) fn new(directory_bytes: usize) -> Self {
        Self {
            samples: AtomicUsize::new(0),
            sample_bytes: AtomicIsize::new(0),
            directory_bytes: AtomicUsize::new(directory_bytes),
            newest: AtomicI64::new(i64::MIN),
            natives: AtomicUsize::new(0),
            removed: AtomicU64::new(0),
        }
    }

    pub(super) fn samples(&self) -> usize {
        self.samples.load(Ordering::Relaxed)
    }

    pub(super) fn bytes(&self) -> usize {
        let samples = usize::try_from(self.sample_bytes.load(Ordering::Relaxed)).unwrap_or(0);
        samples + self.directory_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn newest_millis(&self) -> i64 {
        self.newest.load(Ordering::Relaxed)
    }

    /// The newest time; `None` before the first.
    pub(super) fn newest(&self) -> Option<Timestamp> {
        let newest = self.newest_millis();
        (newest > i64::MIN).then(|| Timestamp::from_millis(newest))
    }

    /// The last time that is too old to be kept, in milliseconds.
    pub(super) fn floor(&self, config: &StoreConfig) -> i64 {
        Timestamp::from_millis(self.newest_millis()).minus(config.retention).as_millis()
    }

    /// Why something has to go whatever its age, if it has to.
    pub(super) fn excess(&self, config: &StoreConfig) -> Option<Evicted> {
        if self.samples() > config.max_samples {
            Some(Evicted::SampleLimit)
        } else {
            (self.bytes() > config.max_bytes).then_some(Evicted::ByteLimit)
        }
    }

    pub(super) fn advance(&self, at: i64) {
        self.newest.fetch_max(at, Ordering::Relaxed);
    }

    pub(super) fn add(&self, samples: usize, bytes: isize) {
        self.samples.fetch_add(samples, Ordering::Relaxed);
        self.sample_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn subtract(&self, samples: usize, bytes: isize) {
        self.samples.fetch_sub(samples, Ordering::Relaxed);
        self.sample_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(super) fn set_directory_bytes(&self, bytes: usize) {
        self.directory_bytes.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn note_natives(&self) {
        self.natives.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn has_natives(&self) -> bool {
        self.natives.load(Ordering::Relaxed) > 0
    }

    pub(super) fn note_removed(&self) {
        self.removed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn removed(&self) -> u64 {
        self.removed.load(Ordering::Relaxed)
    }
}
