//! A window of time, open at its left end.

use std::time::Duration;

use obs_model::Timestamp;

/// A window of time: `start < t <= end`, open at the left as the range selectors of Prometheus 3.
///
/// ```
/// use obs_model::Timestamp;
/// use obs_query::TimeRange;
/// use std::time::Duration;
///
/// let range = TimeRange::last(Timestamp::from_millis(60_000), Duration::from_secs(60));
/// assert!(!range.contains(Timestamp::from_millis(0)));
/// assert!(range.contains(Timestamp::from_millis(60_000)));
/// assert_eq!(range.duration(), Duration::from_secs(60));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimeRange {
    /// The left end, which does not belong to the window.
    pub start: Timestamp,
    /// The right end, which does.
    pub end: Timestamp,
}

impl TimeRange {
    /// The window that ends at `now` and is `window` long.
    #[must_use]
    pub fn last(now: Timestamp, window: Duration) -> Self {
        Self { start: now.minus(window), end: now }
    }

    /// Every time there is, but for the very first millisecond.
    #[must_use]
    pub const fn all() -> Self {
        Self { start: Timestamp::from_millis(i64::MIN), end: Timestamp::from_millis(i64::MAX) }
    }

    /// Whether `at` is in the window.
    #[must_use]
    pub fn contains(&self, at: Timestamp) -> bool {
        self.start < at && at <= self.end
    }

    /// How long the window is; zero if it ends before it starts.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.end.since(self.start)
    }
}
