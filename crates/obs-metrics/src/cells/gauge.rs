//! Values that go up and down.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use metrics::GaugeFn;

/// A value that is set, raised and lowered; NaN and infinities are stored as they come.
///
/// All threads share it, because `set` needs one order for all of them.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct GaugeCell {
    bits: AtomicU64,
    /// Whether it was written since the last look: setting the value that is there counts too.
    written: AtomicBool,
}

impl GaugeCell {
    pub(crate) fn value(&self) -> f64 {
        f64::from_bits(self.bits.load(Ordering::Relaxed))
    }

    /// Whether the gauge was written since this was last asked.
    pub(crate) fn take_written(&self) -> bool {
        self.written.swap(false, Ordering::Relaxed)
    }

    fn change(&self, change: impl Fn(f64) -> f64) {
        let mut present = self.bits.load(Ordering::Relaxed);
        loop {
            let next = change(f64::from_bits(present)).to_bits();
            match self.bits.compare_exchange_weak(
                present,
                next,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return self.note(),
                Err(changed) => present = changed,
            }
        }
    }

    fn note(&self) {
        if !self.written.load(Ordering::Relaxed) {
            self.written.store(true, Ordering::Relaxed);
        }
    }
}

impl GaugeFn for GaugeCell {
    fn increment(&self, value: f64) {
        self.change(|present| present + value);
    }

    fn decrement(&self, value: f64) {
        self.change(|present| present - value);
    }

    fn set(&self, value: f64) {
        self.bits.store(value.to_bits(), Ordering::Relaxed);
        self.note();
    }
}
