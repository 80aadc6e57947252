//! Durations as the numbers that metrics and lines have.

use std::time::Duration;

/// A duration in nanoseconds.
pub(crate) fn nanoseconds(time: Duration) -> u64 {
    // OK because a duration of more than five centuries is as good as endless.
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A duration in milliseconds: the nearest number to it, which is written with no more digits than it has.
pub(crate) fn milliseconds(time: Duration) -> f64 {
    nanoseconds(time) as f64 / 1e6
}
