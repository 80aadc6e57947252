//! The running whole: handles to its parts, and its end.

#[cfg(feature = "server")]
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::config::Settings;
use crate::error::ShutdownError;
use crate::wiring::{self, Tasks};

/// obskit, running. It stops when this value goes; [`Obskit::shutdown`] stops it with a flush.
#[derive(Debug)]
#[must_use = "obskit stops when this value is dropped"]
pub struct Obskit {
    pub(crate) settings: Settings,
    pub(crate) tasks: Tasks,
    #[cfg(feature = "metrics")]
    pub(crate) series: wiring::series::SeriesPart,
    #[cfg(feature = "push")]
    pub(crate) push: wiring::push::PushPart,
    #[cfg(feature = "errors")]
    pub(crate) errors: Option<obs_errors::ErrorTracker>,
    #[cfg(feature = "tracing")]
    pub(crate) logs: obs_tracing::TracingHandle,
    #[cfg(feature = "health")]
    pub(crate) health: obs_health::HealthRegistry,
    #[cfg(feature = "profiling")]
    pub(crate) profiler: Option<obs_profiling::CpuProfiler>,
    #[cfg(feature = "alerts")]
    pub(crate) alerts: Option<wiring::alerts::AlertPart>,
    #[cfg(feature = "alerts")]
    pub(crate) rule_groups: Option<std::sync::Arc<obs_alerts::RuleGroups>>,
    #[cfg(feature = "server")]
    pub(crate) admin_address: Option<SocketAddr>,
}

impl Obskit {
    /// The settings as file, environment and code made them.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The registry, for typed catalogs and for reading. When metrics are switched off it is connected to nothing:
    /// what is recorded is not shown.
    #[cfg(feature = "metrics")]
    #[must_use]
    pub fn registry(&self) -> &obs_metrics::Registry {
        &self.series.registry
    }

    /// The recent past of every series.
    #[cfg(feature = "metrics")]
    #[must_use]
    pub fn store(&self) -> &std::sync::Arc<obs_query::SeriesStore> {
        &self.series.store
    }

    /// Records analyses, charts, queries, sessions and conversations, and sums them up for any window. With
    /// `metrics.business` off its metrics are not shown.
    #[cfg(feature = "metrics")]
    #[must_use]
    pub fn business(&self) -> &obs_metrics::business::BusinessRecorder {
        &self.series.business
    }

    /// The business catalog. With `metrics.business` off it records into a registry that nobody sees.
    #[cfg(feature = "metrics")]
    #[must_use]
    pub fn business_metrics(&self) -> obs_metrics::catalog::BusinessMetrics {
        let shown = self.settings.metrics.business;
        let hidden = obs_metrics::Registry::default();
        obs_metrics::catalog::BusinessMetrics::new(if shown { self.registry() } else { &hidden })
    }

    /// The error tracker, unless it is switched off.
    #[cfg(feature = "errors")]
    #[must_use]
    pub fn errors(&self) -> Option<&obs_errors::ErrorTracker> {
        self.errors.as_ref()
    }

    /// The logs' handle: it changes the level at run time.
    #[cfg(feature = "tracing")]
    #[must_use]
    pub fn logs(&self) -> &obs_tracing::TracingHandle {
        &self.logs
    }

    /// Logger, tracer and meter of the service, from one object; `Telemetry::of` makes those of a part of it.
    ///
    /// ```no_run
    /// use obskit::logs::LogDetails;
    ///
    /// # async fn example(obs: obskit::Obskit) {
    /// let telemetry = obs.telemetry();
    /// telemetry.logger().info("ready", LogDetails::new().with("workers", 4_u64));
    /// telemetry.meter().counter("restarts_total", &[]).increment(1);
    /// telemetry.tracer().start_span("warm up").finish();
    /// # }
    /// ```
    #[cfg(feature = "tracing")]
    #[must_use]
    pub fn telemetry(&self) -> obs_tracing::Telemetry {
        obs_tracing::Telemetry::of(self.settings.service.name.as_str())
    }

    /// Prepares to send telemetry at once to a destination of its own, in a form that carries every one of `signals`.
    #[cfg(all(feature = "push", feature = "otlp"))]
    pub fn export_to(
        &self,
        signals: impl IntoIterator<Item = crate::Signal>,
        format: crate::ExportFormat,
        destination: impl Into<String>,
    ) -> crate::TelemetryExport<'_> {
        crate::TelemetryExport::new(self, signals, format, destination)
    }

    /// Sends everything that waits to every destination of the settings now, with the metrics as they are now, and waits for
    /// `deadline` at most until it has arrived.
    ///
    /// # Errors
    ///
    /// Not everything arrived; the error says what did not.
    #[cfg(all(feature = "push", feature = "otlp"))]
    pub async fn export(&self, deadline: Duration) -> Result<(), crate::ExportError> {
        let end = Instant::now() + deadline;
        let remaining = || end.saturating_duration_since(Instant::now());
        let mut undelivered = self.push.flush(share(remaining())).await;
        if let Err(error) = self.logs.flush(remaining()).await {
            undelivered.push(error.to_string());
        }
        if undelivered.is_empty() {
            Ok(())
        } else {
            Err(crate::ExportError::undelivered(undelivered))
        }
    }

    /// The health checks, to which more can be added.
    #[cfg(feature = "health")]
    #[must_use]
    pub fn health(&self) -> &obs_health::HealthRegistry {
        &self.health
    }

    /// The profiler, unless it is switched off.
    #[cfg(feature = "profiling")]
    #[must_use]
    pub fn profiler(&self) -> Option<&obs_profiling::CpuProfiler> {
        self.profiler.as_ref()
    }

    /// The alert engine, unless it is switched off: rules come and go at run time.
    #[cfg(feature = "alerts")]
    #[must_use]
    pub fn alerts(&self) -> Option<&std::sync::Arc<obs_alerts::AlertEngine>> {
        self.alerts.as_ref().map(|part| &part.engine)
    }

    /// The groups of `alerts.rule_files`, if there are any and alerts are not switched off.
    #[cfg(feature = "alerts")]
    #[must_use]
    pub fn rule_groups(&self) -> Option<&std::sync::Arc<obs_alerts::RuleGroups>> {
        self.rule_groups.as_ref()
    }

    /// Where the admin listener is, unless it is switched off.
    #[cfg(feature = "server")]
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// Says that the service has started: `/api/health/startup` is then 200.
    #[cfg(feature = "health")]
    pub fn set_started(&self) {
        self.health.set_started();
    }

    /// Stops everything and flushes every sink, within `shutdown.deadline`.
    ///
    /// # Errors
    ///
    /// Something was not delivered in time; the error says what.
    pub async fn shutdown(mut self) -> Result<(), ShutdownError> {
        tracing::info!(target: "obskit", "obskit is shutting down");
        let end = Instant::now() + self.settings.shutdown_deadline;
        let remaining = || end.saturating_duration_since(Instant::now());
        let mut undelivered: Vec<String> = Vec::new();
        #[cfg(feature = "alerts")]
        if let Some(alerts) = &self.alerts {
            undelivered.extend(alerts.stop(share(remaining())).await);
        }
        if !self.tasks.stop(share(remaining())).await {
            tracing::warn!(target: "obskit", "the admin listener did not end in time");
        }
        // Metrics go after all that counts, and the logs after all that logs.
        #[cfg(feature = "push")]
        undelivered.extend(self.push.stop(share(remaining())).await);
        #[cfg(feature = "tracing")]
        if let Err(error) = self.logs.shutdown(share(remaining())).await {
            undelivered.push(error.to_string());
        }
        // The state file comes after all that is kept in it.
        #[cfg(feature = "state")]
        if let Some(state) = self.series.state.take() {
            undelivered.extend(state.close(remaining()).await);
        }
        ShutdownError::from_parts(undelivered)
    }
}

/// Two thirds of the time left, so that one part cannot use up all of it.
fn share(remaining: Duration) -> Duration {
    remaining * 2 / 3
}
