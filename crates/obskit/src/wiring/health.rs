//! Health checks and the service's own figures.

use std::sync::Arc;

use obs_health::{Check, HealthConfig, HealthRegistry};
use obs_model::Clock;
#[cfg(feature = "metrics")]
use obs_query::SeriesStore;

use super::Tasks;
use crate::config::Settings;
use crate::error::StartError;

/// Makes the registry of checks, whose figures come from the series store, and runs them regularly, so that what they
/// find is a series whether anybody asks for a report or not.
pub(crate) fn start(
    settings: &Settings,
    clock: &Arc<dyn Clock>,
    checks: Vec<Check>,
    tasks: &mut Tasks,
    #[cfg(feature = "metrics")] store: &Arc<SeriesStore>,
) -> Result<HealthRegistry, StartError> {
    let config = HealthConfig {
        version: settings.service.version.as_deref().map(Arc::from),
        ..HealthConfig::default()
    };
    let health = HealthRegistry::new(config, Arc::clone(clock));
    for check in checks {
        health.add(check).map_err(|error| StartError::part("a health check", error))?;
    }
    #[cfg(feature = "metrics")]
    {
        let (store, clock, started) = (Arc::clone(store), Arc::clone(clock), clock.monotonic());
        health.set_figures(move || {
            super::figures::read(&store, clock.now(), clock.monotonic().saturating_sub(started))
        });
    }
    let (regular, interval) = (health.clone(), settings.health.interval);
    tasks.spawn(async move {
        loop {
            // OK to let the report go: its findings are in the gauges.
            drop(regular.report().await);
            tokio::time::sleep(interval).await;
        }
    });
    Ok(health)
}
