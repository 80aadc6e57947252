//! What a native histogram is made like.

use crate::error::{Error, Kind};

/// The lowest schema: buckets that grow by 65,536.
pub(crate) const MIN_SCHEMA: i32 = -4;

/// The highest schema: buckets that grow by 0.27 %.
pub(crate) const MAX_SCHEMA: i32 = 8;

/// How many buckets a native histogram may ask for.
const MAX_BUCKETS: usize = 1_024;

/// The exponential buckets of a native histogram; see
/// [`Registry::set_native_buckets`](crate::Registry::set_native_buckets).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NativeHistogram {
    /// How fine the buckets are at first, from -4 to 8; 3 by default. Each bound is `2^(2^-schema)` times the one before
    /// it: with 3 that is 9 % more.
    pub schema: i32,
    /// Observations at most that far from zero are in the zero bucket; 2^-128 by default.
    pub zero_threshold: f64,
    /// How many buckets there may be from the lowest to the highest observation, for positive and for negative ones
    /// each; 160 by default. When they become more, the schema is lowered, but not below -4.
    pub max_buckets: usize,
}

impl Default for NativeHistogram {
    fn default() -> Self {
        // OK because 2^-128 is a float without rounding.
        Self { schema: 3, zero_threshold: f64::from_bits((1_023 - 128) << 52), max_buckets: 160 }
    }
}

impl NativeHistogram {
    pub(crate) fn checked(self, target: &str) -> Result<Self, Error> {
        let mut problems = Vec::new();
        if !(MIN_SCHEMA..=MAX_SCHEMA).contains(&self.schema) {
            problems.push(format!(
                "the schema is {}: {MIN_SCHEMA} to {MAX_SCHEMA} are accepted",
                self.schema
            ));
        }
        if !(self.zero_threshold.is_finite() && self.zero_threshold >= 0.0) {
            problems.push(format!(
                "the zero threshold is {}: zero and finite positive numbers are accepted",
                self.zero_threshold
            ));
        }
        if !(1..=MAX_BUCKETS).contains(&self.max_buckets) {
            problems.push(format!(
                "{} buckets are asked for: 1 to {MAX_BUCKETS} are accepted",
                self.max_buckets
            ));
        }
        if problems.is_empty() {
            return Ok(self);
        }
        Err(Kind::InvalidNative { target: target.to_owned(), problems: problems.join("; ") }.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_of_a_native_histogram_is_reported_at_once() {
        assert!(NativeHistogram::default().checked("\"x\"").is_ok());
        assert_eq!(NativeHistogram::default().zero_threshold, (-128_f64).exp2());
        let bad = NativeHistogram { schema: 9, zero_threshold: -1.0, max_buckets: 0 };
        let error = bad.checked("\"x\"").unwrap_err();
        assert!(error.is_invalid_buckets());
        assert_eq!(
            error.to_string(),
            "set the native buckets of \"x\": the schema is 9: -4 to 8 are accepted; \
             the zero threshold is -1: zero and finite positive numbers are accepted; \
             0 buckets are asked for: 1 to 1024 are accepted"
        );
    }
}
