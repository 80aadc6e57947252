//! A tracker on a manual clock.

use std::sync::Arc;

use obs_errors::{ErrorConfig, ErrorTracker};
use obs_model::{ManualClock, Timestamp};

/// A tracker with what the test changes of the default configuration, and its clock.
pub(crate) fn tracker(change: impl FnOnce(&mut ErrorConfig)) -> (ErrorTracker, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
    let mut config = ErrorConfig::default();
    change(&mut config);
    (ErrorTracker::new(config, clock.clone()), clock)
}
