//! The registry as the `metrics` facade's recorder.

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

use super::own::Refusal;
use super::{Handled, Registry, Replace};

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
    /// The path of every macro call: one shared lock of one shard when the key is known.
    #[inline]
    fn by_key<H: Handled>(&self, key: &Key) -> H {
        match self.0.lookup.with(key, |handle| H::from_handle(handle).cloned()) {
            Some(Some(handle)) => handle,
            Some(None) => H::refused(self.0.own.refused(Refusal::KindConflict)),
            None => self.by_new_key(key),
        }
    }

    #[cold]
    fn by_new_key<H: Handled>(&self, key: &Key) -> H {
        let labels = key.labels().map(|label| (label.key(), label.value()));
        let (handle, own_place) = self.resolve::<H>(key.name(), labels);
        // What is refused or folded is not remembered, so that a flood of keys cannot fill the lookup.
        if own_place && let Some(kept) = handle.clone().into_handle() {
            self.0.lookup.insert(key, kept);
        }
        handle
    }
}
