//! The machine's own times, in nanoseconds.

use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(not(unix))]
pub(super) use portable::{monotonic, wall};
#[cfg(unix)]
pub(super) use system::{monotonic, wall};

/// For how long the distance between the two times is taken to stay the same: it changes when somebody sets the clock.
const CHECKED_EVERY: u64 = 1_000_000_000;

/// How close together the times must be read that the distance is taken from; else it is tried again, a few times.
const CLOSE: u64 = 1_000;
const TRIES: usize = 8;

/// The distance between the two times, and by which monotonic time it was last looked up.
struct Distance {
    nanoseconds: AtomicU64,
    checked: AtomicU64,
}

static DISTANCE: Distance = Distance { nanoseconds: AtomicU64::new(0), checked: AtomicU64::new(0) };

/// The wall-clock time at a monotonic one that is not long ago, at the price of two loads.
#[inline]
pub(super) fn wall_at(monotonic: u64) -> u64 {
    // The distance is read after the time that it was stored before.
    let checked = DISTANCE.checked.load(Ordering::Acquire);
    if checked == 0 || monotonic.saturating_sub(checked) > CHECKED_EVERY {
        DISTANCE.look_up();
    }
    // OK because a distance below zero wraps round, and so does the sum.
    monotonic.wrapping_add(DISTANCE.nanoseconds.load(Ordering::Relaxed))
}

impl Distance {
    #[cold]
    fn look_up(&self) {
        let (mut closest, mut distance) = (u64::MAX, 0);
        for _ in 0..TRIES {
            // A thread that is put to sleep between two of these would take its sleep for distance.
            let (before, wall, after) = (monotonic(), wall(), monotonic());
            let apart = after - before;
            if apart < closest {
                (closest, distance) = (apart, wall.wrapping_sub(before + apart / 2));
            }
            if apart <= CLOSE {
                break;
            }
        }
        // Once, because others read it meanwhile.
        self.nanoseconds.store(distance, Ordering::Relaxed);
        self.checked.store(monotonic().max(1), Ordering::Release);
    }
}

#[cfg(unix)]
mod system {
    //! What the standard library makes of these times costs as much again as to read them, and a request reads some.

    use rustix::time::{ClockId, Timespec, clock_gettime};

    /// Since the machine's start.
    #[inline]
    pub(crate) fn monotonic() -> u64 {
        nanoseconds(&clock_gettime(ClockId::Monotonic))
    }

    /// Since 1970-01-01T00:00:00Z.
    #[inline]
    pub(crate) fn wall() -> u64 {
        nanoseconds(&clock_gettime(ClockId::Realtime))
    }

    #[inline]
    fn nanoseconds(time: &Timespec) -> u64 {
        // OK because a machine whose clock stands before 1970 has it at a wrong time anyway, and years after 2554 are out of
        // reach.
        (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
    }
}

#[cfg(not(unix))]
mod portable {
    use std::sync::LazyLock;
    use std::time::{Instant, SystemTime, UNIX_EPOCH};

    /// Since it was first asked for.
    pub(crate) fn monotonic() -> u64 {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        START.elapsed().as_nanos() as u64
    }

    /// Since 1970-01-01T00:00:00Z.
    pub(crate) fn wall() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_clock_time_of_a_moment_is_what_the_clock_said_then() {
        for _ in 0..1_000 {
            let (before, at, after) = (wall(), monotonic(), wall());
            let told = wall_at(at);
            let slack = 1_000_000;
            assert!((before - slack..=after + slack).contains(&told), "{before} {told} {after}");
        }
    }

    #[test]
    fn a_distance_that_is_looked_up_late_is_that_of_now() {
        let distance = Distance { nanoseconds: AtomicU64::new(7), checked: AtomicU64::new(1) };
        distance.look_up();
        let expected = wall().wrapping_sub(monotonic());
        let found = distance.nanoseconds.load(Ordering::Relaxed);
        assert!(found.abs_diff(expected) < 1_000_000, "{found} {expected}");
        assert!(distance.checked.load(Ordering::Relaxed) > 1);
    }
}
