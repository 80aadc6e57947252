//! Totals.

use std::sync::Arc;

use metrics::CounterFn;

use super::range::{Place, Range, Spot, read};

/// A whole-number total.
#[derive(Debug)]
pub(crate) struct CounterCell(Range);

impl CounterCell {
    #[inline(always)]
    pub(crate) fn add(&self, value: u64) {
        self.0.add(value);
    }

    pub(crate) fn raise_to(&self, value: u64) {
        self.0.raise_to(value);
    }

    pub(crate) fn value(&self) -> u64 {
        self.0.total(&read())
    }

    pub(crate) fn place(&self) -> Place {
        self.0.place()
    }

    /// What recording needs of it.
    pub(crate) const fn spot(&self) -> Spot {
        self.0.spot()
    }
}

impl Default for CounterCell {
    fn default() -> Self {
        Self(Range::new(1, false))
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

/// A total of fractions, such as CPU seconds.
#[derive(Debug)]
pub(crate) struct FloatCounterCell {
    total: Range,
    invalid: Arc<CounterCell>,
}

impl FloatCounterCell {
    /// `invalid` counts the values that were refused.
    pub(crate) fn new(invalid: Arc<CounterCell>) -> Self {
        Self { total: Range::new(1, true), invalid }
    }

    /// Adds a value that is neither negative nor NaN; others would make the total fall or vanish.
    pub(crate) fn add(&self, value: f64) {
        if value >= 0.0 {
            self.total.add_float(value);
        } else {
            self.invalid.add(1);
        }
    }

    /// Raises the total to at least `value`.
    pub(crate) fn raise_to(&self, value: f64) {
        if value >= 0.0 {
            self.total.raise_float_to(value);
        } else {
            self.invalid.add(1);
        }
    }

    pub(crate) fn value(&self) -> f64 {
        self.total.float_total(&read())
    }

    pub(crate) fn place(&self) -> Place {
        self.total.place()
    }
}

#[cfg(all(test, not(obskit_loom)))]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_counter_set_to_an_older_total_stays() {
        let cell = CounterCell::default();
        cell.absolute(10);
        cell.absolute(7);
        cell.increment(1);
        assert_eq!(cell.value(), 11);
    }

    #[test]
    fn a_total_that_is_set_counts_what_other_threads_added() {
        let cell = CounterCell::default();
        thread::scope(|scope| {
            scope.spawn(|| cell.add(4));
        });
        cell.add(3);
        cell.raise_to(7);
        assert_eq!(cell.value(), 7);
        thread::scope(|scope| {
            scope.spawn(|| cell.raise_to(9));
        });
        cell.add(1);
        assert_eq!(cell.value(), 10);
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
        cell.raise_to(1e15 + 0.3);
        assert_eq!(cell.value(), 1e15 + 0.3);
    }
}
