//! How long the traces of one route usually take.
//!
//! Durations are counted in buckets whose width grows with them, eight to each power of two, as in HdrHistogram (Tene,
//! 2012): a bucket's bounds differ by an eighth at most, so that a quantile read from them is off by no more than that
//! (compare DDSketch: Masson, Rim and Lee, VLDB 2019). When enough durations are counted all counts are halved, so that
//! what was long ago fades out with a half-life of [`FULL`] durations (exponential ageing, as in Cormode, Shkapenyuk,
//! Srivastava and Xu, "Forward Decay", ICDE 2009).

/// The shortest duration that is told apart, in nanoseconds, as a power of two: a microsecond.
const LEAST: u32 = 10;

/// The longest, likewise: more than an hour.
const MOST: u32 = 42;

/// Buckets of one power of two, as a power of two.
const PARTS: u32 = 3;

const BUCKETS: usize = ((MOST - LEAST) << PARTS) as usize + 1;

/// With so many durations the counts are halved.
const FULL: u32 = 4_096;

/// After so many durations the quantile is looked up again.
const LOOKED_UP_EVERY: u32 = 16;

/// The durations of one route.
pub(super) struct History {
    counts: Box<[u16; BUCKETS]>,
    total: u32,
    since_lookup: u32,
    /// The bucket of the quantile; above it a trace is slow.
    usual: usize,
}

impl History {
    pub(super) fn new() -> Self {
        Self { counts: Box::new([0; BUCKETS]), total: 0, since_lookup: 0, usual: BUCKETS }
    }

    /// Whether a duration is above the quantile of those before it, of which there must be `least`; then counts it.
    pub(super) fn judge(&mut self, nanoseconds: u64, quantile: f64, least: u32) -> bool {
        let bucket = bucket_of(nanoseconds);
        if self.since_lookup >= LOOKED_UP_EVERY || self.total == least {
            self.usual = self.quantile(quantile);
            self.since_lookup = 0;
        }
        let is_slow = self.total >= least && bucket > self.usual;
        self.counts[bucket] += 1;
        self.total += 1;
        self.since_lookup += 1;
        if self.total >= FULL {
            self.fade();
        }
        is_slow
    }

    fn fade(&mut self) {
        self.total = 0;
        for count in &mut *self.counts {
            *count /= 2;
            self.total += u32::from(*count);
        }
    }

    fn quantile(&self, quantile: f64) -> usize {
        let wanted = f64::from(self.total) * quantile;
        let mut seen = 0;
        let reached = self.counts.iter().position(|count| {
            seen += u32::from(*count);
            f64::from(seen) >= wanted
        });
        reached.unwrap_or(BUCKETS)
    }
}

fn bucket_of(nanoseconds: u64) -> usize {
    let bounded = nanoseconds.clamp(1 << LEAST, 1 << MOST);
    let power = bounded.ilog2();
    let part = (bounded >> (power - PARTS)) as usize & ((1 << PARTS) - 1);
    (((power - LEAST) << PARTS) as usize) + part
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_is_slow_before_there_is_a_history() {
        let mut history = History::new();
        assert!((0..100).all(|_| !history.judge(1_000_000, 0.99, 100)));
        assert!(!history.judge(1_000_000, 0.99, 100) && history.judge(2_000_000, 0.99, 100));
    }

    #[test]
    fn what_was_usual_long_ago_is_forgotten() {
        let mut history = History::new();
        let slow = |history: &mut History, took: u64, times: u32| {
            (0..times).filter(|_| history.judge(took, 0.99, 100)).count()
        };
        slow(&mut history, 1_000_000, 10_000);
        let first = slow(&mut history, 100_000_000, 10_000);
        assert!((20..200).contains(&first), "{first} were slow before that was usual");
        assert_eq!(slow(&mut history, 100_000_000, 10_000), 0);
    }

    #[test]
    fn about_as_many_are_slow_as_the_quantile_says() {
        let mut history = History::new();
        let mut state = 7_u64;
        let slow = (0..50_000).filter(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            history.judge(1_000_000 + (state >> 33) % 9_000_000, 0.9, 100)
        });
        let share = slow.count() as f64 / 50_000.0;
        assert!((0.02..=0.1).contains(&share), "{share}");
    }

    proptest! {
        #[test]
        fn a_longer_duration_is_never_in_a_lower_bucket_and_buckets_are_narrow(
            one in 0_u64..1 << 43,
            other in 0_u64..1 << 43,
        ) {
            let (short, long) = (one.min(other), one.max(other));
            prop_assert!(bucket_of(short) <= bucket_of(long));
            if bucket_of(short) == bucket_of(long) && short >= 1 << LEAST && long <= 1 << MOST {
                prop_assert!(long - short <= short / 8);
            }
        }
    }
}
