//! Histograms with exponential buckets beside their fixed ones.
//!
//! Which buckets there are changes while they are recorded into, so a thread cannot have cells of its own. A few parts
//! with a lock each take their place: a thread uses one part, and another one when that is in use.

use std::sync::atomic::{AtomicUsize, Ordering};

use obs_model::NativeBuckets;
use parking_lot::{Mutex, MutexGuard};

use super::exponential::Exponential;
use crate::native::NativeHistogram;

const PARTS: usize = 8;

/// What a native histogram holds. Its counts and its exponential buckets always agree.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NativeState {
    /// The fixed buckets' own counts.
    pub(super) counts: Vec<u64>,
    pub(super) sum: f64,
    exponential: Exponential,
}

#[derive(Debug)]
pub(super) struct NativeCell {
    parts: [Part; PARTS],
    config: NativeHistogram,
    buckets: usize,
}

#[derive(Debug)]
#[repr(align(64))]
struct Part(Mutex<Option<Box<NativeState>>>);

impl NativeCell {
    /// `buckets` is the number of fixed ones.
    pub(super) fn new(config: NativeHistogram, buckets: usize) -> Self {
        Self { parts: std::array::from_fn(|_| Part(Mutex::new(None))), config, buckets }
    }

    /// Counts a value, which is not NaN, in fixed bucket `bucket` and in its exponential one.
    pub(super) fn observe(&self, bucket: usize, value: f64, times: u64, sum: f64) {
        let mut part = self.part();
        let state = part.get_or_insert_with(|| Box::new(self.nothing()));
        state.counts[bucket] += times;
        state.sum += sum;
        state.exponential.observe(value, times);
    }

    /// All parts together.
    pub(super) fn state(&self) -> NativeState {
        let mut all = self.nothing();
        for part in &self.parts {
            if let Some(state) = &*part.0.lock() {
                all.merge(state);
            }
        }
        all
    }

    pub(super) fn add(&self, more: &NativeState) {
        self.part().get_or_insert_with(|| Box::new(self.nothing())).merge(more);
    }

    fn nothing(&self) -> NativeState {
        NativeState {
            counts: vec![0; self.buckets],
            sum: 0.0,
            exponential: Exponential::new(self.config),
        }
    }

    fn part(&self) -> MutexGuard<'_, Option<Box<NativeState>>> {
        let own = number_of_thread();
        // Only when all are in use does a thread wait, and then for one observation of another.
        (0..PARTS)
            .find_map(|more| self.parts[(own + more) % PARTS].0.try_lock())
            .unwrap_or_else(|| self.parts[own % PARTS].0.lock())
    }
}

impl NativeState {
    fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.sum += other.sum;
        self.exponential.merge(&other.exponential);
    }

    /// What was counted after `before`, an earlier state of the same histogram.
    pub(super) fn since(&self, before: &Self) -> Self {
        let counts = self.counts.iter().zip(&before.counts);
        Self {
            counts: counts.map(|(now, before)| now.saturating_sub(*before)).collect(),
            sum: self.sum - before.sum,
            exponential: self.exponential.since(&before.exponential),
        }
    }

    pub(super) fn write_to(&self, buckets: &mut NativeBuckets) {
        self.exponential.write_to(buckets);
    }
}

/// A number that spreads threads over the parts.
fn number_of_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    NUMBER.try_with(|number| *number).unwrap_or(0)
}
