//! Which buckets a histogram gets: by its exact name, by a pattern, by its unit.

use std::collections::HashMap;
use std::sync::Arc;

use metrics::Unit;

use crate::error::{BucketProblem, BucketProblems, Error, Kind};
use crate::names;
use crate::native::NativeHistogram;

/// Upper bounds for durations in seconds: 5 ms to one minute.
pub const SECONDS_BUCKETS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Upper bounds for durations in milliseconds: 1 ms to half a minute.
pub const MILLISECONDS_BUCKETS: &[f64] = &[
    1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0, 10_000.0,
    30_000.0,
];

/// Upper bounds for sizes in bytes: 256 B to 64 MiB, by fours.
pub const BYTES_BUCKETS: &[f64] = &[
    256.0,
    1_024.0,
    4_096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// Upper bounds for everything else: ratios and counts up to ten thousand.
pub const GENERAL_BUCKETS: &[f64] = &[
    0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0,
    1_000.0, 2_500.0, 5_000.0, 10_000.0,
];

/// How many bounds one histogram may have.
const MAX_BUCKETS: usize = 200;

/// How many metrics may have buckets by exact name, so that names made from input cannot fill the memory.
const MAX_RULES: usize = 10_000;

/// How many patterns there may be; a new histogram is compared with each.
const MAX_PATTERNS: usize = 1_000;

/// Which metric names a list of buckets is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BucketPattern {
    /// Names that start with this.
    Prefix(String),
    /// Names that end with this.
    Suffix(String),
    /// Names that have this anywhere.
    Contains(String),
}

impl BucketPattern {
    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Prefix(part) => name.starts_with(part),
            Self::Suffix(part) => name.ends_with(part),
            Self::Contains(part) => name.contains(part),
        }
    }

    /// The pattern in the characters that a metric's name has after it was made valid.
    fn into_valid(self) -> Self {
        match self {
            Self::Prefix(part) => Self::Prefix(names::name_part(&part)),
            Self::Suffix(part) => Self::Suffix(names::name_part(&part)),
            Self::Contains(part) => Self::Contains(names::name_part(&part)),
        }
    }
}

#[derive(Default)]
pub(crate) struct BucketRules {
    exact: HashMap<String, Arc<[f64]>>,
    patterns: Vec<(BucketPattern, Arc<[f64]>)>,
    native: HashMap<String, NativeHistogram>,
    native_patterns: Vec<(BucketPattern, NativeHistogram)>,
}

impl BucketRules {
    /// Sets the buckets of one metric, in place of any it had. `name` is a valid name.
    pub(crate) fn set_exact(&mut self, name: &str, bounds: Arc<[f64]>) -> Result<(), Error> {
        if self.exact.len() >= MAX_RULES && !self.exact.contains_key(name) {
            return Err(Kind::TooManyRules { target: format!("{name:?}"), limit: MAX_RULES }.into());
        }
        self.exact.insert(name.to_owned(), bounds);
        Ok(())
    }

    #[cfg(feature = "metrics-exporter-prometheus")]
    pub(crate) fn exact(&self) -> impl Iterator<Item = (&str, &Arc<[f64]>)> {
        self.exact.iter().map(|(name, bounds)| (name.as_str(), bounds))
    }

    pub(crate) fn has_exact(&self, name: &str) -> bool {
        self.exact.contains_key(name)
    }

    /// Adds a pattern, or replaces the buckets of one that is there.
    pub(crate) fn set_pattern(
        &mut self,
        pattern: BucketPattern,
        bounds: Arc<[f64]>,
    ) -> Result<(), Error> {
        let pattern = pattern.into_valid();
        if let Some((_, known)) = self.patterns.iter_mut().find(|(known, _)| *known == pattern) {
            *known = bounds;
        } else if self.patterns.len() < MAX_PATTERNS {
            self.patterns.push((pattern, bounds));
        } else {
            let target = format!("names that match {pattern:?}");
            return Err(Kind::TooManyRules { target, limit: MAX_PATTERNS }.into());
        }
        Ok(())
    }

    /// Gives one metric native buckets. `name` is a valid name.
    pub(crate) fn set_native(&mut self, name: &str, native: NativeHistogram) -> Result<(), Error> {
        if self.native.len() >= MAX_RULES && !self.native.contains_key(name) {
            return Err(Kind::TooManyRules { target: format!("{name:?}"), limit: MAX_RULES }.into());
        }
        self.native.insert(name.to_owned(), native);
        Ok(())
    }

    /// Adds a pattern for native buckets, or replaces one that is there.
    pub(crate) fn set_native_pattern(
        &mut self,
        pattern: BucketPattern,
        native: NativeHistogram,
    ) -> Result<(), Error> {
        let pattern = pattern.into_valid();
        let known = self.native_patterns.iter_mut().find(|(known, _)| *known == pattern);
        if let Some((_, known)) = known {
            *known = native;
        } else if self.native_patterns.len() < MAX_PATTERNS {
            self.native_patterns.push((pattern, native));
        } else {
            let target = format!("names that match {pattern:?}");
            return Err(Kind::TooManyRules { target, limit: MAX_PATTERNS }.into());
        }
        Ok(())
    }

    /// The native buckets for a metric: by exact name, else by the first pattern that matches.
    pub(crate) fn native_for(&self, name: &str) -> Option<NativeHistogram> {
        let by_pattern = || self.native_patterns.iter().find(|(pattern, _)| pattern.matches(name));
        self.native.get(name).or_else(|| by_pattern().map(|(_, native)| native)).copied()
    }

    /// The buckets for a metric: exact name, else the first pattern that matches, else by unit.
    pub(crate) fn bounds_for(&self, name: &str, unit: Option<Unit>) -> Arc<[f64]> {
        let by_pattern = || {
            self.patterns
                .iter()
                .find(|(pattern, _)| pattern.matches(name))
                .map(|(_, bounds)| bounds)
        };
        match self.exact.get(name).or_else(by_pattern) {
            Some(bounds) => Arc::clone(bounds),
            None => Arc::from(defaults_for(name, unit)),
        }
    }
}

/// The name's own suffix decides, because people read the name; the described unit helps where it has none.
fn defaults_for(name: &str, unit: Option<Unit>) -> &'static [f64] {
    if name.ends_with("_seconds") {
        SECONDS_BUCKETS
    } else if name.ends_with("_ms") || name.ends_with("_milliseconds") {
        MILLISECONDS_BUCKETS
    } else if name.ends_with("_bytes") {
        BYTES_BUCKETS
    } else {
        match unit {
            Some(Unit::Seconds) => SECONDS_BUCKETS,
            Some(Unit::Milliseconds) => MILLISECONDS_BUCKETS,
            Some(Unit::Bytes) => BYTES_BUCKETS,
            _ => GENERAL_BUCKETS,
        }
    }
}

/// Checks bounds and leaves out a final `+Inf`, which every histogram has anyway.
pub(crate) fn checked(target: &str, bounds: &[f64]) -> Result<Arc<[f64]>, Error> {
    let finite = match bounds {
        [rest @ .., last] if *last == f64::INFINITY => rest,
        all => all,
    };
    let mut problems = Vec::new();
    if finite.is_empty() {
        problems.push(BucketProblem::Empty);
    }
    if finite.len() > MAX_BUCKETS {
        problems.push(BucketProblem::TooMany { count: finite.len(), limit: MAX_BUCKETS });
    }
    for (index, &bound) in finite.iter().enumerate().take(MAX_BUCKETS) {
        let position = index + 1;
        if !bound.is_finite() {
            problems.push(BucketProblem::NotFinite { position, bound });
        } else if let Some(&before) = index.checked_sub(1).and_then(|index| finite.get(index))
            && before.is_finite()
            && before >= bound
        {
            problems.push(BucketProblem::NotRising { position, bound, before });
        }
    }
    if problems.is_empty() {
        Ok(Arc::from(finite))
    } else {
        let (target, problems) = (target.to_owned(), BucketProblems(problems));
        Err(Kind::InvalidBuckets { target, problems }.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exact_name_wins_over_a_pattern_and_a_pattern_over_the_unit() {
        let mut rules = BucketRules::default();
        let of = |bound: f64| Arc::<[f64]>::from([bound].as_slice());
        rules.set_pattern(BucketPattern::Prefix("http.".into()), of(1.0)).unwrap();
        rules.set_pattern(BucketPattern::Suffix("_seconds".into()), of(2.0)).unwrap();
        rules.set_pattern(BucketPattern::Contains("size".into()), of(4.0)).unwrap();
        rules.set_exact("http_wait_seconds", of(3.0)).unwrap();
        for (name, unit, expected) in [
            ("http_wait_seconds", None, &[3.0][..]),
            ("http_run_seconds", None, &[1.0]),
            ("db_seconds", None, &[2.0]),
            ("db_size_bytes", None, &[4.0]),
            ("db_read_bytes", None, BYTES_BUCKETS),
            ("db_ms", None, MILLISECONDS_BUCKETS),
            ("db_milliseconds", Some(Unit::Seconds), MILLISECONDS_BUCKETS),
            ("db_wait", Some(Unit::Seconds), SECONDS_BUCKETS),
            ("db_rows", Some(Unit::Count), GENERAL_BUCKETS),
        ] {
            assert_eq!(&*rules.bounds_for(name, unit), expected, "{name}");
        }
        rules.set_pattern(BucketPattern::Prefix("http_".into()), of(9.0)).unwrap();
        assert_eq!(&*rules.bounds_for("http_x", None), [9.0]);
    }

    #[test]
    fn all_default_bounds_are_acceptable() {
        for bounds in [SECONDS_BUCKETS, MILLISECONDS_BUCKETS, BYTES_BUCKETS, GENERAL_BUCKETS] {
            assert_eq!(&*checked("x", bounds).unwrap(), bounds);
        }
    }

    #[test]
    fn every_problem_of_a_list_of_bounds_is_reported_at_once() {
        assert_eq!(&*checked("x", &[1.0, f64::INFINITY]).unwrap(), [1.0]);
        let error = checked("\"x\"", &[2.0, 1.0, f64::NAN, f64::INFINITY, 3.0]).unwrap_err();
        assert!(error.is_invalid_buckets());
        assert_eq!(
            error.to_string(),
            "set the buckets of \"x\": bound 2 is 1: it must be larger than the one before it, 2; \
             bound 3 is NaN: finite numbers are accepted, and +Inf as the last; \
             bound 4 is inf: finite numbers are accepted, and +Inf as the last"
        );
        for bounds in [&[][..], &[f64::INFINITY]] {
            assert!(checked("x", bounds).unwrap_err().to_string().contains("at least one"));
        }
        let many: Vec<f64> = (0..201).map(f64::from).collect();
        assert!(checked("x", &many).unwrap_err().to_string().contains("at most 200"));
    }
}
