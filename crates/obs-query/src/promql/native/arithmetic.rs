//! Sums, differences and multiples of native histograms, and whether one is a reset of another.

use super::{CounterResetHint, NativeHistogram, bound, indexed, packed};

/// Why two histograms have no sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mismatch {
    /// One has exponential buckets and the other bounds of its own.
    Schema,
    /// Both have bounds of their own, but not the same.
    Bounds,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    Plus,
    Minus,
}

impl NativeHistogram {
    /// This histogram with everything multiplied; a negative factor makes it a gauge.
    pub(crate) fn scaled(&self, factor: f64) -> Self {
        let mut scaled = self.clone();
        scaled.scale(|value| value * factor);
        if factor < 0.0 {
            scaled.hint = CounterResetHint::Gauge;
        }
        scaled
    }

    /// This histogram with everything divided; a division by zero leaves no buckets.
    pub(crate) fn divided(&self, divisor: f64) -> Self {
        let mut divided = self.clone();
        if divisor == 0.0 {
            divided.positive_spans.clear();
            divided.positive_buckets.clear();
            divided.negative_spans.clear();
            divided.negative_buckets.clear();
        }
        divided.scale(|value| value / divisor);
        if divisor < 0.0 {
            divided.hint = CounterResetHint::Gauge;
        }
        divided
    }

    fn scale(&mut self, change: impl Fn(f64) -> f64) {
        let all = [&mut self.zero_count, &mut self.count, &mut self.sum];
        all.into_iter()
            .chain(&mut self.positive_buckets)
            .chain(&mut self.negative_buckets)
            .for_each(|value| *value = change(*value));
    }

    /// The sum of two histograms.
    pub(crate) fn plus(&self, other: &Self) -> Result<Self, Mismatch> {
        let mut sum = self.combined(other, Sign::Plus)?;
        sum.hint = match (self.hint, other.hint) {
            (a, b) if a == b => a,
            (CounterResetHint::Gauge, _) | (_, CounterResetHint::Gauge) => CounterResetHint::Gauge,
            _ => CounterResetHint::Unknown,
        };
        Ok(sum)
    }

    /// The difference of two histograms.
    pub(crate) fn minus(&self, other: &Self) -> Result<Self, Mismatch> {
        self.combined(other, Sign::Minus)
    }

    fn combined(&self, other: &Self, sign: Sign) -> Result<Self, Mismatch> {
        if self.has_custom_buckets() != other.has_custom_buckets() {
            return Err(Mismatch::Schema);
        }
        if self.has_custom_buckets() && self.custom_values != other.custom_values {
            return Err(Mismatch::Bounds);
        }
        let (mut result, mut other) = (self.clone(), other.clone());
        if !self.has_custom_buckets() {
            let schema = self.schema.min(other.schema);
            result.reduce(schema);
            other.reduce(schema);
            result.share_zero_bucket(&mut other);
        }
        let add = |a: f64, b: f64| if sign == Sign::Plus { a + b } else { a - b };
        result.zero_count = add(result.zero_count, other.zero_count);
        result.count = add(result.count, other.count);
        result.sum = add(result.sum, other.sum);
        let joined = |a: Vec<(i32, f64)>, b: Vec<(i32, f64)>| packed(&join(&a, &b, add));
        (result.positive_spans, result.positive_buckets) =
            joined(result.positive(), other.positive());
        (result.negative_spans, result.negative_buckets) =
            joined(result.negative(), other.negative());
        Ok(result)
    }

    pub(super) fn positive(&self) -> Vec<(i32, f64)> {
        indexed(&self.positive_spans, &self.positive_buckets)
    }

    pub(super) fn negative(&self) -> Vec<(i32, f64)> {
        indexed(&self.negative_spans, &self.negative_buckets)
    }

    /// Puts buckets together so that there are as many as a coarser schema has.
    pub(crate) fn reduce(&mut self, schema: i32) {
        if self.has_custom_buckets() || schema >= self.schema {
            return;
        }
        let shift = (self.schema - schema).unsigned_abs();
        (self.positive_spans, self.positive_buckets) = packed(&coarser(self.positive(), shift));
        (self.negative_spans, self.negative_buckets) = packed(&coarser(self.negative(), shift));
        self.schema = schema;
    }

    /// Widens the narrower of two zero buckets until both are as wide.
    fn share_zero_bucket(&mut self, other: &mut Self) {
        while self.zero_threshold != other.zero_threshold {
            let wider = self.zero_threshold.max(other.zero_threshold);
            self.widen_zero_bucket(wider);
            other.widen_zero_bucket(wider);
            // NaN is no width; it would never become equal.
            if wider.is_nan() {
                return;
            }
        }
    }

    /// Widens the zero bucket to `threshold`, or further where that is within a bucket that is not empty.
    fn widen_zero_bucket(&mut self, threshold: f64) {
        if threshold <= self.zero_threshold || threshold.is_nan() {
            return;
        }
        let (count, threshold) = self.zero_bucket_at(threshold);
        self.zero_count = count;
        self.zero_threshold = threshold;
        let schema = self.schema;
        let outside = |buckets: Vec<(i32, f64)>| {
            let kept: Vec<_> = buckets
                .into_iter()
                .filter(|(index, _)| bound(index - 1, schema) >= threshold)
                .collect();
            packed(&kept)
        };
        (self.positive_spans, self.positive_buckets) = outside(self.positive());
        (self.negative_spans, self.negative_buckets) = outside(self.negative());
    }

    /// The count and the width of a zero bucket that is at least as wide as `threshold`.
    fn zero_bucket_at(&self, mut threshold: f64) -> (f64, f64) {
        let sides = [self.positive(), self.negative()];
        loop {
            let mut count = self.zero_count;
            let mut wider = threshold;
            for (index, observations) in sides.iter().flatten() {
                if bound(index - 1, self.schema) >= threshold {
                    continue;
                }
                count += observations;
                let upper = bound(*index, self.schema);
                if upper > threshold && *observations != 0.0 {
                    wider = wider.max(upper);
                }
            }
            if wider == threshold {
                return (count, threshold);
            }
            threshold = wider;
        }
    }

    /// Whether the histogram began anew since `before`.
    pub(crate) fn is_reset_after(&self, before: &Self) -> bool {
        match self.hint {
            CounterResetHint::Reset => return true,
            CounterResetHint::NotReset => return false,
            CounterResetHint::Unknown | CounterResetHint::Gauge => {}
        }
        if self.count < before.count
            || self.has_custom_buckets() != before.has_custom_buckets()
            || (self.has_custom_buckets() && self.custom_values != before.custom_values)
            || self.schema > before.schema
            || self.zero_threshold < before.zero_threshold
        {
            return true;
        }
        let mut before = before.clone();
        before.reduce(self.schema);
        if !self.has_custom_buckets() {
            before.widen_zero_bucket(self.zero_threshold);
            if before.zero_threshold != self.zero_threshold {
                return true;
            }
        }
        self.zero_count < before.zero_count
            || any_fell(&before.positive(), &self.positive())
            || any_fell(&before.negative(), &self.negative())
    }

    /// Whether two histograms are equal but for what is known of resets.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        let bits = |h: &Self| [h.count, h.sum, h.zero_count].map(f64::to_bits);
        self.schema == other.schema
            && bits(self) == bits(other)
            && self.zero_threshold == other.zero_threshold
            && (!self.has_custom_buckets() || self.custom_values == other.custom_values)
            && same_buckets(&self.positive(), &other.positive())
            && same_buckets(&self.negative(), &other.negative())
    }
}

fn same_buckets(a: &[(i32, f64)], b: &[(i32, f64)]) -> bool {
    let filled = |buckets: &[(i32, f64)]| -> Vec<(i32, u64)> {
        buckets
            .iter()
            .filter(|(_, count)| *count != 0.0)
            .map(|(index, count)| (*index, count.to_bits()))
            .collect()
    };
    filled(a) == filled(b)
}

fn coarser(buckets: Vec<(i32, f64)>, shift: u32) -> Vec<(i32, f64)> {
    let mut out: Vec<(i32, f64)> = Vec::new();
    for (index, count) in buckets {
        let index = ((index - 1) >> shift) + 1;
        match out.last_mut() {
            Some((last, total)) if *last == index => *total += count,
            _ => out.push((index, count)),
        }
    }
    out
}

/// The buckets of both, each once.
fn join(a: &[(i32, f64)], b: &[(i32, f64)], add: impl Fn(f64, f64) -> f64) -> Vec<(i32, f64)> {
    let mut out = Vec::with_capacity(a.len().max(b.len()));
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    loop {
        let index = match (a.peek(), b.peek()) {
            (Some((a, _)), Some((b, _))) => *a.min(b),
            (Some((index, _)), None) | (None, Some((index, _))) => *index,
            (None, None) => return out,
        };
        let left = a.next_if(|(at, _)| *at == index).map_or(0.0, |(_, count)| *count);
        let right = b.next_if(|(at, _)| *at == index).map_or(0.0, |(_, count)| *count);
        out.push((index, add(left, right)));
    }
}

/// Whether a bucket of `before` has fewer observations in `after`.
fn any_fell(before: &[(i32, f64)], after: &[(i32, f64)]) -> bool {
    before.iter().any(|(index, count)| {
        let found = after.binary_search_by_key(index, |(at, _)| *at);
        found.map_or(0.0, |place| after[place].1) < *count
    })
}
