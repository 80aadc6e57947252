//! The recorder of `metrics-exporter-prometheus` behind a registry.

use std::sync::Arc;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use obs_model::MetricFamily;

use super::Backend;
use super::families::families;
use crate::expose::parse::{self, Names};
use crate::registry::{Registry, RegistryConfig};

struct Exporter(PrometheusHandle);

impl Backend for Exporter {
    fn render(&self) -> String {
        self.0.render()
    }

    fn gather(&self, visit: &mut dyn FnMut(&MetricFamily)) {
        let read = parse::text_with(self.0.render().as_bytes(), Names::Legacy);
        let (found, lost) = match read {
            Ok(read) => families(read),
            // Only what the exporter itself writes wrongly can get here.
            Err(_) => (Vec::new(), 1),
        };
        if lost > 0 {
            metrics::counter!("obskit_metrics_dropped_total", "reason" => "unreadable")
                .increment(lost);
        }
        found.iter().for_each(visit);
    }
}

impl Registry {
    /// A registry for an application that has installed the recorder of `metrics-exporter-prometheus`, to which `handle`
    /// belongs.
    ///
    /// Catalogs, trackers and everything else that is made from this registry record through the recorder that is
    /// installed; make them after it was. The series store, pushes and `/metrics` read what the handle renders, always in
    /// the text format 0.0.4. Reading does the recorder's upkeep too, so with a series store nothing else need run it.
    ///
    /// What the exporter does not have is not there: caps, label rules, exemplars, expiry by this crate, and
    /// buckets by [`Registry::set_buckets`] (give them to the builder: [`with_catalog_buckets`]; a histogram without
    /// buckets becomes a summary there, of which the store gets the quantiles, the count and the sum). Counters of
    /// fractions are gauges in the exporter. [`Registry::install`] succeeds and leaves the recorder where it is.
    ///
    /// [`with_catalog_buckets`]: crate::backend::with_catalog_buckets
    ///
    /// ```
    /// use metrics_exporter_prometheus::PrometheusBuilder;
    /// use obs_metrics::{Registry, catalog::BusinessMetrics};
    ///
    /// let handle = PrometheusBuilder::new().install_recorder()?; // What the application does already.
    /// let registry = Registry::over_exporter(handle);
    /// BusinessMetrics::new(&registry).record_chart("bar", "o-1");
    /// let labels = [("chart_type", "bar"), ("organization_id", "o-1")];
    /// assert_eq!(registry.value("charts_created_total", &labels), Some(1.0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn over_exporter(handle: PrometheusHandle) -> Self {
        Self::with_backend(RegistryConfig::default(), Arc::new(Exporter(handle)))
    }
}

/// Gives the exporter the buckets that `declared` has by exact names: those that catalogs made from it have set, and those
/// of [`Registry::set_buckets`].
///
/// ```
/// use metrics_exporter_prometheus::PrometheusBuilder;
/// use obs_metrics::{Registry, backend, catalog::WorkflowMetrics};
///
/// let declared = Registry::default();
/// let _ = WorkflowMetrics::new(&declared, "analyst");
/// let builder = backend::with_catalog_buckets(PrometheusBuilder::new(), &declared)?;
/// # let _ = builder;
/// # Ok::<(), metrics_exporter_prometheus::BuildError>(())
/// ```
///
/// # Errors
///
/// What the builder reports; it takes any list of bounds that is not empty.
pub fn with_catalog_buckets(
    builder: PrometheusBuilder,
    declared: &Registry,
) -> Result<PrometheusBuilder, BuildError> {
    declared.exact_buckets().into_iter().try_fold(builder, |builder, (name, bounds)| {
        builder.set_buckets_for_metric(Matcher::Full(name), &bounds)
    })
}
