//! The samples of `obskit serve` over a restart.

use std::path::Path;
use std::sync::Arc;

use obs_query::SeriesStore;
use obs_query::persist::{self, PersistConfig, Persistence};
use obs_store::{Store, StoreOptions};
use tokio::task::JoinHandle;

use crate::Failure;

/// The file's name in the folder of `--state`.
const FILE: &str = "samples.redb";

/// A state file that is kept up to date with the store.
pub(super) struct Kept {
    file: Store,
    persistence: Arc<Persistence>,
    saving: JoinHandle<()>,
}

impl Kept {
    /// Loads what is in the folder into the store, says what was found, and keeps it up to date from now on.
    pub(super) fn open(
        folder: &Path,
        max_mebibytes: u64,
        store: &Arc<SeriesStore>,
    ) -> Result<Self, Failure> {
        obs_store::describe();
        persist::describe();
        let max_bytes = max_mebibytes.saturating_mul(1 << 20);
        // The samples take half at most: what is rewritten needs room beside what it replaces.
        let config = PersistConfig { max_bytes: max_bytes / 2, ..PersistConfig::default() };
        let options = StoreOptions { max_bytes, ..StoreOptions::default() };
        let path = folder.join(FILE);
        let unable = |error: &dyn std::fmt::Display| Failure::unable(error.to_string());
        let (file, opening) = Store::open(&path, options).map_err(|error| unable(&error))?;
        let (persistence, recovery) =
            Persistence::open(Arc::clone(store), &file, config).map_err(|error| unable(&error))?;
        eprintln!("{}: {opening}; {} samples were read", path.display(), recovery.samples);
        if recovery.skipped > 0 {
            eprintln!(
                "{}: {} records were skipped: unreadable, or no room",
                path.display(),
                recovery.skipped
            );
        }
        let persistence = Arc::new(persistence);
        let saving = tokio::spawn(persist::save_on_grid(Arc::clone(&persistence)));
        Ok(Self { file, persistence, saving })
    }

    pub(super) fn persistence(&self) -> &Arc<Persistence> {
        &self.persistence
    }

    /// Puts everything on the disk, so that the next start is quick.
    pub(super) fn close(self) -> Result<(), Failure> {
        self.saving.abort();
        let unable = |error: &dyn std::fmt::Display| Failure::unable(error.to_string());
        self.persistence.checkpoint().map_err(|error| unable(&error))?;
        self.file.close().map_err(|error| unable(&error))
    }
}
