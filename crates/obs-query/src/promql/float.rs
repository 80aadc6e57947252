//! Arithmetic on floating-point numbers in which results have to agree with Prometheus' to the last digits.

use crate::is_stale;

/// A sum that keeps what rounding lost, as Neumaier (1974) improved Kahan's.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sum {
    pub(crate) value: f64,
    pub(crate) lost: f64,
}

impl Sum {
    pub(crate) const fn of(value: f64) -> Self {
        Self { value, lost: 0.0 }
    }

    /// This sum and one more number.
    pub(crate) fn plus(self, number: f64) -> Self {
        let total = self.value + number;
        let lost = if total.is_infinite() {
            0.0
        } else if self.value.abs() >= number.abs() {
            self.lost + ((self.value - total) + number)
        } else {
            self.lost + ((number - total) + self.value)
        };
        Self { value: total, lost }
    }

    pub(crate) fn add(&mut self, number: f64) {
        *self = self.plus(number);
    }

    pub(crate) fn total(self) -> f64 {
        self.value + self.lost
    }
}

/// A mean: of the sum as long as that does not overflow, running from then on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mean {
    sum: Sum,
    count: f64,
    running: bool,
}

impl Mean {
    pub(crate) const fn of(first: f64) -> Self {
        Self { sum: Sum::of(first), count: 1.0, running: false }
    }

    pub(crate) fn add(&mut self, number: f64) {
        self.count += 1.0;
        let count = self.count;
        if !self.running {
            let next = self.sum.plus(number);
            if !next.value.is_infinite() {
                self.sum = next;
                return;
            }
            self.running = true;
            self.sum.value /= count - 1.0;
            self.sum.lost /= count - 1.0;
        }
        let share = (count - 1.0) / count;
        let scaled = Sum { value: share * self.sum.value, lost: share * self.sum.lost };
        self.sum = scaled.plus(number / count);
    }

    pub(crate) fn value(self) -> f64 {
        if self.running {
            self.sum.total()
        } else {
            self.sum.value / self.count + self.sum.lost / self.count
        }
    }
}

/// The `q`-quantile of `values`, which are put in order: a weighted mean of the two values next to the rank.
///
/// NaN if there is none or `q` is NaN, −∞ for `q` below 0 and +∞ above 1.
pub(crate) fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    values.sort_unstable_by(nan_first);
    let highest = values.len() - 1;
    let rank = q * highest as f64;
    let lower = rank.floor().max(0.0) as usize;
    let upper = (lower + 1).min(highest);
    let weight = rank - rank.floor();
    values[lower] * (1.0 - weight) + values[upper] * weight
}

/// The order of numbers in which NaN is the smallest.
pub(crate) fn nan_first(a: &f64, b: &f64) -> std::cmp::Ordering {
    match (a.is_nan(), b.is_nan()) {
        (false, false) => a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal),
        (a, b) => b.cmp(&a),
    }
}

/// Whether two numbers differ by less than `epsilon` of the sum of their sizes.
///
/// NaN equals NaN, but the stale marker equals only itself (`almost.Equal` in Prometheus' `util/almost`).
pub(crate) fn almost_equal(a: f64, b: f64, epsilon: f64) -> bool {
    if is_stale(a) || is_stale(b) {
        return is_stale(a) && is_stale(b);
    }
    if a == b || (a.is_nan() && b.is_nan()) {
        return true;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < epsilon * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < epsilon
}

/// Writes a number as Go's `%g` does, for messages.
pub(crate) fn general(value: f64) -> String {
    let mut text = Vec::new();
    obs_model::write_float(&mut text, value);
    // OK because a number is written in ASCII.
    String::from_utf8(text).unwrap_or_default()
}

/// Writes a number in full, as label values have it.
pub(crate) fn full(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        format!("{value}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_keep_what_rounding_would_lose() {
        let mut sum = Sum::default();
        for number in [1e100, 1.0, -1e100] {
            sum.add(number);
        }
        assert_eq!(sum.total(), 1.0);
    }

    #[test]
    fn means_do_not_overflow() {
        let mut mean = Mean::of(f64::MAX);
        mean.add(f64::MAX);
        mean.add(f64::MAX);
        assert!((mean.value() / f64::MAX - 1.0).abs() < 1e-15);
    }

    #[test]
    fn quantiles_are_between_the_values_next_to_the_rank() {
        assert_eq!(quantile(0.5, &mut [3.0, 1.0, 2.0, 4.0]), 2.5);
        assert_eq!(quantile(1.0, &mut [3.0, 1.0]), 3.0);
        assert!(quantile(0.0, &mut [3.0, f64::NAN]).is_nan());
        assert_eq!(quantile(-0.1, &mut [3.0]), f64::NEG_INFINITY);
    }

    #[test]
    fn numbers_are_written_as_go_writes_them() {
        for (value, expected) in
            [(1.1, "1.1"), (1e21, "1e+21"), (1e6, "1e+06"), (0.00001, "1e-05"), (-0.5, "-0.5")]
        {
            assert_eq!(general(value), expected);
        }
    }
}
