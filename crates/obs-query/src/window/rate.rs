//! How much a value changed over a window: `extrapolatedRate` in Prometheus' `promql/functions.go`.

use obs_model::{Sample, Timestamp};

use super::live;
use crate::TimeRange;

/// How much a counter grew per second.
///
/// [`increase`] divided by the window's length. `None` if there are fewer than two samples or the window is empty.
///
/// ```
/// use obs_model::{Sample, Timestamp};
/// use obs_query::{TimeRange, window};
/// use std::time::Duration;
///
/// // Twelve samples five seconds apart, growing by ten each time.
/// let samples: Vec<_> = (1..=12)
///     .map(|tick| Sample { timestamp: Timestamp::from_millis(tick * 5_000), value: tick as f64 * 10.0 })
///     .collect();
/// let minute = TimeRange::last(Timestamp::from_millis(60_000), Duration::from_secs(60));
/// assert_eq!(window::rate(&samples, &minute), Some(2.0));
/// ```
#[must_use]
pub fn rate(samples: &[Sample], range: &TimeRange) -> Option<f64> {
    let seconds = range.duration().as_secs_f64();
    let growth = Growth::of(samples, range, Resets::Counter)?;
    (seconds > 0.0).then(|| growth.change * (growth.factor / seconds))
}

/// How much a counter grew, extrapolated to the whole window.
///
/// A value below its predecessor is taken for a counter that started again at zero. With `r` the growth from the first
/// to the last sample, `s` the time between them and `a` that time divided by the number of gaps, the result is
/// `r · (s + b + e) / s`. `b` is the time from the window's start to the first sample, but `a / 2` if it is at least
/// `1.1 · a`, and at most the time in which the counter would have grown from zero to its first value; `e` is the time
/// from the last sample to the window's end, but `a / 2` if it is at least `1.1 · a`.
///
/// `None` if there are fewer than two samples.
#[must_use]
pub fn increase(samples: &[Sample], range: &TimeRange) -> Option<f64> {
    let growth = Growth::of(samples, range, Resets::Counter)?;
    Some(growth.change * growth.factor)
}

/// How much a gauge changed, extrapolated to the whole window as [`increase`] does, but for resets and for the zero
/// that a counter cannot have come from below of.
///
/// `None` if there are fewer than two samples.
#[must_use]
pub fn delta(samples: &[Sample], range: &TimeRange) -> Option<f64> {
    let growth = Growth::of(samples, range, Resets::Gauge)?;
    Some(growth.change * growth.factor)
}

/// What a fall of the value means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Resets {
    /// The counter started again at zero.
    Counter,
    /// The value fell.
    Gauge,
}

/// A change and the factor that extrapolates it to the window's ends.
struct Growth {
    change: f64,
    factor: f64,
}

impl Growth {
    fn of(samples: &[Sample], range: &TimeRange, resets: Resets) -> Option<Self> {
        let mut live = live(samples, range);
        let first = live.next()?;
        let (mut last, mut gaps, mut lost) = (first, 0.0, 0.0);
        for sample in live {
            if resets == Resets::Counter && sample.value < last.value {
                lost += last.value;
            }
            last = sample;
            gaps += 1.0;
        }
        if gaps == 0.0 {
            return None;
        }
        let change = last.value - first.value + lost;
        let sampled = seconds_between(first.timestamp, last.timestamp);
        let average_gap = sampled / gaps;
        let threshold = average_gap * 1.1;

        let mut to_start = seconds_between(range.start, first.timestamp);
        if to_start >= threshold {
            to_start = average_gap / 2.0;
        }
        if resets == Resets::Counter && change > 0.0 && first.value >= 0.0 {
            to_start = to_start.min(sampled * (first.value / change));
        }
        let mut to_end = seconds_between(last.timestamp, range.end);
        if to_end >= threshold {
            to_end = average_gap / 2.0;
        }
        Some(Self { change, factor: (sampled + to_start + to_end) / sampled })
    }
}

fn seconds_between(earlier: Timestamp, later: Timestamp) -> f64 {
    later.since(earlier).as_secs_f64()
}
