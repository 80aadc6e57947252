//! Timers of a logger.

use std::sync::Arc;
use std::time::{Duration, Instant};

use obs_model::Level;

use super::{LogDetails, Logger};
use crate::duration::milliseconds;

/// An operation that is being measured; made by [`Logger::start_timer`]. Dropped without an end, it says nothing.
#[derive(Debug)]
#[must_use = "a timer that is dropped says nothing"]
pub struct Timer {
    logger: Logger,
    name: Arc<str>,
    started: Instant,
}

impl Timer {
    pub(super) fn start(logger: Logger, name: Arc<str>) -> Self {
        Self { logger, name, started: Instant::now() }
    }

    /// How long it has been running.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Ends the operation: writes a line at INFO with `operation` and `duration_ms`, and returns how long it took.
    pub fn end(self) -> Duration {
        self.end_with(Level::Info, LogDetails::new())
    }

    /// As [`Timer::end`], at another level and with more to say, such as an error.
    ///
    /// ```
    /// use obs_model::Level;
    /// use obs_tracing::{LogDetails, create_logger};
    ///
    /// let timer = create_logger("billing").start_timer("send_invoices");
    /// timer.end_with(Level::Debug, LogDetails::new().with("sent", 12_u64));
    /// ```
    pub fn end_with(self, level: Level, details: LogDetails<'_>) -> Duration {
        let took = self.started.elapsed();
        let duration_ms = milliseconds(took);
        let details = details.operation(&self.name).with("duration_ms", duration_ms);
        self.logger.log(level, "operation timed", details);
        took
    }
}
