//! Figures that a service names itself, recorded in one line.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use obs_model::MetricKind;

use super::{AgentMetrics, ModelMetrics};
use crate::registry::Registry;
use crate::track::Outcome;

/// Records agents, models and figures of the business by name, for callers that keep no handles.
///
/// Names and label values may come from data: the registry's caps hold for them as for all others, see
/// [`RegistryConfig`](crate::RegistryConfig). Where a name is known when the program is written, a handle of a catalog, of
/// [`typed`](crate::typed) or of the `metrics` macros costs less.
///
/// ```
/// use std::time::Duration;
/// use obs_metrics::{Registry, catalog::CustomMetrics};
///
/// let registry = Registry::default();
/// let custom = CustomMetrics::new(&registry);
/// custom.record_agent_execution("planner", Duration::from_secs(2), true);
/// custom.record_ml_prediction("churn", Duration::from_millis(12), Some(0.93));
/// custom.record_business_metric("suppliers_onboarded", 12.0, &[("region", "eu")]);
/// custom.counter("exports_total", "Reports that were exported.").increment(1, &[("format", "pdf")]);
/// custom.record_metric("cache_size_bytes", 4_096.0, &[]);
///
/// let labels = [("agent", "planner"), ("status", "success")];
/// assert_eq!(registry.value("agent_executions_total", &labels), Some(1.0));
/// assert_eq!(registry.value("cache_size_bytes", &[]), Some(4_096.0));
/// ```
#[derive(Clone)]
pub struct CustomMetrics {
    registry: Registry,
    agents: AgentMetrics,
    models: ModelMetrics,
}

impl CustomMetrics {
    /// Records into `registry`.
    #[must_use]
    pub fn new(registry: &Registry) -> Self {
        Self {
            registry: registry.clone(),
            agents: AgentMetrics::new(registry),
            models: ModelMetrics::new(registry),
        }
    }

    /// Records an execution of an agent that took `duration`: see [`AgentMetrics`].
    pub fn record_agent_execution(&self, agent: &str, duration: Duration, success: bool) {
        let outcome = if success { Outcome::Success } else { Outcome::Error };
        self.agents.record(agent, duration, outcome);
    }

    /// Records a prediction, and how sure the model was of it, 0 to 1, if it says so: see [`ModelMetrics`].
    pub fn record_ml_prediction(&self, model: &str, latency: Duration, confidence: Option<f64>) {
        self.models.record_prediction(model, latency, confidence);
    }

    /// As [`record_business_metric`].
    pub fn record_business_metric(&self, name: &str, value: f64, labels: &[(&str, &str)]) {
        record_business_metric(&self.registry, name, value, labels);
    }

    /// A counter with a description; as [`CustomCounter::new`].
    #[must_use]
    pub fn counter(&self, name: &str, description: &str) -> CustomCounter {
        CustomCounter::new(&self.registry, name, description)
    }

    /// As [`record_metric`].
    pub fn record_metric(&self, name: &str, value: f64, labels: &[(&str, &str)]) {
        record_metric(&self.registry, name, value, labels);
    }
}

impl fmt::Debug for CustomMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CustomMetrics").finish_non_exhaustive()
    }
}

/// Records `value` into the metric `name`, of which nothing else need be known. What becomes of it:
///
/// | the metric | `value` is |
/// |---|---|
/// | is a histogram, or its buckets were set by [`Registry::set_buckets`] | observed |
/// | is a counter, or its name ends with `_total` | added |
/// | is a gauge, or anything else | what it is set to |
///
/// A counter that is recorded like this counts in fractions, as a [`FloatCounter`](crate::FloatCounter): the same series
/// cannot be counted by a macro or a [`Registry::counter`] too, and what comes second is refused and counted.
///
/// ```
/// use obs_metrics::{Registry, catalog::record_metric};
///
/// let registry = Registry::default();
/// registry.set_buckets("import_rows", &[10.0, 100.0])?;
/// for value in [2.5, 4.0] {
///     record_metric(&registry, "energy_kwh_total", value, &[("site", "a")]);
///     record_metric(&registry, "queue_depth", value, &[]);
///     record_metric(&registry, "import_rows", value, &[]);
/// }
/// assert_eq!(registry.value("energy_kwh_total", &[("site", "a")]), Some(6.5));
/// assert_eq!(registry.value("queue_depth", &[]), Some(4.0));
/// assert_eq!(registry.value("import_rows_count", &[]), Some(2.0));
/// # Ok::<(), obs_metrics::Error>(())
/// ```
pub fn record_metric(registry: &Registry, name: &str, value: f64, labels: &[(&str, &str)]) {
    match registry.likely_kind(name) {
        Some(MetricKind::Histogram) => registry.histogram(name, labels).record(value),
        Some(MetricKind::Counter) => registry.float_counter(name, labels).increment(value),
        Some(MetricKind::Gauge) => registry.gauge(name, labels).set(value),
        None if name.ends_with("_total") => registry.float_counter(name, labels).increment(value),
        None => registry.gauge(name, labels).set(value),
    }
}

/// Sets a figure of the business that has no metric in a catalog: the gauge `name` with `labels`.
///
/// Names and label values may come from data: the registry's caps hold for them as for all others, see
/// [`RegistryConfig`](crate::RegistryConfig). A name that belongs to a metric of another kind is refused and
/// counted. [`Registry::describe`] gives the gauge its help.
///
/// ```
/// use obs_metrics::{Registry, catalog::record_business_metric};
///
/// let registry = Registry::default();
/// record_business_metric(&registry, "suppliers_onboarded", 12.0, &[("region", "eu")]);
/// assert_eq!(registry.value("suppliers_onboarded", &[("region", "eu")]), Some(12.0));
/// ```
pub fn record_business_metric(
    registry: &Registry,
    name: &str,
    value: f64,
    labels: &[(&str, &str)],
) {
    registry.gauge(name, labels).set(value);
}

/// A counter that a service names and describes itself; nothing is shown of it before its first use.
///
/// ```
/// use obs_metrics::{Registry, catalog::CustomCounter};
///
/// let registry = Registry::default();
/// let exports = CustomCounter::new(&registry, "exports_total", "Reports that were exported.");
/// exports.increment(2, &[("format", "pdf")]);
/// assert!(registry.render_text().contains("# HELP exports_total Reports that were exported.\n"));
/// assert_eq!(registry.value("exports_total", &[("format", "pdf")]), Some(2.0));
/// ```
#[derive(Clone)]
pub struct CustomCounter {
    registry: Registry,
    name: Arc<str>,
}

impl CustomCounter {
    /// The counter `name` of `registry`, whose help is `description` unless the user described it before.
    #[must_use]
    pub fn new(registry: &Registry, name: &str, description: &str) -> Self {
        registry.declare(name, description, None);
        Self { registry: registry.clone(), name: Arc::from(name) }
    }

    /// Adds to the series of `labels`. The registry looks it up each time; where that is too slow, keep a
    /// [`Registry::counter`].
    pub fn increment(&self, by: u64, labels: &[(&str, &str)]) {
        self.registry.counter(&self.name, labels).increment(by);
    }
}

impl fmt::Debug for CustomCounter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CustomCounter").field("name", &self.name).finish_non_exhaustive()
    }
}
