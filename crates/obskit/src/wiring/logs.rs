//! The tracing subscriber.

use std::sync::Arc;

use obs_model::{Clock, Resource};
use obs_tracing::{LogConfig, LogOutput, TracingHandle};

use crate::config::{self, Settings};
use crate::error::StartError;

/// Installs the subscriber; lines at ERROR go to the tracker too.
pub(crate) fn start(
    settings: &Settings,
    resource: &Resource,
    clock: &Arc<dyn Clock>,
    output: LogOutput,
    #[cfg(feature = "errors")] errors: Option<&obs_errors::ErrorTracker>,
) -> Result<TracingHandle, StartError> {
    let mut log = LogConfig::new(resource.clone());
    log.filter.clone_from(&settings.log.level);
    log.format = match settings.log.format {
        config::LogFormat::Json => obs_tracing::LogFormat::Json,
        config::LogFormat::Text => obs_tracing::LogFormat::Text,
    };
    log.output = output;
    log.clock = Arc::clone(clock);
    #[cfg(feature = "errors")]
    if let Some(tracker) = errors {
        log.error_sink = Some(Arc::new(tracker.clone()));
    }
    #[cfg(feature = "otlp")]
    {
        log.otlp = otlp(settings);
    }
    obs_tracing::install(log).map_err(|error| StartError::part("logging", error))
}

/// Where spans go, when an endpoint is set.
#[cfg(feature = "otlp")]
fn otlp(settings: &Settings) -> Option<obs_tracing::OtlpConfig> {
    let otlp = &settings.otlp;
    let mut config = match (&otlp.traces_endpoint, &otlp.endpoint) {
        (Some(full), _) => obs_tracing::OtlpConfig::traces(full.as_str()),
        (None, Some(base)) => obs_tracing::OtlpConfig::new(base),
        (None, None) => return None,
    };
    config.timeout = otlp.timeout;
    for (name, value) in &otlp.headers {
        config = config.with_header(name.as_str(), value.as_str());
    }
    if let Some(key) = &otlp.api_key {
        config = config.with_header("authorization", format!("Bearer {key}"));
    }
    Some(config)
}
