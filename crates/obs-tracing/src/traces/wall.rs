//! The wall-clock time of spans, at the price of a look at the monotonic clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use obs_model::Clock;

/// How long the distance between the two clocks is taken to stay the same.
const CHECKED_EVERY: u64 = 1_000_000_000;

/// Up to which difference the pipeline's clock, which has milliseconds, is taken to be the system's, which has more.
const SAME_CLOCK: i64 = 5_000_000;

/// A clock that tells wall-clock times of monotonic ones.
pub(crate) struct WallClock {
    clock: Arc<dyn Clock>,
    /// The wall-clock time at which the monotonic clock started, in nanoseconds after the epoch.
    origin: AtomicI64,
    /// When that was last looked up, in nanoseconds by the monotonic clock.
    checked: AtomicU64,
}

impl WallClock {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let wall = Self { clock, origin: AtomicI64::new(0), checked: AtomicU64::new(0) };
        wall.check(wall.clock.monotonic());
        wall
    }

    /// The monotonic time.
    #[cfg(any(test, feature = "otlp"))]
    pub(crate) fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    /// The wall-clock time of a recent monotonic one, in nanoseconds after the epoch.
    pub(crate) fn nanoseconds(&self, at: Duration) -> u64 {
        let at = at.as_nanos() as u64;
        if at.saturating_sub(self.checked.load(Ordering::Relaxed)) > CHECKED_EVERY {
            self.check(Duration::from_nanos(at));
        }
        // OK because both are far below the range: three centuries.
        u64::try_from(self.origin.load(Ordering::Relaxed) + at as i64).unwrap_or(0)
    }

    fn check(&self, about: Duration) {
        let coarse = self.clock.now().as_millis().saturating_mul(1_000_000);
        let system = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let system = system.as_nanos() as i64;
        let wall = if (system - coarse).abs() < SAME_CLOCK { system } else { coarse };
        self.origin.store(wall - self.clock.monotonic().as_nanos() as i64, Ordering::Relaxed);
        self.checked.store(about.as_nanos() as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use obs_model::{ManualClock, SystemClock, Timestamp};

    #[test]
    fn times_are_those_of_the_pipelines_clock_and_follow_it_when_it_is_set() {
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(5_000)));
        let wall = WallClock::new(Arc::clone(&clock) as Arc<dyn Clock>);
        clock.advance(Duration::from_millis(250));
        let at = wall.monotonic();
        assert_eq!(wall.nanoseconds(at), 5_250_000_000);
        clock.advance(Duration::from_secs(2));
        clock.set(Timestamp::from_millis(100_000));
        assert_eq!(wall.nanoseconds(wall.monotonic()), 100_000_000_000);
    }

    #[test]
    fn with_the_systems_clock_they_have_its_resolution() {
        let wall = WallClock::new(Arc::new(SystemClock::new()));
        let system = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
        let told = wall.nanoseconds(wall.monotonic());
        assert!(told.abs_diff(system) < 1_000_000, "{told} at {system}");
    }
}
