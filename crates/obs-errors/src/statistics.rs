//! How many errors there were, in all and in the last hour.

use std::time::Duration;

use crate::ErrorGroup;

/// How many seconds the counter looks back.
const HOUR_SECONDS: usize = 3_600;

/// Error statistics at the time of asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statistics {
    /// Errors since the tracker was made, also of groups that were evicted since.
    pub total: u64,
    /// How many groups are kept.
    pub unique_fingerprints: usize,
    /// Errors in the last 3,600 seconds, exact to the second.
    pub last_hour: u64,
    /// The ten groups that occurred most often, the most frequent first; of equals the last seen first.
    pub top: Vec<ErrorGroup>,
    /// How many groups were evicted to make room since the tracker was made.
    pub evicted_groups: u64,
}

/// Counts per second over the last hour, on the monotonic clock, so that setting the wall clock loses nothing.
#[derive(Debug)]
pub(crate) struct HourCounter {
    counts: Box<[u32]>,
    /// The second that was counted last.
    head: u64,
    sum: u64,
}

impl HourCounter {
    pub(crate) fn new() -> Self {
        Self { counts: vec![0; HOUR_SECONDS].into(), head: 0, sum: 0 }
    }

    pub(crate) fn add(&mut self, now: Duration) {
        self.advance(now);
        let slot = &mut self.counts[(self.head % HOUR_SECONDS as u64) as usize];
        *slot = slot.saturating_add(1);
        self.sum += 1;
    }

    /// The errors of the last hour.
    pub(crate) fn sum(&mut self, now: Duration) -> u64 {
        self.advance(now);
        self.sum
    }

    /// Forgets the seconds that have left the hour.
    fn advance(&mut self, now: Duration) {
        let now = now.as_secs();
        // OK when `now` is before the head: two threads read the clock in one order and get here in the other.
        let passed = now.saturating_sub(self.head).min(HOUR_SECONDS as u64);
        for second in 1..=passed {
            let slot = &mut self.counts[((now - passed + second) % HOUR_SECONDS as u64) as usize];
            self.sum -= u64::from(std::mem::take(slot));
        }
        self.head = self.head.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_sum_is_what_was_counted_in_the_last_3600_seconds(
            steps in prop::collection::vec(prop_oneof![0_u64..3, 0_u64..900, 3_000_u64..9_000], 1..80)
        ) {
            let (mut counter, mut counted, mut now) = (HourCounter::new(), Vec::new(), 0);
            for step in steps {
                now += step;
                counter.add(Duration::from_secs(now));
                counted.push(now);
                let expected = counted.iter().filter(|at| **at + 3_600 > now).count() as u64;
                prop_assert_eq!(counter.sum(Duration::from_secs(now)), expected);
            }
        }
    }
}
