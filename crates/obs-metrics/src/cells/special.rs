//! Handles that stand for something else: a series that did not fit, a recording that was refused.

use std::sync::Arc;

use metrics::{CounterFn, GaugeFn, HistogramFn};

use super::{CounterCell, GaugeCell, HistogramCell};

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
