//! A point in time, to the millisecond.

mod read;

use std::fmt;
use std::time::Duration;

pub use read::InvalidTimestamp;

use crate::CivilDate;

const DAY_MS: i64 = 86_400_000;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z, as in the Prometheus data model.
///
/// Arithmetic saturates, so a hostile duration cannot wrap a time round.
///
/// ```
/// use obs_model::Timestamp;
/// use std::time::Duration;
///
/// let at = Timestamp::from_millis(1_700_000_000_123);
/// assert_eq!(at.to_string(), "2023-11-14T22:13:20.123Z");
/// assert_eq!(at.align_down(Duration::from_secs(5)), Timestamp::from_millis(1_700_000_000_000));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The epoch, 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);

    /// A time from milliseconds since the epoch.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Seconds since the epoch, with the milliseconds as the fraction.
    #[must_use]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1_000.0
    }

    /// How long ago `earlier` was, zero if it was not.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        let millis = self.0.saturating_sub(earlier.0);
        Duration::from_millis(u64::try_from(millis).unwrap_or(0))
    }

    /// This time and `duration`, to the millisecond.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis_of(duration)))
    }

    /// This time less `duration`, to the millisecond.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis_of(duration)))
    }

    /// The latest multiple of `interval` since the epoch that is not after this time.
    ///
    /// An interval under one millisecond leaves the time as it is.
    #[must_use]
    pub fn align_down(self, interval: Duration) -> Self {
        let interval = millis_of(interval).max(1);
        Self(self.0.saturating_sub(self.0.rem_euclid(interval)))
    }
}

fn millis_of(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Written in UTC as RFC 3339 with milliseconds: `2023-11-14T22:13:20.123Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CivilDate { year, month, day } = self.civil_date();
        let within = self.0.rem_euclid(DAY_MS);
        let (hours, minutes) = (within / 3_600_000, within / 60_000 % 60);
        let (seconds, millis) = (within / 1_000 % 60, within % 1_000);
        write!(f, "{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{millis:03}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc_with_milliseconds() {
        for (millis, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_799_999, "2000-02-29T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (1_795_322_139_007, "2026-11-22T04:35:39.007Z"),
        ] {
            assert_eq!(Timestamp::from_millis(millis).to_string(), expected);
        }
        // OK because only that it does not panic matters: such a time comes from a mistaken caller.
        let _ = Timestamp::from_millis(i64::MIN).to_string()
            + &Timestamp::from_millis(i64::MAX).to_string();
    }

    #[test]
    fn arithmetic_saturates() {
        let late = Timestamp::from_millis(i64::MAX);
        assert_eq!(late.plus(Duration::MAX), late);
        assert_eq!(Timestamp::EPOCH.since(late), Duration::ZERO);
        assert_eq!(Timestamp::from_millis(7).minus(Duration::from_millis(9)).as_millis(), -2);
    }

    #[test]
    fn the_grid_is_the_same_before_and_after_the_epoch() {
        let step = Duration::from_secs(5);
        for (at, aligned) in [(0, 0), (4_999, 0), (5_000, 5_000), (-1, -5_000), (-5_000, -5_000)] {
            assert_eq!(Timestamp::from_millis(at).align_down(step).as_millis(), aligned);
        }
        assert_eq!(Timestamp::from_millis(7).align_down(Duration::ZERO).as_millis(), 7);
    }
}
