//! Quantiles, fractions and variances of native histograms (`promql/quantile.go` and `promql/functions.go`).

use super::{NativeBucket, NativeHistogram};
use crate::promql::float::Sum;

/// A quantile, and how observations that are not numbers affect it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Quantile {
    Value(f64),
    /// It is among the observations that are NaN.
    Nan,
    /// It would be lower without the observations that are NaN.
    Skewed(f64),
}

impl NativeHistogram {
    /// The value below which the part `q` of all observations is.
    pub(crate) fn quantile(&self, q: f64) -> Quantile {
        if q < 0.0 {
            return Quantile::Value(f64::NEG_INFINITY);
        }
        if q > 1.0 {
            return Quantile::Value(f64::INFINITY);
        }
        if self.count == 0.0 || q.is_nan() {
            return Quantile::Value(f64::NAN);
        }
        let has_nan = self.sum.is_nan();
        // NaN is in the count but in no bucket, so that only counting from below finds the rank.
        let from_below = has_nan || q < 0.5;
        let mut buckets = self.buckets();
        if !from_below {
            buckets.reverse();
        }
        let rank = if from_below { q * self.count } else { (1.0 - q) * self.count };
        let mut count = 0.0;
        let mut found = NativeBucket { lower: 0.0, upper: 0.0, count: 0.0 };
        for bucket in buckets {
            found = bucket;
            count += bucket.count;
            if count >= rank {
                break;
            }
        }
        if self.has_custom_buckets() {
            if found.lower == f64::NEG_INFINITY {
                if found.upper <= 0.0 {
                    return noted(has_nan, found.upper);
                }
                found.lower = 0.0;
            } else if found.upper == f64::INFINITY {
                return noted(has_nan, found.lower);
            }
        } else if found.lower < 0.0 && found.upper > 0.0 {
            self.clip_to_one_sign(&mut found);
        }
        let count = count.min(self.count);
        if count < rank {
            return if has_nan { Quantile::Nan } else { Quantile::Value(found.upper) };
        }
        let within = if from_below { rank - (count - found.count) } else { count - rank };
        noted(has_nan, self.interpolated(found, within / found.count))
    }

    /// The value that is `fraction` of the way into a bucket.
    fn interpolated(&self, bucket: NativeBucket, fraction: f64) -> f64 {
        let NativeBucket { lower, upper, .. } = bucket;
        if self.has_custom_buckets() || (lower <= 0.0 && upper >= 0.0) {
            return lower + (upper - lower) * fraction;
        }
        let (log_lower, log_upper) = (lower.abs().log2(), upper.abs().log2());
        if lower > 0.0 {
            (log_lower + (log_upper - log_lower) * fraction).exp2()
        } else {
            -(log_upper + (log_lower - log_upper) * (1.0 - fraction)).exp2()
        }
    }

    /// Takes the half of the zero bucket away in which no observation can be.
    fn clip_to_one_sign(&self, bucket: &mut NativeBucket) {
        match (self.negative_buckets.is_empty(), self.positive_buckets.is_empty()) {
            (true, false) => bucket.lower = 0.0,
            (false, true) => bucket.upper = 0.0,
            _ => {}
        }
    }

    /// The part of all observations between two values.
    pub(crate) fn fraction(&self, lower: f64, upper: f64) -> f64 {
        if self.count == 0.0 || lower.is_nan() || upper.is_nan() {
            return f64::NAN;
        }
        if lower >= upper {
            return 0.0;
        }
        let buckets = self.buckets();
        let observations = if self.sum.is_nan() {
            // Those that are NaN are in no bucket.
            buckets.iter().map(|bucket| bucket.count).sum()
        } else {
            self.count
        };
        let rank =
            |value: f64| self.rank(value, &buckets).unwrap_or(f64::INFINITY).min(observations);
        (rank(upper) - rank(lower)) / self.count
    }

    /// How many observations are below a value; `None` if all are.
    fn rank(&self, value: f64, buckets: &[NativeBucket]) -> Option<f64> {
        let mut below = 0.0;
        for bucket in buckets {
            let mut bucket = *bucket;
            let around_zero = bucket.lower <= 0.0 && bucket.upper >= 0.0;
            if around_zero {
                self.clip_to_one_sign(&mut bucket);
            }
            let NativeBucket { lower, upper, count } = bucket;
            if lower >= value {
                return Some(below);
            }
            if upper > value {
                let linear = self.has_custom_buckets() || around_zero;
                return Some(below + count * part_below(value, lower, upper, linear));
            }
            below += count;
        }
        None
    }

    /// The variance of the observations, each taken to be in the middle of its bucket.
    pub(crate) fn variance(&self) -> f64 {
        let mean = self.sum / self.count;
        let mut squares = Sum::default();
        for NativeBucket { lower, upper, count } in self.buckets() {
            let middle = if self.has_custom_buckets() {
                (upper + lower) / 2.0
            } else if lower <= 0.0 && upper >= 0.0 {
                0.0
            } else {
                (upper * lower).sqrt().copysign(upper)
            };
            let difference = middle - mean;
            squares.add(count * difference * difference);
        }
        squares.total() / self.count
    }
}

fn noted(has_nan: bool, value: f64) -> Quantile {
    if has_nan { Quantile::Skewed(value) } else { Quantile::Value(value) }
}

/// Which part of a bucket is below a value in it.
fn part_below(value: f64, lower: f64, upper: f64, linear: bool) -> f64 {
    if linear {
        // There is no even spread over a bucket without a lower end: all of it counts.
        return if lower == f64::NEG_INFINITY { 1.0 } else { (value - lower) / (upper - lower) };
    }
    let [lower, upper, at] = [lower, upper, value].map(|bound| bound.abs().log2());
    if value > 0.0 { (at - lower) / (upper - lower) } else { 1.0 - (at - upper) / (lower - upper) }
}
