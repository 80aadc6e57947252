//! What PromQL's functions of the same names compute over a window of one series' samples.
//!
//! Every function takes samples by rising time and the window that they are read in. Samples outside the window are
//! passed over, and so are [stale markers](crate::STALE). The formulas are those of Prometheus 3 (`promql/functions.go`
//! and `promql/quantile.go`).

mod quantile;
mod rate;

use obs_model::Sample;

use crate::TimeRange;
use crate::stale::is_stale;

pub use quantile::{HistogramBucket, buckets_by_series, histogram_average, histogram_quantile};
pub use rate::{delta, increase, rate};

/// The newest value, as an instant reading at the window's end takes it.
///
/// `None` if there is no sample, or if the newest is a stale marker: the series has ended then. (PromQL's
/// `last_over_time` would go back before the marker.) Samples out of [`SeriesStore::select`](crate::SeriesStore::select)
/// have no markers any more; [`SeriesStore::latest`](crate::SeriesStore::latest) is what sees the end of a series.
///
/// ```
/// use obs_model::{Sample, Timestamp};
/// use obs_query::{TimeRange, window};
///
/// let samples = [1.0, 4.0].map(|value| Sample { timestamp: Timestamp::from_millis(value as i64), value });
/// assert_eq!(window::last(&samples, &TimeRange::all()), Some(4.0));
/// ```
#[must_use]
pub fn last(samples: &[Sample], range: &TimeRange) -> Option<f64> {
    slice(samples, range).last().map(|sample| sample.value).filter(|value| !is_stale(*value))
}

/// The mean of the values, each counting the same however far apart they are: `avg_over_time`.
///
/// `None` if there is no sample. The sum is compensated (Neumaier 1974), and where it would overflow a running mean
/// takes its place, as in Prometheus.
#[must_use]
pub fn average_over(samples: &[Sample], range: &TimeRange) -> Option<f64> {
    let mut values = values(samples, range);
    let (mut sum, mut compensation, mut count) = (values.next()?, 0.0, 1.0);
    let mut running = false;
    for value in values {
        count += 1.0;
        if !running {
            let (next, next_compensation) = add(value, sum, compensation);
            if next.is_finite() || next.is_nan() {
                (sum, compensation) = (next, next_compensation);
                continue;
            }
            running = true;
            sum /= count - 1.0;
            compensation /= count - 1.0;
        }
        let share = (count - 1.0) / count;
        (sum, compensation) = add(value / count, share * sum, share * compensation);
    }
    Some(if running { sum + compensation } else { sum / count + compensation / count })
}

/// The largest value: `max_over_time`. NaN only if all values are; `None` if there is no sample.
#[must_use]
pub fn max(samples: &[Sample], range: &TimeRange) -> Option<f64> {
    // OK because `f64::max` prefers a number to NaN, as Prometheus does.
    values(samples, range).reduce(f64::max)
}

/// The smallest value: `min_over_time`. NaN only if all values are; `None` if there is no sample.
#[must_use]
pub fn min(samples: &[Sample], range: &TimeRange) -> Option<f64> {
    values(samples, range).reduce(f64::min)
}

/// Adds to a compensated sum: the new sum and its compensation.
fn add(value: f64, sum: f64, compensation: f64) -> (f64, f64) {
    let total = sum + value;
    let lost = if total.is_infinite() {
        return (total, 0.0);
    } else if sum.abs() >= value.abs() {
        (sum - total) + value
    } else {
        (value - total) + sum
    };
    (total, compensation + lost)
}

/// The samples in the window.
fn slice<'a>(samples: &'a [Sample], range: &TimeRange) -> &'a [Sample] {
    let from = samples.partition_point(|sample| sample.timestamp <= range.start);
    let to = samples.partition_point(|sample| sample.timestamp <= range.end);
    // A window that ends before it starts has no samples.
    samples.get(from..to).unwrap_or_default()
}

/// The samples in the window that are not stale markers.
fn live<'a>(
    samples: &'a [Sample],
    range: &TimeRange,
) -> impl DoubleEndedIterator<Item = Sample> + Clone + use<'a> {
    slice(samples, range).iter().copied().filter(|sample| !is_stale(sample.value))
}

/// Their values.
fn values<'a>(samples: &'a [Sample], range: &TimeRange) -> impl Iterator<Item = f64> + use<'a> {
    live(samples, range).map(|sample| sample.value)
}

#[cfg(test)]
mod tests;
