//! What the histograms of a registry are like: their buckets.

use std::sync::Arc;

use obs_model::MetricKind;

use super::{Registry, Replace};
use crate::buckets::{self, BucketPattern};
use crate::error::{Error, Kind};
use crate::names;
use crate::native::NativeHistogram;

impl Registry {
    /// Sets the upper bounds of a histogram's buckets, in the metric's unit; `+Inf` need not be among them.
    ///
    /// # Errors
    ///
    /// When the bounds are not finite and rising, are none or are more than 200
    /// ([`Error::is_invalid_buckets`]), when 10,000 metrics have buckets already
    /// ([`Error::is_too_many_rules`]), and when the histogram already has series with other buckets
    /// ([`Error::is_buckets_in_use`]).
    pub fn set_buckets(&self, name: &str, bounds: &[f64]) -> Result<(), Error> {
        let bounds = buckets::checked(&format!("{name:?}"), bounds)?;
        let name = names::metric_name(name);
        if let Some(family) = self.family(&name)
            && family.kind == MetricKind::Histogram
            && family.bounds != bounds
        {
            return Err(Kind::BucketsInUse { name: name.into_owned() }.into());
        }
        self.0.buckets.write().set_exact(&name, bounds)
    }

    /// Sets the buckets of every histogram whose name matches `pattern` and that has none by its exact name.
    ///
    /// Patterns are tried in the order in which they were set; histograms that exist keep their buckets.
    ///
    /// # Errors
    ///
    /// When the bounds are not acceptable, as in [`Registry::set_buckets`], and when there are 1,000 patterns
    /// already ([`Error::is_too_many_rules`]).
    pub fn set_buckets_for(&self, pattern: BucketPattern, bounds: &[f64]) -> Result<(), Error> {
        let bounds = buckets::checked(&format!("names that match {pattern:?}"), bounds)?;
        self.0.buckets.write().set_pattern(pattern, bounds)
    }

    /// Gives a histogram native (exponential) buckets beside its fixed ones.
    ///
    /// The protobuf exposition shows both; the text formats have no place for native buckets. A recording costs some
    /// tens of nanoseconds more than with fixed buckets alone. A histogram that exists stays as it is.
    ///
    /// # Errors
    ///
    /// When a number is out of its range ([`Error::is_invalid_buckets`]), and when 10,000 metrics have native
    /// buckets already ([`Error::is_too_many_rules`]).
    pub fn set_native_buckets(&self, name: &str, native: NativeHistogram) -> Result<(), Error> {
        let native = native.checked(&format!("{name:?}"))?;
        self.0.buckets.write().set_native(&names::metric_name(name), native)
    }

    /// As [`Registry::set_native_buckets`], for every histogram whose name matches `pattern` and that has none by
    /// its exact name. Patterns are tried in the order in which they were set.
    ///
    /// # Errors
    ///
    /// As [`Registry::set_native_buckets`]; 1,000 patterns are accepted.
    pub fn set_native_buckets_for(
        &self,
        pattern: BucketPattern,
        native: NativeHistogram,
    ) -> Result<(), Error> {
        let native = native.checked(&format!("names that match {pattern:?}"))?;
        self.0.buckets.write().set_native_pattern(pattern, native)
    }

    /// Every histogram's bounds that were set by its exact name.
    #[cfg(feature = "metrics-exporter-prometheus")]
    pub(crate) fn exact_buckets(&self) -> Vec<(String, Arc<[f64]>)> {
        let rules = self.0.buckets.read();
        rules.exact().map(|(name, bounds)| (name.to_owned(), Arc::clone(bounds))).collect()
    }

    /// Describes a metric of ours, and gives it buckets, unless the user did before.
    pub(crate) fn declare(&self, name: &str, help: &str, bounds: Option<&[f64]>) {
        self.describe_with(name, help, None, Replace::No);
        let Some(bounds) = bounds else { return };
        let mut rules = self.0.buckets.write();
        if !rules.has_exact(name) {
            // OK because a catalog that finds the rules full gets the unit's default buckets.
            let _ = rules.set_exact(name, Arc::from(bounds));
        }
    }
}
