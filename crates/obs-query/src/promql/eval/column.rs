//! The values of one series over the steps of a query.

use std::sync::Arc;

use super::identity::Identity;
use crate::promql::native::NativeHistogram;
use crate::promql::value::SampleValue;
use crate::stale::STALE;

/// Stands where a series has no number: the stale marker, which no evaluation ever results in.
pub(super) const ABSENT: f64 = STALE;

/// Whether there is no number.
pub(super) fn is_absent(value: f64) -> bool {
    value.to_bits() == ABSENT.to_bits()
}

/// The steps at which a query is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grid {
    /// The first step's time, in milliseconds.
    pub(super) start: i64,
    /// The distance of the steps, in milliseconds.
    pub(super) step: i64,
    /// How many there are.
    pub(super) steps: usize,
}

impl Grid {
    pub(super) const fn instant(at: i64) -> Self {
        Self { start: at, step: 1, steps: 1 }
    }

    pub(super) fn time(&self, step: usize) -> i64 {
        // OK because a grid is only made of as many steps as fit between two times.
        self.start.saturating_add(self.step.saturating_mul(step as i64))
    }

    /// The last step's time; the first one's if there is none.
    pub(super) fn end(&self) -> i64 {
        self.time(self.steps.saturating_sub(1))
    }

    pub(super) fn times(&self) -> impl Iterator<Item = i64> + use<> {
        let grid = *self;
        (0..grid.steps).map(move |step| grid.time(step))
    }
}

/// The values of one series, one for each step, which may be absent.
#[derive(Clone, Debug)]
pub(super) struct Column {
    /// [`ABSENT`] where there is no number.
    pub(super) floats: Vec<f64>,
    /// Set only for series that have histograms at all.
    pub(super) histograms: Option<Box<[Option<Arc<NativeHistogram>>]>>,
}

impl Column {
    pub(super) fn absent(steps: usize) -> Self {
        Self { floats: vec![ABSENT; steps], histograms: None }
    }

    pub(super) fn of_floats(floats: Vec<f64>) -> Self {
        Self { floats, histograms: None }
    }

    /// Takes every value out.
    pub(super) fn reset(&mut self) {
        self.floats.fill(ABSENT);
        self.histograms = None;
    }

    pub(super) fn len(&self) -> usize {
        self.floats.len()
    }

    pub(super) fn float(&self, step: usize) -> Option<f64> {
        let value = self.floats[step];
        (!is_absent(value)).then_some(value)
    }

    pub(super) fn histogram(&self, step: usize) -> Option<&Arc<NativeHistogram>> {
        self.histograms.as_ref()?[step].as_ref()
    }

    /// Whether there is a value, of either kind.
    pub(super) fn has(&self, step: usize) -> bool {
        !is_absent(self.floats[step]) || self.histogram(step).is_some()
    }

    pub(super) fn get(&self, step: usize) -> Option<SampleValue> {
        match self.float(step) {
            Some(value) => Some(SampleValue::Float(value)),
            None => self.histogram(step).cloned().map(SampleValue::Histogram),
        }
    }

    pub(super) fn set(&mut self, step: usize, value: SampleValue) {
        match value {
            SampleValue::Float(value) => self.floats[step] = value,
            SampleValue::Histogram(histogram) => {
                let steps = self.floats.len();
                self.histograms.get_or_insert_with(|| vec![None; steps].into())[step] =
                    Some(histogram);
            }
        }
    }

    pub(super) fn clear(&mut self, step: usize) {
        self.floats[step] = ABSENT;
        if let Some(histograms) = &mut self.histograms {
            histograms[step] = None;
        }
    }

    /// How many values there are.
    pub(super) fn count(&self) -> usize {
        let floats = self.floats.iter().filter(|value| !is_absent(**value)).count();
        let histograms = self.histograms.as_ref().map_or(0, |h| h.iter().flatten().count());
        floats + histograms
    }

    pub(super) fn is_empty(&self) -> bool {
        self.floats.iter().all(|value| is_absent(*value))
            && self.histograms.as_ref().is_none_or(|h| h.iter().all(Option::is_none))
    }

    /// Whether there is any number.
    pub(super) fn has_floats(&self) -> bool {
        self.floats.iter().any(|value| !is_absent(*value))
    }

    /// Changes every number and takes the histograms out.
    pub(super) fn map_floats(&mut self, change: impl Fn(f64) -> f64) {
        for value in &mut self.floats {
            if !is_absent(*value) {
                *value = change(*value);
            }
        }
        self.histograms = None;
    }

    /// Moves the values of `other` in; `false` if both have one at the same step.
    pub(super) fn merge(&mut self, other: Self) -> bool {
        for step in 0..self.len() {
            if let Some(value) = other.get(step) {
                if self.has(step) {
                    return false;
                }
                self.set(step, value);
            }
        }
        true
    }

    /// This column's one value at every one of `steps`.
    pub(super) fn repeated(&self, steps: usize) -> Self {
        let floats = vec![self.floats[0]; steps];
        let histograms =
            self.histogram(0).map(|histogram| vec![Some(Arc::clone(histogram)); steps].into());
        Self { floats, histograms }
    }
}

/// One series of an evaluation.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) labels: Identity,
    /// Whether the metric's name goes away in the end.
    pub(super) drop_name: bool,
    pub(super) column: Column,
}

/// What an expression comes to.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// A number for each step.
    Scalar(Vec<f64>),
    Vector(Vec<Row>),
}
