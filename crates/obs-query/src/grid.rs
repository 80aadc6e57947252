//! Sampling at exact multiples of an interval, whatever the machine is doing.

use std::sync::Arc;
use std::time::Duration;

use obs_model::{Clock, Gather, Timestamp};
use parking_lot::Mutex;

use crate::store::{count_failed_tick, count_missed_ticks};
use crate::{Feed, SeriesStore};

/// Gathers from `source` into `store` at every multiple of the sample interval, for ever.
///
/// Samples have the grid's time, a multiple of the interval since the epoch, not the moment at which they were read,
/// which is a little later. The time to wait is computed anew from `clock` for each tick, so lateness never adds up.
/// A grid time that passed while the previous gathering was under way, or while the machine slept, is skipped and
/// counted in `obskit_store_missed_ticks_total`. A clock that is set back is followed; samples that are then older
/// than stored ones are refused and counted.
///
/// The gathering runs on tokio's blocking threads, so a large registry does not hold up other tasks. Spawn this
/// future and abort it to end; a gathering that is under way then still completes. A source that panics costs its
/// tick, counted in `obskit_store_failed_ticks_total`.
///
/// # Panics
///
/// Outside a tokio runtime that has its time driver on.
pub async fn sample_on_grid(
    store: Arc<SeriesStore>,
    source: Arc<dyn Gather>,
    clock: Arc<dyn Clock>,
) {
    let interval = store.config().sample_interval;
    let feed = Arc::new(Mutex::new(Feed::new()));
    let mut last = clock.now().align_down(interval);
    loop {
        let now = clock.now();
        let tick = now.align_down(interval);
        if tick <= last {
            // Smaller if the clock was set back: the grid goes on from there.
            last = tick;
            tokio::time::sleep(wait(now, tick, interval)).await;
            continue;
        }
        count_missed_ticks(ticks_between(last, tick, interval) - 1);
        last = tick;
        let (store, source, feed) = (Arc::clone(&store), Arc::clone(&source), Arc::clone(&feed));
        let gathering = tokio::task::spawn_blocking(move || {
            store.ingest_feed(&mut feed.lock(), tick, &*source);
        });
        if gathering.await.is_err() {
            count_failed_tick();
        }
    }
}

/// How long it is from `now` until the tick after `tick`; never zero, so that the wait always yields.
fn wait(now: Timestamp, tick: Timestamp, interval: Duration) -> Duration {
    tick.plus(interval).since(now).max(Duration::from_millis(1))
}

/// How many ticks `tick` is after `last`; at least one.
fn ticks_between(last: Timestamp, tick: Timestamp, interval: Duration) -> u64 {
    let ticks = tick.since(last).as_millis() / interval.as_millis().max(1);
    u64::try_from(ticks).unwrap_or(u64::MAX).max(1)
}
