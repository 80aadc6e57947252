//! The state file: the series store over a restart, and what could not be delivered.

use std::sync::Arc;
use std::time::Duration;

#[cfg(any(feature = "elasticsearch", feature = "loki", feature = "otlp", feature = "push"))]
use obs_delivery::StoreSpool;
use obs_query::SeriesStore;
use obs_query::persist::{self, PersistConfig, Persistence, Recovery};
use obs_store::{Opening, Store, StoreOptions};

use super::Tasks;
use crate::config::StateSettings;
use crate::error::StartError;

/// The file's name in the folder.
const FILE: &str = "obskit.redb";

/// The file, kept up to date with the store.
#[derive(Debug)]
pub(crate) struct StatePart {
    file: Store,
    persistence: Arc<Persistence>,
    opening: Opening,
    recovery: Recovery,
}

/// Loads what is in the folder into the store, and keeps it up to date from now on; nothing without a folder.
pub(crate) async fn open(
    settings: &StateSettings,
    store: &Arc<SeriesStore>,
    tasks: &mut Tasks,
) -> Result<Option<StatePart>, StartError> {
    let Some(folder) = &settings.dir else { return Ok(None) };
    obs_store::describe();
    persist::describe();
    let path = folder.join(FILE);
    let max_bytes = settings.max_bytes;
    let series = Arc::clone(store);
    let read = move || -> Result<StatePart, StartError> {
        let options = StoreOptions { max_bytes, ..StoreOptions::default() };
        let (file, opening) = Store::open(&path, options).map_err(failed)?;
        let config = PersistConfig { max_bytes: max_bytes / 2, ..PersistConfig::default() };
        let (persistence, recovery) = Persistence::open(series, &file, config).map_err(failed)?;
        Ok(StatePart { file, persistence: Arc::new(persistence), opening, recovery })
    };
    let part = tokio::task::spawn_blocking(read).await.map_err(failed)??;
    tasks.spawn(persist::save_on_grid(Arc::clone(&part.persistence)));
    Ok(Some(part))
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StartError {
    StartError::part("the state file", error)
}

impl StatePart {
    /// The spool of a destination.
    #[cfg(any(feature = "elasticsearch", feature = "loki", feature = "otlp", feature = "push"))]
    pub(crate) fn spool(&self, name: &str, max_bytes: u64) -> Result<StoreSpool, StartError> {
        StoreSpool::open(&self.file, &format!("delivery/{name}"), max_bytes).map_err(failed)
    }

    /// Says what was found, as a warning where something is lost.
    pub(crate) fn announce(&self) {
        let Self { opening, recovery, .. } = self;
        let (series, samples, skipped) = (recovery.series, recovery.samples, recovery.skipped);
        if opening.is_loss() || skipped > 0 {
            tracing::warn!(target: "obskit", series, samples, skipped, "the state file: {opening}");
        } else {
            tracing::info!(target: "obskit", series, samples, "the state file: {opening}");
        }
    }

    /// Puts everything on the disk; a sentence when that does not succeed in time.
    pub(crate) async fn close(self, deadline: Duration) -> Option<String> {
        let Self { file, persistence, .. } = self;
        let work = move || -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
            persistence.checkpoint()?;
            file.close()?;
            Ok(())
        };
        let outcome = tokio::time::timeout(deadline, tokio::task::spawn_blocking(work)).await;
        match outcome {
            Ok(Ok(Ok(()))) => None,
            Ok(Ok(Err(error))) => Some(format!("the newest samples for the state file: {error}")),
            Ok(Err(error)) => Some(format!("the newest samples for the state file: {error}")),
            Err(_) => Some("the newest samples for the state file, which took too long".to_owned()),
        }
    }
}
