//! Quantiles and averages of histograms that are kept as cumulative buckets.

use std::collections::HashMap;

use obs_model::{Labels, METRIC_NAME_LABEL, Sample};

use super::increase;
use crate::TimeRange;

/// Differences between neighbouring counts that are smaller than this part of their sum are rounding, as in
/// Prometheus.
const SMALL_DELTA: f64 = 1e-12;

/// One bucket of a histogram: how many observations, or how many per second, were at most its bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HistogramBucket {
    /// The largest observation that it counts.
    pub upper_bound: f64,
    /// The observations at or below the bound.
    pub cumulative: f64,
}

/// The value below which the part `q` of all observations is: `histogram_quantile` of Prometheus (`BucketQuantile` in
/// `promql/quantile.go`).
///
/// The buckets may be in any order; those with equal bounds are added up, and a count below its predecessor's is
/// raised to it. With `n` the count of the bucket `+Inf`, the bucket sought is the first whose count is at least
/// `q · n`. Within it observations are taken to be spread evenly: the result is
/// `lower + (upper − lower) · (q · n − count below) / (count in it)`. The lowest bucket starts at 0 if its bound is
/// above 0, otherwise the result is its bound; for the bucket `+Inf` it is the highest finite bound.
///
/// NaN if `q` is NaN, if there are fewer than two buckets, no observations, or no bucket `+Inf`; −∞ for `q` below 0 and
/// +∞ above 1.
///
/// ```
/// use obs_query::window::{HistogramBucket, histogram_quantile};
///
/// let buckets = [(0.1, 5.0), (0.2, 9.0), (f64::INFINITY, 10.0)]
///     .map(|(upper_bound, cumulative)| HistogramBucket { upper_bound, cumulative });
/// assert_eq!(histogram_quantile(0.7, &buckets), 0.15000000000000002);
/// ```
#[must_use]
pub fn histogram_quantile(q: f64, buckets: &[HistogramBucket]) -> f64 {
    if q.is_nan() || buckets.is_empty() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let buckets = prepared(buckets);
    let [finite @ .., infinite] = &buckets[..] else {
        return f64::NAN;
    };
    let observations = infinite.cumulative;
    let Some(highest) = finite.last() else {
        return f64::NAN;
    };
    // A comparison the other way round would let NaN through.
    if infinite.upper_bound != f64::INFINITY || observations.is_nan() || observations == 0.0 {
        return f64::NAN;
    }
    let rank = q * observations;
    let sought = finite.partition_point(|bucket| bucket.cumulative < rank);
    let Some(bucket) = finite.get(sought) else {
        return highest.upper_bound;
    };
    let (lower, below) = match sought.checked_sub(1) {
        Some(previous) => (finite[previous].upper_bound, finite[previous].cumulative),
        None if bucket.upper_bound <= 0.0 => return bucket.upper_bound,
        None => (0.0, 0.0),
    };
    lower + (bucket.upper_bound - lower) * ((rank - below) / (bucket.cumulative - below))
}

/// The buckets by rising bound, each bound once, with counts that never fall.
fn prepared(buckets: &[HistogramBucket]) -> Vec<HistogramBucket> {
    let mut buckets = buckets.to_vec();
    buckets.sort_by(|a, b| a.upper_bound.total_cmp(&b.upper_bound));
    buckets.dedup_by(|next, kept| {
        let same = next.upper_bound == kept.upper_bound;
        if same {
            kept.cumulative += next.cumulative;
        }
        same
    });
    let mut previous = f64::NAN;
    for bucket in &mut buckets {
        let small = almost_equal(previous, bucket.cumulative);
        if small || bucket.cumulative < previous {
            bucket.cumulative = previous;
        } else {
            previous = bucket.cumulative;
        }
    }
    buckets
}

/// Whether two counts differ by rounding at most (`almost.Equal` in Prometheus' `util/almost`).
fn almost_equal(a: f64, b: f64) -> bool {
    if a == b {
        return true;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < SMALL_DELTA * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < SMALL_DELTA
}

/// Puts the values of `_bucket` series together by histogram, for [`histogram_quantile`].
///
/// The histograms' labels are without `__name__` and `le`, and in order. A series whose `le` is not a number is left
/// out, as in Prometheus.
#[must_use]
pub fn buckets_by_series<'a>(
    values: impl IntoIterator<Item = (&'a Labels, f64)>,
) -> Vec<(Labels, Vec<HistogramBucket>)> {
    let mut histograms: HashMap<Labels, Vec<HistogramBucket>> = HashMap::new();
    for (labels, cumulative) in values {
        let Some(upper_bound) = labels.get("le").and_then(|bound| bound.parse().ok()) else {
            continue;
        };
        let rest = labels.filter(|name, _| name != "le" && name != METRIC_NAME_LABEL);
        histograms.entry(rest).or_default().push(HistogramBucket { upper_bound, cumulative });
    }
    let mut histograms: Vec<_> = histograms.into_iter().collect();
    histograms.sort_by(|(a, _), (b, _)| a.cmp(b));
    histograms
}

/// The mean of the observations in the window: the increase of `_sum` divided by that of `_count`.
///
/// `None` if either has fewer than two samples or nothing was observed.
#[must_use]
pub fn histogram_average(sum: &[Sample], count: &[Sample], range: &TimeRange) -> Option<f64> {
    let observations = increase(count, range)?;
    let total = increase(sum, range)?;
    (observations > 0.0).then(|| total / observations)
}
