//! The admin listener.

use std::net::SocketAddr;
use std::sync::Arc;

use obs_metrics::expose::Created;
use obs_model::{Clock, Resource};
use obs_server::{AdminState, Bound, PrometheusConfig, Secret, ServerConfig};

use crate::config::Settings;
use crate::error::StartError;
use crate::running::Obskit;

/// Opens the port; nothing when the listener is switched off.
pub(crate) async fn bind(settings: &Settings) -> Result<Option<Bound>, StartError> {
    if !settings.admin.enabled {
        return Ok(None);
    }
    let config = ServerConfig {
        listen: SocketAddr::new(settings.admin.address, settings.admin.port),
        token: settings.admin.token.as_deref().map(Secret::new),
        metrics_enabled: settings.metrics.enabled,
        created: match settings.metrics.created_lines {
            true => Created::Shown,
            false => Created::Hidden,
        },
        shutdown_grace: settings.shutdown_deadline,
        prometheus: PrometheusConfig {
            engine: super::query::engine_options(settings),
            max_concurrent_queries: settings.query.max_concurrent,
            ..PrometheusConfig::default()
        },
        ..ServerConfig::default()
    };
    obs_server::bind(config)
        .await
        .map(Some)
        .map_err(|error| StartError::part("the admin listener", error))
}

/// Serves what this process has.
pub(crate) fn serve(
    listener: Bound,
    obskit: &mut Obskit,
    resource: Resource,
    clock: Arc<dyn Clock>,
) {
    obs_server::describe();
    let mut state = AdminState::new(resource, clock);
    if obskit.settings.metrics.enabled {
        state = state
            .with_registry(obskit.series.registry.clone())
            .with_store(Arc::clone(&obskit.series.store));
    }
    #[cfg(feature = "errors")]
    if let Some(errors) = &obskit.errors {
        state = state.with_errors(errors.clone());
    }
    #[cfg(feature = "tracing")]
    {
        state = state.with_tracing(obskit.logs.clone());
    }
    #[cfg(feature = "alerts")]
    if let Some(alerts) = &obskit.alerts {
        state = state.with_alerts(Arc::clone(&alerts.engine));
    }
    #[cfg(feature = "alerts")]
    if let Some(groups) = &obskit.rule_groups {
        state = state.with_rule_groups(Arc::clone(groups));
    }
    #[cfg(feature = "health")]
    {
        state = state.with_health(obskit.health.clone());
    }
    #[cfg(feature = "profiling")]
    if let Some(profiler) = obskit.profiler {
        state = state.with_profiler(profiler);
    }
    obskit.tasks.spawn_graceful(|until| async move {
        let report = listener.serve(state, until).await;
        if report.connections_cut > 0 {
            tracing::warn!(
                target: "obskit",
                connections = report.connections_cut,
                "the admin listener cut connections that had not finished"
            );
        }
    });
}
