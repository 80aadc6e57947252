//! How queries are evaluated, by rules and for others.

use obs_query::promql::EngineOptions;

use crate::config::Settings;

/// The engine's options as the settings have them.
pub(crate) fn engine_options(settings: &Settings) -> EngineOptions {
    EngineOptions {
        max_samples: settings.query.max_samples,
        timeout: settings.query.timeout,
        ..EngineOptions::default()
    }
}
