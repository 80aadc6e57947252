//! Where the time comes from, so that everything that depends on it can be tested without waiting.

mod machine;

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use crate::Timestamp;

/// A source of time.
pub trait Clock: Send + Sync {
    /// The wall-clock time, which may jump when the machine's clock is set.
    fn now(&self) -> Timestamp;

    /// Time since an arbitrary start, which never goes back: for measuring durations.
    fn monotonic(&self) -> Duration;

    /// The wall-clock time at a monotonic time that is not long ago, in nanoseconds since 1970-01-01T00:00:00Z and as finely
    /// as the clock has it; 0 for times before that.
    ///
    /// It costs less than [`Clock::now`] where the monotonic time is known, and may follow a machine's clock that is set
    /// one second late.
    fn unix_nanoseconds(&self, monotonic: Duration) -> u64 {
        let since = self.monotonic().saturating_sub(monotonic);
        let millis = u64::try_from(self.now().as_millis()).unwrap_or(0);
        millis.saturating_mul(NANOSECONDS).saturating_sub(nanoseconds(since))
    }
}

/// The nanoseconds of a millisecond.
const NANOSECONDS: u64 = 1_000_000;

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock {
    _private: (),
}

impl SystemClock {
    /// The machine's clock.
    #[must_use]
    pub const fn new() -> Self {
        Self { _private: () }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        // OK because a time before 1970 has wrapped round, and three centuries fit.
        let nanoseconds = machine::wall().cast_signed();
        Timestamp::from_millis(nanoseconds.div_euclid(NANOSECONDS.cast_signed()))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_nanos(machine::monotonic())
    }

    fn unix_nanoseconds(&self, monotonic: Duration) -> u64 {
        // OK because these times end in five centuries.
        machine::wall_at(monotonic.as_nanos() as u64)
    }
}

/// A clock that moves only when it is told to.
///
/// ```
/// use obs_model::{Clock, ManualClock, Timestamp};
/// use std::time::Duration;
///
/// let clock = ManualClock::at(Timestamp::from_millis(1_000));
/// clock.advance(Duration::from_secs(2));
/// assert_eq!(clock.now(), Timestamp::from_millis(3_000));
/// assert_eq!(clock.monotonic(), Duration::from_secs(2));
/// ```
#[derive(Debug, Default)]
pub struct ManualClock {
    now_ms: AtomicI64,
    elapsed_ms: AtomicU64,
}

impl ManualClock {
    /// A clock that stands at `now`.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self { now_ms: AtomicI64::new(now.as_millis()), elapsed_ms: AtomicU64::new(0) }
    }

    /// Moves both times on, to the millisecond.
    pub fn advance(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.elapsed_ms.fetch_add(millis, Ordering::SeqCst);
        self.now_ms.fetch_add(i64::try_from(millis).unwrap_or(i64::MAX), Ordering::SeqCst);
    }

    /// Sets the wall-clock time, as when a machine's clock is corrected; monotonic time does not move.
    pub fn set(&self, now: Timestamp) {
        self.now_ms.store(now.as_millis(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now_ms.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.elapsed_ms.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setting_the_wall_clock_back_leaves_monotonic_time_alone() {
        let clock = ManualClock::default();
        clock.advance(Duration::from_secs(10));
        clock.set(Timestamp::EPOCH);
        assert_eq!(clock.now(), Timestamp::EPOCH);
        assert_eq!(clock.monotonic(), Duration::from_secs(10));
    }

    #[test]
    fn the_wall_clock_time_of_a_moment_follows_the_clock_when_it_is_set() {
        let clock = ManualClock::at(Timestamp::from_millis(5_000));
        clock.advance(Duration::from_millis(250));
        let at = clock.monotonic();
        assert_eq!(clock.unix_nanoseconds(at), 5_250_000_000);
        clock.advance(Duration::from_secs(2));
        assert_eq!(clock.unix_nanoseconds(at), 5_250_000_000);
        clock.set(Timestamp::from_millis(100_000));
        assert_eq!(clock.unix_nanoseconds(at), 98_000_000_000);
        clock.set(Timestamp::from_millis(-1));
        assert_eq!(clock.unix_nanoseconds(at), 0);
    }

    #[test]
    fn the_system_clock_reads_a_time_after_this_was_written() {
        let clock = SystemClock::new();
        assert!(clock.now() > Timestamp::from_millis(1_700_000_000_000));
        let first = clock.monotonic();
        assert!(clock.monotonic() >= first);
    }
}
