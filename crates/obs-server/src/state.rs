//! The handles that the listener reads from: what is not handed over is shown as switched off.

use std::sync::Arc;
use std::time::Duration;

use obs_metrics::Registry;
use obs_model::{Clock, Resource, Timestamp};
use obs_query::SeriesStore;

/// What the admin listener shows: handles to the parts of obskit that run in this process.
///
/// The listener keeps nothing of its own; every answer is made from these handles when it is asked for.
#[derive(Clone)]
pub struct AdminState {
    resource: Resource,
    clock: Arc<dyn Clock>,
    started_at: Timestamp,
    started: Duration,
    registry: Option<Registry>,
    store: Option<Arc<SeriesStore>>,
    #[cfg(feature = "persist")]
    persistence: Option<Arc<obs_query::persist::Persistence>>,
    #[cfg(feature = "errors")]
    errors: Option<obs_errors::ErrorTracker>,
    #[cfg(feature = "alerts")]
    alerts: Option<Arc<obs_alerts::AlertEngine>>,
    #[cfg(feature = "alerts")]
    rule_groups: Option<Arc<obs_alerts::RuleGroups>>,
    #[cfg(feature = "health")]
    health: Option<obs_health::HealthRegistry>,
    #[cfg(feature = "profiling")]
    profiler: Option<obs_profiling::CpuProfiler>,
    #[cfg(feature = "tracing")]
    tracing: Option<obs_tracing::TracingHandle>,
}

macro_rules! handles {
    ($($(#[$cfg:meta])? $field:ident, $with:ident, $type:ty, $doc:literal;)*) => {
        impl AdminState {
            $(
                $(#[$cfg])?
                #[doc = $doc]
                #[must_use]
                pub fn $with(mut self, handle: $type) -> Self {
                    self.$field = Some(handle);
                    self
                }

                $(#[$cfg])?
                pub(crate) fn $field(&self) -> Option<&$type> {
                    self.$field.as_ref()
                }
            )*
        }
    };
}

handles! {
    registry, with_registry, Registry, "Shows this registry at `/metrics`.";
    store, with_store, Arc<SeriesStore>, "Shows this store's series over HTTP and in the console's charts.";
    #[cfg(feature = "persist")]
    persistence, with_persistence, Arc<obs_query::persist::Persistence>, "Acknowledges remote writes once their samples are on the disk.";
    #[cfg(feature = "errors")]
    errors, with_errors, obs_errors::ErrorTracker, "Shows this tracker's error groups.";
    #[cfg(feature = "alerts")]
    alerts, with_alerts, Arc<obs_alerts::AlertEngine>, "Shows this engine's alerts and rules, and sends its test alerts.";
    #[cfg(feature = "alerts")]
    rule_groups, with_rule_groups, Arc<obs_alerts::RuleGroups>, "Shows these groups of rule files, and their alerts.";
    #[cfg(feature = "health")]
    health, with_health, obs_health::HealthRegistry, "Shows what these checks find at the health paths.";
    #[cfg(feature = "profiling")]
    profiler, with_profiler, obs_profiling::CpuProfiler, "Lets CPU profiles be taken with this profiler.";
    #[cfg(feature = "tracing")]
    tracing, with_tracing, obs_tracing::TracingHandle, "Shows the operations in flight, the log lines and the spans of this pipeline, and lets its levels be changed.";
}

impl AdminState {
    /// A state that shows the service's name and how long it has run since now; every handle is still absent.
    #[must_use]
    pub fn new(resource: Resource, clock: Arc<dyn Clock>) -> Self {
        Self {
            resource,
            started_at: clock.now(),
            started: clock.monotonic(),
            clock,
            registry: None,
            store: None,
            #[cfg(feature = "persist")]
            persistence: None,
            #[cfg(feature = "errors")]
            errors: None,
            #[cfg(feature = "alerts")]
            alerts: None,
            #[cfg(feature = "alerts")]
            rule_groups: None,
            #[cfg(feature = "health")]
            health: None,
            #[cfg(feature = "profiling")]
            profiler: None,
            #[cfg(feature = "tracing")]
            tracing: None,
        }
    }

    pub(crate) fn resource(&self) -> &Resource {
        &self.resource
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    pub(crate) fn started_at(&self) -> Timestamp {
        self.started_at
    }

    pub(crate) fn uptime(&self) -> Duration {
        self.clock.monotonic().saturating_sub(self.started)
    }
}
