//! The evaluation loop: on an exact interval, off the runtime's own threads.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::AlertEngine;
use crate::Error;

impl AlertEngine {
    /// Evaluates now and then every [`check_interval`](crate::AlertConfig::check_interval), for ever; the
    /// caller spawns it, and aborts it to stop.
    ///
    /// The times do not drift: an evaluation that takes longer than the interval makes the loop leave
    /// out the times that it missed. Rules are evaluated on the runtime's blocking threads, so a closure
    /// may block. Aborting lets an evaluation that is under way finish.
    pub async fn run_on_interval(self: Arc<Self>) {
        let interval = self.config().check_interval;
        run(interval, || Some(Arc::clone(&self))).await;
    }

    /// Spawns the evaluation loop on the current tokio runtime, unless it is running already.
    ///
    /// The loop ends at [`AlertEngine::stop`], or at its next time after the engine was dropped.
    ///
    /// # Errors
    ///
    /// There is no tokio runtime here.
    pub fn start(self: &Arc<Self>) -> Result<(), Error> {
        let runtime = tokio::runtime::Handle::try_current().map_err(Error::no_runtime)?;
        let mut running = self.running.lock();
        if running.as_ref().is_some_and(|handle| !handle.is_finished()) {
            return Ok(());
        }
        let engine: Weak<Self> = Arc::downgrade(self);
        let interval = self.config().check_interval;
        let task = runtime.spawn(async move { run(interval, || engine.upgrade()).await });
        *running = Some(task.abort_handle());
        Ok(())
    }

    /// Stops the loop that [`AlertEngine::start`] spawned, if there is one. Alerts stay as they are, and
    /// the loop can be started again.
    pub fn stop(&self) {
        if let Some(handle) = self.running.lock().take() {
            handle.abort();
        }
    }

    /// Whether the loop that [`AlertEngine::start`] spawned is running.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.running.lock().as_ref().is_some_and(|handle| !handle.is_finished())
    }
}

/// Evaluates at every tick until there is no engine or no runtime any more.
async fn run(interval: Duration, engine: impl Fn() -> Option<Arc<AlertEngine>>) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let Some(engine) = engine() else { return };
        let evaluation = tokio::task::spawn_blocking(move || {
            engine.evaluate(engine.clock.now());
        });
        if let Err(error) = evaluation.await {
            if error.is_cancelled() {
                // The runtime is shutting down.
                return;
            }
            tracing::warn!(target: "obskit::alerts", %error, "an evaluation of the alert rules panicked");
        }
    }
}
