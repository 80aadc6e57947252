//! Observing one in so many.

use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use metrics::{Histogram, IntoF64};

/// A histogram that observes a random one in `n` of its observations, each with the weight `n`.
///
/// It is for places that run so often that looking at the clock costs more than the work. Counts, sums and every bucket
/// are unbiased: on average they are what they would be without sampling. With *N* observations in truth, `_count` has a
/// standard error of √(N·(n − 1)): 1 % of a million with n = 100, 3 % of a hundred thousand. What is rare may be missed
/// altogether, so errors and other rare things should be counted, not sampled; counters cost too little to be.
///
/// Which ones are observed is random and independent, so no rhythm of the program can hide from it.
///
/// ```
/// use std::time::Instant;
///
/// use obs_metrics::Registry;
/// use obs_metrics::typed::SampledHistogram;
///
/// let registry = Registry::default();
/// let parse = SampledHistogram::new(registry.histogram("parse_seconds", &[]), 100);
/// for line in ["a=1", "b=2"] {
///     let sample = parse.pick().map(|picked| (picked, Instant::now()));
///     std::hint::black_box(line.split_once('='));
///     if let Some((picked, started)) = sample {
///         picked.record(started.elapsed());
///     }
/// }
/// // One that observes all is a plain histogram.
/// let all = SampledHistogram::new(registry.histogram("all", &[]), 1);
/// all.record(2.0);
/// assert_eq!(registry.value("all_count", &[]), Some(1.0));
/// ```
#[derive(Clone)]
pub struct SampledHistogram {
    histogram: Histogram,
    one_in: u32,
}

/// An observation that was picked, to be [recorded](Self::record).
#[must_use = "an observation that was picked and is not recorded is missing in the counts"]
pub struct PickedSample<'a>(&'a SampledHistogram);

impl SampledHistogram {
    /// Observes a random one in `one_in` into `histogram`; zero is taken for one.
    #[must_use]
    pub fn new(histogram: Histogram, one_in: u32) -> Self {
        Self { histogram, one_in: one_in.max(1) }
    }

    /// One in how many is observed: the weight of each.
    #[must_use]
    pub fn weight(&self) -> u32 {
        self.one_in
    }

    /// Whether the next observation is one to make; what is returned records it.
    #[inline]
    #[must_use]
    pub fn pick(&self) -> Option<PickedSample<'_>> {
        is_picked(self.one_in).then_some(PickedSample(self))
    }

    /// Records an observation, if it is picked.
    #[inline]
    pub fn record<T: IntoF64>(&self, value: T) {
        if let Some(picked) = self.pick() {
            picked.record(value);
        }
    }
}

impl PickedSample<'_> {
    /// Records the observation with its weight.
    pub fn record<T: IntoF64>(self, value: T) {
        self.0.histogram.record_many(value, self.0.one_in as usize);
    }
}

thread_local! {
    /// The state of the thread's generator; zero before its first use.
    static STATE: Cell<u64> = const { Cell::new(0) };
}

/// True once in `one_in` times, at random.
#[inline]
fn is_picked(one_in: u32) -> bool {
    // xorshift64 (Marsaglia 2003) with the multiplication of xorshift64* (Vigna 2016), whose upper half is good.
    let mut state = STATE.get();
    if state == 0 {
        state = seed();
    }
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    STATE.set(state);
    let random = state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32;
    // The upper half of the product is a number below `one_in`, each as likely as the others.
    (random * u64::from(one_in)) >> 32 == 0
}

/// A seed that no other thread has; never zero.
#[cold]
fn seed() -> u64 {
    static THREADS: AtomicU64 = AtomicU64::new(1);
    let number = THREADS.fetch_add(1, Ordering::Relaxed);
    // The finalizer of splitmix64, under which neighbouring numbers become unlike each other.
    let mut mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (mixed ^ (mixed >> 31)) | 1
}

impl fmt::Debug for SampledHistogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SampledHistogram").field("one_in", &self.one_in).finish_non_exhaustive()
    }
}

impl fmt::Debug for PickedSample<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PickedSample").field(self.0).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::Registry;

    #[test]
    fn counts_sums_and_buckets_are_right_on_average_for_any_weight() {
        const COUNT: u32 = 400_000;
        for one_in in [1, 2, 10, 100, 1_000] {
            let registry = Registry::default();
            registry.set_buckets("x", &[1.0]).unwrap();
            let sampled = SampledHistogram::new(registry.histogram("x", &[]), one_in);
            thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| {
                        for index in 0..COUNT / 2 {
                            // A rhythm that taking every so-manyth would run into.
                            sampled.record(if index % 2 == 0 { 0.5 } else { 1.5 });
                        }
                    });
                }
            });
            let value = |name, labels: &[(&str, &str)]| registry.value(name, labels).unwrap();
            let near = |seen: f64, truth: f64| {
                // Six standard errors: once in 500 million runs by chance.
                let error = 6.0 * (truth * f64::from(one_in - 1)).sqrt();
                assert!((seen - truth).abs() <= error, "{one_in}: {seen} {truth}");
            };
            near(value("x_count", &[]), f64::from(COUNT));
            near(value("x_bucket", &[("le", "1")]), f64::from(COUNT / 2));
            near(value("x_sum", &[]) * 1.0, f64::from(COUNT));
            assert_eq!(value("x_count", &[]) % f64::from(one_in), 0.0);
        }
    }

    #[test]
    fn zero_is_taken_for_one_and_seeds_differ() {
        let sampled = SampledHistogram::new(Histogram::noop(), 0);
        assert_eq!(sampled.weight(), 1);
        assert!(sampled.pick().is_some());
        let seeds: std::collections::BTreeSet<_> = (0..1_000).map(|_| seed()).collect();
        assert!(seeds.len() == 1_000 && !seeds.contains(&0));
    }
}
