//! Exponential buckets, as in Prometheus's native histograms and OpenTelemetry's exponential ones.
//!
//! Bucket `i` of schema `s` holds what is above `b^(i-1)` and at most `b^i`, where `b` is `2^(2^-s)`. When the buckets
//! between the lowest and the highest observation become too many, the schema is lowered by one, which joins them two
//! by two; nothing is lost but resolution.
//!
//! <https://prometheus.io/docs/specs/native_histograms/>

use std::sync::LazyLock;

use obs_model::NativeBuckets;

use crate::native::{MAX_SCHEMA, MIN_SCHEMA, NativeHistogram};

/// The lower bounds of the buckets of the highest schema between 0.5 and 1; every lower schema has some of them.
static BOUNDS: LazyLock<Box<[f64]>> = LazyLock::new(|| {
    let count = 1_u32 << MAX_SCHEMA;
    (0..count).map(|at| (f64::from(at) / f64::from(count) - 1.0).exp2()).collect()
});

/// Observations counted in exponential buckets.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Exponential {
    schema: i32,
    zero_threshold: f64,
    max_buckets: usize,
    zero_count: u64,
    positive: Window,
    negative: Window,
}

/// The counts of buckets that follow each other.
#[derive(Clone, Debug, Default, PartialEq)]
struct Window {
    /// The index of the first one.
    first: i32,
    counts: Vec<u64>,
}

impl Exponential {
    pub(super) fn new(config: NativeHistogram) -> Self {
        Self {
            schema: config.schema,
            zero_threshold: config.zero_threshold,
            max_buckets: config.max_buckets,
            zero_count: 0,
            positive: Window::default(),
            negative: Window::default(),
        }
    }

    /// Counts a value, which is not NaN. Infinities count in the bucket beyond all finite numbers.
    pub(super) fn observe(&mut self, value: f64, times: u64) {
        if value.abs() <= self.zero_threshold {
            self.zero_count += times;
            return;
        }
        let index = index_of(value.abs(), self.schema);
        self.add(value > 0.0, index, times);
    }

    /// Adds what another one counted.
    pub(super) fn merge(&mut self, other: &Self) {
        self.zero_count += other.zero_count;
        while self.schema > other.schema {
            self.lower_schema();
        }
        for (is_positive, window) in [(true, &other.positive), (false, &other.negative)] {
            for (index, count) in window.filled() {
                // Adding may lower the schema, so each index is brought down anew.
                let index = (self.schema..other.schema).fold(index, |index, _| lowered(index));
                self.add(is_positive, index, count);
            }
        }
    }

    /// What this one counted after `before`, an earlier state of the same.
    pub(super) fn since(&self, before: &Self) -> Self {
        let (mut later, mut before) = (self.clone(), before.clone());
        while later.schema > before.schema {
            later.lower_schema();
        }
        while before.schema > later.schema {
            before.lower_schema();
        }
        later.zero_count -= before.zero_count.min(later.zero_count);
        later.positive.subtract(&before.positive);
        later.negative.subtract(&before.negative);
        later
    }

    pub(super) fn write_to(&self, buckets: &mut NativeBuckets) {
        buckets.schema = self.schema;
        buckets.zero_threshold = self.zero_threshold;
        buckets.zero_count = self.zero_count;
        buckets.positive.clear();
        buckets.positive.extend(self.positive.filled());
        buckets.negative.clear();
        buckets.negative.extend(self.negative.filled());
    }

    fn add(&mut self, is_positive: bool, mut index: i32, times: u64) {
        loop {
            let window = if is_positive { &mut self.positive } else { &mut self.negative };
            if window.length_with(index) <= self.max_buckets || self.schema == MIN_SCHEMA {
                return window.add(index, times);
            }
            self.lower_schema();
            index = lowered(index);
        }
    }

    fn lower_schema(&mut self) {
        self.schema -= 1;
        self.positive.lower();
        self.negative.lower();
    }
}

impl Window {
    fn filled(&self) -> impl Iterator<Item = (i32, u64)> {
        (self.first..).zip(self.counts.iter().copied()).filter(|(_, count)| *count > 0)
    }

    /// How many buckets there are when `index` is one of them.
    fn length_with(&self, index: i32) -> usize {
        let Some(last) = self.last() else { return 1 };
        let span = i64::from(last.max(index)) - i64::from(self.first.min(index)) + 1;
        usize::try_from(span).unwrap_or(usize::MAX)
    }

    fn last(&self) -> Option<i32> {
        // OK because a window is as long as there are buckets for floats: some half a million of the highest schema.
        (!self.counts.is_empty()).then(|| self.first + (self.counts.len() as i32 - 1))
    }

    fn add(&mut self, index: i32, times: u64) {
        let length = self.length_with(index);
        if self.counts.is_empty() {
            self.first = index;
        } else if index < self.first {
            let more = length - self.counts.len();
            self.counts.splice(0..0, std::iter::repeat_n(0, more));
            self.first = index;
        }
        self.counts.resize(length.max(self.counts.len()), 0);
        // OK because the window was just made to hold the index.
        self.counts[(index - self.first) as usize] += times;
    }

    /// Joins the buckets two by two.
    fn lower(&mut self) {
        let mut joined = Self::default();
        if let Some(last) = self.last() {
            joined.first = lowered(self.first);
            joined.counts = vec![0; (lowered(last) - joined.first) as usize + 1];
        }
        for (index, count) in self.filled() {
            joined.counts[(lowered(index) - joined.first) as usize] += count;
        }
        *self = joined;
    }

    fn subtract(&mut self, other: &Self) {
        for (index, count) in other.filled() {
            let at = usize::try_from(i64::from(index) - i64::from(self.first));
            if let Some(here) = at.ok().and_then(|at| self.counts.get_mut(at)) {
                *here = here.saturating_sub(count);
            }
        }
    }
}

/// The index of the bucket that holds bucket `index` when the schema is lowered by one.
const fn lowered(index: i32) -> i32 {
    (index + 1) >> 1
}

/// The bucket of a positive number.
fn index_of(value: f64, schema: i32) -> i32 {
    if value.is_infinite() {
        return index_of(f64::MAX, schema) + 1;
    }
    let (fraction, exponent) = split(value);
    if schema > 0 {
        let below = BOUNDS.partition_point(|bound| *bound < fraction);
        // OK because there are at most 256 bounds.
        let below = below.div_ceil(1 << (MAX_SCHEMA - schema)) as i32;
        ((exponent - 1) << schema) + below
    } else {
        // A power of two is the upper bound of the bucket below.
        let index = if fraction == 0.5 { exponent - 1 } else { exponent };
        (schema..0).fold(index, |index, _| lowered(index))
    }
}

/// A positive, finite number as a fraction, at least 0.5 and below 1, and a power of two.
fn split(value: f64) -> (f64, i32) {
    const FRACTION: u64 = (1 << 52) - 1;
    const HALF: u64 = 1_022 << 52;
    // A subnormal number has no exponent of its own, so it is made a normal one first.
    let (value, shifted) =
        if value < f64::MIN_POSITIVE { (value * 54_f64.exp2(), 54) } else { (value, 0) };
    let bits = value.to_bits();
    // OK because the sign is not set, so that eleven bits are left.
    let exponent = (bits >> 52) as i32 - 1_022 - shifted;
    (f64::from_bits(bits & FRACTION | HALF), exponent)
}

#[cfg(all(test, not(obskit_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn exponential(schema: i32, max_buckets: usize) -> Exponential {
        Exponential::new(NativeHistogram { schema, max_buckets, ..NativeHistogram::default() })
    }

    fn total(one: &Exponential) -> u64 {
        let windows = one.positive.counts.iter().chain(&one.negative.counts);
        one.zero_count + windows.sum::<u64>()
    }

    #[test]
    fn indexes_are_those_of_the_specification() {
        for (value, schema, expected) in [
            (1.0, 0, 0),
            (1.1, 0, 1),
            (2.0, 0, 1),
            (2.1, 0, 2),
            (0.5, 0, -1),
            (0.3, 0, -1),
            (1.0, 3, 0),
            (1.01, 3, 1),
            (2.0, 3, 8),
            (2.01, 3, 9),
            (0.5, 3, -8),
            (1.5, 1, 2),
            (1.4, 1, 1),
            (16.0, -1, 2),
            (17.0, -1, 3),
            (4.0, -1, 1),
            (65_536.0, -4, 1),
            (65_537.0, -4, 2),
            (1.0, 8, 0),
            (2.0, 8, 256),
            (f64::MAX, 0, 1_024),
            (f64::INFINITY, 0, 1_025),
            (f64::MIN_POSITIVE, 0, -1_022),
            (5e-324, 0, -1_074),
        ] {
            assert_eq!(index_of(value, schema), expected, "{value} in schema {schema}");
        }
    }

    #[test]
    fn too_wide_a_range_lowers_the_schema_and_keeps_every_count() {
        let mut one = exponential(8, 160);
        for step in 0..1_000 {
            one.observe(1.0 + f64::from(step) * 0.37, 2);
        }
        one.observe(-5.0, 1);
        one.observe(0.0, 3);
        one.observe(1e-200, 1);
        assert_eq!(total(&one), 2_005);
        assert_eq!(one.zero_count, 4);
        assert!(one.positive.counts.len() <= 160 && one.schema == 4, "{one:?}");
        one.observe(f64::INFINITY, 1);
        one.observe(1e-30, 1);
        assert_eq!(total(&one), 2_007);
        assert!(one.positive.counts.len() <= 160, "{one:?}");
        assert_eq!(one.negative.counts, [1]);
    }

    #[test]
    fn a_difference_is_what_came_in_between() {
        let mut one = exponential(8, 20);
        one.observe(1.0, 4);
        let before = one.clone();
        one.observe(1.001, 2);
        one.observe(900.0, 3);
        one.observe(-2.0, 1);
        let more = one.since(&before);
        assert_eq!(total(&more), 6);
        let mut again = before.clone();
        again.merge(&more);
        let filled = |one: &Exponential| one.positive.filled().collect::<Vec<_>>();
        assert_eq!((again.schema, filled(&again)), (one.schema, filled(&one)));
    }

    proptest! {
        #[test]
        fn a_value_lies_within_its_bucket(value in prop::num::f64::POSITIVE | prop::num::f64::SUBNORMAL, schema in MIN_SCHEMA..=MAX_SCHEMA) {
            let value = value.abs();
            prop_assume!(value > 0.0 && value.is_finite());
            let index = index_of(value, schema);
            let width = f64::from(-schema).exp2();
            let position = value.log2() / width;
            prop_assert!(position <= f64::from(index) + 1e-6 && position > f64::from(index - 1) - 1e-6);
            if schema > MIN_SCHEMA {
                prop_assert_eq!(index_of(value, schema - 1), lowered(index));
            }
        }

        #[test]
        fn parts_that_are_merged_count_as_the_whole(
            values in prop::collection::vec(-1e6..1e6_f64, 0..200),
            at in 0..200_usize,
            max_buckets in 4..200_usize,
        ) {
            let count = |values: &[f64]| {
                let mut one = exponential(8, max_buckets);
                for value in values {
                    one.observe(*value, 1);
                }
                one
            };
            let (first, second) = values.split_at(at.min(values.len()));
            let mut merged = count(first);
            merged.merge(&count(second));
            let whole = count(&values);
            prop_assert_eq!(merged.schema, whole.schema);
            prop_assert!(merged.positive.filled().eq(whole.positive.filled()));
            prop_assert!(merged.negative.filled().eq(whole.negative.filled()));
            prop_assert_eq!(total(&whole), values.len() as u64);
        }
    }
}
