//! How much a query may use: samples, memory and time.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::column::Row;
use crate::Error;
use crate::promql::engine::EngineOptions;
use crate::promql::error::QueryError;
use crate::promql::value::QueryStats;

/// How many units of work pass between two looks at the clock.
const WORK_PER_CHECK: u32 = 1_024;

/// What is left of what a query may use.
pub(super) struct Budget<'a> {
    max_samples: usize,
    max_samples_read: usize,
    started: Instant,
    timeout: Duration,
    canceled: &'a dyn Fn() -> bool,
    samples_read: Cell<usize>,
    in_memory: Cell<usize>,
    peak: Cell<usize>,
    /// Units of work since the clock was last looked at.
    work: Cell<u32>,
}

impl<'a> Budget<'a> {
    pub(super) fn new(options: &EngineOptions, canceled: &'a dyn Fn() -> bool) -> Self {
        Self {
            max_samples: options.max_samples,
            max_samples_read: options.max_samples_read,
            started: Instant::now(),
            timeout: options.timeout,
            canceled,
            samples_read: Cell::new(0),
            in_memory: Cell::new(0),
            peak: Cell::new(0),
            work: Cell::new(0),
        }
    }

    /// Notes some work, and looks from time to time whether it is time to stop.
    pub(super) fn work(&self, units: usize) -> Result<(), Error> {
        let work = self.work.get().saturating_add(u32::try_from(units).unwrap_or(u32::MAX));
        if work < WORK_PER_CHECK {
            self.work.set(work);
            return Ok(());
        }
        self.work.set(0);
        self.check()
    }

    /// Looks whether it is time to stop.
    pub(super) fn check(&self) -> Result<(), Error> {
        if (self.canceled)() {
            return Err(QueryError::Canceled.into());
        }
        if self.started.elapsed() > self.timeout {
            return Err(QueryError::TimedOut(self.timeout).into());
        }
        Ok(())
    }

    /// Notes samples that are now in memory.
    pub(super) fn hold(&self, samples: usize) -> Result<(), Error> {
        let held = self.in_memory.get().saturating_add(samples);
        self.in_memory.set(held);
        self.peak.set(self.peak.get().max(held));
        if held > self.max_samples {
            return Err(QueryError::TooManySamples { limit: self.max_samples }.into());
        }
        self.work(samples)
    }

    /// Notes samples that were read and are in memory now.
    pub(super) fn read(&self, samples: usize) -> Result<(), Error> {
        let read = self.samples_read.get().saturating_add(samples);
        self.samples_read.set(read);
        if read > self.max_samples_read {
            return Err(QueryError::TooManySamplesRead { limit: self.max_samples_read }.into());
        }
        self.hold(samples)
    }

    /// Notes samples that were read and are gone again after this.
    pub(super) fn pass(&self, samples: usize) -> Result<(), Error> {
        self.read(samples)?;
        self.release(samples);
        Ok(())
    }

    /// Notes that samples are not in memory any more.
    pub(super) fn release(&self, samples: usize) {
        self.in_memory.set(self.in_memory.get().saturating_sub(samples));
    }

    pub(super) fn held(&self) -> usize {
        self.in_memory.get()
    }

    /// Notes that of what was taken since `before` only the values of `rows` are left.
    pub(super) fn settle(&self, before: usize, rows: &[Row]) -> Result<(), Error> {
        self.in_memory.set(before);
        self.hold(rows.iter().map(|row| row.column.count()).sum())
    }

    /// Checks that columns of so many steps can be made for so many series before they are.
    pub(super) fn room_for(&self, series: usize, steps: usize) -> Result<(), Error> {
        // A series need not have a value at every step, so that twice the samples is accepted in places for them.
        let slots = series.saturating_mul(steps);
        if slots > self.max_samples.saturating_mul(2) {
            return Err(QueryError::TooManySamples { limit: self.max_samples }.into());
        }
        Ok(())
    }

    pub(super) fn stats(&self) -> QueryStats {
        QueryStats { samples_read: self.samples_read.get(), peak_samples: self.peak.get() }
    }
}
