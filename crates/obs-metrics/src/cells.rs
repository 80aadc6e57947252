//! Where values live: one cell per series, written without locks by any number of threads.
//!
//! The registry, the exposition and the handles use cells only through what is `pub(crate)` here, so the way
//! a cell spreads its writers over memory can change without anything else changing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use metrics::{CounterFn, GaugeFn, HistogramFn};

/// A whole-number total, on a cache line of its own so that two busy series do not slow each other.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct CounterCell(AtomicU64);

impl CounterCell {
    pub(crate) fn add(&self, value: u64) {
        self.0.fetch_add(value, Ordering::Relaxed);
    }

    pub(crate) fn raise_to(&self, value: u64) {
        self.0.fetch_max(value, Ordering::Relaxed);
    }

    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl CounterFn for CounterCell {
    fn increment(&self, value: u64) {
        self.add(value);
    }

    fn absolute(&self, value: u64) {
        self.raise_to(value);
    }
}

/// A float that is stored as its bits.
#[derive(Debug, Default)]
struct AtomicF64(AtomicU64);

impl AtomicF64 {
    fn load(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }

    fn store(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    fn update(&self, change: impl Fn(f64) -> f64) {
        let mut present = self.0.load(Ordering::Relaxed);
        loop {
            let next = change(f64::from_bits(present)).to_bits();
            match self.0.compare_exchange_weak(present, next, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(changed) => present = changed,
            }
        }
    }
}

/// A value that goes up and down; NaN and infinities are stored as they come.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct GaugeCell(AtomicF64);

impl GaugeCell {
    pub(crate) fn value(&self) -> f64 {
        self.0.load()
    }
}

impl GaugeFn for GaugeCell {
    fn increment(&self, value: f64) {
        self.0.update(|present| present + value);
    }

    fn decrement(&self, value: f64) {
        self.0.update(|present| present - value);
    }

    fn set(&self, value: f64) {
        self.0.store(value);
    }
}

/// A total of fractions, such as CPU seconds.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct FloatCounterCell {
    total: AtomicF64,
    invalid: Arc<CounterCell>,
}

impl FloatCounterCell {
    /// `invalid` counts the values that were refused.
    pub(crate) fn new(invalid: Arc<CounterCell>) -> Self {
        Self { total: AtomicF64::default(), invalid }
    }

    /// Adds a value that is neither negative nor NaN; others would make the total fall or vanish.
    pub(crate) fn add(&self, value: f64) {
        if value >= 0.0 {
            self.total.update(|present| present + value);
        } else {
            self.invalid.add(1);
        }
    }

    /// Raises the total to at least `value`.
    pub(crate) fn raise_to(&self, value: f64) {
        if value >= 0.0 {
            self.total.update(|present| present.max(value));
        } else {
            self.invalid.add(1);
        }
    }

    pub(crate) fn value(&self) -> f64 {
        self.total.load()
    }
}

/// Observations counted by size; no observation is kept.
#[derive(Debug)]
pub(crate) struct HistogramCell {
    /// The finite upper bounds, rising.
    bounds: Arc<[f64]>,
    /// One count per bound and one for what is above them all.
    counts: Box<[AtomicU64]>,
    sum: AtomicF64,
    invalid: Arc<CounterCell>,
}

impl HistogramCell {
    /// `bounds` are finite and rising; `invalid` counts the observations that were refused.
    pub(crate) fn new(bounds: Arc<[f64]>, invalid: Arc<CounterCell>) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, sum: AtomicF64::default(), invalid }
    }

    /// Adds every bucket's own count to `counts` (cleared first) and returns the sum of observations.
    ///
    /// The number of observations is the total of those counts, so it always agrees with the buckets, also
    /// while other threads record.
    pub(crate) fn read(&self, counts: &mut Vec<u64>) -> f64 {
        counts.clear();
        counts.extend(self.counts.iter().map(|count| count.load(Ordering::Relaxed)));
        self.sum.load()
    }

    fn observe(&self, value: f64, times: u64) {
        if times == 0 {
            return;
        }
        if value.is_nan() {
            // A NaN belongs to no bucket and would make the sum NaN for ever, which OpenMetrics forbids.
            self.invalid.add(times);
            return;
        }
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.counts[bucket].fetch_add(times, Ordering::Relaxed);
        // OK because a count that a float cannot hold exactly is out of reach in practice.
        self.sum.update(|sum| sum + value * times as f64);
    }
}

impl HistogramFn for HistogramCell {
    fn record(&self, value: f64) {
        self.observe(value, 1);
    }

    fn record_many(&self, value: f64, count: usize) {
        self.observe(value, count as u64);
    }
}

/// The handle of a series that did not fit: it records into the overflow series and counts that it did.
#[derive(Debug)]
pub(crate) struct Folding<C> {
    pub(crate) cell: Arc<C>,
    pub(crate) folded: Arc<CounterCell>,
}

impl CounterFn for Folding<CounterCell> {
    fn increment(&self, value: u64) {
        self.folded.add(1);
        self.cell.add(value);
    }

    fn absolute(&self, value: u64) {
        self.folded.add(1);
        self.cell.raise_to(value);
    }
}

impl GaugeFn for Folding<GaugeCell> {
    fn increment(&self, value: f64) {
        self.folded.add(1);
        self.cell.increment(value);
    }

    fn decrement(&self, value: f64) {
        self.folded.add(1);
        self.cell.decrement(value);
    }

    fn set(&self, value: f64) {
        self.folded.add(1);
        self.cell.set(value);
    }
}

impl HistogramFn for Folding<HistogramCell> {
    fn record(&self, value: f64) {
        self.record_many(value, 1);
    }

    fn record_many(&self, value: f64, count: usize) {
        self.folded.add(count as u64);
        self.cell.record_many(value, count);
    }
}

/// The handle of a recording that was refused: it does nothing but count what is lost.
#[derive(Debug, Default)]
pub(crate) struct Refused(pub(crate) Arc<CounterCell>);

impl CounterFn for Refused {
    fn increment(&self, _: u64) {
        self.0.add(1);
    }

    fn absolute(&self, _: u64) {
        self.0.add(1);
    }
}

impl GaugeFn for Refused {
    fn increment(&self, _: f64) {
        self.0.add(1);
    }

    fn decrement(&self, _: f64) {
        self.0.add(1);
    }

    fn set(&self, _: f64) {
        self.0.add(1);
    }
}

impl HistogramFn for Refused {
    fn record(&self, _: f64) {
        self.0.add(1);
    }

    fn record_many(&self, _: f64, count: usize) {
        self.0.add(count as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_own_bucket_and_infinities_to_the_outer_ones() {
        let invalid = Arc::new(CounterCell::default());
        let cell = HistogramCell::new(Arc::from([1.0, 2.0].as_slice()), Arc::clone(&invalid));
        for value in [f64::NEG_INFINITY, -3.0, 1.0, 1.1, 2.0] {
            cell.record(value);
        }
        let mut counts = Vec::new();
        assert_eq!(cell.read(&mut counts), f64::NEG_INFINITY);
        assert_eq!(counts, [3, 2, 0]);

        let cell = HistogramCell::new(Arc::from([1.0, 2.0].as_slice()), Arc::clone(&invalid));
        cell.record(f64::NAN);
        cell.record_many(f64::NAN, 2);
        cell.record_many(4.0, 3);
        cell.record_many(4.0, 0);
        assert_eq!(cell.read(&mut counts), 12.0);
        cell.record(f64::INFINITY);
        assert_eq!(cell.read(&mut counts), f64::INFINITY);
        assert_eq!((counts.as_slice(), invalid.value()), (&[0, 0, 4][..], 3));
    }

    #[test]
    fn a_counter_set_to_an_older_total_stays() {
        let cell = CounterCell::default();
        cell.absolute(10);
        cell.absolute(7);
        cell.increment(1);
        assert_eq!(cell.value(), 11);
    }

    #[test]
    fn a_float_counter_never_falls() {
        let invalid = Arc::new(CounterCell::default());
        let cell = FloatCounterCell::new(Arc::clone(&invalid));
        cell.add(1.5);
        cell.raise_to(1.25);
        for refused in [-1.0, f64::NAN, f64::NEG_INFINITY] {
            cell.add(refused);
            cell.raise_to(refused);
        }
        assert_eq!((cell.value(), invalid.value()), (1.5, 6));
    }
}
