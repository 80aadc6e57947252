//! Now and then locks the database for a moment, as a backup or another program might.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use crate::database::ExclusiveLock;

const FIRST: Duration = Duration::from_secs(5);
const EVERY: Duration = Duration::from_secs(15);
const HELD: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(3);

/// Locks the database until `end`, for the first time after 5 s and then every 15 s for 300 ms, and says how often.
pub(super) async fn now_and_then(path: PathBuf, start: Instant, end: Instant) -> u64 {
    let mut taken = 0;
    let mut at = start + FIRST;
    while at + HELD < end {
        sleep_until(at).await;
        at += EVERY;
        let path = path.clone();
        let lock = tokio::task::spawn_blocking(move || ExclusiveLock::take(&path, PATIENCE)).await;
        match lock {
            Ok(Ok(lock)) => {
                sleep(HELD).await;
                taken += 1;
                if let Err(error) = lock.release() {
                    tracing::warn!(%error, "the load's lock could not be released in order");
                }
            }
            Ok(Err(error)) => tracing::warn!(%error, "the load could not lock the database"),
            Err(error) => tracing::warn!(%error, "the load's lock was stopped"),
        }
    }
    taken
}
