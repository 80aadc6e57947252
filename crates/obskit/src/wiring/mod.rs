//! One room for each pillar: how it is made from the settings and what it is handed.

#[cfg(feature = "server")]
pub(crate) mod admin;
#[cfg(feature = "alerts")]
pub(crate) mod alerts;
#[cfg(feature = "errors")]
pub(crate) mod errors;
#[cfg(all(feature = "push", feature = "otlp"))]
pub(crate) mod export;
#[cfg(all(feature = "health", feature = "metrics"))]
mod figures;
#[cfg(feature = "health")]
pub(crate) mod health;
#[cfg(all(feature = "alerts", feature = "otlp"))]
pub(crate) mod linked;
#[cfg(feature = "tracing")]
pub(crate) mod logs;
#[cfg(feature = "tracing")]
pub(crate) mod outputs;
#[cfg(feature = "push")]
pub(crate) mod push;
#[cfg(any(feature = "server", feature = "alerts"))]
pub(crate) mod query;
#[cfg(feature = "alerts")]
pub(crate) mod rules;
#[cfg(feature = "metrics")]
pub(crate) mod series;
#[cfg(any(feature = "elasticsearch", feature = "loki", feature = "otlp"))]
mod sinks;
#[cfg(feature = "state")]
pub(crate) mod state;
mod tasks;

pub(crate) use tasks::Tasks;

use obs_model::Resource;

use crate::config::Settings;
use crate::error::StartError;
use crate::running::Obskit;

/// What is observed, in OpenTelemetry's names.
pub(crate) fn resource(settings: &Settings) -> Resource {
    let service = &settings.service;
    let mut resource = Resource::new(service.name.as_str());
    if let Some(version) = &service.version {
        resource = resource.with_version(version.as_str());
    }
    if let Some(environment) = &service.environment {
        resource = resource.with_environment(environment.as_str());
    }
    if let Some(instance) = &service.instance {
        resource = resource.with_instance(instance.as_str());
    }
    for (name, value) in &service.attributes {
        resource = resource.with_attribute(name.as_str(), value.as_str());
    }
    resource
}

/// Refuses to start where it could not: without a runtime, or where the globals that it would set are taken.
pub(crate) fn check_process(settings: &Settings) -> Result<(), StartError> {
    if tokio::runtime::Handle::try_current().is_err() {
        return Err(StartError::no_runtime());
    }
    #[cfg(feature = "errors")]
    if settings.errors.enabled && obs_errors::global().is_some() {
        return Err(StartError::already_set(
            "an error tracker is installed in this process already",
        ));
    }
    #[cfg(feature = "tracing")]
    if tracing::dispatcher::has_been_set() {
        return Err(StartError::already_set(
            "a tracing subscriber is installed in this process already: leave that to obskit, or build it without \
             its feature `tracing`",
        ));
    }
    Ok(())
}

/// A profiler, with its metrics described.
#[cfg(feature = "profiling")]
pub(crate) fn profiler() -> obs_profiling::CpuProfiler {
    obs_profiling::describe();
    obs_profiling::CpuProfiler::new()
}

/// Says that it runs, where, and what is open.
pub(crate) fn announce(obskit: &mut Obskit) {
    #[cfg(feature = "state")]
    if let Some(state) = &obskit.series.state {
        state.announce();
    }
    #[cfg(feature = "server")]
    if let Some(address) = obskit.admin_address {
        tracing::info!(target: "obskit", %address, "obskit is running; the console is at http://{address}/");
        if obskit.settings.admin.token.is_none() {
            tracing::info!(
                target: "obskit",
                "no admin token is set: the admin listener serves this machine only; OBSKIT_ADMIN_TOKEN sets one"
            );
        }
        return;
    }
    tracing::info!(target: "obskit", service = obskit.settings.service.name, "obskit is running");
}
