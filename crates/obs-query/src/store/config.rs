//! What a store is allowed to keep.

use std::time::Duration;

/// The most series that a store may be configured for.
const MOST_SERIES: usize = 1 << 24;

/// What a store is allowed to keep.
///
/// Values outside the stated ranges are moved to the nearest end of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// The grid that samples are taken on: 5 s by default, at least 1 ms.
    pub sample_interval: Duration,
    /// How long a sample is kept, counted from the newest sample in the store: 24 h by default, at least one
    /// sample interval.
    pub retention: Duration,
    /// How many series there may be: 50,000 by default, 1 to 16,777,216. One more is refused.
    pub max_series: usize,
    /// How many samples there may be in all: 100,000,000 by default; at least 1. Above it the oldest samples go
    /// first, in chunks of 120, so a limit below 120 times the number of series also costs samples that are quite new.
    pub max_samples: usize,
    /// How many exemplars there may be in all: 10,000 by default; none are kept with 0. Above it the oldest go first.
    pub max_exemplars: usize,
    /// How much memory the store may take, labels and index included, in bytes: 128 MiB by default. That is about 50
    /// million samples of counters, or 15 million of values without any pattern. Above it the oldest samples go
    /// first, as above `max_samples`.
    pub max_bytes: usize,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            sample_interval: Duration::from_secs(5),
            retention: Duration::from_secs(24 * 60 * 60),
            max_series: 50_000,
            max_samples: 100_000_000,
            max_exemplars: 10_000,
            max_bytes: 128 << 20,
        }
    }
}

impl StoreConfig {
    /// This configuration with every value in its range.
    pub(super) fn in_range(mut self) -> Self {
        self.sample_interval = self.sample_interval.max(Duration::from_millis(1));
        self.retention = self.retention.max(self.sample_interval);
        self.max_series = self.max_series.clamp(1, MOST_SERIES);
        self.max_samples = self.max_samples.max(1);
        self
    }
}
