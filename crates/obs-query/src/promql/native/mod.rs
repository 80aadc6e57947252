//! Native histograms: a sample that is a whole distribution.

mod arithmetic;
mod quantile;

use std::fmt;
use std::sync::Arc;

use obs_model::{Labels, Timestamp};

use super::float::general;

pub(crate) use arithmetic::Mismatch;
pub(crate) use quantile::Quantile;

/// The schema of histograms whose bounds are given one by one.
pub const CUSTOM_BUCKETS_SCHEMA: i32 = -53;

/// What is known of a reset between a histogram and the one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CounterResetHint {
    /// It has to be found out.
    #[default]
    Unknown,
    /// There was one.
    Reset,
    /// There was none.
    NotReset,
    /// The histogram is no counter.
    Gauge,
}

/// A run of buckets that follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BucketSpan {
    /// How many buckets are left out before it; for the first one, the index of its first bucket.
    pub offset: i32,
    /// How many buckets it has.
    pub length: u32,
}

/// A histogram with buckets of exponentially growing width, or with bounds of its own.
///
/// Bucket `i` of schema `s` counts observations above `2^((i-1)·2^-s)` and at most `2^(i·2^-s)`; counts are
/// not cumulative. The format is that of Prometheus' `FloatHistogram`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NativeHistogram {
    /// What is known of a reset before it.
    pub hint: CounterResetHint,
    /// How fine the buckets are: -4 to 8, or [`CUSTOM_BUCKETS_SCHEMA`].
    pub schema: i32,
    /// The largest absolute value that counts as zero.
    pub zero_threshold: f64,
    /// How many observations were zero.
    pub zero_count: f64,
    /// How many observations there were.
    pub count: f64,
    /// Their sum.
    pub sum: f64,
    /// Where the buckets of positive observations are.
    pub positive_spans: Vec<BucketSpan>,
    /// Their counts.
    pub positive_buckets: Vec<f64>,
    /// Where the buckets of negative observations are.
    pub negative_spans: Vec<BucketSpan>,
    /// Their counts.
    pub negative_buckets: Vec<f64>,
    /// The upper bounds of the buckets, for [`CUSTOM_BUCKETS_SCHEMA`].
    pub custom_values: Vec<f64>,
}

/// A native histogram at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct HistogramSample {
    /// When.
    pub timestamp: Timestamp,
    /// What.
    pub value: Arc<NativeHistogram>,
}

/// One series and its native histograms, by rising time.
#[derive(Clone, Debug, PartialEq)]
pub struct HistogramSeries {
    /// What it is, `__name__` included.
    pub labels: Labels,
    /// Its histograms; each time stands once.
    pub samples: Vec<HistogramSample>,
}

impl NativeHistogram {
    /// Whether its bounds are given one by one.
    #[must_use]
    pub fn has_custom_buckets(&self) -> bool {
        self.schema == CUSTOM_BUCKETS_SCHEMA
    }

    /// The buckets with observations, from the lowest to the highest, the zero bucket among them.
    #[must_use]
    pub fn buckets(&self) -> Vec<NativeBucket> {
        let mut buckets = Vec::new();
        for (index, count) in
            indexed(&self.negative_spans, &self.negative_buckets).into_iter().rev()
        {
            let bucket = self.bucket(index, count);
            buckets.push(self.clipped(NativeBucket {
                lower: -bucket.upper,
                upper: -bucket.lower,
                count,
            }));
        }
        if self.zero_count > 0.0 && !self.has_custom_buckets() {
            let (lower, upper) = (-self.zero_threshold, self.zero_threshold);
            buckets.push(NativeBucket { lower, upper, count: self.zero_count });
        }
        for (index, count) in indexed(&self.positive_spans, &self.positive_buckets) {
            buckets.push(self.clipped(self.bucket(index, count)));
        }
        buckets.retain(|bucket| bucket.count != 0.0);
        buckets
    }

    /// The bucket of positive observations at `index`.
    fn bucket(&self, index: i32, count: f64) -> NativeBucket {
        let (lower, upper) = if self.has_custom_buckets() {
            let at =
                |index: i64| usize::try_from(index).ok().and_then(|i| self.custom_values.get(i));
            let index = i64::from(index);
            (
                at(index - 1).copied().unwrap_or(f64::NEG_INFINITY),
                at(index).copied().unwrap_or(f64::INFINITY),
            )
        } else {
            (bound(index - 1, self.schema), bound(index, self.schema))
        };
        NativeBucket { lower, upper, count }
    }

    /// A bucket without the part that the zero bucket covers.
    fn clipped(&self, mut bucket: NativeBucket) -> NativeBucket {
        if bucket.upper < 0.0 && bucket.upper > -self.zero_threshold {
            bucket.upper = -self.zero_threshold;
        } else if bucket.lower > 0.0 && bucket.lower < self.zero_threshold {
            bucket.lower = self.zero_threshold;
        }
        bucket
    }

    /// This histogram without empty buckets.
    #[must_use]
    pub fn compacted(mut self) -> Self {
        (self.positive_spans, self.positive_buckets) =
            packed(&indexed(&self.positive_spans, &self.positive_buckets));
        (self.negative_spans, self.negative_buckets) =
            packed(&indexed(&self.negative_spans, &self.negative_buckets));
        self
    }
}

/// One bucket of a native histogram.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NativeBucket {
    /// Its lower bound; it belongs to the bucket if it is negative.
    pub lower: f64,
    /// Its upper bound; it belongs to the bucket if it is positive.
    pub upper: f64,
    /// How many observations it has.
    pub count: f64,
}

/// The upper bound of the bucket at `index` of an exponential schema.
pub(crate) fn bound(index: i32, schema: i32) -> f64 {
    let exponent = f64::from(index) * 2_f64.powi(-schema);
    if exponent >= 1_024.0 { f64::MAX } else { exponent.exp2() }
}

/// The buckets of spans, each with its index.
pub(crate) fn indexed(spans: &[BucketSpan], counts: &[f64]) -> Vec<(i32, f64)> {
    let mut index = 0_i32;
    let mut counts = counts.iter();
    let mut buckets = Vec::with_capacity(counts.len());
    for span in spans {
        index = index.saturating_add(span.offset);
        for _ in 0..span.length {
            let Some(count) = counts.next() else {
                return buckets;
            };
            buckets.push((index, *count));
            index = index.saturating_add(1);
        }
    }
    buckets
}

/// The spans and counts of the buckets that are not empty; they are in order of index.
pub(crate) fn packed(buckets: &[(i32, f64)]) -> (Vec<BucketSpan>, Vec<f64>) {
    let (mut spans, mut counts) = (Vec::<BucketSpan>::new(), Vec::new());
    let mut next = 0;
    for (index, count) in buckets.iter().filter(|(_, count)| *count != 0.0) {
        match spans.last_mut() {
            Some(span) if next == *index => span.length += 1,
            _ => spans.push(BucketSpan { offset: index - next, length: 1 }),
        }
        counts.push(*count);
        next = index + 1;
    }
    (spans, counts)
}

/// Written as Prometheus writes it: `{count:2, sum:3, (1,2]:2}`.
impl fmt::Display for NativeHistogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{count:{}, sum:{}", general(self.count), general(self.sum))?;
        for NativeBucket { lower, upper, count } in self.buckets() {
            let open = if lower < 0.0 { '[' } else { '(' };
            let close = if upper > 0.0 { ']' } else { ')' };
            let (lower, upper, count) = (general(lower), general(upper), general(count));
            write!(f, ", {open}{lower},{upper}{close}:{count}")?;
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests;
