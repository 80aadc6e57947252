//! The registry as the `metrics` facade's recorder.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

use super::own::Refusal;
use super::{Handled, Registry, Replace, Resolved, Series, cache};
use crate::backend;

impl Recorder for Registry {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.describe_with(key.as_str(), &description, unit, Replace::Yes);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.describe_with(key.as_str(), &description, unit, Replace::Yes);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.describe_with(key.as_str(), &description, unit, Replace::Yes);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.by_key(key)
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        self.by_key(key)
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.by_key(key)
    }
}

impl Registry {
    /// The path of every macro call: no lock when the calling thread used the key before.
    #[inline]
    fn by_key<H: Handled>(&self, key: &Key) -> H {
        let stamp = self.0.stamp.load(Ordering::Acquire);
        match cache::get(stamp, key) {
            Some(handle) => handle,
            None => self.by_uncached_key(stamp, key),
        }
    }

    #[cold]
    fn by_uncached_key<H: Handled>(&self, stamp: u64, key: &Key) -> H {
        if self.0.backend.is_some() {
            let labels = key.labels().map(|label| (label.key(), label.value()));
            return backend::handle(self, key.name(), labels);
        }
        let known = self.0.lookup.get(key).filter(|series| !series.is_taken_out());
        if let Some(series) = known {
            return self.handle_for_thread(stamp, key, &series);
        }
        let labels = key.labels().map(|label| (label.key(), label.value()));
        match self.resolve::<H>(key.name(), labels) {
            // What is refused or folded is not remembered, so that a flood of keys cannot fill the lookup.
            Resolved::Elsewhere(handle) => handle,
            Resolved::Own(series) => {
                self.0.lookup.insert(key, Arc::clone(&series));
                self.handle_for_thread(stamp, key, &series)
            }
        }
    }

    /// A handle that the calling thread keeps for the next time, or a shared one if it keeps enough of them.
    fn handle_for_thread<H: Handled>(&self, stamp: u64, key: &Key, series: &Series) -> H {
        let made = cache::keep(stamp, key, || {
            let (handle, lent) = H::owned(&series.cell)?;
            self.note_lent(series, &lent);
            Some((handle, lent))
        });
        made.or_else(|| H::on(&series.cell))
            .unwrap_or_else(|| H::refused(self.0.own.refused(Refusal::KindConflict)))
    }
}
