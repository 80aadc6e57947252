//! Observations counted by size; no observation is kept.

use std::sync::Arc;

use metrics::HistogramFn;
use obs_model::{Clock, Exemplar, NativeBuckets};

use super::CounterCell;
use super::exemplars::Exemplars;
use super::native::{NativeCell, NativeState};
use super::range::{Place, Range, Spot, read};
use super::search::Search;
use crate::native::NativeHistogram;

/// A histogram with fixed buckets, and exponential ones and exemplars if it is asked for them.
#[derive(Debug)]
pub(crate) struct HistogramCell {
    /// The first cell is the sum, then one count per bound and one for what is above them all. Native histograms
    /// use none of them.
    cells: Range,
    search: Arc<Search>,
    /// What most histograms do not have.
    more: Option<Box<More>>,
    /// What recording needs where there is no such thing.
    plain: Option<Plain>,
    invalid: Arc<CounterCell>,
}

/// What recording needs of a histogram that has fixed buckets only and its cells in one page, which must be alive meanwhile.
#[derive(Clone, Debug)]
pub(crate) struct Plain {
    spot: Spot,
    search: Arc<Search>,
}

impl Plain {
    /// Counts an observation, if the calling thread has the cells already and the value is a number.
    #[inline(always)]
    pub(crate) fn observe_if_present(&self, value: f64, times: u64, sum: f64) -> Option<()> {
        if value.is_nan() {
            return None;
        }
        // The thread's cells come first: looking them up may be a call, and so less has to be kept across it.
        self.spot.add_both_if_present(sum, times, || self.search.bucket_of(value) + 1)
    }
}

#[derive(Debug, Default)]
struct More {
    native: Option<NativeCell>,
    exemplars: Option<Exemplars>,
}

/// What a histogram holds at some time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum HistogramState {
    Fixed { counts: Vec<u64>, sum: f64 },
    Native(NativeState),
}

impl HistogramState {
    /// How many observations were counted.
    pub(crate) fn count(&self) -> u64 {
        match self {
            Self::Fixed { counts, .. } => counts.iter().sum(),
            Self::Native(state) => state.counts.iter().sum(),
        }
    }
}

impl HistogramCell {
    /// `search` knows the bounds; `invalid` counts the observations that were refused.
    pub(crate) fn new(search: Arc<Search>, invalid: Arc<CounterCell>) -> Self {
        let cells = Range::new(search.buckets() + 1, true);
        let plain = cells
            .is_in_one_page()
            .then(|| Plain { spot: cells.spot(), search: Arc::clone(&search) });
        Self { cells, search, more: None, plain, invalid }
    }

    /// This histogram, with exponential buckets too.
    pub(crate) fn with_native(mut self, native: Option<NativeHistogram>) -> Self {
        if let Some(config) = native {
            let cell = NativeCell::new(config, self.search.buckets());
            self.more.get_or_insert_default().native = Some(cell);
            self.cells = Range::new(1, true);
            self.plain = None;
        }
        self
    }

    /// This histogram, with exemplars whose times come from `clock`.
    pub(crate) fn with_exemplars(mut self, clock: Option<Arc<dyn Clock>>) -> Self {
        if let Some(clock) = clock {
            let exemplars = Exemplars::new(clock, self.search.buckets());
            self.more.get_or_insert_default().exemplars = Some(exemplars);
            self.plain = None;
        }
        self
    }

    /// Adds every bucket's own count to `counts` (cleared first) and returns the sum of observations.
    ///
    /// The number of observations is the total of those counts, so it always agrees with the buckets, also
    /// while other threads record.
    pub(crate) fn read(&self, counts: &mut Vec<u64>) -> f64 {
        if let Some(native) = self.native() {
            let state = native.state();
            *counts = state.counts;
            return state.sum;
        }
        let reading = read();
        self.cells.totals_after_first(counts, &reading);
        self.cells.float_total(&reading)
    }

    fn native(&self) -> Option<&NativeCell> {
        self.more.as_ref()?.native.as_ref()
    }

    /// As [`HistogramCell::read`], and sets the exemplars and, if it says so, the native buckets. From then on the
    /// buckets take new exemplars.
    pub(crate) fn read_all(
        &self,
        counts: &mut Vec<u64>,
        exemplars: &mut Vec<Option<Exemplar>>,
        native: &mut NativeBuckets,
    ) -> (f64, IsNative) {
        exemplars.clear();
        if let Some(own) = self.more.as_ref().and_then(|more| more.exemplars.as_ref()) {
            own.read(exemplars);
        }
        match self.native() {
            None => (self.read(counts), IsNative::No),
            Some(cell) => {
                let state = cell.state();
                state.write_to(native);
                *counts = state.counts;
                (state.sum, IsNative::Yes)
            }
        }
    }

    /// The place of the sum, if there is one such place.
    pub(crate) fn place(&self) -> Option<Place> {
        self.native().is_none().then(|| self.cells.place())
    }

    /// What the histogram holds now.
    pub(crate) fn state(&self) -> HistogramState {
        match self.native() {
            None => {
                let mut counts = Vec::new();
                let sum = self.read(&mut counts);
                HistogramState::Fixed { counts, sum }
            }
            Some(native) => HistogramState::Native(native.state()),
        }
    }

    /// Adds what another histogram of the same metric counted between two times.
    pub(crate) fn add_since(&self, before: &HistogramState, after: &HistogramState) {
        match (self.native(), before, after) {
            (
                None,
                HistogramState::Fixed { counts: before, sum: sum_before },
                HistogramState::Fixed { counts: after, sum: sum_after },
            ) => {
                for (bucket, (after, before)) in after.iter().zip(before).enumerate() {
                    self.cells.add_to_shared(bucket + 1, after.saturating_sub(*before));
                }
                self.cells.add_float_to_shared(sum_after - sum_before);
            }
            (Some(native), HistogramState::Native(before), HistogramState::Native(after)) => {
                native.add(&after.since(before))
            }
            // OK because all series of a metric are of one sort.
            _ => {}
        }
    }

    /// What recording needs of it, if it is as most are.
    pub(crate) const fn plain(&self) -> Option<&Plain> {
        self.plain.as_ref()
    }

    #[inline(always)]
    fn observe(&self, value: f64, times: u64, sum: f64) {
        let added = self.plain().and_then(|plain| plain.observe_if_present(value, times, sum));
        if added.is_none() {
            self.observe_slowly(value, times);
        }
    }

    #[inline(never)]
    fn observe_slowly(&self, value: f64, times: u64) {
        if value.is_nan() {
            // A NaN belongs to no bucket and would make the sum NaN for ever, which OpenMetrics forbids.
            return self.invalid.add(times);
        }
        let bucket = self.search.bucket_of(value);
        // OK because a count that a float cannot hold exactly is out of reach in practice.
        let sum = value * times as f64;
        match self.native() {
            None => self.cells.add_both(sum, bucket + 1, times),
            Some(native) => native.observe(bucket, value, times, sum),
        }
        if let Some(exemplars) = self.more.as_ref().and_then(|more| more.exemplars.as_ref()) {
            exemplars.offer(bucket, value);
        }
    }
}

/// Whether a histogram has native buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IsNative {
    Yes,
    No,
}

impl HistogramFn for HistogramCell {
    fn record(&self, value: f64) {
        self.observe(value, 1, value);
    }

    fn record_many(&self, value: f64, count: usize) {
        if count > 0 {
            // OK because a count that a float cannot hold exactly is out of reach in practice.
            self.observe(value, count as u64, value * count as f64);
        }
    }
}

#[cfg(all(test, not(obskit_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_own_bucket_and_infinities_to_the_outer_ones() {
        let invalid = Arc::new(CounterCell::default());
        let cell = HistogramCell::new(Arc::new(Search::new(&[1.0, 2.0])), Arc::clone(&invalid));
        for value in [f64::NEG_INFINITY, -3.0, 1.0, 1.1, 2.0] {
            cell.record(value);
        }
        let mut counts = Vec::new();
        assert_eq!(cell.read(&mut counts), f64::NEG_INFINITY);
        assert_eq!(counts, [3, 2, 0]);

        let cell = HistogramCell::new(Arc::new(Search::new(&[1.0, 2.0])), Arc::clone(&invalid));
        cell.record(f64::NAN);
        cell.record_many(f64::NAN, 2);
        cell.record_many(4.0, 3);
        cell.record_many(4.0, 0);
        assert_eq!(cell.read(&mut counts), 12.0);
        cell.record(f64::INFINITY);
        assert_eq!(cell.read(&mut counts), f64::INFINITY);
        assert_eq!((counts.as_slice(), invalid.value()), (&[0, 0, 4][..], 3));
    }
}
