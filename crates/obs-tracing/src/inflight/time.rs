//! The time that open spans are measured by, in nanoseconds since an arbitrary start.

use std::sync::Arc;
use std::time::Instant;

use obs_model::Clock;

use super::config::InFlightTime;
use crate::duration::nanoseconds;

/// A source of time that is read at every entering and leaving of a span.
pub(crate) enum Time {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    Ticks,
    Exact(Instant),
    Clock(Arc<dyn Clock>),
}

impl Time {
    pub(crate) fn new(time: &InFlightTime) -> Self {
        match time {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            InFlightTime::Ticks => Self::Ticks,
            #[cfg(not(any(target_os = "linux", target_os = "android")))]
            InFlightTime::Ticks => Self::Exact(Instant::now()),
            InFlightTime::Exact => Self::Exact(Instant::now()),
            InFlightTime::Clock(clock) => Self::Clock(Arc::clone(clock)),
        }
    }

    /// Whether the time goes by without anybody's help.
    pub(crate) const fn goes_by(&self) -> bool {
        !matches!(self, Self::Clock(_))
    }

    #[inline]
    pub(crate) fn now(&self) -> u64 {
        match self {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Self::Ticks => ticks::now(),
            Self::Exact(start) => nanoseconds(start.elapsed()),
            Self::Clock(clock) => nanoseconds(clock.monotonic()),
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod ticks {
    //! The time of the kernel's last tick.

    /// Read without entering the kernel.
    #[inline]
    pub(super) fn now() -> u64 {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: The pointer is to a local value of the type that the call fills in, and the call keeps no pointer.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &raw mut time) };
        // OK because the time since the machine's start is positive and fits for centuries.
        time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_at_the_pace_of_the_machine() {
        for source in [InFlightTime::Ticks, InFlightTime::Exact] {
            let (time, start) = (Time::new(&source), Instant::now());
            let before = time.now();
            let passed = || nanoseconds(start.elapsed());
            while passed() < 30_000_000 {
                std::thread::yield_now();
            }
            let (gone, at_most) = (time.now() - before, passed() + 10_000_000);
            assert!((20_000_000..at_most).contains(&gone), "{source:?}: {gone}");
        }
    }
}
