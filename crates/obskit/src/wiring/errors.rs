//! The error tracker and the panic hook.

use std::sync::Arc;

use obs_errors::{ErrorConfig, ErrorTracker};
use obs_model::{Clock, Resource};

use crate::config::Settings;
use crate::error::StartError;

/// Makes the tracker, makes it the process's own, and lets it see panics; nothing when it is switched off.
pub(crate) fn start(
    settings: &Settings,
    resource: &Resource,
    clock: &Arc<dyn Clock>,
) -> Result<Option<ErrorTracker>, StartError> {
    if !settings.errors.enabled {
        return Ok(None);
    }
    let config = ErrorConfig {
        environment: resource.environment().map(Arc::from),
        redactor: settings.log.redaction.redactor(),
        version: resource.service_version().map(Arc::from),
        ..ErrorConfig::default()
    };
    let tracker = ErrorTracker::new(config, Arc::clone(clock));
    obs_errors::set_global(tracker.clone()).map_err(|_| {
        StartError::already_set("an error tracker is installed in this process already")
    })?;
    tracker.install_panic_hook();
    Ok(Some(tracker))
}
